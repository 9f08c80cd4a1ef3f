"""
A split plot: means, letters and degrees of freedom
===================================================

*Varieties were sown on whole plots, nitrogen was given to their quarters. Which means differ, and with how many degrees
of freedom?*

Six blocks with three whole plots each; every whole plot has four subplots. One subplot was flooded.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from glmmcore import compact_letters, glmm, marginal_means, wald_tests
from simresid import plot_means

rng = np.random.default_rng(1935)
cells = pd.MultiIndex.from_product(
    [range(1, 7), ["Marvel", "Rain", "Victory"], [0.0, 0.2, 0.4, 0.6]],
    names=["block", "variety", "nitrogen"],
)
oats = cells.to_frame(index=False)
oats["plot"] = oats["block"].astype(str) + oats["variety"]
oats["harvest"] = (
    80
    + 75 * oats["nitrogen"]
    - 40 * oats["nitrogen"] ** 2
    + oats["variety"].map({"Marvel": 5, "Rain": 0, "Victory": -8})
    + 15 * rng.normal(size=6)[oats["block"] - 1]
    + 10 * rng.normal(size=18)[pd.factorize(oats["plot"])[0]]
    + 12 * rng.normal(size=72)
)
oats = oats.drop(index=17)

# %%
# Blocks and whole plots are random effects. Comparisons of varieties see the differences between whole plots, those of
# nitrogen do not: Kenward and Roger's degrees of freedom tell them apart, and allow for the missing subplot.

fit = glmm("harvest ~ variety * C(nitrogen) + (1|block) + (1|plot)", oats, reml=True)
short = "{:.3g}".format  # rounded to three decimals, small p-values would be zero
print(wald_tests(fit, df="kenward-roger").to_string(float_format=short))

# %%
# Means of nitrogen, averaged over varieties; two that share a letter have not been shown to
# differ at 5 % (Tukey).

means = marginal_means(fit, "nitrogen", df="kenward-roger")
means["letters"] = compact_letters(fit, "nitrogen", df="kenward-roger")
print(means.round(2))

# %%
# The response to nitrogen as trends over the doses, and the gain per step with its limits.

trends = marginal_means(fit, "nitrogen", contrasts="polynomial", df="kenward-roger")
print(trends[["estimate", "df", "pvalue"]].to_string(float_format=short))
steps = marginal_means(
    fit, "nitrogen", contrasts="sequential", adjust="mvt", df="kenward-roger"
)
print(steps[["estimate", "lower", "upper", "pvalue"]].round(2))

# %%
# The linear trend is clear, the curvature is not. In the figure intervals are wide, since they hold the differences
# between blocks, which comparisons within blocks do not: means whose intervals overlap can have different letters.

fig, axes = plt.subplots(
    1, 2, figsize=(9, 4), layout="constrained", width_ratios=(2, 3)
)
plot_means(
    fit, "nitrogen", df="kenward-roger", ax=axes[0], title="Averaged over varieties"
)
plot_means(
    fit,
    "nitrogen",
    by="variety",
    df="kenward-roger",
    ax=axes[1],
    title="Within varieties",
)
