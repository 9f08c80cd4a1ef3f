"""OLS, WLS and GLS: the scale, the weights and the correlated rows."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from simresid.adapters import as_fitted_model

N = 100


@pytest.fixture
def data():
    rng = np.random.default_rng(21)
    x = rng.normal(size=N)
    return sm.add_constant(x), 1 + 2 * x + rng.normal(size=N) * 1.5, rng.uniform(0.2, 4, N)


def test_ols_uses_the_unbiased_scale(data, assert_law_agrees):
    design, y, _ = data
    results = sm.OLS(y, design).fit()
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.variance(), np.sum(results.resid**2) / (N - 2))
    np.testing.assert_allclose(model.resid_pearson, results.resid_pearson)
    assert (model.llf, model.edf, model.df_resid) == (results.llf, 2, N - 2)
    assert not model.discrete and not model.has_random_effects
    assert_law_agrees(model)
    np.testing.assert_allclose(model.refit(2 * y).fitted, 2 * model.fitted)


def test_wls_divides_the_variance_by_the_weights(data, assert_law_agrees):
    """`get_distribution` of statsmodels leaves the weights out."""
    design, y, weights = data
    results = sm.WLS(y, design, weights=weights).fit()
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.variance(), results.scale / weights)
    np.testing.assert_allclose(model.resid_pearson, results.resid_pearson)
    assert_law_agrees(model)
    np.testing.assert_allclose(model.refit(y).variance(), model.variance())


def test_gls_simulates_correlated_rows(data, assert_law_agrees):
    design, y, _ = data
    sigma = 0.8 ** np.abs(np.subtract.outer(np.arange(N), np.arange(N))) * 2
    results = sm.GLS(y, design, sigma=sigma).fit()
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.variance(), results.scale * 2)
    simulated = assert_law_agrees(model, correlated=True)
    correlation = np.corrcoef(simulated[:, :3], rowvar=False)
    # Standard error of a correlation of 0.64 over 2000 replicates is 0.013.
    np.testing.assert_allclose(correlation, sigma[:3, :3] / 2, atol=0.05)
    np.testing.assert_allclose(model.refit(y).fitted, model.fitted)


def test_gls_with_a_vector_of_variances(data, assert_law_agrees):
    design, y, weights = data
    model = as_fitted_model(sm.GLS(y, design, sigma=1 / weights).fit())
    np.testing.assert_allclose(model.variance(), as_fitted_model(sm.WLS(y, design, weights=weights).fit()).variance())
    assert_law_agrees(model)


def test_missing_rows(assert_law_agrees):
    rng = np.random.default_rng(22)
    frame = pd.DataFrame({"y": rng.normal(size=30), "x": rng.normal(size=30), "w": rng.uniform(1, 2, 30)})
    frame.loc[4, "x"] = np.nan
    model = as_fitted_model(smf.wls("y ~ x", frame, weights=frame["w"]).fit())
    assert list(model.data.index) == [*range(4), *range(5, 30)]
    np.testing.assert_array_equal(model.observed, frame["y"].drop(4))
    np.testing.assert_allclose(model.variance()[4] / model.variance()[0], frame["w"][0] / frame["w"][5])
    assert_law_agrees(model)


def test_models_without_a_law_are_refused(data):
    design, y, _ = data
    with pytest.raises(TypeError, match="robust regression states no law"):
        as_fitted_model(sm.RLM(y, design).fit())
    with pytest.raises(TypeError, match="quantile regression states no law"):
        as_fitted_model(sm.QuantReg(y, design).fit())
    with pytest.raises(TypeError, match="use GLS"):
        as_fitted_model(sm.GLSAR(y, design).fit())
    with pytest.raises(TypeError, match="fit_regularized"):
        as_fitted_model(sm.OLS(y, design).fit_regularized(alpha=0.1))


def test_requests_for_random_effects(data):
    design, y, _ = data
    model = as_fitted_model(sm.OLS(y, design).fit())
    np.testing.assert_array_equal(model.simulate(3, rng=1), model.simulate(3, rng=1, random_effects="unconditional"))
    with pytest.raises(ValueError, match="no random effects"):
        model.simulate(3, random_effects=["site"])
    with pytest.raises(ValueError, match="'marginal'"):
        model.simulate(3, random_effects="marginal")
