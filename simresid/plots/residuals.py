"""Residuals against predictions, predictors, dates and categories."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.arguments import per_trial, require_flag
from simresid.checks.base import pvalue_text
from simresid.checks.basis import ranks
from simresid.checks.categorical import categorical_test
from simresid.checks.inputs import is_simulated, residual_array
from simresid.checks.quantiles import quantile_test
from simresid.checks.results import CategoricalResult, QuantileResult
from simresid.plots._categories import draw_categories
from simresid.plots._points import POINTS_UP_TO, draw_cloud
from simresid.plots._residual_axis import matters, outlier_sides, unit_axis
from simresid.plots.predictors import Predictor, resolve
from simresid.plots.style import (
    ALERT,
    INK,
    MUTED,
    drawing_on,
    new_figure,
    rank_ticks,
    require_places,
    set_title,
    shorten,
    style,
)
from simresid.protocol import HasPredictedEffects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from simresid.checks.nulls.choice import NullKind

__all__ = ["plot_residuals"]

CURVES_FROM = 20
"""Fewer rows than this speak for themselves."""
FINE_CURVE = 100
"""Points of a curve that looks smooth."""
CURVE = "#0f3554"


def plot_residuals(
    res: Any,
    against: Any = None,
    ax: Axes | None = None,
    *,
    quantiles: Sequence[float] = (0.25, 0.5, 0.75),
    rank: bool = True,
    title: str | None = None,
) -> Axes | NDArray[Any]:
    """Residuals against a predictor, with the test of their quantiles.

    For numbers and dates: smooth quantile curves with pointwise 95 % bands over dashed lines where they
    should be; a curve that departs (Holm-adjusted p < 0.05, and not by a negligible shift) is thick and carries
    crosses. More than 20 000 rows are shown as their density relative to an even one: light and blue where there are
    fewer, dark and orange where there are more. For categories: a box per level with the middle half of its residuals;
    levels that depart are hatched. Residuals outside all simulations are triangles, filled if there are too many, and
    not negligibly so.

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)
        Residuals to draw; plain ones must lie in [0, 1].
    against : array_like, str, list of str, DataFrame or "all", optional
        Predictor, or several for a grid of panels; ``"all"`` takes every column of the model's data except
        the response. By default the model's prediction, without random effects.
    ax : Axes, optional
        Where to draw, for a single predictor.
    quantiles : sequence of float
        Which quantiles to follow, each in (0, 1).
    rank : bool
        Spread numeric predictors evenly by rank.
    title : str, optional
        The test's finding by default.

    Returns
    -------
    Axes, or ndarray of Axes for several predictors
        The axes drawn on.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib.pyplot as plt
    >>> from simresid import plot_residuals
    >>> rng = np.random.default_rng(1)
    >>> ax = plot_residuals(rng.random(200), rng.random(200))
    >>> ax.get_ylabel()
    'Scaled residual'
    >>> plt.close(ax.figure)
    """
    require_flag(rank, "rank")
    several = _several(res, against)
    if several is not None:
        if ax is not None:
            raise ValueError("several predictors need a figure of their own; draw them one by one to use ax=")
        return _grid(res, several, quantiles, rank)
    predictor = resolve(res, against)
    with drawing_on(ax, (5.6, 4.2)) as ax:
        draw_against(ax, predictor, panel_test(predictor, quantiles), quantiles, rank, title)
    return ax


def panel_test(
    predictor: Predictor,
    quantiles: Any = (0.25, 0.5, 0.75),
    null: NullKind = "auto",
    n_refits: int | None = None,
) -> CategoricalResult | QuantileResult:
    """Test that belongs to a panel: of levels, or of quantile curves (with the curves from 20 rows on)."""
    how: dict[str, Any] = {"null": null, "n_refits": n_refits} if is_simulated(predictor.residuals) else {}
    if predictor.kind == "category":
        return categorical_test(predictor.residuals, predictor.codes, **how)
    n = residual_array(predictor.residuals).size
    return quantile_test(predictor.residuals, predictor.numbers, quantiles, curves=n >= CURVES_FROM, **how)


def draw_against(
    ax: Axes,
    predictor: Predictor,
    result: CategoricalResult | QuantileResult | None,
    quantiles: Any = (0.25, 0.5, 0.75),
    rank: bool = True,
    title: str | None = None,
) -> None:
    """Draw one panel; without a result only the points."""
    if predictor.kind == "category":
        draw_categories(ax, predictor, result)
    else:
        _draw_numeric(ax, predictor, result, quantiles, rank)  # type: ignore[arg-type]
    set_title(ax, title if title is not None else _finding(result))
    if predictor.n_missing:
        beside = predictor.kind == "category" or residual_array(predictor.residuals).size <= POINTS_UP_TO
        ax.annotate(
            f"{predictor.n_missing} rows without {shorten(predictor.name, 18)} left out", (1, 0.5),
            xycoords="axes fraction", xytext=(2 if beside else 12, 0), textcoords="offset points", ha="left",
            va="center", rotation=90, fontsize="x-small", color=MUTED,
        )  # fmt: skip


def _finding(result: CategoricalResult | QuantileResult | None) -> str:
    if result is None:
        return "Not testable"
    level = result.pvalue >= 0.05
    if isinstance(result, QuantileResult):
        how = "level" if level else "off" if matters(result) else "nearly level"
        return f"Quantiles {how}, {pvalue_text(result.pvalue)}"
    n_bad = int((result.levels["pvalue_adjusted"] < 0.05).sum())
    text = "Levels alike"
    if not level:
        by_mean = n_bad and not result.spread_differs
        text = f"{n_bad} of {len(result.levels)} levels off" if by_mean else "Spread differs between levels"
    return f"{text}, {pvalue_text(result.pvalue)}"


def _draw_numeric(ax: Axes, predictor: Predictor, result: QuantileResult | None, quantiles: Any, rank: bool) -> None:
    by_rank = rank and predictor.kind == "numeric"
    if not by_rank:
        require_places(predictor.numbers, predictor.name)
    x = spread_ties(predictor.numbers) if by_rank else predictor.numbers
    side, alarm = outlier_sides(predictor.residuals)
    draw_cloud(ax, x, residual_array(predictor.residuals), side, alarm=alarm)
    for q in quantiles:
        ax.axhline(q, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1.6)
    if result is not None and result.curves is not None:
        adjusted = result.quantiles.set_index("quantile")["pvalue_adjusted"]
        for q, curve in result.curves.groupby("quantile"):
            _draw_curve(
                ax, curve, "rank" if by_rank else "predictor", departs=bool(adjusted[q] < 0.05) and matters(result)
            )
    unit_axis(ax, quantiles)
    name_axis(ax, predictor, by_rank)


def _draw_curve(ax: Axes, curve: Any, along: str, *, departs: bool) -> None:
    colour, width = ALERT if departs else CURVE, 2.4 if departs else 1.3
    x, value, lower, upper = _smooth(curve[along], curve["value"], curve["lower"], curve["upper"])
    ax.fill_between(x, lower, upper, color=colour, alpha=0.18, linewidth=0, zorder=1.7)
    ax.plot(x, value, color="white", linewidth=width + 1.4, zorder=2)
    ax.plot(x, value, color=colour, linewidth=width, zorder=2.1)
    if departs:
        crosses: Any = {"linestyle": "none", "marker": "X", "markersize": 7, "markeredgecolor": "white"}
        ax.plot(x, value, color=colour, zorder=2.2, markevery=max(1, x.size // 6), **crosses)


def _smooth(along: Any, *heights: Any) -> list[Any]:
    """Smooth lines through the points of a curve, never beyond two neighbours: first the places, then the heights."""
    from scipy.interpolate import PchipInterpolator

    points = np.asarray(along, dtype=float)
    x, first = np.unique(points, return_index=True)
    if x.size < 3 or x.size >= FINE_CURVE:
        return [points, *(np.asarray(height) for height in heights)]
    fine = np.linspace(x[0], x[-1], FINE_CURVE)
    return [fine, *(PchipInterpolator(x, np.asarray(height)[first])(fine) for height in heights)]


def spread_ties(numbers: Any) -> Any:
    """Ranks on (0, 1), tied ones spread over the inner part of the range they share, over all of it for a density."""
    middle = ranks(numbers)
    dense = middle.size > POINTS_UP_TO
    if dense and np.unique(middle).size == middle.size:
        return middle
    order = np.lexsort((np.random.default_rng(1).random(middle.size), middle))
    place = np.empty(middle.size)
    place[order] = (np.arange(middle.size) + 0.5) / middle.size
    return place if dense else middle + 0.6 * (place - middle)


def name_axis(ax: Axes, predictor: Predictor, by_rank: bool) -> None:
    """Name the predictor axis and its ticks."""
    name = shorten(predictor.name, 40)
    if predictor.kind == "date":
        ax.xaxis_date()
        import matplotlib.dates as mdates

        locator = mdates.AutoDateLocator(minticks=3, maxticks=8)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
        ax.set_xlabel(name, loc="left")  # the year or month that ticks share stands on the right
        return
    if not by_rank:
        ax.set_xlabel(name)
        return
    # Ranks have no unit: say which values of the predictor they stand for.
    ax.set_xlim(-0.02, 1.02)
    ax.set_xticks(*rank_ticks(predictor.numbers))
    ax.set_xlabel(name + " (spaced by rank)")
    ax.tick_params(axis="x", labelcolor=INK)


def predictor_columns(res: Any) -> dict[str, Any]:
    """Columns of the model's data without the response; grouping factors of random effects as categories."""
    data = res.data
    factors = res.model.random_effects if isinstance(res.model, HasPredictedEffects) else ()
    groups = set(":".join(factors).replace(" ", "").split(":"))
    return {
        str(c): (data[c].astype("category") if c in groups else data[c]).array
        for c in data.columns
        if not _is_response(data[c], res)
    }


