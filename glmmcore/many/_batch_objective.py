"""Laplace approximation of many responses of one design at once, with its exact gradient.

The mathematics is that of `glmmcore.estimation.laplace`, restricted to designs where everything falls apart into small
blocks: at most one grouping factor, in the conditional predictor. Arrays carry the response as their first
axis, so that the cost of calling numpy and the families' kernels is shared by all responses of a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmcore.estimation.laplace import LARGEST_VARIANCE
from glmmcore.estimation.likelihood import Likelihood
from glmmcore.estimation.problem import LinearPart, Problem
from glmmcore.many._batch_algebra import factor_basis, inverted, levels_of_rows, pushed

__all__ = ["AT_MODE", "NO_MODE", "BatchObjective", "Rows", "unsupported", "unsupported_in_any_batch"]

# Newton decrement of the modes below which one more step is taken without looking, ...
_LAST_STEP = 1e-8
# ... the decrement that must hold where the derivatives are taken, and beyond which the point is no mode.
AT_MODE = 1e-14
NO_MODE = 1e-6
# Least share of the predicted decrease of h that a step must bring, and relative changes of h that are rounding.
_SUFFICIENT_DECREASE, _ROUNDING = 1e-4, 1e-13
_MAX_SWEEPS = 40
_MAX_HALVINGS = 20


def unsupported(problem: Problem) -> str:
    """Why a problem cannot be batched level by level, or an empty string."""
    reason = unsupported_in_any_batch(problem)
    if not reason and problem.layout is not None and len(problem.layout.factors) > 1:
        return "several grouping factors"
    return reason


def unsupported_in_any_batch(problem: Problem) -> str:
    """Why a problem cannot be batched, however many grouping factors it has, or an empty string."""
    if problem.reml:
        return "REML"
    if any(p.known is not None for p in problem.parts) or not problem.free.all():
        return "parameters that are given"
    if problem.family.extra:
        return f"family '{problem.family.name}' has further parameters"
    if problem.layout is None:
        return ""
    if problem.layout.has_covarying_levels:
        return "levels that covary"
    if problem.inner != ("cond",):
        return "random effects in the zero-inflation part"
    if not all(t.structure.linear for t in problem.terms):
        return "a covariance structure that is not linear in its parameters"
    return ""


@dataclass(slots=True, eq=False)
class Rows:
    """Likelihood of the rows of some responses, flattened, and the fixed part of every predictor."""

    likelihood: Likelihood
    values: list[np.ndarray]
    count: int

    def spread(self, which: np.ndarray, n: int) -> list[np.ndarray]:
        """Fixed parts (b, n) of some responses, contiguous; those of all are kept for the next step of the modes."""
        if len(which) == self.count:
            self.values = [np.ascontiguousarray(np.broadcast_to(v, (self.count, n))) for v in self.values]
            return self.values
        return [np.ascontiguousarray(np.broadcast_to(v[which], (len(which), n))) for v in self.values]


@dataclass(slots=True, eq=False)
class _Modes:
    """What is known at the modes u (b, L, k).

    h (b,), derivatives of the rows (P, b, n), Z'l_1 (b, L, k), Z'WZ and H^-1 (b, L, k, k), log|H| and whether H is
    positive definite (b,), what is left of the gradient (b, L, k) and Newton's decrement of it (b,).
    """

    u: np.ndarray
    h: np.ndarray
    d1: np.ndarray
    d2: np.ndarray
    d3: np.ndarray
    score: np.ndarray
    information: np.ndarray
    inverse: np.ndarray
    logdet: np.ndarray
    positive: np.ndarray
    residual: np.ndarray
    decrement: np.ndarray


class BatchObjective:
    """F and dF/dx of `B` responses; keeps the last modes as warm starts.

    Parameters
    ----------
    problem : Problem
        With ``unsupported(problem) == ""``.
    y : ndarray, shape (B, n)
        Responses in the problem's row order.

    Attributes
    ----------
    modes : ndarray, shape (B, L, k)
        Spherical random effects at the last evaluation of each response.
    """

    def __init__(self, problem: Problem, y: np.ndarray) -> None:
        self.problem = problem
        self.y = y
        self.n = problem.n
        layout = problem.layout
        if layout is None:
            self.z, self.first, self.level = (
                np.zeros((self.n, 0)),
                np.zeros(0, np.int64),
                np.zeros(0, np.int64),
            )
            self.basis = np.zeros((0, 0, 0))
        else:
            self.z = layout.of_rows(layout.z)
            self.level, self.first = levels_of_rows(layout)
            self.basis = factor_basis(problem)
        self.k = self.z.shape[1]
        self.pairs = self.z[:, :, None] * self.z[:, None, :]
        self.theta = slice(problem.n_params - len(self.basis), problem.n_params)
        self.modes = np.zeros((len(y), len(self.first), self.k))

    # ---- rows -------------------------------------------------------------------------------------------
    def rows(self, which: np.ndarray) -> Likelihood:
        """Likelihood of the rows of some responses."""
        like = self.problem.likelihood
        b = len(which)
        return Likelihood(
            like.family,
            like.mixture is not None,
            self.y[which].ravel(),
            None if like.trials is None else np.tile(like.trials, b),
            None if like.freq_weights is None else np.tile(like.freq_weights, b),
            ("cond",),
        )

    def fixed_values(self, x: np.ndarray) -> list[np.ndarray]:
        """Evaluate the fixed parts at parameters (b, p): (b, n) a predictor, or (b, 1) for a constant."""
        return [_linear_part(part, x[:, part.where]) for part in self.problem.parts]

    def level_sums(self, values: np.ndarray) -> np.ndarray:
        """Sum over the rows of each level, (b, n, ...) -> (b, L, ...)."""
        return np.add.reduceat(values, self.first, axis=1)

    def effect_sums(self, values: np.ndarray) -> np.ndarray:
        """Z' values by level, (b, n) -> (b, L, k)."""
        return self.level_sums(values[:, :, None] * self.z)

    def _predictors(self, at: Rows, which: np.ndarray, t: np.ndarray, u: np.ndarray) -> list[np.ndarray]:
        """Predictors of the flattened rows of some responses at spherical random effects u, each (b n,)."""
        fixed, *others = at.spread(which, self.n)
        return [(fixed + self._random(t, u)).reshape(-1), *(v.reshape(-1) for v in others)]

    def random_part(self, b: np.ndarray) -> np.ndarray:
        """Z b, (b, L, k) -> (b, n)."""
        return np.einsum("bnk,nk->bn", b[:, self.level], self.z)

    def factors(self, x: np.ndarray) -> np.ndarray:
        """T of every response, (b, k, k)."""
        return np.tensordot(x[:, self.theta], self.basis, axes=1)

    # ---- mode -------------------------------------------------------------------------------------------
    def _sweep(
        self, like: Likelihood, flat: list[np.ndarray], u: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """h (b,), Z'l_1 (b, L, k) and row weights W (b, n)."""
        shape = (len(u), self.n)
        l, first, second = like.row_newton_terms(0, len(flat[0]), flat)
        h = 0.5 * np.einsum("blk,blk->b", u, u) - l.reshape(shape).sum(axis=1)
        score = self.effect_sums(first[0].reshape(shape))
        return h, score, -second[0].reshape(shape)

    def information(self, weights: np.ndarray) -> np.ndarray:
        """Z'WZ by level, (b, n) -> (b, L, k, k)."""
        return self.level_sums(weights[:, :, None, None] * self.pairs)

    def _find_modes(self, at: Rows, which: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Guarded Newton from the last modes for all responses of a block; False where h is not finite."""
        todo = np.arange(len(which))
        u, like = self.modes[which], at.likelihood
        h, score, weights = self._sweep(like, self._predictors(at, todo, t, u), u)
        fine = np.isfinite(h)
        if not fine.all():
            u[~fine] = 0.0
            h, score, weights = self._sweep(like, self._predictors(at, todo, t, u), u)
            fine = np.isfinite(h)
            todo = np.flatnonzero(fine)
            h, score, weights = h[todo], score[todo], weights[todo]
        for _ in range(_MAX_SWEEPS):
            step, decrement = self._newton_step(t[todo], u[todo], score, weights)
            far = decrement > _LAST_STEP
            u[todo[~far]] += step[~far]
            todo, step, decrement, h = todo[far], step[far], decrement[far], h[far]
            if not len(todo):
                break
            if len(todo) != len(like.y) // self.n:
                like = self.rows(which[todo])
            length = np.ones(len(todo))
            for _ in range(_MAX_HALVINGS):
                trial = u[todo] + length.reshape(-1, *[1] * (step.ndim - 1)) * step
                h_new, score, weights = self._sweep(like, self._predictors(at, todo, t[todo], trial), trial)
                risen = ~(h_new <= h - _SUFFICIENT_DECREASE * length * decrement + _ROUNDING * np.abs(h))
                if not risen.any():
                    break
                length[risen] *= 0.5
            u[todo], h = trial, h_new
        fine[todo] = False
        self.modes[which] = u
        return fine

    def _random(self, t: np.ndarray, u: np.ndarray) -> np.ndarray:
        return self.random_part(pushed(t, u))

    def _newton_step(
        self, t: np.ndarray, u: np.ndarray, score: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        inverse, _, positive = inverted(self._hessian(t, self.information(weights)))
        if not positive.all():
            bad = ~positive
            clipped = self.information(np.maximum(weights[bad], 0.0))
            inverse[bad], _, _ = inverted(self._hessian(t[bad], clipped))
        downhill = pushed(np.swapaxes(t, 1, 2), score) - u
        step = np.einsum("blij,blj->bli", inverse, downhill)
        return step, np.einsum("bli,bli->b", step, downhill)

    def _hessian(self, t: np.ndarray, information: np.ndarray) -> np.ndarray:
        """T' Z'WZ T + I by level."""
        if self.k == 1:
            return np.square(t)[:, None] * information + 1.0
        return np.swapaxes(t, 1, 2)[:, None] @ information @ t[:, None] + np.eye(self.k)

    # ---- value and gradient -----------------------------------------------------------------------------
    def __call__(self, which: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """F (b,) and dF/dx (b, p) of the responses `which` at x (b, p); inf where F does not exist."""
        with np.errstate(all="ignore"):
            at = Rows(self.rows(which), self.fixed_values(x), len(which))
            if not self.k:
                value, g = self._without_random_effects(at)
                return _guarded(value, self._assemble(g))
            t = self.factors(x)
            fine = self._find_modes(at, which, t)
            value, gradient = self._derivatives(at, which, t)
            value[~fine] = np.inf
            return _guarded(value, gradient)

    def _without_random_effects(self, at: Rows) -> tuple[np.ndarray, np.ndarray]:
        flat = [v.reshape(-1) for v in at.spread(np.arange(at.count), self.n)]
        l, d1, _, _ = at.likelihood.derivatives(0, len(flat[0]), flat)
        return -l.reshape(at.count, self.n).sum(axis=1), -d1.reshape(len(d1), at.count, self.n)

    def _at_modes(self, at: Rows, which: np.ndarray, t: np.ndarray) -> _Modes:
        """Derivatives of all rows at the modes, which are polished where they are not found to full precision."""
        everything, shape = np.arange(at.count), (at.count, self.n)
        for attempt in range(3):
            u = self.modes[which]
            flat = self._predictors(at, everything, t, u)
            l, d1, d2, d3 = at.likelihood.derivatives(0, len(flat[0]), flat)
            d1, d2, d3 = (d.reshape(-1, *shape) for d in (d1, d2, d3))
            h = 0.5 * np.einsum("blk,blk->b", u, u) - l.reshape(shape).sum(axis=1)
            score = self.effect_sums(d1[0])
            information = self.information(-d2[0])
            inverse, logdet, positive = inverted(self._hessian(t, information))
            residual = pushed(np.swapaxes(t, 1, 2), score) - u
            step = np.einsum("blij,blj->bli", inverse, residual)
            decrement = np.einsum("bli,bli->b", step, residual)
            far = decrement > AT_MODE
            if attempt == 2 or not far.any():
                break
            self.modes[which[far]] += step[far]
        return _Modes(u, h, d1, d2, d3, score, information, inverse, logdet, positive, residual, decrement)

    def _derivatives(self, at: Rows, which: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t_transposed, mode = np.swapaxes(t, 1, 2), self._at_modes(at, which, t)
        u, inverse, residual = mode.u, mode.inverse, mode.residual
        covariance = t[:, None] @ inverse @ t_transposed[:, None]
        s = self._quadratic(covariance)
        g = np.negative(mode.d1)
        half_trace = -0.5 * mode.d3 * s
        g += half_trace
        v = np.einsum(
            "blij,blj->bli",
            inverse,
            pushed(t_transposed, self.effect_sums(half_trace[0])),
        )
        g += mode.d2 * self._random(t, v)
        value = mode.h + 0.5 * mode.logdet - 0.5 * mode.decrement + np.einsum("bli,bli->b", v, residual)
        spread, without = np.diagonal(covariance, axis1=2, axis2=3), np.square(t).sum(axis=2)
        has_peak = np.all(spread <= LARGEST_VARIANCE * without[:, None], axis=(1, 2))
        value[~(mode.positive & has_peak & (mode.decrement <= NO_MODE))] = np.inf
        gradient = self._assemble(g)
        inner_score = self.effect_sums(g[0])
        d_factor = np.einsum("bli,blj->bij", inner_score, u) + np.einsum("bli,blj->bij", mode.score, v)
        d_factor += (mode.information @ t[:, None] @ inverse).sum(axis=1)
        gradient[:, self.theta] = np.einsum("bij,mij->bm", d_factor, self.basis)
        return value, gradient

    def _quadratic(self, blocks: np.ndarray) -> np.ndarray:
        """z_i' B z_i of every row for the level blocks B (b, L, k, k), (b, n)."""
        return np.einsum("bnij,nij->bn", blocks[:, self.level], self.pairs)

    def _assemble(self, g: np.ndarray) -> np.ndarray:
        """Chain from predictors (P, b, n) to their coefficients (b, p)."""
        gradient = np.zeros((g.shape[1], self.problem.n_params))
        for part, rows in zip(self.problem.parts, g, strict=True):
            gradient[:, part.where] = rows.sum(axis=1)[:, None] if part.X is None else rows @ part.X
        return gradient

    # ---- read off ---------------------------------------------------------------------------------------
    def conditional_information(self, which: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Information on the conditional coefficients given theta at the last modes, (b, p, p)."""
        part = self.problem.part("cond")
        assert part.X is not None
        weights = self.rows(which).conditional_information(0, len(which) * self.n, self.predictors(which, x))
        weights = weights.reshape(len(which), self.n)
        products = (part.X[:, :, None] * part.X[:, None, :]).reshape(self.n, -1)
        information = (weights @ products).reshape(-1, part.size, part.size)
        if self.k:
            t = self.factors(x)
            inverse, _, _ = inverted(self._hessian(t, self.information(weights)))
            mixed = self.z[:, :, None] * part.X[:, None, :]
            cross = self.level_sums(weights[:, :, None, None] * mixed)
            cross = np.swapaxes(t, 1, 2)[:, None] @ cross
            information -= np.einsum("blkp,blkm,blmq->bpq", cross, inverse, cross, optimize=True)
        return information

    def predictors(self, which: np.ndarray, x: np.ndarray) -> list[np.ndarray]:
        """All predictors of the flattened rows at the last modes, each (b n,)."""
        at = Rows(self.rows(which), self.fixed_values(x), len(which))
        everything = np.arange(len(which))
        if not self.k:
            return [v.reshape(-1) for v in at.spread(everything, self.n)]
        return self._predictors(at, everything, self.factors(x), self.modes[which])


def _linear_part(part: LinearPart, coefficients: np.ndarray) -> np.ndarray:
    if part.X is None:
        return coefficients
    out = coefficients @ part.X.T
    return out if part.offset is None else out + part.offset


def _guarded(value: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bad = ~(np.isfinite(value) & np.isfinite(gradient).all(axis=1))
    value[bad], gradient[bad] = np.inf, 0.0
    return value, gradient
