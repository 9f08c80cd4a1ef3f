"""Distribution of every row given the values of all predictors: moments, cdf and draws in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glmmcore.families.base import Family, Parameters

if TYPE_CHECKING:
    from glmmcore.families.zero_inflation import ZeroInflated

__all__ = ["Law"]


class Law:
    """Family, zero inflation, trials and the predictors' values.

    Parameters
    ----------
    family : Family
    values : dict of str to ndarray
        By predictor, (n,) or (1,).
    trials : ndarray, shape (n,), or None
    """

    def __init__(self, family: Family, values: dict[str, np.ndarray], trials: np.ndarray | None) -> None:
        self.family = family
        self.eta = values["cond"]
        n = len(self.eta)
        self.trials = np.ones(n) if trials is None else trials
        delta = values.get("disp", np.zeros(1))
        psi = np.array([values[name][0] for name in family.extra])
        self.parameters = Parameters(self.eta, delta, psi)
        self.zeta = np.array(np.broadcast_to(values.get("zi", np.zeros(1)), n))
        self._mixture: ZeroInflated | None = None
        if "zi" in values:
            from glmmcore.families.zero_inflation import ZeroInflated

            self._mixture = ZeroInflated(family)

    def mean(self) -> np.ndarray:
        """Mean, (n,); infinite beyond double precision."""
        with np.errstate(over="ignore"):
            if self._mixture is None:
                return self.family.mean(self.trials, self.parameters)
            return self._mixture.mean(self.trials, self.parameters, self.zeta)

    def variance(self) -> np.ndarray:
        """Variance, (n,); infinite beyond double precision."""
        with np.errstate(over="ignore"):
            if self._mixture is None:
                return self.family.variance(self.trials, self.parameters)
            return self._mixture.variance(self.trials, self.parameters, self.zeta)

    def simulate(self, n_sims: int, rng: np.random.Generator) -> np.ndarray:
        """Draws, (n_sims, n)."""
        if self._mixture is None:
            return self.family.simulate(self.trials, self.parameters, n_sims, rng)
        return self._mixture.simulate(self.trials, self.parameters, self.zeta, n_sims, rng)

    def cdf(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(P(Y < y), P(Y <= y)), each (n,)."""
        if self._mixture is None:
            return self.family.cdf(y, self.trials, self.parameters)
        return self._mixture.cdf(y, self.trials, self.parameters, self.zeta)
