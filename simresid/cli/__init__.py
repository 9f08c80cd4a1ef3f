"""Command line: ``simresid screen``, ``simresid check`` and ``simresid data``.

Exit status: 0 all fine, 1 some model flagged (see ``--fail-on``) and nothing else, 2 the input cannot be used or the
output not written, 3 an error that should not be, 130 stopped by Ctrl-C, 141 whoever read the output left. Results go
to standard output and nothing else does; progress, notes and errors go to standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simresid.cli.csv_file import InputError
from simresid.cli.terminal import discard, harmless, one_line, say
from simresid.cli.wording import in_options

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

FINE, FLAGGED, INPUT, UNEXPECTED, STOPPED, READER_LEFT = 0, 1, 2, 3, 130, 141
"""Exit status; the last two as shells have them for the signals INT and PIPE."""

DESCRIPTION = "Fit generalised linear mixed models and test whether they fit the data."
EXIT_CODES = (
    "Exit status: 0 all fine, 1 some model flagged, 2 the input cannot be used or the output not written, "
    "3 unexpected error (please report it), 130 stopped, 141 the reader of the output left."
)
REPORT = "please report this line and the command as an issue of the project (its address: pip show simresid)"


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
    if sys.stderr is None:  # closed by the caller; libraries write there without asking
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    name = "simresid"
    try:
        if sys.stdout is None:
            raise InputError("standard output is closed; send it to /dev/null if it is not wanted")
        options = _parsed(arguments)
        name = f"simresid {options.command}"
        status = int(options.run(options))
        sys.stdout.flush()  # a full disk is an error of ours, not of the interpreter at exit
        return status
    except KeyboardInterrupt:
        say(f"{name}: stopped")
        return STOPPED
    except BrokenPipeError:
        discard(sys.stdout)
        return READER_LEFT
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None:
            discard(sys.stdout)
        if _is_about_input(error):
            say(f"{name}: {_message(error)}")
            return INPUT
        say(f"{name}: unexpected {type(error).__name__}: {_message(error)} ({_place(error)}); {REPORT}")
        return UNEXPECTED


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    try:
        return _parser().parse_args(arguments)
    except SystemExit:
        sys.stdout.flush()  # help that nobody reads is told here, not by the interpreter at exit
        raise


def _is_about_input(error: Exception) -> bool:
    """Whether an error is for the user: one of files or memory, or one that either package raises on purpose."""
    if isinstance(error, InputError | OSError | MemoryError):
        return True
    if type(error).__module__.partition(".")[0] in ("glmmcore", "simresid"):  # our own classes say what is wrong
        return True
    if not isinstance(error, ValueError | TypeError | KeyError | NotImplementedError | TimeoutError):
        return False
    frame = traceback.extract_tb(error.__traceback__)[-1]
    folder = Path(__file__).resolve().parents[2]
    ours = any(Path(frame.filename).is_relative_to(folder / package) for package in ("glmmcore", "simresid"))
    return ours and (frame.line or "raise").startswith("raise")


def _message(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return in_options(one_line(text)) or ("out of memory" if isinstance(error, MemoryError) else "no message")


def _place(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}"


class _Parser(argparse.ArgumentParser):
    """Parser whose messages cannot steer a terminal."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stdout:  # argparse itself would hide that nobody reads it
            file.write(harmless(message))
        else:
            say(message.rstrip("\n"))


def _parser() -> argparse.ArgumentParser:
    import simresid.cli.check as check
    import simresid.cli.data as data
    import simresid.cli.many as many
    from simresid import __version__

    parser = _Parser(prog="simresid", description=DESCRIPTION, epilog=EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"simresid {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{screen,check,data}")
    for name, module, text in (
        ("screen", many, "one model for each file, group of rows or response"),
        ("check", check, "one model, in detail"),
        ("data", data, "embedded data sets"),
    ):
        sub = commands.add_parser(
            name,
            help=text,
            description=module.DESCRIPTION,
            epilog=f"{module.EPILOG}\n\n{EXIT_CODES}",
            formatter_class=_Paragraphs,
        )
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


class _Paragraphs(argparse.HelpFormatter):
    """Help whose closing text keeps its paragraphs."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n\n".join(fill(part, width, indent) for part in text.split("\n\n"))
