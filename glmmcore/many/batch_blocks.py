"""Fits of a block of responses: together where the design allows, one by one elsewhere or where that fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from glmmcore.covariance import Field
from glmmcore.errors import no_data_warnings
from glmmcore.estimates import Estimates
from glmmcore.estimation.restarts import either_may_explain
from glmmcore.estimation.start import step_limits
from glmmcore.many._batch_crossed import BatchCrossed, crossed_batch_suits
from glmmcore.many._batch_dense import BatchDense, dense_batch_suits
from glmmcore.many._batch_intercepts import BatchIntercepts
from glmmcore.many._batch_linear import BatchLinear, linear_batch_suits
from glmmcore.many._batch_objective import BatchObjective, unsupported
from glmmcore.many._batch_optimise import BatchOptimum, descend_batch, minimise_batch
from glmmcore.many._batch_quadrature import BatchQuadrature
from glmmcore.many._batch_start import start_batch, start_curvature_batch
from glmmcore.many.block_fits import BlockFits
from glmmcore.many.refit import start_of_refits
from glmmcore.many.warm import WARM_EDM, WarmFit, WarmRefits, WarmStart, fresh_copy, reported
from glmmcore.results.verdict import EDGE

if TYPE_CHECKING:
    from glmmcore.estimation.estimator import Estimator
    from glmmcore.estimation.problem import Problem, TermPart
    from glmmcore.fitted import FittedGLMM

__all__ = ["BlockTask", "objective_of"]

# Rows of a block: enough to make calls of numpy cheap, few enough for the second-level cache.
_BLOCK_ROWS = 32768
_MAX_BLOCK = 256
# Responses of a block that are fitted one by one: what they share is set up once, and workers get equal shares.
_SINGLE_BLOCK = 16
# Rows of a block of a linear model, whose cost is all in passes over them.
_LINEAR_ROWS = 1 << 23
# With more rows than this per response the compiled single fit is as fast; the second where it starts at the truth.
_LONG, _LONG_WARM = 5000, 1500


@dataclass(slots=True, eq=False)
class BlockTask:
    """Fits blocks of responses of one model; picklable.

    Parameters
    ----------
    estimator : Estimator
    problem : Problem or None
        What is fitted by Laplace's method block-wise; None where responses are fitted one by one.
    linear : bool
        Whether blocks are fitted from cross-products.
    start : WarmStart or None
        Where all searches start, which then end without Hessians and standard errors.
    near : ndarray (p,) or None
        Where ordinary fits start that are made one by one.
    """

    estimator: Estimator
    problem: Problem | None
    linear: bool
    start: WarmStart | None
    near: np.ndarray | None = None

    @classmethod
    def of_refits(cls, fit: FittedGLMM) -> BlockTask:
        """Fits of other responses of a model, from its estimates.

        Effects of places and times, whose likelihoods often have several maxima, are fitted as `refit` does, so that
        both end in the same one.
        """
        if any(isinstance(term.structure, Field) for term in fit.estimator.problem.terms):
            return cls(fit.estimator, None, False, None, start_of_refits(fit))
        return cls.of(fit.estimator, fit.refit_start)

    @classmethod
    def of(cls, estimator: Estimator, start: WarmStart | None = None) -> BlockTask:
        """Choose block-wise or single fits."""
        problem = estimator.problem
        if estimator.linear:
            return cls(estimator, None, linear_batch_suits(problem), start)
        long = estimator.design.nobs > (_LONG if start is None else _LONG_WARM)
        suits = estimator.n_agq == 1 and not long and not unsupported(problem)
        suits &= start is not None or not either_may_explain(problem)  # one start is not enough there
        # without Hessians: their start and information are those of one factor and of Laplace's method
        several = crossed_batch_suits(problem) or dense_batch_suits(problem)
        suits |= start is not None and estimator.n_agq == 1 and not long and several
        suits |= start is not None and estimator.n_agq > 1 and not long and not unsupported(problem)
        return cls(estimator, problem if suits else None, False, start)

    @property
    def block_size(self) -> int:
        """Responses per block."""
        n = self.estimator.design.nobs
        if self.linear:
            return max(1, min(_LINEAR_ROWS // n, _MAX_BLOCK))
        return max(1, min(_BLOCK_ROWS // n, _MAX_BLOCK)) if self.problem is not None else _SINGLE_BLOCK

    @property
    def parts(self) -> tuple[str, ...]:
        """Predictors whose coefficients are reported."""
        return tuple(p.name for p in self.estimator.problem.parts if p.name not in self.estimator.family.extra)

    def __call__(self, y: np.ndarray) -> BlockFits:
        """Fit the responses y (b, n), original row order."""
        out = BlockFits.empty(self.estimator.problem, self.parts, len(y))
        with no_data_warnings():  # one for each response helps nobody
            left = self._valid(y, out)
            if len(left) and self.linear:
                left = self._from_cross_products(y, left, out)
            if len(left) and self.problem is not None:
                left = self._together(y, left, out)
            if len(left) and self.start is not None:
                left = self._warm(y, left, out)
            self._singly(y, left, out)
        return out

    def _valid(self, y: np.ndarray, out: BlockFits) -> np.ndarray:
        """Which responses can be fitted; the others are told why not."""
        design, family = self.estimator.design, self.estimator.family
        own = design.response.trials
        trials = np.broadcast_to(1.0, design.nobs) if own is None else own
        zeros = "zi" in design.predictors
        with np.errstate(over="ignore", invalid="ignore"):
            finite = np.isfinite(y.sum(axis=1))  # a sum may be infinite where no value is
        finite[~finite] = np.isfinite(y[~finite]).all(axis=1)
        good = finite.copy()
        at_once = y if finite.all() else y[finite]
        try:  # all of them, as a rule
            every = np.broadcast_to(1.0, at_once.size) if own is None else np.tile(own, len(at_once))
            family.check_support(at_once.ravel(), every, zero_model=zeros)
        except ValueError:
            for i in np.flatnonzero(good):
                try:
                    family.check_support(y[i], trials, zero_model=zeros)
                except ValueError as error:
                    out.error[i], good[i] = str(error), False
        for i in np.flatnonzero(~finite):
            rows = np.flatnonzero(~np.isfinite(y[i]))[:5].tolist()
            out.error[i] = f"the response is not finite in rows {rows}"
        return np.flatnonzero(good)

    # ---- linear models ---------------------------------------------------------------------------------
    def _from_cross_products(self, y: np.ndarray, which: np.ndarray, out: BlockFits) -> np.ndarray:
        """Fit a block of a linear model, write what ended in maxima, and return the others."""
        estimator = fresh_copy(self.estimator)
        problem = estimator.problem
        objective = BatchLinear(estimator.linear_objective(responds=False), _in_order(y, which, problem.rows))
        everything = np.arange(len(which))
        if self.start is not None:
            x, inverse, limit = self.start.tiled(len(which))
        else:
            x = objective.start()
            inverse = np.tile(np.linalg.inv(objective.curvature()), (len(which), 1, 1))
            limit = np.tile(1.5 * objective.objective.units, (len(which), 1))
        x, value, reached = descend_batch(objective, x, inverse, limit, WARM_EDM)
        at = everything[reached]
        if len(at):
            self._write_linear(objective, at, x[at], value[at], which[at], out)
        return which[~reached]

    def _write_linear(
        self, objective: BatchLinear, at: np.ndarray, x: np.ndarray, value: np.ndarray, rows: np.ndarray, out: BlockFits
    ) -> None:
        problem, base = objective.problem, objective.objective
        found, part = objective.solution(at, x), objective.problem.part("cond")
        out.llf[rows], out.converged[rows], out.sigma[rows], out.x[rows] = -value, True, found.sigma, x
        out.coefficients["cond"][rows] = found.beta @ part.back.T
        out.coefficients["disp"][rows, 0] = np.log(found.sigma)
        self._write_spread(problem, x, rows, out, np.full(len(rows), base.unit), found.sigma)
        for chunk, eta in objective.linear_predictors(found):
            _put(out.values["cond"], rows, problem.rows[chunk], eta)
        out.values["disp"][rows] = np.log(found.sigma)[:, None]
        if base.var_weights is not None:
            out.values["disp"][np.ix_(rows, problem.rows)] -= 0.5 * np.log(base.var_weights)
        if self.start is None:
            block = part.back @ found.covariance @ part.back.T
            out.errors["cond"][rows] = np.sqrt(np.maximum(np.diagonal(block, axis1=1, axis2=2), 0.0))
            # sigma is profiled out: its logarithm follows r^2(theta), and has the variance 1 / 2n given theta
            out.errors["disp"][rows, 0] = objective.log_sigma_errors(at, x)

    def _write_spread(
        self, problem: Problem, x: np.ndarray, rows: np.ndarray, out: BlockFits, unit: np.ndarray, sigma: np.ndarray
    ) -> None:
        """Standard deviations of random effects, and whether one of the factors is singular."""
        factors = [_factors(term, x) for term in problem.terms]
        edges = [np.linalg.svd(t, compute_uv=False)[:, -1] / unit < EDGE for t in factors]
        out.singular[rows] = np.any(edges, axis=0) if edges else False
        roots = [t.back @ f for t, f in zip(problem.terms, factors, strict=True)]
        sd = [reported(t, np.sqrt(np.square(r).sum(axis=2))) for t, r in zip(problem.terms, roots, strict=True)]
        out.sd[rows] = sigma[:, None] * np.hstack([np.zeros((len(rows), 0)), *sd])

    # ---- Laplace's method ------------------------------------------------------------------------------
    def _together(self, y: np.ndarray, which: np.ndarray, out: BlockFits) -> np.ndarray:
        """Fit a block, write what ended in clean maxima, and return the others."""
        problem = self.problem
        assert problem is not None
        objective = objective_of(problem, _in_order(y, which, problem.rows), self.estimator.n_agq)
        everything = np.arange(len(which))
        if self.start is not None:
            x, inverse, limit = self.start.tiled(len(which))
            x, value, reached = descend_batch(objective, x, inverse, limit, WARM_EDM)
            self._write(objective, BatchOptimum(x, value, inverse, np.zeros(len(x)), reached), which, out)
            return which[~reached]
        x, unit = start_batch(objective)
        objective(everything, x)
        limit = np.repeat(step_limits(problem)[None], len(which), axis=0)
        limit[:, problem.part("cond").where] = 3.0 * unit[:, None]
        for term in problem.terms:
            limit[:, term.where] = 1.5 * unit[:, None]
        optimum = minimise_batch(objective, x, start_curvature_batch(objective, x, unit), limit)
        self._write(objective, optimum, which, out)
        return which[~optimum.clean]

    def _write(self, objective: BatchObjective, optimum: BatchOptimum, which: np.ndarray, out: BlockFits) -> None:
        problem, family = objective.problem, objective.problem.family
        at = np.flatnonzero(optimum.clean)
        if not len(at):
            return
        rows, x = which[at], optimum.x[at]
        value, _ = objective(at, x)  # the search may have looked elsewhere last
        out.llf[rows], out.converged[rows], out.x[rows] = -value, True, x
        inverse = np.linalg.inv(optimum.hessian[at]) if self.start is None else None
        for part in problem.parts:
            out.coefficients[part.name][rows] = x[:, part.where] @ part.back.T
            if inverse is not None:
                block = part.back @ inverse[:, part.where, part.where] @ part.back.T
                out.errors[part.name][rows] = np.sqrt(np.maximum(np.diagonal(block, axis1=1, axis2=2), 0.0))
        if family.has_dispersion and self.estimator.design.has_one_dispersion:
            out.sigma[rows] = [family.sigma(float(d)) for d in out.coefficients["disp"][rows, 0]]
        elif not family.has_dispersion:
            out.sigma[rows] = 1.0
        ones = np.ones(len(rows))
        unit = np.std(objective.y[at], axis=1) / problem.unit if family.link.name == "identity" else ones
        self._write_spread(problem, x, rows, out, unit, ones)
        for name, flat in zip(problem.likelihood.predictors, objective.predictors(at, x), strict=True):
            own, by_row = out.values[name], flat.reshape(len(at), -1)
            if own.shape[1] == 1:
                own[rows] = by_row[:, :1]
            else:
                _put(own, rows, problem.rows, by_row)

    # ---- one by one ------------------------------------------------------------------------------------
    def _warm(self, y: np.ndarray, which: np.ndarray, out: BlockFits) -> np.ndarray:
        """Fit one by one from the common start, write what ended in maxima, and return the others."""
        assert self.start is not None
        refit, missed = WarmRefits(self.estimator, self.start), []
        for i in which.tolist():
            try:
                found = refit(y[i])
            except (ValueError, ArithmeticError, np.linalg.LinAlgError):
                found = None  # the ordinary fit will say why
            if found is None:
                missed.append(i)
            else:
                self._write_one(found, i, out)
        return np.array(missed, dtype=np.int64)

    def _write_one(self, found: WarmFit, i: int, out: BlockFits) -> None:
        family, rows = self.estimator.family, self.estimator.problem.rows
        out.llf[i], out.converged[i], out.singular[i], out.x[i] = found.llf, True, found.smallest < EDGE, found.x
        for name in out.coefficients:
            out.coefficients[name][i] = found.coefficients[name]
        out.sd[i] = found.sd
        if not family.has_dispersion:
            out.sigma[i] = 1.0
        elif self.estimator.design.has_one_dispersion:
            out.sigma[i] = family.sigma(float(found.coefficients["disp"][0]))
        for name, values in found.values.items():
            if len(values) == 1:
                out.values[name][i] = values
            else:
                out.values[name][i, rows] = values

    def _singly(self, y: np.ndarray, which: np.ndarray, out: BlockFits) -> None:
        """Fit one by one, from `near` or the ordinary start."""
        if not len(which):
            return
        # refits write into the linear system: blocks in other threads must not share it
        own = fresh_copy(self.estimator)
        for i in which:
            estimator = own.with_response(y[i])
            try:
                out.put(i, Estimates(estimator, estimator.fit(self.near)))
            except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
                out.error[i] = f"{type(error).__name__}: {error}"


def objective_of(problem: Problem, y: np.ndarray, n_agq: int = 1) -> BatchObjective:
    """What fits the responses y (b, n) of a problem in step."""
    if n_agq > 1:
        return BatchQuadrature(problem, y, n_agq)
    if crossed_batch_suits(problem):
        return BatchCrossed(problem, y)
    if dense_batch_suits(problem):
        return BatchDense(problem, y)
    one_coefficient = problem.layout is not None and problem.layout.factors[0].k == 1
    return (BatchIntercepts if one_coefficient else BatchObjective)(problem, y)


def _in_order(y: np.ndarray, which: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Responses `which` of y (b, n) in the order `rows`, contiguous; y itself where that is all of it."""
    chosen = y if len(which) == len(y) else y[which]
    if np.array_equal(rows, np.arange(len(rows))):
        return np.ascontiguousarray(chosen)
    return np.ascontiguousarray(np.take(chosen, rows, axis=1))


def _put(out: np.ndarray, which: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
    """The inverse of `_in_order`: values (b, n) into the responses `which` of `out`."""
    if len(which) == len(out) and rows[-1] - rows[0] == len(rows) - 1 and np.all(np.diff(rows) == 1):
        out[:, rows[0] : rows[-1] + 1] = values
    else:
        out[np.ix_(which, rows)] = values


def _factors(term: TermPart, x: np.ndarray) -> np.ndarray:
    return np.array([term.structure.factor(row) for row in x[:, term.where]])
