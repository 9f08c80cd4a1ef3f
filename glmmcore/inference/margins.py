"""Marginal means (least-squares means) and contrasts of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import LEVEL, known_elsewhere, names_of, require_level, require_word
from glmmcore.errors import ModelError, warn_of_data
from glmmcore.families.links import LINKS
from glmmcore.inference.cell_means import CellMeans, linear_means, mean_is_inverse_link, response_means
from glmmcore.inference.contrasts import Contrasts, contrast_weights
from glmmcore.inference.multiplicity import ADJUSTMENTS, Comparisons, adjusted
from glmmcore.inference.notes import interaction_notes, offset_notes, scale_notes
from glmmcore.inference.original_scale import averaged_originals, has_way_back, mapped_back
from glmmcore.inference.precision import Precision
from glmmcore.inference.reference_grid import ReferenceGrid, reference_levels
from glmmcore.results.estimability import not_estimable
from glmmcore.results.joint_covariance import Combination
from glmmcore.results.quantities import limits_on_scale
from glmmcore.results.t_distribution import t_quantile
from glmmcore.results.tables import ResultTable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glmmcore.fitted import FittedGLMM

__all__ = [
    "chosen_columns",
    "contrast_tables",
    "marginal_means",
    "means_table",
    "parts_of_means",
    "requested_means",
    "require_dunnett",
]

# Contrasts that a message names at most.
_NAMED = 8
# Links whose differences are logarithms of ratios.
_RATIOS = ("log", "logit")


@known_elsewhere(alpha=LEVEL, comparison="scale=", type="kind=", specs="variables=", pairwise="contrasts='pairwise'")
def marginal_means(
    fit: FittedGLMM,
    variables: str | Sequence[str],
    *,
    kind: str = "link",
    component: str | None = None,
    contrasts: Contrasts | None = None,
    scale: str | None = None,
    adjust: str | None = None,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    random_effects: str = "none",
    df: str | float = "auto",
    cov: str | pd.DataFrame | ArrayLike | None = None,
    level: float = 0.95,
    reference: Any = None,
) -> pd.DataFrame:
    """Means at each level of some columns, the others held fixed or averaged, and comparisons of them.

    Other numeric columns are at their mean, other categories average on the scale of the link (Searle, Speed and
    Milliken 1980), as in R's emmeans. Columns are categories by their part in the formula: ``C(year)`` makes one of a
    number. What the data do not determine (empty cells) is NaN and named in a `DataWarning`.

    Parameters
    ----------
    fit : FittedGLMM
        The fitted model.
    variables : str or sequence of str
        Columns of the fixed effects. Numeric ones take all their values in the data unless `at` says which.
    kind : {"link", "response"}
        With ``"response"`` means of the response. Where these are the predictor mapped back, averages are on the link's
        scale and mapped back after; in zero-inflated, hurdle and truncated models they are overall means, zeros
        included, averaged on the scale of the response. Of a response such as ``log(y)`` what is mapped back to y are
        medians, and their contrasts ratios.
    component : {"conditional", "zi"}, optional
        A part instead: what the conditional formula describes (for a truncated law the mean without truncation), or the
        probability of a structural zero.
    contrasts : str or mapping, optional
        ``"pairwise"``, ``"dunnett"`` (all against `reference`), ``"sequential"`` (each against the one before),
        ``"polynomial"`` (trends), ``"effect"`` (against the average of all); a mapping of names to weights of the means
        in their order; or of every column to one of these words, for contrasts of contrasts.
    scale : {"ratio", "difference"}, optional
        Of contrasts with ``kind="response"``: ratios, or differences of means. By default odds ratios for a logit link
        and ratios for a log link, and differences of links for others.
    adjust : {"tukey", "dunnett", "mvt", "holm", "sidak", "bonferroni", "none"}, optional
        Of the contrasts' p-values and limits; by default ``"tukey"`` for pairs, ``"dunnett"`` for comparisons with the
        reference, else ``"none"``. ``"dunnett"`` and ``"mvt"`` use the joint distribution of all contrasts. Limits for
        ``"holm"`` are Bonferroni's.
    by : str or sequence of str, optional
        Contrasts and their adjustment are made within each level of these columns.
    at : mapping of str to values, optional
        Values of columns; an own grid for numeric ones.
    weights : {"equal", "proportional"}
        Of the levels averaged over: all the same, or by their frequency in the data.
    random_effects : {"none", "average"}
        Random effects at zero, or, for means of the response, averaged over their distribution; of ``log(y)`` and its
        kin means of y, averaged over the residuals too.
    df : {"auto", "normal", "satterthwaite", "kenward-roger"} or float
        Degrees of freedom of the t distribution. ``"auto"`` is Satterthwaite's for gaussian fits with identity link and
        ``reml=True``, and otherwise the normal distribution. Kenward and Roger's standard errors go with theirs.
    cov : str, DataFrame or array_like, optional
        Covariance of the estimates instead of the model's: ``fit.cov_params("sandwich", cluster="g")`` and its kin, or
        the words ``"kenward-roger"``, ``"HC0"`` ... ``"HC3"``. Means that depend on more than the conditional fixed
        effects need that of all parameters: ``cov_params(..., parameters="all")``.
    level : float
        Of the limits.
    reference : object or mapping of str to object, optional
        Level with which ``contrasts="dunnett"`` compares, or levels by column. By default that of the formula
        (``C(trt, Treatment('control'))``), else the first.

    Returns
    -------
    DataFrame
        By level (or by contrast): estimate, se, df, lower, upper; contrasts also statistic and pvalue. Notes on the
        scale, and on columns averaged over or at their mean that interact, are printed below and stand in
        ``attrs["notes"]``.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import glmm, marginal_means
    >>> d = pd.DataFrame({"y": [7, 9, 5, 8, 21, 15, 24, 18], "clinic": list("abcd") * 2, "trt": list("ccccdddd")})
    >>> fit = glmm("y ~ trt + (1|clinic)", d, reml=True)
    >>> marginal_means(fit, "trt")[["estimate", "se"]].round(3).rename_axis(None)
       estimate     se
    c      7.25  1.497
    d     19.50  1.497
    >>> marginal_means(fit, "trt", contrasts="pairwise", df="satterthwaite")[["estimate", "df", "pvalue"]].round(4)
              estimate   df  pvalue
    contrast
    c - d       -12.25  6.0  0.0012
    """
    names, within = chosen_columns("marginal_means", variables, by)
    chosen = [*within, *names]
    require_level(level, "level")
    grid = ReferenceGrid.build(fit, chosen, at, weights=weights, random_effects=random_effects)
    means = requested_means(fit, grid, kind, component, random_effects)
    precision = Precision(fit, df, cov)
    require_dunnett("marginal_means", contrasts, reference)
    parts = parts_of_means(fit, kind, component)
    averages, exposure = interaction_notes(fit, grid, parts), offset_notes(fit, grid, parts)
    if contrasts is None:
        notes = [*scale_notes(fit, kind, component, random_effects, None), *exposure, *averages]
        return means_table("marginal_means", means, precision, level, on_response=kind == "response", notes=notes)
    compared, sign = _compared(fit, means, kind, scale)
    how = "means" if compared.link.name == "identity" and kind == "response" else sign
    exposure = [] if compared.link.name == fit.family.link.name else exposure  # an offset cancels on this scale
    notes = [*scale_notes(fit, kind, component, random_effects, how), *exposure, *averages]
    compared_with = reference_levels("marginal_means", fit, grid.cells, names, reference)
    return contrast_tables(
        "marginal_means", compared, sign, within, contrasts, adjust, precision, level, notes, compared_with
    )


def require_dunnett(caller: str, contrasts: Contrasts | None, reference: Any) -> None:
    """Refuse a reference where nothing is compared with one."""
    kinds = contrasts.values() if isinstance(contrasts, Mapping) else [contrasts]
    if reference is not None and "dunnett" not in [kind for kind in kinds if isinstance(kind, str)]:
        raise ModelError(f"{caller}: reference= is the level with which contrasts='dunnett' compares; leave it out")


def chosen_columns(
    caller: str, variables: str | Sequence[str], by: str | Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Columns whose cells are looked at, and those within whose levels contrasts are made."""
    names, within = names_of(variables, f"{caller}: variables"), names_of(by, f"{caller}: by")
    if variables is None:
        raise ModelError(f"{caller}: variables must name columns of the model, or be [] for the mean of all")
    return [name for name in names if name not in within], within


