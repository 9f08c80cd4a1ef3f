"""
Models of statsmodels
=====================

*I fit with statsmodels. What do I have to change?*

Nothing: pass the results. Counts of ticks on red grouse chicks (Elston et al. 2001).
"""

import matplotlib.pyplot as plt
import statsmodels.api as sm
import statsmodels.formula.api as smf

from simresid import datasets, plot_qq, screen, simulate_residuals

ticks = datasets.load("grouseticks")
ticks["height"] = (
    ticks["HEIGHT"] - 460
) / 40  # statsmodels' optimiser likes predictors of size one
formula = "TICKS ~ YEAR + height"
fits = {
    "Poisson": smf.poisson(formula, ticks).fit(disp=0),
    "NegativeBinomial": smf.negativebinomial(formula, ticks).fit(disp=0, maxiter=200),
    "GLM, Tweedie": smf.glm(
        formula, ticks, family=sm.families.Tweedie(var_power=1.5)
    ).fit(),
}
table = screen(fits, tests="all", progress=False)
columns = [
    "llf",
    "dispersion ratio",
    "dispersion",
    "uniformity",
    "quantiles",
    "n_failed",
]
print(table[columns].astype(float).T.to_string(float_format="{:.4g}".format))

# %%
# One trap that the residuals uncover: the NegativeBinomial *family* of statsmodels' GLM does not estimate its
# alpha but keeps the value it was given.

trap = smf.glm(formula, ticks, family=sm.families.NegativeBinomial(alpha=0.3)).fit()
print("GLM with alpha = 0.3:", simulate_residuals(trap).dispersion_test().summary())
print(
    f"NegativeBinomial estimates alpha = {fits['NegativeBinomial'].params['alpha']:.2f}"
)

# %%
# The chicks of a brood share their ticks. Residuals of the sums over broods see what those of single chicks
# cannot:

residuals = simulate_residuals(fits["NegativeBinomial"])
broods = residuals.recalculate(group=ticks["BROOD"])
print("sums over broods:", broods.dispersion_test().summary())

fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.6), layout="constrained")
plot_qq(simulate_residuals(fits["Poisson"]), axes[0], title="Poisson, chicks")
plot_qq(residuals, axes[1], title="NegativeBinomial, chicks")
plot_qq(broods, axes[2], title="NegativeBinomial, broods")
