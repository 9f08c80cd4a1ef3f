"""Measure size and power of the tests against refits.

``python benchmarks/refit_calibration.py FILE REPLICATES [CELL ...] [--processes 2] [--minutes 60]`` adds the p-values
of so many data sets of each cell to a file, a line a data set; those that are there already are not made again, so that
runs add up. It prints the rates; ``... FILE`` alone does nothing else. P-values of tests whose code has changed since
are left out, and their data sets are judged again.

``--designs size`` takes the cells of `SIZE`, one after the other with the cheapest first, so that those which are
reached have all replicates; by default all of `RIGHT` and `WRONG` come in turns.

A cell is a law, the number and size of its groups, and options, such as ``poisson:200x3`` or ``poisson:40x5:crossed``
(see `OPTIONS`). The rates are those of every test at 5 %, and the familywise one of `diagnose`. Each line also has the
dispersion ratio with its interval, and the tests whose 95 % interval excludes the null value where p is not below .05,
or contains it where p is.
"""

from __future__ import annotations

import argparse
import ast
import functools
import hashlib
import importlib
import inspect
import json
import time
import warnings
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
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
    "nbinom2 as nbinom1": ("nbinom1", lambda r, e: nbinom(r, np.exp(e), 2)),
    "betabinomial as binomial": ("binomial", lambda r, e: r.binomial(10, r.beta(8 * mean_of(e), 8 * mean_of(-e)))),
    "nbinom1 as nbinom2": ("nbinom2", lambda r, e: r.negative_binomial(np.exp(e) / 2, 1 / 3)),
}
"""Family that is fitted, and how data are drawn around a linear predictor."""


RIGHT = (
    *(
        "poisson:200x3",
        "poisson:20x10",
        "poisson:60x2",
        "poisson:10x20",
        "poisson:20x10:crossed",
        "poisson:20x10:slopes",
    ),
    *("nbinom2:20x10", "nbinom2:200x4", "nbinom1:20x10", "gaussian:20x10", "gaussian:12x6:reml", "gaussian:10x3"),
    *("ten trials:30x5", "betabinomial:30x5", "gamma:15x8", "beta:15x8", "zip:20x10", "tweedie:20x10"),
)
WRONG = (
    *("t(4) as gaussian:20x10", "nbinom2 with 15 % more zeros:20x10", "poisson with row effects:20x10"),
    *("lognormal as gamma:30x10", "nbinom1 as nbinom2:20x10", "nbinom2 as nbinom1:20x10"),
    *("poisson with 10 % more zeros:20x10", "betabinomial as binomial:30x5"),
)
"""Cells of `docs/calibration.md`."""

SIZE = (
    *("gaussian:30x1:none", "gaussian:10x3", "poisson:100x1:none", "gaussian:20x10", "poisson:60x2"),
    *("poisson:10x20", "ten trials:30x5", "gamma:15x8", "nbinom2:20x10", "beta:15x8", "zip:20x10", "poisson:200x3"),
    *("gaussian:250x20", "poisson:250x20"),
)
"""Right models for many replicates: groups of 1, 2, 3, 5, 8, 10 and 20, 30 to 5000 rows, the cheapest first."""

DESIGNS = {"right": RIGHT, "wrong": WRONG, "size": SIZE}

FAMILYWISE = "diagnose, any test after adjustment"

MANY = 500
"""Data sets from which on a cell counts for the share of cells close to the level."""

BLOCK = 32
"""Data sets that a process is given between two looks at the clock."""


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
        "code": {name: codes()[name] for name in [*results, FAMILYWISE]},
        "refits": max(result.n_refits for result in results.values()),
        "seconds": seconds,
    }


def limits(rejections: int, n: int) -> tuple[float, float]:
    """Exact 95 % limits of a rate (Clopper and Pearson)."""
    from scipy.stats import binomtest

    found = binomtest(rejections, n).proportion_ci(0.95, method="exact")
    return float(found.low), float(found.high)


