"""
Few counts, large differences: eight clinics
============================================

*I have one count per treatment in each of eight clinics. Is an analysis of variance good enough?*

The counts run from 1 to more than 100. Three models of the same experiment:
"""

import matplotlib.pyplot as plt

from glmmcore import glmm, marginal_means
from simresid import datasets, plot_qq, simulate_residuals

clinics = datasets.load("clinics")
print(clinics.pivot(index="treatment", columns="clinic", values="count"))

# %%
# An analysis of variance (a normal law), a Poisson law with an effect of every single unit, and nbinom2.

fits = {
    "gaussian": glmm("count ~ treatment + (1|clinic)", clinics, reml=True),
    "poisson": glmm("count ~ treatment + (1|clinic)", clinics, family="poisson"),
    "poisson + unit": glmm(
        "count ~ treatment + (1|clinic) + (1|clinic:treatment)",
        clinics,
        family="poisson",
    ),
    "nbinom2": glmm("count ~ treatment + (1|clinic)", clinics, family="nbinom2"),
}

# %%
# Least-squares means: the mean of each treatment in a typical clinic (random effects at zero), and the contrast of the
# treatments; on the log scale of the counts this is a ratio.

for name, fit in fits.items():
    means = marginal_means(fit, "treatment", kind="response")
    contrast = marginal_means(
        fit, "treatment", kind="response", contrasts="pairwise"
    ).iloc[0]
    print(f"{name:15s} p of the treatment effect {contrast['pvalue']:.2g}")
    print(means[["estimate", "lower", "upper"]].round(1).to_string(), "\n")

# %%
# The analysis of variance just misses the effect and gives an interval that reaches below zero counts; the plain
# Poisson model believes in it beyond reason, since it takes the differences between units for the treatment. The
# other two agree that there is an effect and how sure one may be.
#
# Sixteen rows suffice to refute the plain Poisson model. The model with units has as many unit effects as rows: given
# the fitted ones, it predicts every row almost perfectly and nothing is left to check. Its residuals are drawn with
# new unit effects in the same clinics, ``random_effects=["clinic:treatment"]``.

fig, axes = plt.subplots(2, 2, figsize=(8, 7), layout="constrained")
for ax, (name, fit) in zip(axes.flat, fits.items(), strict=True):
    redraw = ["clinic:treatment"] if name == "poisson + unit" else "conditional"
    res = simulate_residuals(fit, random_effects=redraw)
    plot_qq(res, ax, title=f"{name}\nlogLik {fit.llf:.1f}")
    print(f"{name:15s} {res.dispersion_test().summary()}")
