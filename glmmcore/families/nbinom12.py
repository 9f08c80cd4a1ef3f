"""Negative binomial counts whose variance has a linear and a quadratic part."""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.natural import as_kernel_input, derivatives_from, newton_from
from glmmcore.families.negative_binomial import NegativeBinomialFamily, nb_constant, nb_core, nb_log1pmx, nb_shares
from glmmcore.families.special import FAR_EXPONENT, clip_exponent, expit, rising_at

__all__ = ["NegativeBinomial12"]


@kernel
def _row(y, t, delta, psi):
    """Log density, then (d1, d2, d3) for each of t, delta, psi.

    The size k = mu / (phi + mu / kappa) has log k = v(t, delta, psi); derivatives f of the density in (t, v)
    are carried over with u = dv/dt = -dv/d delta and 1 - u = dv/d psi.
    """
    t, delta, psi = clip_exponent(t), clip_exponent(delta), clip_exponent(psi)
    # log(phi + mu / kappa)
    slope = t - psi
    gap = max(delta, slope) + math.log1p(math.exp(-abs(delta - slope)))
    v = t - gap
    k = math.exp(clip_exponent(v))
    p, q, log_ratio, _ = nb_shares(t - v, k)
    mu = math.exp(t)
    rise, s1, t1, t2, t3 = rising_at(y, v)
    l = nb_core(y, t, mu, k, v, p, log_ratio, k * log_ratio) + nb_constant(y, rise, k, v)
    # derivatives in t and v, written with first = (y - mu) p
    first = y * p - (mu * p if p > q else k * q)
    w = (y + k) * p * q
    if p > q:
        x = mu / k
        lm = nb_log1pmx(x, log_ratio)
        f_v = t1 - k * lm - (mu - y) * q
        kg = k * (lm + x * q)
    else:
        f_v = s1 - k * log_ratio + k * q - y * p
        kg = k * (log_ratio - q)
    f_tt, f_ttt = -w, -w * (p - q)
    f_tv, f_ttv = q * first, q * p * (y * (p - q) - 2.0 * k * q)
    f_tvv = -q * first * (p - q)
    f_vv = t2 - kg - q * first
    f_vvv = t3 - kg + k * q * q + q * first * (p - q)
    # u and its derivatives in t
    u, r = expit(delta - slope), expit(slope - delta)
    u1 = -u * r
    u2 = u * r * (r - u)
    m1 = f_tv + f_vv * u
    m2 = f_ttv + 2.0 * f_tvv * u + f_vvv * u * u + f_vv * u1
    l1 = first + f_v * u
    l2 = f_tt + 2.0 * f_tv * u + f_vv * u * u + f_v * u1
    l3 = f_ttt + 3.0 * u * (f_ttv + f_tvv * u) + f_vvv * u * u * u + 3.0 * u1 * m1 + f_v * u2
    d = f_v * u, m1 * u + f_v * u1, m2 * u + 2.0 * m1 * u1 + f_v * u2
    s = f_v * r, m1 * r - f_v * u1, m2 * r - 2.0 * m1 * u1 - f_v * u2
    return l, l1, l2, l3, -d[0], -d[1], -d[2], s[0], s[1], s[2]


@kernel
def _newton(y, eta, delta, psi, loglik, l1, l2):
    for i in range(y.size):
        d = delta[0] if delta.size == 1 else delta[i]
        loglik[i], l1[i], l2[i], _, _, _, _, _, _, _ = _row(y[i], eta[i], d, psi[0])


@kernel
def _derivatives(y, eta, delta, psi, loglik, d1, d2, d3):
    for i in range(y.size):
        d = delta[0] if delta.size == 1 else delta[i]
        row = _row(y[i], eta[i], d, psi[0])
        loglik[i], d1[0, i], d2[0, i], d3[0, i] = row[:4]
        d1[1, i], d2[1, i], d3[1, i], d1[2, i], d2[2, i], d3[2, i] = row[4:]


class NegativeBinomial12(NegativeBinomialFamily):
    """Negative binomial with variance mu (1 + phi + mu / kappa), kappa = exp(psi).

    nbinom1 as kappa grows, nbinom2 (size kappa) as phi tends to 0. With little spread of the means the two
    parts are hardly told apart. `sigma` is phi.

    Examples
    --------
    >>> p = Parameters(np.log([2.0]), np.zeros(1), np.zeros(1))
    >>> float(NegativeBinomial12().variance(np.ones(1), p)[0].round(9))
    8.0
    """

    name = "nbinom12"
    special_cases = MappingProxyType(
        {
            "nbinom1": ("quadratic overdispersion",),
            "nbinom2": ("linear overdispersion",),
            "poisson": ("linear overdispersion", "quadratic overdispersion"),
        }
    )
    dispersion_words = "{sigma:.4g}: the linear part of the variance, mean (1 + {sigma:.4g} + mean / kappa)"
    has_dispersion = True
    several_maxima = True
    extra = ("log_kappa",)
    limits = MappingProxyType(
        {
            ("disp", -1): "a law without phi",
            ("log_kappa", 1): "a law without kappa",
        }
    )

    def _natural_newton(
        self, y: np.ndarray, t: np.ndarray, delta: np.ndarray, psi: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return newton_from(_newton, y, t, delta, as_kernel_input(psi))

    def _natural_derivatives(self, y: np.ndarray, t: np.ndarray, delta: np.ndarray, psi: np.ndarray) -> Derivatives:
        return derivatives_from(_derivatives, 3, y, t, delta, as_kernel_input(psi))

    def _excess(self, p: Parameters) -> np.ndarray:
        """Return log(phi + mu / kappa)."""
        return np.logaddexp(p.delta, np.log(self._mu(p)) - p.psi[0])

    def size(self, p: Parameters) -> np.ndarray:
        """Size parameter of the negative binomial law."""
        return np.exp(np.clip(np.log(self._mu(p)) - self._excess(p), -FAR_EXPONENT, FAR_EXPONENT))

    def variance(self, trials: np.ndarray, p: Parameters) -> np.ndarray:
        """Return mu (1 + phi + mu / kappa)."""
        return self._mu(p) * (1 + np.exp(self._excess(p)))

    def start_delta(self, pearson: float) -> float:
        """Log of half the excess of the Pearson ratio over 1."""
        return float(np.log(max(0.5 * (pearson - 1), 0.05)))

    def start_psi(self) -> tuple[np.ndarray, ...]:
        """From a mostly quadratic and from a mostly linear variance."""
        return np.array([0.0]), np.array([3.0])

    def describe_extra(self, psi: np.ndarray) -> dict[str, float]:
        """Kappa."""
        return {"kappa": float(np.exp(psi[0]))}
