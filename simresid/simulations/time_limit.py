"""Results until time is up. Python cannot stop a call that does not return: it is left behind in its thread."""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from simresid.arguments import LONGEST, seconds
from simresid.simulations.warning_filters import leave_behind

T = TypeVar("T")

__all__ = ["call_within", "check_timeout", "results_within"]


def check_timeout(timeout: float | None) -> float | None:
    """Seconds as a float.

    Raises
    ------
    ValueError
        If they are not positive.
    """
    return seconds(timeout, "timeout")


def results_within(results: Iterator[T], seconds: float, *, each: bool = False) -> Iterator[T]:
    """Yield from `results` for so long, or until the next takes so long, whether or not they come to an end.

    `results` is read in a thread of its own, which sees the parallel configuration and the context of the caller. After
    the end it stops before its next result.
    """
    queue: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
    stop = threading.Event()
    configured = _parallel_configuration()

    def produce() -> None:
        try:
            with configured():
                for result in results:
                    if stop.is_set():
                        return
                    queue.put((True, result))
            queue.put((False, None))
        except BaseException as error:  # handed over to the caller's thread
            queue.put((False, error))

    there_before = set(threading.enumerate())
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(produce,), daemon=True, name="simresid time limit").start()
    deadline = time.monotonic() + min(seconds, LONGEST)
    try:
        while True:
            try:
                is_result, item = queue.get(timeout=max(deadline - time.monotonic(), 0.0))
            except Empty:
                leave_behind(except_for=there_before)
                return
            if is_result:
                yield item
                if each:
                    deadline = time.monotonic() + min(seconds, LONGEST)
            elif item is not None:
                raise item
            else:
                return
    finally:
        stop.set()


def call_within(function: Callable[[], T], seconds: float) -> T:
    """Return the result of `function`.

    Raises
    ------
    TimeoutError
        If it does not come in time.
    """

    def one() -> Iterator[T]:
        yield function()

    for result in results_within(one(), seconds):
        return result
    raise TimeoutError(f"not done within {seconds:g} s")


def _parallel_configuration() -> Callable[[], Any]:
    """Make contexts that carry ``joblib.parallel_config``, which belongs to a thread, into another one."""
    if "joblib" not in sys.modules:
        return nullcontext
    from joblib import parallel_config
    from joblib.parallel import get_active_backend

    backend, n_jobs = get_active_backend()
    # only a backend that somebody chose outdoes the wish for threads
    chosen = type(backend) is type(get_active_backend(prefer="threads")[0])
    if chosen:
        return lambda: parallel_config(backend=backend, n_jobs=n_jobs)
    return nullcontext if n_jobs is None else lambda: parallel_config(n_jobs=n_jobs)
