"""Values that the tests of one residual object share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["Once"]

T = TypeVar("T")


class Once:
    """Values by name, each made once, whichever thread asks first.

    Threads wait for each other only where they ask for the same value. A pickle holds the values marked as lasting; the
    others, which are quick to make and can be as large as the simulations, are made anew where they are needed.

    Examples
    --------
    >>> once = Once()
    >>> once.get("answer", lambda: 42), once.get("answer", lambda: 43)
    (42, 42)
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._lasting: set[str] = set()
        self._reset()

    def _reset(self) -> None:
        self._adding = threading.Lock()
        self._making: dict[str, threading.RLock] = {}

    def get(self, name: str, make: Callable[[], T], lasting: bool = False) -> T:
        """Value of that name, from `make` if there is none yet; `lasting` keeps it in pickles."""
        if name not in self._values:
            with self._adding:
                lock = self._making.setdefault(name, threading.RLock())
            with lock:
                if name not in self._values:
                    self._values[name] = make()
                    if lasting:
                        self._lasting.add(name)
        value: T = self._values[name]
        return value

    def __getstate__(self) -> dict[str, Any]:
        return {name: self._values[name] for name in self._lasting}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._values, self._lasting = dict(state), set(state)
        self._reset()
