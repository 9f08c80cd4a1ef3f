"""Marginal means (least-squares means) and contrasts of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from glmmcore.arguments import require_level
from glmmcore.errors import ModelError, warn_of_data
from glmmcore.inference.reference_grid import ReferenceGrid
from glmmcore.results.estimability import not_estimable, zero_sums
from glmmcore.results.joint_covariance import contrast_variance

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["marginal_means"]

_ADJUSTMENTS = ("tukey", "holm", "bonferroni", "none")
# Links whose differences are logarithms of ratios.
_RATIOS = ("log", "logit")


def marginal_means(
    fit: FittedGLMM,
    variables: str | Sequence[str],
    *,
    kind: str = "link",
    contrasts: str | Mapping[str, Sequence[float]] | None = None,
    adjust: str | None = None,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    df: str | float = "normal",
    level: float = 0.95,
) -> pd.DataFrame:
    """Means of the conditional model at each level of some columns, the others held fixed or averaged.

    Random effects are at zero. Other numeric columns are at their mean, other categories average with equal weights
    on the scale of the link (Searle, Speed and Milliken 1980), as in R's emmeans.

    Parameters
    ----------
    fit : FittedGLMM
        The fitted model.
    variables : str or sequence of str
        Columns of the fixed effects. Numeric ones take all their values in the data unless `at` says which.
    kind : {"link", "response"}
        With ``"response"`` estimates and limits are mapped back from the link; contrasts are then ratios (log link) or
        odds ratios (logit link), and stay differences of links for others.
    contrasts : None, "pairwise", or mapping of str to weights
        Differences of all pairs of means, or named weights of the means in their order.
    adjust : {"tukey", "holm", "bonferroni", "none"}, optional
        Of the contrasts' p-values and, except for ``"holm"``, limits; Tukey's for pairs, else none by default. Limits
        for ``"holm"`` are Bonferroni's.
    by : str or sequence of str, optional
        Contrasts and their adjustment are made within each level of these columns.
    at : mapping of str to values, optional
        Values of columns; an own grid for numeric ones.
    df : {"normal", "satterthwaite"} or float
        Degrees of freedom of the t distribution.
    level : float
        Of the limits.

    Returns
    -------
    DataFrame
        By level (or by contrast): estimate, se, df, lower, upper; contrasts also statistic and pvalue.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import glmm
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
    if kind not in ("link", "response"):
        raise ModelError(f"marginal_means: kind must be 'link' or 'response', not {kind!r}")
    require_level(level, "level")
    if not isinstance(variables, Iterable):
        raise ModelError(f"marginal_means: variables must name factors of the model, not {variables!r}")
    names = [variables] if isinstance(variables, str) else list(variables)
    within = [by] if isinstance(by, str) else list(by or ())
    chosen = [*within, *(name for name in names if name not in within)]
    grid = ReferenceGrid.build(fit, chosen, at)
    rule = _Freedom(fit, df)
    if contrasts is None:
        out = _estimates(fit, grid, np.eye(len(grid.rows)), rule)
        _warn(grid, "mean of", _cell_names(grid.cells[out["estimate"].isna().to_numpy()]))
        half = rule.quantile(out["df"].to_numpy(), 0.5 + 0.5 * level)
        _back_transform(fit, out, half, kind == "response", ratio=False)
        keys = grid.cells
        out.index = pd.Index(keys.iloc[:, 0], name=chosen[0]) if len(chosen) == 1 else pd.MultiIndex.from_frame(keys)
        return out
    tables = {}
    unknown = []
    for key, members in _groups(grid.cells, within):
        cells = grid.cells.loc[members, [name for name in chosen if name not in within]]
        labels = [" ".join(str(value) for value in row) for row in cells.itertuples(index=False)]
        ratio = kind == "response" and fit.family.link.name in _RATIOS
        weights, paired = _weights(contrasts, labels, "/" if ratio else "-")
        tables[key] = table = _contrasts(fit, grid, members, weights, rule, adjust, paired, level, kind)
        where = "" if key == () else f" | {key}"
        unknown += [f"{label}{where}" for label in table.index[table["estimate"].isna()]]
    _warn(grid, "contrast", unknown)
    return pd.concat(tables, names=[*within, "contrast"]) if within else tables[()]


