"""Both engines' determinants, solves and selected inverses against extended precision, up to condition 1e12."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from glmmcore.engines.blocked import BlockedSystem
from glmmcore.engines.layout import Factor, RowLayout
from glmmcore.engines.sparse import SparseSystem

from ..properties.budget import examples
from .dense import cholesky
from .densities import Long

# Double precision with a factor for sums over some hundred rows and coefficients.
EPS = 1e-14


@st.composite
def systems(draw: st.DrawFn):
    """A layout of one to three factors, row weights and relative factors of very different sizes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.integers(5, 60)), draw(st.sampled_from([1, 1, 2]))
    n_factors = draw(st.integers(1, 3))
    factors, relative = [], []
    for i in range(n_factors):
        levels, k = draw(st.integers(2, 12)), draw(st.integers(1, 3))
        codes = rng.integers(0, levels, n).astype(np.int32)  # some levels may have no row
        z = rng.normal(size=(n, k)) * 10.0 ** rng.uniform(-2, 2, k)
        factors.append(Factor(f"f{i}", codes, levels, z, rng.integers(0, m, k).astype(np.int32)))
        t = np.tril(rng.normal(size=(k, k))) * 10.0 ** draw(st.floats(-4, 3))
        if draw(st.booleans()):
            t[draw(st.integers(0, k - 1)), :] = 0.0
        relative.append(t)
    if draw(st.booleans()):
        p = draw(st.integers(1, 3))
        z = rng.normal(size=(n, p))
        factors.append(Factor("fixed", np.zeros(n, np.int32), 1, z, np.zeros(p, np.int32), prior=0.0))
        relative.append(np.eye(p))
    root = rng.normal(size=(n, m, m)) * 10.0 ** rng.uniform(-2, 2, (n, 1, 1))
    weights = root @ root.transpose(0, 2, 1) + 1e-6 * np.eye(m)
    return RowLayout(factors), weights, relative, rng


def dense_rows(layout: RowLayout, m: int) -> np.ndarray:
    z = np.zeros((layout.n, m, layout.order), dtype=Long)
    for i in range(layout.n):
        for c in range(layout.z.shape[1]):
            z[i, layout.predictor[c], layout.start[i, layout.factor[c]] + layout.within[c]] += layout.z[i, c]
    return z


def inverse(lower: np.ndarray) -> np.ndarray:
    """Of lower lower'."""
    out = np.eye(len(lower), dtype=Long)
    for j in range(len(lower)):
        out[j] = (out[j] - lower[j, :j] @ out[:j]) / lower[j, j]
    return out.T @ out


@examples(60)
@given(systems(), st.sampled_from([BlockedSystem, SparseSystem]))
def test_against_extended_precision(system, engine) -> None:
    layout, weights, relative, rng = system
    m, q = weights.shape[1], layout.order
    z = dense_rows(layout, m)
    lam = np.zeros((q, q), dtype=Long)
    for i, f in enumerate(layout.factors):
        for j in range(f.n_levels):
            at = layout.offsets[i] + j * f.k
            lam[at : at + f.k, at : at + f.k] = relative[i]
    cross = np.einsum("iaq,iab,ibr->qr", z, weights.astype(Long), z)
    h = lam.T @ cross @ lam + np.diag(layout.prior)
    # rounding of Z'WZ counts against the prior's 1, hence not only the condition after scaling matters
    condition = float(np.linalg.cond((h / np.sqrt(np.outer(np.diag(h), np.diag(h)))).astype(float)))
    if not condition < 1e12:
        return
    lower = cholesky(h)
    truth = inverse(lower)

    rows, columns = np.tril_indices(m)
    packed = np.ascontiguousarray(weights[:, rows, columns].T)
    built = engine(layout)
    built.reset()
    built.add(0, layout.n, packed, np.zeros((m, layout.n)), np.zeros(q))
    assert built.factorise(relative)
    tolerance = EPS * (10 + condition)
    assert abs(built.logdet - float(2 * np.log(np.diag(lower)).sum())) <= q * tolerance
    x = rng.normal(size=q)
    solved = built.solve(x)
    wanted = (truth @ x).astype(float)
    size = np.sqrt(np.diag(truth).astype(float))
    # in units of each coefficient's own standard deviation
    np.testing.assert_array_less(np.abs(solved - wanted), size * (q * tolerance * np.linalg.norm(size * x) + 1e-300))
    np.testing.assert_allclose(
        built.multiply(x), (cross @ x).astype(float), rtol=1e-9, atol=1e-12 * np.abs(cross).max()
    )

    built.invert()
    product = cross @ lam @ truth
    bound = np.abs(cross) @ np.abs(lam) @ np.abs(truth)
    for i, (f, got) in enumerate(zip(layout.factors, built.factor_products(), strict=True)):
        blocks = [slice(layout.offsets[i] + j * f.k, layout.offsets[i] + (j + 1) * f.k) for j in range(f.n_levels)]
        want, most = (sum(a[b, b] for b in blocks).astype(float) for a in (product, bound))
        np.testing.assert_array_less(np.abs(got - want), q * tolerance * most + 1e-300)
    built.scale_inverse()
    covariance = lam @ truth @ lam.T
    # standard deviations if nothing cancelled in Lambda
    most = np.abs(lam).astype(float) @ size
    for i, f in enumerate(layout.factors):
        for j, got in enumerate(built.level_covariances(i)):
            at = slice(layout.offsets[i] + j * f.k, layout.offsets[i] + (j + 1) * f.k)
            limit = q * tolerance * (np.outer(most[at], most[at]) + most[at].max() ** 2) + 1e-300
            np.testing.assert_array_less(np.abs(got - covariance[at, at].astype(float)), limit)
    out = np.empty((len(packed), layout.n))
    built.row_covariances(0, layout.n, out)
    per_row = np.einsum("iaq,qr,ibr->iab", z, covariance, z)[:, rows, columns].T.astype(float)
    reach = np.einsum("iaq,q->ia", np.abs(z).astype(float), most)
    np.testing.assert_array_less(np.abs(out - per_row), q * tolerance * (reach[:, rows] * reach[:, columns]).T + 1e-300)
