"""Clouds of residuals that stay readable, quick and small from three points to millions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.plots.style import ALERT, MUTED, POINT, two_sided

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["POINTS_UP_TO", "draw_cloud"]

VECTOR_UP_TO, POINTS_UP_TO = 2000, 20_000
POINTS_PER_CELL, FEW = 100, 20.0


def draw_cloud(ax: Axes, x: Any, y: Any, outlier: Any, *, alarm: bool, upright: bool = True) -> None:
    """Draw points, as density above 20 000, and outliers as triangles that point outwards.

    Parameters
    ----------
    ax : Axes
    x, y : ndarray (n,)
    outlier : ndarray of int (n,)
        -1 below all simulations, 1 above, 0 otherwise.
    alarm : bool
        Whether there are more outliers than there should be.
    upright : bool
        Whether residuals are on the y axis.
    """
    n = x.size
    if n > POINTS_UP_TO:
        _density(ax, x, y, upright)
    else:
        size = float(np.clip(42 / np.sqrt(n) * 6, 4, 26))
        alpha = float(np.clip(6.0 / np.sqrt(n / 10), 0.18, 0.7))
        inner = outlier == 0
        ax.scatter(x[inner], y[inner], s=size, color=POINT, alpha=alpha, linewidth=0,
                   rasterized=n > VECTOR_UP_TO, zorder=1.2)  # fmt: skip
    for side, marker in ((-1, "v" if upright else "<"), (1, "^" if upright else ">")):
        at = outlier == side
        if at.any():
            size = float(np.clip(1200 / at.sum(), 8, 24))
            ax.scatter(x[at], y[at], s=size, marker=marker, facecolor=ALERT if alarm else "white",
                       edgecolor=ALERT if alarm else POINT, linewidth=0.8, clip_on=False, zorder=3,
                       alpha=0.9 if alarm else 1.0, rasterized=bool(at.sum() > VECTOR_UP_TO))  # fmt: skip


def _density(ax: Axes, x: Any, y: Any, upright: bool) -> None:
    """Shade by the ratio of the number of points to that of residuals spread evenly beside the same predictor.

    One shade of grey everywhere is what a right model gives, whatever the predictor. Cells hold about a hundred points
    or more. The scale is explained beside the panel, where no residual is.
    """
    fine = int(np.clip(np.sqrt(x.size / POINTS_PER_CELL / 1.5), 8, 40))
    residual, other = (y, x) if upright else (x, y)
    counts, other_edges, edges = np.histogram2d(other, residual, bins=(int(1.5 * fine), fine))
    even = np.broadcast_to(counts.mean(axis=1, keepdims=True), counts.shape)
    # where points are few their ratio is chance: it counts as even until some tens of them say otherwise
    ratio = np.ma.masked_where(even == 0, (counts + FEW) / (even + FEW))
    grid = (other_edges, edges, ratio.T) if upright else (edges, other_edges, ratio)
    ax.pcolormesh(*grid, **two_sided(0.0, 2.0), rasterized=True, zorder=1.1, linewidth=0)
    ax.annotate("light: fewer than even, dark: more", (1, 0.5), xycoords="axes fraction", xytext=(2, 0),
                textcoords="offset points", ha="left", va="center", rotation=90, fontsize="x-small",
                color=MUTED)  # fmt: skip
