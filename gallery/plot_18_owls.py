"""
One data set, five models: owls
===============================

*I have a list of candidate models. How do I compare their fit and their flaws in one table?*

Calls of barn owl nestlings before a parent arrives (Roulin and Bersier 2007), an old friend of count models:
repeated measures of 27 nests, an offset for the size of the brood, overdispersion and many zeros.
"""

import matplotlib.pyplot as plt

from glmmcore import glmm
from simresid import datasets, plot_rootogram, screen, simulate_residuals

owls = datasets.load("owls")
formula = "SiblingNegotiation ~ FoodTreatment * SexParent + offset(np.log(BroodSize)) + (1|Nest)"
models = {
    "poisson": {"family": "poisson"},
    "poisson, zi": {"family": "poisson", "zi": "~ 1"},
    "nbinom1": {"family": "nbinom1"},
    "nbinom1, zi": {"family": "nbinom1", "zi": "~ 1"},
    "nbinom1, zi by food": {"family": "nbinom1", "zi": "~ FoodTreatment + (1|Nest)"},
}
fits = {name: glmm(formula, owls, **how) for name, how in models.items()}

# %%
# ``screen`` takes any number of models and returns one row for each.

table = screen(fits)
table.insert(0, "AIC", [fit.aic for fit in fits.values()])
print(table.drop(columns=["nobs", "llf", "verdict"]).round(3).T.to_string())
for name, verdict in table["verdict"].items():
    print(f"{name}: {verdict}")

# %%
# Overdispersion is the larger flaw: a negative binomial law repairs most. A constant share of extra zeros
# lowers AIC and leaves a spread that depends on the prediction; fed nestlings are silent more often, and so
# are some nests. With both in the zero-inflation part nothing is left to object to, and AIC agrees.

fig, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
for ax, name in zip(axes, ("poisson", "nbinom1", "nbinom1, zi by food"), strict=True):
    plot_rootogram(simulate_residuals(fits[name]), ax, title=f"{name}, AIC {fits[name].aic:.0f}")
