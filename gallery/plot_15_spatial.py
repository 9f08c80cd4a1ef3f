"""
Neighbours in space
===================

*My sites lie close together. Does the model leave a spatial pattern?*

Counts at 200 places with a smooth spatial effect that the model does not know.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from glmmcore import glmm
from simresid import create_data, plot_spatial, simulate_residuals

data = create_data(
    200, intercept=1.2, spatial_sd=0.8, spatial_range=0.5, random_effect_sd=0.0, rng=1
)
plain = glmm("observed ~ x1", data, family="poisson")
residuals = simulate_residuals(plain)
print(residuals.spatial_autocorrelation_test(data["x"], data["y"]).summary())

# %%
# Low-order polynomials of the coordinates are the simplest repair; a random effect of grid cells is another, and a
# field over the map, ``exp(x, y | 1)``, a third (see :doc:`plot_31_places`).

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
    p = "p < 0.001" if test.pvalue < 0.001 else f"p = {test.pvalue:.3f}"
    titles[name] = f"{name}: {p}"
    print(f"{name}: I = {test.statistic:.3f}, expected {test.expected:.3f}")
print({name: round(fit.aic, 1) for name, fit in repairs.items()})

# %%
# The residuals of the plain model lie high in some regions and low in others. Averages of neighbours, weighted by
# distance, show the pattern as a surface. After the repairs it is nearly flat, though the test still
# finds a little of it. Triangles that point up are counts above the prediction, those that point down below. The
# surface grows darker all along, so that grey tells high from low; contours of averages below zero are dashed.

low_to_high = LinearSegmentedColormap.from_list(
    "low to high", ["#e2f1fd", "#bcdcf5", "#b0b5ba", "#c6784a", "#94390a"]
)
fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.7), layout="constrained", sharey=True)
places = np.column_stack([data["x"], data["y"]])
side = np.linspace(places.min(), places.max(), 60)
grid = np.stack(np.meshgrid(side, side), axis=-1)
squares = ((grid[:, :, None] - places) ** 2).sum(axis=-1)
weights = np.exp(-0.5 * squares / (0.1 * np.ptp(side)) ** 2)
for ax, (name, res) in zip(axes, kept.items(), strict=True):
    surface = weights @ res.normal_residuals(clip=3.0) / weights.sum(axis=-1)
    shades = ax.pcolormesh(
        side, side, surface, cmap=low_to_high, vmin=-1.2, vmax=1.2, alpha=0.7, zorder=0
    )
    ax.contour(side, side, surface, [-0.6, -0.3, 0.3, 0.6], colors="0.25", linewidths=1)
    plot_spatial(res, data["x"], data["y"], ax, title=titles[name], colorbar=False)
    ax.label_outer()
fig.colorbar(shades, ax=axes, label="Average residual nearby, normal scale")

# %%
# The correlogram says how far the likeness reaches: the mean product of standardised residuals of two
# places, by their distance. Grey is where it lies for residuals dealt out to the places at random, in 95 % of deals.

distance = np.sqrt(((places[:, None] - places) ** 2).sum(axis=-1))
upper = np.triu_indices(len(data), 1)
edges = np.quantile(distance[upper], np.linspace(0, 0.6, 13))
classes = np.digitize(distance[upper], edges) - 1
middles = 0.5 * (edges[1:] + edges[:-1])


def correlogram(z):
    z = (z - z.mean()) / z.std()
    products = z[upper[0]] * z[upper[1]]
    return np.array([products[classes == k].mean() for k in range(len(middles))])


rng = np.random.default_rng(1)
fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.2), layout="constrained", sharey=True)
for ax, (name, res) in zip(axes, kept.items(), strict=True):
    z = res.normal_residuals(clip=3.0)
    dealt = [correlogram(rng.permutation(z)) for _ in range(199)]
    ax.fill_between(middles, *np.quantile(dealt, [0.025, 0.975], axis=0), color="0.88")
    ax.plot(middles, correlogram(z), "o-", color="#34648c", markersize=4)
    ax.set_xlabel("Distance")
    ax.set_title(name, loc="left", fontsize="medium", fontweight="bold")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("Correlation of residuals")
