"""One pass over the simulations, in memory proportional to the number of rows.

`tally` counts, per row, how the simulated values compare with the observed one and, per replicate, the few
sums from which the standard statistics follow. `materialise` builds the full matrix instead. Both spread over
workers through joblib, so ``joblib.parallel_config(backend="loky" | "threading" | "dask", n_jobs=...)``
decides where the work is done when `n_jobs` is left at None. Tasks return integers and per-replicate sums;
every sum over rows is taken inside one replicate, so that no floating-point result depends on how replicates
were spread over tasks.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from glmmcore.memory import require_memory
from simresid.residuals.scaled import count_block, moment_block, neighbour_block
from simresid.simulations.sources import MatrixSource, SimulationSource
from simresid.simulations.time_limit import results_within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simresid.alignment import FloatArray

    T = TypeVar("T")

__all__ = [
    "Execution",
    "ReplicateSums",
    "Tally",
    "materialise",
    "neighbours",
    "refuse_non_finite",
    "row_sums",
    "statistics",
    "tally",
]

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
        for name, value in (("n_jobs", self.n_jobs), ("block_size", self.block_size)):
            if value is not None and not isinstance(value, int | np.integer):
                raise ValueError(f"{name}={value!r}; use a whole number or None")
        if not isinstance(self.progress, bool | np.bool_):
            raise ValueError(f"progress={self.progress!r:.200}; use True or False")
        if self.n_jobs == 0:
            raise ValueError("n_jobs=0; use None, a number of workers, or -1 for all processors")
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


@dataclass(frozen=True, eq=False)
class ReplicateSums:
    """Sums over rows, one per replicate, and the same sums of the observed response.

    Attributes
    ----------
    zeros : ndarray (n_sims,)
        Number of exact zeros.
    deviation, squared : ndarray (n_sims,)
        Sum of ``s - e`` and of ``(s - e)**2``, `e` the expected response.
    pearson : ndarray (n_sims,) or None
        Sum of ``(s - e)**2 / v``, `v` the variance of the response; None when the variance is unknown.
    observed : tuple of float
        The four sums of the observed response, the last one NaN when the variance is unknown.
    """

    zeros: FloatArray
    deviation: FloatArray
    squared: FloatArray
    pearson: FloatArray | None
    observed: tuple[float, float, float, float]


@dataclass(eq=False)
class Tally:
    """Counts per row and sums per replicate.

    Attributes
    ----------
    below, equal : ndarray of int32 (n,)
        Number of simulations below and equal to the observed value.
    sums : ndarray (n_sims, 4)
        Columns as in `ReplicateSums`.
    """

    below: NDArray[np.int32]
    equal: NDArray[np.int32]
    sums: FloatArray


# Tasks compare and hash by identity: dask puts them into a set, which arrays refuse.
@dataclass(frozen=True, eq=False)
class _TallyTask:
    source: SimulationSource
    observed: FloatArray
    centre: FloatArray
    precision: FloatArray

    def __call__(self, task: range) -> Tally:
        n = self.observed.size
        below, equal = np.zeros(n, np.int32), np.zeros(n, np.int32)
        chunks = self.source.chunks
        sums = np.zeros((chunks[task[-1]][1] - chunks[task[0]][0], 4))
        start = chunks[task[0]][0]
        for k in task:
            first, stop = chunks[k]
            block = self.source.draw(k)
            part = sums[first - start : stop - start]
            moment_block(block, self.centre, self.precision, part)
            if not np.isfinite(part).all():
                refuse_non_finite(block, first)
            count_block(block, self.observed, below, equal)
        return Tally(below, equal, sums)


def tally(
    source: SimulationSource,
    observed: FloatArray,
    centre: FloatArray | None = None,
    variance: FloatArray | None = None,
    execution: Execution | None = None,
) -> Tally:
    """Pass once over `source` and count.

    Parameters
    ----------
    source : SimulationSource
    observed : ndarray (n,)
    centre, variance : ndarray (n,), optional
        Expected response and its variance for the sums per replicate; 0 and 1 when not given.
    execution : Execution, optional

    Raises
    ------
    ValueError
        If a simulated value is NaN or infinite; the message names rows and replicates.
    """
    execution = execution or Execution()
    n = observed.size
    centre = np.zeros(n) if centre is None else centre
    precision = np.ones(n) if variance is None else 1.0 / variance
    job = _TallyTask(source, observed, centre, precision)
    tasks = execution.tasks(source)
    total: Tally | None = None
    sums = []
    for part in execution.map(job, tasks, thread_safe=source.thread_safe):
        sums.append(part.sums)
        if total is None:
            total = part
        else:
            total.below += part.below
            total.equal += part.equal
    assert total is not None
    total.sums = np.concatenate(sums)
    return total


@dataclass(frozen=True, eq=False)
class _DrawTask:
    source: SimulationSource

    def __call__(self, task: range) -> list[FloatArray]:
        blocks = []
        for k in task:
            block = self.source.draw(k)
            if not np.isfinite(block.sum()):
                refuse_non_finite(block, self.source.chunks[k][0])
            blocks.append(block)
        return blocks


def materialise(
    source: SimulationSource, execution: Execution | None = None, timeout: float | None = None
) -> MatrixSource:
    """Draw everything once and keep it; with a `timeout` in seconds, as many whole chunks as are drawn by then.

    Raises
    ------
    MemoryError
        If the matrix does not fit.
    """
    if isinstance(source, MatrixSource):
        return source
    execution = execution or Execution()
    require_memory(
        8.0 * source.n_sims * source.n_rows,
        f"a matrix of {source.n_sims} x {source.n_rows} simulations",
        "ask for fewer simulations, or leave keep_simulations at 'auto' and refit at False",
    )
    matrix = np.empty((source.n_sims, source.n_rows))
    tasks = execution.tasks(source) if timeout is None else [range(k, k + 1) for k in range(len(source.chunks))]
    results = execution.map(_DrawTask(source), tasks, thread_safe=source.thread_safe and timeout is None)
    drawn = 0
    for task, blocks in zip(tasks, results if timeout is None else results_within(results, timeout), strict=False):
        for k, block in zip(task, blocks, strict=True):
            first, stop = source.chunks[k]
            matrix[first:stop] = block
            drawn = k + 1
    n_drawn = source.chunks[drawn - 1][1] if drawn else 0
    return MatrixSource(matrix[:n_drawn], source.chunks[:drawn])


@dataclass(frozen=True, eq=False)
class _StatisticsTask:
    source: SimulationSource
    functions: Sequence[Callable[[FloatArray], Any]]

    def __call__(self, task: range) -> FloatArray:
        parts = []
        for k in task:
            block = self.source.draw(k)
            part = np.empty((len(self.functions), block.shape[0]))
            for row, function in zip(part, self.functions, strict=True):
                value = np.asarray(function(block), dtype=np.float64)
                if value.shape != row.shape:
                    raise ValueError(
                        f"a statistic of a block of shape {block.shape} must have shape {row.shape}, got {value.shape}"
                    )
                row[:] = value
            parts.append(part)
        return np.concatenate(parts, axis=1)


def statistics(
    source: SimulationSource,
    functions: Sequence[Callable[[FloatArray], Any]],
    execution: Execution | None = None,
) -> FloatArray:
    """Statistics of every replicate, ``(len(functions), n_sims)``, in one pass; see `SimulatedResiduals`."""
    execution = execution or Execution()
    job = _StatisticsTask(source, functions)
    return np.concatenate(list(execution.map(job, execution.tasks(source))), axis=1)


@dataclass(frozen=True, eq=False)
class _RowSumTask:
    source: SimulationSource

    def __call__(self, task: range) -> list[FloatArray]:
        return [self.source.draw(k).sum(axis=0) for k in task]


def row_sums(source: SimulationSource, execution: Execution | None = None) -> FloatArray:
    """Sum over replicates per row, ``(n,)``: chunk by chunk in order, so that rounding is always the same."""
    execution = execution or Execution()
    total = np.zeros(source.n_rows)
    for sums in execution.map(_RowSumTask(source), execution.tasks(source), thread_safe=source.thread_safe):
        for part in sums:
            total += part
    return total


def refuse_non_finite(block: NDArray[Any], first: int) -> None:
    """Raise if `block` holds NaN or infinite values, naming them; overflowing sums of finite values pass."""
    replicate, row = np.nonzero(~np.isfinite(block))
    if row.size == 0:
        return
    rows = np.unique(row)
    shown = ", ".join(map(str, rows[:10])) + (", ..." if rows.size > 10 else "")
    raise ValueError(
        f"{row.size} simulated value(s) are NaN or infinite, at row position(s) {shown}; first in replicate "
        f"{first + replicate[0]}. Residuals cannot be ranked among them: drop these rows, or the draws "
        "that contain them, or repair the model's simulate()"
    )


def neighbours(
    source: SimulationSource, observed: FloatArray
) -> tuple[NDArray[np.int32], FloatArray, NDArray[np.int32], FloatArray]:
    """Find the simulated values next to the observed one, per row.

    Returns
    -------
    at_or_below : ndarray of int32 (n,)
        Number of simulations ``<= observed``.
    lower : ndarray (n,)
        The largest of them, ``-inf`` if there is none.
    at_upper : ndarray of int32 (n,)
        Number of simulations tied at `upper`.
    upper : ndarray (n,)
        The smallest simulation ``> observed``, ``inf`` if there is none.
    """
    n = observed.size
    at_or_below, at_upper = np.zeros(n, np.int32), np.zeros(n, np.int32)
    lower, upper = np.full(n, -np.inf), np.full(n, np.inf)
    for _, block in source.blocks():
        neighbour_block(block, observed, at_or_below, lower, at_upper, upper)
    return at_or_below, lower, at_upper, upper
