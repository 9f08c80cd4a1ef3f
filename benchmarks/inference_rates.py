"""How often intervals cover and tests reject, of means, contrasts and coefficients after the fit.

``python -m benchmarks.inference_rates [replicates]`` prints the tables of ``docs/inference_rates.md``. Each replicate
has a generator of its own, so that numbers do not depend on how many there are.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from glmmcore import DataWarning, glmm, marginal_means, wald_tests

SEED = 20261127
LEVEL = 0.95


def generators(n: int) -> Iterator[np.random.Generator]:
    """One for each replicate."""
    return iter(np.random.default_rng(SEED).spawn(n))


def rate(name: str, hits: list[bool], wanted: float) -> dict[str, object]:
    """One line of a table: per cent, and its binomial standard error."""
    share = float(np.mean(hits))
    error = 100 * np.sqrt(share * (1 - share) / len(hits))
    return {
        "what": name,
        "per cent": round(100 * share, 1),
        "±": round(error, 1),
        "wanted": wanted,
        "data sets": len(hits),
    }


# ---- overall means of zero-inflated models ---------------------------------------------------------------
def zero_inflated(rng: np.random.Generator, family: str, groups: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Counts of two treatments in groups, and their true overall means at a random effect of zero."""
    g = np.repeat(np.arange(groups), 8)
    t = np.tile([0, 1], groups * 4)
    eta, zero = np.array([0.9, 1.4]), np.array([0.35, 0.2])
    mean = np.exp(eta[t] + rng.normal(0, 0.4, groups)[g])
    law = rng.poisson(mean) if family == "poisson" else rng.negative_binomial(3.0, 3.0 / (3.0 + mean))
    y = law * (rng.random(len(g)) > zero[t])
    return pd.DataFrame({"y": y, "g": g, "t": np.array(["a", "b"])[t]}), np.exp(eta) * (1 - zero)


def coverage_of_overall_means(n: int, family: str, groups: int) -> list[dict[str, object]]:
    """Coverage of both means and of their ratio."""
    means, ratio = [], []
    for rng in generators(n):
        data, truth = zero_inflated(rng, family, groups)
        fit = glmm("y ~ t + (1|g)", data, family=family, zi="~ t")
        table = marginal_means(fit, "t", kind="response")
        means += list((table["lower"] <= truth) & (truth <= table["upper"]))
        pair = marginal_means(fit, "t", kind="response", contrasts={"b / a": [-1, 1]}, scale="ratio").iloc[0]
        ratio.append(bool(pair["lower"] <= truth[1] / truth[0] <= pair["upper"]))
    label = f"zero-inflated {family}, {groups} groups of 8"
    return [rate(f"{label}: overall means", means, 95.0), rate(f"{label}: their ratio", ratio, 95.0)]


# ---- Kenward and Roger beside Wald -----------------------------------------------------------------------
def _split_plot(rng: np.random.Generator) -> tuple[pd.DataFrame, str, str]:
    cells = pd.MultiIndex.from_product([range(4), list("uvw"), list("pqr")], names=["block", "whole", "sub"])
    d = cells.to_frame(index=False)
    d["plot"] = d["block"] * 3 + pd.factorize(d["whole"])[0]
    d["y"] = rng.normal(0, 1, 4)[d["block"]] + rng.normal(0, 1, 12)[d["plot"]] + rng.normal(size=36)
    return d[rng.permutation(36) >= 5], "y ~ whole + sub + (1|block) + (1|plot)", "whole"


def _clusters(rng: np.random.Generator) -> tuple[pd.DataFrame, str, str]:
    sizes = [2, 3, 4, 6, 8, 12, 3, 5, 9]
    g = np.repeat(np.arange(9), sizes)
    d = pd.DataFrame({"g": g, "arm": np.array(list("abcabcabc"))[g]})
    d["y"] = rng.normal(0, 1, 9)[g] + rng.normal(size=len(g))
    return d, "y ~ arm + (1|g)", "arm"


def _slopes(rng: np.random.Generator) -> tuple[pd.DataFrame, str, str]:
    sizes = [3, 4, 5, 6, 7, 8, 4, 5]
    g = np.repeat(np.arange(8), sizes)
    x = np.concatenate([np.arange(m) for m in sizes]) / 3.0
    d = pd.DataFrame({"g": g, "x": x})
    d["y"] = rng.normal(0, 1, 8)[g] + rng.normal(0, 1, 8)[g] * x + rng.normal(0, 0.7, len(g))
    return d, "y ~ x + (x|g)", "x"


def _raters(rng: np.random.Generator) -> tuple[pd.DataFrame, str, str]:
    cells = pd.MultiIndex.from_product([range(6), range(8)], names=["rater", "object"])
    d = cells.to_frame(index=False)
    d["school"] = np.array(list("uuvvww"))[d["rater"]]
    d["y"] = rng.normal(0, 1, 6)[d["rater"]] + rng.normal(0, 1, 8)[d["object"]] + rng.normal(size=48)
    return d[rng.permutation(48) >= 10], "y ~ school + (1|rater) + (1|object)", "school"


