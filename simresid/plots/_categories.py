"""Residuals within categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks.inputs import residual_array
from simresid.checks.results import CategoricalResult, QuantileResult
from simresid.plots._points import draw_cloud
from simresid.plots._residual_axis import outlier_sides, unit_axis
from simresid.plots.style import ALERT, BAND, MUTED, POINT, points_of, shorten, shorten_all

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simresid.plots.predictors import Predictor

__all__ = ["draw_categories", "name_levels"]

MOST_LEVELS = 150
UPRIGHT_UP_TO = 8
"""More levels than this lie one below the other."""


def draw_categories(ax: Axes, predictor: Predictor, result: CategoricalResult | QuantileResult | None) -> None:
    """Draw a box per level, hatched where the level departs."""
    u = residual_array(predictor.residuals)
    codes, names = predictor.codes, predictor.levels
    if len(names) > MOST_LEVELS:
        raise ValueError(
            f"{predictor.name} has {len(names)} levels, too many to draw; look at recalculate(group=...) instead"
        )
    departs = np.zeros(len(names), dtype=bool)
    if isinstance(result, CategoricalResult) and result.pvalue < 0.05:
        departs = result.levels["pvalue_adjusted"].to_numpy() < 0.05
    unit_axis(ax)
    upright = name_levels(ax, names, departs)
    if not upright:
        _lie_down(ax)
    position = codes + np.random.default_rng(1).uniform(-0.26, 0.26, codes.size)
    side, alarm = outlier_sides(predictor.residuals)
    if u.size <= 20_000:
        x, y = (position, u) if upright else (u, position)
        draw_cloud(ax, x, y, side, alarm=alarm, upright=upright)
    for k, bad in enumerate(departs):
        _box(ax, np.quantile(u[codes == k], [0.25, 0.5, 0.75]), k, bool(bad), upright)
    line = ax.axhline if upright else ax.axvline
    for q in (0.25, 0.5, 0.75):
        line(q, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1.6)
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
    ax.set_xlim(-0.02, 1.02)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    ax.set_xlabel("Scaled residual")


def name_levels(ax: Axes, names: list[str], departs: Any) -> bool:
    """Set up the axis of levels and say whether it is the horizontal one.

    Levels stand side by side where their names fit; otherwise they lie one below the other, so that long
    names read from left to right, and names are left out where even the smallest would overlap.
    """
    from matplotlib.font_manager import FontProperties

    width, height = (0.85 * length for length in points_of(ax))
    n, longest = len(names), max(map(len, names))
    usual = FontProperties(size="small").get_size_in_points()  # that of other ticks
    fitting = [size for size in (usual, 0.88 * usual, 0.75 * usual) if (longest + 1.5) * 0.62 * size <= width / n]
    upright = n <= UPRIGHT_UP_TO and bool(fitting)
    if upright:
        ax.set_xticks(range(n), names, fontsize=fitting[0])
        ax.set_xlim(-0.6, n - 0.4)
        labels = ax.get_xticklabels()
    else:
        room = height / n
        every = int(np.ceil(6.5 / room))
        characters = int(max(6, min(28, 0.4 * width / 4.0)))
        shown = [name if k % every == 0 else "" for k, name in enumerate(shorten_all(names, characters))]
        ax.set_yticks(range(n), shown, fontsize=float(np.clip(room * 0.8, 5.0, 8.5)))
        ax.set_ylim(n - 0.4, -0.6)
        labels = ax.get_yticklabels()
    for label, bad in zip(labels, departs, strict=True):
        if bad:
            label.set(color=ALERT, fontweight="bold")
    return upright
