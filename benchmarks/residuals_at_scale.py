"""Time and memory of residuals of large data, next to numpy drawing as many Poisson variates.

Usage: python benchmarks/residuals_at_scale.py [ROWS ...]      (default 100000)
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import pdtr

import simresid as sr

N_SIMS = 250


class PoissonLaw:
    """Independent Poisson counts of known means."""

    has_random_effects = False

    def __init__(self, n: int) -> None:
        rng = np.random.default_rng(1)
        self.fitted = np.exp(rng.normal(0.5, 0.7, n))
        self.observed = rng.poisson(self.fitted).astype(float)
        self.nobs = n

    def simulate(self, n_sims: int, *, rng: Any = None, random_effects: Any = "conditional") -> np.ndarray:
        """Draw from the law."""
        return np.random.default_rng(rng).poisson(self.fitted, size=(n_sims, self.nobs))

    def cdf(self, y: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Distribution function and its left limit."""
        y = self.observed if y is None else y
        return np.where(y > 0, pdtr(np.maximum(y - 1, 0), self.fitted), 0.0), pdtr(y, self.fitted)


def measure(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result, seconds, and the peak of resident memory above the start in MB."""

    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

    before, peak, running = resident(), [0.0], True

    def watch() -> None:
        while running:
            peak[0] = max(peak[0], resident())
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    result = function()
    took = time.perf_counter() - start
    running = False
    watcher.join()
    return result, took, peak[0] - before


def report(n: int) -> None:
    """Print one line per task."""
    model = PoissonLaw(n)
    rng = np.random.default_rng(2)
    _, numpy_took, _ = measure(lambda: [rng.poisson(model.fitted) for _ in range(N_SIMS)])
    print(f"n = {n:,}: numpy draws {N_SIMS} Poisson vectors in {numpy_took:.2f} s")
    res, took, memory = measure(lambda: sr.simulate_residuals(model, N_SIMS, keep_simulations=False))
    print(f"  rank residuals        {took:8.2f} s ({took / numpy_took:.2f} x numpy), {memory:.0f} MB above data")
    _, took, _ = measure(lambda: sr.simulate_residuals(model, method="exact"))
    print(f"  exact residuals       {took:8.2f} s")
    if n <= 200_000:
        group = rng.integers(0, 5000, n)
        kept = sr.simulate_residuals(model, N_SIMS, keep_simulations=True)
        np.testing.assert_array_equal(kept.residuals, res.residuals)
        _, took, _ = measure(lambda: kept.recalculate(group))
        print(f"  5000 groups           {took:8.3f} s")


if __name__ == "__main__":
    sr.simulate_residuals(PoissonLaw(100)).recalculate(np.arange(100) % 7)  # compile
    for rows in map(int, sys.argv[1:] or ["100000"]):
        report(rows)
