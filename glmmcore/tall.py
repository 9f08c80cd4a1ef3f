"""Products of arrays with many rows and few columns, on one thread and through one BLAS.

The threads of a BLAS go on spinning for some milliseconds after a call, and NumPy's and SciPy's wheels each bring a
BLAS with threads of its own. Products that wait for memory gain nothing from threads, and whatever runs next, loops or
the factorisation of a large block, loses a third of its speed to spinning ones. So these go through the BLAS that
factors the large blocks, in blocks of rows that are too small for it to wake its threads; many columns are left to it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import blas

__all__ = ["cross", "inner", "times"]

# OpenBLAS stays on one thread up to these sizes: entries of a matrix times a vector, multiplications of a product of
# two matrices, and the length of a dot product.
_ENTRIES, _MULTIPLICATIONS, _LENGTH = 9216, 262144, 10000
# Blocks of fewer rows than this would cost more in calls.
_LEAST = 500


def _blocks(n: int, rows: int) -> Iterator[slice]:
    step = rows if rows >= _LEAST else max(n, 1)
    return (slice(lo, lo + step) for lo in range(0, n, step))


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a.T @ b`` of a (n, p) and b (n, k) or (n,), all in C order.

    Examples
    --------
    >>> import numpy as np
    >>> cross(np.arange(6.0).reshape(3, 2), np.ones(3))
    array([6., 9.])
    """
    p = a.shape[1]
    if b.ndim == 1 and 0 < a.size <= _ENTRIES - p:
        return np.asarray(blas.dgemv(1.0, a.T, b))
    out = np.zeros((p, *b.shape[1:]))
    if not out.size:
        return out
    if b.ndim == 1:
        for rows in _blocks(len(a), (_ENTRIES - 1) // p):
            out += blas.dgemv(1.0, a[rows].T, b[rows])
    else:
        for rows in _blocks(len(a), _MULTIPLICATIONS // out.size):
            out += blas.dgemm(1.0, a[rows].T, b[rows].T, trans_b=1)
    return out


def times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a @ b`` of a (n, p) and b (p, k) or (p,), in C order.

    Examples
    --------
    >>> import numpy as np
    >>> times(np.arange(6.0).reshape(3, 2), np.ones(2))
    array([1., 5., 9.])
    """
    if not b.size:
        return a @ b
    if b.ndim == 1 and 0 < a.size <= _ENTRIES - len(b):
        return np.asarray(blas.dgemv(1.0, a.T, b, trans=1))
    out = np.empty((len(a), *b.shape[1:]))
    if b.ndim == 1:
        for rows in _blocks(len(a), (_ENTRIES - 1) // len(b)):
            out[rows] = blas.dgemv(1.0, a[rows].T, b, trans=1)
    else:
        for rows in _blocks(len(a), _MULTIPLICATIONS // b.size):
            out[rows] = blas.dgemm(1.0, b.T, a[rows].T).T
    return out


def inner(a: np.ndarray, b: np.ndarray) -> float:
    """``a @ b`` of two vectors (n,).

    Examples
    --------
    >>> import numpy as np
    >>> inner(np.ones(3), np.arange(3.0))
    3.0
    """
    return float(sum(blas.ddot(a[rows], b[rows]) for rows in _blocks(len(a), _LENGTH)))
