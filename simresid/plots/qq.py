"""Quantile-quantile plot of scaled residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks.inputs import is_simulated, residual_array, shares_random_effects
from simresid.plots.style import ALERT, BAND, INK, MUTED, POINT, band_of_refits, drawing_on, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from simresid.alignment import FloatArray
    from simresid.checks.nulls.choice import NullKind
    from simresid.checks.results import UniformityResult

__all__ = ["plot_qq"]

MOST_POINTS = 2000
"""More order statistics than this are thinned evenly: the curve they trace looks the same."""

SMOOTHED_OVER = 0.03
"""Widest neighbourhood, as a probability, over which the drawn edges of a band of refits are averaged."""


def plot_qq(
    res: Any,
    ax: Axes | None = None,
    *,
    title: str | None = "QQ plot",
    null: NullKind = "auto",
    n_refits: int | None = None,
) -> Axes:
    """Sorted residuals against their expectation, with a band that holds all of them in 95 % of right models.

    Of a model that can refit the band is that of ``uniformity_test(res)``, an envelope of refits that is crossed where
    p < .05, and the points are quantiles of the mean distribution function over all ways to break ties. Otherwise it is
    that of ``uniformity_test(res, method="band")``. Points where it is crossed are drawn as crosses.

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)
        Residuals in [0, 1].
    ax : Axes, optional
        Where to draw; a new figure by default.
    title : str, optional
        Heading of the panel; None or empty for none.
    null : {"auto", "refits", "simulated", "analytic"}
        As in `uniformity_test`.
    n_refits : int, optional
        As in `uniformity_test`.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib.pyplot as plt
    >>> from simresid import plot_qq
    >>> ax = plot_qq(np.random.default_rng(1).random(100))
    >>> ax.get_xlabel()
    'Expected residual'
    >>> plt.close(ax.figure)
    """
    u = residual_array(res)
    test = _test(res, u, null, n_refits)
    band, effect = test.band, test.effect
    assert band is not None
    assert effect is not None
    negligible = effect.severity == "negligible"
    grid, own, lower, upper = (band[name].to_numpy() for name in ("probability", "observed", "lower", "upper"))
    if test.null == "refits":
        lower, upper = _monotone(lower, upper)
    crossed = (own < lower) | (own > upper)
    keep = _thinned(u.size)
    x = (keep + 1) / (u.size + 1)
    y = np.sort(u)[keep]
    if test.null == "refits":  # ties are not broken: quantiles of the mean distribution function
        y = np.interp(x, np.concatenate([[0.0], band["observed"], [1.0]]), np.concatenate([[0.0], grid, [1.0]]))
    outside = _near_crossing(y, grid, crossed)
    with drawing_on(ax, (4.2, 4.2)) as ax:
        edge, left, right = (np.concatenate([[0.0], values, [1.0]]) for values in (grid, lower, upper))
        if test.null == "refits":
            left, right = (_smooth(edge, side, u.size) for side in (left, right))
        ax.fill_betweenx(edge, left, right, color=BAND, linewidth=0, label=_label(res, test))
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, zorder=1.5)
        size = float(np.clip(5.2 - 0.7 * np.log10(u.size), 2.5, 4.5))
        style: Any = {"linestyle": "none", "rasterized": u.size > MOST_POINTS}
        ax.plot(x[~outside], y[~outside], marker="o", markersize=size, color=POINT, alpha=0.75,
                markeredgewidth=0, **style)  # fmt: skip
        if outside.any():
            label, colour = ("outside, negligible", MUTED) if negligible else ("outside the band", ALERT)
            ax.plot(x[outside], y[outside], marker="x", markersize=size + 1, color=colour, label=label,
                    markeredgewidth=1.2, **style)  # fmt: skip
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="Expected residual", ylabel="Observed residual")
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
        ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
        if title is not None:
            set_title(ax, title)
        ax.legend(loc="upper left", fontsize="small", frameon=False, labelcolor=INK, handlelength=1.4,
                  borderaxespad=0.2)  # fmt: skip
    return ax


def _monotone(lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The part of a band that distribution functions can reach: they leave it if and only if they leave the band."""
    return np.maximum.accumulate(lower), np.minimum.accumulate(upper[::-1])[::-1]


def _smooth(edge: FloatArray, side: FloatArray, n: int) -> FloatArray:
    """Average a side of the band over the neighbourhood in which few residuals make its steps."""
    reach = np.minimum(min(SMOOTHED_OVER, 0.5 / n), np.minimum(edge, 1.0 - edge))
    offsets = np.linspace(-1.0, 1.0, 21)
    return np.asarray(np.interp(edge[:, None] + reach[:, None] * offsets, edge, side).mean(axis=1))


def _test(res: Any, u: FloatArray, null: NullKind, n_refits: int | None) -> UniformityResult:
    """The test with a band: against refits if possible, or of the residuals as they are."""
    from simresid.checks.nulls.choice import check_null
    from simresid.checks.uniformity import uniformity_test

    check_null(null, n_refits)
    if is_simulated(res) and null in ("auto", "refits"):
        among_refits = uniformity_test(res, null=null, n_refits=n_refits)
        if among_refits.band is not None:
            return among_refits
    return uniformity_test(u, method="band")


def _label(res: Any, test: UniformityResult) -> str:
    if test.null == "refits":
        return band_of_refits(test.n_refits)
    return "95 % band" + (" (independent rows)" if shares_random_effects(res) else "")


def _thinned(n: int) -> NDArray[np.intp]:
    """Positions of the order statistics to draw: all, or evenly spaced ones with both ends."""
    if n <= MOST_POINTS:
        return np.arange(n)
    return np.unique(np.linspace(0, n - 1, MOST_POINTS).astype(np.intp))


def _near_crossing(y: Any, grid: Any, crossed: Any) -> Any:
    """Whether the band is crossed at either grid point next to each residual."""
    padded = np.concatenate([[False], crossed, [False]])
    right = np.searchsorted(grid, y) + 1
    return padded[right] | padded[right - 1]
