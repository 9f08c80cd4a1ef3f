"""Marks of verdicts, and findings as an HTML table, the same in notebooks, on pages and in figures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from simresid.checks.base import pvalue_text
from simresid.checks.verdict import Finding

__all__ = ["MARKS", "Mark", "mark_html", "verdict_table"]

INK, ALERT = "#1f2328", "#c23b00"


class Mark(NamedTuple):
    """How a state of a finding looks: marker, glyph in it, fill and glyph colour, and scale of the glyph."""

    marker: str
    glyph: str
    fill: str
    ink: str
    shift: float = 0.0


MARKS: dict[str, Mark] = {
    "ok": Mark("o", "\N{CHECK MARK}", "#0072b2", "white"),
    "negligible": Mark("D", "\N{ALMOST EQUAL TO}", "#6b7680", "white"),
    "weak": Mark("^", "?", "#fdf3d8", "black", -0.06),
    "moderate": Mark("^", "!", "#e69f00", "black", -0.06),
    "severe": Mark("s", "\N{MULTIPLICATION SIGN}", ALERT, "white"),
    "unknown": Mark("o", "?", "white", INK),
}


def mark_html(state: str, size: int) -> str:
    """Draw the mark of a state, as on the figures."""
    mark = MARKS[state]
    shapes = {
        "o": "<circle cx='10' cy='10' r='9' {0}/>",
        "D": "<path d='M10 0.8 19.2 10 10 19.2 0.8 10Z' {0}/>",
        "^": "<path d='M10 1 19.4 18.6 0.6 18.6Z' {0}/>",
        "s": "<rect x='1' y='1' width='18' height='18' rx='1.5' {0}/>",
    }
    shape = shapes[mark.marker].format(f"fill='{mark.fill}' stroke='#1f2328' stroke-width='0.8'")
    low = 16.6 if mark.marker == "^" else 14.6
    return (
        f"<svg width='{size}' height='{size}' viewBox='0 0 20 20' role='img' aria-label='{state}'>{shape}"
        f"<text x='10' y='{low}' text-anchor='middle' font-size='13' font-weight='bold' "
        f"fill='{mark.ink}'>{mark.glyph}</text></svg>"
    )


def verdict_table(findings: Sequence[Finding]) -> str:
    """Return the findings as an HTML table."""
    rows = []
    for v in findings:
        pvalue, adjusted = ("" if p is None else escape(pvalue_text(p, bare=True)) for p in (v.pvalue, v.adjusted))
        effect = v.result.effect if v.result is not None else None
        size = v.effect
        if effect is not None and v.state not in ("ok", "unknown"):
            size += f", {effect.severity}"
        rows.append(
            f"<tr class={v.state}><th scope=row>{mark_html(v.state, 16)} {escape(v.title)}</th>"
            f"<td>{escape(v.word)}</td><td>{escape(size)}</td>"
            f"<td class=number>{pvalue}</td><td class=number>{adjusted}</td></tr>"
        )
    head = "<tr><th>Check</th><th>Finding</th><th>Size [95 % interval]</th><th>p</th><th>p, adjusted</th></tr>"
    return f"<div class=scroll><table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table></div>"
