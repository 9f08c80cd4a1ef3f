"""``simresid screen``: one model for each file, group of rows or response, one row of a table each."""

from __future__ import annotations

import argparse
import json
import sys
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
from simresid.screening.one_model import TESTS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DESCRIPTION", "add_arguments", "run"]

DESCRIPTION = "Fit and test one model for each file of a folder, each group of rows, or each of several responses."
SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".parquet")
"""Files of a folder that are taken for tables."""
SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    add_model_arguments(parser, "CSV or Parquet file, or a folder of such files (one model for each)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--by", metavar="COLUMN", help="one model for each value of this column")
    what.add_argument("--responses", metavar="COLUMNS", help="one model for each of these columns (a,b,c)")
    add_verdict_arguments(parser)
    parser.add_argument("--tests", default="uniformity,dispersion,zero inflation,outliers", help="names with commas")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="workers (default: 1; -1 for all processors)")
    parser.add_argument("--out", metavar="FILE", help="CSV or Parquet file of the table; a stopped run resumes from it")
    parser.add_argument("--no-resume", action="store_true", help="compute all anew; needs --force if --out exists")
    parser.add_argument("--report", type=Path, metavar="HTML", help="write the table as a page")
    add_force_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Screen, print a summary or JSON; 1 when a model is flagged."""
    from simresid import screen

    tests = names_in(options.tests, TESTS, "--tests")
    if options.fail_on not in ("any", "never"):
        names_in(options.fail_on, ["error", "convergence", *tests], "--fail-on")
    writable("--report", options.report, options.force)
    if options.out and (options.no_resume or not Path(f"{options.out}.journal").is_file()):
        writable("--out", Path(options.out), options.force)  # with its journal beside it, it is a run to go on with
    models = _models(options)
    try:
        table = screen(
            models,
            tests,
            options.sims,
            rng=options.seed,
            alpha=options.alpha,
            n_jobs=options.jobs,
            progress=True,
            out=options.out,
            resume=not options.no_resume,
        )
    except (ValueError, OSError) as error:
        raise InputError(" ".join(str(error).split())) from None
    if options.report:
        from simresid.cli.screen_page import write_page

        write_page(table, options.report, f"{options.formula}, {options.family}: {options.file}")
    if options.json:
        rows = table.reset_index().to_dict("records")
        print(json.dumps([clean(row) for row in rows], indent=1))
    else:
        print(_summary(table, options))
    return int(_flagged(table, tests, options))


def _models(options: argparse.Namespace) -> dict[str, tuple[Any, ...]]:
    settings = (options.family, fit_options(options))
    if Path(options.file).is_dir():
        return {name: (options.formula, data, *settings) for name, data in _tables(options).items()}
    if not (options.by or options.responses):
        raise InputError("say what the models are by --by or --responses, or name a folder of files")
    if options.by:
        data = model_table(options, options.by)
        groups = data.groupby(options.by, sort=True, observed=True)
        if not len(groups):
            raise InputError(f"column '{options.by}' has no values")
        missing = int(data[options.by].isna().sum())
        if missing:
            print(f"simresid screen: {missing} rows without {options.by} were left out", file=sys.stderr)
        return {str(name): (options.formula, part.reset_index(drop=True), *settings) for name, part in groups}
    names = [name.strip() for name in options.responses.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise InputError("--responses must name columns, each once, separated by commas")
    right = options.formula.partition("~")[2]
    if not right.strip():
        raise InputError("--formula has no right-hand side")
    options.formula = f"~ {right.strip()}"
    data = model_table(options, *names)
    others = [name for name in data.columns if name not in names]
    return {name: (f"`{name}` {options.formula}", data[[name, *others]], *settings) for name in names}


def _tables(options: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """Tables of a folder by file name; all that cannot be used are named before anything is fitted."""
    folder = Path(options.file)
    if options.by or options.responses:
        raise InputError("of a folder every file is one model; --by and --responses are for a single file")
    own = None if options.out is None else Path(options.out).resolve()
    files = [path for path in sorted(folder.iterdir()) if path.name.endswith(SUFFIXES) and path.resolve() != own]
    files = [path for path in files if path.is_file() and not path.name.startswith(".")]
    if not files:
        raise InputError(f"folder '{folder}' holds no file that ends in {', '.join(SUFFIXES)}")
    tables, problems = {}, []
    for path in files:
        try:
            tables[path.name] = model_table(options, file=str(path))
        except InputError as error:
            problems.append(f"\n  {error}")
    if problems:
        raise InputError(f"{len(problems)} of {len(files)} files cannot be used:{''.join(problems)}")
    return tables


def _flagged(table: pd.DataFrame, tests: list[str], options: argparse.Namespace) -> bool:
    if options.fail_on == "never":
        return False
    if options.fail_on == "any":
        return bool(table["flagged"].any())
    names = names_in(options.fail_on, ["error", "convergence", *tests], "--fail-on")
    failed = table["failed"].str.split(", ")
    return bool(
        ("error" in names and (table["error"] != "").any())
        or ("convergence" in names and (table["converged"] == False).any())  # noqa: E712
        or failed.map(lambda found: any(name in names for name in found)).any()
    )


def _summary(table: pd.DataFrame, options: argparse.Namespace) -> str:
    flagged = table[table["flagged"]]
    errors = int((table["error"] != "").sum())
    lines = [
        f"{len(table)} models, {len(flagged)} flagged" + (f", {errors} of them not fitted" if errors else "") + "."
    ]
    width = max([5, *(len(str(name)) for name in flagged.index[:SHOWN])])
    for name, row in flagged.head(SHOWN).iterrows():
        ratio = row.get("dispersion ratio", float("nan"))
        shown = f"dispersion {ratio:.2f}. " if ratio == ratio else ""
        lines.append(f"  {name!s:<{width}}  {shown}{row['verdict']}")
    if len(flagged) > SHOWN:
        lines.append(
            f"  ... and {len(flagged) - SHOWN} more" + (f", see {options.out}" if options.out else " (use --out)")
        )
    return "\n".join(lines)
