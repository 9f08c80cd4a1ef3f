"""Loops over rows that every engine shares: sorting, sums over runs of rows, Z b and Z' values.

A run is a stretch of rows that are equal in Z: `z` (R, K) holds the left-hand sides of all factors side by side,
`start` (R, F) the first coefficient of the run's level of each factor; Z itself is never formed.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = [
    "add_random_part",
    "add_random_part_of_one",
    "add_score",
    "add_score_of_intercepts",
    "add_score_of_one",
    "add_two_intercepts",
    "distinct_in_runs",
    "sort_rows",
    "spread_runs",
    "sum_runs",
]


def sort_rows(codes: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Stable counting sort of codes (n,) of int32: (order, first row of each level)."""
    order, first = np.empty(len(codes), dtype=np.int64), np.zeros(n_levels + 1, dtype=np.int64)
    _sort_rows(codes, first, order)
    return order, first


@kernel
def _sort_rows(codes, first, order):
    """Fill `first`, zeroed, and `order`."""
    n_levels = first.size - 1
    for i in range(codes.size):
        first[codes[i] + 1] += 1
    for j in range(n_levels):
        first[j + 1] += first[j]
    for i in range(codes.size):
        order[first[codes[i]]] = i
        first[codes[i]] += 1
    # each level's first row has moved on to that of the next level
    for j in range(n_levels, 0, -1):
        first[j] = first[j - 1]
    first[0] = 0


@kernel
def sum_runs(lo, first, run, values, out):
    """Sum the rows of every run: values (m, b) from row `lo` on, out (m, runs) from `run` on, zeroed."""
    for p in range(values.shape[0]):
        t = run
        stop = first[t + 1] - lo
        total = 0.0
        for r in range(values.shape[1]):
            if r == stop:
                out[p, t - run] = total
                total = 0.0
                t += 1
                stop = first[t + 1] - lo
            total += values[p, r]
        out[p, t - run] = total


@kernel
def spread_runs(lo, first, run, values, out):
    """Add the values of every run, (m, runs) from `run` on, to its rows: out (m, b) from row `lo` on."""
    for p in range(out.shape[0]):
        t = run
        r = 0
        while r < out.shape[1]:
            stop = min(first[t + 1] - lo, out.shape[1])
            value = values[p, t - run]
            while r < stop:
                out[p, r] += value
                r += 1
            t += 1


# Sums of one predictor and of intercepts, which most models need, are kernels of their own: they are faster, and what a
# model does not need is not compiled for it.
@kernel
def add_random_part(lo, hi, z, predictor, factor, within, start, b, out):
    """Add Z b of the runs lo..hi to out (m, hi - lo)."""
    for i in range(lo, hi):
        for c in range(z.shape[1]):
            out[predictor[c], i - lo] += z[i, c] * b[start[i, factor[c]] + within[c]]


@kernel
def add_random_part_of_one(lo, hi, z, factor, within, start, b, out):
    """The same where one predictor has all random effects, out (1, hi - lo)."""
    for i in range(lo, hi):
        value = 0.0
        for c in range(z.shape[1]):
            value += z[i, c] * b[start[i, factor[c]] + within[c]]
        out[0, i - lo] += value


@kernel
def add_two_intercepts(lo, hi, z, start, b, out):
    """The same for two intercepts in one predictor, indices as in `_intercept_kernels`."""
    for at in range(np.uint64(hi - lo)):
        run = np.uint64(lo) + at
        out[0, at] += z[run, 0] * b[np.uint64(start[run, 0])] + z[run, 1] * b[np.uint64(start[run, 1])]


@kernel
def add_score(lo, hi, z, predictor, factor, within, start, values, out):
    """Add Z' values of the runs lo..hi to out (q,); `values` is (m, hi - lo)."""
    for i in range(lo, hi):
        for c in range(z.shape[1]):
            out[start[i, factor[c]] + within[c]] += z[i, c] * values[predictor[c], i - lo]


@kernel
def add_score_of_one(lo, hi, z, factor, within, start, values, out):
    """The same where one predictor has all random effects, values (1, hi - lo)."""
    for i in range(lo, hi):
        value = values[0, i - lo]
        for c in range(z.shape[1]):
            out[start[i, factor[c]] + within[c]] += z[i, c] * value


@kernel
def add_score_of_intercepts(lo, hi, z, start, values, out):
    """The same for intercepts in one predictor, indices as in `_intercept_kernels`."""
    first, n = np.uint64(lo), np.uint64(hi - lo)
    at = np.uint64(0)
    while at < n:
        # the sum of a leading level, whose runs stand together, stays in a register
        level, total = np.uint64(start[first + at, 0]), 0.0
        while at < n and np.uint64(start[first + at, 0]) == level:
            value = values[0, at]
            total += z[first + at, 0] * value
            for c in range(1, z.shape[1]):
                out[np.uint64(start[first + at, c])] += z[first + at, c] * value
            at += np.uint64(1)
        out[level] += total


@kernel
def distinct_in_runs(first, columns, weights, comparisons, chosen, total, new_first):
    """Compare the rows of each run, `columns` is (n, c), with the distinct ones found in it.

    Writes the first of each set of equal rows, their total weight, and the first distinct row of each run; returns how
    many, -1 once there is no more room for them or the comparisons are used up.
    """
    found = 0
    for run in range(first.size - 1):
        begin = found
        new_first[run] = begin
        for row in range(first[run], first[run + 1]):
            at = begin
            while at < found:
                comparisons -= 1
                same = True
                for c in range(columns.shape[1]):
                    if columns[chosen[at], c] != columns[row, c]:
                        same = False
                        break
                if same:
                    break
                at += 1
            if at == found:
                if found == chosen.size or comparisons < 0:
                    return -1
                chosen[found] = row
                total[found] = 0.0
                found += 1
            total[at] += weights[row]
    new_first[first.size - 1] = found
    return found
