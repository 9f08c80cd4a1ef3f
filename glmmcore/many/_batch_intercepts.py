"""Laplace approximation of many responses with one coefficient a level of one grouping factor.

The mathematics is that of `BatchObjective`; with scalars in place of blocks, what happens between two calls of the
family is one pass over the rows.
"""

from __future__ import annotations

import numpy as np

from glmmcore.estimation.laplace import LARGEST_VARIANCE
from glmmcore.estimation.likelihood import Likelihood
from glmmcore.estimation.problem import Problem
from glmmcore.many._batch_intercept_kernels import add_effects, gradient_of_rows, newton_steps, sums_by_level
from glmmcore.many._batch_objective import AT_MODE, NO_MODE, BatchObjective, Rows

__all__ = ["BatchIntercepts"]


class BatchIntercepts(BatchObjective):
    """F and dF/dx of `B` responses, used as `BatchObjective` is, whose shapes it keeps; k is 1."""

    def __init__(self, problem: Problem, y: np.ndarray) -> None:
        super().__init__(problem, y)
        self._ends = np.append(self.first, self.n)
        self._z = np.ascontiguousarray(self.z[:, 0])
        self._minus_square = -np.square(self._z)
        self._half_cube = 0.5 * self._z**3

    def _predictors(self, at: Rows, which: np.ndarray, t: np.ndarray, u: np.ndarray) -> list[np.ndarray]:
        shape = (len(which), self.n)
        fixed, *others = at.spread(which, self.n)
        out = np.empty(shape)
        add_effects(fixed, self._z, self._ends, t[:, 0] * u[:, :, 0], out)
        return [out.reshape(-1), *(v.reshape(-1) for v in others)]

    def _sums(self, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        out = np.empty((len(values), len(self.first)))
        sums_by_level(weights, self._ends, values, out)
        return out

    def _sweep(
        self, like: Likelihood, flat: list[np.ndarray], u: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shape = (len(u), self.n)
        l, first, second = like.row_newton_terms(0, len(flat[0]), flat)
        modes = u[:, :, 0]
        h = 0.5 * np.einsum("bl,bl->b", modes, modes) - l.reshape(shape).sum(axis=1)
        return h, self._sums(self._z, first[0].reshape(shape)), second[0].reshape(shape)

    def _newton_step(
        self, t: np.ndarray, u: np.ndarray, score: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """`weights` are second derivatives here."""
        scale = np.ascontiguousarray(t[:, 0, 0])
        downhill = scale[:, None] * score - u[:, :, 0]
        step, positive = np.empty_like(downhill), np.empty(len(t), dtype=bool)
        newton_steps(scale, self._sums(self._minus_square, weights), downhill, step, positive)
        if not positive.all():
            bad = ~positive
            clipped = self._sums(self._minus_square, np.minimum(weights[bad], 0.0))
            step[bad] = downhill[bad] / (np.square(scale[bad])[:, None] * clipped + 1.0)
        return step[:, :, None], np.einsum("bl,bl->b", step, downhill)

    def _derivatives(self, at: Rows, which: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        everything, shape = np.arange(at.count), (at.count, self.n)
        scale = np.ascontiguousarray(t[:, 0, 0])
        column, square = scale[:, None], np.square(scale)[:, None]
        positive = np.empty(at.count, dtype=bool)
        for attempt in range(3):
            modes = self.modes[which]
            u = modes[:, :, 0]
            flat = self._predictors(at, everything, t, modes)
            l, d1, d2, d3 = at.likelihood.derivatives(0, len(flat[0]), flat)
            d1, d2, d3 = (d.reshape(-1, *shape) for d in (d1, d2, d3))
            h = 0.5 * np.einsum("bl,bl->b", u, u) - l.reshape(shape).sum(axis=1)
            score, information = self._sums(self._z, d1[0]), self._sums(self._minus_square, d2[0])
            residual = column * score - u
            step, hessian = np.empty_like(residual), information.copy()
            newton_steps(scale, hessian, residual, step, positive)
            decrement = np.einsum("bl,bl->b", step, residual)
            far = decrement > AT_MODE
            if attempt == 2 or not far.any():
                break
            self.modes[which[far], :, 0] += step[far]
        inverse = 1.0 / hessian
        variance = square * inverse
        v = -inverse * column * variance * self._sums(self._half_cube, d3[0])
        g = np.empty_like(d1)
        gradient_of_rows(self._z, self._ends, d1, d2, d3, variance, column * v, g)
        value = h + 0.5 * np.log(hessian).sum(axis=1) - 0.5 * decrement + np.einsum("bl,bl->b", v, residual)
        has_peak = np.all(variance <= LARGEST_VARIANCE * square, axis=1)
        value[~(positive & has_peak & (decrement <= NO_MODE))] = np.inf
        gradient = self._assemble(g)
        by_factor = (self._sums(self._z, g[0]) * u + score * v + column * information * inverse).sum(axis=1)
        gradient[:, self.theta] = by_factor[:, None] * self.basis[:, 0, 0]
        return value, gradient
