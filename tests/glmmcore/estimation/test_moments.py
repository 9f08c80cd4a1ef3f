"""Starts of linear models: moments are the maximum where levels have the same rows, and near it elsewhere."""

import numpy as np
import pandas as pd
import pytest

from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.moments import moment_covariance, moment_variances
from glmmcore.families import get_family
from glmmcore.formula import build_design
from simresid import datasets


def estimator(formula, d, **options):
    return Estimator.build(build_design(formula, d), get_family("gaussian"), **options)


def test_balanced_slopes_start_at_their_maximum():
    own = estimator("Reaction ~ Days + (Days|Subject)", datasets.load("sleepstudy"))
    solution = own.fit()
    np.testing.assert_allclose(own.linear_objective().start(), solution.x, rtol=1e-8)
    # lme4 1.1-31 by maximum likelihood
    assert solution.llf == pytest.approx(-875.9697, abs=1e-4)
    assert solution.optimum.converged


def test_unbalanced_slopes_start_within_two_standard_errors():
    """Log-likelihood at the start: half a chi-square of three degrees of freedom if moments lost all information."""
    rng = np.random.default_rng(3)
    g, x = rng.integers(0, 60, 900), rng.normal(2.0, 1.0, 900)
    b = rng.multivariate_normal([0.0, 0.0], [[1.0, -0.3], [-0.3, 0.2]], 60)
    d = pd.DataFrame({"y": b[g, 0] + b[g, 1] * x + rng.normal(size=900), "x": x, "g": g})
    own = estimator("y ~ x + (x|g)", d)
    solution, objective = own.fit(), own.linear_objective()
    assert objective(objective.start())[0] + solution.llf < 1.5


def test_moments_of_one_coefficient_are_its_variance():
    rng = np.random.default_rng(5)
    s, w = rng.normal(size=(30, 1)), rng.uniform(1.0, 5.0, (30, 1))
    for s_scale in (1.0, 5.0):
        variance = moment_variances(np.square(s_scale * s).sum(axis=0), w, 0.5, 90.0)
        found = moment_covariance(s_scale * s, w[:, :, None], 0.5, 90.0)
        np.testing.assert_allclose(found[0], variance, rtol=1e-12)


def test_levels_of_one_row_have_no_moments():
    """What is theirs shows in how levels covary only; the start is half the variance, not next to none of it."""
    s = np.random.default_rng(7).normal(size=(50, 1))
    total = float(np.mean(np.square(s)))
    start = moment_variances(np.square(s).sum(axis=0), np.ones((50, 1)), total, 50.0)
    assert start == pytest.approx(0.5 * total)


def test_moments_recover_the_covariance():
    """Many levels with rows of their own: errors of four standard errors of a product moment at most."""
    rng = np.random.default_rng(6)
    n_levels, covariance, sigma = 4000, np.array([[1.0, 0.4], [0.4, 0.5]]), 0.7
    z = rng.normal(size=(n_levels, 5, 2))
    r = np.einsum("lik,lk->li", z, rng.multivariate_normal([0, 0], covariance, n_levels))
    r = r + sigma * rng.normal(size=r.shape)
    s, w = np.einsum("lik,li->lk", z, r), np.einsum("lik,lim->lkm", z, z)
    found = moment_covariance(s, w, float(np.mean(np.square(r))), r.size)
    np.testing.assert_allclose(found, covariance, atol=4.0 * 2.0 / np.sqrt(n_levels))


def test_levels_of_one_row_have_no_moments_of_two_coefficients():
    """The start is positive definite all the same, and the fit a result."""
    rng = np.random.default_rng(7)
    d = pd.DataFrame({"y": rng.normal(size=40), "x": rng.normal(size=40), "g": np.arange(40)})
    own = estimator("y ~ x + (x|g)", d)
    factor = own.problem.terms[0].structure.factor(own.linear_objective().start())
    assert np.linalg.svd(factor, compute_uv=False)[-1] > 0.05
    assert np.isfinite(own.fit().llf)
