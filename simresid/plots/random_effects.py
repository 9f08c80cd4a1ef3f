"""Random effects of a model: caterpillar plot and normal QQ plot of the conditional modes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from glmmcore.arguments import require_name
from simresid.checks.inputs import is_simulated
from simresid.plots.style import (
    ALERT,
    BAND,
    INK,
    MUTED,
    POINT,
    drawing_on,
    level_texts,
    new_figure,
    points_of,
    set_title,
    shorten,
    style,
)
from simresid.protocol import HasPredictedEffects, HasPredictedEffectsSd, HasVarianceTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["plot_random_effects"]

NAMES_UP_TO = 40


class Modes(NamedTuple):
    """Conditional modes of one coefficient over the levels of a group."""

    group: str
    term: str
    levels: list[str]
    mode: NDArray[np.float64]
    sd: NDArray[np.float64]


def plot_random_effects(
    model: Any, group: str | None = None, term: str | None = None, ax: Axes | None = None
) -> Axes | NDArray[Any]:
    """Conditional modes in order of size with 95 % intervals, and how normal they are.

    An interval that leaves out zero is drawn thick and dark. The QQ plot divides each mode by its own
    marginal standard deviation, ``sqrt(variance - conditional variance)``, since modes of groups with little
    data are shrunk more; its band holds a single mode in 95 % of right models.

    Parameters
    ----------
    model : fitted model or SimulatedResiduals
        A model with `random_effects`, `random_effects_sd` (dicts of data frames, level by coefficient) and
        `var_corr`, such as those of `glmmcore.glmm`.
    group, term : str, optional
        Draw only this grouping factor and this coefficient.
    ax : Axes, optional
        For the caterpillar plot of a single coefficient, without the QQ plot. By default a figure with a row
        of two panels per coefficient.

    Returns
    -------
    Axes, or ndarray of Axes (n_coefficients, 2)
        The axes drawn on.

    Raises
    ------
    TypeError
        If the model does not offer random effects.
    ValueError
        If nothing matches `group` and `term`, or several coefficients do and `ax` is given.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> import matplotlib.pyplot as plt
    >>> from glmmcore import glmm
    >>> from simresid import plot_random_effects
    >>> rng = np.random.default_rng(1)
    >>> g = np.repeat(np.arange(8), 5)
    >>> d = pd.DataFrame({"g": g, "y": rng.normal(size=8)[g] + rng.normal(size=40)})
    >>> axes = plot_random_effects(glmm("y ~ 1 + (1|g)", d))
    >>> axes.shape
    (1, 2)
    >>> plt.close(axes[0, 0].figure)
    """
    model = model.model if is_simulated(model) else model
    if not (isinstance(model, HasPredictedEffects) and isinstance(model, HasPredictedEffectsSd)):
        raise TypeError(f"{type(model).__name__} offers no random effects with standard deviations")
    require_name(group, "plot_random_effects: group")
    require_name(term, "plot_random_effects: term")
    chosen = [m for m in _modes(model) if group in (None, m.group) and term in (None, m.term)]
    if not chosen:
        known = ", ".join(f"{m.group}: {m.term}" for m in _modes(model)) or "none"
        raise ValueError(f"no random effects for group={group!r}, term={term!r}; the model has {known}")
    if ax is not None:
        if len(chosen) > 1:
            raise ValueError(f"{len(chosen)} coefficients match; choose one with group= and term= to use ax=")
        with drawing_on(ax, (8.0, 4.0)) as ax:
            _caterpillar(ax, chosen[0])
        return ax
    with style():
        heights = [float(np.clip(0.9 + 0.13 * len(m.levels), 2.4, 6.0)) for m in chosen]
        figure = new_figure((8.0, sum(heights)))
        axes = figure.subplots(len(chosen), 2, squeeze=False, width_ratios=(1.5, 1), height_ratios=heights)
        for row, modes in zip(axes, chosen, strict=True):
            _caterpillar(row[0], modes)
            _normal_qq(row[1], modes, _spread(model, modes))
    return np.asarray(axes)


def _modes(model: Any) -> list[Modes]:
    found = []
    for group, frame in model.random_effects.items():
        spread = model.random_effects_sd[group]
        for k, term in enumerate(frame.columns):
            mode, sd = frame.iloc[:, k].to_numpy(dtype=float), spread.iloc[:, k].to_numpy(dtype=float)
            found.append(Modes(str(group), str(term), level_texts(frame.index), mode, sd))
    return found


def _spread(model: Any, modes: Modes) -> float | None:
    """Look up the standard deviation of the random coefficient; None if the model does not tell."""
    if not isinstance(model, HasVarianceTable):
        return None
    table = model.var_corr
    component, _, name = modes.group.rpartition(": ")
    name = name.rpartition(" | ")[2]  # effects of places have a table "ou(t) | g" where others of their group have one
    rows = table[(table["group"] == name) & (table["term"] == modes.term)]
    rows = rows[rows["component"] == (component or "cond")]
    return float(rows["sd"].iloc[0]) if len(rows) == 1 else None


def _caterpillar(ax: Axes, modes: Modes) -> None:
    order = np.argsort(modes.mode, kind="stable")
    mode, reach = modes.mode[order], 1.96 * modes.sd[order]
    place = np.arange(mode.size)
    clear = np.abs(mode) > reach
    ax.axvline(0, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    for at, colour, width, marker in ((~clear, POINT, 1.0, "o"), (clear, INK, 2.0, "D")):
        ax.hlines(place[at], (mode - reach)[at], (mode + reach)[at], color=colour, linewidth=width, zorder=2)
        ax.plot(mode[at], place[at], linestyle="none", marker=marker, markersize=3.6, color=colour, zorder=3,
                rasterized=mode.size > 2000)  # fmt: skip
    ax.set_ylim(-0.8, mode.size - 0.2)
    ax.set_xlabel(f"{shorten(modes.term, 24)} (link scale, 95 % intervals)")
    if mode.size <= NAMES_UP_TO:
        room = points_of(ax)[1] / mode.size
        every = int(np.ceil(6.5 / max(room, 0.5)))
        names = [shorten(modes.levels[k], 22) if j % every == 0 else "" for j, k in enumerate(order)]
        ax.set_yticks(place, names, fontsize=float(np.clip(0.8 * room, 5.0, 8.5)))
    else:
        ax.set_yticks([])
        ax.set_ylabel(f"{mode.size} levels in order")
    set_title(ax, f"{shorten(modes.group, 30)}: {int(clear.sum())} of {mode.size} apart from 0")


def _normal_qq(ax: Axes, modes: Modes, spread: float | None) -> None:
    from scipy.special import ndtri
    from scipy.stats import beta

    n = modes.mode.size
    marginal = None if spread is None else spread**2 - modes.sd**2
    standardised = marginal is not None and bool(np.all(marginal > 1e-8 * max(spread or 0.0, 1e-300) ** 2))
    z = np.sort(modes.mode / np.sqrt(marginal)) if standardised else np.sort(modes.mode)  # type: ignore[arg-type]
    i = np.arange(1, n + 1)
    x = ndtri(i / (n + 1))
    if standardised:
        low, high = ndtri(beta.ppf(0.025, i, n + 1 - i)), ndtri(beta.ppf(0.975, i, n + 1 - i))
        ax.fill_between(x, low, high, color=BAND, linewidth=0)
        ax.plot(x, x, color=MUTED, linewidth=0.9)
        outside = (z < low) | (z > high)
    else:
        outside = np.zeros(n, dtype=bool)
    ax.plot(x[~outside], z[~outside], linestyle="none", marker="o", markersize=4, color=POINT)
    ax.plot(x[outside], z[outside], linestyle="none", marker="X", markersize=6, color=ALERT)
    ax.set(xlabel="Normal quantile", ylabel="Standardised mode" if standardised else "Mode")
    set_title(ax, "Normal QQ plot")
