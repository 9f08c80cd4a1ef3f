"""Draws for new rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special

from glmmcore import ModelError, glmm


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(20), 8)
    d = pd.DataFrame({"g": [f"g{i:02d}" for i in g], "x": rng.normal(size=160), "n": 9})
    eta = 0.5 + 0.4 * d["x"] + rng.normal(0.0, 0.7, 20)[g]
    d["y"] = rng.poisson(np.exp(eta))
    d["k"] = rng.binomial(9, special.expit(eta))
    return d


@pytest.fixture(scope="module")
def fit(data):
    return glmm("y ~ x + (1|g)", data, family="poisson")


def test_conditional_draws_have_the_predicted_mean(fit, data):
    new = data.iloc[[0, 100]][["x", "g"]]
    draws = fit.simulate(4000, rng=1, newdata=new)
    error = np.sqrt(fit.predict(new) / 4000)
    # four standard errors of a Poisson mean
    assert np.all(np.abs(draws.mean(axis=0) - fit.predict(new)) < 4.0 * error)
    assert np.array_equal(draws, fit.simulate(4000, rng=1, newdata=new))


def test_unseen_levels_share_their_effect(fit):
    new = pd.DataFrame({"x": 0.0, "g": ["new", "new", "other"]})
    with pytest.raises(ModelError, match="'g' that the fit has not seen"):
        fit.simulate(1, newdata=new)
    draws = fit.simulate(8000, rng=2, newdata=new, random_effects="unconditional")
    mean = fit.predict(new, random_effects="average").iloc[0]
    variance = fit.var_corr["sd"].iloc[0] ** 2
    covariance = mean**2 * np.expm1(variance)
    found = np.cov(draws.T)
    # 8000 draws of a skewed product: about 5 % of the covariance
    assert found[0, 1] == pytest.approx(covariance, rel=0.2)
    assert abs(found[0, 2]) < 0.1 * covariance
    assert np.allclose(draws.mean(axis=0), mean, rtol=0.06)


def test_incomplete_rows_are_nan(fit):
    draws = fit.simulate(3, rng=1, newdata={"x": [0.0, np.nan], "g": ["g00", "g01"]})
    assert np.isfinite(draws[:, 0]).all() and np.isnan(draws[:, 1]).all()


def test_trials_of_new_rows(data):
    fit = glmm("cbind(k, n - k) ~ x + (1|g)", data, family="binomial")
    new = pd.DataFrame({"x": [0.0, 0.0], "g": ["g00", "g00"], "m": [0, 1000]})
    draws = fit.simulate(200, rng=4, newdata=new, trials="m")
    assert np.all(draws[:, 0] == 0.0)
    assert draws[:, 1].mean() / 1000.0 == pytest.approx(fit.predict(new).iloc[1], abs=0.005)
    assert np.array_equal(draws, fit.simulate(200, rng=4, newdata=new, trials=[0, 1000]))
    with pytest.raises(ModelError, match="give trials="):
        fit.simulate(1, newdata=new)
    with pytest.raises(ModelError, match="column 'z' of trials= is not in the new data"):
        fit.simulate(1, newdata=new, trials="z")


def test_trials_of_new_rows_from_the_columns_of_cbind(data):
    """Successes and failures that the new rows hold say how many trials there were."""
    fit = glmm("cbind(k, n - k) ~ x + (1|g)", data, family="binomial")
    new = data.iloc[[0, 50, 90]].assign(n=[3, 40, 0], k=[1, 38, 0])
    same = {"trials": [3, 40, 0]}
    assert np.array_equal(fit.simulate(20, rng=1, newdata=new), fit.simulate(20, rng=1, newdata=new, **same))
    limits = fit.predict(new, interval="prediction")
    pd.testing.assert_frame_equal(limits, fit.predict(new, interval="prediction", **same))
    # what is given comes first
    assert fit.predict(new, interval="prediction", trials=[5, 5, 5])["upper"].iloc[1] != limits["upper"].iloc[1]
    with pytest.raises(ModelError, match="numbers of trials"):
        fit.predict(new.drop(columns="k"), interval="prediction")
    with pytest.raises(ModelError, match=r"trials must be numbers that are not negative; that of row 50"):
        fit.predict(new.assign(k=[1.0, np.nan, 0.0]), interval="prediction")
    with pytest.raises(ModelError, match="column 'k' holds text"):
        fit.simulate(1, newdata=new.assign(k="2"))


def test_no_trials_for_counts(fit, data):
    with pytest.raises(ModelError, match="takes no trials"):
        fit.simulate(1, newdata=data, trials="n")


def test_columns_of_the_fit_are_found_in_new_data():
    """Trials and weights that the fit took from columns: the same with and without saying so again."""
    rng = np.random.default_rng(12)
    d = pd.DataFrame({"x": rng.normal(size=80), "w": rng.uniform(0.2, 4.0, 80), "n": rng.integers(3, 30, 80)})
    d["y"] = rng.gamma(4.0 * d["w"], np.exp(0.5 + 0.3 * d["x"]) / (4.0 * d["w"]))
    d["k"] = rng.binomial(d["n"], 0.4)
    new = d.sample(30, random_state=1)
    weighted = {"formula": "y ~ x", "family": "gamma", "var_weights": "w"}
    for options in (weighted, {"formula": "k ~ x", "family": "binomial", "trials": "n"}):
        formula = options.pop("formula")
        fit = glmm(formula, d, **options)
        given = {name: column for name, column in options.items() if name != "family"}
        plain = fit.predict(new, interval="prediction")
        pd.testing.assert_frame_equal(plain, fit.predict(new, interval="prediction", **given))
        pd.testing.assert_frame_equal(plain, fit.predict(interval="prediction").loc[new.index])
        assert np.array_equal(fit.simulate(5, newdata=new, rng=1), fit.simulate(5, newdata=new, rng=1, **given))
        ours, theirs = fit.held_out(new), fit.held_out(new, **given)
        assert np.array_equal(ours.fitted, theirs.fitted)
        assert np.array_equal(ours.simulate(5, rng=1), theirs.simulate(5, rng=1))
        with pytest.raises(ModelError, match=next(iter(given))):
            fit.held_out(new.drop(columns=next(iter(given.values()))))
