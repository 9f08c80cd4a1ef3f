"""Variogram of residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks.base import pvalue_text
from simresid.plots.style import ALERT, BAND, INK, MUTED, POINT, band_of_refits, drawing_on, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simresid.checks.variogram import Variogram

__all__ = ["plot_variogram"]


def plot_variogram(
    res: Any, x: Any, y: Any = None, by: Any = None, ax: Axes | None = None, *, title: str | None = None, **options: Any
) -> Axes:
    """How different residuals are by their distance in space or time, with a band from refits.

    One point a distance, larger for more pairs; independent residuals lie around the line at 1, near places that are
    alike below it. The band holds the whole curve of a right model in 95 of 100 data sets; points outside are drawn as
    squares. It comes from the refits that the tests use.

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)
        Residuals to draw; plain ones must lie in [0, 1].
    x, y : array_like (n,) or str
        Coordinates; `x` alone for times.
    by : array_like (n,) or str, optional
        Only pairs within its levels count.
    ax : Axes, optional
        Where to draw; a new figure by default.
    title : str, optional
        The finding by default.
    **options
        ``bins``, ``max_distance``, ``null`` and ``n_refits``, as in `variogram`.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib.pyplot as plt
    >>> from simresid import plot_variogram
    >>> u, x, y = np.random.default_rng(1).random((3, 80))
    >>> ax = plot_variogram(u, x, y)
    >>> ax.get_xlabel()
    'Distance'
    >>> plt.close(ax.figure)
    """
    from simresid.checks.variogram import variogram

    found = variogram(res, x, y, by, **options)
    table = found.table
    at = table["distance"].to_numpy()
    value, lower, upper = (table[name].to_numpy() for name in ("semivariance", "lower", "upper"))
    outside = (value < lower) | (value > upper)
    size = 16 + 60 * table["pairs"].to_numpy() / table["pairs"].max()
    with drawing_on(ax, (5.6, 3.8)) as ax:
        permuted = "95\N{NO-BREAK SPACE}% band of permutations"
        label = band_of_refits(found.n_refits) if found.null == "refits" else permuted
        ax.fill_between(at, lower, upper, color=BAND, linewidth=0, label=label)
        ax.axhline(1.0, color=MUTED, linewidth=0.8, linestyle="--", label="independent residuals")
        ax.plot(at, value, color=POINT, linewidth=1.2)
        ax.scatter(at[~outside], value[~outside], s=size[~outside], color=POINT, edgecolor=INK, linewidth=0.3, zorder=3)
        ax.scatter(at[outside], value[outside], s=size[outside], color=ALERT, marker="s", edgecolor=INK, linewidth=0.3,
                   zorder=3, label="outside the band" if outside.any() else None)  # fmt: skip
        ax.set(xlabel="Distance" if y is not None else "Distance in time", ylabel="Relative semivariance")
        ax.set_ylim(0.0, max(1.6, 1.1 * float(np.max(np.minimum(np.append(upper, value), 3.0)))))
        ax.set_xlim(0.0, 1.04 * float(at.max()))
        ax.legend(loc="lower right", frameon=True, framealpha=0.85, edgecolor="none")
        set_title(ax, title if title is not None else _finding(found))
    return ax


def _finding(found: Variogram) -> str:
    size = f"variogram, {pvalue_text(found.pvalue)}"
    if found.pvalue >= 0.05:
        return f"No pattern by distance found\n{size}"
    if found.table["distance"].iloc[found.farthest_out] > 0.5 * found.table["distance"].max():
        return f"A pattern over long distances\n{size}"
    return ("Near residuals are alike" if found.alike else "Near residuals differ") + f"\n{size}"
