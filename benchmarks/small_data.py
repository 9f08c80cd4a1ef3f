"""Fit hundreds of small, nasty simulated data sets and report every exception, NaN and failure to converge.

Usage: python -m benchmarks.small_data [--sets 500] [--seed 1] [--reference DIR]

Sizes from 20 to 200 rows; gaussian, binomial, poisson and nbinom2; some separated, some without variance between
groups, some with empty cells or tiny groups. With ``--write DIR`` the data sets and our log-likelihoods are written as
CSV so that `small_data.R` can fit the same models with glmmTMB.
"""

from __future__ import annotations

import argparse
import pathlib
import time
import warnings

import numpy as np
import pandas as pd

import glmmcore

FAMILIES = ("gaussian", "binomial", "poisson", "nbinom2")


def data_set(index: int, seed: int) -> tuple[pd.DataFrame, str, str, str]:
    """Data, formula, family and the kind of nastiness of one case."""
    rng = np.random.default_rng([seed, index])
    family = FAMILIES[index % 4]
    n = int(rng.integers(20, 201))
    n_groups = int(rng.integers(3, max(4, n // 3)))
    g = np.concatenate([np.arange(n_groups), rng.integers(0, n_groups, n - n_groups)])
    h = rng.integers(0, max(2, n // 10), n)
    x = rng.normal(size=n)
    f = rng.integers(0, 3, n)
    kind = ("plain", "no variance", "separated", "empty cell", "large variance")[(index // 4) % 5]
    sd = {"no variance": 0.0, "large variance": 2.5}.get(kind, 0.7)
    formula = ("y ~ x + (1|g)", "y ~ x + (x|g)", "y ~ x + f + (1|g) + (1|h)")[(index // 20) % 3]
    eta = 0.3 + 0.5 * x + sd * rng.normal(size=n_groups)[g]
    if "(x|g)" in formula:
        eta = eta + sd * rng.normal(size=n_groups)[g] * x
    if family == "gaussian":
        y = eta + rng.normal(size=n)
    elif family == "binomial":
        y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    elif family == "poisson":
        y = rng.poisson(np.exp(np.minimum(eta, 8.0))).astype(float)
    else:
        mu = np.exp(np.minimum(eta, 8.0))
        y = rng.negative_binomial(1.5, 1.5 / (1.5 + mu)).astype(float)
    if kind == "separated" and family == "binomial":
        y = (x > 0).astype(float)
    if kind in ("separated", "empty cell") and family in ("poisson", "nbinom2"):
        y[f == 1] = 0.0
    if kind == "empty cell" and family == "binomial":
        y[f == 1] = 1.0
    d = pd.DataFrame({"y": y, "x": x, "g": g.astype(str), "h": h.astype(str), "f": np.array(list("abc"))[f]})
    return d, formula, family, kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=pathlib.Path)
    a = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    began = time.perf_counter()
    for i in range(a.sets):
        d, formula, family, kind = data_set(i, a.seed)
        row = {"set": i, "formula": formula, "family": family, "kind": kind, "n": len(d)}
        try:
            fit = glmmcore.glmm(formula, d, family=family)
            row |= {
                "llf": fit.llf,
                "converged": fit.converged,
                "singular": fit.singular,
                "evaluations": fit.solution.optimum.n_evaluations,
                "edm": fit.solution.optimum.edm,
                "nan_se": bool(fit.bse.isna().any()),
                "error": "",
            }
        except Exception as e:
            row |= {"llf": np.nan, "converged": False, "error": f"{type(e).__name__}: {str(e)[:120]}"}
        rows.append(row)
        if a.write:
            a.write.mkdir(parents=True, exist_ok=True)
            d.to_csv(a.write / f"set{i}.csv", index=False)
    table = pd.DataFrame(rows)
    if a.write:
        table.to_csv(a.write / "ours.csv", index=False)
    nan_se = table["nan_se"].fillna(False).astype(bool)
    bad = table[(table["error"] != "") | ~table["converged"].astype(bool) | table["llf"].isna() | nan_se]
    with pd.option_context("display.width", 220, "display.max_rows", 100, "display.max_colwidth", 80):
        print(bad.to_string() if len(bad) else "nothing to report")
    print(
        f"{len(table)} sets in {time.perf_counter() - began:.1f} s: {sum(table['error'] != '')} exceptions, "
        f"{int(table['llf'].isna().sum())} NaN, {100 * table['converged'].mean():.1f} % converged, "
        f"{100 * table['singular'].mean():.0f} % singular, "
        f"evaluations: median {table['evaluations'].median():.0f}, most {table['evaluations'].max():.0f}"
    )


if __name__ == "__main__":
    main()
