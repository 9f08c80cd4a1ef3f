"""Fits with levels that covary, against dense matrices, finite differences and equivalent models."""

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, special, stats

from glmmcore import ModelError, glmm, relationship
from glmmcore.engines.layout import Factor, RowLayout
from glmmcore.engines.precision import Precision
from glmmcore.engines.sparse import SparseSystem
from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.laplace import LaplaceObjective
from glmmcore.estimation.linear import LinearObjective
from glmmcore.families import get_family
from glmmcore.formula import build_design
from glmmcore.relationship.levels import with_relationships

from ..differences import check_gradient

# Differences with step 1e-3 and error h^4 f'''''/30 leave about 1e-10 of truncation and 1e-14 |F| / h of rounding.
TOLERANCE = 1e-7
L = 12


def random_covariance(n, seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, 2 * n))
    return a @ a.T / n


def labelled(matrix):
    names = [f"s{i:02d}" for i in range(len(matrix))]
    return pd.DataFrame(matrix, index=names, columns=names)


SINGULAR = random_covariance(L, 3)[:, :9] @ random_covariance(L, 3)[:, :9].T / 10
RELATIONSHIPS = {
    "dense": lambda: relationship.covariance(labelled(random_covariance(L, 1))),
    "blocks": lambda: relationship.covariance(
        labelled(linalg.block_diag(*[random_covariance(3, s) for s in range(4)]))
    ),
    "singular": lambda: relationship.covariance(labelled(SINGULAR)),
    "walk": lambda: relationship.random_walk(2, [f"s{i:02d}" for i in range(L)]),
    "ring": lambda: relationship.from_adjacency(
        labelled(np.roll(np.eye(L), 1, axis=1) + np.roll(np.eye(L), -1, axis=1))
    ),
}


def data(n=80, seed=0):
    rng = np.random.default_rng(seed)
    s = rng.integers(0, L - 2, n)  # two labels have no row
    d = pd.DataFrame({"x": rng.normal(size=n), "h": rng.integers(0, 5, n), "s": [f"s{i:02d}" for i in s]})
    effect = random_covariance(L, 1) @ rng.normal(size=L) / 3
    eta = 0.3 + 0.4 * d["x"] + effect[s]
    d["real"] = eta + rng.normal(size=n)
    d["count"] = rng.poisson(np.exp(np.clip(eta, -3, 3))) * (rng.random(n) > 0.2)
    return d


def build(formula, d, known, family="gaussian", **options):
    law = get_family(family)
    zi = options.pop("zi", None)
    design = with_relationships(build_design(formula, d, zi=zi), known)
    return Estimator.build(design, law, **options)


def dense_loglik(fit, r, *, beta=None, disp=None):
    """Marginal log-likelihood of a gaussian fit with one term (1|s) or (x|s), from its definition."""
    d = fit.data
    term = fit.design.predictors["cond"].terms[0]
    z = term.Z
    sigma = fit.solution.terms[0].covariance
    codes = term.codes
    between = np.einsum("ia,ab,jb->ij", z, sigma, z) * r[np.ix_(codes, codes)]
    v = between + fit.sigma**2 * np.eye(len(d))
    mean = fit.design.predictors["cond"].X @ fit.params
    return stats.multivariate_normal(mean, v).logpdf(fit.observed)


@pytest.mark.parametrize("name", RELATIONSHIPS)
def test_relationship_is_its_matrix(name):
    """The table, its diagonal, and the covariance of draws are one matrix."""
    r = RELATIONSHIPS[name]()
    matrix = r.matrix().to_numpy()
    np.testing.assert_allclose(np.diag(matrix), r.variances, rtol=1e-9)
    given = {"dense": random_covariance(L, 1), "singular": SINGULAR}.get(name)
    if given is not None:
        np.testing.assert_allclose(matrix, given, atol=1e-8 * given.max())
    draws = r.draw(40_000, np.random.default_rng(1))
    error = np.sqrt((np.outer(r.variances, r.variances) + matrix**2) / 40_000)
    assert np.max(np.abs(draws @ draws.T / 40_000 - matrix) / error) < 4.5


def test_intrinsic_relationships_are_generalised_inverses():
    ring = np.roll(np.eye(L), 1, axis=1) + np.roll(np.eye(L), -1, axis=1)
    np.testing.assert_allclose(
        RELATIONSHIPS["ring"]().matrix().to_numpy(), np.linalg.pinv(2 * np.eye(L) - ring), atol=1e-12
    )
    second = np.diff(np.eye(L), 2, axis=0)
    np.testing.assert_allclose(
        RELATIONSHIPS["walk"]().matrix().to_numpy(), np.linalg.pinv(second.T @ second), atol=1e-9
    )


