"""Population-averaged means, differences and ratios against brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

from glmmcore import DataWarning, ModelError, avg_comparisons, avg_predictions, glmm, marginal_means, slopes


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    g = np.repeat(np.arange(25), 12)
    d = pd.DataFrame({"g": g, "age": rng.normal(50, 10, 300), "t": np.tile(["new", "old"], 150)})
    d["sex"] = np.where(rng.random(300) < 0.4, "f", "m")
    eta = -0.5 + 0.8 * (d["t"] == "old") + 0.04 * (d["age"] - 50) + rng.normal(0, 1.0, 25)[g]
    d["y"] = (rng.random(300) < special.expit(eta)).astype(int)
    d["n"] = rng.poisson(np.exp(0.3 + 0.3 * (d["t"] == "old") + rng.normal(0, 0.5, 25)[g])) * (rng.random(300) > 0.2)
    return d


@pytest.fixture(scope="module")
def risks(patients):
    return glmm("y ~ t * sex + age + (1|g)", patients, family="binomial")


def brute_force(beta: np.ndarray, sd: float, designs: list[np.ndarray]) -> np.ndarray:
    """Means over rows and over a normal random effect, by adaptive integration of the average."""
    limits = (-8.0 * sd, 8.0 * sd)
    return np.array(
        [
            integrate.quad(
                lambda b, x=x: float(special.expit(x @ beta + b).mean()) * stats.norm.pdf(b, 0, sd),
                *limits, epsabs=1e-12, limit=200,
            )[0]
            for x in designs
        ]
    )  # fmt: skip


def designs(fit, data) -> list[np.ndarray]:
    return [fit.design.encode(data.assign(t=t), groups=False)[0]["cond"].X for t in ("new", "old")]


def test_risks_and_their_comparisons_against_integration_and_differences(patients, risks):
    """Every number from integrals, their derivatives by differences and the covariance of all parameters."""
    x = designs(risks, patients)
    parameters = np.append(risks.params, risks.var_corr["sd"].iloc[0])
    covariance = risks.cov_params(parameters="all").to_numpy()
    means = brute_force(parameters[:-1], parameters[-1], x)
    slopes = np.empty((2, len(parameters)))
    for j, step in enumerate(1e-4 * np.maximum(np.abs(parameters), 0.1)):
        ends = []
        for sign in (1, -1):
            moved = parameters.copy()
            moved[j] += sign * step
            ends.append(brute_force(moved[:-1], moved[-1], x))
        slopes[:, j] = (ends[0] - ends[1]) / (2 * step)
    found = avg_predictions(risks, "t")
    assert np.allclose(found["estimate"], means, atol=1e-8)
    assert np.allclose(found["se"], np.sqrt(np.diag(slopes @ covariance @ slopes.T)), rtol=1e-4)
    for comparison, value, weights in (
        ("difference", means[1] - means[0], np.array([-1, 1])),
        ("ratio", np.log(means[1] / means[0]), np.array([-1, 1]) / means),
        ("odds_ratio", special.logit(means[1]) - special.logit(means[0]), np.array([-1, 1]) / (means * (1 - means))),
    ):
        row = avg_comparisons(risks, "t", comparison=comparison).iloc[0]
        error = np.sqrt(weights @ slopes @ covariance @ slopes.T @ weights)
        limits = value + stats.norm.ppf([0.025, 0.975]) * error
        scale = (lambda v: v) if comparison == "difference" else np.exp
        assert np.allclose([row["lower"], row["upper"]], scale(limits), rtol=1e-4), comparison
        assert row["pvalue"] == pytest.approx(2 * stats.norm.sf(abs(value) / error), rel=1e-3)


def test_interval_covers_what_refits_find(risks):
    """The standard error of a difference beside the spread of refits to simulated responses."""
    rng = np.random.default_rng(2)
    simulated = risks.simulate(120, rng=rng, random_effects="unconditional")
    found = [avg_comparisons(risks.refit(y), "t")["estimate"].iloc[0] for y in simulated]
    # spread of 120 values: 6.5 %
    assert np.std(found) == pytest.approx(avg_comparisons(risks, "t")["se"].iloc[0], rel=0.2)


def test_a_given_population_and_its_weights(patients, risks):
    few = pd.DataFrame({"sex": ["f", "m"], "age": [40.0, 60.0], "w": [3.0, 1.0]})
    rows = pd.concat([few.iloc[[0]]] * 3 + [few.iloc[[1]]])
    assert np.allclose(avg_comparisons(risks, "t", newdata=few, weights="w"), avg_comparisons(risks, "t", newdata=rows))
    by_sex = avg_comparisons(risks, "t", by="sex")
    assert list(by_sex.index.names) == ["sex", "contrast"]
    women = avg_comparisons(risks, "t", newdata=patients[patients["sex"] == "f"])
    assert np.allclose(by_sex.loc["f"], women)


def test_grids_of_categories_agree_with_marginal_means(patients):
    fit = glmm("y ~ t + sex + (1|g)", patients, family="binomial")
    asked = {"kind": "response", "random_effects": "average", "weights": "proportional"}
    assert np.allclose(avg_predictions(fit, "t"), marginal_means(fit, "t", **asked), rtol=1e-8)
    pair = marginal_means(fit, "t", contrasts={"old - new": [-1, 1]}, scale="ratio", **asked)
    assert np.allclose(avg_comparisons(fit, "t", comparison="ratio"), pair, rtol=1e-6)


def test_zero_inflated_counts_and_numbers(patients):
    fit = glmm("n ~ t + age + (1|g)", patients, "poisson", zi="~ t")
    found = avg_predictions(fit, "t")
    expected = [fit.predict(patients.assign(t=t), random_effects="average").mean() for t in ("new", "old")]
    assert np.allclose(found["estimate"], expected)
    zero = avg_predictions(fit, "t", component="zi")["estimate"]
    assert np.allclose(zero, special.expit(np.cumsum(fit.zi_params)))
    ten = avg_comparisons(fit, "age", values=[50, 60], comparison="ratio")
    # a log link: the ratio of means is that of every row
    assert ten["estimate"].iloc[0] == pytest.approx(np.exp(10 * fit.params["age"]))
    assert ten["se"].iloc[0] == pytest.approx(10 * fit.bse["age"] * ten["estimate"].iloc[0], rel=1e-4)
    robust = fit.cov_params("sandwich", cluster="g", parameters="all")
    assert avg_comparisons(fit, "t", cov=robust)["se"].iloc[0] > 0


def test_gaussian_differences_are_the_coefficients(patients):
    fit = glmm("age ~ t + sex + (1|g)", patients, reml=True)
    row = avg_comparisons(fit, "t").iloc[0]
    assert row["estimate"] == pytest.approx(fit.params["t[T.old]"])
    assert row["pvalue"] == pytest.approx(fit.pvalues["t[T.old]"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variable": "g"}, "no column of the fixed effects"),
        ({"variable": "age"}, "say at which"),
        ({"variable": "t", "comparison": "relative"}, "comparison must be"),
        ({"variable": "t", "component": "zi"}, "needs a model with zi="),
        ({"variable": "t", "random_effects": "conditional"}, "random_effects must be"),
        ({"variable": "t", "weights": "nothing"}, "no column 'nothing'"),
        ({"variable": "t", "by": "nothing"}, "no such column"),
        ({"variable": "t", "newdata": {"sex": ["f", None], "age": [1.0, 2.0]}}, "missing values"),
    ],
)
def test_bad_input(risks, options, message):
    with pytest.raises(ModelError, match=message):
        avg_comparisons(risks, **options)


def test_a_mean_of_zero_has_no_ratio(patients):
    fit = glmm("age ~ t", patients.assign(age=patients["age"] - 60))
    with pytest.raises(ModelError, match="no ratio"):
        avg_comparisons(fit, "t", comparison="ratio")


@pytest.mark.parametrize("kind", ["whole numbers", "numbers", "true or false"])
def test_comparisons_within_columns_that_are_no_text(kind):
    """Keys of numpy are neither equal nor unequal to an empty tuple: these ended in an error of numpy."""
    rng = np.random.default_rng(4)
    k = np.tile([1, 2], 60)
    column = {"whole numbers": k, "numbers": k / 2, "true or false": k == 2}[kind]
    data = pd.DataFrame(
        {"y": rng.poisson(3, 120), "f": np.resize(list("uvw"), 120), "k": column, "text": k.astype(str)}
    )
    numbers = avg_comparisons(glmm("y ~ f * C(k)", data, "poisson"), "f", by="k")
    texts = avg_comparisons(glmm("y ~ f * text", data, "poisson"), "f", by="text")
    np.testing.assert_allclose(numbers[["estimate", "se"]], texts[["estimate", "se"]], rtol=1e-6)
    assert list(numbers.index.get_level_values("k")) == sorted(np.repeat(np.unique(column), 2).tolist())


def test_note_on_a_transformed_response_names_what_maps_back():
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"f": np.tile(["a", "b"], 20), "y": rng.gamma(2, 1, 40)})
    (note,) = avg_predictions(glmm("log(y) ~ f", d), "f").attrs["notes"]
    assert "log(y)" in note
    assert "marginal_means(..., kind='response') maps back to y" in note


def test_rows_without_a_group_are_told_of():
    d = pd.DataFrame({"f": list("abab"), "y": [1.0, 2.0, 4.0, 3.0], "s": ["u", "u", None, "v"]})
    fit = glmm("y ~ f", d)
    with pytest.warns(DataWarning, match=r"1 rows .* without a value of by="):
        table = avg_predictions(fit, "f", newdata=d, by="s")
    assert list(table.index.get_level_values("s").unique()) == ["u", "v"]


def test_rows_of_unequal_trials_are_told_of():
    """The rows of k of n count alike unless weights say otherwise: weighed by trials they are people one by one."""
    d = pd.DataFrame({"k": [3, 9, 2, 30, 4, 11], "n": [10, 20, 5, 90, 8, 30], "t": list("ababab"), "s": list("uuuvvv")})
    fit = glmm("cbind(k, n - k) ~ t + s", d, family="binomial")
    events = [np.arange(row.n) < row.k for row in d.itertuples()]
    one = d.loc[d.index.repeat(d["n"])].assign(y=np.concatenate(events))
    single = glmm("y ~ t + s", one.reset_index(drop=True), family="binomial")
    plain, weighed = avg_comparisons(fit, "t"), avg_comparisons(fit, "t", weights="n")
    assert "Rows count alike" in "".join(plain.attrs["notes"])
    assert "Rows count alike" in "".join(avg_predictions(fit, "t").attrs["notes"])
    assert not weighed.attrs.get("notes") and not avg_comparisons(single, "t").attrs.get("notes")
    columns = ["estimate", "se", "lower", "upper"]
    np.testing.assert_allclose(weighed[columns], avg_comparisons(single, "t")[columns], rtol=1e-6)
    assert abs(plain["estimate"].iloc[0] - weighed["estimate"].iloc[0]) > 1e-4
    same = glmm("k ~ t + s", d, family="binomial", trials=np.full(6, 90))
    assert not avg_predictions(same, "t").attrs.get("notes")


def test_averages_within_a_column_that_the_model_does_not_use(patients):
    """Rows of each ward by their own, as if the ward's rows were the population; a row without values is in none."""
    data = patients.assign(ward=np.resize(["north", "south", "south"], 300), season=np.resize([1, 2, 3, 4], 300))
    data.loc[7, "age"] = np.nan
    fit = glmm("y ~ t * sex + age + (1|g)", data, family="binomial")
    complete = data.dropna()
    for call, by in ((avg_predictions, "ward"), (avg_comparisons, "ward"), (avg_comparisons, ["season", "sex"])):
        found = call(fit, "t", by=by)
        pd.testing.assert_frame_equal(found, call(fit, "t", by=by, newdata=complete), check_like=True)
        key = found.index[0][:-1]
        first = complete[(complete[by] == list(key)).all(axis=1) if isinstance(by, list) else complete[by] == key[0]]
        assert np.allclose(found.loc[key], call(fit, "t", newdata=first))
    with pytest.raises(ModelError, match="no such column"):
        avg_predictions(fit, "t", by="nothing")


