"""Regressors of scikit-learn and glum with a stated family."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import special

from simresid.adapters import RegressorFit, as_fitted_model

N = 150


@pytest.fixture
def data():
    rng = np.random.default_rng(101)
    X = pd.DataFrame({"a": rng.normal(size=N), "b": rng.normal(size=N)}, index=np.arange(N) + 7)
    return X, 0.5 + 0.4 * X["a"].to_numpy() - 0.2 * X["b"].to_numpy(), rng


class LinearPredictor:
    """The least a regressor offers, fitted by statsmodels, for tests without scikit-learn or glum."""

    def __init__(self, family):
        self.family = family

    def fit(self, X, y, sample_weight=None, offset=None):
        design = sm.add_constant(np.asarray(X))
        model = sm.GLM(y, design, family=self.family, var_weights=sample_weight, offset=offset)
        self.results = model.fit()
        self.intercept_, self.coef_ = self.results.params[0], self.results.params[1:]
        return self

    def predict(self, X, offset=None):
        return self.results.predict(sm.add_constant(np.asarray(X)), offset=offset)


CASES = {
    "gaussian": (sm.families.Gaussian, lambda mu, w, rng: np.log(mu) + rng.normal(size=N) / np.sqrt(w)),
    "poisson": (sm.families.Poisson, lambda mu, w, rng: rng.poisson(mu * w) / w),
    "gamma": (
        lambda: sm.families.Gamma(sm.families.links.Log()),
        lambda mu, w, rng: rng.gamma(2 * w, mu / 2 / w),
    ),
    "inverse_gaussian": (
        lambda: sm.families.InverseGaussian(sm.families.links.Log()),
        lambda mu, w, rng: rng.wald(mu, w),
    ),
    "tweedie": (
        lambda: sm.families.Tweedie(sm.families.links.Log(), var_power=1.5),
        lambda mu, w, rng: rng.gamma(2 * w, mu / 2 / w) * (rng.random(N) < 0.7),
    ),
}


@pytest.mark.parametrize("family", list(CASES))
def test_families_with_weights_and_offset(data, family, assert_law_agrees):
    """The same law as the statsmodels adapter reads from the same fit."""
    X, eta, rng = data
    make_family, draw = CASES[family]
    weights = rng.integers(1, 5, N).astype(float)
    offset = 0.1 * X["b"].to_numpy()
    y = draw(np.exp(eta + offset), weights, rng)
    regressor = LinearPredictor(make_family()).fit(X, y, weights, offset)
    power = {"power": 1.5} if family == "tweedie" else {}
    model = RegressorFit(regressor, X, y, family=family, var_weights=weights, offset=offset, **power)
    reference = as_fitted_model(regressor.results)
    np.testing.assert_allclose(model.observed, reference.observed)
    np.testing.assert_allclose(model.fitted, reference.fitted)
    np.testing.assert_allclose(model.variance(), reference.variance())
    np.testing.assert_allclose(model.cdf()[1], reference.cdf()[1])
    assert (model.edf, model.df_resid) == (reference.edf, reference.df_resid)
    assert list(model.data.index) == list(X.index)
    assert_law_agrees(model)


def test_binomial_with_trials(data, assert_law_agrees):
    X, eta, rng = data
    trials = rng.integers(2, 9, N).astype(float)
    y = rng.binomial(trials.astype(int), special.expit(eta)) / trials
    regressor = LinearPredictor(sm.families.Binomial()).fit(X, y, trials)
    model = RegressorFit(regressor, X, y, family="binomial", trials=trials)
    np.testing.assert_allclose(model.observed, y * trials)
    np.testing.assert_allclose(model.fitted, regressor.predict(X) * trials)
    assert_law_agrees(model)


def test_negative_binomial_needs_theta(data, assert_law_agrees):
    X, eta, rng = data
    y = rng.poisson(np.exp(eta) * rng.gamma(2, 0.5, N))
    regressor = LinearPredictor(sm.families.NegativeBinomial(alpha=0.5)).fit(X, y)
    model = RegressorFit(regressor, X, y, family="nbinom2", theta=2.0)
    np.testing.assert_allclose(model.variance(), model.fitted + model.fitted**2 / 2)
    assert_law_agrees(model)
    with pytest.raises(ValueError, match="theta"):
        RegressorFit(regressor, X, y, family="nbinom2")


def test_wrong_statements_are_named(data):
    X, eta, rng = data
    y = rng.poisson(np.exp(eta))
    regressor = LinearPredictor(sm.families.Poisson()).fit(X, y)
    with pytest.raises(ValueError, match="family must be one of"):
        RegressorFit(regressor, X, y, family="normal")
    with pytest.raises(ValueError, match="whole numbers; row"):
        RegressorFit(regressor, X, y + 0.5, family="poisson")
    with pytest.raises(ValueError, match=r"var_weights has shape \(3,\) for 150 rows"):
        RegressorFit(regressor, X, y, family="poisson", var_weights=[1, 2, 3])
    with pytest.raises(ValueError, match=r"trials= belongs to family='binomial'"):
        RegressorFit(regressor, X, y, family="poisson", trials=np.full(N, 2))
    with pytest.raises(TypeError, match="trials="):
        RegressorFit(regressor, X, y > 1, family="binomial", var_weights=np.full(N, 2))
    with pytest.raises(ValueError, match=r"predict\(X\) gives shape"):
        RegressorFit(regressor, X, y[:-1], family="poisson")


def test_scikit_learn_regressors(data, assert_law_agrees):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, eta, rng = data
    cases = [
        (linear_model.PoissonRegressor(alpha=0), "poisson", rng.poisson(np.exp(eta))),
        (linear_model.GammaRegressor(alpha=0), "gamma", rng.gamma(2, np.exp(eta) / 2)),
        (
            linear_model.TweedieRegressor(power=1.5, alpha=0, link="log"),
            "tweedie",
            rng.poisson(np.exp(eta)) * 1.0,
        ),
        (linear_model.LinearRegression(), "gaussian", eta + rng.normal(size=N)),
    ]
    for regressor, family, y in cases:
        model = RegressorFit(regressor.fit(X, y), X, y, family=family)
        np.testing.assert_allclose(model.fitted, regressor.predict(X))
        assert model.edf == 3
        assert_law_agrees(model)


def test_scikit_learn_exposure_as_weights(data, assert_law_agrees):
    """Its documented way of giving an exposure: rates as response, exposure as sample weight."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, eta, rng = data
    exposure = rng.uniform(0.5, 3, N)
    counts = rng.poisson(np.exp(eta) * exposure)
    regressor = linear_model.PoissonRegressor(alpha=0, tol=1e-8, max_iter=1000)
    regressor.fit(X, counts / exposure, sample_weight=exposure)
    model = RegressorFit(regressor, X, counts / exposure, family="poisson", var_weights=exposure)
    np.testing.assert_allclose(model.observed, counts)
    np.testing.assert_allclose(model.fitted, regressor.predict(X) * exposure)
    assert_law_agrees(model)


