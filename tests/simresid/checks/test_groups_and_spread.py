import numpy as np
import pandas as pd
import pytest
from scipy.special import fdtrc
from scipy.stats import f_oneway, norm
from scipy.stats import levene as scipy_levene

import simresid as sr
from glmmcore import glmm
from simresid.checks.categorical import levene, levene_statistics


def test_levene_equals_scipy():
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, 90)
    u = rng.random(90)
    expected = scipy_levene(*(u[codes == k] for k in range(4)), center="median")
    assert levene(u, codes) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)


SMALL_LEVELS = {
    "pairs": [2] * 60,
    "one or two rows": [1, 2] * 30,
    "three rows": [3] * 25,
    "five rows": [5] * 14,
    "nine rows": [9] * 12,
    "three pairs among large levels": [2] * 3 + [35] * 4,
    "single rows among large levels": [1] * 8 + [45] * 3,
}


@pytest.mark.parametrize("sizes", SMALL_LEVELS.values(), ids=SMALL_LEVELS)
def test_spread_between_small_levels_has_its_size(sizes):
    """Pairs rejected always, levels of three or five rows never, when deviations were from a level's own median."""
    rng = np.random.default_rng(41)
    codes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    n_draws = 2000
    f = levene_statistics(rng.random((n_draws, codes.size)), codes)
    rate = np.mean(fdtrc(len(sizes) - 1, codes.size - len(sizes), f) <= 0.05)
    sampling = np.sqrt(0.05 * 0.95 / n_draws)
    assert rate < 0.05 + 4 * sampling
    if len(set(sizes)) == 1:  # beside large levels, whose median follows them, the test is cautious
        assert rate > 0.05 - 4 * sampling


def test_spread_between_small_levels_by_scipy():
    """One-way analysis of variance of the deviations from 1/2 where no level has ten rows."""
    rng = np.random.default_rng(42)
    codes = np.repeat(np.arange(30), rng.integers(1, 10, 30))
    u = rng.random(codes.size)
    deviations = [np.abs(u[codes == k] - 0.5) for k in range(30)]
    expected = f_oneway(*(d for d in deviations if d.size))
    assert levene(u, codes) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)


def test_pairs_of_a_right_model_pass_and_of_a_wrong_one_fail():
    rng = np.random.default_rng(43)
    twins = np.repeat(np.arange(80), 2)
    right = [sr.categorical_test(rng.random(160), twins).pvalue for _ in range(300)]
    assert np.mean(np.array(right) <= 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 300)
    assert min(right) > 1e-5
    res = sr.from_simulations(rng.poisson(4, (250, 160)), rng.poisson(4, 160))
    found = sr.diagnose(res, categories={"twin": twins})
    assert found.table["pvalue_adjusted"]["categories of twin"] > 0.05
    wrong = norm.cdf(rng.normal(size=160) * np.where(twins < 40, 0.3, 2.0))
    assert sr.categorical_test(wrong, twins).homogeneity_pvalue < 1e-3


def test_levels_equal_r(dharma):
    result = sr.categorical_test(np.array(dharma["scaled_residuals"]), np.array(dharma["category"]))
    want = dharma["categorical"]
    assert result.homogeneity_pvalue == pytest.approx(want["homogeneity_pvalue"], rel=1e-6)
    assert sorted(result.levels.index) == sorted(want["levels"])
    # exact and asymptotic p-values differ most where nothing is at stake
    for level, pvalue in zip(want["levels"], want["per_level_adjusted"], strict=True):
        got = result.levels.loc[level, "pvalue_adjusted"]
        assert got == pytest.approx(pvalue, abs=0.04) if pvalue < 0.3 else got > 0.2


def test_size_and_power_by_category():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(5), 20)
    p = [sr.categorical_test(rng.random(100), groups).pvalue for _ in range(400)]
    assert 0.005 < np.mean(np.array(p) <= 0.05) < 0.095
    shifted = norm.cdf(rng.normal(size=100) + (groups == 3))
    result = sr.categorical_test(shifted, groups)
    assert result.pvalue < 0.05
    assert "level 3" in result.advice()


