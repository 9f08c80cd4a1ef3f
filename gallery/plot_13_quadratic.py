"""
A missing quadratic term
========================

*The residuals against the prediction look fine. Am I done?*

No. A curve that the model lacks shows along the predictor it belongs to, and may be hidden along the
prediction. Here the first predictor has a large linear effect, the second an optimum in the middle of its
range.
"""

import matplotlib.pyplot as plt

from glmmcore import glmm
from simresid import create_data, plot_residuals, simulate_residuals

data = create_data(
    300,
    fixed_effects=[2.0, 0.0],
    quadratic_effects=[0.0, -1.5],
    random_effect_sd=0.5,
    family="gaussian",
    dispersion=0.7,
    rng=5,
)
linear = glmm("observed ~ x1 + x2 + (1|group)", data)
curved = glmm("observed ~ x1 + x2 + I(x2**2) + (1|group)", data)
residuals = simulate_residuals(linear)
for name, along in {"prediction": None, "x1": "x1", "x2": "x2"}.items():
    print(f"along {name}: {residuals.quantile_test(along).summary()}")
print("advice:", residuals.quantile_test("x2").advice())

# %%
# A normal model takes a missing term for noise: its residual standard deviation is too large, and so are the
# standard errors of everything else.

print(
    f"sigma {linear.sigma:.2f} without the square, {curved.sigma:.2f} with it; simulated with 0.7"
)
repaired = simulate_residuals(curved)
print("along x2:", repaired.quantile_test("x2").summary())

# %%
# ``plot_residuals(res, against="all")`` draws a panel for every predictor of the model, so that none is
# forgotten.

fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.6), layout="constrained")
for ax, against in zip(axes[:2], (None, "x2"), strict=True):
    plot_residuals(residuals, against, ax)
plot_residuals(repaired, "x2", axes[2])
for ax, model in zip(
    axes, ("Linear model", "Linear model", "With the square"), strict=True
):
    ax.set_title(
        f"{model}\n{ax.get_title(loc='left')}", loc="left", size="medium", weight="bold"
    )
