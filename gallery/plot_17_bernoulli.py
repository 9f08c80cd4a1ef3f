"""
Zeros and ones
==============

*My response is 0/1. The residuals look perfect. Are they?*

A single 0/1 outcome can hardly contradict a probability: overdispersion, for one, cannot exist in it. Sums
over groups can. Below, 100 groups of ten differ, and the model does not know.
"""

import matplotlib.pyplot as plt

from glmmcore import glmm
from simresid import create_data, plot_qq, simulate_residuals

data = create_data(1000, family="binomial", random_effect_sd=1.2, n_groups=100, rng=4)
plain = glmm("observed ~ x1", data, family="binomial")
single = simulate_residuals(plain)
print("row by row:", single.diagnose().summary())

# %%
# ``recalculate`` adds the observations of a group, does the same in every simulation, and ranks the sums.

grouped = single.recalculate(group=data["group"])
print("by group:", grouped.dispersion_test().summary())

# %%
# The repair, and the check of the repair, for groups with new random effects:

mixed = glmm("observed ~ x1 + (1|group)", data, family="binomial")
repaired = simulate_residuals(mixed, random_effects="unconditional").recalculate(
    group=data["group"]
)
print("with (1|group):", repaired.dispersion_test().summary())

fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.6), layout="constrained")
plot_qq(single, axes[0], title="1000 rows, no random effect")
plot_qq(grouped, axes[1], title="100 groups, no random effect")
plot_qq(repaired, axes[2], title="100 groups, with (1|group)")
