"""The figure to look at first: QQ plot, residuals against prediction, and the verdict in words."""

from __future__ import annotations

import textwrap
from functools import partial
from typing import TYPE_CHECKING, Any

from simresid.checks.battery import applicable_tests, judge_residuals
from simresid.checks.verdict import Finding, Judgement
from simresid.checks.verdict_html import MARKS
from simresid.plots.predictors import Predictor, resolve
from simresid.plots.qq import plot_qq
from simresid.plots.residuals import draw_against, panel_test
from simresid.plots.style import ALERT, INK, LINE, MUTED, draw_mark, minus_signs, new_figure, style
from simresid.protocol import HasRandomEffects, may_have_random_effects

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simresid.checks.nulls.choice import NullKind
    from simresid.checks.results import CheckResult

__all__ = ["plot_overview"]

NARROW = 5.5
"""Figures narrower than this (inches) stack their panels."""

LEAST_PANELS = 1.7
"""Inches that a panel needs with its title and labels."""

SMALLEST = 0.8
"""How much smaller text of a cell may be before it is cut."""


def plot_overview(
    res: Any,
    *,
    against: Any = None,
    title: str | None = None,
    figsize: tuple[float, float] | None = None,
    figure: Figure | None = None,
    null: NullKind = "auto",
    n_refits: int | None = None,
) -> Figure:
    """Verdict, QQ plot and residuals against the prediction in one figure.

    The checks are those of `simresid.diagnose`. The headline counts a departure when it is significant after
    adjustment for their number and more than negligible in size (limits: the page *What to do when a test fails*); each
    check says what it found with effect size and its own p-value. A triangle with a question mark is a
    departure that the adjustment leaves uncertain.

    Parameters
    ----------
    res : SimulatedResiduals
        Residuals to draw.
    against : array_like or str, optional
        Predictor of the second panel, which is then checked too; the model's prediction by default.
    title : str, optional
        The model's family and formula by default.
    figsize : tuple of float, optional
        Inches; panels are stacked when narrow. A figure too low for its text and panels is made higher.
    figure : Figure, optional
        An empty figure to draw on; a new one by default.
    null : {"auto", "refits", "simulated", "analytic"}
        Null distribution of every test, see `uniformity_test`.
    n_refits : int, optional
        As in `uniformity_test`.

    Returns
    -------
    Figure
        The figure drawn on.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib.pyplot as plt
    >>> from simresid import from_simulations, plot_overview
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, (250, 100)), rng.negative_binomial(1, 0.25, 100))
    >>> figure = plot_overview(res)
    >>> figure.texts[0].get_text()[:6]
    'Misfit'
    >>> plt.close(figure)
    """
    predictor = resolve(res, against)
    how: dict[str, Any] = {"null": null, "n_refits": n_refits}
    judgement = judge_residuals(res, _tests(res, predictor, against, how))
    return draw_overview(res, predictor, judgement, title=title, figsize=figsize, figure=figure, how=how)


def draw_overview(
    res: Any,
    predictor: Predictor,
    judgement: Judgement,
    *,
    title: str | None = None,
    figsize: tuple[float, float] | None = None,
    figure: Figure | None = None,
    heading: bool = True,
    how: dict[str, Any] | None = None,
) -> Figure:
    """Draw the overview from a judgement that exists already, without the heading if the page around has one.

    `how` holds `null` and `n_refits`.
    """
    own = figure is None
    if figure is None:
        figure = new_figure((8.4, 5.7) if figsize is None else figsize, layout=None)
    elif not hasattr(figure, "get_size_inches"):
        raise TypeError(f"figure= takes a Figure of matplotlib, not {figure!r:.200}")
    page = _Page(figure)
    with style(7.5 if page.narrow else 9.5):
        model = str(title) if title is not None else res.description or "Simulated residuals"
        text = (judgement.state, judgement.headline, model, setting(res), caution(res)) if heading else None
        page.fill(text, judgement.findings)
        if own and page.lacking > 0:
            figure.clear()
            figure.set_size_inches(page.width, page.height + page.lacking)
            page = _Page(figure)
            page.fill(text, judgement.findings)
        left, right = page.panels()
        plot_qq(res, left, **(how or {}))
        draw_against(right, predictor, _panel_result(judgement))
        if predictor.kind == "category":
            page.make_room(right, left)
    return figure


