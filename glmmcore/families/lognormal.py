"""Lognormal with the mean and the standard deviation of y itself."""

from __future__ import annotations

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.continuous_support import check_positive, outside_support
from glmmcore.families.links import Array
from glmmcore.families.natural import NaturalFamily, derivatives_from, newton_from
from glmmcore.families.special import HALF_LOG_2PI

__all__ = ["LogNormal"]


@kernel
def _log_variance(t, delta):
    """Variance of log y, log(1 + phi^2/mu^2), with derivatives v1, v2, v3 in x = 2 (delta - t)."""
    # Below e^-100 a coefficient of variation is held: the law is a point there.
    x = max(2.0 * (delta - t), -200.0)
    e = np.exp(-abs(x))
    v = np.log1p(e) + max(x, 0.0)
    w = 1.0 / (1.0 + e) if x > 0 else e / (1.0 + e)
    u = e / (1.0 + e) if x > 0 else 1.0 / (1.0 + e)
    return v, w, w * u, w * u * (u - w)


@kernel
def _newton(y, t, delta, l, l1, l2):
    for i in range(y.size):
        if y[i] <= 0.0:
            l[i], l1[i], l2[i] = -np.inf, 0.0, 0.0
            continue
        v, v1, v2, _ = _log_variance(t[i], delta[i] if delta.size > 1 else delta[0])
        r = np.log(y[i]) - t[i] + 0.5 * v
        # In t: v' = -2 v1, v'' = 4 v2, r' = -1 - v1, r'' = 2 v2.
        rho, a1, a2 = r / v, -2.0 * v1 / v, 4.0 * v2 / v
        dr = -1.0 - v1
        l[i] = -0.5 * (np.log(v) + rho * r)
        l1[i] = -0.5 * a1 - rho * dr + 0.5 * rho * r * a1
        l2[i] = (
            -0.5 * (a2 - a1 * a1)
            - dr * dr / v
            - 2.0 * rho * v2
            + 2.0 * rho * dr * a1
            - 0.5 * rho * r * (2.0 * a1 * a1 - a2)
        )


@kernel
def _derivatives(y, t, delta, l, d1, d2, d3):
    for i in range(y.size):
        if y[i] <= 0.0:
            outside_support(i, l, d1, d2, d3)
            continue
        log_y = np.log(y[i])
        v, v1, v2, v3 = _log_variance(t[i], delta[i] if delta.size > 1 else delta[0])
        r = log_y - t[i] + 0.5 * v
        rho, q = r / v, r * r / v
        l[i] = -HALF_LOG_2PI - 0.5 * (np.log(v) + q) - log_y
        # Relative derivatives of v in t, and derivatives of r; those in delta differ by sign and by the term
        # -t of r.
        a1, a2, a3 = -2.0 * v1 / v, 4.0 * v2 / v, -8.0 * v3 / v
        r1, r2, r3 = -1.0 - v1, 2.0 * v2, -4.0 * v3
        # 1/v = b has b'/b, b''/b, b'''/b:
        b1, b2, b3 = -a1, 2.0 * a1 * a1 - a2, -6.0 * a1**3 + 6.0 * a1 * a2 - a3
        d1[0, i] = -0.5 * a1 - rho * r1 - 0.5 * q * b1
        d2[0, i] = -0.5 * (a2 - a1 * a1) - r1 * r1 / v - rho * r2 - 2.0 * rho * r1 * b1 - 0.5 * q * b2
        d3[0, i] = (
            -0.5 * (a3 - 3.0 * a1 * a2 + 2.0 * a1**3)
            - 3.0 * r1 * r2 / v
            - rho * r3
            - 3.0 * (r1 * r1 / v + rho * r2) * b1
            - 3.0 * rho * r1 * b2
            - 0.5 * q * b3
        )
        # delta: v_delta = -v_t and so on down the chain; r_delta = v1, that is -r_t - 1.
        rd = v1
        d1[1, i] = 0.5 * a1 - rho * rd + 0.5 * q * b1
        d2[1, i] = 0.5 * (a2 - a1 * a1) - r1 * rd / v + rho * r2 + rho * r1 * b1 - rho * rd * b1 + 0.5 * q * b2
        d3[1, i] = (
            0.5 * (a3 - 3.0 * a1 * a2 + 2.0 * a1**3)
            - (r2 * rd - 2.0 * r1 * r2) / v
            + rho * r3
            + (r1 * r1 / v + rho * r2) * b1
            - 2.0 * (r1 * rd / v - rho * r2) * b1
            + 2.0 * rho * r1 * b2
            - rho * rd * b2
            + 0.5 * q * b3
        )


class LogNormal(NaturalFamily):
    """Lognormal where mu and phi are the mean and standard deviation of y, not of log y.

    With s2 = log(1 + phi^2/mu^2), log y ~ N(log mu - s2/2, s2).

    Examples
    --------
    >>> p = Parameters(np.log([2.0]), np.log([1.0]), np.zeros(0))
    >>> draws = LogNormal().simulate(np.ones(1), p, 100_000, np.random.default_rng(1))
    >>> np.array([draws.mean(), draws.std()]).round(1)
    array([2., 1.])
    """

    name = "lognormal"
    dispersion_words = "standard deviation of the response {sigma:.4g}"
    default_link = "log"
    links = ("log", "identity", "inverse", "sqrt")
    has_dispersion = True
    weight_power = -0.5
    hurdle = True

    def check_support(self, y: Array, trials: Array, *, zero_model: bool = False) -> None:
        """Positive; with a zero model not negative."""
        check_positive(self.name, y, zero_model=zero_model)

    def _natural_newton(self, y: Array, t: Array, delta: Array, psi: Array) -> tuple[Array, Array, Array]:
        return newton_from(_newton, y, t, delta)

    def _natural_derivatives(self, y: Array, t: Array, delta: Array, psi: Array) -> Derivatives:
        return derivatives_from(_derivatives, 2, y, t, delta)

    def variance(self, trials: Array, p: Parameters) -> Array:
        """phi^2."""
        return np.broadcast_to(np.exp(2 * p.delta), p.eta.shape).copy()

    def simulate(self, trials: Array, p: Parameters, n_sims: int, rng: np.random.Generator) -> Array:
        """See `Family.simulate`."""
        location, scale = self._log_scale(p)
        return np.exp(location + scale * rng.standard_normal((n_sims, p.eta.size)))

    def cdf(self, y: Array, trials: Array, p: Parameters) -> tuple[Array, Array]:
        """Return the normal distribution function of log y."""
        location, scale = self._log_scale(p)
        with np.errstate(divide="ignore"):
            at = special.ndtr((np.log(np.maximum(y, 0.0)) - location) / scale)
        return at, at

    def _log_scale(self, p: Parameters) -> tuple[Array, Array]:
        """Mean and standard deviation of log y."""
        log_mu = np.log(self.link.inverse(p.eta))
        v = np.logaddexp(0.0, 2 * (p.delta - log_mu))
        return log_mu - 0.5 * v, np.sqrt(v)

    def start_mean(self, y: Array, trials: Array) -> Array:
        """Half way to the overall mean, so that zeros of a hurdle do no harm."""
        return 0.5 * (y + y.mean())

    def start_delta(self, pearson: float) -> float:
        """Take the root: the mean squared residual estimates phi^2."""
        return 0.5 * float(np.log(max(pearson, 1e-16)))
