"""Measure size and power of every test without refits and write docs/calibration_without_refits.md.

    python benchmarks/calibration.py                       # 2000 replicates per cell, two hours of CPU time
    python benchmarks/calibration.py --replicates 200      # quick look
    python benchmarks/calibration.py --only glmm-poisson   # cells whose name contains this
    python benchmarks/calibration.py --tests dispersion    # only rows that begin so, in place of the old ones
    python benchmarks/calibration.py --report              # only write the report from what has been run

Replicate `r` of a cell draws everything from ``SeedSequence([seed, cell, r])``, so results do not depend on
the number of workers or on the order of cells. Chunks are appended to the store as they finish; a later call
with more replicates continues where the earlier one stopped. Rows run with ``--tests``, after a test has
changed, replace all older ones of the same cell.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np  # noqa: E402

import simresid as sr  # noqa: E402

SEED, N_SIMS, CHUNK, ALPHA = 20260, 250, 100, 0.05
SIZES = (50, 200, 1000)
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Cell:
    """One setting: how data arise, what is fitted, how residuals are simulated.

    `data` are arguments of `create_data`; ``n_groups`` follows from groups of 10 rows unless given.
    """

    name: str
    n: int
    data: dict[str, Any]
    formula: str
    family: str
    random_effects: str = "conditional"
    fit: dict[str, Any] = field(default_factory=dict)
    kind: str = "size"
    tests: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Unique name."""
        return f"{self.kind}/{self.name}/n={self.n}/{self.random_effects}"

    def seed(self, replicate: int) -> np.random.SeedSequence:
        """Seed of one replicate; the same data for conditional and unconditional simulations."""
        code = zlib.crc32(f"{self.kind}/{self.name}/n={self.n}".encode())
        return np.random.SeedSequence([SEED, code, replicate])


FIXED = {"random_effect_sd": 0.0}
MODELS: dict[str, dict[str, Any]] = {
    "lm-gaussian": {"data": FIXED | {"family": "gaussian"}, "formula": "observed ~ x1", "family": "gaussian"},
    "glm-poisson": {"data": FIXED | {"intercept": 1.0}, "formula": "observed ~ x1", "family": "poisson"},
    "glmm-poisson": {"data": {}, "formula": "observed ~ x1 + (1|group)", "family": "poisson"},
    "glmm-nbinom2": {
        "data": {"family": "nbinom2", "dispersion": 1.5, "intercept": 1.0},
        "formula": "observed ~ x1 + (1|group)",
        "family": "nbinom2",
    },
    "glmm-bernoulli": {
        "data": {"family": "binomial"},
        "formula": "observed ~ x1 + (1|group)",
        "family": "binomial",
    },
    "glmm-10-trials": {
        "data": {"family": "binomial", "trials": 10},
        "formula": "cbind(successes, failures) ~ x1 + (1|group)",
        "family": "binomial",
    },
    "glm-gamma": {
        "data": FIXED | {"family": "gamma", "dispersion": 0.5},
        "formula": "observed ~ x1",
        "family": "gamma",
        "fit": {"link": "log"},
    },
    "zip": {
        "data": FIXED | {"intercept": 1.0, "zero_inflation": 0.3},
        "formula": "observed ~ x1",
        "family": "poisson",
        "fit": {"zi": "~1"},
    },
}

#: Defect -> (model fitted, changes to its data, tests that should notice).
DEFECTS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "overdispersion (sd .35)": (
        "glmm-poisson",
        {"overdispersion": 0.35},
        ("dispersion", "dispersion greater", "dispersion DHARMa", "dispersion DHARMa greater", "uniformity"),
    ),
    "zero inflation (15 %)": (
        "glm-poisson",
        {"zero_inflation": 0.15},
        ("zero inflation", "zero inflation greater", "dispersion", "dispersion DHARMa", "uniformity"),
    ),
    "missing quadratic (.8)": (
        "glm-poisson",
        {"quadratic_effects": 0.8},
        ("quantiles", "quantiles x1", "quantiles fixed degree", "uniformity", "dispersion"),
    ),
    "heteroscedasticity": (
        "lm-gaussian",
        {"dispersion": 0.2, "overdispersion": "spread"},
        ("heteroscedasticity", "quantiles", "quantiles fixed degree", "uniformity"),
    ),
    "missing random effect (sd .4)": (
        "glm-poisson",
        {"random_effect_sd": 0.4},
        ("dispersion", "dispersion DHARMa", "categories", "uniformity"),
    ),
    "wrong link (inverse for log)": (
        "glm-gamma",
        {"link": "inverse", "intercept": 2.0, "fixed_effects": 1.5},
        ("quantiles", "quantiles x1", "quantiles fixed degree", "uniformity"),
    ),
    "temporal correlation (sd .5, range 5)": (
        "glm-poisson",
        {"temporal_sd": 0.5, "temporal_range": 5.0},
        ("temporal", "temporal Ljung-Box", "dispersion"),
    ),
    "spatial correlation (sd .5, range .2)": (
        "glm-poisson",
        {"spatial_sd": 0.5, "spatial_range": 0.2},
        ("spatial", "spatial neighbours", "dispersion"),
    ),
}


