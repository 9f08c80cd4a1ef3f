"""t tests, limits and other covariances wherever coefficients and means are judged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from glmmcore import ModelError, glmm, marginal_means, slopes, wald_tests

# lmerTest 3.1-3: summary(lmer(strength ~ cask + (1|batch/cask), Pastes)), rows cask[T.b] and cask[T.c]
PASTES_DF, PASTES_P = [25.9486079, 18.0001921, 18.0001921], [7.38792432e-29, 0.538251456, 0.306771775]


@pytest.fixture
def pastes(reference_data):
    return glmm("strength ~ cask + (1|batch/cask)", reference_data("pastes"), reml=True)


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(31)
    g = np.repeat(np.arange(24), 8)
    d = pd.DataFrame({"g": g, "c": g // 2, "x": rng.normal(size=192), "t": np.tile(list("ab"), 96)})
    mean = np.exp(0.8 + 0.3 * d["x"] + rng.normal(0, 0.6, 24)[g])
    d["y"] = rng.poisson(mean) * (rng.random(192) > 0.2)
    return d


def test_reml_fits_have_the_t_tests_of_lmertest_everywhere(pastes):
    table = pastes.summary().tables["Conditional model"]
    assert list(table) == ["estimate", "se", "df", "statistic", "pvalue"]
    assert np.allclose(table["df"], PASTES_DF, rtol=1e-4)
    assert np.allclose(table["pvalue"], PASTES_P, rtol=1e-3)
    assert np.allclose(pastes.pvalues, PASTES_P, rtol=1e-3)
    assert "Satterthwaite" in pastes.summary()
    assert "Pr(>|t|)" in pastes.summary()
    half = stats.t.ppf(0.975, PASTES_DF) * pastes.bse
    limits = pastes.conf_int()
    assert np.allclose(limits["upper"] - limits["lower"], 2 * half, rtol=1e-4)
    means = marginal_means(pastes, "cask")
    assert np.isfinite(means["df"]).all()
    assert marginal_means(pastes, "cask", df="satterthwaite").equals(means)
    there = pastes.predict({"cask": list("abc")}, random_effects="none", level=0.95)
    assert np.allclose(there, means[["estimate", "se", "lower", "upper"]], rtol=1e-10)
    assert wald_tests(pastes).loc["cask", "df_resid"] == pytest.approx(18.00019, rel=1e-4)


def test_others_have_z_tests(counts):
    fits = [glmm("y ~ x + (1|g)", counts), glmm("y ~ x + (1|g)", counts, "poisson", reml=True)]
    for fit in fits:
        table = fit.summary().tables["Conditional model"]
        assert list(table) == ["estimate", "se", "statistic", "pvalue"]
        assert np.allclose(table["pvalue"], 2 * stats.norm.sf(np.abs(fit.params / fit.bse)))
        assert np.isinf(fit.df_params).all()
        assert list(wald_tests(fit)) == ["chisq", "df", "pvalue"]


def test_words_and_numbers_of_df(pastes):
    plain = pastes.coefficient_table(df="normal")
    assert np.allclose(plain["pvalue"], 2 * stats.norm.sf(np.abs(plain["statistic"])))
    ten = pastes.coefficient_table(df=10)
    assert np.allclose(ten["pvalue"], 2 * stats.t.sf(np.abs(ten["statistic"]), 10))
    assert "10 degrees of freedom" in pastes.summary(df=10)
    for cov, df in (("kenward-roger", "auto"), (None, "kenward-roger"), ("kenward-roger", "kenward-roger")):
        table = pastes.coefficient_table(df=df, cov=cov)
        assert np.allclose(table["se"], np.sqrt(np.diag(pastes.cov_params("kenward-roger"))))
        # balanced: exact tests have 18 degrees of freedom
        assert table["df"].iloc[1] == pytest.approx(18.0, rel=1e-4)
        assert np.allclose(pastes.conf_int(df=df, cov=cov).mean(axis=1), pastes.params)
    assert "Kenward and Roger" in pastes.summary(cov="kenward-roger")


@pytest.mark.parametrize("df", ["welch", -1.0, True, 0])
def test_other_df_are_refused(pastes, df):
    for call in (pastes.summary, pastes.conf_int, lambda **o: marginal_means(pastes, "cask", **o)):
        with pytest.raises(ModelError, match="df must be"):
            call(df=df)


def test_rules_of_the_model_do_not_go_with_another_covariance(pastes):
    cov = pastes.cov_params("sandwich", cluster="batch")
    with pytest.raises(ModelError, match="belongs to the model's own covariance"):
        pastes.coefficient_table(df="satterthwaite", cov=cov)
    with pytest.raises(ModelError, match="fixed effects only"):
        pastes.cov_params("kenward-roger", parameters="all")
    with pytest.raises(ModelError, match="method='wald'"):
        pastes.conf_int(method="profile", cov=cov)


# ---- robust covariances wherever there are standard errors --------------------------------------------
def test_robust_covariance_is_taken_everywhere(counts):
    fit = glmm("y ~ x + t + (1|g)", counts, "poisson")
    cov = fit.cov_params("sandwich", cluster="c")
    se = np.sqrt(np.diag(cov))
    table = fit.summary(cov=cov).tables["Conditional model"]
    assert np.allclose(table["se"], se)
    assert np.allclose(table["pvalue"], 2 * stats.norm.sf(np.abs(fit.params / se)))
    eleven = fit.conf_int(cov=cov.iloc[::-1, ::-1], df=11)
    assert np.allclose(eleven["upper"] - fit.params, stats.t.ppf(0.975, 11) * se)
    assert np.allclose(np.log(fit.exp_table(cov=cov)["upper"]), fit.params[1:] + stats.norm.ppf(0.975) * se[1:])
    row = np.array([1.0, 2.0, 0.0])
    there = fit.predict({"x": [2.0], "t": ["a"]}, kind="link", random_effects="none", se=True, cov=cov)
    assert there["se"].iloc[0] == pytest.approx(np.sqrt(row @ cov.to_numpy() @ row))
    slope = slopes(fit, "x", cov=cov)
    assert slope["se"].iloc[0] == pytest.approx(se[1])
    with pytest.raises(ModelError, match="single groups"):
        fit.predict(se=True, cov=cov)
    with pytest.raises(ModelError, match="parameters='all'"):
        marginal_means(fit, "t", kind="response", random_effects="average", cov=cov)


def test_words_of_robust_covariances(counts):
    fit = glmm("y ~ x + t", counts, "poisson", zi="~ x")
    everything = fit.cov_params("HC1", parameters="all")
    for part, errors in (("cond", fit.bse), ("zi", fit.zi_bse)):
        found = fit.coefficient_table(part, cov="HC1")["se"]
        assert np.allclose(found, np.sqrt(np.diag(everything.loc[part, part])))
        assert not np.allclose(found, errors, rtol=1e-3)
    by_word = marginal_means(fit, "t", kind="response", cov="HC1")
    assert np.allclose(by_word["se"], marginal_means(fit, "t", kind="response", cov=everything)["se"])
    assert wald_tests(fit, "zi", cov="HC1").loc["x", "chisq"] == pytest.approx(
        fit.zi_params["x"] ** 2 / everything.loc[("zi", "x"), ("zi", "x")]
    )
    with pytest.raises(ModelError, match="sandwich"):
        fit.summary(cov="sandwich")


# ---- covariance of all parameters ----------------------------------------------------------------------
ALL = [
    ("y ~ x + t + (1|g)", {"family": "poisson"}),
    ("y ~ x + t + (x|g)", {"family": "nbinom2"}),
    ("y ~ x + t + (1|g)", {"family": "poisson", "zi": "~ x"}),
    ("y ~ x + t + (1|g)", {"family": "poisson", "reml": True}),
    ("y ~ x + t + (x|g)", {"reml": True}),
    ("y ~ x + t + (1|g)", {}),
    ("y ~ x", {"family": "nbinom1", "disp": "~ t"}),
]


@pytest.mark.parametrize(("formula", "options"), ALL)
def test_covariance_of_all_parameters_has_the_errors_shown_elsewhere(counts, formula, options):
    fit = glmm(formula, counts, **options)
    cov = fit.cov_params(parameters="all")
    error = pd.Series(np.sqrt(np.diag(cov)), index=cov.index)
    # integrated coefficients (REML): two differences of the modes, one of which is one-sided
    assert np.allclose(error["cond"], fit.bse, rtol=1e-4 if fit.reml else 1e-6)
    for part, known in (("zi", fit.zi_bse), ("disp", fit.disp_bse)):
        if len(known):
            assert np.allclose(error[part], known, rtol=1e-6)
    shown = fit.var_corr
    own = [shown[name].dropna().to_numpy() for name in shown if name.startswith("se_")]
    if own:
        assert np.allclose(np.sort(error["random"].dropna()), np.sort(np.concatenate(own)), rtol=1e-5)
    error = error.dropna()  # a correlation of one has none
    cov = cov.loc[error.index, error.index]
    assert np.allclose(cov, cov.T)
    assert np.linalg.eigvalsh(cov / np.outer(error, error))[0] > -1e-8


@pytest.mark.parametrize(("formula", "options"), ALL[:3])
def test_averaged_means_from_the_covariance_of_all_parameters(counts, formula, options):
    """The model's own covariance, handed over, gives the standard errors that it has anyway."""
    fit = glmm(formula, counts, **options)
    asked = {"kind": "response", "random_effects": "average"}
    own = marginal_means(fit, "t", **asked)
    assert np.allclose(marginal_means(fit, "t", cov=fit.cov_params(parameters="all"), **asked), own, rtol=1e-6)
    pair = {"contrasts": "pairwise", "scale": "difference"}
    robust = fit.cov_params("sandwich", cluster="c", parameters="all")
    means, difference = (marginal_means(fit, "t", cov=robust, **asked, **more) for more in ({}, pair))
    assert np.all(means["se"] > 0)
    assert difference["se"].iloc[0] < means["se"].sum()