def _groups(cells: pd.DataFrame, within: list[str]) -> list[tuple[Any, np.ndarray]]:
    if not within:
        return [((), np.arange(len(cells)))]
    grouped = cells.groupby(within if len(within) > 1 else within[0], sort=False, observed=True)
    return [(key, np.sort(members)) for key, members in grouped.indices.items()]


def _weights(
    contrasts: str | Mapping[str, Sequence[float]], labels: list[str], sign: str
) -> tuple[dict[str, np.ndarray], bool]:
    """Weights of the means for each contrast, and whether these are all pairs."""
    m = len(labels)
    if isinstance(contrasts, str):
        if contrasts != "pairwise":
            raise ModelError(f"contrasts must be 'pairwise' or a mapping of names to weights, not {contrasts!r}")
        unit = np.eye(m)
        return {f"{labels[i]} {sign} {labels[j]}": unit[i] - unit[j] for i in range(m) for j in range(i + 1, m)}, True
    out = {}
    for name, given in contrasts.items():
        weights = np.asarray(given, dtype=float)
        if weights.shape != (m,):
            raise ModelError(f"contrast '{name}' has {weights.size} weights for {m} means ({', '.join(labels)})")
        out[name] = weights
    return out, False


def _contrasts(
    fit: FittedGLMM,
    grid: ReferenceGrid,
    members: np.ndarray,
    weights: dict[str, np.ndarray],
    rule: _Freedom,
    adjust: str | None,
    paired: bool,
    level: float,
    kind: str,
) -> pd.DataFrame:
    adjust = adjust or ("tukey" if paired else "none")
    if adjust not in _ADJUSTMENTS:
        raise ModelError(f"adjust must be one of {', '.join(map(repr, _ADJUSTMENTS))}, not {adjust!r}")
    if adjust == "tukey" and not paired:
        raise ModelError("adjust='tukey' is for contrasts='pairwise'; use 'holm', 'bonferroni' or 'none'")
    matrix = np.array(list(weights.values())).reshape(len(weights), len(members))
    placed = np.zeros((len(matrix), len(grid.rows)))
    placed[:, members] = matrix
    out = _estimates(fit, grid, placed, rule)
    out.index = pd.Index(list(weights), name="contrast")
    df = out["df"].to_numpy()
    statistic = (out["estimate"] / out["se"]).to_numpy()
    known = np.isfinite(df) | np.isposinf(df)
    pvalue, half = np.full((2, len(df)), np.nan)
    pvalue[known], half[known] = _adjusted(statistic[known], df[known], adjust, len(members), len(matrix), level, rule)
    sums_to_zero = np.allclose(matrix.sum(axis=1), 0.0)
    ratio = kind == "response" and fit.family.link.name in _RATIOS and sums_to_zero
    _back_transform(fit, out, half, ratio, ratio=True)
    out["statistic"], out["pvalue"] = statistic, pvalue
    return out


