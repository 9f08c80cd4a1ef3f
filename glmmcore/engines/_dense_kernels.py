"""Cholesky algebra of small dense matrices in plain loops.

A call of LAPACK costs microseconds and, with a threaded BLAS on a busy machine, milliseconds; a matrix of order 10
costs a tenth of a microsecond. Only the upper triangle is read and written, C order: row j is column j of the factor L.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = ["cholesky", "cholesky_inverse", "cholesky_solve"]


@kernel
def cholesky(a):
    """A = L L' in place; False when A is not positive definite."""
    n = a.shape[0]
    for j in range(n):
        for c in range(j):
            for r in range(j, n):
                a[j, r] -= a[c, r] * a[c, j]
        if not a[j, j] > 0.0:
            return False
        root = np.sqrt(a[j, j])
        for r in range(j, n):
            a[j, r] /= root
    return True


@kernel
def cholesky_solve(l, x):
    """x := (L L')^-1 x."""
    n = l.shape[0]
    for j in range(n):
        x[j] /= l[j, j]
        for r in range(j + 1, n):
            x[r] -= l[j, r] * x[j]
    for j in range(n - 1, -1, -1):
        for r in range(j + 1, n):
            x[j] -= l[j, r] * x[r]
        x[j] /= l[j, j]


@kernel
def cholesky_inverse(l, out):
    """Fill the upper triangle of `out` with that of (L L')^-1 = U U', one column of U = L^-T after the other.

    Every inner loop adds a multiple of a row to a row, which the processor does several entries at a time; a sum of
    products it may not reorder.
    """
    n = l.shape[0]
    lower = np.empty((n, n))  # L itself, row by row
    for c in range(n):
        for r in range(c, n):
            lower[r, c] = l[c, r]
            out[c, r] = 0.0
    column = np.empty(n)
    for c in range(n):
        for r in range(c):
            column[r] = 0.0
        column[c] = 1.0
        for j in range(c, -1, -1):
            value = column[j] / l[j, j]
            column[j] = value
            for r in range(j):
                column[r] -= lower[j, r] * value
        for j in range(c + 1):
            value = column[j]
            for r in range(j, c + 1):
                out[j, r] += column[r] * value