def test_scikit_learn_classifier_and_forest(data, assert_law_agrees):
    linear_model = pytest.importorskip("sklearn.linear_model")
    ensemble = pytest.importorskip("sklearn.ensemble")
    X, eta, rng = data
    labels = np.where(rng.random(N) < special.expit(eta), "yes", "no")
    classifier = linear_model.LogisticRegression().fit(X, labels)
    model = RegressorFit(classifier, X, labels, family="binomial")
    np.testing.assert_array_equal(model.observed, labels == "yes")
    np.testing.assert_allclose(model.fitted, classifier.predict_proba(X)[:, 1])
    assert_law_agrees(model)
    three = linear_model.LogisticRegression().fit(X, rng.integers(0, 3, N))
    with pytest.raises(TypeError, match="3 classes"):
        RegressorFit(three, X, labels, family="binomial")
    forest = ensemble.RandomForestRegressor(n_estimators=20, min_samples_leaf=10, random_state=1).fit(X, eta)
    with pytest.raises(ValueError, match="dispersion= or n_params="):
        RegressorFit(forest, X, eta, family="gaussian")
    stated = RegressorFit(forest, X, eta, family="gaussian", dispersion=0.5)
    assert not hasattr(stated, "edf")
    assert_law_agrees(stated)


def test_a_bare_regressor_is_told_what_is_missing(data):
    linear_model = pytest.importorskip("sklearn.linear_model")
    with pytest.raises(TypeError, match=r"sklearn.PoissonRegressor keeps neither(.|\n)*RegressorFit\("):
        as_fitted_model(linear_model.PoissonRegressor())


def test_glum(data, assert_law_agrees):
    glum = pytest.importorskip("glum")
    X, eta, rng = data
    offset = 0.2 * X["a"].to_numpy()
    weights = rng.integers(1, 5, N).astype(float)
    y = rng.gamma(2 * weights, np.exp(eta + offset) / 2 / weights)
    regressor = glum.GeneralizedLinearRegressor(family="gamma", link="log", alpha=0, gradient_tol=1e-8)
    regressor.fit(X, y, sample_weight=weights, offset=offset)
    model = RegressorFit(regressor, X, y, family="gamma", var_weights=weights, offset=offset)
    link = sm.families.links.Log()
    reference = as_fitted_model(
        sm.GLM(y, sm.add_constant(X), family=sm.families.Gamma(link), var_weights=weights, offset=offset).fit()
    )
    np.testing.assert_allclose(model.fitted, reference.fitted, rtol=1e-4)
    np.testing.assert_allclose(model.variance(), reference.variance(), rtol=1e-3)
    assert_law_agrees(model)
    with pytest.raises(TypeError, match=r"glum.GeneralizedLinearRegressor keeps"):
        as_fitted_model(regressor)


def test_counts_of_a_rate_model_with_exposure(data, assert_law_agrees):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, eta, rng = data
    exposure = rng.uniform(0.2, 6.0, N)
    counts = rng.poisson(exposure * np.exp(eta))
    regressor = linear_model.PoissonRegressor(alpha=0, tol=1e-10, max_iter=1000)
    regressor.fit(X, counts / exposure, sample_weight=exposure)
    model = RegressorFit(regressor, X, counts, family="poisson", exposure=exposure)
    by_rates = RegressorFit(regressor, X, counts / exposure, family="poisson", var_weights=exposure)
    np.testing.assert_allclose(model.observed, counts)
    np.testing.assert_allclose(model.fitted, exposure * regressor.predict(X))
    np.testing.assert_allclose(model.fitted, by_rates.fitted)
    assert_law_agrees(model)
    np.testing.assert_allclose(model.refit(counts).fitted, model.fitted, rtol=1e-4)
    with pytest.warns(UserWarning, match="give exposure="):
        RegressorFit(regressor, X, 5 * counts, family="poisson")
    with pytest.raises(ValueError, match="not both"):
        RegressorFit(regressor, X, counts, family="poisson", exposure=exposure, var_weights=exposure)
    with pytest.raises(ValueError, match="exposure= is for family='poisson'"):
        RegressorFit(regressor, X, counts, family="nbinom2", theta=1.0, exposure=exposure)
    with pytest.raises(ValueError, match="counts must be whole numbers"):
        RegressorFit(regressor, X, counts / exposure, family="poisson", exposure=exposure)
