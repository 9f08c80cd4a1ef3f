"""Loops over rows that every engine shares: sorting, Z b and Z' values.

`z` (n, K) holds the left-hand sides of all factors side by side, `start` (n, F) the first coefficient of each row's
level of each factor; Z itself is never formed.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = ["add_random_part", "add_score", "sort_rows"]


@kernel
def sort_rows(codes, n_levels):
    """Stable counting sort: (order, first row of each level)."""
    first = np.zeros(n_levels + 1, dtype=np.int64)
    for i in range(codes.size):
        first[codes[i] + 1] += 1
    for j in range(n_levels):
        first[j + 1] += first[j]
    fill = first.copy()
    order = np.empty(codes.size, dtype=np.int64)
    for i in range(codes.size):
        order[fill[codes[i]]] = i
        fill[codes[i]] += 1
    return order, first


@kernel
def add_random_part(lo, hi, z, predictor, factor, within, start, b, out):
    """Add Z b of the rows lo..hi to out (m, hi - lo)."""
    for i in range(lo, hi):
        for c in range(z.shape[1]):
            out[predictor[c], i - lo] += z[i, c] * b[start[i, factor[c]] + within[c]]


@kernel
def add_score(lo, hi, z, predictor, factor, within, start, values, out):
    """Add Z' values of the rows lo..hi to out (q,); `values` is (m, hi - lo)."""
    for i in range(lo, hi):
        for c in range(z.shape[1]):
            out[start[i, factor[c]] + within[c]] += z[i, c] * values[predictor[c], i - lo]
