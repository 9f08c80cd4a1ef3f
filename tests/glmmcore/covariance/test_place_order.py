"""Sparse precisions of fields against dense algebra of the same weights, brute force and differences."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from glmmcore.covariance import FIELDS, Places
from glmmcore.covariance.place_order import maximin_order, nearest_before, neighbour_graph
from glmmcore.engines.leads import DenseLead, NeighbourLead
from glmmcore.engines.neighbours import NUGGET

NAMES = ("exp", "gau", "mat")
# Central differences with a step of 1e-6 are good to about 1e-9 of the value.
TOLERANCE = 1e-7


def places(n=60, m=6, d=2, seed=0, groups=2):
    rng = np.random.default_rng(seed)
    first = np.linspace(0, n, groups + 1).astype(np.int64)
    return Places(rng.uniform(0.0, 4.0, (n, d)), first, 1.5, tuple("xyz"[:d]), neighbours=m)


def theta_of(field, seed=1):
    return np.random.default_rng(seed).normal(0.0, 0.4, field.size) + np.append(0.8, np.full(field.size - 1, -0.7))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_neighbours_are_the_nearest_before(d):
    rng = np.random.default_rng(d)
    x = rng.normal(size=(700, d))
    x = x[maximin_order(x)]
    found, count = nearest_before(x, 9)
    distance = cdist(x, x)
    for i in range(700):
        assert count[i] == min(i, 9)
        want = np.sort(distance[i, :i])[: count[i]]
        np.testing.assert_array_equal(np.sort(distance[i, found[i, : count[i]]]), want)


def test_each_place_is_the_farthest_from_all_before():
    x = np.random.default_rng(3).uniform(size=(400, 2))
    order = maximin_order(x)
    assert np.array_equal(np.sort(order), np.arange(400))
    distance = cdist(x, x)
    for k in range(1, 400):
        nearest = distance[order[:k]].min(axis=0)
        assert nearest[order[k]] == pytest.approx(nearest[order[k:]].max(), rel=1e-12)
    shuffled = np.random.default_rng(4).permutation(400)
    np.testing.assert_array_equal(x[shuffled][maximin_order(x[shuffled])], x[order])


@pytest.mark.parametrize("name", NAMES)
def test_covariance_with_all_neighbours_is_the_dense_one(name):
    p = places(m=40)
    field, dense = FIELDS[name](p), FIELDS[name](Places(p.coordinates, p.first, p.unit, p.names))
    theta = theta_of(field)
    eye = np.eye(p.n)
    # but for the nugget
    want = dense.root(theta).multiply(eye) + NUGGET * theta[0] ** 2 * eye
    np.testing.assert_allclose(field.root(theta).multiply(eye), want, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_root_inverse_and_precision_belong_together(name):
    field = FIELDS[name](places())
    root, eye = field.root(theta_of(field)), np.eye(60)
    half = root.unit_apply(eye)
    np.testing.assert_allclose(root.unit_apply_transposed(eye), half.T, atol=1e-14)
    np.testing.assert_allclose(root.unit_inverse(half), eye, atol=1e-10)
    np.testing.assert_allclose(root.unit_inverse_transposed(half.T), eye, atol=1e-10)
    precision = np.zeros((60, 60))
    precision[root.graph.row, root.graph.column] = root.precision
    precision = np.tril(precision) + np.tril(precision, -1).T
    np.testing.assert_allclose(precision @ half @ half.T, eye, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_derivatives_of_the_covariance(name):
    field = FIELDS[name](places())
    theta, eye = theta_of(field), np.eye(60)
    rng = np.random.default_rng(5)
    x, g = rng.normal(size=60), rng.normal(size=(60, 60))
    g = g + g.T
    slopes, gradient = field.covariance_slopes(theta, x), field.root_gradient(theta, field.root(theta).slope(g))
    for j in range(field.size):
        e = np.zeros(field.size)
        e[j] = 1e-6
        change = (field.root(theta + e).multiply(eye) - field.root(theta - e).multiply(eye)) / 2e-6
        np.testing.assert_allclose(slopes[j], change @ x, rtol=TOLERANCE, atol=TOLERANCE)
        np.testing.assert_allclose(gradient[j], 0.5 * np.sum(g * change), rtol=TOLERANCE, atol=10 * TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_outer_products_are_matrices(name):
    field = FIELDS[name](places())
    theta = theta_of(field)
    root, rng = field.root(theta), np.random.default_rng(7)
    a, b = rng.normal(size=(2, 60))
    one = root.no_slope()
    one.add(a, b)
    one.add(b, a, 1.0)
    other = root.slope(np.outer(a, b) + np.outer(b, a))
    np.testing.assert_allclose(field.root_gradient(theta, one), field.root_gradient(theta, other), rtol=1e-8)


@pytest.mark.parametrize("scale", [0.0, 0.7, -1.3])
@pytest.mark.parametrize("name", NAMES)
def test_lead_is_that_of_the_dense_matrix(name, scale):
    """Log determinant, solves, variances and slopes, some effects without rows and one with a negative weight."""
    from glmmcore.engines.roots import CorrelationRoot, DenseRoot

    field = FIELDS[name](places())
    theta = theta_of(field)
    theta[0] = scale
    root = field.root(theta)
    rng = np.random.default_rng(8)
    diagonal = rng.uniform(0.0, 3.0, 60) * (rng.uniform(size=60) < 0.8)
    diagonal[3] = -0.05
    # one block of both groups, a covariance like any other
    correlation = root.correlate(np.eye(60))
    reference = DenseLead(DenseRoot(scale, [CorrelationRoot(correlation)], np.array([0, 60])), diagonal)
    lead = NeighbourLead(root, diagonal)
    assert lead.logdet == pytest.approx(reference.logdet, abs=1e-9)
    np.testing.assert_allclose(lead.variance(), reference.variance(), atol=1e-9)
    half = root.apply(np.eye(60))
    h = np.eye(60) + half.T @ (diagonal[:, None] * half)
    rhs = rng.normal(size=(60, 3))
    np.testing.assert_allclose(h @ lead.solve(rhs), rhs, atol=1e-9)
    np.testing.assert_allclose(lead.solve(np.ascontiguousarray(rhs[:, 0])), lead.solve(rhs)[:, 0], atol=1e-12)
    v = half @ np.linalg.solve(h, half.T)
    g = np.diag(diagonal) - diagonal[:, None] * v * diagonal
    found, want = lead.slope(), root.slope(g)
    np.testing.assert_allclose(field.root_gradient(theta, found), field.root_gradient(theta, want), atol=1e-8)
    assert found.trace == pytest.approx(want.trace, abs=1e-10)
    weights = np.array([[1.0, 0.2], [0.2, 0.5]])
    reduced = rng.normal(size=(60, 2))
    lead.subtract(found, reduced, root.apply_transposed(reduced), lambda rows: rows @ weights)
    want = root.slope(g - reduced @ weights @ reduced.T)
    np.testing.assert_allclose(field.root_gradient(theta, found), field.root_gradient(theta, want), atol=1e-8)
    assert found.trace == pytest.approx(want.trace, abs=1e-9)


def test_indefinite_matrices_are_found_out():
    field = FIELDS["exp"](places())
    with pytest.raises(ArithmeticError):
        NeighbourLead(field.root(theta_of(field)), np.full(60, -100.0))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("corner", [-35.0, 35.0])
def test_corners_are_finite(name, corner):
    """Ranges of zero and infinity."""
    field = FIELDS[name](places())
    theta = theta_of(field)
    theta[1] = corner
    root = field.root(theta)
    want = np.eye(60) if corner < 0 else np.kron(np.eye(2), np.ones((30, 30)))
    want += NUGGET * np.eye(60)
    # exact but for what the places that are no neighbours would say of each other's nugget
    np.testing.assert_allclose(root.multiply(np.eye(60)) / theta[0] ** 2, want, atol=3.0 * NUGGET)
    lead = NeighbourLead(root, np.ones(60))
    assert lead.logdet == pytest.approx(np.linalg.slogdet(np.eye(60) + theta[0] ** 2 * want)[1], abs=30.0 * NUGGET)
    assert np.isfinite(field.root_gradient(theta, lead.slope())).all()


def test_new_places_leave_the_others_alone():
    p = places()
    new = np.random.default_rng(9).uniform(0.0, 4.0, (20, 2))
    coordinates = np.vstack([p.coordinates[:30], new, p.coordinates[30:]])
    first, known = np.array([0, 50, 80]), np.r_[0:30, 50:80]
    more = Places(coordinates, first, p.unit, p.names, known=known, neighbours=6)
    theta = theta_of(FIELDS["mat"](p))
    one, other = (FIELDS["mat"](each).root(theta).multiply(np.eye(each.n)) for each in (p, more))
    np.testing.assert_allclose(other[np.ix_(known, known)], one, atol=1e-12)
    graph = neighbour_graph(coordinates, first, 6, known)
    for i in range(30, 50):
        among = cdist(coordinates[i : i + 1], coordinates[:30])[0]
        assert set(graph.neighbour[i]) == set(np.argsort(among)[:6])
