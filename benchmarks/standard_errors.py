"""Standard errors inside, and verdicts about separation, on hundreds of simulated data sets; limits: `limits.py`.

    python -m benchmarks.standard_errors interior 300    # against Hessians by Richardson's extrapolation
    python -m benchmarks.standard_errors separation 100  # found where it is, 5 x as many data sets without

Prints a line for each kind and writes what is off by more than the tolerance; exit status 1 when anything is.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from glmmcore import FittedGLMM, glmm

# Relative tolerance of standard errors.
INSIDE = 2e-4


# ---- inside --------------------------------------------------------------------------------------------------------
_HURDLE = {"family": "truncated_poisson", "zi": "~ x"}


def _responses(rng: np.random.Generator, eta: np.ndarray, x: np.ndarray) -> dict[str, tuple[str, np.ndarray, dict]]:
    """One response for each kind of model: (left side, values, options)."""
    n, mu, p = len(eta), np.exp(eta), 1.0 / (1.0 + np.exp(0.6 - eta))

    def overdispersed(k: Any) -> np.ndarray:
        return rng.negative_binomial(k, k / (k + mu))

    inner = np.clip(rng.beta(5.0 * p, 5.0 * (1.0 - p)), 1e-4, 1.0 - 1e-4)
    u = rng.random(n)
    zero = rng.random(n) < 0.25
    return {
        "poisson": ("y", rng.poisson(mu), {"family": "poisson"}),
        "nbinom2": ("y", overdispersed(1.5), {"family": "nbinom2"}),
        "nbinom2 disp": ("y", overdispersed(np.exp(0.5 + 0.5 * x)), {"family": "nbinom2", "disp": "~ x"}),
        "nbinom1": ("y", rng.negative_binomial(mu / 1.2, 1.0 / 2.2), {"family": "nbinom1"}),
        "genpois": ("y", rng.negative_binomial(mu / 0.8, 1.0 / 1.8), {"family": "genpois"}),
        "binomial": ("cbind(y, 8 - y)", rng.binomial(8, p), {"family": "binomial"}),
        "betabinomial": ("cbind(y, 8 - y)", rng.binomial(8, inner), {"family": "betabinomial"}),
        "binary": ("y", rng.binomial(1, p), {"family": "binomial"}),
        "gamma": ("y", rng.gamma(2.0, mu / 2.0), {"family": "gamma"}),
        "lognormal": ("y", np.exp(eta + rng.normal(0, 0.5, n)), {"family": "lognormal"}),
        "beta": ("y", inner, {"family": "beta"}),
        "ordbeta": ("y", np.where(u < 0.12, 0.0, np.where(u > 0.9, 1.0, inner)), {"family": "ordbeta"}),
        "gaussian disp": ("y", eta + rng.normal(0, np.exp(0.3 * x)), {"family": "gaussian", "disp": "~ x"}),
        "skewnormal": ("y", eta + rng.gamma(1.5, 0.6, n), {"family": "skewnormal"}),
        "t": ("y", eta + 0.6 * rng.standard_t(4, n), {"family": "t"}),
        "tweedie": ("y", np.array([rng.gamma(1.5, 0.6, k).sum() for k in rng.poisson(mu)]), {"family": "tweedie"}),
        "zi poisson": ("y", np.where(zero, 0, rng.poisson(mu)), {"family": "poisson", "zi": "~ x"}),
        "zi nbinom2": ("y", np.where(zero, 0, overdispersed(2.5)), {"family": "nbinom2", "zi": "~ 1"}),
        "hurdle": ("y", np.where(zero, 0, np.maximum(rng.poisson(mu), 1)), _HURDLE),
    }


def random_model(rng: np.random.Generator, shift: float, unit: float) -> tuple[str, pd.DataFrame, dict[str, Any]]:
    """Formula, data and options of a model with a maximum inside, most of the time."""
    groups, each = int(rng.integers(8, 40)), int(rng.integers(4, 15))
    n = groups * each
    g, h = np.repeat(np.arange(groups), each), rng.integers(0, 8, n)
    x, f = rng.normal(size=n), rng.integers(0, 3, n)
    w = 0.5 * rng.normal(size=n) + 0.6 * x
    eta = rng.normal(0.6, 0.5) + 0.4 * x - 0.2 * w + np.array([0.0, 0.3, -0.3])[f]
    eta += rng.normal(0, 0.6, groups)[g] + rng.normal(0, 0.3, 8)[h]
    kinds = _responses(rng, eta, x)
    left, y, options = kinds[str(rng.choice(list(kinds)))]
    d = pd.DataFrame({"y": y, "x": shift + unit * x, "w": 0.3 * shift + w / unit, "f": np.array(list("abc"))[f]})
    d["g"], d["h"] = g.astype(str), h.astype(str)
    bars = str(rng.choice(["(1|g)", "(1|g)", "(x|g)", "(1|g) + (1|h)", "(1|g) + (0 + x|g)", "1"]))
    fixed = str(rng.choice(["x", "x + w", "x + f", "x * f"]))
    return f"{left} ~ {fixed} + {bars}", d, options


def exact_errors(fit: FittedGLMM) -> dict[str, np.ndarray] | None:
    """Standard errors by part from Richardson's extrapolation of central differences, at the polished maximum.

    None where the maximum is not inside: a flat direction, or a standard error of five units of a logarithm.
    """
    objective, x = fit.estimator.objective(), fit.solution.x.copy()
    errors = np.full(len(x), 0.05)
    for _ in range(4):
        hessian = _richardson(objective, x, errors)
        if not np.isfinite(hessian).all() or np.any(np.diag(hessian) <= 0.0):
            return None
        scale = np.sqrt(np.diag(hessian))
        if np.linalg.eigvalsh(hessian / np.outer(scale, scale))[0] < 1e-6:
            return None
        inverse = np.linalg.inv(hessian)
        errors = np.sqrt(np.diag(inverse))
        step = -inverse @ objective(x)[1]
        if errors.max() > 5.0 or np.max(np.abs(step / errors)) > 0.1:
            return None
        x = x + step
    parts = [p for p in fit.estimator.problem.parts if p.where.stop > p.where.start]
    return {p.name: np.sqrt(np.diag(p.back @ inverse[p.where, p.where] @ p.back.T)) for p in parts}


def _richardson(objective: Callable[[np.ndarray], Any], x: np.ndarray, errors: np.ndarray) -> np.ndarray:
    def central(j: int, h: float) -> np.ndarray:
        high, low = x.copy(), x.copy()
        high[j] += h
        low[j] -= h
        return np.asarray((objective(high)[1] - objective(low)[1]) / (high[j] - low[j]))

    steps = 2e-3 * np.minimum(errors, 1.0)
    rows = [(4.0 * central(j, h) - central(j, 2.0 * h)) / 3.0 for j, h in enumerate(steps)]
    hessian = np.array(rows)
    return np.asarray(0.5 * (hessian + hessian.T))


def _relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    ratio = ours / theirs
    return float(np.max(np.abs(ratio - 1.0))) if np.isfinite(ratio).all() else float("inf")


def interior(count: int, only: str) -> bool:
    """Compare standard errors of random models with exact ones, as they are and in other origins and units."""
    wrong = False
    for shift, unit in ((0.0, 1.0), (1e4, 1.0), (0.0, 1e-6), (0.0, 1e6)):
        off, seed = [], 0
        while len(off) < count:
            seed += 1
            formula, d, options = random_model(np.random.default_rng([2, seed]), shift, unit)
            if only and only != options["family"]:
                continue
            fit = glmm(formula, d, **options)
            if fit.singular or not fit.converged:
                continue
            exact = exact_errors(fit)
            if exact is None:
                continue
            off.append(max(_relative(np.sqrt(np.diag(fit.part_covariance(p, p))), e) for p, e in exact.items()))
            if off[-1] > INSIDE:
                print(f"  #{seed} {formula} {options}: {off[-1]:.1e} {fit.verdict}")
        worst = np.array(off)
        wrong |= bool(np.any(worst > INSIDE))
        print(f"covariates {shift:g} + {unit:g} x: {np.sum(worst > INSIDE)} of {count} off by more than {INSIDE:g}, "
              f"median {np.median(worst):.1e}, largest {worst.max():.1e}", flush=True)  # fmt: skip
    return wrong


# ---- separation ----------------------------------------------------------------------------------------------------
def separated(rng: np.random.Generator) -> Iterator[tuple[str, str, pd.DataFrame, dict[str, Any], str]]:
    """Models without a maximum: (kind, formula, data, options, column that must be named)."""
    n = 200
    g = np.repeat(np.arange(20), 10).astype(str)
    unit = 10.0 ** rng.uniform(-6, 6)
    origin = unit * 10.0 ** rng.uniform(-2, 4)
    x, z, f = rng.normal(size=n), rng.normal(size=n), rng.choice(list("abc"), n)
    d = pd.DataFrame({"x": origin + unit * x, "z": z, "f": f, "g": g})
    binomial, poisson = {"family": "binomial"}, {"family": "poisson"}
    cut = rng.normal(0, 0.5)
    yield "complete", "b ~ x + z", d.assign(b=(x > cut).astype(int)), binomial, "x"
    yield "complete, (1|g)", "b ~ x + z + (1|g)", d.assign(b=(x > cut).astype(int)), binomial, "x"
    above = np.where(x > cut, 1, rng.binomial(1, 0.3, n) * (x < cut - 0.5))
    yield (
        "quasi-complete",
        "b ~ I(x > 0) + z + (1|g)",
        d.assign(b=np.where(x > 0, 1, above), x=x),
        binomial,
        "I(x > 0)[T.True]",
    )
    random = rng.normal(0, 0.5, 20)[np.repeat(np.arange(20), 10)]
    b = rng.binomial(1, 1.0 / (1.0 + np.exp(-random - 0.3 * z)))
    yield "empty cell", "b ~ f + z + x + (1|g)", d.assign(b=np.where(f == "b", 0, b)), binomial, "f[T.b]"
    yield "empty reference", "b ~ f + z + (1|g)", d.assign(b=np.where(f == "a", 1, b)), binomial, "Intercept"
    y = rng.poisson(np.exp(0.5 + 0.3 * z + random))
    yield "empty count cell", "y ~ f + z + (1|g)", d.assign(y=np.where(f == "c", 0, y)), poisson, "f[T.c]"
    nbinom2 = {"family": "nbinom2"}
    more = rng.negative_binomial(1.0, 1.0 / (1.0 + np.exp(0.5 + 0.3 * z + random)))
    yield "empty nbinom2 cell", "y ~ f + z + (1|g)", d.assign(y=np.where(f == "c", 0, more)), nbinom2, "f[T.c]"
    ones = np.where(f == "b", 1, np.maximum(y, 1))
    yield "ones only", "y ~ f + z + (1|g)", d.assign(y=ones), {"family": "truncated_poisson"}, "f[T.b]"
    hurdle = np.where((f != "b") & (rng.random(n) < 0.4), 0, np.maximum(y, 1))
    yield (
        "no zeros in a cell",
        "y ~ z + (1|g)",
        d.assign(y=hurdle),
        {"family": "truncated_poisson", "zi": "~ f"},
        "f[T.b] (zi)",
    )
    k = np.where(f == "c", 6, rng.binomial(6, 1.0 / (1.0 + np.exp(-random))))
    yield "all of n in a cell", "cbind(k, 6 - k) ~ f + z + (1|g)", d.assign(k=k), binomial, "f[T.c]"


def overlapping(rng: np.random.Generator) -> tuple[str, pd.DataFrame, dict[str, Any]]:
    """A model with a maximum, of few or many rows, covariates in any origin and unit."""
    groups, each = int(rng.integers(8, 30)), int(rng.integers(5, 20))
    n = groups * each
    g, x, f = np.repeat(np.arange(groups), each), rng.normal(size=n), rng.integers(0, 3, n)
    eta = rng.normal(0, 0.5) + rng.normal(0, 0.8) * x + 0.3 * f + rng.normal(0, rng.uniform(0, 1.5), groups)[g]
    unit = 10.0 ** rng.uniform(-6, 6)
    origin = unit * rng.choice([0.0, 10.0, 2000.0, -1e4])
    d = pd.DataFrame({"x": origin + unit * x, "f": np.array(list("abc"))[f], "g": g.astype(str)})
    family = str(rng.choice(["binomial", "poisson", "nbinom2"]))
    mu = np.exp(np.minimum(eta, 5.0))
    d["y"] = {
        "binomial": lambda: rng.binomial(1, 1.0 / (1.0 + np.exp(-eta))),
        "poisson": lambda: rng.poisson(mu),
        "nbinom2": lambda: rng.negative_binomial(1.5, 1.5 / (1.5 + mu)),
    }[family]()
    return "y ~ x + f + (1|g)", d, {"family": family}


def separation(count: int, only: str) -> bool:
    """Count separations found and false alarms."""
    found: dict[str, int] = {}
    for seed in range(count):
        for kind, formula, d, options, column in separated(np.random.default_rng([3, seed])):
            if only and only not in kind:
                continue
            fit = glmm(formula, d, **options)
            told = any("do not bound" in s and column in s for s in fit.verdict)
            found[kind] = found.get(kind, 0) + told
            if not told:
                print(f"  {kind} #{seed}: {fit.verdict}")
    for kind, number in found.items():
        print(f"{kind}: {number} of {count} found")
    alarms = 0
    for seed in range(0 if only else 5 * count):
        formula, d, options = overlapping(np.random.default_rng([4, seed]))
        cells = d.groupby("f")["y"].agg(["min", "max"])
        if (cells["max"] == 0).any() or (options["family"] == "binomial" and (cells["min"] == cells["max"]).any()):
            continue
        verdict = glmm(formula, d, **options).verdict
        if any("do not bound" in s for s in verdict):
            alarms += 1
            print(f"  alarm #{seed}: {options} {verdict}")
    print(f"false alarms: {alarms} of {5 * count}")
    return alarms > 0 or any(number < count for number in found.values())


def main() -> int:
    """Run one of the checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    checks = {"interior": interior, "separation": separation}
    parser.add_argument("check", choices=list(checks))
    parser.add_argument("count", type=int)
    parser.add_argument("--only", default="", help="kinds whose name contains this")
    arguments = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return int(checks[arguments.check](arguments.count, arguments.only))


if __name__ == "__main__":
    sys.exit(main())
