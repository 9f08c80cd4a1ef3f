"""Residuals within categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks._inputs import residual_array
from simresid.plots._points import draw_cloud
from simresid.plots._style import ALERT, BAND, MUTED, POINT, shorten
from simresid.results import CategoricalResult, QuantileResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simresid.plots._predictors import Predictor

__all__ = ["draw_categories"]

UPRIGHT_UP_TO = 8
"""More levels than this, or long names, lie down: level names then read from left to right."""


def draw_categories(
    ax: Axes, predictor: Predictor, result: CategoricalResult | QuantileResult | None
) -> None:
    """Draw a box per level, hatched where the level departs."""
    from simresid.plots.residuals import outlier_sides, unit_axis

    u = residual_array(predictor.residuals)
    codes, names = predictor.codes, predictor.levels
    departs = np.zeros(len(names), dtype=bool)
    if isinstance(result, CategoricalResult):
        departs = result.levels["pvalue_adjusted"].to_numpy() < 0.05
    position = codes + np.random.default_rng(1).uniform(-0.26, 0.26, codes.size)
    upright = len(names) <= UPRIGHT_UP_TO and sum(map(len, names)) <= 44
    side, alarm = outlier_sides(predictor.residuals)
    if u.size <= 20_000:
        x, y = (position, u) if upright else (u, position)
        draw_cloud(ax, x, y, side, alarm=alarm, upright=upright)
    for k, bad in enumerate(departs):
        _box(ax, np.quantile(u[codes == k], [0.25, 0.5, 0.75]), k, bool(bad), upright)
    line = ax.axhline if upright else ax.axvline
    for q in (0.25, 0.5, 0.75):
        line(q, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1.6)
    unit_axis(ax)
    if not upright:
        _lie_down(ax)
    _name_levels(ax, names, departs, upright)
    label = ax.set_xlabel if upright else ax.set_ylabel
    label(shorten(predictor.name, 40))


def _box(ax: Axes, quartiles: Any, k: int, bad: bool, upright: bool) -> None:
    low, middle, high = quartiles
    draw = ax.bar if upright else ax.barh
    extent = {"bottom" if upright else "left": low, "width" if upright else "height": 0.62}
    draw(k, high - low, **extent, facecolor="none" if bad else BAND, alpha=1.0 if bad else 0.55,
         edgecolor="none", zorder=1.0)  # fmt: skip
    draw(k, high - low, **extent, facecolor="none", edgecolor=ALERT if bad else POINT, linewidth=1.2,
         hatch="////" if bad else None, zorder=2)  # fmt: skip
    ends = [k - 0.31, k + 0.31]
    line = ax.plot if upright else (lambda a, b, **kw: ax.plot(b, a, **kw))
    line(
        ends,
        [middle, middle],
        color=ALERT if bad else "#0f3554",
        linewidth=2.6,
        solid_capstyle="butt",
        zorder=2.2,
    )


def _lie_down(ax: Axes) -> None:
    ax.set_xlim(ax.get_ylim())
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    ax.set_xlabel("Scaled residual")


def _name_levels(ax: Axes, names: list[str], departs: Any, upright: bool) -> None:
    figure: Any = ax.figure
    figure_width, figure_height = figure.get_size_inches()
    box = ax.get_position()
    n = len(names)
    if upright:
        width = int(max(3, 72 * figure_width * box.width * 0.85 / n / 5.2))
        ax.set_xticks(range(n), [shorten(name, width) for name in names])
        ax.set_xlim(-0.6, n - 0.4)
        labels = ax.get_xticklabels()
    else:
        width = int(max(8, min(28, 72 * figure_width * 0.3 / 5.0)))
        points = 72 * figure_height * box.height * 0.8 / n
        every = int(np.ceil(6.5 / points)) if points < 6.5 else 1
        shown = [shorten(name, width) if k % every == 0 else "" for k, name in enumerate(names)]
        ax.set_yticks(range(n), shown, fontsize=float(np.clip(points * 0.8, 5.0, 8.5)))
        ax.set_ylim(n - 0.4, -0.6)
        labels = ax.get_yticklabels()
    for label, bad in zip(labels, departs, strict=True):
        if bad:
            label.set(color=ALERT, fontweight="bold")
