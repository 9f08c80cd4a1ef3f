"""Tweedie (compound Poisson-gamma) with mean mu, variance phi mu^p and 1 < p < 2."""

from __future__ import annotations

import math
from functools import partial
from types import MappingProxyType

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.continuous_support import check_nonnegative
from glmmcore.families.links import Array, Link
from glmmcore.families.natural import NaturalFamily, derivatives_from, newton_from
from glmmcore.families.series import deviance_part, digamma_gap
from glmmcore.families.special import HALF_LOG_2PI, digamma, stirling_error
from glmmcore.families.tabulate import ChebyshevTable

__all__ = ["Tweedie"]

_FAR = 500.0
"""Exponents are held inside this bound, so that products with them stay finite."""

_SEPARATE = 0.4
"""Standard deviation of a sum of draws, in draws, below which sums of one more or less have peaks of their own.

Those of two normal densities of equal height merge at half their distance.
"""


# Series of Dunn and Smyth (2005): W = sum_j exp(j z) / (j! Gamma(j a)), a = (2-p)/(p-1). Its largest term
# lies near j0 with z = (1+a) log j0 + a log a and is of order exp((1+a) j0). What is tabulated is the
# remainder G(z, a) = log W - (1+a) j0, because (1+a) j0 combines with the exponent of the density into the
# deviance.
@kernel
def _series_remainder(log_j0, a):
    """G and its derivatives in z and in a."""
    c = 1.0 + a
    z = c * log_j0 + a * math.log(a)
    j0 = math.exp(log_j0)
    sd = math.sqrt(j0 / c)
    if sd > 3.0 and j0 - 10.0 * sd > 1.0:
        return _remainder_far(j0, log_j0 + math.log(a), a, sd)
    return _remainder_near(z, j0, log_j0 + math.log(a), a)


@kernel
def _remainder_near(z, j0, log_aj0, a):
    """Sum the terms one by one, outwards from the largest, down to e^-40 of it."""
    start = max(1.0, math.floor(j0 + 0.5))
    top = start * z - math.lgamma(1.0 + start) - math.lgamma(start * a)
    total, first, log_part = 0.0, 0.0, 0.0
    for direction in (1.0, -1.0):
        j = start if direction > 0 else start - 1.0
        while j >= 1.0:
            log_w = j * z - math.lgamma(1.0 + j) - math.lgamma(j * a) - top
            w = math.exp(log_w)
            total += w
            first += w * j
            log_part += w * j * digamma(j * a)
            if log_w < -40.0:
                break
            j += direction
    g = top + math.log(total) - (1.0 + a) * j0
    return g, first / total - j0, j0 * log_aj0 - log_part / total


@kernel
def _remainder_far(j0, log_aj0, a, sd):
    """Trapezoidal rule in place of the sum.

    The terms are a smooth bump in j with standard deviation sd > 3: the sum over all integers, and the sum
    over a coarser grid times its step, both equal the integral to within exp(-2 pi^2 (sd/step)^2).
    """
    c = 1.0 + a
    step = sd / 1.6
    total, first, log_part = 0.0, 0.0, 0.0
    for k in range(-16, 17):
        j = j0 + k * step
        deviance = deviance_part(j, j0)
        aj = a * j
        w = math.exp(-c * deviance - stirling_error(j) - stirling_error(aj))
        total += w
        first += w * (j - j0)
        log_part += w * ((j - j0) * (1.0 + log_aj0) + deviance - digamma_gap(aj) / a)
    g = math.log(total * step) + 0.5 * math.log(a) - 2.0 * HALF_LOG_2PI
    return g, first / total, -log_part / total


@kernel
def _series_remainders(log_j0, a, out):
    for i in range(log_j0.size):
        out[0, i], out[1, i], out[2, i] = _series_remainder(log_j0[i], a)


@kernel
def _expm1_ratio(x):
    """expm1(x)/x and its derivative."""
    if abs(x) < 0.3:
        # Taylor: x^k/(k+1)! and (k+1) x^k/(k+2)!
        value, slope, term = 0.0, 0.0, 1.0
        for k in range(14):
            value += term / (k + 1.0)
            slope += term / (k + 2.0)
            term *= x / (k + 1.0)
        return value, slope
    value = math.expm1(x) / x
    return value, (math.exp(x) - value) / x


