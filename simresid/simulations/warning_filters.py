"""Warnings kept quiet in one thread, whatever others do."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["silence"]


class _Present(threading.local):
    """What the blocks that the present thread is in ignore."""

    def __init__(self) -> None:
        self.ignored: list[type[Warning]] = []


_PRESENT = _Present()
_LOCK = threading.Lock()
_BLOCKS = 0
"""How many blocks all threads together are in."""


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
    block puts back what it found, and blocks that overlap leave behind what another had set. A block that does not end,
    as that of a refit which was given up, would moreover keep the warnings of the whole process quiet. Here one filter
    is added by the first block and taken away by the last; in between it matches in threads inside a block only.
    """
    global _BLOCKS
    with _LOCK:
        _BLOCKS += 1
        if _BLOCKS == 1:
            warnings.simplefilter("ignore", _IgnoredInThread)
    _PRESENT.ignored.append(category)
    try:
        yield
    finally:
        _PRESENT.ignored.pop()
        with _LOCK:
            _BLOCKS -= 1
            if _BLOCKS == 0:
                warnings.filters[:] = [entry for entry in warnings.filters if entry[2] is not _IgnoredInThread]  # type: ignore[index]
