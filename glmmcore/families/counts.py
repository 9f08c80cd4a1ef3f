"""What laws of unbounded counts share: support, links, starting values."""

from __future__ import annotations

import numpy as np

from glmmcore.families.base import Parameters
from glmmcore.families.natural import NaturalFamily
from glmmcore.families.special import FAR_EXPONENT
from glmmcore.families.support import check_counts

__all__ = ["CountFamily"]


class CountFamily(NaturalFamily):
    """A law of counts 0, 1, 2, ... in t = log mu."""

    default_link = "log"
    links = ("log", "identity", "sqrt")
    discrete = True

    def check_support(self, y: np.ndarray, trials: np.ndarray, *, zero_model: bool = False) -> None:
        """Refuse what is not a count >= 0."""
        check_counts(self.name, y)

    def _mu(self, p: Parameters) -> np.ndarray:
        """Mean parameter, within [e^-690, e^690] whatever eta is."""
        with np.errstate(over="ignore", divide="ignore"):
            return np.clip(self.link.inverse(p.eta), np.exp(-FAR_EXPONENT), np.exp(FAR_EXPONENT))

    def mean(self, trials: np.ndarray, p: Parameters) -> np.ndarray:
        """Mu."""
        return self._mu(p)

    def start_mean(self, y: np.ndarray, trials: np.ndarray) -> np.ndarray:
        """Return the counts moved off zero."""
        return y + 0.1

    def working_variance(self, mu: np.ndarray, trials: np.ndarray) -> np.ndarray:
        """Mu, as for Poisson counts."""
        return mu