#: Variants that are studied with conditional simulations only.
VARIANTS = (
    "uniformity Anderson-Darling",
    "uniformity dependent",
    "outliers, counted as by DHARMa",
    "quantiles fixed degree",
    "temporal Ljung-Box",
    "spatial neighbours",
    "dispersion DHARMa",
    "dispersion DHARMa greater",
)


def _growing_noise(eta: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the extra noise that makes a Gaussian response fan out."""
    return 0.3 + 0.25 * np.maximum(eta + 1, 0)


def cells() -> list[Cell]:
    """All cells of the study."""
    out = []
    for name, model in MODELS.items():
        for n in SIZES:
            for mode in ("conditional", "unconditional"):
                if mode == "conditional" or name.startswith("glmm"):
                    out.append(Cell(name, n, random_effects=mode, **model))
    for defect, (name, change, tests) in DEFECTS.items():
        for n in SIZES:
            model = MODELS[name] | {"data": MODELS[name]["data"] | change}
            out.append(Cell(f"{defect}, {name}", n, kind="power", tests=tests, **model))
    return out


# ---- one replicate
# -----------------------------------------------------------------------------------------------


def replicate(cell: Cell, r: int, prefix: str = "") -> dict[str, float]:
    """P-values of one simulated, fitted and diagnosed data set, by the tests whose names begin with `prefix`."""
    import glmmcore

    rng = np.random.default_rng(cell.seed(r))
    arguments = {"n_groups": max(2, cell.n // 10)} | cell.data
    if arguments.get("overdispersion") == "spread":
        arguments["overdispersion"] = _growing_noise
    data = sr.create_data(cell.n, rng=rng, **arguments)
    fit = glmmcore.glmm(cell.formula, data, cell.family, **cell.fit)
    seed = int(rng.integers(2**31))
    res = sr.simulate_residuals(fit, N_SIMS, random_effects=cell.random_effects, rng=seed)
    wanted = tests(res, data, cell)
    names = cell.tests or tuple(wanted)
    if cell.random_effects == "unconditional":  # each variant costs another pass over the simulated residuals
        names = tuple(name for name in names if name not in VARIANTS)
    return {name: float(wanted[name]()) for name in names if name in wanted and name.startswith(prefix)}


def tests(res: Any, data: Any, cell: Cell) -> dict[str, Callable[[], float]]:
    """Every test by name, to be called for its p-value; none against refits (see refit_calibration.py)."""
    null = "analytic" if cell.random_effects == "conditional" else "simulated"
    table: dict[str, Callable[[], float]] = {
        "uniformity": lambda: sr.uniformity_test(res, null=null).pvalue,
        "uniformity Anderson-Darling": lambda: sr.uniformity_test(res, method="ad", null=null).pvalue,
        "uniformity dependent": lambda: sr.uniformity_test(res, method="dependent", null=null).pvalue,
        "outliers": lambda: sr.outlier_test(res, null=null).pvalue,
        "outliers, counted as by DHARMa": lambda: dharma_outliers(res),
        "quantiles": lambda: sr.quantile_test(res, null=null).pvalue,
        "quantiles x1": lambda: sr.quantile_test(res, "x1", null=null).pvalue,
        "quantiles fixed degree": lambda: fixed_degree(res.residuals, data["x1"].to_numpy()),
        "heteroscedasticity": lambda: sr.heteroscedasticity_test(res, null=null).pvalue,
        "categories": lambda: (
            sr.categorical_test(res, "group" if cell.name.startswith("glmm") else data["group"], null=null).pvalue
        ),
        "temporal": lambda: sr.temporal_autocorrelation_test(res, data["time"], null=null).pvalue,
        "temporal Ljung-Box": lambda: (
            sr.temporal_autocorrelation_test(res, data["time"], method="ljung-box", null=null).pvalue
        ),
        "spatial": lambda: sr.spatial_autocorrelation_test(res, data["x"], data["y"], null=null).pvalue,
        "spatial neighbours": lambda: (
            sr.spatial_autocorrelation_test(res, data["x"], data["y"], weights="knn", null=null).pvalue
        ),
    }
    if "bernoulli" not in cell.name:
        table |= {
            "dispersion": lambda: sr.dispersion_test(res, null="simulated").pvalue,
            "dispersion greater": lambda: sr.dispersion_test(res, "greater", null="simulated").pvalue,
            "dispersion less": lambda: sr.dispersion_test(res, "less", null="simulated").pvalue,
            "dispersion DHARMa": lambda: dharma_dispersion(res, "two-sided"),
            "dispersion DHARMa greater": lambda: dharma_dispersion(res, "greater"),
        }
        if res.discrete and bool(np.any(res.observed == 0)):
            table |= {
                "zero inflation": lambda: sr.zero_inflation_test(res, null="simulated").pvalue,
                "zero inflation greater": lambda: sr.zero_inflation_test(res, "greater", null="simulated").pvalue,
            }
    return table


def dharma_dispersion(res: Any, alternative: str) -> float:
    """DHARMa 0.5's default: conditional simulations around the prediction without random effects."""
    from simresid.checks.pvalues import simulation_pvalue

    eta_free = getattr(res.model, "has_random_effects", False)
    centre = res.model.population_mean() if eta_free else res.fitted
    null = np.var(res.simulated - centre, axis=1)
    return simulation_pvalue(float(np.var(res.observed - centre)), null, alternative)


def dharma_outliers(res: Any) -> float:
    """DHARMa's binomial test on its own residuals, whose outliers are too frequent for discrete responses."""
    from simresid.checks.outliers import binomial_test

    below = np.mean(res.simulated < res.observed, axis=0)
    equal = np.mean(res.simulated == res.observed, axis=0)
    u = below + res.child_rng("pit").random(res.n_obs) * equal
    edge = 1 / (res.n_sims + 1)
    count = int(np.count_nonzero((u < edge) | (u > 1 - edge)))
    return binomial_test(count, res.n_obs, 2 * edge, "two-sided")[0]


def fixed_degree(u: np.ndarray, x: np.ndarray) -> float:
    """Unweighted score test of degree 2 (residuals.md, section 8): the recipe to be improved upon."""
    from scipy.stats import chi2

    q = np.array([0.25, 0.5, 0.75])
    covariance = np.minimum.outer(q, q) - np.outer(q, q)
    rank = (np.argsort(np.argsort(x)) + 0.5) / x.size
    basis = np.linalg.qr(np.polynomial.legendre.legvander(2 * rank - 1, 2))[0]
    score = basis.T @ ((u[:, None] <= q) - q)
    return float(chi2.sf(np.sum(score @ np.linalg.inv(covariance) * score), 9))


# ---- running
# -----------------------------------------------------------------------------------------------------


def run_chunk(cell: Cell, first: int, size: int, prefix: str = "") -> dict[str, Any]:
    """Count replicates and rejections per test; replicates whose fit fails are counted apart."""
    import warnings

    counts: dict[str, list[int]] = {}
    failed = 0
    start = time.perf_counter()
    for r in range(first, first + size):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values = replicate(cell, r, prefix)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError, RuntimeError) as error:
            failed += 1
            message = f"{type(error).__name__}: {error}"
            counts.setdefault(f"error {message[:80]}", [0, 0])[0] += 1
            continue
        for name, p in values.items():
            entry = counts.setdefault(name, [0, 0])
            entry[0] += 1
            entry[1] += p <= ALPHA
    seconds = time.perf_counter() - start
    return {
        "cell": cell.key,
        "first": first,
        "size": size,
        "failed": failed,
        "seconds": seconds,
        "counts": counts,
        "tests": prefix,
    }