@pytest.mark.parametrize("name", RELATIONSHIPS)
@pytest.mark.parametrize("formula", ["real ~ x + (1|s)", "real ~ x + (x|s)"])
def test_gaussian_log_likelihood_is_the_dense_one(name, formula):
    d, r = data(), RELATIONSHIPS[name]()
    fit = glmm(formula, d, known={"s": r})
    assert fit.llf == pytest.approx(dense_loglik(fit, r.matrix().to_numpy()), abs=1e-7)


def test_reml_log_likelihood_is_the_dense_one():
    d, r = data(), random_covariance(L, 1)
    fit = glmm("real ~ x + (1|s)", d, reml=True, known={"s": labelled(r)})
    x = fit.design.predictors["cond"].X
    codes = fit.design.predictors["cond"].terms[0].codes
    v = fit.solution.terms[0].covariance[0, 0] * r[np.ix_(codes, codes)] + fit.sigma**2 * np.eye(len(d))
    information = x.T @ np.linalg.solve(v, x)
    restricted = dense_loglik(fit, r) - 0.5 * np.linalg.slogdet(information)[1] + 0.5 * 2 * np.log(2 * np.pi)
    assert fit.llf == pytest.approx(restricted, abs=1e-7)
    np.testing.assert_allclose(fit.cov_params(), np.linalg.inv(information), rtol=1e-6)


@pytest.mark.parametrize("name", ["dense", "singular", "ring"])
def test_poisson_log_likelihood_is_the_dense_laplace_one(name):
    """Laplace's formula with a dense root of the covariance: u ~ N(0, I), b = root u."""
    d, r = data(), RELATIONSHIPS[name]()
    fit = glmm("count ~ x + (1|s)", d, family="poisson", known={"s": r})
    term = fit.design.predictors["cond"].terms[0]
    values, vectors = np.linalg.eigh(fit.solution.terms[0].covariance[0, 0] * r.matrix().to_numpy())
    a = (vectors * np.sqrt(np.maximum(values, 0.0)))[term.codes]
    fixed, y, u = fit.design.predictors["cond"].X @ fit.params.to_numpy(), fit.observed, np.zeros(L)
    for _ in range(50):
        mu = np.exp(fixed + a @ u)
        hessian = a.T @ (a * mu[:, None]) + np.eye(L)
        u = u + np.linalg.solve(hessian, a.T @ (y - mu) - u)
    eta = fixed + a @ u
    joint = np.sum(y * eta - np.exp(eta) - special.gammaln(y + 1)) - 0.5 * u @ u
    assert fit.llf == pytest.approx(joint - 0.5 * np.linalg.slogdet(hessian)[1], abs=1e-8)
    np.testing.assert_allclose(eta, fit.law.eta, atol=1e-6)


@pytest.mark.parametrize("name", RELATIONSHIPS)
@pytest.mark.parametrize("formula", ["real ~ x + (1|s)", "real ~ x + (x|s) + (1|h)"])
@pytest.mark.parametrize("reml", [False, True])
def test_linear_gradient(name, formula, reml):
    estimator = build(formula, data(), {"s": RELATIONSHIPS[name]()}, reml=reml)
    x = 0.4 + 0.3 * np.random.default_rng(5).normal(size=estimator.problem.n_params)
    check_gradient(lambda: LinearObjective(estimator.problem, None), x, TOLERANCE)


@pytest.mark.parametrize("name", RELATIONSHIPS)
@pytest.mark.parametrize(
    ("family", "formula", "zi"),
    [
        ("poisson", "count ~ x + (1|s)", None),
        ("nbinom2", "count ~ x + (x|s) + (1|h)", None),
        ("poisson", "count ~ x + (1|s)", "~ 1 + (1|s)"),
        ("nbinom2", "count ~ x + (1|h)", "~ (1|s)"),
    ],
)
def test_laplace_gradient(name, family, formula, zi):
    estimator = build(formula, data(), {"s": RELATIONSHIPS[name]()}, family=family, zi=zi)
    x = 0.3 * np.random.default_rng(7).normal(size=estimator.problem.n_params)
    for term in estimator.problem.terms:
        x[term.where] += 0.4
    check_gradient(lambda: LaplaceObjective(estimator.problem), x, TOLERANCE)
    x[estimator.problem.terms[0].where.start] = 0.0  # a singular factor
    check_gradient(lambda: LaplaceObjective(estimator.problem), x, TOLERANCE)


def test_identity_is_the_model_without():
    d = data()
    names = sorted(d["s"].unique())
    known = {"s": pd.DataFrame(np.eye(len(names)), index=names, columns=names)}
    for family, response in (("gaussian", "real"), ("poisson", "count")):
        one = glmm(f"{response} ~ x + (x|s) + (1|h)", d, family=family)
        two = glmm(f"{response} ~ x + (x|s) + (1|h)", d, family=family, known=known)
        assert two.llf == pytest.approx(one.llf, abs=1e-8)
        np.testing.assert_allclose(two.bse, one.bse, rtol=1e-4)
        np.testing.assert_allclose(two.var_corr["sd"], one.var_corr["sd"], rtol=1e-4, atol=1e-8)
        np.testing.assert_allclose(two.random_effects_se["s"], one.random_effects_se["s"], rtol=1e-3)
        assert two.edf == pytest.approx(one.edf, rel=1e-4)
        np.testing.assert_allclose(two.leverage, one.leverage, rtol=1e-3, atol=1e-5)


