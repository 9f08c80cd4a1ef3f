"""The sparse engine against the blocked one on designs with cores, large fronts and deep trees."""

import numpy as np
import pytest

from glmmcore.engines.blocked import BlockedSystem
from glmmcore.engines.layout import Factor, RowLayout
from glmmcore.engines.pattern import SparsePattern
from glmmcore.engines.sparse import SparseSystem
from glmmcore.engines.symbolic import LARGE_FRONT

# Two factorisations of one matrix with condition number below 1e5.
TOLERANCE = 1e-9


def crossed(rng):
    n = 1500
    return [rng.integers(0, 400, n), rng.integers(0, 300, n)], [1, 1]


def crossed_slopes(rng):
    n = 900
    return [rng.integers(0, 150, n), rng.integers(0, 100, n), rng.integers(0, 40, n)], [2, 1, 3]


def nested(rng):
    inner = np.concatenate([np.arange(2000), rng.integers(0, 2000, 1000)])
    middle = rng.integers(0, 200, 2000)[inner]
    return [inner, middle, rng.integers(0, 20, 200)[middle]], [1, 2, 1]


def chain(rng):
    # every level meets the next one only: a tree as deep as there are levels
    at = np.repeat(np.arange(600), 2)
    return [at, np.clip(at + np.tile([0, 1], 600) - 1, 0, 599)], [1, 1]


def islands(rng):
    # ten components, each dense inside: large fronts beside the core
    n = 12000
    block = rng.integers(0, 10, n)
    return [block * 100 + rng.integers(0, 100, n), block * 80 + rng.integers(0, 80, n)], [1, 1]


def dense_level(rng):
    # two levels that meet everything
    return [np.arange(2000) % 1000, rng.integers(0, 150, 2000), rng.integers(0, 2, 2000)], [1, 1, 1]


def hub(rng):
    # islands that share a third factor: large fronts with many rows below
    n = 12000
    block = rng.integers(0, 10, n)
    third = rng.integers(0, 40, n)
    return [block * 100 + rng.integers(0, 100, n), block * 80 + rng.integers(0, 80, n), third], [1, 1, 1]


DESIGNS = [crossed, crossed_slopes, nested, chain, islands, dense_level, hub]


def build(design, p, m=1):
    rng = np.random.default_rng(4)
    codes, k = design(rng)
    n = len(codes[0])
    factors = []
    for i, (code, size) in enumerate(zip(codes, k, strict=True)):
        used, code = np.unique(code, return_inverse=True)
        factors.append(
            Factor(
                f"f{i}",
                code.astype(np.int32),
                len(used),
                rng.normal(size=(n, size)),
                rng.integers(0, m, size).astype(np.int32),
            )
        )
    if p:
        factors.append(
            Factor("fixed", np.zeros(n, np.int32), 1, rng.normal(size=(n, p)), np.zeros(p, np.int32), prior=0.0)
        )
    t = [np.eye(f.k) if f.prior == 0.0 else np.tril(rng.normal(size=(f.k, f.k))) + np.eye(f.k) for f in factors]
    root = rng.normal(size=(n, m, m))
    w = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(m)
    rows, columns = np.tril_indices(m)
    return RowLayout(factors), np.ascontiguousarray(w[:, rows, columns].T), t, rng


def answers(system, layout, weights, values, factors, x):
    """What a system answers, in the order of a fit's calls, and its `factor_products`."""
    score = np.zeros(layout.order)
    system.reset()
    system.add(0, layout.n, weights, values, score)
    assert system.factorise(factors)
    before = system.solve(x)
    logdet = system.logdet
    system.invert()
    products = system.factor_products()
    after = system.solve(x)
    system.scale_inverse()
    out = np.empty((len(weights), layout.n))
    system.row_covariances(0, layout.n, out)
    return [score, np.array(logdet), before, after, system.multiply(x), out], products


def assert_same(sparse, blocked, layout, weights, t, rng):
    values = rng.normal(size=(1 if len(weights) == 1 else 2, layout.n))
    x = rng.normal(size=layout.order)
    results = []
    for system in (sparse, blocked):
        found, products = answers(system, layout, weights, values, t, x)
        results.append([*found, *products])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=TOLERANCE, atol=TOLERANCE * np.abs(want).max())
    return results