def _adjusted(
    statistic: np.ndarray, df: np.ndarray, adjust: str, n_means: int, m: int, level: float, rule: _Freedom
) -> tuple[np.ndarray, np.ndarray]:
    """P-values and the multiple of the standard error for the limits, adjusted for m contrasts of `n_means` means.

    Both numbers include means and contrasts that cannot be estimated, as in emmeans.
    """
    plain = rule.two_sided(statistic, df)
    if adjust == "tukey":
        from scipy.stats import studentized_range

        root = np.sqrt(2.0)
        pvalue = studentized_range.sf(np.abs(statistic) * root, n_means, df)
        quantiles = {d: studentized_range.ppf(level, n_means, d) / root for d in np.unique(df)}
        return np.clip(pvalue, 0.0, 1.0), np.array([quantiles[d] for d in df])
    if adjust == "none":
        return plain, rule.quantile(df, 0.5 + 0.5 * level)
    half = rule.quantile(df, 1.0 - 0.5 * (1.0 - level) / m)
    if adjust == "bonferroni":
        return np.minimum(m * plain, 1.0), half
    order = np.argsort(plain)
    stepped = np.maximum.accumulate((m - np.arange(len(plain))) * plain[order])
    pvalue = np.empty(len(plain))
    pvalue[order] = np.minimum(stepped, 1.0)
    return pvalue, half


class _Freedom:
    """Degrees of freedom of linear combinations of the fixed effects."""

    def __init__(self, fit: FittedGLMM, df: str | float) -> None:
        self.value = np.inf
        self.rule: Any = None
        if df == "satterthwaite":
            from glmmcore.inference.degrees_of_freedom import Satterthwaite

            self.rule = Satterthwaite(fit)
        elif isinstance(df, (int, float)) and df > 0:
            self.value = float(df)
        elif df != "normal":
            raise ModelError(f"df must be 'normal', 'satterthwaite' or a positive number, not {df!r}")

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Degrees of freedom of each row, inf for the normal distribution."""
        if self.rule is None:
            return np.full(len(rows), self.value)
        return np.array([self.rule.df(row) for row in rows])

    @staticmethod
    def quantile(df: np.ndarray, probability: float) -> np.ndarray:
        """Quantile of t."""
        normal = np.isinf(df)
        t = special.stdtrit(np.where(normal, 1.0, df), probability)
        return np.asarray(np.where(normal, special.ndtri(probability), t))

    @staticmethod
    def two_sided(statistic: np.ndarray, df: np.ndarray) -> np.ndarray:
        """P-value of |t|."""
        normal, at = np.isinf(df), -np.abs(statistic)
        return np.asarray(2.0 * np.where(normal, special.ndtr(at), special.stdtr(np.where(normal, 1.0, df), at)))


def _estimates(fit: FittedGLMM, grid: ReferenceGrid, weights: np.ndarray, rule: _Freedom) -> pd.DataFrame:
    """Combinations of the cells' means, weights (m, cells); NaN where the data do not determine them."""
    rows = weights @ grid.rows
    estimate = rows @ fit.params.to_numpy() + weights @ grid.offset
    out = pd.DataFrame({"estimate": estimate, "se": np.sqrt(contrast_variance(fit, rows)), "df": rule.of(rows)})
    out.loc[~zero_sums(weights, grid.outside)] = np.nan
    return out


def _cell_names(cells: pd.DataFrame) -> list[str]:
    return [", ".join(f"{name}={value}" for name, value in zip(cells, row, strict=True)) for row in cells.to_numpy()]


def _warn(grid: ReferenceGrid, kind: str, names: list[str]) -> None:
    if names:
        warn_of_data(not_estimable("marginal_means", kind, [f"({name})" for name in names], grid.dropped), stacklevel=3)


def _back_transform(fit: FittedGLMM, out: pd.DataFrame, half: np.ndarray, transform: bool, *, ratio: bool) -> None:
    """Add limits, and map estimates, errors and limits back from the link (ratios: from the logarithm), in place."""
    estimate, error = out["estimate"].to_numpy(), out["se"].to_numpy()
    low, high = estimate - half * error, estimate + half * error
    if transform:
        link = fit.family.link
        inverse = np.exp if ratio else link.inverse
        slope = np.exp(estimate) if ratio else link.derivatives(estimate)[1]
        ends = np.sort(np.stack([inverse(low), inverse(high)]), axis=0)
        out["estimate"], out["se"] = inverse(estimate), error * np.abs(slope)
        low, high = ends
    out["lower"], out["upper"] = low, high
