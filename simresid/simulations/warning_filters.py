"""Warnings kept quiet in one thread, whatever others do."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["leave_behind", "silence"]


class _Blocks:
    """The blocks that one thread is in."""

    def __init__(self) -> None:
        self.thread = threading.current_thread()
        self.ignored: list[type[Warning]] = []
        self.left_behind = False


class _OfThread(threading.local):
    """Gives each thread its own blocks."""

    def __init__(self) -> None:
        self.blocks = _Blocks()


_OF_THREAD = _OfThread()
_LOCK = threading.Lock()
_BUSY: set[_Blocks] = set()
"""Those of the threads that are in a block, but for threads left behind."""


class _AskThread(type):
    """`warnings` asks a filter whether a warning is of its category; the answer is that of the present thread."""

    def __subclasscheck__(cls, category: type) -> bool:
        return any(issubclass(category, kind) for kind in _OF_THREAD.blocks.ignored)


class _IgnoredInThread(Warning, metaclass=_AskThread):
    """Category of the one filter that `silence` adds."""


@contextmanager
def silence(category: type[Warning] = Warning) -> Iterator[None]:
    """Ignore warnings of a category within, in the present thread.

    ``warnings.catch_warnings`` is no help where several threads work at once: the filters belong to the process, each
    block puts back what it found, and blocks that overlap leave behind what another had set. Here every block sees to
    it that one filter is the first, which matches in threads inside a block only, and the last one takes it away.
    """
    blocks = _OF_THREAD.blocks
    outside = len(blocks.ignored)
    try:  # from here, since a signal may interrupt at any line
        blocks.ignored.append(category)
        with _LOCK:
            if not blocks.left_behind:
                _BUSY.add(blocks)
                warnings.simplefilter("ignore", _IgnoredInThread)  # again: other code may have put back filters
        yield
    finally:
        del blocks.ignored[outside:]
        with _LOCK:
            if not blocks.ignored:
                _BUSY.discard(blocks)
            _take_away_filter()


def leave_behind(except_for: set[threading.Thread]) -> None:
    """Put the filters back although blocks of some threads have not ended, nor those that they may begin yet.

    A call that was given up may never return, or go on for long. Which threads it has started is not known: it has not
    started those that were there before it, which are named.
    """
    with _LOCK:
        for blocks in [blocks for blocks in _BUSY if blocks.thread not in except_for]:
            blocks.left_behind = True
            _BUSY.discard(blocks)
        _take_away_filter()


def _take_away_filter() -> None:
    if not _BUSY:
        warnings.filters[:] = [entry for entry in warnings.filters if entry[2] is not _IgnoredInThread]  # type: ignore[index]
