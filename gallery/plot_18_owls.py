"""
One data set, five models: owls
===============================

*I have a list of candidate models. How do I compare their fit and their flaws in one table?*

Calls of barn owl nestlings before a parent arrives (Roulin and Bersier 2007), an old friend of count models:
repeated measures of 27 nests, an offset for the size of the brood, overdispersion and many zeros.
"""

import matplotlib.pyplot as plt
import pandas as pd

from glmmcore import glmm
from simresid import datasets, plot_rootogram, simulate_residuals

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
# The p-values of all tests, model by model, and the verdicts (after adjustment for the number of tests):

residuals = {name: simulate_residuals(fit) for name, fit in fits.items()}
diagnoses = {name: res.diagnose() for name, res in residuals.items()}
table = pd.DataFrame(
    {name: diagnosis.table["pvalue"] for name, diagnosis in diagnoses.items()}
)
table.loc["AIC"] = [fit.aic for fit in fits.values()]
print(table.to_string(float_format=lambda v: f"{v:.2g}" if v <= 1 else f"{v:.0f}"))
for name, diagnosis in diagnoses.items():
    print(f"{name}: {diagnosis.verdict}")

# %%
# Overdispersion is the larger flaw: a negative binomial law repairs most. A constant share of extra zeros lowers AIC
# and leaves a spread that depends on the prediction; fed nestlings are silent more often, and so are some nests. With
# both in the zero-inflation part no test objects after adjustment, and AIC agrees. The rootogram still shows more bars
# outside than the one in twenty that chance gives: the law of the counts is not perfect, and the model good enough for
# the treatments.

fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.8), layout="constrained")
for ax, name in zip(axes, ("poisson", "nbinom1", "nbinom1, zi by food"), strict=True):
    plot_rootogram(residuals[name], ax, title=f"{name}\nAIC {fits[name].aic:.0f}")
    ax.get_legend().remove()
key = axes.flat[0].get_legend_handles_labels()  # one for all
fig.legend(*key, loc="outside lower center", ncols=4, frameon=False)
