"""The outer optimiser on functions whose minimum and curvature are known."""

import numpy as np
import pytest

from glmmcore.optimize import minimise

# Forward differences of 1e-4 standard errors times the skewness, and what is left of the step after the last Hessian.
HESSIAN = 5e-4
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
