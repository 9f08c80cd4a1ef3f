"""What else a fit can be asked: residuals, variance explained, copies, subsets."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import special

from glmmcore import ModelError, glmm
from glmmcore.families import FAMILIES, get_family


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(10)
    g = np.repeat(np.arange(20), 6)
    d = pd.DataFrame({"g": [f"g{i:02d}" for i in g], "h": rng.choice(list("pqrs"), 120), "x": rng.normal(size=120)})
    d["f"] = rng.choice(["u", "v", "w"], 120)
    eta = 0.6 + 0.4 * d["x"] + rng.normal(0.0, 0.6, 20)[g]
    d["count"] = rng.poisson(np.exp(eta))
    d["value"] = eta + rng.normal(size=120)
    d["positive"] = rng.gamma(3.0, np.exp(eta) / 3.0)
    d["n"] = 5
    d["k"] = rng.binomial(5, special.expit(eta))
    return d.set_index(pd.Index([f"r{i}" for i in range(120)]))


@pytest.fixture(scope="module")
def counts(data):
    return glmm("count ~ x + f + (x|g) + (1|h)", data, family="poisson")


# ---- copies ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("again", [lambda fit: pickle.loads(pickle.dumps(fit)), copy.deepcopy, copy.copy])
@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("count ~ bs(x, df=4) + f + (x|g) + (1|h)", {"family": "poisson"}),
        ("value ~ x + (x|g)", {"reml": True}),
        ("cbind(k, n - k) ~ x + (1|g)", {"family": "binomial", "link": "cloglog", "n_agq": 5}),
        ("count ~ x", {"family": "nbinom2", "zi": "~ 1"}),
    ],
)
def test_copies_answer_alike(data, formula, options, again):
    fit = glmm(formula, data, **options)
    other = again(fit)
    assert other.llf == fit.llf
    assert other.params.equals(fit.params)
    new = data.iloc[[3, 50]]
    assert np.allclose(other.predict(new, se=True), fit.predict(new, se=True), rtol=1e-12)
    assert np.array_equal(
        other.simulate(2, rng=1, random_effects="unconditional"), fit.simulate(2, rng=1, random_effects="unconditional")
    )
    assert other.refit(fit.observed).llf == pytest.approx(fit.llf, abs=1e-8)
    assert str(other.summary()) == str(fit.summary())


def test_pickles_leave_the_memory_of_the_linear_algebra_behind(data):
    large = pd.concat([data.assign(g=data["g"] + str(i)) for i in range(30)], ignore_index=True)
    fit = glmm("value ~ x + (1|g)", large)
    # the data (3 columns), design and fitted values of 3600 rows, not the system: 100 bytes a row and some
    assert len(pickle.dumps(fit)) < 3600 * 250


@pytest.mark.parametrize("name", FAMILIES)
def test_families_pickle(name):
    family = get_family(name)
    assert pickle.loads(pickle.dumps(family)).link is family.link


# ---- subsets -----------------------------------------------------------------------------------------
def test_subset_equals_a_fit_to_these_rows(data, counts):
    keep = (data["g"] != "g03").to_numpy() & (data["f"] != "w").to_numpy()
    some = counts.refit(rows=keep)
    other = glmm("count ~ x + f + (x|g) + (1|h)", data[keep], family="poisson")
    assert some.llf == pytest.approx(other.llf, abs=1e-7)
    assert some.params.index.tolist() == other.params.index.tolist()
    assert np.allclose(some.params, other.params, atol=1e-6)
    assert some.data.index.equals(other.data.index)
    assert some.random_effects["g"].index.tolist() == other.random_effects["g"].index.tolist()
    # new data find the right levels, and those that were left out are new
    new = data[keep].iloc[[0, 60]]
    assert np.allclose(some.predict(new), other.predict(new), atol=1e-6)
    with pytest.raises(ModelError, match=r"has not seen.*new_levels='zero'.*'none'.*random_effects='average'"):
        some.predict(data[(data["g"] == "g03") & (data["f"] != "w")].iloc[:1])


def test_subset_by_position_with_another_response(data, counts):
    rows = np.arange(0, 120, 2)
    y = counts.observed + 1.0
    some = counts.refit(y, rows=rows)
    assert np.array_equal(some.observed, y[rows])
    again = pickle.loads(pickle.dumps(some))
    assert np.allclose(again.predict(data.iloc[:3]), some.predict(data.iloc[:3]))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones(7, dtype=bool), "shape"),
        ([500], "positions below 120"),
        (["a"], "mask of length 120"),
        (np.zeros(120, dtype=bool), "no row"),
        (np.arange(6), "only one level"),
    ],
)
def test_wrong_rows(counts, rows, message):
    with pytest.raises(ModelError, match=message):
        counts.refit(rows=rows)


def test_refit_needs_something(counts):
    with pytest.raises(ModelError, match="give a response y, or rows"):
        counts.refit()


# ---- residuals ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("formula", "family", "sm_family"),
    [
        ("count ~ x + f", "poisson", "Poisson"),
        ("positive ~ x + f", "gamma", "Gamma"),
        ("value ~ x + f", "gaussian", "Gaussian"),
        ("I(count > 1) ~ x + f", "binomial", "Binomial"),
    ],
)
def test_residuals_agree_with_statsmodels(data, formula, family, sm_family):
    import statsmodels.api as sm

    data = data.assign(**{"above": (data["count"] > 1).astype(float)})
    formula = formula.replace("I(count > 1)", "above")
    fit = glmm(formula, data, family=family)
    link = {"gamma": sm.families.links.Log()}.get(family)
    law = getattr(sm.families, sm_family)
    reference = sm.GLM(fit.observed, fit.design.predictors["cond"].X, family=law(link) if link else law()).fit(
        tol=1e-12
    )
    for kind, name in (("response", "resid_response"), ("deviance", "resid_deviance"), ("working", "resid_working")):
        found = fit.residuals(kind)
        assert found.index.equals(data.index)
        assert np.allclose(found, getattr(reference, name), rtol=1e-5, atol=1e-5), kind
    # ours are divided by the standard deviation, the dispersion included
    scale = np.asarray(fit.residuals("pearson") / reference.resid_pearson)
    assert np.allclose(scale, scale[0], rtol=1e-4)


def test_deviance_residuals_of_counts_in_the_limit(data):
    # nbinom2 tends to poisson as its dispersion grows
    y = data["count"]
    fit = glmm("count ~ x + (1|g)", data, family="poisson")
    expected = np.sign(y - fit.fitted) * np.sqrt(2.0 * (special.xlogy(y, y / fit.fitted) - (y - fit.fitted)))
    assert np.allclose(fit.residuals("deviance"), expected)


def test_negative_binomial_deviance_residuals_equal_statsmodels(data):
    import statsmodels.api as sm

    rng = np.random.default_rng(2)
    d = data.assign(count=rng.negative_binomial(2, 2 / (2 + np.exp(1.0 + 0.5 * data["x"]))))
    fit = glmm("count ~ x", d, family="nbinom2")
    law = sm.families.NegativeBinomial(alpha=1 / fit.sigma)
    reference = sm.GLM(d["count"], sm.add_constant(d["x"]), family=law).fit(tol=1e-12)
    assert np.allclose(fit.residuals("deviance"), reference.resid_deviance, rtol=1e-5, atol=1e-5)


def test_residuals_that_do_not_exist(data):
    with pytest.raises(ModelError, match="not defined for family 'nbinom1'"):
        glmm("count ~ x", data, family="nbinom1").residuals("deviance")
    with pytest.raises(ModelError, match="zero-inflated"):
        glmm("count ~ x", data, family="poisson", zi="~ 1").residuals("deviance")
    with pytest.raises(ModelError, match="kind must be one of"):
        glmm("count ~ x", data, family="poisson").residuals("partial")


def test_to_frame_has_a_row_for_each_observation(data):
    fit = glmm("cbind(k, n - k) ~ x + (1|g)", data, family="binomial")
    frame = fit.to_frame()
    assert frame.index.equals(data.index)
    assert np.allclose(frame["observed"] - frame["fitted"], frame["resid_response"])
    assert np.allclose(frame["resid_pearson"] * frame["sd"], frame["resid_response"])
    assert np.allclose(frame["trials"], 5.0)
    assert fit.model_frame is fit.data


def test_caterpillar_table(counts):
    table = counts.random_effects_frame(0.9)
    part = table[(table["group"] == "g") & (table["term"] == "x")]
    assert part["mode"].is_monotonic_increasing
    first = part.iloc[0]
    assert first["mode"] == counts.random_effects["g"].loc[first["level"], "x"]
    assert first["upper"] - first["mode"] == pytest.approx(
        1.6448536 * counts.random_effects_sd["g"].loc[first["level"], "x"]
    )
    assert len(table) == 2 * 20 + 4


# ---- variance explained ------------------------------------------------------------------------------
def test_r2_and_icc_of_a_linear_model_by_hand(data):
    fit = glmm("value ~ x + (1|g)", data)
    fixed = np.var(fit.params["x"] * data["x"], ddof=1)
    between, within = fit.var_corr["sd"].iloc[0] ** 2, fit.sigma**2
    r2 = fit.r2()
    assert r2["marginal"] == pytest.approx(fixed / (fixed + between + within))
    assert r2["conditional"] == pytest.approx((fixed + between) / (fixed + between + within))
    assert fit.icc()["g"] == pytest.approx(between / (between + within))
    assert fit.icc()["total"] == fit.icc()["g"]


def test_random_slopes_count_with_their_average(data):
    fit = glmm("value ~ x + (x||g)", data)
    sd = fit.var_corr.set_index("term")["sd"]
    random = sd["Intercept"] ** 2 + sd["x"] ** 2 * np.mean(data["x"] ** 2)
    assert fit.icc()["g"] == pytest.approx(random / (random + fit.sigma**2))


def test_r2_on_the_latent_scale_of_a_logit(data):
    fit = glmm("cbind(k, n - k) ~ x + (1|g)", data, family="binomial")
    fixed = np.var(fit.params["x"] * data["x"], ddof=1)
    between = fit.var_corr["sd"].iloc[0] ** 2
    assert fit.r2()["marginal"] == pytest.approx(fixed / (fixed + between + np.pi**2 / 3.0))


def test_r2_of_counts_uses_the_average_response(data):
    fit = glmm("count ~ x + (1|g)", data, family="poisson")
    fixed = np.var(fit.params["x"] * data["x"], ddof=1)
    between = fit.var_corr["sd"].iloc[0] ** 2
    mean = fit.population_mean().mean()
    # variance of a Poisson count over its squared mean is 1 / mean
    assert fit.r2()["marginal"] == pytest.approx(fixed / (fixed + between + np.log1p(1.0 / mean)))


def test_variance_explained_that_is_not_defined(data):
    with pytest.raises(ModelError, match="no random effects"):
        glmm("value ~ x", data).icc()
    with pytest.raises(ModelError, match="betabinomial"):
        glmm("cbind(k, n - k) ~ x", data, family="betabinomial").r2()
