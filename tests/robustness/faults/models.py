"""Small models that misbehave on request."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np


class Counts:
    """Poisson counts of known mean, with everything that tests ask for."""

    has_random_effects = False

    def __init__(self, y: np.ndarray, mean: float = 3.0) -> None:
        self.observed = np.asarray(y, dtype=float)
        self.mean = mean
        self.nobs = self.observed.size
        self.fitted = np.full(self.nobs, mean)
        self.resid_pearson = (self.observed - mean) / np.sqrt(mean)
        self.llf = float(np.sum(self.observed * np.log(mean) - mean))

    def simulate(self, n_sims: int, *, rng: Any = None, random_effects: Any = "conditional") -> Any:
        return np.random.default_rng(rng).poisson(self.mean, (n_sims, self.nobs))

    def refit(self, y: np.ndarray) -> Counts:
        return type(self)(y, float(np.mean(y)))


def counts(n: int = 40, seed: int = 1, kind: type[Counts] = Counts) -> Counts:
    return kind(np.random.default_rng(seed).poisson(3.0, n))


class Killed(Counts):
    """Its process dies while it simulates, as when the system runs out of memory."""

    def __init__(self, y: np.ndarray, mean: float = 3.0) -> None:
        super().__init__(y, mean)
        self.parent = os.getpid()

    def simulate(self, n_sims: int, *, rng: Any = None, random_effects: Any = "conditional") -> Any:
        if os.getpid() != self.parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().simulate(n_sims, rng=rng)


class Slow(Counts):
    """Takes a while for each call."""

    seconds = 0.1

    def simulate(self, n_sims: int, *, rng: Any = None, random_effects: Any = "conditional") -> Any:
        time.sleep(self.seconds)
        return super().simulate(n_sims, rng=rng)


class Stuck(Counts):
    """Does not return."""

    def simulate(self, n_sims: int, *, rng: Any = None, random_effects: Any = "conditional") -> Any:
        time.sleep(3600.0)


class Breaking(Counts):
    """Refits fail for responses whose last digit says so: 30 % of them, whatever their dispersion."""

    error: type[Exception] = RuntimeError

    def refit(self, y: np.ndarray) -> Counts:
        if int(np.sum(y * np.arange(1, y.size + 1))) % 10 < 3:
            raise self.error("did not converge")
        return Counts(y, float(np.mean(y)))
