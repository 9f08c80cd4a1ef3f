"""Beta with mean mu and precision phi."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.continuous_support import BELOW_ONE, SMALLEST, check_proportions, outside_support
from glmmcore.families.links import Array
from glmmcore.families.natural import NaturalFamily, derivatives_from, newton_from
from glmmcore.families.series import gamma_functions
from glmmcore.families.special import softplus

__all__ = ["Beta", "beta_terms", "clip_delta", "precision_terms"]


@kernel
def _scaled_functions(a, log_a):
    """Return log Gamma(a), a psi(a), a^2 psi'(a), a^3 psi''(a); all but the first are bounded at 0."""
    if a < 0.5:
        # Recurrences from 1 + a, also where a itself underflows.
        l, p0, p1, p2 = gamma_functions(1.0 + a)
        return l - log_a, a * p0 - 1.0, a * a * p1 + 1.0, a * a * a * p2 - 2.0
    l, p0, p1, p2 = gamma_functions(a)
    return l, a * p0, a * a * p1, a * a * a * p2


@kernel
def clip_delta(delta):
    """Hold log phi where the products of the kernels are finite."""
    return min(max(delta, -300.0), 80.0)


@kernel
def precision_terms(delta):
    """Return log Gamma(phi) and phi psi(phi) at a clipped log phi, shared by the rows."""
    l, p0, _, _ = _scaled_functions(math.exp(delta), delta)
    return l, p0


@kernel
def _shapes(t, delta):
    """Return m = expit(t), u = 1 - m and log of the shapes phi m, phi u."""
    e = math.exp(-abs(t))
    small, big = e / (1.0 + e), 1.0 / (1.0 + e)
    s = softplus(-abs(t))
    log_small, log_big = delta - abs(t) - s, delta - s
    if t >= 0:
        return big, small, log_big, log_small
    return small, big, log_small, log_big


@kernel
def beta_terms(y, t, delta, log_gamma_phi, p0):
    """Log density of a beta row and its derivatives in t = logit mu and delta = log phi.

    Returns (l, l_t, l_tt, l_ttt, l_delta, l_tdelta, l_ttdelta); `delta` is clipped, the last two arguments
    are its `precision_terms`. With a = phi m, b = phi u, u = 1 - m the
    derivative of a with respect to t is phi m u = -db/dt.
    """
    t = min(max(t, -600.0), 600.0)
    m, u, log_a, log_b = _shapes(t, delta)
    phi = math.exp(delta)
    a, b = phi * m, phi * u
    w = a * u
    log_y, log_1y = math.log(y), math.log1p(-y)
    log_gamma_a, a0, a1, a2 = _scaled_functions(a, log_a)
    log_gamma_b, b0, b1, b2 = _scaled_functions(b, log_b)
    l = log_gamma_phi - log_gamma_a - log_gamma_b + (a - 1.0) * log_y + (b - 1.0) * log_1y
    # Near a boundary of mu the two halves of each term differ in size, not in sign: no cancellation.
    l1 = w * (log_y - log_1y) - u * a0 + m * b0
    curvature = u * u * a1 + m * m * b1
    l2 = (u - m) * l1 - curvature
    l3 = (u - m) * (l2 - 2.0 * curvature) - 2.0 * m * u * l1 - (u * u * u * a2 - m * m * m * b2)
    ld = p0 + a * log_y + b * log_1y - a0 - b0
    l1d = l1 - (u * a1 - m * b1)
    l2d = l2 + m * u * (a1 + b1) - u * u * (2.0 * a1 + a2) - m * m * (2.0 * b1 + b2)
    return l, l1, l2, l3, ld, l1d, l2d


