"""Profile likelihood of a function of the parameters: constrained optimisation, search for limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from glmmcore.inference.off_limits import Lift

__all__ = ["ProfiledFunction", "profile_limits"]

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]

_MAX_STEPS, _MAX_HALVINGS = 60, 25
# Expected decrease at which a constrained optimum is taken: its effect on the root deviance is below 1e-7.
_EDM = 1e-8
_MAX_POINTS = 40
# Tolerance of the root deviance at a limit: 1e-6 of a standard error.
_ROOT = 1e-6
# How near to the end of its range, relative to the estimate, a value counts as being there.
_INSIDE = 1e-4
# Distance from the end of the range, in standard errors but at most in ones, at which the estimate is there.
_AT_THE_END = 1e-7
# Distance from its target at which a function is held, in standard errors or by the share of it that is rounding, where
# the search ends and where it can go no further.
_HELD, _HELD_LOOSELY, _ROUNDING = 1e-9, 1e-6, 1e-4
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
    lift: Lift | None = None,
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
    lift : callable, optional
        Moves parameters that are at a limit away from it. The likelihood is level there, so that a search would leave
        them where they are: limits are searched for twice then, and the wider one counts.

    Returns
    -------
    lower, upper : float
        The end of the range, or infinity, where the likelihood does not fall that far; NaN when the search
        failed.
    """
    value, gradient = objective(x)
    start = _Point(x, value, gradient, 0.0, True)
    curvature = _positive(hessian)
    centre = function.value(x)
    # where the function has no slope at the estimate, nothing can be searched for from there
    tried = [None, lift] if lift is not None and np.any(function.gradient(x)) else [lift]
    sides = []
    for side in (-1.0, 1.0):
        with np.errstate(over="ignore", invalid="ignore"):  # far along a ridge; not finite is refused by the search
            found = [_limit(objective, start, centre, curvature, function, error, quantile, side, own) for own in tried]
        sides.append(_outer(found, side))
    return sides[0], sides[1]


def _outer(found: list[tuple[float, bool]], side: float) -> float:
    """The outer one of the limits found, NaN where a search that failed had come beyond it."""
    value, proven = max(found, key=lambda limit: side * limit[0])
    return value if proven else float("nan")


def _positive(hessian: np.ndarray) -> np.ndarray:
    """Lift the flat directions of the Hessian scaled to a unit diagonal."""
    scale = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-8))
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    return (vectors * np.maximum(values, 1e-4)) @ vectors.T * np.outer(scale, scale)


def _limit(
    objective: Objective,
    start: _Point,
    centre: float,
    curvature: np.ndarray,
    function: ProfiledFunction,
    error: float,
    quantile: float,
    side: float,
    lift: Lift | None,
) -> tuple[float, bool]:
    """Newton's method for the root deviance, which is nearly linear, kept inside a bracket.

    The second number is False where the search failed; the first is then how far it came.
    """
    edge = function.upper if side > 0.0 else function.lower
    near, far, fallen = centre, edge, True
    near_root = 0.0
    if abs(centre - edge) <= _AT_THE_END * min(error, 1.0):
        return edge, True
    c, point, b = centre + side * quantile * error, start, curvature
    for _ in range(_MAX_POINTS):
        if not side * (far - c) > 0.0:  # beyond what is known to be too far
            # just inside the end of the range, to see whether the likelihood falls enough at all
            c = edge + _INSIDE * (centre - edge) if far == edge else near + 0.5 * (far - near)
        if np.isfinite(edge) and far == edge and abs(near - edge) <= 1.01 * _INSIDE * abs(centre - edge):
            return edge, True
        if abs(far - near) < 1e-9 * max(abs(near), error):
            return near, fallen
        if abs(c - centre) > _FAR * error * quantile:
            return edge, True
        begin = point if lift is None else _lifted(objective, point, lift)
        at, b_new = _constrained(objective, begin, b, function, c, max(error, _ROUNDING * abs(c)))
        if not at.converged:
            # closer to what is known to work
            far, c, fallen = c, near + 0.5 * (c - near), False
            continue
        root = np.sqrt(2.0 * max(at.value - start.value, 0.0))
        if abs(root - quantile) < _ROOT * quantile:
            return c, True
        if root < quantile:
            near, near_root, point = c, root, at
            b = b_new if lift is None else curvature
        else:
            far, fallen = c, True
        # d root / d c = -multiplier / root
        slope = side * -at.multiplier / root if root > 1e-8 else 0.0
        step = (quantile - root) / slope if slope > 0.0 else np.inf
        if not np.isfinite(step) or abs(step) > 5.0 * error * quantile + 2.0 * abs(c - centre):
            step = np.sign(quantile - root) * (abs(c - centre) + error)
        c = c + side * step
        if side * (c - near) <= 0.0:
            c = near + (far - near) * min(0.5, (quantile - near_root) / quantile)
    return near, False


