"""Options that the commands share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from simresid.cli.tables import InputError, read_table

__all__ = [
    "add_force_argument",
    "add_model_arguments",
    "add_verdict_arguments",
    "clean",
    "fit_options",
    "model_table",
    "names_in",
    "writable",
]

PARTS = ("link", "zi", "disp", "trials", "offset")


def add_model_arguments(parser: argparse.ArgumentParser, what: str = "CSV or Parquet file") -> None:
    """Where the data are, and the model."""
    parser.add_argument("file", help=f"{what}, or the name of an embedded data set")
    parser.add_argument("--formula", required=True, help='such as "count ~ trt + (1|block)"')
    parser.add_argument("--family", default="gaussian", help="response distribution (default: gaussian)")
    parser.add_argument("--link", help="link of the mean")
    parser.add_argument("--zi", metavar="FORMULA", help='zero-inflation part, such as "~ 1"')
    parser.add_argument("--disp", metavar="FORMULA", help="dispersion part")
    parser.add_argument("--trials", metavar="COLUMN", help="number of trials of k-of-n responses")
    parser.add_argument("--offset", metavar="COLUMN", help="known part of the linear predictor")
    parser.add_argument("--delimiter", help="between columns of a CSV file (default: found out)")
    parser.add_argument("--decimal", choices=[".", ","], help="decimal sign of a CSV file (default: found out)")
    parser.add_argument("--encoding", help="of a CSV file (default: utf-8, else latin-1)")
    parser.add_argument("--na", action="append", default=[], metavar="TEXT", help="text that means missing; repeatable")


def add_verdict_arguments(parser: argparse.ArgumentParser) -> None:
    """How the model is tested and what makes the exit status 1."""
    parser.add_argument("--sims", type=_at_least(20), default=250, metavar="N", help="simulations (default: 250)")
    parser.add_argument("--seed", type=_at_least(0), default=123, metavar="N", help="default: 123")
    parser.add_argument("--alpha", type=_share, default=0.05, help="level of the verdicts (default: .05)")
    parser.add_argument(
        "--fail-on",
        default="any",
        metavar="WHAT",
        help="what makes the exit status 1: any (default), never, or a list with commas of error, convergence "
        "and names of tests",
    )
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")


def add_force_argument(parser: argparse.ArgumentParser) -> None:
    """Leave to replace files."""
    parser.add_argument("--force", action="store_true", help="replace files that exist; without it none is")


def writable(option: str, path: Path | None, force: bool) -> None:
    """Refuse a file that exists, or whose folder does not, before anything is computed."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise InputError(f"{option}: folder {path.parent} does not exist")
    if path.is_dir():
        raise InputError(f"{option}: '{path}' is a folder; name a file")
    if path.is_file() and not force:
        raise InputError(f"{option}: '{path}' exists; use --force to replace it")


def fit_options(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of the fit beside formula, data and family."""
    return {name: getattr(options, name) for name in PARTS if getattr(options, name) is not None}


def model_table(options: argparse.Namespace, *columns: str | None, file: str | None = None) -> Any:
    """Read the columns that the model and the options name, of `file` or of the one on the command line."""
    formulas = [options.formula, *(text for text in (options.zi, options.disp) if text)]
    named = [name for name in (options.trials, options.offset, *columns) if name]
    how = {name: getattr(options, name) for name in ("delimiter", "decimal", "encoding", "na")}
    return read_table(file or options.file, formulas, named, **how)


def names_in(text: str, allowed: Iterable[str], what: str) -> list[str]:
    """Names separated by commas, checked."""
    allowed = list(allowed)
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in allowed:
            raise InputError(f"{what}: no '{name}'; choose among {', '.join(allowed)}")
    if not names:
        raise InputError(f"{what} is empty; choose among {', '.join(allowed)}")
    return names


def clean(value: Any) -> Any:
    """Value as strict JSON knows it: plain types, null for what is not finite."""
    if isinstance(value, dict):
        return {str(k): clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean(v) for v in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _at_least(low: int) -> Any:
    def number(text: str) -> int:
        value = int(text)
        if value < low:
            raise argparse.ArgumentTypeError(f"{text} is below {low}")
        return value

    return number


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
