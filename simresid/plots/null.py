"""Observed statistics among simulated ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks.base import pvalue_text
from simresid.checks.inputs import is_simulated
from simresid.checks.results import StatisticResult
from simresid.plots.style import ALERT, BAND, INK, MUTED, POINT, drawing_on, number_texts, set_title

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

__all__ = ["plot_dispersion", "plot_statistic", "plot_zero_inflation"]


def plot_statistic(
    res: Any,
    statistic: Callable[..., Any] | None = None,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    **test: Any,
) -> Axes:
    """Statistic of the data among the same statistic of simulated data.

    Parameters
    ----------
    res : SimulatedResiduals, or the result of a test that simulates
        A result (of `statistic_test`, `dispersion_test`, `simulated_lrt`, ...) is drawn as it is.
    statistic : callable, optional
        As in `statistic_test`; only with residuals.
    ax : Axes, optional
        Where to draw; a new figure by default.
    title : str, optional
        Heading; the finding by default.
    **test
        Passed on to `statistic_test`.

    Returns
    -------
    Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If the result holds no simulated statistics.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib.pyplot as plt
    >>> from simresid import from_simulations, plot_statistic
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.normal(size=(99, 50)), rng.normal(size=50))
    >>> ax = plot_statistic(res, np.max)
    >>> ax.get_xlabel()
    'max'
    >>> plt.close(ax.figure)
    """
    result = res
    if is_simulated(res):
        if statistic is None:
            raise ValueError("plot_statistic needs a statistic, or the result of a test")
        from simresid.checks.statistic import statistic_test

        result = statistic_test(res, statistic, **test)
    name = result.method if type(result) is StatisticResult else result.title
    return draw_null(result, ax, name, title)


def plot_dispersion(res: Any, ax: Axes | None = None, *, title: str | None = None, **test: Any) -> Axes:
    """Dispersion ratio of the data among those of simulated data.

    Parameters
    ----------
    res : SimulatedResiduals
        Residuals to draw.
    ax : Axes, optional
        Where to draw; a new figure by default.
    title : str, optional
        The finding by default.
    **test
        Passed on to `dispersion_test`, such as ``method="dharma"``.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib.pyplot as plt
    >>> from simresid import from_simulations, plot_dispersion
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, (250, 100)), rng.negative_binomial(2, 0.4, 100))
    >>> ax = plot_dispersion(res)
    >>> ax.get_title(loc="left")[:13]
    'Overdispersed'
    >>> plt.close(ax.figure)
    """
    from simresid.checks.dispersion import DISPERSION, dispersion_test

    result = dispersion_test(res, **test)
    if title is None:
        word = DISPERSION.word(result).capitalize() if result.pvalue < 0.05 else "Dispersion as expected"
        title = f"{word}, {pvalue_text(result.pvalue)}"
    return draw_null(result, ax, "Dispersion ratio", title)


def plot_zero_inflation(res: Any, ax: Axes | None = None, *, title: str | None = None, **test: Any) -> Axes:
    """Zeros in the data among the numbers of zeros in simulated data.

    Parameters
    ----------
    res : SimulatedResiduals
        Residuals to draw.
    ax : Axes, optional
        Where to draw; a new figure by default.
    title : str, optional
        The finding by default.
    **test
        Passed on to `zero_inflation_test`.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib.pyplot as plt
    >>> from simresid import from_simulations, plot_zero_inflation
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, (250, 100)), rng.poisson(3, 100))
    >>> ax = plot_zero_inflation(res)
    >>> ax.get_xlabel()
    'Number of zeros'
    >>> plt.close(ax.figure)
    """
    from simresid.checks.zero_inflation import zero_inflation_test

    result = zero_inflation_test(res, **test)
    if title is None:
        word = "Zeros as expected"
        if result.pvalue < 0.05:
            word = "Too many zeros" if result.observed > result.expected else "Too few zeros"
        title = f"{word}, {pvalue_text(result.pvalue)}"
    return draw_null(result, ax, "Number of zeros", title)


def draw_null(result: Any, ax: Axes | None, name: str, title: str | None) -> Axes:
    """Histogram of simulated statistics with their central 95 % and the observed one."""
    from matplotlib.ticker import MaxNLocator

    null = getattr(result, "null_distribution", None)
    if null is None:
        raise ValueError(f"{result.title} ({result.method}) holds no simulated statistics to draw")
    observed = float(result.observed if isinstance(result, StatisticResult) else result.statistic)
    departs = result.pvalue < 0.05
    among = "refits" if result.null == "refits" else "simulations"
    low, high = np.quantile(null, [0.025, 0.975])
    with drawing_on(ax, (5.2, 3.4)) as ax:
        ax.axvspan(low, high, color=BAND, linewidth=0, zorder=0)
        heights, _, _ = ax.hist(null, bins=_bins(null), color=POINT, alpha=0.75, edgecolor="white", linewidth=0.6)
        top = float(np.max(heights))
        ax.set_ylim(0, top * 1.5)
        colour, marker, width = (ALERT, "X", 2.4) if departs else (INK, "o", 1.6)
        ax.plot([observed] * 2, [0, top * 1.1], color=colour, linewidth=width)
        ax.plot(observed, top * 1.1, color=colour, marker=marker, markersize=7)
        _label(ax, observed, low, high, departs, among)
        ax.set(xlabel=name, ylabel=among.capitalize())
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        set_title(ax, title if title is not None else _finding(result, departs))
    return ax


def _finding(result: Any, departs: bool) -> str:
    return f"{'Departs from' if departs else 'In line with'} the model, {pvalue_text(result.pvalue)}"


def _label(ax: Axes, observed: float, low: float, high: float, departs: bool, among: str) -> None:
    """Write the observed value and the simulated range above the bars, on the side of the observed one."""
    left, right = ax.get_xlim()
    place = (observed - left) / (right - left)
    align = "left" if place < 0.3 else "right" if place > 0.7 else "center"
    at = {"left": 0.02, "center": place, "right": 0.98}[align]
    own, lower, upper = number_texts([observed, low, high])
    for height, text, weight, colour in (
        (0.97, f"observed {own}", "bold", ALERT if departs else INK),
        (0.88, f"95\N{NO-BREAK SPACE}% of {among}: {lower} to {upper}", "normal", MUTED),
    ):
        ax.annotate(text, (at, height), xycoords="axes fraction", ha=align, va="top", fontsize="small",
                    fontweight=weight, color=colour)  # fmt: skip


def _bins(null: Any) -> Any:
    """Bins centred on whole numbers for counts, otherwise about the square root of their number."""
    low, high = float(np.min(null)), float(np.max(null))
    if low == high:
        return np.array([low - 0.5, low + 0.5])
    if np.array_equal(null, np.rint(null)):
        step = max(1, int(np.ceil((high - low) / 30)))
        return np.arange(low - 0.5, high + step + 0.5, step)
    return np.linspace(low, high, int(np.clip(np.sqrt(np.size(null)) * 1.3, 8, 40)) + 1)
