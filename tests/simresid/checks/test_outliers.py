import dataclasses

import numpy as np
import pytest
from scipy.stats import binom

import glmmcore
import simresid as sr
from simresid import datasets
from simresid.checks.outliers import OUTLIERS, binomial_test


def test_binomial_pvalues_equal_r(dharma):
    # DHARMa's binomial variant on its own residuals: R's binom.test
    u, edge = np.array(dharma["scaled_residuals"]), 1 / (dharma["n_sims"] + 1)
    count = int(np.count_nonzero((u < edge) | (u > 1 - edge)))
    for alternative, want in dharma["outliers_binomial"].items():
        assert count == want["statistic"]
        got = binomial_test(count, u.size, 2 * edge, alternative)[0]
        assert got == pytest.approx(want["pvalue"], rel=1e-9), alternative


def test_clopper_pearson_interval_inverts_the_binomial():
    _, (low, high) = binomial_test(4, 120, 0.01, "two-sided")
    assert binom.sf(3, 120, low) == pytest.approx(0.025, rel=1e-8)
    assert binom.cdf(4, 120, high) == pytest.approx(0.025, rel=1e-8)


@pytest.mark.parametrize("mean", [0.2, 2.0, 50.0])
def test_outlier_frequency_is_exact_for_counts(mean):
    # DHARMa's own residuals give .0234 instead of .0198 at mean 2; 40 000 rows, 4 standard errors
    rng = np.random.default_rng(1)
    y = rng.poisson(mean, 40_000)
    result = sr.outlier_test(sr.from_simulations(rng.poisson(mean, (100, y.size)), y))
    rate = 2 / 101
    assert abs(result.observed / y.size - rate) < 4 * np.sqrt(rate * (1 - rate) / y.size)
    assert result.expected == pytest.approx(y.size * rate)


def test_rows_and_directions():
    rng = np.random.default_rng(2)
    y = rng.normal(size=50)
    y[[3, 8]] = [20.0, -20.0]
    res = sr.from_simulations(rng.normal(size=(4999, 50)), y)
    table = sr.outlier_test(res).table
    assert table.loc[3, "direction"] == "high"
    assert table.loc[8, "direction"] == "low"
    assert sr.outlier_test(res, margin="upper").observed == 1 + (len(table) > 2) * sum(
        table.drop([3, 8])["direction"] == "high"
    )


def test_grouped_objects_count_groups():
    rng = np.random.default_rng(3)
    res = sr.from_simulations(rng.poisson(3, (250, 1000)), rng.poisson(3, 1000))
    grouped = res.recalculate(group=np.repeat(np.arange(100), 10))
    result = sr.outlier_test(grouped)
    assert result.n_obs == 100
    # DHARMa tests 0 outliers among 1000 trials here (p = .0006); among 100 groups nothing is unusual
    assert result.expected == pytest.approx(200 / 251)
    assert result.pvalue > 0.3


def test_bootstrap_repeats_and_agrees_in_the_verdict():
    rng = np.random.default_rng(4)
    y = rng.negative_binomial(1, 0.2, 200)
    res = sr.from_simulations(rng.poisson(4, (250, 200)), y)
    first = sr.outlier_test(res, method="bootstrap")
    assert first.pvalue == sr.outlier_test(res, method="bootstrap").pvalue == 2 / 101
    assert sr.outlier_test(res).pvalue < 0.01


def test_bootstrap_leaves_the_replicate_out_of_its_own_pool():
    # a replicate in its own pool could never be outside; compared with a brute-force count
    rng = np.random.default_rng(5)
    n, m = 40, 30
    res = sr.from_simulations(rng.normal(size=(m, n)), rng.normal(size=n))
    result = sr.outlier_test(res, method="bootstrap")
    draws = np.random.default_rng(0)
    simulated, counts = res.simulated, []
    for _ in range(40):
        for b in range(m):
            pool = simulated[draws.choice(np.delete(np.arange(m), b), m)]
            counts.append(np.sum((simulated[b] > pool.max(axis=0)) | (simulated[b] < pool.min(axis=0))))
    # 30 counts with a variance of about 4 against 1200: three standard errors
    assert result.expected == pytest.approx(np.mean(counts), abs=1.2)
    ends = np.quantile(result.null_distribution, [0.025, 0.975]) / n
    assert result.conf_int == pytest.approx(tuple(ends))
    assert result.effect.value == pytest.approx((result.observed - result.expected) / n)
    assert result.effect.interval == pytest.approx((result.observed / n - ends[1], result.observed / n - ends[0]))
    high, low = res.observed > simulated.max(axis=0), res.observed < simulated.min(axis=0)
    assert result.observed == result.statistic == high.sum() + low.sum()
    assert sr.outlier_test(res, method="bootstrap", margin="upper").observed == high.sum()
    assert sr.outlier_test(res, method="bootstrap", margin="lower").observed == low.sum()


def test_plain_arrays_are_refused():
    res = sr.from_simulations(np.random.default_rng(6).normal(size=(30, 5)), np.zeros(5))
    with pytest.raises(ValueError, match="method='jackknife'"):
        sr.outlier_test(res, method="jackknife")
    with pytest.raises(TypeError, match="needs simulations"):
        sr.outlier_test(np.array([0.1, 0.5]))
    with pytest.raises(ValueError, match="margin='left'"):
        sr.outlier_test(sr.from_simulations(np.zeros((30, 5)) + np.arange(5), np.arange(5.0)), margin="left")


