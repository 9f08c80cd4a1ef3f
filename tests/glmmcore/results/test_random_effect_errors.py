"""Standard deviations of random effects, with and without the uncertainty of parameters, and pinned dispersions."""

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(12), 5), rng.normal(size=60)
    y = rng.poisson(np.exp(0.5 + 0.3 * x + rng.normal(0, 0.5, 12)[g] + rng.normal(0, 0.15, 12)[g] * x))
    z = 1 + x + rng.normal(0, 1, 12)[g] + rng.normal(size=60)
    return pd.DataFrame({"x": x, "g": g, "y": y, "z": z, "t": pd.Categorical(np.tile(np.arange(5), 12))})


# `condsd` of the first level: of lme4 1.1.31 (given the parameters), and of glmmTMB 1.1.5 (with their uncertainty)
CONDSD = {
    ("z ~ x + (1|g)", "gaussian", True): (0.3844279, 0.4463314),
    ("z ~ x + (1|g)", "gaussian", False): (0.3769258, 0.4336688),
    ("y ~ x + (1|g)", "poisson", True): (None, 0.3240104),
    ("y ~ x + (1|g)", "poisson", False): (0.2890393, 0.3076046),
}


@pytest.mark.parametrize(("formula", "family", "reml"), CONDSD)
def test_both_kinds_as_in_r(data, formula, family, reml):
    given, with_parameters = CONDSD[formula, family, reml]
    fit = glmm(formula, data, family, reml=reml)
    assert fit.random_effects_se["g"].iloc[0, 0] == pytest.approx(with_parameters, rel=3e-4)
    if given is not None:  # glmer leaves its optimum sooner
        assert fit.random_effects_sd["g"].iloc[0, 0] == pytest.approx(given, rel=1e-6 if family == "gaussian" else 5e-4)
    assert (fit.random_effects_se["g"] > fit.random_effects_sd["g"]).all(axis=None)


def test_given_parameters_in_closed_form(data):
    """Restricted likelihood with slopes: sigma^2 Lambda (Lambda'Z'Z Lambda + I)^-1 Lambda', level by level."""
    fit = glmm("z ~ x + (x|g)", data, reml=True)
    sd, corr = fit.var_corr["sd"].to_numpy(), fit.var_corr["corr_1"].iloc[1]
    covariance = np.outer(sd, sd) * np.array([[1, corr], [corr, 1]])
    for level in range(12):
        z = np.column_stack([np.ones(5), data.loc[data["g"] == level, "x"]])
        v = z @ covariance @ z.T + fit.sigma**2 * np.eye(5)
        conditional = covariance - covariance @ z.T @ np.linalg.solve(v, z @ covariance)
        got = fit.random_effects_sd["g"].loc[level]
        np.testing.assert_allclose(got, np.sqrt(np.diag(conditional)), rtol=1e-6)


def test_pinned_residual_standard_deviation_is_glmmtmbs(data):
    fit = glmm("z ~ x + (0 + t|g)", data, disp="~ 0")
    assert fit.llf == pytest.approx(-81.463704, abs=1e-5)  # glmmTMB 1.1.5, dispformula = ~0
    assert fit.sigma == pytest.approx(0.0001220703, rel=1e-6)
    np.testing.assert_allclose(fit.params, [0.8392, 1.0515], atol=5e-5)
    # differences of a gradient 1e8 times as steep as usual, there and here: .0020 apart on some machines
    np.testing.assert_allclose(fit.bse, [0.2865775, 0.1105070], rtol=5e-3)
    sd = [1.29696, 1.53787, 1.17710, 0.86359, 1.28947]
    np.testing.assert_allclose(fit.var_corr["sd"].astype(float), sd, rtol=1e-4)
    assert not any("told apart" in sentence for sentence in fit.verdict)
    for rows in (None, data.iloc[:3]):
        np.testing.assert_allclose(fit.predict(rows, kind="disp"), fit.sigma)


def test_an_offset_determines_the_dispersion(data):
    offset = np.full(60, np.log(0.9))
    fit = glmm("z ~ x + (1|g)", data.assign(o=offset), disp="~ 0 + offset(o)")
    np.testing.assert_allclose(fit.predict(kind="disp"), 0.9)


def test_correlation_is_undetermined_where_a_standard_deviation_may_be_zero(data):
    fit = glmm("y ~ x + (x|g)", data.assign(y=data["y"].to_numpy()), "poisson")
    limits = fit.conf_int(method="profile", parameters="random", alpha=0.001)
    assert limits.loc["sd(x|g)", "lower"] == 0.0
    assert tuple(limits.loc["corr(Intercept,x|g)"]) == (-1.0, 1.0)
    # and a model without slopes lies within the same distance, which is what makes any correlation possible
    from scipy import stats

    fall = 2 * (fit.llf - glmm("y ~ x + (1|g)", data, "poisson").llf)
    assert fall < stats.chi2.isf(0.001, 1)
