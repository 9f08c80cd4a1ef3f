"""Further parameters of a family given by `fixed=`: against likelihoods written here, and against free fits."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from glmmcore import glmm
from glmmcore.errors import ModelError


def data(n=120):
    """Heavy-tailed, positive with zeros, and fractions."""
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"x": rng.normal(size=n), "g": np.arange(n) % 12})
    d["heavy"] = 0.5 * d["x"] + rng.standard_t(4, n)
    d["cost"] = np.where(rng.random(n) < 0.2, 0.0, rng.gamma(2.0, 1.0, n))
    d["share"] = np.where(rng.random(n) < 0.1, 0.0, rng.beta(3, 2, n))
    return d


def test_t_with_given_degrees_of_freedom_is_the_maximum_of_its_density():
    """By BFGS on scipy's density; df are not counted as a parameter."""
    d = data()
    fit = glmm("heavy ~ x", d, family="t", fixed={"df": 4.0})

    def loss(p):
        return -stats.t.logpdf(d["heavy"], 4.0, p[0] + p[1] * d["x"], np.exp(p[2])).sum()

    best = optimize.minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11})
    assert fit.llf == pytest.approx(-best.fun, abs=1e-7)
    np.testing.assert_allclose(fit.params, best.x[:2], atol=1e-5)
    assert fit.extra_params["df"] == pytest.approx(4.0, rel=1e-12)
    assert fit.df_model == 3


@pytest.mark.parametrize(
    ("response", "family", "given"),
    [("heavy", "t", {"df": 4.0}), ("cost", "tweedie", {"power": 1.4}), ("heavy", "skewnormal", {"slant": 0.5}),
     ("share", "ordbeta", {"lower": 0.1, "upper": 0.9})],
)  # fmt: skip
def test_the_free_maximum_is_the_best_of_given_values(response, family, given):
    """Given its own estimate a fit is the same, given other values it is lower; refits keep what is given."""
    d = data()
    free = glmm(f"{response} ~ x", d, family=family)
    same = glmm(f"{response} ~ x", d, family=family, fixed=free.extra_params)
    assert same.llf == pytest.approx(free.llf, abs=1e-5)
    assert same.df_model == free.df_model - len(given)
    other = glmm(f"{response} ~ x + (1|g)", d, family=family, fixed=given)
    assert other.extra_params == pytest.approx(given, rel=1e-9)
    assert other.refit(other.observed).extra_params == pytest.approx(given, rel=1e-9)
    assert glmm(f"{response} ~ x", d, family=family, fixed=given).llf < free.llf
    started = glmm(f"{response} ~ x", d, family=family, start=given)
    assert started.llf == pytest.approx(free.llf, abs=1e-4)


@pytest.mark.parametrize(
    ("response", "family", "given", "words"),
    [("cost", "tweedie", {"power": 2.5}, "cannot take the value"), ("share", "ordbeta", {"upper": 0.9}, "together"),
     ("heavy", "gaussian", {"df": 4.0}, "no 'df'")],
)  # fmt: skip
def test_impossible_values_are_refused(response, family, given, words):
    """With a sentence."""
    with pytest.raises(ModelError, match=words):
        glmm(f"{response} ~ x", data(), family=family, fixed=given)
