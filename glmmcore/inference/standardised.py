"""Means of a population under each value of a column, and comparisons of them (standardisation, g-computation).

Everybody in a population is given one value of the column, then the next; the mean of the response of each row,
integrated over the random effects, is averaged over the population. Standard errors are those of the delta method, the
population being taken as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import LEVEL, known_elsewhere, names_of, require_level, require_name, require_word, row_values
from glmmcore.errors import ModelError, warn_of_data
from glmmcore.families.links import LINKS
from glmmcore.formula.frame import as_frame, row_name
from glmmcore.inference.cell_means import CellMeans, unknown_columns
from glmmcore.inference.contrasts import Contrasts
from glmmcore.inference.margins import contrast_tables, means_table
from glmmcore.inference.notes import scale_notes, units_of_offset
from glmmcore.inference.precision import Precision
from glmmcore.inference.reference_grid import column_values, reference_levels
from glmmcore.results.joint_covariance import Combination, stacked
from glmmcore.results.quantities import RowQuantity
from glmmcore.results.row_designs import designs_of_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.fitted import FittedGLMM

__all__ = ["avg_comparisons", "avg_predictions"]

_SCALES = {"difference": ("identity", "-"), "ratio": ("log", "/"), "odds_ratio": ("logit", "/")}
_COMPONENTS = {None: "response", "conditional": "conditional", "zi": "zprob"}


@known_elsewhere(alpha=LEVEL)
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
        Averages within each combination of these columns of the population, which the model need not use.
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
    population = _Population.of("avg_predictions", fit, variable, by, newdata, weights)
    means = _means(population, values, component, random_effects)
    return means_table(
        "avg_predictions",
        means,
        Precision(fit, df, cov),
        level,
        on_response=True,
        notes=_notes(fit, newdata is None, weights is None),
    )


@known_elsewhere(alpha=LEVEL, scale="comparison=", type="comparison=", variables="variable=")
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
        Comparisons within each combination of these columns of the population, which the model need not use.
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
    population = _Population.of("avg_comparisons", fit, variable, by, newdata, weights)
    means = _means(population, values, component, random_effects)
    scale, sign = _SCALES[comparison]
    low, high = np.nanmin(means.estimate, initial=np.inf), np.nanmax(means.estimate, initial=-np.inf)
    if scale != "identity" and not (low > 0.0 and (scale == "log" or high < 1.0)):
        raise ModelError(
            f"avg_comparisons: means from {low:.4g} to {high:.4g} have no {comparison.replace('_', ' ')}; use "
            "comparison='difference'"
        )
    compared_with: dict[str, Any] = {}
    if values is None or reference is not None:
        compared_with = reference_levels("avg_comparisons", fit, means.cells, [variable], reference)
    return contrast_tables(
        "avg_comparisons",
        means.on_scale(LINKS[scale]),
        sign,
        population.within,
        contrasts,
        adjust,
        Precision(fit, df, cov),
        level,
        _notes(fit, newdata is None, weights is None, scale),
        compared_with,
    )


def _notes(fit: FittedGLMM, own_rows: bool, rows_are_alike: bool, scale: str = "identity") -> list[str]:
    """What is to be said of the scale of the response, which is that of the means, and of whom they are averages."""
    original = "marginal_means(..., kind='response')"
    notes = scale_notes(fit, "link", None, "none", None, original) if fit.family.link.name == "identity" else []
    units = units_of_offset(fit) if own_rows and scale == "identity" else {}
    if units and None not in units.values():
        ones = ", ".join(f"{c}={u}" if c.isidentifier() else f"**{{{c!r}: {u}}}" for c, u in units.items())
        own = ", ".join(units)
        notes.append(f"Every row counts with its own {own}; newdata=fit.data.assign({ones}) averages rates.")
    if own_rows and rows_are_alike and fit.trials is not None and np.ptp(fit.trials) > 0.0:
        notes.append("Rows count alike, whatever their trials; weights= with the trials averages over single trials.")
    return notes


@dataclass(frozen=True, slots=True, eq=False)
class _Population:
    """Rows to average over.

    Attributes
    ----------
    caller : str
        Function that messages name.
    fit : FittedGLMM
    variable : str
        Column whose values all rows are given in turn.
    frame : DataFrame
        The n rows.
    within : list of str
        Columns whose combinations have averages of their own.
    groups : list of tuple
        The m combinations that occur.
    shares : ndarray, shape (m, n)
        Weights of the rows in the average of every group; each sums to 1.
    """

    caller: str
    fit: FittedGLMM
    variable: str
    frame: pd.DataFrame
    within: list[str]
    groups: list[tuple[Any, ...]]
    shares: np.ndarray

    @classmethod
    def of(
        cls,
        caller: str,
        fit: FittedGLMM,
        variable: str,
        by: str | Sequence[str] | None,
        newdata: Any,
        weights: str | ArrayLike | None,
    ) -> _Population:
        """The rows of the fit, or new ones, in their groups."""
        within = names_of(by, f"{caller}: by")
        encode: Any = fit.design.encode
        require_name(variable, f"{caller}: variable")
        if variable not in encode.fixed_kinds:
            raise ModelError(
                f"{caller}: '{variable}' is no column of the fixed effects: {', '.join(encode.fixed_kinds)}"
            )
        frame = fit.data if newdata is None else as_frame(newdata, "newdata")
        if newdata is None and any(name not in frame for name in within):
            further = [name for name in within if name not in frame and name in fit.column_names]
            frame = pd.concat([frame, *(fit.column(name) for name in further)], axis=1)
        weights_of_rows = _weights_of_rows(caller, fit, frame, weights, newdata is None)
        if any(name not in frame for name in within):
            raise ModelError(f"{caller}: by={within}: the population has no such column")
        members: dict[tuple[Any, ...], np.ndarray] = {(): np.arange(len(frame))}
        if within:
            if n_missing := int(frame[within].isna().any(axis=1).sum()):
                warn_of_data(f"{caller}: {n_missing} rows of the population without a value of by= are in no average")
            found = frame.groupby(within, sort=True, observed=True).indices
            members = {key if isinstance(key, tuple) else (key,): np.sort(at) for key, at in found.items()}
        shares = np.zeros((len(members), len(frame)))
        for row, at in zip(shares, members.values(), strict=True):
            row[at] = weights_of_rows[at] / weights_of_rows[at].sum()
        return cls(caller, fit, variable, frame, within, list(members), shares)

    def with_value(self, value: pd.Series, kind: str, effects: str) -> _Averages:
        """Averages of a quantity of `FittedGLMM.predict`, were the variable this value, (1,), in all rows."""
        rows = self.frame.assign(**{self.variable: value.array.take(np.zeros(len(self.frame), dtype=np.intp))})
        predictors, keep, _ = designs_of_rows(self.fit, rows, effects)
        if not keep.all():
            label = row_name(self.frame.index, int(np.argmin(keep)))
            raise ModelError(f"{self.caller}: {label} of the population has missing values; leave it out")
        quantity = RowQuantity(self.fit, kind, predictors, self.frame.index, effects)
        unknown, dropped = quantity.unknown()
        weights = quantity.combination().mapped(self.average)
        return _Averages(self.average(quantity.estimate), weights, self.average(unknown) > 0.0, dropped)

    def average(self, values: np.ndarray) -> np.ndarray:
        """Averages of the groups, (m, ...), of numbers of the rows, (n, ...)."""
        return np.asarray(self.shares @ values)


@dataclass(frozen=True, slots=True, eq=False)
class _Averages:
    """Averages of m groups.

    Attributes
    ----------
    estimate : ndarray, shape (m,)
    weights : Combination
        How they move with what was estimated.
    unknown : ndarray of bool, shape (m,)
        Which the data do not determine.
    dropped : list of str
        Columns that would have to be known for these.
    """

    estimate: np.ndarray
    weights: Combination
    unknown: np.ndarray
    dropped: list[str]


def _means(
    population: _Population, values: Sequence[Any] | None, component: str | None, random_effects: str
) -> CellMeans:
    """Averages of every group, were the variable each of the values in turn."""
    caller, fit, variable = population.caller, population.fit, population.variable
    require_word(component, f"{caller}: component", _COMPONENTS)
    require_word(random_effects, f"{caller}: random_effects", ("average", "none"))
    if component == "zi" and "zi" not in fit.design.predictors:
        raise ModelError(f"{caller}: component='zi' needs a model with zi=")
    encode: Any = fit.design.encode
    is_factor = variable in encode.factors or encode.fixed_kinds[variable] == "categorical"
    chosen = column_values(fit, variable, is_factor, chosen=True, given=values)
    effects = "none" if fit.estimator.linear else random_effects
    of_values = [population.with_value(chosen.iloc[[i]], _COMPONENTS[component], effects) for i in range(len(chosen))]
    # values within groups, not groups within values
    order = np.arange(len(chosen) * len(population.groups)).reshape(len(chosen), -1).T.ravel()
    cells = [(*group, chosen.iloc[i]) for group in population.groups for i in range(len(chosen))]
    unknown = np.concatenate([averages.unknown for averages in of_values])[order]
    return CellMeans(
        pd.DataFrame(cells, columns=[*population.within, variable]),
        np.concatenate([averages.estimate for averages in of_values])[order],
        stacked([averages.weights for averages in of_values]).mapped(lambda w: w[order]),
        LINKS["identity"],
        LINKS["logit"] if component == "zi" else fit.family.link,
        unknown_columns(unknown),
        tuple(dict.fromkeys(name for averages in of_values for name in averages.dropped)),
    )


def _weights_of_rows(
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
    shares = row_values(given, f"{caller}: weights", people.index)
    if shares.shape != (len(people),) or not np.all(shares >= 0.0) or not shares.sum() > 0.0:
        raise ModelError(f"{caller}: weights must be {len(people)} numbers that are not negative")
    return shares
