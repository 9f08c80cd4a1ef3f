"""A diagnosis as one HTML file that needs nothing else: no network, no scripts, figures inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks.battery import applicable_tests, judge_residuals
from simresid.checks.verdict import Finding, Judgement
from simresid.checks.verdict_html import mark_html, verdict_table
from simresid.files import replacing
from simresid.plots.overview import caution, draw_overview, setting
from simresid.plots.predictors import resolve
from simresid.plots.residuals import draw_against, panel_test, predictor_columns
from simresid.plots.style import detached, new_figure, style
from simresid.protocol import HasPredictedEffects, HasPredictedEffectsSd, HasSummary

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simresid.checks.nulls.choice import NullKind
    from simresid.checks.results import CheckResult

__all__ = ["report", "residuals_html"]

DPI = 144
MOST_PREDICTORS, MOST_LEVELS = 12, 60
QUICK_UP_TO = 100_000


def report(
    res: Any,
    path: str | PathLike[str],
    *,
    title: str | None = None,
    time: Any = None,
    by: Any = None,
    x: Any = None,
    y: Any = None,
    null: NullKind = "auto",
    n_refits: int | None = None,
) -> Path:
    """Write a self-contained HTML report.

    Verdict and overview, table of tests with advice, residuals against every predictor, further figures that
    suit the response, and the model's summary. Needs no display.

    Parameters
    ----------
    res : SimulatedResiduals
        Residuals to report on.
    path : path-like
        File to write; replaced if it exists, once the report is complete.
    title : str, optional
        The model's family and formula by default.
    time, by : optional
        As in `temporal_autocorrelation_test`; adds its test and figure.
    x, y : optional
        Coordinates; adds the test and map of spatial autocorrelation.
    null : {"auto", "refits", "simulated", "analytic"}
        Null distribution of every test, see `uniformity_test`.
    n_refits : int, optional
        As in `uniformity_test`.

    Returns
    -------
    Path
        Where the report was written.

    Raises
    ------
    TypeError
        If `res` is not a SimulatedResiduals.
    FileNotFoundError
        If the folder of `path` does not exist.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from simresid import from_simulations, report
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, (250, 60)), rng.poisson(3, 60))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = report(res, pathlib.Path(folder) / "report.html")
    ...     "<img" in file.read_text(encoding="utf-8")
    True
    """
    from simresid.checks.inputs import simulated_only

    simulated_only(res, "report")
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {target.parent} does not exist")
    how: dict[str, Any] = {"null": null, "n_refits": n_refits}
    battery, notes = applicable_tests(res, time=time, by=by, x=x, y=y, **how)
    tests: dict[str, Callable[..., CheckResult]] = {n: partial(test, res) for n, (test, _) in battery.items()}
    predictor = resolve(res, None)
    if predictor.kind == "numeric":
        tests["quantiles"] = partial(panel_test, predictor, **how)
    judgement = judge_residuals(res, tests)
    findings = list(judgement.findings)
    name = title or res.description or "Simulated residuals"
    state, sentence = judgement.state, judgement.headline
    with detached():
        wide = _image(draw_overview(res, predictor, judgement, heading=False, figsize=(8.4, 4.9), how=how))
        tall = _image(draw_overview(res, predictor, judgement, heading=False, figsize=(3.6, 8.6), how=how))
        figures = [_figure_tag(caption, figure) for caption, figure in _figures(res, judgement, time, by, x, y)]
    body = [
        f"<header><h1>{mark_html(state, 34)}<span>{escape(sentence)}</span></h1>",
        f"<p class=model>{escape(name)}</p><p class=how>{escape(setting(res))}</p>",
        f"<p class=caution>{escape(caution(res))}</p></header>" if caution(res) else "</header>",
        _advice(findings),
        f"<figure class=overview><picture><source media='(max-width: 640px)' srcset='{tall}'>"
        f"<img src='{wide}' alt='Overview: {escape(sentence)}'></picture></figure>",
        "<h2>Tests</h2>",
        verdict_table(findings),
        *(f"<p class=note>{escape(note)}</p>" for note in [*notes, *_test_notes(findings)]),
        "<h2>Figures</h2>",
        f"<div class=grid>{''.join(figures)}</div>",
        *_model_summary(res),
        _colophon(),
    ]
    page = _PAGE.format(title=escape(f"{sentence}: {name}"), style=_CSS, body="\n".join(body))
    with replacing(target) as scratch:
        scratch.write_text(page, encoding="utf-8")
    return target


def residuals_html(res: Any) -> str:
    """Verdict and table of tests for notebooks; above 100 000 rows only what the residuals are.

    Tests take seconds there, which nobody expects of showing an object.
    """
    how = f"<p><code>{escape(res.description)}</code><br>{escape(setting(res))}</p>"
    if res.n_obs > QUICK_UP_TO:
        return how + "<p><code>.summary()</code> runs the tests, <code>.plot()</code> draws the overview.</p>"
    battery, _ = applicable_tests(res)
    judgement = judge_residuals(res, {name: partial(test, res) for name, (test, _) in battery.items()})
    sentence = f"{mark_html(judgement.state, 20)} <b>{escape(judgement.headline)}</b>"
    return f"<p>{sentence}</p>{how}{verdict_table(list(judgement.findings))}"


def _advice(findings: list[Finding]) -> str:
    found = [v for v in findings if v.state in ("weak", "moderate", "severe") and v.result is not None]
    if not found:
        return ""
    items = "".join(f"<li><b>{escape(v.title)}</b>: {escape(v.result.advice())}.</li>" for v in found if v.result)
    return f"<section class=advice><h2>What to look at</h2><ul>{items}</ul></section>"


def _test_notes(findings: list[Finding]) -> list[str]:
    notes = [note for v in findings if v.result is not None for note in v.result.notes]
    return list(dict.fromkeys(notes))


def _figures(res: Any, judgement: Judgement, time: Any, by: Any, x: Any, y: Any) -> Iterator[tuple[str, Figure]]:
    """Make the further figures that suit the data, each with its caption."""
    from simresid import plots

    done = {v.check for v in judgement.findings if v.result is not None}
    yield "Histogram of the residuals", _drawn(partial(plots.plot_histogram, res))
    if "dispersion" in done:
        yield "Dispersion of the data among simulated data", _drawn(partial(plots.plot_dispersion, res))
    if "zero inflation" in done:
        yield "Zeros in the data among simulated data", _drawn(partial(plots.plot_zero_inflation, res))
    if res.discrete and res.trials is None and _are_counts(res.observed):
        yield "Rootogram of the counts", _drawn(partial(plots.plot_rootogram, res))
    if len(res.outliers()):
        yield "Observations outside all their simulations", _drawn(partial(plots.plot_outliers, res))
    columns = predictor_columns(res) if res.data is not None else {}
    for name, column in list(columns.items())[:MOST_PREDICTORS]:
        figure = _against(res, name, column)
        if figure is not None:
            yield f"Residuals against {name}", figure
    if time is not None:
        axes: Any = plots.plot_temporal(res, time, by)
        yield "Residuals in time", axes[0].figure
    if x is not None:
        yield "Residuals in space", _drawn(partial(plots.plot_spatial, res, x, y))
    model = res.model
    if isinstance(model, HasPredictedEffects) and model.random_effects and isinstance(model, HasPredictedEffectsSd):
        axes = plots.plot_random_effects(model)
        yield "Random effects", axes[0, 0].figure


def _are_counts(observed: Any) -> bool:
    """Whether a rootogram can be drawn: exact whole numbers, none negative, more than two different ones."""
    whole = observed.min() >= 0 and observed.max() < 2**53 and np.all(observed == np.floor(observed))
    return bool(whole and np.unique(observed).size > 2)


def _drawn(plot: Callable[[], Axes]) -> Figure:
    figure: Any = plot().figure
    return figure  # type: ignore[no-any-return]


def _against(res: Any, name: str, column: Any) -> Figure | None:
    """Residuals against one column; None for a column that cannot be drawn, such as a free text."""
    try:
        predictor = resolve(res, column, name)
        if predictor.kind == "category" and len(predictor.levels) > MOST_LEVELS:
            return None
        result = panel_test(predictor)
    except (ValueError, TypeError):
        return None
    with style():
        figure = new_figure((5.2, 3.6))
        draw_against(figure.add_subplot(), predictor, result)
    return figure


def _image(figure: Figure) -> str:
    """Return the figure as a data address."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _figure_tag(caption: str, figure: Figure) -> str:
    wide = " class=wide" if figure.get_size_inches()[0] > 6.5 else ""
    text = escape(caption)
    return f"<figure{wide}><img src='{_image(figure)}' alt='{text}'><figcaption>{text}</figcaption></figure>"


