"""Kenward and Roger's covariance, degrees of freedom and F tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from glmmcore import ModelError, glmm, marginal_means, wald_tests
from glmmcore.inference.blocks import solved_by_levels
from glmmcore.inference.kenward_roger import KenwardRoger

# Variance estimates of two optimisers agree to some 1e-5, degrees of freedom and adjustments move with these.
TOLERANCE = 2e-3


# ---- pbkrtest ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["kr_crossed", "kr_sleepstudy", "kr_split_plot"])
def test_agrees_with_pbkrtest(reference_case, name):
    case, data = reference_case(name)
    fit = glmm(case["formula"], data, reml=True)
    rule = KenwardRoger(fit)
    assert np.allclose(np.sqrt(np.diag(rule.covariance)), case["single"]["se_kr"], rtol=TOLERANCE)
    assert np.allclose(rule.covariance, case["vcov_kr_adjusted"], rtol=5e-3, atol=1e-4 * np.abs(rule.covariance).max())
    assert np.allclose(rule.df(np.eye(len(fit.params))), case["single"]["df_kr"], rtol=TOLERANCE)
    for test in case["multi"]:
        statistic, q, df = rule.joint_test(np.array(test["L"], dtype=float), fit.params.to_numpy())
        assert (q, statistic, df) == (
            test["ndf"],
            pytest.approx(test["F"], rel=5e-3),
            pytest.approx(test["ddf"], rel=TOLERANCE),
        )


# ---- exact and dense references ------------------------------------------------------------------------
def test_balanced_split_plot_has_the_exact_tests_of_analysis_of_variance():
    rng = np.random.default_rng(4)
    cells = pd.MultiIndex.from_product([range(5), list("uvw"), list("pq")], names=["block", "whole", "sub"])
    d = cells.to_frame(index=False)
    d["plot"] = d["block"].astype(str) + d["whole"]
    noise = rng.normal(size=5)[d["block"]] + 1.2 * rng.normal(size=15)[pd.factorize(d["plot"])[0]]
    d["y"] = noise + rng.normal(size=30)
    found = wald_tests(glmm("y ~ whole * sub + (1|block) + (1|plot)", d, reml=True), df="kenward-roger")
    assert np.allclose(found["df_resid"], [8.0, 12.0, 12.0], rtol=1e-4)
    y = d["y"].to_numpy().reshape(5, 3, 2)
    whole = y.mean(axis=2)
    table = whole - whole.mean(axis=1, keepdims=True) - whole.mean(axis=0) + whole.mean()
    f_whole = 5 * np.square(whole.mean(axis=0) - whole.mean()).sum() / 2 / (np.square(table).sum() / 8)
    assert found.loc["whole", "F"] == pytest.approx(f_whole, rel=1e-4)


def test_without_random_effects_it_is_the_t_test():
    rng = np.random.default_rng(8)
    d = pd.DataFrame({"x": rng.normal(size=12), "y": rng.normal(size=12), "w": rng.integers(1, 4, 12)})
    fit = glmm("y ~ x", d, reml=True)
    rule = KenwardRoger(fit)
    assert np.allclose(rule.covariance, fit.cov_params())
    assert rule.df(np.array([[0.0, 1.0]]))[0] == pytest.approx(10.0)
    repeated = KenwardRoger(glmm("y ~ x", d, reml=True, freq_weights="w"))
    assert repeated.df(np.array([[0.0, 1.0]]))[0] == pytest.approx(d["w"].sum() - 2)


def dense(fit, derivatives, seconds):
    """The formulas of the article with V as a matrix."""
    x = fit.design.predictors["cond"].X
    v = np.diag(fit.sigma**2 / (np.ones(fit.nobs) if fit.design.var_weights is None else fit.design.var_weights))
    for t in fit.solution.terms:
        rows = t.term.Z @ t.covariance @ t.term.Z.T
        v += rows * (t.term.codes[:, None] == t.term.codes)
    w = np.linalg.inv(v)
    phi = np.linalg.inv(x.T @ w @ x)
    p = [-x.T @ w @ g @ w @ x for g in derivatives]
    q = [[x.T @ w @ g @ w @ h @ w @ x for h in derivatives] for g in derivatives]
    r = len(p)
    information = np.array(
        [
            [
                0.5
                * (
                    np.trace(w @ derivatives[i] @ w @ derivatives[j])
                    - np.trace(2 * phi @ q[i][j] - phi @ p[i] @ phi @ p[j])
                )
                for j in range(r)
            ]
            for i in range(r)
        ]
    )
    c = np.linalg.inv(information)
    inner = sum(
        c[i, j] * (q[i][j] - p[i] @ phi @ p[j] - 0.25 * x.T @ w @ seconds[i][j] @ w @ x)
        for i in range(r)
        for j in range(r)
    )
    return phi + 2 * phi @ inner @ phi


@pytest.fixture(scope="module")
def grouped() -> pd.DataFrame:
    rng = np.random.default_rng(12)
    g, h = np.repeat(np.arange(8), 6), np.tile(np.arange(6), 8)
    d = pd.DataFrame({"g": g, "h": h, "x": rng.normal(size=48), "w": rng.uniform(0.5, 2.0, 48)})
    b = rng.multivariate_normal([0, 0], [[1.0, 0.3], [0.3, 0.5]], 8)
    d["y"] = d["x"] + b[g, 0] + b[g, 1] * d["x"] + rng.normal(size=6)[h] + rng.normal(size=48)
    return d.drop(index=[3, 4, 17, 30, 31, 32])


def test_unstructured_and_crossed_terms_with_weights_against_dense_formulas(grouped):
    fit = glmm("y ~ x + (x|g) + (1|h)", grouped, reml=True, var_weights="w")
    first, second = fit.solution.terms
    same_g = first.term.codes[:, None] == first.term.codes
    one, x = first.term.Z.T
    derivatives = [
        np.diag(1.0 / grouped["w"]),
        np.outer(one, one) * same_g,
        (np.outer(one, x) + np.outer(x, one)) * same_g,
        np.outer(x, x) * same_g,
        (second.term.codes[:, None] == second.term.codes) * 1.0,
    ]
    zero = np.zeros_like(derivatives[0])
    expected = dense(fit, derivatives, [[zero] * 5] * 5)
    assert np.allclose(fit.cov_params("kenward-roger"), expected, rtol=1e-8)


def test_compound_symmetry_against_dense_formulas(grouped):
    """Variances and a correlation: derivatives of second order do not vanish."""
    d = grouped.assign(t=np.where(grouped["h"] % 2, "odd", "even"))
    fit = glmm("y ~ x + cs(0 + t|g)", d, reml=True)
    (term,) = fit.solution.terms
    part = fit.estimator.problem.terms[0]
    theta, square = fit.solution.x, fit.sigma**2

    def spread(at):
        root = part.back @ part.structure.factor(at)
        z = term.term.Z
        return square * (z @ root @ root.T @ z.T) * (term.term.codes[:, None] == term.term.codes)

    h, unit, r = 1e-3, np.eye(len(theta)), len(theta) + 1
    derivatives = [np.eye(fit.nobs), *((spread(theta + h * e) - spread(theta - h * e)) / (2 * h) for e in unit)]
    zero = np.zeros_like(derivatives[0])
    seconds = [[zero] * r for _ in range(r)]
    for i, a in enumerate(unit):
        for j, b in enumerate(unit):
            corners = spread(theta + h * (a + b)) - spread(theta + h * (a - b))
            corners += spread(theta - h * (a + b)) - spread(theta - h * (a - b))
            seconds[i + 1][j + 1] = corners / (4 * h * h)
    assert np.allclose(fit.cov_params("kenward-roger"), dense(fit, derivatives, seconds), rtol=1e-5)


def test_a_variance_of_zero_is_a_result():
    rng = np.random.default_rng(0)
    d = pd.DataFrame({"g": np.repeat(np.arange(6), 4), "x": rng.normal(size=24)})
    y = d["x"] + rng.normal(size=24)
    d["y"] = y - y.groupby(d["g"]).transform("mean")
    fit = glmm("y ~ x + (1|g)", d, reml=True)
    assert fit.singular
    table = marginal_means(fit, "x", at={"x": [0, 1]}, contrasts="pairwise", df="kenward-roger")
    assert np.isfinite(table.to_numpy(dtype=float)).all() and 10 < table["df"].iloc[0] < 23


def test_what_it_is_not_for(grouped):
    for fit in (glmm("y ~ x + (1|g)", grouped), glmm("y ~ x + (1|g)", grouped.assign(y=1), "poisson")):
        with pytest.raises(ModelError, match="Kenward and Roger's method is for family='gaussian'"):
            fit.cov_params("kenward-roger")
    with pytest.raises(ModelError, match="kind must be"):
        fit.cov_params("HC")


# ---- size ----------------------------------------------------------------------------------------------
def test_sizes_of_tests_in_a_small_unbalanced_design():
    """400 data sets without an effect of the between-group factor; binomial standard error 1.1 % at 5 %."""
    rng = np.random.default_rng(21)
    sizes = [2, 6, 3, 5, 2, 4, 6]
    g = np.repeat(np.arange(7), sizes)
    d = pd.DataFrame({"g": g, "t": np.where(g < 3, "a", "b")})
    rejected = np.zeros(2)
    first = glmm("y ~ t + (1|g)", d.assign(y=rng.normal(size=len(g))), reml=True)
    for _ in range(400):
        fit = first.refit(rng.normal(size=7)[g] + rng.normal(size=len(g)))
        kr = wald_tests(fit, df="kenward-roger")["pvalue"].iloc[0]
        rejected += [kr < 0.05, 2 * stats.norm.sf(abs(fit.tvalues.iloc[1])) < 0.05]
    assert 0.028 < rejected[0] / 400 < 0.078
    assert rejected[1] / 400 > 0.08


def test_known_relationships_count():
    """The article's formulas with dense matrices, R = .9 to the power of the distance of two levels."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(12), 8)
    levels = np.arange(12)
    related = 0.9 ** np.abs(np.subtract.outer(levels, levels))
    d = pd.DataFrame({"g": g, "x": rng.normal(size=96)})
    d["y"] = 2.0 * (np.linalg.cholesky(related) @ rng.normal(size=12))[g] + rng.normal(size=96)
    fit = glmm("y ~ x + (1|g)", d, reml=True, known={"g": pd.DataFrame(related, levels, levels)})
    x, between = fit.design.predictors["cond"].X, related[np.ix_(g, g)]
    v = fit.sigma**2 * np.eye(96) + float(fit.var_corr["sd"].iloc[0]) ** 2 * between
    inverse, slopes = np.linalg.inv(v), [np.eye(96), between]
    phi = np.linalg.inv(x.T @ inverse @ x)
    projected = inverse - inverse @ x @ phi @ x.T @ inverse
    w = np.linalg.inv([[0.5 * np.trace(projected @ a @ projected @ b) for b in slopes] for a in slopes])
    p = [-x.T @ inverse @ a @ inverse @ x for a in slopes]
    q = [[x.T @ inverse @ a @ inverse @ b @ inverse @ x for b in slopes] for a in slopes]
    pairs = [(i, j) for i in range(2) for j in range(2)]
    added = sum(w[i, j] * (q[i][j] - p[i] @ phi @ p[j]) for i, j in pairs)
    assert np.allclose(fit.cov_params("kenward-roger"), phi + 2 * phi @ added @ phi, rtol=1e-6)


