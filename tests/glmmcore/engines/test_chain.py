"""Autoregressive chains as a line of all levels, against the blocked engine, which factors each level in full."""

import numpy as np
import pytest

from glmmcore.covariance import STRUCTURES, AutoRegressiveLevels
from glmmcore.engines.blocked import BlockedSystem
from glmmcore.engines.choice import choose_system
from glmmcore.engines.covarying import CovaryingSystem
from glmmcore.engines.layout import Factor, RowLayout
from tests.glmmcore.engines.test_sparse import TOLERANCE, answers

K, LEVELS, N = 7, 9, 150
STRUCTURE, LEVEL_CHAINS = STRUCTURES["ar1"](K), AutoRegressiveLevels(K, LEVELS)


def build(p, theta, rng, *, runs=False, others=()):
    n = 4000 if runs else N
    column = rng.integers(0, K, n)
    z = np.zeros((n, K))
    z[np.arange(n), column] = 1.0 if runs else rng.normal(size=n)
    g = rng.integers(0, LEVELS, n)
    if runs:
        order = np.lexsort((column, g))
        z, g, column = z[order], g[order], column[order]
    factors = [Factor("g", g.astype(np.int32), LEVELS, z, np.zeros(K, np.int32))]
    for levels, k in others:
        codes = rng.integers(0, levels, n).astype(np.int32)
        factors.append(Factor("h", codes, levels, rng.normal(size=(n, k)), np.zeros(k, np.int32)))
    if p:
        x = rng.normal(size=(K, p))[column] if runs else rng.normal(size=(n, p))
        factors.append(Factor("fixed", np.zeros(n, np.int32), 1, x, np.zeros(p, np.int32), prior=0.0))
    t = [STRUCTURE.factor(np.array(theta))]
    t += [np.tril(rng.normal(size=(k, k))) for _, k in others] + ([np.eye(p)] if p else [])
    return RowLayout(factors), rng.uniform(0.2, 3.0, (1, n)), t


def assert_same(chain, blocked, layout, weights, theta, t, rng):
    theta, values, x = np.array(theta), rng.normal(size=(1, layout.n)), rng.normal(size=layout.order)
    results = []
    for system, factors in ((chain, [LEVEL_CHAINS.root(theta), *t[1:]]), (blocked, t)):
        found, (lead, *products) = answers(system, layout, weights, values, factors, x)
        gradient = STRUCTURE.gradient if isinstance(lead, np.ndarray) else LEVEL_CHAINS.root_gradient
        moved = layout.apply_transposed(factors, x), layout.apply_factors(factors, x)
        results.append([*found, gradient(theta, lead), *products, *moved])
    for got, want in zip(*results, strict=True):
        # gradients at a standard deviation of zero are zero in the blocked engine, to 1e-30 in the other
        np.testing.assert_allclose(got, want, rtol=TOLERANCE, atol=TOLERANCE * np.abs(want).max() + 1e-28)


# condition numbers grow as rho goes to one; the dense blocks are the less exact of the two there
@pytest.mark.parametrize("theta", [(0.8, 0.9), (-1.3, -2.0), (0.0, 0.5), (2.0, 0.0), (0.7, 30.0)])
@pytest.mark.parametrize(("p", "profiled"), [(0, 0), (3, 0), (3, 3)])
def test_chain_equals_blocked(p, profiled, theta):
    rng = np.random.default_rng(3)
    layout, weights, t = build(p, theta, rng)
    chain, blocked = CovaryingSystem(layout, profiled), BlockedSystem(layout, profiled)
    assert_same(chain, blocked, layout, weights, theta, t, rng)
    for f in range(1 if profiled else len(t)):  # the system inverts without what is profiled
        want = blocked.level_covariances(f)
        np.testing.assert_allclose(chain.level_covariances(f), want, rtol=1e-8, atol=1e-9 * np.abs(want).max())


@pytest.mark.parametrize(("p", "profiled"), [(0, 0), (3, 0), (3, 3)])
def test_chain_beside_other_factors(p, profiled):
    rng, theta = np.random.default_rng(4), (0.7, -1.1)
    layout, weights, t = build(p, theta, rng, others=[(6, 1), (4, 2)])
    chain, blocked = CovaryingSystem(layout, profiled), BlockedSystem(layout, profiled)
    assert_same(chain, blocked, layout, weights, theta, t, rng)
    for f in range(3 if profiled else len(t)):
        want = blocked.level_covariances(f)
        np.testing.assert_allclose(chain.level_covariances(f), want, rtol=1e-8, atol=1e-9 * np.abs(want).max())


