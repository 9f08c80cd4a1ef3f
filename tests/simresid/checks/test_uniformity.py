import numpy as np
import pytest
from scipy.special import smirnov
from scipy.stats import kstest

import simresid as sr
from simresid.checks._smirnov import smirnov_tail
from simresid.checks._uniformity_refits import null_levels
from simresid.checks.uniformity import anderson_darling, kolmogorov_smirnov

METHODS = ["ks", "ad", "cvm", "band", "dependent"]


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("n", [5, 60, 3000])
def test_kolmogorov_smirnov_equals_scipy(n, alternative):
    u = np.random.default_rng(n).random(n) ** 1.1
    statistic, pvalue, exact = kolmogorov_smirnov(u, alternative)
    expected = kstest(u, "uniform", alternative=alternative, method="exact")
    assert exact
    assert (statistic, pvalue) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)


@pytest.mark.parametrize("n", [1000, 20_000, 200_000])
@pytest.mark.parametrize("scaled", [0.3, 2.2, 9.0, 300.0])  # n d^2
def test_smirnov_tail(n, scaled):
    # scipy sums in double-double arithmetic; ours loses n d digits of the exponent, 11 are left
    d = np.sqrt(scaled / n)
    assert smirnov_tail(n, d) == pytest.approx(smirnov(n, d), rel=1e-10, abs=0)


def test_ties_make_it_asymptotic():
    # R 4.2: ks.test(x, "punif") with ties warns and uses the asymptotic law
    u = np.round(np.random.default_rng(1).random(80), 1)
    statistic, pvalue, exact = kolmogorov_smirnov(u, "greater")
    assert not exact
    assert pvalue == pytest.approx(np.exp(-2 * 80 * statistic**2), rel=1e-12)