def _tests(res: Any, predictor: Predictor, against: Any, how: dict[str, Any]) -> dict[str, Callable[..., CheckResult]]:
    """Name the tests of `simresid.diagnose`, the one shown in the right panel last."""
    battery, _ = applicable_tests(res, **how)
    tests: dict[str, Callable[..., CheckResult]] = {name: partial(test, res) for name, (test, _) in battery.items()}
    if against is not None:
        tests[f"along {predictor.name}"] = partial(panel_test, predictor, **how)
    elif predictor.kind == "numeric":
        tests["quantiles"] = partial(panel_test, predictor, **how)  # the same test, with curves
    return tests


def _panel_result(judgement: Judgement) -> Any:
    shown = [f for f in judgement.findings if f.check == "quantiles" or f.check.startswith("along ")]
    return shown[-1].result


def setting(res: Any) -> str:
    """How the residuals were made: numbers, kind of simulation, seed."""
    kept = res.random_effects
    if kept is None:
        how = "given simulations"
    elif res.method == "one-step":
        how = "each row given the rows before it"
    elif not may_have_random_effects(res.model):
        how = "no random effects"
    elif isinstance(kept, str):
        how = {
            "conditional": "conditional on fitted random effects",
            "unconditional": "unconditional: new random effects",
        }[kept]
    else:
        how = f"new random effects of {', '.join(kept)}"
    what = "groups" if res.is_grouped else "rows"
    parts = (f"{res.n_obs:,} {what}", f"{res.n_sims:,} simulations, {how}", f"{res.method} residuals")
    return " \u00b7 ".join([*parts, f"seed {res.seed}"])


def caution(res: Any) -> str:
    """Say what a reader must know before believing the verdict; empty in most cases."""
    conditional = isinstance(res.random_effects, str) and res.random_effects == "conditional"
    if res.is_grouped and conditional and isinstance(res.model, HasRandomEffects) and res.model.has_random_effects:
        return (
            "Caution: groups with a random effect of their own follow the data, so they look too regular; "
            "judge them with random_effects='unconditional'"
        )
    return ""