def test_fewer_outliers_are_expected_where_the_fit_follows_the_data():
    # 12 fits with leverages of .1 to .2; the standard error of the mean count is about .5
    observed, expected, plain = [], [], []
    for seed in range(12):
        data = sr.create_data(500, n_groups=100, intercept=1.5, rng=seed)
        fit = glmmcore.glmm("observed ~ x1 + (1|group)", data, "poisson")
        result = sr.outlier_test(sr.simulate_residuals(fit, 99, rng=seed), null="analytic")
        observed.append(result.observed)
        expected.append(result.expected)
        plain.append(500 * 2 / 100)
    assert np.mean(expected) < 0.8 * np.mean(plain)
    assert np.mean(observed) == pytest.approx(np.mean(expected), abs=2.0)


@pytest.mark.parametrize("margin", ["both", "lower", "upper"])
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_counts_and_simulated_null_by_hand(margin, alternative):
    from scipy.stats import binomtest

    from simresid.checks._null import null_residuals

    rng = np.random.default_rng(7)
    res = sr.from_simulations(rng.normal(size=(39, 60)), 1.3 * rng.normal(size=60) - 0.3)
    low = (res.simulated > res.observed).all(axis=0) & (margin != "upper")
    high = (res.simulated < res.observed).all(axis=0) & (margin != "lower")
    result = sr.outlier_test(res, alternative, margin)
    rate = (2 if margin == "both" else 1) / 40
    test = binomtest(int(low.sum() + high.sum()), 60, rate, alternative)
    interval = binomtest(int(low.sum() + high.sum()), 60, rate).proportion_ci(method="exact")
    assert result.observed == result.statistic == low.sum() + high.sum()
    assert result.expected == pytest.approx(60 * rate)
    assert result.pvalue == pytest.approx(test.pvalue, rel=1e-12)
    assert result.conf_int == pytest.approx(tuple(interval))
    assert result.effect.value == pytest.approx(result.observed / 60 - rate)
    assert result.effect.interval == pytest.approx((interval.low - rate, interval.high - rate))
    assert set(result.table.index[result.table["direction"] == "low"]) == set(np.flatnonzero(low))
    assert set(result.table.index[result.table["direction"] == "high"]) == set(np.flatnonzero(high))
    simulated = sr.outlier_test(res, alternative, margin, null="simulated")
    pool = null_residuals(res).replicates
    counts = (pool < 1 / 40).sum(axis=1) * (margin != "upper") + (pool > 39 / 40).sum(axis=1) * (margin != "lower")
    greater, less = ((1 + np.sum(side)) / 40 for side in (counts >= result.observed, counts <= result.observed))
    expected = {"greater": greater, "less": less, "two-sided": min(1.0, 2 * min(greater, less))}[alternative]
    assert simulated.pvalue == pytest.approx(expected)
    np.testing.assert_array_equal(simulated.null_distribution, counts)


def test_too_few_outliers_speak_of_underdispersion():
    rng = np.random.default_rng(8)
    result = sr.outlier_test(sr.from_simulations(rng.normal(size=(19, 300)), 0.5 * rng.normal(size=300)))
    assert result.pvalue < 0.05
    assert "may be underdispersed" in result.advice()


def test_words_speak_of_the_number_that_was_tested():
    # counts near zero: most rows are tied with their smallest simulation, and ties broken otherwise give other outliers
    d = datasets.load("cbpp")
    d["period"] = d["period"].astype(float)
    fit = glmmcore.glmm("cbind(incidence, size - incidence) ~ period + (1|herd)", d, family="binomial")
    for seed in range(4):
        result = sr.outlier_test(sr.simulate_residuals(fit, rng=seed), n_refits=40)
        assert abs(float(result.counted) - result.statistic) <= 0.05
        assert (result.effect.value > 0) == (result.statistic > result.expected)
        if result.pvalue < 0.05:
            assert ("underdispersed" in result.advice()) == (result.effect.value < 0)
        assert OUTLIERS.size(result).startswith(f"{result.counted}, ")


def test_words_say_how_many_rows_and_where_their_names_stand():
    d = datasets.load("salamanders")
    residuals = sr.simulate_residuals(glmmcore.glmm("count ~ mined + (1|site)", d, family="poisson"))
    result, named = sr.outlier_test(residuals, n_refits=40), residuals.outliers()
    high, low = (int((named["side"] == side).sum()) for side in ("high", "low"))
    assert high + low == len(named) == result.observed > 30
    assert result.statistic != result.observed  # many rows are tied with their smallest simulation
    assert result.advice() == (
        f"{len(named)} rows outside all simulations ({high} high, {low} low; {result.counted} on average over ties, "
        f"{result.expected:.1f} expected): `residuals.outliers()` names them; if many, try a heavier-tailed family"
    )


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_frequencies_of_outliers_lie_between_0_and_1(alternative):
    # all refits have as many outliers, so that no number of them is known to be significant
    rng = np.random.default_rng(2)
    d = {"y": rng.normal(size=40), "x": rng.normal(size=40)}
    res = sr.simulate_residuals(glmmcore.glmm("y ~ x", d), 50, method="traditional")
    for n_refits in (5, 39):
        result = sr.outlier_test(res, alternative, n_refits=n_refits)
        low, high = result.conf_int
        assert 0.0 <= low <= result.statistic / 40 <= high <= 1.0 + 1e-12


def test_advice_names_no_function_for_rows_that_are_not_there():
    found = sr.outlier_test(sr.from_simulations(np.random.default_rng(1).poisson(0.02, (50, 40)), np.ones(40)))
    assert "residuals.outliers()" in found.advice()
    without = dataclasses.replace(found, table=found.table.iloc[:0])
    assert "0 rows outside" in without.advice() and "residuals.outliers()" not in without.advice()
