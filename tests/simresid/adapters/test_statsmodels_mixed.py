"""MixedLM and the Bayesian mixed GLMs: conditional on the random effects and over new ones."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import special
from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM, PoissonBayesMixedGLM

from glmmcore import glmm
from simresid import simulate_residuals
from simresid.adapters import as_fitted_model

GROUPS, PER_GROUP = 25, 6
N = GROUPS * PER_GROUP


@pytest.fixture
def frame():
    """Groups that are not sorted, a random intercept and slope, and classes within groups."""
    rng = np.random.default_rng(51)
    group = rng.permutation(np.repeat(np.arange(GROUPS), PER_GROUP))
    x = rng.normal(size=N)
    effects = rng.normal(size=(GROUPS, 2)) * [1.5, 0.7]
    y = 1 + 0.5 * x + effects[group, 0] + effects[group, 1] * x + rng.normal(size=N)
    rate = np.exp(0.8 + 0.3 * x + 0.6 * effects[group, 0])
    return pd.DataFrame(
        {"y": y, "x": x, "group": group, "class_": rng.integers(0, 3, N), "count": rng.poisson(rate)},
        index=rng.permutation(N) + 1000,
    )


def marginal_covariance(results):
    """Covariance of the response, by the definition of the model and with a dense matrix."""
    model = results.model
    covariance = results.scale * np.eye(model.exog.shape[0])
    for position, label in enumerate(model.group_labels):
        rows = np.asarray(model.row_indices[label])
        block = np.zeros((rows.size, rows.size))
        if results.k_re:
            design = model.exog_re_li[position]
            block += design @ np.asarray(results.cov_re) @ design.T
        for component, variance in enumerate(results.vcomp):
            design = model.exog_vc.mats[component][position]
            block += variance * design @ design.T
        covariance[np.ix_(rows, rows)] += block
    return covariance


def mixed_fit(frame, kind, reml=True):
    options = {
        "intercept": {},
        "slope": {"re_formula": "~x"},
        "components": {"re_formula": "1", "vc_formula": {"class_": "0 + C(class_)"}},
    }[kind]
    return smf.mixedlm("y ~ x", frame, groups=frame["group"], **options).fit(reml=reml)


@pytest.mark.parametrize("kind", ["intercept", "slope", "components"])
def test_mixedlm_both_ways(frame, kind, assert_law_agrees):
    results = mixed_fit(frame, kind)
    model = as_fitted_model(results)
    assert model.has_random_effects
    np.testing.assert_allclose(model.fitted, results.fittedvalues, rtol=1e-8)
    np.testing.assert_allclose(model.population_mean(), results.predict())
    np.testing.assert_allclose(model.variance(), results.scale)
    np.testing.assert_allclose(model.resid_pearson, results.resid / np.sqrt(results.scale), rtol=1e-6)
    assert list(model.data.index) == list(frame.index)
    assert_law_agrees(model)
    covariance = marginal_covariance(results)
    simulated = assert_law_agrees(
        model, random_effects="unconditional", mean=model.population_mean(), variance=np.diag(covariance)
    )
    # Rows of one group move together: the whole covariance, each entry within its sampling error.
    error = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / len(simulated))
    assert np.max(np.abs(np.cov(simulated, rowvar=False) - covariance) / error) < 5.5  # 11 000 entries
    with pytest.raises(ValueError, match="not only 'group'"):
        model.simulate(2, random_effects=["group"])


def hat_matrix(results):
    """What maps the response to the fitted values, by a dense solution of the mixed model equations."""
    inverse = np.linalg.inv(marginal_covariance(results))
    design = results.model.exog
    projection = inverse - inverse @ design @ np.linalg.solve(design.T @ inverse @ design, design.T @ inverse)
    return np.eye(N) - results.scale * projection


@pytest.mark.parametrize("kind", ["slope", "components"])
def test_mixedlm_effective_parameters(frame, kind):
    results = mixed_fit(frame, kind)
    hat = hat_matrix(results)
    model = as_fitted_model(results)
    np.testing.assert_allclose(hat @ model.observed, model.fitted, atol=1e-6)
    np.testing.assert_allclose(model.leverage, np.diag(hat), rtol=1e-9)
    np.testing.assert_allclose(model.edf, np.trace(hat))
    np.testing.assert_allclose(model.df_resid, N - np.trace(hat))


@pytest.mark.parametrize("kind", ["intercept", "slope", "components"])
@pytest.mark.parametrize("groups", ["own", "across", "some rows", "single rows"])
def test_mixedlm_group_leverage(frame, kind, groups):
    """Share of a group's observed sum in its fitted sum: ``e'He / e'e`` of the dense hat matrix."""
    results = mixed_fit(frame, kind)
    hat = hat_matrix(results)
    rng = np.random.default_rng(52)
    codes = {
        "own": frame["group"].to_numpy(),
        "across": rng.integers(0, 7, N),
        "some rows": np.where(rng.random(N) < 0.6, rng.integers(0, 9, N), -1),
        "single rows": np.arange(N),
    }[groups]
    members = (codes[:, None] == np.arange(codes.max() + 1)).astype(float)
    expected = np.einsum("ig,ij,jg->g", members, hat, members) / members.sum(axis=0)
    np.testing.assert_allclose(as_fitted_model(results).group_leverage(codes), expected, rtol=1e-8)


