"""
k of n: dead budworms
=====================

*My response is a number of deaths out of a number of animals. May I just put in the proportion?*

No: a proportion without its n has lost how sure it is. Doses of an insecticide, twenty moths in each batch;
batches differ more than chance allows, as batches do.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import expit

from glmmcore import glmm
from simresid import plot_simulated_data, simulate_residuals

rng = np.random.default_rng(12)
dose = np.tile([1, 2, 4, 8, 16, 32], 10)
moths = pd.DataFrame(
    {"log_dose": np.log2(dose), "sex": np.repeat(["female", "male"], 30), "n": 20}
)
eta = (
    -3
    + 1.0 * moths["log_dose"]
    + 0.9 * (moths["sex"] == "male")
    + rng.normal(0, 0.8, 60)
)
moths["dead"] = rng.binomial(moths["n"], expit(eta))
moths["batch"] = np.arange(60)

# %%
# ``cbind(successes, failures)`` keeps n. Residuals compare counts with counts:

fits = {
    "binomial": glmm(
        "cbind(dead, n - dead) ~ log_dose + sex", moths, family="binomial"
    ),
    "betabinomial": glmm(
        "cbind(dead, n - dead) ~ log_dose + sex", moths, family="betabinomial"
    ),
}
residuals = {name: simulate_residuals(fit) for name, fit in fits.items()}
for name, fit in fits.items():
    print(f"{name}: {residuals[name].dispersion_test().summary()}")
    print(
        f"    effect of sex {fit.params['sex[T.male]']:.2f}, standard error {fit.bse['sex[T.male]']:.2f}"
    )

# %%
# The dose that kills half of the females, from the beta-binomial fit:

b0, b1 = fits["betabinomial"].params[["Intercept", "log_dose"]]
print(f"LD50 of females: {2 ** (-b0 / b1):.1f}")

# %%
# Observed counts (points) over what each model simulates: too many batches lie outside the binomial's 95 %
# bars. A diamond is the mean of a dose, a cross one that the model does not reproduce.

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, (name, res) in zip(axes, residuals.items(), strict=True):
    plot_simulated_data(res, moths["log_dose"].astype(int).astype(str), ax, title=name)
    ax.set_xlabel("log2 of the dose")
