"""Where the batched optimiser starts: IRLS and moments of the random effects, for many responses at once."""

from __future__ import annotations

import numpy as np

from glmmcore.estimation.problem import LinearPart
from glmmcore.many._batch_objective import BatchObjective

__all__ = ["start_batch", "start_curvature_batch"]

_IRLS_STEPS = 4


def start_batch(objective: BatchObjective) -> tuple[np.ndarray, np.ndarray]:
    """Find starting points (B, p), and the unit of the conditional predictor of every response (B,)."""
    problem, family = objective.problem, objective.problem.family
    count = len(objective.y)
    with np.errstate(all="ignore"):
        coefficients, pearson = _irls(objective)
    unit = np.ones(count)
    if family.link.name == "identity":
        unit = np.std(objective.y, axis=1) / problem.unit
        unit[unit == 0.0] = 1.0
    x = np.zeros((count, problem.n_params))
    x[:, problem.part("cond").where] = coefficients
    if family.has_dispersion:
        x[:, problem.part("disp").where] = _constant(
            problem.part("disp"), np.array([family.start_delta(float(p)) for p in pearson])
        )
    if "zi" in problem.likelihood.predictors:
        share = np.mean(objective.y == 0.0, axis=1) * (1.0 if family.hurdle else 0.5)
        share = np.clip(share, 0.02, 0.9)
        x[:, problem.part("zi").where] = _constant(problem.part("zi"), np.log(share / (1.0 - share)))
    if objective.k:
        _moment_factors(objective, x, unit)
    return x, unit


def _constant(part: LinearPart, level: np.ndarray) -> np.ndarray:
    """Coefficients (B, size) whose linear predictor is nearest to a constant."""
    if part.X is None:
        return level[:, None]
    target = np.ones((len(part.X), 2))
    target[:, 1] = 0.0 if part.offset is None else part.offset
    ones, offset = np.linalg.lstsq(part.X, target, rcond=None)[0].T
    return np.asarray(level[:, None] * ones - offset)


def _irls(objective: BatchObjective) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (B, p) without random effects, and mean squared Pearson residuals (B,)."""
    problem, family, part = objective.problem, objective.problem.family, objective.problem.part("cond")
    like, (count, n) = problem.likelihood, objective.y.shape
    trials = np.ones(n) if like.trials is None else like.trials
    weights = trials if like.freq_weights is None else trials * like.freq_weights
    offset = np.zeros(n) if part.offset is None else part.offset
    x = part.X
    assert x is not None
    products = (x[:, :, None] * x[:, None, :]).reshape(n, -1)
    rate = objective.y / trials
    all_trials = np.tile(trials, count)
    eta = np.array([family.link.link(family.start_mean(y, trials)) for y in objective.y])
    coefficients = np.zeros((count, part.size))
    for _ in range(_IRLS_STEPS if part.size else 0):
        mu, slope = (v.reshape(count, n) for v in family.link.derivatives(eta.ravel())[:2])
        variance = np.maximum(family.working_variance(mu.ravel(), all_trials).reshape(count, n), 1e-10)
        w = weights * np.square(slope) / variance
        w = np.where(np.isfinite(w), np.clip(w, 1e-10, 1e10), 1e-10)
        safe = np.where(np.abs(slope) > 1e-10, slope, 1e-10)
        target = eta - offset + np.clip((rate - mu) / safe, -20.0, 20.0)
        gram = (w @ products).reshape(count, part.size, part.size)
        trace = np.trace(gram, axis1=1, axis2=2) / part.size + 1e-300
        gram += 1e-9 * trace[:, None, None] * np.eye(part.size)
        new = np.linalg.solve(gram, ((w * target) @ x)[:, :, None])[:, :, 0]
        new_eta = new @ x.T + offset
        fine = np.isfinite(new_eta).all(axis=1)
        coefficients[fine], eta[fine] = new[fine], new_eta[fine]
    eta = coefficients @ x.T + offset
    mu = family.link.inverse(eta.ravel())
    variance = np.maximum(family.working_variance(mu, all_trials), 1e-10)
    pearson = (np.square(rate.ravel() - mu) / variance).reshape(count, n).mean(axis=1)
    return coefficients, np.where(np.isfinite(pearson), pearson, 1.0)


def _moment_factors(objective: BatchObjective, x: np.ndarray, unit: np.ndarray) -> None:
    """Fill theta by one moment step for each variance at the fit without random effects."""
    problem = objective.problem
    count, n = objective.y.shape
    flat = [np.ascontiguousarray(np.broadcast_to(v, (count, n)).reshape(-1)) for v in objective.fixed_values(x)]
    with np.errstate(all="ignore"):
        _, first, second = objective.rows(np.arange(count)).row_newton_terms(0, count * n, flat)
        score = objective.level_sums(first[0].reshape(count, n)[:, :, None] * objective.z)
        weights = np.maximum(-second[0].reshape(count, n), 0.0)
        information = objective.level_sums(weights[:, :, None] * np.square(objective.z))
        variance = (np.square(score) - information).sum(axis=1) / np.square(information).sum(axis=1)
    square = np.square(unit)[:, None]
    variance = np.where(np.isfinite(variance), variance, 0.1 * square)
    for term in problem.terms:
        share = variance[:, term.columns] / term.structure.k
        sd = np.sqrt(np.clip(share, 0.04 * square, 4.0 * square))
        x[:, term.where] = np.array([term.structure.start(row) for row in sd])


def start_curvature_batch(objective: BatchObjective, x: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Guesses of the Hessians (B, p, p) at starts where the objective has just been evaluated."""
    problem, (count, n) = objective.problem, objective.y.shape
    curvature = np.zeros((count, problem.n_params, problem.n_params))
    for part in problem.parts:
        at = np.arange(part.where.start, part.where.stop)
        curvature[:, at, at] = 0.3 * n
    for term in problem.terms:
        at = np.arange(term.where.start, term.where.stop)
        curvature[:, at, at] = term.structure.curvature(objective.modes.shape[1]) / np.square(unit)[:, None]
    cond = problem.part("cond")
    if cond.size:
        with np.errstate(all="ignore"):
            information = objective.conditional_information(np.arange(count), x)
        finite = np.isfinite(information).all(axis=(1, 2))
        information[~finite] = np.eye(cond.size) * 0.3 * n
        values, vectors = np.linalg.eigh(information)
        values = np.maximum(values, 1e-6 * np.maximum(values[:, -1:], 1e-300))
        curvature[:, cond.where, cond.where] = np.einsum("bij,bj,bkj->bik", vectors, values, vectors)
    return curvature
