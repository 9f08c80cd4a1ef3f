"""Means of a population under each value of a column, and comparisons of them (standardisation, g-computation).

Everybody in a population is given one value of the column, then the next; the mean of the response of each row,
integrated over the random effects, is averaged over the population. Standard errors are those of the delta method, the
population being taken as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import known_elsewhere, names_of, real_array, require_level, require_name, require_word
from glmmcore.errors import ModelError
from glmmcore.families.links import LINKS
from glmmcore.formula.frame import as_frame
from glmmcore.inference.cell_means import CellMeans
from glmmcore.inference.contrasts import Contrasts
from glmmcore.inference.margins import contrast_tables, means_table
from glmmcore.inference.notes import scale_notes
from glmmcore.inference.precision import Precision
from glmmcore.inference.reference_grid import column_values, reference_levels
from glmmcore.results.joint_covariance import Combination
from glmmcore.results.quantities import RowQuantity
from glmmcore.results.row_designs import designs_of_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.fitted import FittedGLMM

__all__ = ["avg_comparisons", "avg_predictions"]

_SCALES = {"difference": ("identity", "-"), "ratio": ("log", "/"), "odds_ratio": ("logit", "/")}
_COMPONENTS = {None: "response", "conditional": "conditional", "zi": "zprob"}


def avg_predictions(
    fit: FittedGLMM,
    variable: str,
    *,
    values: Sequence[Any] | None = None,
    by: str | Sequence[str] | None = None,
    newdata: Any = None,
    weights: str | ArrayLike | None = None,
    component: str | None = None,
    random_effects: str = "average",
    df: str | float = "auto",
    cov: str | pd.DataFrame | ArrayLike | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Population-averaged means: what the mean of the response would be if everybody had one value of a column.

    Parameters
    ----------
    fit : FittedGLMM
        The fitted model.
    variable : str
        Column of the fixed effects.
    values : sequence, optional
        Its values: by default all levels of a category, and of a number with few distinct values.
    by : str or sequence of str, optional
        Averages within each combination of these columns of the population.
    newdata : DataFrame or mapping of columns, optional
        The population, with all columns of the fixed effects but `variable`; by default the rows of the fit.
    weights : str or array_like, optional
        Of the rows of the population, a column or numbers; by default the frequencies of the fit, or ones.
    component : {"conditional", "zi"}, optional
        A part instead of the mean of the response, as in `marginal_means`.
    random_effects : {"average", "none"}
        Integrated over their distribution, or at zero.
    df : {"auto", "normal", "satterthwaite", "kenward-roger"} or float
        Degrees of freedom, as in `marginal_means`.
    cov : str, DataFrame or array_like, optional
        Covariance of the estimates instead of the model's, as in `marginal_means`.
    level : float
        Of the limits.

    Returns
    -------
    DataFrame
        By level of `by` and value: estimate, se, df, lower, upper. Means of k-of-n responses are per trial: risks.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import avg_predictions, glmm
    >>> d = pd.DataFrame({"y": [0, 1, 0, 0, 1, 1, 0, 1], "t": list("abababab"), "x": [1, 2, 3, 4, 5, 6, 7, 8]})
    >>> avg_predictions(glmm("y ~ t", d, family="binomial"), "t")["estimate"].round(3).to_dict()
    {'a': 0.25, 'b': 0.75}
    """
    require_level(level, "level")
    within = names_of(by, "avg_predictions: by")
    asked = (values, within, newdata, weights, component, random_effects)
    means = _means("avg_predictions", fit, variable, *asked)
    notes = scale_notes(fit, "link", None, "none", None) if fit.family.link.name == "identity" else []
    return means_table("avg_predictions", means, Precision(fit, df, cov), level, on_response=True, notes=notes)


