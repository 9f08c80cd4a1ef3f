"""Who does the work: the caller, threads or the workers of joblib, without a change of any number.

Work spreads over workers through joblib, so that ``joblib.parallel_config(backend="loky" | "threading" | "dask",
n_jobs=...)`` decides where it is done when `n_jobs` is left at None. Without a configuration, long work that is safe in
threads runs in threads on all processors.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from glmmcore.arguments import require_flag, require_workers, workers_for

if TYPE_CHECKING:
    from simresid.simulations.sources import SimulationSource

    T = TypeVar("T")

__all__ = ["Execution"]

MOST_THREADS = 8
"""Threads that are started without being asked for: beyond, passes over rows wait for memory."""

TASK_VALUES = 2**22
"""Values per parallel task: about 0.2 s of drawing, next to which the overhead of a task vanishes."""


@dataclass(frozen=True)
class Execution:
    """How a pass is carried out. Nothing in here can change a result.

    Attributes
    ----------
    n_jobs : int or None
        As joblib's; None leaves it to ``joblib.parallel_config`` and is serial without one.
    progress : bool
        Show a progress bar on a terminal once a pass takes longer than a second.
    block_size : int or None
        Replicates handed to a worker at a time, rounded up to whole chunks.
    """

    n_jobs: int | None = None
    progress: bool = False
    block_size: int | None = None

    def __post_init__(self) -> None:
        require_workers(self.n_jobs)
        if self.block_size is not None and not isinstance(self.block_size, int | np.integer):
            raise ValueError(f"block_size={self.block_size!r:.200}; use a whole number or None")
        require_flag(self.progress, "progress")
        if self.block_size is not None and self.block_size < 1:
            raise ValueError(f"block_size={self.block_size}; at least 1 replicate at a time")

    def tasks(self, source: SimulationSource) -> list[range]:
        """Consecutive chunk numbers, grouped into tasks."""
        per_chunk = source.chunks[0][1] - source.chunks[0][0]
        replicates = self.block_size or max(8, TASK_VALUES // source.n_rows)
        step = max(1, -(-replicates // per_chunk))
        return [range(k, min(k + step, len(source.chunks))) for k in range(0, len(source.chunks), step)]

    def map(
        self,
        function: Callable[[Any], T],
        tasks: Iterable[Any],
        doing: str = "simulating",
        prefer: str | None = "threads",
        total: int | None = None,
        thread_safe: bool = False,
    ) -> Iterator[T]:
        """Results of `function` over `tasks`, in order; the one place where work is handed to workers.

        Drawing and counting release the interpreter lock, so threads are the soft preference; fitting mostly
        does not. Tasks that are not a list are taken as workers become free; each counts for its length on the
        progress bar, whose end is `total` then. Work that is `thread_safe` is spread over the processors where nobody
        has said how many workers there are; it should be long enough to pay for the threads.
        """
        several = not (isinstance(tasks, list) and len(tasks) == 1)
        n_jobs = _processors() if thread_safe and several and self.n_jobs is None else self.n_jobs
        return self._run(function, tasks, doing, "threads" if n_jobs != self.n_jobs else prefer, total, n_jobs)

    def _run(
        self,
        function: Callable[[Any], T],
        tasks: Iterable[Any],
        doing: str,
        prefer: str | None,
        total: int | None,
        n_jobs: int | None,
    ) -> Iterator[T]:
        if isinstance(tasks, list):
            total = sum(map(len, tasks))
        sizes: deque[int] = deque()
        # A parallel_config can only be active if joblib was imported; otherwise spare the 0.1 s.
        serial = n_jobs == 1 or (n_jobs is None and "joblib" not in sys.modules)
        if serial or (isinstance(tasks, list) and len(tasks) == 1):
            results: Iterator[T] = map(function, _measured(tasks, sizes))
        else:
            from joblib import Parallel, delayed

            n_tasks = len(tasks) if isinstance(tasks, list) else total
            n_jobs = n_jobs if n_tasks is None else workers_for(n_tasks, n_jobs)
            parallel = Parallel(n_jobs=n_jobs, prefer=prefer, return_as="generator")
            results = _from_workers(parallel(delayed(function)(task) for task in _measured(tasks, sizes)), doing)
        if not self.progress:
            yield from results
            return
        from tqdm import tqdm

        with tqdm(total=total, desc=doing, delay=1.0, disable=None, leave=False) as bar:
            for result in results:
                bar.update(sizes.popleft())
                yield result


def _processors() -> int | None:
    """Threads for work that nobody has given workers: None inside a worker, or where joblib has been configured."""
    if parent_process() is not None:
        return None
    from joblib import cpu_count
    from joblib.parallel import get_active_backend

    backend, n_jobs = get_active_backend()
    return None if n_jobs is not None or backend.nesting_level else min(int(cpu_count()), MOST_THREADS)


def _from_workers(results: Iterator[T], doing: str) -> Iterator[T]:
    """Pass results on, and say what the death of a process most likely means."""
    from concurrent.futures.process import BrokenProcessPool

    try:
        yield from results
    except BrokenProcessPool as error:
        raise RuntimeError(
            f"a worker process was killed while {doing}, most likely for want of memory; use fewer workers (n_jobs), "
            "threads, or smaller data"
        ) from error


def _measured(tasks: Iterable[Any], sizes: deque[int]) -> Iterator[Any]:
    """Pass tasks on and note their lengths."""
    for task in tasks:
        sizes.append(len(task))
        yield task
