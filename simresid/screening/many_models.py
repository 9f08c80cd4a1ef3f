"""Many models at once: one tidy row each, p-values adjusted over the screen, resumable."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sized
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.arguments import ALPHA, known_elsewhere, require_flag
from simresid.arguments import resolve_seed
from simresid.checks.nulls.choice import NullKind, check_null
from simresid.checks.registry import ALONE, TESTS
from simresid.checks.verdict import FAILED, State, check_alpha, state_of, verdict_sentence
from simresid.residuals.execution import Execution
from simresid.screening.journal import ScreenFile, content_key, journal_of, journal_records
from simresid.screening.one_model import ModelTask, Record
from simresid.simulations.time_limit import check_timeout

if TYPE_CHECKING:
    import pandas as pd

    from simresid.checks.base import CheckResult, Severity

__all__ = ["screen"]

MODELS_PER_TASK = 16
ROWS_PER_TASK = 20_000
"""A task ends with whichever is reached first: about a tenth of a second of work."""

DEFAULT_TESTS = ("uniformity", "dispersion", "zero inflation", "outliers")


@known_elsewhere(
    formula="(formula, data, family) for each model",
    family="(formula, data, family) for each model",
    data="(formula, data, family) for each model",
    seed="rng=",
    level=ALPHA,
)
def screen(
    models: Mapping[Any, Any] | Iterable[Any],
    tests: Iterable[str] | Mapping[str, Callable[[Any], CheckResult]] | str | None = DEFAULT_TESTS,
    n_sims: int = 250,
    *,
    random_effects: str = "conditional",
    rng: int | np.random.Generator | None = 123,
    alpha: float = 0.05,
    n_jobs: int | None = None,
    progress: bool = True,
    out: str | PathLike[str] | None = None,
    resume: bool = True,
    timeout: float | None = None,
    predictors: Any = None,
    categories: Any = None,
    time: Any = None,
    by: Any = None,
    x: Any = None,
    y: Any = None,
    null: NullKind = "auto",
    n_refits: int | None = None,
) -> pd.DataFrame:
    """Fit and test many models, one row each.

    Parameters
    ----------
    models : mapping or iterable
        Models by name, or models, or (name, model) pairs. A model is anything `simulate_residuals` takes, or
        ``(formula, data)``, ``(formula, data, family)`` or ``(formula, data, family, options)``, which is fitted
        by `glmmcore.glmm`. An iterable is read as it is needed and may be a generator; names default to positions.
    tests : iterable of str, mapping of str to callable, or "all"
        Names among uniformity, dispersion, zero inflation, outliers, quantiles, heteroscedasticity; those that do not
        apply to a model are left out there. Or own functions of `SimulatedResiduals` by name. ``"all"`` runs whatever
        `diagnose` runs.
    n_sims : int
        As in `simulate_residuals`.
    random_effects : {"conditional", "unconditional"} or iterable of str
        As in `simulate_residuals`.
    rng : int, Generator or None
        Seed. Each model has a stream of its own, from its name.
    alpha : float
        False discovery rate of the verdicts, test by test over the screen.
    n_jobs : int, optional
        Workers as in joblib; None follows ``joblib.parallel_config``, be it processes, threads or a dask cluster,
        and is serial without one. It cannot change the result.
    progress : bool
        Show a progress bar on a terminal once the work takes longer than a second.
    out : path-like, optional
        CSV or Parquet file that holds the table of what is done so far, whole at every moment. Records are kept
        beside it in ``<out>.journal``.
    resume : bool
        Take from the journal what a former run computed with the same settings, model and data.
    timeout : float, optional
        Seconds for one model; one that takes longer has that as its ``error``, and its call is left behind in its
        thread.
    predictors, categories, time, by, x, y : optional
        As in `diagnose`; best as names of columns that every model's data has.
    null : {"auto", "refits", "simulated", "analytic"}
        Null distribution of every test, see `uniformity_test`.
    n_refits : int, optional
        As in `uniformity_test`.

    Returns
    -------
    DataFrame
        Index ``model``; columns ``description``, ``nobs``, ``converged``, ``singular``, ``llf``, ``dispersion
        ratio`` with ``ratio low`` and ``ratio high``; the p-value of every test under its name and, adjusted over
        the models of the screen by Benjamini and Hochberg, under ``<test> adjusted``; ``n_failed``, the number of
        tests that are significant after adjustment and not negligible in size, and ``failed``, their names;
        ``flagged``, whether any did, or the
        fit failed or did not converge; ``verdict``; ``advice`` on every test significant before adjustment;
        ``notes`` of the fit; ``seconds``; ``error``.

    Raises
    ------
    ValueError
        For an unknown test, two models of one name, or a file that cannot be written. What is wrong with one
        model is said in its row.

    Notes
    -----
    P-values beyond all refits or simulations continue their tail (the page *What a test compares with*), down to 1e-6:
    250 of them alone cannot give a p-value that survives thousands of others.

    References
    ----------
    Benjamini, Y. and Hochberg, Y. (1995). Controlling the false discovery rate. Journal of the Royal Statistical
    Society B 57, 289-300.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from simresid import screen
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=200)
    >>> tables = {name: pd.DataFrame({"x": x, "y": rng.negative_binomial(k, k / (k + 4), 200)})
    ...           for name, k in {"beetles": 1, "moths": 1000}.items()}
    >>> table = screen({name: ("y ~ x", data, "poisson") for name, data in tables.items()}, progress=False)
    >>> table["flagged"].to_dict()
    {'beetles': True, 'moths': False}
    """
    _check_iterable(models)
    level = check_alpha(alpha)
    check_null(null, n_refits)
    columns = {"predictors": predictors, "categories": categories, "time": time, "by": by, "x": x, "y": y}
    columns |= _comparison(null, n_refits)
    seed = resolve_seed(rng)
    task = ModelTask(_chosen(tests), n_sims, random_effects, seed, level, columns, check_timeout(timeout))
    require_flag(resume, "resume")
    run = _Run(task, Execution(n_jobs, progress), out, resume)
    run(models)
    return run.table()


def former_description(
    models: Mapping[Any, Any],
    out: str | PathLike[str],
    tests: Iterable[str],
    n_sims: int,
    rng: int,
    alpha: float,
    null: NullKind = "auto",
    n_refits: int | None = None,
) -> str | None:
    """Describe the screen whose table `out` is if it is none of these models; None where it is one of them.

    Parameters
    ----------
    models, out, tests, n_sims, rng, alpha, null, n_refits
        As in `screen`.
    """
    known = journal_records(journal_of(out))
    task = ModelTask(_chosen(tests), n_sims, "conditional", resolve_seed(rng), alpha, _comparison(null, n_refits))
    if any(content_key(task.settings, name, item) in known for name, item in models.items()):
        return None
    return next((r["description"] for r in known.values() if r.get("description")), "of models that were not fitted")


def _comparison(null: NullKind, n_refits: int | None) -> dict[str, Any]:
    """What tests compare with, as settings of a task."""
    return {"null": None if null == "auto" else null, "n_refits": n_refits}


def _check_iterable(models: Any) -> None:
    try:
        if isinstance(models, str | bytes):
            raise TypeError
        iter(models)
    except TypeError:
        raise TypeError(
            f"screen takes many models, such as {{'a': fit_a, 'b': fit_b}} or a list, not {type(models).__name__}"
        ) from None


def _chosen(tests: Any) -> Any:
    if tests is None or isinstance(tests, Mapping):
        return tests
    if isinstance(tests, str):
        if tests == "all":
            return None
        tests = [tests]
    chosen = tuple(tests)
    unknown = [name for name in chosen if name not in ALONE]
    if unknown or not chosen:
        what = f"unknown test {unknown[0]!r}" if unknown else "no test given"
        raise ValueError(f"{what}; choose among {', '.join(ALONE)}, or 'all'")
    return chosen


class _Run:
    """One pass over the models: known records from the journal, the others from the workers, in order."""

    def __init__(self, task: ModelTask, execution: Execution, out: str | PathLike[str] | None, resume: bool) -> None:
        self.task, self.execution = task, execution
        self.names: list[Hashable] = []
        self.records: dict[Hashable, Record] = {}
        self.keys: dict[Hashable, str] = {}
        self.failure: Exception | None = None
        self.file = None if out is None else ScreenFile(out, resume, self.table)
        self.settings = task.settings

    def __call__(self, models: Any) -> None:
        total = len(models) if isinstance(models, Sized) else None
        try:
            results = self.execution.map(
                _NamedTask(self.task), self._tasks(_named(models)), "screening", prefer=None, total=total
            )
            for part in results:
                self.records |= part
                if self.file is not None:
                    self.file.add([(self.keys[name], record) for name, record in part])
        finally:
            if self.file is not None:
                self.file.close()
        if self.failure is not None:
            raise self.failure

    def _tasks(self, models: Iterator[tuple[Hashable, Any]]) -> Iterator[list[tuple[Hashable, Any]]]:
        """Models still to be computed, a few at a time."""
        task: list[tuple[Hashable, Any]] = []
        rows = 0
        try:
            for name, item in models:
                if isinstance(name, str) and name != name.encode("utf-8", "replace").decode("utf-8"):
                    raise ValueError(f"the name {name!r} of a model holds half a letter, which no file can hold")
                if name in self.keys:
                    raise ValueError(f"two models of the screen are called {name!r}")
                self.keys[name] = ""
                self.names.append(name)
                if self.file is not None and self._is_known(name, item):
                    continue
                task.append((name, item))
                rows += _size(item)
                if len(task) == MODELS_PER_TASK or rows >= ROWS_PER_TASK:
                    yield task
                    task, rows = [], 0
        except Exception as error:
            # raised in a thread of the pool this would be lost: finish what there is and raise it then
            self.failure = error
        if task:
            yield task

    def _is_known(self, name: Hashable, item: Any) -> bool:
        assert self.file is not None
        try:
            self.keys[name] = content_key(self.settings, name, item)
        except Exception:  # its error belongs into its row, where computing it will put it
            self.keys[name] = content_key(self.settings, name, (str(item)[:200], {}))
        record = self.file.known.get(self.keys[name])
        if record is not None:
            self.records[name] = record
        return record is not None

    def table(self) -> pd.DataFrame:
        """Table of the records there are, in the order of the models."""
        names = [name for name in self.names if name in self.records]
        return _table(names, [self.records[name] for name in names], self.task)


class _NamedTask:
    """Records by name, so that they find their places whatever the order."""

    def __init__(self, task: ModelTask) -> None:
        self.task = task

    def __call__(self, models: list[tuple[Hashable, Any]]) -> list[tuple[Hashable, Record]]:
        return list(zip([name for name, _ in models], self.task(models), strict=True))


def _named(models: Any) -> Iterator[tuple[Hashable, Any]]:
    if isinstance(models, Mapping):
        yield from models.items()
        return
    for position, item in enumerate(models):
        pair = isinstance(item, tuple) and len(item) == 2 and not _is_specification(item)
        yield item if pair else (position, item)


def _is_specification(item: tuple[Any, ...]) -> bool:
    """Whether a pair is (formula, data) rather than (name, model)."""
    return isinstance(item[0], str) and "~" in item[0] and hasattr(item[1], "keys")


def _size(item: Any) -> int:
    """Rows of a model, as far as they can be told without touching it."""
    try:
        if isinstance(item, tuple):
            return len(item[1])
        return int(getattr(item, "nobs", 1000))
    except (TypeError, ValueError, IndexError):
        return 0


# ---- the table -------------------------------------------------------------------------------------
def _table(names: list[Hashable], records: list[Record], task: ModelTask) -> pd.DataFrame:
    import pandas as pd

    from simresid.screening.table import ScreenTable

    index = pd.Index(names, name="model", tupleize_cols=False)
    asked = task.tests if isinstance(task.tests, tuple) else ()
    tests = list(dict.fromkeys([*asked, *(test for r in records for test in r["p"])]))
    p = pd.DataFrame([r["p"] for r in records], index, tests, dtype=float)
    sharp = pd.DataFrame([r["sharp"] for r in records], index, tests, dtype=float)
    adjusted = sharp.apply(_benjamini_hochberg).clip(lower=p) if tests else sharp  # no model could be tested
    states = [_states(r, row, task.alpha) for r, row in zip(records, adjusted.to_dict("records"), strict=True)]
    about = {name: [r.get(name) for r in records] for name in ("description", "nobs", "converged", "singular", "llf")}
    table = pd.DataFrame(about, index)
    for column in (name for entry in TESTS if entry.name in tests for name in entry.screen_columns):
        table[column] = [float(r["columns"].get(column, np.nan)) for r in records]
    for test in tests:
        table[test], table[f"{test} adjusted"] = p[test], adjusted[test]
    broken = np.array([bool(r["error"]) for r in records], dtype=bool)
    failed = [[test for test, state in found.items() if state in FAILED] for found in states]
    n_failed = pd.Series([len(found) for found in failed], index, dtype=int)
    table["n_failed"] = n_failed.where(~broken) if broken.any() else n_failed
    unconverged = np.array([r.get("converged") is False for r in records], dtype=bool)
    table["flagged"] = (n_failed > 0).to_numpy() | broken | unconverged
    table["failed"] = [", ".join(found) for found in failed]
    table["verdict"] = [_verdict(r, found) for r, found in zip(records, states, strict=True)]
    table["advice"] = ["; ".join(f"{test}: {text}" for test, text in r["advice"].items()) for r in records]
    for name in ("notes", "seconds", "error"):
        table[name] = [r[name] for r in records]
    return ScreenTable(table)


def _benjamini_hochberg(p: pd.Series) -> pd.Series:
    from scipy.stats import false_discovery_control

    known = p.notna()
    out = p.copy()
    if known.any():
        out[known] = false_discovery_control(p[known].to_numpy())
    return out


def _states(record: Record, adjusted: dict[Any, float], alpha: float) -> dict[str, State]:
    """State of every test that was done, by the p-value adjusted over the models of the screen."""
    severity: dict[str, Severity] = dict.fromkeys(record["negligible"], "negligible")
    return {
        test: state_of(p, adjusted[test], severity.get(test), alpha=alpha)
        for test, p in record["p"].items()
        if not np.isnan(adjusted[test])
    }


def _verdict(record: Record, states: dict[str, State]) -> str:
    if record["error"]:
        return str(record["error"])
    start = "Not converged. " if record.get("converged") is False else ""
    clear = any(states.get(test) in FAILED for test in record.get("clear", states))
    return start + verdict_sentence(states, clear=clear, among="the models of the screen")
