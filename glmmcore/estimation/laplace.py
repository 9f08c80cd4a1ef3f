"""Laplace approximation of the marginal likelihood with its exact gradient.

With u the spherical random effects, P their prior precision (the identity, or that of levels which covary),
A = Z Lambda, H = A'WA + P and W the observed information of each row,

    F(x) = h(u^) + 1/2 log|H(u^)| - 1/2 log|P|,   h(u) = -sum l_i + 1/2 u'Pu,   u^ the minimiser of h.

For rows with m predictors that carry random effects, S_i = A_i H^-1 A_i', t_a = -1/2 sum_bc l_abc S_bc for *every*
predictor a, v = H^-1 A't, the derivative of F with respect to the values of predictor a is

    g_a = -l_a + t_a + sum_b l_ab (A v)_b,

and with respect to a relative factor T it is the sum over levels of [Z'g] u' + [Z'l_1] v' + Z'WZ Lambda H^-1. All of it
stays valid for a singular T.

Longer than 400 lines: the search for the mode, the value there and its gradient share the arrays of one sweep over the
rows, which one object holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np

from glmmcore.engines.contract import System
from glmmcore.engines.layout import RelativeFactor, RowLayout, relative_change
from glmmcore.estimation.likelihood import positive_information
from glmmcore.estimation.problem import Problem
from glmmcore.tall import cross

__all__ = ["LARGEST_VARIANCE", "LaplaceObjective", "row_blocks"]

# Rows per block: small enough that a block's arrays stay in the second-level cache.
CHUNK = 16384
# Newton decrement (twice the expected fall of h) below which one more step is taken without looking ...
_LAST_STEP_DECREMENT = 3e-8
# ... and the decrement that must hold where the derivatives are taken.
_MODE_DECREMENT = 1e-18
# Beyond this decrement the point is no mode: the value has no meaning there.
_LARGEST_DECREMENT = 1e-6
# A predicted move of the mode this small (squared, in the metric of H) needs no Newton step of its own.
_PREDICTED_MOVE = 1e-5
# Correction of the log-likelihood for an inexact mode beyond which there is none, as where a mean is driven to the end
# of its range and derivatives of higher order have no bound.
_LARGEST_CORRECTION = 1e-3
_MAX_SWEEPS = 150
_MAX_HALVINGS = 30
# Relative difference of F between two searches for the same mode; more is another mode.
_SAME_MODE = 1e-7
# Least share of the predicted decrease of h that a step must bring, and relative changes of h that are rounding.
_SUFFICIENT_DECREASE, _ROUNDING = 1e-4, 1e-13
# Newton steps after the search for the mode, until the decrement is small enough for the derivatives.
_MAX_FINAL_STEPS = 3
# Variance of a random effect given the data, in units of its variance without them, beyond which its density has no
# peak at the mode that a normal could stand for. Only densities that are not log-concave exceed 1; where two modes
# merge the ratio has no bound, and the approximation would rise to infinity with it.
LARGEST_VARIANCE = 25.0
# Share of a Newton step that leaves the domain still: the mode is then taken to be on its edge.
_SHORTEST_INSIDE = 1e-3


def row_blocks(n: int) -> tuple[tuple[int, int], ...]:
    """Bounds of the blocks in which rows are visited."""
    return _blocks(n, CHUNK)


@lru_cache(maxsize=16)
def _blocks(n: int, size: int) -> tuple[tuple[int, int], ...]:
    return tuple((lo, min(lo + size, n)) for lo in range(0, n, size))


@dataclass(slots=True, eq=False)
class _Mode:
    """What is known at the mode.

    Attributes
    ----------
    h : float
        Negative joint log density of data and spherical random effects.
    d1, d2, d3 : ndarray
        Derivatives of the rows' log densities, as `Likelihood.derivatives` gives them.
    score : ndarray, shape (q,)
        Z'l_1.
    residual : ndarray, shape (q,)
        What is left of the gradient of -h.
    decrement : float
        Newton's, of that residual.
    """

    h: float
    d1: np.ndarray
    d2: np.ndarray
    d3: np.ndarray
    score: np.ndarray
    residual: np.ndarray
    decrement: float


@dataclass(slots=True, eq=False)
class Evaluated:
    """The last evaluation: its point, value and gradient, and what predicts the mode of the next one."""

    x: np.ndarray
    value: float
    gradient: np.ndarray
    values: list[np.ndarray]
    factors: list[RelativeFactor]
    d2: np.ndarray
    score: np.ndarray


class LaplaceObjective:
    """Negative log-likelihood F(x) and gradient for a `Problem`; keeps the last mode as a warm start.

    Attributes
    ----------
    mode : ndarray, shape (q,)
        u^ at the last evaluation.
    mode_found : bool
        Whether the inner iterations met their tolerance there.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        # both are None without random effects, and then only `_without_random_effects` runs
        self.layout = cast(RowLayout, problem.layout)
        self.system = cast(System, problem.system)
        order = 0 if problem.layout is None else self.layout.order
        self.mode = np.zeros(order)
        self._first_mode = self._best_mode = self.mode
        self._best_value = np.inf
        self.mode_found = True
        self._at_edge = False
        self._last: Evaluated | None = None
        self._mark = object()
        self.keeps_rows, self.row_gradient = False, np.zeros((0, 0))
        self._inner = [problem.likelihood.predictors.index(name) for name in problem.inner]
        # as an index of rows, a view where there is one
        self._own = slice(self._inner[0], self._inner[0] + 1) if len(self._inner) == 1 else self._inner
        self._constant = 0.0
        if problem.reml:
            # flat prior on the user's coefficients: back maps the standardised ones to them
            part = problem.part("cond")
            self._constant = -0.5 * part.size * np.log(2.0 * np.pi) - part.log_volume

    # ---- public -----------------------------------------------------------------------------------------------
    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """F and dF/dx; F is inf where the log-likelihood does not exist."""
        if self.problem.layout is not None and self.system.user is not self._mark:
            self._last = None  # the system holds numbers of another objective
        if self._last is not None and (self._last.x == x).all():
            return self._last.value, self._last.gradient.copy()
        values = self.fixed_values(x)
        if not all(np.isfinite(v).all() for v in values):
            return np.inf, np.zeros(len(x))
        if self.problem.layout is None:
            return self._without_random_effects(x, values)
        self.system.user = self._mark
        factors = self.problem.factors(x)
        if self.problem.link_with_several_modes and self._last is not None and self._last.value > self._best_value:
            # the mode of a point that was left again may be another one, from which there is no way back
            self.mode, self._last = self._best_mode, None
        near = self._predict_mode(values, factors) <= _PREDICTED_MOVE
        self._last = None
        # the last mode may be a bad guide: then that of the best point so far, then the prior mean
        self._at_edge = False
        for guess in (self.mode, self._best_mode, self._first_mode.copy()):
            self.mode = guess
            if near or self._find_mode(values, factors):
                value, gradient = self._derivatives(x, values, factors)
                if np.isfinite(value):
                    if value < self._best_value:
                        self._best_value, self._best_mode = value, self.mode
                    return value, gradient
            if self._at_edge and guess is self._best_mode:
                break
            near = False
        return np.inf, np.zeros(len(x))

    def begin_at(self, coefficients: np.ndarray) -> None:
        """Search for modes from these values of integrated fixed effects, (p,), which have no prior mean."""
        self.mode = self.mode.copy()
        self.mode[len(self.mode) - len(coefficients) :] = coefficients
        self._first_mode = self._best_mode = self.mode

    def settle(self, x: np.ndarray, value: float) -> float:
        """F at the best point so far, x, where it was `value`, with everything else left as of there.

        The last evaluation may have been elsewhere, and the search from its mode lead to another one.
        """
        found, _ = self(x)
        if not found <= value + _SAME_MODE * (1.0 + abs(value)):
            self._last, self.mode = None, self._best_mode
            found, _ = self(x)
        return found

    @property
    def score(self) -> np.ndarray:
        """Z'l_1 at the last evaluation, (q,)."""
        return np.zeros(len(self.mode)) if self._last is None else self._last.score

    def fixed_values(self, x: np.ndarray) -> list[np.ndarray]:
        """Fixed part of every predictor; the integrated one holds its offset only."""
        n = self.problem.n
        out = []
        for part in self.problem.parts:
            if part.where.stop == part.where.start:
                out.append(np.zeros(n) if part.offset is None else part.offset.copy())
            else:
                out.append(part.values(x[part.where]))
        return out

    def linear_predictors(self, x: np.ndarray) -> list[np.ndarray]:
        """Values of every predictor at the last mode."""
        values = self.fixed_values(x)
        if self.problem.layout is not None:
            random = np.zeros((len(self._inner), self.problem.n))
            b = self.layout.apply_factors(self.problem.factors(x), self.mode)
            self.layout.add_random_part(0, self.problem.n, b, random)
            for row, i in zip(random, self._inner, strict=True):
                values[i] = values[i] + row
        return values

    def effect_slopes(self, x: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """d(Lambda u^)/dx at the last evaluation, which was at x, (q, n_params); zero but for wanted ones.

        Parameters of fields are left zero, see `Problem.of_fields`.

        As `_predict_mode`: H du = Lambda'Z'(sum_c l_ac dvalue_c) + dLambda'Z'l_1 - Lambda'Z'WZ dLambda u.
        """
        last, layout = self._last, self.layout
        assert last is not None
        out = np.zeros((layout.order, len(x)))
        for c, part in enumerate(self.problem.parts):
            for j in part.where.start + np.flatnonzero(wanted[part.where]):
                change = np.zeros(layout.order)
                for lo, hi in row_blocks(self.problem.n):
                    shift = last.d2[:, c, lo:hi]
                    if part.X is not None:
                        shift = shift * part.X[lo:hi, j - part.where.start]
                    layout.add_score(lo, hi, np.ascontiguousarray(shift), change)
                step = self.system.solve(layout.apply_transposed(last.factors, change))
                out[:, j] = layout.apply_factors(last.factors, step)
        for j in self.problem.of_factors(wanted):
            out[:, j] = self.problem.effect_slope(x, j, last.factors, self.mode, last.score)
        return out

    def fixed_information(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Information on the conditional coefficients at the last evaluation, which was at x.

        Returns
        -------
        information : ndarray, shape (p, p)
            X'WX - X'WA V with V = H^-1 A'WX.
        overlap : ndarray, shape (p, p)
            V'PV with P the prior precision, zero when the conditional predictor has no random effects.
        """
        part, n = self.problem.part("cond"), self.problem.n
        columns, weights = cast(np.ndarray, part.X), self._conditional_weights(x)
        information = np.zeros((part.size, part.size))
        for lo, hi in row_blocks(n):
            information += cross(columns[lo:hi], columns[lo:hi] * weights[lo:hi, None])
        overlap = np.zeros_like(information)
        if self.problem.inner == ("cond",) and part.size:
            factors = self.problem.factors(x)
            pulled, solved = (np.empty((part.size, self.layout.order)) for _ in range(2))
            for j in range(part.size):
                score = np.zeros(self.layout.order)
                for lo, hi in row_blocks(n):
                    self.layout.add_score(lo, hi, (weights[lo:hi] * columns[lo:hi, j])[None], score)
                pulled[j] = self.layout.apply_transposed(factors, score)
                solved[j] = self.system.solve(pulled[j])
            information -= pulled @ solved.T
            overlap = solved @ np.array([self.layout.penalty(row) for row in solved]).T
        return 0.5 * (information + information.T), overlap

    def _conditional_weights(self, x: np.ndarray) -> np.ndarray:
        """Observed information of the rows on the conditional predictor at the last mode, (n,), kept positive."""
        likelihood, last = self.problem.likelihood, self._last
        if last is not None and self.problem.inner[:1] == ("cond",):
            return positive_information(last.d2[0, 0])
        weights, values = np.empty(self.problem.n), self.linear_predictors(x)
        for lo, hi in row_blocks(self.problem.n):
            rows = [v if len(v) == 1 else v[lo:hi] for v in values]
            weights[lo:hi] = likelihood.conditional_information(lo, hi, rows)
        return weights

    def effective_parameters(self, x: np.ndarray) -> float:
        """Trace of the hat matrix of the working linear model at the last evaluation, which was at x."""
        p = self.problem.part("cond").size
        if self.problem.layout is None:
            return float(p)
        if self.problem.reml:
            return self._random_trace
        information, overlap = self.fixed_information(x)
        return p + self._random_trace - float(np.trace(np.linalg.lstsq(information, overlap, rcond=None)[0]))

    # ---- mode -------------------------------------------------------------------------------------------------
    def _with_random(self, lo: int, hi: int, values: list[np.ndarray], b: np.ndarray) -> list[np.ndarray]:
        """Values of all predictors in the rows lo..hi, as arrays of that length or of length 1."""
        inner = np.empty((len(self._inner), hi - lo))
        for row, i in enumerate(self._inner):
            inner[row] = values[i][lo:hi]
        self.layout.add_random_part(lo, hi, b, inner)
        out = [v if len(v) == 1 else v[lo:hi] for v in values]
        for row, i in enumerate(self._inner):
            out[i] = inner[row]
        return out

    def _sweep(
        self, values: list[np.ndarray], factors: list[RelativeFactor], u: np.ndarray, *, clip: bool = False
    ) -> tuple[float, np.ndarray]:
        """h(u), and Z'l_1; leaves Z'WZ in the system."""
        likelihood = self.problem.likelihood
        b = self.layout.apply_factors(factors, u)
        score = np.zeros(self.layout.order)
        if not np.isfinite(b).all():
            return np.inf, score
        total = 0.0
        self.system.reset()
        for lo, hi in row_blocks(self.problem.n):
            rows = self._with_random(lo, hi, values, b)
            l, first, second = likelihood.newton_terms(lo, hi, rows)
            total += l
            if not np.isfinite(total):
                return np.inf, score
            weights = -second
            if clip:
                _make_positive(weights)
            self.system.add(lo, hi, weights, np.ascontiguousarray(first), score)
        return 0.5 * float(u @ self.layout.penalty(u)) - total, score

    def _predict_mode(self, values: list[np.ndarray], factors: list[RelativeFactor]) -> float:
        """Move the mode to first order along the change of parameters since the last evaluation.

        H du = Lambda'Z'(sum_c l_ac dvalue_c) + dLambda'Z'l_1 - Lambda'Z'WZ dLambda u. Returns the squared length of
        the move in the metric of H; inf when there is nothing to predict from.
        """
        last = self._last
        if last is None:
            return np.inf
        layout = self.layout
        change = np.zeros(layout.order)
        for lo, hi in row_blocks(self.problem.n):
            shift: np.ndarray | None = None
            for c, (new, old) in enumerate(zip(values, last.values, strict=True)):
                delta = new - old if len(new) == 1 else new[lo:hi] - old[lo:hi]
                if delta.any():
                    own = last.d2[:, c, lo:hi] * delta
                    shift = own if shift is None else np.add(shift, own, out=shift)
            if shift is not None:
                layout.add_score(lo, hi, shift, change)
        difference = relative_change(factors, last.factors)
        moved = layout.apply_factors(difference, self.mode)
        rhs = layout.apply_transposed(last.factors, change - self.system.multiply(moved))
        rhs += layout.apply_transposed(difference, last.score)
        step = self.system.solve(rhs)
        if not np.isfinite(step).all():
            return np.inf
        self.mode = self.mode + step
        return float(rhs @ step)

    def _find_mode(self, values: list[np.ndarray], factors: list[RelativeFactor]) -> bool:
        """Guarded Newton from the last mode, one full step short of the tolerance; False without one.

        A step of which next to nothing stays inside the domain leads to its edge, as where an identity link would need
        a negative mean: there is no mode then.
        """
        u = self.mode
        h, score = self._sweep(values, factors, u)
        if not np.isfinite(h):
            u = np.zeros_like(u)
            h, score = self._sweep(values, factors, u)
            if not np.isfinite(h):
                return False
        sweeps, longest = 0, 1.0
        while sweeps < _MAX_SWEEPS:
            step, decrement = self._newton_step(values, factors, u, score)
            if decrement <= _LAST_STEP_DECREMENT:
                self.mode = u + step
                return True
            length, left_domain = longest, False
            for _ in range(_MAX_HALVINGS):
                trial = u + length * step
                h_new, score_new = self._sweep(values, factors, trial)
                sweeps += 1
                left_domain |= not np.isfinite(h_new)
                if h_new <= h - _SUFFICIENT_DECREASE * length * decrement + _ROUNDING * abs(h):
                    break
                if length < _SHORTEST_INSIDE and not np.isfinite(h_new):
                    self._at_edge = True
                    return False
                length *= 0.5
            else:
                break
            u, h, score = trial, h_new, score_new
            # next to the edge of the domain the following step is likely to leave it as well
            longest = min(1.0, 2.0 * length) if left_domain else 1.0
        self.mode = u
        return True

    def _newton_step(
        self, values: list[np.ndarray], factors: list[RelativeFactor], u: np.ndarray, score: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Newton step at u and its decrement; where W is indefinite it is made positive for the step."""
        if not self.system.factorise(factors):
            self._sweep(values, factors, u, clip=True)
            if not self.system.factorise(factors):
                return np.zeros_like(u), 0.0
        downhill = self.layout.apply_transposed(factors, score) - self.layout.penalty(u)
        step = self.system.solve(downhill)
        return step, float(downhill @ step)

    # ---- value and gradient -----------------------------------------------------------------------------------
    def _at_mode(self, values: list[np.ndarray], factors: list[RelativeFactor]) -> _Mode | None:
        """Derivatives of all rows at the mode, with the system factorised there; polishes the mode when needed."""
        layout, system, likelihood = self.layout, self.system, self.problem.likelihood
        n, n_all, m = self.problem.n, len(likelihood.predictors), len(self._inner)
        blocks = row_blocks(n)
        d = [np.empty((*leading, n)) for leading in ((n_all,), (m, n_all), (m * (m + 1) // 2, n_all))]
        for attempt in range(1 + _MAX_FINAL_STEPS):
            u = self.mode
            b = layout.apply_factors(factors, u)
            if not np.isfinite(b).all():
                return None
            score = np.zeros(layout.order)
            total = 0.0
            system.reset()
            for lo, hi in blocks:
                l, *own = likelihood.derivatives(lo, hi, self._with_random(lo, hi, values, b))
                total += float(l.sum())
                system.add(lo, hi, self._weights(own[1]), np.ascontiguousarray(own[0][self._own]), score)
                if len(blocks) == 1:
                    d = own
                    continue
                for whole, part in zip(d, own, strict=True):
                    whole[..., lo:hi] = part
            penalty = layout.penalty(u)
            h = 0.5 * float(u @ penalty) - total
            if not np.isfinite(h) or not system.factorise(factors):
                return None
            residual = layout.apply_transposed(factors, score) - penalty
            step = system.solve(residual)
            decrement = float(residual @ step)
            self.mode_found = decrement <= _MODE_DECREMENT
            if self.mode_found or attempt == _MAX_FINAL_STEPS:
                break
            self.mode = u + step
        if decrement > _LARGEST_DECREMENT:
            return None
        return _Mode(h, d[0], d[1], d[2], score, residual, decrement)

    def _derivatives(
        self, x: np.ndarray, values: list[np.ndarray], factors: list[RelativeFactor]
    ) -> tuple[float, np.ndarray]:
        """F and dF/dx from the mode that was found; F is inf where there is none that will do."""
        layout, system = self.layout, self.system
        at = self._at_mode(values, factors)
        if at is None:
            return np.inf, np.zeros(len(x))
        n, m, u = self.problem.n, len(self._inner), self.mode
        d2, d3, score = at.d2, at.d3, at.score
        system.invert()
        d_factors = system.factor_products()
        self._random_trace = self.layout.trace(factors, d_factors)
        system.scale_inverse()
        if self._is_too_wide(factors, d2):
            return np.inf, np.zeros(len(x))
        covariance = np.empty((m * (m + 1) // 2, min(CHUNK, n)))
        trace_score = np.zeros(layout.order)
        g = np.negative(at.d1, out=at.d1)
        for lo, hi in row_blocks(self.problem.n):
            s = covariance[:, : hi - lo] if hi - lo == covariance.shape[1] else np.empty((len(d3), hi - lo))
            system.row_covariances(lo, hi, s)
            t = self._half_trace(s, d3[:, :, lo:hi])
            g[:, lo:hi] += t
            layout.add_score(lo, hi, t[self._own], trace_score)
        v = system.solve(layout.apply_transposed(factors, trace_score))
        bv = layout.apply_factors(factors, v)
        for lo, hi in row_blocks(self.problem.n):
            av = np.zeros((m, hi - lo))
            layout.add_random_part(lo, hi, bv, av)
            for a in range(m):
                g[:, lo:hi] += d2[a, :, lo:hi] * av[a]
        # what is left of the inner gradient changes h and, to first order, the determinant
        correction = float(v @ at.residual) - 0.5 * at.decrement
        if not abs(correction) < _LARGEST_CORRECTION:
            return np.inf, np.zeros(len(x))
        value = at.h + 0.5 * system.logdet + correction + self._constant
        gradient = self._assemble(g)
        # Z'g for the predictors with random effects, without another pass over the rows
        inner_score = trace_score - score - system.multiply(bv)
        layout.add_outer(d_factors, inner_score, u, score)
        layout.add_outer(d_factors, score, v, inner_score + score)
        self.problem.chain_to_theta(d_factors, x, gradient)
        self._last = Evaluated(x.copy(), value, gradient.copy(), values, factors, d2, score)
        return value, gradient

    def _is_too_wide(self, factors: list[RelativeFactor], d2: np.ndarray) -> bool:
        """Whether a random effect is so vague given the data that no normal stands for it, see `LARGEST_VARIANCE`.

        Takes H^-1 from the system as `scale_inverse` leaves it.
        """
        if len(d2) == 1 and not (d2[0, self._inner[0]] > 0.0).any():
            return False
        for i, (factor, t) in enumerate(zip(self.layout.factors, factors, strict=True)):
            if factor.prior == 0.0:
                continue
            largest = np.diagonal(self.system.level_covariances(i), axis1=1, axis2=2).max(axis=0)
            prior = np.square(t).sum(axis=1) if isinstance(t, np.ndarray) else np.square(t.scale)
            if np.any(largest > LARGEST_VARIANCE * prior):
                return True
        return False

    def _weights(self, d2: np.ndarray) -> np.ndarray:
        """Packed lower triangle of W = -l_ab over the inner predictors."""
        if len(d2) == 1:
            return -d2[0, self._own]
        return -np.stack([d2[a, self._inner[b]] for a in range(len(d2)) for b in range(a + 1)])

    def _half_trace(self, s: np.ndarray, d3: np.ndarray) -> np.ndarray:
        """t_a = -1/2 sum_bc l_abc S_bc for every predictor a, (P, b)."""
        m = len(self._inner)
        out = np.zeros(d3.shape[1:])
        pair = 0
        for a in range(m):
            for c in range(a + 1):
                out -= (0.5 if a == c else 1.0) * s[pair] * d3[pair]
                pair += 1
        return out

    def _assemble(self, g: np.ndarray) -> np.ndarray:
        """Chain from the values of the predictors to their coefficients."""
        if self.keeps_rows:
            self.row_gradient = g.copy()
        gradient = np.zeros(self.problem.n_params)
        for part, row in zip(self.problem.parts, g, strict=True):
            if part.where.stop > part.where.start:
                gradient[part.where] = row.sum() if part.X is None else cross(part.X, row)
        return gradient

    def _without_random_effects(self, x: np.ndarray, values: list[np.ndarray]) -> tuple[float, np.ndarray]:
        n_all, n = len(values), self.problem.n
        g = np.empty((n_all, n))
        total = 0.0
        for lo, hi in row_blocks(self.problem.n):
            rows = [v if len(v) == 1 else v[lo:hi] for v in values]
            l, d1, _, _ = self.problem.likelihood.derivatives(lo, hi, rows)
            total += float(l.sum())
            g[:, lo:hi] = -d1
        if not np.isfinite(total):
            return np.inf, np.zeros(len(x))
        return -total, self._assemble(g)


def _make_positive(weights: np.ndarray) -> None:
    """Project each row's packed W (m = 1 or 2) on the positive semidefinite matrices, in place."""
    if len(weights) == 1:
        np.maximum(weights, 0.0, out=weights)
        return
    a, b, c = weights
    centre, radius = 0.5 * (a + c), np.hypot(0.5 * (a - c), b)
    high, low = np.maximum(centre + radius, 0.0), np.maximum(centre - radius, 0.0)
    safe = np.where(radius > 0.0, radius, 1.0)
    slope = np.where(radius > 0.0, (high - low) / (2.0 * safe), 0.0)
    middle = 0.5 * (high + low)
    weights[0] = middle + slope * (a - centre)
    weights[1] = slope * b
    weights[2] = middle + slope * (c - centre)
