"""
Weights that grow with their spread: salmon
===========================================

*My response is positive and its spread grows with its mean. Normal, log-normal or Gamma?*

Salmon were weighed five times from release to slaughter, in a trial of vaccines; the mean rises from 70 g to
5 kg.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from glmmcore import glmm
from simresid import plot_simulated_data, rdatasets, simulate_residuals

# %%
# The data are not in any package; without them a simulated stand-in is used.

try:
    fish = rdatasets.load("fish_vaccines").dropna(subset=["wt"])
    fish = fish[fish["wt"] > 0]
except rdatasets.DataUnavailable:
    print("Using simulated weights.")
    rng = np.random.default_rng(1)
    mean = {0: 70.0, 82: 90.0, 246: 750.0, 505: 1600.0, 901: 5200.0}
    fish = pd.DataFrame(
        {"day": np.tile(list(mean), 300), "vaccine": np.repeat([1, 2, 3, 4], 375)}
    )
    fish["wt"] = rng.gamma(1 / 0.046, 0.046 * fish["day"].map(mean))
fish = fish.astype({"day": "category", "vaccine": "category"})

# %%
# All models have a mean of its own for every day and vaccine; they differ in the law around it only. In the
# parameters used here (and in glmmTMB) the log-normal law has one standard deviation for all means, as the
# normal law has, while the Gamma law has one coefficient of variation. ``disp="~ day"`` lets the days differ
# in it.

models = {
    "gaussian": {"family": "gaussian"},
    "lognormal": {"family": "lognormal"},
    "gamma": {"family": "gamma"},
    "gamma, disp ~ day": {"family": "gamma", "disp": "~ day"},
}
fits = {name: glmm("wt ~ day * vaccine", fish, **how) for name, how in models.items()}
residuals = {name: simulate_residuals(fit) for name, fit in fits.items()}
rows = {}
for name, res in residuals.items():
    rows[name] = {
        "AIC": fits[name].aic,
        "distance from uniform": res.uniformity_test().statistic,
        "p, spread by day": res.heteroscedasticity_test("day").pvalue,
    }
shown = {"p, spread by day": "{:.2g}".format}
print(pd.DataFrame(rows).T.to_string(formatters=shown, float_format="{:.3f}".format))

# %%
# In each panel the points are the weights of one day, the bars hold 95 % (light) and half (dark) of what the
# model simulates; a diamond is the mean of a day, a cross one that the model does not reproduce. A constant
# standard deviation is far too much for the small fish and too little for the large.

fig, axes = plt.subplots(2, 2, figsize=(9, 6.6), layout="constrained")
for ax, (name, res) in zip(axes.flat, residuals.items(), strict=True):
    plot_simulated_data(res, "day", ax, title=f"{name}, AIC {fits[name].aic:.0f}")
