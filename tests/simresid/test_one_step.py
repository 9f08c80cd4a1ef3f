"""One-step-ahead residuals: uniform and independent under the right model, shown and tested as any others."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from glmmcore.relationship import random_walk
from simresid import from_simulations, plot_temporal, simulate_residuals
from simresid.protocol.conformance import check_fitted_model


def series(seed, n=120):
    """Counts and values of a process seen at irregular times, in random order."""
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.exponential(1.0, n))
    latent = np.zeros(n)
    latent[0] = rng.normal()
    for i in range(1, n):
        keep = np.exp(-0.4 * (t[i] - t[i - 1]))
        latent[i] = keep * latent[i - 1] + np.sqrt(1 - keep**2) * rng.normal()
    d = pd.DataFrame({"t": t, "year": np.arange(n) // 4, "site": np.arange(n) % 3})
    d["count"], d["y"] = rng.poisson(np.exp(1.0 + latent)), latent + 0.5 * rng.normal(size=n)
    return d.sample(frac=1.0, random_state=seed).reset_index(drop=True)


@pytest.fixture(scope="module")
def counts():
    """Residuals of the right model of counts."""
    return simulate_residuals(glmm("count ~ 1 + ou(t | 1)", series(1, 60), family="poisson"), method="one-step")


def test_a_selection_has_the_residuals_of_the_whole(counts):
    """They are read off the law of each row, in the order of the data."""
    lower, upper = counts.model.cdf()
    assert np.all((counts.residuals >= lower) & (counts.residuals <= upper))
    part = counts.recalculate(select=np.arange(0, 60, 2))
    np.testing.assert_array_equal(part.residuals, counts.residuals[::2])


def test_tests_and_figures_take_them(counts):
    """The battery with refits, figures, and words that say what they are."""
    found = counts.diagnose(time="t", n_refits=39)
    assert {"uniformity", "dispersion", "temporal autocorrelation"} <= set(found.table.index)
    assert counts.temporal_autocorrelation_test("t", n_refits=39).null == "refits"
    assert "each given the rows before it" in repr(counts)
    figure = counts.plot(n_refits=39)
    assert any("each row given the rows before" in text.get_text() for text in figure.findobj(plt.Text))
    assert plot_temporal(counts, "t")[0].get_title(loc="left")
    plt.close("all")


def test_the_model_of_rows_keeps_its_promises(counts):
    """Means, variances and distribution functions against its own draws; 40 % allows for a refit of a loose range."""
    check_fitted_model(counts.model, refit_rtol=0.4)


def test_residuals_of_right_models_are_uniform_and_independent():
    """At known parameters: 25 series of 120, pooled; bounds are four standard errors."""
    pooled, lagged = [], []
    for seed in range(25):
        d = series(100 + seed).sort_values("t", ignore_index=True)
        known = {"sd(1)": 1.0, "rate(1)": 0.4, "Intercept": 1.0}
        u = simulate_residuals(
            glmm("count ~ 1 + ou(t | 1)", d, family="poisson", fixed=known), method="one-step"
        ).residuals
        pooled.append(u)
        lagged.append(np.mean((u[1:] - 0.5) * (u[:-1] - 0.5)) * 12)
    u = np.concatenate(pooled)
    assert abs(u.mean() - 0.5) < 4 * np.sqrt(1 / 12 / u.size)
    assert abs(np.mean((u - 0.5) ** 2) - 1 / 12) < 4 * np.sqrt(1 / 180 / u.size)
    assert abs(np.mean(lagged)) < 4 / np.sqrt(u.size)


def test_a_wrong_rate_is_found():
    """A process taken for one that forgets too fast leaves residuals that are alike."""
    d = series(5)
    wrong = glmm("y ~ 1 + ou(t | 1)", d, fixed={"rate(1)": 5.0, "sd(1)": 1.0, "sigma": 0.5})
    assert simulate_residuals(wrong, method="one-step").temporal_autocorrelation_test("t").pvalue < 0.01
    right = glmm("y ~ 1 + ou(t | 1)", d, fixed={"rate(1)": 0.4, "sd(1)": 1.0, "sigma": 0.5})
    assert simulate_residuals(right, method="one-step").temporal_autocorrelation_test("t").pvalue > 0.05


def test_random_walks_have_an_order():
    """Years of a random walk, sites beside it."""
    d = series(7)
    fit = glmm("y ~ 1 + (1 | year) + (1 | site)", d, known={"year": random_walk(1, range(30))})
    res = simulate_residuals(fit, method="one-step")
    assert res.residuals.std() == pytest.approx(np.sqrt(1 / 12), rel=0.2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda d: simulate_residuals(glmm("y ~ t", d), method="one-step"), "no serial term"),
        (lambda d: simulate_residuals(glmm("y ~ 1 + ou(t | 1)", d), method="one-step", random_effects="unconditional"),
         "integrates random effects out"),
        (lambda d: simulate_residuals(glmm("y ~ 1 + ou(t | 1)", d), method="one-step", newdata=d), "rows of the fit"),
        (lambda d: simulate_residuals(glmm("y ~ 1 + ou(t | 1)", d), method="one-step", refit=True), "refit residuals"),
        (lambda d: from_simulations(np.ones((20, 4)), np.ones(4), method="one-step"), "needs a model"),
    ],
)  # fmt: skip
def test_what_has_no_order_is_refused(call, words):
    """With a sentence."""
    with pytest.raises(ValueError, match=words):
        call(series(2))


def test_other_models_and_groups_are_refused(counts):
    """A model without one_step, and sums over groups."""

    class Coins:
        observed, fitted, nobs = np.array([4.0, 6.0]), np.full(2, 5.0), 2

        def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
            return np.random.default_rng(rng).binomial(10, 0.5, size=(n_sims, 2))

    with pytest.raises(ValueError, match=r"needs a model with one_step"):
        simulate_residuals(Coins(), method="one-step")
    with pytest.raises(ValueError, match="groups have none"):
        counts.recalculate(group="site")
