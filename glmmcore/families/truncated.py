"""Counts without zeros: the laws of positive counts that make hurdle models.

With f0(0) = exp(-m) in the untruncated law, truncation adds -log(1 - exp(-m)) = K(log m) - log m, where K
and its derivatives (`special.truncation`) are small for small m. So the sum with the density stays accurate
down to m = 0, where all mass is on 1. mu is the mean of the untruncated law.
"""

from __future__ import annotations

from abc import abstractmethod
from types import MappingProxyType

import numpy as np

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Family, Parameters
from glmmcore.families.count_density import poisson_constant, poisson_core
from glmmcore.families.counts import CountFamily
from glmmcore.families.draws import (
    count_cdf,
    draw_negative_binomial,
    draw_poisson,
    negative_binomial_survival,
    poisson_survival,
)
from glmmcore.families.links import Array
from glmmcore.families.natural import derivatives_from
from glmmcore.families.nbinom1 import NegativeBinomial1, nb1_dispersion, nb1_row
from glmmcore.families.nbinom2 import NegativeBinomial2
from glmmcore.families.negative_binomial import (
    nb2_row,
    nb_constant,
    nb_core,
    nb_log1pmx,
    nb_lookup,
    nb_shares,
)
from glmmcore.families.poisson import Poisson
from glmmcore.families.special import clip_exponent, rising_table, table_size, truncation
from glmmcore.families.support import check_counts

__all__ = ["TruncatedNegativeBinomial1", "TruncatedNegativeBinomial2", "TruncatedPoisson"]


@kernel
def _poisson(y, eta, loglik, d1, d2, d3):
    for i in range(y.size):
        t = clip_exponent(eta[i])
        mu = np.exp(t)
        k0, k1, k2, k3 = truncation(mu)
        loglik[i] = poisson_core(y[i], t, mu) + poisson_constant(y[i]) + (k0 - t)
        d1[0, i] = (y[i] - 1.0) - mu + k1
        d2[0, i] = k2 - mu
        d3[0, i] = k3 - mu


@kernel
def _nbinom1(y, eta, delta, loglik, d1, d2, d3):
    c, g, h, kappa = nb1_dispersion(delta[0])
    d = delta[0]
    for i in range(y.size):
        if delta.size > 1:
            d = delta[i]
            c, g, h, kappa = nb1_dispersion(d)
        l, l1, l2, l3, e1, e2, e3, m = nb1_row(y[i], eta[i], d, c, g, h, kappa)
        k0, k1, k2, k3 = truncation(m)
        # log m = t + log g(delta), whose delta-derivative is -h / g
        turn = h / g
        loglik[i] = l + (k0 - clip_exponent(eta[i]) - np.log(g))
        d1[0, i], d2[0, i], d3[0, i] = (l1 - 1.0) + k1, l2 + k2, l3 + k3
        d1[1, i], d2[1, i], d3[1, i] = e1 + turn - k1 * turn, e2 - k2 * turn, e3 - k3 * turn


@kernel
def _nbinom2(y, eta, delta, table, loglik, d1, d2, d3):
    d = clip_exponent(delta[0])
    k = np.exp(d)
    for i in range(y.size):
        if delta.size > 1:
            d = clip_exponent(delta[i])
            k = np.exp(d)
        t = clip_exponent(eta[i])
        p, q, log_ratio, mu = nb_shares(t - d, k)
        rise, s1, t1, _, _ = nb_lookup(y[i], k, table)
        l = nb_core(y[i], t, mu, k, d, p, log_ratio, k * log_ratio) + nb_constant(y[i], rise, k, d)
        l1, l2, l3, e1, e2, e3 = nb2_row(y[i], k, p, q, log_ratio, mu, s1, t1)
        # log m = log(k log(1 + x)): r1, r2, r3 its derivatives in t; those in (delta; t delta; t t delta) are
        # 1 - r1, -r2, -r3 since m / k depends on t - delta only
        if log_ratio < 1e-280:
            # x underflows: the Poisson limit
            m, r1 = np.exp(t), 1.0
        else:
            m, r1 = k * log_ratio, q / log_ratio
        k0, k1, k2, k3 = truncation(m)
        if log_ratio < 1e-280:
            below, rest = 0.0, 0.0
        elif p > q:
            x = mu / k
            lm = nb_log1pmx(x, log_ratio)
            below = p * lm / log_ratio
            rest = (lm + x * q) / log_ratio
        else:
            below, rest = p - r1, 1.0 - r1
        r2 = r1 * below
        r3 = r1 * (below * (below - r1) - p * q)
        c1 = k1 - 1.0
        loglik[i] = l + (k0 - np.log(m))
        # (l1 - p) and (p - r1) instead of l1 - r1: exact for y = 1 as mu tends to 0
        d1[0, i] = (l1 - p) + below + k1 * r1
        d2[0, i] = l2 + k2 * r1 * r1 + c1 * r2
        d3[0, i] = l3 + k3 * r1 * r1 * r1 + 3.0 * k2 * r1 * r2 + c1 * r3
        d1[1, i] = e1 + c1 * rest
        d2[1, i] = e2 + k2 * r1 * rest - c1 * r2
        d3[1, i] = e3 + k3 * r1 * r1 * rest + k2 * (r2 * rest - 2.0 * r1 * r2) - c1 * r3


