"""``simresid check``: fit one model, test it, and say what was found on one page."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simresid.cli.options import (
    add_force_argument,
    add_model_arguments,
    add_verdict_arguments,
    clean,
    fit_options,
    model_table,
    names_in,
    writable,
)
from simresid.cli.tables import InputError
from simresid.files import replacing

if TYPE_CHECKING:
    from simresid.checks.battery import Diagnosis

__all__ = ["DESCRIPTION", "add_arguments", "run"]

DESCRIPTION = "Fit one model and run every test of its residuals that applies."
WIDTH = 80
STATES = {"ok": "ok", "negligible": "small", "weak": "unsure", "unknown": ""}


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
    from simresid.plots._style import detached

    writable("--plot", options.plot, options.force)
    writable("--report", options.report, options.force)
    columns = {name: getattr(options, name) for name in ("time", "by", "x", "y") if getattr(options, name)}
    data = model_table(options, *columns.values())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit = fit_formula(options.formula, data, options.family, **fit_options(options))
            res = simulate_residuals(fit, options.sims, rng=options.seed)
            diagnosis = diagnose(res, alpha=options.alpha, **columns)
        except (ValueError, TypeError) as error:
            raise InputError(" ".join(str(error).split())) from None
    for warning in caught:
        print(f"simresid check: note: {' '.join(str(warning.message).split())}", file=sys.stderr)
    flagged = _flagged(fit, diagnosis, options.fail_on)
    if options.plot:
        try:
            with detached(), replacing(options.plot) as scratch:
                res.plot().savefig(scratch, dpi=120)
        except ValueError as error:  # a format that matplotlib does not know
            raise InputError(f"--plot: {error}") from None
    if options.report:
        report(res, options.report, **columns)
    print(
        json.dumps(_record(fit, diagnosis, options, flagged), indent=1)
        if options.json
        else _page(fit, diagnosis, options)
    )
    return int(flagged)


def _flagged(fit: Any, diagnosis: Diagnosis, fail_on: str) -> bool:
    if fail_on == "never":
        return False
    if fail_on == "any":
        return bool(diagnosis.failed) or not fit.converged
    names = names_in(fail_on, ["error", "convergence", *diagnosis.table.index], "--fail-on")
    return any(name in diagnosis.failed for name in names) or ("convergence" in names and not fit.converged)


def _record(fit: Any, diagnosis: Diagnosis, options: argparse.Namespace, flagged: bool) -> Any:
    spread = fit.var_corr[["component", "group", "term", "sd"]].to_dict("records")
    return clean(
        {
            "file": options.file,
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
            "tests": {name: row.to_dict() for name, row in diagnosis.table.iterrows()},
            "failed": diagnosis.failed,
            "flagged": flagged,
            "verdict": diagnosis.verdict,
            "notes": [*fit.verdict, *diagnosis.notes],
            "n_sims": options.sims,
            "seed": options.seed,
        }
    )


def _page(fit: Any, diagnosis: Diagnosis, options: argparse.Namespace) -> str:
    """All findings, at most 80 columns wide."""
    lines = [f"{options.file}: {fit.nobs} rows", "", *fit.summary().splitlines(), ""]
    lines += _wrapped(fit.verdict)
    lines += [f"Tests ({options.sims} simulations; p-values adjusted for their number):", ""]
    lines.append(f"  {'':<20}{'effect':<31}{'size':>8}  {'p':>8}  verdict")
    for name, row in diagnosis.table.iterrows():
        p = row["pvalue_adjusted"]
        state = "FAILS" if row["failed"] else STATES[row["state"]]
        shown = "< .0001" if p < 1e-4 else f"{p:.4f}"
        size = "" if row["effect_size"] is None else f"{row['effect_size']:.3g}"
        lines.append(f"  {str(name)[:19]:<20}{str(row['effect'] or '')[:30]:<31}{size:>8}  {shown:>8}  {state}")
    lines += ["", *_wrapped([diagnosis.verdict])]
    lines += _wrapped([f"{name}: {diagnosis.table['advice'][name]}." for name in diagnosis.failed], "* ")
    lines += _wrapped(diagnosis.notes)
    return "\n".join(lines).rstrip()


def _wrapped(sentences: Any, bullet: str = "") -> list[str]:
    out: list[str] = []
    for sentence in sentences:
        out += textwrap.wrap(sentence, WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet))
    return [*out, ""] if out else []