def load(store: Path) -> list[dict[str, Any]]:
    """Chunks that have been run."""
    return [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []


def run(selected: list[Cell], n_replicates: int, store: Path, n_jobs: int, prefix: str = "") -> None:
    """Run what is missing from the store: size before power, conditional before unconditional simulations."""
    from joblib import Parallel, delayed

    done = {(c["cell"], c["first"], c.get("tests", "")) for c in load(store)}
    tasks = [
        (cell, first)
        for first in range(0, n_replicates, CHUNK)
        for cell in selected
        if (cell.key, first, prefix) not in done
    ]
    tasks.sort(key=lambda task: (task[0].kind == "power", task[0].random_effects == "unconditional"))
    store.parent.mkdir(parents=True, exist_ok=True)
    results: Iterable[dict[str, Any]] = Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)(
        delayed(run_chunk)(cell, first, min(CHUNK, n_replicates - first), prefix) for cell, first in tasks
    )
    for k, result in enumerate(results):
        with store.open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(
            f"{k + 1}/{len(tasks)} {result['cell']} from {result['first']}: {result['seconds']:.0f} s",
            flush=True,
        )


# ---- report
# ------------------------------------------------------------------------------------------------------

Totals = dict[str, dict[str, tuple[int, int]]]

#: Rows that are there for comparison, not tests of this package.
COMPARED = (
    "outliers, counted as by DHARMa",
    "quantiles fixed degree",
    "dispersion DHARMa",
    "dispersion DHARMa greater",
)


