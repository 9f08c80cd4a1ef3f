"""Power by simulation against closed forms and simulations in R."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from glmmcore import ModelError, glmm, power
from glmmcore.many.larger_designs import resized

# Three binomial standard errors and a half: one of some 30 comparisons a year would fail by chance.
ERRORS = 3.5


def near(found: pd.Series, expected, n_sims: int) -> bool:
    expected = np.asarray(expected)
    return bool(np.all(np.abs(found - expected) < ERRORS * np.sqrt(expected * (1 - expected) / n_sims) + 1e-3))


@pytest.fixture(scope="module")
def grouped() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(12), 8)
    d = pd.DataFrame({"g": g, "x": np.tile([0, 1], 48), "z": np.where(g % 2, "u", "v")})
    d["y"] = 0.4 * d["x"] + rng.normal(0, 1, 12)[g] + rng.normal(0, 1.2, 12)[g] * d["x"] + rng.normal(size=96)
    d["count"] = rng.poisson(np.exp(1 + rng.normal(0, 0.5, 12)[g]))
    d["k"] = rng.binomial(5, 0.4, 96)
    return d


def test_two_samples_have_the_power_of_the_t_test():
    rng = np.random.default_rng(0)
    d = pd.DataFrame({"x": np.repeat([0, 1], 20), "y": rng.normal(size=40)})
    fit = glmm("y ~ x", d, reml=True)
    found = power(fit, {"x": [0.0, 0.5, 1.0]}, n=[20, 40, 60], n_sims=2000, rng=1)
    t, df = found["x"] / (fit.sigma * np.sqrt(4 / found["rows"])), found["rows"] - 2
    quantile = stats.t.ppf(0.975, df)
    assert near(found["power"], stats.nct.sf(quantile, df, t) + stats.nct.cdf(-quantile, df, t), 2000)
    assert (found["failed"] == 0).all()
    assert found["rows"].tolist() == np.repeat([20, 40, 60], 3).tolist()


def test_counts_have_the_power_of_the_z_test():
    """Wald's test of log rates: the variance of the difference is 1 / (n mu0) + 1 / (n mu1), with large means."""
    d = pd.DataFrame({"x": np.repeat([0, 1], 30), "y": np.repeat([39, 41], 30) + np.tile([-6, 0, 6], 20)})
    fit = glmm("y ~ x", d, family="poisson")
    effects = np.array([0.04, 0.08])
    found = power(fit, {"x": effects}, n_sims=2000, rng=1)
    mu0 = np.exp(fit.params["Intercept"])
    z = effects / np.sqrt(1 / (30 * mu0) + 1 / (30 * mu0 * np.exp(effects)))
    assert near(found["power"], stats.norm.sf(1.96 - z) + stats.norm.cdf(-1.96 - z), 2000)


def test_random_slopes_have_the_power_of_the_paired_t_test(grouped):
    """In a balanced design the slope is tested by the t test of the groups' differences."""
    fit = glmm("y ~ x + (x|g)", grouped, reml=True)
    found = power(fit, {"x": [0.0, 1.0]}, groups=[8, 12, 24], n_sims=1000, rng=4)
    slope = float(fit.var_corr["sd"].iloc[1])
    spread = np.sqrt(slope**2 + 2 * fit.sigma**2 / 4)
    m, df = found["g"], found["g"] - 1
    quantile, shift = stats.t.ppf(0.975, df), found["x"] / spread * np.sqrt(m)
    assert near(found["power"], stats.nct.sf(quantile, df, shift) + stats.nct.cdf(-quantile, df, shift), 1000)


def test_poisson_with_groups_agrees_with_lme4():
    # lme4 1.1-31, R 4.2: share of p < .05 of x in 1000 glmer(y ~ x + (1|g), poisson), y ~ Poisson(exp(1 + .3 x + b)),
    # b ~ N(0, .25), ten groups of six rows
    lme4 = 0.599
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(400), 30)
    d = pd.DataFrame({"g": g, "x": np.tile([0, 1], 6000)})
    d["y"] = rng.poisson(np.exp(1 + 0.3 * d["x"] + rng.normal(0, 0.5, 400)[g]))
    pilot = glmm("y ~ x + (1|g)", d, family="poisson")
    found = power(pilot, {"x": 0.3}, groups=10, n=60, n_sims=1000, rng=1)
    assert found[["rows", "g"]].iloc[0].tolist() == [60, 10]
    # two simulations
    assert abs(found["power"].iloc[0] - lme4) < ERRORS * np.sqrt(2 * lme4 * (1 - lme4) / 1000)


def test_ratio_tests_of_several_coefficients(grouped):
    d = grouped.assign(t=np.array(list("abc"))[np.arange(96) % 3])
    fit = glmm("count ~ t", d, family="poisson")
    effects = {"t[T.b]": [0.0, 0.25], "t[T.c]": [0.0, 0.4]}
    found = power(fit, effects, n_sims=1000, rng=2)
    # noncentral chi-square with the noncentrality of the expected counts
    mu = 32 * np.exp(fit.params["Intercept"] + np.array([0.0, 0.25, 0.4]))
    shift = 2 * np.sum(mu * np.log(mu / mu.mean()))
    expected = [0.05, stats.ncx2.sf(stats.chi2.ppf(0.95, 2), 2, shift)]
    # the approximation itself is good to a per cent or two
    assert np.all(np.abs(found["power"] - expected) < 0.04)
    by_term = power(fit, "t", n_sims=50, rng=2)
    assert by_term["t[T.b]"].iloc[0] == fit.params["t[T.b]"]


