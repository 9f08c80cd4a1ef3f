"""Estimates in the user's units and row order, read off a problem at its optimum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmcore.covariance import Field
from glmmcore.design import RandomTerm
from glmmcore.estimation.curvature import Curvature, informed
from glmmcore.estimation.laplace import LaplaceObjective
from glmmcore.estimation.linear import LinearObjective
from glmmcore.estimation.optimize import Optimum
from glmmcore.estimation.problem import Problem
from glmmcore.estimation.start import natural_units, response_scale

__all__ = ["ConditionalSpread", "Solution", "TermSolution", "from_laplace", "from_linear", "spherical_modes"]


@dataclass(frozen=True, slots=True, eq=False)
class TermSolution:
    """One random term at the optimum.

    Attributes
    ----------
    predictor : str
    term : RandomTerm
    covariance : ndarray, shape (k, k)
        Sigma of one level's coefficients; times the relationship of the levels where they covary.
    modes : ndarray, shape (L, k)
        Conditional modes.
    mode_covariance : ndarray, shape (L, k, k), or None
        Conditional covariance given the parameters; None for a linear model, where it is made when it is asked for, see
        `ConditionalSpread`.
    weights : ndarray, shape (L,), or None
        Of a term over places: its modes are the covariance of all levels times these.
    relative_minimum : float
        Smallest singular value of the standardised factor over the largest possible scale; 0 for a singular fit.
    node_modes : ndarray, shape (N, k)
        Conditional modes of the engine's levels: `modes`, or those of the nodes of a relationship.
    """

    predictor: str
    term: RandomTerm
    covariance: np.ndarray
    modes: np.ndarray
    mode_covariance: np.ndarray | None
    relative_minimum: float
    node_modes: np.ndarray
    weights: np.ndarray | None = None

    def row_variances(self, z: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Variance of ``z_i' b[codes_i]`` over new effects, (n,); codes of -1 are levels that the fit has not seen."""
        own = np.maximum(np.einsum("ij,jk,ik->i", z, self.covariance, z), 0.0)
        return own * self.term.variances(codes)


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """All estimates of a fit.

    Attributes
    ----------
    llf : float
    x : ndarray
        Parameters in the optimiser's coordinates (warm start of a refit).
    optimum : Optimum
    curvature : Curvature or None
        Of the parameters x; None for a linear model, whose Hessian is made when it is asked for.
    coefficients : dict of str to ndarray
        By predictor, in the user's columns.
    covariance : dict of (str, str) to ndarray
        Covariance of the coefficients of two predictors; log sigma of a linear model with itself is left out, since it
        takes the Hessian.
    terms : tuple of TermSolution
    values : dict of str to ndarray
        Linear predictors at the modes, original row order; size 1 for constants.
    edf : float or None
        Effective number of mean parameters: trace of the hat matrix of the working linear model; None for a linear
        model, as `TermSolution.mode_covariance`.
    mode_found : bool
    """

    llf: float
    x: np.ndarray
    optimum: Optimum
    curvature: Curvature | None
    coefficients: dict[str, np.ndarray]
    covariance: dict[tuple[str, str], np.ndarray]
    terms: tuple[TermSolution, ...]
    values: dict[str, np.ndarray]
    edf: float | None
    mode_found: bool

    def of_term(self, term: RandomTerm) -> TermSolution:
        """What was estimated of a term of the design."""
        return next(own for own in self.terms if own.term is term)


def _covariance(problem: Problem, curvature: Curvature) -> dict[tuple[str, str], np.ndarray]:
    """Covariances of the users' coefficients; an infinite variance where the likelihood is flat."""
    out = {}
    estimated = [p for p in problem.parts if p.where.stop - p.where.start == p.size]
    for a in estimated:
        for b in estimated:
            out[a.name, b.name] = a.back @ curvature.inverse[a.where, b.where] @ b.back.T
        rows = np.zeros((len(a.back), problem.n_params))
        rows[:, a.where] = a.back
        unbounded = np.flatnonzero(curvature.reaches(rows))
        out[a.name, a.name][unbounded, unbounded] = np.inf
    return out


def from_laplace(objective: LaplaceObjective, optimum: Optimum) -> Solution:
    """Read a solution off the objective; evaluates it once more at the optimum."""
    problem = objective.problem
    x = optimum.x
    value = objective.settle(x, optimum.value)
    if not np.isfinite(value):
        value = optimum.value
    coefficients = {
        part.name: part.user(x[part.where])
        for part in problem.parts
        if part.where.stop > part.where.start or part.size == 0
    }
    assert optimum.hessian is not None
    curvature = informed(optimum.hessian, optimum.gradient, natural_units(problem), problem.blocks, problem.at_ends(x))
    covariance = _covariance(problem, curvature)
    owed = _owed_to_parameters(objective, x, curvature) if problem.reml else None
    edf = objective.effective_parameters(x)
    values = objective.linear_predictors(x)
    if problem.reml:
        part = problem.part("cond")
        integrated = objective.system.level_covariances(len(objective.layout.factors) - 1)[0]
        coefficients["cond"] = part.user(objective.mode[len(objective.mode) - part.size :])
        covariance["cond", "cond"] = part.back @ (integrated + owed) @ part.back.T
    named = {name: _original_order(problem, v) for name, v in zip(problem.likelihood.predictors, values, strict=True)}
    terms = _terms(problem, x, objective.mode, objective.score, 1.0, response_scale(problem))
    return Solution(
        -value, x, optimum, curvature, coefficients, covariance, terms, named, edf, objective.mode_found
    )  # fmt: skip


