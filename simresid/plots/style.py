"""Colours, marks and the making of figures, in one place.

Colours are from the Okabe-Ito palette, darkened where text needs contrast. No message rests on colour alone:
every state has its own shape and glyph, and departing curves are drawn thicker and in another line style.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks.nulls.plan import FEWEST_TO_RANK
from simresid.checks.verdict_html import MARKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1f2328"
MUTED = "#59626b"
LINE = "#c6ccd2"
BAND = "#d5e3ee"
POINT = "#34648c"
ALERT = "#c23b00"

LOOKS = (
    ("#0072b2", "o", "-"),
    ("#c23b00", "s", "--"),
    ("#00795c", "^", "-."),
    ("#8b5fa8", "D", ":"),
    ("#8a6d00", "v", (0, (5, 1, 1, 1, 1, 1))),
    ("#4d4d4d", "P", (0, (1, 1))),
)
"""Colour, marker and line of each of several series."""


FEW_TO_MANY = ("#e2f1fd", "#bcdcf5", "#b0b5ba", "#c6784a", "#94390a")
"""Shades on both sides of a middle that grow darker all along, so that grey tells which side is which."""


LARGEST_SIDE = 200.0
"""Inches: larger figures do not fit into memory."""

LARGEST_NUMBER = 1e308
LARGEST_PLACE = 1e307
"""On an axis: matplotlib adds margins to the range."""

_DRAWING = RLock()
_DETACHED: ContextVar[bool] = ContextVar("detached", default=False)

_RC: Any = {
    "font.size": 9.5,
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": "medium",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "text.color": INK,
    "text.parse_math": False,  # names of columns may hold dollar signs
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
    "legend.fontsize": "small",
    "legend.frameon": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}


@contextmanager
def style(font_size: float = 9.5) -> Iterator[None]:
    """Apply the style of our own figures to the artists made within, and to nothing else."""
    import matplotlib

    # the settings belong to the process: two threads would restore what the other one had set
    with _DRAWING, matplotlib.rc_context(_RC | {"font.size": font_size}):
        yield


@contextmanager
def drawing_on(ax: Axes | None, figsize: tuple[float, float]) -> Iterator[Axes]:
    """Give the Axes to draw on: those of a new figure, or the user's, which look alike but for size and colours."""
    if ax is None:
        with style():
            yield new_figure(figsize).add_subplot()
        return
    require_axes(ax)
    import matplotlib

    size = float(matplotlib.rcParams["font.size"])
    with style(size):
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize="small")
        ax.grid(visible=False)
        for label in (ax.xaxis.label, ax.yaxis.label):
            label.set_fontsize("medium")
        yield ax


def require_places(values: Any, what: str) -> None:
    """Refuse numbers that no axis can hold."""
    largest = float(np.max(np.abs(values), initial=0.0))
    if largest > LARGEST_PLACE:
        raise ValueError(f"{what} reaches {largest:.3g}, beyond what an axis can show ({LARGEST_PLACE:g}); divide it")


def require_axes(*axes: Any) -> None:
    """Refuse what matplotlib cannot draw on."""
    for ax in axes:
        if getattr(ax, "name", None) != "rectilinear":  # neither a figure nor Axes in polar coordinates or space
            raise TypeError(f"ax= takes Axes of matplotlib with an x- and a y-axis, not {ax!r:.200}")