@pytest.mark.parametrize("p", [0, 2])
def test_equal_rows_are_kept_as_runs(p):
    rng, theta = np.random.default_rng(8), (0.6, 1.0)
    layout, weights, t = build(p, theta, rng, runs=True)
    assert layout.n_runs < layout.n
    chain = CovaryingSystem(layout)
    assert_same(chain, BlockedSystem(layout), layout, weights, theta, t, rng)
    assert_same(chain.fresh(layout), BlockedSystem(layout), layout, weights, theta, t, rng)


@pytest.mark.parametrize("theta", [(0.8, 0.9), (-1.3, -2.0), (2.0, 0.0), (0.7, 6.0)])
def test_covariance_slopes_are_differences_of_the_covariance(theta):
    x = np.random.default_rng(2).normal(size=K * LEVELS)
    step = 1e-5
    differences = []
    for move in np.eye(2) * step:
        ends = [LEVEL_CHAINS.root(np.array(theta) + sign * move).multiply(x) for sign in (1.0, -1.0)]
        differences.append((ends[0] - ends[1]) / (2.0 * step))
    got = LEVEL_CHAINS.covariance_slopes(np.array(theta), x)
    np.testing.assert_allclose(got, differences, atol=1e-8 * np.abs(got).max())


def test_negative_weights_are_found_out_as_by_cholesky():
    """Not positive definite only where the full matrix is not."""
    rng, theta = np.random.default_rng(5), (0.9, 1.5)
    layout, weights, t = build(0, theta, rng)
    chain, blocked = CovaryingSystem(layout), BlockedSystem(layout)
    seen = set()
    for share in np.linspace(-2.0, 1.0, 25):
        w = np.where(rng.random(weights.shape) < 0.3, share, 1.0) * weights
        outcome = []
        for system, factors in ((chain, [LEVEL_CHAINS.root(np.array(theta))]), (blocked, t)):
            system.reset()
            system.add(0, layout.n, w, w, np.zeros(layout.order))
            outcome.append(system.factorise(factors))
        assert outcome[0] == outcome[1]
        seen.add(outcome[0])
    assert seen == {True, False}


def test_log_determinant_close_to_a_correlation_of_one():
    """rho = 1 - 5e-17 to double precision: all coefficients of a level are one, H has one eigenvalue besides ones."""
    rng = np.random.default_rng(6)
    layout, weights, _ = build(0, (0.5, 1e8), rng)
    chain = CovaryingSystem(layout)
    chain.add(0, layout.n, weights, weights, np.zeros(layout.order))
    assert chain.factorise([LEVEL_CHAINS.root(np.array([0.5, 1e8]))])
    sums = np.zeros(LEVELS)
    rows = layout.start[:, 0] // K
    np.add.at(sums, rows, weights[0] * (layout.z**2).sum(axis=1))
    assert chain.logdet == pytest.approx(np.log1p(0.25 * sums).sum(), rel=1e-6)


def test_who_gets_the_engine():
    rng = np.random.default_rng(7)
    layout, _, _ = build(2, (1.0, 1.0), rng)
    assert isinstance(choose_system(layout, 2, chained=True), CovaryingSystem)
    assert isinstance(choose_system(layout, 2), BlockedSystem)
    several = RowLayout([Factor("g", np.zeros(9, np.int32), 1, rng.normal(size=(9, K)), np.zeros(K, np.int32))])
    assert isinstance(choose_system(several, chained=True), BlockedSystem)  # a row meets every coefficient


def test_negative_weights_that_later_rows_make_up_for():
    """The first effect of each chain is told less than nothing, 1 + f < 0 there, and H is positive definite."""
    rng = np.random.default_rng(24)
    column, g = np.tile(np.arange(K), LEVELS), np.repeat(np.arange(LEVELS), K)
    z = np.zeros((K * LEVELS, K))
    z[np.arange(len(z)), column] = 1.0
    layout = RowLayout([Factor("g", g.astype(np.int32), LEVELS, z, np.zeros(K, np.int32))])
    theta = (1.4, 1.5)
    root = LEVEL_CHAINS.root(np.array(theta))
    weights = np.where(column == 0, -0.8, 2.0)[None]
    assert 1.0 + root.scale**2 * weights[0, 0] < 0.0
    systems = CovaryingSystem(layout, 0), BlockedSystem(layout, 0)
    assert_same(*systems, layout, weights, theta, [STRUCTURE.factor(np.array(theta))], rng)
