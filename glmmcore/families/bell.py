"""Bell counts: a Poisson number of zero-truncated Poisson summands, one parameter."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.counts import CountFamily
from glmmcore.families.draws import draw_poisson
from glmmcore.families.links import Array

__all__ = ["Bell", "log_bell_ratio"]

_TABLE = 4096
_GAUSS_NODES, _GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(16)


@kernel
def log_bell_ratio(y):
    """Return log(Bell(y)/y!) for real y >= 0 by Dobinski's sum, Bell(y) = sum_k k^y / k! / e."""
    if y < 1.5:
        return 0.0 if y in (0.0, 1.0) else _dobinski(y, 1.0)
    # The largest term solves k log k = y about.
    k = max(y / max(math.log(y), 1.0), 1.0)
    for _ in range(30):
        k = (y + k) / (1.0 + math.log(k))
    return _dobinski(y, math.floor(k))


@kernel
def _dobinski(y, start):
    """Sum outwards from the largest term; on a coarse grid where the bump of terms is wide."""
    top = y * math.log(start) - math.lgamma(start + 1.0)
    sd = start / math.sqrt(y + start)
    step = max(1.0, math.floor(sd / 1.6))
    total = 1.0
    for direction in (step, -step):
        k = start + direction
        while k >= 1.0:
            # y log k - log k! relative to the largest term
            term = y * math.log(k / start) - (math.lgamma(k + 1.0) - math.lgamma(start + 1.0))
            total += math.exp(term)
            if term < -40.0:
                break
            k += direction
    return top + math.log(total * step) - 1.0 - math.lgamma(y + 1.0)


@kernel
def _fill_ratios(y, out):
    for i in range(y.size):
        out[i] = log_bell_ratio(y[i])


@lru_cache(maxsize=2)
def _ratio_table(size: int) -> Array:
    out = np.empty(size)
    _fill_ratios(np.arange(size, dtype=np.float64), out)
    return out


def _log_ratios(y: Array) -> Array:
    """Log(Bell(y)/y!) of each row: looked up for whole numbers below 4096."""
    tabulated = (y < _TABLE) & (y == np.floor(y))
    if tabulated.all():
        return _ratio_table(_TABLE)[y.astype(np.int64)]
    out = np.empty(y.size)
    out[tabulated] = _ratio_table(_TABLE)[y[tabulated].astype(np.int64)]
    values, where = np.unique(y[~tabulated], return_inverse=True)
    found = np.empty(values.size)
    _fill_ratios(values, found)
    out[~tabulated] = found[where]
    return out


