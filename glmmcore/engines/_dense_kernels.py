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
    """Fill the lower triangle of `out` with that of (L L')^-1, one column after the other."""
    n = l.shape[0]
    column = np.empty(n)
    for c in range(n):
        for j in range(n):
            column[j] = 0.0
        column[c] = 1.0
        for j in range(c, n):
            column[j] /= l[j, j]
            for r in range(j + 1, n):
                column[r] -= l[r, j] * column[j]
        for j in range(n - 1, c - 1, -1):
            for r in range(j + 1, n):
                column[j] -= l[r, j] * column[r]
            column[j] /= l[j, j]
            out[j, c] = column[j]
