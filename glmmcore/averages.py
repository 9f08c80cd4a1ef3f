"""Means of functions of a normal variable, for many centres and spreads at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["average_and_slopes", "average_over_normal"]

# Mass beyond this many standard deviations is below 1e-16.
_REACH = 8.5
# Largest step in standard deviations: the rule's error for the normal density itself is exp(-2 pi^2 / step^2).
_STEP = 0.45
# Poles of a logistic mean lie pi / sd off the axis; exp(-30) is what they may contribute.
_POLES = 2.0 * np.pi**2 / 30.0
_MAX_NODES = 2001


def average_over_normal(
    function: Callable[[np.ndarray], np.ndarray], centre: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """Mean of ``function(centre + z)``, z normal with mean zero, by the trapezoid rule.

    The rule converges geometrically for analytic functions (Trefethen and Weideman 2014), and unlike Gauss-Hermite it
    stays exact to 1e-12 for sigmoid functions when the spread is large.

    Parameters
    ----------
    function : callable
        Elementwise.
    centre, variance : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> average_over_normal(np.exp, np.array([0.0]), np.array([2.0])).round(12)  # exp(variance / 2)
    array([2.71828183])
    """
    sd = np.sqrt(np.maximum(variance, 0.0))
    if sd.max(initial=0.0) == 0.0:
        return np.asarray(function(np.ascontiguousarray(centre)))
    total = np.zeros(len(centre))
    for node, weight in zip(*_rule(sd), strict=True):
        total += weight * function(centre + node * sd)
    return total


def average_and_slopes(
    function: Callable[[np.ndarray], np.ndarray], centre: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of ``function(centre + z)`` and its slopes in centre and variance, from the same values of the function.

    With u = z / sd these are E f u / sd and E f (u^2 - 1) / (2 variance) (Stein 1981).

    Parameters
    ----------
    function, centre, variance
        As in `average_over_normal`; variances are not zero.

    Returns
    -------
    mean, slope, slope_in_variance : ndarray, shape (n,)

    Examples
    --------
    >>> [float(v.round(9)[0]) for v in average_and_slopes(np.exp, np.array([0.0]), np.array([2.0]))]
    [2.718281828, 2.718281828, 1.359140914]
    """
    sd = np.sqrt(variance)
    total = np.zeros((3, len(centre)))
    for node, weight in zip(*_rule(sd), strict=True):
        value = weight * function(centre + node * sd)
        total[0] += value
        total[1] += node * value
        total[2] += (node * node - 1.0) * value
    return total[0], total[1] / sd, 0.5 * total[2] / variance


def _rule(sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the trapezoid rule for the largest of some standard deviations."""
    largest = float(sd.max(initial=0.0))
    step = min(_STEP, _POLES / largest)
    # an exponential mean has its mass one spread further out
    half = _REACH + largest
    n_side = min(int(np.ceil(half / step)), _MAX_NODES // 2)
    nodes = np.linspace(-half, half, 2 * n_side + 1)
    weights = np.exp(-0.5 * nodes**2)
    used = weights > 0.0
    return nodes[used], weights[used] / weights.sum()
