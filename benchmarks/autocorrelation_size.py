"""Size of autocorrelation tests once the right structure is fitted, and their power before.

python benchmarks/autocorrelation_size.py OUT.csv [--sets 200] [--only ou-poisson-one-step ...]

Every data set is drawn anew with its own places or times and seed. Residuals are conditional (method "exact") or one
step ahead, null distributions 59 refits each. One line a data set and test, appended; data sets that are in the file
already are left out, so that a run can be continued. `--table` prints what docs/null_distributions.md shows.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from glmmcore import glmm
from simresid import simulate_residuals

N_TIMES, N_PLACES, N_REFITS = 60, 45, 59
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


def pvalues(structure, family, kind, seed):
    """P-values of one data set; `kind`: before, conditional or one-step."""
    d = draw(structure, family, seed)
    term = BEFORE[family] if kind == "before" else f" + {RIGHT[structure]}"
    fit = glmm(f"y ~ x{term}", d, family=family)
    method = "one-step" if kind == "one-step" else "exact"
    res = simulate_residuals(fit, method=method, rng=seed)
    if structure in ("ou", "ar1"):
        time_column = "t" if structure == "ou" else "k"
        found = {
            "durbin-watson": res.temporal_autocorrelation_test(time_column, n_refits=N_REFITS),
            "ljung-box": res.temporal_autocorrelation_test(time_column, method="ljung-box", n_refits=N_REFITS),
        }
    else:
        found = {"moran": res.spatial_autocorrelation_test("u", "v", n_refits=N_REFITS)}
        found["moran, nearest"] = res.spatial_autocorrelation_test("u", "v", weights="knn", n_refits=N_REFITS)
    found["uniformity"] = res.uniformity_test(n_refits=N_REFITS)
    return {name: (result.pvalue, result.n_refits, result.effect.value) for name, result in found.items()}


def designs():
    """Names of all designs."""
    out = []
    for structure in RIGHT:
        kinds = ("before", "conditional", *(("one-step",) if structure in ("ou", "ar1") else ()))
        out += [(structure, family, kind) for family in SD for kind in kinds]
    return out


def table(path):
    """Rejections at 5 % by design and test."""
    found = pd.read_csv(path)
    keys = ["structure", "family", "kind", "test"]
    out = found.groupby(keys)["pvalue"].agg(sets="size", rejected=lambda p: np.mean(p < 0.05))
    return out["rejected"].unstack("test").round(3).assign(sets=out["sets"].groupby(level=[0, 1, 2]).max())


def main(arguments):
    """Run, or print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", type=int, default=200)
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
                found = pvalues(structure, family, kind, seed)
                spent = time.process_time() - begin
            rows = [
                {"structure": structure, "family": family, "kind": kind, "seed": seed, "test": test, "pvalue": p,
                 "n_refits": n, "effect": e, "seconds": spent}
                for test, (p, n, e) in found.items()
            ]  # fmt: skip
            pd.DataFrame(rows).to_csv(given.out, mode="a", header=not given.out.exists(), index=False)


if __name__ == "__main__":
    main(sys.argv[1:])
