"""Clouds of residuals that stay readable, quick and small from three points to millions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.plots._style import ALERT, POINT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["POINTS_UP_TO", "draw_cloud"]

VECTOR_UP_TO, POINTS_UP_TO = 2000, 20_000


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
        _density(ax, x, y)
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


def _density(ax: Axes, x: Any, y: Any) -> None:
    """Shade by number of points; an even grey is what a right model gives on a rank scale."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("points", ["#f4f7fa", "#7d9dbb", "#1c4468"])
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=(60, 40))
    typical = float(np.median(counts[counts > 0]))
    ax.pcolormesh(x_edges, y_edges, np.ma.masked_equal(counts.T, 0), cmap=shades, vmin=0, vmax=2 * typical,
                  rasterized=True, zorder=1.1, linewidth=0)  # fmt: skip
