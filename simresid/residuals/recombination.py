r"""Sums over very many independent rows from a few simulations.

Given the random effects the rows of a model with a known distribution are independent. A new data set may then take
each block of rows from another simulation, so that 8 simulations in 64 blocks hold :math:`8^{64}` data sets. With
:math:`T_{rb}` the sum over block `b` of simulation `r`, :math:`E` the known expectation of the whole sum, and
:math:`r_{jb}` drawn at random,

.. math:: S_j = E + \sqrt{R/(R-1)} \sum_b (T_{r_{jb} b} - \bar T_b)

has the mean and, in expectation, the variance of a sum over simulated data; that variance is known from 448 degrees of
freedom, more than 250 whole simulations give. The number of zeros is a sum of independent indicators of known
probabilities and is drawn as such. At a million rows this takes half a second instead of ten.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.residuals.scaled import moment_block
from simresid.residuals.streaming import refuse_non_finite

if TYPE_CHECKING:
    from simresid.alignment import FloatArray
    from simresid.residuals.rows import Rows
    from simresid.simulations.sources import SimulationSource


__all__ = ["MANY_ROWS", "count_of_independent", "recombined_sums"]

MANY_ROWS = 50_000
"""Up to here whole data sets are simulated."""

N_REPLICATES, N_BLOCKS = 8, 64

LARGEST_SHARE = 0.1
"""Of the variance in one block: above it the sum hangs on few rows, whose law 8 values do not show."""

FAR = 4.5
"""Standard errors between simulated and stated mean beyond which `variance` is not that of the simulations."""


def recombined_sums(
    source: SimulationSource,
    rows: Rows,
    zero_probability: Callable[[], FloatArray],
    n_sims: int,
    rng: np.random.Generator,
) -> FloatArray | None:
    """Sums per replicate as in `simresid.residuals.streaming.ReplicateSums`, ``(n_sims, 4)``.

    Parameters
    ----------
    source : SimulationSource
        Replicates of independent rows.
    rows : Rows
        With the expectation and the variance of each row.
    zero_probability : callable
        Returns the probability of a zero per row ``(n,)``.
    n_sims : int
    rng : Generator

    Returns
    -------
    ndarray or None
        None where this does not apply: the variance is not known or not that of the simulations, or few rows dominate.
    """
    if rows.expected is None or rows.variance is None:
        return None
    sums = _block_sums(source, rows.expected, 1.0 / rows.variance)
    noise = sums - sums.mean(axis=0)
    variance = np.sum(noise**2, axis=0) / (N_REPLICATES - 1)
    squared = variance[:, 2]
    if not squared.sum() > 0 or squared.max() > LARGEST_SHARE * squared.sum():
        return None
    n = rows.expected.size
    expected = np.array([0.0, 0.0, float(rows.variance.sum()), float(n)])
    found = sums.sum(axis=1).mean(axis=0)
    error = np.sqrt(variance.sum(axis=0) / N_REPLICATES)
    if np.any(np.abs(found - expected)[1:] > FAR * error[1:]):
        return None
    chosen = rng.integers(0, N_REPLICATES, size=(n_sims, N_BLOCKS))
    drawn = noise[chosen, np.arange(N_BLOCKS)].sum(axis=1)
    out = expected + np.sqrt(N_REPLICATES / (N_REPLICATES - 1)) * drawn
    out[:, 0] = count_of_independent(zero_probability(), n_sims, rng)
    return np.asarray(out)


def _block_sums(source: SimulationSource, centre: FloatArray, precision: FloatArray) -> FloatArray:
    """Sums of `moment_block` per replicate and block of rows, ``(N_REPLICATES, N_BLOCKS, 4)``."""
    edges = np.linspace(0, centre.size, N_BLOCKS + 1).astype(int)
    sums = np.empty((N_REPLICATES, N_BLOCKS, 4))
    done = 0
    for first, block in source.blocks():
        for replicate in block[: N_REPLICATES - done]:
            for b, (lo, hi) in enumerate(pairwise(edges)):
                part = replicate[None, lo:hi]
                moment_block(part, centre[lo:hi], precision[lo:hi], sums[done, b : b + 1])
            done += 1
        if not np.isfinite(sums[:done]).all():
            refuse_non_finite(block, first)
        if done == N_REPLICATES:
            break
    return sums


def count_of_independent(p: FloatArray, size: int, rng: np.random.Generator) -> FloatArray:
    r"""Draw how many of independent events happen.

    Rare ones one by one: event `i` happens if a Poisson variable of mean :math:`-\log(1-p_i)` is not zero, and the
    points of all these variables together are few. Many are close to normal.

    Parameters
    ----------
    p : ndarray (n,)
        Probabilities; events more likely than not are counted by their failures.
    size : int
        Number of draws.
    rng : Generator

    Returns
    -------
    ndarray (size,)

    Examples
    --------
    >>> import numpy as np
    >>> draws = count_of_independent(np.full(1000, 0.002), 4000, np.random.default_rng(1))
    >>> bool(abs(draws.mean() - 2) < 0.1), bool(abs(draws.var() - 2) < 0.2)
    (True, True)
    """
    likely = p > 0.5
    q = np.where(likely, 1.0 - p, p)
    variance = float(np.sum(q * (1.0 - q)))
    if q.sum() > 1e4:
        draws: Any = np.rint(p.sum() + np.sqrt(variance) * rng.standard_normal(size))
        return np.asarray(draws)
    steps = np.cumsum(-np.log1p(-q))
    sign = np.where(likely, -1.0, 1.0)
    out = np.full(size, float(np.count_nonzero(likely)))
    for k, points in enumerate(rng.poisson(steps[-1], size)):
        hit = np.unique(np.searchsorted(steps, steps[-1] * rng.random(points), side="right"))
        out[k] += sign[np.minimum(hit, p.size - 1)].sum()
    return out
