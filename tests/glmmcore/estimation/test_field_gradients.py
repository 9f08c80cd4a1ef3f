"""Effects of places and times: value against dense matrices, gradient against differences, corners included."""

import numpy as np
import pandas as pd
import pytest

from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.laplace import LaplaceObjective
from glmmcore.estimation.linear import LinearObjective
from glmmcore.families import get_family
from glmmcore.formula import build_design

from ..differences import check_gradient

# Differences with step 1e-3 and error h^4 f'''''/30 leave about 1e-10 of truncation and 1e-14 |F| / h of rounding.
TOLERANCE = 1e-7
# Sparse precisions of smooth fields whose range is 8000 times the area have entries of 1e6, values a rounding of 1e-10.
NEAR_SINGULAR = 2e-7
N = 70
FIELDS = [
    "exp(a, b | {})",
    "gau(a, b | {})",
    "mat(a, b | {})",
    "ou(a | {})",
    "ar1(t | {})",
    "exp(a, b | {}, neighbours = 6)",
    "mat(a, b | {}, neighbours = 6)",
]


def data(seed=0):
    rng = np.random.default_rng(seed)
    d = pd.DataFrame({"x": rng.normal(size=N), "g": rng.integers(0, 3, N), "h": rng.integers(0, 5, N)})
    place = rng.integers(0, 25, N)
    at = rng.uniform(0.0, 5.0, (25, 2))
    d["a"], d["b"] = at[place].T
    d["t"] = np.cumsum(rng.integers(1, 4, 25))[place]
    eta = 0.4 + 0.3 * d["x"] + np.sin(d["a"])
    d["count"] = rng.poisson(np.exp(eta)).astype(float) * (rng.random(N) > 0.1)
    d["real"] = eta + rng.normal(size=N)
    return d


def point(estimator, seed, corner=None):
    rng = np.random.default_rng(seed)
    x = 0.3 * rng.normal(size=estimator.problem.n_params)
    for term in estimator.problem.terms:
        theta = term.structure.start(np.full(term.structure.k, 0.8)) + rng.normal(0.0, 0.3, term.structure.size)
        if corner is not None and hasattr(term.structure, "places"):
            theta[1] = corner * (30.0 if term.structure.name == "ar1" else 1.0)
        x[term.where] = theta
    return x


def check(objective_class, estimator, x, *more, tolerance=TOLERANCE):
    check_gradient(lambda: objective_class(estimator.problem, *more), x, tolerance)


def run(formula, family, seed=1, *, corner=None, reml=False, **parts):
    estimator = Estimator.build(build_design(formula, data(), **parts), get_family(family), reml=reml)
    x = point(estimator, seed, corner)
    singular = corner is not None and corner > 0.0 and "mat" in formula and "neighbours" in formula
    tolerance = NEAR_SINGULAR if singular else TOLERANCE
    if estimator.linear:
        check(LinearObjective, estimator, x, None, tolerance=tolerance)
    else:
        check(LaplaceObjective, estimator, x, tolerance=tolerance)


@pytest.mark.parametrize("corner", [None, -6.0, 9.0])
@pytest.mark.parametrize("group", ["1", "g"])
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("family", ["gaussian", "poisson", "nbinom2"])
def test_families(family, field, group, corner):
    response = "real" if family == "gaussian" else "count"
    run(f"{response} ~ x + {field.format(group)}", family, corner=corner)


@pytest.mark.parametrize("corner", [None, -6.0, 9.0])
@pytest.mark.parametrize("field", FIELDS)
def test_zero_inflation(field, corner):
    run(f"count ~ x + {field.format('1')}", "poisson", corner=corner, zi="~ x")


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("family", ["gaussian", "nbinom2"])
@pytest.mark.parametrize(
    "formula",
    [
        "{} ~ x + exp(a, b | 1) + (x | h)",
        "{} ~ x + ou(a | g) + (1 | h) + (1 | g)",
        "{} ~ x + ar1(t | g) + ou(a | 1)",
        "{} ~ x + mat(a, b | g) + gau(a | 1) + (1 | h)",
        "{} ~ 0 + ou(a | 1)",
        "{} ~ x + mat(a, b | g, neighbours = 6) + ou(a | 1) + (x | h)",
        "{} ~ x + exp(a, b | 1, neighbours = 6) + mat(a, b | 1, neighbours = 5)",
    ],
)
def test_beside_other_factors(formula, family, reml):
    run(formula.format("real" if family == "gaussian" else "count"), family, reml=reml)


@pytest.mark.parametrize("field", FIELDS)
def test_in_both_predictors(field):
    run(f"count ~ x + {field.format('1')} + (1 | h)", "poisson", zi="~ 1 + exp(a, b | 1)")


def test_weights_that_are_negative():
    """Log densities of t are not concave: the dense factorisation has to be an indefinite one."""
    run("real ~ x + exp(a, b | 1)", "t")
    run("real ~ x + ou(a | 1) + (1 | h)", "t")


@pytest.mark.parametrize("field", FIELDS)
def test_a_standard_deviation_of_zero(field):
    estimator = Estimator.build(build_design(f"count ~ x + {field.format('g')}", data()), get_family("nbinom2"))
    x = point(estimator, 2)
    x[estimator.problem.terms[0].where.start] = 0.0
    check(LaplaceObjective, estimator, x)


@pytest.mark.parametrize("field", FIELDS)
def test_log_likelihood_of_dense_matrices(field):
    d = data()
    estimator = Estimator.build(build_design(f"real ~ x + {field.format('g')} + (1 | h)", d), get_family("gaussian"))
    x = point(estimator, 3)
    objective = LinearObjective(estimator.problem, None)
    found = objective(x)[0]
    v = np.eye(N)
    for term in estimator.problem.terms:
        codes = term.term.codes
        if term.term.places is not None:
            sigma = term.structure.root(x[term.where]).multiply(np.eye(term.term.places.n))
        else:
            sigma = x[term.where][0] ** 2 * np.eye(5)
        v += sigma[np.ix_(codes, codes)]
    design = np.column_stack([np.ones(N), d["x"]])
    inverse = np.linalg.inv(v)
    beta = np.linalg.solve(design.T @ inverse @ design, design.T @ inverse @ d["real"])
    residual = d["real"] - design @ beta
    square = residual @ inverse @ residual
    expected = 0.5 * (np.linalg.slogdet(v)[1] + N * (1 + np.log(2 * np.pi * square / N)))
    np.testing.assert_allclose(found, expected, rtol=1e-11)
