"""
From a CSV file to a checked model: nested groups
=================================================

*I have a file with casks within deliveries. How do I fit that, and how do I check it?*

Strength of a chemical paste (Davies and Goldsmith 1972): ten deliveries, three casks from each, two tests per
cask. Casks are labelled a, b, c within every delivery, so cask a of two deliveries is not the same cask.
"""

import tempfile
from pathlib import Path

import pandas as pd

from glmmcore import glmm
from simresid import datasets, plot_random_effects, simulate_residuals

file = Path(tempfile.mkdtemp()) / "pastes.csv"
datasets.load("pastes").to_csv(file, index=False)

# %%
# ``(1|batch/cask)`` means casks within batches: an effect of each batch and one of each cask of each batch.

pastes = pd.read_csv(file)
fit = glmm("strength ~ 1 + (1|batch/cask)", pastes, reml=True)
print(fit.summary())

# %%
# Where does the variance come from?

variance = pd.Series(fit.var_corr["sd"].to_numpy() ** 2, index=fit.var_corr["group"])
variance["test"] = fit.sigma**2
print((variance / variance.sum()).round(2).to_string())

# %%
# Casks of one delivery differ much more than deliveries. Residuals with new random effects test the whole
# model; given the fitted ones they would test the law of the single tests only.

residuals = simulate_residuals(fit, random_effects="unconditional")
print(residuals.diagnose(categories="batch").summary())

# %%
# Groups are named as in the formula where residuals are aggregated, here to one for each of the thirty casks:

casks = residuals.recalculate(group="batch:cask")
print(casks.diagnose().verdict)

# %%
# Thirty casks, each with its interval, and whether their effects look normal:

plot_random_effects(fit, "batch:cask")