class _Truncated(CountFamily):
    """What zero-truncated laws owe to their untruncated ones."""

    hurdle = True
    links = ("log", "identity", "sqrt")

    @abstractmethod
    def _whole(self) -> Family:
        """Return the untruncated family."""

    @abstractmethod
    def _survival(self, y: Array, p: Parameters) -> Array:
        """P(Y > y) in the untruncated law."""

    def check_support(self, y: Array, trials: Array, *, zero_model: bool = False) -> None:
        """Refuse what is not a count >= 1; zeros are let through for a hurdle."""
        advice = f"use zi= or family='{self._whole().name}'"
        check_counts(self.name, y, minimum=0 if zero_model else 1, advice=advice)

    def _natural_newton(self, y: Array, t: Array, delta: Array, psi: Array) -> tuple[Array, Array, Array]:
        d = self._natural_derivatives(y, t, delta, psi)
        return d.loglik, d.d1[0], d.d2[0]

    def mean(self, trials: Array, p: Parameters) -> Array:
        """Return mu / (1 - f0(0))."""
        return self._mu(p) / self._survival(np.zeros(p.eta.size), p)

    def variance(self, trials: Array, p: Parameters) -> Array:
        """Return m (V0 / mu + mu - m), m the mean and V0 the variance of the untruncated law."""
        mu, mean = self._mu(p), self.mean(trials, p)
        return np.maximum(mean * (self._whole().variance(trials, p) / mu + (mu - mean)), 0.0)

    def cdf(self, y: Array, trials: Array, p: Parameters) -> tuple[Array, Array]:
        """See `Family.cdf`."""
        positive = self._survival(np.zeros(p.eta.size), p)

        def at(k: Array) -> Array:
            return np.where(k < 1, 0.0, np.maximum(1 - self._survival(k, p) / positive, 0.0))

        return count_cdf(at, y)

    def start_mean(self, y: Array, trials: Array) -> Array:
        """Return the counts lowered towards the mean of the untruncated law."""
        return np.maximum(y - 0.5, 0.5)


