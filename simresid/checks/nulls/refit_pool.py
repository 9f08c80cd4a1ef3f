"""Refits to data simulated from the fitted model: one pool for all tests of a residual object.

Replicate `j` is drawn from a random stream of its own (which depends on the seed, the data and `j` only), with new
random effects, the model is fitted to it, and the cells and sums that tests need are kept
(`simresid.checks.nulls.fitted_data`). The pool grows when a test asks for more. Its replicates do not depend on who
asked first, on workers or on how many are made at a time.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.alignment import real_array
from simresid.checks.nulls.fitted_data import FittedData, from_law, from_many, from_residuals, from_simulations_of
from simresid.checks.nulls.plan import LARGE, ROUNDS, refit_cost
from simresid.protocol import (
    CanRefit,
    CanRefitMany,
    HasCdf,
    HasRandomEffects,
    HasVariance,
    HasWholeFits,
    is_thread_safe,
)
from simresid.simulations.sources import REFITS
from simresid.simulations.time_limit import results_within
from simresid.simulations.warning_filters import silence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simresid.alignment import FloatArray
    from simresid.simulated_residuals import SimulatedResiduals


__all__ = ["FailedRefit", "RefitPool", "RefitsFailed", "data_seed", "replicate_generator", "why_no_refits"]

REFITS_PER_TASK, FEW_ROWS = 20, 5000
"""Replicates that are made at a time up to so many rows, one above."""

LARGEST_BATCH = 100
"""Replicates of a batch at most, which of few rows costs little more than one of 20."""

PATIENCE, PATIENCE_PER_COST = 60.0, 1e-4
"""Seconds in which the next refits, 20 at most or one batch, must come back, and as many more per unit of cost."""


@dataclass(frozen=True)
class FailedRefit:
    """A simulated data set that the model could not be fitted to: its replicate number and the reason."""

    replicate: int
    reason: str


def why_no_refits(res: Any) -> str:
    """Say what keeps the null distribution of these residuals from being refitted; empty if nothing does."""
    model = res.model
    if model is None:
        return "there is no model, only simulations"
    if not isinstance(model, CanRefit):
        return f"{type(model).__name__} cannot refit"
    if res.refits is not None:
        return "the residuals are ranks among refits already"
    if res.recipe is None:
        return "it is not known how the residuals were made"
    return ""


class RefitsFailed(Exception):
    """Too few refits, or none with the numbers that a test needs, so that the null distribution is not known."""


class RefitPool:
    """Data sets drawn from the fitted model, and the model fitted to each of them.

    Parameters
    ----------
    res : SimulatedResiduals
        Of the model itself.
    with_simulations : bool
        Keep the residuals of every refit instead of cells and sums, for statistics that need simulations of them.
    """

    def __init__(self, res: SimulatedResiduals, *, with_simulations: bool = False) -> None:
        # the residuals hold their pool: held in return, both would stay until Python looks for cycles of references
        self._res = weakref.ref(res)
        self._execution = res.execution
        self._task: Any = _task(res)
        if with_simulations:
            self._task = _WithSimulations(res.model, data_seed(res), res.recipe, zeros=False)
        self.outcomes: list[FittedData | FailedRefit] = []
        self.stopped = ""  # why there are no more
        self._own: FittedData | None = None
        self._values: dict[Any, list[FloatArray]] = {}
        self._growing = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle everything but the lock, and the residuals themselves."""
        return {name: value for name, value in self.__dict__.items() if name != "_growing"} | {"_res": self._res()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_res": weakref.ref(state["_res"])})
        self._growing = threading.RLock()

    @property
    def own(self) -> FittedData:
        """Cells and sums of the data that the model was fitted to."""
        if self._own is not None:
            return self._own
        res = self._res()
        if res is None:
            raise ReferenceError("the residuals of these refits are gone: keep them as long as their refits")
        try:
            own: FittedData = self._task.own(res)
        except ValueError as error:
            raise RefitsFailed(str(error)) from error
        if own.residuals is None:  # those that hold the residuals are quick to make
            self._own = own
        return own

    def values(self, key: Any, function: Callable[[FittedData], FloatArray], count: int) -> FloatArray:
        """``function`` of the first `count` replicates, without those whose refit failed or gave no finite value.

        Parameters
        ----------
        key : hashable
            Under which the values are remembered.
        function : callable
            Takes a `FittedData`, returns a vector ``(k,)``.
        count : int

        Returns
        -------
        ndarray (m, k)
        """
        with self._growing:  # tests may run in threads at once: each replicate is made and looked at once
            self._grow(count)
            known = self._values.setdefault(key, [])
            for outcome in self.outcomes[len(known) : count]:
                known.append(np.empty(0) if isinstance(outcome, FailedRefit) else np.asarray(function(outcome)))
        rows = [row for row in known[:count] if _is_usable(row)]
        return np.stack(rows) if rows else np.empty((0, 0))

    def usable(self, key: Any, count: int) -> NDArray[np.bool_]:
        """Which of the first `count` replicates have values under this key."""
        return np.array([_is_usable(row) for row in self._values[key][:count]])

    def laws(self, key: Any, count: int) -> FloatArray:
        """Descriptions of the fit to the data, first, and of replicates with values under this key ``(1 + m, d)``."""
        usable = self.usable(key, count)
        kept = [o.law for o, use in zip(self.outcomes, usable, strict=False) if use and isinstance(o, FittedData)]
        # a library may tell less of many refits than of one fit
        told = min(law.size for law in (self.own.law, *kept))
        return np.stack([law[:told] for law in (self.own.law, *kept)])

    @property
    def size(self) -> int:
        """Number of replicates that were made."""
        return len(self.outcomes)

    def failures(self, count: int) -> list[FailedRefit]:
        """Failed refits among the first `count` replicates."""
        return [o for o in self.outcomes[:count] if isinstance(o, FailedRefit)]

    def _grow(self, count: int) -> None:
        done = len(self.outcomes)
        if count <= done or self.stopped:
            return
        tasks = _tasks(self._task.model, done, count)
        seconds = PATIENCE + PATIENCE_PER_COST * refit_cost(self._task.model)
        seconds *= max(1.0, max(map(len, tasks)) / REFITS_PER_TASK)
        # with few rows a refit is work of the interpreter, which threads only pass to and fro
        in_threads = int(self._task.model.nobs) > FEW_ROWS and is_thread_safe(self._task.model)
        run = self._execution.map(self._task, tasks, "refitting", prefer=None, thread_safe=in_threads)
        for part in results_within(run, seconds, each=True):
            self.outcomes += part
        if len(self.outcomes) < count:
            # the clock decides between rounds, so that no result rests on just any number of refits
            whole = len(self.outcomes) // LARGEST_BATCH * LARGEST_BATCH
            del self.outcomes[max(done, whole, *(end for end in (0, *ROUNDS) if end <= len(self.outcomes))) :]
            self.stopped = f"the next did not come back within {seconds:.0f} s, as they may on a faster machine"


def _is_usable(row: FloatArray) -> bool:
    return bool(row.size and np.isfinite(row).all())


def _tasks(model: Any, done: int, count: int) -> list[range]:
    """Replicates from `done` to at least `count`, as many at a time as the model alone says.

    The last bits of a batch depend on its size, so that batches begin and end at the same replicates whoever asks: at
    the rounds of a plan and at every hundred.
    """
    cost = refit_cost(model)
    if int(model.nobs) > FEW_ROWS:
        return [range(j, j + 1) for j in range(done, count)]
    if not isinstance(model, CanRefitMany) or cost > LARGE:
        return [range(j, j + REFITS_PER_TASK) for j in range(done, count, REFITS_PER_TASK)]
    ends = [0, *(end for end in ROUNDS if end < LARGEST_BATCH), LARGEST_BATCH]
    while ends[-1] < count:
        ends.append(ends[-1] + LARGEST_BATCH)
    return [range(a, b) for a, b in pairwise(ends) if done <= a < count]


def _task(res: SimulatedResiduals) -> Any:
    model: Any = res.model
    zeros = bool(res.discrete or np.any(res.observed == 0))
    conditional = isinstance(res.random_effects, str) and res.random_effects == "conditional"
    conditional = conditional or (isinstance(model, HasRandomEffects) and not model.has_random_effects)
    selected = not res.is_grouped and res.whiten is None
    if conditional and selected and isinstance(model, HasCdf) and res.method != "traditional":
        return _FromLaw(model, data_seed(res), res.positions, zeros)
    return _FromSimulations(model, data_seed(res), res.recipe, zeros)


def data_seed(res: SimulatedResiduals) -> int:
    """Seed of the refits, from that of the residuals and the data: one seed does not tie many data sets together."""
    values = np.sort(np.asarray(res.model.observed, dtype=np.float64))  # type: ignore[union-attr]
    return int.from_bytes(blake2b(values.tobytes(), digest_size=8, key=str(res.seed).encode()[:64]).digest(), "little")


@dataclass(frozen=True, eq=False)
class _FromLaw:
    """Draw data, fit, and read the cells off the fitted distribution function."""

    model: Any
    seed: int
    positions: NDArray[np.intp] | None
    zeros: bool

    def own(self, res: SimulatedResiduals) -> FittedData:
        return from_law(self.model, self.positions, self.zeros)

    def __call__(self, task: range) -> list[FittedData | FailedRefit]:
        found = self._together(task)
        if found is None:
            return [_attempt(j, partial(self._one, j)) for j in task]
        return [FailedRefit(j, row) if isinstance(row, str) else row for j, row in zip(task, found, strict=True)]

    def _together(self, task: range) -> list[FittedData | str] | None:
        """All refits at once; None where that gives no distribution functions, or fails for one of them."""
        fits, y = _refits_together(self.model, self.seed, task)
        if not (isinstance(fits, HasCdf) and isinstance(fits, HasVariance)):
            return None
        try:
            with silence():
                return from_many(fits, y, self.positions, self.zeros)
        except Exception:  # one by one, each has its own reason
            return None

    def _one(self, replicate: int) -> FittedData:
        refit = self.model.refit(new_response(self.model, self.seed, replicate))
        return from_law(refit, self.positions, self.zeros)


@dataclass(frozen=True, eq=False)
class _FromSimulations:
    """Draw data, fit, and make the same residuals of the refit by simulation."""

    model: Any
    seed: int
    recipe: Any
    zeros: bool

    def own(self, res: SimulatedResiduals) -> FittedData:
        return from_residuals(res, self.zeros)

    def __call__(self, task: range) -> list[FittedData | FailedRefit]:
        refits = _refits_together(self.model, self.seed, task)[0] if len(task) > 1 else None
        if not isinstance(refits, HasWholeFits):
            return [_attempt(j, partial(self._one, j, partial(self._refit, j))) for j in task]
        return [_attempt(j, partial(self._one, j, partial(refits.whole_fit, i))) for i, j in enumerate(task)]

    def _refit(self, replicate: int) -> Any:
        return self.model.refit(new_response(self.model, self.seed, replicate))

    def _one(self, replicate: int, refit: Callable[[], Any]) -> FittedData:
        return from_residuals(self.twin(replicate, refit()), self.zeros)

    def twin(self, replicate: int, refit: Any) -> Any:
        """Residuals of a refit, made as those of the model were."""
        return self.recipe(refit, int(replicate_generator(self.seed, replicate, 1).integers(2**63)))


class _WithSimulations(_FromSimulations):
    """Keep the residuals themselves; their simulations are drawn again when asked for."""

    def own(self, res: SimulatedResiduals) -> FittedData:
        return from_simulations_of(res)

    def _one(self, replicate: int, refit: Callable[[], Any]) -> FittedData:
        twin = self.twin(replicate, refit())
        twin.forget_simulations()
        return from_simulations_of(twin)


def _refits_together(model: Any, seed: int, task: range) -> tuple[Any, FloatArray]:
    """Refits of all replicates at once, and their responses; None and no responses where that fails."""
    if isinstance(model, CanRefitMany):
        try:
            with silence():
                y = np.stack([new_response(model, seed, j) for j in task])
                return model.refit_many(y, n_jobs=1), y
        except Exception:  # one by one, each has its own reason
            pass
    return None, np.empty((0, 0))


def _attempt(replicate: int, make: Callable[[], FittedData]) -> FittedData | FailedRefit:
    try:
        with silence():  # a warning per refit helps nobody; failures are counted
            return make()
    except Exception as error:  # any library's fitting error is a counted outcome
        return FailedRefit(replicate, f"{type(error).__name__}: {' '.join(str(error).split())}")


def replicate_generator(seed: int, replicate: int, stream: int = 0) -> np.random.Generator:
    """Random stream of one replicate."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(REFITS, replicate, stream)))


def new_response(model: Any, seed: int, replicate: int) -> FloatArray:
    """Draw a response with new random effects ``(n,)``."""
    rng = replicate_generator(seed, replicate)
    drawn = model.simulate(1, rng=rng, random_effects="unconditional")
    drawn = real_array(drawn, f"the result of {type(model).__name__}.simulate(1)")
    if drawn.shape != (1, int(model.nobs)):
        raise ValueError(f"{type(model).__name__}.simulate(1) returned shape {drawn.shape}")
    return np.array(drawn[0], dtype=np.float64)
