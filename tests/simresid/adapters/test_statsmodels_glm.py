"""GLM: every family, weights, trials, offset and exposure; one test per trap of the statsmodels table."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats

from simresid.adapters import as_fitted_model

families = sm.families
N = 120


@pytest.fixture
def frame():
    rng = np.random.default_rng(11)
    x = rng.uniform(-1, 1, N)
    weight = rng.integers(1, 6, N).astype(float)
    return pd.DataFrame({"x": x, "weight": weight, "exposure": rng.uniform(0.5, 3, N), "shift": 0.3 * x**2})


def design(frame):
    return sm.add_constant(frame[["x"]])


def linear_predictor(frame):
    return 0.8 + 0.5 * frame["x"].to_numpy()


def test_gaussian_divides_variance_by_var_weights(frame, assert_law_agrees):
    rng = np.random.default_rng(1)
    y = linear_predictor(frame) + rng.normal(size=N) * 2 / np.sqrt(frame["weight"])
    results = sm.GLM(y, design(frame), family=families.Gaussian(), var_weights=frame["weight"]).fit()
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.variance(), results.scale / frame["weight"])
    # statsmodels' GLM Pearson residuals carry sqrt(weights) but not the scale; ours carry both.
    np.testing.assert_allclose(model.resid_pearson, results.resid_pearson / np.sqrt(results.scale))
    assert_law_agrees(model)


@pytest.mark.parametrize(
    "family", [families.Gamma(families.links.Log()), families.InverseGaussian(families.links.Log())]
)
def test_positive_families_divide_dispersion_by_var_weights(frame, family, assert_law_agrees):
    rng = np.random.default_rng(2)
    mu = np.exp(linear_predictor(frame))
    y = rng.gamma(4 * frame["weight"], mu / (4 * frame["weight"]))
    results = sm.GLM(y, design(frame), family=family, var_weights=frame["weight"], offset=frame["shift"]).fit()
    model = as_fitted_model(results)
    reference = results.get_distribution(var_weights=frame["weight"].to_numpy())
    np.testing.assert_allclose(model.fitted, reference.mean())
    np.testing.assert_allclose(model.variance(), reference.var())
    np.testing.assert_allclose(model.cdf()[1], reference.cdf(y), rtol=1e-9)
    np.testing.assert_allclose(model.resid_pearson, results.resid_pearson / np.sqrt(results.scale))
    assert not model.discrete
    assert_law_agrees(model)


def test_poisson_includes_offset_and_exposure(frame, assert_law_agrees):
    rng = np.random.default_rng(3)
    y = rng.poisson(np.exp(linear_predictor(frame) + frame["shift"]) * frame["exposure"])
    results = sm.GLM(
        y,
        design(frame),
        family=families.Poisson(),
        offset=frame["shift"],
        exposure=frame["exposure"].to_numpy(),
    ).fit()
    model = as_fitted_model(results)
    eta = results.params["const"] + results.params["x"] * frame["x"] + frame["shift"]
    np.testing.assert_allclose(model.fitted, np.exp(eta) * frame["exposure"])
    lower, upper = model.cdf()
    np.testing.assert_allclose(upper, stats.poisson.cdf(y, model.fitted))
    np.testing.assert_allclose(lower, stats.poisson.cdf(y - 1, model.fitted), atol=1e-15)
    assert model.llf == results.llf
    assert model.discrete
    assert_law_agrees(model)
    again = model.refit(model.observed)
    np.testing.assert_allclose(again.fitted, model.fitted, rtol=1e-8)


def test_poisson_rates_with_var_weights_are_counts(frame, assert_law_agrees):
    """A weighted Poisson response is a count divided by its weight, so only the counts can be simulated."""
    rng = np.random.default_rng(4)
    counts = rng.poisson(np.exp(linear_predictor(frame)) * frame["weight"])
    by_weight = sm.GLM(
        counts / frame["weight"], design(frame), family=families.Poisson(), var_weights=frame["weight"]
    ).fit()
    by_exposure = sm.GLM(counts, design(frame), family=families.Poisson(), exposure=frame["weight"]).fit()
    model, reference = as_fitted_model(by_weight), as_fitted_model(by_exposure)
    np.testing.assert_array_equal(model.observed, counts)
    np.testing.assert_allclose(model.fitted, reference.fitted, rtol=1e-6)
    np.testing.assert_allclose(model.llf, reference.llf, rtol=1e-9)
    np.testing.assert_allclose(model.resid_pearson, by_weight.resid_pearson)
    assert_law_agrees(model)
    new = rng.poisson(model.fitted)
    np.testing.assert_allclose(model.refit(new).fitted, reference.refit(new).fitted, rtol=1e-6)


def test_weights_without_a_law_are_refused(frame):
    y = np.random.default_rng(5).poisson(2, N)
    results = sm.GLM(y, design(frame), family=families.Poisson(), var_weights=frame["exposure"]).fit()
    with pytest.raises(TypeError, match=r"var_weights must be whole numbers.*quasi-likelihood"):
        as_fitted_model(results)
    results = sm.GLM(y, design(frame), family=families.Poisson(), freq_weights=frame["exposure"]).fit()
    with pytest.raises(TypeError, match="freq_weights mean repeated rows"):
        as_fitted_model(results)


def test_quasi_models_are_refused(frame):
    y = np.random.default_rng(6).poisson(2, N)
    results = sm.GLM(y, design(frame), family=families.Poisson()).fit(scale="X2")
    with pytest.raises(TypeError, match="quasi-likelihood has no law"):
        as_fitted_model(results)


@pytest.mark.parametrize(
    "family", [families.Poisson(), families.Gaussian(), families.Binomial()], ids=lambda f: type(f).__name__
)
def test_freq_weights_are_repeated_rows(frame, family, assert_law_agrees):
    rng = np.random.default_rng(7)
    draw = {"Poisson": rng.poisson(2, N), "Gaussian": rng.normal(size=N), "Binomial": rng.integers(0, 2, N)}
    y = draw[type(family).__name__]
    frame.index = [f"row{i}" for i in range(N)]
    weights = frame["weight"] - 1  # some rows do not occur at all
    compact = sm.GLM(pd.Series(y, frame.index), design(frame), family=family, freq_weights=weights).fit()
    repeats = np.repeat(np.arange(N), weights.astype(int))
    written_out = sm.GLM(y[repeats], design(frame).iloc[repeats], family=family).fit()
    model, reference = as_fitted_model(compact), as_fitted_model(written_out)
    np.testing.assert_array_equal(model.observed, reference.observed)
    np.testing.assert_allclose(model.fitted, reference.fitted, rtol=1e-6)
    np.testing.assert_allclose(model.variance(), reference.variance(), rtol=1e-6)
    np.testing.assert_allclose(model.llf, reference.llf, rtol=1e-9)
    assert (model.edf, model.df_resid) == (reference.edf, reference.df_resid)
    assert list(model.data.index) == [f"row{i}" for i in repeats]
    assert_law_agrees(model)
    np.testing.assert_allclose(model.refit(model.observed).fitted, model.fitted, rtol=1e-6)


def binomial_data(frame):
    trials = frame["weight"].to_numpy() + 2
    success = 1 / (1 + np.exp(-linear_predictor(frame)))
    return trials, np.random.default_rng(8).binomial(trials.astype(int), success)


def binomial_fits(frame):
    """Three spellings of one k-of-n model."""
    trials, successes = binomial_data(frame)
    family = families.Binomial
    return {
        "two columns": sm.GLM(np.column_stack([successes, trials - successes]), design(frame), family=family()),
        "var_weights": sm.GLM(successes / trials, design(frame), family=family(), var_weights=trials),
        "freq_weights": sm.GLM(successes / trials, design(frame), family=family(), freq_weights=trials),
    }


@pytest.mark.parametrize("spelling", ["two columns", "var_weights", "freq_weights"])
def test_binomial_is_on_the_count_scale_in_every_spelling(frame, spelling, assert_law_agrees):
    trials, successes = binomial_data(frame)
    results = binomial_fits(frame)[spelling].fit()
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.observed, successes)
    np.testing.assert_array_equal(model.trials, trials)
    np.testing.assert_allclose(model.fitted, results.fittedvalues * trials)
    np.testing.assert_allclose(model.cdf()[1], stats.binom.cdf(successes, trials, results.fittedvalues))
    np.testing.assert_allclose(model.llf, stats.binom.logpmf(successes, trials, results.fittedvalues).sum())
    assert (model.edf, model.df_resid) == (2, N - 2)
    if spelling != "freq_weights":  # there statsmodels' own residuals lack the weight
        np.testing.assert_allclose(model.resid_pearson, results.resid_pearson)
    assert_law_agrees(model)
    again = model.refit(model.observed)
    np.testing.assert_allclose(again.fitted, model.fitted, rtol=1e-6)
    np.testing.assert_array_equal(again.observed, model.observed)


def test_binomial_refit_survives_a_shared_family_object(frame):
    """A statsmodels family remembers the trials of the last model that was built with it."""
    trials, successes = binomial_data(frame)
    family = families.Binomial()
    endog = np.column_stack([successes, trials - successes])
    model = as_fitted_model(sm.GLM(endog, design(frame), family=family).fit())
    sm.GLM(endog[:7], design(frame)[:7], family=family)
    again = model.refit(model.observed)
    np.testing.assert_allclose(again.fitted, model.fitted, rtol=1e-8)
    np.testing.assert_allclose(again.llf, model.llf)


def test_binary_response(frame, assert_law_agrees):
    y = np.random.default_rng(9).integers(0, 2, N)
    model = as_fitted_model(sm.GLM(y, design(frame), family=families.Binomial(families.links.Probit())).fit())
    assert set(np.unique(model.simulate(20, rng=1))) == {0, 1}
    assert "Binomial(probit)" in model.description
    assert_law_agrees(model)


def test_proportions_without_trials_are_refused(frame):
    proportion = np.random.default_rng(30).uniform(0.2, 0.8, N)
    results = sm.GLM(proportion, design(frame), family=families.Binomial()).fit()
    with pytest.raises(TypeError, match="whole numbers"):
        as_fitted_model(results)


def test_negative_binomial_keeps_the_alpha_it_was_given(frame, assert_law_agrees):
    rng = np.random.default_rng(10)
    mu = np.exp(linear_predictor(frame))
    y = rng.poisson(mu * rng.gamma(2, 0.5, N))
    results = sm.GLM(y, design(frame), family=families.NegativeBinomial(alpha=0.4)).fit()
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.variance(), model.fitted + 0.4 * model.fitted**2)
    reference = results.get_distribution()
    np.testing.assert_allclose(model.cdf()[1], reference.cdf(y))
    np.testing.assert_allclose(model.cdf()[0], reference.cdf(y - 1), atol=1e-15)
    np.testing.assert_allclose(model.resid_pearson, results.resid_pearson)
    assert_law_agrees(model)
    assert model.refit(y).law.size[0] == pytest.approx(2.5)


@pytest.mark.parametrize("power", [1.2, 1.5, 1.8])
def test_tweedie(frame, power, assert_law_agrees):
    """statsmodels has no distribution to compare with; the zero probability and two moments are known."""
    rng = np.random.default_rng(12)
    y = np.where(rng.random(N) < 0.3, 0, rng.gamma(2, np.exp(linear_predictor(frame)) / 2))
    family = families.Tweedie(families.links.Log(), var_power=power)
    results = sm.GLM(y, design(frame), family=family, var_weights=frame["weight"]).fit()
    model = as_fitted_model(results)
    phi = results.scale / frame["weight"]
    np.testing.assert_allclose(model.variance(), phi * model.fitted**power)
    lower, upper = model.cdf(np.zeros(N))
    np.testing.assert_array_equal(lower, 0)
    np.testing.assert_allclose(upper, np.exp(-(model.fitted ** (2 - power)) / (phi * (2 - power))))
    np.testing.assert_allclose(model.cdf(np.full(N, 1e4))[1], 1)
    assert_law_agrees(model)


def test_tweedie_at_power_two_is_gamma(frame):
    y = np.random.default_rng(13).gamma(2, np.exp(linear_predictor(frame)) / 2)
    link = families.links.Log()
    tweedie = as_fitted_model(sm.GLM(y, design(frame), family=families.Tweedie(link, var_power=2)).fit())
    gamma = as_fitted_model(sm.GLM(y, design(frame), family=families.Gamma(link)).fit())
    np.testing.assert_allclose(tweedie.cdf()[1], gamma.cdf()[1], rtol=1e-6)


def test_missing_rows_keep_their_labels(assert_law_agrees):
    rng = np.random.default_rng(14)
    frame = pd.DataFrame(
        {
            "y": rng.poisson(2, 20),
            "x": rng.normal(size=20),
            "time": rng.uniform(1, 2, 20),
            "other": np.arange(20),
        },
        index=[f"r{i}" for i in range(20)],
    )
    frame.loc["r3", "x"] = np.nan
    frame.loc["r5", "time"] = np.nan
    left = frame.drop(index=["r3", "r5"])
    results = smf.glm("y ~ x", frame, family=families.Poisson(), exposure=frame["time"]).fit()
    model = as_fitted_model(results)
    assert list(model.data.index) == list(left.index)
    np.testing.assert_array_equal(model.data["other"], left["other"])
    np.testing.assert_array_equal(model.observed, left["y"])
    assert model.description == "GLM Poisson(log): y ~ x"
    arrays = sm.GLM(frame["y"], design(frame), family=families.Poisson(), exposure=frame["time"], missing="drop").fit()
    other = as_fitted_model(arrays)
    assert list(other.data.index) == list(left.index)
    np.testing.assert_allclose(other.fitted, model.fitted, rtol=1e-6)
    assert_law_agrees(model)


def test_regularised_and_constrained_fits(frame, assert_law_agrees):
    y = np.random.default_rng(15).poisson(2, N)
    glm = sm.GLM(y, design(frame), family=families.Poisson())
    with pytest.raises(TypeError, match="fit_regularized"):
        as_fitted_model(glm.fit_regularized(alpha=0.1))
    constrained = as_fitted_model(glm.fit_constrained("x = 0.2"))
    assert not hasattr(constrained, "refit")
    assert_law_agrees(constrained)


def test_family_from_elsewhere_is_refused(frame):
    class MyPoisson(families.Poisson):
        pass

    results = sm.GLM(np.random.default_rng(16).poisson(2, N), design(frame), family=MyPoisson()).fit()
    with pytest.raises(TypeError, match="MyPoisson is not one of statsmodels' own"):
        as_fitted_model(results)


def test_remove_data_is_noticed(frame):
    results = sm.GLM(np.random.default_rng(17).poisson(2, N), design(frame), family=families.Poisson()).fit()
    results.remove_data()
    with pytest.raises(TypeError, match=r"remove_data\(\) has been called"):
        as_fitted_model(results)


def test_refit_names_both_lengths(frame):
    y = np.random.default_rng(18).poisson(2, N)
    model = as_fitted_model(sm.GLM(y, design(frame), family=families.Poisson()).fit())
    with pytest.raises(ValueError, match=r"\(3,\) for 120 rows"):
        model.refit([1, 2, 3])
