"""``simresid screen``: one model for each file, group of rows or response, one row of a table each."""

from __future__ import annotations

import argparse
import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmmcore.arguments import tables_in_counts
from simresid import datasets
from simresid.checks.registry import ALONE
from simresid.cli.formula_names import response_name
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
from simresid.cli.tables import Columns, InputError, TableReading, first_disagreement
from simresid.cli.terminal import one_line, say, show
from simresid.cli.wording import in_options
from simresid.screening.journal import journal_of
from simresid.screening.many_models import former_description

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DESCRIPTION", "EPILOG", "add_arguments", "run"]

DESCRIPTION = "Fit and test one model for each file of a folder, each group of rows, or each of several responses."
EPILOG = 'Example: simresid screen counts/ --formula "y ~ x + (1|site)" --family poisson --out screen.csv'
SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".parquet")
"""Files of a folder that are taken for tables, in capitals too."""

OTHER_TABLES = (".xlsx", ".xls", ".ods", ".sav", ".dta", ".rds", ".rdata", ".feather", ".dat", ".zip", ".bz2", ".xz")
"""Files of a folder that may hold tables but are not read: they are named."""

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

    tests = names_in(options.tests, ALONE, "--tests")
    if options.fail_on not in ("any", "never"):
        names_in(options.fail_on, ["error", "convergence", *tests], "--fail-on")
    if Path(options.file).is_dir() and (options.by or options.responses):
        raise InputError("of a folder every file is one model; --by and --responses are for a single file")
    out = None if options.out is None else Path(options.out)
    journal = None if out is None else journal_of(out)
    resumes = journal is not None and journal.is_file() and not options.no_resume
    different(out=out, report=options.report)
    inputs = _files(Path(options.file), out, resumes) if Path(options.file).is_dir() else [Path(options.file)]
    writable("--report", options.report, options.force, inputs)
    writable("--out", out, options.force or resumes, inputs)
    writable("--out", journal, True, inputs)
    models, reading = _models(options, inputs)
    settings: dict[str, Any] = {"tests": tests, "n_sims": options.sims, "rng": options.seed, "alpha": options.alpha}
    settings |= null_options(options)
    if out is not None and out.is_file() and resumes and not options.force:
        known = former_description(models, out, **settings)
        if known is not None:
            raise InputError(
                f"--out: '{out}' is the table of another screen ({known}); use --force to replace it, or another name"
            )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = screen(models, **settings, n_jobs=options.jobs, progress=True, out=out, resume=not options.no_resume)
    for message in dict.fromkeys(one_line(warning.message) for warning in caught):
        say(f"simresid screen: note: {in_options(message)}")
    _say_notes(table)
    if options.report:
        from simresid.cli.screen_page import write_page

        write_page(table, options.report, f"{options.formula}, {options.family}: {options.file}")
    if options.json:
        rows = table.reset_index().to_dict("records")
        show(json.dumps([clean(row) for row in rows], indent=1))
    else:
        show(_summary(table, options, reading))
    return int(_flagged(table, tests, options))


Models = dict[str, tuple[Any, ...]]