def totals(chunks: list[dict[str, Any]]) -> Totals:
    """``cell -> test -> (replicates, rejections)``, without rows that have been run anew since."""
    redone = {(chunk["cell"], prefix) for chunk in chunks if (prefix := chunk.get("tests", ""))}
    out: Totals = {}
    for chunk in chunks:
        cell = out.setdefault(chunk["cell"], {})
        newer = tuple(prefix for name, prefix in redone if name == chunk["cell"] and prefix != chunk.get("tests"))
        for test, (n, k) in chunk["counts"].items():
            before = cell.setdefault(test, (0, 0))
            if not (newer and test.startswith(newer)):
                cell[test] = (before[0] + n, before[1] + k)
    return out


def report(store: Path, path: Path, machine: str) -> None:
    """Write the Markdown report."""
    chunks = load(store)
    found = totals(chunks)
    size = [c for c in cells() if c.kind == "size" and c.key in found]
    day = time.strftime("%Y-%m-%d", time.gmtime(store.stat().st_mtime))
    lines = [HEADER.format(seed=SEED, n_sims=N_SIMS, day=day, machine=machine)]
    lines += _replicates(found, chunks)
    lines += ["## Rates above 7 %", "", *_above(size, found)]
    lines += ["## Rates below 2 %", "", *_below(size, found)]
    lines += ["## Beside DHARMa in R", "", *_beside(found)]
    for mode in ("conditional", "unconditional"):
        for n in SIZES:
            chosen = [c for c in size if c.random_effects == mode and c.n == n]
            if chosen or mode == "conditional":
                lines += [f"## Size, {mode} simulations, n = {n}", "", *_table(chosen, found)]
    lines += ["## Power", "", POWER_NOTE, ""]
    for defect, (name, _, _) in DEFECTS.items():
        lines += [f"### {defect}, fitted: {name}", ""]
        power = [c for c in cells() if c.kind == "power" and c.name == f"{defect}, {name}"]
        lines += _table([c for c in power if c.key in found], found, by_size=True)
    path.write_text("\n".join(lines).rstrip() + "\n")


def _replicates(found: Totals, chunks: list[dict[str, Any]]) -> list[str]:
    """How many replicates there are, and what that means for the error of a rate."""
    lines = [
        "| cells | number of cells | replicates per cell | of dispersion tests | standard error at .05 |",
        "|---|---|---|---|---|",
    ]
    for kind, modes in (("size", ("conditional", "unconditional")), ("power", ("conditional",))):
        for mode in modes:
            for n in SIZES:
                keys = [c.key for c in cells() if (c.kind, c.random_effects, c.n) == (kind, mode, n)]
                counts = [_count(found.get(key, {})) for key in keys]
                dispersion = [count for key in keys if (count := _count(found.get(key, {}), "dispersion"))]
                low = min(counts)
                error = f"{np.sqrt(0.05 * 0.95 / low):.4f}".lstrip("0") if low else "not run"
                label = f"{kind}, {mode}, n = {n}" if kind == "size" else f"{kind}, n = {n}"
                lines.append(f"| {label} | {len(keys)} | {_span(counts)} | {_span(dispersion)} | {error} |")
    failed = sum(chunk["failed"] for chunk in chunks)
    return [*lines, "", f"Fits that failed and were left out: {failed}.", ""]


