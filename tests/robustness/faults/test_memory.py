"""What would not fit is refused before it is allocated, with the need and what to do instead."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

import glmmcore.memory
from glmmcore import ModelError, glmm
from glmmcore.engines.choice import _require_memory
from simresid import (
    from_simulations,
    phylogenetic_autocorrelation_test,
    simulate_residuals,
    spatial_autocorrelation_test,
)

from .models import Counts

LARGE = np.broadcast_to(0.0, (10**6, 10**6))
"""Eight terabytes that take none."""


class Wide(Counts):
    """Would draw a block of any size if asked."""

    def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
        return np.zeros((n_sims, self.nobs))


def wide():
    return Wide(np.ones(10**6))


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: simulate_residuals(wide(), 10**6, keep_simulations=True), "a matrix of 1000000 x 1000000 simulations"),
        (lambda: simulate_residuals(wide(), 10**6, refit=True), "a matrix of 1000000 x 1000000 simulations"),
        (lambda: from_simulations(LARGE, np.zeros(10**6)), "a copy of 1000000 x 1000000 simulations"),
        (lambda: simulate_residuals(wide(), rotation=LARGE), "decorrelating 1000000 rows"),
        (lambda: simulate_residuals(wide(), rotation="estimated"), "the covariance of 1000000 rows"),
        (lambda: spatial_autocorrelation_test(np.full(10**6, 0.5), distances=LARGE), "weights of 1000000 x 1000000"),
        (lambda: phylogenetic_autocorrelation_test(np.full(10**6, 0.5), LARGE), "weights of 1000000 x 1000000"),
    ],
)
def test_residuals(call, what):
    start = time.process_time()
    with pytest.raises(MemoryError, match=rf"{what}.* needs about [\d.]+ GB, [\d.]+ GB are free: \w+"):
        call()
    assert time.process_time() - start < 5


@pytest.mark.parametrize("formula", ["y ~ f", "y ~ C(k)", "y ~ C(f, contr.sum)"])
def test_fixed_effects_of_many_levels(formula):
    n, n_levels = 200_000, 100_000
    k = np.arange(n) % n_levels
    data = pd.DataFrame({"y": np.zeros(n), "k": k, "f": pd.Categorical.from_codes(k, np.arange(n_levels).astype(str))})
    with pytest.raises(ModelError, match=r"100000 .*needs? .*48\d(\.\d)? GB.* a random effect, \(1 \| name\)"):
        glmm(formula, data)


def test_random_effects():
    _require_memory(400.0**2, 400)
    with pytest.raises(MemoryError, match=r"full matrix of order 1000000 needs about 32000\.0 GB"):
        _require_memory(1e12, 10**6)


def test_available_memory_is_plausible():
    available = glmmcore.memory.available_memory()
    assert available is None or 1e7 < available < 1e14
    glmmcore.memory.require_memory(1e6, "a little", "nothing")
    with pytest.raises(MemoryError, match="too much needs about"):
        glmmcore.memory.require_memory(1e17, "too much", "take less")
