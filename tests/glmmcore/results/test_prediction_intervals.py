"""Predictions with some random terms, and intervals of new responses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from glmmcore import DataWarning, ModelError, glmm
from glmmcore.results.prediction_intervals import _NewResponses, _spread
from glmmcore.results.quantities import RowQuantity, combination_variance


@pytest.fixture(scope="module")
def crossed() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    d = pd.DataFrame({"g": np.repeat(np.arange(15), 8), "h": np.tile(np.arange(8), 15), "x": rng.normal(size=120)})
    d["eta"] = 0.8 + 0.4 * d["x"] + 0.6 * rng.normal(size=15)[d["g"]] + 0.4 * rng.normal(size=8)[d["h"]]
    d["y"] = rng.negative_binomial(3.0, 3.0 / (3.0 + np.exp(d["eta"])))
    d["z"] = d["eta"] + rng.normal(size=120)
    d["n"] = rng.integers(3, 12, 120)
    d["k"] = rng.binomial(d["n"], 1.0 / (1.0 + np.exp(1.0 - d["eta"])))
    return d


# ---- some random terms ---------------------------------------------------------------------------------
def test_limits_come_with_either_interval(crossed):
    fit = glmm("z ~ x + (1|g) + (1|h)", crossed)
    by_name = fit.predict(interval="confidence")
    pd.testing.assert_frame_equal(by_name, fit.predict(level=0.95))
    wider = fit.predict(interval="prediction")
    assert (wider["lower"] < by_name["lower"]).all() and (wider["upper"] > by_name["upper"]).all()


def test_only_the_groups_named_take_part(crossed):
    fit = glmm("z ~ x + (x|g) + (1|h)", crossed, reml=True)
    new = crossed[["x", "g"]].head(20)  # no column h
    found = fit.predict(new, random_effects=["g"])
    modes = fit.random_effects["g"].loc[new["g"]].to_numpy()
    expected = fit.predict(new, random_effects="none") + modes[:, 0] + modes[:, 1] * new["x"]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    both = fit.predict(crossed, random_effects=["g", "h"], se=True)
    pd.testing.assert_frame_equal(both, fit.predict(crossed, se=True))
    pd.testing.assert_series_equal(fit.predict(random_effects=[]), fit.predict(random_effects="none"))


def test_errors_of_some_random_terms_are_those_of_that_combination(crossed):
    # y = x'b + u_g + e with u_h left out: variance of x'b + u_g - u_g^, from the dense covariance of y
    fit = glmm("z ~ x + (1|g) + (1|h)", crossed, reml=True)
    sd = fit.var_corr.set_index("group")["sd"]
    z_g, z_h = (pd.get_dummies(crossed[name]).to_numpy(dtype=float) for name in "gh")
    v = sd["g"] ** 2 * z_g @ z_g.T + sd["h"] ** 2 * z_h @ z_h.T + fit.sigma**2 * np.eye(120)
    x = np.column_stack([np.ones(120), crossed["x"]])
    inverse = np.linalg.inv(v)
    b = np.linalg.inv(x.T @ inverse @ x)
    k = sd["g"] ** 2 * z_g.T @ inverse  # what the modes of g are of y - x b
    at, g = np.array([1.0, 0.3]), 4
    left = at - x.T @ k[g]
    variance = left @ b @ left + sd["g"] ** 2 - k[g] @ z_g[:, g] * sd["g"] ** 2
    found = fit.predict({"x": [0.3], "g": [g]}, random_effects=["g"], se=True)["se"].iloc[0]
    # ours adds what the variances' errors do to the modes
    assert np.sqrt(variance) <= found <= 1.02 * np.sqrt(variance)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"random_effects": ["nobody"]}, "no group 'nobody'.*'g', 'h'"),
        ({"random_effects": 3}, "names of groups"),
        ({"interval": "both"}, "'confidence' or 'prediction'"),
        ({"interval": "prediction", "kind": "link"}, "kind='response'"),
        ({"interval": "prediction", "newdata": {"x": [0.0]}, "random_effects": "none"}, "numbers of trials"),
        ({"trials": "n", "newdata": {"x": [0.0], "n": [4]}, "random_effects": "none"}, "interval='prediction'"),
    ],
)
def test_wrong_options(crossed, options, message):
    fit = glmm("cbind(k, n - k) ~ x + (1|g) + (1|h)", crossed, family="binomial")
    with pytest.raises(ModelError, match=message):
        fit.predict(**options)


# ---- new responses -------------------------------------------------------------------------------------
def test_a_regression_has_t_limits(crossed):
    fit = glmm("z ~ x", crossed, reml=True)
    found = fit.predict({"x": [-1.0, 2.0]}, se=True, level=0.9, interval="prediction")
    half = stats.t.ppf(0.95, 118) * np.sqrt(found["se"] ** 2 + fit.sigma**2)
    np.testing.assert_allclose(found["upper"] - found["estimate"], half, rtol=1e-6)
    np.testing.assert_allclose(found["estimate"] - found["lower"], half, rtol=1e-6)
    # the default is 95 %, and limits of the mean stay what they were
    narrow, wide = (fit.predict({"x": [0.0]}, level=0.95, interval=i)["upper"][0] for i in ("confidence", "prediction"))
    assert narrow == fit.predict({"x": [0.0]}, level=0.95)["upper"][0] < wide
    assert wide == fit.predict({"x": [0.0]}, interval="prediction")["upper"][0]


def probabilities(fit, new, y, random_effects, law, zeros=None):
    """P(Y <= y) at one row by adaptive integration over the normal error of the predictor."""
    link = fit.predict(new, kind="link", random_effects="none", se=True)
    sd = np.hypot(link["se"].iloc[0], fit.var_corr["sd"].pow(2).sum() ** 0.5 if random_effects == "average" else 0.0)
    eta = link["estimate"].iloc[0]
    density = stats.norm(eta, sd).pdf
    found = integrate.quad(lambda e: density(e) * law(np.exp(e)).cdf(y), eta - 9 * sd, eta + 9 * sd, epsabs=1e-10)[0]
    return found if zeros is None else zeros + (1.0 - zeros) * found


@pytest.mark.parametrize("random_effects", ["none", "average"])
def test_limits_of_counts_are_quantiles(crossed, random_effects):
    fit = glmm("y ~ x + (1|g)", crossed, family="nbinom2")
    new, shape = {"x": [0.7]}, fit.sigma
    found = fit.predict(new, random_effects=random_effects, level=0.9, interval="prediction")

    def law(mean: float):
        return stats.nbinom(shape, shape / (shape + mean))

    for name, p in (("lower", 0.05), ("upper", 0.95)):
        at = found[name].iloc[0]
        assert probabilities(fit, new, at, random_effects, law) >= p
        assert at == 0.0 or probabilities(fit, new, at - 1.0, random_effects, law) < p


@pytest.mark.parametrize(
    ("formula", "family", "options"),
    [
        ("y ~ x + (1|g)", "poisson", {}),
        ("many ~ x + (1|g)", "nbinom1", {}),
        ("y ~ x + (1|g)", "nbinom2", {"zi": "~ x"}),
        ("y1 ~ x + (1|g)", "truncated_poisson", {}),
        ("cbind(k, n - k) ~ x", "betabinomial", {}),
    ],
)
@pytest.mark.parametrize("random_effects", ["conditional", "average"])
def test_limits_are_the_least_whole_numbers(crossed, formula, family, options, random_effects):
    """Every whole number up to the limit, by the distribution function of the same law."""
    data = crossed.assign(y1=np.maximum(crossed["y"], 1), many=crossed["y"] * 37)
    fit = glmm(formula, data, family, **options)
    for level in (0.5, 0.95, 0.999):
        found = fit.predict(random_effects=random_effects, level=level, interval="prediction")
        size = 1.0 if fit.trials is None else fit.trials
        new = whole_law(fit, random_effects)
        for name, p in (("lower", 0.5 - 0.5 * level), ("upper", 0.5 + 0.5 * level)):
            at = np.round(found[name].to_numpy() * size)
            assert np.all(new.cdf(at)[1] >= p)
            assert np.all((at == 0.0) | (new.cdf(at - 1.0)[1] < p))


def whole_law(fit, random_effects):
    """Law of new responses at the rows of the fit, whose search for limits is not used."""
    predictors, effects = fit.design.predictors, "none" if random_effects == "average" else random_effects
    values, variance = {}, {}
    for name, kind in (("cond", "link"), ("zi", "zi_link")):
        if name in predictors:
            rows = RowQuantity(fit, kind, predictors, fit.data.index, effects)
            values |= {key: value for key, value in rows.values.items() if key not in values or key == name}
            spread = _spread(fit, predictors, name, random_effects)
            variance[name] = combination_variance(fit, rows.combination()) + spread
    return _NewResponses(fit, values, variance, fit.trials)


def test_limits_of_amounts_are_quantiles(crossed):
    fit = glmm("w ~ x + (1|g)", crossed.assign(w=np.exp(crossed["z"])), family="gamma", link="log")
    new, shape = {"x": [-0.4]}, 1.0 / fit.sigma**2
    found = fit.predict(new, random_effects="average", interval="prediction")
    for name, p in (("lower", 0.025), ("upper", 0.975)):
        at = probabilities(
            fit, new, found[name].iloc[0], "average", lambda mean: stats.gamma(shape, scale=mean / shape)
        )
        assert at == pytest.approx(p, abs=1e-6)


def test_masses_at_the_ends(crossed):
    often = crossed.assign(w=np.where(crossed["y"] < 2, 0.0, np.exp(crossed["z"])))
    assert (glmm("w ~ x", often, family="tweedie").predict(interval="prediction")["lower"] == 0.0).all()
    extra = crossed.assign(y=crossed["y"] * (crossed["h"] > 1))
    inflated = glmm("y ~ x", extra, family="poisson", zi="~ 1").predict(interval="prediction")
    assert (inflated["lower"] == 0.0).all()
    share = crossed.assign(p=np.clip(2.0 * crossed["eta"] - 1.0, 0.0, 1.0))
    found = glmm("p ~ x", share, family="ordbeta").predict(interval="prediction")
    assert (found["lower"] == 0.0).any()
    assert (found["upper"] == 1.0).any()
    assert found.to_numpy().min() >= 0.0
    assert found["upper"].max() <= 1.0


def test_k_of_n_is_per_trial(crossed):
    fit = glmm("cbind(k, n - k) ~ x", crossed, family="binomial")
    own = fit.predict(interval="prediction")
    counts = own["upper"] * crossed["n"]
    np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
    again = fit.predict(crossed, interval="prediction", trials="n")
    pd.testing.assert_frame_equal(own, again)
    wide, narrow = (fit.predict({"x": [0.0]}, interval="prediction", trials=n) for n in (5, 500))
    assert (narrow["upper"] - narrow["lower"])[0] < (wide["upper"] - wide["lower"])[0]


def test_weights_divide_the_variance_of_a_row(crossed):
    fit = glmm("z ~ x", crossed, reml=True, var_weights=np.where(crossed["h"] < 4, 1.0, 100.0))
    found = fit.predict(interval="prediction")
    width = (found["upper"] - found["lower"]).to_numpy()
    assert width[crossed["h"] >= 4].max() < 0.3 * width[crossed["h"] < 4].min()


@pytest.mark.parametrize(("family", "response"), [("gaussian", "z"), ("gamma", "size")])
def test_weights_of_new_rows(family, response, crossed):
    d = crossed.assign(w=np.where(crossed["h"] < 4, 0.5, 3.0), size=np.exp(crossed["z"] / 4))
    fit = glmm(f"{response} ~ x + (1|g)", d, family, var_weights="w")
    own = fit.predict(interval="prediction")
    for weights in ("w", d["w"], d["w"].to_numpy()):
        pd.testing.assert_frame_equal(fit.predict(d, interval="prediction", var_weights=weights), own)
    drawn = fit.simulate(4000, newdata=d.iloc[:20], var_weights=d["w"].iloc[:20], rng=1)
    # the standard error of a variance of 4000 draws is 2.2 %, of gamma responses up to 4 %
    np.testing.assert_allclose(drawn.var(axis=0), fit.variance()[:20], rtol=0.15)
    without = d.iloc[:3].drop(columns="w")
    with pytest.warns(DataWarning, match="a weight of 1"):
        one = fit.predict(without, interval="prediction")
    pd.testing.assert_frame_equal(one, fit.predict(without, interval="prediction", var_weights=1.0))
    with pytest.warns(DataWarning, match="a weight of 1"):
        fit.simulate(1, newdata=without, rng=1)
    for call, message in (
        (lambda: fit.predict(d, interval="prediction", var_weights=d["w"][::-1]), "another index"),
        (lambda: fit.predict(d, interval="prediction", var_weights=-d["w"]), "must be positive"),
        (lambda: fit.predict(d, se=True, var_weights="w"), "is for interval='prediction'"),
        (lambda: fit.predict(interval="prediction", var_weights="w"), "rows of the fit have theirs"),
        (lambda: fit.simulate(1, newdata=d, var_weights="none"), "column 'none' of var_weights= is not in"),
        (lambda: glmm("z ~ x", d).simulate(1, newdata=d, var_weights="w"), "had no var_weights="),
    ):
        with pytest.raises(ModelError, match=message):
            call()


def test_incomplete_rows_and_no_rows(crossed):
    fit = glmm("y ~ x + (1|g)", crossed, family="poisson")
    found = fit.predict({"x": [0.0, np.nan]}, random_effects="none", interval="prediction")
    assert found.loc[1].isna().all()
    assert found.loc[0].notna().all()
    assert len(fit.predict({"x": np.zeros(0)}, random_effects="none", interval="prediction")) == 0


@pytest.mark.parametrize(
    ("family", "random_effects"), [("gaussian", "average"), ("gaussian", "conditional"), ("poisson", "average")]
)
def test_new_responses_are_covered(family, random_effects):
    # 120 data sets of 8 groups of 5 with ten new responses each: the standard error is below 1.7 %, and dependent
    # responses of one data set double it at most
    rng = np.random.default_rng(17)
    groups, hits = np.repeat(np.arange(8), 5), []
    d = pd.DataFrame({"g": groups, "x": np.tile(np.arange(5.0), 8)})
    fit: object = None
    for _ in range(120):
        effects = 0.7 * rng.normal(size=8)

        def draw(eta: np.ndarray) -> np.ndarray:
            return eta + rng.normal(size=len(eta)) if family == "gaussian" else rng.poisson(np.exp(eta)).astype(float)

        y = draw(1.0 + 0.2 * d["x"].to_numpy() + effects[groups])
        fit = glmm("y ~ x + (1|g)", d.assign(y=y), family=family, reml=family == "gaussian")
        new = pd.DataFrame({"g": np.arange(8), "x": 2.0})
        found = fit.predict(new, random_effects=random_effects, interval="prediction")
        again = 0.7 * rng.normal(size=8) if random_effects == "average" else effects
        value = draw(1.4 + again)
        hits.append(np.mean((found["lower"] <= value) & (value <= found["upper"])))
    low, high = (0.915, 0.98) if family == "gaussian" else (0.915, 0.995)
    assert low <= np.mean(hits) <= high
