"""Gamma with mean mu and shape phi."""

from __future__ import annotations

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.continuous_support import SMALLEST, check_positive, outside_support
from glmmcore.families.links import Array
from glmmcore.families.natural import NaturalFamily, derivatives_from, newton_from
from glmmcore.families.series import digamma_gap
from glmmcore.families.special import HALF_LOG_2PI, stirling_error

__all__ = ["Gamma"]


@kernel
def _newton(y, t, phi, l, l1, l2):
    for i in range(y.size):
        shape = phi[i] if phi.size > 1 else phi[0]
        if y[i] <= 0.0:
            l[i], l1[i], l2[i] = -np.inf, 0.0, 0.0
            continue
        x = min(np.log(y[i]) - t[i], 600.0)
        r = np.expm1(x)
        l[i] = -shape * (r - x)
        l1[i] = shape * r
        l2[i] = -shape * (r + 1.0)


@kernel
def _derivatives(y, t, phi, l, d1, d2, d3):
    constant, gap = 0.0, 0.0
    for i in range(y.size):
        k = i if phi.size > 1 else 0
        if k == i:
            constant = 0.5 * np.log(phi[k]) - HALF_LOG_2PI - stirling_error(phi[k])
            gap = digamma_gap(phi[k])
        if y[i] <= 0.0:
            outside_support(i, l, d1, d2, d3)
            continue
        log_y = np.log(y[i])
        x = min(log_y - t[i], 600.0)
        r = np.expm1(x)
        deviance = phi[k] * (r - x)
        l[i] = constant - log_y - deviance
        d1[0, i] = d2[1, i] = phi[k] * r
        d2[0, i] = d3[1, i] = -phi[k] * (r + 1.0)
        d3[0, i] = phi[k] * (r + 1.0)
        d1[1, i] = gap - deviance


class Gamma(NaturalFamily):
    """Gamma with mean mu and shape phi: variance mu^2 / phi, printed dispersion 1 / sqrt(phi), the CV.

    The default link is log, unlike R's ``Gamma()`` whose default is inverse: the log link keeps the mean
    positive.

    l = phi log(phi/mu) - log Gamma(phi) + (phi - 1) log y - phi y/mu.

    Examples
    --------
    >>> Gamma().variance(np.ones(1), Parameters(np.log([3.0]), np.log([2.0]), np.zeros(0)))
    array([4.5])
    """

    name = "gamma"
    dispersion_words = "coefficient of variation {sigma:.4g}"
    default_link = "log"
    links = ("log", "identity", "inverse", "sqrt")
    has_dispersion = True
    weight_power = 1.0
    hurdle = True

    def check_support(self, y: Array, trials: Array, *, zero_model: bool = False) -> None:
        """Positive; with a zero model not negative."""
        check_positive(self.name, y, zero_model=zero_model)

    def _natural_newton(self, y: Array, t: Array, delta: Array, psi: Array) -> tuple[Array, Array, Array]:
        return newton_from(_newton, y, t, _shape(delta))

    def _natural_derivatives(self, y: Array, t: Array, delta: Array, psi: Array) -> Derivatives:
        return derivatives_from(_derivatives, 2, y, t, _shape(delta))

    def variance(self, trials: Array, p: Parameters) -> Array:
        """mu^2 / phi."""
        return self.link.inverse(p.eta) ** 2 / np.exp(p.delta)

    def unit_deviance(self, y: np.ndarray, trials: np.ndarray, mean: np.ndarray, p: Parameters) -> np.ndarray:
        """2 [(y - mean) / mean - log(y / mean)]."""
        return 2.0 * ((y - mean) / mean - np.log(y / mean))

    def simulate(self, trials: Array, p: Parameters, n_sims: int, rng: np.random.Generator) -> Array:
        """See `Family.simulate`; what underflows to 0 is moved inside the support."""
        phi, mu = np.exp(p.delta), self.link.inverse(p.eta)
        draws = rng.standard_gamma(np.broadcast_to(phi, mu.shape), size=(n_sims, mu.size)) * (mu / phi)
        return np.maximum(draws, SMALLEST)

    def cdf(self, y: Array, trials: Array, p: Parameters) -> tuple[Array, Array]:
        """Regularised incomplete gamma function."""
        phi = np.exp(p.delta)
        at = special.gammainc(phi, phi * np.maximum(y, 0.0) / self.link.inverse(p.eta))
        return at, at

    def start_mean(self, y: Array, trials: Array) -> Array:
        """Half way to the overall mean, so that zeros of a hurdle do no harm."""
        return 0.5 * (y + y.mean())

    def working_variance(self, mu: Array, trials: Array) -> Array:
        """mu^2."""
        return mu**2

    def start_delta(self, pearson: float) -> float:
        """Invert: the mean squared relative residual estimates 1 / phi."""
        return -float(np.log(max(pearson, 1e-8)))

    def sigma(self, delta: float) -> float:
        """Coefficient of variation 1 / sqrt(phi)."""
        return float(np.exp(-0.5 * delta))


def _shape(delta: Array) -> Array:
    """Return phi, kept where phi times any ratio of the kernels is finite."""
    return np.exp(np.clip(delta, -200.0, 80.0))
