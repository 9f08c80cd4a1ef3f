"""`fit_many`: one model fitted to many responses of the same rows, or to every group of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import require_workers, workers_for
from glmmcore.errors import ModelError
from glmmcore.estimation.estimator import Estimator
from glmmcore.families import get_family
from glmmcore.fit import check_design, glmm, with_knowledge
from glmmcore.fitted import FittedGLMM
from glmmcore.formula.frame import as_frame
from glmmcore.many import batch_input as given
from glmmcore.many.batch import ManyFits, fit_blocks, tables_of
from glmmcore.many.batch_blocks import BlockTask
from glmmcore.many.block_fits import BlockFits

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.design import Design
    from glmmcore.families.base import Family

__all__ = ["fit_many"]

# Groups of a data frame handed to a worker at a time.
_GROUPS_PER_TASK = 8


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
    known: Mapping[str, Any] | None = None,
    fixed: Mapping[str, float] | None = None,
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
    known, fixed : mapping, optional
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
    >>> from glmmcore import fit_many
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
        "offset": offset, "freq_weights": freq_weights, "var_weights": var_weights, "known": known, "fixed": fixed,
    }  # fmt: skip
    if by is not None:
        return _fit_groups(formula, frame, family, by, arguments, n_jobs)
    return _fit_columns(given.right_side(formula), frame, family, responses, arguments, n_jobs)


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
        design = with_knowledge(design, arguments["known"], arguments["fixed"])
        check_design(design, law, n_agq)
        return Estimator.build(design, law, reml=reml, n_agq=n_agq)

    def fit_one(i: int) -> FittedGLMM:
        own_options = options | {"proportions": None if shares is None else shares[i]}
        design = given.own_design(f"{label} ~ {right}", frame.assign(**{label: matrix[:, i]}), own_options)
        own = estimator(given.renamed(design, label, right, str(names[i])))
        return FittedGLMM(own, own.fit())

    start = given.first_complete(matrix)
    design, kept = given.template(frame, label, f"{label} ~ {right}", matrix[:, start], options)
    for name in names:
        if name != label and name in design.frame:
            raise ModelError(f"fit_many: the response '{name}' is also on the right-hand side, leave it out of one")
    task = BlockTask.of(estimator(design))
    shares = given.proportions(matrix[kept], design.response.trials)
    usable = given.in_counts(matrix[kept], design.response.trials, shares)
    complete = ~np.isnan(usable).any(axis=0)
    fits = BlockFits.scattered(fit_blocks(task, usable[:, complete].T, n_jobs), np.flatnonzero(complete), len(names))
    for i in np.flatnonzero(~complete).tolist():
        _fit_incomplete(fits, i, fit_one, ~np.isnan(usable[:, i]))
    return tables_of(names, fits, task, usable.T, fit_one)


def _fit_incomplete(fits: BlockFits, i: int, fit_one: Callable[[int], FittedGLMM], present: np.ndarray) -> None:
    """Fit a response with missing values to the rows it has."""
    try:
        fits.put(i, fit_one(i), present)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        fits.error[i] = str(error)


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
    frame = given.with_counts(formula, frame, arguments["trials"])
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
    records = [record for part in Parallel(n_jobs=workers_for(len(tasks), n_jobs))(jobs) for record in part]
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