def _models(options: argparse.Namespace, files: list[Path]) -> tuple[Models, TableReading]:
    """Models by name, and how the columns were read, of a folder those of its first file."""
    settings = (options.family, fit_options(options))
    formula = whole_formula(options)
    if Path(options.file).is_dir():
        readings = _tables(options, files)
        tables = tables_in_counts(
            [(reading.table, response_name(formula)) for reading in readings.values()], options.trials
        )
        models = {name: (formula, table, *settings) for name, table in zip(readings, tables, strict=True)}
        return models, next(iter(readings.values()))
    if not (options.by or options.responses):
        if not Path(options.file).exists() and options.file not in datasets.names():
            raise InputError(f"there is no file or folder {options.file!r}")
        raise InputError("say what the models are by --by or --responses, or name a folder of files")
    if options.by:
        reading = _noted(model_table(options, Columns(labels=(options.by,))))
        [data] = tables_in_counts([(reading.table, response_name(formula))], options.trials)
        groups = data.groupby(options.by, sort=True, observed=True)
        if not len(groups):
            raise InputError(f"column '{options.by}' has no values")
        missing = int(data[options.by].isna().sum())
        if missing:
            say(f"simresid screen: {missing} rows without {options.by} were left out")
        parts = {str(name): part.reset_index(drop=True) for name, part in groups}
        return {name: (formula, part, *settings) for name, part in parts.items()}, reading
    names = [name.strip() for name in options.responses.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise InputError("--responses must name columns, each once, separated by commas")
    right = formula.partition("~")[2]
    if not options.formula.partition("~")[2].strip():
        raise InputError("--formula has no right-hand side")
    options.formula = f"~ {options.formula.partition('~')[2].strip()}"
    reading = _noted(model_table(options, Columns(numbers=tuple(names))))
    others = [name for name in reading.table.columns if name not in names]
    tables = tables_in_counts([(reading.table[[name, *others]], name) for name in names], options.trials)
    pairs = zip(names, tables, strict=True)
    return {name: (f"`{name}` ~ {right.strip()}", table, *settings) for name, table in pairs}, reading


def _noted(reading: TableReading) -> TableReading:
    for note in reading.notes:
        say(f"simresid screen: {note}")
    return reading


def _files(folder: Path, out: Path | None, resumes: bool) -> list[Path]:
    """Tables of a folder, without the table of a former screen."""
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    found = [path for path in entries if path.is_file()]
    others = [path.name for path in found if path.name.lower().endswith(OTHER_TABLES)]
    none = [path.name for path in entries if path.name.lower().endswith(SUFFIXES) and not path.is_file()]
    for names, what in ((others, "files that are neither CSV nor Parquet"), (none, "folders, pipes or broken links")):
        if names:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            say(f"simresid screen: {len(names)} {what} were left out: {shown}")
    own = os.path.realpath(out) if out is not None and (resumes or journal_of(out).is_file()) else None
    files = [path for path in found if path.name.lower().endswith(SUFFIXES) and os.path.realpath(path) != own]
    if not files:
        raise InputError(f"folder '{folder}' holds no file that ends in {', '.join(SUFFIXES)}")
    return files


def _tables(options: argparse.Namespace, files: list[Path]) -> dict[str, TableReading]:
    """Tables of a folder by file name; all that cannot be used are named before anything is fitted."""
    readings: dict[str, TableReading] = {}
    problems = []
    for path in files:
        try:
            name = path.name.encode("utf-8", "backslashreplace").decode()  # a name need not be text
            readings[name] = _noted(model_table(options, file=str(path)))
        except (InputError, OSError) as error:
            problems.append(str(error))
    if problems:
        raise InputError(f"{len(problems)} of {len(files)} files cannot be used:", *problems)
    differing = first_disagreement(readings.items())
    if differing:
        raise InputError(f"{differing}; correct one of them, or leave it out")
    return readings


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


def _say_notes(table: pd.DataFrame) -> None:
    """Say the notes of the first fit that has any, how many share them but for numbers, and how many have others."""
    noted = table["notes"][table["notes"] != ""]
    if len(noted):
        kinds = noted.str.replace(r"\d+", "", regex=True)
        same = int((kinds == kinds.iloc[0]).sum())
        more = f" and {same - 1} more" if same > 1 else ""
        rest = f" ({len(noted) - same} with other notes)" if len(noted) > same else ""
        say(f"simresid screen: note: {noted.index[0]}{more}: {in_options(one_line(noted.iloc[0]))}{rest}")


def _summary(table: pd.DataFrame, options: argparse.Namespace, reading: TableReading) -> str:
    flagged = table[table["flagged"]]
    errors = int((table["error"] != "").sum())
    lines = [
        f"{len(table)} model{'s' * (len(table) != 1)}, {len(flagged)} flagged"
        + (f", {errors} of them not fitted" if errors else "")
        + "."
    ]
    width = max([5, *(len(str(name)) for name in flagged.index[:SHOWN])])
    for name, row in flagged.head(SHOWN).iterrows():
        ratio = row.get("dispersion ratio", float("nan"))
        shown = f"dispersion {ratio:.2f}. " if ratio == ratio else ""
        lines.append(f"  {name!s:<{width}}  {shown}{in_options(row['verdict'])}")
    if len(flagged) > SHOWN:
        lines.append(
            f"  ... and {len(flagged) - SHOWN} more" + (f", see {options.out}" if options.out else " (use --out)")
        )
    lines.append("Columns: " + "; ".join(f"{one_line(column.name)} {column}" for column in reading.columns) + ".")
    return "\n".join(lines)
