"""Logit, Probit, BetaModel and OrderedModel."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.miscmodels.ordinal_model import OrderedModel
from statsmodels.othermod.betareg import BetaModel

from simresid.adapters import as_fitted_model

N = 200


@pytest.fixture
def x():
    return np.random.default_rng(41).normal(size=N)


@pytest.mark.parametrize("cls", [sm.Logit, sm.Probit])
def test_binary(x, cls, assert_law_agrees):
    rng = np.random.default_rng(42)
    y = rng.random(N) < 1 / (1 + np.exp(-0.5 - x))
    results = cls(y.astype(float), sm.add_constant(x), offset=0.2 * x).fit(disp=0)
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.fitted, results.predict())
    np.testing.assert_allclose(model.resid_pearson, results.resid_pearson)
    assert model.discrete
    assert_law_agrees(model)
    np.testing.assert_allclose(model.refit(y).fitted, model.fitted, rtol=1e-6)


def test_fractional_logit_is_refused(x):
    y = np.random.default_rng(43).uniform(size=N)
    with pytest.raises(TypeError, match="proportions"):
        as_fitted_model(sm.Logit(y, sm.add_constant(x)).fit(disp=0))


def test_mnlogit_is_refused(x):
    y = np.random.default_rng(44).integers(0, 3, N)
    with pytest.raises(TypeError, match="without an order"):
        as_fitted_model(sm.MNLogit(y, sm.add_constant(x)).fit(disp=0))


@pytest.mark.parametrize("with_precision", [False, True])
def test_beta(x, with_precision, assert_law_agrees):
    rng = np.random.default_rng(45)
    mean, precision = 1 / (1 + np.exp(-0.5 * x)), np.exp(2 + 0.5 * x)
    y = rng.beta(mean * precision, (1 - mean) * precision)
    design = sm.add_constant(x)
    results = BetaModel(y, design, exog_precision=design if with_precision else None).fit(disp=0)
    model = as_fitted_model(results)
    reference = results.get_distribution()
    np.testing.assert_allclose(model.fitted, results.fittedvalues)
    np.testing.assert_allclose(model.variance(), reference.var())
    np.testing.assert_allclose(model.cdf()[1], reference.cdf(y))
    np.testing.assert_allclose(model.resid_pearson, results.resid_pearson)
    assert_law_agrees(model)
    np.testing.assert_allclose(model.refit(y).variance(), model.variance(), rtol=1e-3)


@pytest.mark.parametrize("distribution", ["logit", "probit", stats.gumbel_l])
def test_ordered(x, distribution, assert_law_agrees):
    """The class rebuilt from its own options would silently be a probit without offset."""
    rng = np.random.default_rng(46)
    latent = 1.2 * x + rng.logistic(size=N)
    y = np.digitize(latent, [-1, 0.5, 2])
    results = OrderedModel(y, x[:, None], offset=0.3 * x, distr=distribution).fit(disp=0, method="bfgs")
    model = as_fitted_model(results)
    probability = results.model.predict(results.params)
    np.testing.assert_allclose(model.fitted, probability @ np.arange(4))
    np.testing.assert_allclose(np.sum(np.log(model.law.pmf(y))), results.llf)
    lower, upper = model.cdf()
    np.testing.assert_allclose(upper - lower, probability[np.arange(N), y], atol=1e-12)
    assert_law_agrees(model)
    np.testing.assert_allclose(model.refit(y).law.probability, probability, atol=1e-4)
    with pytest.raises(ValueError, match="code 2 does not occur"):
        model.refit(np.where(y == 2, 1, y))


def test_ordered_categorical_response_becomes_codes(x):
    rng = np.random.default_rng(47)
    codes = np.digitize(x + rng.logistic(size=N), [-1, 1])
    names = pd.Categorical.from_codes(codes, ["low", "mid", "high"], ordered=True)
    frame = pd.DataFrame({"grade": names, "x": x}, index=np.arange(N) + 100)
    results = OrderedModel.from_formula("grade ~ 0 + x", frame, distr="logit").fit(disp=0, method="bfgs")
    model = as_fitted_model(results)
    np.testing.assert_array_equal(model.observed, codes)
    assert list(model.data.index) == list(frame.index)


def test_logit_formula_keeps_labels(x):
    frame = pd.DataFrame({"y": (x > 0.3 * np.random.default_rng(48).normal(size=N)).astype(int), "x": x})
    frame.loc[3, "x"] = np.nan
    model = as_fitted_model(smf.logit("y ~ x", frame).fit(disp=0))
    assert 3 not in model.data.index and model.nobs == N - 1
