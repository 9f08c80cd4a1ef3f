"""Histogram of scaled residuals, with the outliers apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.arguments import whole_number
from simresid.checks.base import pvalue_text
from simresid.checks.inputs import is_simulated, residual_array
from simresid.plots.style import ALERT, BAND, INK, MUTED, POINT, drawing_on, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_histogram"]

MOST_BINS = 10_000


def plot_histogram(res: Any, ax: Axes | None = None, *, n_bins: int | None = None, title: str | None = None) -> Axes:
    """Histogram of residuals over the even height that a right model gives.

    The shaded band holds a single bar in 95 % of right models. Observations outside all simulations are the
    hatched bars beside 0 and 1.

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)
        Residuals to draw; plain ones must lie in [0, 1].
    ax : Axes, optional
        Where to draw; a new figure by default.
    n_bins : int, optional
        Bars between 0 and 1; by default 5 to 20, as `n` allows.
    title : str, optional
        The finding of the tests by default.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib.pyplot as plt
    >>> from simresid import plot_histogram
    >>> ax = plot_histogram((np.arange(100) + 0.5) / 100)
    >>> ax.get_title(loc="left")[:15]
    'Residuals level'
    >>> plt.close(ax.figure)
    """
    from scipy.stats import binom

    from simresid.checks.uniformity import uniformity_test

    u = residual_array(res)
    k = int(np.clip(u.size // 10, 5, 20)) if n_bins is None else whole_number(n_bins, "n_bins", least=1, most=MOST_BINS)
    side = res.outlier_sides if is_simulated(res) else np.zeros(u.size, dtype=int)
    counts, edges = np.histogram(u[side == 0], bins=k, range=(0.0, 1.0))
    share = 1.0 / k
    low, high = binom.interval(0.95, u.size, share)
    with drawing_on(ax, (5.2, 3.6)) as ax:
        ax.fill_between([0, 1], low, high, color=BAND, linewidth=0, label="95 % range of a bar")
        ax.bar(edges[:-1], counts, share, align="edge", color=POINT, alpha=0.75, edgecolor="white", linewidth=0.8)
        ax.plot([0, 1], [u.size * share] * 2, color=INK, linewidth=1.1, linestyle=(0, (4, 3)), label="expected")
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        top = max(counts.max(), high)
        if is_simulated(res):
            _outlier_bars(ax, [int((side < 0).sum()), int((side > 0).sum())], top)
        ax.set(ylim=(0, top * 1.3), xlabel="Scaled residual", ylabel="Observations")
        ax.legend(loc="upper center", ncols=2, fontsize="small", frameon=False, borderaxespad=0.1)
        result = uniformity_test(res)
        even = "level" if result.pvalue >= 0.05 else "uneven"
        set_title(ax, title if title is not None else f"Residuals {even}, {pvalue_text(result.pvalue)}")
    return ax


def _outlier_bars(ax: Axes, counts: list[int], top: float) -> None:
    for left, count, text in ((-0.075, counts[0], "below\nall"), (1.025, counts[1], "above\nall")):
        ax.bar(left, count, 0.05, align="edge", facecolor="white", edgecolor=ALERT, hatch="////", linewidth=1.0)
        ax.annotate(f"{count}", (left + 0.025, min(count, top)), xytext=(0, 2), textcoords="offset points",
                    ha="center", va="bottom", fontsize="small", color=ALERT if count else MUTED)  # fmt: skip
        ax.annotate(text, (left + 0.025, 0), xycoords=("data", "axes fraction"), xytext=(0, -4),
                    textcoords="offset points", ha="center", va="top", fontsize="small", color=MUTED,
                    linespacing=0.95)  # fmt: skip
    ax.set_xlim(-0.14, 1.14)
    ax.set_xticks([0.25, 0.5, 0.75], ["0.25", "0.5", "0.75"])
