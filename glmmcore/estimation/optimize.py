"""The one outer optimiser: preconditioned BFGS, Hessian from differences of the exact gradient, Newton polish.

It stops on the expected decrease of the objective (EDM), which is free of the scale of parameters and data, so that
"converged" means the log-likelihood cannot rise by more than that.

Longer than 400 lines: descent, differences and Newton's steps hand one point, one count of evaluations and one Hessian
to each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from glmmcore.estimation.curvature import scaled_eigen

__all__ = ["Cheaper", "Objective", "Optimum", "descend", "minimise", "short_descent"]

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]
Spectrum = tuple[np.ndarray, np.ndarray, np.ndarray]
Scored = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray] | None]

# BFGS hands over to Newton's method here: the Hessian is then that of the optimum to 1e-4 times the skewness, and
# one Newton step squares the error of the estimates.
_BFGS_EDM = 1e-9
# The log-likelihood cannot rise by more than this at an accepted optimum.
_FINAL_EDM = 1e-9
_CONVERGED_EDM = 1e-6
# One Newton step from there costs nothing, as its end is evaluated in any case. Nearer than this, 1.4e-6 standard
# errors, there is nothing left to gain.
_POLISHED_EDM = 1e-12
# The same of Newton's steps, at whose end curvatures are taken: that in a standard deviation of a hundredth of its
# standard error changes by 3e-5 over this distance.
_NEWTON_EDM = 1e-14
# Two points with the same Hessian, to 1e-4 times the skewness: their squared distance in standard errors.
_SAME_POINT = 1e-8
# The same of single columns: distance of a parameter in natural units, over which curvatures change by some multiple of
# themselves, or, next to zero, in estimates: over its own size the curvature in a standard deviation changes by three
# times itself. Columns of little information are small differences of larger numbers, which move with any parameter:
# squared distance in standard errors.
_SAME_COLUMN, _SAME_VAGUE = 1.5e-5, 1e-14
_MAX_ITERATIONS = 300
# Slope along a parameter in natural units beyond which it is not flat.
_STEEPEST_FLAT = 1.0
# Expected decrease below which the quasi-Newton model is made anew, of as many parameters as its updates learn slowly.
_NEAR_EDM, _FEWEST_RENEWED = 0.05, 3
_MAX_HESSIANS = 6
_MAX_EVALUATIONS = 1000
# A round of descent and Hessian that gains less than this without ending at an optimum is the last.
_NO_PROGRESS = 1e-7
# The tail of a likelihood that rises to a supremum at infinity (separation): the expected decrease is below this and
# yet a Newton step is this long, in units of the step limits. A parameter with a finite estimate would have a standard
# error of hundreds of those units. BFGS stops in the tail already at a share of that expected decrease.
_SUPREMUM_EDM = 1e-4
_BFGS_TAIL_EDM = 0.2 * _SUPREMUM_EDM
_RUNAWAY_STEP = 0.1
# What may be left to a supremum where a search ends, by the expected decrease, and how many times it is gone on towards
# it. Where likelihoods rise like -exp(-t) twice the expected decrease is left.
_SUPREMUM_LEFT, _MOST_FURTHER = 5e-6, 6
# Least eigenvalue of the scaled Hessian for a second Newton step in the tail, where curvatures are little but noise.
_TAIL_CURVATURE = 0.05
# Step of the differences in units of each parameter's standard error: truncation 1e-5 x skewness, noise 1e-11 / 1e-5,
# and so short that the random effects' modes are predicted to full precision.
_DIFFERENCE = 1e-5
# The same, both ways, of parameters whose standard error exceeds their natural unit (a unit then stands for it), whose
# variance is inflated so many times by others, or whose estimates are nearer to zero than a share of their standard
# error. The first bend the likelihood so little that over a step of 1e-5 the noise would show, as what is off is
# inflated in the second. The third may be standard deviations, over whose own size the curvature changes by three times
# itself: a step longer than this share of an estimate is taken twice, for Richardson's extrapolation.
_LONG_DIFFERENCE = 1e-3
_INFLATED, _NEAR_ZERO, _SHORT_OF_ZERO = 6.0, 0.15, 3e-3
# Eigenvalues of the Hessian scaled to a unit diagonal: a direction below the first is flat, below the second it leads
# down from a saddle.
_FLAT = 1e-7
_SADDLE = -1e-3
# Eigenvalues smaller than this are taken for this when a quasi-Newton search starts from a Hessian, since their inverse
# would ask for endless steps.
_LEAST_CURVATURE = 1e-3
# Standard errors, in natural units, below which they are rounding, as of directions that were projected out.
_ROUNDING = 1e-10
# A rough search, of an objective in single precision, ends here: one more step leads below `_POLISHED_EDM`. Values that
# differ by less than its noise are equal for it.
_ROUGH_EDM, _ROUGH_NOISE = 1e-7, 1e-3
# The same of scoring, whose steps leave some thousandth of the distance, and how many of them there are at most.
_SCORED_EDM, _MOST_SCORED = 1e-5, 10
# Factor on what is expected to be left after the last step: three times the distance.
_SCORED_SAFETY = 10.0
# `_POLISHED_EDM` where evaluations are so long that there are cheaper ones: 1.4e-5 standard errors.
_LONG_POLISHED_EDM = 1e-10
# Rise of the value, relative to it, that is rounding: in the line search, and after a Newton step.
_LINE_SEARCH_NOISE, _NEWTON_NOISE = 1e-12, 1e-11
# Wolfe conditions of the line search: share of the decrease that the slope promises, and share of the slope that may be
# left (Nocedal and Wright 2006, section 3.1).
_SUFFICIENT_DECREASE, _SLOPE_LEFT = 1e-4, 0.9
# Curvature, in natural units, of a parameter that is given: no standard error, no step of differences.
_HELD = 1e100
# Smallest eigenvalue of the scaled quasi-Newton model with which it is believed, and the least move of every parameter
# from its start, or distance from zero where it has not moved, in standard errors.
_WELL_CONDITIONED = 1e-4
_LEAST_MOVE, _LEAST_SIZE = 1e-3, 1e-2


@dataclass(slots=True)
class Optimum:
    """Where the optimiser ended.

    Attributes
    ----------
    x : ndarray
    value : float
    gradient : ndarray
    hessian : ndarray or None
        Symmetrised differences of the gradient; None where the optimum was accepted without.
    edm : float
        Expected further decrease by the Hessian, flat directions left out.
    eigenvalues : ndarray
        Of the Hessian scaled to a unit diagonal, ascending.
    converged : bool
    n_evaluations : int
    n_other_starts, n_other_maxima : int
        How many other starts were tried, and how many of them ended at lower maxima.
    higher_seen : float
        How far the log-likelihood of a point that is no maximum lies above this one.
    n_refused : int
        Evaluations where the log-likelihood does not exist.
    """

    x: np.ndarray
    value: float
    gradient: np.ndarray
    hessian: np.ndarray | None
    edm: float
    eigenvalues: np.ndarray
    converged: bool
    n_evaluations: int
    n_other_starts: int = 0
    n_other_maxima: int = 0
    higher_seen: float = 0.0
    n_refused: int = 0

    @property
    def is_saddle(self) -> bool:
        """Whether the objective falls along some direction."""
        return bool(len(self.eigenvalues) and self.eigenvalues[0] < _SADDLE)


@dataclass(frozen=True, slots=True)
class Cheaper:
    """What takes less time than an objective of long evaluations.

    Attributes
    ----------
    rough : callable
        The objective with fewer digits, from whose minimum the search goes on.
    scored : callable
        ``x -> (x, guess of the Hessian)``: where a step of scoring leads from the last rough evaluation; None if there
        is no such step.
    nearly : callable
        The objective with digits enough for an ordinary minimum, not for differences.
    value : callable
        The objective's value.
    """

    rough: Objective
    scored: Scored
    nearly: Objective
    value: Callable[[np.ndarray], float]


@np.errstate(over="ignore", invalid="ignore")  # points far outside are refused for their value
def minimise(
    objective: Objective,
    x: np.ndarray,
    curvature: np.ndarray,
    limit: np.ndarray,
    *,
    units: np.ndarray | None = None,
    regular: Callable[[np.ndarray], bool] | None = None,
    renewed: Callable[[np.ndarray], np.ndarray | None] | None = None,
    free: np.ndarray | None = None,
    cheaper: Cheaper | None = None,
) -> Optimum:
    """Minimise a smooth function with gradient.

    Parameters
    ----------
    objective : callable
        ``x -> (value, gradient)``; value inf outside the domain.
    x : ndarray, shape (p,)
        Start.
    curvature : ndarray, shape (p, p)
        Guess of the Hessian, positive definite.
    limit : ndarray, shape (p,)
        Largest change of each parameter in one step.
    units : ndarray, shape (p,), optional
        Natural unit of each parameter, in which a vanishing curvature is accepted; `limit` by default.
    regular : callable, optional
        For an objective whose curvature is known well: ``x -> bool``, whether a minimum there is an ordinary one, for
        which the quasi-Newton model is believed and no Hessian is made.
    renewed : callable, optional
        The guess of the Hessian at another point, ``x -> (p, p)`` or None where it is none: near the minimum it
        replaces the model that came from afar.
    free : ndarray of bool, shape (p,), optional
        Parameters to search; the others stay where they are, which the Hessian says by a curvature beyond all others.
    cheaper : Cheaper, optional
        What to search with where evaluations take long.
    """
    units = limit if units is None else units
    if free is not None and not free.all():
        return _minimise_some(objective, x, curvature, limit, units, free)
    # powers of two: nothing is rounded on the way there and back
    units = np.exp2(np.round(np.log2(units)))

    def scaled(objective: Objective) -> Objective:
        def function(z: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = objective(z * units)
            return value, gradient * units

        return function

    inside = None if regular is None else lambda z: regular(z * units)

    def guess(z: np.ndarray) -> np.ndarray | None:
        found = None if renewed is None else renewed(z * units)
        return None if found is None else found * np.outer(units, units)

    begin, model = x / units, curvature * np.outer(units, units)

    def scored(z: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        found = None if cheaper is None else cheaper.scored(z * units)
        return None if found is None else (found[0] / units, found[1] * np.outer(units, units))

    cheap = None
    if cheaper is not None:
        value = cheaper.value
        cheap = Cheaper(scaled(cheaper.rough), scored, scaled(cheaper.nearly), lambda z: value(z * units))
    found = _minimise(scaled(objective), begin, model, limit / units, inside, guess, cheap)
    hessian = None if found.hessian is None else found.hessian / np.outer(units, units)
    return replace(found, x=found.x * units, gradient=found.gradient / units, hessian=hessian)


def _minimise_some(
    objective: Objective, x: np.ndarray, curvature: np.ndarray, limit: np.ndarray, units: np.ndarray, free: np.ndarray
) -> Optimum:
    """Minimise over some of the parameters."""

    def whole(z: np.ndarray) -> np.ndarray:
        out = x.copy()
        out[free] = z
        return out

    def reduced(z: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = objective(whole(z))
        return value, gradient[free]

    found = minimise(reduced, x[free], curvature[np.ix_(free, free)], limit[free], units=units[free])
    gradient = np.zeros(len(x))
    gradient[free] = found.gradient
    hessian = np.diag(np.where(free, 0.0, _HELD / np.square(units)))
    hessian[np.ix_(free, free)] = found.hessian
    return replace(found, x=whole(found.x), gradient=gradient, hessian=hessian)


def _minimise(
    objective: Objective,
    x: np.ndarray,
    curvature: np.ndarray,
    limit: np.ndarray,
    regular: Callable[[np.ndarray], bool] | None,
    renewed: Callable[[np.ndarray], np.ndarray | None] | None,
    cheaper: Cheaper | None,
) -> Optimum:
    """The same for parameters in their natural units."""
    inverse = np.linalg.inv(curvature) if len(x) else np.zeros((0, 0))
    near, counter = x, _Counted(objective)
    nearly = counter
    if cheaper is not None and len(x):
        rough, nearly = _Counted(cheaper.rough, noise=_ROUGH_NOISE), _Counted(cheaper.nearly)
        near, inverse, expected = _near_minimum(rough, cheaper.scored, x, inverse, limit, renewed)
        if regular is not None and expected < _LONG_POLISHED_EDM and regular(near):
            point = _Point(near, cheaper.value(near), np.zeros(len(x)))
            accepted = _accepted_without_hessian(point, inverse, x, 1)
            if accepted is not None:
                return replace(accepted, edm=expected)
    point = _Point(near, *nearly(near))
    unbounded = False
    if regular is not None and len(x):
        point, inverse = _bfgs(nearly, point, inverse, limit, _FINAL_EDM, renewed)
        accepted = _accepted_without_hessian(point, inverse, x, nearly.calls)
        if accepted is not None and regular(point.x):
            polished = _POLISHED_EDM if cheaper is None else _LONG_POLISHED_EDM
            return _one_more_step(nearly, accepted, inverse, polished)
    if nearly is not counter:
        point = _Point(point.x, *counter(point.x))
    last_value = np.inf
    for _ in range(_MAX_HESSIANS):
        point, inverse = _bfgs(counter, point, inverse, limit, _BFGS_EDM)
        hessian = _difference_hessian(counter, point, inverse)
        spectrum = scaled_eigen(hessian)
        begin = point
        point, is_optimum, in_tail = _newton(counter, point, spectrum, limit)
        unbounded |= in_tail
        no_progress = not in_tail and not point.value < last_value - _NO_PROGRESS
        if is_optimum or counter.exhausted or no_progress:
            break
        # in a tail the flat directions are left out of the further search: along them there is only the supremum
        inverse = _positive_inverse(spectrum, 0.0 if in_tail else 1.0 / _LEAST_CURVATURE)
        last_value = point.value
    if unbounded:
        point, begin, hessian = _along_valley(counter, point, begin, hessian, limit)
        spectrum = scaled_eigen(hessian)
    step = point.x - begin.x
    inverse = _positive_inverse(spectrum)
    distance = float(step @ hessian @ step)
    if distance > _SAME_POINT:
        hessian = _difference_hessian(counter, point, inverse)
        spectrum = scaled_eigen(hessian)
    else:
        moved = np.abs(step) > _SAME_COLUMN * np.minimum(np.abs(point.x), 1.0)
        if distance > _SAME_VAGUE:
            moved |= _is_vague(point, inverse)
        which = np.flatnonzero(moved)
        if len(which):
            hessian = hessian.copy()
            columns = _differences(counter, point, inverse, which)
            hessian[:, which], hessian[which] = columns, columns.T
            hessian[np.ix_(which, which)] = 0.5 * (columns[which] + columns[which].T)
            spectrum = scaled_eigen(hessian)
    return replace(_report(point, hessian, spectrum, unbounded, counter.calls), n_refused=counter.refused)


@np.errstate(over="ignore", invalid="ignore")
def short_descent(
    objective: Objective, x: np.ndarray, curvature: np.ndarray, limit: np.ndarray, tolerance: float, evaluations: int
) -> tuple[np.ndarray, float, float]:
    """Go downhill until the expected decrease is below `tolerance`, with so many evaluations at most.

    Returns
    -------
    x : ndarray
    value : float
    edm : float
        Expected further decrease.
    """
    counter = _Counted(objective, evaluations)
    point = _Point(x, *counter(x))
    point, inverse = _bfgs(counter, point, np.linalg.inv(curvature), limit, tolerance)
    return point.x, point.value, 0.5 * float(point.gradient @ inverse @ point.gradient)


def _near_minimum(
    rough: _Counted,
    scored: Scored,
    x: np.ndarray,
    inverse: np.ndarray,
    limit: np.ndarray,
    renewed: Callable[[np.ndarray], np.ndarray | None] | None,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Where a rough objective has its minimum, its inverse Hessian there and the expected decrease, if that is known.

    The start where the objective does not exist.
    """
    point, before = _Point(x, *rough(x)), 0.0
    if not np.isfinite(point.value):
        return x, inverse, np.inf
    for _ in range(_MOST_SCORED):
        found = scored(point.x)
        if found is None:
            break
        inverse = np.linalg.inv(found[1])
        edm = 0.5 * float(point.gradient @ inverse @ point.gradient)
        if edm < _SCORED_EDM:
            # scoring converges linearly at least: the next step leaves the same share of what there is as the last
            return found[0], inverse, (edm * _SCORED_SAFETY * edm / before if before > 0.0 else np.inf)
        before, step = edm, found[0] - point.x
        x = point.x + step / max(1.0, float(np.max(np.abs(step) / np.maximum(limit, np.abs(point.x)))))
        value, gradient = rough(x)
        if not value <= point.value + rough.noise:
            break
        point = _Point(x, value, gradient)
    point, inverse = _bfgs(rough, point, inverse, limit, _ROUGH_EDM, renewed)
    step = -inverse @ point.gradient
    is_near = -0.5 * float(step @ point.gradient) < _ROUGH_EDM and np.all(np.abs(step) < limit)
    return (point.x + step if is_near else point.x), inverse, np.inf


