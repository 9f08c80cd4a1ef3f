"""A block of responses: fitted together where the design allows, one by one elsewhere or where that fails."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from glmmcore.errors import no_data_warnings
from glmmcore.estimation.problem import build_problem
from glmmcore.estimation.start import step_limits
from glmmcore.fitted import FittedGLMM
from glmmcore.many._batch_objective import BatchObjective, unsupported
from glmmcore.many._batch_optimise import BatchOptimum, minimise_batch
from glmmcore.many._batch_start import start_batch, start_curvature_batch
from glmmcore.results.verdict import EDGE

if TYPE_CHECKING:
    from glmmcore.estimation.estimator import Estimator
    from glmmcore.estimation.problem import Problem, TermPart

__all__ = ["BlockFits", "BlockTask"]

# Rows of a block: enough to make calls of numpy cheap, few enough for the second-level cache.
_BLOCK_ROWS = 16384
_MAX_BLOCK = 256
# With more rows than this per response the compiled single fit is as fast.
_LONG = 5000


@dataclass(slots=True, eq=False)
class BlockFits:
    """Estimates of `b` responses; NaN where `error` is not empty.

    Attributes
    ----------
    llf, sigma : ndarray (b,)
    converged, singular : ndarray of bool (b,)
    coefficients, errors : dict of str to ndarray (b, p)
        Estimates and standard errors by predictor.
    sd : ndarray (b, number of random coefficients)
    values : dict of str to ndarray (b, n) or (b, 1)
        Linear predictors at the modes in the original row order; one column for a constant.
    error : list of str
    """

    llf: np.ndarray
    sigma: np.ndarray
    converged: np.ndarray
    singular: np.ndarray
    coefficients: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    sd: np.ndarray
    values: dict[str, np.ndarray]
    error: list[str]

    @classmethod
    def empty(cls, problem: Problem, parts: tuple[str, ...], count: int) -> BlockFits:
        """No fit yet."""
        sizes = {p.name: p.size for p in problem.parts}
        widths = {p.name: 1 if p.X is None and p.name not in problem.inner else problem.n for p in problem.parts}

        def nan(*shape: int) -> np.ndarray:
            return np.full((count, *shape), np.nan)

        n_sd = sum(len(t.term.columns) for t in problem.terms)
        return cls(
            nan(), nan(), np.zeros(count, bool), np.zeros(count, bool),
            {name: nan(sizes[name]) for name in parts}, {name: nan(sizes[name]) for name in parts},
            nan(n_sd), {name: nan(width) for name, width in widths.items()}, [""] * count,
        )  # fmt: skip

    @classmethod
    def concatenate(cls, blocks: list[BlockFits]) -> BlockFits:
        """All blocks one after the other."""

        def by_part(tables: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
            return {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}

        return cls(
            llf=np.concatenate([b.llf for b in blocks]),
            sigma=np.concatenate([b.sigma for b in blocks]),
            converged=np.concatenate([b.converged for b in blocks]),
            singular=np.concatenate([b.singular for b in blocks]),
            coefficients=by_part([b.coefficients for b in blocks]),
            errors=by_part([b.errors for b in blocks]),
            sd=np.concatenate([b.sd for b in blocks]),
            values=by_part([b.values for b in blocks]),
            error=[text for b in blocks for text in b.error],
        )

    @classmethod
    def scattered(cls, fits: BlockFits, at: np.ndarray, count: int) -> BlockFits:
        """Place the fits as the responses `at` among `count`, of which the others are not fitted yet."""

        def spread(values: np.ndarray) -> np.ndarray:
            fill = False if values.dtype == bool else np.nan
            out = np.full((count, *values.shape[1:]), fill, dtype=values.dtype)
            out[at] = values
            return out

        error = [""] * count
        for i, text in zip(at, fits.error, strict=True):
            error[i] = text
        return cls(
            llf=spread(fits.llf),
            sigma=spread(fits.sigma),
            converged=spread(fits.converged),
            singular=spread(fits.singular),
            coefficients={name: spread(v) for name, v in fits.coefficients.items()},
            errors={name: spread(v) for name, v in fits.errors.items()},
            sd=spread(fits.sd),
            values={name: spread(v) for name, v in fits.values.items()},
            error=error,
        )

    def put(self, i: int, fit: FittedGLMM, present: np.ndarray | None = None) -> None:
        """Take one response's numbers from an ordinary fit, of the rows `present` (n,) or of all."""
        parts = {name: (fit._coefficients(name), fit._standard_errors(name)) for name in self.coefficients}
        if any(len(estimates) != self.coefficients[name].shape[1] for name, (estimates, _) in parts.items()):
            raise ValueError("with its missing rows left out, columns of the design are not estimable")
        for name, (estimates, errors) in parts.items():
            self.coefficients[name][i], self.errors[name][i] = estimates, errors
        self.llf[i], self.sigma[i] = fit.llf, fit.sigma
        self.converged[i], self.singular[i] = fit.converged, fit.singular
        covariances = [t.covariance[None] for t in fit.solution.terms]
        self.sd[i] = _deviations(covariances, 1)[0]
        for name, rows in fit.solution.values.items():
            own = self.values[name][i]
            own[slice(None) if present is None or len(own) == 1 else present] = rows


