"""One model of a screen: fit it if need be, simulate, test, and put the outcome into one flat record."""

from __future__ import annotations

import copy
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict

from simresid.checks.battery import applicable_tests
from simresid.checks.registry import entry_of
from simresid.protocol import HasConvergence, HasFitNotes, HasLikelihood, HasSingularity
from simresid.simulations.time_limit import call_within

if TYPE_CHECKING:
    from simresid.checks.base import CheckResult
    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["ModelTask", "Record"]


class Record(TypedDict, total=False):
    """What a screen keeps of one model, a line of its journal.

    Attributes
    ----------
    description, nobs, converged, singular, llf
        Of the fit, None where the model does not say; absent where there is no fit.
    notes : str
        Sentences of the fit, and warnings.
    p, sharp : dict of str to float
        P-value of every test, and that with a continued tail.
    negligible, clear : list of str
        Tests with a negligible effect, and with one that is known well enough.
    advice : dict of str to str
        Of the tests that are significant by themselves.
    columns : dict of str to float
        Further columns of the table.
    seconds : float
    error : str
        Empty for a model that was tested.
    """

    description: str
    nobs: int
    converged: bool | None
    singular: bool | None
    llf: float | None
    notes: str
    p: dict[str, float]
    sharp: dict[str, float]
    negligible: list[str]
    clear: list[str]
    advice: dict[str, str]
    columns: dict[str, float]
    seconds: float
    error: str


@dataclass(frozen=True, eq=False)
class ModelTask:
    """Turns named models into records. Picklable, and the same for all models of a screen.

    Attributes
    ----------
    tests : tuple of str, or mapping of str to callable, or None
        Names among those that apply, own functions of the residuals, or all that apply.
    n_sims, random_effects
        As in `simulate_residuals`.
    seed : int
    alpha : float
        Level below which a record carries advice.
    columns : dict
        `predictors`, `categories`, `time`, `by`, `x`, `y`, `null`, `n_refits` as in `diagnose`.
    timeout : float or None
        Seconds for one model.
    """

    tests: tuple[str, ...] | Mapping[str, Callable[[Any], CheckResult]] | None
    n_sims: int
    random_effects: Any
    seed: int
    alpha: float
    columns: dict[str, Any] = field(default_factory=dict)
    timeout: float | None = None

    @property
    def settings(self) -> str:
        """All that a record depends on beside its model, as text."""
        columns = {name: values for name, values in self.columns.items() if values is not None}
        names = None if self.tests is None else tuple(self.tests)
        return repr((names, self.n_sims, str(self.random_effects), self.seed, self.alpha, repr(columns)))

    def __call__(self, models: Sequence[tuple[Any, Any]]) -> list[Record]:
        """Records of some (name, model) pairs."""
        return [self.record(name, item) for name, item in models]

    def record(self, name: Any, item: Any) -> Record:
        """Fit, simulate and test one model; whatever goes wrong becomes the error of the record."""
        start = time.perf_counter()
        record = Record(error="", notes="", p={}, sharp={}, columns={}, negligible=[], clear=[], advice={})
        with _collected_warnings() as caught:
            try:
                if self.timeout is None:
                    record = self._filled(record, name, item)
                else:
                    record = call_within(partial(self._filled, record, name, item), self.timeout)
            except Exception as error:  # any library's error is the outcome for this model only
                record["error"] = f"{type(error).__name__}: {_writable(error)}"
        notes = [record["notes"], *dict.fromkeys(_writable(w.message) for w in caught)]
        record["notes"] = " ".join(filter(None, notes))
        record["seconds"] = time.perf_counter() - start
        return record

    def _filled(self, empty: Record, name: Any, item: Any) -> Record:
        from simresid.simulate import simulate_residuals
        from simresid.simulations.sources import child_generator

        record = copy.deepcopy(empty)  # its own: a call that ran out of time may go on writing
        model = _fitted(item)
        # a seed of its own, from its name: independent of the other models, of their order and of the workers
        seed = int(child_generator(self.seed, f"model {name}").integers(2**63))
        res = simulate_residuals(model, self.n_sims, random_effects=self.random_effects, rng=seed, n_jobs=1)
        record |= _about(res)
        for test, result in self._results(res).items():
            record["p"][test] = float(result.pvalue)
            record["sharp"][test] = result.sharp_pvalue
            if result.effect is not None and result.effect.severity == "negligible":
                record["negligible"].append(test)
            if result.effect is None or result.effect.clear:
                record["clear"].append(test)
            if result.pvalue < self.alpha:
                record["advice"][test] = result.advice()
            entry = entry_of(test, result)
            if entry is not None and isinstance(result, entry.result):
                record["columns"] |= {name: float(value(result)) for name, value in entry.screen_columns.items()}
        return record

    def _results(self, res: SimulatedResiduals) -> dict[str, CheckResult]:
        if isinstance(self.tests, Mapping):
            return {name: test(res) for name, test in self.tests.items()}
        names = ("predictors", "categories", "time", "by", "x", "y")
        given: dict[str, Any] = {name: self.columns.get(name) for name in names}
        how: dict[str, Any] = {"null": self.columns.get("null") or "auto", "n_refits": self.columns.get("n_refits")}
        tests, notes = applicable_tests(res, **given, only=self.tests, **how)
        if not tests:
            raise ValueError(f"none of the tests applies. {' '.join(notes)}".strip())
        return {name: test(res) for name, (test, _) in tests.items()}


def _fitted(item: Any) -> Any:
    """The model itself, or the fit of (formula, data, family[, options])."""
    if not (isinstance(item, tuple) and item and isinstance(item[0], str)):
        return item
    from simresid.fitting import fit_formula

    if not 2 <= len(item) <= 4:
        raise ValueError("a model to fit is (formula, data), (formula, data, family) or those and a dict of options")
    options = item[3] if len(item) == 4 else {}
    return fit_formula(item[0], item[1], *item[2:3], **options)


def _writable(text: object) -> str:
    """A message on one line, in letters that a file takes: half a pair of code units is spelled out."""
    return " ".join(str(text).split()).encode("utf-8", "backslashreplace").decode("utf-8")


def _about(res: SimulatedResiduals) -> Record:
    """What is known of the fit itself."""
    model: Any = res.model
    return {
        "description": res.description,
        "nobs": res.n_obs,
        "converged": bool(model.converged) if isinstance(model, HasConvergence) else None,
        "singular": bool(model.singular) if isinstance(model, HasSingularity) else None,
        "llf": float(model.llf) if isinstance(model, HasLikelihood) else None,
        "notes": " ".join(model.verdict) if isinstance(model, HasFitNotes) else "",
    }


@contextmanager
def _collected_warnings() -> Iterator[list[Any]]:
    """Collect warnings; only in a main thread, since the filters belong to all threads of a process."""
    if threading.current_thread() is not threading.main_thread():
        yield []
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught
