"""Draws and distribution functions shared by the count laws."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.families.natural import as_kernel_input

__all__ = [
    "FEW_TERMS",
    "LEAST_LOG",
    "count_cdf",
    "count_ends",
    "draw_negative_binomial",
    "draw_poisson",
    "first_above",
    "negative_binomial_ends",
    "negative_binomial_survival",
    "poisson_cdf",
    "poisson_ends",
    "poisson_survival",
]

# Sums of up to so many terms whose first is at least exp(-50), so that its rounding stays near 1e-14.
FEW_TERMS = 200.0
LEAST_LOG = -50.0
_LARGEST_SIZE = 1e8
# Near the largest mean that numpy's sampler takes; a normal draw is indistinguishable there.
_HUGE_MEAN = 1e15


def draw_poisson(mean: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Poisson draws as float64; means above 1e15 get rounded normal draws."""
    mean = np.broadcast_to(mean, shape)
    draws = rng.poisson(np.minimum(mean, _HUGE_MEAN)).astype(np.float64)
    huge = mean > _HUGE_MEAN
    if huge.any():
        big = mean[huge]
        draws[huge] = np.rint(big + np.sqrt(big) * rng.standard_normal(big.size))
    return draws


def draw_negative_binomial(
    mean: np.ndarray, size: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray:
    """Negative binomial draws with given mean and size (variance mean + mean^2/size) as a Gamma mixture."""
    rate = rng.standard_gamma(size, size=shape)
    rate /= size
    rate *= mean
    return draw_poisson(rate, shape, rng)


@kernel
def first_above(cumulated, size, target):
    """First of the first `size` cumulated weights that exceeds `target`, or the last of them."""
    low, high = 0, size - 1
    while low < high:
        middle = (low + high) // 2
        if cumulated[middle] > target:
            high = middle
        else:
            low = middle + 1
    return low


def count_cdf(
    distribution_function: Callable[[np.ndarray], np.ndarray], y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (P(Y < y), P(Y <= y)) from the distribution function at whole numbers >= 0."""
    below, at = np.ceil(y) - 1, np.floor(y)
    lower = np.zeros(below.shape)
    if (below >= 0).any():
        lower = np.where(below < 0, 0.0, distribution_function(np.maximum(below, 0.0)))
    upper = np.where(at < 0, 0.0, distribution_function(np.maximum(at, 0.0)))
    return lower, np.maximum(lower, upper)


def count_ends(
    ends: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (P(Y < y), P(Y <= y)) from both at whole numbers >= 0."""
    at = np.floor(y)
    lower, upper = ends(np.maximum(at, 0.0))
    # nothing lies between whole numbers
    lower = np.where(y == at, lower, upper)
    return np.where(at < 0, 0.0, lower), np.where(at < 0, 0.0, np.maximum(lower, upper))


@kernel
def _poisson_sum(y, mean, below, to):
    """P(Y < y) and P(Y <= y) as sums of probabilities from 0 on; NaN if long or beginning with too small a number."""
    for i in range(y.size):
        if not (y[i] <= FEW_TERMS and -mean[i] > LEAST_LOG):
            below[i] = to[i] = np.nan
            continue
        term = math.exp(-mean[i])
        last, total = 0.0, term
        for k in range(int(y[i])):
            term *= mean[i] / (k + 1.0)
            last = total
            total += term
        below[i], to[i] = min(last, 1.0), min(total, 1.0)


def poisson_ends(y: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P(Y < y), P(Y <= y)) of a Poisson law at whole numbers >= 0.

    Small counts are summed, which takes a fraction of the time of the incomplete gamma function.
    """
    shape = np.broadcast_shapes(np.shape(y), np.shape(mean))
    at, centre = (np.broadcast_to(np.asarray(a, dtype=float), shape).ravel() for a in (y, mean))
    below, to = np.empty((2, at.size))
    _poisson_sum(as_kernel_input(at), as_kernel_input(centre), below, to)
    rest = np.isnan(to)
    if rest.any():
        below[rest], to[rest] = count_cdf(lambda k: poisson_cdf(k, centre[rest]), at[rest])
    return below.reshape(shape), to.reshape(shape)


def poisson_cdf(y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """P(Y <= y) of a Poisson law."""
    return special.gammaincc(y + 1, mean)


def poisson_survival(y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """P(Y > y) of a Poisson law, relatively accurate when it is small."""
    return special.gammainc(y + 1, mean)


def _poisson_limit(y: np.ndarray, mean: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Where the relative difference to the Poisson law, (mean + (y - mean)^2) / size, is rounding."""
    with np.errstate(over="ignore"):
        return size > 1e14 * (1 + mean + (y - mean) ** 2)


@kernel
def _negative_binomial_sum(y, mean, size, below, to):
    """P(Y < y) and P(Y <= y) as sums of probabilities from 0 on; NaN if long or beginning with too small a number."""
    for i in range(y.size):
        r = size[0] if size.size == 1 else size[i]
        log_first = -r * math.log1p(mean[i] / r)
        if not (y[i] <= FEW_TERMS and log_first > LEAST_LOG and r < _LARGEST_SIZE):
            below[i] = to[i] = np.nan
            continue
        term = math.exp(log_first)
        last, total, odds = 0.0, term, mean[i] / (r + mean[i])
        for k in range(int(y[i])):
            term *= (r + k) / (k + 1.0) * odds
            last = total
            total += term
        below[i], to[i] = min(last, 1.0), min(total, 1.0)


def negative_binomial_ends(y: np.ndarray, mean: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P(Y < y), P(Y <= y)) of a negative binomial law with given mean and size at whole numbers >= 0.

    Small counts are summed, which takes a fraction of the time of the incomplete beta function.
    """
    shape = np.broadcast_shapes(np.shape(y), np.shape(mean))
    at, centre = (np.broadcast_to(np.asarray(a, dtype=float), shape).ravel() for a in (y, mean))
    sizes = np.asarray(size, dtype=float).ravel()
    if sizes.size > 1:
        sizes = np.broadcast_to(size, shape).ravel()
    below, to = np.empty((2, at.size))
    _negative_binomial_sum(as_kernel_input(at), as_kernel_input(centre), as_kernel_input(sizes), below, to)
    rest = np.isnan(to)
    if rest.any():
        mu, r = centre[rest], np.broadcast_to(sizes, at.shape)[rest]
        below[rest], to[rest] = count_cdf(lambda k: _incomplete_beta(k, mu, r, upper=False), at[rest])
    return below.reshape(shape), to.reshape(shape)


def _incomplete_beta(y: np.ndarray, mean: np.ndarray, size: np.ndarray, *, upper: bool) -> np.ndarray:
    """P(Y <= y), or P(Y > y) if `upper`, through the smaller of p = size / (size + mean) and 1 - p."""
    below, above = (special.betaincc, special.betainc) if upper else (special.betainc, special.betaincc)
    with np.errstate(all="ignore"):
        plain = np.where(
            size < mean, below(size, y + 1, size / (size + mean)), above(y + 1, size, mean / (size + mean))
        )
    poisson = poisson_survival if upper else poisson_cdf
    return np.where(_poisson_limit(y, mean, size), poisson(y, mean), plain)


def negative_binomial_survival(y: np.ndarray, mean: np.ndarray, size: np.ndarray) -> np.ndarray:
    """P(Y > y) of a negative binomial law, relatively accurate when it is small."""
    return _incomplete_beta(y, mean, size, upper=True)
