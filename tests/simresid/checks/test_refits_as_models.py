"""Refits that tests need as models, for grouped and unconditional residuals: fitted together, or one by one."""

import numpy as np
import pandas as pd
import pytest

import glmmcore
import simresid as sr
from simresid.checks.nulls.refit_pool import RefitPool

SIMULATIONS = 100
CHANGED_RANKS = 2.5 / (SIMULATIONS + 1)
"""Estimates that differ by 1e-5 standard errors change one or two simulations, as samplers reject draws."""


@pytest.mark.parametrize("kind", ["unconditional", "grouped", "with simulations"])
@pytest.mark.parametrize(("family", "random"), [("poisson", "(1|g)"), ("nbinom1", "(x|g)"), ("gaussian", "(x|g)")])
def test_batches_are_the_refits_one_by_one(kind, family, random):
    rng = np.random.default_rng(6)
    d = pd.DataFrame({"x": rng.normal(size=60), "g": np.repeat(np.arange(6), 10)})
    d["y"] = rng.poisson(np.exp(0.8 + 0.3 * d["x"])) if family != "gaussian" else d["x"] + rng.normal(size=60)
    model = glmmcore.glmm(f"y ~ x + {random}", d, family)
    effects = "unconditional" if kind == "unconditional" else "conditional"
    res = sr.simulate_residuals(model, SIMULATIONS, rng=1, random_effects=effects)
    if kind == "grouped":
        res = res.recalculate(np.arange(60) // 3)
    pool = RefitPool(res, with_simulations=kind == "with simulations")
    together, alone = pool._task(range(3)), [pool._task(range(j, j + 1))[0] for j in range(3)]
    for one, other in zip(together, alone, strict=True):
        if kind == "with simulations":
            ours, theirs = one.residuals.residuals, other.residuals.residuals
        else:
            np.testing.assert_allclose(one.law, other.law, rtol=1e-4, atol=1e-4)
            ours, theirs = one.upper, other.upper
        assert np.ptp(theirs) > 0.5 and np.max(np.abs(ours - theirs)) < CHANGED_RANKS
