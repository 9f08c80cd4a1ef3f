"""A symmetric positive definite matrix of a fixed sparse pattern: factor, solves, inverse on the pattern."""

from __future__ import annotations

import copy

import numpy as np

from glmmcore.engines.layout import Factor, RowLayout
from glmmcore.engines.pattern import SparsePattern
from glmmcore.engines.sparse import SparseSystem
from glmmcore.memory import require_memory

__all__ = ["SymmetricMatrix"]

# The factor of one evaluation, that of the next, the inverse, and what it is worked out in.
_COPIES = 4.0


class _MatrixPattern(SparsePattern):
    """The entries of a matrix as the blocks, one number each, of one factor without a prior of its own."""

    def __init__(self, n: int, row: np.ndarray, column: np.ndarray) -> None:
        self.n_random = 1
        self.node_first = np.array([0, n], dtype=np.int64)
        self.level_at = np.zeros(1, dtype=np.int64)
        self.pair_at = np.empty((n, 0), dtype=np.int32)
        self.at = np.arange(len(row))
        self.factor_f = self.factor_g = np.zeros(len(row), dtype=np.int64)
        self.node_f, self.node_g = row.astype(np.int64), column.astype(np.int64)
        self.size = len(row)
        self.node_size = np.ones(n, dtype=np.int64)
        self.prior_f = self.prior_g = np.arange(n)
        self.prior_value = np.zeros(n)


class SymmetricMatrix:
    """One matrix through the sparse engine.

    Parameters
    ----------
    n : int
    row, column : ndarray of int64, shape (entries,)
        Lower triangle, each entry once, the n of the diagonal first and in order.
    """

    def __init__(self, n: int, row: np.ndarray, column: np.ndarray) -> None:
        codes, one = np.arange(n, dtype=np.int32), np.zeros(1, dtype=np.int32)
        layout = RowLayout([Factor("entries", codes, n, np.ones((n, 1)), one)])
        pattern = _MatrixPattern(n, row, column)
        plan = pattern.plan()
        require_memory(
            _COPIES * 8.0 * (float(plan.panel_first[-1]) + float(plan.n_core) ** 2),
            f"factorising a sparse matrix of order {n}, {plan.n_core} of it dense",
            "round the coordinates, make independent groups (x, y | region), or ask for fewer neighbours",
        )
        self._system = SparseSystem(layout, pattern=pattern, plan=plan)

    def fresh(self) -> SymmetricMatrix:
        """The same pattern with memory of its own."""
        other = copy.copy(self)
        other._system = self._system.fresh()
        return other

    def factorise(self, values: np.ndarray) -> bool:
        """Factor the matrix of these entries; False when it is not positive definite."""
        self._system.set_blocks(values)
        return bool(np.all(np.isfinite(values))) and self._system.factorise([np.ones((1, 1))])

    @property
    def logdet(self) -> float:
        """Log determinant."""
        return self._system.logdet

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """Solve for (n,) or (n, m)."""
        if rhs.ndim == 1:
            return self._system.solve(rhs)
        return np.column_stack([self._system.solve(np.ascontiguousarray(column)) for column in rhs.T])

    def inverse(self) -> np.ndarray:
        """Entries of the inverse on the pattern, (entries,)."""
        self._system.invert()
        return self._system.inverse_blocks

    def describe(self) -> str:
        """What the factorisation costs."""
        return self._system.describe()[-1]
