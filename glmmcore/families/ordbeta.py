"""Ordered beta regression: proportions with masses at 0 and 1 (Kubinec 2022)."""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.beta import beta_terms, clip_delta, precision_terms
from glmmcore.families.continuous_support import BELOW_ONE, SMALLEST, check_proportions
from glmmcore.families.links import Array
from glmmcore.families.natural import NaturalFamily, derivatives_from
from glmmcore.families.special import expit, softplus

__all__ = ["OrdBeta"]


@kernel
def _derivatives(y, t, delta, lower, gap, l, d1, d2, d3):
    log_gap_mass = math.log(-math.expm1(-gap))
    gap_slope = gap / math.expm1(gap) if gap < 700.0 else 0.0
    d = clip_delta(delta[0])
    log_gamma_phi, p0 = precision_terms(d)
    for i in range(y.size):
        # P(Y > 0) = F(a), P(Y = 1) = F(b), F(a) - F(b) = F(a) (1 - F(b)) (1 - e^-gap), a - b = gap
        a = t[i] - lower
        b = a - gap
        va, vb = expit(a) * expit(-a), expit(b) * expit(-b)
        va1, vb1 = va * (expit(-a) - expit(a)), vb * (expit(-b) - expit(b))
        d1[1, i] = d2[1, i] = d3[1, i] = 0.0
        if y[i] <= 0.0:
            l[i] = -softplus(a)
            d1[0, i], d2[0, i], d3[0, i] = -expit(a), -va, -va1
            d1[3, i] = d2[3, i] = d3[3, i] = 0.0
        elif y[i] >= 1.0:
            l[i] = -softplus(-b)
            d1[0, i], d2[0, i], d3[0, i] = expit(-b), -vb, -vb1
            d1[3, i], d2[3, i], d3[3, i] = -gap * expit(-b), gap * vb, gap * vb1
        else:
            l[i] = -softplus(-a) - softplus(b) + log_gap_mass
            d1[0, i], d2[0, i], d3[0, i] = expit(-a) - expit(b), -va - vb, -va1 - vb1
            d1[3, i], d2[3, i], d3[3, i] = gap * expit(b) + gap_slope, gap * vb, gap * vb1
        # The masses depend on eta and the lower cutpoint through their difference.
        d1[2, i], d2[2, i], d3[2, i] = -d1[0, i], -d2[0, i], -d3[0, i]
        if 0.0 < y[i] < 1.0:
            if delta.size > 1:
                d = clip_delta(delta[i])
                log_gamma_phi, p0 = precision_terms(d)
            f, f1, f2, f3, fd, f1d, f2d = beta_terms(y[i], t[i], d, log_gamma_phi, p0)
            l[i] += f
            d1[0, i] += f1
            d2[0, i] += f2
            d3[0, i] += f3
            d1[1, i], d2[1, i], d3[1, i] = fd, f1d, f2d