def test_scale_of_the_matrix_goes_into_the_standard_deviation():
    d, r = data(), labelled(random_covariance(L, 1))
    one = glmm("count ~ x + (1|s)", d, family="poisson", known={"s": r})
    for factor in (1e-6, 1e6):
        two = glmm("count ~ x + (1|s)", d, family="poisson", known={"s": factor * r})
        assert two.llf == pytest.approx(one.llf, abs=1e-8)
        assert two.var_corr["sd"][0] * np.sqrt(factor) == pytest.approx(one.var_corr["sd"][0], rel=1e-4)
        np.testing.assert_allclose(two.random_effects["s"], one.random_effects["s"], rtol=1e-3, atol=1e-5)


def test_system_of_covarying_levels_is_the_dense_matrix():
    """Factor, solve, determinant and selected inverse with two factors, one of them constrained."""
    rng = np.random.default_rng(2)
    n, sizes = 60, (2, 1)
    walk = relationship.random_walk(1, range(9)).precision
    other = Precision.of(np.linalg.inv(random_covariance(5, 4)))
    codes = [rng.integers(0, k, n).astype(np.int32) for k in (9, 5)]
    z = [rng.normal(size=(n, k)) for k in sizes]
    factors = [
        Factor("a", codes[0], 9, z[0], np.zeros(2, np.int32), precision=walk),
        Factor("b", codes[1], 5, z[1], np.zeros(1, np.int32), precision=other),
    ]
    layout = RowLayout(factors)
    system = SparseSystem(layout)
    weights = rng.uniform(0.5, 2.0, n)
    system.add(0, n, weights[layout.rows][None], np.zeros((1, n)), np.zeros(layout.order))
    t = [np.array([[0.8, 0.0], [0.3, 0.6]]), np.array([[0.7]])]
    assert system.factorise(t)
    dense = np.zeros((n, layout.order))
    for i in range(n):
        dense[i, 2 * codes[0][i] : 2 * codes[0][i] + 2] = z[0][i]
        dense[i, 18 + codes[1][i]] = z[1][i, 0]
    big = linalg.block_diag(np.kron(np.eye(9), t[0]), 0.7 * np.eye(5))
    step = np.diff(np.eye(9), axis=0)
    prior = linalg.block_diag(np.kron(step.T @ step, np.eye(2)), other.matrix().toarray())
    h = big.T @ dense.T @ (weights[:, None] * dense) @ big + prior
    u = linalg.block_diag(np.kron(linalg.null_space(np.ones((1, 9))), np.eye(2)), np.eye(5))
    inner, inner_prior = u.T @ h @ u, u.T @ prior @ u
    logdet = np.linalg.slogdet(inner)[1] - np.linalg.slogdet(inner_prior)[1]
    assert system.logdet == pytest.approx(logdet, abs=1e-10)
    inverse = u @ np.linalg.inv(inner) @ u.T
    rhs = rng.normal(size=layout.order)
    np.testing.assert_allclose(system.solve(rhs), inverse @ rhs, atol=1e-12)
    system.invert()
    covariance = big @ inverse @ big.T
    products = system.factor_products()
    full = dense.T @ (weights[:, None] * dense) @ big @ inverse
    expected = sum(full[2 * j : 2 * j + 2, 2 * j : 2 * j + 2] for j in range(9))
    np.testing.assert_allclose(products[0], expected, atol=1e-10)
    system.scale_inverse()
    np.testing.assert_allclose(
        system.level_covariances(0), [covariance[2 * j : 2 * j + 2, 2 * j : 2 * j + 2] for j in range(9)], atol=1e-12
    )
    out = np.empty((1, n))
    system.row_covariances(0, n, out)
    np.testing.assert_allclose(out[0], np.einsum("ia,ab,ib->i", dense, covariance, dense)[layout.rows], atol=1e-12)


def test_levels_without_a_label_are_named():
    d = data()
    r = labelled(random_covariance(5, 1))
    with pytest.raises(ModelError, match="lacks 5 of the 10 levels in the data: 's05'"):
        glmm("real ~ x + (1|s)", d, known={"s": r})
    with pytest.raises(ModelError, match="no random effects by 'species'"):
        glmm("real ~ x + (1|s)", d, known={"species": r})
    with pytest.raises(ModelError, match="not list"):
        glmm("real ~ x + (1|s)", d, known={"s": [1, 2]})
    with pytest.raises(ModelError, match="independent levels"):
        glmm("count ~ x + (1|s)", d, family="poisson", n_agq=3, known={"s": labelled(random_covariance(L, 1))})
