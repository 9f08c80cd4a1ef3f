"""Generalised Poisson counts (Consul), over- or underdispersed."""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.count_density import poisson_constant, poisson_core
from glmmcore.families.counts import CountFamily
from glmmcore.families.draws import count_cdf, draw_poisson, first_above
from glmmcore.families.natural import as_kernel_input, derivatives_from, newton_from
from glmmcore.families.special import clip_exponent

__all__ = ["GeneralizedPoisson"]

_SMALLEST_RATE = 1e-80
# Beyond this mean an underdispersed law is taken as a rounded normal one in draws and distribution function.
_LONG_TABLE = 1e6


@kernel
def _row(y, t, delta):
    """Log density and (l_t, l_tt, l_ttt, l_d, l_td, l_ttd).

    theta = mu s, m = theta + lambda y = y + s (mu - y), s = exp(-delta / 2); rho = theta / m, e = 1 - y / m.
    """
    t, half = clip_exponent(t), 0.5 * clip_exponent(delta)
    s, mu = math.exp(-half), math.exp(t)
    theta = math.exp(clip_exponent(t - half))
    if y == 0.0:
        return -theta, -theta, -theta, -theta, 0.5 * theta, 0.5 * theta, 0.5 * theta
    m = theta - math.expm1(-half) * y
    if m <= 0.0:
        return -np.inf, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    m = max(m, _SMALLEST_RATE)
    log_m = math.log(m)
    l = t - half - log_m + poisson_core(y, log_m, m) + poisson_constant(y)
    rho = min(theta / m, 1.0 / _SMALLEST_RATE)
    gap = min(s * (mu - y), 1e300)
    e = gap / m
    a = (y - 1.0) * rho
    b = a * (1.0 - rho)
    return (
        l,
        1.0 + a - theta,
        b - theta,
        b * (1.0 - 2.0 * rho) - theta,
        0.5 * (gap - 1.0 - (y - 1.0) * e),
        0.5 * (theta - a * (1.0 - e)),
        0.5 * theta - a * (1.0 - e) * (0.5 - rho),
    )


@kernel
def _newton(y, eta, delta, loglik, l1, l2):
    for i in range(y.size):
        d = delta[0] if delta.size == 1 else delta[i]
        loglik[i], l1[i], l2[i], _, _, _, _ = _row(y[i], eta[i], d)


@kernel
def _derivatives(y, eta, delta, loglik, d1, d2, d3):
    for i in range(y.size):
        d = delta[0] if delta.size == 1 else delta[i]
        loglik[i], d1[0, i], d2[0, i], d3[0, i], d1[1, i], d2[1, i], d3[1, i] = _row(y[i], eta[i], d)


@kernel
def _mass(y, t, delta):
    return math.exp(_row(y, t, delta)[0])


@kernel
def _tail(k, step, t, delta):
    """Sum the masses of a unimodal law from k in steps of -1 or 1 until they no longer matter."""
    total, previous = 0.0, 0.0
    while k >= 0.0:
        mass = _mass(k, t, delta)
        total += mass
        if mass == 0.0 or (mass < previous and mass < 1e-18 * total):
            break
        previous, k = mass, k + step
    return total


@kernel
def _overdispersed_cdf(y, t, delta):
    """P(Y <= y), from the side that takes fewer terms; the upper tail falls like exp(-k / (2 phi))."""
    if y < math.exp(t) or y < 70.0 * math.exp(delta) + 50.0:
        return min(_tail(y, -1.0, t, delta), 1.0)
    return max(1.0 - _tail(y + 1.0, 1.0, t, delta), 0.0)


@kernel
def _support_end(t, delta):
    """Largest count of an underdispersed law that matters: the end of its support, or where masses vanish."""
    s = math.exp(-0.5 * delta)
    mu = math.exp(t)
    bound = math.ceil(mu * s / (s - 1.0)) - 1.0
    return max(min(bound, mu + 40.0 * math.sqrt(mu) + 60.0), 0.0)


@kernel
def _cumulated(t, delta):
    """Sums of the masses of an underdispersed law up to 0, 1, ... and the last count that matters; no mass, no sum."""
    size = int(_support_end(t, delta)) + 1
    sums = np.empty(size)
    total = 0.0
    for k in range(size):
        total += _mass(float(k), t, delta)
        sums[k] = total
    return sums


@kernel
def _total(eta, delta, out):
    """Sum of the masses of underdispersed laws, 1 of others."""
    for i in range(eta.size):
        d = clip_exponent(delta[0] if delta.size == 1 else delta[i])
        t = clip_exponent(eta[i])
        out[i] = 1.0
        if d < 0.0 and math.exp(t) <= _LONG_TABLE:
            out[i] = _cumulated(t, d)[-1]


@kernel
def _underdispersed_cdf(y, t, delta):
    """P(Y <= y), y >= 0, of the masses divided by their sum."""
    sums = _cumulated(t, delta)
    last = sums.size - 1
    if sums[last] > 0.0:
        return sums[int(min(y, last))] / sums[last]
    # no mass is representable for a dispersion near 0: all of it goes to the last count, as in `_invert`
    return 1.0 if y >= last else 0.0


