import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from scipy.special import ndtr
from scipy.stats import chi2, norm
from statsmodels.stats.diagnostic import acorr_ljungbox
from statsmodels.stats.stattools import durbin_watson as statsmodels_dw

import simresid as sr
from simresid.checks.temporal import durbin_watson_pvalue, ljung_box


def test_equal_r(dharma):
    # lmtest::dwtest: exact below 100 residuals (Pan's algorithm), normal above
    result = sr.temporal_autocorrelation_test(np.array(dharma["scaled_residuals"]), np.array(dharma["time"]))
    assert result.statistic == pytest.approx(dharma["temporal"]["statistic"], rel=1e-10)
    assert result.pvalue == pytest.approx(dharma["temporal"]["pvalue"], rel=1e-5)


@pytest.mark.parametrize("n", [4, 12, 60])
def test_exact_pvalue_against_simulation(n):
    # 200 000 normal series; 5 standard errors
    e = np.random.default_rng(n).standard_normal((200_000, n))
    e -= e.mean(axis=1, keepdims=True)
    d = np.sum(np.diff(e, axis=1) ** 2, axis=1) / np.sum(e**2, axis=1)
    for c in (1.2, 1.9, 2.4):
        p = durbin_watson_pvalue(c, n, "greater")
        assert abs(np.mean(d < c) - p) < 5 * np.sqrt(p * (1 - p) / d.size)
        assert durbin_watson_pvalue(c, n, "less") == pytest.approx(1 - p, abs=1e-9)
        assert durbin_watson_pvalue(c, n) == pytest.approx(2 * min(p, 1 - p), abs=1e-9)


def test_statistics_equal_statsmodels():
    u = np.random.default_rng(1).random(80)
    time = np.random.default_rng(2).permutation(80)
    e = u[np.argsort(time)] - u.mean()
    assert sr.temporal_autocorrelation_test(u, time).statistic == pytest.approx(statsmodels_dw(e), rel=1e-12)
    expected = acorr_ljungbox(e, lags=[7])
    assert ljung_box([e], 7) == pytest.approx((expected["lb_stat"].iloc[0], expected["lb_pvalue"].iloc[0]), rel=1e-10)


@pytest.mark.parametrize("kwargs", [{}, {"alternative": "greater"}, {"method": "ljung-box"}])
@pytest.mark.parametrize("n", [30])
def test_size(n, kwargs):
    rng = np.random.default_rng(n)
    p = [sr.temporal_autocorrelation_test(rng.random(n), np.arange(n), **kwargs).pvalue for _ in range(250)]
    assert 0.008 < np.mean(np.array(p) <= 0.05) < 0.106  # 4 standard errors


def ar1(rng, n, rho):
    from scipy.special import ndtr

    z = rng.standard_normal(n)
    for t in range(1, n):
        z[t] = rho * z[t - 1] + np.sqrt(1 - rho**2) * z[t]
    return ndtr(z)


def test_direction_and_effect():
    u = ar1(np.random.default_rng(3), 300, 0.5)
    result = sr.temporal_autocorrelation_test(u, np.arange(300), alternative="greater")
    assert result.pvalue < 1e-6
    assert result.effect.severity == "severe"
    assert abs(result.autocorrelation[0] - 0.5) < 0.15
    assert sr.temporal_autocorrelation_test(u, np.arange(300), alternative="less").pvalue > 0.99


def test_series_are_kept_apart():
    rng = np.random.default_rng(4)
    series = np.repeat(np.arange(20), 15)
    time = np.tile(np.arange(15), 20)
    # levels that differ between series are not autocorrelation within them
    u = np.clip(rng.random(300) * 0.5 + 0.5 * rng.random(20)[series], 0, 1)
    assert sr.temporal_autocorrelation_test(u, time, by=series).pvalue > 0.01
    within = np.concatenate([ar1(rng, 15, 0.6) for _ in range(20)])
    order = rng.permutation(300)
    result = sr.temporal_autocorrelation_test(within[order], time[order], by=series[order])
    assert result.pvalue < 1e-4
    assert len(result.series) == 20


@pytest.mark.parametrize("method", ["durbin-watson", "ljung-box"])
def test_size_of_pooled_series(method):
    rng = np.random.default_rng(5)
    series, time = np.repeat(np.arange(12), 8), np.tile(np.arange(8), 12)
    p = [sr.temporal_autocorrelation_test(rng.random(96), time, by=series, method=method).pvalue for _ in range(150)]
    assert 0.005 < np.mean(np.array(p) <= 0.05) < 0.13


