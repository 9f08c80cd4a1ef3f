"""Residuals of models whose rows have exposures as weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import simresid
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


def test_exposures_of_a_lift_table_go_by_column_or_by_label() -> None:
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"x": rng.normal(size=80), "years": rng.uniform(0.2, 2.0, 80)})
    data["y"] = rng.poisson(np.exp(0.5 * data["x"]) * data["years"])
    fit = glmm("y ~ x", data, family="poisson", offset="np.log(years)")
    expected = simresid.lift_table(fit, 4, exposure=data["years"].to_numpy())
    shuffled = data["years"].sample(frac=1.0, random_state=1)
    for given in ("years", shuffled):
        pd.testing.assert_frame_equal(simresid.lift_table(fit, 4, exposure=given), expected)
    assert simresid.gini_index(simulate_residuals(fit), exposure="years")["gini"] > 0.0
    with pytest.raises(KeyError, match="'year' is not a column"):
        simresid.lift_table(fit, exposure="year")
    with pytest.raises(TypeError, match=r"write fit\.held_out\(newdata\)"):
        simresid.lift_table(fit, newdata=data)  # type: ignore[call-arg]
