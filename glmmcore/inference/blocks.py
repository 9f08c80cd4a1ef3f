"""Diagonal blocks of sparse matrices as arrays: random effects that have nothing to do with each other."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Blocks", "solved_by_levels"]

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


def solved_by_levels(
    inner: np.ndarray, k: np.ndarray, b: np.ndarray, levels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """inner^-1 k, which is symmetric, and inner^-1 b, blocks (sets, size, ...), levels (sets, size).

    A single large block is taken apart into effects of levels that nothing joins but other effects, and these others,
    whose level is -1.
    """
    size = k.shape[1]
    lead = np.flatnonzero(levels[0] >= 0)
    # a level may lack an effect that no row and no covariance joins to the others
    per_level = np.unique(np.unique(levels[0][lead], return_counts=True)[1])
    if len(k) > 1 or len(lead) < 0.3 * size or len(per_level) > 1:
        solved = np.linalg.solve(inner, np.concatenate([k, b], axis=2))
        return solved[:, :, :size], solved[:, :, size:]
    lead = lead[np.argsort(levels[0][lead], kind="stable")]
    rest = np.flatnonzero(levels[0] < 0)
    own = lead.reshape(len(np.unique(levels[0][lead])), -1)  # (levels, effects of one)
    a, k, b = inner[0], k[0], b[0]
    wide = np.concatenate([a[np.ix_(lead, rest)], k[np.ix_(lead, rest)], b[lead]], axis=1)
    alone = k[own[:, :, None], own[:, None, :]]
    right = np.concatenate([wide.reshape(*own.shape, -1), alone], axis=2)
    solved = np.linalg.solve(a[own[:, :, None], own[:, None, :]], right)
    r, width = len(rest), own.shape[1]
    flat = solved[:, :, :-width].reshape(len(lead), -1)
    a_rest, k_rest, b_own = flat[:, :r], flat[:, r : 2 * r], flat[:, 2 * r :]
    across = a[np.ix_(rest, lead)]
    below = np.concatenate([k[np.ix_(rest, rest)] - across @ k_rest, b[rest] - across @ b_own], axis=1)
    of_rest = np.linalg.solve(a[np.ix_(rest, rest)] - across @ a_rest, below)
    m, n = np.empty_like(k), np.empty_like(b)
    n[rest], n[lead] = of_rest[:, r:], b_own - a_rest @ of_rest[:, r:]
    mixed = k_rest - a_rest @ of_rest[:, :r]
    m[np.ix_(rest, rest)], m[np.ix_(lead, rest)], m[np.ix_(rest, lead)] = of_rest[:, :r], mixed, mixed.T
    corner = a_rest @ -mixed.T
    place = np.arange(len(lead)).reshape(own.shape)
    corner[place[:, :, None], place[:, None, :]] += solved[:, :, -width:]
    m[np.ix_(lead, lead)] = corner
    return m[None], n[None]
