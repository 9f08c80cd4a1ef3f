"""Residuals in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks.base import pvalue_text
from simresid.checks.inputs import residual_array
from simresid.plots._points import draw_cloud
from simresid.plots._residual_axis import outlier_sides, unit_axis
from simresid.plots.predictors import Predictor, resolve
from simresid.plots.residuals import name_axis
from simresid.plots.style import (
    ALERT,
    BAND,
    INK,
    MUTED,
    POINT,
    drawing_on,
    new_figure,
    require_axes,
    require_places,
    set_title,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from simresid.checks.results import AutocorrelationResult

__all__ = ["plot_temporal"]

LINES_UP_TO = 500
FIGURE = (8.4, 3.6)


def plot_temporal(
    res: Any,
    time: Any,
    by: Any = None,
    ax: Any = None,
    *,
    lags: int | None = None,
    title: str | None = None,
) -> Axes | NDArray[Any]:
    """Residuals in order of time, and their autocorrelation.

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)
        Residuals to draw; plain ones must lie in [0, 1].
    time, by : as in `temporal_autocorrelation_test`
        Rows of a series that share a time are combined as the test combines them, and drawn faintly behind. Points of a
        series are joined by a line up to 500 times.
    ax : Axes or two Axes, optional
        For the series, and for the autocorrelations if there are two. By default a figure with both.
    lags : int, optional
        By default up to 20.
    title : str, optional
        The finding of the test by default.

    Returns
    -------
    Axes, or ndarray of two Axes
        The axes drawn on.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib.pyplot as plt
    >>> from simresid import plot_temporal
    >>> axes = plot_temporal(np.random.default_rng(1).random(60), np.arange(60))
    >>> axes[1].get_xlabel()
    'Lag'
    >>> plt.close(axes[0].figure)
    """
    from simresid.checks.temporal import temporal_autocorrelation_test

    when = resolve(res, time, "Time" if not isinstance(time, str) else None)
    if when.n_missing:
        raise ValueError(f"time is missing in {when.n_missing} rows; leave them out with recalculate(select=)")
    if when.kind == "category" and not _is_numeric(when):
        raise ValueError("time must be numbers or dates")
    require_places(when.numbers, when.name)
    result = temporal_autocorrelation_test(res, time, by)
    longest = int(result.series["n"].max())
    lags = min(20, longest - 1) if lags is None else lags
    correlations = temporal_autocorrelation_test(res, time, by, lags=lags).autocorrelation
    if ax is not None and not isinstance(ax, (list, tuple, np.ndarray)):
        with drawing_on(ax, FIGURE) as own:
            _draw_series(own, when, res, result, title)
        return own
    if ax is None:
        with style():
            axes = np.array(new_figure(FIGURE).subplots(1, 2, width_ratios=(2.2, 1)))
            _draw_both(axes, when, res, result, correlations, title)
    else:
        axes = np.array(ax, dtype=object)
        if axes.shape != (2,):
            raise ValueError("ax must be one Axes or two")
        require_axes(*axes)
        with drawing_on(axes[0], FIGURE), drawing_on(axes[1], FIGURE):
            _draw_both(axes, when, res, result, correlations, title)
    return axes


def _is_numeric(when: Predictor) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(when.values))


def _draw_both(
    axes: Any,
    when: Predictor,
    res: Any,
    result: AutocorrelationResult,
    correlations: Any,
    title: str | None,
) -> None:
    _draw_series(axes[0], when, res, result, title)
    _draw_correlations(axes[1], correlations, int(result.series["n"].sum()), alarm=result.pvalue < 0.05)


def _draw_series(ax: Axes, when: Predictor, res: Any, result: AutocorrelationResult, title: str | None) -> None:
    assert result.times is not None
    times = result.times
    x, y = when.numbers[times["row"]], times["residual"].to_numpy()
    if len(times) <= LINES_UP_TO:
        for _, rows in times.groupby("series", sort=False).indices.items():
            ax.plot(x[rows], y[rows], color=POINT, linewidth=0.8, alpha=0.45, zorder=1.15)
    combined = bool((times["n"] > 1).any())
    if combined:
        ax.plot(when.numbers, residual_array(res), linestyle="none", marker=".", markersize=3, color=MUTED, alpha=0.35,
                markeredgewidth=0, zorder=1.05, rasterized=True)  # fmt: skip
        draw_cloud(ax, x, y, np.zeros(x.size, dtype=int), alarm=False)
    else:
        side, alarm = outlier_sides(res)
        draw_cloud(ax, when.numbers, residual_array(res), side, alarm=alarm)
    for q in (0.25, 0.5, 0.75):
        ax.axhline(q, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1.6)
    unit_axis(ax)
    if combined:
        ax.set_ylabel("Scaled residual of a time")
    name_axis(ax, when, by_rank=False)
    set_title(ax, title if title is not None else _finding(result))


def _finding(result: AutocorrelationResult) -> str:
    first = float(result.autocorrelation[0])
    if result.pvalue >= 0.05:
        return f"No autocorrelation found, {pvalue_text(result.pvalue)}"
    return f"{'Positive' if first > 0 else 'Negative'} autocorrelation {first:.2f}, {pvalue_text(result.pvalue)}"


def _draw_correlations(ax: Axes, correlations: Any, n: int, *, alarm: bool) -> None:
    """Bars by lag; with `alarm` those outside the band stand out: short series of right models leave it too."""
    lags = np.arange(1, correlations.size + 1)
    slack = 1.96 / np.sqrt(n)
    outside = (np.abs(correlations) > slack) & alarm
    ax.axhspan(-slack, slack, color=BAND, linewidth=0, zorder=0)
    ax.axhline(0, color=INK, linewidth=0.8)
    for at, colour, marker in ((~outside, POINT, "o"), (outside, ALERT, "X")):
        if at.any():
            ax.vlines(lags[at], 0, correlations[at], color=colour, linewidth=2)
            ax.plot(lags[at], correlations[at], linestyle="none", marker=marker, color=colour, markersize=5)
    reach = max(1.25 * float(np.abs(correlations).max()), 1.6 * slack)
    ax.set(ylim=(-reach, reach), xlim=(0.3, lags[-1] + 0.7), xlabel="Lag", ylabel="Autocorrelation")
    ax.locator_params(axis="x", integer=True, nbins=6)
    ax.set_title("Band: 95 %, independent", fontweight="normal", fontsize="small", color=MUTED)
