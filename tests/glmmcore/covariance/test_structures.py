import numpy as np
import pytest

from glmmcore.covariance import STRUCTURES

# Central differences with a step of 1e-6 are good to about 1e-9 of the value.
TOLERANCE = 1e-7


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("name", sorted(STRUCTURES))
def test_gradient_is_the_derivative_of_the_factor(name, k):
    rng = np.random.default_rng(k)
    structure = STRUCTURES[name](k)
    theta = rng.normal(0.0, 0.7, structure.size)
    weights = rng.normal(size=(k, k))
    step = 1e-6
    numeric = []
    for j in range(structure.size):
        e = np.zeros(structure.size)
        e[j] = step
        difference = structure.factor(theta + e) - structure.factor(theta - e)
        numeric.append(np.sum(np.tril(weights) * difference) / (2 * step))
    np.testing.assert_allclose(structure.gradient(theta, weights), numeric, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("name", sorted(STRUCTURES))
def test_factor_is_lower_triangular_and_start_is_nearly_independent(name):
    structure = STRUCTURES[name](3)
    t = structure.factor(structure.start(np.full(3, 0.5)))
    assert np.all(np.triu(t, 1) == 0.0)
    np.testing.assert_allclose(np.diag(t @ t.T), 0.25)


def test_ar1_has_geometric_correlations():
    t = STRUCTURES["ar1"](4).factor(np.array([2.0, 0.75]))
    rho = 0.75 / np.sqrt(1 + 0.75**2)
    np.testing.assert_allclose((t @ t.T)[0], 4.0 * rho ** np.arange(4))


def test_cs_has_one_correlation():
    t = STRUCTURES["cs"](3).factor(np.array([0.0, 1.0, -1.0, 0.3]))
    sigma = t @ t.T
    sd = np.sqrt(np.diag(sigma))
    np.testing.assert_allclose(sd, np.exp([0.0, 1.0, -1.0]))
    rho = (sigma / np.outer(sd, sd))[np.triu_indices(3, 1)]
    np.testing.assert_allclose(rho, 1.5 / (1 + np.exp(-0.3)) - 0.5)