def test_verdict_over_levels_by_hand():
    from scipy.stats import kstest
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(5)
    codes = np.repeat([0, 1, 2], [20, 30, 10])
    u = rng.random(60) ** np.array([1.0, 1.5, 0.8])[codes]
    result = sr.categorical_test(u, np.array(["a", "b", "c"])[codes])
    levels = [kstest(u[codes == k], "uniform", method="exact") for k in range(3)]
    p = np.array([level.pvalue for level in levels])
    spread = scipy_levene(*(u[codes == k] for k in range(3)), center="median")
    adjusted = multipletests(p, method="holm")[1]
    assert result.levels["n"].tolist() == [20, 30, 10]
    np.testing.assert_allclose(result.levels["statistic"], [level.statistic for level in levels], rtol=1e-12)
    np.testing.assert_allclose(result.levels["pvalue"], p, rtol=1e-9)
    np.testing.assert_allclose(result.levels["pvalue_adjusted"], adjusted, rtol=1e-9)
    assert (result.homogeneity_statistic, result.homogeneity_pvalue) == pytest.approx((spread.statistic, spread.pvalue))
    assert result.pvalue == pytest.approx(min(1.0, 2 * min(adjusted.min(), spread.pvalue)))
    assert result.statistic == pytest.approx(max(level.statistic for level in levels))
    worst = int(np.argmin(p))
    slack = 1.3581 / np.sqrt([20, 30, 10][worst])
    assert (result.effect.value, result.effect.null) == (pytest.approx(levels[worst].statistic), 0.0)
    assert result.effect.interval == pytest.approx((max(0.0, result.effect.value - slack), result.effect.value + slack))
    assert result.alternative == "two-sided"
    # two large p-values cannot make one above 1
    even = sr.categorical_test((np.arange(60) % 20 + 0.5) / 20, np.repeat([0, 1, 2], 20))
    assert even.pvalue == 1.0


def test_simulated_null_of_levels_by_hand():
    from scipy.stats import kstest

    from simresid.checks._null import null_residuals

    rng = np.random.default_rng(6)
    codes = np.repeat([0, 1, 2], [20, 25, 15])
    y = rng.normal(size=60) * np.array([1.0, 1.4, 0.6])[codes] + 0.4 * (codes == 0)
    res = sr.from_simulations(rng.normal(size=(99, 60)), y)
    result = sr.categorical_test(res, codes, null="simulated")
    pool = null_residuals(res).replicates
    for k in range(3):
        own = kstest(res.residuals[codes == k], "uniform").statistic
        null = np.array([kstest(v[codes == k], "uniform").statistic for v in pool])
        assert result.levels["pvalue"].iloc[k] == pytest.approx((1 + np.sum(null >= own - 1e-12)) / 100)
    f = [levene(v, codes)[0] for v in pool]
    assert result.homogeneity_pvalue == pytest.approx(
        (1 + np.sum(np.array(f) >= levene(res.residuals, codes)[0])) / 100
    )


def test_spread_that_cannot_be_compared():
    codes = np.repeat([0, 1], 3)
    assert levene(np.array([0.1, 0.1, 0.1, 0.7, 0.7, 0.7]), codes) is None  # no spread within levels
    assert levene(np.random.default_rng(1).random(6), np.arange(6)) is None
    assert levene(np.random.default_rng(1).random(6), np.zeros(6, int)) is None
    result = sr.categorical_test([0.1, 0.1, 0.1, 0.7, 0.7, 0.7], codes)
    assert result.homogeneity_statistic is None
    assert result.notes
    assert result.pvalue == result.uniformity_pvalue


