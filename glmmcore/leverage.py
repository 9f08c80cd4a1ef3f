"""Leverage of every row: how much its fitted value follows its response.

In the working linear model of a fit, ``h_i = W_i (z_i' cov(b) z_i + r_i' I^-1 r_i)``: `W` the information of
a row on its conditional predictor, ``cov(b)`` the conditional covariance of the random effects, `r` the
fixed-effects row with what the random effects can explain taken out, `I` the information on the fixed
effects. The sum over rows is the effective number of parameters, and ``E(y_i - mu_i)**2`` is about ``V_i (1
- h_i)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.laplace import CHUNK
from glmmcore.lmm import LinearObjective

if TYPE_CHECKING:
    from glmmcore.estimate import Estimator
    from glmmcore.solution import Solution

__all__ = ["leverages"]


def leverages(estimator: Estimator, solution: Solution) -> np.ndarray:
    """Diagonal of the hat matrix ``(n,)``, in the original row order; evaluates the objective once more."""
    problem: Any = estimator.problem
    h = _linear(estimator, solution.x) if estimator.linear else _laplace(estimator, solution.x)
    if not problem.reml:
        # expected and observed information differ for mixtures; their trace is what is reported
        h *= solution.edf / max(float(h.sum()), 1e-300)
    out = np.empty(problem.n)
    out[problem.rows] = np.clip(h, 0.0, 1.0)
    return out


def _linear(estimator: Estimator, theta: np.ndarray) -> np.ndarray:
    """Leverages of a linear model, whose fixed effects are part of the system."""
    problem: Any = estimator.problem
    weights = estimator.design.var_weights
    weights = None if weights is None else weights[problem.rows]
    objective: Any = LinearObjective(problem, weights)
    objective(theta)
    objective.system.invert()
    objective.system.scale_inverse()
    h = _row_variances(problem.n, objective.system)
    p, q = problem.part("cond").size, problem.layout.order
    factors = problem.factors(theta)
    # columns of H^-1 for the fixed effects: their rows of values are r_i' I^-1
    columns, inverse = np.empty((problem.n, p)), np.empty((p, p))
    for j in range(p):
        solved = objective.system.solve(np.eye(1, q, q - p + j)[0])
        inverse[j] = solved[q - p :]
        b = problem.layout.apply_factors(factors, solved)
        b[q - p :] = inverse[j]
        fitted = np.zeros((1, problem.n))
        problem.layout.add_random_part(0, problem.n, b, fitted)
        columns[:, j] = fitted[0]
    if p:
        h = h + np.einsum("ij,ji->i", columns, np.linalg.lstsq(inverse, columns.T, rcond=None)[0])
    return h if weights is None else h * weights


def _laplace(estimator: Estimator, x: np.ndarray) -> np.ndarray:
    problem: Any = estimator.problem
    objective = estimator.objective()
    objective(x)
    part, n = problem.part("cond"), problem.n
    weights = problem.likelihood.conditional_information(0, n, objective.linear_predictors(x))
    information, _ = objective.fixed_information(x)
    own, h = part.X, np.zeros(n)
    if problem.inner == ("cond",):
        own = part.X - _explained(objective, x, weights)
        h = _row_variances(n, problem.system)
    if not problem.reml and part.size:
        h = h + np.einsum("ij,ji->i", own, np.linalg.lstsq(information, own.T, rcond=None)[0])
    return np.asarray(h * weights)


def _explained(objective: Any, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Columns of X as far as the shrunken random effects can follow them, ``(n, p)``."""
    problem, layout = objective.problem, objective.layout
    part, factors = problem.part("cond"), problem.factors(x)
    out = np.empty_like(part.X)
    for j in range(part.size):
        score = np.zeros(layout.order)
        layout.add_score(0, problem.n, np.ascontiguousarray(part.X[:, j] * weights)[None], score)
        solved = objective.system.solve(layout.apply_transposed(factors, score))
        fitted = np.zeros((1, problem.n))
        layout.add_random_part(0, problem.n, layout.apply_factors(factors, solved), fitted)
        out[:, j] = fitted[0]
    return out


def _row_variances(n: int, system: Any) -> np.ndarray:
    """``z_i' cov(b) z_i`` of all rows; the system holds the scaled inverse."""
    out = np.empty((1, n))
    for lo in range(0, n, CHUNK):
        hi = min(lo + CHUNK, n)
        part = np.empty((1, hi - lo))
        system.row_covariances(lo, hi, part)
        out[:, lo:hi] = part
    return out[0]
