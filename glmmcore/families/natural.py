"""Families whose kernels work on the scale of their default link, and the chain rule that serves their other links.

A kernel differentiates in t = h(mu), where h is the default link (log for positive means, logit for proportions,
identity for the real line): there the formulas neither overflow nor cancel. With the default link t is eta. With
any other link g, t = h(g^-1(eta)) and its derivatives come from `natural_predictor`, which is written in closed form
for each pair so that tails stay exact.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import numpy as np
from scipy import special

from glmmcore.families.base import Derivatives, Family, Parameters
from glmmcore.families.links import LINKS

__all__ = ["NaturalFamily", "Predictor", "as_kernel_input", "natural_predictor"]

Array = np.ndarray
_LARGEST = 1e300
"""Magnitude at which derivatives saturate, so that they stay finite however far eta is."""


class Predictor(NamedTuple):
    """t = h(g^-1(eta)) with three derivatives in eta, and the rows where eta maps inside the range of the mean."""

    t: Array
    t1: Array
    t2: Array
    t3: Array
    inside: Array


def natural_predictor(natural: str, link: str, eta: Array) -> Predictor:
    """Return t = h(g^-1(eta)) for `natural` scale h and `link` g, with derivatives.

    Rows outside the range of the mean get an arbitrary inner t.
    """
    if natural == "log":
        return _log_of(link, eta)
    if natural == "logit":
        return _logit_of(link, eta)
    mu, mu1, mu2, mu3 = LINKS[link].derivatives(eta)
    return Predictor(mu, mu1, mu2, mu3, np.isfinite(mu))


def _log_of(link: str, eta: Array) -> Predictor:
    """Log mu: each of these links is a power of eta, mu = eta^k."""
    power = {"identity": 1.0, "sqrt": 2.0, "inverse": -1.0}[link]
    inside = eta != 0 if link == "sqrt" else eta > 0
    x = np.where(inside, eta, 1.0)
    return Predictor(power * np.log(np.abs(x)), power / x, -power / x**2, 2 * power / x**3, inside)


def _logit_of(link: str, eta: Array) -> Predictor:
    inside = np.ones(eta.shape, dtype=bool)
    if link == "probit":
        # t = log Phi(eta) - log Phi(-eta); h = phi/Phi has h' = -h (eta + h).
        up, down = _mills(eta), _mills(-eta)
        up1, down1 = -up * (eta + up), -down * (down - eta)
        up2 = -up1 * (eta + up) - up * (1 + up1)
        down2 = -down1 * (down - eta) - down * (1 + down1)
        t = special.log_ndtr(eta) - special.log_ndtr(-eta)
        return Predictor(t, up + down, up1 - down1, up2 + down2, inside)
    # cloglog: with E = e^eta and q = E / (e^E - 1), t = log(e^E - 1), dt/deta = E + q = s, ds/deta = s (1 - q).
    e = np.exp(np.clip(eta, -700.0, 220.0))
    q = e / np.expm1(np.minimum(e, 700.0))
    c = np.where(e < 1e-2, e / 2 - e**2 / 12 + e**4 / 720, 1 - q)
    s = e + q
    return Predictor(e + np.log(-np.expm1(-e)), s, s * c, s * c * c + s * q * (e - c), inside)


def _mills(x: Array) -> Array:
    """phi(x) / Phi(x) without underflow."""
    return np.sqrt(2 / np.pi) / special.erfcx(-x / np.sqrt(2))


def as_kernel_input(x: Array) -> Array:
    """Return `x` as the one array type kernels are compiled for (copies only if it is not already)."""
    return np.require(x, dtype=np.float64, requirements=["C", "W"])


class NaturalFamily(Family):
    """A family given by its derivatives in t = h(mu), h its default link."""

    @abstractmethod
    def _natural_newton(self, y: Array, t: Array, delta: Array, psi: Array) -> tuple[Array, Array, Array]:
        """Return (l, dl/dt, d2l/dt2)."""

    @abstractmethod
    def _natural_derivatives(self, y: Array, t: Array, delta: Array, psi: Array) -> Derivatives:
        """All derivatives with t in the place of eta."""

    def newton_terms(self, y: Array, trials: Array, p: Parameters) -> tuple[Array, Array, Array]:
        """See `Family.newton_terms`."""
        y, delta = as_kernel_input(y), as_kernel_input(p.delta)
        if self.link.name == self.default_link:
            return self._natural_newton(y, as_kernel_input(p.eta), delta, p.psi)
        x = natural_predictor(self.default_link, self.link.name, p.eta)
        l, l1, l2 = self._natural_newton(y, x.t, delta, p.psi)
        return (
            np.where(x.inside, l, -np.inf),
            _finite(l1 * x.t1, x.inside),
            _finite(l2 * x.t1 * x.t1 + l1 * x.t2, x.inside),
        )

    def derivatives(self, y: Array, trials: Array, p: Parameters) -> Derivatives:
        """See `Family.derivatives`."""
        y, delta = as_kernel_input(y), as_kernel_input(p.delta)
        if self.link.name == self.default_link:
            return self._natural_derivatives(y, as_kernel_input(p.eta), delta, p.psi)
        x = natural_predictor(self.default_link, self.link.name, p.eta)
        d = self._natural_derivatives(y, x.t, delta, p.psi)
        l1, l2, l3 = d.d1[0], d.d2[0], d.d3[0]
        d1, d2, d3 = d.d1.copy(), np.empty_like(d.d2), np.empty_like(d.d3)
        d1[0] = l1 * x.t1
        d2[0] = l2 * x.t1 * x.t1 + l1 * x.t2
        d3[0] = l3 * x.t1 * x.t1 * x.t1 + 3 * (l2 * x.t1 * x.t2) + l1 * x.t3
        d2[1:] = d.d2[1:] * x.t1
        d3[1:] = d.d3[1:] * x.t1 * x.t1 + d.d2[1:] * x.t2
        return Derivatives(
            np.where(x.inside, d.loglik, -np.inf),
            _finite(d1, x.inside),
            _finite(d2, x.inside),
            _finite(d3, x.inside),
        )

    def mean(self, trials: Array, p: Parameters) -> Array:
        """See `Family.mean`."""
        return self.link.inverse(p.eta)


def _finite(x: Array, inside: Array) -> Array:
    """Saturate at +-1e300; zero outside the range of the mean."""
    return np.where(inside, np.nan_to_num(x, nan=0.0, posinf=_LARGEST, neginf=-_LARGEST), 0.0)
