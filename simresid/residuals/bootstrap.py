"""Parametric bootstrap: fit the model to each of its own simulations and compare raw residuals.

Unlike ranks among simulations, these account for the fact that the model was fitted to the very data it is
checked on, at the price of one fit per simulation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from simresid.protocol import CanRefit, CanRefitMany, HasLikelihood, HasPearson
from simresid.residuals import scaled
from simresid.residuals.streaming import neighbours, tally
from simresid.simulations.sources import Jitter, MappedSource, MatrixSource, SimulationSource
from simresid.simulations.time_limit import results_within
from simresid.simulations.warning_filters import silence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simresid.alignment import FloatArray
    from simresid.protocol import FittedModel
    from simresid.residuals.execution import Execution

    RowMap = Callable[[int, FloatArray], FloatArray]

__all__ = ["FailedRefit", "Refits", "bootstrap"]

REFITS_PER_TASK, BATCHED_REFITS_PER_TASK = 5, 32
"""Refits handed to a worker at a time, one by one or in batches."""


@dataclass(frozen=True)
class FailedRefit:
    """A simulation that the model could not be fitted to: its replicate number and the reason."""

    replicate: int
    reason: str


@dataclass(frozen=True, eq=False)
class Refits:
    """What is kept of the refits that succeeded.

    Attributes
    ----------
    observed : ndarray (n,)
        Raw residuals ``observed - fitted`` of the model itself.
    residuals : ndarray (n_succeeded, n)
        Raw residuals of every refit.
    replicates : ndarray of int (n_succeeded,)
        Which simulation each of them belongs to.
    pearson : ndarray (n_succeeded,)
        Sum of squared Pearson residuals of every refit; NaN if the model has none.
    observed_pearson : float
        The same of the model itself.
    llf : ndarray (n_succeeded,)
        Log-likelihoods of the refits, NaN if unknown.
    failures : tuple of FailedRefit
    n_untried : int
        Simulations left over when the time was up.
    """

    observed: FloatArray
    residuals: FloatArray
    replicates: NDArray[np.int64]
    pearson: FloatArray
    observed_pearson: float
    llf: FloatArray
    failures: tuple[FailedRefit, ...]
    n_untried: int = 0

    @property
    def n_succeeded(self) -> int:
        """Number of refits the observation is compared with."""
        return self.residuals.shape[0]

    def scaled(self, method: str, seed: int, jitter: bool, v: FloatArray) -> FloatArray:
        """Scaled residuals: where the raw residuals lie among those of the refits.

        With a discrete response the fitted mean shifts all residuals of equal counts together; uniform noise
        on (-1/2, 1/2) breaks that up, as it does in DHARMa.
        """
        observed = self.observed
        source: SimulationSource = MatrixSource(self.residuals)
        if jitter:
            source, observed = MappedSource(source, Jitter(seed), observed.size), observed + (v - 0.5)
        if method == "traditional":
            return scaled.traditional(observed, *neighbours(source, observed), self.n_succeeded)
        counts = tally(source, observed)
        formula = scaled.rank if method == "rank" else scaled.pit
        return formula(counts.below, counts.equal, self.n_succeeded, v)

    def mapped(self, row_map: RowMap) -> Refits:
        """Raw residuals of aggregated or selected rows; sums of squares over former rows no longer apply."""
        return replace(
            self,
            observed=row_map(0, self.observed[None, :])[0],
            residuals=np.ascontiguousarray(row_map(0, self.residuals)),
            pearson=np.full(self.n_succeeded, np.nan),
            observed_pearson=np.nan,
        )

    def __str__(self) -> str:
        text = f"ranked among {self.n_succeeded} refits to simulated responses"
        if self.failures:
            text += f"; {len(self.failures)} more refits failed, the first because {self.failures[0].reason}"
        if self.n_untried:
            text += f"; for {self.n_untried} more there was no time"
        return text


@dataclass(frozen=True, eq=False)
class _Fit:
    replicate: int
    residuals: FloatArray
    pearson: float
    llf: float


@dataclass(frozen=True, eq=False)
class _RefitTask:
    model: CanRefit
    simulated: FloatArray

    def __call__(self, task: range) -> list[_Fit | FailedRefit]:
        if isinstance(self.model, CanRefitMany):
            return self._fit_together(self.model, task)
        return [self._fit(j, self.simulated[j]) for j in task]

    def _fit_together(self, model: CanRefitMany, task: range) -> list[_Fit | FailedRefit]:
        y = self.simulated[task.start : task.stop]
        many = model.refit_many(y, n_jobs=1)
        outcomes: list[_Fit | FailedRefit] = []
        for j, row, fitted, pearson, llf, error in zip(
            task, y, many.fitted, many.pearson, many.llf, many.error, strict=True
        ):
            outcomes.append(FailedRefit(j, error) if error else _Fit(j, row - fitted, float(pearson), float(llf)))
        return outcomes

    def _fit(self, replicate: int, y: FloatArray) -> _Fit | FailedRefit:
        try:
            with silence():  # a warning per refit helps nobody; failures are counted
                fit = self.model.refit(y.copy())
                residuals = _raw(y, fit)
                if not np.isfinite(residuals).all():
                    return FailedRefit(replicate, "the fitted mean is not finite")
                return _Fit(replicate, residuals, _pearson_sum(fit), _llf(fit))
        except Exception as error:  # any library's fitting error is a counted outcome, not the end of the bootstrap
            return FailedRefit(replicate, f"{type(error).__name__}: {error}")


def bootstrap(model: FittedModel, simulated: FloatArray, execution: Execution, timeout: float | None = None) -> Refits:
    """Fit `model` to every row of `simulated` ``(n_sims, n)``, or to as many as `timeout` seconds allow.

    Raises
    ------
    ValueError
        If the model has no ``refit``, or fewer than two refits succeed; the message gives the first reason.
    TimeoutError
        If fewer than two refits are done in time.
    """
    if not isinstance(model, CanRefit):
        raise ValueError(f"refit=True needs a model with refit(y); {type(model).__name__} has none")
    n_sims = simulated.shape[0]
    size = execution.block_size or REFITS_PER_TASK
    if isinstance(model, CanRefitMany):
        size = BATCHED_REFITS_PER_TASK  # always the same, since the last bits of a batch depend on its size
    tasks = [range(j, min(j + size, n_sims)) for j in range(0, n_sims, size)]
    outcomes: list[_Fit | FailedRefit] = []
    results = execution.map(_RefitTask(model, simulated), tasks, "refitting", prefer=None)
    for part in results if timeout is None else results_within(results, timeout):
        outcomes += part
    fits = [o for o in outcomes if isinstance(o, _Fit)]
    failures = tuple(o for o in outcomes if isinstance(o, FailedRefit))
    if len(fits) < 2 and len(outcomes) < n_sims:
        raise TimeoutError(f"{len(fits)} refits were done when the time was up; at least 2 are needed")
    if len(fits) < 2:
        raise ValueError(f"{len(failures)} of {len(outcomes)} refits failed, the first: {failures[0].reason}")
    return Refits(
        observed=_raw(model.observed, model),
        residuals=np.stack([f.residuals for f in fits]),
        replicates=np.array([f.replicate for f in fits]),
        pearson=np.array([f.pearson for f in fits]),
        observed_pearson=_pearson_sum(model),
        llf=np.array([f.llf for f in fits]),
        failures=failures,
        n_untried=n_sims - len(outcomes),
    )


def _raw(y: FloatArray, model: FittedModel) -> FloatArray:
    observed, fitted = np.asarray(y, dtype=np.float64), np.asarray(model.fitted, dtype=np.float64)
    if fitted.shape != observed.shape:  # numpy would repeat a single value for all rows
        raise ValueError(f"the fitted mean has shape {fitted.shape}, expected {observed.shape}")
    return observed - fitted


def _pearson_sum(model: FittedModel) -> float:
    return float(np.sum(np.square(model.resid_pearson))) if isinstance(model, HasPearson) else np.nan


def _llf(model: FittedModel) -> float:
    return float(model.llf) if isinstance(model, HasLikelihood) else np.nan