class Bell(CountFamily):
    """Bell law with mean mu: theta = W(mu) (Lambert), f(y) = theta^y exp(1 - e^theta) Bell(y) / y!.

    Variance mu (1 + theta); no dispersion parameter.

    Examples
    --------
    >>> Bell().variance(np.ones(1), Parameters(np.ones(1), np.zeros(1), np.zeros(0)))  # theta = 1 at mu = e
    array([5.43656366])
    """

    name = "bell"

    def _natural_newton(self, y: Array, t: Array, delta: Array, psi: Array) -> tuple[Array, Array, Array]:
        d = self._without_constant(y, t)
        return d.loglik, d.d1[0], d.d2[0]

    def _natural_derivatives(self, y: Array, t: Array, delta: Array, psi: Array) -> Derivatives:
        d = self._without_constant(y, t)
        return d._replace(loglik=d.loglik + _log_ratios(y))

    def _without_constant(self, y: Array, t: Array) -> Derivatives:
        # theta + log theta = t: Wright's omega function, with dtheta/dt = theta / (1 + theta).
        t = np.clip(t, -700.0, 690.0)
        theta, mu = special.wrightomega(t), np.exp(t)
        h = 1 / (1 + theta)
        h1 = -theta * h**3
        h2 = theta * (2 * theta - 1) * h**5
        r = y - mu
        # y log theta - e^theta + 1, where e^theta = mu / theta
        l = y * (t - theta) - np.expm1(np.minimum(theta, 700.0))
        return Derivatives(l, (r * h)[None], (r * h1 - mu * h)[None], (r * h2 - 2 * mu * h1 - mu * h)[None])

    def _theta(self, p: Parameters) -> Array:
        return special.wrightomega(np.log(self._mu(p)))

    def variance(self, trials: Array, p: Parameters) -> Array:
        """Return mu (1 + theta)."""
        return self._mu(p) * (1 + self._theta(p))

    def simulate(self, trials: Array, p: Parameters, n_sims: int, rng: np.random.Generator) -> Array:
        """Add up jumps: those of size k come as a Poisson number with mean theta^k / k!."""
        theta, shape = self._theta(p), (n_sims, p.eta.size)
        draws = np.zeros(shape)
        rate, k = np.ones_like(theta), 0
        while True:
            k += 1
            rate = rate * theta / k
            # Larger jumps are less likely than one in 1e18.
            if k > 1 and np.all((rate < 1e-18) & (k > theta)):
                return draws
            draws += k * draw_poisson(rate, shape, rng)

    def cdf(self, y: Array, trials: Array, p: Parameters) -> tuple[Array, Array]:
        """Sum the probabilities; for counts from 4096 on integrate them, outwards from y."""
        theta = np.broadcast_to(self._theta(p), y.shape).copy()
        below, at = np.empty_like(y), np.empty_like(y)
        _cumulate(np.ceil(y) - 1.0, theta, _ratio_table(_TABLE), below)
        _cumulate(np.floor(y), theta, _ratio_table(_TABLE), at)
        return below, np.maximum(below, at)

    def working_variance(self, mu: Array, trials: Array) -> Array:
        """Return mu (1 + theta)."""
        return mu * (1 + special.wrightomega(np.log(mu)))


@kernel
def _cumulate(y, theta, log_ratio, out):
    for i in range(y.size):
        if y[i] < log_ratio.size:
            constant, log_theta = -math.expm1(min(theta[i], 700.0)), math.log(theta[i])
            total = 0.0
            for k in range(int(y[i]) + 1):
                total += math.exp(k * log_theta + constant + log_ratio[k])
            out[i] = min(total, 1.0) if y[i] >= 0.0 else 0.0
        elif y[i] < theta[i] * math.exp(min(theta[i], 700.0)):
            out[i] = min(_tail(y[i], -1.0, theta[i]), 1.0)
        else:
            out[i] = max(1.0 - _tail(y[i] + 1.0, 1.0, theta[i]), 0.0)


@kernel
def _log_probability(y, theta):
    return y * math.log(theta) - math.expm1(min(theta, 700.0)) + log_bell_ratio(y)


@kernel
def _tail(start, direction, theta):
    """Probability of a large `start` and of all counts beyond it in `direction`, away from the mean.

    Far out, where one count more changes the probability by a tenth, counts are summed; else the sum is
    the integral from half a count before plus f'/24 there (midpoint rule read backwards).
    """
    total, low = 0.0, start
    p, before = math.exp(_log_probability(start, theta)), math.exp(_log_probability(start - direction, theta))
    if abs(p - before) <= 0.1 * p:
        total = (p - before) / 24.0
    while low >= 0.0:
        log_p = _log_probability(low, theta)
        rate = abs(_log_probability(low + direction, theta) - log_p)
        if rate > 0.1:
            total += math.exp(log_p)
            low += direction
        else:
            width = math.ceil(min(2.0 / max(rate, 1e-300), 0.5 * math.sqrt(low)))
            part = 0.0
            for k in range(_GAUSS_NODES.size):
                j = low + direction * (0.5 * width * (1.0 + _GAUSS_NODES[k]) - 0.5)
                part += _GAUSS_WEIGHTS[k] * math.exp(_log_probability(j, theta))
            total += 0.5 * width * part
            low += direction * width
        if log_p < -700.0 or math.exp(log_p) < 1e-18 * total:
            break
    return total
