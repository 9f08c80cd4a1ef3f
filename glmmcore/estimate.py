"""From a design to a solution: pick the objective, start, optimise, read off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmcore.design import Design
from glmmcore.families.base import Family
from glmmcore.laplace import LaplaceObjective
from glmmcore.lmm import LinearObjective
from glmmcore.optimize import Optimum, minimise
from glmmcore.problem import Problem, build_problem
from glmmcore.solution import Solution, from_laplace, from_linear
from glmmcore.start import response_scale, start_candidates, start_curvature, step_limits

__all__ = ["Estimator"]


@dataclass(slots=True, eq=False)
class Estimator:
    """A model ready to be fitted to responses: the design's numerical form, built once.

    Parameters
    ----------
    design : Design
    family : Family
    reml : bool
    """

    design: Design
    family: Family
    reml: bool
    problem: Problem
    linear: bool

    @classmethod
    def build(cls, design: Design, family: Family, *, reml: bool = False) -> Estimator:
        """Standardise the design and choose between cross-products and Laplace."""
        has_bars = any(p.terms for p in design.predictors.values())
        linear = (
            family.name == "gaussian"
            and family.link.name == "identity"
            and "disp" not in design.predictors
            and "zi" not in design.predictors
            and (has_bars or reml)
        )
        return cls(design, family, reml, build_problem(design, family, reml=reml, profiled=linear), linear)

    def fit(self, y: np.ndarray | None = None, start: np.ndarray | None = None) -> Solution:
        """Maximise the likelihood for the design's response, or for another one `y` in the original row order.

        Parameters
        ----------
        y : ndarray, shape (n,), optional
        start : ndarray, optional
            ``Solution.x`` of a similar fit.
        """
        problem = self.problem if y is None else self.problem.with_response(y)
        if self.linear:
            return self._fit_linear(problem, start)
        return self._fit_laplace(problem, start)

    def _fit_linear(self, problem: Problem, start: np.ndarray | None) -> Solution:
        weights = self.design.var_weights
        objective = LinearObjective(problem, None if weights is None else weights[problem.rows])
        theta = np.zeros(problem.n_params)
        curvature = np.zeros((len(theta), len(theta)))
        for term in problem.terms:
            levels = problem.layout.factors[term.factor].n_levels  # type: ignore[union-attr]
            theta[term.where] = term.structure.start(np.full(term.structure.k, 0.7))
            curvature[term.where, term.where] = np.diag(term.structure.curvature(levels))
        if start is not None:
            theta = _off_the_edge(problem, start, 1.0)
        optimum = minimise(objective, theta, curvature, np.full(len(theta), 1.5))
        return from_linear(objective, optimum)

    def _fit_laplace(self, problem: Problem, start: np.ndarray | None) -> Solution:
        if start is not None:
            candidates = [_off_the_edge(problem, start, response_scale(problem))]
        else:
            candidates = start_candidates(problem)
        limit = step_limits(problem)
        best: tuple[LaplaceObjective, Optimum] | None = None
        for x in candidates:
            objective = LaplaceObjective(problem)
            objective(x)
            optimum = minimise(objective, x, start_curvature(problem, x, objective), limit)
            if best is None or optimum.value < best[1].value:
                best = objective, optimum
        assert best is not None
        return from_laplace(*best)


def _off_the_edge(problem: Problem, x: np.ndarray, unit: float) -> np.ndarray:
    """Move random terms with a vanishing factor off the edge, where the gradient is zero by symmetry."""
    x = x.copy()
    for term in problem.terms:
        t = term.structure.factor(x[term.where])
        small = np.abs(np.diag(t)) < 0.05 * unit
        if small.any():
            sd = np.where(small, 0.1 * unit, np.sqrt(np.square(t).sum(axis=1)))
            x[term.where] = term.structure.start(sd)
    return x
