"""GEE and GLMGam: what the fit states, and what it leaves out."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import special
from statsmodels.gam.api import BSplines, GLMGam

from simresid.adapters import as_fitted_model

N = 150


@pytest.fixture
def frame():
    rng = np.random.default_rng(61)
    group = rng.permutation(np.repeat(np.arange(25), 6))
    x = rng.normal(size=N)
    rate = np.exp(0.8 + 0.3 * x + 0.5 * rng.normal(size=25)[group])
    return pd.DataFrame({"x": x, "group": group, "count": rng.poisson(rate)})


def gee_fit(frame, structure, family):
    return smf.gee("count ~ x", "group", frame, family=family, cov_struct=structure).fit()


def test_gee_draws_the_marginal_law(frame, assert_law_agrees):
    results = gee_fit(frame, sm.cov_struct.Independence(), sm.families.Poisson())
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.fitted, results.fittedvalues)
    np.testing.assert_allclose(model.resid_pearson, results.resid_pearson)
    np.testing.assert_array_equal(model.observed, frame["count"])
    assert "rows independent" in model.description
    assert not hasattr(model, "llf")
    assert_law_agrees(model)
    np.testing.assert_allclose(model.refit(model.observed).fitted, model.fitted, rtol=1e-5)


def test_gee_says_that_its_correlation_is_not_simulated(frame, assert_law_agrees):
    results = gee_fit(frame, sm.cov_struct.Exchangeable(), sm.families.NegativeBinomial(alpha=0.5))
    with pytest.warns(UserWarning, match="Exchangeable working correlation"):
        model = as_fitted_model(results)
    assert_law_agrees(model)


def test_gee_weights_are_refused(frame):
    weights = np.random.default_rng(62).uniform(1, 2, N)
    results = sm.GEE(frame["count"], np.ones((N, 1)), frame["group"], weights=weights).fit()
    with pytest.raises(TypeError, match="case weights"):
        as_fitted_model(results)


def gam_fit(frame, endog, **options):
    smoother = BSplines(frame[["x"]], df=[8], degree=[3])
    return GLMGam(endog, exog=np.ones((N, 1)), smoother=smoother, alpha=1.5, **options).fit()


@pytest.mark.parametrize("family", [sm.families.Gaussian(), sm.families.Poisson(), sm.families.Binomial()])
def test_gam(frame, family, assert_law_agrees):
    rng = np.random.default_rng(63)
    wave = np.sin(2 * frame["x"].to_numpy())
    draw = {
        "Gaussian": lambda: wave + rng.normal(size=N),
        "Poisson": lambda: rng.poisson(np.exp(wave)),
        "Binomial": lambda: rng.binomial(1, special.expit(wave)),
    }
    results = gam_fit(frame, draw[type(family).__name__](), family=family, offset=0.1 * wave)
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.fitted, results.fittedvalues)
    np.testing.assert_allclose(model.resid_pearson, results.resid_pearson / np.sqrt(results.scale))
    assert 2 < model.edf < 8  # the penalty leaves fewer than the eight columns
    assert model.df_resid == N - model.edf
    assert_law_agrees(model)
    again = model.refit(model.observed)
    np.testing.assert_allclose(again.fitted, model.fitted, rtol=1e-5, atol=1e-8)
    assert again.edf == pytest.approx(model.edf, rel=1e-5)


def test_gam_with_trials(frame, assert_law_agrees):
    """PIRLS leaves the trials out: one-trial rows of the same proportions give the same fit."""
    rng = np.random.default_rng(64)
    trials = rng.integers(1, 8, N)
    successes = rng.binomial(trials, special.expit(np.sin(2 * frame["x"])))
    endog = np.column_stack([successes, trials - successes])
    results = gam_fit(frame, endog, family=sm.families.Binomial())
    unweighted = gam_fit(frame, successes / trials, family=sm.families.Binomial())
    np.testing.assert_allclose(results.params, unweighted.params)
    with pytest.warns(UserWarning, match="no more weight"):
        model = as_fitted_model(results)
    np.testing.assert_array_equal(model.observed, successes)
    np.testing.assert_allclose(model.fitted, trials * results.fittedvalues)
    assert not hasattr(model, "edf")
    assert_law_agrees(model)


def test_gam_weights_are_refused(frame):
    weights = np.random.default_rng(65).uniform(1, 5, N)
    y = np.random.default_rng(66).normal(size=N)
    results = gam_fit(frame, y, family=sm.families.Gaussian(), var_weights=weights)
    np.testing.assert_allclose(results.params, gam_fit(frame, y, family=sm.families.Gaussian()).params)
    with pytest.raises(TypeError, match="leaves var_weights and freq_weights out"):
        as_fitted_model(results)
