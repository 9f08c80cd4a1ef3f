"""Student t with location mu and scale phi, degrees of freedom estimated or fixed."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.errors import ModelError
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.continuous_support import check_finite
from glmmcore.families.links import Array, Link
from glmmcore.families.natural import NaturalFamily, newton_from

__all__ = ["StudentT"]

_LOG_PI = 1.1447298858494002


@kernel
def _row(e, delta, nu, log_nu):
    """Return log(1 + z^2/nu), its complement 1/(1 + z^2/nu), e/(nu phi^2 + e^2) and 1/(nu phi^2 + e^2)."""
    # Divide by the larger of |e| and sqrt(nu) phi, so that neither square overflows.
    d = min(max(delta, -100.0), 100.0) + 0.5 * log_nu
    x = e * np.exp(-d)
    if abs(x) < 1.0:
        p = 1.0 / (1.0 + x * x)
        return np.log1p(x * x), p, p * x * np.exp(-d), p * np.exp(-2.0 * d)
    inverse = 1.0 / x
    q = 1.0 / (1.0 + inverse * inverse)
    return 2.0 * (np.log(abs(e)) - d) + np.log1p(inverse * inverse), inverse * inverse * q, q / e, q / e / e


@kernel
def _newton(y, t, delta, nu, log_nu, l, l1, l2):
    c = nu + 1.0
    for i in range(y.size):
        log_d, p, g, k = _row(y[i] - t[i], delta[i] if delta.size > 1 else delta[0], nu, log_nu)
        l[i] = -0.5 * c * log_d
        l1[i] = c * g
        l2[i] = -c * (2.0 * p - 1.0) * k


@kernel
def _derivatives(y, t, delta, nu, log_nu, constant, constant_psi, l, d1, d2, d3):
    c = nu + 1.0
    for i in range(y.size):
        delta_i = delta[i] if delta.size > 1 else delta[0]
        log_d, p, g, k = _row(y[i] - t[i], delta_i, nu, log_nu)
        q = 1.0 - p if p < 0.5 else (y[i] - t[i]) * g
        l[i] = constant - delta_i - 0.5 * c * log_d
        d1[0, i] = c * g
        d2[0, i] = -c * (p - q) * k
        d3[0, i] = -2.0 * c * (3.0 * p - q) * g * k
        d1[1, i] = -1.0 + c * q
        d2[1, i] = -2.0 * c * p * g
        d3[1, i] = 2.0 * c * p * (p - 3.0 * q) * k
        if d1.shape[0] > 2:
            # In log nu; nu z^2/(nu (nu + z^2)) = q.
            d1[2, i] = constant_psi - 0.5 * nu * log_d + 0.5 * c * q
            d2[2, i] = nu * g - c * p * g
            d3[2, i] = -k * (nu * (p - q) + c * p * (3.0 * q - p))


class StudentT(NaturalFamily):
    """Location-scale Student t: (y - mu)/phi ~ t with df degrees of freedom.

    The printed dispersion is the scale phi; the standard deviation is phi sqrt(df/(df - 2)), infinite for df
    <= 2.

    Parameters
    ----------
    link : str or Link, optional
    df : float, optional
        Degrees of freedom when they are known; estimated as exp(psi) when absent.

    Examples
    --------
    >>> StudentT().predictors, StudentT(df=4).predictors
    (('cond', 'disp', 'df'), ('cond', 'disp'))
    """

    name = "t"
    special_cases = MappingProxyType({"gaussian": ("inverse degrees of freedom",)})
    dispersion_words = "scale {sigma:.4g}, which is less than the standard deviation"
    default_link = "identity"
    links = ("identity", "log", "inverse")
    has_dispersion = True
    several_maxima = True
    extra = ("df",)
    limits = MappingProxyType({("df", 1): "the normal distribution"})

    def __init__(self, link: str | Link | None = None, *, df: float | None = None) -> None:
        super().__init__(link)
        if df is not None and not (np.isfinite(df) and df > 0):
            raise ModelError(f"family 't' needs df > 0, got {df}; leave df out to estimate it")
        self.df = df
        if df is not None:
            self.extra = ()  # type: ignore[assignment, misc]

    def _nu(self, psi: Array) -> float:
        # Beyond e^-30 and e^30 the law is, to working precision, its limit.
        return float(self.df) if self.df is not None else float(np.exp(np.clip(psi[0], -30.0, 30.0)))

    def check_support(self, y: Array, trials: Array, *, zero_model: bool = False) -> None:
        """Any real number."""
        check_finite(self.name, y)

    def _natural_newton(self, y: Array, t: Array, delta: Array, psi: Array) -> tuple[Array, Array, Array]:
        nu = self._nu(psi)
        return newton_from(_newton, y, t, delta, nu, np.log(nu))

    def _natural_derivatives(self, y: Array, t: Array, delta: Array, psi: Array) -> Derivatives:
        nu = self._nu(psi)
        ratio, slope = _log_gamma_ratio(0.5 * nu)
        constant = ratio - 0.5 * (np.log(nu) + _LOG_PI)
        constant_psi = 0.5 * (nu * slope - 1.0)
        l, d1, d2, d3 = np.empty(y.size), *np.empty((3, len(self.predictors), y.size))
        _derivatives(y, t, delta, nu, np.log(nu), constant, constant_psi, l, d1, d2, d3)
        return Derivatives(l, d1, d2, d3)

    def variance(self, trials: Array, p: Parameters) -> Array:
        """phi^2 df/(df - 2); infinite for df <= 2."""
        nu = self._nu(p.psi)
        factor = nu / (nu - 2) if nu > 2 else np.inf
        return np.broadcast_to(np.exp(2 * p.delta) * factor, p.eta.shape).copy()

    def simulate(self, trials: Array, p: Parameters, n_sims: int, rng: np.random.Generator) -> Array:
        """See `Family.simulate`."""
        draws = rng.standard_t(self._nu(p.psi), size=(n_sims, p.eta.size))
        return self.link.inverse(p.eta) + np.exp(p.delta) * draws

    def cdf(self, y: Array, trials: Array, p: Parameters) -> tuple[Array, Array]:
        """See `Family.cdf`."""
        at = special.stdtr(self._nu(p.psi), (y - self.link.inverse(p.eta)) * np.exp(-p.delta))
        return at, at

    def start_mean(self, y: Array, trials: Array) -> Array:
        """Return the response; its overall mean where a log link forbids it."""
        return np.where(y > 0, y, np.abs(y).mean() + 1e-8) if self.link.name == "log" else y.copy()

    def start_delta(self, pearson: float) -> float:
        """Three quarters of the residual standard deviation, whose square is inflated by the tails."""
        return float(np.log(0.75)) + 0.5 * float(np.log(max(pearson, np.finfo(float).tiny)))

    def start_psi(self) -> tuple[np.ndarray, ...]:
        """Heavy and moderate tails: the likelihood in df can have a second mode at the normal limit."""
        return (np.zeros(0),) if self.df is not None else (np.array([np.log(2.0)]), np.array([np.log(10.0)]))

    def describe_extra(self, psi: Array) -> dict[str, float]:
        """Degrees of freedom."""
        return {"df": self._nu(psi)}


def _log_gamma_ratio(x: float) -> tuple[float, float]:
    """Log Gamma(x + 1/2) - log Gamma(x) and its derivative, by series where the terms cancel."""
    if x < 100.0:
        return special.gammaln(x + 0.5) - special.gammaln(x), special.psi(x + 0.5) - special.psi(x)
    r = 1 / x
    value = 0.5 * np.log(x) - r / 8 + r**3 / 192 - r**5 / 640 + 17 * r**7 / 14336
    return value, 0.5 * r + r**2 / 8 - r**4 / 64 + r**6 / 128
