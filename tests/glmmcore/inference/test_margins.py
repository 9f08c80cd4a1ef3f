"""Marginal means, contrasts and inverse prediction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from glmmcore import ModelError, glmm, inverse_prediction, marginal_means


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    d = pd.DataFrame(
        {
            "t": pd.Categorical(rng.choice(["b", "a", "c"], 90), categories=["b", "a", "c"]),
            "s": rng.choice(["m", "f"], 90),
            "x": rng.normal(2.0, 1.0, 90),
            "g": np.repeat(np.arange(15), 6),
        }
    )
    d["y"] = rng.poisson(np.exp(0.2 + 0.3 * d["x"] + 0.4 * (d["t"] == "c")))
    return d


# Forward differences of the gradient leave 1e-4 times the skewness in a Hessian; a p-value multiplies it by z squared.
STANDARD_ERROR, P_VALUE = 1e-4, 1e-3


# ---- emmeans -----------------------------------------------------------------------------------------
def test_cbpp_agrees_with_emmeans(reference_data):
    # e <- emmeans(glmmTMB(cbind(incidence, size - incidence) ~ period + (1|herd), binomial), "period", df = Inf)
    fit = glmm(
        "cbind(incidence, size - incidence) ~ period + (1|herd)", reference_data("cbpp", "period"), family="binomial"
    )
    link = marginal_means(fit, "period")
    assert np.allclose(link["estimate"], [-1.39853247, -2.39086476, -2.52720376, -2.97884615], atol=2e-5)
    assert np.allclose(link["se"], [0.232472051, 0.310213978, 0.330275160, 0.430071955], rtol=STANDARD_ERROR)
    # summary(e, type = "response")
    response = marginal_means(fit, "period", kind="response")
    assert np.allclose(
        response["estimate"], [0.1980490901, 0.0838719621, 0.0739729634, 0.0483907346], rtol=STANDARD_ERROR
    )
    assert np.allclose(response["se"], [0.0369225241, 0.0238360529, 0.0226241669, 0.0198044142], rtol=STANDARD_ERROR)
    assert np.allclose(response["lower"], [0.1353841147, 0.0474768140, 0.0401354891, 0.0214201212], rtol=2e-4)
    # pairs(e), pairs(e, adjust = "holm")
    tukey = marginal_means(fit, "period", contrasts="pairwise")
    assert tukey.index.tolist() == ["1 - 2", "1 - 3", "1 - 4", "2 - 3", "2 - 4", "3 - 4"]
    assert np.allclose(
        tukey["pvalue"],
        [0.0066494792, 0.0030844241, 0.0012474285, 0.9842743065, 0.5946893647, 0.7873315686],
        rtol=P_VALUE,
    )
    holm = marginal_means(fit, "period", contrasts="pairwise", adjust="holm")["pvalue"]
    expected = [0.00484663625, 0.00274716605, 0.00130800261, 0.72025397396, 0.63351092883, 0.70205547225]
    assert np.allclose(holm, expected, rtol=P_VALUE)
    bonferroni = marginal_means(fit, "period", contrasts="pairwise", adjust="bonferroni")["pvalue"]
    assert np.allclose(bonferroni, [0.00726995437, 0.00329659927, 0.00130800261, 1.0, 1.0, 1.0], rtol=P_VALUE)
    # confint(pairs(e, type = "response")) with the residual df of glmmTMB, 51
    ratios = marginal_means(fit, "period", contrasts="pairwise", kind="response", df=51)
    assert ratios.index[0] == "1 / 2"
    assert np.allclose(ratios["estimate"], [2.70, 3.09, 4.86, 1.15, 1.80, 1.57], atol=5e-3)
    assert np.allclose(ratios["upper"], [6.09, 7.36, 15.11, 3.15, 6.28, 5.68], atol=5e-3)


def test_pastes_agrees_with_emmeans(reference_data):
    # emmeans(lmer(strength ~ cask + (1|batch/cask)), "cask", lmer.df = "satterthwaite") and pairs() of it
    fit = glmm("strength ~ cask + (1|batch/cask)", reference_data("pastes"), reml=True)
    means = marginal_means(fit, "cask", df="satterthwaite")
    assert np.allclose(means["estimate"], [59.295, 60.145, 60.720], atol=1e-6)
    assert np.allclose(means["lower"], [57.1686281, 58.0186281, 58.5936281], atol=1e-4)
    pairs = marginal_means(fit, "cask", df="satterthwaite", contrasts="pairwise")
    assert np.allclose(pairs["se"], 1.35471778, rtol=2e-5)
    assert np.allclose(pairs["df"], 18.0001921, rtol=1e-4)
    assert np.allclose(pairs["pvalue"], [0.807122692, 0.554956457, 0.905980301], rtol=1e-4)


def test_averages_covariates_and_offsets_agree_with_emmeans(reference_data):
    # o <- glmmTMB(SiblingNegotiation ~ FoodTreatment * SexParent + ArrivalTime + offset(logBroodSize) + (1|Nest),
    #              family = poisson); emmeans(o, "FoodTreatment", df = Inf)
    fit = glmm(
        "SiblingNegotiation ~ FoodTreatment * SexParent + ArrivalTime + offset(logBroodSize) + (1|Nest)",
        reference_data("owls").eval("logBroodSize = log(BroodSize)"),
        family="poisson",
    )
    means = marginal_means(fit, "FoodTreatment")
    assert np.allclose(means["estimate"], [2.05140843, 1.45059076], atol=2e-5)
    assert np.allclose(means["se"], [0.0922750903, 0.0942167337], rtol=1e-4)
    # emmeans(o, ~FoodTreatment|SexParent, df = Inf), pairs()
    both = marginal_means(fit, "FoodTreatment", by="SexParent")
    assert both.index.tolist()[1] == ("Female", "Satiated")
    assert np.allclose(both["estimate"], [2.05758367, 1.39017211, 2.04523320, 1.51100941], atol=2e-5)
    pairs = marginal_means(fit, "FoodTreatment", by="SexParent", contrasts="pairwise")
    assert np.allclose(pairs["estimate"], [0.667411569, 0.534223781], atol=2e-5)
    assert np.allclose(pairs["se"], [0.0561098263, 0.0452459630], rtol=1e-4)


def test_least_squares_means_of_the_clinics(reference_data):
    # printed in the source: 7.625 and 32.0 with standard error 9.1348
    fit = glmm("count ~ treatment + (1|clinic)", reference_data("clinic_counts", "treatment"), reml=True)
    means = marginal_means(fit, "treatment")
    assert np.allclose(means["estimate"], [7.625, 32.0], atol=1e-6)
    assert np.allclose(means["se"], 9.1348, atol=1e-4)


def test_drug_raises_the_odds_of_a_favourable_outcome(reference_data):
    fit = glmm(
        "cbind(fav, n - fav) ~ trt + (1|clinic) + (1|clinic:trt)", reference_data("beitler_clinics"), family="binomial"
    )
    odds = marginal_means(fit, "trt", kind="response", contrasts={"drug / cntl": [-1, 1]}).iloc[0]
    # glmmTMB: 0.742278528741 (0.321546155585), here as an odds ratio with its interval
    assert odds["estimate"] == pytest.approx(np.exp(0.742278528741), rel=2e-3)
    assert odds["lower"] == pytest.approx(np.exp(0.742278528741 - 1.959964 * 0.321546155585), rel=1e-2)
    assert odds["upper"] == pytest.approx(np.exp(0.742278528741 + 1.959964 * 0.321546155585), rel=1e-2)


# ---- the grid ----------------------------------------------------------------------------------------
def test_means_are_averages_of_predictions(data):
    fit = glmm("y ~ t * s + x + (1|g)", data, family="poisson")
    means = marginal_means(fit, "t")
    assert means.index.tolist() == ["b", "a", "c"]
    for level in "abc":
        rows = pd.DataFrame({"t": level, "s": ["m", "f"], "x": data["x"].mean()})
        expected = fit.predict(rows, kind="link", random_effects="none").mean()
        assert means.loc[level, "estimate"] == pytest.approx(expected, rel=1e-12)


def test_numbers_rest_at_their_mean_or_where_they_are_told(data):
    fit = glmm("y ~ t + x", data, family="poisson")
    at = marginal_means(fit, "x", at={"x": [0, 1], "t": "a"})
    assert at.index.tolist() == [0.0, 1.0]
    assert np.diff(at["estimate"])[0] == pytest.approx(fit.params["x"])
    assert at["estimate"].iloc[0] == pytest.approx(fit.params["Intercept"] + fit.params["t[T.a]"])
    with pytest.raises(ModelError, match="column 'x' has 90 distinct numbers"):
        marginal_means(fit, "x")


def test_custom_contrasts_are_linear_combinations(data):
    fit = glmm("y ~ t", data, family="poisson")
    found = marginal_means(fit, "t", contrasts={"c - rest": [-0.5, -0.5, 1.0]}).iloc[0]
    weights = np.array([0.0, -0.5, 1.0])
    assert found["estimate"] == pytest.approx(weights @ fit.params)
    assert found["se"] == pytest.approx(np.sqrt(weights @ fit.cov_params().to_numpy() @ weights))
    assert found["pvalue"] == pytest.approx(2.0 * stats.norm.sf(abs(found["statistic"])))


def test_contrasts_without_a_ratio_stay_on_the_link(data):
    fit = glmm("y ~ t", data.assign(y=(data["y"] > 1).astype(int)), family="binomial", link="probit")
    a = marginal_means(fit, "t", kind="response", contrasts="pairwise")
    assert a.equals(marginal_means(fit, "t", contrasts="pairwise"))


def test_an_unbounded_coefficient_spoils_only_its_own_mean():
    d = pd.DataFrame({"y": [0] * 6 + [1, 0, 1, 0, 1, 1] * 2, "t": ["none"] * 6 + ["a"] * 6 + ["b"] * 6})
    means = marginal_means(glmm("y ~ t", d, family="binomial"), "t")
    assert np.isinf(means.loc["none", "se"])
    assert means.loc["a", "se"] == pytest.approx(np.sqrt(1.0 / 4.0 + 1.0 / 2.0), rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variables": "z"}, "'z' is no column"),
        ({"kind": "mean"}, "kind must be"),
        ({"contrasts": "treatment"}, "contrasts must be"),
        ({"contrasts": {"odd": [1, -1]}}, "2 weights for 3 means"),
        ({"contrasts": {"odd": [1, -1, 0]}, "adjust": "tukey"}, "is for contrasts='pairwise'"),
        ({"contrasts": "pairwise", "adjust": "fdr"}, "adjust must be"),
        ({"df": "kenward"}, "df must be"),
        ({"df": "satterthwaite"}, "family='gaussian'"),
        ({"at": {"t": "d"}}, "'t'"),
        ({"level": 95}, "level must lie"),
    ],
)
def test_wrong_options(data, options, message):
    fit = glmm("y ~ t + x", data, family="poisson")
    with pytest.raises(ModelError, match=message):
        marginal_means(fit, **({"variables": "t"} | options))


# ---- inverse prediction ------------------------------------------------------------------------------
def test_fieller_interval_is_where_the_test_does_not_reject(data):
    fit = glmm("y ~ x + t + (1|g)", data, family="poisson")
    found = inverse_prediction(fit, "x", 3.0, at={"t": "b"})

    def statistic(x: float) -> float:
        row = fit.predict({"x": [x], "t": ["b"]}, kind="link", random_effects="none", se=True).iloc[0]
        return (row["estimate"] - np.log(3.0)) / row["se"]

    quantile = stats.norm.ppf(0.975)
    assert statistic(found.estimate) == pytest.approx(0.0, abs=1e-8)
    assert abs(statistic(found.lower)) == pytest.approx(quantile, rel=1e-6)
    assert abs(statistic(found.upper)) == pytest.approx(quantile, rel=1e-6)
    assert found.lower < found.estimate < found.upper


def test_treatment_that_assures_a_count(reference_data):
    fit = glmm("y ~ x + (x|lot)", reference_data("lots_simulated", "lot"), family="poisson")
    found = inverse_prediction(fit, "x", target=5.0)
    # glmmTMB: 2.065903902033, -0.08597939291082
    assert found.estimate == pytest.approx((2.065903902033 - np.log(5.0)) / 0.08597939291082, rel=1e-3)
    delta = inverse_prediction(fit, "x", target=5.0, method="delta")
    assert delta.upper - delta.estimate == pytest.approx(1.959964 * found.se, rel=1e-6)
    # Fieller's limits are skewed away from where the data are
    assert found.upper - found.estimate > found.estimate - found.lower


def test_curves_are_searched(data):
    fit = glmm("y ~ x + I(x**2)", data, family="poisson")
    b = fit.params
    roots = np.roots([b.iloc[2], b.iloc[1], b["Intercept"] - np.log(3.0)]).real
    inside = roots[(roots > 0.0) & (roots < 5.0)]
    assert len(inside) == 1
    found = inverse_prediction(fit, "x", 3.0, limits=(0.0, 5.0))
    assert found.estimate == pytest.approx(inside[0], rel=1e-8)

    def excess(x: float) -> float:
        row = fit.predict({"x": [x]}, kind="link", se=True).iloc[0]
        return abs(row["estimate"] - np.log(3.0)) - 1.959964 * row["se"]

    assert optimize.brentq(excess, 0.0, found.estimate) == pytest.approx(found.lower, abs=1e-5)
    assert found.variable == "x"
    with pytest.raises(ModelError, match="give limits="):
        inverse_prediction(fit, "x", 1000.0, limits=(0.0, 5.0))


def test_a_flat_slope_has_an_unbounded_interval():
    rng = np.random.default_rng(3)
    d = pd.DataFrame({"x": np.linspace(0.0, 1.0, 40), "y": rng.normal(size=40)})
    found = inverse_prediction(glmm("y ~ x", d), "x", 5.0)
    assert np.isinf(found.lower) and np.isinf(found.upper)
    assert "not bounded" in found.note


def test_fiellers_limits_of_a_straight_line_are_those_of_t():
    """Fieller (1954): all x at which (a + b x - 5)^2 <= t^2 var(a + b x), by least squares and its n - 2 df."""
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"x": np.arange(12.0)})
    d["y"] = 4.0 + 0.9 * d["x"] + rng.normal(0.0, 2.0, 12)
    x = np.column_stack([np.ones(12), d["x"]])
    beta, rss = np.linalg.lstsq(x, d["y"], rcond=None)[:2]
    cov, t = np.linalg.inv(x.T @ x) * rss[0] / 10, stats.t.ppf(0.975, 10)
    away = beta - [5.0, 0.0]
    parabola = np.outer(away, away) - t**2 * cov
    expected = np.sort(np.roots([parabola[1, 1], 2 * parabola[0, 1], parabola[0, 0]]))
    found = inverse_prediction(glmm("y ~ x", d, reml=True), "x", 5.0)
    assert np.allclose([found.lower, found.upper], expected, rtol=1e-4)
    delta = inverse_prediction(glmm("y ~ x", d, reml=True), "x", 5.0, method="delta", df="kenward-roger")
    assert delta.upper - delta.estimate == pytest.approx(t * delta.se, rel=1e-4)
    normal = inverse_prediction(glmm("y ~ x", d, reml=True), "x", 5.0, method="delta", df="normal")
    assert normal.upper - normal.estimate == pytest.approx(1.959964 * normal.se, rel=1e-5)


def test_wrong_inverse_predictions(data):
    fit = glmm("y ~ x + t", data, family="poisson")
    with pytest.raises(ModelError, match="no numeric column"):
        inverse_prediction(fit, "t", 3.0)
    with pytest.raises(ModelError, match="outside the range"):
        inverse_prediction(fit, "x", -1.0)
    with pytest.raises(ModelError, match="method must be"):
        inverse_prediction(fit, "x", 3.0, method="bayes")


def test_a_column_of_weights_is_told_where_those_of_a_population_go(data):
    fit = glmm("y ~ x + t + s", data, family="poisson")
    for weights in ("x", data["x"], [0.2, 0.3, 0.5]):
        with pytest.raises(ModelError, match=r"'equal' or 'proportional', not .*; weights of .* avg_predictions\("):
            marginal_means(fit, "t", weights=weights)
