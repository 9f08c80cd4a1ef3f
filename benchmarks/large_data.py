"""Right models of many rows: how often tests reject, and what fit, residuals, tests and overview take.

``python -m benchmarks.large_data FILE --rows 100000 --sets 40`` appends a line of JSON for each data set to FILE, whose
family is the next of four, and prints rejections at 5 % by test. 20 rows a group.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from benchmarks.refit_calibration import LAWS
from glmmcore import glmm
from simresid import diagnose, simulate_residuals

matplotlib.use("Agg")
DRAWN = ("poisson", "gaussian", "nbinom2", "bernoulli")
"""Names of laws."""


def data(law: str, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of a right model with random intercepts of standard deviation .5."""
    d = pd.DataFrame({"x": rng.normal(size=n), "g": rng.permutation(np.arange(n) % (n // 20))})
    eta = 0.5 + 0.3 * d["x"] + rng.normal(0.0, 0.5, n // 20)[d["g"]]
    return d.assign(y=LAWS[law][1](rng, eta))


def one(law: str, n: int, seed: int, method: str) -> dict[str, object]:
    """P-values and seconds of one data set."""
    import matplotlib.pyplot as plt

    family, d = LAWS[law][0], data(law, n, np.random.default_rng(seed))
    begin = time.perf_counter()
    fit = glmm("y ~ x + (1|g)", d, family)
    residuals = simulate_residuals(fit, method=method, rng=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = diagnose(residuals)
        residuals.plot()
    seconds = time.perf_counter() - begin
    plt.close("all")
    table = found.to_frame()
    p = {str(name): float(v) for name, v in table["pvalue"].items() if np.isfinite(v)}
    return {"family": family, "rows": n, "seed": seed, "method": method, "seconds": seconds, "p": p,
            "failed": list(found.failed)}  # fmt: skip


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--sets", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--method", default="rank")
    a = parser.parse_args()
    one(DRAWN[0], 2000, 0, a.method)  # compiles
    for i in range(a.sets):
        record = one(DRAWN[i % len(DRAWN)], a.rows, 1000 * a.seed + i, a.method)
        with a.file.open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(record["family"], round(float(str(record["seconds"])), 2), record["p"], record["failed"], flush=True)


if __name__ == "__main__":
    main()
