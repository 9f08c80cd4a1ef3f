"""
Odds ratios, risk differences and robust errors
===============================================

*Patients of 60 clinics got one of two treatments. I have odds ratios; the guideline wants a difference of risks, and my
reviewer robust standard errors.*

Simulated: 60 clinics with 20 to 60 patients each; severe cases get the new treatment more often and fare worse.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import expit

from glmmcore import avg_comparisons, avg_predictions, glmm
from simresid import plot_means, simulate_residuals

rng = np.random.default_rng(27)
clinic = np.repeat(np.arange(60), rng.integers(20, 61, 60))
n = clinic.size
age = rng.choice(["under 50", "50 to 69", "70 and over"], n, p=[0.4, 0.35, 0.25])
severe = rng.random(n) < 0.3
new = rng.random(n) < np.where(severe, 0.65, 0.4)
risk = expit(
    -1.6
    - 0.6 * new
    + 1.1 * severe
    + pd.Series(age).map({"under 50": 0, "50 to 69": 0.5, "70 and over": 1}).to_numpy()
    + 0.9 * rng.normal(size=60)[clinic]
)
patients = pd.DataFrame(
    {
        "readmitted": (rng.random(n) < risk).astype(int),
        "treatment": np.where(new, "new", "usual"),
        "severe": np.where(severe, "yes", "no"),
        "age": pd.Categorical(age, ["under 50", "50 to 69", "70 and over"]),
        "clinic": clinic,
    }
)
patients["treatment"] = pd.Categorical(patients["treatment"], ["usual", "new"])
print(patients.groupby("treatment", observed=True)["readmitted"].mean().round(3))

# %%
# The raw risks hardly differ, since severe cases were given the new treatment. The model adjusts for that; clinics have
# random intercepts. Its residuals, drawn with new clinics, show nothing amiss:

fit = glmm(
    "readmitted ~ treatment + severe + age + (1|clinic)", patients, family="binomial"
)
print(simulate_residuals(fit, random_effects="unconditional").diagnose().verdict)

# %%
# Odds ratios within a clinic, with the model's standard errors and with robust ones, from the scores of whole clinics
# (``cov=`` goes into tests and means as well). They nearly agree, as they should where the model is right.

robust = fit.cov_params("sandwich", cluster="clinic")
for cov in (None, robust):
    print(fit.odds_ratios(cov=cov).to_string(float_format="{:.3g}".format))

# %%
# An odds ratio is no ratio of risks, and it compares patients of *one* clinic. For all patients of all clinics: give
# everybody the usual treatment, then everybody the new one, average over the patients and over the clinics' effects.

treatments = ["usual", "new"]  # the reference first
print(avg_predictions(fit, "treatment", values=treatments).round(4))
for comparison in ("difference", "ratio"):
    table = avg_comparisons(fit, "treatment", values=treatments, comparison=comparison)
    print(table[["estimate", "lower", "upper", "pvalue"]].round(4))

# %%
# The same with robust errors, which averages over the clinics take from the covariance of all parameters.

everything = fit.cov_params("sandwich", cluster="clinic", parameters="all")
table = avg_comparisons(fit, "treatment", values=treatments, cov=everything)
print(table[["estimate", "lower", "upper", "pvalue"]].round(4))

# %%
# One readmission less for about every 17 patients who get the new treatment. The intervals of the two risks overlap and
# their letters differ all the same: both risks hold what is not known about the clinics, their difference does not. On
# the right severe and other cases: one odds ratio is two differences of risks.

fig, axes = plt.subplots(
    1, 2, figsize=(9, 4), layout="constrained", sharey=True, width_ratios=(2, 3)
)
options = {
    "kind": "response",
    "random_effects": "average",
    "weights": "proportional",
}
plot_means(fit, "treatment", ax=axes[0], title="All patients", **options)
plot_means(fit, "treatment", by="severe", ax=axes[1], title="By severity", **options)
