"""
How many salamanders per sample: means with the zeros in them
=============================================================

*My counts have too many zeros, so I fitted a zero-inflated model. What is the mean count of a mined stream, with all of
its zeros?*

A zero-inflated model has two parts: the chance that a sample is empty for a reason of its own, and the count otherwise.
"""

import matplotlib.pyplot as plt

from glmmcore import glmm, marginal_means
from simresid import datasets, plot_means

salamanders = datasets.load("salamanders")
fit = glmm(
    "count ~ mined + spp + (1|site)",
    salamanders,
    family="nbinom2",
    zi="~ mined",
)
print(fit.summary())

# %%
# Neither part answers the question alone. ``kind="response"`` multiplies them for every species, averages over species
# and takes the joint uncertainty of both parts; ``component=`` shows the parts. The conditional means average species
# on the scale of the link, a geometric mean, and can be below the overall ones.

short = "{:.3g}".format
for component in (None, "conditional", "zi"):
    means = marginal_means(fit, "mined", kind="response", component=component)
    print(component or "overall", means.to_string(float_format=short), "", sep="\n")

# %%
# The ratio of overall means, with limits, and the difference.

for scale in ("ratio", "difference"):
    found = marginal_means(
        fit, "mined", kind="response", contrasts="pairwise", scale=scale
    )
    shown = found[["estimate", "lower", "upper", "pvalue"]]
    print(shown.to_string(float_format=short))

# %%
# These are means of a site with no effect of its own. Over all sites they are higher, since a mean of counts follows
# the rich sites more than the poor ones; ``random_effects="average"`` integrates over the sites.

for effects in ("none", "average"):
    means = marginal_means(fit, "mined", kind="response", random_effects=effects)
    print(effects, means["estimate"].round(3).to_dict())

# %%
# Means of all species by stream, and those of the conditional part beside them. Letters compare the species within
# mined and within other streams. The conditional part alone, on the right, says twice as many salamanders of mined
# streams as were there.

fig, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained", sharex=True)
plot_means(fit, "spp", by="mined", ax=axes[0])
plot_means(
    fit,
    "spp",
    by="mined",
    ax=axes[1],
    component="conditional",
    letters=False,
    title="Not what was counted:\nwithout structural zeros",
)
