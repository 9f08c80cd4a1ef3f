"""Warnings kept quiet in any number of threads at once."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["silence"]

_LOCK = threading.Lock()
_INSIDE = 0
_SAVED: warnings.catch_warnings[None] | None = None


@contextmanager
def silence() -> Iterator[None]:
    """Ignore warnings within.

    ``warnings.catch_warnings`` puts back what it found. Two threads whose blocks overlap would each put back what the
    other had set, and leave the filters of the whole process changed. Here the first one in saves them and the last one
    out restores them.
    """
    global _INSIDE, _SAVED
    with _LOCK:
        if _INSIDE == 0:
            _SAVED = warnings.catch_warnings()
            _SAVED.__enter__()
            warnings.simplefilter("ignore")
        _INSIDE += 1
    try:
        yield
    finally:
        with _LOCK:
            _INSIDE -= 1
            if _INSIDE == 0 and _SAVED is not None:
                _SAVED.__exit__(None, None, None)
                _SAVED = None
