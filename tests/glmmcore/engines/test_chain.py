"""The engine of autoregressive chains against the blocked one, which factors each level in full."""

import numpy as np
import pytest

from glmmcore.covariance import STRUCTURES
from glmmcore.engines.blocked import BlockedSystem
from glmmcore.engines.chain import ChainSystem, is_chain
from glmmcore.engines.choice import choose_system
from glmmcore.engines.layout import Factor, RowLayout
from tests.glmmcore.engines.test_sparse import assert_same

K, LEVELS, N = 7, 9, 150


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
    t = [STRUCTURES["ar1"](K).factor(np.array(theta))]
    t += [np.tril(rng.normal(size=(k, k))) for _, k in others] + ([np.eye(p)] if p else [])
    return RowLayout(factors), rng.uniform(0.2, 3.0, (1, n)), t


# condition numbers grow as rho goes to one; the dense blocks are the less exact of the two there
@pytest.mark.parametrize("theta", [(0.8, 0.9), (-1.3, -2.0), (0.0, 0.5), (2.0, 0.0), (0.7, 30.0)])
@pytest.mark.parametrize(("p", "profiled"), [(0, 0), (3, 0), (3, 3)])
def test_chain_equals_blocked(p, profiled, theta):
    rng = np.random.default_rng(3)
    layout, weights, t = build(p, theta, rng)
    assert is_chain(layout)
    chain, blocked = ChainSystem(layout, profiled), BlockedSystem(layout, profiled)
    assert_same(chain, blocked, layout, weights, t, rng)
    for f in range(1 if profiled else len(t)):  # the system inverts without what is profiled
        want = blocked.level_covariances(f)
        np.testing.assert_allclose(chain.level_covariances(f), want, rtol=1e-8, atol=1e-9 * np.abs(want).max())


@pytest.mark.parametrize(("p", "profiled"), [(0, 0), (3, 0), (3, 3)])
def test_chain_beside_other_factors(p, profiled):
    rng = np.random.default_rng(4)
    layout, weights, t = build(p, (0.7, -1.1), rng, others=[(6, 1), (4, 2)])
    chain, blocked = ChainSystem(layout, profiled), BlockedSystem(layout, profiled)
    assert_same(chain, blocked, layout, weights, t, rng)
    for f in range(3 if profiled else len(t)):
        want = blocked.level_covariances(f)
        np.testing.assert_allclose(chain.level_covariances(f), want, rtol=1e-8, atol=1e-9 * np.abs(want).max())


@pytest.mark.parametrize("p", [0, 2])
def test_equal_rows_are_kept_as_runs(p):
    rng = np.random.default_rng(8)
    layout, weights, t = build(p, (0.6, 1.0), rng, runs=True)
    assert layout.n_runs < layout.n
    chain = ChainSystem(layout)
    assert_same(chain, BlockedSystem(layout), layout, weights, t, rng)
    assert_same(chain.fresh(layout), BlockedSystem(layout), layout, weights, t, rng)


def test_negative_weights_are_found_out_as_by_cholesky():
    """Not positive definite only where the full matrix is not."""
    rng = np.random.default_rng(5)
    layout, weights, t = build(0, (0.9, 1.5), rng)
    chain, blocked = ChainSystem(layout), BlockedSystem(layout)
    seen = set()
    for share in np.linspace(-2.0, 1.0, 25):
        w = np.where(rng.random(weights.shape) < 0.3, share, 1.0) * weights
        outcome = []
        for system in (chain, blocked):
            system.reset()
            system.add(0, layout.n, w, w, np.zeros(layout.order))
            outcome.append(system.factorise(t))
        assert outcome[0] == outcome[1]
        seen.add(outcome[0])
    assert seen == {True, False}


def test_log_determinant_close_to_a_correlation_of_one():
    """rho = 1 - 5e-17 to double precision: all coefficients of a level are one, H has one eigenvalue besides ones."""
    rng = np.random.default_rng(6)
    layout, weights, t = build(0, (0.5, 1e8), rng)
    chain = ChainSystem(layout)
    chain.add(0, layout.n, weights, weights, np.zeros(layout.order))
    assert chain.factorise(t)
    sums = np.zeros(LEVELS)
    rows = layout.start[:, 0] // K
    np.add.at(sums, rows, weights[0] * (layout.z**2).sum(axis=1))
    assert chain.logdet == pytest.approx(np.log1p(0.25 * sums).sum(), rel=1e-6)


def test_who_gets_the_engine():
    rng = np.random.default_rng(7)
    layout, _, _ = build(2, (1.0, 1.0), rng)
    assert isinstance(choose_system(layout, 2, chained=True), ChainSystem)
    assert isinstance(choose_system(layout, 2), BlockedSystem)
    several = RowLayout([Factor("g", np.zeros(9, np.int32), 1, rng.normal(size=(9, K)), np.zeros(K, np.int32))])
    assert isinstance(choose_system(several, chained=True), BlockedSystem)  # a row meets every coefficient
