"""Refits that start at the estimates of a fit, with its Hessian for a first guess of theirs.

What a response does not change is kept: the design, its layout, the symbolic analysis, for linear models Z'WZ. The
search ends by its quasi-Newton model; no Hessian and no standard errors are made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.estimation.distinct_rows import distinct_rows
from glmmcore.estimation.optimize import descend
from glmmcore.estimation.restarts import off_the_edge
from glmmcore.estimation.start import natural_units, response_scale, step_limits
from glmmcore.estimation.start_of_refits import both_sides, off_limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmmcore.estimation.estimator import Estimator
    from glmmcore.estimation.laplace import LaplaceObjective
    from glmmcore.estimation.linear import LinearObjective
    from glmmcore.estimation.problem import TermPart
    from glmmcore.fitted import FittedGLMM

__all__ = ["WARM_EDM", "WarmFit", "WarmRefits", "WarmStart", "fresh_copy", "reported"]

# Expected rise of the log-likelihood that ends a search: estimates are within 2e-5 standard errors.
WARM_EDM = 2e-10
# Eigenvalues of the Hessian scaled to a unit diagonal are raised to this for the first guess.
_WEAKEST = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class WarmStart:
    """Where refits start.

    Attributes
    ----------
    x : ndarray, shape (p,)
        In the optimiser's coordinates.
    inverse : ndarray, shape (p, p)
        Inverse of a positive definite Hessian.
    limit : ndarray, shape (p,)
        Largest change of each parameter in one step.
    """

    x: np.ndarray
    inverse: np.ndarray
    limit: np.ndarray

    @classmethod
    def of(cls, fit: FittedGLMM) -> WarmStart:
        """Start at the estimates of a fit."""
        estimator, x = fit.estimator, fit.solution.x
        problem = estimator.problem
        if estimator.linear:
            objective = fresh_copy(estimator).linear_objective()
            unit, units = objective.unit, objective.units
            limit = 1.5 * units
        else:
            unit, units, limit = response_scale(problem), natural_units(problem), step_limits(problem)
        x = off_the_edge(problem, x, unit)
        curvature = fit.solution.curvature
        if not estimator.linear and curvature is not None:
            x = off_limits(problem, x, curvature.flat, curvature.units)
        x = problem.hold(x)
        if not len(x):
            return cls(x, np.zeros((0, 0)), limit)
        if fit.solution.optimum.hessian is not None:
            hessian = fit.solution.optimum.hessian
        else:
            objective(x)
            hessian = objective.curvature(x)
        return cls(x, _positive_inverse(hessian, units), limit)

    def tiled(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same for `count` responses: (count, p), (count, p, p) and (count, p)."""
        return np.tile(self.x, (count, 1)), np.tile(self.inverse, (count, 1, 1)), np.tile(self.limit, (count, 1))


