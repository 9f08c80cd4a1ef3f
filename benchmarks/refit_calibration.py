"""Measure size and power of the tests against refits: ``python benchmarks/refit_calibration.py REPLICATES [CELL ...]``.

A cell is a law and the number and size of its groups, such as ``poisson:200x3``. Prints the rejection rates at 5 %.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd

import glmmcore
import simresid as sr

TESTS = {
    "uniformity": sr.uniformity_test,
    "Anderson-Darling": lambda res: sr.uniformity_test(res, method="ad"),
    "dispersion": sr.dispersion_test,
    "zeros": sr.zero_inflation_test,
    "outliers": sr.outlier_test,
    "quantiles": sr.quantile_test,
    "spread": sr.heteroscedasticity_test,
}


def nbinom(rng, mean, size):
    """Draw negative binomial counts with variance ``mean + mean**2 / size``."""
    return rng.negative_binomial(size, size / (size + mean))


LAWS = {
    "poisson": ("poisson", lambda r, e: r.poisson(np.exp(e))),
    "nbinom2": ("nbinom2", lambda r, e: nbinom(r, np.exp(e), 2)),
    "gaussian": ("gaussian", lambda r, e: e + r.normal(size=e.size)),
    "gamma": ("gamma", lambda r, e: r.gamma(2, np.exp(e) / 2)),
    "bernoulli": ("binomial", lambda r, e: r.binomial(1, 1 / (1 + np.exp(-e)))),
    "ten trials": ("binomial", lambda r, e: r.binomial(10, 1 / (1 + np.exp(-e)))),
    "beta": ("beta", lambda r, e: np.clip(r.beta(5 / (1 + np.exp(-e)), 5 / (1 + np.exp(e))), 1e-6, 1 - 1e-6)),
    "t(4) as gaussian": ("gaussian", lambda r, e: e + r.standard_t(4, e.size)),
    "nbinom2 with 15 % more zeros": ("nbinom2", lambda r, e: nbinom(r, np.exp(e + 0.6), 4) * (r.random(e.size) > 0.15)),
    "poisson with 10 % more zeros": ("poisson", lambda r, e: r.poisson(np.exp(e)) * (r.random(e.size) > 0.1)),
    "poisson with row effects": ("poisson", lambda r, e: r.poisson(np.exp(e + r.normal(0, 0.35, e.size)))),
    "lognormal as gamma": ("gamma", lambda r, e: np.exp(e + r.normal(0, 0.8, e.size))),
    "nbinom1 as nbinom2": ("nbinom2", lambda r, e: r.negative_binomial(np.exp(e) / 2, 1 / 3)),
}
"""Family that is fitted, and how data are drawn around a linear predictor."""


def rates(cell: str, replicates: int) -> dict[str, float]:
    """Rejection rates of one cell."""
    law, sizes = cell.split(":")
    groups, size = map(int, sizes.split("x"))
    family, draw = LAWS[law]
    p: dict[str, list[float]] = {name: [] for name in TESTS}
    for i in range(replicates):
        rng = np.random.default_rng([20260, i, sum(map(ord, cell))])
        group = np.repeat(np.arange(groups), size)
        data = pd.DataFrame({"x": rng.normal(size=group.size), "group": group})
        data["y"] = draw(rng, 0.5 + 0.5 * data["x"].to_numpy() + rng.normal(0, 0.7, groups)[group])
        trials = np.full(group.size, 10) if law == "ten trials" else None
        res = sr.simulate_residuals(glmmcore.glmm("y ~ x + (1|group)", data, family=family, trials=trials), rng=i)
        asked = set(TESTS) - ({"zeros", "dispersion"} if law == "bernoulli" else set())
        asked -= set() if (data["y"] == 0).any() else {"zeros"}
        for name, test in TESTS.items():
            if name not in asked:
                continue
            p[name].append(test(res).pvalue)
    return {name: float(np.mean(np.array(v) <= 0.05)) for name, v in p.items() if v and not np.isnan(v).any()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    for name in sys.argv[2:] or [f"{law}:20x10" for law in LAWS]:
        print(name, {k: round(v, 3) for k, v in rates(name, count).items()}, flush=True)