@kernel
def _deviance(log_y, t, delta, p):
    """Half the unit deviance over phi, its derivative in p, and y mu^(1-p)/phi, mu^(2-p)/phi."""
    r = log_y - t
    a = math.exp(min(log_y + (1.0 - p) * t - delta, _FAR))
    b = math.exp(min((2.0 - p) * t - delta, _FAR))
    if abs(r) < 1.0:
        e = math.exp(r)
        v1, s1 = _expm1_ratio((1.0 - p) * r)
        v2, s2 = _expm1_ratio((2.0 - p) * r)
        d = b * r * (e * v1 - v2)
        return d, -t * d - b * r * r * (e * s1 - s2), a, b
    y = math.exp(min((2.0 - p) * log_y - delta, _FAR))
    d1, d2 = (y - a) / (1.0 - p), (y - b) / (2.0 - p)
    d1p = (t * a - log_y * y + d1) / (1.0 - p)
    d2p = (t * b - log_y * y + d2) / (2.0 - p)
    return d1 - d2, d1p - d2p, a, b


@kernel
def _newton(y, t, delta, p, l, l1, l2):
    for i in range(y.size):
        d = delta[i] if delta.size > 1 else delta[0]
        if y[i] <= 0.0:
            b = math.exp(min((2.0 - p) * t[i] - d, _FAR))
            l[i], l1[i], l2[i] = -b / (2.0 - p), -b, -(2.0 - p) * b
            continue
        deviance, _, a, b = _deviance(math.log(y[i]), t[i], d, p)
        l[i], l1[i], l2[i] = -deviance, a - b, (1.0 - p) * a - (2.0 - p) * b


@kernel
def _derivatives(y, t, delta, s, remainder, l, d1, d2, d3):
    """Fill the rows; `s` is p - 1, `remainder` the table of G, dG/dz, dG/da."""
    p, u = 1.0 + s, 1.0 - s
    a_p = -1.0 / (s * s)
    for i in range(y.size):
        d = delta[i] if delta.size > 1 else delta[0]
        if y[i] <= 0.0:
            a, b = 0.0, math.exp(min(u * t[i] - d, _FAR))
            l[i] = -b / u
            d1[1, i] = b / u
            d1[2, i] = b * t[i] / u - b / (u * u)
        else:
            log_y = math.log(y[i])
            deviance, deviance_p, a, b = _deviance(log_y, t[i], d, p)
            g_z = remainder[1, i]
            z_p = a_p * (log_y - math.log(s) - d) - u / (s * s) + 1.0 / u
            l[i] = remainder[0, i] - log_y - deviance
            d1[1, i] = deviance - g_z / s
            d1[2, i] = g_z * z_p + remainder[2, i] * a_p - deviance_p
        d1[0, i] = a - b
        d2[0, i] = -s * a - u * b
        d3[0, i] = s * s * a - u * u * b
        d2[1, i] = b - a
        d3[1, i] = s * a + u * b
        d2[2, i] = t[i] * (b - a)
        d3[2, i] = t[i] * (s * a + u * b) - a + b
        # From p to psi: dp/dpsi = s u.
        d1[2, i] *= s * u
        d2[2, i] *= s * u
        d3[2, i] *= s * u


