"""One model, many responses: `fit_many` and `refit_many`.

Responses of one design are fitted in blocks that share every call of numpy and of the families' kernels. That
covers fixed effects with at most one grouping factor in the conditional part, of every family without further
parameters; other designs, and responses whose likelihood has no clean maximum, get ordinary fits. The numbers
are those of `glmm` either way.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import real_array, require_workers
from glmmcore.errors import ModelError
from glmmcore.estimation.estimator import Estimator
from glmmcore.families import get_family
from glmmcore.fit import check_design, glmm
from glmmcore.fitted import FittedGLMM
from glmmcore.formula.frame import as_frame
from glmmcore.many import _batch_input as given
from glmmcore.many._batch_blocks import BlockFits, BlockTask
from glmmcore.many._batch_laws import ManyLaws
from glmmcore.many.warm import WarmStart, reported

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.design import Design
    from glmmcore.families.base import Family

__all__ = ["ManyFits", "fit_many", "refit_many"]

# Groups of a data frame handed to a worker at a time.
_GROUPS_PER_TASK = 8


class ManyFits:
    """Fits of one model to many responses, as tables with a row for each.

    A response that could not be fitted has NaN in every table and a sentence in `error`.

    Attributes
    ----------
    params : pandas.DataFrame (responses x columns)
        Conditional fixed effects.
    zi_params, disp_params : pandas.DataFrame
        The same of the other parts; without columns where a model has no such part.
    sd : pandas.DataFrame
        Standard deviations of the random effects, columns ``"group: term"``.
    llf, sigma : pandas.Series
        Log-likelihood; dispersion as `FittedGLMM.sigma`.
    converged, singular : pandas.Series of bool
    error : pandas.Series of str
        Empty for a response that was fitted.
    linear_predictors : dict of str to numpy.ndarray, shape (responses, n) or (responses, 1)
        Of every part at the conditional modes, the dispersion's (``"disp"``) and further parameters' in their working
        units; one column for a constant, NaN where the response is missing. Empty for groups of a data frame, whose
        rows differ.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from glmmcore import fit_many
    >>> rng = np.random.default_rng(1)
    >>> d = pd.DataFrame({"x": rng.normal(size=60), "g": np.repeat(np.arange(12), 5)})
    >>> fits = fit_many("~ x + (1|g)", d, family="poisson", responses=rng.poisson(3, size=(60, 4)))
    >>> fits
    <ManyFits: 4 responses, 4 converged, 0 failed>
    >>> list(fits.to_frame().columns[:3])
    ['Intercept', 'x', 'se(Intercept)']
    >>> fits[2].nobs
    60
    """

    def __init__(
        self,
        tables: dict[str, pd.DataFrame],
        single: pd.DataFrame,
        laws: ManyLaws | None,
        fit_one: Callable[[int], FittedGLMM],
        errors: Callable[[], dict[str, pd.DataFrame]],
    ) -> None:
        none = pd.DataFrame(index=single.index)
        self.params, self.zi_params, self.disp_params = (tables.get(part, none) for part in ("cond", "zi", "disp"))
        self._make_errors = errors
        self.sd = tables["sd"]
        self.llf, self.sigma = single["llf"], single["sigma"]
        self.converged, self.singular, self.error = single["converged"], single["singular"], single["error"]
        self.linear_predictors = {} if laws is None else laws.values
        self._laws = laws
        self._pearson = single.get("pearson")
        self._fit_one = fit_one

    def __len__(self) -> int:
        return len(self.llf)

    def __repr__(self) -> str:
        failed = int((self.error != "").sum())
        return f"<ManyFits: {len(self)} responses, {int(self.converged.sum())} converged, {failed} failed>"

    @cached_property
    def _errors(self) -> dict[str, pd.DataFrame]:
        return self._make_errors()

    @property
    def bse(self) -> pd.DataFrame:
        """Standard errors of `params`; those of refits are made when they are read, by fits with Hessians."""
        return self._errors["cond"]

    @property
    def zi_bse(self) -> pd.DataFrame:
        """Standard errors of `zi_params`."""
        return self._errors.get("zi", pd.DataFrame(index=self.llf.index))

    @property
    def disp_bse(self) -> pd.DataFrame:
        """Standard errors of `disp_params`."""
        return self._errors.get("disp", pd.DataFrame(index=self.llf.index))

    @cached_property
    def fitted(self) -> np.ndarray | None:
        """Conditional means (responses, n), NaN where missing; None for groups of a data frame, whose rows differ."""
        return None if self._laws is None else self._laws.mean()

    @cached_property
    def pearson(self) -> pd.Series:
        """Sum of squared Pearson residuals of every response."""
        if self._laws is None:
            assert self._pearson is not None
            return self._pearson
        return pd.Series(self._laws.pearson(), index=self.llf.index, name="pearson")

    def cdf(self) -> tuple[np.ndarray, np.ndarray]:
        """Conditional distribution function of every fit at its own response.

        Returns
        -------
        lower : ndarray, shape (responses, n)
            P(Y < y), NaN where the response is missing or could not be fitted.
        upper : ndarray, shape (responses, n)
            P(Y <= y).

        Raises
        ------
        ModelError
            For groups of a data frame, whose rows differ.
        """
        if self._laws is None:
            raise ModelError("cdf: groups of a data frame have rows of their own; use fits[name].cdf()")
        return self._laws.cdf()

    def __getitem__(self, name: Hashable) -> FittedGLMM:
        """Fit one response, by its label, once more and completely."""
        found = self.llf.index.get_indexer(pd.Index([name]))[0]
        if found < 0:
            raise KeyError(f"no response {name!r}")
        return self._fit_one(int(found))

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self.llf.index)

    def items(self) -> Iterator[tuple[Hashable, FittedGLMM]]:
        """Fit the responses again one at a time, completely; those with an `error` are left out.

        Yields
        ------
        name : hashable
            Label of the response.
        fit : FittedGLMM
            Its fit.
        """
        for i, (name, error) in enumerate(self.error.items()):
            if not error:
                yield name, self._fit_one(i)

    def to_frame(self) -> pd.DataFrame:
        """One row a response: estimates, ``se(...)``, ``sd(...)`` and what is one number a fit.

        Returns
        -------
        DataFrame
            Columns of `params`, `bse`, `sd` and sigma, llf, pearson, converged, singular, error.
        """
        errors = self.bse.rename(columns=lambda name: f"se({name})")
        spread = self.sd.rename(columns=lambda name: f"sd({name})")
        single = [self.sigma, self.llf, self.pearson, self.converged, self.singular, self.error]
        return pd.concat([self.params, errors, spread, *single], axis=1)


def fit_many(
    formula: str,
    data: Any,
    family: str | Family = "gaussian",
    *,
    responses: Any = None,
    by: str | None = None,
    link: str | None = None,
    zi: str | None = None,
    disp: str | None = None,
    reml: bool = False,
    n_agq: int = 1,
    trials: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    freq_weights: str | ArrayLike | None = None,
    var_weights: str | ArrayLike | None = None,
    n_jobs: int | None = None,
) -> ManyFits:
    """Fit one model to many responses of the same rows, or to every group of rows of a data frame.

    Parameters
    ----------
    formula : str
        As in `glmm`. With `responses` the left side is empty, or a name that stands for each in turn.
    data : pandas.DataFrame or mapping of str to array
        Predictors and groups, n rows.
    family : str or Family
        Response distribution, as in `glmm`.
    responses : pandas.DataFrame (n, B), list of str, or array_like (n, B)
        One column a response: a table, names of columns of `data`, or a matrix. Missing values are left out
        response by response.
    by : str
        Column of `data` whose values make the groups of rows, instead of `responses`.
    link, zi, disp : str, optional
        As in `glmm`.
    reml : bool
        As in `glmm`.
    n_agq : int
        As in `glmm`.
    trials, offset, freq_weights, var_weights : str or array_like of shape (n,), optional
        As in `glmm`.
    n_jobs : int, optional
        Workers as in joblib; None follows ``joblib.parallel_config`` and is serial without one. It cannot
        change the result.

    Returns
    -------
    ManyFits
        Tables with a row for each response or group.

    Raises
    ------
    ModelError
        When formula, predictors and arguments do not fit together. What is wrong with one response is said in
        its row.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> d = pd.DataFrame({"x": rng.normal(size=60), "g": np.repeat(np.arange(12), 5)})
    >>> genes = pd.DataFrame(rng.poisson(3, size=(60, 4)), columns=list("abcd"))
    >>> fits = fit_many("~ x + (1|g)", d, family="poisson", responses=genes)
    >>> fits.params.shape, bool(fits.converged.all())
    ((4, 2), True)
    >>> bool(abs(fits["b"].llf - fits.llf["b"]) < 1e-6)
    True
    """
    if (responses is None) == (by is None):
        raise ModelError("fit_many: give responses= (columns that share rows) or by= (groups of rows), one of them")
    require_workers(n_jobs)
    frame = as_frame(data)
    arguments: dict[str, Any] = {
        "link": link, "zi": zi, "disp": disp, "reml": reml, "n_agq": n_agq, "trials": trials,
        "offset": offset, "freq_weights": freq_weights, "var_weights": var_weights,
    }  # fmt: skip
    if by is not None:
        return _fit_groups(formula, frame, family, by, arguments, n_jobs)
    return _fit_columns(given.right_side(formula), frame, family, responses, arguments, n_jobs)


def refit_many(fit: FittedGLMM, y: ArrayLike, n_jobs: int | None = None) -> ManyFits:
    """Fit the model of a fit to many responses of the same rows, such as its own simulations.

    Parameters
    ----------
    fit : FittedGLMM
    y : array_like, shape (B, nobs)
        One response a row, as `FittedGLMM.simulate` gives them.
    n_jobs : int, optional
        Workers, as in `fit_many`.

    Returns
    -------
    ManyFits

    Raises
    ------
    ModelError
        If the shape is wrong. What is wrong with one response is said in its row.

    Examples
    --------
    >>> from glmmcore import glmm
    >>> fit = glmm("y ~ x", {"y": [1, 3, 2, 6, 4, 7], "x": [0, 1, 0, 2, 1, 2]}, family="poisson")
    >>> refit_many(fit, fit.simulate(5, rng=1)).params.shape
    (5, 2)
    """
    require_workers(n_jobs)
    matrix = real_array(y, "y")
    if matrix.ndim != 2 or matrix.shape[1] != fit.nobs:
        raise ModelError(
            f"refit_many: y has shape {matrix.shape}, it must be (responses, {fit.nobs}), one response a row"
        )
    task, names = BlockTask.of(fit.estimator, WarmStart.of(fit)), pd.RangeIndex(len(matrix))

    def errors() -> dict[str, pd.DataFrame]:
        complete = BlockTask.of(fit.estimator)
        return _by_part(names, _run(complete, matrix, n_jobs).errors, complete)

    return _many(names, _run(task, matrix, n_jobs), task, matrix, lambda i: fit.refit(matrix[i]), errors)


# ---- columns that share rows ---------------------------------------------------------------------------
def _fit_columns(
    right: str,
    frame: pd.DataFrame,
    family: str | Family,
    responses: Any,
    arguments: dict[str, Any],
    n_jobs: int | None,
) -> ManyFits:
    names, matrix = given.response_matrix(responses, frame)
    label = given.placeholder(frame)
    law = get_family(family, arguments["link"])
    options = {k: arguments[k] for k in ("zi", "disp", "trials", "offset", "freq_weights", "var_weights")}
    reml, n_agq = arguments["reml"], arguments["n_agq"]

    def estimator(design: Design) -> Estimator:
        check_design(design, law, n_agq)
        return Estimator.build(design, law, reml=reml, n_agq=n_agq)

    def fit_one(i: int) -> FittedGLMM:
        design = given.own_design(f"{label} ~ {right}", frame.assign(**{label: matrix[:, i]}), options)
        own = estimator(given.renamed(design, label, f"{names[i]} ~ {right}", str(names[i])))
        return FittedGLMM(own, own.fit())

    start = given.first_complete(matrix)
    design, kept = given.template(frame, label, f"{label} ~ {right}", matrix[:, start], options)
    for name in names:
        if name != label and name in design.frame:
            raise ModelError(f"fit_many: the response '{name}' is also on the right-hand side, leave it out of one")
    task = BlockTask.of(estimator(design))
    usable = given.counts(matrix[kept], design.response.trials)
    complete = ~np.isnan(usable).any(axis=0)
    fits = BlockFits.scattered(_run(task, usable[:, complete].T, n_jobs), np.flatnonzero(complete), len(names))
    for i in np.flatnonzero(~complete).tolist():
        _fit_incomplete(fits, i, fit_one, ~np.isnan(usable[:, i]))
    return _many(names, fits, task, usable.T, fit_one)


def _fit_incomplete(fits: BlockFits, i: int, fit_one: Callable[[int], FittedGLMM], present: np.ndarray) -> None:
    """Fit a response with missing values to the rows it has."""
    try:
        fits.put(i, fit_one(i), present)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        fits.error[i] = str(error)


def _run(task: BlockTask, y: np.ndarray, n_jobs: int | None) -> BlockFits:
    """Fit the rows of y (B, n) block by block; blocks do not depend on the workers."""
    from joblib import Parallel, delayed

    blocks = [np.ascontiguousarray(y[i : i + task.block_size]) for i in range(0, len(y), task.block_size)]
    return BlockFits.concatenate([task(y[:0]), *Parallel(n_jobs=n_jobs)(delayed(task)(block) for block in blocks)])


def _many(
    names: pd.Index,
    fits: BlockFits,
    task: BlockTask,
    y: np.ndarray,
    fit_one: Callable[[int], FittedGLMM],
    errors: Callable[[], dict[str, pd.DataFrame]] | None = None,
) -> ManyFits:
    problem = task.estimator.problem
    tables = _by_part(names, fits.coefficients, task)
    columns = [f"{t.term.group}: {c}" for t in problem.terms for c in reported(t, t.term.columns)]
    tables["sd"] = pd.DataFrame(fits.sd, names, columns)
    single = pd.DataFrame({"llf": fits.llf, "sigma": fits.sigma}, names)
    single["converged"], single["singular"] = fits.converged, fits.singular
    single["error"] = pd.Series(fits.error, names, dtype=object)
    laws = ManyLaws(task.estimator.family, fits.values, task.estimator.design.response.trials, y)
    return ManyFits(tables, single, laws, fit_one, errors or (lambda: _by_part(names, fits.errors, task)))


def _by_part(names: pd.Index, values: dict[str, np.ndarray], task: BlockTask) -> dict[str, pd.DataFrame]:
    """One table a part, a row for each response."""
    problem = task.estimator.problem
    return {part: pd.DataFrame(values[part], names, list(problem.part(part).columns)) for part in task.parts}


# ---- groups of rows ------------------------------------------------------------------------------------
def _fit_groups(
    formula: str,
    frame: pd.DataFrame,
    family: str | Family,
    by: str,
    arguments: dict[str, Any],
    n_jobs: int | None,
) -> ManyFits:
    from joblib import Parallel, delayed

    arguments |= given.checked_rows(arguments, frame.index)
    if by not in frame.columns:
        raise ModelError(f"fit_many: no column '{by}' in data")
    rows = {k: np.sort(v) for k, v in frame.groupby(by, sort=True, observed=True).indices.items()}
    if not rows:
        raise ModelError(f"fit_many: column '{by}' has no values")

    def fit_one(i: int) -> FittedGLMM:
        at = list(rows.values())[i]
        return glmm(formula, frame.iloc[at], family, **given.row_subset(arguments, at))

    members = list(rows.values())
    tasks = [members[i : i + _GROUPS_PER_TASK] for i in range(0, len(members), _GROUPS_PER_TASK)]
    jobs = (
        delayed(_group_records)(formula, [(frame.iloc[at], given.row_subset(arguments, at)) for at in task], family)
        for task in tasks
    )
    records = [record for part in Parallel(n_jobs=n_jobs)(jobs) for record in part]
    names = pd.Index(list(rows), name=by)
    tables = {
        key: pd.DataFrame([r.get(key, {}) for r in records], index=names)
        for key in ("cond", "cond errors", "zi", "zi errors", "disp", "disp errors", "sd")
    }
    errors = {part: tables.pop(f"{part} errors") for part in ("cond", "zi", "disp")}
    single = pd.DataFrame([r["single"] for r in records], index=names)
    return ManyFits(tables, single, None, fit_one, lambda: errors)


def _group_records(
    formula: str, groups: list[tuple[pd.DataFrame, dict[str, Any]]], family: str | Family
) -> list[dict[str, dict[Any, Any]]]:
    return [_group_record(formula, frame, family, arguments) for frame, arguments in groups]


def _group_record(
    formula: str, frame: pd.DataFrame, family: str | Family, arguments: dict[str, Any]
) -> dict[str, dict[Any, Any]]:
    """Numbers of one group's fit by table."""
    single: dict[str, Any] = dict.fromkeys(("llf", "sigma", "pearson"), float("nan"))
    single |= {"converged": False, "singular": False, "error": ""}
    try:
        fit = glmm(formula, frame, family, **arguments)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        return {"single": {**single, "error": str(error)}}
    single |= {
        "llf": fit.llf, "sigma": fit.sigma, "pearson": float(np.sum(np.square(fit.resid_pearson))),
        "converged": fit.converged, "singular": fit.singular,
    }  # fmt: skip
    spread = fit.var_corr
    sd = {f"{g}: {t}": s for g, t, s in zip(spread["group"], spread["term"], spread["sd"], strict=True)}
    return {
        "single": single, "sd": sd, "cond": fit.params.to_dict(), "cond errors": fit.bse.to_dict(),
        "zi": fit.zi_params.to_dict(), "zi errors": fit.zi_bse.to_dict(),
        "disp": fit.disp_params.to_dict(), "disp errors": fit.disp_bse.to_dict(),
    }  # fmt: skip
