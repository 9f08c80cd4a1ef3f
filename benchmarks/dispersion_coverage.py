"""How often the interval of the dispersion ratio contains the true one.

``python benchmarks/dispersion_coverage.py DATA_SETS [--processes 2] [--first 0]``. The true ratio of a data set is that
of the variances at the true means, given the true random effects: that of their sums, or the mean of row ratios where
the test reports Pearson residuals. Prints a line of a table for each of `CELLS`.
"""

from __future__ import annotations

import argparse
import functools
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import glmmcore
import simresid as sr

TRIALS = 10


class Law(NamedTuple):
    """A response around means, and variances of it and of the model's."""

    family: str
    draw: Callable[[Any, Any], Any]
    variance: Callable[[Any], Any]
    modelled: Callable[[Any], Any]


def negative_binomial(size: float) -> Law:
    """Counts of variance ``mean + mean²/size``, to which a Poisson model is fitted."""
    return Law(
        "poisson",
        lambda rng, mean: rng.negative_binomial(size, size / (size + mean)),
        lambda mean: mean + mean**2 / size,
        lambda mean: mean,
    )


def row_effects(sd: float) -> Law:
    """Poisson counts of rows with a normal effect each, whose mean over these is `mean`."""
    return Law(
        "poisson",
        lambda rng, mean: rng.poisson(mean * np.exp(rng.normal(-(sd**2) / 2, sd, mean.size))),
        lambda mean: mean + mean**2 * np.expm1(sd**2),
        lambda mean: mean,
    )


def beta_binomial(ratio: float) -> Law:
    """Successes of `TRIALS` whose variance is `ratio` times the binomial one."""
    size = (TRIALS - ratio) / (ratio - 1)
    return Law(
        "binomial",
        lambda rng, mean: rng.binomial(TRIALS, rng.beta(size * mean, size * (1 - mean))),
        lambda mean: ratio * TRIALS * mean * (1 - mean),
        lambda mean: TRIALS * mean * (1 - mean),
    )


POISSON = Law("poisson", lambda rng, mean: rng.poisson(mean), lambda mean: mean, lambda mean: mean)
BINOMIAL = Law(
    "binomial",
    lambda rng, mean: rng.binomial(TRIALS, mean),
    lambda mean: TRIALS * mean * (1 - mean),
    lambda mean: TRIALS * mean * (1 - mean),
)

CELLS: dict[str, tuple[Law, int, int]] = {
    "negative binomial of size 4, as Poisson, 20 groups of 10": (negative_binomial(4), 20, 10),
    "of size 1": (negative_binomial(1), 20, 10),
    "of size 4, 100 groups of 10": (negative_binomial(4), 100, 10),
    "Poisson with row effects of sd .35, as Poisson, 20 of 10": (row_effects(0.35), 20, 10),
    "beta-binomial, ten trials, ratio 2.5, as binomial, 20 of 10": (beta_binomial(2.5), 20, 10),
    "ratio 4": (beta_binomial(4), 20, 10),
    "ratio 2.5, 100 groups of 5": (beta_binomial(2.5), 100, 5),
    "Poisson, right, 20 of 10": (POISSON, 20, 10),
    "ten trials, right, 30 of 5": (BINOMIAL, 30, 5),
}


def covered(cell: str, replicate: int) -> tuple[bool, bool, float]:
    """Whether the interval of one data set holds the true ratio, or lies above it, and its width as a factor."""
    law, groups, size = CELLS[cell]
    rng = np.random.default_rng([20261, replicate, sum(map(ord, cell))])
    group = np.repeat(np.arange(groups), size)
    data = pd.DataFrame({"x": rng.normal(size=group.size), "group": group})
    predictor = 0.5 + 0.5 * data["x"].to_numpy() + rng.normal(0, 0.7, groups)[group]
    mean = np.exp(predictor) if law.family == "poisson" else 1 / (1 + np.exp(-predictor))
    data["y"] = law.draw(rng, mean)
    trials: dict[str, Any] = {"trials": np.full(group.size, TRIALS)} if law.family == "binomial" else {}
    model = glmmcore.glmm("y ~ x + (1|group)", data, law.family, **trials)
    result = sr.simulate_residuals(model, rng=replicate).dispersion_test()
    variance, modelled = law.variance(mean), law.modelled(mean)
    by_rows = result.method.startswith("Pearson")
    true = float(np.mean(variance / modelled) if by_rows else variance.sum() / modelled.sum())
    low, high = result.conf_int
    return low <= true <= high, low > true, high / max(low, 1e-300)


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_sets", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    replicates = range(asked.first, asked.first + asked.data_sets)
    print("| data, fitted | contained | interval above it | median width (factor) |\n|---|---|---|---|", flush=True)
    quiet: dict[str, Any] = {"initializer": warnings.simplefilter, "initargs": ("ignore",)}
    with ProcessPoolExecutor(asked.processes, **quiet) as pool:
        for cell in CELLS:
            inside, above, width = zip(*pool.map(functools.partial(covered, cell), replicates), strict=True)
            print(f"| {cell} | {np.mean(inside):.3f} | {np.mean(above):.3f} | {np.median(width):.2f} |", flush=True)


if __name__ == "__main__":
    main()
