"""Contrasts, joint adjustments, compact letters and slopes."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from glmmcore import DataWarning, ModelError, compact_letters, glmm, marginal_means, slopes
from glmmcore.inference.letters import letters_of
from glmmcore.inference.multiplicity import JointMaximum, StudentizedRange, _directions

# Differenced Hessians are good to 1e-4 of a standard error; p-values multiply that by the square of the statistic.
STANDARD_ERROR, P_VALUE = 2e-4, 2e-3


# ---- emmeans, all its words ----------------------------------------------------------------------------
@pytest.fixture
def case(reference_case):
    """What R says of a fit, and the fit."""

    def read(name: str):
        found, data = reference_case(name)
        options = {"zi": found["zi"]} if found["zi"] else {}
        return found, glmm(found["formula"], data, found["family"], reml=found["reml"], **options)

    return read


def same(table, expected, *, estimate="estimate", tolerance=STANDARD_ERROR):
    se = np.array(expected["SE"], dtype=float)
    assert np.max(np.abs(table["estimate"] - expected[estimate]) / se) < 10 * tolerance
    assert np.allclose(table["se"], se, rtol=3 * tolerance)
    if expected["df"][0] is not None:
        assert np.allclose(table["df"], expected["df"], rtol=2e-3)


def test_contrasts_of_a_linear_mixed_model_agree_with_emmeans(case):
    found, fit = case("means_lmm")
    options = {"df": "satterthwaite"}
    same(marginal_means(fit, ["env", "trt"], **options), found["means_trt_by_env_satterthwaite"], estimate="emmean")
    same(marginal_means(fit, "trt", **options), found["means_trt_equal"], estimate="emmean")
    proportional = marginal_means(fit, "trt", weights="proportional", **options)
    same(proportional, found["means_trt_proportional"], estimate="emmean")
    same(marginal_means(fit, "trt", at={"x": [4, 7]}, **options), found["means_trt_at_x"], estimate="emmean")
    for name, key in (("pairwise", "pairwise_trt"), ("dunnett", "vs_control"), ("polynomial", "poly")):
        same(marginal_means(fit, "trt", contrasts=name, **options), found[key])
    same(marginal_means(fit, "trt", contrasts="effect", **options), found["effects"])
    same(marginal_means(fit, "trt", contrasts="sequential", **options), found["consecutive"])
    helmert = marginal_means(fit, "trt", contrasts={"h1": [-1, 1, 0, 0], "h2": [-0.5, -0.5, 1, 0]}, **options)
    same(helmert, found["helmert"])
    same(marginal_means(fit, "trt", by="env", contrasts="pairwise", **options), found["pairwise_trt_by_env"])
    for how in ("tukey", "mvt", "holm", "sidak", "bonferroni", "none"):
        got = marginal_means(fit, "trt", contrasts="pairwise", adjust=how, **options)["pvalue"]
        values = found["pairwise_trt"]["adjusted_p"][how]  # mvt of R is Monte Carlo
        assert np.allclose(got, values, rtol=P_VALUE, atol=1.5e-3 if how == "mvt" else 1e-6), how
    assert np.allclose(
        marginal_means(fit, "trt", contrasts="dunnett", **options)["pvalue"],
        found["vs_control"]["adjusted_p"]["mvt"],
        atol=1.5e-3,
    )
    for how, key in (("tukey", "tukey_ci"), ("sidak", "sidak_ci")):
        got = marginal_means(fit, "trt", contrasts="pairwise", adjust=how, **options)
        assert np.allclose(got[["lower", "upper"]].T, [found[key]["lower.CL"], found[key]["upper.CL"]], atol=2e-3)


def test_slopes_agree_with_emtrends(case):
    found, fit = case("means_lmm_slopes")
    options = {"by": "trt", "df": "satterthwaite"}
    same(slopes(fit, "x", **options), found["slopes_satterthwaite"], estimate="x.trend")
    same(slopes(fit, "x", contrasts="pairwise", **options), found["slopes_pairwise"])


def test_ratios_and_differences_of_means_agree_with_emmeans(case):
    for name, column in (("means_pois_offset", "ratio"), ("means_binom", "odds.ratio")):
        found, fit = case(name)
        ratio = marginal_means(fit, "trt", kind="response", contrasts="pairwise")
        same(ratio, found["pairwise_ratio"], estimate=column, tolerance=5e-4)
        difference = marginal_means(fit, "trt", kind="response", contrasts="pairwise", scale="difference")
        same(difference, found["pairwise_response_difference"], tolerance=5e-4)


@pytest.mark.parametrize("name", ["zero_sal_hurdle", "zero_sal_zinb2", "zero_sal_zip_cov", "zero_sim_zinb2"])
def test_overall_means_agree_with_emmeans(case, name):
    found, fit = case(name)
    variable, z = found["emmeans"]["specs"], found["emmeans"]
    overall = marginal_means(fit, variable, kind="response")
    same(overall, z["response"]["means"], estimate="emmean", tolerance=2e-3)
    difference = marginal_means(fit, variable, kind="response", contrasts="pairwise", scale="difference")
    same(difference, z["response"]["pairwise"], tolerance=2e-3)
    for component, key in (("conditional", "cond"), ("zi", "zi")):
        means = marginal_means(fit, variable, kind="link", component=component)
        same(means, z[key]["link_scale"], estimate="emmean", tolerance=2e-3)
        pairs = marginal_means(fit, variable, component=component, contrasts="pairwise")
        same(pairs, z[key]["pairwise"], tolerance=2e-3)


# ---- overall means -------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    g = np.repeat(np.arange(40), 8)
    d = pd.DataFrame(
        {"g": g, "t": np.tile(list("abcd"), 80), "s": np.tile(list("mmnn"), 80), "x": rng.normal(size=320)}
    )
    d["s"] = np.where(rng.random(320) < 0.5, "m", "n")
    mean = np.exp(0.7 + 0.5 * (d["t"] == "b") + 0.2 * d["x"] + rng.normal(0, 0.5, 40)[g])
    d["y"] = rng.poisson(mean) * (rng.random(320) > np.where(d["s"] == "m", 0.3, 0.6))
    return d


def test_overall_means_are_averages_of_predictions(counts):
    fit = glmm("y ~ t * x + (1|g)", counts, "poisson", zi="~ s + t")
    for effects in ("none", "average"):
        means = marginal_means(fit, "t", kind="response", random_effects=effects)
        for level in "abcd":
            rows = pd.DataFrame({"t": level, "s": ["m", "n"], "x": counts["x"].mean(), "g": 0})
            assert means.loc[level, "estimate"] == pytest.approx(
                fit.predict(rows, random_effects=effects).mean(), rel=1e-9
            )
    # one row a cell: the same standard errors and limits as predictions
    for effects in ("none", "average"):
        means = marginal_means(fit, ["t", "s"], kind="response", random_effects=effects)
        rows = means.index.to_frame(index=False).assign(x=counts["x"].mean(), g=0)
        wanted = fit.predict(rows, random_effects=effects, level=0.95)
        assert np.allclose(means[["estimate", "se", "lower", "upper"]], wanted, rtol=1e-6)


def test_ratios_of_overall_means(counts):
    fit = glmm("y ~ t + (1|g)", counts, "poisson", zi="~ t")
    means = marginal_means(fit, "t", kind="response")["estimate"]
    ratios = marginal_means(fit, "t", kind="response", contrasts="dunnett")
    assert ratios.index.tolist() == ["b / a", "c / a", "d / a"]
    assert np.allclose(ratios["estimate"], means.iloc[1:] / means.iloc[0])
    differences = marginal_means(fit, "t", kind="response", contrasts="dunnett", scale="difference")
    assert np.allclose(differences["estimate"], means.iloc[1:] - means.iloc[0])
    # delta method: the ratio's relative error is the logarithm's error
    assert np.allclose(ratios["statistic"], np.log(ratios["estimate"]) / (ratios["se"] / ratios["estimate"]))
    conditional = marginal_means(fit, "t", kind="response", component="conditional")
    assert np.allclose(conditional["estimate"], np.exp(fit.params["Intercept"] + np.r_[0.0, fit.params.iloc[1:]]))
    zero = marginal_means(fit, "t", kind="response", component="zi")
    overall = conditional["estimate"] * (1.0 - zero["estimate"])
    assert np.allclose(means, overall)


def test_coverage_of_overall_means():
    """400 zero-inflated data sets with random effects; binomial standard error 1.1 % at 95 %."""
    rng = np.random.default_rng(17)
    g, t = np.repeat(np.arange(40), 6), np.tile([0, 1], 120)
    d = pd.DataFrame({"g": g, "t": np.where(t, "b", "a")})
    truth = np.exp([1.0, 1.5]) * (1 - np.array([0.3, 0.5]))

    def draw():
        mean = np.exp(1.0 + 0.5 * t + rng.normal(0, 0.4, 40)[g])
        return rng.poisson(mean) * (rng.random(240) > 0.3 + 0.2 * t)

    first = glmm("y ~ t + (1|g)", d.assign(y=draw()), "poisson", zi="~ t")
    means, ratios = np.zeros(2), 0
    for _ in range(400):
        fit = first.refit(draw().astype(float))
        found = marginal_means(fit, "t", kind="response")
        means += (found["lower"] < truth) & (truth < found["upper"])
        ratio = marginal_means(fit, "t", kind="response", contrasts={"b / a": [-1, 1]}).iloc[0]
        ratios += ratio["lower"] < truth[1] / truth[0] < ratio["upper"]
    assert np.all(means / 400 > 0.92) and np.all(means / 400 < 0.975)
    assert 0.92 < ratios / 400 < 0.975


def test_risk_ratios_and_differences(counts):
    fit = glmm("y ~ t", counts.assign(y=(counts["y"] > 1).astype(int)), "binomial")
    risk = counts.assign(y=counts["y"] > 1).groupby("t")["y"].mean()
    ratio = marginal_means(fit, "t", kind="response", contrasts="dunnett", scale="ratio")
    assert np.allclose(ratio["estimate"], risk.iloc[1:] / risk.iloc[0], rtol=1e-4)
    a, b = risk["a"], risk["b"]
    assert ratio["se"].iloc[0] / ratio["estimate"].iloc[0] == pytest.approx(
        np.sqrt((1 - a) / a / 80 + (1 - b) / b / 80), rel=1e-3
    )
    odds = marginal_means(fit, "t", kind="response", contrasts="dunnett")
    assert odds["estimate"].iloc[0] == pytest.approx(b / (1 - b) / (a / (1 - a)), rel=1e-4)


def test_proportional_weights_are_frequencies(counts):
    fit = glmm("y ~ t * s", counts, "poisson")
    cells = marginal_means(fit, ["t", "s"])["estimate"].unstack()
    share = counts["s"].value_counts(normalize=True)
    found = marginal_means(fit, "t", weights="proportional")["estimate"]
    assert np.allclose(found, cells[share.index] @ share)
    weighted = glmm("y ~ t * s", counts, "poisson", freq_weights=np.where(counts["s"] == "m", 3, 1))
    cells = marginal_means(weighted, ["t", "s"])["estimate"].unstack()
    m = 3 * (counts["s"] == "m").sum() / (3 * (counts["s"] == "m").sum() + (counts["s"] == "n").sum())
    assert np.allclose(
        marginal_means(weighted, "t", weights="proportional")["estimate"], cells["m"] * m + cells["n"] * (1 - m)
    )


# ---- contrasts -----------------------------------------------------------------------------------------
def test_polynomials_are_those_of_the_tables():
    """Fisher and Yates, table XXIII."""
    d = pd.DataFrame({"y": np.arange(10.0) ** 1.5, "f": list("abcde") * 2, "x": [0, 1, 2, 4, 8] * 2})
    fit = glmm("y ~ f", d, reml=True)
    means = marginal_means(fit, "f")["estimate"].to_numpy()
    found = marginal_means(fit, "f", contrasts="polynomial")["estimate"]
    table = {"linear": [-2, -1, 0, 1, 2], "quadratic": [2, -1, -2, -1, 2], "cubic": [-1, 2, 0, -2, 1]}
    table["quartic"] = [1, -4, 6, -4, 1]
    for name, weights in table.items():
        assert found[name] == pytest.approx(float(np.dot(weights, means)))
    # numbers have distances of their own: a linear mean has no other trend
    line = glmm("y ~ C(x)", d.assign(y=3.0 + 2.0 * d["x"] + 0.01 * np.array([1, -1] * 5)), reml=True)
    trends = marginal_means(line, "x", contrasts="polynomial")["estimate"]
    means = marginal_means(line, "x")["estimate"]
    assert trends["linear"] == pytest.approx((means.index.to_numpy(dtype=float) - 3.0) @ means.to_numpy())
    assert np.abs(trends.iloc[1:]).max() < 0.05 * trends["linear"]


def test_contrasts_of_contrasts(counts):
    fit = glmm("y ~ t * s", counts, "poisson")
    cells = marginal_means(fit, ["t", "s"])["estimate"].unstack()
    found = marginal_means(fit, ["t", "s"], contrasts={"t": "dunnett", "s": "pairwise"})
    assert found.index[0] == "b - a : m - n"
    assert found["estimate"].iloc[0] == pytest.approx(
        (cells.loc["b", "m"] - cells.loc["a", "m"]) - (cells.loc["b", "n"] - cells.loc["a", "n"])
    )
    assert found["estimate"].iloc[0] == pytest.approx(-fit.params["t[T.b]:s[T.n]"])
    with pytest.raises(ModelError, match="one kind for each of t, s"):
        marginal_means(fit, ["t", "s"], contrasts={"t": "dunnett"})


# ---- several at once -----------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [3, 5, 8])
@pytest.mark.parametrize("df", [7.0, 60.0, np.inf])
def test_joint_distribution_of_all_pairs_is_tukeys(n, df):
    pairs = np.array([(np.arange(n) == i) * 1.0 - (np.arange(n) == j) for i in range(n) for j in range(i + 1, n)])
    joint = JointMaximum(pairs @ pairs.T / 2.0)
    for t in (1.5, 2.5, 4.0):
        expected = stats.studentized_range.sf(t * np.sqrt(2.0), n, df)
        assert joint.sf(t, df) == pytest.approx(expected, rel=1.5e-2 if n > 5 else 2e-3)
    assert joint.quantile(0.95, df) == pytest.approx(stats.studentized_range.ppf(0.95, n, df) / np.sqrt(2.0), abs=2e-3)


@pytest.mark.parametrize("n", [2, 3, 7, 20])
@pytest.mark.parametrize("df", [2.0, 7.3, 118.4, np.inf])
def test_studentized_range_agrees_with_scipy(n, df):
    found = StudentizedRange(n, df)
    for q in (0.5, 2.0, 3.6, 8.0):
        assert found.sf(q) == pytest.approx(stats.studentized_range.sf(q, n, df), abs=1e-9)
    assert stats.studentized_range.cdf(found.quantile(0.95), n, df) == pytest.approx(0.95, abs=1e-8)


@pytest.mark.parametrize("n", [3, 7, 12])
def test_few_nodes_stand_for_all_directions(n):
    """P-values are those of the average over every direction, far out too; many degrees of freedom at once."""
    rng = np.random.default_rng(n)
    pairs = np.array([(np.arange(n) == i) * 1.0 - (np.arange(n) == j) for i in range(n) for j in range(i + 1, n)])
    covariance = pairs @ np.cov(rng.normal(size=(n, 3 * n))) @ pairs.T
    correlation = covariance / np.sqrt(np.outer(*2 * [np.diag(covariance)]))
    joint, rank = JointMaximum(correlation), n - 1
    values, vectors = np.linalg.eigh(correlation)
    root = vectors[:, -rank:] * np.sqrt(values[-rank:])
    reach = np.abs(_directions(rank) @ root.T).max(axis=1)
    t, df = (a.ravel() for a in np.meshgrid([0.3, 1.0, 2.5, 4.0, 7.0, 12.0], [2.0, 9.3, 80.0]))
    square = np.square(t[:, None] / reach) / rank
    assert np.allclose(joint.sf(t, df), stats.f.sf(square, rank, df[:, None]).mean(axis=1), rtol=1e-8, atol=0.0)
    normal = stats.chi2.sf(np.square(t[:, None] / reach), rank).mean(axis=1)
    assert np.allclose(joint.sf(t), normal, rtol=1e-8, atol=0.0)
    several = np.array([3.0, 8.5, 40.0, np.inf])
    assert np.allclose(joint.sf(joint.quantile(0.99, several), several), 0.01, rtol=1e-9)
    ranges = StudentizedRange(n, several)
    assert np.allclose(ranges.sf(ranges.quantile(0.95)), 0.05, rtol=1e-9)
    assert np.allclose(ranges.sf(3.1), [StudentizedRange(n, one).sf(3.1)[0] for one in several], rtol=1e-9)


def test_joint_distribution_without_correlation_is_sidaks():
    joint = JointMaximum(np.eye(4))
    assert joint.quantile(0.95) == pytest.approx(stats.norm.isf(0.5 * (1 - 0.95**0.25)), abs=1e-3)
    assert JointMaximum(np.eye(1)).quantile(0.95, 10.0) == pytest.approx(stats.t.isf(0.025, 10))


def test_dunnett_agrees_with_scipy_and_his_table():
    rng = np.random.default_rng(2)
    samples = [rng.normal(m, 1.0, n) for m, n in ((0.0, 9), (0.8, 6), (1.2, 7), (0.1, 8))]
    d = pd.DataFrame({"y": np.concatenate(samples), "f": np.repeat(list("abcd"), [9, 6, 7, 8])})
    fit = glmm("y ~ f", d, reml=True)
    found = marginal_means(fit, "f", contrasts="dunnett", df=26)
    expected = stats.dunnett(*samples[1:], control=samples[0], rng=np.random.default_rng(1))
    assert np.allclose(found["statistic"], expected.statistic, rtol=1e-6)
    assert np.allclose(found["pvalue"], expected.pvalue, atol=5e-4)
    # Dunnett (1964), table II: two-sided 5 %, three treatments in groups of one size, 20 df
    assert JointMaximum(0.5 + 0.5 * np.eye(3)).quantile(0.95, 20.0) == pytest.approx(2.54, abs=5e-3)


def test_familywise_error_rates():
    """2000 one-way layouts of unequal groups without effects; binomial standard error 0.5 %."""
    rng = np.random.default_rng(5)
    sizes = np.array([4, 7, 5, 9])
    index, df = np.repeat(np.arange(4), sizes), sizes.sum() - 4
    pairs = np.array([(i, j) for i in range(4) for j in range(i + 1, 4)])
    first = pairs[pairs[:, 0] == 0]
    rejected = {"tukey": 0, "dunnett": 0}
    rows = {"tukey": pairs, "dunnett": first}
    limit = {"tukey": stats.studentized_range.ppf(0.95, 4, df) / np.sqrt(2.0)}
    weights = np.eye(4)[first[:, 1]] - np.eye(4)[first[:, 0]]
    covariance = (weights / sizes) @ weights.T
    limit["dunnett"] = JointMaximum(covariance / np.sqrt(np.outer(*2 * [np.diag(covariance)]))).quantile(0.95, df)
    for _ in range(2000):
        y = rng.normal(size=len(index))
        means = np.bincount(index, y) / sizes
        sigma = np.sqrt(np.sum((y - means[index]) ** 2) / df)
        for how, compared in rows.items():
            i, j = compared.T
            t = np.abs(means[i] - means[j]) / (sigma * np.sqrt(1 / sizes[i] + 1 / sizes[j]))
            rejected[how] += t.max() > limit[how]
    assert 0.035 < rejected["tukey"] / 2000 < 0.062  # Tukey and Kramer's test is slightly conservative
    assert 0.039 < rejected["dunnett"] / 2000 < 0.061


# ---- letters -------------------------------------------------------------------------------------------
@settings(max_examples=200, deadline=None)
@given(st.integers(1, 8), st.data())
def test_letters_are_shared_by_those_and_only_those_that_do_not_differ(m, data):
    differ = np.zeros((m, m), dtype=bool)
    for i in range(m):
        for j in range(i + 1, m):
            differ[i, j] = differ[j, i] = data.draw(st.booleans())
    letters = letters_of(differ)
    for i in range(m):
        assert letters[i]
        for j in range(i + 1, m):
            assert bool(set(letters[i]) & set(letters[j])) != differ[i, j]
    used = sorted(set("".join(letters)))
    assert used == list("abcdefghijklmnopqrstuvwxyz"[: len(used)])
    for letter in used:  # none is superfluous
        without = [word.replace(letter, "") for word in letters]
        assert any(not (set(without[i]) & set(without[j])) and not differ[i, j] for i in range(m) for j in range(m))


def test_letters_follow_the_means_and_leave_out_what_is_not_known():
    d = pd.DataFrame({"y": [7.0, 9, 21, 22, 8, 9, 15, 14], "f": list("aabbccdd"), "s": list("mn") * 4})
    fit = glmm("y ~ f", d, reml=True)
    found = compact_letters(fit, "f")
    assert found.to_dict() == {"a": "a", "c": "a", "d": "b", "b": "c"}
    some = d[~((d["f"] == "b") & (d["s"] == "n"))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        crossed = glmm("y ~ f * s", pd.concat([some, some.assign(y=some["y"] + 0.3)]), reml=True)
        by = compact_letters(crossed, "f", by="s")
    assert by.index.names == ["s", "f"]
    assert by[("n", "b")] != by[("n", "b")] and by[("m", "b")] == "d"


# ---- slopes --------------------------------------------------------------------------------------------
def test_slopes_along_curves():
    rng = np.random.default_rng(3)
    d = pd.DataFrame({"x": np.linspace(1.0, 5.0, 60), "f": np.resize(["u", "v"], 60)})
    d["y"] = d["x"] ** 2 + rng.normal(size=60)
    cubic = glmm("y ~ I(x**3) + I(x**2) + x", d)
    points = [1.0, 2.5, 5.0]
    found = slopes(cubic, "x", by="x", at={"x": points})
    derivative = np.array([[0.0, 3 * x**2, 2 * x, 1.0] for x in points])
    assert np.allclose(found["estimate"], derivative @ cubic.params, rtol=1e-3)  # one-sided at the ends
    se = np.sqrt(np.einsum("ij,jk,ik->i", derivative, cubic.cov_params(), derivative))
    assert np.allclose(found["se"], se, rtol=1e-3)
    assert found.loc[2.5, "estimate"] == pytest.approx(derivative[1] @ cubic.params, rel=1e-7)
    spline = glmm("y ~ bs(x, df=6) * f", d)
    both = slopes(spline, "x", by=["f"], at={"x": 3.0}, contrasts="pairwise")
    h = 1e-4
    rows = pd.DataFrame({"x": [3 + h, 3 - h] * 2, "f": ["u", "u", "v", "v"]})
    p = spline.predict(rows).to_numpy()
    assert both["estimate"].iloc[0] == pytest.approx((p[0] - p[1] - p[2] + p[3]) / (2 * h), rel=1e-4)


def test_slopes_of_means_of_the_response(counts):
    fit = glmm("y ~ x * s + (1|g)", counts, "poisson", zi="~ x")
    found = slopes(fit, "x", by="s", kind="response", at={"x": 0.5})
    h = 1e-4
    for level in "mn":
        p = fit.predict(pd.DataFrame({"x": [0.5 + h, 0.5 - h], "s": level}), random_effects="none").to_numpy()
        assert found.loc[level, "estimate"] == pytest.approx((p[0] - p[1]) / (2 * h), rel=1e-5)
    log = slopes(glmm("y ~ x", counts, "poisson"), "x", kind="response", at={"x": 0.0})
    poisson = glmm("y ~ x", counts, "poisson")
    b = poisson.params.to_numpy()
    gradient = np.exp(b[0]) * np.array([b[1], 1.0])
    assert log["estimate"].iloc[0] == pytest.approx(np.exp(b[0]) * b[1], rel=1e-6)
    assert log["se"].iloc[0] == pytest.approx(np.sqrt(gradient @ poisson.cov_params() @ gradient), rel=1e-4)


def test_slopes_that_the_data_do_not_determine():
    d = pd.DataFrame({"f": list("aaabbbccc"), "x": [0.0, 1, 2, 5, 5, 5, 1, 2, 4]})
    d["y"] = [1.0, 2, 4, 3, 4, 5, 2, 2, 6]
    for shift in (0.0, 2000.0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            fit = glmm("y ~ f * x", d.assign(x=d["x"] + shift), reml=True)
        with pytest.warns(DataWarning, match=r"slopes: slope of \(f=b\) cannot be estimated"):
            found = slopes(fit, "x", by="f")
        assert found["estimate"].isna().tolist() == [False, True, False]
        assert found.loc["a", "estimate"] == pytest.approx(1.5, rel=1e-6)
    with pytest.raises(ModelError, match="'f' is no numeric column"):
        slopes(fit, "f")
    with pytest.raises(ModelError, match="one value of 'x'"):
        slopes(fit, "x", at={"x": [1, 2]})


def test_slopes_are_compared_with_the_reference_of_the_formula_or_of_the_call(counts):
    """``contrasts="dunnett"`` took the first level, whatever the formula says."""
    d = counts.assign(arm=np.resize(["high", "low", "none"], len(counts)))
    fit = glmm("y ~ C(arm, Treatment('none')) * x + (1|g)", d, "poisson")
    found = slopes(fit, "x", by="arm", contrasts="dunnett")
    assert list(found.index) == ["high - none", "low - none"]
    steps = [name for name in fit.params.index if ":x" in name]
    assert np.allclose(found["estimate"], fit.params[steps], rtol=1e-6)
    other = slopes(fit, "x", by="arm", contrasts="dunnett", reference="low")
    assert list(other.index) == ["high - low", "none - low"]
    with pytest.raises(ModelError, match=r"slopes: reference= .* contrasts='dunnett'"):
        slopes(fit, "x", by="arm", reference="low")
    with pytest.raises(ModelError, match="is no level of 'arm'"):
        slopes(fit, "x", by="arm", contrasts="dunnett", reference="nil")