def _incomplete_blocks(rng: np.random.Generator) -> tuple[pd.DataFrame, str, str]:
    plan = ["abc", "ade", "bdf", "cef", "abf", "cde", "acf", "bde"]
    d = pd.DataFrame([(block, t) for block, treatments in enumerate(plan) for t in treatments], columns=["block", "t"])
    d["y"] = rng.normal(0, 1, 8)[d["block"]] + rng.normal(size=24)
    return d, "y ~ t + (1|block)", "t"


DESIGNS: dict[str, Callable[[np.random.Generator], tuple[pd.DataFrame, str, str]]] = {
    "split plot, 4 blocks, 5 of 36 plots lost": _split_plot,
    "9 clusters of 2 to 12 rows in 3 arms": _clusters,
    "6 treatments in 8 incomplete blocks of 3": _incomplete_blocks,
    "6 raters of 3 schools by 8 objects, 10 of 48 lost": _raters,
    "8 subjects with slopes, 3 to 8 visits": _slopes,
}


def size_of_tests(n: int, name: str) -> list[dict[str, object]]:
    """Share of true hypotheses that tests at 5 % reject."""
    rejected: dict[str, list[bool]] = {"chi2": [], "satterthwaite": [], "kenward-roger": []}
    for rng in generators(n):
        data, formula, term = DESIGNS[name](rng)
        fit = glmm(formula, data, reml=True)
        for df, found in rejected.items():
            found.append(bool(wald_tests(fit, df=df).loc[term, "pvalue"] < 0.05))
    return [rate(f"{name}: {df}", found, 5.0) for df, found in rejected.items()]


# ---- families of contrasts -------------------------------------------------------------------------------
def familywise(n: int, contrasts: str, adjust: str) -> list[dict[str, object]]:
    """Share of data sets without any effect in which some contrast of five means is found."""
    found = []
    for rng in generators(n):
        f = np.repeat(np.arange(5), 6)
        d = pd.DataFrame({"f": np.array(list("abcde"))[f], "block": np.tile(np.arange(6), 5)})
        d["y"] = rng.normal(0, 1, 6)[d["block"]] + rng.normal(size=30)
        fit = glmm("y ~ f + (1|block)", d, reml=True)
        table = marginal_means(fit, "f", contrasts=contrasts, adjust=adjust, df="kenward-roger")
        found.append(bool((table["pvalue"] < 0.05).any()))
    return [rate(f"five means in six blocks: {contrasts}, {adjust}", found, 5.0)]


# ---- sandwich --------------------------------------------------------------------------------------------
def robust_coverage(n: int) -> list[dict[str, object]]:
    """Poisson rates by clusters that are too variable for the model, 80 of them with 6 rows."""
    covered: dict[str, list[bool]] = {"model": [], "sandwich": []}
    for rng in generators(n):
        g = np.repeat(np.arange(80), 6)
        x = np.repeat(rng.normal(size=80), 6)
        d = pd.DataFrame({"g": g, "x": x})
        d["y"] = rng.negative_binomial(1.0, 1.0 / (1.0 + np.exp(1 + 0.3 * x + rng.normal(0, 0.3, 80)[g])))
        fit = glmm("y ~ x + (1|g)", d, family="poisson")
        robust = fit.cov_params("sandwich", cluster="g", small_sample="CR1")
        for name, cov in (("model", None), ("sandwich", robust)):
            limits = fit.conf_int(cov=cov).loc["x"]
            covered[name].append(bool(limits["lower"] <= 0.3 <= limits["upper"]))
    return [rate(f"Poisson fit to overdispersed counts, slope: {k}", v, 95.0) for k, v in covered.items()]


def robust_coverage_of_regression(n: int) -> list[dict[str, object]]:
    """A regression whose residuals spread with the predictor."""
    covered: dict[str, list[bool]] = {"model": [], "HC3": []}
    for rng in generators(n):
        x = rng.uniform(0.0, 3.0, size=200)
        d = pd.DataFrame({"x": x, "y": 1 + 0.5 * x + rng.normal(size=200) * (0.2 + x**2)})
        fit = glmm("y ~ x", d)
        for name in covered:
            limits = fit.conf_int(cov=name).loc["x"]
            covered[name].append(bool(limits["lower"] <= 0.5 <= limits["upper"]))
    return [rate(f"regression with unequal variances, slope: {k}", v, 95.0) for k, v in covered.items()]


def main(n: int) -> None:
    """Print all tables."""
    warnings.simplefilter("ignore", DataWarning)
    parts = {
        "Coverage of overall means": [
            lambda: coverage_of_overall_means(n // 2, "poisson", 40),
            lambda: coverage_of_overall_means(n // 2, "nbinom2", 60),
        ],
        "Size of F tests": [lambda name=name: size_of_tests(n, name) for name in DESIGNS],
        "Familywise error": [
            lambda: familywise(n, "pairwise", "tukey"),
            lambda: familywise(n, "dunnett", "dunnett"),
        ],
        "Robust covariances": [lambda: robust_coverage(n // 2), lambda: robust_coverage_of_regression(n)],
    }
    for title, calls in parts.items():
        rows = [row for call in calls for row in call()]
        print(f"{title}\n{pd.DataFrame(rows).to_string(index=False)}\n", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
