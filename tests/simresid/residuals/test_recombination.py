import numpy as np
import pytest
from scipy.special import pdtr
from scipy.stats import kstest, poisson

import simresid as sr
from simresid.residuals import recombination
from simresid.residuals.recombination import count_of_independent, recombined_sums

N = 60_000


class Counts:
    """Independent Poisson counts of known means, with their law."""

    has_random_effects = False

    def __init__(self, seed, nobs=N):
        rng = np.random.default_rng(seed)
        self.nobs = nobs
        self.fitted = np.exp(rng.normal(0.5, 0.7, nobs))
        self.observed = rng.poisson(self.fitted).astype(float)

    def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
        return np.random.default_rng(rng).poisson(self.fitted, size=(n_sims, self.nobs))

    def cdf(self, y=None):
        y = self.observed if y is None else y
        return np.where(y > 0, pdtr(np.maximum(y - 1, 0), self.fitted), 0.0), pdtr(y, self.fitted)

    def variance(self):
        return self.fitted


class OverstatedVariance(Counts):
    def variance(self):
        return 1.1 * self.fitted


class OneHugeRow(Counts):
    def __init__(self, seed):
        super().__init__(seed)
        self.fitted[7] = 1e6


def sums_of(res):
    sums = res.replicate_sums
    return np.column_stack([sums.zeros, sums.deviation, sums.squared, sums.pearson])


def test_moments_are_those_of_the_law():
    model = Counts(1)
    mean, p0 = model.fitted, np.exp(-model.fitted)
    found = sums_of(sr.simulate_residuals(model, 4000, method="exact", rng=2))
    # Poisson: var (y-m)^2 = m + 2 m^2, var (y-m)^2/m = 2 + 1/m
    expected = [p0.sum(), 0.0, mean.sum(), N]
    sd = np.sqrt([(p0 * (1 - p0)).sum(), mean.sum(), (mean + 2 * mean**2).sum(), (2 + 1 / mean).sum()])
    np.testing.assert_array_less(np.abs(found.mean(axis=0) - expected) / sd, 4.5 / np.sqrt(4000))
    # sd from 448 degrees of freedom: relative error 1 / sqrt(2 * 448) = .033
    np.testing.assert_allclose(found.std(axis=0), sd, rtol=0.12)


def test_sizes_of_the_tests():
    dispersion, zeros = [], []
    for seed in range(80):  # 99 whole simulations of each would take minutes
        res = sr.simulate_residuals(Counts(seed), 99, method="exact", rng=seed)
        dispersion.append(sr.dispersion_test(res).pvalue)
        zeros.append(sr.zero_inflation_test(res).pvalue)
    for p in (dispersion, zeros):
        assert kstest(np.array(p) - 0.01 * np.random.default_rng(1).random(80), "uniform").pvalue > 0.01


@pytest.mark.parametrize("model", [OverstatedVariance, OneHugeRow])
def test_whole_data_sets_where_blocks_will_not_do(model):
    fitted = model(3)
    assert recombine(fitted) is None
    res = sr.simulate_residuals(fitted, 20, method="exact", rng=4)
    squared = [np.sum((block - fitted.fitted) ** 2, axis=1) for _, block in res.iter_simulations()]
    np.testing.assert_allclose(res.replicate_sums.squared, np.concatenate(squared), rtol=1e-12)


def recombine(model):
    res = sr.simulate_residuals(model, 20, method="exact", rng=4)
    return recombined_sums(res.simulations, res.rows, lambda: np.zeros(N), 20, np.random.default_rng(1))


def test_ranked_residuals_and_few_rows_use_whole_data_sets(monkeypatch):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr("simresid.residuals.ranked_response.recombined_sums", refuse)
    assert sr.simulate_residuals(Counts(1, nobs=50_000), 10, method="exact").replicate_sums is not None
    assert sr.simulate_residuals(Counts(1), 10).replicate_sums is not None


def test_simulations_that_are_not_finite_are_refused():
    class Broken(Counts):
        def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
            out = super().simulate(n_sims, rng=rng).astype(float)
            out[:, 11] = np.nan
            return out

    with pytest.raises(ValueError, match=r"row position\(s\) 11"):
        sr.dispersion_test(sr.simulate_residuals(Broken(1), 20, method="exact"))


@pytest.mark.parametrize("share", [0.003, 0.5, 0.997])
@pytest.mark.parametrize("n", [1000, 30_000])
def test_count_of_independent_events(share, n):
    rng = np.random.default_rng(5)
    p = np.clip(share + 0.003 * rng.uniform(-1, 1, n), 0.0, 1.0)
    draws = count_of_independent(p, 4000, rng)
    sd = np.sqrt(np.sum(p * (1 - p)))
    assert abs(draws.mean() - p.sum()) < 4 * sd / np.sqrt(4000)
    assert draws.std() == pytest.approx(sd, rel=4 / np.sqrt(2 * 4000))
    np.testing.assert_array_equal(draws, np.rint(draws))


def test_rare_events_are_poisson():
    draws = count_of_independent(np.full(10**6, 4e-7), 4000, np.random.default_rng(6))
    np.testing.assert_allclose(np.bincount(draws.astype(int))[:3] / 4000, poisson(0.4).pmf(range(3)), atol=0.03)


def test_impossible_events():
    np.testing.assert_array_equal(count_of_independent(np.zeros(5), 3, np.random.default_rng(1)), 0.0)
    np.testing.assert_array_equal(count_of_independent(np.ones(5), 3, np.random.default_rng(1)), 5.0)


def test_shares_of_blocks_are_as_documented():
    assert recombination.N_BLOCKS * (recombination.N_REPLICATES - 1) == 448
