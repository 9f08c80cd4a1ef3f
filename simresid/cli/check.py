"""``simresid check``: fit one model, test it, and say what was found on one page."""

from __future__ import annotations

import argparse
import json
import re
import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simresid.cli.options import (
    add_force_argument,
    add_model_arguments,
    add_verdict_arguments,
    clean,
    different,
    fit_options,
    model_table,
    names_in,
    null_options,
    whole_formula,
    writable,
)
from simresid.cli.tables import Columns, InputError
from simresid.cli.terminal import one_line, say, show
from simresid.cli.wording import in_options
from simresid.files import replacing

if TYPE_CHECKING:
    from simresid.checks.battery import Diagnosis
    from simresid.cli.columns import ColumnReading

__all__ = ["DESCRIPTION", "EPILOG", "add_arguments", "run"]

DESCRIPTION = "Fit one model and run every test of its residuals that applies."
EPILOG = (
    'Example: simresid check owls --formula "SiblingNegotiation ~ FoodTreatment + (1|Nest)" --family nbinom2 '
    "--report owls.html"
)
WIDTH = 80
NO_BREAK = "\N{NO-BREAK SPACE}"
STATES = {"ok": "ok", "negligible": "small", "weak": "unsure", "unknown": ""}
SERIES = ("time", "by", "x", "y")
"""Options that name columns for tests of autocorrelation."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    add_model_arguments(parser)
    add_verdict_arguments(parser)
    parser.add_argument("--time", metavar="COLUMN", help="test autocorrelation in time")
    parser.add_argument("--by", metavar="COLUMN", help="separate time series")
    parser.add_argument("--x", metavar="COLUMN", help="first coordinate, for spatial autocorrelation")
    parser.add_argument("--y", metavar="COLUMN", help="second coordinate")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the overview")
    parser.add_argument("--report", type=Path, metavar="HTML", help="write a complete report")
    add_force_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Fit, test, print; 1 when the model is flagged."""
    from simresid import diagnose, report, simulate_residuals
    from simresid.fitting import fit_formula

    different(plot=options.plot, report=options.report)
    for name in ("plot", "report"):
        writable(f"--{name}", getattr(options, name), options.force, [Path(options.file)])
    how = null_options(options)
    reading = model_table(options, _named_columns(options))
    for note in reading.notes:
        say(f"simresid check: {note}")
    # values, since columns that the formula does not name are not part of the model
    columns = {name: reading.table[column] for name in SERIES if (column := getattr(options, name))}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = fit_formula(whole_formula(options), reading.table, options.family, **fit_options(options))
        res = simulate_residuals(fit, options.sims, rng=options.seed)
        diagnosis = diagnose(res, alpha=options.alpha, **columns, **how)
    for message in dict.fromkeys(one_line(warning.message) for warning in caught):
        say(f"simresid check: note: {in_options(message)}")
    flagged = _flagged(fit, diagnosis, options.fail_on)
    if options.plot:
        _save_overview(res, options.plot, how)
    if options.report:
        report(res, options.report, **columns, **how)
    show(
        json.dumps(_record(fit, diagnosis, options, reading.columns, flagged), indent=1)
        if options.json
        else _page(fit, diagnosis, options, reading.columns)
    )
    return int(flagged)


def _named_columns(options: argparse.Namespace) -> Columns:
    """Columns that the tests need beside those of the model."""
    return Columns(
        numbers=tuple(name for name in (options.x, options.y) if name),
        labels=(options.by,) if options.by else (),
        times=(options.time,) if options.time else (),
    )


def _save_overview(res: Any, path: Path, how: dict[str, Any]) -> None:
    from simresid.plots.style import detached

    with detached():
        figure = res.plot(**how)
        known = sorted(figure.canvas.get_supported_filetypes())
        if path.suffix.lower().lstrip(".") not in known:
            raise InputError(f"--plot: format of '{path.name}' is not known; one of {', '.join(known)}")
        with replacing(path) as scratch:
            figure.savefig(scratch, dpi=120)