def _first_cluster(m: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Fraction of time left after the first event of a Poisson process of mean m, given that there is one."""
    first = -np.log1p(rng.random(shape) * np.expm1(-m))
    return np.clip(1 - first / m, 0.0, 1.0)


def _draw_negative_binomial(mu: Array, size: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Zero-truncated draws: a Poisson number >= 1 of clusters, each of logarithmic size (Quenouille 1949)."""
    log_ratio = np.broadcast_to(np.log1p(mu / size), shape)
    left = _first_cluster(np.broadcast_to(size, shape) * log_ratio, shape, rng)
    # one logarithmic variate: geometric with failure probability 1 - exp(-log_ratio u) (Kemp 1981)
    log_failure = np.log(-np.expm1(-log_ratio * rng.random(shape)))
    with np.errstate(divide="ignore"):
        cluster = 1 + np.floor(np.minimum(np.log(1 - rng.random(shape)) / log_failure, 1e18))
    return cluster + draw_negative_binomial(mu * left, np.maximum(size * left, 1e-300), shape, rng)


class TruncatedPoisson(_Truncated):
    """Poisson given y >= 1.

    Examples
    --------
    >>> p = Parameters(np.log([2.0]), np.zeros(1), np.zeros(0))
    >>> float(TruncatedPoisson().mean(np.ones(1), p)[0].round(6))
    2.313035
    """

    name = "truncated_poisson"

    def _whole(self) -> Family:
        return Poisson(self.link)

    def _survival(self, y: Array, p: Parameters) -> Array:
        return poisson_survival(y, self._mu(p))

    def _natural_derivatives(self, y: Array, t: Array, delta: Array, psi: Array) -> Derivatives:
        return derivatives_from(_poisson, 1, y, t)

    def simulate(self, trials: Array, p: Parameters, n_sims: int, rng: np.random.Generator) -> Array:
        """Draw the first event of the Poisson process, then the rest."""
        mu, shape = self._mu(p), (n_sims, p.eta.size)
        return 1 + draw_poisson(mu * _first_cluster(mu, shape, rng), shape, rng)


class TruncatedNegativeBinomial1(_Truncated):
    """nbinom1 given y >= 1.

    Examples
    --------
    >>> p = Parameters(np.log([2.0]), np.zeros(1), np.zeros(0))
    >>> float(TruncatedNegativeBinomial1().mean(np.ones(1), p)[0].round(6))
    2.666667
    """

    name = "truncated_nbinom1"
    no_overdispersion = -6.0
    special_cases = MappingProxyType({"truncated_poisson": ("overdispersion",)})
    dispersion_words = "{sigma:.4g}: before truncation the variance is {increased:.4g} times the mean"
    has_dispersion = True
    limits = MappingProxyType({("disp", -1): "the zero-truncated Poisson distribution"})

    def _whole(self) -> NegativeBinomial1:
        return NegativeBinomial1(self.link)

    def _survival(self, y: Array, p: Parameters) -> Array:
        return negative_binomial_survival(y, self._mu(p), self._whole().size(p))

    def _natural_derivatives(self, y: Array, t: Array, delta: Array, psi: Array) -> Derivatives:
        return derivatives_from(_nbinom1, 2, y, t, delta)

    def simulate(self, trials: Array, p: Parameters, n_sims: int, rng: np.random.Generator) -> Array:
        """See `Family.simulate`."""
        return _draw_negative_binomial(self._mu(p), self._whole().size(p), (n_sims, p.eta.size), rng)

    def start_delta(self, pearson: float) -> float:
        """As for nbinom1."""
        return self._whole().start_delta(pearson)


class TruncatedNegativeBinomial2(_Truncated):
    """nbinom2 given y >= 1.

    Examples
    --------
    >>> p = Parameters(np.log([2.0]), np.zeros(1), np.zeros(0))
    >>> float(TruncatedNegativeBinomial2().mean(np.ones(1), p)[0].round(6))
    3.0
    """

    name = "truncated_nbinom2"
    no_overdispersion = 6.0
    special_cases = MappingProxyType({"truncated_poisson": ("overdispersion",)})
    dispersion_words = "{sigma:.4g}: before truncation the variance is mean + mean^2 / {sigma:.4g}"
    has_dispersion = True
    limits = MappingProxyType(
        {
            ("disp", -1): "the logarithmic series distribution",
            ("disp", 1): "the zero-truncated Poisson distribution",
        }
    )

    def _whole(self) -> NegativeBinomial2:
        return NegativeBinomial2(self.link)

    def _survival(self, y: Array, p: Parameters) -> Array:
        return negative_binomial_survival(y, self._mu(p), self._whole().size(p))

    def _natural_derivatives(self, y: Array, t: Array, delta: Array, psi: Array) -> Derivatives:
        size = table_size(y) if delta.size == 1 else 0
        table = rising_table(size, float(np.exp(clip_exponent(delta[0]))))
        return derivatives_from(_nbinom2, 2, y, t, delta, table)

    def simulate(self, trials: Array, p: Parameters, n_sims: int, rng: np.random.Generator) -> Array:
        """See `Family.simulate`."""
        return _draw_negative_binomial(self._mu(p), self._whole().size(p), (n_sims, p.eta.size), rng)

    def working_variance(self, mu: Array, trials: Array) -> Array:
        """As for nbinom2."""
        return self._whole().working_variance(mu, trials)

    def start_delta(self, pearson: float) -> float:
        """As for nbinom2."""
        return self._whole().start_delta(pearson)