def _count(cell: dict[str, tuple[int, int]], prefix: str = "") -> int:
    """Replicates of the tests that begin with `prefix`, by default of all but those of dispersion."""
    kept = [n for test, (n, _) in cell.items() if test.startswith(prefix or OTHER_THAN_DISPERSION)]
    return max(kept, default=0)


def _span(counts: list[int]) -> str:
    low, high = min(counts, default=0), max(counts, default=0)
    return f"{low}" if low == high else f"{low} to {high}"


def _below(size: list[Cell], found: Totals) -> list[str]:
    """Which rates are below 2 %, by test, and why."""
    low: dict[str, dict[str, list[str]]] = {}
    for cell in size:
        for test, (n, k) in found[cell.key].items():
            if n and k < 0.02 * n and test not in COMPARED and not test.startswith("error"):
                rows = f"{cell.n}" + " u" * (cell.random_effects != "conditional")
                low.setdefault(test, {}).setdefault(cell.name, []).append(rows)
    lines = ["Models and their numbers of rows, `u` for unconditional simulations.", "", "| test | why | models |"]
    lines.append("|---|---|---|")
    for test, where in low.items():
        reason = next(text for prefix, text in REASONS.items() if test.startswith(prefix))
        models = "; ".join(f"{name} {', '.join(rows)}" for name, rows in where.items())
        lines.append(f"| {test} | {reason} | {models} |")
    return [*lines, ""]


def _beside(found: Totals) -> list[str]:
    """Figures of DHARMa itself beside the same ones here."""

    def rates(test: str, *keys: str) -> str:
        values = [k / n for key in keys for n, k in [found.get(key, {}).get(test, (0, 0))] if n]
        return " to ".join(f"{v:.3f}" for v in sorted({min(values), max(values)})) if values else "not run"

    lines = [BESIDE_NOTE, "", "| test | setting | DHARMa | here |", "|---|---|---|---|"]
    for n, theirs in ((50, ".30"), (200, ".09")):
        keys = [f"size/{name}/n={n}/conditional" for name in MODELS]
        lines.append(f"| quantiles | right model, n = {n} | {theirs} | {rates('quantiles', *keys)} |")
    right = "size/glmm-poisson/n=200/conditional"
    wrong = "power/overdispersion (sd .35), glmm-poisson/n=200/conditional"
    for test, label, null, power in (
        ("dispersion", "two-sided", "0", ".24"),
        ("dispersion greater", "greater", "0", ".38"),
    ):
        lines.append(f"| dispersion, {label} | right Poisson GLMM, n = 200 | {null} | {rates(test, right)} |")
        lines.append(f"| dispersion, {label} | overdispersed (sd .35) | {power} | {rates(test, wrong)} |")
    lines += [
        "| outliers (binomial) | right Poisson GLM, mean 2, n = 600 | .085 | "
        f"{rates('outliers', 'size/glm-poisson/n=200/conditional', 'size/glm-poisson/n=1000/conditional')}"
        " (n = 200 and 1000) |",
        "| simulated LRT | predictor of 20 groups, strong effect | 0 of 15 | .94 (`benchmarks/lrt_power.py`) |",
        "| dispersion ratio of k of n | true ratio 5.9 | 1.08 | compared as counts |",
    ]
    return [*lines, ""]


def _above(size: list[Cell], found: Totals) -> list[str]:
    """Every rate above 7 %, with the chance of one as large if the true rate were 5 %."""
    from scipy.stats import binom

    rows, expected, n_rates = [], 0.0, 0
    for cell in size:
        for test, (n, k) in found[cell.key].items():
            if test in COMPARED or test.startswith("error"):
                continue
            if not n:
                continue
            n_rates += 1
            expected += float(binom.sf(np.floor(0.07 * n), n, 0.05))
            if k > 0.07 * n:
                chance = float(binom.sf(k - 1, n, 0.05))
                name = f"{cell.name}, n = {cell.n}, {cell.random_effects}"
                rows.append((chance, f"| {test} | {name} | {k / n:.3f} | {n} | {chance:.2g} |"))
    text = (
        f"{len(rows)} of {n_rates} rates. If the true rate were .05 everywhere, {expected:.1f} would be above "
        ".07 by chance alone.\nRows for comparison are not counted."
    )
    if not rows:
        return [text, ""]
    head = ["| test | cell | rate | replicates | chance of this rate or more at .05 |", "|---|---|---|---|---|"]
    return [text, "", *head, *(row for _, row in sorted(rows)), ""]


