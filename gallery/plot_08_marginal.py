"""
Two curves from one model: typical and average
==============================================

*Why does my fitted curve run beside the observed proportions?*

In a logistic model with a random intercept, the curve at a random effect of zero belongs to a *typical*
group. The proportion over all groups is another, flatter curve. Both are right; they answer different
questions.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit

from glmmcore import glmm
from simresid import create_data

data = create_data(
    4000,
    fixed_effects=2.0,
    random_effect_sd=2.0,
    n_groups=200,
    family="binomial",
    rng=2,
)
fit = glmm("observed ~ x1 + (1|group)", data, family="binomial")
print(
    fit.params.round(2).to_string(),
    f"\nstandard deviation of the intercepts {fit.var_corr['sd'][0]:.2f}",
)

# %%
# ``predict`` gives both: at random effects of zero, or averaged over the population of groups. The average matches
# simulations with ``random_effects="unconditional"``.

data["typical"] = fit.predict(random_effects="none")
data["average"] = fit.predict(random_effects="average")
ends = data.sort_values("x1").iloc[[0, -1]]
print(ends[["x1", "typical", "average"]].round(3).to_string(index=False))

# %%
fig, ax = plt.subplots(figsize=(7, 4.4), layout="constrained")
line = np.linspace(-1, 1, 100)
for mode in fit.random_effects["group"]["Intercept"].iloc[::5]:
    ax.plot(
        line,
        expit(fit.params["Intercept"] + mode + fit.params["x1"] * line),
        color="0.8",
        lw=0.7,
        zorder=1,
    )
curves = data.sort_values("x1")
ax.plot(
    curves["x1"],
    curves["typical"],
    color="#0b5394",
    lw=2.5,
    label="typical group (random effect zero)",
)
ax.plot(
    curves["x1"],
    curves["average"],
    color="#b33c00",
    lw=2.5,
    ls="--",
    label="average over groups",
)
bins = np.linspace(-1, 1, 11)
middle = (bins[:-1] + bins[1:]) / 2
share = data.groupby(np.digitize(data["x1"], bins), observed=True)["observed"].mean()
ax.plot(middle, share.to_numpy()[: middle.size], "ko", label="observed proportion")
ax.set(xlabel="x", ylabel="Probability", ylim=(0, 1))
ax.legend(framealpha=0.9, edgecolor="none")
ax.spines[["top", "right"]].set_visible(False)
