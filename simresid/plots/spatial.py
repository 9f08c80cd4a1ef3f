"""Residuals on a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.arguments import require_flag
from simresid.checks.base import pvalue_text
from simresid.plots.style import INK, drawing_on, set_title, shorten, two_sided

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simresid.checks.results import MoranResult

__all__ = ["equal_units", "plot_spatial"]

POINTS_UP_TO = 5000
CELLS = 45


def plot_spatial(
    res: Any,
    x: Any,
    y: Any,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    colorbar: bool = True,
    **test: Any,
) -> Axes:
    """Map of what the test of spatial autocorrelation tests, with its finding.

    One symbol per place: rows at the same place are combined as the test combines them, so that a site of many visits
    is low or high only if its visits are on the whole. Low residuals are blue triangles that point down, high ones
    vermilion triangles that point up, those between 1/4 and 3/4 grey circles. More than 5000 places are shown as means
    over cells, the lower the lighter.

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)
        Residuals to draw; plain ones must lie in [0, 1].
    x, y : array_like (n,) or str
        Coordinates.
    ax : Axes, optional
        Where to draw; a new figure by default.
    title : str, optional
        The finding of the test by default.
    colorbar : bool
        Add the colour scale beside the map.
    **test
        Passed on to `spatial_autocorrelation_test`.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib.pyplot as plt
    >>> from simresid import plot_spatial
    >>> u, x, y = np.random.default_rng(1).random((3, 80))
    >>> ax = plot_spatial(u, x, y)
    >>> ax.get_xlabel()
    'x'
    >>> plt.close(ax.figure)
    """
    from simresid.checks.spatial import spatial_autocorrelation_test

    result = spatial_autocorrelation_test(res, x, y, **test)
    assert result.places is not None
    require_flag(colorbar, "colorbar")
    east, north, u = (result.places[name].to_numpy(dtype=float) for name in ("x", "y", "residual"))
    combined = bool((result.places["n"] > 1).any())
    with drawing_on(ax, (5.4, 4.4)) as ax:
        mappable = _symbols(ax, east, north, u) if u.size <= POINTS_UP_TO else _cells(ax, east, north, u)
        if colorbar:
            # of the height of the map, which is low where places lie along a line from west to east
            bar = ax.figure.colorbar(mappable, cax=ax.inset_axes((1.03, 0.0, 0.035, 1.0)))
            bar.set_label("Residual of the place" if combined else "Scaled residual")
            low, high = ("0 \u25bc", "1 \u25b2") if u.size <= POINTS_UP_TO else ("0", "1")
            bar.set_ticks([0, 0.25, 0.5, 0.75, 1], labels=[low, "0.25", "0.5", "0.75", high])
        ax.set(xlabel=_name(x, "x"), ylabel=_name(y, "y"))
        equal_units(ax, np.ptp(east), np.ptp(north))
        ax.locator_params(nbins=5)
        set_title(ax, title if title is not None else _finding(result))
    return ax


def equal_units(ax: Axes, width: float, height: float) -> None:
    """One unit as long in both directions, unless the map would be a strip."""
    if 0.2 * float(height) < float(width) < 5.0 * float(height):
        ax.set_aspect("equal")


def _scale() -> tuple[Any, Any]:
    """Blue over mid-grey to vermilion: the middle must show on white paper."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    shades = ["#004b8d", "#4f93c4", "#b4b9bd", "#e08a4a", "#b03500"]
    return LinearSegmentedColormap.from_list("residual", shades), Normalize(0, 1)


def _symbols(ax: Axes, x: Any, y: Any, u: Any) -> Any:
    colours, norm = _scale()
    size = float(np.clip(7000 / u.size, 8, 55))
    kinds = ((u < 0.25, "v", 1.15), ((u >= 0.25) & (u <= 0.75), "o", 0.7), (u > 0.75, "^", 1.15))
    mappable = None
    for at, marker, factor in kinds:
        drawn = ax.scatter(x[at], y[at], c=u[at], s=size * factor, marker=marker, cmap=colours, norm=norm,
                           edgecolor=INK, linewidth=0.3, rasterized=u.size > 2000)  # fmt: skip
        mappable = drawn
    return mappable


def _cells(ax: Axes, x: Any, y: Any, u: Any) -> Any:
    total, x_edges, y_edges = np.histogram2d(x, y, bins=CELLS, weights=u)
    count, _, _ = np.histogram2d(x, y, bins=(x_edges, y_edges))
    mean = np.ma.masked_invalid(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))
    return ax.pcolormesh(x_edges, y_edges, mean.T, **two_sided(0.0, 1.0), rasterized=True)


def _finding(result: MoranResult) -> str:
    own, expected = (f"{round(float(value), 3) + 0.0:.3f}" for value in (result.statistic, result.expected))
    if result.pvalue >= 0.05:
        return f"No spatial pattern found\nMoran's I {own}, {pvalue_text(result.pvalue)}"
    finding = "Neighbours are alike" if result.statistic > result.expected else "Neighbours differ"
    return f"{finding}\nMoran's I {own}, {expected}\N{NO-BREAK SPACE}expected, {pvalue_text(result.pvalue)}"


def _name(values: Any, default: str) -> str:
    return shorten(values if isinstance(values, str) else str(getattr(values, "name", None) or default), 30)
