"""Peak of resident memory while many rows are fitted, judged and drawn: ``python -m benchmarks.peak_memory 1e7``.

A Poisson model with 2000 groups and exact residuals. Prints seconds of processor time and the peak after every step; of
the peak, 0.2 GB are the interpreter with all libraries.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

N_GROUPS = 2000


def main(n: int) -> None:
    """Print a line for every step."""
    mpl.use("Agg")
    from glmmcore import glmm
    from simresid import diagnose, simulate_residuals

    rng = np.random.default_rng(1)
    g, x = rng.integers(0, N_GROUPS, n).astype(np.int32), rng.normal(size=n)
    mean = np.exp(0.5 + 0.3 * x + rng.normal(0, 0.4, N_GROUPS)[g])
    data = pd.DataFrame({"y": rng.poisson(mean), "x": x, "g": g})
    del g, x, mean
    _say("data", f"{data.memory_usage().sum() / 1e9:.2f} GB")
    fit = glmm("y ~ x + (1|g)", data, "poisson")
    _say("fit", f"slope {fit.params['x']:.4f}, true 0.3")
    res = simulate_residuals(fit, method="exact")
    _say("exact residuals")
    _say("all tests", diagnose(res).verdict)
    with tempfile.TemporaryDirectory() as folder:
        res.plot().savefig(Path(folder) / "overview.png")
    _say("overview as PNG")


def _say(step: str, result: str = "") -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"{step:<16}{time.process_time():8.1f} s  peak {peak:5.2f} GB  {result}", flush=True)


if __name__ == "__main__":
    main(int(float(sys.argv[1])))
