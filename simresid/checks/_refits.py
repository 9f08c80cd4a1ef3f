"""Fits to data simulated from a fitted model, in parallel, one random stream per replicate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simresid.checks._inputs import FloatArray

__all__ = ["refit_statistics"]


@dataclass(frozen=True)
class _Replicate:
    """One task: simulate with new random effects, evaluate `statistic` of the refit."""

    model: Any
    statistic: Callable[[Any], float]

    def __call__(self, seed: np.random.SeedSequence) -> float:
        rng = np.random.default_rng(seed)
        y = np.asarray(self.model.simulate(1, rng=rng, random_effects="unconditional"))[0]
        try:
            return float(self.statistic(self.model.refit(y)))
        except (ValueError, ArithmeticError, np.linalg.LinAlgError, RuntimeError):
            return np.nan  # counted by the caller


def refit_statistics(
    model: Any,
    statistic: Callable[[Any], float],
    n_refits: int,
    rng: np.random.Generator,
    n_jobs: int | None = None,
) -> tuple[FloatArray, int]:
    """Statistics of refits to unconditionally simulated responses.

    Returns
    -------
    values : ndarray
        Statistics of the refits that succeeded.
    n_failed : int
        Number of refits that raised or gave a value that is not finite.

    Raises
    ------
    ValueError
        If fewer than half of the refits succeed.
    """
    return run_refits(_Replicate(model, statistic), n_refits, rng, n_jobs)


def run_refits(
    task: Callable[[np.random.SeedSequence], float],
    n_refits: int,
    rng: np.random.Generator,
    n_jobs: int | None,
) -> tuple[FloatArray, int]:
    """Run `task` for spawned seeds and drop the failures."""
    from joblib import Parallel, delayed

    seeds = np.random.SeedSequence(rng.integers(2**63)).spawn(n_refits)
    values = np.array(Parallel(n_jobs=n_jobs)(delayed(task)(seed) for seed in seeds), dtype=float)
    good = np.isfinite(values)
    if 2 * np.count_nonzero(good) < n_refits:
        raise ValueError(f"{n_refits - good.sum()} of {n_refits} refits failed, so their law is unknown")
    return values[good], int(n_refits - good.sum())
