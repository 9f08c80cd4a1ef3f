"""
Simulations from anywhere: a Bayesian model
===========================================

*My model is not in any of these libraries. Can I still check it?*

Yes, if it can produce new data. Posterior predictive draws are such data; here a Poisson-Gamma model whose
posterior is known exactly, so that no sampler is needed.
"""

import matplotlib.pyplot as plt
import numpy as np

from simresid import datasets, from_simulations, plot_statistic

salamanders = datasets.load("salamanders")
observed = salamanders["count"].to_numpy()
rng = np.random.default_rng(1)

# %%
# A mean for each species in mined and unmined streams with a Gamma(1, 1) prior. Each draw takes new means
# from the posterior and new counts from those means: shape ``(n_sims, n)``, one replicate per row.

cells = salamanders.groupby(["spp", "mined"], observed=True)["count"]
cell = cells.ngroup().to_numpy()
total, size = cells.sum().to_numpy(), cells.size().to_numpy()
means = rng.gamma(1 + total, 1 / (1 + size), size=(1000, total.size))
draws = rng.poisson(means[:, cell])
residuals = from_simulations(draws, observed, data=salamanders)
print(residuals.diagnose().summary())

# %%
# The same with a negative binomial law around the means (size 0.7):

draws2 = rng.negative_binomial(0.7, 0.7 / (0.7 + means[:, cell]))
better = from_simulations(draws2, observed, data=salamanders)
print(better.diagnose().summary())

# %%
# Any statistic can serve as a check. Does the model produce streams with counts as large as the largest?

fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for ax, (name, res) in zip(
    axes, {"Poisson": residuals, "negative binomial": better}.items(), strict=True
):
    print(name, res.statistic_test(np.max, name="largest count").summary())
    plot_statistic(res, np.max, ax, title=f"{name}: largest count")