def _positive_inverse(hessian: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Inverse of a Hessian whose flat directions are as steep as a rough guess in natural units."""
    scale = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1.0 / np.square(units)))
    values, vectors = np.linalg.eigh(hessian / scale[:, None] / scale)
    return np.asarray((vectors / np.maximum(np.abs(values), _WEAKEST)) @ vectors.T / scale[:, None] / scale)


@dataclass(slots=True, eq=False)
class WarmFit:
    """One response; coefficients in the user's columns, predictors in the problem's row order.

    Attributes
    ----------
    x : ndarray
    llf : float
    coefficients, values : dict of str to ndarray
    sd : ndarray
        Standard deviations of all terms' coefficients, side by side.
    smallest : float
        Smallest singular value of the terms' factors, in their unit; infinite without terms.
    """

    x: np.ndarray
    llf: float
    coefficients: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    sd: np.ndarray
    smallest: float


class WarmRefits:
    """Fits one response after the other in one system.

    Parameters
    ----------
    estimator : Estimator
        Of the fit; it is left alone.
    start : WarmStart
    """

    def __init__(self, estimator: Estimator, start: WarmStart) -> None:
        self._estimator = fresh_copy(estimator)
        self._start = start
        self._linear: LinearObjective | None = None

    def __call__(self, y: np.ndarray) -> WarmFit | None:
        """Fit to y (n,), original row order; None where the search does not end in an ordinary maximum."""
        with np.errstate(all="ignore"):
            if self._estimator.linear:
                return self._fit_linear(np.ascontiguousarray(y[self._estimator.problem.rows]))
            return self._fit_laplace(np.ascontiguousarray(y[self._estimator.problem.rows]))

    def _search(
        self, objective: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray
    ) -> np.ndarray | None:
        return descend(objective, start, self._start.inverse, self._start.limit, WARM_EDM)

    def _fit_linear(self, y: np.ndarray) -> WarmFit | None:
        objective = self._linear
        if objective is None:
            objective = self._linear = self._estimator.linear_objective(responds=False)
        objective.respond(y)
        theta = self._search(objective, self._start.x)
        if theta is None:
            return None
        value, _ = objective(theta)
        part = objective.problem.part("cond")
        values = {"cond": objective.linear_predictor(theta), "disp": objective.log_scale}
        coefficients = {"cond": part.user(objective.coefficients), "disp": np.array([np.log(objective.sigma)])}
        return self._read(theta, -value, coefficients, values, objective.sigma, objective.unit)

    def _fit_laplace(self, y: np.ndarray) -> WarmFit | None:
        estimator, whole = self._estimator, self._estimator.problem
        problem = replace(whole, likelihood=whole.likelihood.with_response(y))
        fewer = distinct_rows(problem)
        best: tuple[float, np.ndarray, LaplaceObjective] | None = None
        for start in both_sides(problem, self._start.x):
            objective = estimator.objective(problem if fewer is None else fewer)
            x = self._search(objective, start)
            if x is None or not objective.mode_found:
                return None
            value, _ = objective(x)
            if best is None or value < best[0]:
                best = value, x, objective
        assert best is not None
        _, x, objective = best
        if fewer is not None:
            mode = objective.mode
            objective = estimator.objective(problem)
            objective.mode = mode
        value, _ = objective(x)
        if not (np.isfinite(value) and objective.mode_found):
            return None
        return self._read(
            x, -value, self._coefficients(objective, x), dict(
                zip(problem.likelihood.predictors, objective.linear_predictors(x), strict=True)
            ), 1.0, response_scale(problem)
        )  # fmt: skip

    def _coefficients(self, objective: LaplaceObjective, x: np.ndarray) -> dict[str, np.ndarray]:
        problem = objective.problem
        free = [part for part in problem.parts if part.name != "cond" or not problem.reml]
        out = {part.name: part.user(x[part.where]) for part in free}
        if problem.reml:
            part = problem.part("cond")
            out["cond"] = part.user(objective.mode[len(objective.mode) - part.size :])
        return out

    def _read(
        self,
        x: np.ndarray,
        llf: float,
        coefficients: dict[str, np.ndarray],
        values: dict[str, np.ndarray],
        sigma: float,
        unit: float,
    ) -> WarmFit:
        sd, smallest = [np.zeros(0)], np.inf
        for term in self._estimator.problem.terms:
            t = term.structure.factor(x[term.where])
            sd.append(reported(term, sigma * np.sqrt(np.square(term.root_back @ t).sum(axis=1))))
            smallest = min(smallest, float(np.linalg.svd(t, compute_uv=False)[-1]) / unit)
        return WarmFit(x, llf, coefficients, values, np.concatenate(sd), smallest)


def reported(term: TermPart, values: Any) -> Any:
    """Of what belongs to the coefficients of a term, in the last axis, what tables show: one where all share it."""
    if not term.structure.one_row:
        return values
    return values[..., :1] if isinstance(values, np.ndarray) else values[:1]


def fresh_copy(estimator: Estimator) -> Estimator:
    """An estimator whose system belongs to it alone: refits write into it, and blocks in other threads must not."""
    problem = estimator.problem
    system = None if problem.system is None else problem.system.fresh()
    return replace(estimator, problem=replace(problem, system=system))
