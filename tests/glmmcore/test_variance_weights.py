"""Weights that divide the variance of a row, such as exposures: likelihood, estimates, draws, residuals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from glmmcore import ModelError, glmm, power

# R 4.2: y <- rgamma(60, 2 w, 2 w / exp(1 + .5 x)); glm(y ~ x, Gamma("log"), weights = w); MASS::gamma.shape
Y = [
    0.6422, 7.6456, 4.5833, 2.0196, 1.055, 2.1375, 4.7957, 5.1926, 2.7919, 1.6197, 0.2592, 1.2011, 2.8642, 2.9314,
    4.4445, 2.3729, 2.3845, 2.3884, 2.8222, 2.3217, 3.7984, 4.2276, 1.0358, 1.3495, 2.3198, 1.7116, 1.7756, 1.0878,
    2.5508, 1.4363, 3.5101, 4.6194, 3.5842, 2.7938, 2.4372, 0.2178, 0.1932, 4.0072, 3.9591, 4.0846, 0.6756, 1.6729,
    0.7648, 2.8117, 4.6876, 1.6446, 3.2955, 1.5052, 1.5753, 2.7324, 1.976, 1.6203, 1.1114, 3.0962, 1.66, 6.7345,
    3.6152, 2.5655, 3.3534, 1.5983,
]  # fmt: skip
COEFFICIENTS, SHAPE = [0.9192527674, 0.4825468069], 2.5122764470
R_ERRORS, R_DISPERSION = [0.044339097, 0.062626061], 0.3643605535
R_DEVIANCE = [-0.96882199, 0.76188228, 0.83075479]


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return pd.DataFrame({"y": Y, "x": np.round(np.sin(np.arange(1, 61)), 3), "w": [0.5, 1, 2, 4, 8] * 12})


def test_gamma_agrees_with_glm_and_gamma_shape(claims):
    fit = glmm("y ~ x", claims, family="gamma", var_weights="w")
    # R's IRLS stops at a relative change of the deviance of 1e-8
    assert np.allclose(fit.params, COEFFICIENTS, atol=1e-6)
    assert fit.sigma**-2 == pytest.approx(SHAPE, rel=1e-5)
    # R's standard errors are at its moment estimate of the dispersion, ours at the maximum; the observed information
    # differs from the expected one by some per cent here
    assert np.allclose(fit.bse, np.array(R_ERRORS) / np.sqrt(R_DISPERSION * SHAPE), rtol=0.05)
    assert np.allclose(fit.residuals("deviance")[:3], R_DEVIANCE, atol=1e-6)


def log_density(family: str, y, mean, w, fit):
    """Log density of a row whose variance is divided by w, from scipy's distributions."""
    if family == "gamma":
        shape = w * fit.sigma**-2
        return stats.gamma.logpdf(y, shape, scale=mean / shape)
    if family == "gaussian":
        return stats.norm.logpdf(y, mean, fit.sigma / np.sqrt(w))
    v = np.log1p(fit.sigma**2 / w / mean**2)
    return stats.lognorm.logpdf(y, np.sqrt(v), scale=mean * np.exp(-0.5 * v))


@pytest.mark.parametrize("family", ["gamma", "lognormal", "gaussian"])
def test_log_likelihood_is_that_of_rows_with_divided_variance(claims, family):
    link = {"link": "log"} if family == "gaussian" else {}
    fit = glmm("y ~ x", claims, family=family, var_weights="w", **link)
    direct = log_density(family, claims["y"], fit.fitted, claims["w"], fit).sum()
    assert fit.llf == pytest.approx(direct, abs=1e-8)
    assert np.allclose(fit.variance() * claims["w"], (fit.variance() * claims["w"]).iloc[0]) == (family != "gamma")
    lower, upper = fit.cdf()
    assert np.array_equal(lower, upper)
    at = fit.cdf(claims["y"] + 1e-5)[0] - lower
    density = np.exp(log_density(family, claims["y"], fit.fitted, claims["w"], fit))
    assert np.allclose(at / 1e-5, density, rtol=1e-3, atol=1e-5)


def test_tweedie_agrees_with_statsmodels():
    sm = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(3)
    n = 400
    d = pd.DataFrame({"x": rng.normal(size=n), "w": rng.uniform(0.2, 5.0, n)})
    mean = np.exp(0.3 + 0.4 * d["x"])
    # pure premium of w years: Poisson number of gamma claims over w
    number = rng.poisson(d["w"] * mean / 2.0)
    d["y"] = np.where(number > 0, rng.gamma(np.maximum(number, 1) * 1.5, 4.0 / 3.0), 0.0) / d["w"]
    fit = glmm("y ~ x", d, family="tweedie", var_weights="w")
    p = fit.extra_params["power"]
    # at a given power the mean's estimates do not depend on the dispersion
    family = sm.families.Tweedie(sm.families.links.Log(), var_power=p)
    theirs = sm.GLM(d["y"], sm.add_constant(d["x"]), family, var_weights=d["w"]).fit(tol=1e-12)
    assert np.allclose(fit.params, theirs.params, atol=1e-5)
    assert np.allclose(fit.variance(), fit.sigma * fit.fitted**p / d["w"])
    # truth: shape 1.5 of the claims is p = 3.5 / 2.5, variance of a year's sum 2 * E(claim^2) / ...
    assert p == pytest.approx(1.4, abs=0.1)


