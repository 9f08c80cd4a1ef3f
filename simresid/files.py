"""Files that are whole or not there: written beside their place and moved into it in one step."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["create_exclusively", "named_errors", "remove_leftovers", "replacing"]

_SCRATCH = re.compile(r"\.(\d+)-[0-9a-f]{16}\.new\.(.*)", flags=re.S)
_SECONDS_FOR_A_READER = 2.0  # a reader that the same line of a shell starts may not have opened the pipe yet


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to; what is there afterwards replaces `path`.

    Whatever goes wrong in between, a full disk or Ctrl-C included, `path` stays as it was and nothing is left beside
    it. Only a killed process leaves a hidden ``.<process>-<random>.new.<name>``. That file is created anew under a name
    that nobody can foresee, never opened through a link, and has the permissions of the file that it replaces.

    Parameters
    ----------
    path : path-like
        A symbolic link is followed. What is no file, such as ``/dev/stdout``, is written to directly.

    Raises
    ------
    OSError
        With the name of `path`; also for a named pipe without a reader.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with _reader(target):
            yield target
        return
    # the suffix stays, since it tells writers of figures and tables the format
    scratch = target.with_name(f".{os.getpid()}-{secrets.token_hex(8)}.new.{target.name}")
    with named_errors(path):
        handle = create_exclusively(scratch)
        try:
            with suppress(OSError):  # no file yet, or one of somebody else
                os.chmod(scratch, stat.S_IMODE(target.stat().st_mode))
            os.close(handle)
            yield scratch
            os.replace(scratch, target)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise


@contextmanager
def _reader(target: Path) -> Iterator[None]:
    """Refuse a named pipe from which nobody reads, where opening would wait without end, and hold others open."""
    if not target.is_fifo():
        yield
        return
    begin = time.monotonic()
    while True:
        try:
            handle = os.open(target, os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() - begin > _SECONDS_FOR_A_READER:
                raise OSError(error.errno, "a pipe from which nobody reads", os.fspath(target)) from None
        time.sleep(0.01)
    try:
        yield
    finally:
        os.close(handle)


def create_exclusively(path: Path) -> int:
    """Make an empty file that was not there, not even as a link, and return its descriptor.

    Raises
    ------
    FileExistsError
        If there is anything of this name.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666)


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of `path`: scratch files whose process is no more."""
    if os.name != "posix":  # elsewhere a process cannot be asked for without a signal to it
        return
    target = Path(os.path.realpath(path))
    for entry in os.scandir(target.parent):
        match = _SCRATCH.fullmatch(entry.name)
        if match and match[2] == target.name and not _is_running(int(match[1])):
            with suppress(OSError):
                os.unlink(entry.path)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def named_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the file's name into errors such as a full disk, which come without."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename == os.fspath(path):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
