"""Time and memory of fits with several large grouping factors.

Usage: python -m benchmarks.sparse_fit [crossed|nested] [--levels 4000 3000] [--rows 60000] [--family gaussian]
                                       [--seed 1] [--write FILE.csv]

Random crossing is the hardest case: nearly the whole smaller factor fills in. Nested factors fill nothing in. Prints
what the engine exploits, the parts of one evaluation, the whole fit with standard errors, and the peak memory of the
process. ``--write`` leaves the data for another program.
"""

from __future__ import annotations

import argparse
import resource
import time
from itertools import pairwise

import numpy as np
import pandas as pd

import glmmcore
from glmmcore.engines import choose_system
from glmmcore.engines.layout import Factor, RowLayout


def make_codes(design: str, levels: list[int], rows: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Level of every row for each factor, every level in use."""

    def spread(n: int, n_levels: int) -> np.ndarray:
        return rng.permutation(np.concatenate([np.arange(n_levels), rng.integers(0, n_levels, n - n_levels)]))

    if design == "crossed":
        return [spread(rows, n) for n in levels]
    codes = [spread(rows, levels[0])]
    for inner, outer in pairwise(levels):
        codes.append(spread(inner, outer)[codes[-1]])
    return codes


def make_data(design: str, levels: list[int], rows: int, family: str, seed: int) -> pd.DataFrame:
    """One simulated response; random effects with standard deviations 0.5, 0.4, 0.3."""
    rng = np.random.default_rng(seed)
    codes = make_codes(design, levels, rows, rng)
    data = {"x": rng.normal(size=rows)}
    eta = 0.5 + 0.3 * data["x"]
    for name, code, n, sd in zip("abc", codes, levels, (0.5, 0.4, 0.3), strict=False):
        data[name] = code
        eta = eta + rng.normal(0.0, sd, n)[code]
    data["y"] = rng.poisson(np.exp(eta)) if family == "poisson" else eta + rng.normal(size=rows)
    return pd.DataFrame(data)


def time_evaluation(data: pd.DataFrame, names: list[str]) -> None:
    """Print what every step of one evaluation takes for unit weights."""
    n = len(data)
    one = np.ones((n, 1))
    factors = [Factor(k, data[k].to_numpy(np.int32), int(data[k].max()) + 1, one, np.zeros(1, np.int32)) for k in names]
    fixed = np.column_stack([one[:, 0], data["x"]])
    factors.append(Factor("fixed", np.zeros(n, np.int32), 1, fixed, np.zeros(2, np.int32), prior=0.0))
    began = time.perf_counter()
    layout = RowLayout(factors)
    system = choose_system(layout, 2)
    print("\n".join(system.describe()))
    print(f"  {'analyse':16s}{time.perf_counter() - began:9.3f} s")
    score = np.zeros(layout.order)
    t = [np.full((1, 1), 0.5) for _ in names] + [np.eye(2)]
    out = np.empty((1, n))
    steps = (
        ("reset and add", lambda: (system.reset(), system.add(0, n, np.ones((1, n)), np.ones((1, n)), score))),
        ("factorise", lambda: system.factorise(t)),
        ("solve", lambda: system.solve(score)),
        ("invert", system.invert),
        ("factor products", system.factor_products),
        ("row covariances", lambda: (system.scale_inverse(), system.row_covariances(0, n, out))),
    )
    for name, step in steps:
        began, used = time.perf_counter(), time.process_time()
        step()
        print(f"  {name:16s}{time.perf_counter() - began:9.3f} s {time.process_time() - used:9.3f} s cpu", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("design", nargs="?", default="crossed", choices=["crossed", "nested"])
    parser.add_argument("--levels", type=int, nargs="+", default=[4000, 3000])
    parser.add_argument("--rows", type=int, default=60000)
    parser.add_argument("--family", default="gaussian", choices=["gaussian", "poisson"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write")
    options = parser.parse_args()
    names = list("abc")[: len(options.levels)]
    formula = "y ~ x + " + " + ".join(f"(1|{name})" for name in names)
    # compile first
    small = make_data(options.design, [60] * len(names), 400, options.family, 0)
    glmmcore.glmm(formula, small, options.family)
    time_evaluation(make_data(options.design, [900, 600, 500][: len(names)], 3000, options.family, 0), names)
    data = make_data(options.design, options.levels, options.rows, options.family, options.seed)
    if options.write:
        data.to_csv(options.write, index=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    time_evaluation(data, names)
    began, used = time.perf_counter(), time.process_time()
    fit = glmmcore.glmm(formula, data, options.family)
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(fit)
    print(f"{formula}, {options.family}: llf {fit.llf:.6f}, whole fit {wall:.2f} s ({cpu:.2f} s cpu)")
    print(f"peak memory {peak / 1e6:.2f} GB, {(peak - before) / 1e6:.2f} GB of it for this fit")


if __name__ == "__main__":
    main()
