"""
Neighbours in time
==================

*My observations come in time order. Are they independent given the model?*

Counts on 150 days with a slow drift that the model does not know.
"""

import matplotlib.pyplot as plt
import numpy as np

from glmmcore import glmm
from simresid import create_data, plot_temporal, simulate_residuals

data = create_data(
    150,
    intercept=1.2,
    temporal_sd=0.6,
    temporal_range=15,
    random_effect_sd=0.0,
    n_groups=1,
    rng=11,
)
plain = glmm("observed ~ x1", data, family="poisson")
residuals = simulate_residuals(plain)
test = residuals.temporal_autocorrelation_test(data["time"])
print(test.summary())
print(residuals.dispersion_test().summary())

# %%
# Durbin and Watson's statistic is far below 2: positive autocorrelation. The dispersion test notices the
# drift too, but takes it for noise. A smooth trend, or an effect of each fortnight, takes it up:

data["fortnight"] = (data["time"] // 14).astype(str)
trend = glmm("observed ~ x1 + (1|fortnight)", data, family="poisson")
after = simulate_residuals(trend)
print(after.temporal_autocorrelation_test(data["time"]).summary())
print(
    f"standard error of x1: {plain.bse['x1']:.3f} before, {trend.bse['x1']:.3f} after"
)

# %%
# The series and its autocorrelations before and after:

fig, axes = plt.subplots(
    2, 2, figsize=(10, 6), layout="constrained", width_ratios=[2, 1]
)
plot_temporal(residuals, data["time"], ax=np.array(axes[0]))
plot_temporal(after, data["time"], ax=np.array(axes[1]))
