"""Hanging rootogram: which counts are too rare or too frequent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.arguments import whole_number
from simresid.checks.frequencies import count_frequencies
from simresid.plots.style import ALERT, BAND, INK, POINT, drawing_on, points_of, set_title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend
    from numpy.typing import NDArray

__all__ = ["plot_rootogram"]

APART = 0.15
"""Least distance between ticks of frequencies, as a share of the axis."""


def plot_rootogram(res: Any, ax: Axes | None = None, *, max_count: int | None = None, title: str | None = None) -> Axes:
    """Hanging rootogram of a count response.

    Bars of the observed frequencies hang from the expected ones, both as square roots (Kleiber and Zeileis
    2016). A bar that ends in the shaded band around zero is as long as in 95 % of the simulations; the others
    are hatched: too short when they end above, too long when below.

    Parameters
    ----------
    res : SimulatedResiduals
        Residuals to draw.
    ax : Axes, optional
        Where to draw; a new figure by default.
    max_count : int, optional
        Counts from here on share the last bar.
    title : str, optional
        Heading; the finding by default.

    Returns
    -------
    Axes
        The axes drawn on.

    References
    ----------
    Kleiber, C. and Zeileis, A. (2016). Visualizing count data regressions using rootograms. The American
    Statistician 70, 296-303.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib.pyplot as plt
    >>> from simresid import from_simulations, plot_rootogram
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(2, (250, 100)), rng.poisson(2, 100))
    >>> ax = plot_rootogram(res)
    >>> ax.get_xlabel()
    'Count'
    >>> plt.close(ax.figure)
    """
    if max_count is not None:
        max_count = whole_number(max_count, "max_count", least=0, most=10**9)
    table = count_frequencies(res, max_count)
    x = np.arange(len(table))
    root = {c: np.sqrt(table[c].to_numpy(dtype=float)) for c in ("observed", "expected", "lower", "upper")}
    end = root["expected"] - root["observed"]
    low, high = root["expected"] - root["upper"], root["expected"] - root["lower"]
    outside = table["outside"].to_numpy()
    with drawing_on(ax, (5.6, 3.8)) as ax:
        ax.bar(x, high - low, 1.0, bottom=low, color=BAND, linewidth=0, label="95 % of simulations", zorder=1)
        for at, style in ((~outside, {"color": POINT, "alpha": 0.75, "label": "observed"}),
                          (outside, {"facecolor": "white", "edgecolor": ALERT, "hatch": "////",
                                     "label": "outside the simulations"})):  # fmt: skip
            if at.any():
                ax.bar(x[at], -root["observed"][at], 0.7, bottom=root["expected"][at], zorder=2, **style)
        ax.plot(
            x,
            root["expected"],
            color=INK,
            marker="o",
            markersize=3.5,
            linewidth=1.3,
            label="expected",
            zorder=3,
        )
        ax.axhline(0, color=INK, linewidth=0.8, zorder=2.5)
        lowest = min(float(end.min()), float(low.min()))
        ax.set_ylim(lowest - 0.05 * root["expected"].max(), 1.05 * max(root["expected"].max(), high.max()))
        _name_counts(ax, table)
        _frequency_axis(ax, float(root["expected"].max()))
        ax.set(xlabel="Count", ylabel="Frequency (square-root scale)")
        n_bad = int(outside.sum())
        by_chance = 0.05 * x.size
        finding = f"{n_bad} of {x.size} bars outside, {by_chance:.1f} expected" if n_bad else "Counts as simulated"
        set_title(ax, title if title is not None else finding)
        legend = ax.legend(loc="upper right", fontsize="small", frameon=True, framealpha=0.85, edgecolor="none")
        _make_room(ax, legend, np.maximum(root["expected"], high))
    return ax


def _make_room(ax: Axes, legend: Legend, heights: NDArray[Any]) -> None:
    """Raise the upper end of the axis until the legend hides none of the bars."""
    width, height = points_of(ax)
    texts = legend.get_texts()
    em = float(texts[0].get_fontsize())
    reach = em * (4.5 + 0.58 * max(len(text.get_text()) for text in texts))  # with its marks and margins
    right = ax.get_xlim()[1]
    below = heights[np.arange(heights.size) > right - reach / width * (right - ax.get_xlim()[0]) - 0.5]
    low, high = ax.get_ylim()
    share = min(0.6, em * (1.55 * len(texts) + 1.0) / height)
    if below.size:
        ax.set_ylim(low, max(high, low + (float(below.max()) - low) / (1.0 - share)))


def _name_counts(ax: Axes, table: pd.DataFrame) -> None:
    n = len(table)
    every = max(1, -(-n // 8))
    at = [k for k in range(n - 1) if k % every == 0 and k < n - 1 - every / 2] + [n - 1]
    ax.set_xticks(at, [f"{table['low'][k]:.0f}" + ("+" if k == n - 1 else "") for k in at])
    ax.set_xlim(-0.7, n - 0.3)


def _frequency_axis(ax: Axes, highest: float) -> None:
    """Label square roots by the frequencies they stand for, round ones: 1, 2 and 5 times powers of ten."""
    if highest <= 0.0:
        ax.set_yticks([0.0], ["0"])
        return
    power = 10.0 ** (np.floor(2.0 * np.log10(highest)) - np.arange(3))
    ticks: list[float] = []
    for frequency in np.outer(power, [10.0, 5.0, 2.0, 1.0]).ravel():
        root = float(np.sqrt(frequency))
        if APART <= root / highest <= 1.05 and (not ticks or (ticks[-1] - root) / highest >= APART):
            ticks.append(root)
    ax.set_yticks([0.0, *ticks], ["0", *(f"{t * t:,.6g}" for t in ticks)])