def test_scale_of_weights_moves_only_the_dispersion(claims):
    plain, scaled = (glmm("y ~ x", claims, family="gamma", var_weights=claims["w"] * f) for f in (1.0, 1e4))
    assert np.allclose(plain.params, scaled.params, atol=1e-6)
    assert scaled.sigma == pytest.approx(100.0 * plain.sigma, rel=1e-5)
    assert scaled.llf == pytest.approx(plain.llf, abs=1e-6)
    assert np.allclose(plain.bse, scaled.bse, rtol=1e-4)


def test_an_average_has_the_weight_of_its_number():
    """The mean of m gamma claims has the weight m: the same estimates of the mean as from single claims."""
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(40), rng.integers(1, 8, 40))
    d = pd.DataFrame({"g": g, "x": (g % 3).astype(float)})
    d["y"] = rng.gamma(2.0, np.exp(1 + 0.2 * d["x"]) / 2.0)
    averages = d.groupby("g").agg(y=("y", "mean"), x=("x", "first"), m=("y", "size"))
    single, average = glmm("y ~ x", d, family="gamma"), glmm("y ~ x", averages, family="gamma", var_weights="m")
    assert np.allclose(single.params, average.params, atol=1e-6)
    assert average.sigma == pytest.approx(single.sigma, rel=0.25)


@pytest.mark.parametrize("family", ["gamma", "lognormal"])
def test_mixed_models_against_brute_force(family):
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(15), 4)
    d = pd.DataFrame({"g": g, "x": rng.normal(size=60), "w": rng.uniform(0.5, 6.0, 60)})
    d["y"] = rng.gamma(3.0 * d["w"], np.exp(0.5 + 0.3 * d["x"] + rng.normal(0, 0.6, 15)[g]) / (3.0 * d["w"]))
    fit = glmm("y ~ x + (1|g)", d, family=family, var_weights="w", n_agq=60)
    sd, eta = float(fit.var_corr["sd"].iloc[0]), fit.design.predictors["cond"].X @ fit.params.to_numpy()

    def integrand(b: float, own: np.ndarray) -> float:
        rows = log_density(family, d["y"].to_numpy()[own], np.exp(eta[own] + b), d["w"].to_numpy()[own], fit)
        return float(np.exp(rows.sum() + stats.norm.logpdf(b, 0.0, sd)))

    total = sum(
        np.log(integrate.quad(integrand, -4, 4, args=(g == k,), epsabs=0, epsrel=1e-10, limit=200)[0])
        for k in range(15)
    )
    # a lognormal density has two inflexions in the random effect: quadrature converges slowly
    assert fit.llf == pytest.approx(total, abs=2e-4 if family == "lognormal" else 1e-6)
    whole = glmm("y ~ x + (1|g)", d, family=family, var_weights="w")
    again = whole.refit(whole.observed)
    assert again.llf == pytest.approx(whole.llf, abs=1e-6)
    many = whole.refit_many(whole.simulate(4, rng=1, random_effects="unconditional"))
    singly = [whole.refit(y) for y in whole.simulate(4, rng=1, random_effects="unconditional")]
    assert np.allclose(many.params, [one.params for one in singly], atol=1e-4)
    assert np.allclose(many.llf, [one.llf for one in singly], atol=1e-4)


@pytest.mark.parametrize("family", ["gamma", "lognormal", "tweedie", "gaussian"])
def test_draws_have_the_variance_of_the_row(claims, family):
    fit = glmm("y ~ x", claims, family=family, var_weights="w")
    draws = fit.simulate(4000, rng=1)
    # standard error of a variance from 4000 draws of a skew law: some 5 %
    assert np.allclose(draws.var(axis=0) / fit.variance(), 1.0, atol=0.3)
    assert np.mean(draws.var(axis=0) / fit.variance()) == pytest.approx(1.0, abs=0.03)
    assert power(fit, {"x": 0.5}, n_sims=50, rng=1)["power"].iloc[0] > 0.5


@pytest.mark.parametrize("family", ["poisson", "nbinom2", "beta", "t"])
def test_other_families_are_refused_with_what_to_do(claims, family):
    with pytest.raises(ModelError, match=r"offset=np\.log"):
        glmm("y ~ x", claims.assign(y=0.5 if family == "beta" else 3), family=family, var_weights="w")


def test_fractional_frequencies_are_refused_with_what_to_do(claims):
    with pytest.raises(ModelError, match=r"whole numbers.*0.5 in .*exposures use var_weights="):
        glmm("y ~ x", claims, family="gamma", freq_weights="w")
