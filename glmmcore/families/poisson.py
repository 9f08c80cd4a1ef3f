"""Poisson counts."""

from __future__ import annotations

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Parameters
from glmmcore.families.count_density import poisson_constant, poisson_core
from glmmcore.families.counts import CountFamily
from glmmcore.families.draws import count_ends, draw_poisson, poisson_ends
from glmmcore.families.vector import clipped

__all__ = ["Poisson"]


@kernel
def _newton(y, eta, mu, loglik, l1, l2):
    for i in range(y.size):
        loglik[i] = poisson_core(y[i], eta[i], mu[i])
        l1[i] = y[i] - mu[i]
        l2[i] = -mu[i]


@kernel
def _derivatives(y, eta, mu, loglik, d1, d2, d3):
    for i in range(y.size):
        loglik[i] = poisson_core(y[i], eta[i], mu[i]) + poisson_constant(y[i])
        d1[0, i] = y[i] - mu[i]
        d2[0, i] = -mu[i]
        d3[0, i] = -mu[i]


class Poisson(CountFamily):
    """Poisson: l = y log mu - mu - log y!, variance mu.

    Examples
    --------
    >>> p = Parameters(np.log([2.0]), np.zeros(1), np.zeros(0))
    >>> Poisson().derivatives(np.array([3.0]), np.ones(1), p).d1
    array([[1.]])
    """

    name = "poisson"

    def _natural_newton(
        self, y: np.ndarray, t: np.ndarray, delta: np.ndarray, psi: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        out = np.empty_like(y), np.empty_like(y), np.empty_like(y)
        t = clipped(t)
        _newton(y, t, np.exp(t), *out)
        return out

    def _natural_derivatives(self, y: np.ndarray, t: np.ndarray, delta: np.ndarray, psi: np.ndarray) -> Derivatives:
        out = Derivatives.empty(1, y.size)
        t = clipped(t)
        _derivatives(y, t, np.exp(t), *out)
        return out

    def variance(self, trials: np.ndarray, p: Parameters) -> np.ndarray:
        """Mu."""
        return self._mu(p)

    def unit_deviance(self, y: np.ndarray, trials: np.ndarray, mean: np.ndarray, p: Parameters) -> np.ndarray:
        """2 [y log(y / mean) - (y - mean)]."""
        return 2.0 * (special.xlogy(y, y / mean) - (y - mean))

    def simulate(self, trials: np.ndarray, p: Parameters, n_sims: int, rng: np.random.Generator) -> np.ndarray:
        """See `Family.simulate`."""
        return draw_poisson(self._mu(p), (n_sims, p.eta.size), rng)

    def cdf(self, y: np.ndarray, trials: np.ndarray, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
        """See `Family.cdf`."""
        mu = self._mu(p)
        return count_ends(lambda k: poisson_ends(k, mu), y)
