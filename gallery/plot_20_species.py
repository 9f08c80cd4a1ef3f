"""
Two hundred species at once
===========================

*I fitted the same model to many responses. Which fits need attention?*

Two hundred simulated species on the same 100 sites: most are Poisson, thirty are overdispersed, twenty have an
optimum along the gradient that the model does not know.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from simresid import screen

rng = np.random.default_rng(6)
sites = pd.DataFrame(
    {"gradient": rng.uniform(-1, 1, 100), "region": np.repeat(np.arange(10), 10)}
)
truth = np.array(["poisson"] * 150 + ["overdispersed"] * 30 + ["optimum"] * 20)
counts = np.empty((truth.size, len(sites)))
for k, kind in enumerate(truth):
    eta = (
        1.2
        + rng.normal(0, 0.5) * sites["gradient"]
        + rng.normal(0, 0.3, 10)[sites["region"]]
    )
    if kind == "optimum":
        eta = eta + 0.8 - 2 * sites["gradient"] ** 2
    noise = rng.normal(0, 0.7, 100) if kind == "overdispersed" else 0.0
    counts[k] = rng.poisson(np.exp(eta + noise))

# %%
# ``screen`` fits and tests one model after the other; ``out=`` would write the table as it grows, ``n_jobs=`` use more
# processors. P-values are adjusted over all models, test by test.

models = {
    f"species {k:03d}": ("y ~ gradient + (1|region)", sites.assign(y=y), "poisson")
    for k, y in enumerate(counts)
}
table = screen(models, ["dispersion", "quantiles"], progress=False)

# %%
# What was found, by what is true:

found = np.where(table["flagged"], "something", "nothing")
print(pd.crosstab(pd.Series(truth, name="truth"), pd.Series(found, name="found")))
print(table.sort_values("dispersion ratio")["advice"].iloc[-1])

# %%
# P-values of two hundred species invite false alarms; those of all right models together must be uniform, and
# are.

fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
colours = {"poisson": "0.6", "overdispersed": "#0b5394", "optimum": "#b33c00"}
for ax, test in zip(axes, ("dispersion", "quantiles"), strict=True):
    parts = [table.loc[truth == kind, test] for kind in colours]
    ax.hist(
        parts,
        bins=np.linspace(0, 1, 21),
        stacked=True,
        color=list(colours.values()),
        label=list(colours),
        hatch=["", "", "///"],  # told apart in grey as well
        edgecolor="white",
        linewidth=0.3,
    )
    ax.set(xlabel="p-value", ylabel="Species")
    ax.set_title(f"{test} test", loc="left", size="medium", weight="bold")
    ax.spines[["top", "right"]].set_visible(False)
    ax.label_outer()
axes[0].legend(frameon=False, title="truth")
