"""Standard errors of random models with a maximum inside, beside exact ones; those at limits: `limits.py`.

    python -m benchmarks.standard_errors FILE --models 300 --seed 1 [--minutes 9]

The reference is the inverse of the Hessian that Richardson's extrapolation of central differences of the exact gradient
gives, at the maximum polished by Newton's method: of all parameters, those of random effects included. The same models
are fitted with covariates in other origins and units. `FILE` gets one line for each model, and the command goes on with
a file that is there; it prints a line for each origin and unit. Exit status 1 when a standard error is off by more than
2e-4 of itself, 3 when the minutes were over first.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glmmcore import FittedGLMM, ModelError, glmm

from .interior_models import random_model

# Relative tolerance of standard errors.
INSIDE = 2e-4
# Name of all parameters beside those of the parts.
_ALL = "all parameters"
# Origins and units of the covariates.
WRITTEN = ((0.0, 1.0), (1e4, 1.0), (0.0, 1e-6), (0.0, 1e6))


class Outcome(NamedTuple):
    """A line of the file; `deviation` is NaN where the maximum is not inside."""

    shift: float
    unit: float
    number: int
    deviation: float
    where: str
    seconds: float
    model: str


def exact_errors(fit: FittedGLMM) -> dict[str, np.ndarray] | None:
    """Standard errors by part, and of all parameters as the optimiser has them, at the polished maximum.

    None where the maximum is not inside: a flat direction, or a standard error of five units of a logarithm.
    """
    objective, x = fit.estimator.objective(), fit.solution.x.copy()
    errors = np.full(len(x), 0.05)
    for _ in range(4):
        hessian = _richardson(objective, x, errors)
        if not np.isfinite(hessian).all() or np.any(np.diag(hessian) <= 0.0):
            return None
        scale = np.sqrt(np.diag(hessian))
        if np.linalg.eigvalsh(hessian / np.outer(scale, scale))[0] < 1e-6:
            return None
        inverse = np.linalg.inv(hessian)
        errors = np.sqrt(np.diag(inverse))
        step = -inverse @ objective(x)[1]
        if errors.max() > 5.0 or np.max(np.abs(step / errors)) > 0.1:
            return None
        x = x + step
    parts = [p for p in fit.estimator.problem.parts if p.where.stop > p.where.start]
    by_part = {p.name: np.sqrt(np.diag(p.back @ inverse[p.where, p.where] @ p.back.T)) for p in parts}
    return by_part | {_ALL: errors}


def _richardson(objective: Callable[[np.ndarray], Any], x: np.ndarray, errors: np.ndarray) -> np.ndarray:
    def central(j: int, h: float) -> np.ndarray:
        high, low = x.copy(), x.copy()
        high[j] += h
        low[j] -= h
        return np.asarray((objective(high)[1] - objective(low)[1]) / (high[j] - low[j]))

    steps = 2e-3 * np.minimum(errors, 1.0)
    rows = [(4.0 * central(j, h) - central(j, 2.0 * h)) / 3.0 for j, h in enumerate(steps)]
    hessian = np.array(rows)
    return np.asarray(0.5 * (hessian + hessian.T))


def _relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    ratio = ours / theirs
    return float(np.max(np.abs(ratio - 1.0))) if np.isfinite(ratio).all() else float("inf")


def deviations(fit: FittedGLMM) -> dict[str, float] | None:
    """Largest relative deviation by part, and of the optimiser's own parameters; None if the maximum is not inside."""
    exact = exact_errors(fit)
    if exact is None:
        return None
    out = {}
    for name, errors in exact.items():
        ours = fit.curvature.inverse if name == _ALL else fit.part_covariance(name, name)
        out[name] = _relative(np.sqrt(np.diag(ours)), errors)
    return out


def try_one(seed: int, number: int, shift: float, unit: float) -> Outcome:
    """Fit one model and compare."""
    begin = time.process_time()
    formula, d, options = random_model(np.random.default_rng([seed, number]), shift, unit)
    worst, where = np.nan, "not inside"
    try:
        fit = glmm(formula, d, **options)
        found = deviations(fit) if fit.converged and not fit.singular else None
    except ModelError as error:
        found, where = None, f"refused: {error}"
    if found is not None:
        where, worst = max(found.items(), key=lambda item: item[1])
    return Outcome(shift, unit, number, worst, where, round(time.process_time() - begin, 2), f"{formula} {options}")


def read(file: Path) -> list[Outcome]:
    """Lines of a file, none if it is not there."""
    if not file.exists():
        return []
    with file.open() as lines:
        rows = csv.reader(lines)
        return [Outcome(float(r[0]), float(r[1]), int(r[2]), float(r[3]), r[4], float(r[5]), r[6]) for r in rows]


def run(file: Path, models: int, seed: int, end: float) -> list[Outcome]:
    """Models in order until so many are inside as they are written, each in every origin and unit."""
    outcomes = read(file)
    done = {(o.shift, o.unit, o.number) for o in outcomes}
    number = 0
    while (
        sum(not np.isnan(o.deviation) for o in outcomes if (o.shift, o.unit) == WRITTEN[0] and o.number < number)
        < models
    ):
        for shift, unit in WRITTEN:
            if (shift, unit, number) in done:
                continue
            if time.monotonic() > end:
                return outcomes
            outcomes.append(try_one(seed, number, shift, unit))
            with file.open("a") as out:
                csv.writer(out).writerow(outcomes[-1])
        number += 1
    return outcomes


def main() -> int:
    """Run or go on, and say what is off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    arguments = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        end = time.monotonic() + 60.0 * arguments.minutes
        outcomes = run(arguments.file, arguments.models, arguments.seed, end)
    inside = [o for o in outcomes if not np.isnan(o.deviation)]
    for shift, unit in WRITTEN:
        off = np.array([o.deviation for o in inside if (o.shift, o.unit) == (shift, unit)])
        if len(off):
            count = f"{np.sum(off > INSIDE)} of {len(off)} off by more than {INSIDE:g}"
            print(f"covariates {shift:g} + {unit:g} x: {count}, median {np.median(off):.1e}, largest {off.max():.1e}")
    wrong = [o for o in inside if o.deviation > INSIDE]
    for o in wrong:
        print(f"  {o.shift:g} + {o.unit:g} x, model {o.number}: {o.deviation:.1e} of {o.where}: {o.model}")
    if sum((o.shift, o.unit) == WRITTEN[-1] for o in inside) < arguments.models and time.monotonic() > end:
        print("not at the end: the same command goes on")
        return 3
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
