"""
Less scatter than the model allows
==================================

*The dispersion ratio is below one. Is that a problem?*

Underdispersed counts make Poisson standard errors too large: effects that exist go unseen. Clutch sizes are a
classic case; here counts around eight are simulated with less than half of the Poisson variance.
"""

import matplotlib.pyplot as plt
import pandas as pd

from glmmcore import glmm
from simresid import create_data, plot_dispersion, simulate_residuals

data = create_data(
    200,
    intercept=2.0,
    fixed_effects=0.09,
    random_effect_sd=0.0,
    rounded_poisson_sd=1.6,
    rng=5,
)
fits = {
    family: glmm("observed ~ x1", data, family=family)
    for family in ("poisson", "compois", "genpois")
}
residuals = {family: simulate_residuals(fit) for family, fit in fits.items()}
rows = {}
for family, fit in fits.items():
    test = residuals[family].dispersion_test()
    rows[family] = {
        "AIC": fit.aic,
        "slope": fit.params["x1"],
        "p (slope)": fit.pvalues["x1"],
        "dispersion ratio": test.statistic,
        "p (dispersion)": test.pvalue,
    }
shown = dict.fromkeys(["p (slope)", "p (dispersion)"], "{:.2g}".format)
print(pd.DataFrame(rows).T.to_string(formatters=shown, float_format="{:.3f}".format))

# %%
# The Conway-Maxwell-Poisson and generalised Poisson families have a dispersion that may be smaller than one
# (``sigma`` of the fit); with it the slope becomes visible. The ratio of compois is
# significantly off, by a fiftieth.

print({family: round(fit.sigma, 2) for family, fit in fits.items()})
fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.2), layout="constrained")
for ax, (family, res) in zip(axes, residuals.items(), strict=True):
    plot_dispersion(res, ax, title=family)
