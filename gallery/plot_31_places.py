"""
Counts that follow the map
==========================

*My sites lie on a map and neighbours have similar counts. What do I add to the model, and what does the map look like?*

Counts at 120 sites of a simulated valley. They depend on moisture, and on something that varies smoothly over the map.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from glmmcore import glmm
from simresid import simulate_residuals

rng = np.random.default_rng(5)
n = 120
d = pd.DataFrame({"east": rng.uniform(0, 10, n), "north": rng.uniform(0, 10, n)})
d["moisture"] = rng.normal(size=n)
gap = [np.subtract.outer(d[c].to_numpy(), d[c].to_numpy()) for c in ("east", "north")]
distance = np.hypot(*gap)
unknown = np.linalg.cholesky(
    (1 + distance) * np.exp(-distance) + 1e-8 * np.eye(n)
) @ rng.normal(size=n)
d["count"] = rng.poisson(np.exp(1.0 + 0.4 * d["moisture"] + 0.8 * unknown))

# %%
# A random effect of each site takes the overdispersion, but does not know that neighbours are alike. ``mat(east, north
# | 1)`` does: the correlation of two sites falls with their distance, how fast and how smoothly is estimated.

results = {}
for name, term in (("sites alone", "(1|site)"), ("field", "mat(east, north | 1)")):
    fit = glmm(
        f"count ~ moisture + {term}",
        d.assign(site=np.arange(n)),
        family="poisson",
    )
    residuals = simulate_residuals(fit, random_effects="unconditional", rng=1)
    results[name] = residuals.spatial_autocorrelation_test(d["east"], d["north"])
    print(
        f"{name:11s} moisture {fit.params['moisture']:.2f} (se {fit.bse['moisture']:.2f})"
        f"  AIC {fit.aic:.1f}  Moran p = {results[name].pvalue:.2g}"
    )
print(fit.var_corr.round(2).to_string(index=False))

# %%
# The test rejects the first model and accepts the second. New places are predicted with standard errors: small near
# sites, up to the standard deviation of the field far from any.

axis = np.linspace(0, 10, 21)
grid = pd.DataFrame({"east": np.tile(axis, 21), "north": np.repeat(axis, 21)})
at = fit.predict(grid.assign(moisture=0.0), kind="link", se=True)

fig, panels = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for panel, column, title in zip(
    panels,
    ("estimate", "se"),
    ("log of the mean count", "standard error"),
    strict=True,
):
    image = panel.pcolormesh(
        axis, axis, at[column].to_numpy().reshape(21, 21), shading="gouraud"
    )
    panel.plot(d["east"], d["north"], "k.", markersize=4, label="sites")
    panel.set(xlabel="east", ylabel="north", title=title, aspect="equal")
    fig.colorbar(image, ax=panel)
panels[0].legend(loc="upper left")
