"""Effects of places on a map, and of times along an axis."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.plots._effects import require_fit
from simresid.plots._points import POINTS_UP_TO
from simresid.plots.spatial import equal_units
from simresid.plots.style import (
    INK,
    LOOKS,
    MUTED,
    drawing_on,
    new_figure,
    number_texts,
    set_title,
    shorten,
    style,
    two_sided,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["plot_field"]

FEWEST_CELLS, MOST_CELLS = 5, 400
CURVE_POINTS = 201
MARGIN = 0.02
"""Share of the extent by which the map goes beyond the outermost places."""


def plot_field(
    fit: Any,
    term: str | None = None,
    ax: Axes | None = None,
    *,
    level: Any = None,
    cells: int = 40,
    title: str | None = None,
) -> Axes | NDArray[Any]:
    """Map of a fitted effect of places, and of its standard error; a curve with limits for an effect of times.

    The effect is kriged on a grid within the convex hull of the places, which are drawn as dots. It is on the scale of
    the link, as a departure from what the rest of the model says. Standard errors are small near places and grow to
    the standard deviation of the field far from any.

    Parameters
    ----------
    fit : FittedGLMM or SimulatedResiduals
        A model of `glmmcore.glmm` with a term such as ``mat(x, y | 1)``, ``exp``, ``gau`` or ``ou(time | 1)``, or
        residuals of one.
    term : str, optional
        Such as ``"mat(x, y)"`` or ``"mat"``, if the model has several.
    ax : Axes, optional
        For the effect alone. By default a figure with both maps.
    level : label, optional
        Level of the grouping factor of a field in groups; the first one by default.
    cells : int
        Cells of the grid along the longer side.
    title : str, optional
        Of the map of the effect; by default the term with its parameters.

    Returns
    -------
    Axes, or ndarray of two Axes
        The axes drawn on.

    Raises
    ------
    TypeError
        If `fit` is no model of `glmmcore`.
    ValueError
        If there is no such term, it has three coordinates, or coordinates of several columns each.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib.pyplot as plt
    >>> from glmmcore import glmm
    >>> from simresid import plot_field
    >>> rng = np.random.default_rng(1)
    >>> x, y = rng.random((2, 40))
    >>> fit = glmm("z ~ 1 + exp(x, y | 1)", {"x": x, "y": y, "z": np.sin(4 * x) + 0.1 * rng.normal(size=40)})
    >>> axes = plot_field(fit, cells=12)
    >>> axes[1].get_title(loc="left")
    'Standard error'
    >>> plt.close(axes[0].figure)
    """
    if isinstance(cells, bool) or not isinstance(cells, int) or not FEWEST_CELLS <= cells <= MOST_CELLS:
        raise ValueError(f"cells={cells!r}; use a whole number from {FEWEST_CELLS} to {MOST_CELLS}")
    fit = require_fit(fit, "plot_field")
    table = fit.field(term=term)
    row = _parameters(fit, table)
    places, names, group = _places(fit, table, row, level)
    heading = title if title is not None else _heading(row, group)
    scale = "Effect" if fit.family.link.name == "identity" else f"Effect on {fit.family.link.name} scale"
    if len(names) == 1:
        return _curve(fit, term, ax, places, names[0], group, (heading, scale))
    if len(names) > 2:
        raise ValueError(f"plot_field: effects over {len(names)} coordinates have no map; draw fit.field() yourself")
    x, y, grid = _grid(places, names, cells)
    inside = grid.pop("inside").to_numpy()
    found = fit.field(grid[inside].assign(**group), term=term)
    surfaces = []
    for column in ("estimate", "se"):
        surface = np.full(inside.size, np.nan)
        surface[inside] = found[column].to_numpy()
        surfaces.append(np.ma.masked_invalid(surface.reshape(y.size, x.size)))
    if ax is not None:
        with drawing_on(ax, (5.4, 4.4)) as ax:
            _map(ax, x, y, surfaces[0], places, names, scale, heading)
        return ax
    with style():
        panels: Any = new_figure((9.4, 4.2)).subplots(1, 2)
        _map(panels[0], x, y, surfaces[0], places, names, scale, heading)
        _map(panels[1], x, y, surfaces[1], places, names, "Standard error", "Standard error")
    return panels


def _places(fit: Any, table: Any, row: Any, level: Any) -> tuple[pd.DataFrame, list[str], dict[str, Any]]:
    """Coordinates of the places of one group, their columns, and the group as a column of new data."""
    names = [str(name) for name in table.columns if name not in ("estimate", "se")]
    rows = fit.data
    group: dict[str, Any] = {}
    if row["group"] != "1":
        column = names.pop(0)
        levels = list(dict.fromkeys(table[column]))
        chosen = levels[0] if level is None else level
        if chosen not in levels:
            raise ValueError(f"level={level!r} is no level of {column}; there are {', '.join(map(str, levels[:10]))}")
        if ":" in column:
            raise ValueError(f"plot_field: make one column of {column} and fit with that to draw its fields")
        table, rows, group = table[table[column] == chosen], rows[rows[column] == chosen], {column: chosen}
    elif level is not None:
        raise ValueError(f"level={level!r}: the field is one for all rows")
    if all(name in rows for name in names):
        return table[names], names, group
    # coordinates such as x / 1000: the map is one of their columns
    columns = [_only_column(name, rows) for name in names]
    return rows[columns].astype(float).drop_duplicates(ignore_index=True), columns, group


def _only_column(coordinate: str, rows: pd.DataFrame) -> str:
    """The column that a coordinate is, or is arithmetic of."""
    found = [coordinate] if coordinate in rows else [c for c in set(re.findall(r"[^\W\d]\w*", coordinate)) if c in rows]
    if len(found) != 1:
        raise ValueError(
            f"plot_field: {coordinate!r} is no column of the data and not arithmetic of one; make it one and fit with "
            "that"
        )
    return found[0]


def _parameters(fit: Any, table: pd.DataFrame) -> Any:
    """Row of the field among the parameters that the fit reports."""
    rows = fit.var_corr
    own = [np.asarray(rows[name] == table.attrs[name]) for name in ("component", "group", "term")]
    return rows[np.logical_and.reduce(own)].iloc[0]


def _heading(row: Any, group: dict[str, Any]) -> str:
    shown = [
        f"{name}\N{NO-BREAK SPACE}{row[name]:.3g}"
        for name in ("sd", "range", "smoothness", "rate", "rho")
        if name in row.index and np.isfinite(row[name])
    ]
    of = "".join(f", {shorten(str(name), 20)} {shorten(str(value), 20)}" for name, value in group.items())
    return f"{shorten(str(row['term']), 40)}{of}\n{', '.join(shown)}"


def _grid(places: pd.DataFrame, names: list[str], cells: int) -> tuple[Any, Any, pd.DataFrame]:
    """Axes of the grid, and its points with whether they are inside the hull of the places."""
    import pandas as pd

    at = places.to_numpy(dtype=float)
    low, high = at.min(axis=0), at.max(axis=0)
    span = high - low
    if not (span > 0).all():
        raise ValueError("plot_field: all places lie on a line along one axis; draw fit.field() along the other one")
    step = span / cells if span.max() > 5 * span.min() else np.full(2, span.max() / cells)
    x, y = (
        np.linspace(a, b, max(FEWEST_CELLS, round((b - a) / s) + 1)) for a, b, s in zip(low, high, step, strict=True)
    )
    grid = pd.DataFrame({names[0]: np.tile(x, y.size), names[1]: np.repeat(y, x.size)})
    return x, y, grid.assign(inside=_inside((at - low) / span, (grid.to_numpy() - low) / span))


def _inside(places: Any, points: Any) -> Any:
    """Which points are in the hull of the places, a little wider; all of them if the places lie on a line."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        hull = ConvexHull(places)
    except QhullError:
        return np.ones(len(points), dtype=bool)
    return (points @ hull.equations[:, :-1].T + hull.equations[:, -1] <= MARGIN).all(axis=1)


