"""Confidence intervals against R's confint, closed forms and each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from glmmcore import ModelError, glmm
from glmmcore.estimation.assemble import build_problem
from glmmcore.estimation.estimator import Estimator
from glmmcore.fitted import FittedGLMM


def simulated(seed: int = 5, sd: float = 0.6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(20), 6)
    d = pd.DataFrame({"g": [f"g{i:02d}" for i in g], "x": rng.normal(size=120)})
    eta = 0.8 + 0.5 * d["x"] + rng.normal(0.0, 1.0, 20)[g] * sd
    d["y"] = rng.poisson(np.exp(eta))
    d["z"] = eta + rng.normal(0.0, 0.5, 120)
    return d


# ---- R -----------------------------------------------------------------------------------------------
def test_profiles_of_sleepstudy_agree_with_lme4(reference_data):
    # confint(lmer(Reaction ~ Days + (Days|Subject), sleepstudy), oldNames = FALSE); REML = FALSE gives the same
    expected = {
        "sd(Intercept|Subject)": (14.38141816, 37.71599532),
        "corr(Intercept,Days|Subject)": (-0.48150076, 0.68498627),
        "sd(Days|Subject)": (3.80116405, 8.75338075),
        "sigma": (22.89826688, 28.85799651),
        "Intercept": (237.68069551, 265.12951467),
        "Days": (7.35865328, 13.57591875),
    }
    s = reference_data("sleepstudy")
    found = glmm("Reaction ~ Days + (Days|Subject)", s, reml=True).conf_int(method="profile", parameters="all")
    for name, limits in expected.items():
        assert np.allclose(found.xs(name, level="parameter"), [limits], rtol=1e-4, atol=1e-4), name


def test_profiles_of_independent_slopes_agree_with_lme4(reference_data):
    # confint(lmer(Reaction ~ Days + (Days||Subject), sleepstudy, REML = FALSE), oldNames = FALSE)
    s = reference_data("sleepstudy")
    fit = glmm("Reaction ~ Days + (Days||Subject)", s)
    random = fit.conf_int(method="profile", parameters="random")
    expected = [[15.25864617, 37.78646394], [3.96407437, 8.76916043], [22.88055468, 28.78759756]]
    assert random.index.tolist() == ["sd(Intercept|Subject)", "sd(Days|Subject)", "sigma"]
    assert np.allclose(random, expected, rtol=1e-4)
    fixed = fit.conf_int(method="profile")
    assert np.allclose(fixed, [[237.572148, 265.23806177], [7.33406683, 13.60050511]], rtol=1e-5)


def test_profiles_of_crossed_terms_agree_with_lme4(reference_data):
    # confint(lmer(diameter ~ 1 + (1|plate) + (1|sample), Penicillin, REML = FALSE), oldNames = FALSE)
    fit = glmm("diameter ~ 1 + (1|plate) + (1|sample)", reference_data("penicillin"))
    found = fit.conf_int(method="profile", parameters="all")
    expected = {
        "sd(Intercept|plate)": (0.633565966, 1.182103985),
        "sd(Intercept|sample)": (1.095789397, 3.556291778),
        "sigma": (0.485845400, 0.629453479),
        "Intercept": (21.266627383, 24.677817616),
    }
    for name, limits in expected.items():
        assert np.allclose(found.xs(name, level="parameter"), [limits], rtol=1e-4), name


def test_profiles_of_cbpp_agree_with_glmmtmb(reference_data):
    # confint(glmmTMB(cbind(incidence, size - incidence) ~ period + (1|herd), binomial), method = "profile")
    fit = glmm(
        "cbind(incidence, size - incidence) ~ period + (1|herd)", reference_data("cbpp", "period"), family="binomial"
    )
    expected = [
        [-1.9012409, -0.94778676],
        [-1.6167692, -0.40777566],
        [-1.8010156, -0.51154789],
        [-2.5008518, -0.80075734],
    ]
    assert np.allclose(fit.conf_int(method="profile"), expected, atol=2e-4)
    # exp() of the limits of theta
    assert np.allclose(fit.conf_int(method="profile", parameters="random"), [[0.34605299, 1.0999577]], rtol=2e-4)
    # confint(fit)
    wald = fit.conf_int(parameters="random")
    assert np.allclose(wald, [[0.37244322, 1.10755154]], rtol=2e-4)


def test_standard_errors_of_variances_agree_with_glmmtmb(reference_data):
    # sqrt(diag(vcov(glmmTMB(Reaction ~ Days + (Days|Subject)), full = TRUE)): log SDs 0.234535, 0.207645,
    # theta 0.326739 with rho = theta / sqrt(1 + theta^2)
    table = glmm("Reaction ~ Days + (Days|Subject)", reference_data("sleepstudy")).var_corr
    assert np.allclose(table["se_sd"] / table["sd"], [0.234535003, 0.207644834], rtol=1e-3)
    rho = table["corr_1"].iloc[1]
    assert table["se_corr_1"].iloc[1] == pytest.approx(0.326739143 * (1.0 - rho**2) ** 1.5, rel=1e-3)


# ---- closed forms and consistency ----------------------------------------------------------------------
def test_profile_of_a_poisson_mean_solves_the_deviance_equation():
    y = np.array([3, 5, 2, 8, 4])
    fit = glmm("y ~ 1", {"y": y}, family="poisson")
    total, n = y.sum(), len(y)

    def root_deviance(log_mean: float) -> float:
        return 2.0 * (total * np.log(total / n) - total - total * log_mean + n * np.exp(log_mean)) - stats.chi2.ppf(
            0.9, 1
        )

    centre = np.log(total / n)
    expected = [
        optimize.brentq(root_deviance, centre - 3.0, centre),
        optimize.brentq(root_deviance, centre, centre + 3.0),
    ]
    assert np.allclose(fit.conf_int(0.1, "profile"), [expected], atol=1e-6)


def test_profile_of_sigma_without_random_effects_solves_its_equation():
    rng = np.random.default_rng(8)
    d = pd.DataFrame({"y": rng.normal(size=30)})
    fit = glmm("y ~ 1", d)
    n, s2 = 30, fit.sigma**2

    def fall(log_sigma: float) -> float:
        return n * (2.0 * log_sigma + s2 * np.exp(-2.0 * log_sigma) - np.log(s2) - 1.0) - stats.chi2.ppf(0.95, 1)

    centre = np.log(fit.sigma)
    expected = np.exp([optimize.brentq(fall, centre - 2.0, centre), optimize.brentq(fall, centre, centre + 2.0)])
    assert np.allclose(fit.conf_int(method="profile", parameters="random"), [expected], rtol=1e-6)


def test_standard_errors_of_variances_do_not_depend_on_profiling():
    fit = glmm("z ~ x + (x|g)", simulated())
    estimator = Estimator(fit.design, fit.family, False, build_problem(fit.design, fit.family), False)
    general = FittedGLMM(estimator, estimator.fit())
    columns = ["sd", "se_sd", "se_corr_1"]
    assert np.allclose(fit.var_corr[columns], general.var_corr[columns], rtol=2e-3, equal_nan=True)
    assert np.allclose(fit.conf_int(parameters="random"), general.conf_int(parameters="random"), rtol=2e-3)


def test_a_variance_of_zero_has_a_profile_but_no_wald_interval():
    d = simulated(seed=3, sd=0.0)
    fit = glmm("y ~ x + (1|g)", d, family="poisson")
    assert fit.singular
    assert fit.conf_int(parameters="random").isna().all(axis=None)
    lower, upper = fit.conf_int(method="profile", parameters="random").iloc[0]
    assert lower == 0.0
    # twice the fall of the log-likelihood, maximised over the coefficients with the standard deviation held there
    objective = fit.estimator.objective()
    term = fit.estimator.problem.terms[0]
    theta = upper / abs(term.back[0, 0])

    def held(beta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = objective(np.append(beta, theta))
        return value, gradient[:-1]

    best = optimize.minimize(held, fit.solution.x[:-1], jac=True, method="BFGS", options={"gtol": 1e-8}).fun
    assert 2.0 * (best + fit.llf) == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-4)


def test_profile_of_an_unbounded_coefficient_is_one_sided():
    d = pd.DataFrame({"y": [0] * 8 + [1, 0, 1, 1, 0, 1, 0, 1], "t": ["none"] * 8 + ["some"] * 8})
    found = glmm("y ~ t", d, family="binomial").conf_int(method="profile")
    assert found.loc["Intercept", "lower"] == -np.inf
    assert found.loc["t[T.some]", "upper"] == np.inf
    # 8 failures: 2 * 8 * log(1 + exp(b)) = 3.84
    expected = np.log(np.expm1(stats.chi2.ppf(0.95, 1) / 16.0))
    assert found.loc["Intercept", "upper"] == pytest.approx(expected, abs=1e-3)


def test_methods_agree_in_a_large_regular_model():
    rng = np.random.default_rng(2)
    d = pd.DataFrame({"x": rng.normal(size=4000)})
    d["y"] = rng.poisson(np.exp(0.3 + 0.2 * d["x"]))
    fit = glmm("y ~ x", d, family="poisson")
    wald, profile = fit.conf_int(), fit.conf_int(method="profile")
    assert np.allclose(wald, profile, atol=2e-4)
    bootstrap = fit.conf_int(method="bootstrap", n_sims=400, rng=1)
    # Monte Carlo error of a 2.5 % quantile of 400: about 0.13 standard errors; four of them
    assert np.all(np.abs(bootstrap - wald).to_numpy() < 0.5 * fit.bse.to_numpy()[:, None])


def test_bootstrap_depends_on_the_seed_alone_and_covers_variances():
    d = simulated()
    fit = glmm("z ~ x + (1|g)", d)
    first = fit.conf_int(0.5, "bootstrap", parameters="random", n_sims=60, rng=4)
    assert first.equals(fit.conf_int(0.5, "bootstrap", parameters="random", n_sims=60, rng=4))
    assert first.index.tolist() == ["sd(Intercept|g)", "sigma"]
    assert (first["lower"] < first["upper"]).all()
    assert first.loc["sigma", "lower"] < fit.sigma < first.loc["sigma", "upper"]


def test_all_parameters_in_one_table():
    d = simulated()
    fit = glmm("y ~ x + (1|g)", d, family="nbinom2", zi="~ 1", disp="~ x")
    table = fit.conf_int(parameters="all")
    assert table.index.get_level_values("part").unique().tolist() == ["cond", "zi", "disp", "random"]
    # with a model of the dispersion there is no one sigma
    assert table.loc["random"].index.tolist() == ["sd(Intercept|g)"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "hpd"}, "method must be"),
        ({"alpha": 95}, "between 0 and 1"),
        ({"parameters": "fixed"}, "parameters must be"),
        ({"method": "bootstrap", "n_sims": 0}, "n_sims"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ModelError, match=message):
        glmm("y ~ x", simulated(), family="poisson").conf_int(**options)


def test_bootstrap_intervals_are_percentiles_of_single_refits():
    rng = np.random.default_rng(8)
    g, x = np.repeat(np.arange(10), 8), rng.normal(size=80)
    eta = 0.5 + 0.3 * x + rng.normal(0, 0.6, 10)[g] + rng.normal(0, 0.3, 10)[g] * x
    d = pd.DataFrame({"x": x, "g": g, "y": rng.poisson(np.exp(eta)), "z": eta + rng.normal(size=80)})
    for formula, family, options in (
        ("y ~ x + (x|g)", "poisson", {}),
        ("z ~ x + (1|g)", "gaussian", {}),
        ("z ~ x + (1|g)", "gaussian", {"disp": "~ x"}),
    ):
        fit = glmm(formula, d, family, **options)
        got = fit.conf_int(method="bootstrap", parameters="random", n_sims=20, rng=3)
        (child,) = np.random.default_rng(3).spawn(1)
        draws = []
        for y in fit.simulate(20, rng=child, random_effects="unconditional"):
            again = fit.refit(y)
            rows = again.var_corr
            sds, corr = rows["sd"].to_list(), rows.get("corr_1", pd.Series(dtype=float)).dropna().to_list()
            draws.append([*sds, *corr, *([again.sigma] if "sigma" in got.index else [])])
        want = np.percentile(draws, [2.5, 97.5], axis=0).T
        # both searches end within 1e-4 standard errors, on the edge within what the quartic there lets see
        np.testing.assert_allclose(got, want, rtol=2e-3, atol=2e-3)


def test_wald_limits_of_ranges_are_symmetric_in_their_logarithm():
    """They are positive numbers of any size, not correlations."""
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"u": rng.uniform(0, 10, 120).round(1), "x": rng.normal(size=120)})
    d["y"] = np.sin(d["u"]) + 0.4 * rng.normal(size=120)
    for formula, name in (("y ~ x + exp(u | 1)", "range"), ("y ~ x + ou(u | 1)", "rate")):
        fit = glmm(formula, d)
        value, error = fit.var_corr[name][0], fit.var_corr[f"se_{name}"][0]
        limits = fit.conf_int(parameters="random").filter(like=name, axis=0).to_numpy()[0]
        np.testing.assert_allclose(
            np.log(limits), np.log(value) + 1.959964 * error / value * np.array([-1, 1]), rtol=1e-5
        )


def test_a_correlation_of_one_has_no_wald_interval():
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(12), 10)
    d = pd.DataFrame({"x": rng.normal(size=120), "g": g})
    d["y"] = rng.normal(0, 0.5, 12)[g] * (1 + d["x"]) + rng.normal(size=120)
    fit = glmm("y ~ x + (x|g)", d, reml=True)
    limits = fit.conf_int(parameters="random")
    assert fit.var_corr["corr_1"].iloc[1] == 1.0
    assert limits.loc["corr(Intercept,x|g)"].isna().all()
    assert limits.loc["sigma"].notna().all()


def test_bootstrap_of_a_model_without_variances():
    """Of none there is no interval; "the simulated responses could not be fitted" was not so."""
    rng = np.random.default_rng(2)
    d = pd.DataFrame({"x": rng.uniform(0.5, 1.5, 60)})
    d["y"], d["k"] = rng.normal(0.0, d["x"]), rng.poisson(3, 60)
    varying = glmm("y ~ x", d, disp="~ x")
    found = varying.conf_int(parameters="all", method="bootstrap", n_sims=40, rng=1)
    assert list(found.index) == list(varying.conf_int(parameters="all").index)
    assert np.isfinite(found).all(axis=None) and (found["lower"] < found["upper"]).all()
    only = varying.conf_int(parameters="disp", method="bootstrap", n_sims=40, rng=1)
    np.testing.assert_array_equal(found.loc["disp"], only)
    for fit in (varying, glmm("k ~ x", d, family="poisson")):
        assert fit.conf_int(parameters="random", method="bootstrap", n_sims=40, rng=1).empty
