"""What the commands print: results to standard output, everything else to standard error.

Names and labels of a table end up here. They cannot steer a terminal (no control characters but line ends), and they
cannot stop a command on a stream that does not know their letters.
"""

from __future__ import annotations

import contextlib
import os
import sys
import unicodedata
from typing import TextIO

__all__ = ["discard", "harmless", "one_line", "say", "show"]

_KEPT = "\n\t"


def harmless(text: str) -> str:
    """`text` with control characters, and those that turn the direction of writing, shown as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in _KEPT or not _steers(c) else c.encode("unicode_escape").decode() for c in text)


def _steers(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in ("Cc", "Cs") or (
        kind == "Cf" and unicodedata.bidirectional(character) not in ("BN", "AL", "R", "AN")
    )


def one_line(text: object) -> str:
    """Whatever the text, on a line of its own: a message cannot pretend to be two."""
    return " ".join(str(text).split())


def show(text: str) -> None:
    """Print a result."""
    _write(sys.stdout, text)


def say(text: str) -> None:
    """Print a note or an error; nothing where nobody listens, or the disk is full: the exit status tells it too."""
    try:
        _write(sys.stderr, text)
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # ValueError of a stream that is closed
        discard(sys.stderr)


def _write(stream: TextIO, text: str) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(harmless(text).encode(encoding, "backslashreplace").decode(encoding) + "\n")


def discard(stream: TextIO) -> None:
    """Keep the interpreter from complaining at exit about a stream that cannot be written, which is exit status 120."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a stream without a number, as in notebooks
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
