"""Cholesky factors of half the digits, in half the time: good enough for the way to an optimum, not for its value."""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas, lapack

__all__ = ["refined_solution", "single_factor"]

# Relative size of the last refinement of a solution, and how many there are at most.
_REFINED, _MOST_REFINEMENTS = 1e-6, 6


def single_factor(matrix: np.ndarray) -> tuple[np.ndarray, bool]:
    """Lower Cholesky factor of a matrix, of which the lower triangle is read, and whether there is one."""
    with np.errstate(over="ignore"):
        short = matrix.astype(np.float32, order="F")
    factor, info = lapack.spotrf(short, lower=1, clean=0, overwrite_a=1)
    return factor, info == 0


def refined_solution(factor: np.ndarray, matrix: np.ndarray, rhs: np.ndarray, *, refine: bool = True) -> np.ndarray:
    """Solution for `matrix` by its factor in single precision, with steps for the other digits: mostly one."""
    x = _solution(factor, rhs)
    for _ in range(_MOST_REFINEMENTS if refine else 0):
        step = _solution(factor, rhs - blas.dsymv(1.0, matrix, x, lower=1))
        x += step
        # what is left is the square of that, relative to x
        if np.abs(step).max() <= _REFINED * np.abs(x).max():
            break
    return x


def _solution(factor: np.ndarray, rhs: np.ndarray) -> np.ndarray:
    """Solution by a factor in single precision, whose range is short."""
    size = float(np.abs(rhs).max()) or 1.0
    return size * np.asarray(lapack.spotrs(factor, rhs / size, lower=1)[0], dtype=float)
