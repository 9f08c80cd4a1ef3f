"""``simresid data``: list the embedded data sets, or write one as CSV."""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

from simresid.cli.options import add_force_argument, writable
from simresid.cli.tables import InputError
from simresid.files import replacing

__all__ = ["DESCRIPTION", "add_arguments", "run"]

DESCRIPTION = "List the embedded data sets, or write one as CSV."
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
        for name in datasets.names():
            print(name)
            if not options.names:
                text = " ".join(datasets.describe(name).split())
                print(textwrap.fill(text, WIDTH, initial_indent="    ", subsequent_indent="    "))
        return 0
    if options.name not in datasets.names():
        raise InputError(f"no data set '{options.name}'; there are {', '.join(datasets.names())}")
    writable("--out", options.out, options.force)
    table = datasets.load(options.name)
    if options.out is None:
        table.to_csv(sys.stdout, index=False)
    else:
        with replacing(options.out) as scratch:
            table.to_csv(scratch, index=False)
    return 0
