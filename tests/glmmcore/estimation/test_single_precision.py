"""Searches of linear models with large crossed factors, which go most of their way in single precision."""

import numpy as np
import pandas as pd
import pytest
from scipy import linalg

from glmmcore import glmm
from glmmcore.estimation.estimator import Estimator
from glmmcore.families import get_family
from glmmcore.formula import build_design

N, LEVELS = 1800, 300


def crossed(sd_a, sd_b, scale=1.0):
    rng = np.random.default_rng(8)
    a, b, x = rng.integers(0, 2 * LEVELS, N), rng.integers(0, LEVELS, N), rng.normal(size=N)
    y = x + rng.normal(0, sd_a, 2 * LEVELS)[a] + rng.normal(0, sd_b, LEVELS)[b] + rng.normal(size=N)
    return pd.DataFrame({"y": scale * y, "x": x, "a": a, "b": b, "precision": rng.uniform(0.5, 2.0, N)})


def estimator(d, formula="y ~ x + (1|a) + (1|b)", var_weights=None, **options):
    return Estimator.build(build_design(formula, d, var_weights=var_weights), get_family("gaussian"), **options)


def dense(d, theta, sigma, reml):
    """Log-likelihood by the covariance matrix of all rows."""
    a, b = np.eye(2 * LEVELS)[d["a"]], np.eye(LEVELS)[d["b"]]
    x, y = np.column_stack([np.ones(N), d["x"]]), d["y"].to_numpy()
    v = sigma**2 * (theta[0] ** 2 * a @ a.T + theta[1] ** 2 * b @ b.T + np.eye(N))
    root = np.linalg.cholesky(v)
    wx, wy = (linalg.solve_triangular(root, m, lower=True) for m in (x, y))
    beta = np.linalg.lstsq(wx, wy, rcond=None)[0]
    half = np.sum(np.square(wy - wx @ beta)) + 2.0 * np.log(np.diag(root)).sum()
    if reml:
        half += np.linalg.slogdet(wx.T @ wx)[1]
    return -0.5 * (half + (N - 2 * reml) * np.log(2.0 * np.pi))


@pytest.mark.parametrize("reml", [False, True])
def test_maximum_agrees_with_dense_algebra(reml):
    d = crossed(0.7, 0.5)
    own = estimator(d, reml=reml)
    assert own.problem.system.gains_by_single
    solution = own.fit()
    sigma = float(np.exp(solution.coefficients["disp"][0]))
    assert solution.llf == pytest.approx(dense(d, np.abs(solution.x), sigma, reml), rel=1e-10)
    assert solution.optimum.converged and solution.optimum.edm < 1e-9
    # the end is a minimum in double precision
    objective = own.linear_objective()
    errors = np.sqrt(np.diag(np.linalg.inv(_hessian(objective, solution.x))))
    assert np.all(np.abs(objective(solution.x)[1]) * errors < 1e-5)


def _hessian(objective, x, step=1e-4):
    columns = [(objective(x + h)[1] - objective(x - h)[1]) / (2.0 * step) for h in step * np.eye(len(x))]
    return 0.5 * (np.array(columns) + np.array(columns).T)


@pytest.mark.parametrize(("sd_a", "sd_b"), [(0.7, 0.5), (0.0, 0.5), (30.0, 300.0)])
def test_rough_evaluations_are_near_exact_ones(sd_a, sd_b):
    """Errors beside a standard deviation of the score, which is at most the root of half the number of levels."""
    own = estimator(crossed(sd_a, sd_b))
    for theta in ([0.7, 0.5], [0.02, 0.4], [30.0, 200.0]):
        theta = np.array(theta)
        value, gradient = own.linear_objective().rough(theta)
        exact = own.linear_objective()(theta)
        assert value == pytest.approx(exact[0], abs=1e-3)
        # a gradient in log theta is a sum over levels, each of which has at most one
        np.testing.assert_allclose(theta * gradient, theta * exact[1], rtol=1e-5, atol=1e-4 * np.sqrt(LEVELS))


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ x + (1|a) + (1|b)", {"var_weights": "precision"}),
        ("y ~ x + (1|a) + (1|b) + (1|c)", {"reml": True}),
        ("y ~ x + (x|a) + (1|b)", {}),
        ("y ~ x + (x||a) + (1|b)", {"reml": True}),
        ("y ~ 0 + (1|a) + (1|b)", {}),
    ],
)
def test_searches_end_at_the_maximum(formula, options):
    """Distances in standard errors, by a step of Newton's method in double precision from where a search has ended."""
    d = crossed(0.7, 0.5).assign(c=np.random.default_rng(2).integers(0, 40, N))
    if "precision" in options.values():
        options = {"var_weights": d["precision"]}
    own = estimator(d, formula, **options)
    assert own.problem.system.gains_by_single
    solution, objective = own.fit(), own.linear_objective()
    assert solution.optimum.converged
    assert solution.llf == pytest.approx(-objective(solution.x)[0], rel=1e-12)
    hessian = _hessian(objective, solution.x)
    step = np.linalg.solve(hessian, objective(solution.x)[1])
    assert np.sqrt(step @ hessian @ step) < 2e-5


