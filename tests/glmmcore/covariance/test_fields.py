"""Correlations over distance: closed forms, mpmath, and derivatives against differences."""

import mpmath
import numpy as np
import pytest

from glmmcore.covariance import FIELDS, Places
from glmmcore.covariance.matern import matern

# Central differences with a step of 1e-6 are good to about 1e-9 of the value.
TOLERANCE = 1e-7


def places(name, seed=0):
    """Two groups of places; along a line with whole-number steps."""
    rng = np.random.default_rng(seed)
    if FIELDS[name].on_line:
        steps = rng.integers(1, 4, 9) if name == "ar1" else rng.uniform(0.01, 2.0, 9)
        return Places(np.cumsum(steps)[:, None].astype(float), np.array([0, 5, 9]), 1.0, ("t",))
    return Places(rng.uniform(0.0, 4.0, (9, 2)), np.array([0, 5, 9]), 1.0, ("x", "y"))


def dense(field, theta):
    """Covariance of all levels."""
    return field.root(theta).multiply(np.eye(field.places.n))


def written(name, theta, p):
    """The same from its definition."""
    out = np.zeros((p.n, p.n))
    for i in range(p.n):
        for j in range(p.n):
            if (i < p.first[1]) != (j < p.first[1]):
                continue
            d = np.linalg.norm(p.coordinates[i] - p.coordinates[j])
            if name == "exp":
                r = np.exp(-d / np.exp(theta[1]))
            elif name == "gau":
                r = np.exp(-((d / np.exp(theta[1])) ** 2))
            elif name == "ou":
                r = np.exp(-d * np.exp(theta[1]))
            elif name == "ar1":
                r = (theta[1] / np.hypot(1.0, theta[1])) ** d
            else:
                r = float(exact_matern(d / np.exp(theta[1]), np.exp(theta[2]))) if d else 1.0
            out[i, j] = theta[0] ** 2 * r
    return out


def exact_matern(z, k):
    z, k = mpmath.mpf(z), mpmath.mpf(k)
    return z**k * mpmath.besselk(k, z) / (2 ** (k - 1) * mpmath.gamma(k))


def random_theta(field, seed):
    return np.random.default_rng(seed).normal(0.0, 0.6, field.size) + np.append(0.8, np.zeros(field.size - 1))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", sorted(FIELDS))
