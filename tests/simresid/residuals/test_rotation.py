"""Rotation takes correlation out without inventing misfit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import simresid as sr
from simresid.residuals.rotation import shrunk_covariance
from simresid.simulations.sources import MatrixSource


class Autoregression:
    """Stationary Gaussian AR(1) of known correlation."""

    has_random_effects = False

    def __init__(self, n, rho, seed=0):
        lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
        self.covariance = rho**lag
        self.factor = np.linalg.cholesky(self.covariance)
        self.fitted, self.nobs = np.zeros(n), n
        self.observed = self.simulate(1, rng=np.random.default_rng(seed))[0]

    def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
        return np.random.default_rng(rng).normal(size=(n_sims, self.nobs)) @ self.factor.T


def lag_one(res):
    z = res.normal_residuals()
    return np.corrcoef(z[1:], z[:-1])[0, 1]


def test_given_covariance_whitens_before_ranking():
    model = Autoregression(40, 0.7)
    res = sr.simulate_residuals(model, rotation=model.covariance)
    inverse = np.linalg.inv(model.factor)
    y, simulated = inverse @ model.observed, res.simulated @ inverse.T
    below = (simulated < y).sum(axis=0)
    v = res.child_rng("residuals").random(40)
    np.testing.assert_allclose(res.residuals, (below + v) / 251, rtol=1e-12)
    np.testing.assert_array_equal(res.observed, model.observed)  # tests still see the response itself


def test_identity_changes_nothing():
    model = Autoregression(40, 0.7)
    plain = sr.simulate_residuals(model)
    np.testing.assert_array_equal(sr.simulate_residuals(model, rotation=np.eye(40)).residuals, plain.residuals)


@pytest.mark.parametrize("n", [100, 300])
def test_estimated_rotation_keeps_the_size(n):
    """60 data sets. DHARMa rejects 10 % at n = 100 and 100 % at n = 300, with outlier rates .04 and .40."""
    estimate = sr.simulate_residuals(Autoregression(n, 0.0), rotation="estimated", rng=99).whiten.factor
    rejected, outliers = 0, 0
    for seed in range(60):  # the estimate owes nothing to the data sets, so that one serves them all
        model = Autoregression(n, 0.0, seed)
        res = sr.simulate_residuals(model, rotation=estimate @ estimate.T, rng=seed)
        rejected += stats.kstest(res.residuals, "uniform").pvalue < 0.05
        outliers += np.abs(res.outlier_sides).sum()
    assert stats.binomtest(rejected, 60, 0.05).pvalue > 0.01
    assert stats.binomtest(int(outliers), 60 * n, 2 / 251).pvalue > 0.01


def test_estimated_rotation_removes_correlation():
    model = Autoregression(200, 0.7, 3)
    assert lag_one(sr.simulate_residuals(model)) > 0.5
    assert abs(lag_one(sr.simulate_residuals(model, rotation="estimated"))) < 3 / np.sqrt(200)


def test_estimated_rotation_of_given_simulations_splits_them():
    model = Autoregression(30, 0.6)
    simulated = model.simulate(400, rng=1)
    res = sr.from_simulations(simulated, model.observed, rotation="estimated")
    assert res.n_sims == 200
    np.testing.assert_array_equal(res.simulated, simulated[200:])
    with pytest.raises(ValueError, match="at least 20 simulations"):
        sr.from_simulations(simulated[:15], model.observed, rotation="estimated")


def test_shrunk_covariance_against_the_definition():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 5)) + 100.0
    k = len(x)
    z = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    products = z[:, :, None] * z[:, None, :]
    r = products.sum(axis=0) / (k - 1)
    variance = products.var(axis=0) / (k - 1)
    off = ~np.eye(5, dtype=bool)
    intensity = min(1, variance[off].sum() / (r[off] ** 2).sum())
    expected = np.cov(x, rowvar=False)
    expected[off] *= 1 - intensity
    # All 60 replicates are one chunk, whose mean centres exactly.
    np.testing.assert_allclose(shrunk_covariance(MatrixSource(x)), expected, rtol=0.02)
    many = rng.normal(size=(200_000, 3)) @ np.linalg.cholesky(0.5 + 0.5 * np.eye(3)).T
    np.testing.assert_allclose(shrunk_covariance(MatrixSource(many)), 0.5 + 0.5 * np.eye(3), atol=0.01)


def test_shrunk_covariance_is_positive_definite_with_few_simulations():
    rng = np.random.default_rng(2)
    few = rng.normal(size=(10, 50))
    few[:, 7] = 3.0  # a row that never varies
    assert np.linalg.eigvalsh(shrunk_covariance(MatrixSource(few))).min() > 0
    with pytest.raises(ValueError, match="do not vary"):
        shrunk_covariance(MatrixSource(np.ones((10, 4))))


def test_rotation_carries_over_to_sums():
    model = Autoregression(40, 0.7)
    group = np.repeat(np.arange(10), 4)
    rotated = sr.simulate_residuals(model, rotation=model.covariance).recalculate(group)
    sums = (group == np.arange(10)[:, None]).astype(float)
    given = sr.simulate_residuals(model).recalculate(group, rotation=sums @ model.covariance @ sums.T)
    np.testing.assert_allclose(rotated.residuals, given.residuals, rtol=1e-12)
    with pytest.raises(ValueError, match="does not carry over"):
        sr.simulate_residuals(model, rotation=model.covariance).recalculate(group, aggregate=np.max)


def test_what_is_refused():
    model = Autoregression(10, 0.5)
    for bad, message in (
        (np.eye(9), "expected a covariance of shape"),
        (np.triu(np.ones((10, 10))), "not symmetric"),
        (np.ones((10, 10)), "not positive definite"),
        ("guess", "pass a covariance matrix or 'estimated'"),
    ):
        with pytest.raises(ValueError, match=message):
            sr.simulate_residuals(model, rotation=bad)
    with pytest.raises(ValueError, match="rotation needs simulated responses"):
        sr.simulate_residuals(model, rotation=np.eye(10), method="exact")
