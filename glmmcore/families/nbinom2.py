"""Negative binomial counts with a quadratic variance."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.natural import derivatives_from, newton_from
from glmmcore.families.negative_binomial import (
    NegativeBinomialFamily,
    nb2_row,
    nb_constant,
    nb_core,
    nb_lookup,
    nb_split,
)
from glmmcore.families.special import FAR_EXPONENT, clip_exponent, rising_table, table_size
from glmmcore.families.vector import clipped, exp_and_log1p

__all__ = ["NegativeBinomial2"]


@kernel
def _newton(y, t, delta, gap, tail, log1p_tail, loglik, l1, l2):
    """`t` is log mu, brought into range, `gap` log mu - log k, `tail` exp(-|gap|)."""
    d = clip_exponent(delta[0])
    k = np.exp(d)
    for i in range(y.size):
        if delta.size > 1:
            d = clip_exponent(delta[i])
            k = np.exp(d)
        p, q, log_ratio, mu = nb_split(gap[i], tail[i], log1p_tail[i], k)
        loglik[i] = nb_core(y[i], t[i], mu, k, d, p, log_ratio, k * log_ratio)
        # mu p = k q; each form is the stable one on its side
        l1[i] = y[i] * p - (mu * p if p > q else k * q)
        l2[i] = -(y[i] + k) * q * p


@kernel
def _derivatives(y, t, delta, gap, tail, log1p_tail, table, loglik, d1, d2, d3):
    d = clip_exponent(delta[0])
    k = np.exp(d)
    for i in range(y.size):
        if delta.size > 1:
            d = clip_exponent(delta[i])
            k = np.exp(d)
        p, q, log_ratio, mu = nb_split(gap[i], tail[i], log1p_tail[i], k)
        rise, s1, t1, _, _ = nb_lookup(y[i], k, table)
        loglik[i] = nb_core(y[i], t[i], mu, k, d, p, log_ratio, k * log_ratio) + nb_constant(y[i], rise, k, d)
        d1[0, i], d2[0, i], d3[0, i], d1[1, i], d2[1, i], d3[1, i] = nb2_row(y[i], k, p, q, log_ratio, mu, s1, t1)


def _means(t: np.ndarray, delta: np.ndarray) -> tuple[np.ndarray, ...]:
    """Log mu in range, delta, log mu - log k, exp of minus its size, and log1p of that."""
    t = clipped(t)
    gap = t - clipped(delta)
    return t, delta, gap, *exp_and_log1p(gap)


class NegativeBinomial2(NegativeBinomialFamily):
    """Negative binomial with size phi: variance mu (1 + mu / phi), Poisson as phi grows.

    Examples
    --------
    >>> p = Parameters(np.log([2.0]), np.zeros(1), np.zeros(0))
    >>> float(NegativeBinomial2().variance(np.ones(1), p)[0])
    6.0
    """

    name = "nbinom2"
    no_overdispersion = 6.0
    special_cases = MappingProxyType({"poisson": ("overdispersion",)})
    dispersion_words = "{sigma:.4g}: the variance is mean + mean^2 / {sigma:.4g}"
    has_dispersion = True
    limits = MappingProxyType({("disp", 1): "the Poisson distribution"})

    def _natural_newton(
        self, y: np.ndarray, t: np.ndarray, delta: np.ndarray, psi: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return newton_from(_newton, y, *_means(t, delta))

    def _natural_derivatives(self, y: np.ndarray, t: np.ndarray, delta: np.ndarray, psi: np.ndarray) -> Derivatives:
        size = table_size(y) if delta.size == 1 else 0
        table = rising_table(size, float(np.exp(clip_exponent(delta[0]))))
        return derivatives_from(_derivatives, 2, y, *_means(t, delta), table)

    def size(self, p: Parameters) -> np.ndarray:
        """Size parameter of the negative binomial law."""
        return np.exp(np.clip(p.delta, -FAR_EXPONENT, FAR_EXPONENT))

    def variance(self, trials: np.ndarray, p: Parameters) -> np.ndarray:
        """Return mu (1 + mu / phi)."""
        mu = self._mu(p)
        return mu * (1 + mu / self.size(p))

    def unit_deviance(self, y: np.ndarray, trials: np.ndarray, mean: np.ndarray, p: Parameters) -> np.ndarray:
        """2 [y log(y / mean) - (y + phi) log((y + phi) / (mean + phi))]."""
        phi = np.exp(p.delta)
        return 2.0 * (special.xlogy(y, y / mean) - (y + phi) * np.log((y + phi) / (mean + phi)))

    def working_variance(self, mu: np.ndarray, trials: np.ndarray) -> np.ndarray:
        """Variance at phi = 1."""
        return mu * (1 + mu)

    def start_delta(self, pearson: float) -> float:
        """Guess from the ratio of the residual variance to that at phi = 1."""
        return float(np.clip(-np.log(max(pearson, 1e-3)), -2.0, 3.0))
