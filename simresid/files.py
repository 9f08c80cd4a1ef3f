"""Files that are whole or not there: written beside their place and moved into it in one step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["named_errors", "replacing"]


@contextmanager
def replacing(path: str | os.PathLike[str], mark: str = "") -> Iterator[Path]:
    """Yield a path to write to; what is there afterwards replaces `path`.

    Whatever goes wrong in between, a full disk or Ctrl-C included, `path` stays as it was and nothing is left beside
    it. Only a killed process leaves a hidden ``.<mark>.new.<name>``.

    Parameters
    ----------
    path : path-like
        A symbolic link is followed. What is no file, such as ``/dev/stdout``, is written to directly.
    mark : str, optional
        Tells the files of several writers apart; the number of the process by default.

    Raises
    ------
    OSError
        With the name of `path`.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        yield target
        return
    # the suffix stays, since it tells writers of figures and tables the format
    scratch = target.with_name(f".{mark or os.getpid()}.new.{target.name}")
    try:
        with named_errors(path):
            yield scratch
            os.replace(scratch, target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


@contextmanager
def named_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the file's name into errors such as a full disk, which come without."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename == os.fspath(path):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
