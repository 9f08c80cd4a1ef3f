"""The prior precision of covarying levels factored alone: their variances and draws of their effects."""

from __future__ import annotations

import numpy as np

from glmmcore.engines.layout import Factor, RowLayout
from glmmcore.engines.precision import Precision
from glmmcore.engines.sparse import SparseSystem

__all__ = ["LevelFactor"]


class LevelFactor:
    """Factorisation of a `Precision` alone: variances of the levels and draws of their effects.

    Parameters
    ----------
    precision : Precision

    Raises
    ------
    ArithmeticError
        If the matrix is not positive definite.
    """

    def __init__(self, precision: Precision) -> None:
        n = precision.n_levels
        codes = np.arange(n, dtype=np.int32)
        factor = Factor("levels", codes, n, np.ones((n, 1)), np.zeros(1, dtype=np.int32), precision=precision)
        self._system = SparseSystem(RowLayout([factor]))
        self._null = precision.null
        if not self._system.factorise([np.zeros((1, 1))]):
            raise ArithmeticError("the precision matrix is not positive definite")

    def variances(self) -> np.ndarray:
        """Diagonal of Q^-1, (L,)."""
        system = self._system.fresh()
        system.factorise([np.zeros((1, 1))])
        system.invert()
        return system.level_covariances(0)[:, 0, 0]

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """Q^-1 rhs, (L,), a generalised inverse where levels obey a constraint."""
        return self._system.solve(np.ascontiguousarray(rhs, dtype=np.float64))

    def draw(self, normals: np.ndarray) -> np.ndarray:
        """Effects with covariance Q^-1 from independent standard normals, both (L, k)."""
        out = np.column_stack([self._system.half_solve(np.ascontiguousarray(z)) for z in normals.T])
        # with M the matrix of the entries and P the projection on what obeys the constraints, P M^-1 P = Q^-1
        return out - self._null @ (self._null.T @ out) if self._null.size else out
