"""Warnings kept quiet in one thread, whatever others do."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["leave_behind", "silence"]


class _Present(threading.local):
    """What the blocks that the present thread is in ignore."""

    def __init__(self) -> None:
        self.ignored: list[type[Warning]] = []


_PRESENT = _Present()
_LOCK = threading.Lock()
_BLOCKS = 0
"""How many blocks all threads together are in, but for those left behind."""
_TIMES_LEFT = 0
"""How often blocks were left behind: one that began before does not count any more."""


class _AskThread(type):
    """`warnings` asks a filter whether a warning is of its category; the answer is that of the present thread."""

    def __subclasscheck__(cls, category: type) -> bool:
        return any(issubclass(category, kind) for kind in _PRESENT.ignored)


class _IgnoredInThread(Warning, metaclass=_AskThread):
    """Category of the one filter that `silence` adds."""


@contextmanager
def silence(category: type[Warning] = Warning) -> Iterator[None]:
    """Ignore warnings of a category within, in the present thread.

    ``warnings.catch_warnings`` is no help where several threads work at once: the filters belong to the process, each
    block puts back what it found, and blocks that overlap leave behind what another had set. Here every block sees to
    it that one filter is the first, which matches in threads inside a block only, and the last one takes it away.
    """
    global _BLOCKS
    with _LOCK:
        begun = _TIMES_LEFT
        _BLOCKS += 1
        warnings.simplefilter("ignore", _IgnoredInThread)  # again: other code may have put back filters without it
    _PRESENT.ignored.append(category)
    try:
        yield
    finally:
        _PRESENT.ignored.pop()
        with _LOCK:
            if begun == _TIMES_LEFT:
                _BLOCKS -= 1
                _take_away_filter()


def leave_behind() -> None:
    """Put the filters back although blocks have not ended: a call in one of them was given up and may never return."""
    global _BLOCKS, _TIMES_LEFT
    with _LOCK:
        _TIMES_LEFT += 1
        _BLOCKS = 0
        _take_away_filter()


def _take_away_filter() -> None:
    if _BLOCKS == 0:
        warnings.filters[:] = [entry for entry in warnings.filters if entry[2] is not _IgnoredInThread]  # type: ignore[index]
