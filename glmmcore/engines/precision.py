"""Levels that covary: the prior precision of a factor's levels as a sparse matrix."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

__all__ = ["Precision"]


@dataclass(frozen=True, slots=True, eq=False)
class Precision:
    """Precision Q of the levels of a factor, its lower triangle by entries.

    A singular Q is that of levels which obey ``null' u = 0``, such as a sum of zero. It cannot be factored, so that the
    entries are then those of a positive definite matrix M = Q + pin pin' + (what vanishes for such u), that is,
    ``u'Qu = u'Mu - |pin'u|^2``.

    Attributes
    ----------
    n_levels : int
    row, column : ndarray of int64, shape (m,)
        Places of the entries, ``row >= column``, each once, the whole diagonal among them.
    value : ndarray, shape (m,)
    null : ndarray, shape (n_levels, c)
        Orthonormal basis of what the levels have no part in; no columns for a Q that is not singular.
    pin : ndarray, shape (n_levels, d)
        Columns that were added to make M positive definite and do not vanish under the constraint; mostly none.
    logdet : float, optional
        Log determinant of a positive definite Q, where it is known without a factorisation.
    """

    n_levels: int
    row: np.ndarray
    column: np.ndarray
    value: np.ndarray
    null: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    pin: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    logdet: float | None = None

    @classmethod
    def of(cls, matrix: Any, logdet: float | None = None) -> Precision:
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
            logdet=logdet,
        )

    def scaled(self, factor: float) -> Precision:
        """Q multiplied by a number."""
        logdet = None if self.logdet is None else self.logdet + self.n_levels * float(np.log(factor))
        return replace(self, value=self.value * factor, pin=self.pin * np.sqrt(factor), logdet=logdet)

    def of_null(self, null: np.ndarray, pin: np.ndarray | None = None) -> Precision:
        """The same entries for levels that obey ``null' u = 0``, see the class."""
        n = self.n_levels
        return replace(self, null=null, pin=np.zeros((n, 0)) if pin is None else pin, logdet=None)

    @property
    def is_singular(self) -> bool:
        """Whether the levels obey a constraint."""
        return bool(self.null.size)

    def matrix(self) -> Any:
        """The matrix of the entries in full, a sparse array."""
        from scipy import sparse

        below = self.row != self.column
        rows = np.concatenate([self.row, self.column[below]])
        columns = np.concatenate([self.column, self.row[below]])
        values = np.concatenate([self.value, self.value[below]])
        return sparse.csr_array((values, (rows, columns)), (self.n_levels, self.n_levels))
