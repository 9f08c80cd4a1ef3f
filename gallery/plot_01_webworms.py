"""
Which negative binomial? Webworms
=================================

*My counts are overdispersed. There are two negative binomial families: which one?*

Beall (1940) counted webworm larvae on 1300 plots: 13 blocks, four treatments (insecticide or not, lead or
not). The two families differ in how the variance follows the mean: nbinom1 says :math:`V = \\mu(1 + \\phi)`,
nbinom2 :math:`V = \\mu + \\mu^2/\\phi`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from glmmcore import glmm
from simresid import plot_rootogram, rdatasets, simulate_residuals

# %%
# The data come with the R package agridat; without network and offline folder a simulated stand-in is used.

try:
    worms = rdatasets.load("beall.webworms", "agridat")
except rdatasets.DataUnavailable as reason:
    print(f"{reason}\nUsing simulated counts instead.")
    rng = np.random.default_rng(1)
    trt, block = np.tile(["T1", "T2", "T3", "T4"], 325), np.repeat(np.arange(13), 100)
    effect = pd.Series(trt).map({"T1": 0.27, "T2": -0.71, "T3": -0.21, "T4": -0.93})
    mean = np.exp(effect.to_numpy() + rng.normal(0, 0.32, 13)[block])
    worms = pd.DataFrame(
        {"trt": trt, "block": block, "y": rng.negative_binomial(mean / 0.31, 1 / 1.31)}
    )

# %%
# Three families, one formula. The likelihoods keep all their constants, so AIC compares them.

fits = {
    family: glmm("y ~ trt + (1|block)", worms, family=family)
    for family in ("poisson", "nbinom1", "nbinom2")
}
residuals = {family: simulate_residuals(fit) for family, fit in fits.items()}
rows = {}
for family, fit in fits.items():
    dispersion = residuals[family].dispersion_test()
    rows[family] = {
        "logLik": fit.llf,
        "AIC": fit.aic,
        "dispersion ratio": dispersion.statistic,
        "p": dispersion.pvalue,
        "se of T4": fit.bse["trt[T.T4]"],
    }
shown = {"p": "{:.2g}".format}  # 0.000 would hide how small
print(pd.DataFrame(rows).T.to_string(formatters=shown, float_format="{:.3f}".format))

# %%
# Poisson is out: the counts scatter more than it says, and its standard errors are too small by a tenth. Both
# negative binomials repair that. Which one is better, the residuals hardly tell, since few plots have means large
# enough for the two variances to differ: the ratio of nbinom1 is significantly off, by a twentieth. AIC prefers
# nbinom2 as well. In the rootograms the bars of the observed frequencies hang from the expected ones: under Poisson the
# zeros and the large counts reach below the line.

fig, axes = plt.subplots(1, 3, figsize=(10, 4), layout="constrained", sharey=True)
for ax, (family, res) in zip(axes, residuals.items(), strict=True):
    plot_rootogram(res, ax, title=f"{family}, AIC {fits[family].aic:.1f}")
    ax.label_outer()
    ax.get_legend().remove()
key = axes.flat[0].get_legend_handles_labels()  # one for all
fig.legend(*key, loc="outside lower center", ncols=4, frameon=False)
