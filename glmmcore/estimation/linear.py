"""Linear mixed model through cross-products, fixed effects and residual variance profiled out.

With Sigma = sigma^2 T T', H = Lambda'Z'WZ Lambda + P, P the prior precision of u (the identity, or that of levels which
covary) and r^2 the minimum over (beta, u) of |y - X beta - Z Lambda u|_W^2 + u'Pu,

    -2 l(theta) = log|H| - log|P| + n (1 + log(2 pi r^2 / n)),

and REML adds log|X'V^-1 X| and replaces n by n - p. One pass over the rows; after it the cost of an evaluation does not
depend on n. By the envelope theorem d l / d Lambda needs no derivative of beta, u or sigma.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from glmmcore.covariance.unstructured import Unstructured
from glmmcore.engines.contract import System
from glmmcore.engines.layout import RelativeFactor
from glmmcore.errors import ModelError
from glmmcore.estimation.moments import moment_covariance, moment_variances
from glmmcore.estimation.optimize import Cheaper
from glmmcore.estimation.problem import Problem, TermPart
from glmmcore.estimation.start_curvature import theta_curvature
from glmmcore.tall import cross, inner, times

__all__ = ["LinearObjective"]

# What an evaluation knows: whether the value has all digits, and the gradient none, those of single precision or all.
_ROUGH, _VALUE, _NEARLY, _ALL = (False, 1), (True, 0), (True, 1), (True, 2)
# Limits of the ratio of trace and quadratic form, and of the share of a variance that a step of scoring leaves.
_LARGEST_RATIO, _LEAST_LEFT = 9.0, 0.04
# Coefficients of a term up to which the start knows their correlations: moments of pairs take k^6 operations.
_FEW_COEFFICIENTS = 8


def _free_correlations(term: TermPart) -> Unstructured | None:
    """The structure of a term that can start with any correlations, or None."""
    structure = term.structure
    return structure if isinstance(structure, Unstructured) and 1 < structure.k <= _FEW_COEFFICIENTS else None


class LinearObjective:
    """Negative profiled log-likelihood F(theta) and gradient of a gaussian identity `Problem`.

    Parameters
    ----------
    problem : Problem
        Built with ``profiled=True``: the fixed effects are the last factor of the layout.
    var_weights : ndarray, shape (n,), or None
        Inverse relative variances, in the problem's row order.
    responds : bool
        Whether to take the problem's response; without it `respond` has to give one before any evaluation.

    Attributes
    ----------
    coefficients : ndarray
        Standardised fixed effects at the last evaluation.
    spherical : ndarray
        Lambda u in units of y at the last evaluation is ``layout.apply_factors(factors, spherical)``.
    residual_square : float
        r^2 at the last evaluation.
    unit : float
        Size of theta when random effects vary as much as rows of average weight: sigma is the standard deviation of a
        row of weight one, which with small or large `var_weights` is far from that of any row.
    row_weights : ndarray, shape (n,)
        Frequencies times inverse relative variances.
    constant : float
        What F has besides the terms above.
    perfect_share : float
        Residual sum of squares, relative to that of y, below which the fit is perfect and sigma has no meaning.
    """

    perfect_share = 1e-24

    def __init__(self, problem: Problem, var_weights: np.ndarray | None, *, responds: bool = True) -> None:
        assert problem.layout is not None
        self.problem = problem
        self.layout, self.system = problem.layout, cast(System, problem.system)
        likelihood, part = problem.likelihood, problem.part("cond")
        n, p = problem.n, part.size
        frequency = likelihood.freq_weights
        weights = np.ones(n) if frequency is None else frequency
        self.n_rows = float(weights.sum())
        self.constant, self.unit = 0.0, 1.0
        self.var_weights = var_weights
        if var_weights is not None:
            self.constant = -0.5 * inner(weights, np.log(var_weights))
            self.unit = float(np.exp(self.constant / self.n_rows))
            weights = weights * var_weights
        if problem.reml:
            # the flat prior is on the user's coefficients, not on the standardised ones
            self.constant -= part.log_volume
        self.n_effective = self.n_rows - (p if problem.reml else 0)
        if self.n_effective <= 0:
            raise ModelError(f"{n} rows are too few for REML with {p} fixed-effects coefficients")
        self.row_weights = weights
        self._is_filled, self._mark = False, object()
        if responds:
            self.respond(likelihood.y)

    def respond(self, y: np.ndarray) -> None:
        """Take another response (n,), in the problem's row order; what does not depend on it is kept."""
        part, weights = self.problem.part("cond"), self.row_weights
        x = part.X
        assert x is not None
        y = y if part.offset is None else y - part.offset
        # cross-products of residuals, not of y: what the fixed effects explain would only cost digits
        self._ols = np.zeros(0)
        if part.size:
            weighted = x * weights[:, None]
            self._ols = np.linalg.lstsq(cross(weighted, x), cross(weighted, y), rcond=None)[0]
        residual = y - times(x, self._ols)
        self.total_square = inner(weights, residual * residual)
        if not self.total_square > self.perfect_share * inner(weights, y * y):
            raise ModelError(
                "the response is fitted perfectly by the fixed effects: there is no variation left to model"
            )
        self._rhs = np.zeros(self.layout.order)
        self.layout.add_score(0, self.problem.n, (weights * residual)[None], self._rhs)
        self._last: tuple[np.ndarray, float, np.ndarray] | None = None
        self._known = _ALL
        self._solved: np.ndarray | None = None
        self._information: np.ndarray | None = None

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """F and its gradient."""
        return self._evaluate(theta, _ALL)

    @property
    def cheaper(self) -> Cheaper | None:
        """What a search goes most of its way with where factors are large."""
        return Cheaper(self.rough, self.scored, self.nearly, self.value) if self.system.gains_by_single else None

    def value(self, theta: np.ndarray) -> float:
        """F alone."""
        return self._evaluate(theta, _VALUE)[0]

    def nearly(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """F, and its gradient to 1e-6 or so standard deviations where an inverse in single precision saves time."""
        self.system.single_inverse = True
        try:
            return self._evaluate(theta, _NEARLY)
        finally:
            self.system.single_inverse = False

    def rough(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """The same by factors in single precision: F to about 1e-4, its gradient to 1e-6 or so standard deviations.

        In double precision where half the digits are too few for a factor.
        """
        self.system.single = True
        try:
            value, gradient = self._evaluate(theta, _ROUGH)
        finally:
            self.system.single = False
        return (value, gradient) if np.isfinite(value) else self(theta)

    def _evaluate(self, theta: np.ndarray, wanted: tuple[bool, int]) -> tuple[float, np.ndarray]:
        """F and its gradient; those of the last evaluation at this point if they are as good."""
        if self.system.user is not self._mark:
            # the system holds numbers of another objective
            self._last, self._solved, self._is_filled = None, None, False
            self.system.user = self._mark
        enough = all(known >= one for known, one in zip(self._known, wanted, strict=True))
        if self._last is not None and enough and np.array_equal(self._last[0], theta):
            return self._last[1], self._last[2].copy()
        self._last = self._solved = self._information = None
        if not self._is_filled:
            self._fill()
        factors = self.problem.factors(theta)
        if not self.system.factorise(factors):
            return np.inf, np.zeros(len(theta))
        target = self.layout.apply_transposed(factors, self._rhs)
        self.spherical = self.system.solve(target)
        square = max(self.total_square - float(target @ self.spherical), self.perfect_share * self.total_square)
        self.residual_square = square
        n = self.n_effective
        value = 0.5 * (self.system.logdet + n * (1.0 + np.log(2.0 * np.pi * square / n))) + self.constant
        gradient, self._traces = np.zeros(len(theta)), np.zeros(len(theta))
        if len(theta) and wanted != _VALUE:
            self.system.invert()
            d_factors = self.system.factor_products()
            self.problem.chain_to_theta(d_factors, theta, self._traces)
            left = self._residual_score(factors)
            self.layout.add_outer(d_factors, left, self.spherical, left, -n / square)
            self.problem.chain_to_theta(d_factors, theta, gradient)
        self._last, self._known = (theta.copy(), value, gradient.copy()), wanted
        return value, gradient

    def _fill(self) -> None:
        """Z'WZ, which no response changes, into the system."""
        n = self.problem.n
        self.system.reset()
        self.system.add(0, n, self.row_weights[None], np.zeros((1, n)), np.zeros(self.layout.order))
        self._is_filled = True

    def _residual_score(self, factors: list[RelativeFactor]) -> np.ndarray:
        """Z'W e with e the residual at the last evaluation, from cross-products only."""
        return self._rhs - self.system.multiply(self.layout.apply_factors(factors, self.spherical))

    @property
    def score(self) -> np.ndarray:
        """Z'W e at the last evaluation, (q,)."""
        return self._residual_score(self.problem.factors(self._last[0])) if self._last else np.zeros(self.layout.order)

    def effect_slopes(self, theta: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """d/d theta of the random effects, and coefficients, at the last evaluation, which was at theta, (q, n_params).

        Zero but for wanted ones, and for those of fields, see `Problem.of_fields`.
        """
        factors = self.problem.factors(theta)
        left = self._residual_score(factors)
        out = np.zeros((self.layout.order, len(theta)))
        for j in self.problem.of_factors(wanted):
            out[:, j] = self.problem.effect_slope(theta, j, factors, self.spherical, left)
        return out

    def coefficient_slopes(self, theta: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """d/d theta of `coefficient_covariance` over sigma^2 at the last evaluation, (n_params, p, p).

        Zero as those of `effect_slopes`: it is a block of H^-1, whose slope is -H^-1 (dH) H^-1.
        """
        layout, factors, rows = self.layout, self.problem.factors(theta), self._fixed_rows()
        out = np.zeros((len(theta), len(rows), len(rows)))
        right = [self.system.multiply(layout.apply_factors(factors, row)) for row in rows]
        for j in self.problem.of_factors(wanted):
            slope = self.problem.factor_slope(theta, j, factors)
            half = np.array([layout.apply_factors(slope, row) for row in rows]) @ np.array(right).T
            out[j] = -(half + half.T)
        return out

    def start(self) -> np.ndarray:
        """Theta from moments of the residuals of the fixed effects, see `moments`."""
        layout, n = self.layout, self.problem.n
        information = np.zeros(layout.order)
        layout.add_information(0, n, self.row_weights[None], information)
        total = self.total_square / self.n_rows
        found, explained = [], 0.0
        for term in self.problem.terms:
            s = layout.by_level(self._rhs, term.factor)[:, term.columns]
            if _free_correlations(term):
                own = layout.level_products(term.factor, self.row_weights)[:, term.columns, term.columns]
                found.append(moment_covariance(s, own, total, self.n_rows))
                explained += float(np.sum(found[-1] * own.sum(axis=0))) / self.n_rows
            else:
                w = layout.by_level(information, term.factor)[:, term.columns]
                found.append(moment_variances(np.square(s).sum(axis=0), w, total, self.n_rows))
                explained += float(found[-1] @ w.sum(axis=0)) / self.n_rows
        residual, largest = max(total - explained, 0.2 * total), 5.0 * self.unit
        theta = np.zeros(self.problem.n_params)
        for term, moments in zip(self.problem.terms, found, strict=True):
            relative = moments / residual
            structure = _free_correlations(term)
            if structure:
                shrink = np.minimum(1.0, largest / np.sqrt(np.diag(relative)))
                theta[term.where] = structure.start_with(relative * np.outer(shrink, shrink))
            else:
                theta[term.where] = term.structure.start(np.minimum(np.sqrt(relative), largest))
        return theta

    @property
    def units(self) -> np.ndarray:
        """Natural unit of every element of theta, (n_params,)."""
        out = np.ones(self.problem.n_params)
        for term in self.problem.terms:
            out[term.where] = term.structure.units(self.unit)
        return out

    def curvature(self, theta: np.ndarray) -> np.ndarray:
        """Average information of theta at the last evaluation, which was at theta, with sigma profiled out."""
        if self._information is not None:
            return self._information.copy()
        out = np.zeros((len(theta), len(theta)))
        factors = self.problem.factors(theta)
        left = self._residual_score(factors)
        self.system.refines = self._known != _ROUGH
        try:
            theta_curvature(self.problem, theta, self.spherical / self.sigma, left / self.sigma, out, self.unit)
        finally:
            self.system.refines = True
        slope = self._square_gradient(theta, factors, left) / self.residual_square
        profiled = out - 0.5 * self.n_effective * np.outer(slope, slope)
        self._information = profiled if np.linalg.eigvalsh(profiled)[0] > 0.05 * np.linalg.eigvalsh(out)[0] else out
        return self._information.copy()

    def scored(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Where scoring leads from the last evaluation, which was at theta, and the information the step is made of.

        Steps go in variances where theta are standard deviations. A level's share of F is then (log v + s / v) / 2 with
        v linear in the variance, so that a step by the expected information, 1 / (2 v^2), leads to the maximum, one by
        the average information, s / (2 v^3), only near it. Of any design, v / s is about the ratio of the trace and the
        quadratic form of which the gradient is the difference. None where theta has no element of this kind.
        """
        is_sd = np.zeros(len(theta), dtype=bool)
        for term in self.problem.terms:
            own = term.structure
            is_sd[term.where] = own.linear and (own.k == 1 or not own.correlated) and term.whole is None
        if self._last is None or not is_sd.any():
            return None
        gradient, information = self._last[2], self.curvature(theta)
        with np.errstate(all="ignore"):
            ratio = np.nan_to_num(self._traces / (self._traces - gradient), nan=1.0, posinf=_LARGEST_RATIO)
        ratio = np.where(is_sd, np.clip(ratio, 1.0 / _LARGEST_RATIO, _LARGEST_RATIO), 1.0)
        expected = information * np.sqrt(np.outer(ratio, ratio))
        step = -np.linalg.solve(expected, gradient)
        # the change of a variance relative to it is twice that of the standard deviation, to first order
        left = np.maximum(1.0 + 2.0 * step / np.where(theta == 0.0, 1.0, theta), _LEAST_LEFT)
        return np.where(is_sd, theta * np.sqrt(left), theta + step), information

    @property
    def coefficients(self) -> np.ndarray:
        """Standardised fixed effects at the last evaluation."""
        p = self.problem.part("cond").size
        return self._ols + (self.spherical[len(self.spherical) - p :] if p else 0.0)

    def effects(self, theta: np.ndarray) -> np.ndarray:
        """Random effects, then standardised fixed ones, at the last evaluation, which was at theta, (q,)."""
        b = self.layout.apply_factors(self.problem.factors(theta), self.spherical)
        b[len(b) - self.problem.part("cond").size :] = self.coefficients
        return b

    def linear_predictor(self, theta: np.ndarray) -> np.ndarray:
        """Values in the problem's row order at the last evaluation, which was at theta, (n,)."""
        eta, offset = np.zeros((1, self.problem.n)), self.problem.part("cond").offset
        self.layout.add_random_part(0, self.problem.n, self.effects(theta), eta)
        return eta[0] if offset is None else eta[0] + offset

    @property
    def log_scale(self) -> np.ndarray:
        """Logarithm of the rows' standard deviations at the last evaluation, (n,), or (1,) if all have the same."""
        log_sigma = np.array([np.log(self.sigma)])
        return log_sigma if self.var_weights is None else log_sigma - 0.5 * np.log(self.var_weights)

    @property
    def sigma(self) -> float:
        """Residual standard deviation at the last evaluation."""
        return float(np.sqrt(self.residual_square / self.n_effective))

    def coefficient_covariance(self) -> np.ndarray:
        """sigma^2 (X'V^-1 X)^-1 of the standardised fixed effects at the last evaluation."""
        out = self.system.last_block(self.problem.part("cond").size)
        return self.sigma**2 * 0.5 * (out + out.T)

    def _fixed_rows(self) -> np.ndarray:
        """Rows of H^-1 that belong to the fixed effects, (p, q), at the last evaluation."""
        if self._solved is None:
            p, q = self.problem.part("cond").size, self.layout.order
            self._solved = np.array([self.system.solve(np.eye(1, q, q - p + j)[0]) for j in range(p)]).reshape(p, q)
        return self._solved

    def square_gradient(self, theta: np.ndarray) -> np.ndarray:
        """d r^2 / d theta at the last evaluation."""
        factors = self.problem.factors(theta)
        return self._square_gradient(theta, factors, self._residual_score(factors))

    def _square_gradient(self, theta: np.ndarray, factors: list[RelativeFactor], left: np.ndarray) -> np.ndarray:
        d_factors = self.problem.no_slopes(factors)
        self.layout.add_outer(d_factors, left, self.spherical, left, -2.0)
        gradient = np.zeros(len(theta))
        self.problem.chain_to_theta(d_factors, theta, gradient)
        return gradient

    def effective_parameters(self, theta: np.ndarray) -> float:
        """Trace of the hat matrix at the last evaluation, which was at theta; the system must be inverted."""
        p, q = self.problem.part("cond").size, self.layout.order
        factors = self.problem.factors(theta)
        trace = self.layout.trace(factors, self.system.factor_products())
        if self.problem.reml:
            return trace
        mixed, fixed = np.split(self._fixed_rows(), [q - p], axis=1)
        padded = np.hstack([mixed, np.zeros((p, p))])
        penalty = np.array([self.layout.penalty(row)[: q - p] for row in padded]).reshape(p, q - p)
        return p + trace - float(np.trace(np.linalg.lstsq(fixed, mixed @ penalty.T, rcond=None)[0]))
