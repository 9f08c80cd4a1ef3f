"""The outer optimiser on functions whose minimum and curvature are known."""

import numpy as np
import pytest

from glmmcore.estimation.optimize import minimise

# Forward differences of 3e-5 standard errors times the skewness, and what is left of the step after the last Hessian.
HESSIAN = 2e-4
DIRECTIONS = np.array([[1.0, 0.2, 0.0], [0.3, 1.0, -0.4], [-0.5, 0.1, 1.0], [1.0, -1.0, 0.5]])


def skewed(x, n=50.0):
    """Sum of n (exp(t) - t - 1) over the directions t = a'x: minimum 0 at the origin, Hessian n A'A, skewed."""
    t = DIRECTIONS @ x
    return n * float(np.sum(np.exp(t) - t - 1.0)), n * DIRECTIONS.T @ (np.exp(t) - 1.0)


@pytest.mark.parametrize("start", [(0.8, -0.5, 0.3), (-1.0, 1.0, 1.0), (0.01, 0.02, -0.01)])
def test_hessian_is_that_of_the_optimum(start):
    optimum = minimise(skewed, np.array(start), 50.0 * np.eye(3), np.full(3, 2.0))
    exact = 50.0 * DIRECTIONS.T @ DIRECTIONS
    assert optimum.converged
    np.testing.assert_allclose(optimum.value, 0.0, atol=1e-9)
    np.testing.assert_allclose(optimum.hessian, exact, atol=HESSIAN * exact.max())


def test_vanishing_curvature_at_the_optimum_is_not_extrapolated_below_zero():
    # as a variance on its edge: fourth power in one direction
    def flat(x):
        return float(x[0] ** 4 + 5.0 * x[1] ** 2), np.array([4.0 * x[0] ** 3, 10.0 * x[1]])

    optimum = minimise(flat, np.array([0.5, 0.5]), np.eye(2), np.full(2, 2.0))
    assert optimum.value < 1e-6
    assert optimum.eigenvalues[0] >= 0.0
    np.testing.assert_allclose(optimum.hessian[1, 1], 10.0, rtol=HESSIAN)


@pytest.mark.parametrize("start", [(0.5, 0.3), (-0.6, -0.4), (1.0, 0.0)])
def test_hessian_of_a_parameter_of_which_little_is_known(start):
    # a standard error of five units, skewed, and a gradient that is rounded at 1.5e-11 as sums over many rows are:
    # over a step of 1e-5 the rounding is 4e-5 of the curvature, and so is the change over 1e-4 standard errors
    def vague(x):
        gradient = np.array([0.04 * np.expm1(x[0] - 0.5 * x[1]), 0.0])
        gradient[1] = 40.0 * x[1] - 0.5 * gradient[0]
        t = x[0] - 0.5 * x[1]
        return 0.04 * (np.exp(t) - t - 1.0) + 20.0 * x[1] ** 2, (gradient + 1e5) - 1e5

    exact = np.array([[0.04, -0.02], [-0.02, 40.01]])
    optimum = minimise(vague, np.array(start), np.diag([0.05, 30.0]), np.full(2, 2.0), units=np.ones(2))
    assert optimum.converged
    ours, theirs = (np.sqrt(np.diag(np.linalg.inv(h))) for h in (optimum.hessian, exact))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("start", [(0.1, 0.5), (-0.2, 0.1), (0.0, 1.0)])
@pytest.mark.parametrize("sd", [0.02, 0.1])
def test_hessian_of_a_standard_deviation_next_to_zero(sd, start):
    # n means of variance v = exp(2 d) + T^2, m residuals of variance exp(2 d): the curvature in T is 2 n T^2, and it is
    # the difference of numbers like n
    n, m, s = 40.0, 200.0, 1.0 + sd**2

    def next_to_zero(x):
        residual, t = np.exp(2.0 * x[0]), x[1]
        v = residual + t**2
        by_v = 0.5 * n * (1.0 / v - s / v**2)
        value = 0.5 * n * (np.log(v) + s / v) + 0.5 * m * (2.0 * x[0] + 1.0 / residual)
        return value, np.array([2.0 * residual * by_v + m * (1.0 - 1.0 / residual), 2.0 * t * by_v])

    exact = 0.5 * n / s**2 * np.array([[4.0, 4.0 * sd], [4.0 * sd, 4.0 * sd**2]]) + np.diag([2.0 * m, 0.0])
    optimum = minimise(next_to_zero, np.array(start), np.diag([400.0, 40.0]), np.full(2, 1.0), units=np.ones(2))
    assert optimum.converged
    np.testing.assert_allclose(abs(optimum.x[1]), sd, rtol=1e-3)
    ours, theirs = (np.sqrt(np.diag(np.linalg.inv(h))) for h in (optimum.hessian, exact))
    # an expected decrease of 1e-14 leaves 1.4e-7 standard errors, here up to 4e-5 of the estimate
    np.testing.assert_allclose(ours, theirs, rtol=6e-5)


def anywhere(x):
    return True


def nowhere(x):
    return False


@pytest.mark.parametrize("start", [(0.8, -0.5, 0.3), (-1.0, 1.0, 1.0)])
def test_without_a_hessian_the_same_minimum(start):
    told = minimise(skewed, np.array(start), 50.0 * np.eye(3), np.full(3, 2.0), regular=anywhere)
    assert told.hessian is None
    assert told.converged
    np.testing.assert_allclose(told.value, 0.0, atol=1e-9)
    full = minimise(skewed, np.array(start), 50.0 * np.eye(3), np.full(3, 2.0), regular=nowhere)
    assert full.hessian is not None
    # an expected decrease of 1e-9 is as far from the minimum as this in the flattest direction
    flattest = np.linalg.eigvalsh(full.hessian)[0]
    np.testing.assert_allclose(told.x, full.x, atol=2.0 * np.sqrt(2e-9 / flattest))


def test_a_start_at_the_minimum_off_the_lines_of_symmetry_needs_no_hessian():
    # moments of balanced data are the maximum of the likelihood
    def bowl(x):
        off = np.array(x) - [0.5, 2.0]
        return float(off @ off), 2.0 * off

    optimum = minimise(bowl, np.array([0.5, 2.0]), 2.0 * np.eye(2), np.full(2, 1.0), regular=anywhere)
    assert optimum.converged and optimum.hessian is None and optimum.n_evaluations == 1


def test_a_saddle_on_a_line_of_symmetry_is_left_even_without_a_hessian():
    # minima at y = -1 and 1; the gradient along y is zero all along the start's line y = 0
    def saddle(x):
        return float(3.0 * x[0] ** 2 + (x[1] ** 2 - 1.0) ** 2), np.array([6.0 * x[0], 4.0 * x[1] * (x[1] ** 2 - 1.0)])

    optimum = minimise(saddle, np.array([0.7, 0.0]), np.diag([6.0, 8.0]), np.full(2, 1.0), regular=anywhere)
    assert optimum.converged
    np.testing.assert_allclose(optimum.value, 0.0, atol=1e-9)
    np.testing.assert_allclose(np.abs(optimum.x), [0.0, 1.0], atol=1e-4)
