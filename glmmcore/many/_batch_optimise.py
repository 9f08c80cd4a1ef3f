"""BFGS, Hessian from differences of the exact gradient and Newton polish for many responses in step.

Without the care of `glmmcore.estimation.optimize` for difficult surfaces: a response that does not end in a clean
maximum is reported as such, for the plain optimiser to take over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from glmmcore.many._batch_objective import BatchObjective

__all__ = ["BatchOptimum", "descend_batch", "minimise_batch"]

_BFGS_EDM = 1e-8
_FINAL_EDM = 1e-9
_MAX_ITERATIONS = 60
_MAX_HALVINGS = 12
_MAX_POLISH = 3
_DIFFERENCE = 3e-5
# Least eigenvalue of the Hessian scaled to a unit diagonal at an ordinary maximum.
_WELL_CONDITIONED = 1e-6
# Standard error, in units of the step limits, beyond which an estimate may not be finite.
_WIDE = 10.0


@dataclass(slots=True, eq=False)
class BatchOptimum:
    """Where each response ended; `clean` tells which of the rows are a proper maximum."""

    x: np.ndarray
    value: np.ndarray
    hessian: np.ndarray
    edm: np.ndarray
    clean: np.ndarray


class Objective(Protocol):
    """F and its gradient of the responses `which` (b,) at x (b, p)."""

    def __call__(self, which: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


def descend_batch(
    objective: Objective, x: np.ndarray, inverse: np.ndarray, limit: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quasi-Newton search alone, for starts close to the minima and a good guess of the inverse Hessians.

    Parameters
    ----------
    objective : callable
    x : ndarray, shape (B, p)
        Starts.
    inverse : ndarray, shape (B, p, p)
        Guesses of the inverse Hessians; overwritten.
    limit : ndarray, shape (B, p)
        Largest change of each parameter in one step.
    tolerance : float
        Expected decrease at which a search ends.

    Returns
    -------
    x : ndarray, shape (B, p)
    value : ndarray, shape (B,)
    reached : ndarray of bool, shape (B,)
        Whether the search ended below the tolerance.
    """
    x = x.copy()
    value, gradient = objective(np.arange(len(x)), x)
    which = np.flatnonzero(np.isfinite(value))
    reached = np.zeros(len(x), dtype=bool)
    reached[which[_bfgs(objective, which, x, value, gradient, inverse, limit, tolerance)]] = True
    return x, value, reached


def minimise_batch(objective: BatchObjective, x: np.ndarray, curvature: np.ndarray, limit: np.ndarray) -> BatchOptimum:
    """Minimise the objective of every response, with Hessians from differences at the end.

    Parameters
    ----------
    objective : BatchObjective
    x, limit : ndarray, shape (B, p)
        Starts, and the largest change of each parameter in one step.
    curvature : ndarray, shape (B, p, p)
        Guesses of the Hessians, positive definite.
    """
    x = x.copy()
    count, p = x.shape
    everything = np.arange(count)
    value, gradient = objective(everything, x)
    edm = np.full(count, np.inf)
    hessian = np.zeros((count, p, p))
    clean = np.isfinite(value)
    if p == 0:
        return BatchOptimum(x, value, hessian, np.zeros(count), clean)
    inverse = np.linalg.inv(curvature)
    which = np.flatnonzero(clean)
    which = which[_bfgs(objective, which, x, value, gradient, inverse, limit, _BFGS_EDM)]
    if len(which):
        hessian[which], fine = _difference_hessian(objective, which, x, gradient, inverse, limit)
        edm[which], polished = _newton(objective, which, x, value, gradient, hessian[which], limit[which])
        fine &= polished
    clean = np.zeros(count, dtype=bool)
    clean[which] = fine if len(which) else False
    return BatchOptimum(x, value, hessian, edm, clean)


def _bfgs(
    objective: Objective,
    which: np.ndarray,
    x: np.ndarray,
    value: np.ndarray,
    gradient: np.ndarray,
    inverse: np.ndarray,
    limit: np.ndarray,
    tolerance: float,
) -> np.ndarray:
    """Search from x in place; which of the responses reached the tolerance."""
    reached = np.zeros(len(which), dtype=bool)
    todo = np.arange(len(which))
    for _ in range(_MAX_ITERATIONS):
        r = which[todo]
        step = -np.einsum("bij,bj->bi", inverse[r], gradient[r])
        slope = np.einsum("bi,bi->b", step, gradient[r])
        done = ~(-0.5 * slope > tolerance)
        reached[todo[done]] = True
        todo, r, step, slope = todo[~done], r[~done], step[~done], slope[~done]
        if not len(todo):
            break
        excess = np.maximum((np.abs(step) / limit[r]).max(axis=1), 1.0)
        step, slope = step / excess[:, None], slope / excess
        moved, x_new, value_new, gradient_new = _backtrack(objective, r, x[r], value[r], step, slope)
        todo, r = todo[moved], r[moved]
        s, y = x_new[moved] - x[r], gradient_new[moved] - gradient[r]
        _update(inverse, r, s, y)
        x[r], value[r], gradient[r] = x_new[moved], value_new[moved], gradient_new[moved]
    return reached


