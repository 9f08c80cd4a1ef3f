"""Screen thousands of small models, fit thousands of responses, and compare with the same loop in R.

Usage: ``python benchmarks/screening.py [--models 2000] [--jobs 2] [--r 100]``. R needs lme4; it runs a subset of the
same data sets, one after the other, and its time is scaled up. Processor seconds are printed beside wall-clock
seconds, since the latter say little on a machine that does other work. Needs psutil, which comes with dask.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

import simresid
import simresid.screening.many_models
from glmmcore import fit_many

FORMULA, N, GROUPS = "y ~ x + (1|g)", 60, 12
R_LOOP = """
suppressMessages(library(lme4))
args <- commandArgs(TRUE)
d <- read.csv(args[1])
d$g <- factor(d$g)
models <- unique(d$m)
p <- numeric(length(models))
start <- proc.time()
for (i in seq_along(models)) {
  rows <- d[d$m == models[i], ]
  fit <- suppressMessages(suppressWarnings(
    if (args[2] == "poisson") glmer(y ~ x + (1|g), rows, family = poisson) else glmer.nb(y ~ x + (1|g), rows)))
  p[i] <- pchisq(sum(residuals(fit, type = "pearson")^2), df.residual(fit), lower.tail = FALSE)
}
used <- proc.time() - start
cat((used[1] + used[2]) / length(models), used[3] / length(models), mean(p[d$bad[match(models, d$m)] == 0] < .05),
    mean(p[d$bad[match(models, d$m)] == 1] < .05), "\\n")
"""


def data_sets(count: int, seed: int = 1) -> dict[str, pd.DataFrame]:
    """Every second one is overdispersed: negative binomial of size 2."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(GROUPS), N // GROUPS)
    out = {}
    for i in range(count):
        x = rng.normal(size=N)
        mean = np.exp(1 + 0.4 * x + rng.normal(0, 0.5, GROUPS)[g])
        y = rng.negative_binomial(2, 2 / (2 + mean)) if i % 2 else rng.poisson(mean)
        out[f"{'bad' if i % 2 else 'good'} {i}"] = pd.DataFrame({"y": y, "x": x, "g": g})
    return out


def processor_seconds() -> float:
    """Of this process and its children that are alive."""
    own = psutil.Process()
    return sum(sum(p.cpu_times()[:2]) for p in [own, *own.children(recursive=True)])


def measured_screen(models: dict[str, tuple], jobs: int, tests: object) -> tuple[pd.DataFrame, float, float]:
    """Screen once for warmth, then with the clock running."""
    simresid.screen(dict(list(models.items())[:64]), tests, n_jobs=jobs, progress=False)
    before, start = processor_seconds(), time.perf_counter()
    table = simresid.screen(models, tests, n_jobs=jobs)
    return table, time.perf_counter() - start, processor_seconds() - before


def r_seconds(sets: dict[str, pd.DataFrame], count: int, family: str) -> list[float]:
    """Processor and wall-clock seconds a model in R, and the shares it flags of right and overdispersed data."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [d.assign(m=name, bad=int(name.startswith("bad"))) for name, d in list(sets.items())[:count]]
        pd.concat(rows).to_csv(Path(folder) / "d.csv", index=False)
        (Path(folder) / "loop.R").write_text(R_LOOP)
        command = ["Rscript", f"{folder}/loop.R", f"{folder}/d.csv", family]
        return [float(v) for v in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]


def report_screen(sets: dict[str, pd.DataFrame], jobs: int, n_r: int) -> None:
    cases = {
        "all Poisson, dispersion test": (("poisson", "poisson"), "dispersion"),
        "all Poisson, four tests": (("poisson", "poisson"), simresid.screening.many_models.DEFAULT_TESTS),
        "Poisson and nbinom2 in turn, four tests": (
            ("poisson", "nbinom2"),
            simresid.screening.many_models.DEFAULT_TESTS,
        ),
    }
    have_r = n_r > 0 and shutil.which("Rscript")
    r = {"poisson": r_seconds(sets, n_r, "poisson"), "nbinom2": r_seconds(sets, n_r // 4, "nbinom2")} if have_r else {}
    for what, (families, tests) in cases.items():
        models = {name: (FORMULA, d, families[i % 2]) for i, (name, d) in enumerate(sets.items())}
        table, wall, processor = measured_screen(models, jobs, tests)
        good = table.index.str.startswith("good")
        print(f"{what}: {len(sets)} models, {jobs} workers: {wall:.1f} s, {processor:.1f} s of processors")
        print(f"  failed to fit: {(table['error'] != '').sum()}; not converged: {(table['converged'] == False).sum()}")  # noqa: E712
        small = table["dispersion"] < 0.05
        right = "Poisson" if families[1] == "poisson" else "Poisson, fitted as such"
        other = "overdispersed" if families[1] == "poisson" else "overdispersed, fitted as such"
        print(f"  dispersion p < .05: {small[good].mean():.3f} ({right}), {small[~good].mean():.3f} ({other})")
        if r:
            per_model = 0.5 * (r[families[0]][0] + r[families[1]][0])
            print(f"  R: {per_model * len(sets):.0f} s of one processor, scaled from {n_r} and {n_r // 4} models")
            print(f"  ratio of R's processor seconds to ours: {per_model * len(sets) / processor:.1f};", end=" ")
            print(f"to ours spread over {jobs} workers: {jobs * per_model * len(sets) / processor:.1f}")
    if r:
        print(f"R's Pearson test of Poisson fits, p < .05: {r['poisson'][2]:.3f} right, {r['poisson'][3]:.3f} others")


def report_many(count: int = 5000, n: int = 200, groups: int = 20) -> None:
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(groups), n // groups), rng.normal(size=n)
    y = rng.poisson(np.exp(0.5 + 0.3 * x[:, None] + rng.normal(0, 0.5, (groups, count))[g]))
    d = pd.DataFrame({"x": x, "g": g})
    fit_many("~ x + (1|g)", d, "poisson", responses=y[:, :200])
    before, start = time.process_time(), time.perf_counter()
    fits = fit_many("~ x + (1|g)", d, "poisson", responses=y)
    wall, processor = time.perf_counter() - start, time.process_time() - before
    print(f"fit_many, {count} responses of {n} rows: {1e3 * processor / count:.2f} ms of one processor a response")
    print(f"  ({1e3 * wall / count:.2f} ms by the clock), {int(fits.converged.sum())} converged")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--r", type=int, default=100, help="data sets for R; 0 to leave R out")
    options = parser.parse_args()
    report_many()
    report_screen(data_sets(options.models), options.jobs, options.r)
