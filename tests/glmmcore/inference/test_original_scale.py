"""Models of log(y) and the like on the scale of y, and notes below tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from glmmcore import ModelError, avg_comparisons, glmm, marginal_means, slopes


@pytest.fixture(scope="module")
def trial() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    d = pd.DataFrame(
        {"g": np.repeat(np.arange(18), 7), "f": np.tile(list("abcabca"), 18), "h": np.tile(list("uv"), 63)}
    )
    d["x"] = rng.uniform(0.0, 2.0, len(d))
    eta = 1.0 + 0.4 * (d["f"] == "b") + 0.3 * d["x"] + 0.9 * rng.standard_normal(18)[d["g"]]
    eta += 0.6 * rng.standard_normal(18)[d["g"]] * d["x"]
    d["z"] = eta + 0.5 * rng.standard_normal(len(d))
    d["y"] = np.exp(d["z"])
    return d


# ---- the way back ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("response", "forth", "back"),
    [
        ("log(y)", np.log, np.exp),
        ("np.log10(2*y)", lambda y: np.log10(2.0 * y), lambda z: 10.0**z / 2.0),
        ("log1p(y)", np.log1p, np.expm1),
        ("I(log(y + 1))", lambda y: np.log(y + 1.0), lambda z: np.exp(z) - 1.0),
        ("sqrt(y)", np.sqrt, np.square),
        ("np.cbrt(3 - y)", lambda y: np.cbrt(3.0 - y), lambda z: 3.0 - z**3),
        ("1 / y", lambda y: 1.0 / y, lambda z: 1.0 / z),
        ("I(y**0.5)", np.sqrt, np.square),
        ("y**-0.5", lambda y: y**-0.5, lambda z: z**-2.0),
    ],
)
def test_means_are_mapped_back(trial, response, forth, back):
    fit = glmm(f"{response} ~ f", trial, reml=True)
    plain = marginal_means(glmm("w ~ f", trial.assign(w=forth(trial["y"])), reml=True), "f")
    found = marginal_means(fit, "f", kind="response")
    np.testing.assert_allclose(found["estimate"], back(plain["estimate"]), rtol=1e-10)
    step = 1e-6
    slope = (back(plain["estimate"] + step) - back(plain["estimate"] - step)) / (2.0 * step)
    np.testing.assert_allclose(found["se"], plain["se"] * np.abs(slope), rtol=1e-6)
    ends = np.sort(back(plain[["lower", "upper"]].to_numpy()), axis=1)
    np.testing.assert_allclose(found[["lower", "upper"]], ends, rtol=1e-9)
    np.testing.assert_allclose(found["df"], plain["df"])


def test_limits_end_where_the_function_ends(trial):
    weak = trial.assign(w=trial["y"] * (trial["f"] != "c")).iloc[:9]
    found = marginal_means(glmm("sqrt(w) ~ f", weak, reml=True), "f", kind="response")
    assert found.loc["c", "lower"] == 0.0
    assert (found["upper"] > found["lower"]).all()


def test_an_even_power_of_numbers_of_both_signs_has_no_way_back(trial):
    fit = glmm("I(z**2) ~ f", trial.assign(z=trial["z"] - trial["z"].mean()))
    found = marginal_means(fit, "f", kind="response")
    np.testing.assert_allclose(found["estimate"], marginal_means(fit, "f")["estimate"])
    assert "I(z**2)" in found.attrs["notes"][0]
    squared = trial.assign(w=np.sqrt(trial["z"] + 5.0))
    found = marginal_means(glmm("I(w**2) ~ f", squared), "f", kind="response")
    np.testing.assert_allclose(found["estimate"] ** 2, marginal_means(glmm("I(w**2) ~ f", squared), "f")["estimate"])


def test_contrasts_of_logarithms_are_ratios(trial):
    # as emmeans' type = "response": the ratio of geometric means, limits from the scale of the logarithm
    for response, base in (("log(y)", np.e), ("log2(y)", 2.0)):
        fit = glmm(f"{response} ~ f + (1|g)", trial, reml=True)
        link = marginal_means(fit, "f", contrasts="pairwise")
        ratio = marginal_means(fit, "f", kind="response", contrasts="pairwise")
        assert ratio.index[0] == "a / b"
        np.testing.assert_allclose(ratio["estimate"], base ** link["estimate"], rtol=1e-10)
        np.testing.assert_allclose(ratio["lower"], base ** link["lower"], rtol=1e-10)
        np.testing.assert_allclose(ratio["pvalue"], link["pvalue"], rtol=1e-8)
    means = marginal_means(fit, "f", kind="response")["estimate"]
    difference = marginal_means(fit, "f", kind="response", contrasts="dunnett", scale="difference")
    np.testing.assert_allclose(difference["estimate"], means[["b", "c"]] - means["a"], rtol=1e-9)


@pytest.mark.parametrize(("response", "base"), [("log(y)", np.e), ("np.log10(y)", 10.0)])
def test_coefficients_of_logarithms_are_those_of_ratios(trial, response, base):
    fit = glmm(f"{response} ~ f + x + (1|g)", trial, reml=True)
    table = fit.exp_table()  # without the intercept
    np.testing.assert_allclose(table["ratio"], base ** fit.params.iloc[1:], rtol=1e-12)
    np.testing.assert_allclose(table[["lower", "upper"]], base ** fit.conf_int().to_numpy()[1:], rtol=1e-10)
    np.testing.assert_allclose(table["pvalue"], fit.pvalues.iloc[1:], rtol=1e-10)
    with pytest.raises(ModelError, match="no logarithms"):
        glmm("log(y + 1) ~ f", trial).exp_table()


# ---- means of y ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("random", ["", " + (1|g)", " + (x|g)"])
def test_means_of_a_lognormal_response(trial, reml, random):
    # E y = exp(eta + v / 2); its variance by the delta method from the covariance of all parameters
    fit = glmm(f"log(y) ~ f + x{random}", trial, reml=reml)
    at = 0.7
    found = marginal_means(fit, "f", kind="response", random_effects="average", at={"x": at}, df="normal")
    rows = np.column_stack([np.ones(3), [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], np.full(3, at)])
    covariance = fit.cov_params(parameters="all")

    def mean(p: np.ndarray) -> np.ndarray:
        value = pd.Series(p, index=covariance.index)
        variance = np.exp(2.0 * value["disp"].iloc[0])
        if "random" in value.index.get_level_values(0):
            own = value["random"].to_numpy()
            variance += own[0] ** 2
            if len(own) > 1:
                first, second = (number for name, number in value["random"].items() if "corr" not in name)
                corr = next(number for name, number in value["random"].items() if "corr" in name)
                variance += (at * second) ** 2 + 2.0 * at * corr * first * second
        return np.exp(rows @ value["cond"].to_numpy() + 0.5 * variance)

    random_values = (
        [value for value, _ in (fit.variance_errors[label] for label in covariance.loc["random"].index)]
        if ("random" in covariance.index.get_level_values(0))
        else []
    )
    at_estimates = np.array([*fit.params, *fit.disp_params, *random_values])
    np.testing.assert_allclose(found["estimate"], mean(at_estimates), rtol=1e-8)
    step = 1e-5
    gradient = np.array(
        [(mean(at_estimates + e) - mean(at_estimates - e)) / (2 * step) for e in step * np.eye(len(at_estimates))]
    )
    variance = np.einsum("ij,ik,kj->j", gradient, covariance.to_numpy(), gradient)
    # beside random effects ours adds how the coefficients move with the variance parameters in these data
    np.testing.assert_allclose(found["se"], np.sqrt(variance), rtol=1.5e-2 if random else 1e-4)


def test_means_of_other_functions_are_integrals(trial):
    fit = glmm("np.sqrt(y) ~ f + (1|g)", trial, reml=True)
    eta = marginal_means(fit, "f")["estimate"]
    sd = np.sqrt(fit.var_corr["sd"].iloc[0] ** 2 + fit.sigma**2)
    expected = [
        integrate.quad(lambda z, at=at: z**2 * stats.norm.pdf(z, at, sd), at - 10 * sd, at + 10 * sd)[0] for at in eta
    ]
    found = marginal_means(fit, "f", kind="response", random_effects="average")
    np.testing.assert_allclose(found["estimate"], expected, rtol=1e-8)


def test_means_that_do_not_exist_are_refused(trial):
    with pytest.raises(ModelError, match="no mean"):
        marginal_means(glmm("1/y ~ f", trial), "f", kind="response", random_effects="average")
    with pytest.raises(ModelError, match="gaussian"):
        marginal_means(glmm("log(y) ~ f", trial, family="t"), "f", kind="response", random_effects="average")


def test_coverage_of_means_of_a_lognormal_response():
    # 400 data sets, true mean exp(.4 + (.36 + .25) / 2): 95 % +- 2.2 %
    rng = np.random.default_rng(11)
    groups, true, hits = np.repeat(np.arange(40), 5), np.exp(0.4 + 0.305), 0
    d = pd.DataFrame({"g": groups, "f": np.tile(list("abcde"), 40)})
    fit = glmm("log(y) ~ 1 + (1|g)", d.assign(y=np.exp(rng.standard_normal(200))), reml=True)
    for _ in range(400):
        z = 0.4 + 0.6 * rng.standard_normal(40)[groups] + 0.5 * rng.standard_normal(200)
        found = marginal_means(fit.refit(z), [], kind="response", random_effects="average")
        hits += found["lower"].iloc[0] <= true <= found["upper"].iloc[0]
    assert 0.92 <= hits / 400 <= 0.98


def test_degrees_of_freedom_of_means_of_a_lognormal_response(trial):
    """2 V^2 / var(V) with V the variance of the whole mean and var(V) that of its fixed part, by the tables alone."""
    fit = glmm("log(y) ~ f + (1|g)", trial, reml=True)
    for df in ("auto", "satterthwaite", "kenward-roger"):
        link = marginal_means(fit, "f", df=df)
        mean = marginal_means(fit, "f", kind="response", random_effects="average", df=df)
        ratio = mean["se"] / (mean["estimate"] * link["se"])
        assert (ratio > 1.0).all()
        np.testing.assert_allclose(mean["df"], link["df"] * ratio**4, rtol=1e-6)
        half = stats.t.ppf(0.975, mean["df"]) * mean["se"] / mean["estimate"]
        np.testing.assert_allclose(np.log(mean["upper"] / mean["estimate"]), half, rtol=1e-6)
    normal = marginal_means(fit, "f", kind="response", random_effects="average", df="normal")
    assert np.isinf(normal["df"]).all()


# ---- notes -----------------------------------------------------------------------------------------------
def test_averages_over_interactions_are_noted(trial):
    fit = glmm("z ~ f * h + x", trial)
    assert any("f:h" in note for note in marginal_means(fit, "f").attrs["notes"])
    assert any("f:h" in note for note in marginal_means(fit, "f", contrasts="pairwise").attrs["notes"])
    assert "by='h' shows it" in repr(marginal_means(fit, "f"))
    for variables in (["f", "h"], "x"):
        table = marginal_means(fit, variables, at={"x": [0, 1]})
        assert "notes" not in table.attrs
    assert "notes" not in marginal_means(fit, "f", at={"h": "u"}).attrs
    crossed = glmm("z ~ f + x * h", trial)
    assert "notes" not in marginal_means(crossed, "f").attrs
    assert any("x:h" in note for note in slopes(crossed, "x").attrs["notes"])
    assert "notes" not in slopes(crossed, "x", by="h").attrs
    zero = glmm("k ~ f + h", trial.assign(k=np.round(trial["y"]).astype(int)), family="poisson", zi="~ f * h")
    assert "f:h" in " ".join(marginal_means(zero, "f", kind="response").attrs["notes"])
    assert "f:h" not in " ".join(
        marginal_means(zero, "f", kind="response", component="conditional").attrs.get("notes", [])
    )


def test_scales_are_noted(trial):
    counts = glmm("k ~ f", trial.assign(k=np.round(trial["y"]).astype(int)), family="poisson")
    assert "log link" in marginal_means(counts, "f").attrs["notes"][0]
    assert "notes" not in marginal_means(counts, "f", kind="response").attrs
    assert "log(y)" in marginal_means(glmm("log(y) ~ f", trial), "f").attrs["notes"][0]
    assert "scale(y)" in marginal_means(glmm("scale(y) ~ f", trial), "f", kind="response").attrs["notes"][0]
    assert "log(y)" in avg_comparisons(glmm("log(y) ~ f", trial), "f").attrs["notes"][0]
    won = trial.assign(w=trial["y"] > 3.0)
    probit = marginal_means(
        glmm("w ~ f", won, family="binomial", link="probit"), "f", kind="response", contrasts="pairwise"
    )
    assert "probit" in probit.attrs["notes"][0]


@pytest.mark.parametrize("adjust", ["none", "mvt", "holm", "bonferroni", "sidak"])
def test_a_contrast_that_is_zero_in_every_model_has_no_test(trial, adjust):
    # the cubic trend of a parabola: rounding over rounding gave p = 4e-68
    fit = glmm("z ~ x + I(x**2)", trial, reml=True)
    at = {"x": [0.0, 0.5, 1.0, 2.0]}
    found = marginal_means(fit, "x", at=at, contrasts="polynomial", adjust=adjust)
    assert found.loc["cubic", ["estimate", "se"]].tolist() == [0.0, 0.0]
    assert found.loc["cubic", ["statistic", "pvalue"]].isna().all()
    assert found.loc[["linear", "quadratic"], "pvalue"].notna().all()
    assert "cubic" in found.attrs["notes"][-1]


def test_columns_of_an_interaction_are_read_as_the_formula_is():
    """A column that is named like the function in another term takes no part."""
    rng = np.random.default_rng(0)
    d = pd.DataFrame({name: rng.choice(["a", "b"], 60) for name in ("my col", "C", "f")}).assign(y=rng.normal(size=60))
    note = marginal_means(glmm("y ~ f*C(`my col`) + C", d), "f").attrs["notes"][0]
    assert note.startswith("Averaged over my col although the model has f:C(`my col`)")


def notes_of(table):
    return [note for note in table.attrs.get("notes", []) if "although" in note]


def test_notes_on_interactions_with_numbers():
    """As emmeans, whose note says that results may mislead where a covariate interacts; here the column is named."""
    rng = np.random.default_rng(1)
    n = 120
    d = pd.DataFrame({name: rng.choice(list("abc"), n) for name in "fh"} | {name: rng.normal(size=n) for name in "xzy"})
    d["k"] = rng.poisson(2.0, n) * (rng.random(n) > 0.3)
    crossed = glmm("y ~ f * x + h + z", d, reml=True)
    (note,) = notes_of(marginal_means(crossed, "f", contrasts="pairwise"))
    assert note.startswith("At the mean of x although the model has f:x")
    # functions of the number, interactions of three, and slopes that depend on another number
    (note,) = notes_of(marginal_means(glmm("y ~ f * poly(x, 2) + z", d), "f"))
    assert "f:poly(x, 2)" in note
    both = notes_of(marginal_means(glmm("y ~ f * h * x", d), "f"))
    assert [note.split(" although")[0] for note in both] == ["Averaged over h", "At the mean of x"]
    (note,) = notes_of(slopes(glmm("y ~ x * z + f", d), "x"))
    assert "the mean of z" in note
    (note,) = notes_of(marginal_means(glmm("k ~ f + x", d, "poisson", zi="~ f * x"), "f", kind="response"))
    assert "the mean of x" in note
    # none without an interaction, where the value was asked for, or where the other columns interact
    assert not notes_of(marginal_means(crossed, "h"))
    assert not notes_of(marginal_means(crossed, "f", at={"x": 1.0}))
    assert not notes_of(marginal_means(crossed, ["f", "x"], at={"x": [0.0, 1.0]}))
    assert not notes_of(marginal_means(glmm("y ~ f + x * z", d), "f"))
    assert not notes_of(marginal_means(glmm("y ~ f + x + poly(z, 2)", d), "f", contrasts="pairwise"))
    assert not notes_of(marginal_means(glmm("k ~ f + x", d, "poisson", zi="~ f * x"), "f", component="conditional"))
    assert not notes_of(slopes(crossed, "x", by="f"))
