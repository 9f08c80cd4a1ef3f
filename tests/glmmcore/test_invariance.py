"""The log-likelihood does not depend on how the same model is written down."""

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm

# Both fits stop with an expected further rise below 1e-9; the rest is rounding.
TOLERANCE = 1e-8


def data():
    rng = np.random.default_rng(8)
    n = 150
    d = pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, 15, n), "h": rng.integers(0, 6, n)})
    d["f"] = np.array(list("abc"))[rng.integers(0, 3, n)]
    eta = 0.5 + 0.4 * d["x"] + 0.6 * rng.normal(size=15)[d["g"]] + (d["f"] == "b") * 0.3
    eta += 0.4 * rng.normal(size=15)[d["g"]] * d["x"]
    d["count"] = rng.negative_binomial(2.0, 2.0 / (2.0 + np.exp(eta)))
    d["success"] = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    d["real"] = eta + rng.normal(size=n)
    return d


MODELS = {
    "gaussian": ("real ~ x + f + (x|g) + (1|h)", {}),
    "gaussian REML": ("real ~ x + f + (x|g)", {"reml": True}),
    "binomial": ("success ~ x + f + (x|g)", {"family": "binomial"}),
    "quadrature": ("success ~ x + f + (1|g)", {"family": "binomial", "n_agq": 7}),
    "poisson": ("count ~ x + f + (x|g) + (1|h)", {"family": "poisson"}),
    "nbinom2": ("count ~ x + f + (x|g)", {"family": "nbinom2", "disp": "~ x"}),
    "zero-inflated": ("count ~ x + f + (x|g)", {"family": "poisson", "zi": "~ x + (1|h)"}),
}


@pytest.fixture(scope="module", params=list(MODELS))
def model(request):
    formula, options = MODELS[request.param]
    return formula, options, glmm(formula, data(), **options)


def same(model, changed, change=0.0):
    formula, options, fit = model
    other = glmm(formula, changed, **options)
    np.testing.assert_allclose(other.llf, fit.llf + change, rtol=TOLERANCE)
    return fit, other


def test_row_order(model):
    d = data()
    fit, other = same(model, d.sample(frac=1.0, random_state=3))
    np.testing.assert_allclose(other.params, fit.params, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(other.fittedvalues.sort_index(), fit.fittedvalues, rtol=1e-5)


def test_level_names(model):
    d = data()
    same(model, d.assign(g=[f"level {99 - v}" for v in d["g"]], h=d["h"] * -1.5))


@pytest.mark.parametrize("scale", [1e-6, 1e6, -1.0])
def test_scale_of_a_covariate(model, scale):
    d = data()
    # REML's flat prior is on the coefficients as they are written, so the unit of one enters as a constant
    change = -np.log(abs(scale)) if model[1].get("reml") else 0.0
    fit, other = same(model, d.assign(x=d["x"] * scale), change)
    np.testing.assert_allclose(other.params["x"] * scale, fit.params["x"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(other.bse["x"] * abs(scale), fit.bse["x"], rtol=1e-4)


@pytest.mark.parametrize("shift", [10.0, 1e6])
def test_shift_of_a_covariate(model, shift):
    d = data()
    same(model, d.assign(x=d["x"] + shift))


def test_reference_level(model):
    d = data()
    same(model, d.assign(f=pd.Categorical(d["f"], categories=list("cab"))))


@pytest.mark.parametrize("unit", [1e-4, 1e5])
def test_unit_of_a_gaussian_response(unit):
    d = data()
    for formula, options in (MODELS["gaussian"], (MODELS["gaussian"][0], {"disp": "~ x"})):
        fit, other = glmm(formula, d, **options), glmm(formula, d.assign(real=d["real"] * unit), **options)
        np.testing.assert_allclose(other.llf, fit.llf - len(d) * np.log(unit), rtol=TOLERANCE)
        np.testing.assert_allclose(other.params, fit.params * unit, rtol=1e-4, atol=1e-6 * unit)
