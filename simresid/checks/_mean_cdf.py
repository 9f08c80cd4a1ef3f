r"""Mean distribution function of residuals that are known up to a cell.

A residual uniform on its cell :math:`[l_i, h_i]` has the distribution function :math:`G_i(u) = \mathrm{clip}\{(u -
l_i)/(h_i - l_i), 0, 1\}`, a step where the cell is a point. Their mean :math:`\bar F(u)` is the expectation of the
empirical distribution function over all ways to break ties; for a right model it is close to `u`.

References
----------
Czado, C., Gneiting, T. and Held, L. (2009). Predictive model assessment for count data. Biometrics 65, 1254-1261.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel
from simresid.checks.inputs import FloatArray

__all__ = [
    "GRID",
    "LOGIT_WEIGHTS",
    "STEPS",
    "absolute_deviation",
    "below",
    "largest_distance",
    "mean_cdf",
    "middle",
    "squared_deviation",
]


def _grid() -> FloatArray:
    even = np.arange(1, 256) / 256
    tail = np.geomspace(1e-6, 1 / 256, 24, endpoint=False)
    return np.concatenate([tail, even, 1 - tail[::-1]])


GRID = _grid()
"""Where mean distribution functions are evaluated: evenly, and evenly on the log scale in both tails."""

STEPS = np.diff(np.concatenate([[0.0], (GRID[1:] + GRID[:-1]) / 2, [1.0]]))
"""Weights of the points of `GRID` in an integral over u."""

LOGIT_WEIGHTS = np.gradient(np.log(GRID) - np.log1p(-GRID))
"""Weights in an integral over the logit of u, that is of ``du / (u (1 - u))``."""

MOST_EXACT = 40
"""Rows up to which the largest distance from the uniform distribution is found exactly."""

_COARSE = GRID[::4].copy()


def mean_cdf(lower: FloatArray, upper: FloatArray, grid: FloatArray = GRID) -> FloatArray:
    """Mean distribution function at the points of a grid.

    Parameters
    ----------
    lower, upper : ndarray (n,)
        Cells of the residuals.
    grid : ndarray (k,)
        Increasing, within (0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> edges = np.arange(4) / 4
    >>> bool(np.allclose(mean_cdf(edges, edges + 0.25), GRID))
    True
    """
    out = np.zeros(grid.size)
    lo, hi = (np.require(side, np.float64, ["C", "W"]) for side in (lower, upper))
    _add_cells(lo, hi, grid, out, np.zeros(grid.size + 1), np.zeros(grid.size + 1))
    return out / lower.size


def largest_distance(lower: FloatArray, upper: FloatArray) -> float:
    """Largest distance of the mean distribution function from the uniform one.

    Up to `MOST_EXACT` rows it is exact: at the points of a grid few rows have few different distances, and equal ones
    are no evidence in a comparison with refits.

    Examples
    --------
    >>> import numpy as np
    >>> largest_distance(np.array([0.75]), np.array([0.75]))
    0.75
    """
    if lower.size > MOST_EXACT:
        return float(np.max(np.abs(mean_cdf(lower, upper, _COARSE) - _COARSE)))
    lo, hi = (np.require(side, np.float64, ["C", "W"]) for side in (lower, upper))
    return float(_exact_distance(lo, hi))


@kernel
def _exact_distance(lower, upper):  # type: ignore[no-untyped-def]
    """Largest distance at either side of the ends of the cells, between which the difference is linear."""
    n = lower.size
    largest = 0.0
    for end in range(2 * n):
        at = lower[end] if end < n else upper[end - n]
        before = 0.0
        after = 0.0
        for i in range(n):
            if upper[i] > lower[i]:
                share = min(max((at - lower[i]) / (upper[i] - lower[i]), 0.0), 1.0)
                before += share
                after += share
            else:
                before += 1.0 if lower[i] < at else 0.0
                after += 1.0 if lower[i] <= at else 0.0
        largest = max(largest, abs(before / n - at), abs(after / n - at))
    return largest


@kernel
def _first_at_least(grid, value):  # type: ignore[no-untyped-def]
    """Position of the first grid point that is not below `value`."""
    low = 0
    high = grid.size
    while low < high:
        middle = (low + high) // 2
        if grid[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _add_cells(lower, upper, grid, out, constant, slope):  # type: ignore[no-untyped-def]
    """Sum of the distribution functions of all cells; `constant` and `slope` are differences along the grid."""
    for i in range(lower.size):
        lo = lower[i]
        hi = upper[i]
        first = _first_at_least(grid, lo)
        last = _first_at_least(grid, hi)
        if last - first <= 1:
            # no sums of large numbers of opposite sign where the cell is narrow
            if last > first:
                share = (grid[first] - lo) / (hi - lo)
                constant[first] += share
                constant[last] += 1.0 - share
            else:
                constant[first] += 1.0
        else:
            width = hi - lo
            constant[first] -= lo / width
            slope[first] += 1.0 / width
            constant[last] += 1.0 + lo / width
            slope[last] -= 1.0 / width
    a = 0.0
    b = 0.0
    for k in range(grid.size):
        a += constant[k]
        b += slope[k]
        out[k] = a + b * grid[k]


def below(lower: FloatArray, upper: FloatArray, q: float) -> FloatArray:
    """Probability of each residual to be at most `q` ``(n,)``."""
    width = upper - lower
    return np.where(
        width > 0, np.clip((q - lower) / np.where(width > 0, width, 1.0), 0.0, 1.0), (lower <= q).astype(float)
    )


def middle(lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Mean of each residual over its cell ``(n,)``."""
    return np.asarray(0.5 * (lower + upper))


def squared_deviation(lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Mean of ``(u - 1/2)**2`` over each cell ``(n,)``."""
    return np.asarray((0.5 * (lower + upper) - 0.5) ** 2 + (upper - lower) ** 2 / 12)


def absolute_deviation(lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Mean of ``|u - 1/2|`` over each cell ``(n,)``."""
    a, b = lower - 0.5, upper - 0.5
    crossing = (a < 0) & (b > 0)
    width = np.where(crossing, b - a, 1.0)
    return np.where(crossing, 0.5 * (a * a + b * b) / width, 0.5 * np.abs(a + b))