@pytest.mark.parametrize("kind", ["II", "III"])
@pytest.mark.parametrize("rule", ["kenward-roger", "satterthwaite"])
@pytest.mark.parametrize("name", ["kr_crossed", "kr_split_plot"])
def test_tables_of_types_agree_with_lmertest(reference_case, name, rule, kind):
    case, data = reference_case(name)
    short = {"kenward-roger": "kr", "satterthwaite": "satterthwaite"}[rule]
    expected = case.get(f"anova_type{len(kind)}_{short}")
    if expected is None:
        pytest.skip(f"{name} has no type {kind} table by {rule}")
    fit = glmm(case["formula"], data, reml=True)
    found = wald_tests(fit, kind=kind, df=rule)
    assert list(found.index) == expected["term"]
    assert np.allclose(found["F"], expected["F value"], rtol=5e-3)
    assert np.allclose(found["df_resid"], expected["DenDF"], rtol=2 * TOLERANCE)
    assert np.allclose(found["pvalue"], expected["Pr(>F)"], rtol=2e-2)


def test_crossed_factors_are_eliminated_and_a_level_may_lack_an_effect():
    # dense solves know nothing of levels: 12 x 2 effects beside 5 of a crossed factor
    rng = np.random.default_rng(4)
    levels = np.concatenate([np.repeat(np.arange(12), 2), np.full(5, -1)])
    inner, k = np.zeros((29, 29)), np.zeros((29, 29))
    for where in [*(np.flatnonzero(levels == level) for level in range(12)), np.arange(24, 29)]:
        root = rng.normal(size=(len(where), len(where)))
        k[np.ix_(where, where)] = root @ root.T
    k[:24, 24:] = 0.1 * rng.normal(size=(24, 5))
    k[24:, :24] = k[:24, 24:].T
    d = np.diag(rng.uniform(0.1, 2.0, 29))
    inner, b = np.eye(29) + k @ d, rng.normal(size=(29, 3))
    for keep in (np.arange(29), np.delete(np.arange(29), 7)):  # then one level has one effect only
        shown = np.ix_(keep, keep)
        m, n = solved_by_levels(inner[shown][None], k[shown][None], b[keep][None], levels[keep][None])
        np.testing.assert_allclose(m[0], np.linalg.solve(inner[shown], k[shown]), atol=1e-10)
        np.testing.assert_allclose(n[0], np.linalg.solve(inner[shown], b[keep]), atol=1e-10)