def test_covariance_is_what_the_name_says(name, seed):
    field = FIELDS[name](places(name))
    theta = random_theta(field, seed)
    np.testing.assert_allclose(dense(field, theta), written(name, theta, field.places), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_root_is_a_square_root(name):
    field = FIELDS[name](places(name))
    root = field.root(random_theta(field, 3))
    eye = np.eye(field.places.n)
    half = root.apply(eye)
    np.testing.assert_allclose(half @ half.T, root.multiply(eye), atol=1e-12)
    np.testing.assert_allclose(root.apply_transposed(eye), half.T, atol=1e-14)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_slopes_are_derivatives_of_the_covariance(name):
    field = FIELDS[name](places(name))
    theta = random_theta(field, 4)
    rng = np.random.default_rng(5)
    x, g = rng.normal(size=field.places.n), rng.normal(size=(field.places.n, field.places.n))
    g = g + g.T
    slopes, gradient = field.covariance_slopes(theta, x), field.root_gradient(theta, field.root(theta).slope(g))
    for j in range(field.size):
        e = np.zeros(field.size)
        e[j] = 1e-6
        change = (dense(field, theta + e) - dense(field, theta - e)) / 2e-6
        np.testing.assert_allclose(slopes[j], change @ x, rtol=TOLERANCE, atol=TOLERANCE)
        np.testing.assert_allclose(gradient[j], 0.5 * np.sum(g * change), rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_outer_products_are_matrices(name):
    """What is added as vectors is what a dense matrix would have said."""
    field = FIELDS[name](places(name))
    theta = random_theta(field, 6)
    root, rng = field.root(theta), np.random.default_rng(7)
    a, b = rng.normal(size=(2, field.places.n))
    one = root.no_slope()
    one.add(a, b)
    one.add(b, a, 1.0)
    other = root.slope(np.outer(a, b) + np.outer(b, a))
    np.testing.assert_allclose(field.root_gradient(theta, one), field.root_gradient(theta, other), rtol=1e-10)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_natural_parameters(name):
    field = FIELDS[name](places(name))
    theta = random_theta(field, 8)
    for j in range(field.size - 1):
        e = np.zeros(field.size)
        e[1 + j] = 1e-6
        change = (field.natural(theta + e) - field.natural(theta - e)) / 2e-6
        np.testing.assert_allclose(field.natural_slopes(theta)[j], change[j], rtol=TOLERANCE)


@pytest.mark.parametrize("k", [0.05, 0.5, 1.0, 1.42, 7.0, 60.0])
@pytest.mark.parametrize("many", [False, True])
def test_matern_against_mpmath(k, many):
    z = np.array([1e-8, 1e-4, 0.03, 0.4, 1.0, 2.5, 10.0, 60.0])
    value, by_z, by_k = matern(np.concatenate([z, np.geomspace(1e-8, 60.0, 4000)]) if many else z, k)
    with mpmath.workdps(40):
        for i, at in enumerate(z):
            exact = exact_matern(at, k)
            slope_z = at * mpmath.diff(lambda v: exact_matern(v, k), at, h=at * mpmath.mpf(10) ** -15)
            slope_k = k * mpmath.diff(lambda v, at=at: exact_matern(at, v), k, h=mpmath.mpf(10) ** -15)
            np.testing.assert_allclose(value[i], float(exact), rtol=0, atol=1e-12)
            np.testing.assert_allclose(by_z[i], float(slope_z), rtol=0, atol=1e-11)
            # gammaln(k) has a rounding error of about k log(k) 1e-16, multiplied by k
            np.testing.assert_allclose(by_k[i], float(slope_k), rtol=0, atol=1e-12 * (1.0 + k))


def test_matern_at_the_ends():
    value, by_z, by_k = matern(np.array([0.0, 1e-250, 1e6]), 1.3)
    np.testing.assert_array_equal(value, [1.0, 1.0, 0.0])
    assert not by_z.any() and not by_k.any()


@pytest.mark.parametrize("name", sorted(FIELDS))
@pytest.mark.parametrize("corner", [-35.0, 35.0])
def test_corners_are_finite(name, corner):
    """Ranges of zero and infinity, correlations of -1, 0 and 1."""
    field = FIELDS[name](places(name))
    theta = random_theta(field, 9)
    theta[1] = corner * (1e5 if name == "ar1" else 1.0)
    root = field.root(theta)
    half = root.apply(np.eye(field.places.n))
    np.testing.assert_allclose(half @ half.T, root.multiply(np.eye(field.places.n)), atol=1e-8)
    gradient = field.root_gradient(theta, root.slope(np.ones((field.places.n,) * 2)))
    assert np.isfinite(gradient).all()
    assert np.isfinite(field.covariance_slopes(theta, np.ones(field.places.n))).all()


@pytest.mark.parametrize("k", [0.05, 0.5, 2.5, 30.0, 100.0])
def test_many_distances_are_as_exact_as_few(k):
    """Many are interpolated, a few integrated each; at a smoothness of 100 functions are steep, and 3e-10 is left."""
    z = np.exp(np.random.default_rng(3).uniform(np.log(1e-4), np.log(60.0), 1000))
    many = np.stack(matern(z, k))
    few = np.concatenate([np.stack(matern(part, k)) for part in z.reshape(-1, 100)], axis=1)
    np.testing.assert_allclose(many, few, rtol=0.0, atol=1e-9 if k > 50.0 else 1e-12)
