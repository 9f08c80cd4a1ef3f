"""CPU seconds of the same design under every family, relative to poisson (counts) or binomial (k of n).

Usage: python -m benchmarks.family_speed [--rows 100000] [FAMILY ...]
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import pandas as pd

import glmmcore
from benchmarks.recovery import TRUTH, ZERO_INFLATED, ZI
from glmmcore.families import get_family
from glmmcore.results.law import Law


def data(case: str, n: int) -> tuple[pd.DataFrame, str, dict]:
    """One simulated data set with n / 50 groups."""
    name = ZERO_INFLATED.get(case, case)
    family = get_family(name)
    delta, psi = TRUTH[name]
    psi = tuple(family.start_psi()[0]) if name == "ordbeta" else psi
    rng = np.random.default_rng(1)
    x, g = rng.standard_normal(n), rng.integers(0, n // 50, n)
    eta = 0.5 + 0.4 * x + 0.6 * rng.standard_normal(n // 50)[g]
    values = {"cond": eta, "disp": np.array([delta])}
    values |= {extra: np.array([v]) for extra, v in zip(family.extra, psi, strict=True)}
    options: dict = {}
    if case in ZERO_INFLATED:
        values["zi"] = np.full(n, ZI)
        options["zi"] = "~ 1"
    trials = np.full(n, 8.0) if family.takes_trials else None
    y = Law(family, values, trials).simulate(1, rng)[0]
    if trials is not None:
        options["trials"] = trials
    return pd.DataFrame({"y": y, "x": x, "g": g}), name, options


def seconds(case: str, n: int) -> tuple[float, int]:
    """CPU seconds of a warm fit, and its evaluations."""
    d, family, options = data(case, n)
    small, _, small_options = data(case, 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        glmmcore.glmm("y ~ x + (1|g)", small, family=family, **small_options)
        began = time.process_time()
        fit = glmmcore.glmm("y ~ x + (1|g)", d, family=family, **options)
    return time.process_time() - began, fit.solution.optimum.n_evaluations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=[*TRUTH, *ZERO_INFLATED])
    parser.add_argument("--rows", type=int, default=100_000)
    a = parser.parse_args()
    base = {False: seconds("poisson", a.rows)[0], True: seconds("binomial", a.rows)[0]}
    for case in a.families:
        cpu, evaluations = seconds(case, a.rows)
        reference = base[get_family(ZERO_INFLATED.get(case, case)).takes_trials]
        print(f"{case:20s} {cpu:8.3f} s  {cpu / reference:6.1f} x  {evaluations} evaluations", flush=True)


if __name__ == "__main__":
    main()