def test_mixedlm_leverages_equal_those_of_glmmcore(frame):
    """Another fitter's linear algebra, at its own optimum of the same criterion."""
    model = as_fitted_model(mixed_fit(frame, "slope"))
    other = glmm("y ~ x + (x|group)", frame, reml=True)
    for codes in (frame["group"].to_numpy(), np.arange(N)):
        np.testing.assert_allclose(model.group_leverage(codes), other.group_leverage(codes), atol=2e-4)
    np.testing.assert_allclose(model.group_leverage(np.arange(N)), model.leverage, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:.*on the boundary", "ignore:.*did not converge", "ignore:.*optimi")
def test_right_mixedlm_grouped_by_its_own_factor_passes():
    """Sums over the levels of a random effect follow the data; 98 % of right models were overruled for it."""
    rng = np.random.default_rng(53)
    dispersion, failed, n_models = [], 0, 50
    for _ in range(n_models):
        clinic = np.repeat(np.arange(24), 5)
        dose = rng.uniform(0, 3, clinic.size)
        y = 4 - 0.8 * dose + rng.normal(0, 1.2, 24)[clinic] + rng.normal(0, 0.9, clinic.size)
        frame = pd.DataFrame({"y": y, "dose": dose, "clinic": clinic})
        fit = smf.mixedlm("y ~ dose", frame, groups="clinic").fit()
        grouped = simulate_residuals(fit, 200).recalculate(group="clinic")
        dispersion.append(grouped.dispersion_test(null="analytic"))
        failed += bool(grouped.diagnose(n_monte_carlo=0, null="analytic").failed)
    assert dispersion[0].correction == "leverage"
    # the ratio is right on average; 24 groups leave it a standard deviation of about .3
    assert np.mean([d.statistic for d in dispersion]) == pytest.approx(1.0, abs=4 * 0.3 / np.sqrt(n_models))
    assert np.mean([d.pvalue < 0.05 for d in dispersion]) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / n_models)
    assert failed / n_models < 0.05 + 4 * np.sqrt(0.05 * 0.95 / n_models)