def _several(res: Any, against: Any) -> dict[str, Any] | None:
    """Columns for a grid of panels, or None for a single predictor."""
    import pandas as pd

    data = res.data if is_simulated(res) else None
    if isinstance(against, str) and against == "all" and (data is None or "all" not in data.columns):
        if data is None:
            raise ValueError('against="all" needs the data of the model; pass a DataFrame instead')
        columns = predictor_columns(res)
        if not columns:
            raise ValueError("the model's data have no predictors to draw against")
        return columns
    if isinstance(against, pd.DataFrame):
        if not against.columns.is_unique or against.columns.empty:
            raise ValueError("against= needs columns, each with a name of its own, to draw a panel for each")
        return {str(c): against[c] for c in against.columns}
    if isinstance(against, (list, tuple)) and against and all(isinstance(a, str) for a in against):
        if not is_simulated(res) or not all(res.has_column(a) for a in against):
            n = residual_array(res).size
            if len(against) == n:
                return None
            raise KeyError(f"against={list(against)!r}: not all of these are columns of the data")
        return {a: res.align(a).array for a in against}
    return None


def _is_response(column: Any, res: Any) -> bool:
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = column.to_numpy(dtype=float)
    shares = per_trial(res.observed, res.trials)
    return bool(np.array_equal(values, res.observed) or np.allclose(values, shares, equal_nan=res.trials is not None))


def _grid(res: Any, columns: dict[str, Any], quantiles: Any, rank: bool) -> NDArray[Any]:
    n = len(columns)
    n_columns = min(n, 3 if n != 4 else 2)
    n_rows = -(-n // n_columns)
    with style():
        figure = new_figure((3.4 * n_columns, 3.1 * n_rows))
        axes = figure.subplots(n_rows, n_columns, sharey=False, squeeze=False)
        for ax, (name, column) in zip(axes.flat, columns.items(), strict=False):
            try:
                predictor = resolve(res, column, name)
                draw_against(ax, predictor, panel_test(predictor, quantiles), quantiles, rank)
            except ValueError as error:  # one column that cannot be drawn must not hide the others
                ax.set_axis_off()
                message = "\n".join(textwrap.wrap(f"{shorten(name, 30)}: {error}", 36))
                ax.text(0.5, 0.5, message, ha="center", va="center", fontsize="small", color=MUTED)
        for ax in axes.flat[n:]:
            ax.remove()
    return np.array(axes.flat[:n])
