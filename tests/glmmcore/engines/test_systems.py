"""Every engine against dense linear algebra on random designs, singular relative factors included."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import linalg

from glmmcore.engines.blocked import BlockedSystem
from glmmcore.engines.layout import Factor, RowLayout
from glmmcore.engines.sparse import SparseSystem

# Dense reference and blocked arithmetic differ by rounding only.
TOLERANCE = 1e-10

SYSTEMS = [BlockedSystem, SparseSystem]

DESIGNS = {
    "one scalar factor": [(6, 1)],
    "one vector factor": [(6, 3)],
    "two crossed": [(7, 1), (4, 1)],
    "crossed with slopes": [(7, 2), (4, 3)],
    "three factors": [(7, 2), (4, 1), (3, 2)],
    "many coefficients": [(5, 4), (9, 1)],
    "trailing block for LAPACK": [(20, 1), (35, 2)],
    # many rows with the same row of Z are worked with as runs; few cells are empty, so that BLAS takes them at once
    "intercepts in runs": [(25, 1), (20, 1)],
    "steps in runs": [(9, 2), (8, 2)],
}
ROWS, ROWS_IN_RUNS = 80, 2800


@dataclass(frozen=True)
class Example:
    """A layout, weights and relative factors, and the matrices that engines never form.

    Attributes
    ----------
    layout : RowLayout
    w : (n, m, m)
        Weights of every row over predictors.
    t : list of (k, k)
        Relative factors.
    z : (n, m, q)
        Left-hand sides.
    lam, information, h : (q, q)
        Lambda, Z'WZ and the Hessian.
    """

    layout: RowLayout
    w: np.ndarray
    t: list
    z: np.ndarray
    lam: np.ndarray
    information: np.ndarray
    h: np.ndarray


def build(name, m, fixed, seed=0):
    rng = np.random.default_rng(seed)
    in_runs = name.endswith("in runs")
    n = ROWS_IN_RUNS if in_runs else ROWS
    factors = [random_factor(rng, f"f{i}", levels, k, m, n, in_runs) for i, (levels, k) in enumerate(DESIGNS[name])]
    if fixed:
        factors.append(
            Factor("fixed", np.zeros(n, np.int32), 1, rng.normal(size=(n, 2)), np.zeros(2, np.int32), prior=0.0)
        )
    layout = RowLayout(factors)
    assert (layout.n_runs < n) == (in_runs and not fixed)
    root = rng.normal(size=(n, m, m))
    w = root @ root.transpose(0, 2, 1)
    t = [
        np.eye(f.k) if f.prior == 0 else np.tril(rng.normal(size=(f.k, f.k))) * (1 if i else 0.5)
        for i, f in enumerate(factors)
    ]
    if seed % 2:  # singular relative factor
        t[0][-1, :] = 0.0
    z = np.zeros((n, m, layout.order))
    left, start = layout.of_rows(layout.z), layout.of_rows(layout.start)
    for c in range(left.shape[1]):
        z[np.arange(n), layout.predictor[c], start[:, layout.factor[c]] + layout.within[c]] += left[:, c]
    lam = linalg.block_diag(*(own for f, own in zip(factors, t, strict=True) for _ in range(f.n_levels)))
    information = z.reshape(n * m, -1).T @ (w @ z).reshape(n * m, -1)
    return Example(layout, w, t, z, lam, information, lam.T @ information @ lam + np.diag(layout.prior))


def random_factor(rng, name, levels, k, m, n, in_runs):
    """Levels that all occur; left-hand sides of any values, or of so few that rows stand in runs."""
    codes = np.concatenate([np.arange(levels), rng.integers(0, levels, n - levels)]).astype(np.int32)
    rng.shuffle(codes)
    z = np.stack([np.ones(n), codes % 3.0][:k], axis=1) if in_runs else rng.normal(size=(n, k))
    return Factor(name, codes, levels, z, rng.integers(0, m, k).astype(np.int32))


def levels_of(layout, factor):
    """Places of the coefficients of each level of a factor."""
    f, start = layout.factors[factor], layout.offsets[factor]
    return [slice(start + j * f.k, start + (j + 1) * f.k) for j in range(f.n_levels)]


def pack(w):
    rows, columns = np.tril_indices(w.shape[1])
    return np.ascontiguousarray(w[:, rows, columns].T)


def assemble(system, w):
    packed = pack(w)
    values = np.random.default_rng(9).normal(size=(w.shape[1], len(w)))
    score, direct = np.zeros(system.layout.order), np.zeros(system.layout.order)
    system.reset()
    half = len(w) // 2
    for lo, hi in ((0, half), (half, len(w))):
        block = [np.ascontiguousarray(a[:, lo:hi]) for a in (packed, values)]
        system.add(lo, hi, *block, score)
    system.layout.add_score(0, len(w), values, direct)
    np.testing.assert_allclose(score, direct, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("system_class", SYSTEMS)
def test_against_dense(system_class, name, m, fixed, seed):
    example = build(name, m, fixed, seed)
    layout, t, z, lam, h = example.layout, example.t, example.z, example.lam, example.h
    system = system_class(layout)
    assemble(system, example.w)
    assert system.factorise(t)
    rng = np.random.default_rng(5)
    x = rng.normal(size=layout.order)
    np.testing.assert_allclose(system.logdet, np.linalg.slogdet(h)[1], rtol=TOLERANCE)
    np.testing.assert_allclose(system.solve(x), np.linalg.solve(h, x), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(system.multiply(x), example.information @ x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(layout.apply_factors(t, x), lam @ x, atol=TOLERANCE)
    np.testing.assert_allclose(layout.apply_transposed(t, x), lam.T @ x, atol=TOLERANCE)
    inverse = np.linalg.inv(h)
    for count in (0, 1, 2):
        last = slice(layout.order - count, None)
        np.testing.assert_allclose(system.last_block(count), inverse[last, last], rtol=1e-8, atol=1e-9)
    system.invert()
    system.scale_inverse()
    system.invert()  # begins anew
    system.invert()
    product = example.information @ lam @ inverse
    for i, got in enumerate(system.factor_products()):
        want = sum(product[at, at] for at in levels_of(layout, i))
        np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-8)
    system.scale_inverse()
    out = np.empty((m * (m + 1) // 2, layout.n))
    third = layout.n // 3
    for lo, hi in ((0, third), (third, layout.n)):
        part = np.empty((len(out), hi - lo))
        system.row_covariances(lo, hi, part)
        out[:, lo:hi] = part
    random = np.ones((m, layout.n - third))
    layout.add_random_part(third, layout.n, x, random)
    np.testing.assert_allclose(random, 1.0 + (z @ x)[third:].T, atol=TOLERANCE)
    covariance = lam @ inverse @ lam.T
    np.testing.assert_allclose(out, pack(z @ covariance @ z.transpose(0, 2, 1)), rtol=1e-7, atol=1e-8)
    for i in range(len(layout.factors)):
        for block, at in zip(system.level_covariances(i), levels_of(layout, i), strict=True):
            np.testing.assert_allclose(block, covariance[at, at], rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("system_class", SYSTEMS)
def test_profiled_fixed_effects_stay_out_of_determinant_and_inverse(system_class, name):
    example = build(name, 1, True)
    layout, lam, h = example.layout, example.lam, example.h
    system = system_class(layout, n_profiled=2)
    assemble(system, example.w)
    assert system.factorise(example.t)
    q = layout.order - 2
    np.testing.assert_allclose(system.logdet, np.linalg.slogdet(h[:q, :q])[1], rtol=TOLERANCE)
    x = np.arange(layout.order, dtype=float)
    np.testing.assert_allclose(system.solve(x), np.linalg.solve(h, x), rtol=1e-8, atol=1e-9)
    system.invert()
    product = example.information[:q, :q] @ lam[:q, :q] @ np.linalg.inv(h[:q, :q])
    want = sum(product[at, at] for at in levels_of(layout, 0))
    np.testing.assert_allclose(system.factor_products()[0], want, rtol=1e-7, atol=1e-8)
    system.scale_inverse()
    out = np.empty((1, layout.n))
    system.row_covariances(0, layout.n, out)
    used = example.z[:, 0, :q] @ lam[:q, :q]
    expected = np.einsum("iq,qr,ir->i", used, np.linalg.inv(h[:q, :q]), used)
    np.testing.assert_allclose(out[0], expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("system_class", SYSTEMS)
def test_indefinite_weights_are_reported_not_raised(system_class):
    example = build("two crossed", 1, False)
    system = system_class(example.layout)
    assemble(system, -100.0 * example.w)
    assert not system.factorise(example.t)


def test_random_part_and_score_are_transposes():
    example = build("three factors", 2, True)
    layout, z = example.layout, example.z
    rng = np.random.default_rng(3)
    b, values = rng.normal(size=layout.order), rng.normal(size=(2, layout.n))
    out, score = np.zeros((2, layout.n)), np.zeros(layout.order)
    layout.add_random_part(0, layout.n, b, out)
    layout.add_score(0, layout.n, values, score)
    np.testing.assert_allclose(out, np.einsum("iaq,q->ai", z, b), atol=1e-12)
    np.testing.assert_allclose(score, np.einsum("iaq,ai->q", z, values), atol=1e-12)


def test_prior_precision_is_one_for_random_effects_and_none_for_fixed_ones():
    layout = build("two crossed", 1, True).layout
    np.testing.assert_array_equal(layout.prior, [1.0] * 11 + [0.0] * 2)


@pytest.mark.parametrize("name", ["one scalar factor", "one vector factor"])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_level_by_level_algebra_of_one_factor(name, m):
    example = build(name, m, False)
    layout, z, h = example.layout, example.z, example.h
    system = BlockedSystem(layout)
    assemble(system, example.w)
    assert system.factorise(example.t)
    blocks, roots = system.lead_blocks()
    some = np.random.default_rng(4).normal(size=blocks.shape)
    some = some + some.transpose(0, 2, 1)
    b = np.zeros_like(h)
    for j, at in enumerate(levels_of(layout, 0)):
        np.testing.assert_allclose(blocks[j], example.information[at, at], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(np.tril(roots[j]), np.linalg.cholesky(h[at, at]), rtol=1e-9, atol=1e-12)
        b[at, at] = some[j]
    out, expected = np.empty((m * (m + 1) // 2, layout.n)), pack(z @ b @ z.transpose(0, 2, 1))
    system.row_quadratics(0, layout.n, some, out)
    np.testing.assert_allclose(out, expected, rtol=1e-9, atol=1e-10)
    part = np.empty((m * (m + 1) // 2, 7))
    system.row_quadratics(10, 17, some, part)
    np.testing.assert_allclose(part, expected[:, 10:17], rtol=1e-9, atol=1e-10)


def test_information_adds_squared_left_hand_sides():
    example = build("three factors", 2, True)
    layout, z = example.layout, example.z
    values = np.random.default_rng(3).normal(size=(2, layout.n))
    out = np.zeros(layout.order)
    for lo, hi in ((0, 33), (33, layout.n)):
        layout.add_information(lo, hi, np.ascontiguousarray(values[:, lo:hi]), out)
    # one column of z at most is not zero for a predictor and a coefficient, so that squares do not mix
    np.testing.assert_allclose(out, np.einsum("iaq,ai->q", np.square(z), values), atol=1e-12)


def test_a_system_says_how_it_is_built():
    layout = build("crossed with slopes", 1, False).layout
    blocked = BlockedSystem(layout).describe()
    assert blocked[0] == "f0: leading, block diagonal, 2 x 2, 7 levels"
    pairs = {(a, b) for a, b in layout.start}  # one cell of three rows for each pair of levels that occurs
    assert blocked[1] == f"f1 (12): trailing, dense, order 12, {3 * len(pairs)} sparse cell rows"
    assert BlockedSystem(build("one scalar factor", 1, False).layout).describe() == ["f0: leading, diagonal, 6 levels"]
    sparse = SparseSystem(layout).describe()
    assert sparse[:2] == ["f0: sparse, 7 levels of 2", "f1: sparse, 4 levels of 3"]


def large_system(*, intercepts=False):
    """Two crossed factors of 310 and 298 levels with two fixed effects, profiled."""
    rng = np.random.default_rng(4)
    n = 2000
    factors = [random_factor(rng, "a", 310, 1, 1, n, False), random_factor(rng, "b", 298, 1, 1, n, False)]
    if intercepts:
        factors = [replace(f, z=np.ones((n, 1))) for f in factors]
    fixed = Factor("fixed", np.zeros(n, np.int32), 1, rng.normal(size=(n, 2)), np.zeros(2, np.int32), prior=0.0)
    system = BlockedSystem(RowLayout([*factors, fixed]), n_profiled=2)
    assert system.gains_by_single
    system.add(0, n, np.ones((1, n)), np.zeros((1, n)), np.zeros(system.layout.order))
    return system


def test_single_precision_solves_as_double_and_inverts_to_half_the_digits():
    """A trailing block of order 300 beside dense linear algebra; solutions are refined, determinant and inverse not."""
    rng = np.random.default_rng(4)
    system, t = large_system(), [np.full((1, 1), 0.6), np.full((1, 1), 0.9), np.eye(2)]
    layout = system.layout
    columns = np.eye(layout.order)
    m = np.array([system.multiply(x) for x in columns])
    scale = np.concatenate([np.full(310, 0.6), np.full(298, 0.9), np.ones(2)])
    h = m * np.outer(scale, scale) + np.diag(layout.prior)
    x = 1e60 * rng.normal(size=layout.order)  # beyond the range of single precision
    found = {}
    for system.single in (True, False):
        assert system.factorise(t)
        np.testing.assert_allclose(system.solve(x) / 1e60, np.linalg.solve(h, x / 1e60), rtol=1e-7, atol=1e-9)
        system.invert()
        found[system.single] = system.logdet, np.concatenate([g.ravel() for g in system.factor_products()])
    np.testing.assert_allclose(found[False][0], np.linalg.slogdet(h[:-2, :-2])[1], rtol=TOLERANCE)
    for rough, exact in zip(found[True], found[False], strict=True):
        np.testing.assert_allclose(rough, exact, rtol=1e-5)
        assert np.any(rough != exact)


def test_solutions_that_are_not_refined_have_half_the_digits():
    system, t = large_system(), [np.full((1, 1), 0.6), np.full((1, 1), 0.9), np.eye(2)]
    x = np.random.default_rng(5).normal(size=system.layout.order)
    system.factorise(t)
    exact = system.solve(x)
    system.single = True
    system.factorise(t)
    np.testing.assert_allclose(system.solve(x), exact, rtol=1e-9, atol=1e-12)
    system.refines = False
    rough = system.solve(x)
    np.testing.assert_allclose(rough, exact, atol=1e-4 * np.abs(exact).max())
    assert np.abs(rough - exact).max() > 1e-9 * np.abs(exact).max()


@pytest.mark.parametrize(("size", "is_single"), [(0.9, True), (300.0, False)])
def test_inverse_in_single_precision_where_it_has_digits_enough(size, is_single):
    """Large intercepts of crossed factors: that their means are not told apart takes up the digits."""
    system, found = large_system(intercepts=True), {}
    for system.single_inverse in (False, True):
        system.factorise([np.full((1, 1), size), np.full((1, 1), size), np.eye(2)])
        logdet = system.logdet
        system.invert()
        found[system.single_inverse] = np.concatenate([g.ravel() for g in system.factor_products()])
        assert system.logdet == logdet  # the factor is left
    np.testing.assert_allclose(found[True], found[False], rtol=1e-5)
    assert np.array_equal(found[True], found[False]) != is_single
