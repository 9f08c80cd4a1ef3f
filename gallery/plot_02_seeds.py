"""
Successes out of n on a few plates: Orobanche seeds
===================================================

*My response is k of n per plate, and the plates differ more than coin tossing allows. Random effect or
beta-binomial?*

Crowder (1978) counted how many seeds of a parasitic plant germinated on 21 plates: two genotypes, two root
extracts.
"""

import matplotlib.pyplot as plt
import pandas as pd

from glmmcore import glmm
from simresid import datasets, plot_dispersion, simulate_residuals

seeds = datasets.load("orobanche")
formula = "cbind(germ, n - germ) ~ gen * extract"
fits = {
    "binomial": glmm(formula, seeds, family="binomial"),
    "binomial + (1|plate)": glmm(f"{formula} + (1|plate)", seeds, family="binomial"),
    "beta-binomial": glmm(formula, seeds, family="betabinomial"),
}

# %%
# Residuals of a k-of-n response are made of counts, so that a plate with 81 seeds says more than one with 4.

residuals = {name: simulate_residuals(fit) for name, fit in fits.items()}
rows = {}
for name, fit in fits.items():
    dispersion = residuals[name].dispersion_test()
    rows[name] = {
        "logLik": fit.llf,
        "interaction": fit.params.iloc[-1],
        "se": fit.bse.iloc[-1],
        "p": fit.pvalues.iloc[-1],
        "dispersion ratio": dispersion.statistic,
        "p (dispersion)": dispersion.pvalue,
    }
print(pd.DataFrame(rows).T.round(3).to_string())

# %%
# Binomial standard errors are too small: the counts scatter twice as much as the model says. The two remedies agree
# with each other, in likelihood and in the interaction: with 21 plates they cannot be told apart, and need not be.
# (A beta-binomial law with ``sigma`` of 80 makes seeds of one plate alike with a correlation of 1/81.)

print(f"sigma of the beta-binomial {fits['beta-binomial'].sigma:.1f}")
fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.2), layout="constrained")
for ax, (name, res) in zip(axes, residuals.items(), strict=True):
    plot_dispersion(res, ax, title=name)
