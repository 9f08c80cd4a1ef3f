"""GPBoost: grouped random effects of every supported likelihood, Gaussian processes as predicted."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import special, stats

import simresid
from simresid.adapters import as_fitted_model
from simresid.checks.basis import default_predictor

gpboost = pytest.importorskip("gpboost")

N, GROUPS = 300, 30


@pytest.fixture
def data():
    rng = np.random.default_rng(81)
    group = rng.permutation(np.repeat(np.arange(GROUPS), N // GROUPS))
    other = rng.integers(0, 6, N)
    x = rng.normal(size=N)
    random = rng.normal(size=GROUPS)[group] * 0.7 + rng.normal(size=GROUPS)[group] * 0.4 * x
    return np.column_stack([group, other]), x, 0.4 + 0.3 * x + random, np.column_stack([np.ones(N), x])


def responses(eta, rng):
    mu, p = np.exp(eta), special.expit(eta)
    return {
        "gaussian": lambda: eta + rng.normal(size=N),
        "poisson": lambda: rng.poisson(mu),
        "bernoulli_logit": lambda: rng.binomial(1, p),
        "bernoulli_probit": lambda: rng.binomial(1, special.ndtr(eta)),
        "binomial_logit": lambda: rng.binomial(8, p) / 8,
        "gamma": lambda: rng.gamma(2, mu / 2),
        "negative_binomial": lambda: rng.poisson(mu * rng.gamma(2, 0.5, N)),
        "negative_binomial_1": lambda: rng.poisson(rng.gamma(mu / 0.8, 0.8)),
        "lognormal": lambda: mu * np.exp(0.5 * rng.normal(size=N) - 0.125),
        "beta": lambda: np.clip(rng.beta(p * 5, (1 - p) * 5), 1e-6, 1 - 1e-6),
    }


def grouped_model(data, likelihood, weights=None, **options):
    groups, x, eta, design = data
    y = responses(eta, np.random.default_rng(82))[likelihood]().astype(float)
    model = gpboost.GPModel(
        likelihood=likelihood,
        group_data=groups,
        group_rand_coef_data=x,
        ind_effect_group_rand_coef=[1],
        weights=weights,
        matrix_inversion_method="cholesky",  # no iterative solver between fit and prediction
        **options,
    )
    return model.fit(y=y, X=design, offset=0.1 * x)


@pytest.mark.parametrize("likelihood", list(responses(np.zeros(N), np.random.default_rng(1))))
def test_grouped_random_effects(data, likelihood, assert_law_agrees):
    groups, x, _, design = data
    trials = np.full(N, 8.0) if likelihood.startswith("binomial") else None
    fit = grouped_model(data, likelihood, trials)
    model = as_fitted_model(fit)
    # GPBoost's own latent prediction at the training rows
    latent = fit.predict(
        group_data_pred=groups,
        X_pred=design,
        group_rand_coef_data_pred=x,
        predict_response=False,
        offset_pred=0.1 * x,
    )["mu"]
    inverse = {"gaussian": lambda eta: eta, "bernoulli_probit": special.ndtr}.get(likelihood, np.exp)
    if likelihood in ("bernoulli_logit", "binomial_logit", "beta"):
        inverse = special.expit
    np.testing.assert_allclose(model.fitted, inverse(latent) * (1 if trials is None else trials), rtol=1e-4)
    assert model.has_random_effects
    assert_law_agrees(model, refit_rtol=0.05)
    # the marginal variance is not stated by the protocol, so only the mean is compared
    simulated = model.simulate(2000, rng=5, random_effects="unconditional")
    z = (simulated.mean(axis=0) - model.population_mean()) / (simulated.std(axis=0) / np.sqrt(2000))
    assert np.max(np.abs(z)) < 5.5


def test_unconditional_covariance(data):
    groups, x, _, _ = data
    fit = grouped_model(data, "gaussian")
    model = as_fitted_model(fit)
    noise, first, second, slope = fit.get_cov_pars(format_pandas=False).ravel()
    same = [np.equal.outer(column, column) for column in groups.T]
    covariance = noise * np.eye(N) + (first + slope * np.outer(x, x)) * same[0] + second * same[1]
    simulated = model.simulate(4000, rng=3, random_effects="unconditional")
    error = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / 4000)
    assert np.max(np.abs(np.cov(simulated, rowvar=False) - covariance) / error) < 5.7  # 45 000 entries


def test_likelihood_has_all_constants(data):
    """A grouping with almost no variance leaves the plain likelihood."""
    _, x, _, design = data
    y = np.random.default_rng(83).poisson(np.exp(0.5 + 0.3 * x)).astype(float)
    model = as_fitted_model(gpboost.GPModel(likelihood="poisson", group_data=np.arange(N) % 2).fit(y=y, X=design))
    assert model.llf == pytest.approx(stats.poisson.logpmf(y, model.fitted).sum(), abs=0.05)


def test_weights_without_a_law_are_refused(data):
    fit = grouped_model(data, "poisson", weights=np.random.default_rng(84).uniform(1, 2, N))
    with pytest.raises(TypeError, match="powers of its likelihood"):
        as_fitted_model(fit)


def test_clusters_are_independent(data):
    clusters = np.arange(N) % 2
    model = as_fitted_model(grouped_model(data, "gaussian", cluster_ids=clusters))
    simulated = model.simulate(3000, rng=6, random_effects="unconditional")
    covariance = np.cov(simulated, rowvar=False)
    apart = np.not_equal.outer(clusters, clusters)
    sd = np.sqrt(np.diag(covariance))
    assert np.max(np.abs(covariance[apart] / np.outer(sd, sd)[apart])) < 5.5 / np.sqrt(3000)


def test_gaussian_process_is_simulated_as_predicted(data):
    rng = np.random.default_rng(85)
    y = data[2] + rng.normal(size=N)
    fit = gpboost.GPModel(gp_coords=rng.uniform(size=(N, 2)), likelihood="gaussian").fit(y=y, X=data[3])
    model = as_fitted_model(fit)
    simulated = model.simulate(2000, rng=1)
    z = (simulated.mean(axis=0) - model.fitted) / np.sqrt(model.variance() / 2000)
    assert np.max(np.abs(z)) < 5.5
    assert not hasattr(model, "refit")
    with pytest.raises(ValueError, match="as predicted"):
        model.simulate(2, random_effects="unconditional")


@pytest.mark.parametrize(("likelihood", "grouped"), [("poisson", False), ("bernoulli_logit", True)])
def test_residuals_of_a_gaussian_process_can_be_judged_and_drawn(data, likelihood, grouped, tmp_path):
    """What needs the mean over new processes falls back on the prediction, as for any model without it."""
    rng = np.random.default_rng(86)
    y = responses(0.7 * data[2], rng)[likelihood]().astype(float)
    options = {"group_data": data[0][:, 0]} if grouped else {}
    fit = gpboost.GPModel(gp_coords=rng.uniform(size=(N, 2)), likelihood=likelihood, **options).fit(y=y, X=data[3])
    res = simresid.simulate_residuals(fit, 100)
    assert not hasattr(res.model, "population_mean")
    np.testing.assert_allclose(default_predictor(res), res.fitted, rtol=1e-8)
    found = simresid.diagnose(res)
    assert {"uniformity", "quantiles", "heteroscedasticity", "outliers"} <= set(found.results)
    assert found.verdict in res.summary()
    assert 0 < res.quantile_test().pvalue <= 1
    plt.close(res.plot())
    assert simresid.report(res, tmp_path / "page.html").stat().st_size > 10_000
    with pytest.raises(ValueError, match="as predicted"):
        simresid.simulate_residuals(fit, 50, random_effects="unconditional")


def test_unknown_likelihood_and_unfitted_model(data):
    with pytest.raises(TypeError, match="fit the GPModel"):
        as_fitted_model(gpboost.GPModel(group_data=data[0]))
    fit = gpboost.GPModel(group_data=data[0], likelihood="t").fit(y=data[2], X=data[3])
    with pytest.raises(TypeError, match="'t' has no adapter"):
        as_fitted_model(fit)


def test_adapted_model_travels_to_other_processes(data):
    """A GPModel holds a pointer; the adapted model must not hold the GPModel."""
    cloudpickle = pytest.importorskip("cloudpickle")  # what loky and dask use
    model = as_fitted_model(grouped_model(data, "gaussian"))
    copy = cloudpickle.loads(cloudpickle.dumps(model))
    np.testing.assert_array_equal(copy.simulate(2, rng=1), model.simulate(2, rng=1))
    np.testing.assert_allclose(copy.refit(model.observed).fitted, model.fitted, rtol=1e-2, atol=1e-2)
