"""Null distribution of statistics of residuals where rows depend on each other.

New random effects are shared by the rows of a group, which makes the residuals of a right model dependent.
Their joint law is then that of the residuals which each simulated data set would have had. Every replicate is
ranked among the others and the observed data, exactly as the observed data are ranked among the replicates.
Under the model all ``n_sims + 1`` residual vectors are exchangeable, whatever the dependence between rows, so
that any statistic of them has an exact rank p-value, from all of the replicates or from a part of them.

Simulations that are not in memory are drawn again, as many replicates as fit: each of these is ranked among
all simulations all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.arguments import check_word
from simresid.checks.inputs import FloatArray, generator, is_simulated, shares_random_effects
from simresid.residuals.scaled import count_block

if TYPE_CHECKING:
    from simresid.simulations.sources import SimulationSource

__all__ = ["NullResiduals", "analytic_null_holds", "null_residuals"]

#: Values (8 bytes each) of the largest matrix to hold, and how many replicates are needed in any case.
MAX_VALUES, MIN_REPLICATES = 12_500_000, 39


def analytic_null_holds(res: Any, null: str) -> bool:
    """Whether to treat residuals as independent; ``"auto"`` does unless random effects were drawn anew."""
    check_word(null, "null", ("auto", "analytic", "simulated"))
    if null == "simulated" and not is_simulated(res):
        raise ValueError("null='simulated' needs simulations, so it takes a SimulatedResiduals")
    return null == "analytic" or (null == "auto" and not shares_random_effects(res))


@dataclass(frozen=True, eq=False)
class NullResiduals:
    """Residuals of simulated data sets.

    Attributes
    ----------
    replicates : ndarray (m, n)
        Not to be written to.
    observed : ndarray (n,) or None
        Residuals of the data by the same definition, if it is not the one of the residuals under test.
    note : str
        Where the null distribution comes from.
    """

    replicates: FloatArray
    observed: FloatArray | None
    note: str

    def comparable(self, u: FloatArray) -> FloatArray:
        """Residuals of the data that the replicates can be compared with, `u` if it is such."""
        return u if self.observed is None else self.observed


def null_residuals(res: Any) -> NullResiduals:
    """Residuals that simulated data sets would have had."""
    found: NullResiduals = res.remember("null residuals", lambda: _null_residuals(res))
    return found


def _null_residuals(res: Any) -> NullResiduals:
    source, observed = _ranked_values(res)
    n_sims, n = source.n_sims, source.n_rows
    size = min(n_sims, max(MIN_REPLICATES, MAX_VALUES // n))
    rng = generator(res, "null residuals")
    u, own = (_rank_all if size == n_sims else _rank_some)(source, observed, size, rng)
    u.flags.writeable = False
    note = "Null distribution from the simulations"
    note += ", since these redraw random effects." if shares_random_effects(res) else "."
    if size < n_sims:
        note += f" {size} of {n_sims} simulations fit into memory, so that no p-value is below {1 / (size + 1):.2g}."
    return NullResiduals(u, None if res.method == "rank" else own, note)


def _ranked_values(res: Any) -> tuple[SimulationSource, FloatArray]:
    """Simulations and data whose ranks the residuals are."""
    from simresid.simulations.sources import Jitter, MappedSource, MatrixSource

    n = res.n_obs
    if res.refits is not None:
        source: SimulationSource = MatrixSource(res.refits.residuals)
        observed = np.asarray(res.refits.observed, dtype=float)
        if res.jitter:
            noise = generator(res, "null residuals, jitter").random(n) - 0.5
            return MappedSource(source, Jitter(res.seed), n), observed + noise
        return source, observed
    if res.whiten is not None:
        return MappedSource(res.simulations, res.whiten, n), res.whiten.vector(res.observed)
    return res.simulations, res.observed


def _rank_all(
    source: SimulationSource, observed: FloatArray, size: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    pool = np.vstack([observed[None, :], *(block for _, block in source.blocks())])
    ties = rng.random((size + 1, observed.size))
    order = np.lexsort((ties, pool), axis=0)  # ties in random order
    place = np.empty(pool.shape)
    np.put_along_axis(place, order, np.arange(size + 1, dtype=float)[:, None], axis=0)
    u = (place[1:] + rng.random((size, observed.size))) / (size + 1)
    return u, (place[0] + rng.random(observed.size)) / (size + 1)


def _rank_some(
    source: SimulationSource, observed: FloatArray, size: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Rank the data and the first `size` replicates, in two passes over the simulations."""
    ranked = np.empty((size + 1, observed.size))
    ranked[0], filled = observed, 1
    for _, block in source.blocks():
        part = block[: size + 1 - filled]
        ranked[filled : filled + len(part)] = part
        filled += len(part)
        if filled > size:
            break
    below, equal = (np.zeros(ranked.shape, np.int32) for _ in range(2))
    for _, block in source.blocks():
        for row in range(size + 1):
            count_block(block, ranked[row], below[row], equal[row])
    for row in range(1, size + 1):
        count_block(observed[None, :].copy(), ranked[row], below[row], equal[row])
    equal[0] += 1  # the others already count themselves
    for row in range(size + 1):  # in place, since memory is short
        ranked[row] = (below[row] + rng.random(observed.size) * equal[row]) / (source.n_sims + 1)
    return ranked[1:], ranked[0]
