"""
Neighbours in space
===================

*My sites lie close together. Does the model leave a spatial pattern?*

Counts at 200 places with a smooth spatial effect that the model does not know.
"""

import matplotlib.pyplot as plt

from glmmcore import glmm
from simresid import create_data, plot_spatial, simulate_residuals

data = create_data(
    200, intercept=1.2, spatial_sd=0.8, spatial_range=0.5, random_effect_sd=0.0, rng=1
)
plain = glmm("observed ~ x1", data, family="poisson")
residuals = simulate_residuals(plain)
print(residuals.spatial_autocorrelation_test(data["x"], data["y"]).summary())

# %%
# Low-order polynomials of the coordinates are the simplest repair; a random effect of grid cells is another.

data["cell"] = (
    (data["x"] * 5).astype(int).astype(str)
    + "-"
    + (data["y"] * 5).astype(int).astype(str)
)
repairs = {
    "polynomial": glmm(
        "observed ~ x1 + x + y + I(x**2) + I(y**2) + x:y", data, family="poisson"
    ),
    "cells": glmm("observed ~ x1 + (1|cell)", data, family="poisson"),
}
kept = {"no space": residuals}
kept |= {name: simulate_residuals(fit) for name, fit in repairs.items()}
titles = {}
for name, res in kept.items():
    test = res.spatial_autocorrelation_test(data["x"], data["y"])
    titles[name] = f"{name}: p = {test.pvalue:.1g}"
    print(f"{name}: I = {test.statistic:.3f}, expected {test.expected:.3f}")
print({name: round(fit.aic, 1) for name, fit in repairs.items()})

# %%
# Triangles that point up are counts above the prediction, those that point down below.

fig, axes = plt.subplots(1, 3, figsize=(11, 4.4), layout="constrained", sharey=True)
for ax, (name, res) in zip(axes, kept.items(), strict=True):
    plot_spatial(
        res, data["x"], data["y"], ax, title=titles[name], colorbar=ax is axes[-1]
    )
    ax.label_outer()