def _model_summary(res: Any) -> list[str]:
    if not isinstance(res.model, HasSummary):
        return []
    text = str(res.model.summary())
    return ["<h2>Model</h2>", f"<pre>{escape(text)}</pre>"]


def _colophon() -> str:
    import datetime
    from importlib.metadata import version

    day = datetime.date.today().isoformat()
    return (
        f"<footer>simresid {version('simresid')}, {day}. A departure is called a misfit when it is "
        "significant after adjustment for the number of checks and more than negligible in size; a "
        "triangle with a question mark is a departure that the adjustment leaves uncertain. P-values "
        "are ranks among refits or simulations, (1 + k) / (1 + their number); beyond all refits the tail is "
        "continued, down to 1e-6.</footer>"
    )


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title><style>{style}</style></head>
<body><main>
{body}
</main></body></html>
"""

_CSS = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1f2328; font: 16px/1.5 system-ui, "Segoe UI", sans-serif; }
main { max-width: 940px; margin: 0 auto; padding: 20px 16px 40px; }
h1 { display: flex; gap: 12px; align-items: center; font-size: 1.6rem; line-height: 1.2; margin: 0 0 6px; }
h1 svg { flex: none; }
h2 { font-size: 1.15rem; margin: 32px 0 10px; border-bottom: 1px solid #c6ccd2; padding-bottom: 4px; }
.model { font-family: ui-monospace, Consolas, monospace; margin: 0; overflow-wrap: anywhere; }
.how, .note, footer, figcaption { color: #59626b; font-size: 0.88rem; margin: 4px 0; }
.caution { color: #c23b00; margin: 4px 0; }
.advice { background: #fdf1ea; border-left: 4px solid #c23b00; padding: 4px 16px; margin: 16px 0; }
.advice h2 { border: 0; margin: 8px 0 4px; }
.advice ul { margin: 4px 0 10px; padding-left: 20px; }
figure { margin: 0; min-width: 0; }
.overview { margin: 18px 0; }
img { max-width: 100%; height: auto; display: block; margin: 0 auto; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 24px 20px;
  align-items: start; }
.wide { grid-column: 1 / -1; }
figcaption { text-align: center; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem; }
th, td { text-align: left; padding: 6px 10px; border-bottom: 1px solid #e3e7ea; vertical-align: top; }
th, td { white-space: nowrap; }
tbody th { font-weight: normal; }
tbody th svg { vertical-align: -3px; margin-right: 4px; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
thead th:nth-child(n+4) { text-align: right; }
tr.severe td, tr.moderate td, tr.severe th, tr.moderate th { background: #fdf1ea; }
tr.severe td:nth-child(2), tr.moderate td:nth-child(2) { font-weight: bold; }
pre { background: #f5f7f9; border: 1px solid #e3e7ea; padding: 12px; overflow-x: auto; font-size: 0.82rem;
  line-height: 1.4; }
footer { border-top: 1px solid #c6ccd2; margin-top: 36px; padding-top: 8px; }
"""