def test_repeated_times_are_combined():
    rng = np.random.default_rng(6)
    time = np.repeat(np.arange(60), rng.integers(1, 6, 60))
    p = [sr.temporal_autocorrelation_test(rng.random(time.size), time).pvalue for _ in range(150)]
    assert 0.005 < np.mean(np.array(p) <= 0.05) < 0.13
    result = sr.temporal_autocorrelation_test(rng.random(time.size), time)
    assert "were combined" in result.notes[0]
    assert result.series["n"].iloc[0] == 60


def test_short_and_constant_series_are_left_out_and_listed():
    rng = np.random.default_rng(9)
    u = np.concatenate([rng.random(20), [0.4, 0.5], np.full(6, 0.3)])
    series = np.repeat(["long", "short", "flat"], [20, 2, 6])
    result = sr.temporal_autocorrelation_test(u, np.arange(28), by=series)
    alone = sr.temporal_autocorrelation_test(u[:20], np.arange(20), lags=5)
    assert result.statistic == alone.statistic
    assert result.notes == ("2 of 3 series are too short or constant: left out.",)
    table = result.series
    assert table.loc["long", "n"] == 20
    for label, n in (("short", 2), ("flat", 6)):
        assert table.loc[label, "n"] == n
        assert table.loc[label].drop("n").isna().all()


def test_autocorrelations_by_hand():
    e = np.array([0.3, -0.1, 0.2, -0.4])
    result = sr.temporal_autocorrelation_test(0.5 + e, np.arange(4), lags=3)
    expected = [np.sum(e[k:] * e[:-k]) / np.sum(e**2) for k in (1, 2, 3)]
    np.testing.assert_allclose(result.autocorrelation, expected, rtol=1e-12)
    assert result.effect.value == pytest.approx(expected[0])
    assert result.effect.null == -0.25
    half = 1.96 / 2
    middle = np.arcsin(expected[0])  # whose variance is 1 / n
    assert result.effect.interval == pytest.approx((np.sin(middle - half), np.sin(middle + half)))
    with pytest.raises(ValueError, match="lags=4 must lie between 1 and 3"):
        sr.temporal_autocorrelation_test(0.5 + e, np.arange(4), lags=4)
    # by default a fifth of the series, 10 at most
    u = np.random.default_rng(0).random(80)
    assert sr.temporal_autocorrelation_test(u[:37], np.arange(37)).autocorrelation.size == 7
    assert sr.temporal_autocorrelation_test(u, np.arange(80)).autocorrelation.size == 10


@pytest.mark.parametrize("n", [3, 10, 400])
def test_normal_law_of_durbin_watson(n):
    # mean 2 and variance 4 (n - 2) / ((n - 1)(n + 1)) of centred white noise
    sd = np.sqrt(4 * (n - 2) / ((n - 1) * (n + 1)))
    for d in (1.3, 2.4):
        assert durbin_watson_pvalue(d, n, "greater", exact=False) == pytest.approx(norm.cdf((d - 2) / sd), rel=1e-12)
        assert durbin_watson_pvalue(d, n, "less", exact=False) == pytest.approx(norm.sf((d - 2) / sd), rel=1e-12)
        assert durbin_watson_pvalue(d, n, exact=False) == pytest.approx(2 * norm.sf(abs(d - 2) / sd), rel=1e-12)
        two, one = (durbin_watson_pvalue(d, 8, side) for side in ("two-sided", "greater" if d < 2 else "less"))
        assert two == pytest.approx(min(1.0, 2 * one), rel=1e-12)
    u = np.random.default_rng(n).random(n)
    e = u - u.mean()
    d = np.sum(np.diff(e) ** 2) / np.sum(e**2)
    result = sr.temporal_autocorrelation_test(u, np.arange(n), exact=False)
    assert (result.statistic, result.pvalue) == pytest.approx((d, 2 * norm.sf(abs(d - 2) / sd)), rel=1e-12)


def test_pooled_series_by_hand():
    # averages with the sizes as weights; the variance of the average is that of independent series
    rng = np.random.default_rng(10)
    sizes, parts = [4, 9, 25], []
    for n in sizes:
        parts.append(rng.random(n))
    series, time = np.repeat(np.arange(3), sizes), np.concatenate([np.arange(n) for n in sizes])
    e = [part - part.mean() for part in parts]
    d = [np.sum(np.diff(v) ** 2) / np.sum(v**2) for v in e]
    pooled = np.average(d, weights=sizes)
    variance = sum(n**2 * 4 * (n - 2) / ((n - 1) * (n + 1)) for n in sizes) / sum(sizes) ** 2
    result = sr.temporal_autocorrelation_test(np.concatenate(parts), time, by=series)
    assert result.statistic == pytest.approx(pooled, rel=1e-12)
    assert result.pvalue == pytest.approx(2 * norm.sf(abs(pooled - 2) / np.sqrt(variance)), rel=1e-12)
    np.testing.assert_allclose(result.series["statistic"], d, rtol=1e-12)
    # Ljung-Box adds up; a series of four has three lags at most
    q, p = ljung_box(e, 6)
    single = [acorr_ljungbox(v, lags=[min(6, v.size - 1)])["lb_stat"].iloc[0] for v in e]
    assert q == pytest.approx(sum(single), rel=1e-10)
    assert p == pytest.approx(chi2.sf(q, 3 + 6 + 6), rel=1e-10)