def requested_means(
    fit: FittedGLMM, grid: ReferenceGrid, kind: str, component: str | None, random_effects: str
) -> CellMeans:
    """Means of the part and on the scale that was asked for."""
    for name, value, allowed in (
        ("kind", kind, ("link", "response")),
        ("component", component, (None, "conditional", "zi")),
        ("random_effects", random_effects, ("none", "average")),
    ):
        require_word(value, f"marginal_means: {name}", allowed)
    if component == "zi" and "zi" not in fit.design.predictors:
        raise ModelError("marginal_means: component='zi' needs a model with zi=")
    part = "zi" if component == "zi" else "cond"
    if kind == "link":
        return linear_means(fit, grid, part)
    if component is None and has_way_back(fit):
        if random_effects == "average":
            return averaged_originals(fit, grid)
        return mapped_back(fit, linear_means(fit, grid, part))
    if random_effects == "average" and not fit.estimator.linear:
        quantity = {None: "response", "conditional": "conditional", "zi": "zprob"}[component]
        return response_means(fit, grid, quantity, "average")
    if component is None and not mean_is_inverse_link(fit, grid):
        return response_means(fit, grid, "response", "none")
    return linear_means(fit, grid, part)


def parts_of_means(fit: FittedGLMM, kind: str, component: str | None) -> tuple[str, ...]:
    """Parts of the model whose columns decide on the means asked for."""
    if component == "zi":
        return ("zi",)
    both = kind == "response" and component is None and "zi" in fit.design.predictors
    return ("cond", "zi") if both else ("cond",)


