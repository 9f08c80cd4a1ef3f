"""Points off the limits of a model, from which a search can find that a parameter there would leave its limit.

At a variance of zero the likelihood has no slope by symmetry, at a dispersion that is infinite it is level. While other
parameters are held at values away from their estimates the best value may be another one, as a variance that grows
because a coefficient is held too low; a search by gradients that starts at the limit does not see it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from glmmcore.estimation.optimize import Objective
    from glmmcore.estimation.problem import Problem
    from glmmcore.estimation.solution import Solution

__all__ = ["Lift", "away_from_limits"]

Lift = Callable[[np.ndarray], np.ndarray]

# Smallest singular value of a relative factor, in units of the rows' spread, with which a term is on the edge.
_EDGE = 1e-3
# Elements of such a factor, in natural units, that have vanished.
_VANISHED = 1e-2
# Share of a flat direction along one parameter, in natural units, from which on the parameter is at a limit.
_ALONG = 1e-2
# Loss of log-likelihood at the point sought, at least and at most; first step and how often it is doubled.
_LEAST_LOSS, _MOST_LOSS = 0.05, 0.5
_FIRST_STEP, _DOUBLINGS, _HALVINGS = 0.05, 11, 12


def away_from_limits(objective: Objective, problem: Problem, solution: Solution) -> Lift | None:
    """Give a function that moves parameters at a limit away from it, as far as costs little log-likelihood.

    Parameters
    ----------
    objective : callable
        Negative log-likelihood with gradient.
    problem : Problem
    solution : Solution
        The estimates.

    Returns
    -------
    callable or None
        Takes and returns parameters; those that are already farther away stay. None where nothing is at a limit.
    """
    x = solution.x
    units = solution.curvature.units if solution.curvature is not None else np.ones(len(x))
    moves = np.zeros(len(x))
    reference = objective(x)[0]
    for j in np.flatnonzero(_at_a_limit(problem, solution, units) & problem.free):
        moves[j] = _move(objective, x, int(j), float(units[j]), reference)
    objective(x)

    def lift(point: np.ndarray) -> np.ndarray:
        return np.where(np.abs(point - x) < np.abs(moves), x + moves, point)

    return lift if moves.any() else None


def _at_a_limit(problem: Problem, solution: Solution, units: np.ndarray) -> np.ndarray:
    """Which parameters are, (n_params,)."""
    out = np.zeros(len(units), dtype=bool)
    if solution.curvature is not None and solution.curvature.flat.shape[1]:
        along = np.square(solution.curvature.flat / units[:, None]).sum(axis=1)
        out |= along > _ALONG
    for term, solved in zip(problem.terms, solution.terms, strict=True):
        if solved.relative_minimum < _EDGE and term.structure.linear:
            out[term.where] |= np.abs(solution.x[term.where]) < _VANISHED * units[term.where]
    return out


def _move(objective: Objective, x: np.ndarray, j: int, unit: float, reference: float) -> float:
    """The smallest move of one parameter, in either direction, that costs enough; 0 where none does."""

    def loss(move: float) -> float:
        moved = x.copy()
        moved[j] += move
        return float(objective(moved)[0]) - reference

    for step in _FIRST_STEP * unit * 2.0 ** np.arange(_DOUBLINGS):
        for sign in (1.0, -1.0):
            if not loss(sign * step) < _LEAST_LOSS:
                return _halved(loss, sign * step)
    return 0.0


def _halved(loss: Callable[[float], float], far: float) -> float:
    """Between 0 and a move that costs enough, one that does not cost too much."""
    near = 0.0
    for _ in range(_HALVINGS):
        cost = loss(far)
        if _LEAST_LOSS <= cost <= _MOST_LOSS:
            break
        middle = 0.5 * (near + far)
        if loss(middle) < _LEAST_LOSS:
            near = middle
        else:
            far = middle
    return far