def _one_more_step(objective: _Counted, accepted: Optimum, inverse: np.ndarray, polished: float) -> Optimum:
    """The optimum after another step of the model, which all but squares the distance, where there is any left."""
    if accepted.edm < polished:
        return accepted
    x = accepted.x - inverse @ accepted.gradient
    value, gradient = objective(x)
    edm = 0.5 * float(gradient @ inverse @ gradient)
    if not (value <= accepted.value + _NEWTON_NOISE * (1.0 + abs(accepted.value)) and edm < accepted.edm):
        return accepted
    return replace(accepted, x=x, value=value, gradient=gradient, edm=edm, n_evaluations=objective.calls)


def descend(
    objective: Objective, x: np.ndarray, inverse: np.ndarray, limit: np.ndarray, tolerance: float
) -> np.ndarray | None:
    """Quasi-Newton search alone, for a start close to the minimum and a good guess of the inverse Hessian there.

    Returns
    -------
    ndarray, shape (p,), or None
        Where the expected decrease by the quasi-Newton model is below `tolerance` or below what rounding lets see; None
        where the search ended elsewhere.
    """
    counter = _Counted(objective)
    point = _Point(x, *counter(x))
    if not np.isfinite(point.value) or not len(x):
        return x if np.isfinite(point.value) else None
    point, inverse = _bfgs(counter, point, inverse, limit, tolerance)
    edm = 0.5 * float(point.gradient @ inverse @ point.gradient)
    return point.x if edm < max(tolerance, 1e-12 * abs(point.value)) else None


