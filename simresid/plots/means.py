"""Marginal means with intervals and compact letters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from glmmcore.arguments import names_of, require_flag
from simresid.plots._effects import (
    check_options,
    draw_intervals,
    observed_values,
    require_fit,
    scale_label,
    view,
)
from simresid.plots.style import INK, LINE, POINT, drawing_on, level_texts, points_of, set_title, shorten
from simresid.simulations.warning_filters import silence

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["plot_means"]

ADJUSTMENTS = {"tukey": "Tukey", "mvt": "joint t", "holm": "Holm", "sidak": "Sidak", "bonferroni": "Bonferroni"}
"""How an adjustment is named in the heading."""


def plot_means(
    fit: Any,
    spec: str | Sequence[str],
    by: str | Sequence[str] | None = None,
    ax: Axes | None = None,
    *,
    letters: bool = True,
    data: bool = False,
    kind: str = "response",
    adjust: str = "tukey",
    level: float = 0.95,
    title: str | None = None,
    **options: Any,
) -> Axes:
    """Marginal means with intervals, and letters: means that share one do not differ.

    Draws `glmmcore.marginal_means` and `glmmcore.compact_letters`. The intervals are of single means: whether two
    differ is told by their letters, not by whether their intervals overlap.

    Parameters
    ----------
    fit : FittedGLMM or SimulatedResiduals
        A model fitted by `glmmcore.glmm`, or residuals of one.
    spec : str or sequence of str
        Columns whose levels have a mean each.
    by : str or sequence of str, optional
        Columns within whose levels means are compared; each level is a block of its own.
    ax : Axes, optional
        Where to draw; a new figure by default.
    letters : bool
        Whether to write compact letters beside the means.
    data : bool
        Whether to draw the observed values behind the means of the response.
    kind : {"response", "link"}
        Overall means of the response, or means on the scale of the link.
    adjust : {"tukey", "mvt", "holm", "sidak", "bonferroni", "none"}
        Of the comparisons behind the letters.
    level : float
        Of the intervals; letters are at one minus this level.
    title : str, optional
        Heading; by default what intervals and letters are.
    **options
        ``component``, ``at``, ``weights``, ``random_effects``, ``df`` and ``cov``, as in `glmmcore.marginal_means`.

    Returns
    -------
    Axes
        The axes drawn on.

    Raises
    ------
    TypeError
        If `fit` is no model of `glmmcore`, or an option is not among those above.

    Examples
    --------
    >>> import pandas as pd
    >>> import matplotlib.pyplot as plt
    >>> from glmmcore import glmm
    >>> from simresid import plot_means
    >>> d = pd.DataFrame({"y": [7, 9, 5, 8, 21, 15, 24, 18, 9, 8, 7, 6], "f": list("aaaabbbbcccc")})
    >>> ax = plot_means(glmm("y ~ f", d, reml=True), "f")
    >>> [text.get_text() for text in ax.texts]
    ['a', 'b', 'a']
    >>> plt.close(ax.figure)
    """
    from glmmcore import DataWarning, compact_letters, marginal_means

    check_options(options, "plot_means")
    fit = require_fit(fit, "plot_means")
    table = marginal_means(fit, spec, by=by, kind=kind, level=level, **options)
    marks = None
    require_flag(letters, "letters")
    require_flag(data, "data")
    if letters:
        with silence(DataWarning):  # said for the means already
            marks = compact_letters(fit, spec, by=by, kind=kind, adjust=adjust, alpha=1.0 - level, **options)
    within = names_of(by, "plot_means: by")
    cells = _arrange(table, within)
    values = observed_values(fit, options, kind) if data else None
    with drawing_on(ax, _size(cells)) as ax:
        upright = _name_cells(ax, cells)
        label = scale_label(fit, options, kind, table.index.names)
        room = 0.0 if marks is None else _room_for_letters(ax, upright, marks)
        (ax.set_ylim if upright else ax.set_xlim)(view(table, values, room))
        tops = _draw_values(ax, fit, table, cells, values, upright)
        draw_intervals(ax, cells.place, table, upright, {"color": POINT if values is None else INK, "marker": "o"})
        if marks is not None:
            _write_letters(ax, cells.place, tops, marks, upright)
        names = ", ".join(str(name) for name in table.index.names if name not in within)
        ax.set(**{"ylabel" if upright else "xlabel": label, "xlabel" if upright else "ylabel": shorten(names, 40)})
        set_title(ax, _heading(level, adjust if letters else None) if title is None else title)
    return ax


class Cells(NamedTuple):
    """Where each mean stands along the axis of levels, and what is written there.

    Attributes
    ----------
    place : ndarray (m,)
    names : list of str
    blocks : list of (str, float, float)
        Name, first and last place of each level of `by`; empty without.
    """

    place: NDArray[np.float64]
    names: list[str]
    blocks: list[tuple[str, float, float]]


def _arrange(table: pd.DataFrame, within: list[str]) -> Cells:
    """Means in the order of the table, a place left free before each block but the first."""
    frame = table.index.to_frame(index=False)
    texts = {name: level_texts(frame[name]) for name in frame}
    names = [", ".join(parts) for parts in zip(*[texts[n] for n in frame if n not in within], strict=True)]
    if not within:
        return Cells(np.arange(len(frame), dtype=float), names, [])
    heads = [", ".join(f"{n}: {texts[n][k]}" for n in within) for k in range(len(frame))]
    number = np.cumsum([0, *(a != b for a, b in pairwise(heads))])
    place = np.arange(len(frame)) + number.astype(float)
    blocks = [
        (heads[int(np.argmax(number == b))], place[number == b].min(), place[number == b].max())
        for b in range(int(number.max()) + 1)
    ]
    return Cells(place, names, blocks)


def _size(cells: Cells) -> tuple[float, float]:
    """Inches of a new figure: wide enough for names side by side, or tall enough for rows."""
    slots, longest = cells.place[-1] + 1, max(map(len, cells.names))
    if slots * max(0.45, 0.085 * (longest + 1.5)) <= 7.0:
        return float(max(4.2, 1.0 + slots * max(0.55, 0.085 * (longest + 1.5)))), 3.8
    return 5.6, float(1.4 + 0.24 * (slots + len(cells.blocks)))


def _name_cells(ax: Axes, cells: Cells) -> bool:
    """Set up the axis of levels and say whether it is the horizontal one, where all names fit side by side."""
    width, height = points_of(ax)
    slots = float(cells.place[-1]) + 1.2
    wide = [(len(name) + 1.5) * 5.0 for name in cells.names]
    heads = [(len(name) + 1.5) * 4.6 / (last - first + 2) for name, first, last in cells.blocks]
    upright = max([*wide, *heads]) <= width / slots
    if upright:
        ax.set_xticks(cells.place, cells.names)
        ax.set_xlim(-0.6, cells.place[-1] + 0.6)
        if cells.blocks:
            top = ax.secondary_xaxis("top")
            top.set_xticks([(first + last) / 2 for _, first, last in cells.blocks], [b[0] for b in cells.blocks])
            top.tick_params(length=0)
            top.spines["top"].set_visible(False)
            for _, first, _ in cells.blocks[1:]:
                ax.axvline(first - 1, color=LINE, linewidth=0.8, zorder=1)
        return True
    size = float(np.clip(0.75 * height / (slots + 1), 5.0, 8.5))
    rows = [(place, shorten(name, 30), "normal") for place, name in zip(cells.place, cells.names, strict=True)]
    rows += [(first - 1, shorten(name, 36), "bold") for name, first, _ in cells.blocks]
    ax.set_yticks([row[0] for row in rows], [row[1] for row in rows], fontsize=size)
    for text, row in zip(ax.get_yticklabels(), rows, strict=True):
        text.set_fontweight(row[2])
    ax.set_ylim(cells.place[-1] + 0.6, -1.6 if cells.blocks else -0.6)
    ax.tick_params(axis="y", length=0)
    ax.hlines(cells.place, 0, 1, transform=ax.get_yaxis_transform(), color=LINE, linewidth=0.6, zorder=0.5)
    return False


def _room_for_letters(ax: Axes, upright: bool, marks: Any) -> float:
    """Share of the axis of means that the letters take."""
    length = points_of(ax)[1 if upright else 0]
    longest = max((len(text) for text in marks if isinstance(text, str)), default=1)
    return min(0.4, (18.0 if upright else 12.0 + 6.5 * longest) / length)


def _draw_values(ax: Axes, fit: Any, table: pd.DataFrame, cells: Cells, values: Any, upright: bool) -> Any:
    """Draw the observed values of every cell, and give the end of each mean that letters stand beyond ``(m,)``."""
    tops = table["upper"].to_numpy(dtype=float).copy()
    if values is None:
        return tops
    frame = table.index.to_frame(index=False)
    rng = np.random.default_rng(1)
    for k, (_, cell) in enumerate(frame.iterrows()):
        rows = np.ones(fit.nobs, dtype=bool)
        for name, value in cell.items():
            rows &= (fit.data[name] == value).to_numpy()
        found = values[rows]
        if found.size:
            aside = cells.place[k] + rng.uniform(-0.25, 0.25, found.size)
            ax.scatter(*((aside, found) if upright else (found, aside)), s=float(np.clip(400 / found.size, 5, 14)),
                       color=POINT, alpha=0.4, linewidth=0, rasterized=found.size > 2000, zorder=1.2)  # fmt: skip
            tops[k] = max(tops[k], float(found.max()))
    return tops


def _write_letters(ax: Axes, place: Any, tops: Any, marks: Any, upright: bool) -> None:
    """Write each letter beyond its interval, or beside the arrow of one without end."""
    edge = (ax.get_ylim() if upright else ax.get_xlim())[1]
    for at, top, text in zip(place, tops, marks, strict=True):
        if not isinstance(text, str):
            continue
        within = bool(np.isfinite(top)) and top <= edge
        shift, horizontal, vertical = (0, 4), "center", "bottom"
        if not upright:
            shift, horizontal, vertical = (6, 0), "left", "center_baseline"
        elif not within:
            shift, horizontal, vertical = (7, -2), "left", "top"
        end = float(top) if within else edge
        ax.annotate(text, (at, end) if upright else (end, at), xytext=shift, textcoords="offset points",
                    ha=horizontal, va=vertical, color=INK, zorder=4)  # fmt: skip


def _heading(level: float, adjust: str | None) -> str:
    """What intervals and, if there are any, letters are."""
    text = f"Means with {100 * level:g}\N{NO-BREAK SPACE}% intervals"
    if adjust is None:
        return text
    how = f"{ADJUSTMENTS[adjust]}, " if adjust in ADJUSTMENTS else ""
    return f"{text}\nSame letter: not told apart ({how}{100 * (1.0 - level):g}\N{NO-BREAK SPACE}%)"
