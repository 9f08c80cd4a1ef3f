"""Each method of the dispersion test by its definition."""

import numpy as np
import pytest
from scipy.stats import chi2

import simresid as sr
from simresid.checks._dispersion_simulated import squared_deviation_ratio

ALTERNATIVES = ("two-sided", "greater", "less")


def ranked(statistic, null, alternative):
    greater, less = ((1 + np.sum(side)) / (1 + len(null)) for side in (null >= statistic, null <= statistic))
    return {"greater": greater, "less": less, "two-sided": min(1.0, 2 * min(greater, less))}[alternative]


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_dharma_compares_variances_of_raw_residuals(alternative):
    rng = np.random.default_rng(1)
    mean = rng.uniform(1, 8, 50)
    simulated, y = rng.poisson(mean, (80, 50)), rng.negative_binomial(3, 3 / (3 + mean))
    result = sr.dispersion_test(sr.from_simulations(simulated, y, mean), alternative, "dharma")
    null = np.var(simulated - mean, axis=1, ddof=1)
    own = np.var(y - mean, ddof=1)
    assert result.statistic == pytest.approx(own / null.mean(), rel=1e-12)
    assert result.pvalue == pytest.approx(ranked(own, null, alternative), rel=1e-12)
    with pytest.raises(ValueError, match="do not vary around the fitted values"):
        sr.dispersion_test(sr.from_simulations(np.ones((30, 5)), np.ones(5), np.ones(5)), method="dharma")


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_pearson_is_a_chi_square_with_interval(known_poisson, alternative):
    rng = np.random.default_rng(2)
    mean = rng.uniform(1, 8, 30)
    model = known_poisson(mean, rng.poisson(mean))
    model.edf = 2.5
    result = sr.dispersion_test(sr.simulate_residuals(model, 30), alternative, "pearson")
    total = np.sum((model.observed - mean) ** 2 / mean)
    tails = {"greater": chi2.sf(total, 27.5), "less": chi2.cdf(total, 27.5)}
    expected = tails.get(alternative, 2 * min(tails.values()))
    assert result.statistic == pytest.approx(total / 27.5, rel=1e-12)
    assert result.pvalue == pytest.approx(expected, rel=1e-9)
    # where the chi-square of the true ratio has the total as its outer 2.5 % points
    assert result.conf_int == pytest.approx((total / chi2.ppf(0.975, 27.5), total / chi2.ppf(0.025, 27.5)), rel=1e-9)


def test_pearson_needs_degrees_of_freedom(known_poisson):
    model = known_poisson(np.full(20, 3.0), np.full(20, 3.0))
    model.edf = 20.0
    with pytest.raises(ValueError, match=r"no residual degrees of freedom are left \(n = 20, edf = 20\)"):
        sr.dispersion_test(sr.simulate_residuals(model, 30), method="pearson")
    model.edf = None
    with pytest.raises(ValueError, match="needs the model's edf or df_resid"):
        sr.dispersion_test(sr.simulate_residuals(model, 30), method="pearson")
    model.df_resid = 17.0
    assert sr.dispersion_test(sr.simulate_residuals(model, 30), method="pearson").statistic == 0.0
    with pytest.raises(ValueError, match="ungrouped"):
        grouped = sr.simulate_residuals(model, 30).recalculate(group=np.arange(20) % 4)
        sr.dispersion_test(grouped, method="pearson")


class PoissonMean:
    """Counts with one unknown mean; `variance` or `resid_pearson` as the subclass offers."""

    discrete = True

    def __init__(self, y):
        self.observed, self.nobs = np.asarray(y, float), len(y)
        self.fitted = np.full(self.nobs, self.observed.mean())

    def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
        return rng.poisson(self.fitted, (n_sims, self.nobs))

    def refit(self, y):
        if y[0] > 8:
            raise ArithmeticError("the first count is large")
        return type(self)(y)


class WithVariance(PoissonMean):
    def variance(self):
        return self.fitted


class WithPearson(PoissonMean):
    @property
    def resid_pearson(self):
        return (self.observed - self.fitted) / np.sqrt(self.fitted)


def test_refit_compares_pearson_sums_of_refits():
    y = np.random.default_rng(3).negative_binomial(2, 2 / 6, 40)
    y[0] = 4
    results = [
        sr.dispersion_test(sr.simulate_residuals(kind(y), 99), method="refit") for kind in (WithVariance, WithPearson)
    ]
    assert results[0].statistic == pytest.approx(results[1].statistic, rel=1e-12)
    result = results[0]
    # the sum of squares over the mean of n Poisson counts, refitted, is n - 1 on average: variance 2 (n - 1),
    # so that the mean of about 97 refits is known to 1 %
    own = np.sum((y - y.mean()) ** 2) / y.mean()
    assert result.statistic == pytest.approx(own / 39, rel=0.05)
    failed = 99 - result.null_distribution.size
    assert 0 < failed < 12  # P(Poisson(4) > 8) = .021
    assert result.notes[0].startswith(f"{failed} of 99 refits failed and were left out")
    assert result.pvalue == pytest.approx(ranked(result.statistic, result.null_distribution, "two-sided"))
    with pytest.raises(ValueError, match="Pearson residuals or its variance"):
        sr.dispersion_test(sr.simulate_residuals(PoissonMean(y), 99), method="refit")


def test_ratio_of_a_perfect_fit_has_no_error():
    assert squared_deviation_ratio(np.ones(3), np.ones(3), np.ones(3), np.zeros(3)) == (0.0, 0.0)


def test_error_of_the_ratio_by_hand():
    # sqrt(sum (d_i - ratio a_i)^2) over the sum of d_i
    y, mean, variance, h = np.array([3.0, 0.0, 2.0]), np.ones(3), np.array([1.0, 2.0, 1.0]), np.array([0.5, 0.0, 0.0])
    squared, allowed = (y - mean) ** 2, variance * (1 - h)
    ratio, error = squared_deviation_ratio(y, mean, variance, h)
    assert ratio == pytest.approx(6 / 3.5)
    assert error == pytest.approx(np.sqrt(np.sum((squared - ratio * allowed) ** 2)) / squared.sum())


def test_interval_of_simulations_without_a_model_by_hand():
    # the larger of the error over rows and the spread of simulated ratios, on the log scale
    rng = np.random.default_rng(4)
    mean = rng.uniform(1, 30, 25)
    simulated, y = rng.poisson(mean, (150, 25)).astype(float), rng.poisson(mean).astype(float)
    y[3] += 25.0
    res = sr.from_simulations(simulated, y, mean)
    result, centre = sr.dispersion_test(res), res.expected
    variance = np.mean((simulated - centre) ** 2, axis=0)
    squares = np.sum((simulated - centre) ** 2, axis=1)
    own = (y - centre) ** 2
    ratio = own.sum() / squares.mean()
    over_rows = np.sqrt(np.sum((own - own.sum() / variance.sum() * variance) ** 2)) / own.sum()
    simulations = np.std(np.log(squares / squares.mean()))
    assert over_rows > simulations
    assert result.statistic == pytest.approx(ratio, rel=1e-12)
    assert result.conf_int == pytest.approx((ratio * np.exp(-1.96 * over_rows), ratio * np.exp(1.96 * over_rows)))
    assert result.pvalue == pytest.approx(ranked(ratio, squares / squares.mean(), "two-sided"))