@pytest.mark.parametrize("reml", [True, False])
def test_mixedlm_refit_repeats_the_criterion(frame, reml):
    results = mixed_fit(frame, "intercept", reml=reml)
    model = as_fitted_model(results)
    again = model.refit(model.observed)
    np.testing.assert_allclose(again.variance(), model.variance(), rtol=1e-4)
    np.testing.assert_allclose(again.llf, model.llf, rtol=1e-6)
    kind = "REML" if reml else "ML"
    assert kind in model.description.split() or f"{kind}:" in model.description
    assert again.description.split(":")[0] == model.description.split(":")[0]


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.ConvergenceWarning")
@pytest.mark.parametrize("slopes", [False, True])
def test_mixedlm_refits_reach_the_maximum(slopes):
    """Likelihoods by another program: from statsmodels' own start every third of these stops up to 19 below."""
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(20), 10)
    data = pd.DataFrame({"x": rng.normal(size=200), "group": group})
    data["y"] = 0.5 + 0.5 * data["x"] + rng.normal(0, 0.2, 20)[group] + rng.normal(size=200)
    fit = smf.mixedlm("y ~ x", data, groups="group", re_formula="~ x" if slopes else None).fit(reml=False)
    adapted = as_fitted_model(fit)
    for y in adapted.simulate(6, rng=np.random.default_rng(3), random_effects="unconditional"):
        refitted = adapted.refit(y)
        best = glmm("y ~ x + (x|group)" if slopes else "y ~ x + (1|group)", data.assign(y=y)).llf
        assert refitted.llf == pytest.approx(best, abs=0.01)  # it stops .003 short where a correlation is one


@pytest.mark.filterwarnings("ignore:The MLE may be on the boundary")
def test_mixedlm_with_a_zero_variance(frame, assert_law_agrees):
    """statsmodels predicts through an inverse and draws through Cholesky; a zero variance breaks both."""
    results = mixed_fit(frame, "intercept")
    results._results.cov_re = np.zeros((1, 1))
    model = as_fitted_model(results)
    np.testing.assert_allclose(model.fitted, results.predict())
    np.testing.assert_allclose(model.edf, 2)
    # the zero was put there by hand, so a new fit does not find it again
    assert_law_agrees(model, random_effects="unconditional", refit_rtol=np.inf)


def bayes_fit(frame, cls):
    response = "count" if cls is PoissonBayesMixedGLM else "hit"
    frame = frame.assign(hit=(frame["count"] > 2).astype(float))
    return cls.from_formula(f"{response} ~ x", {"group": "0 + C(group)"}, frame).fit_vb()


@pytest.mark.parametrize("cls", [PoissonBayesMixedGLM, BinomialBayesMixedGLM])
@pytest.mark.filterwarnings("ignore:VB fitting did not converge")
def test_bayes_mixed(frame, cls, assert_law_agrees):
    results = bayes_fit(frame, cls)
    model = as_fitted_model(results)
    fixed = results.model.exog @ results.fe_mean
    eta = fixed + results.model.exog_vc @ results.vc_mean
    sd = np.exp(results.vcp_mean[0])
    assert sd > 0.3
    inverse = np.exp if cls is PoissonBayesMixedGLM else special.expit
    np.testing.assert_allclose(model.fitted, inverse(eta))
    assert list(model.data.index) == list(frame.index)
    assert_law_agrees(model)
    # Marginal law by brute force over a fine grid of the random effect.
    grid = np.linspace(-9, 9, 4001)
    weight = np.exp(-(grid**2) / 2)
    weight /= weight.sum()
    means = inverse(fixed[:, None] + sd * grid)
    mean = means @ weight
    spread = (means**2) @ weight - mean**2
    variance = spread + (mean if cls is PoissonBayesMixedGLM else mean - mean**2 - spread)
    np.testing.assert_allclose(model.population_mean(), mean, rtol=1e-6)
    simulated = assert_law_agrees(
        model, random_effects="unconditional", mean=model.population_mean(), variance=variance
    )
    same_group = np.flatnonzero(frame["group"].to_numpy() == 3)[:2]
    assert np.corrcoef(simulated[:, same_group], rowvar=False)[0, 1] > 0.1
