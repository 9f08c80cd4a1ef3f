"""From a design to a solution: pick the objective, start, optimise, read off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import numpy as np

from glmmcore.design import Design
from glmmcore.errors import ModelError
from glmmcore.estimation.assemble import build_problem
from glmmcore.estimation.distinct_rows import distinct_rows
from glmmcore.estimation.held import (
    check_names,
    coefficients_by_part,
    extra_values,
    holds_spread,
    spread_values,
    start_coefficients,
)
from glmmcore.estimation.laplace import LaplaceObjective
from glmmcore.estimation.linear import LinearObjective
from glmmcore.estimation.optimize import Optimum, minimise, short_descent
from glmmcore.estimation.problem import Problem
from glmmcore.estimation.quadrature import QuadratureObjective, check_points, check_quadrature
from glmmcore.estimation.restarts import (
    AS_GOOD_AS_NONE,
    SIZES_BESIDE_NONE,
    beside_the_edge,
    doubtful,
    either_alone,
    may_miss_no_effects,
    n_starts_of_places,
    off_the_edge,
    on_edge,
    other_starts,
    search_elsewhere,
    with_small_effects,
    with_zero_inflation_elsewhere,
)
from glmmcore.estimation.rough import rougher
from glmmcore.estimation.solution import Solution, from_laplace, from_linear, spherical_modes
from glmmcore.estimation.start import (
    natural_units,
    response_scale,
    start_candidates,
    step_limits,
    unmixed_coefficients,
)
from glmmcore.estimation.start_curvature import start_curvature
from glmmcore.estimation.start_of_refits import both_sides
from glmmcore.families.base import Family

__all__ = ["Estimator"]

# Smallest standard deviation of random effects, in units of the rows', at a minimum of a linear model whose curvature
# the quasi-Newton search knows; nearer to zero a Hessian is made.
_INSIDE = 0.02
# The same size from which the guess of the Hessian is better than what a search has learned of it.
_WELL_INSIDE = 0.1
# Expected decrease at which the search of a cheaper model ends, and its evaluations at most.
_ROUGH_EDM, _ROUGH_EVALUATIONS = 1e-2, 60
# Difference of log-likelihoods by which a model is lower than a simpler one within it.
_LOWER = 1e-4
# Relative difference between the log-likelihoods of distinct rows and of all rows that is rounding; more is a mode that
# was lost, as where a likelihood has no bound.
_LLF_ROUNDING = 1e-9


@dataclass(slots=True, eq=False)
class Estimator:
    """A model ready to be fitted to responses: the design's numerical form, built once.

    Parameters
    ----------
    design : Design
    family : Family
    reml : bool
    problem : Problem
    linear : bool
        Whether the likelihood is profiled through cross-products.
    n_agq : int
        Quadrature points per dimension; 1 is Laplace's method.
    """

    design: Design
    family: Family
    reml: bool
    problem: Problem
    linear: bool
    n_agq: int = 1

    @classmethod
    def build(cls, design: Design, family: Family, *, reml: bool = False, n_agq: int = 1) -> Estimator:
        """Standardise the design and choose between cross-products and Laplace."""
        if not isinstance(reml, (bool, np.bool_)):
            raise ModelError(f"reml must be True or False, not {reml!r}")
        has_bars = any(p.terms for p in design.predictors.values())
        if not has_bars and not set(design.predictors["cond"].columns) - set(design.fixed):
            reml = False  # without fixed effects the restricted likelihood is the likelihood
        linear = (
            family.linear and "disp" not in design.predictors and "zi" not in design.predictors and (has_bars or reml)
        )
        # only ratios of variances are parameters of a profiled likelihood
        linear &= not holds_spread(design.fixed, design)
        problem = build_problem(design, family, reml=reml, profiled=linear)
        # linear models are integrated exactly as they are
        n_agq = 1 if linear else n_agq
        if n_agq > 1:
            check_quadrature(problem)
        return cls(design, family, reml, problem, linear, n_agq)

    def with_response(self, y: np.ndarray) -> Estimator:
        """Same model for another response (n,) in the original row order."""
        design = replace(self.design, response=replace(self.design.response, y=y))
        return replace(self, design=design, problem=self.problem.with_response(y))

    def fit(self, start: np.ndarray | None = None, *, only: bool = False) -> Solution:
        """Maximise the likelihood.

        Parameters
        ----------
        start : ndarray, optional
            Where the search begins, such as ``Solution.x`` of a similar fit. Where there is a doubt (places and times,
            singular ends, families with several maxima) it goes on from elsewhere as well, so that a fit ends where
            one without a start does.
        only : bool
            Search from `start` only.
        """
        if self.n_agq > 1:
            check_points(self.problem, self.n_agq)
        return self._fit_linear(start, only) if self.linear else self._fit_laplace(start, only)

    def _rough_maximum(self) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Where the likelihood of a cheaper model of the same parameters ends, (n_params,), if there is one.

        With the modes of the random effects there, for models that are not linear.
        """
        design = rougher(self.design)
        if design is None or design.fixed:
            return None
        rough = Estimator.build(design, self.family, reml=self.reml, n_agq=self.n_agq)
        if rough.linear:
            linear = rough.linear_objective()
            start, limit = linear.start(), 1.5 * linear.units
            linear(start)
            x, _, edm = short_descent(linear, start, linear.curvature(start), limit, _ROUGH_EDM, _ROUGH_EVALUATIONS)
            mode = None
        else:
            objective = rough.objective()
            start, limit = _finite_start(objective, start_candidates(rough.problem)[0]), step_limits(rough.problem)
            curvature = start_curvature(rough.problem, start, objective)
            x, _, edm = short_descent(objective, start, curvature, limit, _ROUGH_EDM, _ROUGH_EVALUATIONS)
            mode = objective.mode
        return (x, mode) if edm < 1.0 else None

    def _without_effects(self) -> tuple[Problem, Optimum] | None:
        """The same model without random effects and its maximum, if it has one."""
        design = self.design.without_terms()
        if design.fixed:
            return None
        simple = Estimator.build(design, self.family)
        try:
            objective, optimum = simple._maximise(simple.problem, None, only=False)
        except ModelError:
            return None
        return objective.problem, optimum

    def start_at(self, given: Mapping[str, float]) -> np.ndarray:
        """The ordinary start, (n_params,), with some parameters at given values, by the names of tables.

        Raises
        ------
        ModelError
            For names that the model does not have.
        """
        problem = self.problem
        check_names(self.design, self.family, problem.terms, given, "start=")
        x = self.linear_objective().start() if self.linear else start_candidates(problem)[0]
        for name, values in coefficients_by_part(self.design, self.family, given).items():
            part = problem.part(name)
            if part.where.stop > part.where.start:
                x[part.where] = start_coefficients(part, values, x[part.where])
        scale = 1.0
        if self.linear:  # a profiled likelihood knows standard deviations as multiples of sigma
            objective = self.linear_objective()
            objective(x)
            scale = given.get("sigma", objective.sigma)
        relative = {name: value / scale if "sd(" in name else value for name, value in given.items()}
        for place, value in spread_values(problem.terms, relative, "start="):
            x[place] = value
        for name, value in extra_values(self.family, given, "start=").items():
            x[problem.part(name).where] = value
        return problem.hold(x)

    def objective(self, problem: Problem | None = None) -> LaplaceObjective:
        """Negative log-likelihood of a model that is not linear, of all rows or of those of another `problem`."""
        problem = problem or self.problem
        objective = LaplaceObjective(problem) if self.n_agq == 1 else QuadratureObjective(problem, self.n_agq)
        if problem.reml and problem.part("cond").size:
            objective.begin_at(unmixed_coefficients(problem))
        return objective

    def objective_at(self, solution: Solution) -> LaplaceObjective:
        """The objective of a model that is not linear, evaluated at its solution, the modes found there for a start."""
        objective = self.objective()
        if self.problem.layout is not None:
            objective.mode = spherical_modes(self.problem, solution)
        value, _ = objective(solution.x)
        if not np.isfinite(value):
            raise ModelError(
                "the log-likelihood cannot be evaluated again at the estimates: they are on the edge of what doubles "
                "can hold, and nothing that needs the likelihood around them is known"
            )
        return objective

    def linear_objective(self, *, responds: bool = True) -> LinearObjective:
        """Negative profiled log-likelihood of a linear model, of its response or of those that it will be given."""
        weights = self.design.var_weights
        return LinearObjective(self.problem, None if weights is None else weights[self.problem.rows], responds=responds)

    def _fit_linear(self, start: np.ndarray | None, only: bool) -> Solution:
        problem = self.problem
        objective = self.linear_objective()
        cold = objective.start()
        simpler = self._rough_maximum() if start is None else None
        near = start if simpler is None else simpler[0]
        theta = cold if near is None else off_the_edge(problem, near, objective.unit)
        cheaper = objective.cheaper
        search = objective if cheaper is None else cheaper.rough
        search(theta)
        curvature = objective.curvature(theta) if len(theta) else np.zeros((0, 0))
        units, unit = objective.units, objective.unit

        def renewed(x: np.ndarray) -> np.ndarray | None:
            if on_edge(problem, x, _WELL_INSIDE * unit):
                return None
            search(x)
            return objective.curvature(x)

        def optimise(_: LinearObjective, x: np.ndarray, curvature: np.ndarray) -> Optimum:
            inside = lambda x: not on_edge(problem, x, _INSIDE * unit)  # noqa: E731
            return minimise(
                objective, x, curvature, 1.5 * units, units=units, regular=inside, renewed=renewed, cheaper=cheaper
            )

        optimum = optimise(objective, theta, curvature)
        n_starts = 0 if only else n_starts_of_places(problem)
        if not only and not n_starts and optimum.hessian is not None:
            n_starts = doubtful(problem, optimum, unit)
        if n_starts:
            starts = other_starts(problem, optimum.x, cold, unit, 1.5 * units, n_starts)
            if start is not None and n_starts > 1:
                starts = chain([cold], starts)
            _, optimum = search_elsewhere(
                optimum,
                starts,
                1.5 * units,
                objective=lambda: objective,
                curvature=lambda _, x: objective.curvature(x),
                optimise=optimise,
            )
        return from_linear(objective, optimum)

    def _fit_laplace(self, start: np.ndarray | None, only: bool) -> Solution:
        fewer = distinct_rows(self.problem)
        if fewer is not None:
            found, optimum = self._maximise(fewer, start, only)
            objective = self.objective()
            objective.mode = found.mode
            value, _ = objective(optimum.x)
            if abs(value - optimum.value) < _LLF_ROUNDING * (1.0 + abs(value)):
                return from_laplace(objective, optimum)
        return from_laplace(*self._maximise(self.problem, start, only))

    def _maximise(self, problem: Problem, start: np.ndarray | None, only: bool) -> tuple[LaplaceObjective, Optimum]:
        """The best optimum from all starts, for all rows or for distinct ones."""
        search = _Search(problem, lambda: self.objective(problem))
        unit = response_scale(problem)
        rough = self._rough_maximum() if start is None else None
        if start is not None:
            candidates = beside_the_edge(problem, start, unit)
            if not only:
                candidates = [x for candidate in candidates for x in both_sides(problem, candidate)]
        else:
            candidates = start_candidates(problem) if rough is None else [rough[0]]
        best = search.best_of(candidates, None if rough is None else rough[1])
        if only:
            return best
        n_starts = doubtful(problem, best[1], unit)
        if n_starts:
            cold = candidates if start is None and rough is None else start_candidates(problem)
            starts = other_starts(problem, best[1].x, cold[0], unit, search.limit, n_starts)
            if start is not None and n_starts > 1:
                starts = chain(cold, starts)
            best = self._from_elsewhere(search, problem, best, starts)
        again = with_zero_inflation_elsewhere(problem, best[1].x, candidates[0])
        again += either_alone(problem, candidates[0], unit, search.limit, search.objective, start_curvature)
        if not again:
            return best
        # lower maxima with something that is not needed, or without what is, are no news
        first, (objective, optimum) = best[1], search.elsewhere(best, again)
        return objective, replace(optimum, n_other_starts=first.n_other_starts, n_other_maxima=first.n_other_maxima)

    def _from_elsewhere(
        self, search: _Search, problem: Problem, best: tuple[LaplaceObjective, Optimum], starts: Iterable[np.ndarray]
    ) -> tuple[LaplaceObjective, Optimum]:
        """The best from other starts, and from where there are no random effects if the search may have missed that."""
        simple = self._without_effects() if may_miss_no_effects(problem, best[1]) else None
        if simple is None:
            return search.elsewhere(best, starts)
        beside_none = partial(with_small_effects, problem, *simple, response_scale(problem))
        best = search.elsewhere(best, chain(starts, map(beside_none, SIZES_BESIDE_NONE)))
        if not problem.reml and best[1].value > simple[1].value + _LOWER:
            best = search.elsewhere(best, [beside_none(AS_GOOD_AS_NONE)])
        return best