class Tweedie(NaturalFamily):
    """Tweedie with 1 < p < 2: a Poisson number of gamma summands, with mean mu and variance phi mu^p.

    ``p = 1 + expit(psi)``. The printed dispersion is phi. The fit starts at p = 1.5 only: near p = 1
    the density has spikes when the response lies on a lattice, into which another start could fall.

    Examples
    --------
    >>> family, p = Tweedie(), Parameters(np.zeros(1), np.zeros(1), np.zeros(1))
    >>> family.describe_extra(p.psi)
    {'power': 1.5}
    >>> family.cdf(np.zeros(1), np.ones(1), p)[1]  # mass at zero: exp(-mu^(2-p) / (phi (2-p)))
    array([0.13533528])
    """

    name = "tweedie"
    dispersion_words = "{sigma:.4g}: the variance is {sigma:.4g} mean^power"
    default_link = "log"
    links = ("log", "identity", "inverse", "sqrt")
    has_dispersion = True
    weight_power = -1.0
    extra = ("power",)
    mass_at_zero = True
    limits = MappingProxyType({("power", -1): "of power 1", ("power", 1): "of power 2"})

    def __init__(self, link: str | Link | None = None) -> None:
        super().__init__(link)
        self._table: tuple[float, ChebyshevTable] | None = None

    def check_support(self, y: Array, trials: Array, *, zero_model: bool = False) -> None:
        """Not negative."""
        check_nonnegative(self.name, y)

    def _natural_newton(self, y: Array, t: Array, delta: Array, psi: Array) -> tuple[Array, Array, Array]:
        return newton_from(_newton, y, t, delta, 1.0 + _power_excess(psi))

    def _natural_derivatives(self, y: Array, t: Array, delta: Array, psi: Array) -> Derivatives:
        s = _power_excess(psi)
        return derivatives_from(_derivatives, 3, y, t, delta, s, self._remainder(y, delta, s))

    def _remainder(self, y: Array, delta: Array, s: float) -> Array:
        """G and its derivatives for the positive rows, shape (3, n)."""
        positive = y > 0
        log_j0 = (1 - s) * np.log(y[positive]) - np.log1p(-s)
        log_j0 -= delta if delta.size == 1 else delta[positive]
        out = np.zeros((3, y.size))
        # Beyond e^+-230 the remainder is its limit.
        out[:, positive] = self._series((1 - s) / s)(np.clip(log_j0, -230.0, 230.0))
        return out

    def _series(self, a: float) -> ChebyshevTable:
        """Table of G over log j0, kept for as long as the power stays the same."""
        if self._table is None or self._table[0] != a:
            self._table = (a, ChebyshevTable(partial(_remainders, a=a)))
        return self._table[1]

    def variance(self, trials: Array, p: Parameters) -> Array:
        """Return phi mu^p."""
        return np.exp(p.delta) * self.link.inverse(p.eta) ** (1 + _power_excess(p.psi))

    def simulate(self, trials: Array, p: Parameters, n_sims: int, rng: np.random.Generator) -> Array:
        """Sum a Poisson number of gamma draws."""
        rate, shape, scale = self._compound(p)
        counts = rng.poisson(np.minimum(rate, 1e18), size=(n_sims, p.eta.size))
        return rng.standard_gamma(counts * shape) * scale

    def cdf(self, y: Array, trials: Array, p: Parameters) -> tuple[Array, Array]:
        """Poisson mixture of gamma distribution functions."""
        rate, shape, scale = self._compound(p)
        at = np.exp(-rate) + _mixture_cdf(np.maximum(y, 0.0) / scale, rate, shape)
        at = np.where(y < 0, 0.0, np.minimum(at, 1.0))
        return np.where(y > 0, at, 0.0), at

    def _compound(self, p: Parameters) -> tuple[Array, float, Array]:
        """Poisson rate, gamma shape and gamma scale."""
        s, mu, phi = _power_excess(p.psi), self.link.inverse(p.eta), np.exp(p.delta)
        return mu ** (1 - s) / (phi * (1 - s)), (1 - s) / s, phi * s * mu**s

    def has_separate_peaks(self, p: Parameters) -> Array:
        """Whether sums of about as many draws as there are on average have a peak for each number of draws."""
        rate, shape, _ = self._compound(p)
        return np.asarray(np.sqrt(np.maximum(rate, 1.0) / shape) < _SEPARATE)

    def start_mean(self, y: Array, trials: Array) -> Array:
        """Half way to the overall mean."""
        return 0.5 * (y + y.mean())

    def working_variance(self, mu: Array, trials: Array) -> Array:
        """Variance at the starting power 1.5."""
        return mu**1.5

    def start_delta(self, pearson: float) -> float:
        """Log of the mean squared standardised residual."""
        return float(np.log(max(pearson, 1e-8)))

    def describe_extra(self, psi: Array) -> dict[str, float]:
        """Power p of the variance function."""
        return {"power": 1.0 + _power_excess(psi)}


def _remainders(log_j0: Array, a: float) -> Array:
    """G and its derivatives in z and in a, (3, n)."""
    out = np.empty((3, log_j0.size))
    _series_remainders(log_j0, a, out)
    return out


def _power_excess(psi: Array) -> float:
    """Return p - 1, held away from the ends, where the law is no longer a density of y > 0."""
    return float(special.expit(np.clip(psi[0], -12.0, 12.0)))


def _mixture_cdf(x: Array, rate: Array, shape: float) -> Array:
    """Sum over k >= 1 of Poisson(k; rate) P(gamma with shape k * shape <= x)."""
    # Where both factors are smooth over many k, a coarser grid times its step gives the same sum.
    step = np.maximum(1.0, np.floor(np.sqrt(rate / (1 + shape)) / 1.6))
    reach = 9 * np.sqrt(rate) + 20
    lowest = np.maximum(1.0, np.floor(rate - reach))
    step[lowest == 1.0] = 1.0
    total = np.zeros_like(rate)
    for i in range(int(np.max((rate + reach - lowest) / step, initial=0.0)) + 1):
        k = lowest + i * step
        log_weight = special.xlogy(k, rate) - rate - special.gammaln(k + 1)
        total += step * np.exp(log_weight) * special.gammainc(k * shape, x)
    return total