def test_anderson_darling_critical_points():
    # Marsaglia & Marsaglia (2004): asymptotic 10, 5 and 1 % points
    from simresid.checks.pvalues import quadratic_form_sf

    j = np.arange(1, 41)
    for point, p in [(1.9330, 0.10), (2.4924, 0.05), (3.8781, 0.01)]:
        assert quadratic_form_sf(point - 1 / 41, 1 / (j * (j + 1))) == pytest.approx(p, rel=1e-3)
    # the statistic by its defining integral, n int (F - u)^2 / (u (1 - u)) du
    u = np.sort(np.random.default_rng(2).random(12))
    grid = (np.arange(400_000) + 0.5) / 400_000
    f = np.searchsorted(u, grid, side="right") / u.size
    integral = u.size * np.mean((f - grid) ** 2 / (grid * (1 - grid)))
    assert anderson_darling(u)[0] == pytest.approx(integral, rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_size_under_a_true_null(method):
    # 600 replicates: 4 standard errors are .036
    rng = np.random.default_rng(3)
    p = [sr.uniformity_test(rng.random(40), method=method).pvalue for _ in range(600)]
    assert 0.015 < np.mean(np.array(p) <= 0.05) < 0.086


@pytest.mark.parametrize("method", METHODS)
def test_power_against_overdispersed_residuals(method):
    rng = np.random.default_rng(4)
    u = rng.beta(0.6, 0.6, 300)
    assert sr.uniformity_test(u, method=method).pvalue < 0.01


def test_band_is_crossed_exactly_when_the_test_rejects():
    rng = np.random.default_rng(5)
    for _ in range(60):
        result = sr.uniformity_test(rng.beta(0.85, 0.85, 150), method="band")
        inside = result.band["observed"].between(result.band["lower"], result.band["upper"]).all()
        assert inside == (result.pvalue > 0.05)


def test_new_random_effects_need_the_simulated_null(known_poisson):
    # 10 groups of 30 with shared intercepts: residuals of a right model depend on each other within groups
    codes = np.repeat(np.arange(10), 30)
    simulated, analytic = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        b = 0.8 * rng.standard_normal(10)
        y = rng.poisson(5 * np.exp(b[codes]))
        model = known_poisson(np.full(300, 5.0), y, codes, 0.8, b)
        res = sr.simulate_residuals(model, 99, random_effects="unconditional", rng=seed)
        simulated.append(sr.uniformity_test(res).pvalue)
        analytic.append(sr.uniformity_test(res, null="analytic").pvalue)
    assert np.mean(np.array(analytic) <= 0.05) > 0.3  # what would go wrong
    assert np.mean(np.array(simulated) <= 0.05) < 0.17  # 60 replicates: 4 standard errors above .05


def test_dependent_contributions_point_at_the_culprits():
    u = np.concatenate([np.random.default_rng(6).random(80), np.full(8, 0.999) + 1e-4 * np.arange(8)])
    result = sr.uniformity_test(u, method="dependent")
    assert result.contributions.sum() == pytest.approx(1.0)
    assert result.contributions[80:].sum() > 0.8


@pytest.mark.parametrize(
    ("u", "message"),
    [
        ([0.1, np.nan, 0.2], "row 1 is nan"),
        ([0.1, 1.2], "row 1 is 1.2"),
        ([[0.1, 0.2]], "vector"),
        ([0.5], "at least 2"),
    ],
)
def test_bad_residuals_are_named(u, message):
    with pytest.raises(ValueError, match=message):
        sr.uniformity_test(u)


def test_directions_are_refused_where_there_are_none():
    with pytest.raises(ValueError, match="no direction"):
        sr.uniformity_test([0.1, 0.4], "greater", method="ad")
    with pytest.raises(ValueError, match="choose 'auto', 'ks'"):
        sr.uniformity_test([0.1, 0.4], method="kuiper")


def test_distance_location_and_band_of_the_effect_by_hand():
    u = np.array([0.05, 0.1, 0.15, 0.6, 0.65])
    result = sr.uniformity_test(u)
    # the empirical distribution function is .6 just above .15: distance .45
    assert result.statistic == pytest.approx(0.45)
    assert result.location == 0.15
    assert (result.effect.value, result.effect.null) == (pytest.approx(0.45), 0.0)
    assert result.effect.interval == pytest.approx((0.0, 1.0))
    wide = sr.uniformity_test(np.tile(u, 20))
    assert wide.effect.interval == pytest.approx((0.45 - 0.13581, 0.45 + 0.13581))
    # .6 at the next point: distance to the left of it, .6 - .6 = 0; mirrored residuals have it below
    assert sr.uniformity_test(1 - u).location == pytest.approx(0.85)
    assert sr.uniformity_test(u, "less").statistic == pytest.approx(0.05)
    assert sr.uniformity_test(u, "greater").statistic == pytest.approx(0.45)


def test_order_statistics_are_combined_by_the_cauchy_rule():
    from scipy.stats import beta

    u = np.random.default_rng(7).random(9)
    i = np.arange(1, 10)
    law = beta(i, 10 - i)
    p = 2 * np.minimum(law.cdf(np.sort(u)), law.sf(np.sort(u)))
    mean = np.mean(np.tan((0.5 - np.minimum(p, 1 - 1e-15)) * np.pi))
    result = sr.uniformity_test(u, method="dependent")
    assert result.pvalue == pytest.approx(0.5 - np.arctan(mean) / np.pi, rel=1e-9)
    evidence = np.maximum(1 / np.tan(np.pi * p), 0.0)
    np.testing.assert_allclose(result.contributions[np.argsort(u)], evidence / evidence.sum(), rtol=1e-9)


def test_band_by_hand():
    from scipy.stats import binom

    u = np.random.default_rng(8).random(30)
    result = sr.uniformity_test(u, method="band")
    band = result.band
    np.testing.assert_allclose(band["probability"], np.arange(1, 31) / 31)
    np.testing.assert_allclose(band["observed"], [(u <= z).mean() for z in band["probability"]])
    counts = np.array([(u <= z).sum() for z in band["probability"]])
    law = binom(30, band["probability"])
    smallest = np.min(np.minimum(1.0, 2 * np.minimum(law.cdf(counts), law.sf(counts - 1))))
    assert result.statistic == pytest.approx(smallest, rel=1e-9)
    assert len(sr.uniformity_test(np.random.default_rng(9).random(300), method="band").band) == 100
    # its own distribution: the share of 20 000 uniform samples with a smaller smallest p-value; 4 standard errors of
    # 1999 simulations
    samples = np.sort(np.random.default_rng(10).random((20_000, 30)), axis=1)
    many = np.stack([(samples <= z).sum(axis=1) for z in band["probability"]], axis=1)
    tails = np.min(2 * np.minimum(law.cdf(many), law.sf(many - 1)), axis=1)
    for point in np.quantile(tails, [0.05, 0.3, 0.8]):
        share = np.mean(null_levels(30) <= point)
        assert abs(share - np.mean(tails <= point)) < 4 * np.sqrt(0.25 / 1999)
