"""One pass over the simulations, in memory proportional to the number of rows.

`tally` counts, per row, how the simulated values compare with the observed one and, per replicate, the few
sums from which the standard statistics follow. `materialise` builds the full matrix instead. Both spread over
workers (`simresid.residuals.execution`). Tasks return integers and per-replicate sums; every sum over rows is taken
inside one replicate, so that no floating-point result depends on how replicates were spread over tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.memory import require_memory
from simresid.residuals.execution import Execution
from simresid.residuals.scaled import count_block, moment_block, neighbour_block
from simresid.simulations.sources import MatrixSource, SimulationSource
from simresid.simulations.time_limit import results_within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simresid.alignment import FloatArray

__all__ = [
    "ReplicateSums",
    "Tally",
    "materialise",
    "neighbours",
    "refuse_non_finite",
    "row_sums",
    "statistics",
    "tally",
]


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
