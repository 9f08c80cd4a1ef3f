"""
A slope for every lot, and the question turned round
====================================================

*Each lot responds in its own way to the amount of a treatment. How much treatment brings the defects of a
typical lot down to four?*

That is inverse prediction from a model with random intercepts and slopes.
"""

import matplotlib.pyplot as plt
import numpy as np

from glmmcore import glmm, inverse_prediction
from simresid import datasets, simulate_residuals

lots = datasets.load("lots")
fit = glmm("y ~ x + (x|lot)", lots, family="poisson")
print(fit.var_corr.round(3))

# %%
# Eight lots are few for three variance parameters: the correlation is estimated at its limit. Such a fit is a
# result, and the verdict says so in words. A model with independent intercepts and slopes is as likely:

print(*fit.verdict, sep="\n")
independent = glmm("y ~ x + (x||lot)", lots, family="poisson")
print(
    f"log-likelihood {fit.llf:.2f} with the correlation, {independent.llf:.2f} without"
)
print(simulate_residuals(independent).diagnose().verdict)

# %%
# The amount at which the mean of a typical lot is four. The delta method gives a symmetric interval; Fieller's limits,
# all amounts at which a mean of four is not refuted, do better when the slope is uncertain:

for method in ("delta", "fieller"):
    amount = inverse_prediction(independent, "x", target=4, method=method)
    between = f"{amount.lower:.1f} to {amount.upper:.1f}"
    print(f"{method:8s} x = {amount.estimate:.2f}, 95 % limits {between}")

fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
b0, b1 = independent.params
modes = independent.random_effects["lot"]
x = np.linspace(0, 18, 60)
for marker, (lot, part) in zip(
    "os^vDPX*", lots.groupby("lot", observed=True), strict=True
):
    line = ax.plot(
        x,
        np.exp(b0 + modes.loc[lot].iloc[0] + (b1 + modes.loc[lot].iloc[1]) * x),
        marker=marker,
        markevery=[-1],
        ms=5,
        lw=0.9,
        alpha=0.8,
    )
    ax.plot(part["x"], part["y"], marker, ms=5, color=line[0].get_color(), alpha=0.8)
line[0].set_label("one lot (each has its marker): mean, counts")
ax.plot(x, np.exp(b0 + b1 * x), color="black", lw=2.5, label="typical lot")
limits = np.clip([amount.lower, amount.upper], 0, 18)
ax.hlines(
    4,
    *limits,
    color="#b33c00",
    lw=4,
    label=f"a mean of 4 is reached at {amount.estimate:.1f}, 95 % limits\n"
    f"{amount.lower:.1f} to {amount.upper:.1f} (Fieller)",
)
ax.plot(amount.estimate, 4, "D", color="#b33c00", ms=8)
ax.set(xlabel="Amount of treatment", ylabel="Defects", xticks=range(0, 19, 3))
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
