"""Laplace approximation of many responses with several grouping factors of one coefficient each.

The mathematics is that of `glmmcore.estimation.laplace`; the largest factor is eliminated level by level, the others
are one small dense block a response. With D the diagonal of the leading block of H = Lambda'Z'WZ Lambda + I, C the
cells between leading levels and the K other coefficients, E the block of these and G = D^-1 C,

    S = E - C'G,   log|H| = log|D| + log|S|,   H^-1 = [D^-1 + G S^-1 G', -G S^-1; ., S^-1].

Arrays carry the response as their first axis; L leading levels, K other coefficients.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from glmmcore.estimation.laplace import LARGEST_VARIANCE
from glmmcore.estimation.likelihood import Likelihood
from glmmcore.estimation.problem import Problem
from glmmcore.many._batch_algebra import inverted, levels_of_rows
from glmmcore.many._batch_objective import AT_MODE, NO_MODE, BatchObjective, Rows

__all__ = ["BatchCrossed", "crossed_batch_suits"]

# Coefficients of the other factors up to which their block is small.
_MOST = 40


def crossed_batch_suits(problem: Problem) -> bool:
    """Whether the random effects are several factors of one coefficient in the conditional predictor."""
    layout = problem.layout
    if problem.reml or problem.family.extra or layout is None or problem.inner != ("cond",):
        return False
    if layout.has_covarying_levels or any(p.known is not None for p in problem.parts) or not problem.free.all():
        return False
    factors = layout.factors
    one_each = len(factors) > 1 and all(f.k == 1 and f.prior > 0.0 for f in factors)
    return one_each and layout.order - factors[0].order <= _MOST and all(t.structure.linear for t in problem.terms)


class _Blocks(NamedTuple):
    """Z'WZ: leading diagonal (b, L), cells (b, L, K) and the block of the others (b, K, K)."""

    lead: np.ndarray
    cells: np.ndarray
    others: np.ndarray


class _Inverse(NamedTuple):
    """H^-1 with its log determinant (b,); `positive` (b,) where H has a Cholesky factor."""

    gain: np.ndarray
    pivot: np.ndarray
    others: np.ndarray
    logdet: np.ndarray
    positive: np.ndarray

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """H^-1 rhs, (b, L + K)."""
        n_lead = self.pivot.shape[1]
        lead, others = rhs[:, :n_lead], rhs[:, n_lead:]
        second = np.einsum("bkm,bm->bk", self.others, others - np.einsum("blk,bl->bk", self.gain, lead))
        return np.hstack([lead / self.pivot - np.einsum("blk,bk->bl", self.gain, second), second])


