"""Covariances that do not trust the model's variance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from glmmcore import ModelError, glmm, marginal_means, wald_tests
from glmmcore.estimation.estimator import Estimator
from glmmcore.inference.robust import _codes, _scores


@pytest.mark.parametrize("name", ["robust_lm", "robust_pois_glm", "robust_nb_glmm"])
def test_agrees_with_sandwich_and_club_sandwich(reference_case, name):
    case, data = reference_case(name)
    fit = glmm(case["formula"], data, case["family"])
    if "vcov_cluster" in case:
        # numbers of R from differences of the log-likelihood
        assert np.allclose(fit.cov_params("sandwich", cluster="cluster"), case["vcov_cluster"], rtol=1e-2, atol=1e-5)
        return
    for kind in ("HC0", "HC1", "HC2", "HC3"):
        assert np.allclose(fit.cov_params(kind), case["sandwich"][kind], rtol=1e-4, atol=1e-7), kind
    for small in ("CR0", "CR1"):
        found = fit.cov_params("sandwich", cluster=data["cluster"], small_sample=small)
        assert np.allclose(found, case["clubSandwich"][small]["vcov"], rtol=1e-4, atol=1e-7)


def test_leverages_of_small_sample_corrections_do_not_depend_on_the_response():
    # MacKinnon and White: hat values of the working weights mu'(eta)^2 / Var(y), for gamma with log link those of X
    rng = np.random.default_rng(12)
    d = pd.DataFrame({"x": rng.normal(size=60), "f": rng.choice(list("ab"), 60)})
    fit = glmm("y ~ x * f", d.assign(y=rng.gamma(1.5, np.exp(0.4 * d["x"]))), family="gamma", link="log")
    design = np.column_stack([np.ones(60), d["x"], d["f"] == "b", d["x"] * (d["f"] == "b")]).astype(float)
    design = design[:, [{"Intercept": 0, "x": 1, "f[T.b]": 2, "x:f[T.b]": 3}[name] for name in fit.params.index]]
    h = np.einsum("ij,jk,ik->i", design, np.linalg.inv(design.T @ design), design)
    shape = 1.0 / fit.sigma**2
    scores = _scores(fit, np.arange(60), 60)
    part = fit.estimator.problem.part("cond")
    rows = part.back @ fit.curvature.inverse[part.where]
    np.testing.assert_allclose(
        scores[:, part.where] @ np.linalg.inv(part.back),
        design * (shape * (fit.observed / fit.fitted - 1.0))[:, None],
        rtol=1e-6,
        atol=1e-8,
    )
    for kind, power in (("HC2", 0.5), ("HC3", 1.0)):
        moved = rows @ (scores / (1.0 - h[:, None]) ** power).T
        np.testing.assert_allclose(fit.cov_params(kind), moved @ moved.T, rtol=1e-8)


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(31)
    h = np.repeat(np.arange(24), 6)
    d = pd.DataFrame({"c": h // 2, "h": h, "x": rng.normal(size=144), "t": np.tile(list("ab"), 72)})
    mean = np.exp(0.8 + 0.3 * d["x"] + rng.normal(0, 0.4, 12)[d["c"]] + rng.normal(0, 0.4, 24)[h])
    d["y"] = rng.poisson(mean) * (rng.random(144) > 0.2)
    return d


MODELS = [
    ("y ~ x + t + (x|h)", {"family": "poisson"}),
    ("y ~ x + (1|c/h)", {"family": "nbinom2"}),
    ("y ~ x + (1|h)", {"family": "poisson", "zi": "~ t + (1|h)"}),
    ("y ~ x + t", {"family": "nbinom1", "zi": "~ 1", "disp": "~ x"}),
]


@pytest.mark.parametrize(("formula", "options"), MODELS)
def test_scores_of_clusters(counts, formula, options):
    """Sums are the total gradient; each is the derivative by an offset that only its cluster has."""
    fit = glmm(formula, counts, **options)
    codes, n = _codes(fit, "c")
    scores = _scores(fit, codes, n)
    # at the optimum all sums vanish, to the optimiser's tolerance
    size = np.sqrt(np.square(scores).sum(axis=0))
    assert np.all(np.abs(scores.sum(axis=0)) < 2e-2 * size + 1e-3)
    cond = fit.design.predictors["cond"]
    part = fit.estimator.problem.part("cond")
    for cluster in (0, 5):
        for j in range(len(fit.params)):
            ends = []
            for step in (1e-4, -1e-4):
                offset = cond.offset + step * cond.X[:, j] * (codes == cluster)
                moved = replace(fit.design, predictors={**fit.design.predictors, "cond": replace(cond, offset=offset)})
                ends.append(Estimator.build(moved, fit.family).objective()(fit.solution.x)[0])
            expected = -(ends[0] - ends[1]) / 2e-4
            found = np.linalg.solve(part.back.T, scores[cluster, part.where])[j]
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_linear_mixed_models_against_dense_formulas():
    rng = np.random.default_rng(7)
    g = np.repeat(np.arange(15), 4)
    d = pd.DataFrame({"g": g, "c": g // 3, "x": rng.normal(size=60)})
    d["y"] = d["x"] + rng.normal(size=15)[g] + rng.normal(size=60) * (1 + d["x"].abs())
    fit = glmm("y ~ x + (1|g)", d, reml=True)
    v = fit.sigma**2 * np.eye(60) + float(fit.var_corr["sd"].iloc[0]) ** 2 * (g[:, None] == g)
    x, w = fit.design.predictors["cond"].X, np.linalg.inv(v)
    bread = np.linalg.inv(x.T @ w @ x)
    scores = x * (w @ (d["y"] - x @ fit.params.to_numpy()).to_numpy())[:, None]
    sums = np.array([scores[d["c"] == c].sum(axis=0) for c in range(5)])
    assert np.allclose(fit.cov_params("sandwich", cluster="c"), bread @ sums.T @ sums @ bread, rtol=1e-6)


def test_in_tests_and_means(counts):
    fit = glmm("y ~ x + t + (1|c)", counts, "poisson")
    robust = fit.cov_params("sandwich", cluster="c")
    assert wald_tests(fit, cov=robust).loc["x", "chisq"] == pytest.approx(fit.params["x"] ** 2 / robust.loc["x", "x"])
    pair = marginal_means(fit, "t", contrasts="pairwise", cov=robust.iloc[::-1, ::-1])
    assert pair["se"].iloc[0] == pytest.approx(np.sqrt(robust.loc["t[T.b]", "t[T.b]"]))
    with pytest.raises(ModelError, match="cov must be 3 by 3"):
        marginal_means(fit, "t", cov=np.eye(2))
    zero = glmm("y ~ t", counts, "poisson", zi="~ 1")
    with pytest.raises(ModelError, match="depend on other estimates"):
        marginal_means(zero, "t", kind="response", cov=zero.cov_params("HC0"))


def test_coverage_under_dependence_that_the_model_does_not_have():
    """400 data sets of 50 clusters with a common effect, fitted without it; binomial standard error 1.1 %."""
    rng = np.random.default_rng(3)
    c = np.repeat(np.arange(50), 5)
    d = pd.DataFrame({"c": c, "x": rng.normal(size=50)[c]})
    covered = np.zeros(2)
    first = glmm("y ~ x", d.assign(y=rng.poisson(2.0, 250)), "poisson")
    for _ in range(400):
        fit = first.refit(rng.poisson(np.exp(0.5 + 0.3 * d["x"] + rng.normal(0, 0.5, 50)[c])))
        errors = [np.sqrt(fit.cov_params("sandwich", cluster=c, small_sample="CR1").loc["x", "x"]), fit.bse["x"]]
        covered += np.abs(fit.params["x"] - 0.3) < 1.96 * np.array(errors)
    assert 0.89 < covered[0] / 400 < 0.97  # a little less than 95 % with 50 clusters
    assert covered[1] / 400 < 0.85


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "sandwich"}, "needs cluster="),
        ({"kind": "HC0", "cluster": "c"}, "needs cluster="),
        ({"kind": "HC3"}, "for models without random effects"),
        ({"kind": "sandwich", "cluster": "t"}, "whole levels of the grouping factor 'c'"),
        ({"kind": "sandwich", "cluster": "nowhere"}, "no column 'nowhere'"),
        ({"kind": "sandwich", "cluster": [1, 2]}, "shape"),
        ({"kind": "sandwich", "cluster": "c", "small_sample": "CR2"}, "small_sample must be"),
        ({"kind": "HC9"}, "kind must be one of"),
    ],
)
def test_wrong_options(counts, options, message):
    fit = glmm("y ~ x + (1|c)", counts, "poisson")
    with pytest.raises(ModelError, match=message):
        fit.cov_params(**options)


@pytest.mark.parametrize("kind", ["HC0", "HC1", "HC2", "HC3"])
@pytest.mark.parametrize("model", [("y ~ x + t", "poisson"), ("y ~ x + t", "gaussian"), ("y ~ x + t", "nbinom2")])
def test_frequency_weights_are_repeated_rows(counts, kind, model):
    formula, family = model
    counts = counts.assign(w=1 + np.arange(len(counts)) % 3)
    repeated = counts.loc[counts.index.repeat(counts["w"])].reset_index(drop=True)
    weighted = glmm(formula, counts, family, freq_weights="w").cov_params(kind)
    assert np.allclose(weighted, glmm(formula, repeated, family).cov_params(kind), rtol=1e-5, atol=1e-12)
    everything = glmm(formula, repeated, family, freq_weights=np.ones(len(repeated))).cov_params(kind)
    assert np.allclose(weighted, everything, rtol=1e-5, atol=1e-12)