@pytest.mark.parametrize("reml", [False, True])
def test_one_step_of_scoring_finds_the_maximum_of_a_balanced_design(reml):
    """By mean squares (Searle, Casella & McCulloch 1992, sections 3.7, 3.8), from half and three halves of it."""
    rng = np.random.default_rng(1)
    levels, size = 40, 6
    y = rng.normal(0, 0.8, (levels, 1)) + rng.normal(size=(levels, size))
    between = size * np.sum(np.square(y.mean(axis=1) - y.mean())) / (levels - reml)
    within = np.sum(np.square(y - y.mean(axis=1)[:, None])) / (levels * (size - 1))
    expected = np.sqrt((between / within - 1.0) / size)
    d = pd.DataFrame({"y": y.ravel(), "g": np.repeat(np.arange(levels), size)})
    objective = estimator(d, "y ~ 1 + (1|g)", reml=reml).linear_objective()
    for share in (0.5, 1.5):
        theta = np.array([share * expected])
        objective(theta)
        assert objective.scored(theta)[0][0] == pytest.approx(expected, rel=1e-9)


def test_spread_asked_for_later_is_that_of_dense_algebra():
    """Effective parameters, and conditional standard deviations of effects given all parameters."""
    d = crossed(0.7, 0.5)
    fit = glmm("y ~ x + (1|a) + (1|b)", d)
    a, b = (pd.get_dummies(d[name]).to_numpy(dtype=float) for name in "ab")
    theta = np.abs(fit.solution.x)
    z = np.hstack([theta[0] * a, theta[1] * b])
    inverse = np.linalg.inv(z.T @ z + np.eye(z.shape[1]))
    scale = fit.sigma * np.repeat(theta, [a.shape[1], b.shape[1]])
    found = np.concatenate([fit.random_effects_sd[g].to_numpy().ravel() for g in "ab"])
    np.testing.assert_allclose(found, scale * np.sqrt(np.diag(inverse)), rtol=1e-8)
    x = np.column_stack([np.ones(N), d["x"]])
    v = np.eye(N) - z @ inverse @ z.T  # inverse of the covariance of rows, in units of the residual variance
    hat = np.linalg.solve(x.T @ v @ x, x.T @ v)
    assert fit.edf == pytest.approx(N - np.trace(v) + np.sum(hat.T * (v @ x)), rel=1e-8)


def test_exact_evaluation_after_a_rough_one_is_exact():
    own = estimator(crossed(0.7, 0.5))
    theta, objective = np.array([0.7, 0.5]), own.linear_objective()
    rough, exact = objective.rough(theta)[0], objective(theta)[0]
    assert objective.rough(theta)[0] == exact  # known already
    assert exact == own.linear_objective()(theta)[0] != rough


def test_range_of_single_precision_is_no_limit():
    """Weights of 1e50 overflow in single precision: the search is then in double from the beginning."""
    d = crossed(0.7, 0.5)
    unit = estimator(d, var_weights=d["precision"]).fit()
    large = estimator(d, var_weights=1e50 * d["precision"]).fit()
    assert large.llf == pytest.approx(unit.llf, rel=1e-9)
    np.testing.assert_allclose(np.abs(large.x) * 1e25, np.abs(unit.x), rtol=1e-5)
    for scale in (1e-30, 1e30):
        scaled = estimator(crossed(0.7, 0.5, scale)).fit()
        np.testing.assert_allclose(np.abs(scaled.x), np.abs(estimator(d).fit().x), rtol=1e-6)
