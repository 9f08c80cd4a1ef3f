"""
A series with irregular times
=============================

*I measured whenever the weather allowed. Neighbouring values are alike; AR(1) needs equal steps. What now?*

Algae in a lake were counted 150 times in two years, at irregular days. What nobody measured rises and falls within
weeks.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from glmmcore import glmm
from simresid import plot_temporal, simulate_residuals

rng = np.random.default_rng(8)
n = 150
day = np.cumsum(rng.exponential(5.0, n)).round(1)
bloom = np.zeros(n)
for i in range(1, n):
    keep = np.exp(-(day[i] - day[i - 1]) / 15.0)
    bloom[i] = keep * bloom[i - 1] + np.sqrt(1 - keep**2) * rng.normal()
d = pd.DataFrame({"day": day, "warm": np.sin(2 * np.pi * day / 365)})
d["count"] = rng.poisson(np.exp(2.0 + 0.5 * d["warm"] + 0.8 * bloom))

# %%
# ``ou(day | 1)``, an Ornstein-Uhlenbeck process, has the correlation exp(-rate * days) whatever the steps. Days that
# are whole numbers would do with ``ar1(day | 1)``, where days without a count are gaps.

for name, term in (("days alone", "(1|visit)"), ("process", "ou(day | 1)")):
    fit = glmm(f"count ~ warm + {term}", d.assign(visit=np.arange(n)), family="poisson")
    residuals = simulate_residuals(fit, random_effects="unconditional", rng=1)
    result = residuals.temporal_autocorrelation_test(d["day"])
    print(
        f"{name:10s} warm {fit.params['warm']:.2f} (se {fit.bse['warm']:.2f})"
        f"  AIC {fit.aic:.1f}  autocorrelation p = {result.pvalue:.2g}"
    )
ahead = simulate_residuals(fit, method="one-step", rng=1)
print(f"one step ahead: {ahead.temporal_autocorrelation_test('day')}")
rate = fit.var_corr["rate"].iloc[0]
print(f"the correlation halves in {np.log(2) / rate:.0f} days")

# %%
# ``method="one-step"`` asks of every count whether the model would have foretold it from those before. Such residuals
# are independent if the model is right, whatever the process: the plot in time shows no runs.

plot_temporal(ahead, "day")

# %%
# The first model counts 150 days as 150 independent pieces of evidence on warmth; its standard error is too small, and
# the test says so. Between the days of measurement the process interpolates, and the limits widen with the gap.

new = pd.DataFrame({"day": np.arange(day[0], day[0] + 200, 1.0)})
new["warm"] = np.sin(2 * np.pi * new["day"] / 365)
curve = fit.predict(new, level=0.95)
shown = d["day"] < new["day"].max()

fig, axes = plt.subplots(figsize=(8, 4), layout="constrained")
axes.plot(new["day"], curve["estimate"], label="mean")
axes.fill_between(
    new["day"], curve["lower"], curve["upper"], alpha=0.3, label="95 % limits"
)
axes.plot(d.loc[shown, "day"], d.loc[shown, "count"], "k.", label="counts")
axes.set(
    xlabel="day",
    ylabel="count",
    yscale="log",
)
axes.set_title("The first 200 days", loc="left", size="medium", weight="bold")
axes.set_yticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
