"""
Species on nine beaches: intercepts, extra noise, quadrature
============================================================

*Five samples on each of nine beaches. Is a random intercept enough, and is Laplace's approximation good
enough?*

The RIKZ data (Zuur et al. 2009): number of species against the height of the sample above the mean tide
(NAP).
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from glmmcore import glmm
from simresid import plot_random_effects, rdatasets, simulate_residuals

try:
    beaches = rdatasets.load("rikz").astype({"Beach": "category", "Sample": "category"})
except rdatasets.DataUnavailable:
    print("Using simulated beaches.")
    rng = np.random.default_rng(3)
    beach = np.repeat(np.arange(9), 5)
    nap = rng.uniform(-1.4, 2.2, 45)
    mean = np.exp(
        1.66 - 0.5 * nap + rng.normal(0, 0.47, 9)[beach] + rng.normal(0, 0.2, 45)
    )
    beaches = pd.DataFrame(
        {
            "Sample": np.arange(45),
            "Beach": beach,
            "NAP": nap,
            "Richness": rng.poisson(mean),
        }
    )
    beaches = beaches.astype({"Beach": "category", "Sample": "category"})

intercept = glmm("Richness ~ NAP + (1|Beach)", beaches, family="poisson")
noise = glmm("Richness ~ NAP + (1|Beach) + (1|Sample)", beaches, family="poisson")

# %%
# The effect of NAP is a factor per metre; an effect of each single sample (an observation-level random
# effect) is one way to allow for overdispersion.

for name, fit in {"intercept": intercept, "+ (1|Sample)": noise}.items():
    factor = np.exp(fit.params["NAP"])
    print(f"{name:13s} AIC {fit.aic:.1f}, factor per metre {factor:.2f}")
    print(simulate_residuals(fit).dispersion_test().summary())

# %%
# Laplace's approximation against adaptive quadrature with more and more points. The log-likelihoods are
# comparable, here as anywhere:

for points in (1, 3, 9, 25):
    fit = glmm("Richness ~ NAP + (1|Beach)", beaches, family="poisson", n_agq=points)
    slope, sd = fit.params["NAP"], fit.var_corr["sd"][0]
    print(f"{points:2d} points: logLik {fit.llf:.5f}, slope {slope:.5f}, sd {sd:.5f}")

# %%
# With five counts per beach Laplace is off in the third digit of the standard deviation, which does not
# matter here. The caterpillar of the beaches:

plot_random_effects(intercept)
plt.gcf().set_size_inches(9, 3.8)
