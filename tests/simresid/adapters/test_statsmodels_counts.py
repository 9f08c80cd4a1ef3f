"""Count models of statsmodels.discrete: mean, place of the dispersion, inflation, hurdle, truncation."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.discrete.count_model import (
    ZeroInflatedGeneralizedPoisson,
    ZeroInflatedNegativeBinomialP,
    ZeroInflatedPoisson,
)
from statsmodels.discrete.discrete_model import GeneralizedPoisson, NegativeBinomialP
from statsmodels.discrete.truncated_model import (
    HurdleCountModel,
    TruncatedLFGeneralizedPoisson,
    TruncatedLFNegativeBinomialP,
    TruncatedLFPoisson,
)

from simresid.adapters import as_fitted_model

N = 300


@pytest.fixture
def data():
    """Overdispersed counts with a known exposure, some of them set to zero."""
    rng = np.random.default_rng(31)
    x = rng.normal(size=N)
    exposure = rng.uniform(1.5, 4, N)
    y = rng.poisson(np.exp(0.5 + 0.3 * x) * exposure * rng.gamma(3, 1 / 3, N))
    return sm.add_constant(x), y, exposure


def fit(model, **options):
    return model.fit(disp=0, maxiter=500, **options)


def library_cdf(results, y):
    """P(Y <= y); statsmodels' probability tables leave the exposure out, its distributions do not."""
    if hasattr(results.model, "get_distribution"):
        with np.errstate(all="ignore"):
            return results.get_distribution().cdf(y)
    probabilities = results.predict(which="prob", y_values=np.arange(400))
    return np.cumsum(probabilities, axis=1)[np.arange(y.size), y]


def assert_matches_library(model, results):
    """Mean, variance, Pearson residuals, cdf and likelihood against the library's own."""
    np.testing.assert_allclose(model.fitted, results.predict(), rtol=1e-7)
    np.testing.assert_allclose(model.resid_pearson, results.resid_pearson, rtol=1e-6, atol=1e-10)
    lower, upper = model.cdf()
    np.testing.assert_allclose(upper, library_cdf(results, model.observed.astype(int)), atol=1e-8)
    np.testing.assert_allclose(upper - lower, model.law.pmf(model.observed), atol=1e-9)
    assert model.llf == results.llf
    # The law at the observed response is what the likelihood was made of.
    np.testing.assert_allclose(np.sum(np.log(model.law.pmf(model.observed))), results.llf, rtol=1e-6)


def assert_refit_reproduces(model):
    again = model.refit(model.observed)
    np.testing.assert_allclose(again.fitted, model.fitted, rtol=1e-3)
    np.testing.assert_allclose(again.variance(), model.variance(), rtol=5e-3)


def test_poisson_mean_is_predict_not_fittedvalues(data, assert_law_agrees):
    design, y, exposure = data
    results = fit(sm.Poisson(y, design, exposure=exposure, offset=0.1 * design[:, 1]))
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.fitted, np.exp(design @ results.params + 0.1 * design[:, 1]) * exposure)
    assert_matches_library(model, results)
    assert (model.edf, model.df_resid) == (2, N - 2)
    assert_law_agrees(model)
    assert_refit_reproduces(model)


@pytest.mark.parametrize(
    ("method", "variance"),
    [
        ("nb2", lambda mu, alpha: mu + alpha * mu**2),
        ("nb1", lambda mu, alpha: mu + alpha * mu),
        ("geometric", lambda mu, alpha: mu + mu**2),
    ],
)
def test_negative_binomial(data, method, variance, assert_law_agrees):
    design, y, exposure = data
    results = fit(sm.NegativeBinomial(y, design, loglike_method=method, exposure=exposure))
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.variance(), variance(model.fitted, results.params[-1]))
    assert_matches_library(model, results)
    assert model.edf == 2
    assert_law_agrees(model)
    assert_refit_reproduces(model)


@pytest.mark.parametrize("power", [1, 2, 1.5])
def test_negative_binomial_p(data, power, assert_law_agrees):
    design, y, exposure = data
    results = fit(NegativeBinomialP(y, design, p=power, exposure=exposure))
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.variance(), model.fitted + results.params[-1] * model.fitted**power)
    assert_matches_library(model, results)
    assert_law_agrees(model)
    assert_refit_reproduces(model)


@pytest.mark.parametrize("power", [1, 2])
def test_generalized_poisson(data, power, assert_law_agrees):
    design, y, exposure = data
    results = fit(GeneralizedPoisson(y, design, p=power, exposure=exposure))
    model = as_fitted_model(results)
    expected = model.fitted * (1 + results.params[-1] * model.fitted ** (power - 1)) ** 2
    np.testing.assert_allclose(model.variance(), expected)
    assert_matches_library(model, results)
    assert_law_agrees(model)
    assert_refit_reproduces(model)


def test_generalized_poisson_with_less_variance_than_poisson(data, assert_law_agrees):
    """A negative alpha cuts the support off; the normalised law has moments a little off the formula."""
    design, _, _ = data
    y = np.random.default_rng(32).binomial(12, 1 / (1 + np.exp(-0.3 * design[:, 1])))
    results = fit(GeneralizedPoisson(y, design, p=1))
    assert results.params[-1] < -0.2
    model = as_fitted_model(results)
    assert np.all(model.variance() < model.fitted)
    np.testing.assert_allclose(model.fitted, results.predict(), rtol=2e-3)
    assert_law_agrees(model)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (ZeroInflatedPoisson, {}),
        (ZeroInflatedPoisson, {"inflation": "probit"}),
        (ZeroInflatedNegativeBinomialP, {"p": 1}),
        (ZeroInflatedNegativeBinomialP, {"p": 2}),
        (ZeroInflatedGeneralizedPoisson, {"p": 1}),
        (ZeroInflatedGeneralizedPoisson, {"p": 2}),
    ],
)
def test_zero_inflated(data, cls, options, assert_law_agrees):
    design, y, exposure = data
    y = y * (np.random.default_rng(33).random(N) < 0.7)
    results = fit(cls(y, design, exog_infl=design, exposure=exposure, **options), method="bfgs")
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.law.zero, 1 - results.predict(which="prob-main"))
    assert_matches_library(model, results)
    assert model.edf == 4
    assert_law_agrees(model)
    assert_refit_reproduces(model)


