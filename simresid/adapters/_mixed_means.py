"""Mean of a response over normal random effects, which is not the inverse link of the fixed part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

__all__ = ["mean_over_normal"]

# 64 Gauss-Hermite nodes integrate a logistic curve under a normal of sd 5 to 1e-6.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(64)


def mean_over_normal(
    inverse_link: Callable[[FloatArray], FloatArray], eta: FloatArray, sd: FloatArray
) -> FloatArray:
    """Return ``E[inverse_link(eta + sd Z)]`` for standard normal Z, per row ``(n,)``."""
    total = np.zeros_like(eta)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        total += weight * inverse_link(eta + node * sd)
    return total / _WEIGHTS.sum()
