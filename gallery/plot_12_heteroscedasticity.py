"""
A spread that follows a predictor
=================================

*The residuals fan out. How do I test it, and how do I model it?*

A normal response whose standard deviation triples along x.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from glmmcore import glmm
from simresid import plot_residuals, simulate_residuals

rng = np.random.default_rng(4)
data = pd.DataFrame({"x": rng.uniform(0, 1, 300), "g": np.repeat(np.arange(15), 20)})
data["y"] = (
    1
    + data["x"]
    + rng.normal(0, 0.5, 15)[data["g"]]
    + rng.normal(0, np.exp(-0.7 + 1.1 * data["x"]))
)

constant = glmm("y ~ x + (1|g)", data)
modelled = glmm("y ~ x + (1|g)", data, disp="~ x")
residuals = {
    "constant": simulate_residuals(constant),
    "disp ~ x": simulate_residuals(modelled),
}
for name, res in residuals.items():
    print(f"{name}: {res.heteroscedasticity_test('x').summary()}")

# %%
# ``disp=`` is a formula for the logarithm of the dispersion parameter, for normal responses the standard
# deviation. What was simulated: a slope of 1.1.

print(
    f"slope of log sd: {modelled.disp_params['x']:.2f}, standard error {modelled.disp_bse['x']:.2f}"
)
print(
    f"standard error of the slope of the mean: {constant.bse['x']:.3f} before, {modelled.bse['x']:.3f} after"
)

# %%
# The outer quantile curves run apart where the spread is larger than the model says. With ``disp="~ x"`` none of the
# three curves departs by itself; the p-value of all together, near .03, is one that one right model in thirty gets.

fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for ax, (name, res) in zip(axes, residuals.items(), strict=True):
    plot_residuals(res, "x", ax)
    ax.set_title(
        f"{name}: {ax.get_title(loc='left')}", loc="left", size="medium", weight="bold"
    )
