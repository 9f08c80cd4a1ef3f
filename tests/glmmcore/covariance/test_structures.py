import numpy as np
import pytest
from scipy import optimize

from glmmcore.covariance import STRUCTURES
from glmmcore.inference import nested_effects

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
    assert np.abs((t @ t.T)[0, 1:]).max() < 0.05 + 1e-12
    np.testing.assert_allclose(np.diag(t @ t.T), 0.25)


def test_ar1_has_geometric_correlations():
    t = STRUCTURES["ar1"](4).factor(np.array([2.0, 0.75]))
    rho = 0.75 / np.sqrt(1 + 0.75**2)
    np.testing.assert_allclose((t @ t.T)[0], 4.0 * rho ** np.arange(4))


def partial_autocorrelation(r, lag):
    """Correlation of two coefficients given those between, from the inverse of the block."""
    inverse = np.linalg.inv(r[: lag + 1, : lag + 1])
    return -inverse[0, lag] / np.sqrt(inverse[0, 0] * inverse[lag, lag])


@pytest.mark.parametrize("name", ["toep", "homtoep"])
def test_toeplitz_is_made_of_partial_autocorrelations(name):
    structure = STRUCTURES[name](5)
    theta = np.append(structure.start(np.full(5, 1.0))[:-4], [1.2, -0.5, 0.3, 2.0])
    t = structure.factor(theta)
    r = t @ t.T
    for lag in range(5):
        np.testing.assert_allclose(np.diag(r, lag), r[0, lag], rtol=1e-12)
    for lag, value in enumerate(theta[-4:], start=1):
        np.testing.assert_allclose(partial_autocorrelation(r, lag), value / np.hypot(1.0, value), rtol=1e-10)


@pytest.mark.parametrize("name", ["toep", "homtoep", "ar1", "hetar1"])
def test_serial_structures_stay_exact_at_correlations_of_one(name):
    structure = STRUCTURES[name](4)
    theta = structure.start(np.full(4, 1.0))
    first = structure.size - structure.n_correlations
    theta[first] = 1e12
    t = structure.factor(theta)
    np.testing.assert_allclose(t @ t.T, 1.0, rtol=1e-11)
    assert np.all(np.isfinite(structure.gradient(theta, np.ones((4, 4)))))


def test_hetar1_is_ar1_with_scales():
    t = STRUCTURES["hetar1"](3).factor(np.array([0.0, 1.0, -1.0, 0.75]))
    sigma = t @ t.T
    sd = np.exp([0.0, 1.0, -1.0])
    rho = 0.75 / np.hypot(1.0, 0.75)
    np.testing.assert_allclose(sigma, np.outer(sd, sd) * rho ** np.abs(np.subtract.outer(range(3), range(3))))


def test_cs_has_one_correlation():
    t = STRUCTURES["cs"](3).factor(np.array([0.0, 1.0, -1.0, 0.3]))
    sigma = t @ t.T
    sd = np.sqrt(np.diag(sigma))
    np.testing.assert_allclose(sd, np.exp([0.0, 1.0, -1.0]))
    rho = (sigma / np.outer(sd, sd))[np.triu_indices(3, 1)]
    np.testing.assert_allclose(rho, 1.5 / (1 + np.exp(-0.3)) - 0.5)


@pytest.mark.parametrize("name", sorted(STRUCTURES))
def test_what_tables_show_is_the_whole_covariance(name):
    k = 4
    structure = STRUCTURES[name](k)
    theta = structure.start(np.full(k, 0.8)) + np.random.default_rng(1).normal(0.0, 0.3, structure.size)
    t = structure.factor(theta)
    sd = np.sqrt(np.diag(t @ t.T))
    r = t @ t.T / np.outer(sd, sd)
    kinds = [kind for kind, _, _ in structure.reported]
    shown = {(i, j) for kind, i, j in structure.reported if kind != "sd"}
    if kinds.count("sd") == 1:
        np.testing.assert_allclose(sd, sd[0])
    if "rho" in kinds:
        lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
        np.testing.assert_allclose(r, r[1, 0] ** lag)
    elif structure.one_row and len(shown) == 1:
        np.testing.assert_allclose(r, np.where(np.eye(k, dtype=bool), 1.0, r[1, 0]))
    elif structure.one_row and shown:
        assert shown == {(lag, 0) for lag in range(1, k)}
        np.testing.assert_allclose(r, np.array([[r[abs(i - j), 0] for j in range(k)] for i in range(k)]))
    else:
        hidden = {(i, j) for i in range(k) for j in range(i)} - shown
        np.testing.assert_allclose([r[i, j] for i, j in hidden], 0.0, atol=1e-15)


def reaches(structure, covariance, theta):
    """Whether a covariance is one of the structure, searched for from theta."""

    def distance(x):
        t = structure.factor(x)
        return (t @ t.T - covariance)[np.tril_indices(structure.k)]

    left = optimize.least_squares(distance, theta, xtol=1e-15, ftol=1e-15, gtol=1e-15).fun
    return np.abs(left).max() < 1e-7


def example_of(name):
    structure = STRUCTURES[name](3)
    theta = structure.start(np.array([0.5, 0.8, 1.1])) + 0.3
    t = structure.factor(theta)
    return structure, theta, t @ t.T


@pytest.mark.parametrize("name", sorted(STRUCTURES))
def test_which_structures_absorb_noise(name):
    structure, theta, covariance = example_of(name)
    assert reaches(structure, covariance + 0.7 * np.eye(3), theta) == structure.absorbs_noise


CHANGES_OF_BASIS = {
    "linear": np.array([[1.2, 0.5, -0.3], [0.2, 0.8, 0.4], [-0.1, 0.3, 1.1]]),
    "columns": np.diag([1.4, 0.7, 1.1]),
    "common": 1.3 * np.eye(3),
}


@pytest.mark.parametrize("name", sorted(STRUCTURES))
def test_structures_survive_the_changes_of_basis_that_they_name_and_no_others(name):
    structure, theta, covariance = example_of(name)
    survived = [kind for kind, b in CHANGES_OF_BASIS.items() if reaches(structure, b @ covariance @ b.T, theta)]
    assert survived[0] == structure.rescaling


def test_comparisons_of_models_know_every_structure():
    assert nested_effects._ABOVE.keys() == STRUCTURES.keys()


WITH_OPPOSITES = ["us", *sorted(name for name, cls in STRUCTURES.items() if cls.one_correlation)]


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("name", WITH_OPPOSITES)
def test_other_starts_have_correlations_of_the_other_sign(name, sign):
    structure = STRUCTURES[name](3)
    given = np.where(np.eye(3, dtype=bool), 1.0, 0.4 * sign)
    t = structure.factor(structure.opposed(np.full(3, 0.5), given))
    assert sign * (t @ t.T)[1, 0] < -0.05
