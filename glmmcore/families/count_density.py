"""Poisson and binomial log densities, as a core in the mean plus a constant of the mean.

Small counts use the plain form; large ones the deviance form, whose rounding error does not grow with the
count (C. Loader, 2000, Fast and accurate computation of binomial probabilities).
"""

from __future__ import annotations

import math

import numpy as np

from glmmcore._jit import kernel
from glmmcore.families.special import HALF_LOG_2PI, log1pmx, stirling_error

__all__ = [
    "LARGE_COUNT",
    "binomial_constant",
    "binomial_core",
    "log_factorial",
    "poisson_constant",
    "poisson_core",
]

LARGE_COUNT = 100.0


_LOG_FACTORIALS = np.array([math.lgamma(y + 1.0) for y in range(int(LARGE_COUNT))])


@kernel
def log_factorial(y):
    """Return log y! for y >= 0, by table for small whole numbers."""
    if y < LARGE_COUNT:
        j = int(y)
        if j == y:
            return _LOG_FACTORIALS[j]
    return math.lgamma(y + 1.0)


@kernel
def poisson_core(y, eta, mu):
    """Poisson log density at log mean eta, less `poisson_constant`."""
    if y < LARGE_COUNT:
        return y * eta - mu
    gap = mu - y
    if abs(gap) < 0.5 * y:
        return y * log1pmx(gap / y)
    return y * (eta - math.log(y)) - gap


@kernel
def poisson_constant(y):
    """-log y!, or the log density at mean y for large y."""
    if y < LARGE_COUNT:
        return -log_factorial(y)
    return -stirling_error(y) - HALF_LOG_2PI - 0.5 * math.log(y)


@kernel
def binomial_core(y, trials, log_p, log_q, p, q):
    """Binomial log density, less `binomial_constant`; 0 <= y <= trials."""
    failures = trials - y
    if y == 0.0:
        return trials * log_q
    if failures == 0.0:
        return trials * log_p
    plain = y * log_p + failures * log_q
    if trials < LARGE_COUNT:
        return plain
    gap = y * q - failures * p
    if abs(gap) < 0.5 * min(y, failures):
        return y * log1pmx(-gap / y) + failures * log1pmx(gap / failures)
    return plain - y * math.log(y / trials) - failures * math.log(failures / trials)


@kernel
def binomial_constant(y, trials):
    """Return log C(trials, y), or the log density at p = y / trials for many trials."""
    failures = trials - y
    if y == 0.0 or failures == 0.0:
        return 0.0
    if trials < LARGE_COUNT:
        return log_factorial(trials) - log_factorial(y) - log_factorial(failures)
    return (
        stirling_error(trials)
        - stirling_error(y)
        - stirling_error(failures)
        - HALF_LOG_2PI
        - 0.5 * math.log(y * (failures / trials))
    )
