"""What a refit costs, as a part of one `glmm` call with standard errors; bootstrap intervals from 1000 refits.

python -m benchmarks.refits [--rows 200 10000] [--responses 250]
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.machine import describe
from glmmcore import FittedGLMM, glmm

MODELS = {
    "gaussian": ("real ~ x + (1|g)", "gaussian", {}),
    "gaussian REML": ("real ~ x + (1|g)", "gaussian", {"reml": True}),
    "gaussian crossed": ("real ~ x + (1|g) + (1|h)", "gaussian", {}),
    "poisson": ("count ~ x + (1|g)", "poisson", {}),
    "binomial": ("k ~ x + (1|g)", "binomial", {}),
    "nbinom2": ("wide ~ x + (1|g)", "nbinom2", {}),
    "poisson crossed": ("count ~ x + (1|g) + (1|h)", "poisson", {}),
    "poisson slopes": ("count ~ x + (x|g)", "poisson", {}),
    "poisson zi": ("zero ~ x + (1|g)", "poisson", {"zi": "~ 1"}),
    "binomial, 7 points": ("k ~ x + (1|g)", "binomial", {"n_agq": 7}),
}


def data(n: int) -> pd.DataFrame:
    """Rows in n / 10 groups up to 200 rows, n / 50 beyond, crossed with a quarter as many levels."""
    rng = np.random.default_rng(1)
    levels = n // 10 if n <= 200 else n // 50
    g, h, x = np.repeat(np.arange(levels), n // levels), rng.integers(0, levels // 4, n), rng.normal(size=n)
    eta = 0.8 + 0.3 * x + rng.normal(0, 0.5, levels)[g] + rng.normal(0, 0.3, levels // 4)[h]
    mean = np.exp(eta)
    responses = {
        "count": rng.poisson(mean),
        "k": rng.binomial(1, 1 / (1 + np.exp(0.8 - eta))),
        "wide": rng.negative_binomial(2, 2 / (2 + mean)),
        "real": eta + rng.normal(size=n),
        "zero": np.where(rng.random(n) < 0.3, 0, rng.poisson(mean)),
    }
    return pd.DataFrame({"x": x, "g": g, "h": h, **responses})


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Median time of warm calls."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def fitted(formula: str, rows: pd.DataFrame, family: str, options: dict) -> FittedGLMM:
    fit = glmm(formula, rows, family, **options)
    _ = fit.bse
    return fit


def report(n: int, count: int) -> None:
    rows = data(n)
    print(f"{n} rows, {count} responses: milliseconds (share of one fit)")
    print(f"{'model':20s} {'fit':>9s} {'in a batch':>17s} {'alone':>17s}")
    for name, (formula, family, options) in MODELS.items():
        one = median_seconds(lambda f=formula, d=family, o=options: fitted(f, rows, d, o), 5)
        fit = fitted(formula, rows, family, options)
        y = fit.simulate(count, rng=1, random_effects="unconditional")
        batch = median_seconds(lambda m=fit, r=y: m.refit_many(r, n_jobs=1), 3) / count
        alone = median_seconds(lambda m=fit, r=y: [m.refit(v) for v in r[:5]], 3) / 5
        shares = [f"{1e3 * t:8.3f} ({t / one:5.3f})" for t in (batch, alone)]
        print(f"{name:20s} {1e3 * one:9.2f} {shares[0]:>17s} {shares[1]:>17s}", flush=True)


def report_bootstrap(n_sims: int = 1000) -> None:
    rows = data(200)
    print(f"bootstrap intervals of all parameters, {n_sims} refits of 200 rows, seconds of one core")
    for name in ("gaussian", "poisson", "nbinom2", "poisson slopes"):
        formula, family, options = MODELS[name]
        fit = glmm(formula, rows, family, **options)
        call = {"method": "bootstrap", "parameters": "all", "n_sims": n_sims, "rng": 1}
        print(f"{name:20s} {median_seconds(lambda m=fit, c=call: m.conf_int(**c), 3):9.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[200, 10_000])
    parser.add_argument("--responses", type=int, default=250)
    arguments = parser.parse_args()
    print("; ".join(f"{name}: {value}" for name, value in describe().items()))
    for rows_of_data in arguments.rows:
        report(rows_of_data, arguments.responses if rows_of_data <= 1000 else min(arguments.responses, 32))
    report_bootstrap()
