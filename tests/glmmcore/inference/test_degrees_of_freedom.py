"""Satterthwaite's degrees of freedom against lmerTest and exact cases."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmmcore import ModelError, glmm, satterthwaite, wald_tests


def test_sleepstudy_agrees_with_lmertest(reference_data):
    # lmerTest: summary(lmer(Reaction ~ Days + (Days|Subject)))$coefficients
    table = satterthwaite(glmm("Reaction ~ Days + (Days|Subject)", reference_data("sleepstudy"), reml=True))
    assert np.allclose(table["df"], [16.9997264, 16.9999837], rtol=1e-4)
    assert np.allclose(table["se"], [6.82459669, 1.54578964], rtol=1e-4)
    assert np.allclose(table["statistic"], [36.83808965, 6.77148149], rtol=1e-4)
    assert np.allclose(table["pvalue"], [1.17155811e-17, 3.26382447e-06], rtol=1e-3)


def test_nested_model_agrees_with_lmertest(reference_data):
    # lmerTest: lmer(strength ~ cask + (1|batch/cask), Pastes), summary and anova
    fit = glmm("strength ~ cask + (1|batch/cask)", reference_data("pastes"), reml=True)
    table = satterthwaite(fit)
    assert np.allclose(table["df"], [25.9486079, 18.0001921, 18.0001921], rtol=1e-4)
    assert np.allclose(table["pvalue"], [7.38792432e-29, 0.538251456, 0.306771775], rtol=1e-3)
    tested = wald_tests(fit, df="satterthwaite").loc["cask"]
    assert tested["F"] == pytest.approx(0.56009, abs=1e-5)
    assert tested["df_resid"] == pytest.approx(18.00019, rel=1e-4)
    assert tested["pvalue"] == pytest.approx(0.5808, abs=5e-5)


def test_balanced_designs_have_their_exact_degrees_of_freedom():
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(12), 6)
    d = pd.DataFrame({"g": g, "within": np.tile([0, 1] * 3, 12), "between": g % 2})
    d["y"] = d["within"] + rng.normal(0.0, 1.5, 12)[g] + rng.normal(size=72)
    table = satterthwaite(glmm("y ~ within + between + (1|g)", d, reml=True))
    # within groups: 72 rows - 12 groups - 1 slope; between them: 12 groups - 2 means
    assert table.loc["within", "df"] == pytest.approx(59.0, rel=1e-4)
    assert table.loc["between", "df"] == pytest.approx(10.0, rel=1e-4)


def test_regression_has_its_residual_degrees_of_freedom():
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"x": rng.normal(size=20), "y": rng.normal(size=20)})
    table = satterthwaite(glmm("y ~ x", d, reml=True))
    assert np.allclose(table["df"], 18.0, rtol=1e-10)


def test_contrasts_and_weights():
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(10), 5)
    d = pd.DataFrame({"g": g, "x": rng.normal(size=50), "w": rng.uniform(0.5, 2.0, 50)})
    d["y"] = d["x"] + rng.normal(size=10)[g] + rng.normal(size=50) / np.sqrt(d["w"])
    fit = glmm("y ~ x + (1|g)", d, reml=True, var_weights="w")
    both = satterthwaite(fit, [[0.0, 1.0], [1.0, 2.0]])
    assert both["df"].iloc[0] == satterthwaite(fit).loc["x", "df"]
    assert both["estimate"].iloc[1] == pytest.approx(fit.params["Intercept"] + 2.0 * fit.params["x"])
    with pytest.raises(ModelError, match="2 coefficients"):
        satterthwaite(fit, [1.0, 0.0, 0.0])


def test_other_models_are_refused():
    d = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "y": [1, 0, 3, 2, 5, 8]})
    with pytest.raises(ModelError, match="family='gaussian'"):
        satterthwaite(glmm("y ~ x", d, family="poisson"))


def test_joint_test_of_contrasts_with_different_degrees_of_freedom():
    # Fai and Cornelius (1996): E = sum v / (v - 2), v = 2 E / (E - q). In a balanced design the two contrasts are
    # orthogonal with 59 and 10 degrees of freedom exactly.
    from glmmcore.inference.degrees_of_freedom import Satterthwaite

    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(12), 6)
    d = pd.DataFrame({"g": g, "within": np.tile([-1, 1] * 3, 12), "between": 2 * (g % 2) - 1})
    d["y"] = d["within"] + rng.normal(0.0, 1.5, 12)[g] + rng.normal(size=72)
    fit = glmm("y ~ within + between + (1|g)", d, reml=True)
    table = satterthwaite(fit)
    f, q, df = Satterthwaite(fit).joint_test(np.eye(3)[1:], fit.params.to_numpy())
    excess = 59 / 57 + 10 / 8
    assert q == 2
    assert df == pytest.approx(2 * excess / (excess - 2), rel=1e-3)
    assert f == pytest.approx(np.mean(table["statistic"].iloc[1:] ** 2), rel=1e-6)
    f, q, df = Satterthwaite(fit).joint_test(np.array([[0.0, 1.0, 0.0], [0.0, 2.0, 0.0]]), fit.params.to_numpy())
    assert (f, q, df) == pytest.approx((table.loc["within", "statistic"] ** 2, 1, table.loc["within", "df"]), rel=1e-6)