def two_sided(low: float, high: float) -> dict[str, Any]:
    """Shades of `FEW_TO_MANY` for numbers from `low` to `high`, whose middle is grey."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    return {"cmap": LinearSegmentedColormap.from_list("few_to_many", FEW_TO_MANY), "norm": Normalize(low, high)}


def band_look(colour: str, line: Any) -> dict[str, Any]:
    """Look of the band around one of several lines: edged as its line, since in grey overlapping tints are one."""
    from matplotlib.colors import to_rgba

    return {
        "facecolor": to_rgba(colour, 0.15),
        "edgecolor": to_rgba(colour, 0.6),
        "linewidth": 0.7,
        "linestyle": line,
    }


@contextmanager
def detached() -> Iterator[None]:
    """Make figures that pyplot does not know, for files: no window, no display needed."""
    token = _DETACHED.set(True)
    try:
        yield
    finally:
        _DETACHED.reset(token)


def new_figure(figsize: tuple[float, float], layout: str | None = "constrained") -> Figure:
    """Make a figure that pyplot knows, so that ``plt.show()`` and notebooks show it."""
    try:
        width, height = (float(length) for length in figsize)
    except (TypeError, ValueError):
        width = height = 0.0
    if not (0.0 < width < LARGEST_SIDE and 0.0 < height < LARGEST_SIDE):
        raise ValueError(f"figsize={figsize!r:.200}: width and height in inches, such as (8, 5)")
    if _DETACHED.get():
        from matplotlib.figure import Figure as DetachedFigure

        return DetachedFigure(figsize=figsize, layout=layout)  # type: ignore[arg-type]  # None is allowed
    import matplotlib.pyplot as plt

    return plt.figure(figsize=figsize, layout=layout, FigureClass=_shown_once())  # type: ignore[arg-type]


@cache
def _shown_once() -> type[Figure]:
    """A figure that a notebook shows once: as an open figure of its cell, or as the value of an expression."""
    import matplotlib
    from matplotlib.figure import Figure as PlainFigure

    class ShownOnce(PlainFigure):
        def _ipython_display_(self) -> None:
            """Show the figure and, if all open ones are shown at the end of a cell, close it before that."""
            import matplotlib.pyplot as plt
            from IPython.display import Image, display

            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi="figure", bbox_inches="tight")
            display(Image(buffer.getvalue()))  # type: ignore[no-untyped-call]
            if "inline" in matplotlib.get_backend():
                plt.close(self)

    ShownOnce.__name__ = ShownOnce.__qualname__ = "Figure"
    return ShownOnce


def draw_mark(ax: Axes, x: float, y: float, state: str, size: float) -> None:
    """Draw the mark of `state`, `size` points across, at `(x, y)` in axes coordinates."""
    mark = MARKS[state]
    area = (size * (0.88 if mark.marker == "D" else 1.05 if mark.marker == "^" else 1.0)) ** 2
    ax.scatter(
        [x], [y], s=area, marker=mark.marker, color=mark.fill, edgecolor=INK, linewidth=0.5, clip_on=False,
        transform=ax.transAxes, zorder=5,
    )  # fmt: skip
    ax.annotate(
        mark.glyph, (x, y), xytext=(0, size * mark.shift), xycoords=ax.transAxes, textcoords="offset points",
        ha="center", va="center_baseline" if mark.glyph in "!?" else "center", color=mark.ink,
        fontsize=size * (0.62 if mark.marker == "^" else 0.72), fontweight="bold",
        fontfamily="DejaVu Sans", zorder=6,
    )  # fmt: skip


def points_of(ax: Axes) -> tuple[float, float]:
    """Width and height of Axes in points before layout, in parts of a figure (``subfigures``) as well."""
    figure: Any = ax.figure
    return 72.0 * float(ax.bbox.width) / float(figure.dpi), 72.0 * float(ax.bbox.height) / float(figure.dpi)


def set_title(ax: Axes, text: str) -> None:
    """Set the title in as many lines as the width of the Axes asks for, judged before layout, with `minus_signs`."""
    import textwrap

    import matplotlib
    from matplotlib.font_manager import FontProperties

    width, _ = points_of(ax)
    size = FontProperties(size=matplotlib.rcParams["axes.titlesize"]).get_size_in_points()  # not that of Axes passed in
    room = max(10, int(width / (0.61 * size)))
    whole = minus_signs(str(text)).replace("p = ", "p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")
    whole = whole.replace("p < ", "p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}")
    lines = [part for line in whole.splitlines() for part in textwrap.wrap(line, room)]
    ax.set_title("\n".join(lines).replace("\N{NO-BREAK SPACE}", " "))


def band_of_refits(n_refits: int) -> str:
    """What a band rests on: refits, or theory around so few that they tell its middle and not its width."""
    if n_refits >= FEWEST_TO_RANK:
        return f"95\N{NO-BREAK SPACE}% band of {n_refits} refits"
    return f"95\N{NO-BREAK SPACE}% band of theory around {n_refits} refits"


_MINUS = re.compile(r"(?<![\w.)\]])-(?=\.?\d)|(?<=\d[eE])-(?=\d)")
"""Hyphens before a number, and before its exponent; not those of names, ranges and dates."""


def minus_signs(text: str) -> str:
    """Write negative numbers with the sign that matplotlib writes at ticks, so that a figure has one.

    Examples
    --------
    >>> minus_signs("shift -0.2 [-.3, 1e-05], EC-2 in 2011-12, x - 1").encode("ascii", "replace").decode()
    'shift ?0.2 [?.3, 1e?05], EC-2 in 2011-12, x - 1'
    """
    from matplotlib.ticker import Formatter

    return _MINUS.sub(lambda found: Formatter.fix_minus(found[0]), text)


def number_texts(values: Any) -> list[str]:
    """Numbers as tick labels: whole ones in full, others in as few digits as tell them apart."""
    values = [float(v) for v in values]
    texts: list[str] = []
    for digits in range(3, 18):
        texts = [_plain(v, digits) for v in values]
        if len(set(texts)) == len(set(values)):
            break
    return [minus_signs(text) for text in texts]


def level_texts(values: Any) -> list[str]:
    """Levels as text, whole floats without a decimal point."""
    values = list(values)
    if all(isinstance(v, float) for v in values):
        return number_texts(values)
    return [minus_signs(str(v)) for v in values]


def _plain(value: float, digits: int) -> str:
    """A number without an exponent where that is short: 2015, 0.25, but 3e+12."""
    if value == 0.0 or not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{digits}g}"
    return f"{value:.0f}" if value == round(value) else f"{value:.{max(digits, len(str(int(abs(value)))))}g}"


def rank_ticks(values: Any) -> tuple[list[float], list[str]]:
    """Places and labels of ticks on an axis of ranks: the roundest numbers near the quartiles.

    Each stands where its rank is, so that it can be read off as any tick can: at most .06 from the quartile, .1 where
    only that gives a number of two digits or fewer, and further where many rows are tied.
    """
    s = np.sort(np.asarray(values, dtype=float))
    ticks: dict[float, float] = {}
    for target in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = _roundest(s, target)
        place = _rank(s, value)
        if all(abs(place - other) >= 0.12 for other in ticks.values()):
            ticks[value] = place
    return list(ticks.values()), number_texts(ticks)


def _roundest(s: Any, target: float) -> float:
    """Number of the fewest decimals within the sorted data whose rank is near `target`, or a value of the data."""
    exact = float(np.quantile(s, target, method="inverted_cdf"))
    with np.errstate(over="ignore"):
        span = min(float(s[-1] - s[0]), LARGEST_NUMBER)
    for decimals, off in ((0, 0.06), (1, 0.06), (0, 0.1), (1, 0.1), *((d, 0.06) for d in range(2, 18))):
        step = 10.0 ** (np.floor(np.log10(span)) - decimals) if span > 0.0 else 0.0
        if step == 0.0:  # equal values, or finer than the smallest number
            break
        with np.errstate(over="ignore"):  # beyond the largest number is beyond the data
            near = [float(f"{side(exact / step) * step:.15g}") for side in (np.floor, np.ceil)]
        fitting = [v for v in near if s[0] <= v <= s[-1] and abs(_rank(s, v) - target) <= off]
        if fitting:
            return min(fitting, key=lambda v: abs(_rank(s, v) - target)) + 0.0
    return exact


def _rank(s: Any, value: float) -> float:
    """Share of the sorted data below `value`, ties counted half."""
    return float(np.searchsorted(s, value, "left") + np.searchsorted(s, value, "right")) / (2 * s.size)


def shorten_all(names: list[str], width: int) -> list[str]:
    """Cut names to `width` characters, first of all what they have in common at both ends."""
    if max(map(len, names)) <= width or len(names) < 2:
        return [shorten(name, width) for name in names]
    front = _common_length(names)
    back = _common_length([name[front:][::-1] for name in names])
    gap = "\N{HORIZONTAL ELLIPSIS}"
    cut = []
    for name in names:
        core = name[front : len(name) - back]
        room = max(width - len(core) - 2, 0)
        head = name[:front] if front <= room else gap + name[front - room // 2 : front]
        room = max(width - len(core) - len(head) - 1, 0)
        tail = name[len(name) - back :] if back <= room else name[len(name) - back :][:room] + gap
        cut.append(shorten(head + core + tail, width))
    return cut


def _common_length(names: list[str]) -> int:
    """How many characters at the start all names share."""
    first, last = min(names), max(names)
    return next((k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def shorten(text: str, width: int) -> str:
    """Cut `text` to `width` characters, keeping both ends, since long names often differ at the end."""
    if len(text) <= width:
        return text
    tail = max(1, (width - 1) // 3)
    return text[: width - 1 - tail] + "\N{HORIZONTAL ELLIPSIS}" + text[-tail:]
