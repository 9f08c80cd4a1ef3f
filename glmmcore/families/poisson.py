"""Poisson counts."""

from __future__ import annotations

import numpy as np
from scipy import special

from glmmcore._jit import kernel
from glmmcore.families.base import Derivatives, Family, Parameters
from glmmcore.families.support import check_counts

__all__ = ["Poisson"]


@kernel
def _newton_log(y, eta, loglik, l1, l2):
    for i in range(y.size):
        mu = np.exp(eta[i])
        loglik[i] = y[i] * eta[i] - mu
        l1[i] = y[i] - mu
        l2[i] = -mu


class Poisson(Family):
    """Poisson: l = y log mu - mu - log y!, variance mu."""

    name = "poisson"
    default_link = "log"
    links = ("log", "identity", "sqrt")
    discrete = True

    def check_support(self, y: np.ndarray, trials: np.ndarray, *, zero_model: bool = False) -> None:
        """Counts >= 0."""
        check_counts(self.name, y)

    def newton_terms(
        self, y: np.ndarray, trials: np.ndarray, p: Parameters
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Family.newton_terms`."""
        if self.link.name == "log":
            loglik, l1, l2 = np.empty_like(p.eta), np.empty_like(p.eta), np.empty_like(p.eta)
            _newton_log(y, p.eta, loglik, l1, l2)
            return loglik, l1, l2
        d = self.derivatives(y, trials, p)
        return d.loglik, d.d1[0], d.d2[0]

    def derivatives(self, y: np.ndarray, trials: np.ndarray, p: Parameters) -> Derivatives:
        """See `Family.derivatives`."""
        raise NotImplementedError
