"""Cholesky algebra of small dense matrices in plain loops.

A call of LAPACK costs microseconds and, with a threaded BLAS on a busy machine, milliseconds; a matrix of order 10
costs a tenth of a microsecond. Only the lower triangle is read and written, Fortran order.
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
                a[r, j] -= a[r, c] * a[j, c]
        if not a[j, j] > 0.0:
            return False
        root = np.sqrt(a[j, j])
        for r in range(j, n):
            a[r, j] /= root
    return True


@kernel
def cholesky_solve(l, x):
    """x := (L L')^-1 x."""
    n = l.shape[0]
    for j in range(n):
        x[j] /= l[j, j]
        for r in range(j + 1, n):
            x[r] -= l[r, j] * x[j]
    for j in range(n - 1, -1, -1):
        for r in range(j + 1, n):
            x[j] -= l[r, j] * x[r]
        x[j] /= l[j, j]


@kernel
def cholesky_inverse(l, out):
    """Fill the lower triangle of `out` with that of (L L')^-1 = U U', one column of U = L^-T after the other.

    Every inner loop adds a multiple of a column to a column, which the processor does several rows at a time; a sum of
    products it may not reorder.
    """
    n = l.shape[0]
    upper = np.empty((n, n))  # row j is column j of L' above its diagonal
    for c in range(n):
        for r in range(c, n):
            upper[r, c] = l[r, c]
            out[r, c] = 0.0
    column = np.empty(n)
    for c in range(n):
        for r in range(c):
            column[r] = 0.0
        column[c] = 1.0
        for j in range(c, -1, -1):
            value = column[j] / l[j, j]
            column[j] = value
            for r in range(j):
                column[r] -= upper[j, r] * value
        for j in range(c + 1):
            value = column[j]
            for r in range(j, c + 1):
                out[r, j] += column[r] * value
