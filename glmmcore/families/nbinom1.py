"""Negative binomial counts with a linear variance."""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.natural import derivatives_from, newton_from
from glmmcore.families.negative_binomial import NegativeBinomialFamily, nb_constant, nb_core
from glmmcore.families.special import FAR_EXPONENT, clip_exponent, expit, log1pmx, rising_at, softplus

__all__ = ["NegativeBinomial1", "nb1_dispersion", "nb1_row"]


@kernel
def nb1_dispersion(delta):
    """(c, g, h, kappa): c = log1p(phi), g = c / phi, h = (c - kappa) / phi, kappa = phi / (1 + phi)."""
    d = clip_exponent(delta)
    phi, kappa = math.exp(d), expit(d)
    c = softplus(d)
    h = (log1pmx(phi) + phi * kappa) / phi if phi < 1.0 else (c - kappa) / phi
    return c, c / phi, h, kappa


@kernel
def nb1_row(y, t, delta, c, g, h, kappa):
    """Log density and (l_t, l_tt, l_ttt, l_d, l_td, l_ttd), then the minus log of f(0)."""
    t, delta = clip_exponent(t), clip_exponent(delta)
    log_k = t - delta
    k = math.exp(clip_exponent(log_k))
    mu = math.exp(t)
    rise, s1, t1, t2, t3 = rising_at(y, log_k)
    # with n = mu / phi: n c and n (c - kappa), which stay finite as phi tends to 0
    nc, nh = mu * g, mu * h
    # 1 / (1 + phi), which 1 - kappa rounds to 0 for large phi
    p = 1.0 - kappa if kappa < 0.5 else math.exp(-c)
    l = nb_core(y, t, mu, k, log_k, p, c, nc) + nb_constant(y, rise, k, log_k)
    if y == 0.0:
        l = -nc
    dispersion = nh - t1 - y * kappa if kappa < 0.5 else nh - s1 + y * (1.0 - kappa)
    return l, s1 - nc, t2 - nc, t3 - nc, dispersion, nh - t2, nh - t3, nc


@kernel
def _newton(y, eta, delta, loglik, l1, l2):
    c, g, h, kappa = nb1_dispersion(delta[0])
    d = delta[0]
    for i in range(y.size):
        if delta.size > 1:
            d = delta[i]
            c, g, h, kappa = nb1_dispersion(d)
        loglik[i], l1[i], l2[i], _, _, _, _, _ = nb1_row(y[i], eta[i], d, c, g, h, kappa)


@kernel
def _derivatives(y, eta, delta, loglik, d1, d2, d3):
    c, g, h, kappa = nb1_dispersion(delta[0])
    d = delta[0]
    for i in range(y.size):
        if delta.size > 1:
            d = delta[i]
            c, g, h, kappa = nb1_dispersion(d)
        row = nb1_row(y[i], eta[i], d, c, g, h, kappa)
        loglik[i], d1[0, i], d2[0, i], d3[0, i], d1[1, i], d2[1, i], d3[1, i], _ = row


class NegativeBinomial1(NegativeBinomialFamily):
    """Negative binomial with size mu / phi: variance mu (1 + phi), Poisson as phi tends to 0.

    Examples
    --------
    >>> p = Parameters(np.log([2.0]), np.zeros(1), np.zeros(0))
    >>> float(NegativeBinomial1().variance(np.ones(1), p)[0])
    4.0
    """

    name = "nbinom1"
    no_overdispersion = -6.0
    special_cases = MappingProxyType({"poisson": ("overdispersion",)})
    dispersion_words = "{sigma:.4g}: the variance is {increased:.4g} times the mean"
    has_dispersion = True
    limits = MappingProxyType({("disp", -1): "the Poisson distribution"})

    def _natural_newton(
        self, y: np.ndarray, t: np.ndarray, delta: np.ndarray, psi: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return newton_from(_newton, y, t, delta)

    def _natural_derivatives(self, y: np.ndarray, t: np.ndarray, delta: np.ndarray, psi: np.ndarray) -> Derivatives:
        return derivatives_from(_derivatives, 2, y, t, delta)

    def size(self, p: Parameters) -> np.ndarray:
        """Size parameter of the negative binomial law."""
        return np.exp(np.clip(np.log(self._mu(p)) - p.delta, -FAR_EXPONENT, FAR_EXPONENT))

    def variance(self, trials: np.ndarray, p: Parameters) -> np.ndarray:
        """Return mu (1 + phi)."""
        return self._mu(p) * (1 + np.exp(p.delta))

    def start_delta(self, pearson: float) -> float:
        """Log of the excess of the Pearson ratio over 1."""
        return float(np.log(max(pearson - 1, 0.05)))
