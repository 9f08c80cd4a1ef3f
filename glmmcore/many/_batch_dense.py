"""Laplace approximation of many responses with a few coefficients of several grouping factors, such as slopes.

All random effects of a response are one block: in the terms of `BatchObjective` one level, which all rows belong to,
with a factor T that repeats the terms' own for each of their levels. What falls apart into smaller blocks is then
computed as if it did not, which costs less than a call of the single fit does, as long as the block is small.
"""

from __future__ import annotations

import numpy as np

from glmmcore.estimation.problem import Problem
from glmmcore.many._batch_algebra import term_basis
from glmmcore.many._batch_objective import BatchObjective, unsupported_in_any_batch

__all__ = ["BatchDense", "dense_batch_suits"]

# Coefficients up to which they are one block, and products of rows and pairs of them: beyond, the single fit, which
# knows what is zero, is as fast.
_MOST, _MOST_PRODUCTS = 40, 200_000


def dense_batch_suits(problem: Problem) -> bool:
    """Whether the random effects are few coefficients of several factors in the conditional predictor."""
    layout = problem.layout
    if unsupported_in_any_batch(problem) or layout is None or len(layout.factors) < 2:
        return False
    return layout.order <= _MOST and problem.n * layout.order**2 <= _MOST_PRODUCTS


class BatchDense(BatchObjective):
    """F and dF/dx of `B` responses, used as `BatchObjective` is; see `dense_batch_suits`."""

    def __init__(self, problem: Problem, y: np.ndarray) -> None:
        layout = problem.layout
        assert layout is not None
        self.problem, self.y, self.n, self.k = problem, y, problem.n, layout.order
        values, start = layout.of_rows(layout.z), layout.of_rows(layout.start).astype(np.int64)
        self.z = np.zeros((self.n, self.k))
        column = 0
        for i, factor in enumerate(layout.factors):
            for j in range(factor.k):
                self.z[np.arange(self.n), start[:, i] + j] = values[:, column]
                column += 1
        self.level, self.first = np.zeros(self.n, dtype=np.int64), np.zeros(1, dtype=np.int64)
        self.pairs = self.z[:, :, None] * self.z[:, None, :]
        self._products = self.pairs.reshape(self.n, -1)
        self.basis = _basis(problem)
        self.theta = slice(problem.n_params - len(self.basis), problem.n_params)
        self.modes = np.zeros((len(y), 1, self.k))

    def effect_sums(self, values: np.ndarray) -> np.ndarray:
        """Z' values, (b, n) -> (b, 1, q)."""
        return np.asarray((values @ self.z)[:, None])

    def random_part(self, b: np.ndarray) -> np.ndarray:
        """Z b, (b, 1, q) -> (b, n)."""
        return np.asarray(b[:, 0] @ self.z.T)

    def information(self, weights: np.ndarray) -> np.ndarray:
        """Z'WZ, (b, n) -> (b, 1, q, q)."""
        return np.asarray((weights @ self._products).reshape(-1, 1, self.k, self.k))

    def _quadratic(self, blocks: np.ndarray) -> np.ndarray:
        return np.asarray(blocks.reshape(len(blocks), -1) @ self._products.T)


def _basis(problem: Problem) -> np.ndarray:
    """d Lambda / d theta, (number of theta, q, q): Lambda is linear in theta."""
    layout = problem.layout
    assert layout is not None
    out = []
    for term in problem.terms:
        factor = layout.factors[term.factor]
        where = slice(layout.offsets[term.factor], layout.offsets[term.factor + 1])
        for t in term_basis(term, factor.k):
            whole = np.zeros((layout.order, layout.order))
            whole[where, where] = np.kron(np.eye(factor.order // factor.k), t)
            out.append(whole)
    return np.array(out)