class OrdBeta(NaturalFamily):
    """Ordered beta: 0 and 1 with the probabilities of an ordered logit, a beta law with mean mu in between.

    With F = expit and cutpoints c0 < c1 on the scale of eta: P(0) = 1 - F(eta - c0), P(1) = F(eta - c1). The
    fit works with psi = (c0, log(c1 - c0)), so that the order holds; F(c0) and F(c1) are printed. The printed
    dispersion is the precision phi of the beta law. `mean` and `variance` are those of y, masses included.

    Examples
    --------
    >>> p = Parameters(np.zeros(1), np.zeros(1), np.array([-1.0, np.log(2.0)]))
    >>> below, at = OrdBeta().cdf(np.array([1.0]), np.ones(1), p)
    >>> (at - below).round(3)  # P(y = 1) = expit(0 - 1)
    array([0.269])
    """

    name = "ordbeta"
    dispersion_words = "{sigma:.4g}: inside (0, 1) the variance is mean (1 - mean) / {increased:.4g}"
    default_link = "logit"
    links = ("logit",)
    has_dispersion = True
    extra = ("lower", "gap")
    mass_at_zero = True
    limits = MappingProxyType(
        {
            ("lower", -1): "a law without zeros",
            ("gap", 1): "a law without ones",
        }
    )

    def check_support(self, y: Array, trials: Array, *, zero_model: bool = False) -> None:
        """Inside [0, 1]."""
        check_proportions(self.name, y, zeros=True, ones=True)

    def _natural_newton(self, y: Array, t: Array, delta: Array, psi: Array) -> tuple[Array, Array, Array]:
        d = self._natural_derivatives(y, t, delta, psi)
        return d.loglik, d.d1[0], d.d2[0]

    def _natural_derivatives(self, y: Array, t: Array, delta: Array, psi: Array) -> Derivatives:
        return derivatives_from(_derivatives, 4, y, t, delta, float(psi[0]), _gap(psi))

    def mean(self, trials: Array, p: Parameters) -> Array:
        """P(1) + P(0 < Y < 1) mu."""
        _, one, between = self._masses(p)
        return one + between * self.link.inverse(p.eta)

    def variance(self, trials: Array, p: Parameters) -> Array:
        """Return the exact variance of the mixture."""
        zero, one, between = self._masses(p)
        mu = self.link.inverse(p.eta)
        mean = one + between * mu
        within = between * mu * (1 - mu) / (1 + np.exp(p.delta))
        return within + zero * mean**2 + one * (1 - mean) ** 2 + between * (mu - mean) ** 2

    def simulate(self, trials: Array, p: Parameters, n_sims: int, rng: np.random.Generator) -> Array:
        """One uniform decides between 0, 1 and a beta draw."""
        zero, one, _ = self._masses(p)
        shape = (n_sims, p.eta.size)
        u = rng.random(shape)
        draws = np.clip(rng.beta(*self._shapes(p), size=shape), SMALLEST, BELOW_ONE)
        draws[u < zero] = 0.0
        draws[u >= 1 - one] = 1.0
        return draws

    def cdf(self, y: Array, trials: Array, p: Parameters) -> tuple[Array, Array]:
        """Mass at 0, incomplete beta function, mass at 1."""
        zero, one, between = self._masses(p)
        inner = zero + between * special.betainc(*self._shapes(p), np.clip(y, 0.0, 1.0))
        below = np.where(y <= 0, 0.0, np.where(y > 1, 1.0, np.minimum(inner, 1 - one)))
        at = np.where(y < 0, 0.0, np.where(y >= 1, 1.0, np.minimum(inner, 1 - one)))
        return below, at

    def _masses(self, p: Parameters) -> tuple[Array, Array, Array]:
        """P(0), P(1) and the rest."""
        gap = _gap(p.psi)
        a = p.eta - p.psi[0]
        between = special.expit(a) * special.expit(gap - a) * -np.expm1(-gap)
        return special.expit(-a), special.expit(a - gap), between

    def _shapes(self, p: Parameters) -> tuple[Array, Array]:
        # A shape of exactly 0 has no law; 1e-300 is the point mass it means.
        phi = np.exp(p.delta)
        return np.maximum(special.expit(p.eta) * phi, 1e-300), np.maximum(special.expit(-p.eta) * phi, 1e-300)

    def start_mean(self, y: Array, trials: Array) -> Array:
        """Half way to one half."""
        return 0.5 * (y + 0.5)

    def working_variance(self, mu: Array, trials: Array) -> Array:
        """Return mu (1 - mu)."""
        return mu * (1 - mu)

    def start_delta(self, pearson: float) -> float:
        """Invert pearson = 1 / (1 + phi)."""
        return float(np.log(max(1 / max(pearson, 1e-8) - 1, 0.1)))

    def start_psi(self) -> tuple[Array, ...]:
        """Cutpoints -1 and 1."""
        return (np.array([-1.0, math.log(2.0)]),)

    def describe_extra(self, psi: Array) -> dict[str, float]:
        """F(c0) and F(c1)."""
        return {"lower": float(special.expit(psi[0])), "upper": float(special.expit(psi[0] + _gap(psi)))}


def _gap(psi: Array) -> float:
    """c1 - c0; beyond the bounds the masses are 0 or the middle is empty, to working precision."""
    return float(np.exp(np.clip(psi[1], -690.0, 25.0)))