class _Page:
    """Places text and panels in inches, from the top down for the head, from the bottom up for the strip."""

    margin = 0.14

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.width, self.height = (float(v) for v in figure.get_size_inches())
        self.narrow = self.width < NARROW
        self.top = self.height - self.margin
        self.bottom = self.margin

    @property
    def lacking(self) -> float:
        """Height that the panels lack to be read."""
        return LEAST_PANELS * (2 if self.narrow else 1) - (self.top - self.bottom)

    def fill(self, heading: tuple[str, str, str, str, str] | None, findings: Sequence[Finding]) -> None:
        """Draw all but the panels."""
        if heading is not None:
            self.head(*heading)
        self.strip(findings)

    def head(self, state: str, sentence: str, model: str, how: str, caution: str) -> None:
        size = 11.0 if self.narrow else 14.5
        mark = size * 1.5
        indent = self.margin + (mark + 6) / 72
        lines = self._wrap(minus_signs(sentence), size * 1.04, indent)
        line_height = size * 1.25 / 72
        self._text(indent, self.top, "\n".join(lines), fontsize=size, fontweight="bold")
        area = self.figure.add_axes((0, 0, 1, 1), frameon=False, zorder=-1)
        area.set_axis_off()
        area.set(xlim=(0, 1), ylim=(0, 1))
        x, y = self.margin + mark / 144, self.top - line_height * 0.46
        draw_mark(area, x / self.width, y / self.height, state, mark)
        self.top -= line_height * len(lines) + 0.07
        for text, points, colour in ((model, 10.0, INK), (how, 8.5, MUTED), (caution, 8.5, ALERT)):
            if not text:
                continue
            points = points - 1.5 if self.narrow else points
            lines = self._wrap(text, points, self.margin)[:4]
            self._text(self.margin, self.top, "\n".join(lines), fontsize=points, color=colour)
            self.top -= points * 1.25 / 72 * len(lines) + 0.04

    def strip(self, findings: Sequence[Finding]) -> None:
        """Draw one cell per check along the bottom, one below the other in narrow figures."""
        per_row = 1 if self.narrow else 2 if len(findings) in (2, 4) else 3
        n_rows = -(-len(findings) // per_row)
        cell_width, cell_height = (self.width - 2 * self.margin) / per_row, 0.43
        gap = 0.06
        room = cell_width - gap - 0.36
        # of one size in all cells: a smaller finding would look like a lesser one
        smaller = [min(_shrink(row[k], room) for row in map(_rows, findings)) for k in (0, 1)]
        for k, finding in enumerate(findings):
            row, column = divmod(k, per_row)
            left = self.margin + column * cell_width
            low = self.bottom + (n_rows - 1 - row) * (cell_height + gap)
            ax = self._axes(left, low, cell_width - gap, cell_height)
            _cell(ax, finding, (cell_width - gap, cell_height), smaller)
        self.bottom += n_rows * (cell_height + gap) + 0.04

    def panels(self) -> tuple[Axes, Axes]:
        """Axes for the QQ plot and for the residuals, with room for their labels."""
        label, below, title = 0.52, 0.48, 0.3
        height = self.top - self.bottom
        if self.narrow:
            each = height / 2
            rows = [self.bottom + each, self.bottom]
            a, b = (self._axes(label, y + below, self.width - label - self.margin, each - below - title) for y in rows)
            return a, b
        inner = height - below - title
        square = min(inner, 0.42 * self.width - label)
        left = label + 0.02
        second = left + square + 0.75
        return (
            self._axes(left, self.bottom + below, square, inner),
            self._axes(second, self.bottom + below, self.width - second - self.margin - 0.05, inner),
        )

    def make_room(self, ax: Axes, neighbour: Axes) -> None:
        """Narrow `ax` from the left until its level names fit beside its neighbour."""
        used = ax.get_tightbbox()
        assert used is not None
        box = ax.get_position()
        start = self.margin if self.narrow else neighbour.get_position().x1 * self.width + 0.15
        lacking = (start - used.x0 / self.figure.dpi) / self.width
        if lacking > 0:
            ax.set_position((box.x0 + lacking, box.y0, max(box.width - lacking, 0.1), box.height))

    def _axes(self, left: float, low: float, width: float, height: float) -> Axes:
        w, h = self.width, self.height
        return self.figure.add_axes((left / w, low / h, max(width, 0.3) / w, max(height, 0.3) / h))

    def _text(self, left: float, top: float, text: str, **kwargs: Any) -> None:
        self.figure.text(left / self.width, top / self.height, text, va="top", ha="left", linespacing=1.2, **kwargs)

    def _wrap(self, text: str, points: float, left: float) -> list[str]:
        room = (self.width - left - self.margin) * 72
        return textwrap.wrap(text, max(12, int(room / (0.56 * points)))) or [""]


def _cell(ax: Axes, finding: Finding, extent: tuple[float, float], smaller: list[float]) -> None:
    """Draw mark, finding and size of one check; lengths in inches."""
    width, height = extent
    ax.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
    failed = _failed(finding)
    ax.set_facecolor("#fdf1ea" if failed else "#f5f7f9")
    edge = MARKS["moderate" if finding.state == "weak" else finding.state].fill if failed else LINE
    for spine in ax.spines.values():
        spine.set(visible=True, color=edge, linewidth=1.6 if failed else 0.8)
    draw_mark(ax, 0.165 / width, 0.5, finding.state, 14)
    for down, row, factor in zip((0.135, 0.305), _rows(finding), smaller, strict=True):
        text, size, weight = row
        characters = int(_characters(row, width - 0.36) / factor)
        fitted = textwrap.shorten(text, max(8, characters), placeholder="\N{HORIZONTAL ELLIPSIS}")
        where = (0.33 / width, 1 - down / height)
        ax.text(*where, fitted, ha="left", va="center", fontsize=size * factor, fontweight=weight)


def _failed(finding: Finding) -> bool:
    return finding.state in ("weak", "moderate", "severe")


def _rows(finding: Finding) -> tuple[tuple[str, float, str], tuple[str, float, str]]:
    """What a cell says: texts with their usual sizes and weights."""
    evidence = ", ".join(filter(None, (finding.effect, finding.evidence)))
    if finding.state == "unknown":  # of the reason what stands before its explanation
        evidence = evidence.partition(": ")[0]
    weight = "bold" if _failed(finding) else "normal"
    title = f"{finding.title}: {finding.word}"
    return (minus_signs(title), 8.8, weight), (minus_signs(evidence), 7.8, "normal")


def _characters(row: tuple[str, float, str], room: float) -> float:
    """How many characters of a row go into so many inches."""
    _, size, weight = row
    return room * 72 / size / (0.6 if weight == "bold" else 0.545)


def _shrink(row: tuple[str, float, str], room: float) -> float:
    """By what a row is made smaller so that its text fits, before it is cut."""
    return min(1.0, max(SMALLEST, _characters(row, room) / max(len(row[0]), 1)))
