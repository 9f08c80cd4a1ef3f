"""Separation found where it is and not imagined elsewhere; verdicts that no origin or unit of a covariate changes.

    python -m benchmarks.separations found FILE --count 100 --seed 1 [--minutes 9]    # data sets of each kind
    python -m benchmarks.separations alarms FILE --count 500 --seed 1 [--minutes 9]   # data sets without separation
    python -m benchmarks.separations origins FILE --count 300 --seed 1 [--minutes 9]  # models written anew

Designs differ in groups, rows, links, random effects, and the origin and unit of a covariate. `FILE` gets one line for
each data set, and the command goes on with a file that is there. Exit status 1 when anything is off, 3 when the minutes
were over first.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from glmmcore import ModelError, glmm

from .interior_models import random_model

_UNBOUNDED = "do not bound"
# Covariates of a model as they are, and in other origins and units.
_ORIGINS = ((0.0, 1.0), (1e4, 1.0), (-30.0, 1.0), (0.0, 1e-6), (0.0, 1e6))


class Separated(NamedTuple):
    """A model without a maximum, and the column that must be named."""

    kind: str
    formula: str
    data: pd.DataFrame
    options: dict[str, Any]
    column: str


class Outcome(NamedTuple):
    """A line of the file; a fault is a text, or nothing."""

    kind: str
    number: int
    fault: str
    seconds: float


def _chance(eta: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-eta))


def separated(rng: np.random.Generator) -> Iterator[Separated]:
    """One model of each kind, of any size, covariates in any origin and unit."""
    groups, each = int(rng.integers(12, 30)), int(rng.integers(8, 16))
    n = groups * each
    codes = np.repeat(np.arange(groups), each)
    unit = 10.0 ** rng.uniform(-6, 6)
    origin = unit * 10.0 ** rng.uniform(-2, 4)
    x, z, f = rng.normal(size=n), rng.normal(size=n), rng.choice(list("abc"), n)
    d = pd.DataFrame({"x": origin + unit * x, "z": z, "f": f, "g": codes.astype(str)})
    d["h"] = rng.integers(0, 6, n).astype(str)
    random = rng.normal(0, rng.uniform(0.0, 0.9), groups)[codes]
    link = str(rng.choice(["logit", "logit", "probit", "cloglog"]))
    bars = str(rng.choice([" + (1|g)", " + (1|g)", " + (1|g) + (1|h)", " + (z|g)", ""]))
    binary: dict[str, Any] = {"family": "binomial", "link": link}
    cut = rng.normal(0, 0.5)
    b, y = rng.binomial(1, _chance(random + 0.3 * z)), rng.poisson(np.exp(0.5 + 0.3 * z + random))
    size = rng.uniform(0.7, 3.0)
    more = rng.negative_binomial(size, size / (size + np.exp(0.5 + 0.3 * z + random)))

    above = (x > cut).astype(int)
    yield Separated("complete", "b ~ x + z", d.assign(b=above), binary, "x")
    yield Separated("complete, (1|g)", "b ~ x + z + (1|g)", d.assign(b=above), binary, "x")
    sum_above = (x + z > cut).astype(int)
    yield Separated("along two columns", f"b ~ x + z{bars}", d.assign(b=sum_above), binary, "z")
    mixed = np.where(x > 0, 1, rng.binomial(1, 0.4, n))
    one_sided = d.assign(b=mixed, x=x)
    yield Separated("quasi-complete", f"b ~ I(x > 0) + z{bars}", one_sided, binary, "I(x > 0)[T.True]")
    empty = d.assign(b=np.where(f == "b", 0, b))
    yield Separated("empty cell", f"b ~ f + z + x{bars}", empty, binary, "f[T.b]")
    yield Separated("empty reference", f"b ~ f + z{bars}", d.assign(b=np.where(f == "a", 1, b)), binary, "Intercept")
    half = rng.choice(["u", "v"], n)
    crossed = d.assign(b=np.where((f == "c") & (half == "v"), 0, b), half=half)
    yield Separated("empty cell of an interaction", f"b ~ f * half + z{bars}", crossed, binary, "f[T.c]:half[T.v]")
    yield Separated(
        "empty count cell", f"y ~ f + z{bars}", d.assign(y=np.where(f == "c", 0, y)), {"family": "poisson"}, "f[T.c]"
    )
    law = {"family": str(rng.choice(["nbinom1", "nbinom2"]))}
    yield Separated(
        "empty overdispersed cell", f"y ~ f + z{bars}", d.assign(y=np.where(f == "c", 0, more)), law, "f[T.c]"
    )
    ones = d.assign(y=np.where(f == "b", 1, np.maximum(y, 1)))
    yield Separated("ones only", "y ~ f + z + (1|g)", ones, {"family": "truncated_poisson"}, "f[T.b]")
    hurdle = d.assign(y=np.where((f != "b") & (rng.random(n) < 0.4), 0, np.maximum(y, 1)))
    yield Separated(
        "no zeros in a cell",
        "y ~ z + (1|g)",
        hurdle,
        {"family": str(rng.choice(["truncated_poisson", "truncated_nbinom2"])), "zi": "~ f"},
        "f[T.b] (zi)",
    )
    waiting = d.assign(y=np.where((f != "b") & (rng.random(n) < 0.4), 0.0, rng.gamma(2.0, np.exp(random))))
    yield Separated(
        "no zeros in a cell, gamma", "y ~ z + (1|g)", waiting, {"family": "gamma", "zi": "~ f"}, "f[T.b] (zi)"
    )
    trials = int(rng.integers(3, 12))
    k = np.where(f == "c", trials, rng.binomial(trials, _chance(random)))
    yield Separated(
        "all of n in a cell", f"cbind(k, {trials} - k) ~ f + z{bars}", d.assign(k=k), {"family": "binomial"}, "f[T.c]"
    )


def overlapping(rng: np.random.Generator) -> tuple[str, pd.DataFrame, dict[str, Any]]:
    """A model with a maximum, of few or many rows, covariates in any origin and unit."""
    groups, each = int(rng.integers(8, 30)), int(rng.integers(5, 20))
    n = groups * each
    g, x, f = np.repeat(np.arange(groups), each), rng.normal(size=n), rng.integers(0, 3, n)
    eta = rng.normal(0, 0.5) + rng.normal(0, 0.8) * x + 0.3 * f + rng.normal(0, rng.uniform(0, 1.5), groups)[g]
    unit = 10.0 ** rng.uniform(-6, 6)
    origin = unit * rng.choice([0.0, 10.0, 2000.0, -1e4])
    d = pd.DataFrame({"x": origin + unit * x, "f": np.array(list("abc"))[f], "g": g.astype(str)})
    d["h"] = rng.integers(0, 6, n).astype(str)
    family = str(rng.choice(["binomial", "poisson", "nbinom2", "betabinomial", "nbinom1", "gamma"]))
    mu = np.exp(np.minimum(eta, 5.0))
    d["y"] = {
        "binomial": lambda: rng.binomial(1, _chance(eta)),
        "betabinomial": lambda: rng.binomial(5, rng.beta(3.0 * _chance(eta), 3.0 * _chance(-eta))),
        "poisson": lambda: rng.poisson(mu),
        "nbinom2": lambda: rng.negative_binomial(1.5, 1.5 / (1.5 + mu)),
        "nbinom1": lambda: rng.negative_binomial(mu, 0.5),
        "gamma": lambda: rng.gamma(2.0, mu / 2.0),
    }[family]()
    options = {"family": family}
    if family == "binomial":
        options["link"] = str(rng.choice(["logit", "probit", "cloglog"]))
    bars = str(rng.choice(["(1|g)", "(1|g)", "(x|g)", "(1|g) + (1|h)"]))
    left = "cbind(y, 5 - y)" if family == "betabinomial" else "y"
    return f"{left} ~ x + {rng.choice(['f', 'f', 'x:f', 'I(x ** 2)'])} + {bars}", d, options


def without_a_maximum(d: pd.DataFrame, options: dict[str, Any]) -> bool:
    """Whether chance has left a cell of the factor without events, or without anything else."""
    cells = d.groupby("f")["y"].agg(["min", "max"])
    most = {"binomial": 1, "betabinomial": 5}.get(options["family"], np.inf)
    return bool((cells["max"] == 0).any() or (cells["min"] == most).any())


def try_found(seed: int, number: int) -> Iterator[Outcome]:
    """Whether the verdict names the column along which there is no maximum."""
    for kind, formula, d, options, column in separated(np.random.default_rng([seed, number])):
        begin = time.process_time()
        verdict = glmm(formula, d, **options).verdict
        found = any(_UNBOUNDED in s and column in s for s in verdict)
        yield Outcome(kind, number, "" if found else f"{formula} {options}: {verdict}", _seconds(begin))


def try_alarm(seed: int, number: int) -> Iterator[Outcome]:
    """Whether the verdict names columns where there is a maximum."""
    begin = time.process_time()
    rng = np.random.default_rng([seed, number])
    formula, d, options = overlapping(rng)
    while without_a_maximum(d, options):
        formula, d, options = overlapping(rng)
    verdict = glmm(formula, d, **options).verdict
    alarm = any(_UNBOUNDED in s for s in verdict)
    yield Outcome("overlap", number, f"{formula} {options}: {verdict}" if alarm else "", _seconds(begin))


def gist(verdict: list[str]) -> list[str]:
    """Sentences without their numbers, and without the intercept, which is another quantity in another origin."""
    out = []
    for sentence in verdict:
        bare = re.sub(r"-?\d[\d.]*(e[-+]?\d+)?", "#", sentence)
        out.append(re.sub(r"Intercept(, )?", "", bare).replace(" bound  (", " bound ("))
    return sorted(out)


def try_origins(seed: int, number: int) -> Iterator[Outcome]:
    """Whether one model has one verdict: random models, with few rows every other time, and separated ones."""
    begin = time.process_time()
    said, faults, models = {}, [], []
    for shift, unit in _ORIGINS:
        rng = np.random.default_rng([seed, number])
        if number % 3 == 0:
            models = [(m.formula, m.data.assign(z=shift + unit * m.data["z"]), m.options) for m in separated(rng)]
            formula, d, options = models[number // 3 % len(models)]
        else:
            formula, d, options = random_model(rng, shift, unit)
        if number % 3 == 1:
            few = np.isin(d["g"], np.unique(d["g"])[:7])
            d = d[few & (np.arange(len(d)) % 2 == 0)].reset_index(drop=True)
        # an origin belongs to a model with effects of x that are not free to be correlated with those of 1, and the
        # variances of correlated ones are those at x = 0
        if shift and ("x|" in formula or "z|" in formula):
            continue
        try:
            verdict = gist(glmm(formula, d, **options).verdict)
        except ModelError as error:
            verdict = [f"refused: {re.sub('[0-9.e+-]+', '#', str(error))}"]
        said[shift, unit] = verdict
        if verdict != said[_ORIGINS[0]]:
            faults.append(f"{shift:g} + {unit:g} x: {verdict}")
    fault = f"{formula} {options}: {said[_ORIGINS[0]]}; " + "; ".join(faults) if faults else ""
    remark = "some remark" if said[_ORIGINS[0]] else "no remark"
    yield Outcome(remark, number, fault, _seconds(begin))


def _seconds(begin: float) -> float:
    return round(time.process_time() - begin, 2)


CHECKS = {"found": try_found, "alarms": try_alarm, "origins": try_origins}


def read(file: Path) -> list[Outcome]:
    """Lines of a file, none if it is not there."""
    if not file.exists():
        return []
    with file.open() as lines:
        return [Outcome(kind, int(number), fault, float(s)) for kind, number, fault, s in csv.reader(lines)]


def main() -> int:
    """Run one of the checks or go on with it, and print what is off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("check", choices=list(CHECKS))
    parser.add_argument("file", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    arguments = parser.parse_args()
    end = time.monotonic() + 60.0 * arguments.minutes
    outcomes = read(arguments.file)
    done = {o.number for o in outcomes}
    over = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(arguments.count):
            if number in done:
                continue
            if over := time.monotonic() > end:
                break
            new = list(CHECKS[arguments.check](arguments.seed, number))
            with arguments.file.open("a") as out:
                csv.writer(out).writerows(new)
            outcomes += new
    for kind in dict.fromkeys(o.kind for o in outcomes):
        own = [o for o in outcomes if o.kind == kind]
        print(f"{kind}: {sum(bool(o.fault) for o in own)} of {len(own)} off")
    for o in outcomes:
        if o.fault:
            print(f"  {o.kind} #{o.number}: {o.fault}")
    return 3 if over else int(any(o.fault for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
