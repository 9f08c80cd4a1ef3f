"""Fits to data simulated from a fitted model, in parallel, one random stream per replicate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simresid.checks._inputs import FloatArray
from simresid.protocol import CanRefitMany
from simresid.streaming import Execution

__all__ = ["refit_statistics", "refit_values", "run_refits", "unconditional_responses"]

SINGLE_REFITS_PER_TASK, MANY_REFITS_PER_TASK = 4, 32
REFIT_ERRORS = (ValueError, ArithmeticError, np.linalg.LinAlgError, RuntimeError)

Seeds = list[np.random.SeedSequence]


def unconditional_responses(model: Any, seeds: Seeds) -> FloatArray:
    """Draw one response with new random effects for each seed ``(len(seeds), n)``."""
    draws = [
        np.asarray(model.simulate(1, rng=np.random.default_rng(seed), random_effects="unconditional"))[0]
        for seed in seeds
    ]
    return np.array(draws, dtype=float)


def refit_values(model: Any, y: FloatArray, name: str, statistic: Callable[[Any], float]) -> FloatArray:
    """Statistic of the refit to each row of `y`, NaN where that fails.

    A model that refits in batches is asked for its column `name`, any other for `statistic` of each refit.
    """
    if isinstance(model, CanRefitMany):
        return np.asarray(getattr(model.refit_many(y, n_jobs=1), name), dtype=float)
    values = np.full(len(y), np.nan)
    for i, row in enumerate(y):
        try:
            values[i] = statistic(model.refit(row))
        except REFIT_ERRORS:
            continue  # counted by the caller
    return values


@dataclass(frozen=True, eq=False)
class _Replicates:
    """Simulate with new random effects, evaluate `statistic` of the refits."""

    model: Any
    name: str
    statistic: Callable[[Any], float]

    def __call__(self, seeds: Seeds) -> FloatArray:
        return refit_values(self.model, unconditional_responses(self.model, seeds), self.name, self.statistic)


def refit_statistics(
    model: Any,
    name: str,
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
    return run_refits(
        _Replicates(model, name, statistic), n_refits, rng, n_jobs, in_batches=isinstance(model, CanRefitMany)
    )


def run_refits(
    task: Callable[[Seeds], FloatArray],
    n_refits: int,
    rng: np.random.Generator,
    n_jobs: int | None,
    *,
    in_batches: bool,
) -> tuple[FloatArray, int]:
    """Run `task` for spawned seeds, some at a time, and drop the failures."""
    seeds = np.random.SeedSequence(rng.integers(2**63)).spawn(n_refits)
    size = MANY_REFITS_PER_TASK if in_batches else SINGLE_REFITS_PER_TASK
    tasks = [seeds[i : i + size] for i in range(0, n_refits, size)]
    values = np.concatenate(list(Execution(n_jobs).map(task, tasks, "refitting", prefer=None)))
    good = np.isfinite(values)
    if 2 * np.count_nonzero(good) < n_refits:
        raise ValueError(f"{n_refits - good.sum()} of {n_refits} refits failed, so their law is unknown")
    return values[good], int(n_refits - good.sum())
