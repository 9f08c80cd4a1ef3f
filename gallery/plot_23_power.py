"""
Size and power of a test
========================

*How often does a test raise a false alarm, and how strong must a flaw be for me to see it with my number of
rows?*

Simulate data like yours, with and without the flaw, and count. ``benchmark_tests`` does the bookkeeping: a
seed for each replicate, exact intervals, failures counted.
"""

import numpy as np

from glmmcore import glmm
from simresid import benchmark_tests, create_data, simulate_residuals
from simresid.checks.results import CheckResult


def one_study(
    overdispersion: float, rng: np.random.Generator
) -> dict[str, CheckResult]:
    """Two tests in one simulated study of 100 rows in ten groups."""
    data = create_data(
        100,
        intercept=1.0,
        overdispersion=overdispersion,
        random_effect_sd=0.5,
        n_groups=10,
        rng=rng,
    )
    fit = glmm("observed ~ x1 + (1|group)", data, family="poisson")
    res = simulate_residuals(fit, n_sims=100, rng=rng)
    return {
        "dispersion": res.dispersion_test("greater"),
        "uniformity": res.uniformity_test(),
    }


# %%
# A control value of zero is the size of the tests: how often a right model is rejected at 5 %.

benchmark = benchmark_tests(
    one_study, control_values=[0.0, 0.2, 0.4, 0.6], n_replicates=50, rng=1
)
summary = benchmark.summary()
print(summary.pivot(index="control", columns="test", values="rate").round(2))
print("failures:", benchmark.failures or "none")

# %%
# The test made for the flaw sees it first. With more replicates the intervals shrink; 50 are for the speed of
# this page.

ax = benchmark.plot()
ax.set_xlabel("Standard deviation of the extra noise")