@kernel
def _cdf(y, eta, delta, out):
    for i in range(y.size):
        d = clip_exponent(delta[0] if delta.size == 1 else delta[i])
        t = clip_exponent(eta[i])
        if d >= 0.0:
            out[i] = _overdispersed_cdf(y[i], t, d)
        elif math.exp(t) > _LONG_TABLE:
            sd = math.exp(0.5 * (t + d))
            out[i] = 0.5 * math.erfc((math.exp(t) - y[i] - 0.5) / sd / math.sqrt(2.0))
        else:
            out[i] = _underdispersed_cdf(y[i], t, d)


@kernel
def _invert(uniform, eta, delta, out):
    """Underdispersed draws by inversion of the normalised masses."""
    for i in range(eta.size):
        d = clip_exponent(delta[0] if delta.size == 1 else delta[i])
        if d >= 0.0:
            continue
        sums = _cumulated(clip_exponent(eta[i]), d)
        for j in range(uniform.shape[0]):
            out[j, i] = first_above(sums, sums.size, uniform[j, i] * sums[-1])


class GeneralizedPoisson(CountFamily):
    """Generalised Poisson with mean mu and variance mu phi.

    l = log theta + (y - 1) log(theta + lambda y) - theta - lambda y - log y!, theta = mu / sqrt(phi),
    lambda = 1 - 1 / sqrt(phi) (Consul and Jain 1973).

    Notes
    -----
    For phi < 1 the support ends where theta + lambda y <= 0 (log density -inf beyond), the masses then sum
    only nearly to 1, and mean and variance are the formal ones. Draws and distribution function use the
    masses divided by their sum.

    Examples
    --------
    >>> p = Parameters(np.log([2.0]), np.zeros(1), np.zeros(0))
    >>> GeneralizedPoisson().derivatives(np.array([3.0]), np.ones(1), p).d1[0]
    array([1.])
    """

    name = "genpois"
    no_overdispersion = 0.0
    special_cases = MappingProxyType({"poisson": ()})
    dispersion_words = "{sigma:.4g}: the variance is {sigma:.4g} times the mean"
    has_dispersion = True

    def _natural_newton(
        self, y: np.ndarray, t: np.ndarray, delta: np.ndarray, psi: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return newton_from(_newton, y, t, delta)

    def _natural_derivatives(self, y: np.ndarray, t: np.ndarray, delta: np.ndarray, psi: np.ndarray) -> Derivatives:
        return derivatives_from(_derivatives, 2, y, t, delta)

    def variance(self, trials: np.ndarray, p: Parameters) -> np.ndarray:
        """Return mu phi."""
        return self._mu(p) * np.exp(p.delta)

    def simulate(self, trials: np.ndarray, p: Parameters, n_sims: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the total progeny of a branching process (phi >= 1), or by inversion (phi < 1)."""
        mu, delta = self._mu(p), np.clip(p.delta, -600.0, 600.0)
        shape = (n_sims, p.eta.size)
        over = np.broadcast_to(delta >= 0, p.eta.shape)
        draws = np.empty(shape)
        if over.any():
            draws[:, over] = _total_progeny(mu, delta, over, n_sims, rng)
        long = ~over & (mu > _LONG_TABLE)
        if not over.all():
            t = np.log(np.where(long, 1.0, mu))
            _invert(rng.random(shape), t, as_kernel_input(delta), draws)
        if long.any():
            sd = np.sqrt(mu * np.exp(delta))
            draws[:, long] = np.rint(mu + sd * rng.standard_normal(shape))[:, long]
        return draws

    def cdf(self, y: np.ndarray, trials: np.ndarray, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
        """See `Family.cdf`; a sum of up to about min(y, 70 phi) masses."""
        t = np.log(self._mu(p))

        def at(k: np.ndarray) -> np.ndarray:
            out = np.empty_like(k)
            _cdf(as_kernel_input(k), t, as_kernel_input(p.delta), out)
            return out

        return count_cdf(at, y)

    def total_probability(self, p: Parameters) -> np.ndarray:
        """See `Family.total_probability`; a law of underdispersed counts of small mean is no distribution."""
        out = np.empty(p.eta.size)
        _total(np.log(self._mu(p)), as_kernel_input(p.delta), out)
        return out

    def start_delta(self, pearson: float) -> float:
        """Log of the Pearson ratio."""
        return float(np.log(np.clip(pearson, 0.2, 100.0)))


def _total_progeny(
    mu: np.ndarray, delta: np.ndarray, rows: np.ndarray, n_sims: int, rng: np.random.Generator
) -> np.ndarray:
    """Individuals ever born when Poisson(theta) founders each have Poisson(lambda) children (Consul 1989)."""
    half = np.broadcast_to(0.5 * delta, mu.shape)[rows]
    offspring = np.broadcast_to(-np.expm1(-half), (n_sims, half.size)).ravel()
    generation = draw_poisson(mu[rows] * np.exp(-half), (n_sims, half.size), rng).ravel()
    total = generation.copy()
    alive = np.flatnonzero(generation)
    generation = generation[alive]
    while alive.size:
        generation = draw_poisson(generation * offspring[alive], (alive.size,), rng)
        total[alive] += generation
        going = generation > 0
        alive, generation = alive[going], generation[going]
    return total.reshape(n_sims, half.size)
