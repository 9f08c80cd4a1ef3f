"""Parameters that are given: equal to offsets and to dense likelihoods, counted as none, without standard errors."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from glmmcore import ModelError, compare, drop_terms, fit_many, glmm, wald_tests
from glmmcore.covariance import OwnScales
from glmmcore.estimation.laplace import LaplaceObjective


@pytest.fixture(scope="module")
def d():
    rng = np.random.default_rng(0)
    n = 200
    g = rng.integers(0, 15, n)
    d = pd.DataFrame({"x": rng.normal(size=n), "w": rng.normal(size=n), "g": g})
    eta = 0.3 + 0.5 * d["x"] - 0.2 * d["w"] + 0.7 * rng.normal(size=15)[g] + 0.3 * rng.normal(size=15)[g] * d["x"]
    d["real"] = eta + rng.normal(size=n)
    d["count"] = rng.poisson(np.exp(eta)) * (rng.random(n) > 0.2)
    d["half"] = 0.5 * d["x"]
    return d


@pytest.mark.parametrize(("family", "y"), [("gaussian", "real"), ("poisson", "count"), ("nbinom2", "count")])
@pytest.mark.parametrize("reml", [False, True])
def test_a_given_coefficient_is_an_offset(d, family, y, reml):
    given = glmm(f"{y} ~ x + w + (1|g)", d, family=family, reml=reml, fixed={"x": 0.5})
    offset = glmm(f"{y} ~ w + offset(half) + (1|g)", d, family=family, reml=reml)
    assert given.llf == pytest.approx(offset.llf, abs=1e-7)
    assert given.df_model == offset.df_model
    assert given.params["x"] == 0.5
    assert np.isnan(given.bse["x"]) and np.isnan(given.pvalues["x"])
    np.testing.assert_allclose(given.params[["Intercept", "w"]], offset.params, rtol=1e-4)
    np.testing.assert_allclose(given.bse[["Intercept", "w"]], offset.bse, rtol=1e-3)
    new = d.head(4).assign(half=lambda t: 0.5 * t["x"])
    one, two = (f.predict(new, level=0.9) for f in (given, offset))
    np.testing.assert_allclose(one, two, rtol=1e-3)
    assert given.conf_int(method="wald").loc["x"].isna().all()
    assert list(wald_tests(given).index) == ["w"]
    assert list(drop_terms(given).index) == ["<none>", "w"]
    np.testing.assert_allclose(given.leverage, offset.leverage, rtol=1e-3, atol=1e-6)


def test_coefficients_of_other_parts(d):
    zi = glmm("count ~ x + (1|g)", d, family="poisson", zi="~ w", fixed={"zi: w": 0.0})
    without = glmm("count ~ x + (1|g)", d, family="poisson", zi="~ 1")
    assert zi.llf == pytest.approx(without.llf, abs=1e-7)
    assert zi.df_model == without.df_model
    disp = glmm("real ~ x", d, disp="~ w", fixed={"disp: w": 0.0, "disp: Intercept": 0.1})
    mean = disp.design.predictors["cond"].X @ disp.params
    assert disp.llf == pytest.approx(stats.norm(mean, np.exp(0.1)).logpdf(d["real"]).sum(), abs=1e-8)
    assert disp.df_model == 2


def test_a_given_standard_deviation_is_the_dense_likelihood(d):
    fit = glmm("real ~ x + (1|g)", d, fixed={"sd(g)": 0.4, "sigma": 1.3})
    v = 0.16 * (d["g"].to_numpy()[:, None] == d["g"].to_numpy()) + 1.69 * np.eye(len(d))
    x = fit.design.predictors["cond"].X
    information = x.T @ np.linalg.solve(v, x)
    beta = np.linalg.solve(information, x.T @ np.linalg.solve(v, d["real"]))
    np.testing.assert_allclose(fit.params, beta, rtol=1e-6)
    np.testing.assert_allclose(fit.cov_params(), np.linalg.inv(information), rtol=1e-4)
    assert fit.llf == pytest.approx(stats.multivariate_normal(x @ beta, v).logpdf(d["real"]), abs=1e-7)
    assert fit.df_model == 2
    assert fit.sigma == pytest.approx(1.3, rel=1e-12)
    assert fit.var_corr["sd"][0] == pytest.approx(0.4, rel=1e-12)
    assert np.isnan(fit.var_corr["se_sd"][0])
    assert fit.conf_int(parameters="random").isna().all(axis=None)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize(("formula", "names"), [("real ~ x + (1|g)", ["sd(g)"]), ("real ~ x + (x|g)", None)])
def test_estimates_that_are_given_change_nothing(d, reml, formula, names):
    """The likelihood at the estimates, by another parametrisation and, for gaussian models, another objective."""
    free = glmm(formula, d, reml=reml)
    columns = free.var_corr
    labels = {"sd(Intercept|g)": columns["sd"][0]}
    if len(columns) > 1:
        labels |= {"sd(x|g)": columns["sd"][1], "corr(Intercept,x|g)": columns["corr_1"][1]}
    held = glmm(formula, d, reml=reml, fixed=labels)
    assert held.llf == pytest.approx(free.llf, abs=1e-7)
    np.testing.assert_allclose(held.params, free.params, rtol=1e-5)
    np.testing.assert_allclose(held.bse, free.bse, rtol=2e-2)  # one knows the variances
    for name, value in labels.items():
        part = glmm(formula, d, reml=reml, fixed={name: value})
        assert part.llf == pytest.approx(free.llf, abs=1e-7)
        assert part.df_model == free.df_model - 1


def test_the_rest_of_the_covariance_is_estimated(d):
    fit = glmm("count ~ x + (x|g)", d, family="poisson", fixed={"sd(x|g)": 0.3})
    table = fit.var_corr
    assert table["sd"][1] == pytest.approx(0.3, rel=1e-10)
    assert np.isnan(table["se_sd"][1]) and np.isfinite(table["se_sd"][0])
    free = glmm("count ~ x + (x|g)", d, family="poisson")
    table = compare(fit, free)
    assert table["df"].tolist() == [4, 5]
    assert table["pvalue"].iloc[1] == pytest.approx(stats.chi2(1).sf(2 * (free.llf - fit.llf)), rel=1e-6)
    again = fit.refit(fit.observed)
    assert again.llf == pytest.approx(fit.llf, abs=1e-7)
    many = fit.refit_many(fit.simulate(3, rng=1, random_effects="unconditional"))
    np.testing.assert_allclose(many.sd["g: x"], 0.3)
    profile = fit.conf_int(method="profile", parameters="random")
    assert profile.loc["sd(x|g)"].isna().all() and profile.loc["sd(Intercept|g)"].notna().all()
    assert fit.random_effects_se["g"].notna().all(axis=None)


def test_summary_says_what_was_given(d):
    fit = glmm("count ~ x + (1|g)", d, family="poisson", fixed={"x": 0.5, "sd(g)": 0.0})
    assert "Given, not estimated: x = 0.5, sd(g) = 0" in fit.summary()
    assert fit.verdict == []
    plain = glmm("count ~ offset(half)", d, family="poisson")
    assert fit.llf == pytest.approx(plain.llf, abs=1e-8)


def test_many_responses(d):
    y = d[["count"]].assign(other=d["count"].to_numpy()[::-1])
    many = fit_many("~ x + (1|g)", d, family="poisson", responses=y, fixed={"sd(g)": 0.4})
    one = glmm("count ~ x + (1|g)", d, family="poisson", fixed={"sd(g)": 0.4})
    assert many.llf["count"] == pytest.approx(one.llf, abs=1e-7)
    np.testing.assert_allclose(many.params.loc["count"], one.params, rtol=1e-4)
    np.testing.assert_allclose(many.bse.loc["count"], one.bse, rtol=1e-3)
    np.testing.assert_allclose(many.sd, 0.4)
    names = np.unique(d["g"])
    known = {"g": pd.DataFrame(0.5 + 0.5 * np.eye(len(names)), index=names, columns=names)}
    many = fit_many("~ x + (1|g)", d, family="poisson", responses=y, known=known)
    assert many.llf["count"] == pytest.approx(glmm("count ~ x + (1|g)", d, family="poisson", known=known).llf, abs=1e-7)


def test_own_scales_gradient():
    rng = np.random.default_rng(3)
    for k in (1, 2, 4):
        structure = OwnScales(k)
        theta, weights = rng.normal(size=structure.size), rng.normal(size=(k, k))
        numeric = [
            np.sum(np.tril(weights) * (structure.factor(theta + e) - structure.factor(theta - e))) / 2e-6
            for e in 1e-6 * np.eye(structure.size)
        ]
        np.testing.assert_allclose(structure.gradient(theta, weights), numeric, rtol=1e-7, atol=1e-8)
        sd = np.exp(theta[:k])
        np.testing.assert_allclose(np.sqrt(np.square(structure.factor(theta)).sum(axis=1)), sd)


def test_gradient_of_the_parameters_that_are_left(d):
    fit = glmm("count ~ x + w + (x|g)", d, family="poisson", fixed={"sd(x|g)": 0.3, "w": -0.2})
    problem, x = fit.estimator.problem, fit.solution.x
    gradient = LaplaceObjective(problem)(x)[1]
    assert np.abs(gradient[problem.free]).max() < 1e-4
    assert np.abs(gradient[~problem.free]).max() > 1e-2


def test_starts_lead_to_the_same_estimates(d):
    start = {"x": -1.0, "sd(g)": 2.0, "sigma": 3.0}
    for reml in (False, True):
        one, two = glmm("real ~ x + (1|g)", d, reml=reml), glmm("real ~ x + (1|g)", d, reml=reml, start=start)
        assert two.llf == pytest.approx(one.llf, abs=1e-8)
    start = {"x": -1.0, "sd(Intercept|g)": 2.0, "zi: w": 1.0}
    options = {"family": "nbinom2", "zi": "~ w"}
    one, two = glmm("count ~ x + (x|g)", d, **options), glmm("count ~ x + (1|g)", d, **options, start=start)
    assert two.llf == pytest.approx(glmm("count ~ x + (1|g)", d, **options).llf, abs=1e-7)


@pytest.mark.parametrize(
    ("fixed", "words"),
    [
        ({"z": 1.0}, "no 'z'; it has"),
        ({"sd(h)": 1.0}, r"no 'sd\(h\)'"),
        ({"sd(g)": 1.0}, r"no 'sd\(g\)'; it has .*sd\(Intercept\|g\)"),
        ({"sd(x|g)": -1.0}, "between 0 and inf"),
        ({"corr(Intercept,x|g)": 1.5}, "between -1 and 1"),
        ({"x": np.nan}, "finite number"),
        ({"x": "1"}, "finite number"),
        ({"x": 1e101}, "at most 1e\\+100"),
        ({"x": -(10**400)}, "at most 1e\\+100"),
        ({"sigma": 1.0}, "no 'sigma'"),
        ([("x", 1.0)], "takes a dict"),
    ],
)
def test_what_cannot_be_given_is_said(d, fixed, words):
    for argument in ("fixed", "start"):
        with pytest.raises(ModelError, match=words):
            glmm("count ~ x + (x|g)", d, family="poisson", **{argument: fixed})