def test_exposures_are_told_of_where_they_matter():
    """Averages of counts are of numbers over everybody's own time; with one unit for all they are rates."""
    rng = np.random.default_rng(3)
    d = pd.DataFrame({"t": np.resize(["a", "b"], 200), "years": rng.uniform(0.2, 6.0, 200), "s": rng.normal(size=200)})
    d["y"] = rng.poisson(d["years"] * np.exp(-1 + 0.4 * (d["t"] == "b")))
    d.loc[3, "s"] = np.nan
    fit = glmm("y ~ t + s", d, family="poisson", offset="log(years)")
    (note,) = avg_comparisons(fit, "t").attrs["notes"]
    assert note == "Every row counts with its own years; newdata=fit.data.assign(years=1) averages rates."
    rates = avg_comparisons(fit, "t", newdata=fit.data.assign(years=1))
    rate = np.exp(fit.params["Intercept"] + fit.params["s"] * fit.data["s"]).mean()
    assert rates["estimate"].iloc[0] == pytest.approx(rate * np.expm1(fit.params["t[T.b]"]))
    assert not rates.attrs.get("notes")
    assert not avg_comparisons(fit, "t", comparison="ratio").attrs.get("notes")
    odd = glmm("y ~ t + offset(log(`person years`))", d.rename(columns={"years": "person years"}), family="poisson")
    assert "newdata=fit.data.assign(**{'person years': 1})" in avg_predictions(odd, "t").attrs["notes"][0]
    logs = glmm("y ~ t + s", d.assign(logs=np.log(d["years"])), family="poisson", offset="logs")
    assert "newdata=fit.data.assign(logs=0) averages rates" in avg_predictions(logs, "t").attrs["notes"][0]
    same = avg_predictions(logs, "t", newdata=logs.data.assign(logs=0))["estimate"]
    assert np.allclose(same, avg_predictions(fit, "t", newdata=fit.data.assign(years=1))["estimate"])