@pytest.mark.parametrize("core_inverse", [True, False])
@pytest.mark.parametrize("design", DESIGNS)
def test_sparse_equals_blocked(design, core_inverse):
    layout, weights, t, rng = build(design, p=3)
    pattern = SparsePattern(layout)
    sparse = SparseSystem(layout, 0, pattern, pattern.plan(core_inverse))
    blocked = BlockedSystem(layout)
    assert_same(sparse, blocked, layout, weights, t, rng)
    for f in range(len(t)):
        want = blocked.level_covariances(f)
        np.testing.assert_allclose(
            sparse.level_covariances(f), want, rtol=TOLERANCE, atol=TOLERANCE * np.abs(want).max()
        )


@pytest.mark.parametrize("design", [crossed_slopes, islands])
def test_sparse_equals_blocked_with_two_predictors(design):
    layout, weights, t, rng = build(design, p=0, m=2)
    assert_same(SparseSystem(layout), BlockedSystem(layout), layout, weights, t, rng)


def test_sparse_equals_blocked_with_profiled_fixed_effects():
    layout, weights, t, rng = build(crossed, p=4)
    assert_same(SparseSystem(layout, 4), BlockedSystem(layout, 4), layout, weights, t, rng)


def test_factorise_again_after_another_matrix():
    layout, weights, t, rng = build(hub, p=2)
    sparse, blocked = SparseSystem(layout), BlockedSystem(layout)
    assert_same(sparse, blocked, layout, weights, t, rng)
    assert_same(sparse, blocked, layout, 2.0 * weights, [0.3 * a for a in t[:-1]] + [t[-1]], rng)


def test_designs_reach_large_fronts():
    for design in (islands, hub):
        plan = SparsePattern(build(design, p=0)[0]).plan()
        assert np.max(plan.widths * (plan.widths + plan.heights) ** 2) > LARGE_FRONT


def test_nested_factors_fill_nothing_in():
    layout, *_ = build(nested, p=0)
    pattern = SparsePattern(layout)
    k = pattern.node_size
    assert pattern.plan().factor_size == pattern.size - np.sum(k * (k - 1) // 2)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("core_inverse", [True, False])
def test_plan_is_an_elimination(design, core_inverse):
    """Positions are a permutation, and each front's rows lie in its parent's front."""
    layout, *_ = build(design, p=0)
    pattern = SparsePattern(layout)
    plan = pattern.plan(core_inverse)
    covered = np.concatenate([np.arange(a, a + k) for a, k in zip(plan.node_position, pattern.node_size, strict=True)])
    assert np.array_equal(np.sort(covered), np.arange(plan.order))
    for s in range(plan.n_super):
        rows = plan.rows[plan.row_first[s] : plan.row_first[s + 1]]
        assert np.all(np.diff(rows) > 0)
        assert np.all(rows >= plan.first[s + 1])
        above = plan.parent[s]
        if above < 0:
            assert rows.size == 0
        elif above == plan.n_super:
            assert np.all(rows >= plan.first[-1])
        else:
            front = np.concatenate(
                [
                    np.arange(plan.first[above], plan.first[above + 1]),
                    plan.rows[plan.row_first[above] : plan.row_first[above + 1]],
                ]
            )
            assert np.all(np.isin(rows, front))
    # the leading levels' pairs are in the factor
    position = plan.node_position
    pairs = pattern.node_f != pattern.node_g
    low = np.minimum(position[pattern.node_f[pairs]], position[pattern.node_g[pairs]])
    high = np.maximum(position[pattern.node_f[pairs]], position[pattern.node_g[pairs]])
    owner = np.searchsorted(plan.first, low, side="right") - 1
    for s, row in zip(owner[:2000], high[:2000], strict=True):
        if s < plan.n_super and row >= plan.first[s + 1]:
            assert row in plan.rows[plan.row_first[s] : plan.row_first[s + 1]]


def test_fresh_system_shares_no_memory():
    layout, weights, t, rng = build(hub, p=2)
    first = SparseSystem(layout)
    values, x = rng.normal(size=(1, layout.n)), rng.normal(size=layout.order)
    first.add(0, layout.n, weights, values, np.zeros(layout.order))
    assert first.factorise(t)
    want = first.solve(x)
    second = first.fresh()
    assert_same(second, BlockedSystem(layout), layout, 2.0 * weights, t, rng)
    np.testing.assert_array_equal(first.solve(x), want)
