"""The exact gradient against fourth-order differences of the value, at random points, singular factors included."""

import numpy as np
import pandas as pd
import pytest

from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.laplace import LaplaceObjective
from glmmcore.estimation.linear import LinearObjective
from glmmcore.estimation.quadrature import QuadratureObjective
from glmmcore.families import FAMILIES, get_family
from glmmcore.formula import build_design

from ..differences import check_gradient

# Differences with step 1e-3 and error h^4 f'''''/30 leave about 1e-10 of truncation and 1e-14 |F| / h of rounding.
TOLERANCE = 1e-7
N = 90


def data(seed=0):
    rng = np.random.default_rng(seed)
    g, h = rng.integers(0, 9, N), rng.integers(0, 5, N)
    d = pd.DataFrame({"x": rng.normal(size=N), "w": rng.normal(size=N), "g": g, "h": h, "a": g // 3})
    d["t"] = pd.Categorical(rng.integers(0, 3, N))
    d["o"] = 0.2 * rng.normal(size=N)
    d["freq"] = rng.integers(1, 4, N).astype(float)
    d["prec"] = rng.uniform(0.5, 2.0, N)
    eta = 0.4 + 0.3 * d["x"] + 0.5 * rng.normal(size=9)[g]
    d["count"] = rng.poisson(np.exp(eta)).astype(float)
    d["positive_count"] = np.maximum(d["count"], 1.0)
    d["trials"] = rng.integers(3, 9, N)
    d["k"] = rng.binomial(d["trials"], 1 / (1 + np.exp(-eta)))
    d["real"] = eta + rng.normal(size=N)
    d["positive"] = np.exp(eta + 0.5 * rng.normal(size=N))
    d["semicontinuous"] = d["positive"] * (rng.random(N) > 0.3)
    d["unit"] = 1 / (1 + np.exp(-eta - rng.normal(size=N)))
    d["closed_unit"] = np.where(rng.random(N) < 0.15, 0.0, np.where(rng.random(N) < 0.15, 1.0, d["unit"]))
    return d


RESPONSES = {
    "gaussian": "real",
    "t": "real",
    "skewnormal": "real",
    "binomial": "cbind(k, trials - k)",
    "betabinomial": "cbind(k, trials - k)",
    "beta": "unit",
    "ordbeta": "closed_unit",
    "gamma": "positive",
    "lognormal": "positive",
    "tweedie": "semicontinuous",
    **{name: "positive_count" for name in FAMILIES if name.startswith("truncated")},
}


def check(objective_class, estimator, x, **options):
    check_gradient(lambda: objective_class(estimator.problem, **options), x, TOLERANCE)


def random_point(estimator, seed, singular=False):
    rng = np.random.default_rng(seed)
    x = 0.3 * rng.normal(size=estimator.problem.n_params)
    for part in estimator.problem.parts:
        if part.name == "cond" and part.where.stop > part.where.start:
            x[part.where.start] += 0.5
    for term in estimator.problem.terms:
        theta = rng.normal(0.0, 0.5, term.structure.size)
        if singular:
            # last coefficient of the level a copy of the first: T loses one rank
            theta[-1] = 0.0
        x[term.where] = theta
    return x


def run(formula, family, seed=1, *, link=None, reml=False, singular=False, **parts):
    design = build_design(formula, data(), **parts)
    estimator = Estimator.build(design, get_family(family, link), reml=reml)
    assert not estimator.linear
    check(LaplaceObjective, estimator, random_point(estimator, seed, singular))


@pytest.mark.parametrize("bars", ["(1|g)", "(x + w|g)"])
@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"gaussian"}))
def test_families_with_one_and_three_coefficients(family, bars):
    run(f"{RESPONSES.get(family, 'count')} ~ x + {bars}", family)


@pytest.mark.parametrize(
    "formula",
    [
        "count ~ x + (1|g) + (1|h)",
        "count ~ x + (x|g) + (w|h)",
        "count ~ x + (1|a/g) + (x||h)",
        "count ~ x + cs(0 + t|g)",
        "count ~ x + ar1(0 + t|g) + (1|h)",
        "count ~ x + homdiag(0 + t|g)",
        "count ~ x + hetar1(0 + t|g)",
        "count ~ x + toep(0 + t|g) + (1|h)",
        "count ~ x + homtoep(0 + t|g)",
        "count ~ x + (1|g) + (0 + x|g)",
    ],
)
@pytest.mark.parametrize("family", ["poisson", "nbinom2"])
def test_structures(family, formula):
    run(formula, family)