@dataclass(slots=True)
class _Point:
    """A point with the value and the gradient there."""

    x: np.ndarray
    value: float
    gradient: np.ndarray


class _Counted:
    """An objective that counts its evaluations and says inf where value or gradient do not exist.

    Values that differ by less than `noise` are equal but for rounding.
    """

    def __init__(self, objective: Objective, most: int = _MAX_EVALUATIONS, noise: float = 0.0) -> None:
        self.objective = objective
        self.most = most
        self.noise = noise
        self.calls = self.refused = 0

    @property
    def exhausted(self) -> bool:
        """Whether to give up: a likelihood that needs this many evaluations has no maximum."""
        return self.calls > self.most

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        self.calls += 1
        value, gradient = self.objective(x)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            self.refused += 1
            return np.inf, gradient
        return value, gradient


def _accepted_without_hessian(point: _Point, inverse: np.ndarray, start: np.ndarray, calls: int) -> Optimum | None:
    """The optimum by the quasi-Newton model; None where the model may miss something.

    A coordinate that is zero and has not moved may be one of symmetry, along which the point is as well a saddle.
    """
    edm = 0.5 * float(point.gradient @ inverse @ point.gradient)
    errors = np.sqrt(np.maximum(np.diag(inverse), 0.0))
    asymmetric = (np.abs(point.x - start) > _LEAST_MOVE * errors) | (np.abs(point.x) > _LEAST_SIZE * errors)
    if not (np.isfinite(point.value) and edm < _FINAL_EDM and np.all(asymmetric)):
        return None
    eigenvalues = scaled_eigen(np.linalg.inv(inverse))[1]
    if not eigenvalues[0] > _WELL_CONDITIONED:
        return None
    return Optimum(point.x, point.value, point.gradient, None, edm, eigenvalues, True, calls)