@known_elsewhere(scale="comparison=", type="comparison=", variables="variable=")
def avg_comparisons(
    fit: FittedGLMM,
    variable: str,
    *,
    comparison: str = "difference",
    contrasts: Contrasts = "dunnett",
    adjust: str | None = "none",
    values: Sequence[Any] | None = None,
    by: str | Sequence[str] | None = None,
    newdata: Any = None,
    weights: str | ArrayLike | None = None,
    component: str | None = None,
    random_effects: str = "average",
    df: str | float = "auto",
    cov: str | pd.DataFrame | ArrayLike | None = None,
    level: float = 0.95,
    reference: Any = None,
) -> pd.DataFrame:
    """Population-averaged differences and ratios of means: of risks, rates, amounts.

    Unlike an odds ratio, which compares members of one group, these are effects in a whole population.

    Parameters
    ----------
    fit : FittedGLMM
        The fitted model.
    variable : str
        Column of the fixed effects whose values are compared.
    comparison : {"difference", "ratio", "odds_ratio"}
        Of the population's means; the last one for probabilities.
    contrasts : str or mapping
        Which: ``"dunnett"`` (all against `reference`), ``"pairwise"``, ``"sequential"`` or weights, as in
        `marginal_means`.
    adjust : str
        Of several p-values and limits, as in `marginal_means`.
    values : sequence, optional
        Values of `variable`, the reference first: ``values=[0, 10]`` of a number. By default all levels of a category,
        and of a number with few distinct values.
    by : str or sequence of str, optional
        Comparisons within each combination of these columns of the population.
    newdata : DataFrame or mapping of columns, optional
        The population, with all columns of the fixed effects but `variable`; by default the rows of the fit.
    weights : str or array_like, optional
        Of the rows of the population, a column or numbers; by default the frequencies of the fit, or ones.
    component : {"conditional", "zi"}, optional
        A part instead of the mean of the response, as in `marginal_means`.
    random_effects : {"average", "none"}
        Integrated over their distribution, or at zero.
    df : {"auto", "normal", "satterthwaite", "kenward-roger"} or float
        Degrees of freedom, as in `marginal_means`.
    cov : str, DataFrame or array_like, optional
        Covariance of the estimates instead of the model's, as in `marginal_means`.
    level : float
        Of the limits.
    reference : object, optional
        Value with which ``contrasts="dunnett"`` compares. By default the first of `values`, else that of the formula
        (``C(arm, Treatment('placebo'))``), else the first level.

    Returns
    -------
    DataFrame
        By level of `by` and contrast: estimate, se, df, lower, upper, statistic, pvalue. Limits of ratios are symmetric
        on the scale of the logarithm.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import avg_comparisons, glmm
    >>> d = pd.DataFrame({"y": [0, 1, 0, 0, 1, 1, 0, 1], "t": list("abababab"), "x": [1, 2, 3, 4, 5, 6, 7, 8]})
    >>> fit = glmm("y ~ t", d, family="binomial")
    >>> avg_comparisons(fit, "t")[["estimate", "lower", "upper"]].round(2)
              estimate  lower  upper
    contrast
    b - a          0.5   -0.1    1.1
    """
    require_level(level, "level")
    require_word(comparison, "avg_comparisons: comparison", _SCALES)
    within = names_of(by, "avg_comparisons: by")
    asked = (values, within, newdata, weights, component, random_effects)
    means = _means("avg_comparisons", fit, variable, *asked)
    scale, sign = _SCALES[comparison]
    low, high = np.nanmin(means.estimate, initial=np.inf), np.nanmax(means.estimate, initial=-np.inf)
    if scale != "identity" and not (low > 0.0 and (scale == "log" or high < 1.0)):
        raise ModelError(
            f"avg_comparisons: means from {low:.4g} to {high:.4g} have no {comparison.replace('_', ' ')}; use "
            "comparison='difference'"
        )
    notes = scale_notes(fit, "link", None, "none", None) if fit.family.link.name == "identity" else []
    compared_with: dict[str, Any] = {}
    if values is None or reference is not None:
        compared_with = reference_levels("avg_comparisons", fit, means.cells, [variable], reference)
    return contrast_tables(
        "avg_comparisons",
        means.on_scale(LINKS[scale]),
        sign,
        within,
        contrasts,
        adjust,
        Precision(fit, df, cov),
        level,
        notes,
        compared_with,
    )


