"""
A slope for every lot, and the question turned round
====================================================

*Each lot responds in its own way to the amount of a treatment. How much treatment brings the defects of a
typical lot down to four?*

That is inverse prediction from a model with random intercepts and slopes.
"""

import matplotlib.pyplot as plt
import numpy as np

from glmmcore import glmm
from simresid import datasets, simulate_residuals

lots = datasets.load("lots")
fit = glmm("y ~ x + (x|lot)", lots, family="poisson")
print(fit.var_corr.round(3))

# %%
# Eight lots are few for three variance parameters: the correlation is estimated at its limit. Such a fit is a
# result, and the verdict says so in words. A model with independent intercepts and slopes is as likely:

print(*fit.verdict, sep="\n")
independent = glmm("y ~ x + (x||lot)", lots, family="poisson")
print(f"log-likelihood {fit.llf:.2f} with the correlation, {independent.llf:.2f} without")
print(simulate_residuals(independent).diagnose().verdict)

# %%
# The amount at which the mean of a typical lot is four, and its standard error by the delta method:

b0, b1 = independent.params
target = np.log(4)
amount = (target - b0) / b1
gradient = np.array([-1 / b1, -amount / b1])
se = float(np.sqrt(gradient @ independent.cov_params().to_numpy() @ gradient))
print(f"x = {amount:.2f}, standard error {se:.2f}")

# %%
# Fiducial limits (Fieller) do better when the slope is uncertain: all x at which a mean of four is not
# refuted.

grid = np.linspace(0, 60, 6001)
design = np.column_stack([np.ones_like(grid), grid])
spread = np.sqrt(np.einsum("ij,jk,ik->i", design, independent.cov_params().to_numpy(), design))
inside = grid[np.abs(design @ [b0, b1] - target) < 1.96 * spread]
print(f"95 % limits {inside.min():.1f} to {inside.max():.1f}")

fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
modes = independent.random_effects["lot"]
x = np.linspace(0, 14, 60)
for lot, part in lots.groupby("lot", observed=True):
    line = ax.plot(x, np.exp(b0 + modes.loc[lot].iloc[0] + (b1 + modes.loc[lot].iloc[1]) * x), lw=0.9, alpha=0.8)
    ax.plot(part["x"], part["y"], "o", ms=3.5, color=line[0].get_color(), alpha=0.8)
ax.plot(x, np.exp(b0 + b1 * x), color="black", lw=2.5, label="typical lot")
ax.hlines(4, *inside[[0, -1]].clip(0, 14), color="#b33c00", lw=4, label=f"where it reaches 4: {amount:.1f}")
ax.set(xlabel="Amount of treatment", ylabel="Defects")
ax.legend(frameon=False)