def test_seed_and_workers(grouped):
    fit = glmm("count ~ x + (1|g)", grouped, family="poisson")
    first = power(fit, {"x": [0.1, 0.3]}, groups=[6, 12], n_sims=120, rng=7)
    assert power(fit, {"x": [0.1, 0.3]}, groups=[6, 12], n_sims=120, rng=7, n_jobs=2).equals(first)
    # an effect more changes nothing for the others
    more = power(fit, {"x": [0.1, 0.3, 0.6]}, groups=[6, 12], n_sims=120, rng=7)
    assert more[more["x"] < 0.5].reset_index(drop=True).equals(first)


def test_designs_keep_shares_and_nesting(grouped):
    d = grouped.assign(h=grouped["g"] * 10 + np.arange(96) % 4, c=np.tile(np.arange(8), 12))
    design = glmm("y ~ x + z + (1|g/h) + (1|c)", d).design
    larger = resized(design, None, {"g": 30})
    outer, inner, crossed = larger.predictors["cond"].terms
    levels = {t.group: len(t.levels) for t in (outer, inner, crossed)}
    assert sorted(levels.values()) == [8, 30, 120]
    assert larger.nobs == 240
    assert np.allclose(larger.predictors["cond"].X.mean(axis=0), design.predictors["cond"].X.mean(axis=0))
    for n in (40, 96, 200):
        part = resized(design, n, {}).predictors["cond"]
        assert len(part.X) == n
        assert np.allclose(part.X.mean(axis=0), design.predictors["cond"].X.mean(axis=0), atol=0.04)
        assert next(len(t.levels) for t in part.terms if t.group == "g") == 12


def test_k_of_n_and_zero_inflation_and_weights(grouped):
    binomial = glmm("k ~ x + (1|g)", grouped, family="binomial", trials=np.full(96, 5))
    assert power(binomial, {"x": [0.0, 1.0]}, groups=6, n_sims=60, rng=1)["power"].iloc[1] > 0.7
    zero = glmm("count ~ x", grouped.assign(count=grouped["count"] * (np.arange(96) % 3 > 0)), "poisson", zi="~ 1")
    assert power(zero, {"x": 1.0}, n_sims=60, rng=1)["power"].iloc[0] > 0.7
    heavy = [glmm("y ~ x", grouped, reml=True, var_weights=w) for w in (np.ones(96), np.full(96, 9.0))]
    found = [power(fit, {"x": 0.5}, n_sims=60, rng=1)["power"].iloc[0] for fit in heavy]
    # nine times the weight and three times the sigma: the same data
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"effect": {"nothing": 1.0}}, "no coefficient 'nothing'"),
        ({"effect": "nothing"}, "no coefficient or term"),
        ({"effect": {"x": np.nan}}, "finite numbers"),
        ({"effect": {"x": [1.0, 2.0], "Intercept": [1.0, 2.0, 3.0]}}, "as many"),
        ({"effect": {"x": 1.0}, "groups": {"h": 3}}, "no grouping factor 'h'"),
        ({"effect": {"x": 1.0}, "groups": 1}, "at least 2"),
        ({"effect": {"x": 1.0}, "n": 2.5}, "whole numbers"),
        ({"effect": {"x": 1.0}, "n": 2}, "do not determine|only one level"),
        ({"effect": {"x": 1.0}, "n_sims": 0}, "n_sims"),
        ({"effect": {"x": 1.0}, "test": "score"}, "test must be"),
        ({"effect": {"x": 1.0, "Intercept": 1.0}, "test": "wald"}, "one coefficient"),
    ],
)
def test_bad_input(grouped, options, message):
    fit = glmm("count ~ x + z + (1|g)", grouped, family="poisson")
    with pytest.raises((ModelError, TypeError), match=message):
        power(fit, **options)


def test_known_relationships_are_drawn_and_not_copied(grouped):
    labels = np.arange(12)
    related = pd.DataFrame(0.9 * np.equal.outer(labels // 2, labels // 2) + 0.1 * np.eye(12), labels, labels)
    fit = glmm("y ~ x + (1|g)", grouped, reml=True, known={"g": related})
    found = power(fit, {"x": 1.0}, n=[48, 96], n_sims=50, rng=1)
    assert found["power"].iloc[1] >= found["power"].iloc[0] > 0.5
    with pytest.raises(ModelError, match="known relationships"):
        power(fit, {"x": 1.0}, groups=20)


@pytest.mark.parametrize("n", [48, 80, 120, 150, 230, 250])
def test_rows_are_left_out_and_copied_within_groups(n):
    rng = np.random.default_rng(6)
    d = pd.DataFrame({"g": np.repeat(np.arange(24), 5), "x": rng.normal(size=120), "t": np.tile(list("abcab"), 24)})
    d["y"] = rng.poisson(3, size=120)
    design = glmm("y ~ x + t + (1|g)", d, family="poisson").design
    for groups in ({}, {"g": 48}):
        part = resized(design, n, groups).predictors["cond"]
        sizes = np.bincount(part.terms[0].codes)
        assert len(part.X) == n
        assert len(sizes) == groups.get("g", 24)
        # groups of one size: all have the same number of rows but for one
        assert np.ptp(sizes) <= 1
        # two of five rows have treatment b, one c; the share is the design's within what a fifth of the rows may move
        np.testing.assert_allclose(part.X[:, 2:].mean(axis=0), [0.4, 0.2], atol=0.1)


def test_pairs_keep_both_treatments():
    d = pd.DataFrame({"g": np.repeat(np.arange(40), 2), "t": np.tile([0, 1], 40)})
    d["y"] = np.random.default_rng(7).normal(size=80)
    part = resized(glmm("y ~ t + (1|g)", d).design, 40, {}).predictors["cond"]
    assert np.bincount(part.terms[0].codes).tolist() == [1] * 40
    assert 0.4 <= part.X[:, 1].mean() <= 0.6
