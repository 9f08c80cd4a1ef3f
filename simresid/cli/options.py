"""Options that the commands share."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from simresid.cli.tables import Columns, InputError, TableReading, cell_format, read_columns

__all__ = [
    "add_force_argument",
    "add_model_arguments",
    "add_verdict_arguments",
    "clean",
    "different",
    "fit_options",
    "model_table",
    "names_in",
    "null_options",
    "whole_formula",
    "writable",
]

FAMILIES = (
    "gaussian, binomial, betabinomial, beta, ordbeta, gamma, lognormal, poisson, nbinom1, nbinom2, nbinom12, genpois, "
    "compois, bell, tweedie, t, skewnormal, truncated_poisson, truncated_nbinom1, truncated_nbinom2"
)
"""Names that ``--family`` takes, for the help, which should not wait for the fitter to be loaded."""

_CALL = re.compile(r"[^\W\d][\w.]*\(.*\)")


def add_model_arguments(parser: argparse.ArgumentParser, what: str = "CSV or Parquet file") -> None:
    """Where the data are, how to read them, and the model."""
    parser.add_argument("file", help=f"{what}, or the name of an embedded data set")
    model = parser.add_argument_group("the model")
    model.add_argument("--formula", required=True, help='such as "count ~ trt + (1|block)"')
    model.add_argument("--family", default="gaussian", help=f"response distribution (default: gaussian): {FAMILIES}")
    model.add_argument("--link", help="link of the mean (default: that of the family)")
    model.add_argument("--zi", metavar="FORMULA", help='zero-inflation part, such as "~ 1"')
    model.add_argument("--disp", metavar="FORMULA", help='dispersion part, such as "~ trt"')
    model.add_argument("--trials", metavar="COLUMN", help="number of trials of k-of-n responses")
    model.add_argument(
        "--offset",
        metavar="COLUMN",
        help="known part of the linear predictor, on the link scale: a column, or a function of columns such as "
        '"log(effort)" for counts per effort with the log link',
    )
    model.add_argument(
        "--reml",
        action="store_true",
        help="restricted maximum likelihood",
    )
    csv = parser.add_argument_group("how a CSV file is read")
    csv.add_argument("--delimiter", help="between columns: a character or 'tab' (default: found out)")
    csv.add_argument("--decimal", choices=[".", ","], help="decimal sign (default: point, comma where it is clear)")
    csv.add_argument(
        "--thousands", metavar="SIGN", help="between thousands: , . _ space apostrophe (default: none is taken out)"
    )
    csv.add_argument("--encoding", help="default: utf-8, else latin-1")
    csv.add_argument("--na", action="append", default=[], metavar="TEXT", help="text that means missing; repeatable")
    csv.add_argument(
        "--na-only",
        action="store_true",
        help="only empty cells and the texts of --na mean missing; NA, None, null and the like are labels",
    )


def add_verdict_arguments(parser: argparse.ArgumentParser) -> None:
    """How the model is tested and what makes the exit status 1."""
    parser.add_argument("--sims", type=_at_least(20), default=250, metavar="N", help="simulations (default: 250)")
    parser.add_argument("--seed", type=_at_least(0), default=123, metavar="N", help="default: 123")
    parser.add_argument("--alpha", type=_share, default=0.05, help="level of the verdicts (default: .05)")
    parser.add_argument(
        "--null",
        choices=["auto", "refits", "simulated", "analytic"],
        default="auto",
        help="what the tests compare with: refits of the model to data simulated from it, the simulations themselves, "
        "or theory (default: auto, refits where the model can refit)",
    )
    parser.add_argument("--n-refits", type=_at_least(3), metavar="N", help="refits (default: by the size of the model)")
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


def writable(option: str, path: Path | None, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse a file that exists, or whose folder does not, before anything is computed; an input even with --force."""
    if path is None:
        return
    _require_name(option, path)
    if not path.parent.is_dir():
        raise InputError(f"{option}: folder {path.parent} does not exist")
    if path.is_dir():
        raise InputError(f"{option}: '{path}' is a folder; name a file")
    for source in inputs:
        if path.exists() and source.exists() and path.samefile(source):
            raise InputError(f"{option}: '{path}' is the input itself, which is never replaced; name another file")
    if path.is_symlink() and not path.exists():
        raise InputError(f"{option}: '{path}' is a link to a file that does not exist; name the file")
    if path.is_file() and not force:
        raise InputError(f"{option}: '{path}' exists; use --force to replace it")


def _require_name(option: str, path: Path) -> None:
    if "\0" in str(path):
        raise InputError(f"{option}: {str(path)!r} holds a null character and is no name of a file")


def different(**files: Path | None) -> None:
    """Refuse two outputs in one file."""
    seen: dict[str, str] = {}
    for name, path in files.items():
        if path is not None:
            _require_name(f"--{name}", path)
            other = seen.setdefault(os.path.realpath(path), name)
            if other != name:
                raise InputError(f"--{other} and --{name} name the same file '{path}'")


def fit_options(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of the fit beside formula, data and family."""
    chosen = {name: getattr(options, name) for name in ("link", "zi", "disp", "trials")}
    chosen |= {"offset": None if _is_call(options.offset) else options.offset, "reml": options.reml or None}
    return {name: value for name, value in chosen.items() if value is not None}


def whole_formula(options: argparse.Namespace) -> str:
    """Formula with the offset in it where that is a function of columns."""
    return f"{options.formula} + offset({options.offset})" if _is_call(options.offset) else str(options.formula)


def _is_call(offset: str | None) -> bool:
    return bool(offset and _CALL.fullmatch(offset.strip()))


def model_table(options: argparse.Namespace, columns: Columns | None = None, file: str | None = None) -> TableReading:
    """Read the columns that the model and `columns` name, of `file` or of the one on the command line."""
    columns = columns or Columns()
    formulas = [whole_formula(options), *(text for text in (options.zi, options.disp) if text)]
    numbers = [options.trials, None if _is_call(options.offset) else options.offset]
    columns = replace(columns, numbers=(*(name for name in numbers if name), *columns.numbers))
    form = cell_format(options.decimal, options.thousands, options.na, options.na_only)
    return read_columns(file or options.file, formulas, columns, form, options.delimiter, options.encoding)


def null_options(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments that say what tests compare with."""
    if options.n_refits is not None and options.null not in ("auto", "refits"):
        raise InputError(f"--n-refits goes with --null refits, not with --null {options.null}")
    return {"null": options.null, "n_refits": options.n_refits}


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