def test_unequal_spread_is_advised():
    rng = np.random.default_rng(7)
    codes = np.repeat([0, 1], 200)
    result = sr.categorical_test(norm.cdf(rng.normal(size=400) * np.array([0.6, 1.4])[codes] * 0.95), codes)
    assert result.homogeneity_pvalue < result.uniformity_pvalue
    assert "spread differs between the levels" in result.advice()


@pytest.mark.parametrize(("shift", "factor", "advice"), [(0.0, 3.0, "disp='~ g'"), (2.5, 1.0, "level d departs")])
def test_advice_on_levels_whose_tests_all_reject(shift, factor, advice):
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(list("abcd"), 80), "x": rng.normal(size=320)})
    last = data["g"] == "d"
    data["y"] = data["x"] + shift * last + rng.normal(0.0, np.where(last, factor, 1.0))
    result = sr.simulate_residuals(glmm("y ~ x", data)).categorical_test("g")
    assert result.uniformity_pvalue < 0.05  # the mean's part rejects in both
    assert advice in result.advice()
    np.testing.assert_allclose(result.levels["n"] @ result.levels["mean"] / 320, 0.5, atol=0.06)


def test_unused_levels_and_single_levels():
    import pandas as pd

    u = np.random.default_rng(3).random(30)
    category = pd.Series(pd.Categorical(["a"] * 30, categories=["a", "b"]))
    result = sr.categorical_test(u, category)
    assert list(result.levels.index) == ["a"]
    assert result.homogeneity_pvalue is None
    assert result.pvalue == sr.uniformity_test(u).pvalue
    with pytest.raises(ValueError, match="missing"):
        sr.categorical_test(u, [None, *["a"] * 29])


@pytest.mark.parametrize("n", [40, 300])
def test_size_of_heteroscedasticity(n):
    rng = np.random.default_rng(n)
    m = 300 if n < 150 else 800
    x = rng.random(n)
    # also when residuals are overdispersed everywhere alike: that is not heteroscedasticity
    for power in (1.0, 0.5):
        u = rng.beta(power, power, (m, n))
        rate = np.mean([sr.heteroscedasticity_test(row, x).pvalue <= 0.05 for row in u])
        assert rate < 0.05 + 4 * np.sqrt(0.05 * 0.95 / m)
        assert rate > 0.01


def test_power_and_size_of_effect():
    rng = np.random.default_rng(4)
    x = rng.random(400)
    result = sr.heteroscedasticity_test(norm.cdf(rng.normal(size=400) * (0.4 + x)), x)
    assert result.pvalue < 1e-6
    assert result.effect.value > 1.5
    with pytest.raises(ValueError, match="constant"):
        sr.heteroscedasticity_test(rng.random(30), np.ones(30))


