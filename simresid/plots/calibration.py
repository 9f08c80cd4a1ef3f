"""Rejection rates of tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.plots.style import ALERT, INK, LOOKS, MUTED, POINT, band_look, drawing_on, level_texts, set_title, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_calibration"]


def plot_calibration(benchmark: Any, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """Rejection rates with exact 95 % intervals, by test or along control values.

    Parameters
    ----------
    benchmark : BenchmarkResult
        From `benchmark_tests`. Without control values, each test is a line of a dot plot, marked with a cross
        if its interval leaves out the nominal level. With control values, rates are drawn against them.
    ax : Axes, optional
        Where to draw; a new figure by default.
    title : str, optional
        Heading; the finding by default.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from simresid import benchmark_tests, plot_calibration
    >>> def pvalues(rng):
    ...     return {"fair": rng.random(), "liberal": rng.random() ** 2}
    >>> ax = plot_calibration(benchmark_tests(pvalues, n_replicates=200))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['fair', 'liberal']
    >>> plt.close(ax.figure)
    """
    table = benchmark.summary()
    if table.empty:
        raise ValueError("the benchmark holds no p-values")
    single = table["control"].nunique(dropna=False) == 1
    n_tests = table["test"].nunique()
    with drawing_on(ax, (5.4, 1.4 + 0.3 * max(n_tests, 3)) if single else (5.6, 4.0)) as ax:
        (_dots if single else _lines)(ax, table, benchmark.alpha)
        n = int(table["n"].max())
        failed = sum(benchmark.failures.values())
        finding = f"Rejection rates, {n:,} data sets" + (f", {failed:,} failed" if failed else "")
        set_title(ax, title if title is not None else finding)
    return ax


def _dots(ax: Axes, table: Any, alpha: float) -> None:
    place = np.arange(len(table))
    off = ((table["low"] > alpha) | (table["high"] < alpha)).to_numpy()
    ax.axvline(alpha, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    for at, colour, marker in ((~off, POINT, "o"), (off, ALERT, "X")):
        part = table[at]
        ax.hlines(place[at], part["low"], part["high"], color=colour, linewidth=2)
        ax.plot(part["rate"], place[at], linestyle="none", marker=marker, markersize=7, color=colour)
    ax.set_yticks(place, [shorten(str(name), 30) for name in table["test"]])
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set_xlim(0, max(2.2 * alpha, 1.08 * float(table["high"].max())))
    ax.set_xlabel(f"Proportion of p \N{LESS-THAN OR EQUAL TO} {alpha:g}, 95 % interval")


def _lines(ax: Axes, table: Any, alpha: float) -> None:
    import pandas as pd

    controls = list(dict.fromkeys(table["control"]))
    numeric = pd.api.types.is_numeric_dtype(table["control"])
    for k, (test, part) in enumerate(table.groupby("test", sort=False)):
        colour, marker, line = LOOKS[k % len(LOOKS)]
        x = part["control"] if numeric else [controls.index(c) for c in part["control"]]
        ax.fill_between(x, part["low"], part["high"], **band_look(colour, line))
        ax.plot(
            x,
            part["rate"],
            color=colour,
            marker=marker,
            linestyle=line,
            markersize=5,
            label=shorten(str(test), 24),
        )
    ax.axhline(alpha, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
    if not numeric:
        ax.set_xticks(range(len(controls)), [shorten(text, 14) for text in level_texts(controls)])
    ax.set(
        ylim=(-0.02, 1.02),
        xlabel="Control value",
        ylabel=f"Proportion of p \N{LESS-THAN OR EQUAL TO} {alpha:g}",
    )
    ax.legend(fontsize="small", frameon=False, loc="best")
