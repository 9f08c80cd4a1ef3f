"""Time and memory of fits as the number of rows grows.

Usage: python -m benchmarks.scaling [--sizes 10000 100000 1000000]

Crossed Poisson with 200 x 50 levels, and nbinom2 with n/20 levels. Prints CPU seconds (of one process, so that other
work on the machine matters little), the log-log slope, and the peak of memory above the data frame in bytes per row.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time

import numpy as np
import pandas as pd


def crossed(n: int) -> tuple[pd.DataFrame, str, str]:
    """Poisson, two crossed factors of fixed size."""
    rng = np.random.default_rng(1)
    a, b, x = rng.integers(0, 200, n), rng.integers(0, 50, n), rng.standard_normal(n)
    eta = 0.5 + 0.3 * x + rng.normal(0, 0.5, 200)[a] + rng.normal(0, 0.3, 50)[b]
    d = pd.DataFrame({"y": rng.poisson(np.exp(eta)), "x": x, "a": a, "b": b})
    return d, "y ~ x + (1|a) + (1|b)", "poisson"


def many_groups(n: int) -> tuple[pd.DataFrame, str, str]:
    """nbinom2, 20 rows a group."""
    rng = np.random.default_rng(1)
    g, x = rng.integers(0, n // 20, n), rng.standard_normal(n)
    mu = np.exp(1 + 0.5 * x + rng.normal(0, 0.6, n // 20)[g])
    d = pd.DataFrame({"y": rng.negative_binomial(1.5, 1.5 / (1.5 + mu)), "x": x, "g": g})
    return d, "y ~ x + (1|g)", "nbinom2"


def measure(case: str, n: int, queue: multiprocessing.Queue) -> None:
    """Fit once in this process and report CPU seconds and peak memory above the data."""
    import glmmcore

    make = {"crossed": crossed, "many_groups": many_groups}[case]
    small, formula, family = make(2000)
    glmmcore.glmm(formula, small, family=family)
    d, formula, family = make(n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, wall = time.process_time(), time.perf_counter()
    fit = glmmcore.glmm(formula, d, family=family)
    cpu, wall = time.process_time() - began, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    queue.put((cpu, wall, 1024.0 * peak / n, fit.converged, fit.solution.optimum.n_evaluations))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    a = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for case in ("crossed", "many_groups"):
        seconds = []
        for n in a.sizes:
            queue = context.Queue()
            process = context.Process(target=measure, args=(case, n, queue))
            process.start()
            cpu, wall, per_row, converged, evaluations = queue.get()
            process.join()
            seconds.append(cpu)
            print(
                f"{case:12s} n {n:8d}  cpu {cpu:8.3f} s  wall {wall:8.3f} s  peak {per_row:6.0f} bytes/row  "
                f"{evaluations} evaluations  {'converged' if converged else 'NOT CONVERGED'}"
            )
        slope = np.polyfit(np.log(a.sizes), np.log(seconds), 1)[0]
        print(f"{case:12s} log-log slope {slope:.2f}")


if __name__ == "__main__":
    main()
