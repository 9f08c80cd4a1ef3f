"""Fits to data simulated from a fitted model, in parallel, one random stream per replicate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simresid.alignment import real_array
from simresid.checks.inputs import FloatArray
from simresid.protocol import CanRefitMany
from simresid.residuals.execution import Execution

__all__ = ["failed_refits", "refit_statistics", "refit_values", "run_refits", "unconditional_responses"]

SINGLE_REFITS_PER_TASK, MANY_REFITS_PER_TASK = 4, 64

Seeds = list[np.random.SeedSequence]


def unconditional_responses(model: Any, seeds: Seeds) -> FloatArray:
    """Draw one response with new random effects for each seed ``(len(seeds), n)``."""
    n = np.asarray(model.observed).size
    draws = np.empty((len(seeds), n))
    for row, seed in zip(draws, seeds, strict=True):
        drawn = model.simulate(1, rng=np.random.default_rng(seed), random_effects="unconditional")
        drawn = real_array(drawn, f"the result of {type(model).__name__}.simulate(1)")
        if drawn.shape != (1, n):
            raise ValueError(f"{type(model).__name__}.simulate(1) returned shape {drawn.shape}, expected {(1, n)}")
        row[:] = drawn[0]
    return draws


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
        except Exception:  # any library's fitting error; counted by the caller
            continue
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


def failed_refits(n_failed: int, n_succeeded: int, pvalue: float, alternative: str) -> list[str]:
    """Say that refits failed, and between which limits the p-value lies whatever these would have given.

    The p-value in use ranks among the refits that succeeded, which is right if failing has nothing to do with the
    statistic; the limits need no such assumption.
    """
    if not n_failed:
        return []
    n_refits = n_failed + n_succeeded
    low = pvalue * (1 + n_succeeded) / (1 + n_refits)
    high = min(1.0, low + (2 if alternative == "two-sided" else 1) * n_failed / (1 + n_refits))
    return [
        f"{n_failed} of {n_refits} refits failed and were left out; whatever they had given, p would lie between "
        f"{low:.2g} and {high:.2g}."
    ]