@pytest.mark.parametrize("formula", ["count ~ x + (x|g)", "count ~ x + (x|g) + (1|h)", "count ~ x + (1|g)"])
def test_singular_factor(formula):
    run(formula, "nbinom2", singular=True)


@pytest.mark.parametrize(
    ("family", "formula"),
    [("poisson", "count ~ x + (x|g) + (1|h)"), ("nbinom2", "count ~ x + (x|g)"), ("nbinom2", "count ~ x + w")],
)
def test_reml(family, formula):
    run(formula, family, reml=True)


@pytest.mark.parametrize("singular", [False, True])
@pytest.mark.parametrize("n_agq", [1, 2, 3, 7])
@pytest.mark.parametrize("bars", ["(1|g)", "(x|g)"])
@pytest.mark.parametrize("family", ["binomial", "nbinom2", "gamma"])
def test_quadrature(family, bars, n_agq, singular):
    design = build_design(f"{RESPONSES.get(family, 'count')} ~ x + {bars}", data())
    estimator = Estimator.build(design, get_family(family))
    x = random_point(estimator, 1, singular)
    check(QuadratureObjective, estimator, x, n_agq=n_agq)
    if n_agq == 1:
        quadrature, laplace = QuadratureObjective(estimator.problem, 1)(x), LaplaceObjective(estimator.problem)(x)
        np.testing.assert_allclose(quadrature[0], laplace[0], rtol=1e-12)
        np.testing.assert_allclose(quadrature[1], laplace[1], rtol=1e-8, atol=1e-8)


def test_quadrature_with_three_coefficients_and_zero_inflation():
    design = build_design("count ~ x + (x + w|g)", data(), zi="~ x")
    estimator = Estimator.build(design, get_family("poisson"))
    check(QuadratureObjective, estimator, random_point(estimator, 2), n_agq=3)


@pytest.mark.parametrize("link", ["probit", "cloglog"])
def test_links_without_canonical_form(link):
    run("cbind(k, trials - k) ~ x + (x|g) + (1|h)", "binomial", link=link)


def test_offsets_and_weights():
    run("count ~ x + offset(o) + (x|g)", "nbinom2", freq_weights="freq")
    run("real ~ x + (x|g)", "gaussian", disp="~ w + offset(o)", var_weights="prec", freq_weights="freq")


@pytest.mark.parametrize(
    ("family", "zi"),
    [("poisson", "~ x"), ("nbinom2", "~ x + (1|h)"), ("nbinom2", "~ 1 + (x|g)"), ("poisson", "~ w + offset(o)")],
)
@pytest.mark.parametrize("bars", ["", " + (x|g)", " + (1|g) + (1|h)"])
def test_zero_inflation(family, zi, bars):
    run("count ~ x" + bars, family, zi=zi)


def test_hurdle_and_dispersion_model():
    run("count ~ x + (1|g)", "truncated_nbinom2", zi="~ x + (1|g)", disp="~ w")
    run("semicontinuous ~ x + (1|g)", "gamma", zi="~ x + (1|h)", disp="~ w")


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("singular", [False, True])
@pytest.mark.parametrize(
    "formula",
    ["real ~ x + (1|g)", "real ~ x + (x|g) + (w|h)", "real ~ x + cs(0 + t|g)", "real ~ 1 + ar1(0 + t|g) + (1|a/h)"],
)
def test_linear_profile(formula, singular, reml):
    design = build_design(formula, data(), var_weights="prec", freq_weights="freq")
    estimator = Estimator.build(design, get_family("gaussian"), reml=reml)
    assert estimator.linear
    x = random_point(estimator, 3, singular and "cs" not in formula and "ar1" not in formula)
    check(LinearObjective, estimator, x, var_weights=design.var_weights[estimator.problem.rows])