def test_means_say_at_which_exposure_they_are():
    rng = np.random.default_rng(3)
    d = pd.DataFrame({"t": np.resize(["a", "b"], 200), "years": rng.uniform(0.2, 6.0, 200)})
    d["y"] = rng.poisson(d["years"] * np.exp(-1 + 0.4 * (d["t"] == "b")))
    fit = glmm("y ~ t + offset(log(years))", d, family="poisson")
    means = marginal_means(fit, "t", kind="response")
    assert means["estimate"].iloc[0] == pytest.approx(np.exp(fit.params["Intercept"]) * d["years"].mean())
    said = f"The offset is that of years at its mean, {d['years'].mean():.4g}; at={{'years': 1}} gives means per unit."
    assert means.attrs["notes"] == [said]
    difference = {"kind": "response", "contrasts": "pairwise", "scale": "difference"}
    assert marginal_means(fit, "t", **difference).attrs["notes"] == [said]
    for options in (
        {"kind": "response", "at": {"years": 1}},
        {"kind": "response", "contrasts": "pairwise"},  # a ratio, from which exposures cancel
        {"contrasts": "pairwise"},
    ):
        assert not any("offset" in note for note in marginal_means(fit, "t", **options).attrs.get("notes", []))
    logs = glmm("y ~ t + offset(z) + offset(2 * z)", d.assign(z=np.log(d["years"])), family="poisson")
    assert "at={'z': ...} chooses another value." in marginal_means(logs, "t", kind="response").attrs["notes"][0]
    trend = glmm("y ~ t + x + offset(log(years))", d.assign(x=rng.normal(size=200)), family="poisson")
    assert any("offset" in note for note in slopes(trend, "x", kind="response").attrs["notes"])
    assert not any("offset" in note for note in slopes(trend, "x").attrs["notes"])


def test_exposures_of_fits_to_some_rows_and_of_levels_that_covary():
    """Their encoders are others; means along an offset ended in an error of Python."""
    rng = np.random.default_rng(3)
    d = pd.DataFrame(
        {"t": np.resize(["a", "b"], 90), "years": rng.uniform(0.2, 6.0, 90), "g": np.resize(list("uvw"), 90)}
    )
    d["y"] = rng.poisson(d["years"])
    fit = glmm("y ~ t + (1|g) + offset(log(years))", d, family="poisson")
    some = fit.refit(rows=np.arange(60))
    kin = glmm(fit.formula, d, family="poisson", known={"g": pd.DataFrame(np.eye(3) + 0.5, list("uvw"), list("uvw"))})
    for other in (fit, some, kin, kin.refit(rows=np.arange(60))):
        assert any(
            "gives means per unit" in note for note in marginal_means(other, "t", kind="response").attrs["notes"]
        )
        assert any("averages rates" in note for note in avg_predictions(other, "t").attrs["notes"])