def code_of(test: Any) -> str:
    """Digest of the code that a test runs through: its module and what it imports from the checks, without docstrings.

    P-values of other code are not counted; those of tests whose code is the same are kept.
    """
    seen: set[str] = set()
    names = [inspect.unwrap(test).__module__]
    texts = []
    while names:
        name = names.pop()
        if name in seen or not name.startswith("simresid.checks."):
            continue
        seen.add(name)
        module = importlib.import_module(name)
        if hasattr(module, "__path__"):
            continue
        tree = ast.parse(inspect.getsource(module))
        names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
        texts.append(name + ast.dump(_without_docstrings(tree)))
    return hashlib.blake2b("".join(sorted(texts)).encode(), digest_size=6).hexdigest()


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [s for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return tree


@functools.cache
def codes() -> dict[str, str]:
    """Digest of the code of every test, and of the adjustment for their number."""
    from simresid.checks.registry import TESTS

    alone = {entry.name: code_of(entry.test) for entry in TESTS}
    more = {
        "Anderson-Darling": alone["uniformity"],
        "categories": code_of(sr.categorical_test),
        "groups": code_of(sr.categorical_test),
        "time": code_of(sr.temporal_autocorrelation_test),
        "along x": alone["quantiles"],
        "space": code_of(sr.spatial_autocorrelation_test),
        FAMILYWISE: code_of(sr.diagnose),
    }
    return alone | more


def decisions(lines: list[dict[str, Any]]) -> dict[str, list[float]]:
    """P-values of every test, and the smallest adjusted one, of the data sets that the code of today has judged."""
    found: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        for name, value in (line["p"] | {FAMILYWISE: line["adjusted"]}).items():
            if value == value and line.get("code", {}).get(name) == codes()[name]:
                found[name].append(value)
    return found


def tables(file: Path) -> str:
    """Markdown of `docs/calibration.md`: rates over all right models, of each right model, and of wrong ones."""
    cells = {name: decisions(lines) for name, lines in read(file).items()}
    right = {name: found for name, found in cells.items() if not is_wrong(name)}
    wrong = {name: found for name, found in cells.items() if is_wrong(name)}
    tests = [name for name in codes() if any(name in found for found in cells.values())]
    out = ["| test | data sets | p < .01 | p < .05 | p < .1 |", "|---|---|---|---|---|"]
    for name in tests:
        p = np.array([value for found in right.values() for value in found.get(name, [])])
        if p.size:
            shares = [_rate(p, 0.01), _with_limits(p), _rate(p, 0.1)]
            out.append(f"| {name} | {p.size} | {' | '.join(shares)} |")
    out += _share_inside({(name, t): found[t] for name, found in right.items() for t in tests if t in found})
    for part in (right, wrong):
        out += ["", "| cell | data sets | " + " | ".join(tests) + " |", "|---" * (len(tests) + 2) + "|"]
        for name, found in part.items():
            rates_here = [_rate(np.array(found[t]), 0.05) if found.get(t) else "" for t in tests]
            out.append(f"| {name} | {max(map(len, found.values()), default=0)} | {' | '.join(rates_here)} |")
    return "\n".join(out)


def _share_inside(cells: dict[tuple[str, str], list[float]]) -> list[str]:
    """How many cells of a design and a test with `MANY` data sets are close to the level, and which are not."""
    rates = {key: _rejected(p) for key, p in cells.items() if len(p) >= MANY}
    if not rates:
        return []
    close, near = ({k for k, r in rates.items() if abs(r - 0.05) <= far + 1e-12} for far in (0.015, 0.025))
    counts = f"{len(close)} lie within .035 to .065 and {len(near)} within .025 to .075"
    out = ["", f"Of {len(rates)} cells of {MANY} data sets or more {counts}. The others:"]
    out += ["", "| cell | test | data sets | p < .05 | p < .1 |", "|---|---|---|---|---|"]
    for name, test in sorted(rates.keys() - close):
        p = np.array(cells[name, test])
        out.append(f"| {name} | {test} | {p.size} | {_with_limits(p)} | {_rate(p, 0.1)} |")
    return out


def is_wrong(cell: str) -> bool:
    """Whether the model of a cell is not that of the data."""
    return any(word in cell for word in (" as ", " more ", " with "))


def _rejected(p: Any, level: float = 0.05) -> float:
    return float(np.mean(np.asarray(p) < level))


def _rate(p: Any, level: float) -> str:
    return f"{_rejected(p, level):.3f}".removeprefix("0")


def _with_limits(p: Any) -> str:
    low, high = limits(int(np.sum(p < 0.05)), p.size)
    return f"{_rate(p, 0.05)} ({low:.3f} to {high:.3f})"


def read(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Lines of a file by cell, of each data set the last."""
    found: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for text in file.read_text().splitlines() if file.exists() else ():
        line = json.loads(text)
        found[line["cell"]][line["replicate"]] = line
    return {cell: list(lines.values()) for cell, lines in found.items()}


def extend(
    file: Path, replicates: int, cells: list[str], processes: int, minutes: float, *, one_by_one: bool = False
) -> None:
    """Add the data sets that are missing, or were judged by other code, until time is up.

    Cells are made in turns, so that a run that is stopped has all of them, or `one_by_one`, so that it has whole ones.
    """
    end = time.monotonic() + 60 * minutes
    known = {(line["cell"], line["replicate"]) for lines in read(file).values() for line in lines if is_current(line)}
    missing = [(cell, i) for i in range(replicates) for cell in cells if (cell, i) not in known]
    if one_by_one:
        missing.sort(key=lambda job: cells.index(job[0]))
    quiet: dict[str, Any] = {"initializer": warnings.simplefilter, "initargs": ("ignore",)}
    with file.open("a") as out, ProcessPoolExecutor(processes, **quiet) as pool:
        for first in range(0, len(missing), BLOCK * processes):
            if time.monotonic() > end:
                return
            part = missing[first : first + BLOCK * processes]
            for line in pool.map(measured, *zip(*part, strict=True), chunksize=4):
                print(json.dumps(line), file=out, flush=True)


def is_current(line: dict[str, Any]) -> bool:
    """Whether all p-values of a data set are those of the code of today."""
    return all(line.get("code", {}).get(name) == codes()[name] for name in [*line["p"], FAMILYWISE])


def main() -> None:
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("replicates", type=int, nargs="?", default=0)
    parser.add_argument("cells", nargs="*", help="all of RIGHT and WRONG by default")
    parser.add_argument("--designs", choices=DESIGNS, help="cells of a list, one after the other")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=np.inf)
    asked = parser.parse_args()
    if asked.replicates:
        cells = asked.cells or [*DESIGNS.get(asked.designs, (*RIGHT, *WRONG))]
        one_by_one = asked.designs is not None
        extend(asked.file, asked.replicates, cells, asked.processes, asked.minutes, one_by_one=one_by_one)
    print(tables(asked.file))


if __name__ == "__main__":
    main()
