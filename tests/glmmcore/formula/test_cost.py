"""Fixed cost and growth; printed, since a shared machine's clock proves nothing."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from glmmcore.formula import build_design


def seconds(formula: str, data: pd.DataFrame, repeats: int) -> float:
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        build_design(formula, data)
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def test_cost_of_small_and_large_designs(capsys):
    rng = np.random.default_rng(0)
    small = pd.DataFrame(
        {"y": rng.normal(size=180), "x": rng.normal(size=180), "g": rng.integers(0, 18, 180).astype(str)}
    )
    n = 200_000
    large = pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(size=n), "g": rng.integers(0, 1000, n).astype(str)})
    with capsys.disabled():
        print(f"\n  design of 180 rows {1e3 * seconds('y ~ x + (x|g)', small, 20):.2f} ms", end="")
        print(f", of {n} rows {1e3 * seconds('y ~ x + (x|g)', large, 3):.0f} ms")
    design = build_design("y ~ x + (x|g)", large)
    term = design.predictors["cond"].terms[0]
    assert term.Z.nbytes + term.codes.nbytes == n * (2 * 8 + 4)  # no indicator matrix
