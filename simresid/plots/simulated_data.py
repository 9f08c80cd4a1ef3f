"""The data over what the model would have produced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks.inputs import simulated_only
from simresid.plots._categories import MOST_LEVELS, name_levels
from simresid.plots.predictors import resolve
from simresid.plots.style import ALERT, BAND, INK, POINT, drawing_on, set_title, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["plot_simulated_data"]

N_CURVES = 50
MOST_VALUES = 4_000_000
MOST_STEPS = 400


def plot_simulated_data(res: Any, group: Any = None, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """Observed response over simulated responses, whole or by group.

    With groups: points are the observations, the wide bar holds 95 % and the narrow, dark one half of the
    simulated values; the mean of each group is a diamond, or a cross if 95 % of the simulated means do not
    reach it. Without: the distribution function of the data (thick) among those of 50 simulations.

    Parameters
    ----------
    res : SimulatedResiduals
        Residuals to draw.
    group : array_like (n,) or str, optional
        Group of each row, or a column of the model's data; none by default.
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
    >>> import numpy as np
    >>> import matplotlib.pyplot as plt
    >>> from simresid import from_simulations, plot_simulated_data
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.normal(size=(99, 40)), rng.normal(size=40))
    >>> ax = plot_simulated_data(res, np.repeat(["a", "b"], 20))
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['a', 'b']
    >>> plt.close(ax.figure)
    """
    simulated_only(res, "plot_simulated_data")
    with drawing_on(ax, (5.6, 4.0)) as ax:
        finding = _curves(ax, res) if group is None else _groups(ax, res, group)
        set_title(ax, title if title is not None else finding)
    return ax


def _some_simulations(res: Any) -> NDArray[np.float64]:
    """Return the first simulations, few enough for memory."""
    most = max(N_CURVES, MOST_VALUES // res.n_obs)
    blocks, have = [], 0
    for _, block in res.iter_simulations():
        blocks.append(np.array(block[: most - have], dtype=float))
        have += blocks[-1].shape[0]
        if have >= most:
            break
    return np.vstack(blocks)


def _curves(ax: Axes, res: Any) -> str:
    simulated = _some_simulations(res)[:N_CURVES]
    raster = res.n_obs > 2000
    for k, values in enumerate(simulated):
        ax.plot(*_steps(values), color=POINT, linewidth=0.6, alpha=0.35, drawstyle="steps-post",
                rasterized=raster, label=f"{len(simulated)} simulations" if k == 0 else None)  # fmt: skip
    ax.plot(*_steps(res.observed), color=INK, linewidth=2.2, drawstyle="steps-post", label="observed")
    ax.set(xlabel="Response", ylabel="Cumulative proportion")
    ax.legend(loc="lower right", fontsize="small", frameon=False)
    return "Distribution of observed and simulated data"


def _steps(values: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distribution function at evenly spaced ranks, exact there, with the step at the smallest value."""
    s = np.sort(np.asarray(values, dtype=float))
    at = s[np.unique(np.linspace(0, s.size - 1, min(s.size, MOST_STEPS)).astype(int))]
    share = np.searchsorted(s, at, side="right") / s.size
    return np.concatenate([at[:1], at]), np.concatenate([[0.0], share])


def _groups(ax: Axes, res: Any, group: Any) -> str:
    from matplotlib.ticker import MaxNLocator

    levels = resolve(res, group, None)
    if levels.n_missing:
        raise ValueError(f"group is missing in {levels.n_missing} rows; leave them out with recalculate(select=)")
    codes, names = levels.codes, levels.levels
    if len(names) > MOST_LEVELS:
        raise ValueError(f"{levels.name} has {len(names)} levels, too many to draw")
    simulated = _some_simulations(res)
    members = [np.flatnonzero(codes == k) for k in range(len(names))]
    means = np.stack([simulated[:, rows].mean(axis=1) for rows in members], axis=1)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    mean = np.array([res.observed[rows].mean() for rows in members])
    outside = (mean < low) | (mean > high)
    upright = name_levels(ax, names, outside)
    if res.discrete:
        (ax.yaxis if upright else ax.xaxis).set_major_locator(MaxNLocator("auto", integer=True))
    for k, rows in enumerate(members):
        q = np.quantile(simulated[:, rows], [0.025, 0.25, 0.75, 0.975])
        for a, b, width, colour in ((q[0], q[3], 0.7, BAND), (q[1], q[2], 0.42, "#a9c3d8")):
            draw, start = (ax.bar, "bottom") if upright else (ax.barh, "left")
            draw(k, b - a, width, **{start: a}, color=colour, linewidth=0, zorder=1)
    jitter = codes + np.random.default_rng(1).uniform(-0.18, 0.18, codes.size)
    size = float(np.clip(260 / np.sqrt(codes.size), 3, 18))
    points = (jitter, res.observed) if upright else (res.observed, jitter)
    ax.scatter(*points, s=size, color=POINT, alpha=0.65, linewidth=0, zorder=2, rasterized=codes.size > 2000)
    place = np.arange(len(names))
    for at, marker, colour, label in (
        (~outside, "D", INK, "mean"),
        (outside, "X", ALERT, "mean, not reproduced"),
    ):
        if at.any():
            xy = (place[at], mean[at]) if upright else (mean[at], place[at])
            ax.plot(*xy, linestyle="none", marker=marker, color=colour, markersize=7, markeredgecolor="white",
                    zorder=4, label=label)  # fmt: skip
    ax.use_sticky_edges = False  # bars at zero would leave no room for the lower half of points there
    ax.autoscale_view(scalex=not upright, scaley=upright)
    (ax.set_xlabel if upright else ax.set_ylabel)(shorten(levels.name, 40))
    (ax.set_ylabel if upright else ax.set_xlabel)("Response")
    bad = int(outside.sum())
    return f"{bad} of {len(names)} group means not reproduced" if bad else "Group means as simulated"