class _Search:
    """Searches for the maximum of one likelihood that is not linear, from several starts.

    Parameters
    ----------
    problem : Problem
    objective : callable
        Makes a fresh objective of it.

    Attributes
    ----------
    limit : ndarray, shape (n_params,)
        Largest change of each parameter in one step.
    """

    def __init__(self, problem: Problem, objective: Callable[[], LaplaceObjective]) -> None:
        self._problem, self.objective = problem, objective
        self.limit, self._units = step_limits(problem), natural_units(problem)

    def best_of(
        self, candidates: Sequence[np.ndarray], mode: np.ndarray | None = None
    ) -> tuple[LaplaceObjective, Optimum]:
        """The highest of the maxima that all candidates lead to; random effects are sought from `mode` on, if given."""
        best: tuple[LaplaceObjective, Optimum] | None = None
        for candidate in candidates:
            objective = self.objective()
            if mode is not None:
                objective.mode = mode
            x = _finite_start(objective, self._problem.hold(candidate))
            optimum = self._optimise(objective, x, start_curvature(self._problem, x, objective))
            if best is None or optimum.value < best[1].value:
                best = objective, optimum
        assert best is not None
        return best

    def elsewhere(
        self, best: tuple[LaplaceObjective, Optimum], starts: Iterable[np.ndarray]
    ) -> tuple[LaplaceObjective, Optimum]:
        """The best so far, or a better one where descents from other starts lead to one."""
        problem = self._problem
        objective, optimum = search_elsewhere(
            best[1],
            (problem.hold(x) for x in starts),
            self.limit,
            objective=self.objective,
            curvature=lambda objective, x: start_curvature(problem, x, objective),
            optimise=self._optimise,
            free=problem.free,
        )
        return objective or best[0], optimum

    def _optimise(self, objective: LaplaceObjective, x: np.ndarray, curvature: np.ndarray) -> Optimum:
        problem = self._problem
        return minimise(objective, problem.hold(x), curvature, self.limit, units=self._units, free=problem.free)


def _finite_start(objective: LaplaceObjective, x: np.ndarray) -> np.ndarray:
    """The start, or one with smaller random effects or a dispersion of one where the likelihood does not exist there.

    Some laws have no density for large counts when they are underdispersed, but all have one at a dispersion of one.
    """
    problem = objective.problem
    for dispersion_of_one in (False, True):
        for shrink in (1.0, 0.3, 0.1):
            trial = x.copy()
            for term in problem.terms:
                sd = shrink * np.sqrt(np.square(term.structure.factor(x[term.where])).sum(axis=1))
                trial[term.where] = x[term.where] if shrink == 1.0 else term.structure.start(sd)
            trial = problem.hold(trial)
            if dispersion_of_one:
                for part in problem.parts:
                    if part.name == "disp":
                        trial[part.where] = 0.0
            if np.isfinite(objective(trial)[0]):
                return trial
    raise ModelError(
        f"no starting point with a finite log-likelihood for {problem.family!r}; check offsets and the scale of the "
        "response, or try another link"
    )
