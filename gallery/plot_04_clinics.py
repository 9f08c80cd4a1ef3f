"""
Few counts, large differences: eight clinics
============================================

*I have one count per treatment in each of eight clinics. Is an analysis of variance good enough?*

The counts run from 1 to more than 100. Three models of the same experiment:
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from glmmcore import glmm
from simresid import datasets, plot_qq, simulate_residuals

clinics = datasets.load("clinics")
print(clinics.pivot(index="treatment", columns="clinic", values="count"))

# %%
# An analysis of variance (a normal law), a Poisson law with an effect of every single unit, and nbinom2.

fits = {
    "gaussian": glmm("count ~ treatment + (1|clinic)", clinics, reml=True),
    "poisson": glmm("count ~ treatment + (1|clinic)", clinics, family="poisson"),
    "poisson + unit": glmm("count ~ treatment + (1|clinic) + (1|clinic:treatment)", clinics, family="poisson"),
    "nbinom2": glmm("count ~ treatment + (1|clinic)", clinics, family="nbinom2"),
}

# %%
# Least-squares means: the prediction for each treatment in a typical clinic (random effects at zero), with
# Wald intervals on the scale of the link.

rows = {}
for name, fit in fits.items():
    design = np.array([[1.0, 0.0], [1.0, 1.0]])
    centre = design @ fit.params.to_numpy()
    half = 1.96 * np.sqrt(np.diag(design @ fit.cov_params().to_numpy() @ design.T))
    inverse = (lambda eta: eta) if name == "gaussian" else np.exp
    for k in range(2):
        rows[name, f"treatment {k}"] = {
            "mean": inverse(centre[k]),
            "low": inverse(centre[k] - half[k]),
            "high": inverse(centre[k] + half[k]),
        }
    print(f"{name:15s} p of the treatment effect {fit.pvalues.iloc[1]:.3f}")
print(pd.DataFrame(rows).T.round(1).to_string())

# %%
# The analysis of variance just misses the effect and gives an interval that reaches below zero counts; the
# plain Poisson model believes in it beyond reason, since it takes the differences between units for the
# treatment. The other two agree that there is an effect and how sure one may be. Sixteen rows suffice to
# refute the plain Poisson model:

fig, axes = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
for ax, (name, fit) in zip(axes, fits.items(), strict=True):
    res = simulate_residuals(fit)
    plot_qq(res, ax, title=f"{name}\nlogLik {fit.llf:.1f}")
    print(f"{name:15s} {res.dispersion_test().summary()}")
