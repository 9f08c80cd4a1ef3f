"""Size of autocorrelation tests once the right structure is fitted, and their power before.

python -m benchmarks.autocorrelation_size OUT.csv [--sets 400] [--only ou-poisson-one-step ...]

Every data set has 100 rows and is drawn anew with its own places, times or tree and seed. Residuals are conditional
(method "exact") or one step ahead. The null distribution of the tests is that of refits; of every data set one refit is
made, and all data sets are compared with the refits of all (the warp-speed method of Giacomini, Politis and White 2013,
Econometric Theory 29, 567-589), which gives the rejection rate of the test with many refits at the cost of one. One
line a data set and test, appended; data sets that are in the file already are left out, so that a run can be
continued. `--table` prints what
docs/null_distributions.md shows.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.covarying import tree
from glmmcore import glmm
from glmmcore.relationship import from_tree
from simresid import (
    phylogenetic_autocorrelation_test,
    spatial_autocorrelation_test,
    temporal_autocorrelation_test,
)

N_ROWS = 100
SD = {"gaussian": 1.0, "poisson": 0.8}
RIGHT = {"ou": "ou(t | 1)", "ar1": "ar1(k | 1)", "exp": "exp(u, v | 1)", "mat": "mat(u, v | 1)"}
RIGHT["tree"] = "(1 | tip)"
SERIAL = ("ou", "ar1")
# Before: what is fitted by those who do not think of neighbours.
BEFORE = {"gaussian": "", "poisson": " + (1 | row)"}


def draw(structure, family, seed):
    """One data set: y, covariate x, times t (k: whole numbers with gaps) or places u, v."""
    rng = np.random.default_rng([seed, *structure.encode(), *family.encode()])
    n = N_ROWS
    d = pd.DataFrame({"x": rng.normal(size=n), "row": np.arange(n)})
    if structure == "tree":
        d["tip"] = [f"t{i}" for i in range(n)]
        d.attrs["tree"], effect = tree(n, rng)
        return _responses(d, family, SD[family] * effect, rng)
    if structure in SERIAL:
        d["t"] = np.cumsum(rng.exponential(1.0, n))
        d["k"] = np.cumsum(1 + (rng.random(n) < 0.2))
        at = d["t" if structure == "ou" else "k"].to_numpy(float)
        distance = np.abs(np.subtract.outer(at, at))
        correlation = np.exp(-0.35 * distance) if structure == "ou" else 0.7**distance
    else:
        d["u"], d["v"] = rng.uniform(0.0, 10.0, (2, n))
        distance = np.hypot(*(np.subtract.outer(d[c].to_numpy(), d[c].to_numpy()) for c in "uv"))
        scaled = distance / (2.0 if structure == "exp" else 1.2)
        correlation = np.exp(-scaled) if structure == "exp" else (1.0 + scaled) * np.exp(-scaled)
    effect = SD[family] * np.linalg.cholesky(correlation + 1e-9 * np.eye(n)) @ rng.normal(size=n)
    return _responses(d, family, effect, rng)


def _responses(d, family, effect, rng):
    n = len(d)
    eta = 0.5 * d["x"] + effect
    d["y"] = eta + rng.normal(0.0, 0.7, n) if family == "gaussian" else rng.poisson(np.exp(1.0 + eta))
    return d


def statistics(structure, model, d):
    """What the tests among refits look at: residuals at the middle of their cells."""
    u = np.mean(model.cdf(), axis=0)
    if structure == "tree":
        relation = from_tree(d.attrs["tree"]).matrix(list(d["tip"]))
        apart = np.maximum(2.0 - 2.0 * relation.to_numpy(copy=True), 0.0)  # every tip is at height one
        np.fill_diagonal(apart, 0.0)
        distances = pd.DataFrame(apart, d["tip"], d["tip"])
        return {"Moran, tree": phylogenetic_autocorrelation_test(u, distances, d["tip"]).statistic}
    if structure in SERIAL:
        when = d["t" if structure == "ou" else "k"]
        return {
            "Durbin-Watson": temporal_autocorrelation_test(u, when).statistic,
            "Ljung-Box": temporal_autocorrelation_test(u, when, method="ljung-box").statistic,
        }
    return {
        "Moran": spatial_autocorrelation_test(u, d["u"], d["v"]).statistic,
        "Moran, 8 nearest": spatial_autocorrelation_test(u, d["u"], d["v"], weights="knn").statistic,
    }


def one_set(structure, family, kind, seed):
    """Statistics of one data set and of one refit to data drawn from its fit; `kind`: before, conditional, one-step."""
    d = draw(structure, family, seed)
    term = BEFORE[family] if kind == "before" else f" + {RIGHT[structure]}"
    known = {"tip": from_tree(d.attrs["tree"])} if structure == "tree" and kind != "before" else None
    fit = glmm(f"y ~ x{term}", d, family=family, known=known)
    refit = fit.refit(fit.simulate(1, rng=[seed, 1], random_effects="unconditional")[0])
    models = [fit.one_step(), refit.one_step()] if kind == "one-step" else [fit, refit]
    own, other = (statistics(structure, model, d) for model in models)
    return {test: (own[test], other[test]) for test in own}


def designs():
    """Names of all designs."""
    out = []
    for structure in RIGHT:
        kinds = ("before", "conditional", *(("one-step",) if structure in SERIAL else ()))
        out += [(structure, family, kind) for family in SD for kind in kinds]
    return out


def rejected(part):
    """Share of statistics beyond the quantiles of those of refits; Ljung-Box is one-sided."""
    tails = [0.95] if part.name[-1] == "Ljung-Box" else [0.025, 0.975]
    limits = np.quantile(part["of_refit"], tails)
    return np.mean((part["statistic"] > limits[-1]) | ((part["statistic"] < limits[0]) & (len(tails) == 2)))


def table(path):
    """Rejections at 5 % by design and test."""
    groups = pd.read_csv(path).groupby(["structure", "family", "kind", "test"])
    out = groups[["statistic", "of_refit"]].apply(rejected).unstack("test").round(3)
    return out.assign(sets=groups.size().groupby(level=[0, 1, 2]).max())


def main(arguments):
    """Run, or print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--seconds", type=float, default=np.inf)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args(arguments)
    if given.table:
        print(table(given.out).to_string())
        return
    done = set()
    if given.out.exists():
        known = pd.read_csv(given.out)
        done = set(zip(known["structure"], known["family"], known["kind"], known["seed"], strict=True))
    start = time.process_time()
    for seed in range(given.sets):
        for structure, family, kind in designs():
            name = f"{structure}-{family}-{kind}"
            if (given.only and name not in given.only) or (structure, family, kind, seed) in done:
                continue
            if time.process_time() - start > given.seconds:
                return
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                begin = time.process_time()
                found = one_set(structure, family, kind, seed)
                spent = time.process_time() - begin
            rows = [
                {"structure": structure, "family": family, "kind": kind, "seed": seed, "test": test, "statistic": own,
                 "of_refit": other, "seconds": spent}
                for test, (own, other) in found.items()
            ]  # fmt: skip
            pd.DataFrame(rows).to_csv(given.out, mode="a", header=not given.out.exists(), index=False)


if __name__ == "__main__":
    main(sys.argv[1:])