def _map(ax: Axes, x: Any, y: Any, surface: Any, places: Any, names: Any, label: str, heading: str) -> None:
    """One surface with contours, so that it can be read without colours."""
    error = label == "Standard error"
    if surface.count() == 0:
        ax.text(0.5, 0.5, "not known: a variance is at its limit,\nor the likelihood is flat", ha="center", va="center",
                transform=ax.transAxes)  # fmt: skip
        ax.set_axis_off()
        set_title(ax, heading)
        return
    if error:
        low, high = float(surface.min()), float(surface.max())
    else:
        high = float(np.abs(surface).max())
        low = -high
    if not high > low:
        low, high = low - 1e-12, high + 1e-12
    shades: Any = {"cmap": _errors(), "vmin": low, "vmax": high} if error else two_sided(low, high)
    mesh = ax.pcolormesh(x, y, surface, **shades, shading="nearest", rasterized=True)
    if float(surface.max() - surface.min()) > 1e-9 * max(high, 1e-300):
        lines = ax.contour(x, y, surface, levels=6, colors=INK, linewidths=0.6, alpha=0.7)
        ax.clabel(lines, fontsize=7.5, fmt=dict(zip(lines.levels, number_texts(lines.levels), strict=True)))
    at = places.to_numpy(dtype=float)
    if len(at) <= POINTS_UP_TO:
        ax.plot(at[:, 0], at[:, 1], ".", color=INK, markersize=float(np.clip(60 / np.sqrt(len(at)), 1.5, 4.5)))
    bar = ax.figure.colorbar(mesh, ax=ax, shrink=0.85, aspect=20, pad=0.03)
    bar.set_label(label)
    ax.set(xlabel=shorten(names[0], 30), ylabel=shorten(names[1], 30))
    equal_units(ax, np.ptp(at[:, 0]), np.ptp(at[:, 1]))
    ax.locator_params(nbins=5)
    set_title(ax, heading)


