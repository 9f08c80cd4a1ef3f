"""
More scatter than the model allows
==================================

*The dispersion test is significant. What does it cost me to ignore it, and what helps?*

Poisson counts with extra noise of standard deviation 0.7 on the log scale, in ten groups. We know the truth:
no effect of x at all.
"""

import matplotlib.pyplot as plt
import pandas as pd

from glmmcore import glmm
from simresid import create_data, simulate_residuals

data = create_data(
    200,
    intercept=1.5,
    fixed_effects=0.0,
    overdispersion=0.7,
    n_groups=10,
    random_effect_sd=0.5,
    rng=21,
)
poisson = glmm("observed ~ x1 + (1|group)", data, family="poisson")
residuals = simulate_residuals(poisson)
print(residuals.dispersion_test().summary())
print(residuals.dispersion_test().advice())

# %%
# Three remedies. Look at what happens to the standard error and the
# p-value of an effect that does not exist.

fits = {
    "poisson": poisson,
    "nbinom1": glmm("observed ~ x1 + (1|group)", data, family="nbinom1"),
    "nbinom2": glmm("observed ~ x1 + (1|group)", data, family="nbinom2"),
    "poisson + (1|id)": glmm(
        "observed ~ x1 + (1|group) + (1|id)", data, family="poisson"
    ),
}
table = {
    name: {
        "AIC": fit.aic,
        "slope": fit.params["x1"],
        "se": fit.bse["x1"],
        "p": fit.pvalues["x1"],
    }
    for name, fit in fits.items()
}
shown = {"p": "{:.2g}".format}
print(pd.DataFrame(table).T.to_string(formatters=shown, float_format="{:.3f}".format))

# %%
# The overview says what is wrong at a glance.

residuals.plot()
plt.gcf().set_size_inches(9, 5.2)