def _backtrack(
    objective: Objective,
    r: np.ndarray,
    x: np.ndarray,
    value: np.ndarray,
    step: np.ndarray,
    slope: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Shorten steps until each response's value falls enough; which of them did, and where they are."""
    x_new, value_new, gradient_new = x.copy(), value.copy(), np.zeros_like(x)
    length = np.ones(len(r))
    moved = np.zeros(len(r), dtype=bool)
    noise = 1e-12 * (1.0 + np.abs(value))
    for _ in range(_MAX_HALVINGS):
        p = np.flatnonzero(~moved)
        trial = x[p] + length[p, None] * step[p]
        f, g = objective(r[p], trial)
        fallen = f <= value[p] + 1e-4 * length[p] * slope[p] + noise[p]
        q = p[fallen]
        moved[q], x_new[q], value_new[q], gradient_new[q] = True, trial[fallen], f[fallen], g[fallen]
        if fallen.all():
            break
        q, f = p[~fallen], f[~fallen]
        rise = f - value[q] - length[q] * slope[q]
        with np.errstate(all="ignore"):
            guess = -0.5 * slope[q] * length[q] ** 2 / rise
        guess = np.where(np.isfinite(guess), guess, 0.5 * length[q])
        length[q] = np.clip(guess, 0.1 * length[q], 0.6 * length[q])
    return moved, x_new, value_new, gradient_new


def _update(inverse: np.ndarray, r: np.ndarray, s: np.ndarray, y: np.ndarray) -> None:
    """BFGS update of the inverse Hessians of the responses r, where the curvature seen is positive."""
    sy = np.einsum("bi,bi->b", s, y)
    good = sy > 1e-10 * np.sqrt(np.einsum("bi,bi->b", s, s) * np.einsum("bi,bi->b", y, y))
    r, s, y, sy = r[good], s[good], y[good], sy[good]
    hy = np.einsum("bij,bj->bi", inverse[r], y)
    outer = hy[:, :, None] * s[:, None, :]
    weight = (1.0 + np.einsum("bi,bi->b", y, hy) / sy) / sy
    inverse[r] += (
        s[:, :, None] * s[:, None, :] * weight[:, None, None] - (outer + np.swapaxes(outer, 1, 2)) / sy[:, None, None]
    )


def _difference_hessian(
    objective: BatchObjective,
    which: np.ndarray,
    x: np.ndarray,
    gradient: np.ndarray,
    inverse: np.ndarray,
    limit: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Hessians (b, p, p), and which of them are finite."""
    p = x.shape[1]
    out = np.empty((len(which), p, p))
    diagonal = np.diagonal(inverse[which], axis1=1, axis2=2)
    steps = _DIFFERENCE * np.minimum(np.sqrt(np.maximum(diagonal, 1e-300)), limit[which])
    fine = np.ones(len(which), dtype=bool)
    modes = objective.modes[which]
    for j in range(p):
        moved = x[which]
        moved[:, j] += steps[:, j]
        value, g = objective(which, moved)
        fine &= np.isfinite(value)
        out[:, :, j] = (g - gradient[which]) / (moved[:, j] - x[which, j])[:, None]
        objective.modes[which] = modes
    return 0.5 * (out + np.swapaxes(out, 1, 2)), fine


def _newton(
    objective: BatchObjective,
    which: np.ndarray,
    x: np.ndarray,
    value: np.ndarray,
    gradient: np.ndarray,
    hessian: np.ndarray,
    limit: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Newton steps in place with one Hessian each; what is left to gain, and which maxima are clean."""
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(hessian, axis1=1, axis2=2)), 1e-300))
    eigenvalues, vectors = np.linalg.eigh(hessian / (scale[:, :, None] * scale[:, None, :]))
    clean = eigenvalues[:, 0] > _WELL_CONDITIONED
    reciprocal = 1.0 / np.where(eigenvalues > _WELL_CONDITIONED, eigenvalues, np.inf)
    inverse = np.einsum("bij,bj,bkj->bik", vectors, reciprocal, vectors)
    inverse /= scale[:, :, None] * scale[:, None, :]
    wide = np.sqrt(np.maximum(np.diagonal(inverse, axis1=1, axis2=2), 0.0)) / limit
    clean &= wide.max(axis=1) < _WIDE
    edm = np.full(len(which), np.inf)
    todo = np.flatnonzero(clean)
    for attempt in range(_MAX_POLISH + 1):
        r = which[todo]
        step = -np.einsum("bij,bj->bi", inverse[todo], gradient[r])
        edm[todo] = -0.5 * np.einsum("bi,bi->b", step, gradient[r])
        # one step in any case: it costs little and squares the error
        more = (edm[todo] > _FINAL_EDM) if attempt else np.ones(len(todo), dtype=bool)
        todo, r, step = todo[more], r[more], step[more]
        if not len(todo) or attempt == _MAX_POLISH:
            break
        near = (np.abs(step) / limit[todo]).max(axis=1) <= 1.0
        clean[todo[~near]] = False
        todo, r, step = todo[near], r[near], step[near]
        f, g = objective(r, x[r] + step)
        fallen = f <= value[r] + 1e-11 * (1.0 + np.abs(value[r]))
        q = r[fallen]
        x[q] += step[fallen]
        value[q], gradient[q] = f[fallen], g[fallen]
        clean[todo[~fallen]] &= edm[todo[~fallen]] < _FINAL_EDM
        todo = todo[fallen]
    clean[todo] = False
    return edm, clean & (edm <= _FINAL_EDM)
