"""Linear mixed models of many responses from cross-products, all responses at once.

The mathematics is that of `glmmcore.estimation.linear` for one grouping factor: Z'WZ, Z'WX and X'WX are the same for
every response, Z'Wy, X'Wy and y'Wy are taken once, and an evaluation costs what the levels cost, not the rows. Arrays
carry the response as their first axis; L levels of k coefficients, p fixed effects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from glmmcore.estimation.linear import LinearObjective
from glmmcore.estimation.moments import moment_variances
from glmmcore.estimation.problem import Problem
from glmmcore.many._batch_algebra import factor_basis, inverted, levels_of_rows, pulled, pushed

__all__ = ["BatchLinear", "linear_batch_suits"]

# Rows times responses that are passed over together: half a megabyte an array.
_CELLS_IN_CACHE = 1 << 16


def linear_batch_suits(problem: Problem) -> bool:
    """Whether a linear problem has one grouping factor and factors T that are linear in theta."""
    if problem.layout is None or not problem.terms or problem.layout.has_covarying_levels:
        return False
    if problem.part("cond").known is not None:
        return False
    random = [f for f in problem.layout.factors if f.prior > 0.0]
    return len(random) == 1 and all(t.structure.linear for t in problem.terms)


class BatchLinear:
    """F and dF/d theta of `B` responses of a profiled linear problem.

    Parameters
    ----------
    objective : LinearObjective
        What does not depend on the response is read off it.
    y : ndarray, shape (B, n)
        Responses in the problem's row order.

    Attributes
    ----------
    perfect : ndarray of bool, shape (B,)
        Responses without variation around the fixed effects.
    """

    def __init__(self, objective: LinearObjective, y: np.ndarray) -> None:
        problem = self.problem = objective.problem
        layout, part = problem.layout, problem.part("cond")
        assert layout is not None and part.X is not None
        self.objective, self.y, self.k = objective, y, layout.factors[0].k
        self.n_params = problem.n_params
        self.basis = factor_basis(problem)
        z = np.ascontiguousarray(layout.of_rows(layout.z[:, : self.k]))
        self.level, first = levels_of_rows(layout)
        self._z, self._x = z, part.X
        w = objective.row_weights
        equal_weights, self._is_plain = bool(np.all(w == 1.0)), bool(np.all(z == 1.0))
        wz, wx = (z, part.X) if equal_weights else (w[:, None] * z, w[:, None] * part.X)
        if self.k == 1 and self._is_plain and equal_weights:
            self._lead = np.diff(np.append(first, len(w))).astype(float)[:, None, None]
        else:
            self._lead = np.add.reduceat(wz[:, :, None] * z[:, None, :], first)
        if self.k == 1 and self._is_plain:
            self._cross = np.add.reduceat(wx, first)[:, None, :]
        else:
            self._cross = np.add.reduceat(wz[:, :, None] * part.X[:, None, :], first)
        self._fixed = part.X.T @ wx
        self._score, self._rhs = np.empty((len(y), len(first), self.k)), np.zeros((len(y), part.size))
        self._total = np.zeros(len(y))
        self._bounds = _bounds(np.append(first, len(w)), max(1, _CELLS_IN_CACHE // max(len(y), 1)))
        products = np.zeros((len(y), part.size))
        for _, rows in self._chunks():
            products += (y[:, rows] if part.offset is None else y[:, rows] - part.offset[rows]) @ wx[rows]
        self._ols = np.linalg.lstsq(self._fixed, products.T, rcond=None)[0].T if part.size else products
        plain = [np.all(column == 1.0) for column in wz.T]
        self._products: np.ndarray | None = None
        space = self._space(len(y))
        for levels, rows in self._chunks():
            centred = y[:, rows] if part.offset is None else y[:, rows] - part.offset[rows]
            residual = np.matmul(self._ols, part.X[rows].T, out=_block(space, centred.shape))
            np.subtract(centred, residual, out=residual)
            for column in range(self.k):
                each = residual if plain[column] else residual * wz[rows, column]
                self._score[:, levels, column] = np.add.reduceat(each, first[levels] - rows.start, axis=1)
            self._rhs += residual @ wx[rows]
            weighted = residual if equal_weights else residual * w[rows]
            self._total += np.einsum("bn,bn->b", weighted, residual)
        square = self._total + np.einsum("bp,pq,bq->b", self._ols, self._fixed, self._ols)
        self.perfect = ~(self._total > objective.perfect_share * square)
        self._total[self.perfect] = 1.0

    def start(self) -> np.ndarray:
        """Theta (B, p) from moments of the residuals, as `LinearObjective.start`."""
        total = self._total / self.objective.n_rows
        information = np.einsum("lkk->lk", self._lead)
        square = np.square(self._score).sum(axis=1)
        variance = moment_variances(square, information, total[:, None], self.objective.n_rows)
        explained = variance @ information.sum(axis=0) / self.objective.n_rows
        residual = np.maximum(total - explained, 0.2 * total)
        sd = np.minimum(np.sqrt(variance / residual[:, None]), 5.0 * self.objective.unit)
        x = np.zeros((len(total), self.n_params))
        for term in self.problem.terms:
            x[:, term.where] = np.array([term.structure.start(row) for row in sd[:, term.columns]])
        return x

    def curvature(self) -> np.ndarray:
        """Guess of the Hessian near the start, (p, p)."""
        guess = np.concatenate([t.structure.curvature(len(self._lead)) for t in self.problem.terms])
        return np.diag(guess / self.objective.unit**2)

    def __call__(self, which: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """F (b,) and dF/d theta (b, p) of the responses `which` at x (b, p); inf where F does not exist."""
        with np.errstate(all="ignore"):
            value, gradient = self._evaluate(which, x)
        bad = ~(np.isfinite(value) & np.isfinite(gradient).all(axis=1)) | self.perfect[which]
        value[bad], gradient[bad] = np.inf, 0.0
        return value, gradient

    def _evaluate(self, which: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t = np.tensordot(x, self.basis, axes=1)
        if self.k == 1:
            return self._evaluate_intercepts(which, t[:, 0])
        inverse, logdet, positive = inverted(self._hessian(t))
        solved = self._solve(which, t, inverse)
        n, p = self.objective.n_effective, len(self._fixed)
        value = n * (1.0 + np.log(2.0 * np.pi * solved.square / n)) + logdet
        # derivative of the log determinant by T, and of r^2
        pulled_lead = np.matmul(self._lead, t[:, None]) if self.k > 1 else self._lead * t[:, None]
        d = np.matmul(pulled_lead, inverse).sum(axis=1) if self.k > 1 else (pulled_lead * inverse).sum(axis=1)
        if self.problem.reml and p:
            value += np.linalg.slogdet(solved.schur)[1]
            fixed = np.linalg.inv(solved.schur)
            assert solved.gain is not None
            gained = np.einsum("blip,bpq->bliq", solved.gain, fixed)
            moved = np.einsum("blij,bljp->blip", pulled_lead, gained) - np.einsum("lip,bpq->bliq", self._cross, fixed)
            d = d + np.einsum("blip,bljp->bij", moved, solved.gain)
        left = self._score[which] - np.einsum("blij,blj->bli", pulled_lead, solved.spherical)
        left -= np.einsum("lip,bp->bli", self._cross, solved.beta)
        d = d - (n / solved.square)[:, None, None] * np.einsum("bli,blj->bij", left, solved.spherical)
        value = 0.5 * value + self.objective.constant
        value[~positive] = np.inf
        return value, np.einsum("bij,mij->bm", d, self.basis)

    def _evaluate_intercepts(self, which: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for one coefficient a level, T of every response in t (b, 1): sums over levels are products."""
        solved, inverse, left = self._solve_intercepts(which, t)
        n, p = self.objective.n_effective, len(self._fixed)
        value = n * (1.0 + np.log(2.0 * np.pi * solved.square / n)) - np.log(inverse).sum(axis=1)
        d = inverse @ self._lead[:, 0, 0] - n / solved.square * np.einsum("bl,bl->b", left, left)
        if self.problem.reml and p:
            value += np.linalg.slogdet(solved.schur)[1]
            d -= np.einsum("bpq,bqp->b", np.linalg.inv(solved.schur), self._crossed(np.square(inverse)))
        gradient = (t[:, 0] * d)[:, None] * self.basis[:, 0, 0]
        return 0.5 * value + self.objective.constant, gradient

    def _solve_intercepts(self, which: np.ndarray, t: np.ndarray) -> tuple[_Solved, np.ndarray, np.ndarray]:
        """What `_solve` finds, H^-1 (b, L) and Z'W e of the levels (b, L) with e the residuals."""
        cross, score, square = self._cross[:, 0], self._score[which, :, 0], np.square(t)
        inverse = 1.0 / (square * self._lead[:, 0, 0] + 1.0)
        pulled = score * inverse
        r2 = self._total[which] - square[:, 0] * np.einsum("bl,bl->b", pulled, score)
        schur = self._fixed - square[:, :, None] * self._crossed(inverse)
        beta = np.zeros((len(which), cross.shape[1]))
        if beta.size:
            target = self._rhs[which] - square * (pulled @ cross)
            beta = np.linalg.solve(schur, target[:, :, None])[:, :, 0]
            r2 -= np.einsum("bp,bp->b", target, beta)
        left = (score - beta @ cross.T) * inverse
        return _Solved(schur, None, beta, (t * left)[:, :, None], r2), inverse, left

    def _crossed(self, weights: np.ndarray) -> np.ndarray:
        """Sums over levels of weights (b, L) times c c' with c = Z'WX of the level, (b, p, p)."""
        if self._products is None:
            cross = self._cross[:, 0]
            self._products = (cross[:, :, None] * cross[:, None, :]).reshape(len(cross), -1)
        return (weights @ self._products).reshape(len(weights), *self._fixed.shape)

    def _hessian(self, t: np.ndarray) -> np.ndarray:
        if self.k == 1:
            return np.square(t)[:, None] * self._lead + 1.0
        return np.swapaxes(t, 1, 2)[:, None] @ self._lead @ t[:, None] + np.eye(self.k)

    def _solve(self, which: np.ndarray, t: np.ndarray, inverse: np.ndarray) -> _Solved:
        """Fixed effects and spherical modes of every response given T; `inverse` is H^-1."""
        cross = pulled(t, self._cross)
        score = pulled(t, self._score[which][..., None])
        gain = np.matmul(inverse, cross) if self.k > 1 else inverse * cross
        own = np.matmul(inverse, score) if self.k > 1 else inverse * score
        p = cross.shape[-1]
        square = self._total[which] - np.einsum("blix,blix->b", score, own)
        if not p:
            return _Solved(np.zeros((len(which), 0, 0)), gain, np.zeros((len(which), 0)), own[..., 0], square)
        flat = (len(which), -1, p)
        schur = self._fixed - np.matmul(np.swapaxes(cross.reshape(flat), 1, 2), gain.reshape(flat))
        target = self._rhs[which] - np.einsum("blip,blix->bp", gain, score)
        beta = np.linalg.solve(schur, target[:, :, None])[:, :, 0]
        square = square - np.einsum("bp,bp->b", target, beta)
        spherical = own[..., 0] - np.einsum("blip,bp->bli", gain, beta)
        return _Solved(schur, gain, beta, spherical, square)

    def solution(self, which: np.ndarray, x: np.ndarray) -> LinearSolution:
        """What was estimated at x, in the problem's units."""
        t = np.tensordot(x, self.basis, axes=1)
        solved = self._solved_at(which, t)
        sigma = np.sqrt(solved.square / self.objective.n_effective)
        covariance = np.square(sigma)[:, None, None] * np.linalg.inv(solved.schur)
        return LinearSolution(self._ols[which] + solved.beta, sigma, pushed(t, solved.spherical), covariance)

    def _solved_at(self, which: np.ndarray, t: np.ndarray) -> _Solved:
        if self.k == 1:
            return self._solve_intercepts(which, t[:, 0])[0]
        return self._solve(which, t, inverted(self._hessian(t))[0])

    def linear_predictors(self, found: LinearSolution) -> Iterator[tuple[slice, np.ndarray]]:
        """Linear predictors at a solution (b, rows), some rows at a time, each valid until the next."""
        offset, count = self.problem.part("cond").offset, len(found.beta)
        space, other = self._space(count), self._space(count)
        modes = np.ascontiguousarray(found.random_effects[:, :, 0])
        for _, rows in self._chunks():
            level, z = self.level[rows], self._z[rows]
            eta = np.matmul(found.beta, self._x[rows].T, out=_block(space, (count, len(level))))
            if self.k > 1:
                eta += np.einsum("bnk,nk->bn", np.take(found.random_effects, level, axis=1), z)
            else:
                # not the default mode, which copies `out`
                random = np.take(modes, level, axis=1, out=_block(other, eta.shape), mode="clip")
                if not self._is_plain:
                    random *= z[:, 0]
                eta += random
            if offset is not None:
                eta += offset[rows]
            yield rows, eta

    def _chunks(self) -> Iterator[tuple[slice, slice]]:
        """Levels, and their rows, of which all responses stay in the processor's cache through several passes."""
        levels, rows = self._bounds
        for i in range(len(levels) - 1):
            yield slice(levels[i], levels[i + 1]), slice(rows[i], rows[i + 1])

    def _space(self, count: int) -> np.ndarray:
        """Memory for the rows of a chunk of so many responses: taken once, since new pages cost more than the sums."""
        return np.empty(count * int(np.diff(self._bounds[1]).max(initial=0)))

    def log_sigma_errors(self, which: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Standard error of the logarithm of sigma, which is profiled out, at the maxima x, (b,)."""
        p, n = x.shape[1], self.objective.n_effective
        steps = 1e-4 * self.objective.unit / np.sqrt(len(self._lead))
        hessian, slope = np.empty((len(which), p, p)), np.empty((len(which), p))
        for j in range(p):
            ends = []
            for sign in (1.0, -1.0):
                moved = x.copy()
                moved[:, j] += sign * steps
                t = np.tensordot(moved, self.basis, axes=1)
                square = self._solved_at(which, t).square
                ends.append((self._evaluate(which, moved)[1], 0.5 * np.log(square)))
            hessian[:, j], slope[:, j] = ((a - b) / (2.0 * steps) for a, b in zip(*ends, strict=True))
        moved_slopes = np.einsum("bij,bj->bi", np.linalg.pinv(0.5 * (hessian + np.swapaxes(hessian, 1, 2))), slope)
        return np.sqrt(np.maximum(np.einsum("bi,bi->b", slope, moved_slopes), 0.0) + 0.5 / n)


@dataclass(slots=True, eq=False)
class _Solved:
    """Schur complement (b, p, p), H^-1 T'Z'WX (b, L, k, p) where it is made, fixed effects, spherical modes and r^2."""

    schur: np.ndarray
    gain: np.ndarray | None
    beta: np.ndarray
    spherical: np.ndarray
    square: np.ndarray


@dataclass(slots=True, eq=False)
class LinearSolution:
    """Standardised fixed effects (b, p), sigma (b,), random effects (b, L, k), and covariance of the fixed effects."""

    beta: np.ndarray
    sigma: np.ndarray
    random_effects: np.ndarray
    covariance: np.ndarray


def _block(space: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The beginning of `space` as a matrix."""
    return space[: shape[0] * shape[1]].reshape(shape)


def _bounds(ends: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of chunks of whole levels that begin at about every `rows` rows: counted in levels, and in rows."""
    starts = np.arange(0, ends[-1], rows)
    levels = np.unique(np.append(np.searchsorted(ends, starts), len(ends) - 1))
    return levels, ends[levels]
