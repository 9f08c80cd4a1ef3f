"""Command line: ``simresid screen``, ``simresid check`` and ``simresid data``.

Exit status: 0 all fine, 1 some model flagged (see ``--fail-on``), 2 the input cannot be used. Results go to standard
output and nothing else does; progress, notes and errors go to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import TYPE_CHECKING

from simresid.cli.tables import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

DESCRIPTION = "Fit generalised linear mixed models and test whether they fit the data."
EXIT_CODES = "Exit status: 0 all fine, 1 some model flagged, 2 the input cannot be used."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line without the program's name; that of the process by default.

    Returns
    -------
    int
        Exit status.

    Examples
    --------
    >>> main(["data", "--names"])  # doctest: +ELLIPSIS
    beitler_landis
    ...
    0
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        status = int(options.run(options))
        sys.stdout.flush()  # a full disk is an error of ours, not of the interpreter at exit
        return status
    except InputError as error:
        print(f"simresid {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"simresid {options.command}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # whoever reads our output has seen enough; keep the interpreter from complaining at exit
        _discard_output()
        return 0
    except (OSError, MemoryError) as error:
        print(f"simresid {options.command}: {error or 'out of memory'}", file=sys.stderr)
        if isinstance(error, OSError) and error.filename is None:
            _discard_output()
        return 2


def _discard_output() -> None:
    with contextlib.suppress(OSError, ValueError):  # a stream without a number, as in notebooks
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    import simresid.cli.check as check
    import simresid.cli.data as data
    import simresid.cli.many as many

    parser = argparse.ArgumentParser(prog="simresid", description=DESCRIPTION, epilog=EXIT_CODES)
    commands = parser.add_subparsers(dest="command", required=True, metavar="{screen,check,data}")
    for name, module, text in (
        ("screen", many, "one model for each file, group of rows or response"),
        ("check", check, "one model, in detail"),
        ("data", data, "embedded data sets"),
    ):
        sub = commands.add_parser(name, help=text, description=f"{module.DESCRIPTION}", epilog=EXIT_CODES)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser
