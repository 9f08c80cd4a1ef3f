"""Inbreeding of all animals of a pedigree."""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = ["inbreeding"]


@kernel
def _push(heap, size, item):
    """Add an item to a heap with the largest on top; its new size."""
    at = size
    while at > 0 and heap[(at - 1) // 2] < item:
        heap[at] = heap[(at - 1) // 2]
        at = (at - 1) // 2
    heap[at] = item
    return size + 1


@kernel
def _pop(heap, size):
    """Take the largest item off; the new size."""
    size -= 1
    last = heap[size]
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= last:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = last
    return size


@kernel
def inbreeding(sire, dam, f, d):
    """Fill inbreeding coefficients f and Mendelian sampling variances d, (n,), parents before offspring, -1 unknown.

    With A = T D T', T the unit triangle of descent, f_i + 1 = sum_j t_ij^2 d_j over the ancestors of i (Quaas 1976),
    which are visited from the youngest on (Meuwissen and Luo 1992), here by a heap. Full sibs have the same f.
    """
    n = sire.size
    t_i = np.zeros(n)  # row i of T, zero again for every ancestor that was visited
    heap = np.empty(n, dtype=np.int64)
    for i in range(n):
        s, t = sire[i], dam[i]
        d[i] = 0.5 - 0.25 * ((f[s] if s >= 0 else -1.0) + (f[t] if t >= 0 else -1.0))
        if s < 0 or t < 0:
            f[i] = 0.0
            continue
        if i > 0 and sire[i - 1] == s and dam[i - 1] == t:
            f[i] = f[i - 1]
            continue
        total = -1.0
        heap[0] = i
        t_i[i] = 1.0
        size = 1
        while size > 0:
            j = heap[0]
            size = _pop(heap, size)
            share = 0.5 * t_i[j]
            total += t_i[j] * t_i[j] * d[j]
            t_i[j] = 0.0
            for side in range(2):
                p = sire[j] if side == 0 else dam[j]
                if p < 0:
                    continue
                if t_i[p] == 0.0:
                    size = _push(heap, size, p)
                t_i[p] += share
        f[i] = total