def test_spreads_that_do_not_differ_have_a_ratio_that_is_a_number():
    """Ranks of groups among two simulations: with few groups all may lie equally far from the middle."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        fit = glmm("y ~ x", pd.DataFrame({"x": rng.normal(size=40), "y": rng.normal(size=40)}))
        groups = sr.simulate_residuals(fit, 2, rng=seed).recalculate(group=np.repeat(np.arange(4), 10))
        result = sr.heteroscedasticity_test(groups)
        assert np.isfinite([result.statistic, *result.effect.interval]).all()
        assert 1e-3 < result.effect.value < 1e3


@pytest.mark.parametrize("n", [40, 119, 121, 600])
def test_spread_ratio_is_high_end_over_low_end_in_any_order_of_rows(n):
    # squares that are linear in the ranks and alternate in sign: the fit is exact
    x = np.linspace(-3.0, 5.0, n)
    rank = (np.arange(n) + 0.5) / n
    u = 0.5 + np.sqrt(0.01 + 0.15 * rank) * np.where(np.arange(n) % 2, 1.0, -1.0)
    ends = 0.01 + 0.15 * rank[[0, -1]]
    order = np.random.default_rng(n).permutation(n)
    for at in (slice(None), slice(None, None, -1), order):
        rising, falling = sr.heteroscedasticity_test(u[at], x[at]), sr.heteroscedasticity_test(u[at], -x[at])
        assert rising.effect.value == pytest.approx(np.sqrt(ends[1] / ends[0]), rel=1e-8)
        assert falling.effect.value == pytest.approx(np.sqrt(ends[0] / ends[1]), rel=1e-8)
        low, high = rising.effect.interval
        assert low < rising.effect.value < high
        assert (1 / high, 1 / low) == pytest.approx(falling.effect.interval, rel=1e-8)
        # a second predictor beside the first
        both = np.column_stack([x, np.cos(40.0 * x)])[at]
        assert sr.heteroscedasticity_test(u[at], both).effect.value == pytest.approx(rising.effect.value, rel=1e-8)


@pytest.mark.parametrize("n", [42, 420])
def test_spread_ratio_of_categories_is_largest_over_smallest(n):
    import pandas as pd

    codes = np.arange(n) % 3
    u = 0.5 + np.array([0.2, 0.1, 0.4])[codes] * np.where(np.arange(n) % 2, 1.0, -1.0)
    for at in (slice(None), np.random.default_rng(n).permutation(n)):
        result = sr.heteroscedasticity_test(u[at], pd.Series(codes[at]).map({0: "a", 1: "b", 2: "c"}))
        assert result.effect.value == pytest.approx(4.0, rel=1e-8)
        assert result.df == 2
    two = sr.heteroscedasticity_test(u[codes < 2], (codes[codes < 2] == 1).astype(float))
    assert two.effect.value == pytest.approx(0.5, rel=1e-8)


def test_spread_statistic_by_hand():
    from simresid.checks.heteroscedasticity import spread_statistic

    rng = np.random.default_rng(8)
    u, functions = rng.random((2, 30)), np.linalg.qr(np.column_stack([np.ones(30), rng.random((30, 2))]))[0][:, 1:]
    weights = np.array([1.0, 0.3])
    for row, got in zip(u, spread_statistic(u, functions, weights), strict=True):
        a = (row - 0.5) ** 2
        scores = [(a - a.mean()) @ f for f in functions.T]
        assert got == pytest.approx((weights @ np.square(scores)) / np.var(a, ddof=1), rel=1e-12)


def test_spread_test_by_hand():
    # Mood's scores on Legendre polynomials of the ranks with weights 1, 1, .3, .2, .1; interval by the delta method
    from simresid.checks.pvalues import quadratic_form_sf

    rng = np.random.default_rng(9)
    n, weights = 200, np.array([1.0, 1.0, 0.3, 0.2, 0.1])
    u, x = rng.random(n), rng.random(n)
    rank = (np.argsort(np.argsort(x)) + 0.5) / n
    basis = np.linalg.qr(np.polynomial.legendre.legvander(2 * rank - 1, 5))[0]
    a = (u - 0.5) ** 2
    statistic = weights @ (basis[:, 1:].T @ a) ** 2 / np.var(a, ddof=1)
    result = sr.heteroscedasticity_test(u, x)
    assert (result.statistic, result.df) == (pytest.approx(statistic, rel=1e-9), 5)
    assert result.pvalue == pytest.approx(quadratic_form_sf(statistic, weights), rel=1e-9)
    slope = np.polyfit(rank, a, 1)
    ends = np.polyval(slope, [rank.min(), rank.max()])
    step = np.ptp(rank) / np.sqrt(np.sum((rank - rank.mean()) ** 2))
    error = np.std(a) * step / (2 * np.sqrt(ends[0] * ends[1]))
    ratio = np.sqrt(ends[1] / ends[0])
    assert result.effect.value == pytest.approx(ratio, rel=1e-9)
    assert result.effect.interval == pytest.approx((ratio * np.exp(-1.96 * error), ratio * np.exp(1.96 * error)))
