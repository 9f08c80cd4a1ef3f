"""Observed against predicted by groups of risk, and the Lorenz curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glmmcore.arguments import known_elsewhere
from simresid.checks.ranking import NEW_ROWS, gini_index, lift_table, lorenz_curve
from simresid.plots.style import INK, MUTED, POINT, drawing_on, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

__all__ = ["plot_lift", "plot_lorenz"]


@known_elsewhere(**NEW_ROWS)
def plot_lift(
    model: Any,
    n_groups: int = 10,
    ax: Axes | None = None,
    *,
    weights: str | ArrayLike | None = None,
    exposure: str | ArrayLike | None = None,
    title: str | None = None,
) -> Axes:
    """Observed and predicted means in groups of increasing prediction.

    Parameters
    ----------
    model : SimulatedResiduals, fitted model or ``fit.held_out(...)``
        Anything with `observed` and `fitted`.
    n_groups : int
        Groups, ten for deciles.
    ax : Axes, optional
        Where to draw; a new figure by default.
    weights, exposure : array_like (n,), optional
        As in `lift_table`.
    title : str, optional
        Heading.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from glmmcore import glmm
    >>> from simresid import plot_lift
    >>> fit = glmm("y ~ x", {"y": [1, 3, 2, 6, 4, 7], "x": [0, 1, 0, 2, 1, 2]}, family="poisson")
    >>> ax = plot_lift(fit, 3)
    >>> [line.get_label() for line in ax.lines]
    ['predicted', 'observed']
    >>> plt.close(ax.figure)
    """
    table = lift_table(model, n_groups, weights=weights, exposure=exposure)
    with drawing_on(ax, (5.4, 3.8)) as ax:
        ax.plot(table.index, table["predicted"], color=MUTED, marker="s", linestyle="--", label="predicted")
        ax.plot(table.index, table["observed"], color=POINT, marker="o", label="observed")
        ax.set_xticks(table.index)
        ax.set_ylim(bottom=0.0)
        scale = "Mean response" if exposure is None else "Response per unit of exposure"
        ax.set(xlabel="Group of rows, lowest predictions first", ylabel=scale)
        ax.legend(loc="upper left", frameon=False)
        set_title(ax, f"Observed and predicted, {len(table)} groups" if title is None else title)
    return ax


@known_elsewhere(**NEW_ROWS)
def plot_lorenz(
    model: Any,
    ax: Axes | None = None,
    *,
    weights: str | ArrayLike | None = None,
    exposure: str | ArrayLike | None = None,
    title: str | None = None,
) -> Axes:
    """Lorenz curve of the observed total, rows sorted by prediction.

    Parameters
    ----------
    model : SimulatedResiduals, fitted model or ``fit.held_out(...)``
        Anything with `observed` and `fitted`.
    ax : Axes, optional
        Where to draw; a new figure by default.
    weights, exposure : array_like (n,), optional
        As in `lift_table`.
    title : str, optional
        Heading; the Gini index by default.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from glmmcore import glmm
    >>> from simresid import plot_lorenz
    >>> fit = glmm("y ~ x", {"y": [1, 3, 2, 6, 4, 7], "x": [0, 1, 0, 2, 1, 2]}, family="poisson")
    >>> ax = plot_lorenz(fit)
    >>> ax.get_title(loc="left")
    'Gini index 0.290, best 0.312'
    >>> plt.close(ax.figure)
    """
    curve = lorenz_curve(model, weights=weights, exposure=exposure)
    gini = gini_index(model, weights=weights, exposure=exposure)
    with drawing_on(ax, (4.4, 4.2)) as ax:
        ax.fill_between(curve.iloc[:, 0], curve.iloc[:, 0], curve.iloc[:, 1], color=POINT, alpha=0.15, linewidth=0)
        ax.plot([0.0, 1.0], [0.0, 1.0], color=INK, linewidth=0.8, linestyle=":", label="all rows alike")
        ax.plot(curve.iloc[:, 0], curve.iloc[:, 1], color=POINT, label="sorted by prediction")
        ax.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0), aspect="equal")
        ax.set(xlabel="Share of rows, lowest predictions first", ylabel="Share of the observed total")
        ax.legend(loc="upper left", frameon=False)
        said = f"Gini index {gini['gini']:.3f}, best {gini['best']:.3f}"
        set_title(ax, said if title is None else title)
    return ax