@dataclass(slots=True, eq=False)
class BlockTask:
    """Fits blocks of responses of one model; picklable.

    Parameters
    ----------
    estimator : Estimator
    problem : Problem or None
        What is fitted block-wise; None where responses are fitted one by one.
    """

    estimator: Estimator
    problem: Problem | None

    @classmethod
    def of(cls, estimator: Estimator) -> BlockTask:
        """Choose block-wise or single fits."""
        problem = estimator.problem
        if estimator.n_agq > 1 or estimator.reml or estimator.design.nobs > _LONG:
            return cls(estimator, None)
        if estimator.linear:
            # Laplace's method is exact for linear models, so that they need no batch of their own
            problem = build_problem(estimator.design, estimator.family)
        return cls(estimator, None if unsupported(problem) else problem)

    @property
    def block_size(self) -> int:
        """Responses per block."""
        return max(1, min(_BLOCK_ROWS // self.estimator.design.nobs, _MAX_BLOCK))

    @property
    def parts(self) -> tuple[str, ...]:
        """Predictors whose coefficients are reported."""
        return tuple(p.name for p in self.estimator.problem.parts if p.name not in self.estimator.family.extra)

    def __call__(self, y: np.ndarray) -> BlockFits:
        """Fit the responses y (b, n), original row order."""
        out = BlockFits.empty(self.estimator.problem, self.parts, len(y))
        with no_data_warnings():  # one for each response helps nobody
            good = [i for i in range(len(y)) if self._valid(y[i], out, i)]
            left = np.array(good, dtype=np.int64)
            if self.problem is not None and len(left):
                left = self._together(y, left, out)
            self._singly(y, left, out)
        return out

    def _valid(self, y: np.ndarray, out: BlockFits, i: int) -> bool:
        if not np.isfinite(y).all():
            out.error[i] = f"the response is not finite in rows {np.flatnonzero(~np.isfinite(y))[:5].tolist()}"
            return False
        design = self.estimator.design
        trials = np.ones(len(y)) if design.response.trials is None else design.response.trials
        try:
            self.estimator.family.check_support(y, trials, zero_model="zi" in design.predictors)
        except ValueError as error:
            out.error[i] = str(error)
            return False
        return True

    def _together(self, y: np.ndarray, which: np.ndarray, out: BlockFits) -> np.ndarray:
        """Fit a block, write what ended in clean maxima, and return the others."""
        problem = self.problem
        assert problem is not None
        objective = BatchObjective(problem, np.ascontiguousarray(y[which][:, problem.rows]))
        everything = np.arange(len(which))
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
        out.llf[rows], out.converged[rows] = -value, True
        inverse = np.linalg.inv(optimum.hessian[at])
        for part in problem.parts:
            out.coefficients[part.name][rows] = x[:, part.where] @ part.back.T
            block = inverse[:, part.where, part.where]
            if self.estimator.linear and part.name == "cond":
                # generalised least squares given the variances, as for single linear fits
                block = np.linalg.inv(objective.conditional_information(at, x))
            block = part.back @ block @ part.back.T
            out.errors[part.name][rows] = np.sqrt(np.maximum(np.diagonal(block, axis1=1, axis2=2), 0.0))
        scale = np.ones(len(at))
        if family.has_dispersion and problem.part("disp").size == 1:
            delta = out.coefficients["disp"][rows, 0]
            out.sigma[rows] = [family.sigma(float(d)) for d in delta]
            scale = np.exp(delta) if self.estimator.linear else scale
        elif not family.has_dispersion:
            out.sigma[rows] = 1.0
        factors = [_factors(term, x) for term in problem.terms]
        edges = [np.linalg.svd(t, compute_uv=False)[:, -1] / scale < EDGE for t in factors]
        out.singular[rows] = np.any(edges, axis=0) if edges else False
        roots = [t.back @ f for t, f in zip(problem.terms, factors, strict=True)]
        out.sd[rows] = _deviations([r @ np.swapaxes(r, 1, 2) for r in roots], len(rows))
        for name, flat in zip(problem.likelihood.predictors, objective.predictors(at, x), strict=True):
            own, by_row = out.values[name], flat.reshape(len(at), -1)
            if own.shape[1] == 1:
                own[rows] = by_row[:, :1]
            else:
                own[np.ix_(rows, problem.rows)] = by_row

    def _singly(self, y: np.ndarray, which: np.ndarray, out: BlockFits) -> None:
        """Fit one by one, from the ordinary start."""
        if not len(which):
            return
        # refits write into the linear system: blocks in other threads must not share it
        own = replace(self.estimator, problem=replace(self.estimator.problem))
        own.problem.system = copy.deepcopy(own.problem.system)
        for i in which:
            estimator = own.with_response(y[i])
            try:
                out.put(i, FittedGLMM(estimator, estimator.fit()))
            except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
                out.error[i] = f"{type(error).__name__}: {error}"


def _factors(term: TermPart, x: np.ndarray) -> np.ndarray:
    return np.array([term.structure.factor(row) for row in x[:, term.where]])


def _deviations(covariances: list[np.ndarray], count: int) -> np.ndarray:
    """Square roots of the diagonals of all terms' covariances (b, k, k), side by side."""
    variances = [np.diagonal(c, axis1=1, axis2=2) for c in covariances]
    return np.sqrt(np.maximum(np.hstack([np.zeros((count, 0)), *variances]), 0.0))
