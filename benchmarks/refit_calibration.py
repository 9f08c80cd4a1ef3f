"""Measure size and power of the tests against refits.

``python benchmarks/refit_calibration.py FILE REPLICATES CELL ...`` adds the p-values of so many data sets of each cell
to a file, a line a data set; those that are there already are not made again. ``... FILE`` alone prints the rates.

A cell is a law, the number and size of its groups, and options, such as ``poisson:200x3`` or ``poisson:40x5:crossed``
(see `OPTIONS`). The rates are those of every test at 5 %, the familywise one of `diagnose`, and how often the 95 %
interval excludes the null value where p < .05 and only there.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path
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


def truncated_poisson(rng, mean):
    """Draw Poisson counts that are not zero, by their distribution function."""
    from scipy.stats import poisson

    return poisson.ppf(rng.uniform(np.exp(-mean), 1), mean)


def tweedie(rng, mean):
    """Draw sums of a Poisson number of exponential variables, with variance ``mean**1.5``."""
    claims = rng.poisson(2 * np.sqrt(mean))
    return rng.gamma(np.maximum(claims, 1), 0.5 * np.sqrt(mean)) * (claims > 0)


def lognormal(rng, mean):
    """Draw lognormal numbers of standard deviation 1."""
    variance = np.log1p(1 / mean**2)
    return mean * np.exp(rng.normal(-variance / 2, np.sqrt(variance)))


def mean_of(predictor):
    """Inverse logit."""
    return 1 / (1 + np.exp(-predictor))


LAWS = {
    "poisson": ("poisson", lambda r, e: r.poisson(np.exp(e))),
    "nbinom2": ("nbinom2", lambda r, e: nbinom(r, np.exp(e), 2)),
    "nbinom1": ("nbinom1", lambda r, e: r.negative_binomial(np.exp(e) / 2, 1 / 3)),
    "gaussian": ("gaussian", lambda r, e: e + r.normal(size=e.size)),
    "gamma": ("gamma", lambda r, e: r.gamma(2, np.exp(e) / 2)),
    "lognormal": ("lognormal", lambda r, e: lognormal(r, np.exp(e))),
    "tweedie": ("tweedie", lambda r, e: tweedie(r, np.exp(e))),
    "bernoulli": ("binomial", lambda r, e: r.binomial(1, mean_of(e))),
    "ten trials": ("binomial", lambda r, e: r.binomial(10, mean_of(e))),
    "betabinomial": ("betabinomial", lambda r, e: r.binomial(10, r.beta(5 * mean_of(e), 5 * mean_of(-e)))),
    "beta": ("beta", lambda r, e: np.clip(r.beta(5 * mean_of(e), 5 * mean_of(-e)), 1e-6, 1 - 1e-6)),
    "zip": ("poisson", lambda r, e: r.poisson(np.exp(e)) * (r.random(e.size) > 0.3)),
    "zinb": ("nbinom2", lambda r, e: nbinom(r, np.exp(e + 0.6), 4) * (r.random(e.size) > 0.3)),
    "truncated poisson": ("truncated_poisson", lambda r, e: truncated_poisson(r, np.exp(e))),
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
    more: dict[str, Any] = {"reml": True} if "reml" in options else {}
    if law in ("ten trials", "betabinomial", "betabinomial as binomial"):
        more["trials"] = np.full(len(data), 10)
    if law in ("zip", "zinb"):
        more["zi"] = "~ 1"
    return glmmcore.glmm(formula, data, family=family, **more)


def measured(cell: str, replicate: int) -> dict[str, Any]:
    """P-values of one data set, the smallest adjusted one, dispersion, and which results' intervals contradict p."""
    start = time.process_time()
    res, data = residuals(cell, replicate)
    diagnosis = sr.diagnose(res, n_monte_carlo=0)
    seconds = time.process_time() - start
    results = dict(diagnosis.results) | {name: test(res, data) for name, test in MORE_TESTS.items()}
    at_odds = []
    for name, result in results.items():
        if result.effect is not None and result.effect.interval is not None:
            low, high = result.effect.interval
            if (result.pvalue < 0.05) != (not low <= result.effect.null <= high):
                at_odds.append(name)
    ratio = diagnosis.results["dispersion"].effect if "dispersion" in diagnosis.results else None
    return {
        "cell": cell,
        "replicate": replicate,
        "p": {name: result.pvalue for name, result in results.items()},
        "adjusted": float(diagnosis.table["pvalue_adjusted"].min()),
        "ratio": None if ratio is None else [ratio.value, *ratio.interval],
        "at odds": at_odds,
        "refits": max(result.n_refits for result in results.values()),
        "seconds": seconds,
    }


def rates(lines: list[dict[str, Any]]) -> dict[str, float]:
    """Rejection rates, the familywise one, and the share of results whose interval and p-value agree."""
    p: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        for name, value in line["p"].items():
            if value == value:
                p[name].append(value)
    found = {name: float(np.mean(np.array(v) < 0.05)) for name, v in p.items()}
    found["familywise"] = float(np.mean([line["adjusted"] < 0.05 for line in lines]))
    found["agreement"] = 1 - sum(len(line["at odds"]) for line in lines) / sum(len(line["p"]) for line in lines)
    return found | {"seconds": float(np.mean([line["seconds"] for line in lines]))}


def read(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Lines of a file by cell."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for text in file.read_text().splitlines() if file.exists() else ():
        line = json.loads(text)
        found[line["cell"]].append(line)
    return found


def extend(file: Path, replicates: int, cells: list[str]) -> None:
    """Add the data sets that are missing."""
    known = {(line["cell"], line["replicate"]) for lines in read(file).values() for line in lines}
    with file.open("a") as out:
        for i in range(replicates):  # so that a run that is stopped has all cells
            for cell in cells:
                if (cell, i) not in known:
                    print(json.dumps(measured(cell, i)), file=out, flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    path = Path(sys.argv[1])
    if len(sys.argv) > 2:
        extend(path, int(sys.argv[2]), sys.argv[3:] or [f"{law}:20x10" for law in LAWS])
    for name, found in read(path).items():
        print(name, len(found), {k: round(v, 3) for k, v in rates(found).items()})
