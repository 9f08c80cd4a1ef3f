"""Levels that covary: the prior precision of a factor's levels as a sparse matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

__all__ = ["Precision"]


@dataclass(frozen=True, slots=True, eq=False)
class Precision:
    """Symmetric positive definite matrix Q over the levels of a factor, its lower triangle by entries.

    Attributes
    ----------
    n_levels : int
    row, column : ndarray of int64, shape (m,)
        Places of the entries, ``row >= column``, each once, the whole diagonal among them.
    value : ndarray, shape (m,)
    """

    n_levels: int
    row: np.ndarray
    column: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, matrix: Any) -> Precision:
        """Take the lower triangle of a symmetric matrix, dense or sparse."""
        from scipy import sparse

        lower = sparse.tril(sparse.csc_array(matrix), format="coo")
        lower.sum_duplicates()
        keep = (lower.data != 0.0) | (lower.row == lower.col)
        return cls(
            matrix.shape[0],
            lower.row[keep].astype(np.int64),
            lower.col[keep].astype(np.int64),
            np.asarray(lower.data[keep], dtype=np.float64),
        )

    def scaled(self, factor: float) -> Precision:
        """Q multiplied by a number."""
        return replace(self, value=self.value * factor)

    def matrix(self) -> Any:
        """Q in full, a sparse array."""
        from scipy import sparse

        below = self.row != self.column
        rows = np.concatenate([self.row, self.column[below]])
        columns = np.concatenate([self.column, self.row[below]])
        values = np.concatenate([self.value, self.value[below]])
        return sparse.csr_array((values, (rows, columns)), (self.n_levels, self.n_levels))