def _owed_to_parameters(objective: LaplaceObjective, x: np.ndarray, curvature: Curvature) -> np.ndarray:
    """J V J' with J = d beta^ / dx: what not knowing the other parameters adds to integrated fixed effects.

    Leaves the objective evaluated at the optimum.
    """
    p = objective.problem.part("cond").size
    centre = objective.mode[-p:].copy()
    jacobian = np.zeros((p, len(x)))
    for j, step in enumerate(curvature.steps):
        if step > 0.0:
            moved = x.copy()
            moved[j] += 1e-3 * step
            if np.isfinite(objective(moved)[0]):
                jacobian[:, j] = (objective.mode[-p:] - centre) / (moved[j] - x[j])
    objective(x)
    return jacobian @ curvature.inverse @ jacobian.T


def from_linear(objective: LinearObjective, optimum: Optimum) -> Solution:
    """Read a solution off the profiled objective; evaluates it once more at the optimum."""
    problem, theta = objective.problem, optimum.x
    value = objective.value(theta)
    part = problem.part("cond")
    sigma = objective.sigma
    beta = part.user(objective.coefficients)
    covariance = {
        ("cond", "cond"): part.back @ objective.coefficient_covariance() @ part.back.T,
        ("cond", "disp"): np.zeros((len(beta), 1)),
        ("disp", "cond"): np.zeros((1, len(beta))),
    }
    values = {"cond": objective.linear_predictor(theta), "disp": objective.log_scale}
    return Solution(
        -value,
        theta,
        optimum,
        None,
        {"cond": beta, "disp": np.array([np.log(sigma)])},
        covariance,
        _terms(problem, theta, objective.spherical, objective.score, sigma, objective.unit, spread=False),
        {name: _original_order(problem, own) for name, own in values.items()},
        None,
        True,
    )


@dataclass(frozen=True, slots=True, eq=False)
class ConditionalSpread:
    """What takes the selected inverse of a linear model at its optimum.

    Attributes
    ----------
    edf : float
        As `Solution.edf`.
    mode_covariances : tuple of ndarray, each of shape (L, k, k)
        `TermSolution.mode_covariance` of the terms of a solution, in their order.
    """

    edf: float
    mode_covariances: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, objective: LinearObjective, theta: np.ndarray) -> ConditionalSpread:
        """Evaluate the objective at its optimum once more."""
        objective(theta)
        if not len(theta):
            # with parameters, the gradient has left the inverse behind
            objective.system.invert()
        edf = objective.effective_parameters(theta)
        objective.system.scale_inverse()
        return cls(edf, tuple(objective.sigma**2 * own for own in _conditional_covariances(objective.problem)))


def _conditional_covariances(problem: Problem) -> list[np.ndarray]:
    """Covariance of the modes of each term, for a residual variance of one; after `System.scale_inverse`."""
    system, blocks = problem.system, {}
    assert system is not None
    for factor in {term.factor for term in problem.terms}:
        blocks[factor] = system.level_covariances(factor)
    return [
        term.of_levels(term.back @ blocks[term.factor][:, term.columns, term.columns] @ term.back.T)
        for term in problem.terms
    ]


def _original_order(problem: Problem, values: np.ndarray) -> np.ndarray:
    if len(values) == 1 and problem.n > 1:
        return values
    out = np.empty(problem.n)
    out[problem.rows] = values
    return out


def _terms(
    problem: Problem, x: np.ndarray, u: np.ndarray, score: np.ndarray, sigma: float, unit: float, *, spread: bool = True
) -> tuple[TermSolution, ...]:
    """Map modes u and covariances of every term back; sigma makes T absolute (linear models), unit is T's usual size.

    `score` is Z' times the slopes of the log-likelihood at the modes, (q,), of which u is Lambda'score. With `spread`,
    after `System.scale_inverse`, the covariances of the modes too.
    """
    out: list[TermSolution] = []
    if problem.layout is None or problem.system is None:
        return ()
    factors = problem.factors(x)
    b = problem.layout.apply_factors(factors, u)
    conditional = _conditional_covariances(problem) if spread else [None] * len(problem.terms)
    for term, own in zip(problem.terms, conditional, strict=True):
        i = term.factor
        t = term.structure.factor(x[term.where])
        nodes = problem.layout.by_level(b, i)[:, term.columns] @ term.back.T
        coefficients = term.of_levels(nodes)
        covariance = sigma**2 * (term.root_back @ t) @ (term.root_back @ t).T
        singular = np.linalg.svd(t, compute_uv=False)
        weights = None
        if isinstance(term.structure, Field):
            weights = problem.layout.by_level(score, i)[:, 0] / (sigma**2 * term.back[0, 0])
        out.append(
            TermSolution(
                term.predictor,
                term.term,
                covariance,
                coefficients,
                None if own is None else sigma**2 * own,
                float(singular[-1]) / unit,
                nodes,
                weights,
            )
        )
    return tuple(out)


def spherical_modes(problem: Problem, solution: Solution) -> np.ndarray:
    """Modes of a solution in the coordinates of the objective, (q,); zero along directions without variance."""
    assert problem.layout is not None
    u = np.zeros(problem.layout.order)
    for term in problem.terms:
        place = problem.layout.by_level(u, term.factor)
        if isinstance(term.structure, Field):
            weights = solution.of_term(term.term).weights
            assert weights is not None
            place[:, 0] = term.structure.root(solution.x[term.where]).apply_transposed(weights * term.back[0, 0])
            continue
        root = term.back @ term.structure.factor(solution.x[term.where])
        place[:, term.columns] = solution.of_term(term.term).node_modes @ np.linalg.pinv(root).T
    if problem.reml:
        part = problem.part("cond")
        u[len(u) - part.size :] = part.standardised(solution.coefficients["cond"])
    return u
