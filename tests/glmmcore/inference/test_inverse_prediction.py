"""Inverse prediction where the formula has no values, where means are no mapped predictor, and far from zero."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmmcore import ModelError, glmm, inverse_prediction, marginal_means


@pytest.fixture(scope="module")
def killed() -> pd.DataFrame:
    """Insects killed by doses, two of them repeated."""
    return pd.DataFrame(
        {
            "dose": [0.5, 0.5, 1, 1, 2, 2, 4, 4, 8, 8, 16, 16],
            "n": [20, 22, 21, 19, 24, 20, 18, 23, 20, 21, 22, 20],
            "dead": [1, 2, 4, 3, 9, 10, 12, 17, 18, 20, 21, 20],
        }
    )


@pytest.mark.parametrize(
    ("link", "target", "estimate", "se"),
    [
        # MASS 7.3-58.2, dose.p of a glm; dose = 2^x, se = 2^x log(2) SE
        ("logit", 0.5, 2.2953108745, 0.2233339329),
        ("logit", 0.9, 7.6229398759, 1.2802221958),
        ("probit", 0.5, 2.2920033756, 0.2201370856),
        ("cloglog", 0.5, 2.6442366830, 0.2760924480),
    ],
)
def test_doses_of_a_logarithm(killed, link, target, estimate, se):
    fit = glmm("cbind(dead, n - dead) ~ log2(dose)", killed, family="binomial", link=link)
    found = inverse_prediction(fit, "dose", target)
    assert found.estimate == pytest.approx(estimate, rel=1e-5)
    # probit and cloglog: observed information here, expected in R
    assert found.se == pytest.approx(se, rel=1e-4 if link == "logit" else 0.02)
    # the limits are those of the logarithm, where the design is a straight line
    plain = killed.assign(x=np.log2(killed["dose"]))
    line = inverse_prediction(glmm("cbind(dead, n - dead) ~ x", plain, family="binomial", link=link), "x", target)
    assert np.allclose([found.lower, found.upper], np.exp2([line.lower, line.upper]), rtol=1e-6)
    assert found.note == ""


@pytest.mark.parametrize("limits", [None, (0.0, 40.0), (-5.0, 20.0)])
def test_limits_end_where_the_formula_does(killed, limits):
    fit = glmm("cbind(dead, n - dead) ~ log(dose)", killed, family="binomial")
    assert inverse_prediction(fit, "dose", 0.5, limits=limits).estimate == pytest.approx(2.2953108745, rel=1e-5)
    spline = glmm("cbind(dead, n - dead) ~ bs(dose, df=3)", killed, family="binomial")
    assert 1.0 < inverse_prediction(spline, "dose", 0.5).estimate < 5.0
    with pytest.raises(ModelError, match="log"):
        inverse_prediction(fit, "dose", 0.5, limits=(-5.0, -1.0))


def test_means_with_zeros_in_them():
    """The value found is that at which `marginal_means` has the target, and Fieller's ends those of its tests."""
    rng = np.random.default_rng(8)
    d = pd.DataFrame({"x": np.tile(np.linspace(0.0, 4.0, 20), 15)})
    d["y"] = rng.poisson(np.exp(0.3 + 0.5 * d["x"])) * (rng.random(300) < 0.6)
    for family in ("poisson", "truncated_poisson"):
        fit = glmm("y ~ x", d, family=family, zi="~ 1")
        found = inverse_prediction(fit, "x", 3.0)
        at = {"x": [found.estimate]}
        assert marginal_means(fit, "x", kind="response", at=at)["estimate"].iloc[0] == pytest.approx(3.0, rel=1e-8)
        conditional = inverse_prediction(fit, "x", np.log(3.0), kind="link").estimate
        assert conditional < found.estimate - 0.3
        row = marginal_means(fit, "x", kind="response", at={"x": [found.lower]}).iloc[0]
        assert row["upper"] == pytest.approx(3.0, rel=1e-5)


@pytest.mark.parametrize("response", ["log(y)", "log10(y + 1)", "sqrt(y)", "1 / y"])
def test_targets_of_what_a_response_is_a_function_of(response):
    rng = np.random.default_rng(2)
    d = pd.DataFrame({"x": np.arange(30.0), "g": np.tile(list("abcdef"), 5)})
    d["y"] = np.exp(1.0 + 0.05 * d["x"] + 0.1 * rng.normal(size=30))
    fit = glmm(f"{response} ~ x + (1|g)", d, reml=True)
    found = inverse_prediction(fit, "x", 5.0)
    medians = marginal_means(fit, "x", kind="response", at={"x": [found.estimate]})
    assert medians["estimate"].iloc[0] == pytest.approx(5.0, rel=1e-8)
    assert found.note == "target is a median of y"


@pytest.mark.parametrize(("shift", "unit"), [(1e6, 1.0), (1e9, 1e3), (0.0, 1e-9), (4.5e6, 10.0)])
def test_limits_move_with_origin_and_unit(shift, unit):
    rng = np.random.default_rng(6)
    d = pd.DataFrame({"x": np.tile(np.arange(12.0), 3)})
    d["y"] = 4.0 + 0.9 * d["x"] + rng.normal(0.0, 4.0, 36)
    plain = inverse_prediction(glmm("y ~ x", d, reml=True), "x", 8.0)
    moved = inverse_prediction(glmm("y ~ x", d.assign(x=shift + unit * d["x"]), reml=True), "x", 8.0)
    expected = np.array([plain.lower, plain.estimate, plain.upper, plain.se])
    found = (np.array([moved.lower, moved.estimate, moved.upper, moved.se]) - [shift, shift, shift, 0.0]) / unit
    assert np.allclose(found, expected, rtol=1e-4)


def test_extrapolation_is_told():
    d = pd.DataFrame({"x": np.tile(np.arange(5.0), 4), "y": [1.0, 2.1, 2.9, 4.2, 5.1] * 4})
    d["y"] += 0.1 * np.sin(np.arange(20))
    assert inverse_prediction(glmm("y ~ x", d), "x", 3.0).note == ""
    assert inverse_prediction(glmm("y ~ x", d), "x", 20.0).note == "outside the data, whose x goes from 0 to 4"
