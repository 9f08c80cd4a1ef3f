"""Measure size and power of the tests against refits: ``python benchmarks/refit_calibration.py REPLICATES [CELL ...]``.

A cell is a law, the number and size of its groups, and options, such as ``poisson:200x3`` or ``poisson:40x5:crossed``
(see `OPTIONS`). Prints the rejection rates at 5 % of every test, how often `diagnose` fails the model, and in how many
results the 95 % interval excludes the null value where p < .05 and only there.
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

import glmmcore
import simresid as sr

MORE_TESTS = {
    "Anderson-Darling": lambda res, data: sr.uniformity_test(res, method="ad"),
    "categories": lambda res, data: sr.categorical_test(res, data["category"]),
    "groups": lambda res, data: sr.categorical_test(res, data["group"]),
    "time": lambda res, data: sr.temporal_autocorrelation_test(res, data["time"]),
    "along x": lambda res, data: sr.quantile_test(res, data["x"]),
    "space": lambda res, data: sr.spatial_autocorrelation_test(res, data["time"] % 17, data["time"] // 17),
}
"""Beside those of `diagnose`; the columns but `x` and `group` have nothing to do with the response."""

OPTIONS = {
    "crossed": "a second, crossed factor",
    "slopes": "random slopes",
    "none": "no random effects",
    "low": "means a quarter as large",
    "reml": "restricted maximum likelihood",
    "exact": "exact residuals",
    "unconditional": "residuals with new random effects",
    "statsmodels": "fitted by statsmodels (poisson and gaussian, none)",
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
    "nbinom2 with 25 % more zeros": ("nbinom2", lambda r, e: nbinom(r, np.exp(e + 0.6), 4) * (r.random(e.size) > 0.25)),
    "poisson with 10 % more zeros": ("poisson", lambda r, e: r.poisson(np.exp(e)) * (r.random(e.size) > 0.1)),
    "poisson with row effects": ("poisson", lambda r, e: r.poisson(np.exp(e + r.normal(0, 0.35, e.size)))),
    "lognormal as gamma": ("gamma", lambda r, e: np.exp(e + r.normal(0, 0.8, e.size))),
    "nbinom1 as nbinom2": ("nbinom2", lambda r, e: r.negative_binomial(np.exp(e) / 2, 1 / 3)),
}
"""Family that is fitted, and how data are drawn around a linear predictor."""


def residuals(cell: str, replicate: int) -> tuple[Any, pd.DataFrame]:
    """Residuals of one fitted data set of a cell, and the data."""
    law, sizes, *options = cell.split(":")
    groups, size = map(int, sizes.split("x"))
    family, draw = LAWS[law]
    rng = np.random.default_rng([20260, replicate, sum(map(ord, cell))])
    group = np.repeat(np.arange(groups), size)
    n, others = group.size, max(5, groups // 4)
    data = pd.DataFrame({"x": rng.normal(size=n), "group": group, "other": rng.integers(0, others, n)})
    data["category"], data["time"] = rng.integers(0, 4, n).astype(str), rng.permutation(n)
    x = data["x"].to_numpy()
    eta = 0.5 + 0.5 * x - np.log(4) * ("low" in options)
    if "none" not in options:
        eta += rng.normal(0, 0.7, groups)[group]
    if "crossed" in options:
        eta += rng.normal(0, 0.5, others)[data["other"]]
    if "slopes" in options:
        eta += rng.normal(0, 0.4, groups)[group] * x
    data["y"] = draw(rng, eta)
    kind = {"random_effects": "unconditional"} if "unconditional" in options else {}
    kind |= {"method": "exact"} if "exact" in options else {}
    return sr.simulate_residuals(_fit(data, family, law, options), rng=replicate, **kind), data


def _fit(data: pd.DataFrame, family: str, law: str, options: list[str]) -> Any:
    if "statsmodels" in options:
        import statsmodels.api as sm

        law_of = {"poisson": sm.families.Poisson(), "gaussian": sm.families.Gaussian()}[family]
        return sm.GLM(data["y"], sm.add_constant(data[["x"]]), family=law_of).fit()
    random = {"none": "", "slopes": " + (x|group)", "crossed": " + (1|group) + (1|other)"}
    formula = "y ~ x" + next((text for name, text in random.items() if name in options), " + (1|group)")
    trials = np.full(len(data), 10) if law == "ten trials" else None
    return glmmcore.glmm(formula, data, family=family, trials=trials, **({"reml": True} if "reml" in options else {}))


def rates(cell: str, replicates: int) -> dict[str, float]:
    """Rejection rates of one cell, the familywise one, and the share of results whose interval and p-value agree."""
    p: dict[str, list[float]] = defaultdict(list)
    agree, failed = [], []
    for i in range(replicates):
        res, data = residuals(cell, i)
        diagnosis = sr.diagnose(res, n_monte_carlo=0)
        failed.append(float(diagnosis.table["pvalue_adjusted"].min()) < 0.05)
        results = dict(diagnosis.results) | {name: test(res, data) for name, test in MORE_TESTS.items()}
        for name, result in results.items():
            p[name].append(result.pvalue)
            if result.effect is not None and result.effect.interval is not None:
                low, high = result.effect.interval
                agree.append((result.pvalue < 0.05) != (low <= result.effect.null <= high))
    found = {name: float(np.mean(np.array(v) < 0.05)) for name, v in p.items()}
    return found | {"familywise": float(np.mean(failed)), "agreement": float(np.mean(agree))}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    for name in sys.argv[2:] or [f"{law}:20x10" for law in LAWS]:
        print(name, {k: round(v, 3) for k, v in rates(name, count).items()}, flush=True)
