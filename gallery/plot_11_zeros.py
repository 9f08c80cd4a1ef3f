"""
Too many zeros, or just overdispersion?
=======================================

*The zero-inflation test is significant. Do I need a zero-inflated model?*

Not always: a negative binomial law with a small mean has many zeros too. The order of the questions matters:
first the dispersion, then the zeros. Two data sets, one with each cause:
"""

import matplotlib.pyplot as plt
import pandas as pd

from glmmcore import glmm
from simresid import create_data, plot_rootogram, simulate_residuals

common = {"n": 400, "intercept": 0.8, "random_effect_sd": 0.4, "n_groups": 20}
causes = {
    "extra zeros": create_data(**common, zero_inflation=0.35, rng=3),
    "overdispersion": create_data(**common, family="nbinom2", dispersion=0.9, rng=3),
}
models = {
    "poisson": {"family": "poisson"},
    "zero-inflated poisson": {"family": "poisson", "zi": "~ 1"},
    "nbinom2": {"family": "nbinom2"},
}

# %%
# Each model on each data set: the zero-inflation test, the dispersion test and AIC.

rows, kept = {}, {}
for cause, data in causes.items():
    for name, how in models.items():
        fit = glmm("observed ~ x1 + (1|group)", data, **how)
        res = kept[cause, name] = simulate_residuals(fit)
        zeros = res.zero_inflation_test()
        rows[cause, name] = {
            "zeros": zeros.observed,
            "expected": zeros.expected,
            "p (zeros)": zeros.pvalue,
            "p (dispersion)": res.dispersion_test().pvalue,
            "AIC": fit.aic,
        }
shown = dict.fromkeys(["p (zeros)", "p (dispersion)"], "{:.2g}".format)
print(pd.DataFrame(rows).T.to_string(formatters=shown, float_format="{:.3f}".format))

# %%
# With the plain Poisson model both tests fail on both data sets: too many zeros do not tell the cause. The
# model that matches the cause repairs both and has the lower AIC.
#
# In a hanging rootogram the bars of the observed frequencies hang from the expected curve; a bar that misses
# the band around zero is hatched.

fig, axes = plt.subplots(2, 3, figsize=(10, 7), layout="constrained")
for ax, ((cause, name), res) in zip(axes.flat, kept.items(), strict=True):
    plot_rootogram(res, ax, title=f"{cause}:\n{name}")
    ax.get_legend().remove()
key = axes.flat[0].get_legend_handles_labels()  # one for all
fig.legend(*key, loc="outside lower center", ncols=4, frameon=False)
