"""One JSON file with every run, one Markdown file with medians and ratios."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, Case
from benchmarks.measure import Measured

__all__ = ["SHORT", "to_markdown", "write"]

SHORT = 0.01
"""A fit whose log-likelihood is further below the best one has not fitted the model and does not count."""

HEADINGS = {
    "fit": "Fits",
    "residuals": "Residuals",
    "glm": "Residuals of a GLM of statsmodels",
    "pipeline": "Whole pipeline",
    "exact": "A million rows",
    "cold": "Cold start",
    "memory": "Memory",
}


def write(results: dict[str, dict[str, Measured]], machine: dict[str, Any], path: Path) -> str:
    """Write `path`.json and `path`.md and return the latter's text."""
    cases = {case: {tool: m.to_dict() for tool, m in tools.items()} for case, tools in results.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps({"machine": machine, "cases": cases}, indent=1) + "\n")
    text = to_markdown(results, machine)
    path.with_suffix(".md").write_text(text)
    return text


def to_markdown(results: dict[str, dict[str, Measured]], machine: dict[str, Any]) -> str:
    """Tables of medians; the ratio is how many times longer than the first tool of the case."""
    lines = [
        f"Measured {machine['date']}: {machine['processor']}, {machine['cores']} cores, {machine['system']}, load "
        f"{machine['load']} before; commit {machine['commit']}. {', '.join(machine['versions'])}. "
        + (", ".join(f"{k}={v}" for k, v in machine["threads"].items()) or "Threads as each tool sets them")
        + ".",
    ]
    for kind, heading in HEADINGS.items():
        chosen = {name: m for name, m in results.items() if CASES[name].kind == kind}
        if chosen:
            table = _fit_table if kind == "fit" else _parts_table
            lines += ["", f"**{heading}**", "", *table(chosen)]
    return "\n".join(lines) + "\n"


def _fit_table(results: dict[str, dict[str, Measured]]) -> list[str]:
    tools = list(dict.fromkeys(tool for measured in results.values() for tool in measured))
    tools = [t for t in tools if any(results[c][t].runs or results[c][t].note for c in results if t in results[c])]
    lines = ["| case | " + " | ".join(tools) + " |", "|---" * (len(tools) + 1) + "|"]
    notes: dict[str, str] = {}
    for name, measured in results.items():
        best = max((m.value for m in measured.values() if not math.isnan(m.value)), default=math.nan)
        base = next(iter(measured.values())).median()
        cells = [_fit_cell(measured.get(tool), best, base, notes, tool == tools[0]) for tool in tools]
        lines.append(f"| {_about(CASES[name])} | " + " | ".join(cells) + " |")
    lines += ["", "Median seconds, in brackets how many times ours. " + _explain(notes)]
    return lines


def _fit_cell(measured: Measured | None, best: float, base: float, notes: dict[str, str], ours: bool) -> str:
    if measured is None:
        return ""
    if not measured.runs:
        return notes.setdefault(measured.note, f"[{chr(97 + len(notes))}]")
    took, short = measured.median(), best - measured.value
    cell = _seconds(took) if ours else f"{_seconds(took)} ({took / base:.3g})"
    return f"*{cell}, short {short:.2g}*" if short > SHORT else cell


def _explain(notes: dict[str, str]) -> str:
    words = (
        f"In italics: a log-likelihood more than {SHORT} below the best one, which does not count. "
        "Ours include formula, standard errors and all checks."
    )
    return " ".join([words, *(f"{mark} {note}." for note, mark in notes.items())])


def _parts_table(results: dict[str, dict[str, Measured]]) -> list[str]:
    lines = ["| case | tool | in all | ratio | parts |", "|---|---|---|---|---|"]
    for name, measured in results.items():
        base = next(iter(measured.values())).median()
        for tool, m in measured.items():
            lines.append(_parts_row(CASES[name], tool, m, base))
    return lines


def _parts_row(case: Case, tool: str, m: Measured, base: float) -> str:
    if not m.runs:
        return f"| {_about(case)} | {tool} | {m.note} | | |"
    memory = case.kind == "memory"
    parts = ", ".join(f"{part} {v:.0f}" if memory else f"{part} {_seconds(v)}" for part, v in m.part_medians().items())
    whole = "" if memory else _seconds(m.median())
    ratio = "" if memory else f"{m.median() / base:.3g}"
    return f"| {_about(case)} | {tool} | {whole} | {ratio} | {parts} |"


def _seconds(x: float) -> str:
    return f"{x:.3g}".removeprefix("0") if 0.001 <= x < 1 else f"{x:.3g}"


def _about(case: Case) -> str:
    return f"{case.name}: {case.about}".replace("|", r"\|")