def _bfgs(
    objective: _Counted,
    point: _Point,
    inverse: np.ndarray,
    limit: np.ndarray,
    tolerance: float,
    renewed: Callable[[np.ndarray], np.ndarray | None] | None = None,
) -> tuple[_Point, np.ndarray]:
    """Quasi-Newton steps until the expected decrease is below `tolerance`; point and inverse Hessian there.

    The model may be `renewed` once, where the minimum is near and still some steps away.
    """
    if len(point.x) < _FEWEST_RENEWED:
        renewed = None
    for _ in range(_MAX_ITERATIONS):
        if objective.exhausted:
            break
        step = -inverse @ point.gradient
        slope = float(step @ point.gradient)
        if not -0.5 * slope > tolerance:
            break
        excess = float(np.max(np.abs(step) / limit))
        if -0.5 * slope < _BFGS_TAIL_EDM and excess > _RUNAWAY_STEP:
            break
        if excess > 1.0:
            step, slope = step / excess, slope / excess
        new = _line_search(objective, point, step, slope)
        if new is None:
            break
        s, y = new.x - point.x, new.gradient - point.gradient
        sy = float(s @ y)
        if renewed is not None and tolerance < 0.5 * float(new.gradient @ inverse @ new.gradient) < _NEAR_EDM:
            guess, renewed = renewed(new.x), None
            inverse = inverse if guess is None else np.linalg.inv(guess)
        if sy > 1e-10 * np.sqrt(float(s @ s) * float(y @ y)):
            hy = inverse @ y
            inverse = inverse + np.outer(s, s) * ((1.0 + float(y @ hy) / sy) / sy)
            cross = np.outer(hy, s)
            inverse -= (cross + cross.T) / sy
        point = new
    return point, inverse