def test_rows_of_one_time_are_combined_by_hand():
    u, time = np.array([0.9, 0.8, 0.3, 0.1, 0.6, 0.7]), np.array([2, 2, 1, 3, 2, 4])
    value = np.array([-0.2, (0.4 + 0.3 + 0.1) / np.sqrt(3), -0.4, 0.2])
    e = value - value.mean()
    result = sr.temporal_autocorrelation_test(u, time)
    assert result.statistic == pytest.approx(np.sum(np.diff(e) ** 2) / np.sum(e**2), rel=1e-12)
    assert result.notes == (
        "2 rows share their time with another and were combined; by= names the series they belong to.",
    )
    assert result.method == "Durbin-Watson, exact"
    assert sr.temporal_autocorrelation_test(u, time, exact=False).method == "Durbin-Watson, normal"


def test_dates():
    u = np.random.default_rng(7).random(50)
    days = pd.date_range("2020-01-31", periods=50, freq="ME")
    assert sr.temporal_autocorrelation_test(u, days).pvalue == sr.temporal_autocorrelation_test(u, np.arange(50)).pvalue


def test_clear_errors():
    u = np.random.default_rng(8).random(10)
    with pytest.raises(ValueError, match="method='runs'"):
        sr.temporal_autocorrelation_test(u, np.arange(10), method="runs")
    with pytest.raises(ValueError, match="three distinct times"):
        sr.temporal_autocorrelation_test(u, np.zeros(10))
    with pytest.raises(ValueError, match="do not vary"):
        sr.temporal_autocorrelation_test(np.full(10, 0.5), np.arange(10))
    with pytest.raises(ValueError, match="time is missing in 1 rows"):
        sr.temporal_autocorrelation_test(u, [np.nan, *range(9)])
    with pytest.raises(ValueError, match="no direction"):
        sr.temporal_autocorrelation_test(u, np.arange(10), alternative="less", method="ljung-box")
    with pytest.raises(ValueError, match="single series"):
        sr.temporal_autocorrelation_test(u, np.arange(10), by=[0] * 5 + [1] * 5, exact=True)


@pytest.mark.parametrize("r", [0.97, -0.9])
def test_intervals_of_autocorrelations_stay_within_their_range(r):
    """Short, strongly correlated series had limits beyond 1."""
    rng = np.random.default_rng(31)
    for n in (8, 20, 45):
        e = np.empty(n)
        e[0] = rng.normal()
        for t in range(1, n):
            e[t] = r * e[t - 1] + rng.normal(0, np.sqrt(1 - r * r))
        effect = sr.temporal_autocorrelation_test(ndtr(e), np.arange(n)).effect
        assert -1 <= effect.interval[0] <= effect.value <= effect.interval[1] <= 1


def test_intervals_of_spatial_correlation_stay_within_their_range():
    x, y = np.divmod(np.arange(36.0), 6)
    smooth = sr.spatial_autocorrelation_test(0.02 + 0.96 * (x > 2), x, y).effect
    assert smooth.value > 0.6
    assert -1 <= smooth.interval[0] <= smooth.value <= smooth.interval[1] <= 1
    chequered = sr.spatial_autocorrelation_test(np.where((x + y) % 2, 0.1, 0.9), x, y, weights="knn", k=2).effect
    assert -1 <= chequered.interval[0] <= chequered.value <= chequered.interval[1] <= 1


def test_interval_of_an_autocorrelation_covers():
    """AR(1) of 300 normal values: 500 series, standard error .010; the bias of r costs a little."""
    rng = np.random.default_rng(32)
    n_series, n, r, hits = 500, 300, 0.5, 0
    for _ in range(n_series):
        e = lfilter([np.sqrt(1 - r * r)], [1, -r], rng.normal(size=n + 50))[50:]
        u = ndtr(e)
        # the autocorrelation of u under a normal copula
        low, high = sr.temporal_autocorrelation_test(u, np.arange(n)).effect.interval
        hits += low <= 6 / np.pi * np.arcsin(r / 2) <= high
    assert 0.91 < hits / n_series < 0.99
