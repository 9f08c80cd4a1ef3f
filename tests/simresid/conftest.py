"""Small models written out in full, to test the residuals of something real; what DHARMa says of given ones."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

CASES = sorted((Path(__file__).parent / "reference").glob("*.json.gz"))


@pytest.fixture(scope="session", params=CASES, ids=[path.name.removesuffix(".json.gz") for path in CASES])
def dharma(request) -> dict[str, Any]:
    """Simulated responses and what DHARMa says of them (`reference/README.md`)."""
    case: dict[str, Any] = json.loads(gzip.decompress(request.param.read_bytes()))
    return case


class PoissonRegression:
    """Log-linear Poisson model by Newton's method, with random intercepts if asked for.

    The random intercepts are not estimated but given, which keeps their conditional and population means
    exact.
    """

    discrete = True

    def __init__(
        self,
        y: np.ndarray,
        design: np.ndarray,
        data: pd.DataFrame | None = None,
        effects: np.ndarray | None = None,
        sd: float = 0.0,
        groups: np.ndarray | None = None,
    ) -> None:
        self.observed, self.design, self.data = np.asarray(y, float), design, data
        self.nobs = self.observed.size
        self.sd, self.groups = sd, groups
        self.effects = np.zeros(self.nobs) if effects is None else effects
        self.has_random_effects = sd > 0
        self.coefficients = self._maximise()
        self.linear = design @ self.coefficients
        self.fitted = np.exp(self.linear + self.effects)

    def _maximise(self) -> np.ndarray:
        beta = np.zeros(self.design.shape[1])
        beta[0] = np.log(max(self.observed.mean(), 0.01)) - self.effects.mean()
        for _ in range(50):
            mean = np.exp(self.design @ beta + self.effects)
            information = self.design.T @ (self.design * mean[:, None])
            step = np.linalg.solve(information, self.design.T @ (self.observed - mean))
            beta = beta + step
            if np.abs(step).max() < 1e-12:
                break
        else:
            raise ArithmeticError("no convergence")
        return beta

    def simulate(self, n_sims: int, *, rng: Any = None, random_effects: Any = "conditional") -> np.ndarray:
        rng = np.random.default_rng(rng)
        if random_effects == "conditional" or not self.has_random_effects:
            return rng.poisson(self.fitted, size=(n_sims, self.nobs))
        _, codes = np.unique(self.groups, return_inverse=True)
        new = rng.normal(0, self.sd, size=(n_sims, codes.max() + 1))[:, codes]
        return rng.poisson(np.exp(self.linear + new))

    def population_mean(self) -> np.ndarray:
        return np.exp(self.linear + self.sd**2 / 2) if self.has_random_effects else self.fitted

    def variance(self) -> np.ndarray:
        return self.fitted

    @property
    def resid_pearson(self) -> np.ndarray:
        return (self.observed - self.fitted) / np.sqrt(self.fitted)

    @property
    def llf(self) -> float:
        return float(stats.poisson.logpmf(self.observed, self.fitted).sum())

    @property
    def description(self) -> str:
        return "poisson(log), y ~ x"

    def cdf(self, y: Any = None) -> tuple[np.ndarray, np.ndarray]:
        y = self.observed if y is None else np.asarray(y, float)
        below = np.where(y > 0, special.pdtr(np.maximum(y - 1, 0), self.fitted), 0.0)
        return below, special.pdtr(y, self.fitted)

    def refit(self, y: Any) -> PoissonRegression:
        return PoissonRegression(y, self.design, self.data, self.effects, self.sd, self.groups)


@pytest.fixture
def poisson_fit() -> Callable[..., PoissonRegression]:
    """A Poisson regression fitted to data of its own law: ``poisson_fit(n=200, seed=1, sd=0.0)``."""

    def make(n: int = 200, seed: int = 1, sd: float = 0.0, index: Any = None) -> PoissonRegression:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=n)
        groups = np.arange(n) % 10
        effects = rng.normal(0, sd, 10)[groups] if sd else None
        eta = 0.5 + 0.5 * x + (0 if effects is None else effects)
        site = np.array([f"site{k}" for k in groups])
        data = pd.DataFrame({"x": x, "site": site}, index=index)
        return PoissonRegression(rng.poisson(np.exp(eta)), np.column_stack([np.ones(n), x]), data, effects, sd, groups)

    return make
