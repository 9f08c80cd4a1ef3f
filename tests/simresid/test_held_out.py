"""Residuals of rows that the model was not fitted to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from glmmcore import ModelError, avg_predictions, glmm
from simresid import simulate_residuals


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(21)
    g = np.repeat(np.arange(40), 12)
    d = pd.DataFrame({"g": g, "x": rng.normal(size=480), "n": rng.integers(3, 9, 480)})
    effect = rng.normal(0, 0.6, 40)[g]
    d["y"] = rng.poisson(np.exp(1.0 + 0.4 * d["x"] + effect))
    d["k"] = rng.binomial(d["n"], 1 / (1 + np.exp(-0.4 * d["x"] - effect)))
    d["yes"] = np.where(rng.random(480) < 0.5, "no", "yes")
    return d


def halves(d: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return d[d.index % 2 == 0], d[d.index % 2 == 1]


def test_right_models_pass_and_wrong_ones_fail_on_new_rows(counts):
    train, test = halves(counts)
    right = simulate_residuals(glmm("y ~ x + (1|g)", train, "poisson"), newdata=test, rng=1)
    assert right.n_obs == len(test)
    # 6 rows a group are predicted from 6 others: effects are known to a third of their spread
    assert right.uniformity_test().pvalue > 0.001
    wrong = simulate_residuals(glmm("y ~ x", train, "poisson"), newdata=test, rng=1)
    assert wrong.uniformity_test().pvalue < 1e-6
    assert wrong.dispersion_test().pvalue < 0.05


def test_residuals_are_those_of_the_law_at_the_prediction(counts):
    train, test = halves(counts)
    fit = glmm("y ~ x + (1|g)", train, "poisson")
    res = simulate_residuals(fit, n_sims=2000, newdata=test, rng=1)
    mean = fit.predict(test).to_numpy()
    assert np.allclose(res.fitted, mean)
    low, high = stats.poisson.cdf(test["y"] - 1, mean), stats.poisson.cdf(test["y"], mean)
    # ranks among 2000 draws: three standard errors
    assert np.all((res.residuals > low - 0.035) & (res.residuals < high + 0.035))


def test_new_groups_are_drawn_anew(counts):
    train, test = counts[counts["g"] < 25], counts[counts["g"] >= 25]
    fit = glmm("y ~ x + (1|g)", train, "poisson")
    with pytest.raises(ModelError, match=r"random_effects=\['g'\]"):
        simulate_residuals(fit, newdata=test)
    res = simulate_residuals(fit, newdata=test, random_effects=["g"], rng=1)
    assert np.allclose(fit.held_out(test).fitted, fit.predict(test, random_effects="average"))
    assert res.recalculate(group="g").uniformity_test().pvalue > 0.01


def test_k_of_n_categories_and_missing_rows(counts):
    train, test = halves(counts)
    bound = glmm("cbind(k, n - k) ~ x + (1|g)", train, "binomial").held_out(test)
    fit = glmm("k ~ x + (1|g)", train, "binomial", trials="n")
    given = fit.held_out(test, trials="n")
    assert np.array_equal(bound.observed, test["k"])
    assert np.allclose(bound.fitted, given.fitted, rtol=1e-6)
    assert np.array_equal(given.simulate(3, rng=1), bound.simulate(3, rng=1))
    with pytest.raises(ModelError, match="give trials="):
        fit.held_out(test.drop(columns="n"))
    words = glmm("yes ~ x", train, "binomial").held_out(test[test["yes"] == "yes"])
    assert np.all(words.observed == 1.0)
    holes = test.assign(y=test["y"].where(test.index % 5 > 0), x=test["x"].where(test.index % 7 > 0))
    some = glmm("y ~ x", train, "poisson").held_out(holes)
    assert some.data.index.tolist() == holes.dropna().index.tolist()
    assert np.array_equal(some.observed, holes.dropna()["y"])


def test_transforms_of_the_response_know_the_data_of_the_fit(counts):
    train, test = halves(counts)
    y = np.log1p(train["y"])
    for left, centre, scale in (("scale(z)", y.mean(), y.std(ddof=1)), ("center(z)", y.mean(), 1.0)):
        fit = glmm(f"{left} ~ scale(x) + (1|g)", train.assign(z=y))
        z = np.log1p(test["y"])
        for model in (fit, fit.refit(rows=np.arange(fit.nobs))):
            # one row has no scale of its own, five have another one
            for rows in (slice(None), slice(0, 5), slice(3, 4)):
                found = model.held_out(test.assign(z=z).iloc[rows]).observed
                np.testing.assert_allclose(found, (z.iloc[rows] - centre) / scale, rtol=1e-12)


def test_proportions_of_the_fit_are_proportions_in_new_rows(counts):
    share = counts["k"] / counts["n"]
    fit = glmm("share ~ x + (1|g)", counts.assign(share=share), "binomial", trials="n")
    none_or_all = counts.assign(share=share)[share.isin([0, 1])]
    assert (none_or_all["k"] > 1).any()
    assert np.array_equal(fit.held_out(none_or_all, trials="n").observed, none_or_all["k"])


def test_series_in_another_order_are_refused(counts):
    train, test = halves(counts)
    fit = glmm("k ~ x + (1|g)", train, "binomial", trials="n")
    backwards = test["n"][::-1]
    np.testing.assert_array_equal(fit.held_out(test, trials=test["n"]).trials, test["n"])
    for call in (
        lambda: fit.held_out(test, trials=backwards),
        lambda: fit.predict(test, interval="prediction", trials=backwards),
        lambda: fit.simulate(2, newdata=test, trials=backwards),
        lambda: avg_predictions(fit, "x", values=[0], newdata=test, weights=backwards),
        lambda: avg_predictions(fit, "x", values=[0], weights=train["n"][::-1]),
    ):
        with pytest.raises(ModelError, match="Series with another index"):
            call()
    simulated = pd.DataFrame(fit.simulate(2, rng=1), columns=train.index)
    fit.refit_many(simulated)
    with pytest.raises(ModelError, match="another order"):
        fit.refit_many(simulated.iloc[:, ::-1])


def test_weights_of_new_rows():
    rng = np.random.default_rng(2)
    d = pd.DataFrame({"w": np.exp(rng.uniform(-2, 2, 600)), "x": rng.normal(size=600)})
    d["y"] = rng.gamma(2 * d["w"], np.exp(d["x"]) / (2 * d["w"]))
    train, test = halves(d)
    fit = glmm("y ~ x", train, "gamma", var_weights="w")
    draws = fit.held_out(test, var_weights="w").simulate(4000, rng=1)
    expected = (fit.sigma * fit.predict(test)) ** 2 / test["w"]
    assert np.mean(draws.var(axis=0) / expected) == pytest.approx(1.0, abs=0.03)
    with pytest.raises(ModelError, match="give var_weights="):
        fit.held_out(test.drop(columns="w"))


def test_other_models_are_told_what_to_do(counts):
    class Coins:
        observed, fitted, nobs = np.zeros(2), np.zeros(2), 2

        def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
            return np.zeros((n_sims, 2))

    with pytest.raises(TypeError, match="from_simulations"):
        simulate_residuals(Coins(), newdata=counts)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_held_out_places_are_not_where_their_means_are(family):
    """Their effects vary about what the places of the fit say of them: nine tenths of the residuals are inside."""
    rng = np.random.default_rng(4)
    n = 240
    d = pd.DataFrame({"u": rng.uniform(0, 10, n), "v": rng.uniform(0, 10, n)})
    distance = np.hypot(*(np.subtract.outer(d[c].to_numpy(), d[c].to_numpy()) for c in "uv"))
    field = np.linalg.cholesky(np.exp(-distance / 2.0) + 1e-9 * np.eye(n)) @ rng.normal(size=n)
    d["y"] = rng.poisson(np.exp(2.0 + field)) if family == "poisson" else 1.0 + field + 0.3 * rng.normal(size=n)
    fit = glmm("y ~ 1 + exp(u, v | 1)", d[:100], family)
    residuals = simulate_residuals(fit, newdata=d[100:], rng=1, n_sims=500).residuals
    # about .1 and some for estimates and effects that are taken as known; .4 and .6 with effects at their means
    assert np.mean(np.abs(residuals - 0.5) > 0.45) < 0.2
