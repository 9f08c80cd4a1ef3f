"""Checks of a continuous response: real line, positive half line, unit interval."""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel
from glmmcore.families.support import reject_rows

__all__ = [
    "BELOW_ONE",
    "SMALLEST",
    "check_finite",
    "check_nonnegative",
    "check_positive",
    "check_proportions",
    "outside_support",
]

SMALLEST = float(np.finfo(np.float64).tiny)
"""Draws of positive laws that underflow to 0, outside their support, become this."""
BELOW_ONE = float(np.nextafter(1.0, 0.0))
"""Draws from the open unit interval that round to 1 become this."""


@kernel
def outside_support(i, loglik, d1, d2, d3):
    """Log density -inf and derivatives of zero for row i, whose response the law cannot give."""
    loglik[i] = -np.inf
    d1[:, i] = 0.0
    d2[:, i] = 0.0
    d3[:, i] = 0.0


def check_finite(name: str, y: np.ndarray) -> None:
    """Raise `ModelError` for rows that are not finite."""
    reject_rows(~np.isfinite(y), "non-finite value", name, "finite y")


def check_nonnegative(name: str, y: np.ndarray) -> None:
    """Raise `ModelError` for rows below 0 or not finite."""
    check_finite(name, y)
    reject_rows(y < 0, "negative value", name, "y >= 0", "use family='gaussian', 't' or 'skewnormal'")


def check_positive(name: str, y: np.ndarray, *, zero_model: bool) -> None:
    """Raise `ModelError` for rows that are not positive; a zero model takes the zeros."""
    check_finite(name, y)
    reject_rows(y < 0, "negative value", name, "y > 0", "use family='gaussian', 't' or 'skewnormal'")
    if not zero_model:
        reject_rows(y == 0, "zero", name, "y > 0", "use zi= or family='tweedie'")


def check_proportions(name: str, y: np.ndarray, *, zeros: bool, ones: bool) -> None:
    """Raise `ModelError` for rows outside the unit interval; `zeros`, `ones`: is that end part of it."""
    needs = f"0 {'<=' if zeros else '<'} y {'<=' if ones else '<'} 1"
    check_finite(name, y)
    counts = "divide counts by their number of trials, or use family='betabinomial'"
    reject_rows(y < 0, "negative value", name, needs, "use family='gaussian'")
    reject_rows(y > 1, "value above 1", name, needs, counts)
    if not zeros:
        reject_rows(y == 0, "zero", name, needs, "use zi= or family='ordbeta'")
    if not ones:
        reject_rows(y == 1, "one", name, needs, "use family='ordbeta'")
