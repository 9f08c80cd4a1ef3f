"""Residuals ranked among those of refits, and what happens to refits that fail."""

from __future__ import annotations

import joblib
import numpy as np
import pytest

import simresid as sr
from glmmcore import FittedGLMM, glmm
from simresid.protocol import CanRefitMany


def test_ranks_among_the_refits(poisson_fit):
    model = poisson_fit(60)
    res = sr.simulate_residuals(model, 40, refit=True)
    refits = res.refits
    raw = np.stack([y - model.refit(y).fitted for y in res.simulated])
    np.testing.assert_allclose(refits.residuals, raw, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(refits.observed, model.observed - model.fitted)
    pearson = [np.sum(model.refit(y).resid_pearson ** 2) for y in res.simulated]
    np.testing.assert_allclose(refits.pearson, pearson, rtol=1e-10)
    np.testing.assert_allclose(refits.observed_pearson, np.sum(model.resid_pearson**2))
    np.testing.assert_allclose(refits.llf, [model.refit(y).llf for y in res.simulated], rtol=1e-10)
    assert refits.failures == () and res.n_ranked == 40
    assert "ranked among 40 refits" in repr(res)


def test_continuous_refit_residuals_are_plain_ranks():
    class Mean:
        """A normal sample with unknown mean."""

        discrete = False

        def __init__(self, y):
            self.observed, self.nobs = np.asarray(y, float), len(y)
            self.fitted = np.full(len(y), self.observed.mean())

        def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
            return np.random.default_rng(rng).normal(self.fitted, 1.0, size=(n_sims, self.nobs))

        def refit(self, y):
            return Mean(y)

    model = Mean(np.random.default_rng(1).normal(size=30))
    res = sr.simulate_residuals(model, 100, refit=True)
    raw = res.simulated - res.simulated.mean(axis=1, keepdims=True)
    below = (raw < model.observed - model.fitted).sum(axis=0)
    v = res.child_rng("residuals").random(30)
    np.testing.assert_allclose(res.residuals, (below + v) / 101, rtol=1e-12)
    assert np.isnan(res.refits.llf).all() and np.isnan(res.refits.observed_pearson)


def test_workers_change_nothing(poisson_fit):
    model = poisson_fit(60)
    reference = sr.simulate_residuals(model, 30, refit=True)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        other = sr.simulate_residuals(model, 30, refit=True, block_size=4)
    np.testing.assert_array_equal(other.residuals, reference.residuals)


def test_failed_refits_are_counted_and_left_out(poisson_fit):
    model = poisson_fit(60)

    class Fragile(type(model)):
        def refit(self, y):
            if y[0] == 0:
                raise ArithmeticError("first row is zero")
            return super().refit(y)

    model.__class__ = Fragile
    res = sr.simulate_residuals(model, 50, refit=True)
    zero = res.simulated[:, 0] == 0
    assert 0 < zero.sum() < 48
    assert [f.replicate for f in res.refits.failures] == np.flatnonzero(zero).tolist()
    assert res.refits.failures[0].reason == "ArithmeticError: first row is zero"
    assert res.n_sims == 50 and res.n_ranked == 50 - zero.sum()
    np.testing.assert_array_equal(res.refits.replicates, np.flatnonzero(~zero))
    assert f"{zero.sum()} more refits failed" in repr(res)


def test_all_refits_fail(poisson_fit):
    model = poisson_fit(60)

    class Hopeless(type(model)):
        def refit(self, y):
            raise ArithmeticError("never")

    model.__class__ = Hopeless
    with pytest.raises(ValueError, match="20 of 20 refits failed, the first: ArithmeticError: never"):
        sr.simulate_residuals(model, 20, refit=True)


def test_models_without_refit_are_refused(poisson_fit):
    model = poisson_fit(60)

    class Fixed:
        def __init__(self, inner):
            self.observed, self.fitted, self.nobs = inner.observed, inner.fitted, inner.nobs
            self.simulate = inner.simulate

    with pytest.raises(ValueError, match=r"needs a model with refit\(y\); Fixed has none"):
        sr.simulate_residuals(Fixed(model), refit=True)
    with pytest.raises(ValueError, match="method must be rank, pit or traditional"):
        sr.simulate_residuals(model, refit=True, method="exact")


def test_groups_of_refit_residuals_add_up(poisson_fit):
    res = sr.simulate_residuals(poisson_fit(60), 40, refit=True)
    grouped = res.recalculate("site")
    codes = np.arange(60) % 10
    np.testing.assert_allclose(grouped.refits.observed, np.bincount(codes, res.refits.observed), atol=1e-12)
    np.testing.assert_allclose(grouped.refits.residuals[3], np.bincount(codes, res.refits.residuals[3]), atol=1e-12)
    assert np.isnan(grouped.refits.observed_pearson)  # no longer the same rows


def test_refitting_sees_the_loss_of_freedom(poisson_fit):
    """Six parameters for twelve rows: ranks among simulations crowd in the middle, among refits not."""
    rng = np.random.default_rng(6)
    base = poisson_fit(12)
    plain, refitted = [], []
    for _ in range(60):
        design = np.column_stack([np.ones(12), rng.normal(size=(12, 5)) * 0.3])
        model = type(base)(rng.poisson(20, 12), design)
        plain.append(sr.simulate_residuals(model, 50).residuals)
        refitted.append(sr.simulate_residuals(model, 50, refit=True).residuals)
    # Standard error of the variance of 720 uniforms is .0028.
    assert np.var(plain) < 1 / 12 - 0.03
    assert abs(np.var(refitted) - 1 / 12) < 0.01


def test_batched_refits_are_the_single_ones():
    """Residuals, likelihood ratios and dispersion: a model that refits in batches gives the same numbers."""
    rng = np.random.default_rng(8)
    g, x = np.repeat(np.arange(10), 6), rng.normal(size=60)
    data = {"g": g, "x": x, "y": rng.poisson(np.exp(1 + rng.normal(0, 0.5, 10)[g]))}
    small, large = (glmm(f"y ~ {right} + (1|g)", data, family="poisson") for right in ("1", "x"))
    assert isinstance(small, CanRefitMany)

    class OneByOne(FittedGLMM):
        refit_many = None

    singly = OneByOne(small.estimator, small.solution)
    assert not isinstance(singly, CanRefitMany)
    one, many = (sr.simulate_residuals(m, 70, refit=True) for m in (singly, small))
    # both end within sqrt(2e-9) standard errors of the maximum
    np.testing.assert_allclose(many.refits.residuals, one.refits.residuals, atol=1e-3)
    np.testing.assert_allclose(many.refits.pearson, one.refits.pearson, rtol=1e-4)
    np.testing.assert_allclose(many.refits.llf, one.refits.llf, atol=1e-6)
    many_lrt = sr.simulated_lrt(small, large, n_sims=39).null_distribution
    one_lrt = sr.simulated_lrt(singly, OneByOne(large.estimator, large.solution), n_sims=39).null_distribution
    np.testing.assert_allclose(many_lrt, one_lrt, atol=1e-6)
    assert sr.dispersion_test(many, method="refit").statistic == pytest.approx(
        sr.dispersion_test(one, method="refit").statistic, rel=1e-4
    )
    two = sr.simulated_lrt(small, large, n_sims=39, n_jobs=2).null_distribution
    np.testing.assert_array_equal(two, many_lrt)
