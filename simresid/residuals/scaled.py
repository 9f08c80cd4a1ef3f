"""The definitions of a scaled residual, and the compiled counting behind them.

A scaled residual says where an observation lies in the distribution that the model predicts for it: 0 below
everything, 1 above everything, uniform between 0 and 1 if the model is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glmmcore._jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simresid.alignment import FloatArray

    CountArray = NDArray[np.int32]

__all__ = ["count_block", "exact", "in_order", "moment_block", "neighbour_block", "pit", "rank", "traditional"]


def rank(below: CountArray, equal: CountArray, n_sims: int, v: FloatArray) -> FloatArray:
    """Randomised rank of the observation among the simulations and itself.

    ``u = (#{S < y} + v (1 + #{S = y})) / (n_sims + 1)``. If the observation and the simulations come from the
    same law, all ``n_sims + 1`` ranks are equally likely and `v` spreads each over its cell, so `u` is
    uniform exactly, for any number of simulations and any discreteness.

    Parameters
    ----------
    below, equal : ndarray of int (n,)
        Number of simulations below and equal to the observation.
    n_sims : int
    v : ndarray (n,)
        Uniform on [0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> rank(np.array([0, 3]), np.array([0, 1]), 4, np.array([0.5, 0.5]))
    array([0.1, 0.8])
    """
    return (below + v * (1.0 + equal)) / (n_sims + 1.0)


def pit(below: CountArray, equal: CountArray, n_sims: int, v: FloatArray) -> FloatArray:
    """DHARMa's default: the randomised empirical cdf of the simulations.

    Takes the values 0 and 1 with probability ``1/(n_sims + 1)`` each for a continuous response.
    """
    return (below + v * equal) / n_sims


def exact(lower: FloatArray, upper: FloatArray, v: FloatArray) -> FloatArray:
    """Randomised quantile residual from the distribution function (Dunn & Smyth 1996, on the uniform scale).

    Parameters
    ----------
    lower, upper : ndarray (n,)
        ``P(Y < y)`` and ``P(Y <= y)``.
    v : ndarray (n,)
        Uniform on [0, 1).
    """
    return lower + v * (upper - lower)


def in_order(v: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Numbers `v` given out along the cells, so that a residual does not depend on where its row stands in the data.

    Examples
    --------
    >>> import numpy as np
    >>> in_order(np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.0, 0.2]), np.array([0.9, 0.2, 0.5]))
    array([0.3, 0.1, 0.2])
    """
    if np.array_equal(lower, upper):
        return v  # no cell to break
    out = np.empty_like(v)
    out[np.argsort(lower + upper, kind="stable")] = v
    return out


def traditional(
    observed: FloatArray,
    at_or_below: CountArray,
    lower: FloatArray,
    at_upper: CountArray,
    upper: FloatArray,
    n_sims: int,
) -> FloatArray:
    """DHARMa's older definition: the empirical cdf over ``n_sims + 1``, linear between its steps.

    Parameters are those returned by `simresid.residuals.streaming.neighbours`.
    """
    inside = (at_or_below > 0) & (at_or_below < n_sims)
    with np.errstate(invalid="ignore"):  # inf - inf outside the simulated range, not used
        step = (observed - lower) / (upper - lower) * at_upper
    u = (at_or_below + np.where(inside, step, 0.0)) / (n_sims + 1.0)
    return np.where((at_or_below == n_sims) & (observed > lower), 1.0, u)


@kernel
def count_block(block, observed, below, equal):  # type: ignore[no-untyped-def]
    """Count for each row the simulated values below and equal to the observed one."""
    for r in range(block.shape[0]):
        for i in range(observed.size):
            s = block[r, i]
            y = observed[i]
            below[i] += np.int32(s < y)
            equal[i] += np.int32(s == y)


@kernel
def moment_block(block, centre, precision, sums):  # type: ignore[no-untyped-def]
    """Per replicate: zeros, sum of d, of d**2 and of precision * d**2, with d = value - centre."""
    for r in range(block.shape[0]):
        zeros = 0
        s1 = 0.0
        s2 = 0.0
        s3 = 0.0
        for i in range(centre.size):
            s = block[r, i]
            d = s - centre[i]
            zeros += s == 0.0
            s1 += d
            s2 += d * d
            s3 += precision[i] * d * d
        sums[r, 0] = zeros
        sums[r, 1] = s1
        sums[r, 2] = s2
        sums[r, 3] = s3


@kernel
def neighbour_block(block, observed, at_or_below, lower, at_upper, upper):  # type: ignore[no-untyped-def]
    """Update the simulated values next to the observed one."""
    for r in range(block.shape[0]):
        for i in range(observed.size):
            s = block[r, i]
            if s <= observed[i]:
                at_or_below[i] += 1
                lower[i] = max(lower[i], s)
            elif s < upper[i]:
                upper[i] = s
                at_upper[i] = 1
            elif s == upper[i]:
                at_upper[i] += 1
