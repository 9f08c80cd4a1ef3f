"""A model whose truth is known, so that residuals can be tested under an exact null."""

from __future__ import annotations

import numpy as np
import pytest


class KnownPoisson:
    """Poisson responses with known means and, optionally, normal random intercepts of known spread."""

    discrete = True

    def __init__(self, mean, observed, codes=None, sd=0.0, intercepts=None):
        self.base = np.asarray(mean, dtype=float)
        self.observed = np.asarray(observed, dtype=float)
        self.codes, self.sd = codes, sd
        effects = np.zeros(1 if codes is None else codes.max() + 1) if intercepts is None else intercepts
        self.fitted = self.base if codes is None else self.base * np.exp(effects[codes])
        self.nobs = self.observed.size
        self.has_random_effects = codes is not None
        self.edf = 0.0

    def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
        if random_effects == "conditional" or self.codes is None:
            return rng.poisson(self.fitted, (n_sims, self.nobs))
        new = np.exp(self.sd * rng.standard_normal((n_sims, self.codes.max() + 1)))
        return rng.poisson(self.base * new[:, self.codes])

    def population_mean(self):
        return self.base * np.exp(self.sd**2 / 2)

    def variance(self):
        return self.fitted

    @property
    def resid_pearson(self):
        return (self.observed - self.fitted) / np.sqrt(self.fitted)


@pytest.fixture
def known_poisson():
    return KnownPoisson