def _means(
    caller: str,
    fit: FittedGLMM,
    variable: str,
    values: Sequence[Any] | None,
    within: list[str],
    newdata: Any,
    weights: str | ArrayLike | None,
    component: str | None,
    random_effects: str,
) -> CellMeans:
    """Averages of the population for every level of the columns `within` and every value."""
    encode: Any = fit.design.encode
    require_name(variable, f"{caller}: variable")
    if variable not in encode.fixed_kinds:
        raise ModelError(f"{caller}: '{variable}' is no column of the fixed effects: {', '.join(encode.fixed_kinds)}")
    require_word(component, f"{caller}: component", _COMPONENTS)
    require_word(random_effects, f"{caller}: random_effects", ("average", "none"))
    if component == "zi" and "zi" not in fit.design.predictors:
        raise ModelError(f"{caller}: component='zi' needs a model with zi=")
    is_factor = variable in encode.factors or encode.fixed_kinds[variable] == "categorical"
    chosen = column_values(fit, variable, is_factor, chosen=True, given=values)
    people = fit.data if newdata is None else as_frame(newdata, "newdata")
    shares = _shares(caller, fit, people, weights, newdata is None)
    if any(name not in people for name in within):
        raise ModelError(f"{caller}: by={within}: the population has no such column")
    effects = "none" if fit.estimator.linear else random_effects
    groups: list[tuple[tuple[Any, ...], np.ndarray]] = [((), np.arange(len(people)))]
    if within:
        found = people.groupby(within, sort=True, observed=True).indices
        groups = [(key if isinstance(key, tuple) else (key,), np.sort(at)) for key, at in found.items()]
    cells, parts = [], []
    averages = np.zeros((len(groups), len(people)))
    for row, (_, at) in zip(averages, groups, strict=True):
        row[at] = shares[at] / shares[at].sum()
    for value in range(len(chosen)):
        rows = people.assign(**{variable: chosen.array.take(np.full(len(people), value))})
        predictors, keep, _ = designs_of_rows(fit, rows, effects)
        if not keep.all():
            label = people.index[int(np.argmin(keep))]
            raise ModelError(f"{caller}: row {label!r} of the population has missing values; leave it out")
        quantity = RowQuantity(fit, _COMPONENTS[component], predictors, people.index, effects)
        parts.append(_averaged(quantity, averages))
        cells += [(*key, chosen.iloc[value]) for key, _ in groups]
    order = np.argsort(np.tile(np.arange(len(groups)), len(chosen)), kind="stable")
    estimate, lost = (np.concatenate([part[i] for part in parts])[order] for i in (0, 1))
    names = dict.fromkeys(name for part in parts for name in part[2].fixed)
    direct = None
    if any(part[2].direct is not None for part in parts):
        empty = np.zeros((len(groups), len(fit.solution.x)))
        direct = np.concatenate([empty if part[2].direct is None else part[2].direct for part in parts])[order]
    fixed = {name: np.concatenate([_weights(fit, part[2], name) for part in parts])[order] for name in names}
    table = pd.DataFrame(cells, columns=[*within, variable]).iloc[order].reset_index(drop=True)
    shape = LINKS["logit"] if component == "zi" else fit.family.link
    outside = np.eye(len(order))[:, lost] if lost.any() else None
    dropped = tuple(dict.fromkeys(name for part in parts for name in part[3]))
    return CellMeans(table, estimate, Combination(fixed, direct=direct), LINKS["identity"], shape, outside, dropped)


def _averaged(quantity: RowQuantity, averages: np.ndarray) -> tuple[np.ndarray, np.ndarray, Combination, list[str]]:
    """Averages of the rows, averages (m, n): estimates, which are not determined, weights, columns that are missing."""
    unknown, dropped = quantity.unknown()
    rows = quantity.combination()
    direct = None if rows.direct is None else averages @ rows.direct
    combination = Combination({name: averages @ w for name, w in rows.fixed.items()}, direct=direct)
    return averages @ quantity.estimate, averages @ unknown > 0.0, combination, dropped


def _weights(fit: FittedGLMM, rows: Combination, name: str) -> np.ndarray:
    found = rows.fixed.get(name)
    return np.zeros((rows.n, fit.estimator.problem.part(name).size)) if found is None else found


def _shares(
    caller: str, fit: FittedGLMM, people: pd.DataFrame, weights: str | ArrayLike | None, own_rows: bool
) -> np.ndarray:
    """Weights of the rows of the population, (n,)."""
    if not len(people):
        raise ModelError(f"{caller}: the population has no rows")
    if weights is None:
        frequency = fit.design.freq_weights if own_rows else None
        return np.ones(len(people)) if frequency is None else frequency
    given: Any = weights
    if isinstance(weights, str):
        given = people.get(weights)
        if given is None and own_rows and weights in fit.column_names:
            given = fit.column(weights)
        if given is None:
            raise ModelError(f"{caller}: the population has no column '{weights}' for weights=")
    shares = real_array(given, f"{caller}: weights")
    if shares.shape != (len(people),) or not np.all(shares >= 0.0) or not shares.sum() > 0.0:
        raise ModelError(f"{caller}: weights must be {len(people)} numbers that are not negative")
    return shares
