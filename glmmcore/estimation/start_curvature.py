"""What the optimiser takes for the Hessian at its start: averages of observed and expected information."""

from __future__ import annotations

import numpy as np

from glmmcore.estimation.laplace import LaplaceObjective
from glmmcore.estimation.problem import Problem, TermPart
from glmmcore.estimation.start import response_scale, weight_of_rows

__all__ = ["start_curvature", "theta_curvature"]


def start_curvature(problem: Problem, x: np.ndarray, objective: LaplaceObjective) -> np.ndarray:
    """Guess of the Hessian at the start: information of the fixed effects given T, structure-wise for theta."""
    curvature = np.zeros((problem.n_params, problem.n_params))
    for part in problem.parts:
        size = part.where.stop - part.where.start
        if size:
            curvature[part.where, part.where] = 0.3 * weight_of_rows(problem) * np.eye(size)
    theta_curvature(problem, x, objective.mode, objective.score, curvature, response_scale(problem))
    cond = problem.part("cond")
    if cond.where.stop > cond.where.start:
        information = np.nan_to_num(objective.fixed_information(x)[0], posinf=0.0, neginf=0.0)
        values, vectors = np.linalg.eigh(information)
        floor = 1e-6 * max(float(values[-1]), 1e-300) if len(values) else 0.0
        curvature[cond.where, cond.where] = (vectors * np.maximum(values, floor)) @ vectors.T
    return curvature


def theta_curvature(
    problem: Problem, x: np.ndarray, u: np.ndarray, score: np.ndarray, curvature: np.ndarray, unit: float
) -> None:
    """Average information of theta at the last evaluation of the system, written into `curvature`.

    The average of observed and expected information of a working linear model is 1/2 C'Z'PZC with one column
    c_k = dLambda_k u + Lambda dLambda_k' Z'l_1 for each parameter, and P = W - WA H^-1 A'W: no trace is needed. Where
    it falls far below the information of as many independent levels, that is taken instead.
    """
    terms, layout, system = problem.terms, problem.layout, problem.system
    if not terms or layout is None or system is None:
        return
    factors = problem.factors(x)
    first = terms[0].where.start
    columns = []
    for term in terms:
        if term.whole is not None:  # there u = Lambda'Z'l_1, so that the column is dSigma Z'l_1
            at = slice(int(layout.offsets[term.factor]), int(layout.offsets[term.factor + 1]))
            for change_of_own in term.whole.covariance_slopes(x[term.where], score[at]):
                columns.append(np.zeros(layout.order))
                columns[-1][at] = change_of_own
            continue
        for j in range(term.where.start, term.where.stop):
            columns.append(np.zeros(layout.order))
            own = layout.by_level(columns[-1], term.factor)
            own[...] = _change_of_levels(problem, term, factors[term.factor], term.slope(x, j), u, score)
    products = [system.multiply(c) for c in columns]
    pulled = [layout.apply_transposed(factors, m) for m in products]
    solved = [system.solve(t) for t in pulled]
    information = 0.5 * (np.array(columns) @ np.array(products).T - np.array(pulled) @ np.array(solved).T)
    floor = np.concatenate([t.structure.curvature(layout.n_levels(t.factor)) / unit**2 for t in terms])
    scale = np.sqrt(floor)
    information = np.nan_to_num(0.5 * (information + information.T) / np.outer(scale, scale), posinf=0.0, neginf=0.0)
    values, vectors = np.linalg.eigh(information)
    block = (vectors * np.clip(values, 0.05, 20.0)) @ vectors.T * np.outer(scale, scale)
    curvature[first:, first:] = block


def _change_of_levels(
    problem: Problem, term: TermPart, t: np.ndarray, slope: np.ndarray, u: np.ndarray, score: np.ndarray
) -> np.ndarray:
    """dLambda u + Lambda dLambda'Z'l_1 of the levels of a term's factor, (L, k), for the slope of its block of T.

    Where levels covary Lambda'Z'l_1 = Pu, so that dLambda'Z'l_1 is multiplied by the inverse prior precision.
    """
    layout = problem.layout
    assert layout is not None
    change = np.zeros_like(t)
    change[term.columns, term.columns] = slope
    modes = layout.by_level(u, term.factor)
    if layout.factors[term.factor].precision is None:
        moved = layout.by_level(score, term.factor) @ change
    else:
        moved = modes @ (np.linalg.pinv(t) @ change)
    return np.asarray(modes @ change.T + moved @ t.T)