def _table(present: list[Cell], found: Totals, by_size: bool = False) -> list[str]:
    if not present:
        return ["Not run.", ""]
    names: list[str] = []
    for cell in present:
        names += [t for t in found[cell.key] if t not in names and not t.startswith("error")]
    heads = [f"n = {c.n}" if by_size else c.name for c in present]
    lines = ["| test | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name in names:
        row = []
        for cell in present:
            n, k = found[cell.key].get(name, (0, 0))
            row.append(f"{k / n:.3f}" if n else "")
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    for label, prefix in (("replicates", ""), ("replicates, dispersion", "dispersion")):
        counts = [str(_count(found[c.key], prefix) or "") for c in present]
        if any(counts):
            lines.append(f"| {label} | " + " | ".join(counts) + " |")
    return [*lines, ""]


HEADER = """# Calibration without refits

Rejection rates at 5 % of every test, on data simulated from a model that is then fitted and diagnosed: seed
{seed}, {n_sims} simulations per fit. Written by `python benchmarks/calibration.py`, last run {day} on {machine}.
The target is 2000 replicates per cell; how many there are so far is in the table below and in the last row of each
table. What has been run stays the same when more are added.

Rows that name DHARMa apply DHARMa 0.5's definitions to the same fits and simulations: dispersion around the
prediction without random effects, outliers counted on its own residuals. "fixed degree" is the unweighted
score test of quantile indicators with polynomials of degree 2 along `x1`.

Rates well below .05 are expected where the fit itself takes away what the test looks for; the second list below
names them and says why. Dispersion tests have been run anew since they average the variance over the random
effects (`simresid.checks.dispersion`), with replicates of their own.
"""
OTHER_THAN_DISPERSION = (
    "uniformity",
    "outliers",
    "quantiles",
    "heteroscedasticity",
    "categories",
    "temporal",
    "spatial",
)
#: Why a rate may be below 2 %, by the beginning of a test's name.
REASONS = {
    "uniformity": "estimated coefficients make residuals more regular than uniform",
    "outliers": "few outliers are expected, and the levels of an exact test of a small count lie below .05; a fitted "
    "scale, or new random effects with a fitted variance, leave fewer extreme rows",
    "quantiles": "a fitted trend leaves less along the fitted predictor; simulations with new random effects are not "
    "refitted, so that their trends are larger than those of the data",
    "heteroscedasticity": "a fitted trend and scale leave less",
    "categories": "fitted effects of the groups leave too little between them; Holm's method and twice the smaller of "
    "two p-values are conservative",
    "temporal": "chance",
    "spatial": "chance",
    "dispersion": "a fitted dispersion (gaussian, gamma, nbinom2) or zero inflation adapts to the scatter of the data",
    "zero inflation": "a fitted mean, dispersion, random effects or zero inflation reproduces the number of zeros",
}
BESIDE_NOTE = (
    "Rejection rates at 5 % measured in R with DHARMa 0.5.1 (60 to 250 replicates, standard errors of .02 to .06) and "
    "the same settings here."
)
POWER_NOTE = "Rejection rates at 5 % under a defect."


def main() -> None:
    """Parse arguments, run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=2000)
    parser.add_argument("--only", default="", help="run cells whose name contains this")
    parser.add_argument("--tests", default="", help="run tests whose name begins with this, in place of older rows")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--store", type=Path, default=ROOT / "build" / "calibration.jsonl")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "calibration_without_refits.md")
    parser.add_argument("--machine", default=f"{os.cpu_count()} cores", help="named in the report")
    parser.add_argument("--report", action="store_true", help="write the report without running anything")
    parser.add_argument("--list", action="store_true", help="list the cells")
    arguments = parser.parse_args()
    selected = [cell for cell in cells() if arguments.only in cell.key]
    if arguments.list:
        print("\n".join(cell.key for cell in selected))
        return
    if not arguments.report:
        run(selected, arguments.replicates, arguments.store, arguments.jobs, arguments.tests)
    report(arguments.store, arguments.output, arguments.machine)


if __name__ == "__main__":
    main()