def _line_search(objective: _Counted, point: _Point, step: np.ndarray, slope: float) -> _Point | None:
    """A point that meets the weak Wolfe conditions, by bracketing; None when no decrease is left above rounding."""
    low, high, length = 0.0, np.inf, 1.0
    best: _Point | None = None
    noise = max(_LINE_SEARCH_NOISE * (1.0 + abs(point.value)), objective.noise)
    for _ in range(30):
        x = point.x + length * step
        value, gradient = objective(x)
        if not value <= point.value + _SUFFICIENT_DECREASE * length * slope + noise:
            high = length
            # parabola through the two values and the slope, kept inside the middle of the bracket
            fall = value - point.value - length * slope
            guess = -0.5 * slope * length**2 / fall if np.isfinite(fall) and fall > 0.0 else 0.5 * length
            length = float(np.clip(guess, low + 0.1 * (high - low), low + 0.6 * (high - low)))
            if high < 1e-10:
                break
            continue
        if best is None or value < best.value:
            best = _Point(x, value, gradient)
        if float(gradient @ step) >= _SLOPE_LEFT * slope or length >= 16.0:
            return best
        low = length
        length = 2.0 * length if np.isinf(high) else 0.5 * (low + high)
    return best


def _difference_hessian(objective: _Counted, point: _Point, inverse: np.ndarray) -> np.ndarray:
    """Hessian from differences of the gradient, of parameters in natural units."""
    hessian = _differences(objective, point, inverse, np.arange(len(point.x)))
    return 0.5 * (hessian + hessian.T)


