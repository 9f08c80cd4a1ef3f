"""
A million rows
==============

*My data are large. Does it still work, and does the p-value still mean anything?*

A million counts in 10,000 groups, with a flaw: a variance of :math:`\\mu + 0.02\\,\\mu^2` where the model says
:math:`\\mu`.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from glmmcore import glmm
from simresid import plot_qq, plot_residuals, simulate_residuals

ROWS = 1_000_000
rng = np.random.default_rng(1)
data = pd.DataFrame(
    {"x": rng.normal(size=ROWS), "g": rng.integers(0, ROWS // 100, ROWS)}
)
mean = np.exp(0.5 + 0.3 * data["x"] + rng.normal(0, 0.5, ROWS // 100)[data["g"]])
data["y"] = rng.poisson(mean * rng.gamma(50, 1 / 50, ROWS))

# %%
# Simulations are counted as they are drawn: memory grows with the rows, not with rows times simulations.

start = time.perf_counter()
fit = glmm("y ~ x + (1|g)", data, family="poisson")
fitted = time.perf_counter()
residuals = simulate_residuals(fit, n_sims=100)
done = time.perf_counter()
print(
    f"{ROWS:,} rows: fit {fitted - start:.1f} s, 100 simulations and ranks {done - fitted:.1f} s"
)

# %%
# With so many rows the smallest flaw is significant. Look at the size of it: the verdict does.

diagnosis = residuals.diagnose()
print(diagnosis.table[["effect", "effect_size", "severity"]].round(4).to_string())
print(diagnosis.verdict)

# %%
# Figures of many points are drawn as densities. What departs significantly but negligibly is grey, not red.

fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
plot_qq(residuals, axes[0])
plot_residuals(residuals, None, axes[1])