def _lifted(objective: Objective, point: _Point, lift: Lift) -> _Point:
    x = lift(point.x)
    value, gradient = objective(x)
    return _Point(x, value, gradient, 0.0, True)


def _constrained(
    objective: Objective, start: _Point, curvature: np.ndarray, function: ProfiledFunction, target: float, scale: float
) -> tuple[_Point, np.ndarray]:
    """Minimise under ``function = target`` by sequential quadratic programming with BFGS curvature.

    `scale` is a standard error of the function: its unit.
    """
    x, value, gradient, b = start.x, start.value, start.gradient, curvature.copy()
    gap = target - function.value(x)
    normal = function.gradient(x)
    weight = 0.0
    for _ in range(_MAX_STEPS):
        step, multiplier, back = _step(b, gradient, normal, gap)
        if not np.isfinite(step).all():  # no slope of the function that could be followed
            return _Point(x, value, gradient, 0.0, False), b
        projected = gradient + multiplier * normal
        edm = 0.5 * abs(float(projected @ step))
        if abs(gap) < _HELD * scale and edm < _EDM:
            return _Point(x, value, gradient, multiplier, True), b
        weight = max(weight, 1.5 * abs(multiplier))
        slope = float(gradient @ step) - weight * abs(gap)
        merit = value + weight * abs(gap)
        length = 1.0
        for _ in range(_MAX_HALVINGS):
            x_new = x + length * step
            # where the function is curved a step along its tangent leaves it, which would only let short ones pass
            x_new += back * (target - function.value(x_new) - (1.0 - length) * gap)
            if not np.isfinite(x_new).all():
                length *= 0.5
                continue
            value_new, gradient_new = objective(x_new)
            gap_new = target - function.value(x_new)
            if value_new + weight * abs(gap_new) <= merit + 1e-4 * length * min(slope, 0.0) + 1e-11 * abs(merit):
                break
            length *= 0.5
        else:
            return _Point(x, value, gradient, multiplier, abs(gap) < _HELD_LOOSELY * scale and edm < 1e-4), b
        normal_new = function.gradient(x_new)
        s = x_new - x
        y = gradient_new - gradient + multiplier * (normal_new - normal)
        b = _damped_update(b, s, y)
        x, value, gradient, gap, normal = x_new, value_new, gradient_new, gap_new, normal_new
    return _Point(x, value, gradient, 0.0, False), b


def _step(b: np.ndarray, gradient: np.ndarray, normal: np.ndarray, gap: float) -> tuple[np.ndarray, float, np.ndarray]:
    """Solve B d + m a = -g with a'd = gap; the last is the shortest way, in B, that changes a'd by one."""
    sides = np.stack([gradient, normal], axis=1)
    try:
        solved = np.linalg.solve(b, sides)
    except np.linalg.LinAlgError:  # updates have lost a direction, as along a ridge
        solved = np.linalg.lstsq(b, sides, rcond=None)[0]
    square = float(normal @ solved[:, 1])
    multiplier = -(float(normal @ solved[:, 0]) + gap) / square
    return -(solved[:, 0] + multiplier * solved[:, 1]), multiplier, solved[:, 1] / square


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