def _differences(objective: _Counted, point: _Point, inverse: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Changes of the gradient with some parameters, (p, len(which)).

    One way, or both ways where a parameter may bend the likelihood more on one side than on the other; zero where both
    ways are refused.
    """
    errors = np.sqrt(np.maximum(np.diag(inverse), 0.0))
    steps = _DIFFERENCE * np.minimum(np.where(errors > _ROUNDING, errors, 1.0), 1.0)
    steps = np.maximum(steps, 1e-9 * np.maximum(1.0, np.abs(point.x)))
    out = np.empty((len(point.x), len(which)))
    vague = _is_vague(point, inverse)
    longer = _LONG_DIFFERENCE * np.where(vague, np.minimum(errors, 1.0), 1.0)
    for i, j in enumerate(which):
        column = None if vague[j] else _one_way(objective, point, j, steps[j])
        if column is None or abs(column[j]) < 1.0:
            # or the quasi-Newton model did not know how little is known
            both = _both_ways(objective, point, j, longer[j])
            column = both if both is not None else _one_way(objective, point, j, steps[j])
        out[:, i] = column
    return np.nan_to_num(out, posinf=0.0, neginf=0.0)


def _is_vague(point: _Point, inverse: np.ndarray) -> np.ndarray:
    """Parameters that need differences both ways, by the inverse Hessian as it is known."""
    errors = np.sqrt(np.maximum(np.diag(inverse), 0.0))
    scale = np.where(errors > 0.0, errors, 1.0)
    correlation = inverse / scale / scale[:, None]
    if not np.all(np.isfinite(correlation)):
        return np.ones(len(point.x), dtype=bool)
    np.fill_diagonal(correlation, 1.0)
    try:
        inflation = np.diag(np.linalg.inv(correlation))
    except np.linalg.LinAlgError:
        inflation = np.full(len(point.x), np.inf)
    # not positive where the correlation has no inverse but for rounding
    inflated = ~((inflation > 0.0) & (inflation <= _INFLATED))
    return np.asarray((errors > 1.0) | inflated | (np.abs(point.x) < _NEAR_ZERO * errors))


def _one_way(objective: _Counted, point: _Point, j: int, step: float) -> np.ndarray:
    """Change of the gradient with parameter j: forward, backward where that point is refused, else zero."""
    for move in (step, -step):
        x, value, gradient = _moved(objective, point, j, move)
        if np.isfinite(value):
            return np.asarray((gradient - point.gradient) / (x[j] - point.x[j]))
    return np.zeros(len(point.x))


def _both_ways(objective: _Counted, point: _Point, j: int, step: float) -> np.ndarray | None:
    """The same by central differences, extrapolated next to zero; None where one of their ends is refused."""
    found = []
    for size in (step, 2.0 * step) if _SHORT_OF_ZERO * abs(point.x[j]) < step else (step,):
        high, value, above = _moved(objective, point, j, size)
        if not np.isfinite(value):
            return None
        low, value, below = _moved(objective, point, j, -size)
        if not np.isfinite(value):
            return None
        found.append((above - below) / (high[j] - low[j]))
    return np.asarray(found[0] if len(found) == 1 else (4.0 * found[0] - found[1]) / 3.0)


def _moved(objective: _Counted, point: _Point, j: int, step: float) -> tuple[np.ndarray, float, np.ndarray]:
    """Another point, its value and gradient."""
    x = point.x.copy()
    x[j] += step
    return x, *objective(x)


def _positive_inverse(spectrum: Spectrum, weakest: float = 1.0 / _LEAST_CURVATURE) -> np.ndarray:
    """Inverse with the eigenvalues' absolute values; `weakest` stands for the reciprocal of those near zero."""
    scale, values, vectors = spectrum
    size = np.abs(values)
    reciprocal = np.where(size > _LEAST_CURVATURE, 1.0 / np.maximum(size, _LEAST_CURVATURE), weakest)
    return (vectors * reciprocal) @ vectors.T / np.outer(scale, scale)


def _newton(objective: _Counted, point: _Point, spectrum: Spectrum, limit: np.ndarray) -> tuple[_Point, bool, bool]:
    """Newton steps with one Hessian.

    Returns
    -------
    point : _Point
    is_optimum : bool
        If not, the quadratic model is wrong there, and the search has to go on.
    in_tail : bool
        Whether the likelihood was seen to rise towards a supremum at infinity.
    """
    if not len(point.x):
        return point, True, False
    scale, values, vectors = spectrum
    tail = _tail_steps(point, spectrum, limit)
    if tail:
        further = _towards_supremum(objective, point, tail)
        return further, further is point, True
    if values[0] < _SADDLE:
        return _leave_saddle(objective, point, vectors[:, 0] / scale, limit), False, False
    usable = values > _FLAT
    for _ in range(4):
        along = vectors.T @ (point.gradient / scale)
        edm = 0.5 * float(np.sum(along[usable] ** 2 / values[usable]))
        if edm < _NEWTON_EDM:
            return point, True, False
        step = -(vectors[:, usable] @ (along[usable] / values[usable])) / scale
        excess = float(np.max(np.abs(step) / limit))
        if excess > 1.0:
            return point, False, False
        x = point.x + step
        value, gradient = objective(x)
        if not value <= point.value + _NEWTON_NOISE * (1.0 + abs(point.value)):
            return point, edm < _CONVERGED_EDM, False
        point = _Point(x, value, gradient)
    return point, edm < _CONVERGED_EDM, False


def _tail_steps(point: _Point, spectrum: Spectrum, limit: np.ndarray) -> list[np.ndarray]:
    """Newton steps in the tail of a likelihood without a maximum: little to gain, far to go. Empty elsewhere.

    A tail need not be convex and its curvature is noise in some directions; so besides the plain step there is one
    with a floor on the eigenvalues.
    """
    scale, values, vectors = spectrum
    along = vectors.T @ (point.gradient / scale)
    steps = []
    for floor in (_FLAT, _TAIL_CURVATURE):
        size = np.maximum(np.abs(values), floor)
        if 0.5 * float(np.sum(along**2 / size)) < _SUPREMUM_EDM:
            step = -(vectors @ (along / size)) / scale
            if float(np.max(np.abs(step) / limit)) > _RUNAWAY_STEP:
                steps.append(step)
    return steps


def _towards_supremum(objective: _Counted, point: _Point, steps: list[np.ndarray]) -> _Point:
    """Several steps at once: where the objective falls like exp(-t) every Newton step leaves 1/e of the way down."""
    for step in steps:
        for length in (10.0, 5.0, 2.0, 1.0):
            x = point.x + length * step
            value, gradient = objective(x)
            if value < point.value:
                return _Point(x, value, gradient)
    return point


def _along_valley(
    objective: _Counted, point: _Point, begin: _Point, hessian: np.ndarray, limit: np.ndarray
) -> tuple[_Point, _Point, np.ndarray]:
    """Go on towards a supremum where the way to it bends: far along the flat direction, then to the valley's floor.

    Returns
    -------
    point : _Point
    begin : _Point
        Where the Hessian was taken.
    hessian : ndarray, shape (p, p)
    """
    for _ in range(_MOST_FURTHER):
        scale, values, vectors = spectrum = scaled_eigen(hessian)
        along = vectors.T @ (point.gradient / scale)
        left = 0.5 * float(np.sum(along**2 / np.maximum(np.abs(values), _FLAT)))
        if left < _SUPREMUM_LEFT or objective.exhausted:
            break
        further = _further_along(objective, point, spectrum, limit)
        if further is None:
            break
        point = begin = further
        hessian = _difference_hessian(objective, point, _positive_inverse(spectrum))
    return point, begin, hessian


def _further_along(objective: _Counted, point: _Point, spectrum: Spectrum, limit: np.ndarray) -> _Point | None:
    """Where one of the steps in a tail ends once the other parameters have followed; None if no end is lower."""
    for step in _tail_steps(point, spectrum, limit):
        for length in (5.0, 2.0, 1.0):
            x = point.x + length * step
            end = _Point(x, *objective(x))
            if not np.isfinite(end.value):
                continue
            end, _ = _bfgs(objective, end, _positive_inverse(spectrum, 0.0), limit, _BFGS_EDM)
            if end.value < point.value - 0.1 * _SUPREMUM_LEFT:
                return end
    return None


def _leave_saddle(objective: _Counted, point: _Point, direction: np.ndarray, limit: np.ndarray) -> _Point:
    """Best of a few points along a direction of negative curvature, both ways."""
    direction = direction / np.max(np.abs(direction) / limit)
    best = point
    for length in (0.3, 0.1, 0.03, 0.01):
        for sign in (1.0, -1.0):
            x = point.x + sign * length * direction
            value, gradient = objective(x)
            if value < best.value - 1e-9:
                best = _Point(x, value, gradient)
        if best is not point:
            break
    return best


def _report(point: _Point, hessian: np.ndarray, spectrum: Spectrum, unbounded: bool, calls: int) -> Optimum:
    """The optimum at a point with its Hessian; `unbounded` if a tail was seen on the way."""
    p = len(point.x)
    finite = bool(np.isfinite(point.value))
    if p == 0:
        return Optimum(point.x, point.value, point.gradient, hessian, 0.0, np.ones(0), finite, calls)
    scale, values, vectors = spectrum
    usable = values > _FLAT
    along = vectors.T @ (point.gradient / scale)
    edm = 0.5 * float(np.sum(along[usable] ** 2 / values[usable]))
    # a column of zeros is a parameter that is flat, or one whose differences were beyond what doubles can hold
    finite &= bool(np.all(np.abs(point.gradient[np.diag(hessian) == 0.0]) < _STEEPEST_FLAT))
    if unbounded:
        converged = finite and edm < _SUPREMUM_EDM
    else:
        converged = finite and edm < _CONVERGED_EDM and bool(values[0] > _SADDLE)
    return Optimum(point.x, point.value, point.gradient, hessian, edm, values, converged, calls)
