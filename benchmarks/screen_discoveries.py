"""False discoveries of a screen of right models: ``python benchmarks/screen_discoveries.py [MODELS] [FIRST]``.

Poisson regressions of 100 rows on one predictor, each with data of its own drawn from it. Prints of every test the
share of p-values below .05, and how many models are left below .05 after adjustment over the screen: each of these is a
false discovery. A model takes some 60 ms of a processor.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd

import glmmcore
import simresid as sr

ROWS = 100


def right_model(seed: int) -> Any:
    """Fit to data that were drawn from the model."""
    rng = np.random.default_rng([77, seed])
    x = rng.normal(size=ROWS)
    data = pd.DataFrame({"x": x, "y": rng.poisson(np.exp(0.5 + 0.4 * x))})
    return glmmcore.glmm("y ~ x", data, family="poisson")


def main(models: int, first: int) -> None:
    """Screen so many models and print what it finds."""
    start = time.process_time()
    table = sr.screen({f"model {j}": right_model(j) for j in range(first, first + models)}, progress=False)
    seconds = time.process_time() - start
    print(f"{models} right models, {1e3 * seconds / models:.0f} ms of a processor each")
    for name in [name for name in table.columns if name.endswith(" adjusted")]:
        p, adjusted = table[name.removesuffix(" adjusted")], table[name]
        found = f"{(p < 0.05).mean():.4f} below .05, {(adjusted < 0.05).sum()} after adjustment"
        print(f"{name.removesuffix(' adjusted')}: {found}, smallest {p.min():.2g} and {adjusted.min():.2g}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
