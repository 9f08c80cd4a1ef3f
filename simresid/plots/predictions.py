"""What a fit says of one predictor, over the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.arguments import require_flag, require_name
from simresid.plots._categories import name_levels
from simresid.plots._effects import (
    check_options,
    draw_intervals,
    is_number,
    observed_values,
    outside_note,
    require_fit,
    scale_label,
    view,
)
from simresid.plots._points import POINTS_UP_TO
from simresid.plots.style import LOOKS, MUTED, POINT, band_look, drawing_on, level_texts, set_title, shorten

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["plot_predictions"]

N_POINTS = 101
"""Values of a numeric predictor at which the curve is asked for."""
FEW = 5
"""A number with more values than this is looked at by its quartiles when it separates curves."""


def plot_predictions(
    fit: Any,
    predictor: str,
    by: str | None = None,
    ax: Axes | None = None,
    *,
    data: bool = True,
    kind: str = "response",
    level: float = 0.95,
    title: str | None = None,
    **options: Any,
) -> Axes:
    """Mean of the response along a predictor with intervals, over the observed values.

    Draws `glmmcore.marginal_means` along the predictor: other numbers at their mean, other categories averaged. Curves
    end where the data of their level of `by` end. On a link that is not the identity the curve of a typical group
    (random effects at zero) runs beside the average of the data; ``random_effects="average"`` goes through them.

    Parameters
    ----------
    fit : FittedGLMM or SimulatedResiduals
        A model fitted by `glmmcore.glmm`, or residuals of one.
    predictor : str
        Column of the fixed effects: a curve for a number, means for a category.
    by : str, optional
        Column with a curve for each level, at most six. A number with more than five values is at its quartiles, or at
        the values in ``at={by: ...}``.
    ax : Axes, optional
        Where to draw; a new figure by default.
    data : bool
        Whether to draw the observed values behind the means of the response: points, or a density above 20 000 rows.
    kind : {"response", "link"}
        Overall means of the response, or means on the scale of the link.
    level : float
        Of the intervals, which are pointwise.
    title : str, optional
        Heading; by default what is drawn.
    **options
        ``component``, ``at``, ``weights``, ``random_effects``, ``df`` and ``cov``, as in `glmmcore.marginal_means`.
        ``at={predictor: ...}`` chooses the values of the predictor.

    Returns
    -------
    Axes
        The axes drawn on.

    Raises
    ------
    TypeError
        If `fit` is no model of `glmmcore`, or an option is not among those above.
    ValueError
        If `by` is the predictor or has more than six levels.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from glmmcore import glmm
    >>> from simresid import datasets, plot_predictions
    >>> fit = glmm("Reaction ~ Days + (Days|Subject)", datasets.load("sleepstudy"), reml=True)
    >>> ax = plot_predictions(fit, "Days")
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('Days', 'Mean of Reaction')
    >>> plt.close(ax.figure)
    """
    from glmmcore import marginal_means

    check_options(options, "plot_predictions")
    fit = require_fit(fit, "plot_predictions")
    require_name(predictor, "plot_predictions: predictor")
    require_name(by, "plot_predictions: by")
    require_flag(data, "plot_predictions: data")
    if by == predictor:
        raise ValueError(f"by={by!r} is the predictor itself")
    columns = [name for name in (by, predictor) if name is not None]
    options["at"] = _grid(fit, predictor, by) | dict(options.get("at") or {})
    means = marginal_means(fit, columns, kind=kind, level=level, **options)
    table = means.reset_index()
    series = _series(fit, table, predictor, by)
    values = observed_values(fit, options, kind) if data else None
    with drawing_on(ax, (5.6, 3.9)) as ax:
        if is_number(fit, predictor):
            ax.set_ylim(view(table, values))
            _draw_points(ax, fit, fit.data[predictor].to_numpy(dtype=float), values, series, by, upright=True)
            _draw_curves(ax, series, predictor, by)
            upright = True
        else:
            upright = _draw_levels(ax, fit, table, series, values, predictor, by)
        label, name = scale_label(fit, options, kind, columns), shorten(str(predictor), 40)
        ax.set(**{"ylabel" if upright else "xlabel": label, "xlabel" if upright else "ylabel": name})
        if by is not None:
            handles = _keys(series, values) if is_number(fit, predictor) else None
            ax.legend(handles=handles, title=shorten(str(by), 24), frameon=True, framealpha=0.85, edgecolor="none",
                      handlelength=2.0 if handles is None else 3.6,  # dashes on both sides of a marker
                      loc="best" if values is None or len(values) <= 2000 else "upper left")  # fmt: skip
        if title is None:
            said = outside_note(values, ax.get_ylim() if upright else ax.get_xlim())
            title = f"Effect of {name}, {100 * level:g}\N{NO-BREAK SPACE}% intervals{said}"
        set_title(ax, title)
    return ax


def _grid(fit: Any, predictor: str, by: str | None) -> dict[str, Any]:
    """Values of numeric columns at which means are asked for."""
    at: dict[str, Any] = {}
    if is_number(fit, predictor):
        column = fit.data[predictor].to_numpy(dtype=float)
        at[predictor] = np.linspace(column.min(), column.max(), N_POINTS)
    if by is not None and is_number(fit, by):
        column = fit.data[by].to_numpy(dtype=float)
        distinct = np.unique(column)
        at[by] = distinct if distinct.size <= FEW else np.unique(np.quantile(column, [0.25, 0.5, 0.75]))
    return at


def _series(fit: Any, table: pd.DataFrame, predictor: str, by: str | None) -> list[tuple[str, Any, pd.DataFrame]]:
    """Text, rows of the data and means of each level of `by`; no rows (None) where they have other values of it."""
    if by is None:
        return [("", np.ones(fit.nobs, dtype=bool), table)]
    levels = list(dict.fromkeys(table[by]))
    if len(levels) > len(LOOKS):
        raise ValueError(f"{by} has {len(levels)} levels, at most {len(LOOKS)} can be told apart; choose some by at=")
    rows = [(fit.data[by] == value).to_numpy() for value in levels]
    split = not is_number(fit, by) or bool(np.all(np.sum(rows, axis=0) == 1))
    out = []
    for text, value, mask in zip(level_texts(levels), levels, rows, strict=True):
        part = table[table[by] == value]
        if split and mask.any() and is_number(fit, predictor):
            column = fit.data[predictor].to_numpy(dtype=float)[mask]
            slack = 1e-9 * (abs(column).max() + 1.0)
            part = part[part[predictor].between(column.min() - slack, column.max() + slack)]
        out.append((text, mask if split else None, part))
    return out


def _look(k: int, by: str | None) -> tuple[str, str, Any]:
    return (POINT, "o", "-") if by is None else LOOKS[k]


def _draw_points(ax: Axes, fit: Any, place: Any, values: Any, series: Any, by: str | None, *, upright: bool) -> None:
    """Draw the observed values behind, in the colour and shape of their level."""
    if values is None:
        return
    if values.size > POINTS_UP_TO:
        _draw_density(ax, place, values, whole=fit.discrete and fit.trials is None, upright=upright)
        return
    size, alpha = float(np.clip(250 / np.sqrt(values.size), 4, 22)), float(np.clip(6 / np.sqrt(values.size), 0.15, 0.6))
    shared = any(mask is None for _, mask, _ in series)
    for k, (_, mask, _) in enumerate(series[:1] if shared else series):
        colour, marker, _ = (MUTED, "o", "-") if by is None or shared else _look(k, by)
        rows = np.ones(values.size, dtype=bool) if mask is None else mask
        x, y = (place[rows], values[rows]) if upright else (values[rows], place[rows])
        ax.scatter(x, y, s=size, color=colour, marker=marker, alpha=alpha, linewidth=0,
                   rasterized=values.size > 2000, zorder=1.2)  # fmt: skip


def _keys(series: Any, values: Any) -> list[Line2D]:
    """What the legend shows of each level: its line, with the shape of its points where these are drawn apart."""
    from matplotlib.lines import Line2D

    apart = values is not None and values.size <= POINTS_UP_TO and all(mask is not None for _, mask, _ in series)
    keys = []
    for k, (text, _, _) in enumerate(series):
        colour, marker, line = _look(k, text)
        keys.append(Line2D([], [], color=colour, linestyle=line, linewidth=2.0, marker=marker if apart else "",
                           markersize=5, label=text))  # fmt: skip
    return keys


def _draw_density(ax: Axes, place: Any, values: Any, *, whole: bool, upright: bool) -> None:
    """Shade by number of rows; cells of counts hold the same number of whole numbers each."""
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    shades = LinearSegmentedColormap.from_list("rows", ["#eef1f4", "#8b96a1"])
    low, high = float(values.min()), float(values.max())
    step = max(1, round((high - low) / 40))
    edges = np.arange(low - 0.5, high + step + 0.5, step) if whole else np.linspace(low, high, 41)
    counts, x, y = np.histogram2d(place, values, bins=(60, edges))
    cells = np.ma.masked_equal(counts.T, 0)
    mesh = (x, y, cells) if upright else (y, x, cells.T)
    ax.pcolormesh(*mesh, cmap=shades, norm=PowerNorm(0.4), rasterized=True, linewidth=0, zorder=1.1)


def _draw_curves(ax: Axes, series: Any, predictor: str, by: str | None) -> None:
    low, high = ax.get_ylim()
    reach = 10.0 * (high - low)  # infinite limits leave the view
    for k, (text, _, part) in enumerate(series):
        colour, _, line = _look(k, by)
        x = part[predictor].to_numpy(dtype=float)
        lower, upper = (
            np.clip(part[end].to_numpy(dtype=float), low - reach, high + reach) for end in ("lower", "upper")
        )
        tint = {"color": colour, "alpha": 0.18, "linewidth": 0} if by is None else band_look(colour, line)
        ax.fill_between(x, lower, upper, **tint, zorder=2)
        ax.plot(x, part["estimate"], color=colour, linestyle=line, linewidth=2.0, label=text or None, zorder=3)


def _draw_levels(
    ax: Axes, fit: Any, table: pd.DataFrame, series: Any, values: Any, predictor: str, by: str | None
) -> bool:
    """Draw means of the levels of a category, those of one level side by side; say whether these stand upright."""
    levels = list(dict.fromkeys(table[predictor]))
    upright = name_levels(ax, level_texts(levels), np.zeros(len(levels), dtype=bool))
    (ax.set_ylim if upright else ax.set_xlim)(view(table, values))
    number = {value: k for k, value in enumerate(levels)}
    shift = np.linspace(-0.25, 0.25, len(series)) if len(series) > 1 else np.zeros(1)
    if values is not None:
        place = fit.data[predictor].map(number).to_numpy(dtype=float)
        for move, (_, mask, _) in zip(shift, series, strict=True):
            if mask is not None:
                place[mask] += move
        width = 0.2 / len(series)
        place += np.random.default_rng(1).uniform(-width, width, place.size)
        _draw_points(ax, fit, place, values, series, by, upright=upright)
    for k, (move, (text, _, part)) in enumerate(zip(shift, series, strict=True)):
        colour, marker, _ = _look(k, by)
        place = part[predictor].map(number).to_numpy(dtype=float) + move
        draw_intervals(ax, place, part, upright, {"color": colour, "marker": marker, "label": text or None})
    return upright
