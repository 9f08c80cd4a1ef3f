"""Gaussian response."""

from __future__ import annotations

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.natural import NaturalFamily, newton_from
from glmmcore.families.special import HALF_LOG_2PI
from glmmcore.families.support import reject_rows

__all__ = ["Gaussian"]

# phi^-2 must neither overflow nor underflow
_FAR_LOG_SD = 300.0


@kernel
def _log_sd(delta, i):
    d = delta[0] if delta.size == 1 else delta[i]
    return min(max(d, -_FAR_LOG_SD), _FAR_LOG_SD)


@kernel
def _newton(y, mu, delta, loglik, l1, l2):
    for i in range(y.size):
        d = _log_sd(delta, i)
        precision = np.exp(-2.0 * d)
        r = y[i] - mu[i]
        loglik[i] = -0.5 * r * r * precision - d - HALF_LOG_2PI
        l1[i] = r * precision
        l2[i] = -precision


@kernel
def _dispersion_part(y, mu, delta, d1, d2, d3):
    for i in range(y.size):
        precision = np.exp(-2.0 * _log_sd(delta, i))
        r = y[i] - mu[i]
        d3[0, i] = 0.0
        d1[1, i] = r * r * precision - 1.0
        d2[1, i] = -2.0 * r * precision
        d3[1, i] = 2.0 * precision


class Gaussian(NaturalFamily):
    """Gaussian: variance phi^2; `sigma` is the residual standard deviation phi.

    Examples
    --------
    >>> p = Parameters(np.zeros(1), np.zeros(1), np.zeros(0))
    >>> Gaussian().derivatives(np.array([2.0]), np.ones(1), p).d1
    array([[2.],
           [3.]])
    """

    name = "gaussian"
    dispersion_words = "residual standard deviation {sigma:.4g} (variance {variance:.4g})"
    weight_power = -0.5
    default_link = "identity"
    links = ("identity", "log", "inverse", "sqrt")
    has_dispersion = True

    def check_support(self, y: np.ndarray, trials: np.ndarray, *, zero_model: bool = False) -> None:
        """Any finite value."""
        with np.errstate(over="ignore", invalid="ignore"):
            fine = np.isfinite(y.sum())  # a sum may be infinite where no value is
        if not fine:
            reject_rows(~np.isfinite(y), "non-finite value", self.name, "finite y")

    def _natural_newton(
        self, y: np.ndarray, t: np.ndarray, delta: np.ndarray, psi: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return newton_from(_newton, y, t, delta)

    def _natural_derivatives(self, y: np.ndarray, t: np.ndarray, delta: np.ndarray, psi: np.ndarray) -> Derivatives:
        out = Derivatives.empty(2, y.size)
        _newton(y, t, delta, out.loglik, out.d1[0], out.d2[0])
        _dispersion_part(y, t, delta, out.d1, out.d2, out.d3)
        return out

    def variance(self, trials: np.ndarray, p: Parameters) -> np.ndarray:
        """phi^2."""
        return np.broadcast_to(np.exp(2 * p.delta), p.eta.shape).copy()

    def simulate(self, trials: np.ndarray, p: Parameters, n_sims: int, rng: np.random.Generator) -> np.ndarray:
        """See `Family.simulate`."""
        draws = rng.standard_normal((n_sims, p.eta.size))
        draws *= np.exp(p.delta)
        draws += self.link.inverse(p.eta)
        return draws

    def cdf(self, y: np.ndarray, trials: np.ndarray, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
        """See `Family.cdf`."""
        at = special.ndtr((y - self.link.inverse(p.eta)) * np.exp(-p.delta))
        return at, at

    @property
    def linear(self) -> bool:
        """With the identity link."""
        return self.link.name == "identity"

    def unit_deviance(self, y: np.ndarray, trials: np.ndarray, mean: np.ndarray, p: Parameters) -> np.ndarray:
        """(y - mean)^2."""
        return (y - mean) ** 2

    def start_mean(self, y: np.ndarray, trials: np.ndarray) -> np.ndarray:
        """Y itself, moved into the range of the link."""
        if self.link.name == "identity":
            return y.copy()
        return np.maximum(y, 0.1 * np.mean(np.abs(y)) + 1e-8)

    @property
    def log_absent_dispersion(self) -> float:
        """So small a residual standard deviation that its variance is that of the random effects; as glmmTMB's."""
        return 0.25 * float(np.log(np.finfo(float).eps))

    def start_delta(self, pearson: float) -> float:
        """Log of the root mean square residual."""
        return 0.5 * float(np.log(max(pearson, np.finfo(float).tiny)))
