"""Products of arrays with many rows and few columns, through the BLAS that also factors the large blocks.

NumPy's and SciPy's wheels each bring a BLAS with threads of its own, which go on spinning for some milliseconds after a
call. Two of them on one machine fight for its processors: a fit that calls both in turns takes up to twice as long.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas

__all__ = ["cross", "inner", "times"]


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a.T @ b`` of a (n, p) and b (n, k) or (n,), all in C order.

    Examples
    --------
    >>> import numpy as np
    >>> cross(np.arange(6.0).reshape(3, 2), np.ones(3))
    array([6., 9.])
    """
    if not a.size or not b.size:
        return a.T @ b
    if b.ndim == 1:
        return np.asarray(blas.dgemv(1.0, a.T, b))
    return np.ascontiguousarray(blas.dgemm(1.0, a.T, b.T, trans_b=1))


def times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a @ b`` of a (n, p) and b (p, k) or (p,), in C order.

    Examples
    --------
    >>> import numpy as np
    >>> times(np.arange(6.0).reshape(3, 2), np.ones(2))
    array([1., 5., 9.])
    """
    if not a.size or not b.size:
        return a @ b
    if b.ndim == 1:
        return np.asarray(blas.dgemv(1.0, a.T, b, trans=1))
    return np.asarray(blas.dgemm(1.0, b.T, a.T)).T


def inner(a: np.ndarray, b: np.ndarray) -> float:
    """``a @ b`` of two vectors (n,).

    Examples
    --------
    >>> import numpy as np
    >>> inner(np.ones(3), np.arange(3.0))
    3.0
    """
    return float(blas.ddot(a, b)) if a.size else 0.0