def _errors() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("error", ["#f4f1e6", "#b9a97a", "#846f42"])


def _curve(fit: Any, term: str | None, ax: Any, places: Any, name: str, group: Any, words: tuple[str, str]) -> Axes:
    """Effect of times with 95 % limits, and the times as marks at the bottom."""
    import pandas as pd

    times = places[name].to_numpy(dtype=float)
    at = np.linspace(times.min(), times.max(), CURVE_POINTS)
    whole = fit.data[name].dtype.kind in "iu"
    at = np.unique(np.concatenate([np.rint(at) if whole else at, times if times.size <= 2000 else at[:0]]))
    found = fit.field(pd.DataFrame({name: at.astype(fit.data[name].dtype) if whole else at}).assign(**group), term=term)
    estimate, half = found["estimate"].to_numpy(), 1.96 * found["se"].to_numpy()
    half = np.where(np.isfinite(half), half, np.nan)
    with drawing_on(ax, (6.4, 3.4)) as ax:
        ax.fill_between(at, estimate - half, estimate + half, color=LOOKS[0][0], alpha=0.2, linewidth=0)
        ax.plot(at, estimate, color=LOOKS[0][0], linewidth=1.6)
        ax.axhline(0.0, color=MUTED, linewidth=0.8, linestyle="--")
        if times.size <= POINTS_UP_TO:
            ax.plot(times, np.zeros(times.size), "|", color=INK, markersize=7, transform=ax.get_xaxis_transform(),
                    clip_on=False)  # fmt: skip
        ax.set(xlabel=shorten(name, 30), ylabel=f"{words[1]}, 95\N{NO-BREAK SPACE}% limits")
        set_title(ax, words[0])
    return ax
