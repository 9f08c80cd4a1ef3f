"""Diagonal blocks of sparse matrices as arrays: random effects that have nothing to do with each other."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Blocks"]

# A single block of more random effects than this stays sparse.
_SPARSE = 64


class Blocks:
    """Sets of random effects, all of one size, that no row and no covariance joins.

    Attributes
    ----------
    sets : ndarray of int, shape (m,)
        Labels of the sets.
    members : ndarray of int, shape (m, size)
        Positions of the random effects of each set.
    size : int
    """

    def __init__(self, sets: np.ndarray, members: np.ndarray, order: int) -> None:
        self.sets, self.members, self.size = sets, members, members.shape[1]
        self._set, self._place = np.full(order, -1), np.zeros(order, dtype=int)
        self._set[members] = np.arange(len(members))[:, None]
        self._place[members] = np.arange(self.size)

    @classmethod
    def of(cls, labels: np.ndarray) -> list[Blocks]:
        """Sort sets by their size, labels (q,) those of the random effects: 0, 1, ... without gaps."""
        if not len(labels):
            return []
        sizes = np.bincount(labels)
        by_label = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
        out = []
        for size in np.unique(sizes[sizes > 0]):
            sets = np.flatnonzero(sizes == size)
            out.append(cls(sets, np.array([by_label[at] for at in sets]), len(labels)))
        return out

    def dense(self, matrix: Any) -> np.ndarray:
        """Blocks of a sparse matrix, (m, size, size); elements between sets are left out."""
        coo = matrix.tocoo()
        rows, columns = coo.row, coo.col
        own = (self._set[rows] >= 0) & (self._set[rows] == self._set[columns])
        out = np.zeros((len(self.members), self.size, self.size))
        np.add.at(out, (self._set[rows[own]], self._place[rows[own]], self._place[columns[own]]), coo.data[own])
        return out

    def block(self, matrix: Any) -> Any:
        """Blocks of a sparse matrix, which stays sparse if it is one large block."""
        if len(self.members) == 1 and self.size > _SPARSE:
            return matrix[self.members[0]][:, self.members[0]]
        return self.dense(matrix)
