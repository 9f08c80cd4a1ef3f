"""Variance inflation and tables of ratios."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmmcore import ModelError, collinearity, glmm


def table() -> pd.DataFrame:
    """72 rows by whole-number arithmetic, so that R has the same."""
    i = np.arange(72)
    return pd.DataFrame(
        {
            "A": np.take(["a1", "a2", "a3"], i % 3),
            "y": (37 * i * i + 11 * i + 5) % 101 / 10.0,
            "k": (13 * i * i + 29 * i + 3) % 11,
            "x": (i * i + 7 * i) % 17 / 4.0,
            "year": 2000 + i * i % 5 * 2,
        }
    )


def test_agrees_with_car():
    # car::vif(lm(y ~ A + x + k + factor(year)))
    found = collinearity(glmm("y ~ A + x + k + factor(year)", table()))
    assert np.allclose(found["vif"], [1.006917425, 1.008084102, 1.006802788, 1.005166539], rtol=1e-8)
    assert found["df"].tolist() == [2, 1, 1, 2]
    assert np.allclose(found["se_factor"], [1.001724888, 1.004033915, 1.003395629, 1.001289140], rtol=1e-8)


def test_does_not_depend_on_units_and_origin():
    d = table().assign(z=lambda d: d["x"] + 0.1 * d["k"])
    expected = collinearity(glmm("k ~ x + z + A", d, "poisson"))
    moved = d.assign(x=1e4 + 1e6 * d["x"], z=d["z"] * 1e-6)
    assert np.allclose(collinearity(glmm("k ~ x + z + A", moved, "poisson"))["vif"], expected["vif"], rtol=1e-3)
    assert expected.loc["x", "vif"] > 5
    with pytest.raises(ModelError, match="no part 'zi'"):
        collinearity(glmm("y ~ x", d), "zi")


def test_ratios_agree_with_r():
    # exp(cbind(coef(m), confint.default(m))) of glm(I(k > 4) ~ A + x, binomial)
    fit = glmm("I(k > 4) ~ A + x", table(), "binomial")
    odds = fit.odds_ratios()
    assert odds.index.tolist() == ["A[T.a2]", "A[T.a3]", "x"]
    expected = [
        [0.996210136, 0.319694990, 3.10431714],
        [0.837571822, 0.268923709, 2.60864525],
        [0.929143898, 0.604422817, 1.42831865],
    ]
    assert np.allclose(odds[["ratio", "lower", "upper"]], expected, rtol=2e-4)
    assert np.allclose(odds["pvalue"], fit.pvalues.iloc[1:])
    robust = fit.odds_ratios(cov=fit.cov_params("HC0"))
    assert np.allclose(robust["ratio"], odds["ratio"]) and not np.allclose(robust["lower"], odds["lower"])
    with pytest.raises(ModelError, match="the link is 'log'"):
        glmm("k ~ x", table(), "poisson").odds_ratios()
    with pytest.raises(ModelError, match="no logarithms of ratios"):
        glmm("y ~ x", table()).exp_table()


def test_ratios_of_other_parts():
    d = table().assign(k=lambda d: d["k"] * (d.index % 3 > 0))
    fit = glmm("k ~ x", d, "nbinom2", zi="~ x", disp="~ x")
    for part, params in (("cond", fit.params), ("zi", fit.zi_params), ("disp", fit.disp_params)):
        assert fit.exp_table(part=part).loc["x", "ratio"] == pytest.approx(np.exp(params["x"]))
    with pytest.raises(ModelError, match="no part 'zi'"):
        glmm("k ~ x", d, "poisson").exp_table(part="zi")