class BatchCrossed(BatchObjective):
    """F and dF/dx of `B` responses, used as `BatchObjective` is; see `crossed_batch_suits`."""

    def __init__(self, problem: Problem, y: np.ndarray) -> None:
        layout = problem.layout
        assert layout is not None
        self.problem, self.y, self.n, self.k = problem, y, problem.n, 1
        z = layout.of_rows(layout.z)
        start = layout.of_rows(layout.start).astype(np.int64)
        self.level, self.first = levels_of_rows(layout)
        n_lead, n_others = len(self.first), layout.order - layout.factors[0].order
        self._z = np.ascontiguousarray(z[:, 0])
        columns = start[:, 1:] - layout.factors[0].order
        self._others = np.zeros((self.n, n_others))
        np.add.at(self._others, (np.arange(self.n)[:, None], columns), z[:, 1:])
        # where each row adds to the cells and to the block of the other factors, and with what
        rows = np.arange(self.n)
        at, value, row = [], [], []
        for f in range(columns.shape[1]):
            at.append(self.level * n_others + columns[:, f])
            value.append(z[:, 0] * z[:, 1 + f])
            row.append(rows)
            for e in range(columns.shape[1]):
                at.append(n_lead * n_others + columns[:, f] * n_others + columns[:, e])
                value.append(z[:, 1 + f] * z[:, 1 + e])
                row.append(rows)
        shape = (n_lead * n_others + n_others**2, self.n)
        places = (np.concatenate(at), np.concatenate(row))
        self._places = sparse.csr_matrix((np.concatenate(value), places), shape=shape)
        self._spread = self._places.T.tocsr()
        self._shape = (n_lead, n_others)
        self._theta = [t.where.start for t in problem.terms]
        by_factor = {t.factor: i for i, t in enumerate(problem.terms)}
        others = np.repeat(np.arange(1, len(layout.factors)), [f.order for f in layout.factors[1:]])
        self._scale_of = np.array([by_factor[0], *(by_factor[int(f)] for f in others)], dtype=np.int64)
        self.modes = np.zeros((len(y), n_lead + n_others))

    def factors(self, x: np.ndarray) -> np.ndarray:
        """Relative standard deviation of the leading factor and of each other coefficient, (b, 1 + K)."""
        return x[:, self._theta][:, self._scale_of]

    def _scaled(self, t: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Lambda u, (b, L + K)."""
        n_lead = self._shape[0]
        return np.hstack([t[:, :1] * u[:, :n_lead], t[:, 1:] * u[:, n_lead:]])

    def _random(self, t: np.ndarray, u: np.ndarray) -> np.ndarray:
        b, n_lead = self._scaled(t, u), self._shape[0]
        return b[:, self.level] * self._z + b[:, n_lead:] @ self._others.T

    def _sums(self, values: np.ndarray) -> np.ndarray:
        """Z' values, (b, L + K)."""
        return np.hstack([np.add.reduceat(values * self._z, self.first, axis=1), values @ self._others])

    def _blocks(self, weights: np.ndarray) -> _Blocks:
        n_lead, n_others = self._shape
        flat = np.ascontiguousarray((self._places @ weights.T).T)
        cells = flat[:, : n_lead * n_others].reshape(-1, n_lead, n_others)
        others = flat[:, n_lead * n_others :].reshape(-1, n_others, n_others)
        return _Blocks(np.add.reduceat(weights * np.square(self._z), self.first, axis=1), cells, others)

    def _inverse(self, t: np.ndarray, blocks: _Blocks) -> _Inverse:
        lead, others = t[:, :1], t[:, 1:]
        pivot = np.square(lead) * blocks.lead + 1.0
        cells = (lead * others)[:, None] * blocks.cells
        gain = cells / pivot[:, :, None]
        schur = others[:, :, None] * blocks.others * others[:, None] - np.matmul(np.swapaxes(cells, 1, 2), gain)
        schur += np.eye(self._shape[1])
        inverse, logdet, positive = inverted(schur[:, None])
        positive = positive & (pivot > 0.0).all(axis=1)
        logdet = logdet + np.log(np.where(pivot > 0.0, pivot, 1.0)).sum(axis=1)
        return _Inverse(gain, pivot, inverse[:, 0], logdet, positive)

    # ---- mode -------------------------------------------------------------------------------------------
    def _sweep(
        self, like: Likelihood, flat: list[np.ndarray], u: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shape = (len(u), self.n)
        l, first, second = like.row_newton_terms(0, len(flat[0]), flat)
        h = 0.5 * np.square(u).sum(axis=1) - l.reshape(shape).sum(axis=1)
        return h, self._sums(first[0].reshape(shape)), -second[0].reshape(shape)

    def _newton_step(
        self, t: np.ndarray, u: np.ndarray, score: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        inverse = self._inverse(t, self._blocks(weights))
        downhill = self._scaled(t, score) - u
        step = inverse.solve(downhill)
        bad = ~inverse.positive
        if bad.any():
            clipped = self._inverse(t[bad], self._blocks(np.maximum(weights[bad], 0.0)))
            step[bad] = clipped.solve(downhill[bad])
        return step, np.einsum("bq,bq->b", step, downhill)

    # ---- value and gradient -----------------------------------------------------------------------------
    def _derivatives(self, at: Rows, which: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        everything, shape = np.arange(at.count), (at.count, self.n)
        n_lead = self._shape[0]
        for attempt in range(3):
            u = self.modes[which]
            flat = self._predictors(at, everything, t, u)
            l, d1, d2, d3 = at.likelihood.derivatives(0, len(flat[0]), flat)
            d1, d2, d3 = (d.reshape(-1, *shape) for d in (d1, d2, d3))
            h = 0.5 * np.square(u).sum(axis=1) - l.reshape(shape).sum(axis=1)
            score, blocks = self._sums(d1[0]), self._blocks(-d2[0])
            inverse = self._inverse(t, blocks)
            residual = self._scaled(t, score) - u
            step = inverse.solve(residual)
            decrement = np.einsum("bq,bq->b", step, residual)
            far = decrement > AT_MODE
            if attempt == 2 or not far.any():
                break
            self.modes[which[far]] += step[far]
        crossed = -np.matmul(inverse.gain, inverse.others)
        lead = 1.0 / inverse.pivot - np.einsum("blk,blk->bl", crossed, inverse.gain)
        s = self._row_variances(t, lead, crossed, inverse.others)
        half_trace = -0.5 * d3 * s
        g = half_trace - d1
        v = inverse.solve(self._scaled(t, self._sums(half_trace[0])))
        g += d2 * self._random(t, v)
        value = h + 0.5 * inverse.logdet - 0.5 * decrement + np.einsum("bq,bq->b", v, residual)
        others = np.diagonal(inverse.others, axis1=1, axis2=2)
        has_peak = np.all(lead <= LARGEST_VARIANCE, axis=1) & np.all(others <= LARGEST_VARIANCE, axis=1)
        value[~(inverse.positive & has_peak & (decrement <= NO_MODE))] = np.inf
        gradient = self._assemble(g)
        # by T of each coefficient, summed over those of a factor
        slope = self._sums(g[0]) * u + score * v
        slope[:, :n_lead] += blocks.lead * t[:, :1] * lead + np.einsum(
            "blk,bk,blk->bl", blocks.cells, t[:, 1:], crossed
        )
        slope[:, n_lead:] += t[:, :1] * np.einsum("blk,blk->bk", blocks.cells, crossed)
        slope[:, n_lead:] += np.einsum("bkm,bm,bkm->bk", blocks.others, t[:, 1:], inverse.others)
        for i, where in enumerate(self._theta):
            own = np.flatnonzero(self._scale_of[1:] == i) + n_lead
            gradient[:, where] = slope[:, :n_lead].sum(axis=1) if self._scale_of[0] == i else slope[:, own].sum(axis=1)
        return value, gradient

    def _row_variances(self, t: np.ndarray, lead: np.ndarray, crossed: np.ndarray, others: np.ndarray) -> np.ndarray:
        """z_i' Lambda H^-1 Lambda' z_i of every row, (b, n)."""
        cells = (2.0 * t[:, :1] * t[:, 1:])[:, None] * crossed
        block = t[:, 1:, None] * others * t[:, None, 1:]
        flat = np.hstack([cells.reshape(len(t), -1), block.reshape(len(t), -1)])
        out = np.ascontiguousarray((self._spread @ flat.T).T)
        return out + (np.square(t[:, :1]) * lead)[:, self.level] * np.square(self._z)
