"""
A trial in several centres: Beitler and Landis
==============================================

*Patients were treated in eight clinics. Does the treatment effect differ between them?*

The outcome is the number of patients who got better, out of those treated with the cream or the control.
Clinics differ; the question is whether the treatment effect does.
"""

import numpy as np

from glmmcore import compare, glmm
from simresid import datasets, plot_random_effects, simulate_residuals, simulated_lrt

trial = datasets.load("beitler_landis")
same = glmm("cbind(fav, n - fav) ~ trt + (1|clinic)", trial, family="binomial")
differs = glmm(
    "cbind(fav, n - fav) ~ trt + (1|clinic) + (1|clinic:trt)", trial, family="binomial"
)
print(differs.var_corr.round(3))

# %%
# A variance of zero lies on the edge of what is possible, where a likelihood ratio does not follow its usual
# chi-square. ``compare`` knows the mixture that it follows there in large samples; simulating the ratio needs no
# theory at all:

print(compare(same=same, differs=differs))
test = simulated_lrt(same, differs, n_sims=99)
print(f"twice the log-likelihood ratio {test.statistic:.4f}, p = {test.pvalue:.2f}")

# %%
# No sign of it: the odds of getting better rise alike in all clinics, by a factor of

effect = np.exp(same.conf_int(method="profile").iloc[1])
low, high = effect["lower"], effect["upper"]
print(f"{np.exp(same.params.iloc[1]):.2f}, 95 % interval {low:.2f} to {high:.2f}")
print(simulate_residuals(same).diagnose().verdict)

# %%
# The clinics themselves differ a lot. Their effects in order of size, with 95 % intervals, and how normal
# they are:

plot_random_effects(same)
