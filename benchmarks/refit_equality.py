"""Refits of many responses beside fits from scratch: 500 responses of each of twenty models, some at the boundary.

python -m benchmarks.refit_equality [--responses 500] [MODEL ...]
"""

import argparse
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.machine import describe
from glmmcore import FittedGLMM, glmm

# Log-likelihoods agree to this relative difference, estimates to this share of a standard error.
LLF, ESTIMATES = 1e-7, 1e-4

MODELS = {
    "gaussian": ("real ~ x + (1|g)", "gaussian", {}),
    "gaussian, REML": ("real ~ x + z + (1|g)", "gaussian", {"reml": True}),
    "gaussian, no variance": ("flat ~ x + (1|g)", "gaussian", {}),
    "gaussian, slopes, REML": ("real ~ x + (x|g)", "gaussian", {"reml": True}),
    "gaussian, crossed": ("real ~ x + (1|g) + (1|h)", "gaussian", {}),
    "gaussian, dispersion along z": ("real ~ x + (1|g)", "gaussian", {"disp": "~ z"}),
    "gaussian, ar1": ("real ~ x + ar1(0 + t|g)", "gaussian", {}),
    "poisson": ("count ~ x + (1|g)", "poisson", {}),
    "poisson, no variance": ("few ~ x + (1|g)", "poisson", {}),
    "poisson, crossed": ("count ~ x + (1|g) + (1|h)", "poisson", {}),
    "poisson, slopes": ("count ~ x + (x|g)", "poisson", {}),
    "poisson, zero-inflated": ("zero ~ x + (1|g)", "poisson", {"zi": "~ 1"}),
    "truncated poisson hurdle": ("zero ~ x + (1|g)", "truncated_poisson", {"zi": "~ x"}),
    "binomial": ("k ~ x + (1|g)", "binomial", {}),
    "binomial, quadrature": ("k ~ x + (1|g)", "binomial", {"n_agq": 7}),
    "nbinom2": ("wide ~ x + (1|g)", "nbinom2", {}),
    "nbinom1, crossed": ("wide ~ x + (1|g) + (1|h)", "nbinom1", {}),
    "gamma": ("size ~ x + (1|g)", "gamma", {"link": "log"}),
    "beta": ("share ~ x + (1|g)", "beta", {}),
    "tweedie": ("heap ~ x + (1|g)", "tweedie", {}),
}


def data() -> pd.DataFrame:
    """200 rows, 20 groups crossed with 8."""
    rng = np.random.default_rng(11)
    n, g, h = 200, np.repeat(np.arange(20), 10), rng.integers(0, 8, 200)
    x, z = rng.normal(size=n), rng.normal(size=n)
    eta = 0.7 + 0.3 * x + rng.normal(0, 0.5, 20)[g] + rng.normal(0, 0.3, 8)[h]
    mean = np.exp(eta)
    responses = {
        "count": rng.poisson(mean),
        "few": rng.poisson(np.exp(0.2 + 0.3 * x)),
        "zero": np.where(rng.random(n) < 0.25, 0, rng.poisson(mean)),
        "wide": rng.negative_binomial(2, 2 / (2 + mean)),
        "k": rng.binomial(1, 1 / (1 + np.exp(0.5 - eta))),
        "real": eta + rng.normal(0, 0.7, n),
        "flat": 0.3 * x + rng.normal(0, 0.7, n),
        "size": rng.gamma(3, mean / 3),
        "share": rng.beta(4 / (1 + np.exp(-eta)), 4 / (1 + np.exp(eta))),
        "heap": np.where(rng.random(n) < 0.2, 0.0, rng.gamma(2, mean)),
    }
    return pd.DataFrame({"x": x, "z": z, "g": g, "h": h, "t": pd.Categorical(np.tile(np.arange(10), 20)), **responses})


@dataclass
class Tally:
    """How many responses ended where."""

    equal: int = 0
    boundary: int = 0
    higher: int = 0
    lower: int = 0
    apart: int = 0
    unfinished: int = 0
    worst: float = 0.0

    def add(self, llf: float, params: pd.Series, converged: bool, one: FittedGLMM) -> None:
        """Count one response; a refit that is higher than the fit from scratch found a better maximum."""
        self.boundary += one.singular
        difference = (llf - one.llf) / abs(one.llf)
        apart = float(np.nanmax(np.abs(params - one.params) / one.bse))
        if not (converged and one.converged):
            self.unfinished += 1
        elif difference > LLF:
            self.higher += 1
        elif difference < -LLF:
            self.lower += 1
        elif apart > ESTIMATES:
            self.apart += 1
            self.worst = max(self.worst, apart)
        else:
            self.equal += 1
            self.worst = max(self.worst, apart)


def compare(name: str, rows: pd.DataFrame, count: int) -> Tally:
    """Refit a model to `count` responses drawn from it, and fit each of them anew."""
    formula, family, options = MODELS[name]
    fit = glmm(formula, rows, family, **options)
    y = fit.simulate(count, rng=1, random_effects="unconditional")
    many, tally, response = fit.refit_many(y), Tally(), formula.split(" ~")[0]
    for i in range(count):
        one = glmm(formula, rows.assign(**{response: y[i]}), family, **options)
        tally.add(float(many.llf[i]), many.params.loc[i], bool(many.converged[i]), one)
    return tally


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL")
    parser.add_argument("--responses", type=int, default=500)
    arguments = parser.parse_args()
    print("; ".join(f"{name}: {value}" for name, value in describe().items()))
    print("model; responses: equal, at the boundary, refit higher, lower, estimates apart, unfinished; worst estimate")
    table = data()
    for model in arguments.models:
        t = compare(model, table, arguments.responses)
        counts = (t.equal, t.boundary, t.higher, t.lower, t.apart, t.unfinished)
        print(f"{model:30s} {' '.join(f'{c:6d}' for c in counts)} {t.worst:9.1e}", flush=True)
