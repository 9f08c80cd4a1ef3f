"""Observed against predicted by groups, Lorenz curves and Gini indices."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from simresid import gini_index, lift_table, lorenz_curve, plot_lift, plot_lorenz, simulate_residuals


class Rows:
    """Observed and fitted values of some rows."""

    def __init__(self, observed, fitted) -> None:
        self.observed, self.fitted = np.asarray(observed, dtype=float), np.asarray(fitted, dtype=float)


@pytest.fixture(scope="module")
def drivers() -> pd.DataFrame:
    rng = np.random.default_rng(6)
    d = pd.DataFrame({"x": rng.normal(size=2000), "years": rng.uniform(0.1, 1.0, 2000)})
    d["claims"] = rng.poisson(d["years"] * np.exp(-1 + 0.8 * d["x"]))
    return d


def gini_of_pairs(y, risk) -> float:
    """The mean over all pairs of rows of the difference of y in the order of the risks, over twice the mean of y."""
    y, risk = np.asarray(y), np.asarray(risk)
    return float((np.subtract.outer(y, y) * np.sign(np.subtract.outer(risk, risk))).sum() / (2 * y.size**2 * y.mean()))


def test_index_is_that_of_pairs(drivers):
    fit = glmm("claims ~ x", drivers, "poisson")
    found = gini_index(fit)
    assert found["gini"] == pytest.approx(gini_of_pairs(fit.observed, fit.fitted), abs=1e-10)
    assert found["best"] == pytest.approx(gini_of_pairs(fit.observed, fit.observed), abs=1e-10)
    assert found["normalised"] == pytest.approx(found["gini"] / found["best"])
    coarse = Rows(drivers["claims"], np.round(drivers["x"] + 5))
    assert gini_index(coarse)["gini"] == pytest.approx(gini_of_pairs(coarse.observed, coarse.fitted), abs=1e-10)


def test_an_order_that_says_nothing_and_its_reverse():
    y = [1.0, 2.0, 3.0, 4.0]
    assert gini_index(Rows(y, [7.0] * 4))["gini"] == pytest.approx(0.0)
    assert gini_index(Rows(y, y))["gini"] == pytest.approx(0.25)
    assert gini_index(Rows(y, y[::-1]))["gini"] == pytest.approx(-0.25)
    curve = lorenz_curve(Rows(y, y))
    assert np.allclose(curve["share_of_observed"], [0, 0.1, 0.3, 0.6, 1.0])


def test_deciles_of_rates(drivers):
    fit = glmm("claims ~ x + offset(np.log(years))", drivers, "poisson")
    table = lift_table(fit, exposure=drivers["years"])
    assert len(table) == 10
    assert np.allclose(table["weight"], drivers["years"].sum() / 10, rtol=0.03)
    assert table["weight"].sum() == pytest.approx(drivers["years"].sum())
    assert (table["observed"] * table["weight"]).sum() == pytest.approx(drivers["claims"].sum())
    # a fitted log-linear model: predicted and observed agree in total, and about 1 in each group
    assert (table["predicted"] * table["weight"]).sum() == pytest.approx(drivers["claims"].sum(), rel=1e-6)
    assert table["predicted"].is_monotonic_increasing
    error = 1 / np.sqrt(table["predicted"] * table["weight"])
    assert np.all(np.abs(table["ratio"] - 1) < 4 * error)


def test_weights_of_averages_count_as_rows():
    single = Rows([1.0, 3.0, 5.0, 7.0, 2.0], [1.0, 1.0, 2.0, 2.0, 3.0])
    average = Rows([2.0, 6.0, 2.0], [1.0, 2.0, 3.0])
    weights = [2.0, 2.0, 1.0]
    columns = ["weight", "predicted", "observed"]
    assert np.allclose(lift_table(single, 2)[columns], lift_table(average, 2, weights=weights)[columns])
    assert gini_index(single)["gini"] == pytest.approx(gini_index(average, weights=weights)["gini"])


def test_of_residuals_and_held_out_rows(drivers):
    fit = glmm("claims ~ x + offset(np.log(years))", drivers[:1000], "poisson")
    res = simulate_residuals(fit)
    assert lift_table(res).equals(lift_table(fit))
    honest = gini_index(fit.held_out(drivers[1000:]), exposure=drivers["years"][1000:])
    assert honest["gini"] == pytest.approx(gini_index(fit, exposure=drivers["years"][:1000])["gini"], abs=0.08)


def test_figures_draw_the_tables(drivers):
    fit = glmm("claims ~ x", drivers, "poisson")
    ax = plot_lift(fit, 5)
    assert np.allclose(ax.lines[1].get_ydata(), lift_table(fit, 5)["observed"])
    plt.close(ax.figure)
    ax = plot_lorenz(fit)
    assert f"{gini_index(fit)['gini']:.3f}" in ax.get_title(loc="left")
    plt.close(ax.figure)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lift_table(Rows([1, 2], [1, 2]), 1), "n_groups"),
        (lambda: lift_table(Rows([1, 2], [1, 2]), weights=[1, 1], exposure=[1, 1]), "not both"),
        (lambda: lift_table(Rows([1, 2], [1, 2]), weights=[1, 0]), "positive"),
        (lambda: gini_index(Rows([-1, 2], [1, 2])), "not negative"),
        (lambda: lorenz_curve(Rows([0, 0], [1, 2])), "not all zero"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_k_of_n_is_ranked_by_risk_as_its_single_trials():
    rng = np.random.default_rng(9)
    d = pd.DataFrame({"x": rng.normal(size=200), "n": rng.integers(0, 30, 200)})
    d["k"] = rng.binomial(d["n"], 1 / (1 + np.exp(1 - 0.7 * d["x"])))
    fit = glmm("cbind(k, n - k) ~ x", d, "binomial")
    single = pd.DataFrame({"x": np.repeat(d["x"], d["n"])})
    single["y"] = np.concatenate([np.arange(n) < k for n, k in zip(d["n"], d["k"], strict=True)]).astype(int)
    apart = glmm("y ~ x", single, "binomial")
    assert (d["n"] == 0).any()
    for model in (fit, simulate_residuals(fit), fit.held_out(d)):
        assert gini_index(model)["gini"] == pytest.approx(gini_index(apart)["gini"], abs=1e-6)
        assert gini_index(model)["gini"] == pytest.approx(gini_of_pairs(apart.observed, apart.fitted), abs=1e-6)
        pd.testing.assert_frame_equal(lorenz_curve(model), lorenz_curve(apart), rtol=1e-6)
        table = lift_table(model, 4)
        assert table["weight"].sum() == d["n"].sum()
        assert (table["predicted"] * table["weight"]).sum() == pytest.approx(d["k"].sum(), rel=1e-6)
        assert table["predicted"].between(0, 1).all()


def test_averages_weigh_what_the_fit_says():
    """Amounts per year with years as `var_weights`: the table by hand, sums of weights times averages."""
    rng = np.random.default_rng(9)
    d = pd.DataFrame({"x": rng.normal(size=900), "years": rng.uniform(0.05, 1.0, 900)})
    shape = 2.0 * d["years"]
    d["per_year"] = rng.gamma(shape, np.exp(0.6 * d["x"]) / shape)
    train, test = d.iloc[:600], d.iloc[600:]
    fit = glmm("per_year ~ x", train, "gamma", var_weights="years")
    rows = test.assign(p=fit.predict(test)).sort_values("p")
    before = rows["years"].cumsum() - rows["years"] / 2
    rows["group"] = np.minimum((before / rows["years"].sum() * 4).astype(int), 3) + 1
    expected = [
        [np.average(part[column], weights=part["years"]) for column in ("p", "per_year")]
        for _, part in rows.groupby("group")
    ]
    held = fit.held_out(test)
    np.testing.assert_allclose(lift_table(held, 4)[["predicted", "observed"]], expected, rtol=1e-12)
    pd.testing.assert_frame_equal(lift_table(held, 4), lift_table(held, 4, weights="years"))
    pd.testing.assert_series_equal(gini_index(fit), gini_index(simulate_residuals(fit), weights="years"))
    pd.testing.assert_series_equal(gini_index(simulate_residuals(fit)), gini_index(fit))
    with pytest.warns(UserWarning, match="leave exposure= out"):
        lift_table(held, 4, exposure="years")
    with pytest.raises(ValueError, match="give weights="):
        gini_index(simulate_residuals(fit).recalculate(group=np.arange(600) // 2))
