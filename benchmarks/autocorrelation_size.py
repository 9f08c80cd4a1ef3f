"""Size of autocorrelation tests once the right structure is fitted, and their power before.

python benchmarks/autocorrelation_size.py OUT.csv [--sets 400] [--only ou-poisson-one-step ...]

Every data set is drawn anew with its own places or times and seed. Residuals are conditional (method "exact") or
one step ahead. The null distribution of the tests is that of refits, 39 of every data set, as tests make them: a
two-sided statistic rejects beyond all 39, Ljung-Box where at most one of them is larger, which has probability .05
if the data are one more draw from the fitted model. Pooling the refits of all data sets would be cheaper, and wrong:
how refits spread depends on the estimates, above all on how much residual variance is left to them. One line a data
set and test, appended; data sets that are in the file already are left out, so that a run can be continued.
`--table` prints what docs/null_distributions.md shows.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from glmmcore import glmm

N_TIMES, N_PLACES = 60, 45
# A rank among these and the data is in either end, or in the upper two places, with probability .05.
REFITS = 39
SD = {"gaussian": 1.0, "poisson": 0.8}
RIGHT = {"ou": "ou(t | 1)", "ar1": "ar1(k | 1)", "exp": "exp(u, v | 1)", "mat": "mat(u, v | 1)"}
# Before: what is fitted by those who do not think of neighbours.
BEFORE = {"gaussian": "", "poisson": " + (1 | row)"}


def draw(structure, family, seed):
    """One data set: y, covariate x, times t (k: whole numbers with gaps) or places u, v."""
    rng = np.random.default_rng([seed, *structure.encode(), *family.encode()])
    serial = structure in ("ou", "ar1")
    n = N_TIMES if serial else N_PLACES
    d = pd.DataFrame({"x": rng.normal(size=n), "row": np.arange(n)})
    if serial:
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
    eta = 0.5 * d["x"] + effect
    d["y"] = eta + rng.normal(0.0, 0.7, n) if family == "gaussian" else rng.poisson(np.exp(1.0 + eta))
    return d


def statistics(structure, u, d):
    """What the tests among refits look at, of residuals (n,) at the middles of cells; rows are in order of time."""
    e, n = u - np.mean(u), len(u)
    if structure in ("ou", "ar1"):
        lags = np.arange(1, 11)
        r = np.array([e[k:] @ e[:-k] for k in lags]) / (e @ e)
        return {
            "Durbin-Watson": np.sum(np.diff(e) ** 2) / (e @ e),
            "Ljung-Box": n * (n + 2) * np.sum(r**2 / (n - lags)),
        }
    places = d[["u", "v"]].to_numpy()
    inverse = 1.0 / (cdist(places, places) + np.diag(np.full(n, np.inf)))
    nearest = np.where(inverse >= np.sort(inverse, axis=1)[:, [-8]], 1.0, 0.0)
    weights = {"Moran": inverse, "Moran, 8 nearest": nearest}
    return {test: e @ (w / w.sum(axis=1, keepdims=True)) @ e / (e @ e) for test, w in weights.items()}


def one_set(structure, family, kind, seed):
    """Of every test, how many of the refits of one data set lie below it; `kind`: before, conditional, one-step."""
    d = draw(structure, family, seed)
    term = BEFORE[family] if kind == "before" else f" + {RIGHT[structure]}"
    fit = glmm(f"y ~ x{term}", d, family=family)
    drawn = fit.simulate(REFITS, rng=[seed, 1], random_effects="unconditional")
    if kind == "one-step":
        steps = [np.mean(model.one_step().cdf(), axis=0) for model in (fit, *map(fit.refit, drawn))]
    else:
        many = fit.refit_many(drawn, n_jobs=1)
        usable = (many.error == "").to_numpy()
        steps = [np.mean(fit.cdf(), axis=0), *np.mean(many.cdf(), axis=0)[usable]]
    own, *others = (statistics(structure, u, d) for u in steps)
    return {test: (sum(other[test] < own[test] for other in others), len(others)) for test in own}


def designs():
    """Names of all designs."""
    out = []
    for structure in RIGHT:
        kinds = ("before", "conditional", *(("one-step",) if structure in ("ou", "ar1") else ()))
        out += [(structure, family, kind) for family in SD for kind in kinds]
    return out


def rejected(part):
    """Share of data sets beyond all refits; Ljung-Box is one-sided and may have one refit above it."""
    above = part["refits"] - part["below"]
    if part.name[-1] == "Ljung-Box":
        return np.mean(above <= 1)
    return np.mean((above == 0) | (part["below"] == 0))


def table(path):
    """Rejections at 5 % by design and test."""
    groups = pd.read_csv(path).groupby(["structure", "family", "kind", "test"])
    out = groups[["below", "refits"]].apply(rejected).unstack("test").round(3)
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
                {"structure": structure, "family": family, "kind": kind, "seed": seed, "test": test, "below": below,
                 "refits": refits, "seconds": spent}
                for test, (below, refits) in found.items()
            ]  # fmt: skip
            pd.DataFrame(rows).to_csv(given.out, mode="a", header=not given.out.exists(), index=False)


if __name__ == "__main__":
    main(sys.argv[1:])
