"""Size and power of the simulated likelihood-ratio test for a predictor of groups.

    python benchmarks/lrt_power.py --replicates 200

Poisson counts in 20 groups of 10, random intercepts of standard deviation 1, a predictor that is constant within
groups with effect 1 (power) or 0 (size). Conditional simulations, which keep the fitted group effects, have no power
here at all. The asymptotic chi-square test stands beside.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd

import glmmcore
import simresid as sr

SEED, GROUPS, ROWS, ALPHA = 7, 20, 10, 0.05


def pvalues(replicate: int, effect: float, n_sims: int) -> tuple[float, float]:
    """Simulated and asymptotic p-value of one data set."""
    rng = np.random.default_rng([SEED, replicate])
    group = np.repeat(np.arange(GROUPS), ROWS)
    x, intercept = rng.normal(size=GROUPS), rng.normal(size=GROUPS)
    y = rng.poisson(np.exp(0.5 + effect * x[group] + intercept[group]))
    data = pd.DataFrame({"y": y, "x": x[group], "g": group.astype(str)})
    large = glmmcore.glmm("y ~ x + (1|g)", data, "poisson")
    small = glmmcore.glmm("y ~ 1 + (1|g)", data, "poisson")
    result = sr.simulated_lrt(small, large, n_sims=n_sims, rng=replicate)
    assert result.asymptotic_pvalue is not None
    return result.pvalue, result.asymptotic_pvalue


def main() -> None:
    """Print rejection rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--n-sims", type=int, default=99)
    arguments = parser.parse_args()
    for effect in (1.0, 0.0):
        start = time.process_time()
        p = np.array([pvalues(r, effect, arguments.n_sims) for r in range(arguments.replicates)])
        simulated, asymptotic = np.mean(p <= ALPHA, axis=0)
        seconds = time.process_time() - start
        print(f"effect {effect}: simulated {simulated:.3f}, asymptotic {asymptotic:.3f} ({seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
