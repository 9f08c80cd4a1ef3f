"""What follows a fit with levels that covary, against dense matrices."""

import pickle

import numpy as np
import pandas as pd
import pytest

from glmmcore import ModelError, compare, glmm, marginal_means, relationship, satterthwaite

TREE = "(((a:1,b:1):1,(c:1,d:1):1):1,((e:1.5,f:1.5):.5,(g:.5,h:.5):1.5):1,(i:2,j:2):1);"
LABELS = list("abcdefghij")


@pytest.fixture(scope="module")
def d():
    rng = np.random.default_rng(4)
    r = relationship.from_tree(TREE)
    effect = r.draw(1, rng)[:, 0]
    s = rng.integers(0, 8, 160)  # i and j have no row
    d = pd.DataFrame({"x": rng.normal(size=160), "s": np.array(LABELS)[s], "h": rng.integers(0, 6, 160)})
    eta = 0.4 + 0.3 * d["x"] + 0.5 * effect[s]
    d["real"], d["count"] = eta + rng.normal(size=160), rng.poisson(np.exp(eta))
    return d


@pytest.fixture(scope="module")
def tree():
    return relationship.from_tree(TREE)


@pytest.fixture(scope="module")
def gaussian(d, tree):
    return glmm("real ~ x + (1|s)", d, reml=True, known={"s": tree})


@pytest.fixture(scope="module")
def poisson(d, tree):
    return glmm("count ~ x + (1|s) + (1|h)", d, family="poisson", known={"s": tree})


def dense(fit, matrix):
    """X, covariance of the effects of all labels, their covariance with the responses, that of the responses."""
    term = fit.design.predictors["cond"].terms[0]
    between = fit.solution.terms[0].covariance[0, 0] * matrix
    across = between[:, term.codes]
    return fit.design.predictors["cond"].X, between, across, across[term.codes] + fit.sigma**2 * np.eye(fit.nobs)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_tree_equals_dense_matrix(d, tree, family):
    y = {"gaussian": "real", "poisson": "count"}[family]
    for formula in (f"{y} ~ x + (1|s)", f"{y} ~ x + (x|s) + (1|h)"):
        one = glmm(formula, d, family=family, known={"s": tree})
        two = glmm(formula, d, family=family, known={"s": tree.matrix()})
        assert one.llf == pytest.approx(two.llf, abs=1e-8)
        np.testing.assert_allclose(one.params, two.params, atol=1e-8)
        np.testing.assert_allclose(one.bse, two.bse, atol=1e-6)
        np.testing.assert_allclose(one.var_corr["sd"], two.var_corr["sd"], atol=1e-6)
        np.testing.assert_allclose(one.random_effects["s"], two.random_effects["s"], atol=1e-6)
        np.testing.assert_allclose(one.random_effects_se["s"], two.random_effects_se["s"], atol=1e-5)
        assert one.edf == pytest.approx(two.edf, abs=1e-6)
        np.testing.assert_allclose(one.leverage, two.leverage, atol=1e-6)


def test_modes_are_best_linear_predictions_for_labels_without_rows_too(gaussian, tree):
    x, between, across, v = dense(gaussian, tree.matrix().to_numpy())
    residual = gaussian.observed - x @ gaussian.params
    modes = gaussian.random_effects["s"]
    assert list(modes.index) == LABELS
    np.testing.assert_allclose(modes["Intercept"], across @ np.linalg.solve(v, residual), atol=1e-8)
    sd = np.sqrt(np.diag(between - across @ np.linalg.solve(v, across.T)))
    np.testing.assert_allclose(gaussian.random_effects_sd["s"]["Intercept"], sd, rtol=1e-8)


def test_prediction_errors_are_those_of_the_dense_mixed_model_equations(d, tree):
    """With the variances known: Henderson's prediction error variance of x'beta + b."""
    free = glmm("real ~ x + (1|s)", d, reml=True, known={"s": tree})
    fixed = {"sd(s)": free.var_corr["sd"][0], "sigma": free.sigma}
    fit = glmm("real ~ x + (1|s)", d, reml=True, known={"s": tree}, fixed=fixed)
    x, between, across, v = dense(fit, tree.matrix().to_numpy())
    new = pd.DataFrame({"s": ["a", "i", "j", "h"], "x": [0.0, 1.0, -2.0, 0.5]})
    at = [LABELS.index(s) for s in new["s"]]
    gain = across[at] @ np.linalg.inv(v)
    left = np.column_stack([np.ones(4), new["x"]]) - gain @ x
    variance = np.diag(between)[at] - np.einsum("ij,ij->i", gain, across[at])
    variance += np.einsum("ij,jk,ik->i", left, np.linalg.inv(x.T @ np.linalg.solve(v, x)), left)
    found = fit.predict(new, se=True)
    np.testing.assert_allclose(found["se"], np.sqrt(variance), rtol=1e-6)
    mean = np.column_stack([np.ones(4), new["x"]]) @ fit.params + gain @ (fit.observed - x @ fit.params)
    np.testing.assert_allclose(found["estimate"], mean, rtol=1e-6)


