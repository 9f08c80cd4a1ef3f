"""Negative binomial counts with a quadratic variance."""

from __future__ import annotations

import math

import numpy as np

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.counts import CountFamily
from glmmcore.families.draws import count_cdf, draw_negative_binomial, negative_binomial_cdf
from glmmcore.families.special import (
    HALF_LOG_2PI,
    LARGE_COUNT,
    clip_exponent,
    log1pmx,
    rising,
    rising_table,
    stirling_error,
    table_size,
)

__all__ = ["NegativeBinomial2", "nb_constant", "nb_core", "nb_shares"]


@kernel
def nb_shares(gap, k):
    """Return (p, q, log1p(mu/k), mu) with p = k/(k+mu), q = mu/(k+mu), from gap = log mu - log k."""
    e = math.exp(-abs(gap))
    small, large, s = e / (1.0 + e), 1.0 / (1.0 + e), math.log1p(e)
    if gap > 0:
        return small, large, gap + s, k / e
    return large, small, s, k * e


@kernel
def nb_core(y, eta, mu, k, p, log_ratio):
    """Negative binomial log density (size k, p and log_ratio of `nb_shares`) less `nb_constant`."""
    plain = y * eta - (y + k) * log_ratio
    if y < LARGE_COUNT:
        return plain
    gap = p * (mu - y)
    if abs(gap) < 0.5 * min(y, k):
        return y * log1pmx(gap / y) + k * log1pmx(-gap / k)
    # log(1 + y/k), where y/k may overflow
    own_ratio = math.log1p(y / k) if y < k else math.log1p(k / y) + math.log(y) - math.log(k)
    return y * (eta - math.log(y)) - (y + k) * (log_ratio - own_ratio)


@kernel
def nb_constant(y, rise, log_factorial, k, log_k):
    """Return log of lgamma(y+k)/(lgamma(k) k^y y!), or the log density at mean y for large y."""
    if y < LARGE_COUNT:
        return rise - log_factorial
    return (
        stirling_error(y + k)
        - stirling_error(k)
        - stirling_error(y)
        - HALF_LOG_2PI
        + 0.5 * (log_k - math.log(y + k) - math.log(y))
    )


@kernel
def _newton(y, eta, delta, loglik, l1, l2):
    d = clip_exponent(delta[0])
    k = np.exp(d)
    for i in range(y.size):
        if delta.size > 1:
            d = clip_exponent(delta[i])
            k = np.exp(d)
        p, q, log_ratio, mu = nb_shares(clip_exponent(eta[i]) - d, k)
        loglik[i] = nb_core(y[i], eta[i], mu, k, p, log_ratio)
        # mu p = k q; each form is the stable one on its side
        l1[i] = y[i] * p - (mu * p if p > q else k * q)
        l2[i] = -(y[i] + k) * q * p


@kernel
def _derivatives(y, eta, delta, table, loglik, d1, d2, d3):
    d = clip_exponent(delta[0])
    k = np.exp(d)
    for i in range(y.size):
        if delta.size > 1:
            d = clip_exponent(delta[i])
            k = np.exp(d)
        p, q, log_ratio, mu = nb_shares(clip_exponent(eta[i]) - d, k)
        c = y[i]
        j = int(c) if c < table.shape[0] else -1
        if j == c:
            rise, s1, t1, log_factorial = table[j, 0], table[j, 1], table[j, 2], table[j, 5]
        else:
            rise, s1, t1, _, _ = rising(c, k)
            log_factorial = math.lgamma(c + 1.0)
        w = (c + k) * q * p
        first = c * p - (mu * p if p > q else k * q)
        loglik[i] = nb_core(c, eta[i], mu, k, p, log_ratio) + nb_constant(c, rise, log_factorial, k, d)
        d1[0, i] = first
        d2[0, i] = -w
        d3[0, i] = -w * (p - q)
        if p > q:
            d1[1, i] = t1 - k * log1pmx(mu / k) - (mu - c) * q
        else:
            d1[1, i] = s1 - k * log_ratio + k * q - c * p
        d2[1, i] = q * first
        d3[1, i] = q * p * (c * (p - q) - 2.0 * k * q)


class NegativeBinomial2(CountFamily):
    """Negative binomial with size phi: variance mu (1 + mu / phi), Poisson as phi grows.

    Examples
    --------
    >>> p = Parameters(np.log([2.0]), np.zeros(1), np.zeros(0))
    >>> float(NegativeBinomial2().variance(np.ones(1), p)[0])
    6.0
    """

    name = "nbinom2"
    has_dispersion = True

    def _natural_newton(
        self, y: np.ndarray, t: np.ndarray, delta: np.ndarray, psi: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        out = np.empty_like(y), np.empty_like(y), np.empty_like(y)
        _newton(y, t, delta, *out)
        return out

    def _natural_derivatives(
        self, y: np.ndarray, t: np.ndarray, delta: np.ndarray, psi: np.ndarray
    ) -> Derivatives:
        size = table_size(y) if delta.size == 1 else 0
        table = rising_table(size, float(np.exp(clip_exponent(delta[0]))))
        out = Derivatives.empty(2, y.size)
        _derivatives(y, t, delta, table, *out)
        return out

    def _size(self, p: Parameters) -> np.ndarray:
        return np.exp(np.clip(p.delta, -690.0, 690.0))

    def variance(self, trials: np.ndarray, p: Parameters) -> np.ndarray:
        """Return mu (1 + mu / phi)."""
        mu = self._mu(p)
        return mu * (1 + mu / self._size(p))

    def simulate(
        self, trials: np.ndarray, p: Parameters, n_sims: int, rng: np.random.Generator
    ) -> np.ndarray:
        """See `Family.simulate`."""
        return draw_negative_binomial(self._mu(p), self._size(p), (n_sims, p.eta.size), rng)

    def cdf(self, y: np.ndarray, trials: np.ndarray, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
        """See `Family.cdf`."""
        mu, size = self._mu(p), self._size(p)
        return count_cdf(lambda k: negative_binomial_cdf(k, mu, size), y)

    def working_variance(self, mu: np.ndarray, trials: np.ndarray) -> np.ndarray:
        """Variance at phi = 1."""
        return mu * (1 + mu)

    def start_delta(self, pearson: float) -> float:
        """Guess from the ratio of the residual variance to that at phi = 1."""
        return float(np.clip(-np.log(max(pearson, 1e-3)), -2.0, 3.0))