def test_robust_errors_of_averaged_means_against_the_jackknife():
    """Leaving out one cluster at a time is another estimate of the same variance; it is somewhat larger."""
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(60), 5)
    d = pd.DataFrame({"g": g, "t": np.where(g % 2, "b", "a")})
    d["y"] = rng.poisson(np.exp(0.5 + 0.4 * (g % 2) + rng.standard_t(4, 60)[g] * 0.5))
    asked = {"kind": "response", "random_effects": "average"}
    fit = glmm("y ~ t + (1|g)", d, "poisson")
    cov = fit.cov_params("sandwich", cluster="g", parameters="all")
    found = marginal_means(fit, "t", cov=cov, **asked)["se"].to_numpy()
    left = [fit.refit(rows=(g != k)) for k in range(60)]
    means = np.array([marginal_means(one, "t", **asked)["estimate"] for one in left])
    jackknife = np.sqrt(59 / 60 * np.square(means - means.mean(axis=0)).sum(axis=0))
    # corrections of order 1 / 60 and the curvature of the estimator
    assert np.all((found / jackknife > 0.85) & (found / jackknife < 1.02))


def test_a_vanishing_variance_is_said_not_guessed(counts):
    rng = np.random.default_rng(3)
    d = counts.assign(y=rng.poisson(np.exp(0.5 + 0.2 * counts["x"])))
    d.loc[:, "y"] = np.maximum(d["y"] - (np.arange(192) % 8 == 0), 0)
    fit = glmm("y ~ x + t + (1|g)", d, "poisson")
    assert fit.singular
    cov = fit.cov_params(parameters="all")
    assert cov.loc["random"].isna().all(axis=None)
    assert np.isfinite(cov.loc["cond", "cond"]).all(axis=None)


def test_ratios_that_the_data_do_not_bound_are_named():
    """Odds of an empty cell: 2058587671.6 beside limits of 0 and infinity, and no word on it."""
    d = pd.DataFrame({"k": [0, 4, 3], "n": [20, 20, 20], "t": list("abc"), "x": [1.0, 2.0, 4.0]})
    table = glmm("cbind(k, n - k) ~ t", d, family="binomial").odds_ratios()
    assert np.isinf(table["upper"]).all()
    assert repr(table).splitlines()[-1].startswith("The data do not bound t[T.b], t[T.c]: ")
    bounded = glmm("cbind(k, n - k) ~ t", d.assign(k=[1, 4, 3]), family="binomial").odds_ratios()
    assert not bounded.attrs.get("notes")