def test_new_levels_of_the_relationship_are_predicted_and_others_refused(poisson):
    new = pd.DataFrame({"s": ["i", "a"], "x": [0.0, 0.0], "h": [0, 0]})
    modes = poisson.random_effects
    expected = np.exp(poisson.params["Intercept"] + modes["s"].loc[["i", "a"], "Intercept"] + modes["h"].iloc[0, 0])
    found = poisson.predict(new, se=True)
    np.testing.assert_allclose(found["estimate"], expected)
    assert np.all(found["se"] > 0.0) and found["se"].notna().all()
    for policy in ("error", "zero"):
        with pytest.raises(ModelError, match="lacks levels of the new data: 'k'"):
            poisson.predict(new.assign(s="k"), new_levels=policy)
    assert poisson.predict(new.drop(columns=["s", "h"]), random_effects="none").notna().all()
    average = poisson.predict(new, random_effects="average", se=True)
    spread = [t.row_variances(np.ones((1, 1)), np.array([0]))[0] for t in poisson.solution.terms]
    assert average["estimate"][0] == pytest.approx(np.exp(poisson.params["Intercept"] + sum(spread) / 2), rel=1e-6)


def test_average_predictions_know_the_variance_of_each_level(d):
    """Levels of unequal variance: E exp(b) = exp(variance / 2)."""
    r = pd.DataFrame(np.diag(np.linspace(0.5, 3.0, 10)), index=LABELS, columns=LABELS)
    fit = glmm("count ~ x + (1|s)", d, family="poisson", known={"s": r})
    new = pd.DataFrame({"s": ["a", "j"], "x": [0.0, 0.0]})
    square = fit.var_corr["sd"][0] ** 2
    expected = np.exp(fit.params["Intercept"] + 0.5 * square * np.array([0.5, 3.0]))
    found = fit.predict(new, random_effects="average", se=True)
    np.testing.assert_allclose(found["estimate"], expected, rtol=1e-8)
    assert found["se"].notna().all()
    design = fit.design.predictors["cond"]
    variance = square * r.to_numpy().diagonal()[design.terms[0].codes]
    np.testing.assert_allclose(fit.population_mean(), np.exp(design.X @ fit.params + 0.5 * variance), rtol=1e-8)
    with pytest.raises(ModelError, match="levels of 's' have different variances"):
        fit.predict(pd.DataFrame({"x": [0.0]}), random_effects="average")


@pytest.mark.parametrize("name", ["gaussian", "poisson"])
def test_unconditional_simulations_have_the_covariance_of_the_model(request, name, tree):
    fit = request.getfixturevalue(name)
    n = 3000
    draws = fit.simulate(n, rng=2, random_effects="unconditional")
    assert np.max(np.abs(draws.mean(axis=0) - fit.population_mean()) / (draws.std(axis=0) / np.sqrt(n))) < 4.5
    if name == "gaussian":
        v = dense(fit, tree.matrix().to_numpy())[3]
        sample = np.cov(draws.T)
        assert np.max(np.abs(sample - v) / np.sqrt((np.outer(np.diag(v), np.diag(v)) + v**2) / n)) < 5.5


def test_simulations_of_new_rows_share_the_relationship(gaussian, tree):
    new = pd.DataFrame({"s": ["i", "j", "a", "i"], "x": 0.0})
    draws = gaussian.simulate(20_000, newdata=new, rng=3, random_effects="unconditional")
    variance = gaussian.solution.terms[0].covariance[0, 0]
    at = [LABELS.index(s) for s in new["s"]]
    v = variance * tree.matrix().to_numpy()[np.ix_(at, at)] + gaussian.sigma**2 * np.eye(4)
    np.testing.assert_allclose(np.cov(draws.T), v, atol=5 * v.max() * np.sqrt(2 / 20_000))
    conditional = gaussian.simulate(20_000, newdata=new, rng=3)
    np.testing.assert_allclose(conditional.mean(axis=0), gaussian.predict(new), atol=5 * gaussian.sigma / 141)


