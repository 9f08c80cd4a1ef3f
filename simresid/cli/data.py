"""``simresid data``: list the embedded data sets, or write one as CSV."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from simresid.cli.options import add_force_argument, writable
from simresid.cli.tables import InputError
from simresid.cli.terminal import show
from simresid.files import replacing

__all__ = ["DESCRIPTION", "EPILOG", "add_arguments", "run"]

DESCRIPTION = "List the embedded data sets, or write one as CSV."
EPILOG = "Example: simresid data owls --out owls.csv"
WIDTH = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("name", nargs="?", help="data set; without it, all are listed")
    parser.add_argument("--out", type=Path, help="file to write; standard output by default")
    add_force_argument(parser)
    parser.add_argument("--names", action="store_true", help="list names only")


def run(options: argparse.Namespace) -> int:
    """List or write."""
    from simresid import datasets

    if options.name is None:
        show("\n".join(datasets.names() if options.names else map(_entry, datasets.names())))
        return 0
    if options.name not in datasets.names():
        raise InputError(f"no data set '{options.name}'; there are {', '.join(datasets.names())}")
    writable("--out", options.out, options.force)
    table = datasets.load(options.name)
    if options.out is None:
        show(table.to_csv(index=False).rstrip("\n"))
    else:
        with replacing(options.out) as scratch:
            table.to_csv(scratch, index=False)
    return 0


def _entry(name: str) -> str:
    """Name and description of a data set, its paragraphs apart and a line for every column."""
    from simresid import datasets

    lines = [name]
    for paragraph in datasets.describe(name).split("\n\n"):
        rows = paragraph.splitlines()
        if paragraph.startswith("  "):  # columns: what each means goes on below where it begins
            for text in rows:
                hang = len(text) - len(text.lstrip().split(maxsplit=1)[1])
                lines += textwrap.wrap(text, WIDTH, initial_indent=" " * 4, subsequent_indent=" " * (4 + hang))
        else:
            lines += textwrap.wrap(" ".join(rows), WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 4)
    return "\n".join([*lines, ""])
