"""Estimates in the user's units and row order, read off a problem at its optimum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmcore.design import RandomTerm
from glmmcore.laplace import LaplaceObjective
from glmmcore.lmm import LinearObjective
from glmmcore.optimize import Optimum
from glmmcore.problem import Problem

__all__ = ["Solution", "TermSolution", "from_laplace", "from_linear"]

# Eigenvalues of the Hessian scaled to a unit diagonal below which a direction carries no information.
_FLAT = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class TermSolution:
    """One random term at the optimum.

    Attributes
    ----------
    predictor : str
    term : RandomTerm
    covariance : ndarray, shape (k, k)
        Sigma of one level's coefficients.
    modes : ndarray, shape (L, k)
        Conditional modes.
    mode_covariance : ndarray, shape (L, k, k)
        Conditional covariance given the parameters.
    relative_minimum : float
        Smallest singular value of the standardised factor over the largest possible scale; 0 for a singular fit.
    """

    predictor: str
    term: RandomTerm
    covariance: np.ndarray
    modes: np.ndarray
    mode_covariance: np.ndarray
    relative_minimum: float


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """All estimates of a fit.

    Attributes
    ----------
    llf : float
    x : ndarray
        Parameters in the optimiser's coordinates (warm start of a refit).
    optimum : Optimum
    coefficients : dict of str to ndarray
        By predictor, in the user's columns.
    covariance : dict of (str, str) to ndarray
        Covariance of the coefficients of two predictors.
    terms : tuple of TermSolution
    values : dict of str to ndarray
        Linear predictors at the modes, original row order; size 1 for constants.
    edf : float
        Effective number of mean parameters: trace of the hat matrix of the working linear model.
    mode_found : bool
    """

    llf: float
    x: np.ndarray
    optimum: Optimum
    coefficients: dict[str, np.ndarray]
    covariance: dict[tuple[str, str], np.ndarray]
    terms: tuple[TermSolution, ...]
    values: dict[str, np.ndarray]
    edf: float
    mode_found: bool


def inverse_hessian(hessian: np.ndarray) -> np.ndarray:
    """Inverse on the directions the data inform about; the others get variance 0 here and are reported as flat."""
    if not len(hessian):
        return hessian
    scale = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    inverse = np.where(values > _FLAT, 1.0 / np.where(values > _FLAT, values, 1.0), 0.0)
    return (vectors * inverse) @ vectors.T / np.outer(scale, scale)


def from_laplace(objective: LaplaceObjective, optimum: Optimum) -> Solution:
    """Read a solution off the objective; evaluates it once more at the optimum."""
    problem = objective.problem
    x = optimum.x
    value, _ = objective(x)
    variance = inverse_hessian(optimum.hessian)
    coefficients, covariance = {}, {}
    for part in problem.parts:
        if part.where.stop > part.where.start or part.size == 0:
            coefficients[part.name] = part.back @ x[part.where]
    for a in problem.parts:
        for b in problem.parts:
            covariance[a.name, b.name] = a.back @ variance[a.where, b.where] @ b.back.T if (
                a.name in coefficients and b.name in coefficients
            ) else np.zeros((a.size, b.size))
    edf = objective.effective_parameters(x)
    values = objective.linear_predictors(x)
    if problem.reml:
        part = problem.part("cond")
        integrated = problem.system.level_covariances(len(problem.layout.factors) - 1)[0]
        coefficients["cond"] = part.back @ objective.mode[-part.size :]
        covariance["cond", "cond"] = part.back @ integrated @ part.back.T
    named = {
        name: _original_order(problem, v)
        for name, v in zip(problem.likelihood.predictors, values, strict=True)
    }
    terms = _terms(problem, x, objective.mode, 1.0)
    return Solution(
        -value, x, optimum, coefficients, covariance, terms, named, edf, objective.mode_found
    )  # fmt: skip


def from_linear(objective: LinearObjective, optimum: Optimum) -> Solution:
    """Read a solution off the profiled objective; evaluates it once more at the optimum."""
    problem, theta = objective.problem, optimum.x
    value, _ = objective(theta)
    part = problem.part("cond")
    sigma = objective.sigma
    n = objective.n_effective
    beta = part.back @ objective.coefficients
    var_theta = inverse_hessian(optimum.hessian)
    slope = objective.square_gradient(theta) / objective.residual_square
    # joint information of (log sigma, theta) from the profile over sigma
    var_log_sigma = 1.0 / (2.0 * n) + 0.25 * float(slope @ var_theta @ slope)
    covariance = {
        ("cond", "cond"): part.back @ objective.coefficient_covariance() @ part.back.T,
        ("disp", "disp"): np.array([[var_log_sigma]]),
        ("cond", "disp"): np.zeros((part.size, 1)),
        ("disp", "cond"): np.zeros((1, part.size)),
    }
    factors = problem.factors(theta)
    objective.system.invert()
    edf = objective.effective_parameters(theta)
    b = problem.layout.apply_factors(factors, objective.spherical)
    random = np.zeros((1, problem.n))
    b[len(b) - part.size :] = objective.coefficients
    problem.layout.add_random_part(0, problem.n, b, random)
    eta = random[0] if part.offset is None else random[0] + part.offset
    objective.system.scale_inverse()
    return Solution(
        -value,
        theta,
        optimum,
        {"cond": beta, "disp": np.array([np.log(sigma)])},
        covariance,
        _terms(problem, theta, objective.spherical, sigma),
        {"cond": _original_order(problem, eta), "disp": np.array([np.log(sigma)])},
        edf,
        True,
    )


def _original_order(problem: Problem, values: np.ndarray) -> np.ndarray:
    if len(values) == 1 and problem.n > 1:
        return values
    out = np.empty(problem.n)
    out[problem.rows] = values
    return out


def _terms(problem: Problem, x: np.ndarray, u: np.ndarray, sigma: float) -> tuple[TermSolution, ...]:
    """Map modes and covariances of every term back; sigma is the unit of T (linear models)."""
    out = []
    if problem.layout is None:
        return ()
    offsets, sizes = problem.layout.offsets, problem.layout.sizes
    factors = problem.factors(x)
    b = problem.layout.apply_factors(factors, u)
    blocks: dict[int, np.ndarray] = {}
    for term in problem.terms:
        i = term.factor
        if i not in blocks:
            blocks[i] = problem.system.level_covariances(i)
        t = term.structure.factor(x[term.where])
        coefficients = b[offsets[i] : offsets[i + 1]].reshape(-1, sizes[i])[:, term.columns] @ term.back.T
        conditional = term.back @ blocks[i][:, term.columns, term.columns] @ term.back.T
        covariance = sigma**2 * (term.back @ t) @ (term.back @ t).T
        singular = np.linalg.svd(t, compute_uv=False)
        out.append(
            TermSolution(
                term.predictor, term.term, covariance, coefficients, sigma**2 * conditional, float(singular[-1])
            )
        )
    return tuple(out)