def test_refits(poisson, gaussian):
    for fit in (poisson, gaussian):
        assert fit.refit(fit.observed).llf == pytest.approx(fit.llf, abs=1e-7)
        y = fit.simulate(4, rng=5, random_effects="unconditional")
        many = fit.refit_many(y)
        assert (many.error == "").all()
        for i in range(4):
            one = fit.refit(y[i])
            assert many.llf[i] == pytest.approx(one.llf, abs=1e-6)
            np.testing.assert_allclose(many.sd.iloc[i], one.var_corr["sd"], rtol=1e-3, atol=1e-3)
        some = fit.refit(rows=np.arange(120))
        assert list(some.random_effects["s"].index) == LABELS
        assert some.predict(fit.data.head(3)).notna().all()


def test_pickle(poisson):
    again = pickle.loads(pickle.dumps(poisson))
    np.testing.assert_allclose(again.predict(se=True), poisson.predict(se=True))
    assert again.simulate(1, rng=1, random_effects="unconditional").shape == (1, 160)


def test_intervals_and_tables(poisson, gaussian):
    for fit in (poisson, gaussian):
        for method in ("wald", "profile"):
            table = fit.conf_int(method=method, parameters="all")
            sd = table.loc[("random", "sd(Intercept|s)")]
            assert sd["lower"] < fit.var_corr["sd"][0] < sd["upper"]
        assert "s, 8 of 10 known" in fit.summary()
        assert fit.r2().between(0, 1).all() and fit.icc().between(0, 1).all()
    assert marginal_means(poisson, "x", at={"x": [0, 1]})["se"].notna().all()


def test_kenward_roger_and_satterthwaite(d, tree):
    """A relationship that is the identity gives the numbers of independent levels; the tree those of its matrix."""
    names = sorted(d["s"].unique())
    identity = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    one = glmm("real ~ x + (1|s) + (1|h)", d, reml=True)
    two = glmm("real ~ x + (1|s) + (1|h)", d, reml=True, known={"s": identity})
    np.testing.assert_allclose(two.cov_params("kenward-roger"), one.cov_params("kenward-roger"), rtol=1e-5)
    np.testing.assert_allclose(satterthwaite(two), satterthwaite(one), rtol=1e-3)
    three = glmm("real ~ x + (1|s)", d, reml=True, known={"s": tree})
    four = glmm("real ~ x + (1|s)", d, reml=True, known={"s": tree.matrix()})
    np.testing.assert_allclose(three.cov_params("kenward-roger"), four.cov_params("kenward-roger"), rtol=1e-5)
    np.testing.assert_allclose(satterthwaite(three), satterthwaite(four), rtol=1e-4)
    scaled = glmm("real ~ x + (x|s)", d, reml=True, known={"s": 100.0 * tree.matrix()})
    plain = glmm("real ~ x + (x|s)", d, reml=True, known={"s": tree})
    np.testing.assert_allclose(scaled.cov_params("kenward-roger"), plain.cov_params("kenward-roger"), rtol=1e-4)
    with pytest.raises(ModelError, match="independent clusters"):
        three.cov_params("sandwich", cluster="s")


def test_comparisons_know_the_relationship(d, tree):
    small = glmm("count ~ 1 + (1|s)", d, family="poisson", known={"s": tree})
    large = glmm("count ~ x + (1|s)", d, family="poisson", known={"s": relationship.from_tree(TREE)})
    assert np.isfinite(compare(small, large)["pvalue"].iloc[1])
    other = glmm("count ~ x + (1|s)", d, family="poisson")
    row = compare(small, other).iloc[1]
    assert np.isnan(row["pvalue"]) and "covary" in row["note"]


def test_scaled_residuals(poisson, gaussian):
    from simresid import simulate_residuals

    for fit in (poisson, gaussian):
        for effects in ("conditional", "unconditional"):
            residuals = simulate_residuals(fit, n_sims=200, rng=1, random_effects=effects)
            assert residuals.uniformity_test(null="analytic").pvalue > 1e-3
        assert residuals.uniformity_test(null="refits", n_refits=20).pvalue > 0.04
