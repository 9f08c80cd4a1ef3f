"""Leverage of every row: how much its fitted value follows its response.

In the working linear model of a fit, ``h_i = W_i (z_i' cov(b) z_i + r_i' I^-1 r_i)``: `W` the information of
a row on its conditional predictor, ``cov(b)`` the conditional covariance of the random effects, `r` the
fixed-effects row with what the random effects can explain taken out, `I` the information on the fixed
effects. The sum over rows is the effective number of parameters, and ``E(y_i - mu_i)**2`` is about ``V_i (1
- h_i)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.estimation.laplace import CHUNK
from glmmcore.inference.expected_variance import mode_shifts

if TYPE_CHECKING:
    from glmmcore.estimation.estimator import Estimator
    from glmmcore.estimation.solution import Solution

__all__ = ["RowFit", "explained_columns", "group_leverages", "row_fit", "row_weights"]


@dataclass(frozen=True, slots=True, eq=False)
class RowFit:
    """How each row's fitted value depends on the data, in the original row order.

    Attributes
    ----------
    leverage : ndarray, shape (n,)
        Diagonal of the hat matrix.
    spread, shift : ndarray, shape (n,), or None
        Variance of the conditional predictor given the data, from the random effects only, and its mean minus its
        mode; None in a linear model, with REML, and unless the conditional predictor alone has random effects.
    """

    leverage: np.ndarray
    spread: np.ndarray | None = None
    shift: np.ndarray | None = None


def row_fit(estimator: Estimator, solution: Solution) -> RowFit:
    """Leverages and moments of the random effects, from one more evaluation of the objective."""
    problem: Any = estimator.problem
    moments: list[np.ndarray] = []
    if estimator.linear:
        h = _linear(estimator, solution.x)
    else:
        objective = estimator.objective_at(solution)
        spread = _spread(problem)
        h = _laplace(objective, solution.x, spread)
        if spread is not None and not problem.reml:
            moments = [spread, mode_shifts(objective, solution.x, spread)]
    h *= _trace_correction(problem, solution, h)
    return RowFit(*(_in_user_order(problem, v) for v in (np.clip(h, 0.0, 1.0), *moments)))


def _in_user_order(problem: Any, values: np.ndarray) -> np.ndarray:
    out = np.empty(problem.n)
    out[problem.rows] = values
    return out


def group_leverages(estimator: Estimator, solution: Solution, codes: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """How much the sum of the fitted values of a group follows the sum of its responses.

    With `v` the standard deviations of the rows of a group and zero elsewhere, ``h = v'Hv / v'v``, `H` the
    hat matrix of the standardised working responses: the sum of ``y - mu`` over the group has a variance of
    about ``v'v (1 - h)``. Where a group has a random intercept of its own, `h` is the sum of its leverages.

    Parameters
    ----------
    estimator, solution
        A fit.
    codes : ndarray of int (n,)
        Group of each row, 0 to number of groups minus 1; rows with -1 belong to none.
    variance : ndarray (n,)
        Variance of each response.

    Returns
    -------
    ndarray (n_groups,)
    """
    problem: Any = estimator.problem
    own = np.zeros((problem.n, 0))
    if estimator.linear:
        weights = row_weights(estimator)
        objective: Any = estimator.linear_objective()
        objective(solution.x)
        information = np.zeros((0, 0))
        h = _linear(estimator, solution.x)
        weights = np.ones(problem.n) if weights is None else weights
    else:
        objective = estimator.objective_at(solution)
        h = _laplace(objective, solution.x, _spread(problem))
        weights = problem.likelihood.conditional_information(0, problem.n, objective.linear_predictors(solution.x))
        information, _ = objective.fixed_information(solution.x)
        if not problem.reml:
            own = problem.part("cond").X
            if problem.inner == ("cond",):
                own = own - explained_columns(objective, solution.x, weights)
    codes, variance = codes[problem.rows], variance[problem.rows]
    inside, n_groups = codes >= 0, int(codes.max()) + 1
    slope = np.sqrt(variance * weights)  # of the mean in the linear predictor
    share = np.zeros(n_groups)
    if estimator.linear or problem.inner == ("cond",):
        share = _random_share(objective, problem.factors(solution.x), codes, slope)
    if own.shape[1]:
        sums = np.zeros((n_groups, own.shape[1]))
        np.add.at(sums, codes[inside], own[inside] * slope[inside, None])
        share = share + np.einsum("ij,ji->i", sums, np.linalg.lstsq(information, sums.T, rcond=None)[0])
    share *= _trace_correction(problem, solution, h)
    total = np.bincount(codes[inside], weights=variance[inside], minlength=n_groups)
    return np.asarray(np.clip(share / total, 0.0, 1.0))


def _random_share(objective: Any, factors: list[np.ndarray], codes: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """``a'Z cov(b) Z'a`` for every group, `a` being `slope` within the group and zero elsewhere."""
    layout, system = objective.layout, objective.system
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(codes.max() + 2))
    place = layout.of_rows(layout.start[:, layout.factor].astype(np.intp) + layout.within)
    z = layout.of_rows(layout.z)
    out = np.empty(len(edges) - 1)
    for g in range(len(out)):
        rows = order[edges[g] : edges[g + 1]]
        score = np.bincount(place[rows].ravel(), (z[rows] * slope[rows, None]).ravel(), minlength=layout.order)
        target = layout.apply_transposed(factors, score)
        out[g] = target @ system.solve(target)
    return out


def _trace_correction(problem: Any, solution: Solution, h: np.ndarray) -> float:
    """Expected and observed information differ for mixtures; the trace of the latter is what is reported."""
    if problem.reml or solution.edf is None:  # a linear model has one information
        return 1.0
    return solution.edf / max(float(h.sum()), 1e-300)


def row_weights(estimator: Estimator) -> np.ndarray | None:
    """Known precisions of the rows times how many each stands for, in the problem's order, None if all are the same."""
    given = [w for w in (estimator.design.var_weights, estimator.design.freq_weights) if w is not None]
    return np.prod(given, axis=0)[estimator.problem.rows] if given else None


def _linear(estimator: Estimator, theta: np.ndarray) -> np.ndarray:
    """Leverages of a linear model, whose fixed effects are part of the system."""
    problem: Any = estimator.problem
    weights = row_weights(estimator)
    objective = estimator.linear_objective()
    objective(theta)
    objective.system.invert()
    objective.system.scale_inverse()
    h = _row_variances(problem.n, objective.system)
    p, q = problem.part("cond").size, problem.layout.order
    factors = problem.factors(theta)
    if problem.reml:  # the fixed effects are integrated as the random ones are
        return h if weights is None else h * weights
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


def _laplace(objective: Any, x: np.ndarray, spread: np.ndarray | None) -> np.ndarray:
    """Leverages; `spread` are the variances of the predictors that the random effects make, None without any."""
    problem = objective.problem
    part, n = problem.part("cond"), problem.n
    weights = problem.likelihood.conditional_information(0, n, objective.linear_predictors(x))
    information, _ = objective.fixed_information(x)
    own, h = part.X, np.zeros(n)
    if spread is not None:
        own = part.X - explained_columns(objective, x, weights)
        h = spread
    if not problem.reml and part.size:
        h = h + np.einsum("ij,ji->i", own, np.linalg.lstsq(information, own.T, rcond=None)[0])
    return np.asarray(h * weights)


def _spread(problem: Any) -> np.ndarray | None:
    return _row_variances(problem.n, problem.system) if problem.inner == ("cond",) else None


def explained_columns(objective: Any, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
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