def _flagged(fit: Any, diagnosis: Diagnosis, fail_on: str) -> bool:
    if fail_on == "never":
        return False
    if fail_on == "any":
        return bool(diagnosis.failed) or not fit.converged
    names = names_in(fail_on, ["error", "convergence", *diagnosis.table.index], "--fail-on")
    return any(name in diagnosis.failed for name in names) or ("convergence" in names and not fit.converged)


def _record(
    fit: Any, diagnosis: Diagnosis, options: argparse.Namespace, columns: list[ColumnReading], flagged: bool
) -> Any:
    spread = fit.var_corr[["component", "group", "term", "sd"]].to_dict("records")
    return clean(
        {
            "file": options.file,
            "columns": {c.name: {"read_as": c.read_as, "levels": c.levels, "missing": c.missing} for c in columns},
            "description": fit.description,
            "nobs": fit.nobs,
            "converged": fit.converged,
            "singular": fit.singular,
            "llf": fit.llf,
            "aic": fit.aic,
            "sigma": fit.sigma,
            "params": fit.params.to_dict(),
            "bse": fit.bse.to_dict(),
            "random_effects": spread,
            "tests": {
                name: diagnosis.table.loc[name].to_dict() | {"null": result.null, "n_refits": result.n_refits}
                for name, result in diagnosis.results.items()
            },
            "failed": diagnosis.failed,
            "flagged": flagged,
            "verdict": diagnosis.verdict,
            "notes": [*fit.verdict, *diagnosis.notes],
            "n_sims": options.sims,
            "seed": options.seed,
        }
    )


def _page(fit: Any, diagnosis: Diagnosis, options: argparse.Namespace, columns: list[ColumnReading]) -> str:
    """All findings, at most 80 columns wide."""
    lines = [f"{options.file}: {fit.nobs} rows", ""]
    width = min(max(len(column.name) for column in columns), 30)
    for column in columns:
        lines += textwrap.wrap(f"  {one_line(column.name):<{width}}  {column}", WIDTH, subsequent_indent=" " * 6)
    lines.append("")
    for line in in_options(fit.summary()).splitlines():  # tables are narrow enough, sentences on the fit are not
        lines += textwrap.wrap(line, WIDTH) if len(line) > WIDTH else [line]
    lines.append("")
    refits = max(result.n_refits for result in diagnosis.results.values())
    compared = f"{options.sims} simulations" + (f", up to {refits} refits" if refits else "")
    lines += [f"Tests ({compared}; p-values adjusted for their number):", ""]
    lines.append(f"  {'':<20}{'effect':<31}{'size':>8}  {'p':>8}  verdict")
    for name, row in diagnosis.table.iterrows():
        p = row["pvalue_adjusted"]
        state = "FAILS" if row["failed"] else STATES[row["state"]]
        shown = "< .0001" if p < 1e-4 else f"{p:.4f}"
        size = "" if row["effect_size"] is None else f"{row['effect_size']:.3g}"
        lines.append(f"  {_shortened(str(name)):<20}{str(row['effect'] or '')[:30]:<31}{size:>8}  {shown:>8}  {state}")
    lines += ["", *_wrapped([diagnosis.verdict])]
    lines += _wrapped([f"{name}: {diagnosis.table['advice'][name]}." for name in diagnosis.failed], "* ")
    lines += _wrapped(diagnosis.notes)
    return "\n".join(lines).rstrip()


def _shortened(name: str) -> str:
    """Name of a test that fits its column."""
    from simresid.checks.registry import entry_of

    entry = entry_of(name)
    name = entry.short_name or name if entry is not None else name
    return name if len(name) <= 19 else name[:16] + "..."


def _wrapped(sentences: Any, bullet: str = "") -> list[str]:
    out: list[str] = []
    for sentence in sentences:
        whole = re.sub(r'--\w+ "[^"]*"', lambda option: option[0].replace(" ", NO_BREAK), in_options(sentence))
        out += textwrap.wrap(whole, WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet))
    return [*(line.replace(NO_BREAK, " ") for line in out), ""] if out else []
