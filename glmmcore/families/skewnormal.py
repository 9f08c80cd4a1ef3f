"""Skew normal with mean mu, standard deviation phi and slant alpha."""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.continuous_support import check_finite
from glmmcore.families.links import Array
from glmmcore.families.natural import NaturalFamily, derivatives_from, newton_from
from glmmcore.families.special import HALF_LOG_2PI, mills

__all__ = ["SkewNormal"]

_LOG_2 = math.log(2.0)
_K = math.sqrt(2.0 / math.pi)
"""Mean of the absolute value of a standard normal variable."""
_FAR = 100.0
"""Logarithm of the standard deviation, at most, whatever an optimiser tries."""


@kernel
def _shape(alpha):
    """Return b, c and their derivatives in alpha: z = c (y - mu)/phi + b."""
    # b = k alpha / sqrt(1 + alpha^2) and c = sqrt(1 - b^2)
    s = 1.0 / math.sqrt(1.0 + alpha * alpha)
    b = _K * alpha * s
    c = math.sqrt(1.0 - b * b)
    b_a = _K * s * s * s
    return b, c, b_a, -b * b_a / c


@kernel
def _standardise(y, mu, delta):
    """Return (y - mu) / phi, 1 / phi and log phi, kept within floats."""
    d = min(max(delta, -_FAR), _FAR)
    e = (y - mu) * math.exp(-d)
    return min(max(e, -1e75), 1e75), math.exp(-d), d


@kernel
def _newton(y, t, delta, alpha, l, l1, l2):
    b, c, _, _ = _shape(alpha)
    for i in range(y.size):
        e, inverse_phi, _ = _standardise(y[i], t[i], delta[i] if delta.size > 1 else delta[0])
        z = e * c + b
        log_cdf, h, h1, _ = mills(alpha * z)
        k = c * inverse_phi
        l[i] = -0.5 * z * z + log_cdf
        l1[i] = -(-z + alpha * h) * k
        l2[i] = (-1.0 + alpha * alpha * h1) * k * k


@kernel
def _derivatives(y, t, delta, alpha, l, d1, d2, d3):
    b, c, b_a, c_a = _shape(alpha)
    for i in range(y.size):
        e, inverse_phi, d = _standardise(y[i], t[i], delta[i] if delta.size > 1 else delta[0])
        z = e * c + b
        log_cdf, h, h1, h2 = mills(alpha * z)
        # Derivatives of v = -z^2/2 + log Phi(alpha z) in z; dz/dmu = -k.
        p1 = -z + alpha * h
        p2 = -1.0 + alpha * alpha * h1
        p3 = alpha * alpha * alpha * h2
        k = c * inverse_phi
        l[i] = _LOG_2 - d + math.log(c) - HALF_LOG_2PI - 0.5 * z * z + log_cdf
        d1[0, i] = -p1 * k
        d2[0, i] = p2 * k * k
        d3[0, i] = -p3 * k * k * k
        # delta: dz = -e c, dk = -k
        d1[1, i] = -1.0 - p1 * e * c
        d2[1, i] = k * (p1 + p2 * e * c)
        d3[1, i] = -k * k * (2.0 * p2 + p3 * e * c)
        # alpha: v also depends on it directly
        z_a = e * c_a + b_a
        p1_a = p2 * z_a + h + alpha * z * h1
        p2_a = p3 * z_a + 2.0 * alpha * h1 + alpha * alpha * z * h2
        d1[2, i] = c_a / c + p1 * z_a + z * h
        d2[2, i] = -(c_a * p1 + c * p1_a) * inverse_phi
        d3[2, i] = (2.0 * c_a * p2 + c * p2_a) * c * inverse_phi * inverse_phi


class SkewNormal(NaturalFamily):
    """Skew normal in its mean mu, standard deviation phi and slant alpha = psi (0 is the normal law).

    With d = alpha / sqrt(1 + alpha^2), omega = phi / sqrt(1 - 2 d^2 / pi) and xi = mu - omega d sqrt(2 / pi),
    f(y) = 2 / omega phi(z) Phi(alpha z), z = (y - xi) / omega. The printed dispersion is phi.

    alpha = 0 is a stationary point of every likelihood, from which an optimiser does not get away: the fit
    starts on both sides of it.

    Examples
    --------
    >>> p = Parameters(np.zeros(1), np.zeros(1), np.array([4.0]))
    >>> SkewNormal().cdf(np.zeros(1), np.ones(1), p)[1].round(3)  # the median lies below the mean
    array([0.561])
    """

    name = "skewnormal"
    dispersion_words = "residual standard deviation {sigma:.4g} (variance {variance:.4g})"
    default_link = "identity"
    links = ("identity", "log", "inverse")
    has_dispersion = True
    several_maxima = True
    stationary_at_zero = True
    special_cases = MappingProxyType({"gaussian": ()})
    extra = ("slant",)
    limits = MappingProxyType(
        {
            ("slant", -1): "the half-normal distribution",
            ("slant", 1): "the half-normal distribution",
        }
    )

    def check_support(self, y: Array, trials: Array, *, zero_model: bool = False) -> None:
        """Any real number."""
        check_finite(self.name, y)

    def _natural_newton(self, y: Array, t: Array, delta: Array, psi: Array) -> tuple[Array, Array, Array]:
        return newton_from(_newton, y, t, delta, float(psi[0]))

    def _natural_derivatives(self, y: Array, t: Array, delta: Array, psi: Array) -> Derivatives:
        return derivatives_from(_derivatives, 3, y, t, delta, float(psi[0]))

    def variance(self, trials: Array, p: Parameters) -> Array:
        """Return phi^2."""
        return np.broadcast_to(np.exp(2 * p.delta), p.eta.shape).copy()

    def simulate(self, trials: Array, p: Parameters, n_sims: int, rng: np.random.Generator) -> Array:
        """Return xi + omega (d |N1| + sqrt(1 - d^2) N2)."""
        alpha = float(p.psi[0])
        b, c, _, _ = _shape(alpha)
        shape = (n_sims, p.eta.size)
        draws = np.abs(rng.standard_normal(shape)) * (b / _K)
        draws += rng.standard_normal(shape) / math.hypot(1.0, alpha)
        return self.link.inverse(p.eta) + np.exp(p.delta) * ((draws - b) / c)

    def cdf(self, y: Array, trials: Array, p: Parameters) -> tuple[Array, Array]:
        """Phi(z) - 2 T(z, alpha) with Owen's function T."""
        alpha = float(p.psi[0])
        b, c, _, _ = _shape(alpha)
        z = (y - self.link.inverse(p.eta)) * np.exp(-p.delta) * c + b
        at = np.clip(special.ndtr(z) - 2 * special.owens_t(z, alpha), 0.0, 1.0)
        return at, at

    def start_mean(self, y: Array, trials: Array) -> Array:
        """Return the response, moved into the range of the link."""
        return y.copy() if self.link.name == "identity" else np.maximum(y, 0.1 * np.abs(y).mean() + 1e-8)

    def start_delta(self, pearson: float) -> float:
        """Log of the root mean square residual."""
        return 0.5 * float(np.log(max(pearson, np.finfo(float).tiny)))

    def start_psi(self) -> tuple[Array, ...]:
        """Both sides of the stationary point 0."""
        return np.array([1.0]), np.array([-1.0])

    def describe_extra(self, psi: Array) -> dict[str, float]:
        """Slant alpha."""
        return {"slant": float(psi[0])}