@kernel
def _newton(y, t, delta, l, l1, l2):
    for i in range(y.size):
        if y[i] <= 0.0 or y[i] >= 1.0:
            l[i], l1[i], l2[i] = -np.inf, 0.0, 0.0
            continue
        d = clip_delta(delta[i] if delta.size > 1 else delta[0])
        x = min(max(t[i], -600.0), 600.0)
        m, u, log_a, log_b = _shapes(x, d)
        phi = math.exp(d)
        a, b = phi * m, phi * u
        log_y, log_1y = math.log(y[i]), math.log1p(-y[i])
        log_gamma_a, a0, a1, _ = _scaled_functions(a, log_a)
        log_gamma_b, b0, b1, _ = _scaled_functions(b, log_b)
        l[i] = a * log_y + b * log_1y - log_gamma_a - log_gamma_b
        l1[i] = a * u * (log_y - log_1y) - u * a0 + m * b0
        l2[i] = (u - m) * l1[i] - u * u * a1 - m * m * b1


@kernel
def _derivatives(y, t, delta, l, d1, d2, d3):
    d = clip_delta(delta[0])
    log_gamma_phi, p0 = precision_terms(d)
    for i in range(y.size):
        if delta.size > 1:
            d = clip_delta(delta[i])
            log_gamma_phi, p0 = precision_terms(d)
        if y[i] <= 0.0 or y[i] >= 1.0:
            outside_support(i, l, d1, d2, d3)
            continue
        l[i], d1[0, i], d2[0, i], d3[0, i], d1[1, i], d2[1, i], d3[1, i] = beta_terms(y[i], t[i], d, log_gamma_phi, p0)


class Beta(NaturalFamily):
    """Beta with mean mu and precision phi: shapes mu phi and (1 - mu) phi, variance mu (1 - mu) / (1 + phi).

    The printed dispersion is phi (large = little spread).

    Examples
    --------
    >>> Beta().variance(np.ones(1), Parameters(np.zeros(1), np.log([4.0]), np.zeros(0)))
    array([0.05])
    """

    name = "beta"
    dispersion_words = "{sigma:.4g}: the variance is mean (1 - mean) / {increased:.4g}"
    default_link = "logit"
    links = ("logit", "probit", "cloglog")
    has_dispersion = True
    hurdle = True

    def check_support(self, y: Array, trials: Array, *, zero_model: bool = False) -> None:
        """Inside (0, 1); zeros too with a zero model."""
        check_proportions(self.name, y, zeros=zero_model, ones=False)

    def _natural_newton(self, y: Array, t: Array, delta: Array, psi: Array) -> tuple[Array, Array, Array]:
        return newton_from(_newton, y, t, delta)

    def _natural_derivatives(self, y: Array, t: Array, delta: Array, psi: Array) -> Derivatives:
        return derivatives_from(_derivatives, 2, y, t, delta)

    def variance(self, trials: Array, p: Parameters) -> Array:
        """Return mu (1 - mu) / (1 + phi)."""
        mu = self.link.inverse(p.eta)
        return mu * (1 - mu) / (1 + np.exp(p.delta))

    def simulate(self, trials: Array, p: Parameters, n_sims: int, rng: np.random.Generator) -> Array:
        """See `Family.simulate`; what rounds to 0 or 1 is moved to the next number inside the support."""
        a, b = self._shapes(p)
        return np.clip(rng.beta(a, b, size=(n_sims, p.eta.size)), SMALLEST, BELOW_ONE)

    def cdf(self, y: Array, trials: Array, p: Parameters) -> tuple[Array, Array]:
        """Regularised incomplete beta function."""
        at = special.betainc(*self._shapes(p), np.clip(y, 0.0, 1.0))
        return at, at

    def _shapes(self, p: Parameters) -> tuple[Array, Array]:
        # A shape of exactly 0 has no law; 1e-300 is the point mass it means.
        mu, phi = self.link.inverse(p.eta), np.exp(p.delta)
        return np.maximum(mu * phi, 1e-300), np.maximum((1 - mu) * phi, 1e-300)

    def start_mean(self, y: Array, trials: Array) -> Array:
        """Half way to the overall mean."""
        return 0.5 * (y + y.mean())

    def working_variance(self, mu: Array, trials: Array) -> Array:
        """Return mu (1 - mu)."""
        return mu * (1 - mu)

    def start_delta(self, pearson: float) -> float:
        """Invert: the mean squared residual over mu (1 - mu) estimates 1 / (1 + phi)."""
        return float(np.log(max(1 / max(pearson, 1e-8) - 1, 0.1)))
