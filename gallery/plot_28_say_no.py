"""
A test that can say no
======================

*All my tests pass. Would they have told me if the model were wrong?*

A fit follows its data, and residuals look better than they should. Here the errors of a linear mixed model have heavy
tails, t with 3 degrees of freedom, and a normal distribution is fitted.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from glmmcore import glmm
from simresid import plot_qq, simulate_residuals

rng = np.random.default_rng(7)
group = np.repeat(np.arange(20), 10)
data = pd.DataFrame({"x": rng.normal(size=200), "group": group})
data["y"] = data["x"] + rng.normal(0, 0.7, 20)[group] + rng.standard_t(3, 200)
residuals = simulate_residuals(glmm("y ~ x + (1|group)", data))

# %%
# Compared with independent uniform residuals nothing is wrong: the variance was estimated from the same errors, and the
# distance from uniform is smaller than that of a known law.

theory = residuals.uniformity_test(null="analytic")
print(theory.summary())

# %%
# Compared with what the same distance is when the model is right and fitted, it is large. Data are drawn from the
# fitted model, the model is fitted to them, and the distance is taken again.

refits = residuals.uniformity_test()
print(refits.summary())

# %%
# The band of the first picture is for independent uniform residuals, that of the second for refits. Points are crosses
# where they leave it.

fig, axes = plt.subplots(1, 2, figsize=(8.4, 4.2), layout="constrained")
plot_qq(residuals, axes[0], title="Band of independent rows", null="analytic")
plot_qq(residuals, axes[1], title="Band of refits")

# %%
# A right model is not rejected more often than it should be: the comparison knows the fit in both directions.

data["y"] = data["x"] + rng.normal(0, 0.7, 20)[group] + rng.normal(size=200)
print(simulate_residuals(glmm("y ~ x + (1|group)", data)).uniformity_test().summary())
