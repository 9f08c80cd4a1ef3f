"""Profile likelihood of a function of the parameters: constrained optimisation, search for limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["ProfiledFunction", "profile_limits"]

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]

_MAX_STEPS = 60
# Expected decrease at which a constrained optimum is taken: its effect on the root deviance is below 1e-7.
_EDM = 1e-8
_MAX_POINTS = 40
# Tolerance of the root deviance at a limit: 1e-6 of a standard error.
_ROOT = 1e-6
# How near to the end of its range, relative to the estimate, a value counts as being there.
_INSIDE = 1e-4
# A limit this many standard errors away is infinite.
_FAR = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class ProfiledFunction:
    """What is held fixed.

    Attributes
    ----------
    value, gradient : callable
        Of the parameters x.
    lower, upper : float
        Ends of the possible values.
    """

    value: Callable[[np.ndarray], float]
    gradient: Callable[[np.ndarray], np.ndarray]
    lower: float = -np.inf
    upper: float = np.inf


@dataclass(slots=True, eq=False)
class _Point:
    x: np.ndarray
    value: float
    gradient: np.ndarray
    multiplier: float
    converged: bool


def profile_limits(
    objective: Objective,
    x: np.ndarray,
    hessian: np.ndarray,
    function: ProfiledFunction,
    error: float,
    quantile: float,
) -> tuple[float, float]:
    """Values at which the root of twice the fall of the log-likelihood reaches `quantile`.

    Parameters
    ----------
    objective : callable
        Negative log-likelihood with gradient.
    x, hessian : ndarray
        Its minimum and curvature there.
    function : ProfiledFunction
    error : float
        Standard error of the function, the first guess of the step.
    quantile : float
        1.96 for limits of 95 %.

    Returns
    -------
    lower, upper : float
        The end of the range, or infinity, where the likelihood does not fall that far; NaN when the search
        failed.
    """
    value, gradient = objective(x)
    start = _Point(x, value, gradient, 0.0, True)
    curvature = _positive(hessian)
    return (
        _limit(objective, start, curvature, function, error, quantile, -1.0),
        _limit(objective, start, curvature, function, error, quantile, 1.0),
    )


def _positive(hessian: np.ndarray) -> np.ndarray:
    """Lift the flat directions of the Hessian scaled to a unit diagonal."""
    scale = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-8))
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    return (vectors * np.maximum(values, 1e-4)) @ vectors.T * np.outer(scale, scale)


def _limit(
    objective: Objective,
    start: _Point,
    curvature: np.ndarray,
    function: ProfiledFunction,
    error: float,
    quantile: float,
    side: float,
) -> float:
    """Newton's method for the root deviance, which is nearly linear, kept inside a bracket."""
    centre = function.value(start.x)
    edge = function.upper if side > 0.0 else function.lower
    near, far = centre, edge
    near_root = 0.0
    c, point, b = centre + side * quantile * error, start, curvature.copy()
    for _ in range(_MAX_POINTS):
        if not side * (far - c) > 0.0:  # beyond what is known to be too far
            # just inside the end of the range, to see whether the likelihood falls enough at all
            c = edge + _INSIDE * (centre - edge) if far == edge else near + 0.5 * (far - near)
        if np.isfinite(edge) and far == edge and abs(near - edge) <= 1.01 * _INSIDE * abs(centre - edge):
            return edge
        if abs(far - near) < 1e-9 * max(abs(near), error):
            return near
        if abs(c - centre) > _FAR * error * quantile:
            return edge
        at, b_new = _constrained(objective, point, b, function, c)
        if not at.converged:
            # closer to what is known to work
            far, c = c, near + 0.5 * (c - near)
            continue
        root = np.sqrt(2.0 * max(at.value - start.value, 0.0))
        if abs(root - quantile) < _ROOT * quantile:
            return c
        if root < quantile:
            near, near_root, point, b = c, root, at, b_new
        else:
            far = c
        # d root / d c = -multiplier / root
        slope = side * -at.multiplier / root if root > 1e-8 else 0.0
        step = (quantile - root) / slope if slope > 0.0 else np.inf
        if not np.isfinite(step) or abs(step) > 5.0 * error * quantile + 2.0 * abs(c - centre):
            step = np.sign(quantile - root) * (abs(c - centre) + error)
        c = c + side * step
        if side * (c - near) <= 0.0:
            c = near + (far - near) * min(0.5, (quantile - near_root) / quantile)
    return float("nan")


def _constrained(
    objective: Objective, start: _Point, curvature: np.ndarray, function: ProfiledFunction, target: float
) -> tuple[_Point, np.ndarray]:
    """Minimise under ``function = target`` by sequential quadratic programming with BFGS curvature."""
    x, value, gradient, b = start.x, start.value, start.gradient, curvature.copy()
    gap = target - function.value(x)
    normal = function.gradient(x)
    weight = 0.0
    tolerance = 1e-9 * max(1.0, abs(target))
    for _ in range(_MAX_STEPS):
        step, multiplier = _step(b, gradient, normal, gap)
        projected = gradient + multiplier * normal
        edm = 0.5 * abs(float(projected @ step))
        if abs(gap) < tolerance and edm < _EDM:
            return _Point(x, value, gradient, multiplier, True), b
        weight = max(weight, 1.5 * abs(multiplier))
        slope = float(gradient @ step) - weight * abs(gap)
        merit = value + weight * abs(gap)
        length = 1.0
        for _ in range(25):
            x_new = x + length * step
            value_new, gradient_new = objective(x_new)
            gap_new = target - function.value(x_new)
            if value_new + weight * abs(gap_new) <= merit + 1e-4 * length * min(slope, 0.0) + 1e-11 * abs(merit):
                break
            length *= 0.5
        else:
            return _Point(x, value, gradient, multiplier, abs(gap) < 1e-6 and edm < 1e-4), b
        normal_new = function.gradient(x_new)
        s = x_new - x
        y = gradient_new - gradient + multiplier * (normal_new - normal)
        b = _damped_update(b, s, y)
        x, value, gradient, gap, normal = x_new, value_new, gradient_new, gap_new, normal_new
    return _Point(x, value, gradient, 0.0, False), b


def _step(b: np.ndarray, gradient: np.ndarray, normal: np.ndarray, gap: float) -> tuple[np.ndarray, float]:
    """Solve B d + m a = -g with a'd = gap."""
    sides = np.stack([gradient, normal], axis=1)
    try:
        solved = np.linalg.solve(b, sides)
    except np.linalg.LinAlgError:  # updates have lost a direction, as along a ridge
        solved = np.linalg.lstsq(b, sides, rcond=None)[0]
    multiplier = -(float(normal @ solved[:, 0]) + gap) / float(normal @ solved[:, 1])
    return -(solved[:, 0] + multiplier * solved[:, 1]), multiplier


def _damped_update(b: np.ndarray, s: np.ndarray, y: np.ndarray) -> np.ndarray:
    """BFGS update of a curvature, damped (Powell) to stay positive definite."""
    bs = b @ s
    sbs, sy = float(s @ bs), float(s @ y)
    if not sbs > 0.0:
        return b
    if sy < 0.2 * sbs:
        mix = 0.8 * sbs / (sbs - sy)
        y = mix * y + (1.0 - mix) * bs
        sy = float(s @ y)
    return b - np.outer(bs, bs) / sbs + np.outer(y, y) / sy