@pytest.mark.parametrize(
    ("dist", "zerodist"),
    [("poisson", "poisson"), ("negbin", "poisson"), ("poisson", "negbin"), ("negbin", "negbin")],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # far steps of the library's line search
@pytest.mark.filterwarnings("ignore:Inverting hessian failed", "ignore:Maximum Likelihood optimization failed")
def test_hurdle(data, dist, zerodist, assert_law_agrees):
    """statsmodels' own rebuild of a hurdle forgets both laws and returns to Poisson."""
    design, y, _ = data
    rng = np.random.default_rng(34)
    # zeros that a negative binomial zero part can identify: P(0) = (1 + alpha mu)**(-1 / alpha)
    passed = rng.random(N) > (1 + 2 * np.exp(0.5 + 1.5 * design[:, 1])) ** -0.5
    y = np.where(passed, np.maximum(y, 1), 0)
    results = fit(HurdleCountModel(y, design, dist=dist, zerodist=zerodist))
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.law.zero, results.predict(which="prob-zero"), rtol=1e-6)
    assert_matches_library(model, results)
    assert model.edf == 4
    assert_law_agrees(model)
    assert_refit_reproduces(model)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (TruncatedLFPoisson, {}),
        (TruncatedLFPoisson, {"truncation": 2}),
        (TruncatedLFNegativeBinomialP, {"p": 2}),
        (TruncatedLFNegativeBinomialP, {"p": 2, "truncation": 1}),
    ],
)
def test_truncated(data, cls, options, assert_law_agrees):
    design, y, exposure = data
    cut = options.get("truncation", 0)
    index = [f"r{i}" for i in range(N)]
    endog = pd.Series(y, index)
    results = fit(cls(endog, pd.DataFrame(design, index), offset=np.log(exposure), **options))
    model = as_fitted_model(results)
    # the class drops what it cannot see without changing the labels it keeps
    assert list(model.data.index) == list(endog.index[y > cut])
    np.testing.assert_array_equal(model.observed, y[y > cut])
    assert_matches_library(model, results)
    assert np.min(model.simulate(50, rng=1)) == cut + 1
    assert_law_agrees(model)
    assert_refit_reproduces(model)


def test_truncated_generalized_poisson(data, assert_law_agrees):
    """statsmodels states neither variance nor probabilities of it; its likelihood is the reference."""
    design, y, _ = data
    results = fit(TruncatedLFGeneralizedPoisson(y, design, p=1))
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.fitted, results.predict())
    np.testing.assert_allclose(np.sum(np.log(model.law.pmf(model.observed))), results.llf)
    assert_law_agrees(model)
    assert_refit_reproduces(model)


@pytest.mark.filterwarnings("ignore:Maximum Likelihood optimization failed")
@pytest.mark.filterwarnings("ignore:Inverting hessian failed")
@pytest.mark.filterwarnings("ignore:invalid value encountered in log:RuntimeWarning")
def test_truncated_exposure_is_refused(data):
    """statsmodels logs it twice: the likelihood sees log(log(exposure)), the predictions log(exposure)."""
    design, y, exposure = data
    results = fit(TruncatedLFPoisson(y, design, exposure=exposure))
    assert not np.allclose(results.model.model_main.exposure, results.model.exposure)
    with pytest.raises(TypeError, match="logarithm of exposure twice"):
        as_fitted_model(results)


def test_rare_counts_are_drawn_by_inversion(assert_law_agrees):
    """With a mean of 0.05 rejection would throw 95 % away; the law must stay the truncated Poisson."""
    rng = np.random.default_rng(35)
    y = np.maximum(1, rng.poisson(0.05, 60) + (rng.random(60) < 0.04))
    model = as_fitted_model(fit(TruncatedLFPoisson(y, np.ones((60, 1)))))
    assert model.law.main.mu[0] < 0.3
    mu = model.law.main.mu
    np.testing.assert_allclose(model.cdf()[1], stats.poisson.cdf(y, mu) / -np.expm1(-mu) - np.exp(-mu) / -np.expm1(-mu))
    assert_law_agrees(model)


def test_missing_rows_of_a_formula():
    rng = np.random.default_rng(36)
    frame = pd.DataFrame({"y": rng.poisson(3, 40).astype(float), "x": rng.normal(size=40)})
    frame.loc[[2, 7], "y"] = np.nan
    results = smf.poisson("y ~ x", frame).fit(disp=0)
    model = as_fitted_model(results)
    assert list(model.data.index) == list(frame.dropna().index)
    assert model.description == "Poisson (log): y ~ x"


def test_penalised_counts_have_a_law_but_no_refit(data, assert_law_agrees):
    design, y, _ = data
    results = sm.Poisson(y, design).fit_regularized(alpha=5.0, disp=0)
    model = as_fitted_model(results)
    assert not hasattr(model, "refit")
    np.testing.assert_allclose(model.fitted, results.predict())
    assert_law_agrees(model)
