"""Which observations lie outside all of their simulations, and how far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.arguments import whole_number
from simresid.checks.base import pvalue_text
from simresid.checks.inputs import simulated_only
from simresid.plots.style import ALERT, BAND, INK, MUTED, drawing_on, level_texts, points_of, set_title, shorten_all

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from simresid.checks.results import OutlierResult

__all__ = ["plot_outliers"]


def plot_outliers(res: Any, ax: Axes | None = None, *, most: int = 20, title: str | None = None) -> Axes:
    """Outliers by row label: observed response over the range of its simulations.

    With a discrete response a row can tie with its most extreme simulation; such ties are broken at random.

    Parameters
    ----------
    res : SimulatedResiduals
        Residuals to draw.
    ax : Axes, optional
        Where to draw; a new figure by default.
    most : int
        Draw at most so many, those farthest outside (relative to the width of their range).
    title : str, optional
        The finding of `outlier_test` by default.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib.pyplot as plt
    >>> from simresid import from_simulations, plot_outliers
    >>> rng = np.random.default_rng(1)
    >>> y = rng.normal(size=100)
    >>> y[7] = 9.0
    >>> ax = plot_outliers(from_simulations(rng.normal(size=(999, 100)), y))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['7']
    >>> plt.close(ax.figure)
    """
    simulated_only(res, "plot_outliers")
    most = whole_number(most, "most", least=1)
    result = res.outlier_test()
    rows = result.table["row"].to_numpy()
    low, high = _ranges(res, rows)
    y = res.observed[rows]
    distance = np.maximum(y - high, low - y) / np.maximum(high - low, 1e-12)
    order = np.argsort(-distance, kind="stable")[:most]
    rows, low, high, y = rows[order], low[order], high[order], y[order]
    with drawing_on(ax, (5.4, 1.5 + 0.22 * max(rows.size, 3))) as ax:
        place = np.arange(rows.size)
        ax.barh(place, high - low, 0.5, left=low, color=BAND, label="all simulations")
        room = _name_rows(ax, level_texts(res.index[rows]))
        size = float(np.clip(0.9 * room, 3.0, 6.5))  # neighbours do not hide each other
        ax.plot(res.expected[rows], place, linestyle="none", marker="|", color=INK, markersize=1.2 * size,
                label="expected")  # fmt: skip
        ax.plot(y, place, linestyle="none", marker="X", color=ALERT, markersize=size, label="observed",
                clip_on=False)  # fmt: skip
        if rows.size:
            _add_legend(ax)
        ax.set(xlabel="Response", ylabel="Row")
        if not rows.size:
            ax.set(xticks=[], yticks=[])
            ax.annotate("No observation lies outside\nall of its simulations", (0.5, 0.5), ha="center",
                        va="center", xycoords="axes fraction", color=MUTED)  # fmt: skip
        set_title(ax, title if title is not None else _finding(result, rows.size))
    return ax


def _legend_lines(ax: Axes) -> tuple[int, float, float]:
    """Lines of the legend; width and height of the axes in inches."""
    width, height = (length / 72 for length in points_of(ax))
    return 1 if width > 3.4 else 3, width, height


def _name_rows(ax: Axes, names: list[str]) -> float:
    """Label the rows as large as they have room, the legend below them; points from row to row."""
    if not names:
        return 72.0
    lines, width, height = _legend_lines(ax)
    share = min(0.45, (0.2 * lines + 0.05) / height)
    room = 72 * 0.85 * height * (1 - share) / len(names)
    every = int(np.ceil(6.0 / room))
    characters = int(np.clip(6 * width, 8, 24))
    shown = [name if k % every == 0 else "" for k, name in enumerate(shorten_all(names, characters))]
    ax.set_yticks(np.arange(len(names)), shown, fontsize=float(np.clip(0.75 * room, 5.0, 8.5)))
    ax.set_ylim(len(names) / (1 - share) - 0.4, -0.6)
    return float(room)


def _add_legend(ax: Axes) -> None:
    lines, _, _ = _legend_lines(ax)
    ax.legend(loc="lower right", ncols=3 // lines, fontsize="small", frameon=False, handletextpad=0.3,
              columnspacing=1.0, borderaxespad=0.1, labelspacing=0.2)  # fmt: skip


def _ranges(res: Any, rows: NDArray[Any]) -> tuple[Any, Any]:
    """Smallest and largest simulation of each row."""
    low, high = np.full(rows.size, np.inf), np.full(rows.size, -np.inf)
    if rows.size:
        for _, block in res.iter_simulations():
            low = np.minimum(low, block[:, rows].min(axis=0))
            high = np.maximum(high, block[:, rows].max(axis=0))
    return low, high


def _finding(result: OutlierResult, shown: int) -> str:
    if result.pvalue < 0.05:
        word = "Too many outliers" if result.statistic > result.expected else "Too few outliers"
    else:
        word = "Outliers as expected"
    text = f"{word}: {result.counted}, {result.expected:.1f} expected, {pvalue_text(result.pvalue)}"
    return text + (f"\nthe {shown} farthest outside are shown" if shown < result.observed else "")