def means_table(
    caller: str,
    means: CellMeans,
    precision: Precision,
    level: float,
    *,
    on_response: bool,
    notes: Sequence[str] = (),
) -> pd.DataFrame:
    """Table of the means themselves."""
    out, _ = _estimates(means, np.eye(len(means.cells)), precision)
    unknown = means.cells[out["estimate"].isna().to_numpy()]
    _warn(caller, "slope of" if caller == "slopes" else "mean of", _cell_names(unknown), means)
    half = t_quantile(out["df"].to_numpy(), 0.5 + 0.5 * level)
    if on_response and means.link.name == "identity":
        estimate, error = out["estimate"].to_numpy(), out["se"].to_numpy()
        out["lower"], out["upper"] = limits_on_scale(estimate, error, means.shape, half)
    else:
        _add_limits(out, half, means.link if on_response else LINKS["identity"])
    keys = means.cells
    if keys.shape[1] == 1:
        out.index = pd.Index(keys.iloc[:, 0], name=keys.columns[0])
    elif keys.shape[1]:
        out.index = pd.MultiIndex.from_frame(keys)
    return ResultTable(out, notes=notes, missing="NaN")


def contrast_tables(
    caller: str,
    means: CellMeans,
    sign: str,
    within: list[str],
    contrasts: Contrasts,
    adjust: str | None,
    precision: Precision,
    level: float,
    notes: Sequence[str] = (),
    reference: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Table of contrasts, one family for each level of the columns `within`."""
    if adjust is None:
        usual = {"pairwise": "tukey", "dunnett": "dunnett"}
        adjust = usual.get(contrasts if isinstance(contrasts, str) else "", "none")
    if not isinstance(adjust, str) or adjust not in ADJUSTMENTS:
        lsd = " (least significant differences)" if str(adjust).lower() == "lsd" else ""
        shown = ", ".join(map(repr, ADJUSTMENTS))
        raise ModelError(f"adjust must be one of {shown}, not {adjust!r:.200}; 'none' adjusts nothing{lsd}")
    if adjust == "tukey" and not (isinstance(contrasts, str) and contrasts == "pairwise"):
        raise ModelError(
            "adjust='tukey' is for contrasts='pairwise'; use 'mvt', 'holm', 'sidak', 'bonferroni' or 'none'"
        )
    tables, unknown, nothing = {}, [], []
    for key, members in _groups(means.cells, within):
        cells = means.cells.loc[members, [name for name in means.cells if name not in within]]
        names, weights = contrast_weights(contrasts, cells, sign, reference)
        placed = np.zeros((len(weights), len(means.cells)))
        placed[:, members] = weights
        tables[key] = _family(names, placed, means, sign, adjust, precision, level, len(members))
        where = f" | {key}" if within else ""
        unknown += [f"{name}{where}" for name in tables[key].index[tables[key]["estimate"].isna()]]
        zero = (tables[key]["estimate"] == 0.0) & (tables[key]["se"] == 0.0)
        nothing += [f"{name}{where}" for name in tables[key].index[zero]]
    _warn(caller, "contrast", unknown, means)
    if nothing:
        notes = [*notes, f"Zero in this model, whatever its coefficients: {', '.join(nothing[:_NAMED])}."]
    table = pd.concat(tables, names=[*within, "contrast"]) if within else tables[()]
    return ResultTable(table, notes=notes, missing="NaN")


def _compared(fit: FittedGLMM, means: CellMeans, kind: str, scale: str | None) -> tuple[CellMeans, str]:
    """Means on the scale on which contrasts are linear, and the sign between them: ``"/"`` for logarithms."""
    require_word(scale, "marginal_means: scale", (None, "ratio", "difference"))
    if kind == "link":
        if scale == "ratio":
            raise ModelError("marginal_means: ratios of means need kind='response'")
        return means, "-"
    if scale == "difference":
        return means.on_response(), "-"
    if scale is None:
        if means.link.name in _RATIOS:
            return means, "/"
        if means.link.name != "identity" or fit.family.link.name != "log" or means.shape.name != "log":
            return means, "-"
    response = means.on_response()
    if np.nanmin(response.estimate, initial=np.inf) <= 0.0:
        raise ModelError("marginal_means: some means are not positive and have no ratio; use scale='difference'")
    return response.on_scale(LINKS["log"]), "/"


def _groups(cells: pd.DataFrame, within: list[str]) -> list[tuple[Any, np.ndarray]]:
    if not within:
        return [((), np.arange(len(cells)))]
    grouped = cells.groupby(within if len(within) > 1 else within[0], sort=False, observed=True)
    return [(key, np.sort(members)) for key, members in grouped.indices.items()]


def _family(
    names: list[str],
    weights: np.ndarray,
    means: CellMeans,
    sign: str,
    adjust: str,
    precision: Precision,
    level: float,
    n_means: int,
) -> pd.DataFrame:
    out, rows = _estimates(means, weights, precision)
    out.index = pd.Index(names, name="contrast")
    # what is zero in every model of this form has no test, and does not enter those of others
    is_zero = (out["estimate"] == 0.0) & (out["se"] == 0.0)
    known = (out["estimate"].notna() & ~is_zero).to_numpy()
    statistic, df = (out["estimate"] / out["se"]).to_numpy(), out["df"].to_numpy()
    needs_joint = adjust in ("dunnett", "mvt") and known.any()
    correlation = precision.correlation(rows.mapped(lambda w: w[known])) if needs_joint else np.eye(int(known.sum()))
    family = Comparisons(statistic[known], df[known], correlation, n_means, len(names))
    pvalue, half = np.full(len(names), np.nan), np.where(out["estimate"].isna(), np.nan, 0.0)
    pvalue[known], half[known] = adjusted(family, adjust, level)
    is_ratio = sign == "/" and np.allclose(weights.sum(axis=1), 0.0)
    _add_limits(out, half, LINKS["log"] if is_ratio else LINKS["identity"])
    out["statistic"], out["pvalue"] = statistic, pvalue
    return out


def _estimates(means: CellMeans, matrix: np.ndarray, precision: Precision) -> tuple[pd.DataFrame, Combination]:
    """Combinations of the means, matrix (k, m); NaN where the data do not determine them."""
    estimate, rows = means.combine(matrix)
    out = pd.DataFrame({"estimate": estimate, "se": np.sqrt(precision.variance(rows)), "df": precision.df(rows)})
    out.loc[np.isnan(estimate)] = np.nan
    return out, rows


def _cell_names(cells: pd.DataFrame) -> list[str]:
    return [", ".join(f"{name}={value}" for name, value in zip(cells, row, strict=True)) for row in cells.to_numpy()]


def _warn(caller: str, kind: str, names: list[str], means: CellMeans) -> None:
    if names:
        shown = [f"({name})" for name in names]
        warn_of_data(not_estimable(caller, kind, shown, means.dropped))


def _add_limits(out: pd.DataFrame, half: np.ndarray, link: Any) -> None:
    """Add limits, and map estimates, errors and limits back from a link, in place."""
    estimate, error = out["estimate"].to_numpy(), out["se"].to_numpy()
    ends = np.stack([estimate - half * error, estimate + half * error])
    if link.name != "identity":
        ends = np.sort(link.inverse(ends), axis=0)
        out["estimate"], out["se"] = link.inverse(estimate), error * np.abs(link.derivatives(estimate)[1])
    out["lower"], out["upper"] = ends
