"""Residuals of models whose rows have exposures as weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from simresid import heteroscedasticity_test, simulate_residuals


@pytest.fixture(scope="module")
def premiums() -> pd.DataFrame:
    """Averages of gamma claims over exposures from a tenth to ten."""
    rng = np.random.default_rng(12)
    d = pd.DataFrame({"w": np.exp(rng.uniform(-2.3, 2.3, 800)), "x": rng.normal(size=800)})
    d["y"] = rng.gamma(2.0 * d["w"], np.exp(1 + 0.3 * d["x"]) / (2.0 * d["w"]))
    return d


def test_right_weights_pass_and_none_fail(premiums):
    right = simulate_residuals(glmm("y ~ x", premiums, family="gamma", var_weights="w"), rng=1)
    assert right.uniformity_test().pvalue > 0.01
    assert heteroscedasticity_test(right, premiums["w"]).pvalue > 0.01
    wrong = simulate_residuals(glmm("y ~ x", premiums, family="gamma"), rng=1)
    assert heteroscedasticity_test(wrong, premiums["w"]).pvalue < 1e-4


def test_residuals_are_the_distribution_function_of_the_row(premiums):
    from scipy import stats

    fit = glmm("y ~ x", premiums, family="gamma", var_weights="w")
    shape = premiums["w"] / fit.sigma**2
    direct = stats.gamma.cdf(premiums["y"], shape, scale=fit.fitted / shape)
    res = simulate_residuals(fit, n_sims=1000, rng=1)
    # ranks among 1000 simulations
    assert np.abs(res.residuals - direct).max() < 0.08
