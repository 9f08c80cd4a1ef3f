"""Exact gradients beside differences of the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

STEP = 1e-3
"""In standardised units, where the five-point rule errs by about 1e-12 times a fifth derivative."""


def check_gradient(objective: Callable[[], Any], x: np.ndarray, tolerance: float) -> None:
    """Compare with differences; a new objective for every value, so that no warm start can hide an error."""

    def value(z: np.ndarray) -> float:
        f = objective()(z)[0]
        assert np.isfinite(f)
        return f

    gradient = objective()(x)[1]
    numeric = np.empty(len(x))
    for j in range(len(x)):
        e = np.zeros(len(x))
        e[j] = STEP
        near, far = value(x + e) - value(x - e), value(x + 2 * e) - value(x - 2 * e)
        numeric[j] = (8 * near - far) / (12 * STEP)
    np.testing.assert_allclose(gradient, numeric, rtol=tolerance, atol=tolerance * np.abs(gradient).max())
