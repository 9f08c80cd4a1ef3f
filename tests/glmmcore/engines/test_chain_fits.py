"""Autoregressive random effects against glmmTMB 1.1.5, and what tables say of them."""

import time

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm


def series(levels: int, times: int, seed: int) -> pd.DataFrame:
    """Chains of correlation .7 and standard deviation .6 in every level; `h` crosses them."""
    rng = np.random.default_rng(seed)
    rho = 0.7
    b = np.zeros((levels, times))
    b[:, 0] = rng.normal(size=levels)
    for t in range(1, times):
        b[:, t] = rho * b[:, t - 1] + np.sqrt(1 - rho**2) * rng.normal(size=levels)
    g, t = np.repeat(np.arange(levels), times), np.tile(np.arange(times), levels)
    x = rng.normal(size=len(g))
    eta = 0.5 + 0.3 * x + 0.6 * b.ravel()
    y = rng.poisson(np.exp(eta))
    z = eta + rng.normal(0, 0.5, len(g))
    h = np.random.default_rng(1).integers(0, 12, len(g))
    return pd.DataFrame({"g": g, "t": pd.Categorical(t), "x": x, "y": y, "z": z, "h": h})


# logLik, fixed effects, their standard errors, sd and rho of glmmTMB 1.1.5 (R 4.2) on `series(4, 60, seed=5)`
GLMMTMB = {
    "y ~ x + ar1(0 + t|g)": (-411.4009774, (0.3206475, 0.1869908), (0.1372702, 0.06554424), (0.6740691, 0.7909505)),
    "y ~ x + ar1(0 + t|g) + (1|h)": (
        -410.3290904, (0.3113031, 0.1969922), (0.1470952, 0.06603118), (0.661568, 0.800039),
    ),
    "y ~ x + (1|g) + ar1(0 + t|g)": (-411.4009775, None, (0.13727021, 0.06554424), (0.6740691, 0.7909505)),
    "z ~ x + ar1(0 + t|g)": (-240.3920173, None, None, (0.7127176, 0.6164643)),
}  # fmt: skip


@pytest.mark.parametrize("formula", GLMMTMB)
def test_estimates_of_glmmtmb(formula):
    llf, params, bse, chain = GLMMTMB[formula]
    fit = glmm(formula, series(4, 60, 5), "poisson" if formula[0] == "y" else "gaussian")
    assert fit.converged
    # glmmTMB stops at a gradient of 1e-5 or so
    assert fit.llf == pytest.approx(llf, abs=1e-5)
    if params is not None:
        np.testing.assert_allclose(fit.params, params, atol=1e-5)
    if bse is not None:
        np.testing.assert_allclose(fit.bse, bse, rtol=2e-4)
    row = fit.var_corr.set_index("term").loc["t"]
    np.testing.assert_allclose(row[["sd", "rho"]].astype(float), chain, rtol=1e-4)


def test_restricted_likelihood_of_glmmtmb():
    fit = glmm("z ~ x + ar1(0 + t|g) + (1|h)", series(4, 60, 5), reml=True)
    assert fit.llf == pytest.approx(-244.0651401, abs=1e-5)
    assert fit.sigma == pytest.approx(0.306076, rel=1e-4)
    assert fit.var_corr.set_index("group").loc["h", "sd"] == pytest.approx(0.028263, rel=1e-3)


def test_tables_show_one_standard_deviation_and_rho():
    fit = glmm("y ~ x + ar1(0 + t|g) + (1|h)", series(4, 20, 5), "poisson")
    assert list(fit.var_corr["term"]) == ["t", "Intercept"]
    assert [c for c in fit.var_corr if c.startswith("corr")] == []
    text = str(fit.summary())
    assert " rho" in text and "corr_" not in text and "t[1]" not in text
    assert list(fit.conf_int(parameters="random").index) == ["sd(t|g)", "rho(t|g)", "sd(Intercept|h)"]
    profile = fit.conf_int(method="profile", parameters="random")
    assert (profile["lower"] <= [fit.var_corr["sd"][0], fit.var_corr["rho"][0], fit.var_corr["sd"][1]]).all()


def test_slopes_of_variance_parameters_are_those_of_differences():
    from glmmcore.results.variance_parameters import variance_parameters

    d = series(12, 6, 2).assign(w=np.random.default_rng(3).normal(size=72))
    for left in ("ar1(0 + t|g)", "cs(0 + t|g)", "(x + w|g)", "diag(x|g)", "homcs(0 + t|g)"):
        estimator = glmm(f"y ~ x + {left}", d, "poisson").estimator
        x = np.random.default_rng(1).normal(0.3, 0.5, estimator.problem.n_params)
        for parameter in variance_parameters(estimator):
            differences = []
            for k in range(len(x)):
                step = np.zeros(len(x))
                step[k] = 1e-5
                differences.append((parameter.value(x + step, 2.0) - parameter.value(x - step, 2.0)) / 2e-5)
            # differences of 1e-5 are good to about 1e-9
            np.testing.assert_allclose(parameter.gradient(x, 2.0), differences, rtol=1e-6, atol=1e-8)


def test_residual_variance_is_told_from_a_chain():
    """Every row has a coefficient of its own, yet their correlations tell them from noise."""
    d = series(3, 40, 1)
    assert not any("told apart" in s for s in glmm("z ~ x + ar1(0 + t|g)", d).verdict)
    assert any("told apart" in s for s in glmm("z ~ x + (1|o)", d.assign(o=np.arange(len(d)))).verdict)


def test_long_series_cost_time_proportional_to_their_length():
    """Ratio of two fits, compiled before: with blocks factored in full it would be about 64."""
    times = []
    for length in (50, 50, 200):
        d = series(2, length, 4)
        begin = time.perf_counter()
        fit = glmm("y ~ x + ar1(0 + t|g) + (1|h)", d, "poisson")
        assert len(fit.var_corr) == 2
        times.append(time.perf_counter() - begin)
    assert times[2] < 20 * times[1]
