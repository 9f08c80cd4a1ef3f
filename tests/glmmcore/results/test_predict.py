"""Predictions: values, standard errors against brute force and bootstrap, unseen data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special

from glmmcore import ModelError, glmm
from glmmcore.estimation.assemble import build_problem
from glmmcore.estimation.estimator import Estimator
from glmmcore.fitted import FittedGLMM
from glmmcore.results.joint_covariance import Combination, JointCovariance, RandomRows
from glmmcore.results.law import Law


def grouped(seed: int = 1, n_groups: int = 25, size: int = 8) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n_groups), size)
    d = pd.DataFrame(
        {
            "g": [f"g{i:02d}" for i in g],
            "h": rng.choice(list("pqrstuvw"), len(g)),
            "x": rng.normal(size=len(g)),
            "f": rng.choice(["low", "mid", "high"], len(g)),
        },
        index=[f"row{i}" for i in range(len(g))],
    )
    b = rng.normal(0.0, 0.6, (n_groups, 2))
    c = dict(zip("pqrstuvw", rng.normal(0.0, 0.4, 8), strict=True))
    eta = 0.7 + 0.4 * d["x"] + b[g, 0] + 0.5 * b[g, 1] * d["x"] + d["h"].map(c)
    d["count"] = rng.poisson(np.exp(eta))
    d["value"] = eta + rng.normal(0.0, 0.7, len(g))
    d["n"] = 6
    d["k"] = rng.binomial(6, special.expit(eta - 1.0))
    return d


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return grouped()


@pytest.fixture(scope="module")
def counts(data) -> FittedGLMM:
    return glmm("count ~ x + f + (x|g) + (1|h)", data, family="poisson")


# ---- values ------------------------------------------------------------------------------------------
def test_rows_of_the_fit_get_the_fitted_values(counts, data):
    assert np.allclose(counts.predict(), counts.fittedvalues)
    again = counts.predict(data)
    assert again.index.equals(data.index)
    assert np.allclose(again, counts.fittedvalues, rtol=1e-12)


def test_k_of_n_means_are_probabilities_with_and_without_new_data(data):
    fit = glmm("cbind(k, n - k) ~ x + (1|g)", data, family="binomial")
    assert np.allclose(fit.predict() * fit.trials, fit.fittedvalues)
    assert np.allclose(fit.predict(data[["x", "g"]]), fit.predict())
    assert fit.predict().between(0.0, 1.0).all()


def test_parts_of_a_zero_inflated_mean_multiply(data):
    rng = np.random.default_rng(2)
    d = data.assign(count=np.where(rng.random(len(data)) < 0.3, 0, data["count"]))
    fit = glmm("count ~ x + (1|g)", d, family="nbinom2", zi="~ x")
    whole = fit.predict(kind="conditional") * (1.0 - fit.predict(kind="zprob"))
    assert np.allclose(fit.predict(), whole, rtol=1e-12)
    assert np.allclose(fit.predict(kind="disp"), fit.sigma)
    assert np.allclose(
        fit.predict(kind="zprob"), special.expit(fit.zi_params["Intercept"] + fit.zi_params["x"] * d["x"])
    )


def test_average_over_random_effects_of_a_log_link_has_a_closed_form(counts, data):
    new = pd.DataFrame({"x": [-1.0, 0.0, 2.0], "f": ["low", "mid", "high"]})
    eta = counts.predict(new, kind="link", random_effects="none")
    table = counts.var_corr.set_index(["group", "term"])
    sd0, sd1 = table.loc[("g", "Intercept"), "sd"], table.loc[("g", "x"), "sd"]
    rho = table.loc[("g", "x"), "corr_1"]
    variance = (
        sd0**2 + 2.0 * rho * sd0 * sd1 * new["x"] + sd1**2 * new["x"] ** 2 + table.loc[("h", "Intercept"), "sd"] ** 2
    )
    # mean of a lognormal
    assert np.allclose(counts.predict(new, random_effects="average"), np.exp(eta + variance / 2.0), rtol=1e-10)
    assert np.allclose(counts.predict(random_effects="average"), counts.population_mean(), rtol=1e-10)


def _logistic_normal(z: float, centre: float, sd: float) -> float:
    return special.expit(centre + sd * z) * np.exp(-z * z / 2.0) / np.sqrt(2.0 * np.pi)


def test_mean_of_the_curves_is_flatter_than_the_curve_of_the_mean():
    # random intercept and slope logit with beta (3, 1) and variances (4, 1): a fit whose estimates are set to these
    x = np.linspace(-6.0, 2.0, 9)
    g = np.repeat([f"g{i}" for i in range(60)], len(x))
    d = pd.DataFrame({"x": np.tile(x, 60), "g": g})
    rng = np.random.default_rng(3)
    b = rng.normal(size=(60, 2)) * [2.0, 1.0]
    code = np.repeat(np.arange(60), len(x))
    d["y"] = rng.binomial(1, special.expit(3.0 + b[code, 0] + (1.0 + b[code, 1]) * d["x"]))
    fit = glmm("y ~ x + (x||g)", d, family="binomial")
    new = pd.DataFrame({"x": x})
    table = fit.var_corr.set_index("term")["sd"]
    for row, value in zip(x, fit.predict(new, random_effects="average"), strict=True):
        centre = fit.params["Intercept"] + fit.params["x"] * row
        sd = np.hypot(table["Intercept"], table["x"] * row)
        exact = integrate.quad(_logistic_normal, -9.0, 9.0, args=(centre, sd), epsabs=1e-13)[0]
        assert value == pytest.approx(exact, abs=1e-11)
    typical, average = fit.predict(new, random_effects="none"), fit.predict(new, random_effects="average")
    assert np.ptp(average) < np.ptp(typical)
    assert np.all(np.abs(average - 0.5) <= np.abs(typical - 0.5) + 1e-12)


# ---- standard errors against other computations ------------------------------------------------------------
def test_fixed_effects_predictions_have_the_coefficients_standard_errors(counts):
    new = pd.DataFrame({"x": [0.0], "f": ["high"]})
    found = counts.predict(new, kind="link", random_effects="none", se=True)
    assert found["se"].iloc[0] == pytest.approx(counts.bse["Intercept"], rel=1e-10)


def test_quadratic_form_of_crossed_terms_equals_the_selected_inverse(counts):
    rows = [
        (p, term)
        for p in counts.estimator.problem.terms
        for term in counts.design.predictors["cond"].terms
        if p.term is term
    ]
    joint = JointCovariance(counts)
    combination = Combination(
        {"cond": np.zeros((counts.nobs, 4))}, [RandomRows(p, term.Z, term.codes) for p, term in rows]
    )
    blocks, _ = joint._by_factor(combination)
    quadratic = joint._quadratic(blocks, None, counts.nobs)
    out = np.empty((1, counts.nobs))
    joint.problem.system.row_covariances(0, counts.nobs, out)
    expected = np.empty(counts.nobs)
    expected[joint.problem.rows] = out[0]
    assert np.allclose(quadratic, expected, rtol=1e-9)


@pytest.mark.parametrize("reml", [False, True])
def test_profiled_and_general_linear_models_agree(data, reml):
    fit = glmm("value ~ x + f + (x|g) + (1|h)", data, reml=reml)
    problem = build_problem(fit.design, fit.family, reml=reml)
    estimator = Estimator(fit.design, fit.family, reml, problem, False)
    general = FittedGLMM(estimator, estimator.fit())
    for new in (None, pd.DataFrame({"x": [0.3, -2.0], "f": ["low", "mid"], "g": ["g03", "new"], "h": ["p", "q"]})):
        a = fit.predict(new, se=True, new_levels="zero")
        b = general.predict(new, se=True, new_levels="zero")
        assert np.allclose(a["estimate"], b["estimate"], atol=2e-4)
        # forward differences behind the Hessians: a few 1e-4
        assert np.allclose(a["se"], b["se"], rtol=2e-3)


def test_glmmtmb_sleepstudy(reference_data):
    # glmmTMB(Reaction ~ Days + (Days|Subject), REML = r); predict(., sleepstudy[c(1, 6, 10), ], se.fit = TRUE)
    s = reference_data("sleepstudy")
    for reml, fitted, error in (
        (False, [254.2209, 351.9349, 430.1061], [12.945135, 8.048566, 14.268903]),
        (True, [253.6637, 351.9950, 430.6600], [13.067641, 8.057825, 14.310406]),
    ):
        fit = glmm("Reaction ~ Days + (Days|Subject)", s, reml=reml)
        found = fit.predict(s.iloc[[0, 5, 9]], se=True)
        assert np.allclose(found["estimate"], fitted, atol=2e-3)
        assert np.allclose(found["se"], error, rtol=2e-4)
        # predict(., data.frame(Days = 0, Subject = "999"), allow.new.levels = TRUE, se.fit = TRUE)
        new = fit.predict({"Days": [0], "Subject": [999]}, se=True, new_levels="zero")
        assert new["se"].iloc[0] == pytest.approx(25.664485 if reml else 24.688109, rel=1e-5)


def test_glmmtmb_zero_inflated(reference_data):
    # glmmTMB(count ~ spp + mined + (1|site), ziformula = ~mined, family = nbinom2)
    # predict(., Salamanders[c(1, 101), ], type = k, se.fit = TRUE)
    s = reference_data("salamanders")
    fit = glmm("count ~ spp + mined + (1|site)", s, family="nbinom2", zi="~ mined")
    expected = {
        "response": ([0.215231, 0.672232], [0.082068, 0.198841]),
        "link": ([-0.880487, -0.369099], [0.470805, 0.299318]),
        "conditional": ([0.414581, 0.691357], [0.195187, 0.206936]),
        "zprob": ([0.4808461, 0.0276627], [0.1331661, 0.0863049]),
        "disp": ([1.1574, 1.1574], [0.347793, 0.347793]),
    }
    for kind, (estimate, error) in expected.items():
        found = fit.predict(s.iloc[[0, 100]], kind=kind, se=True)
        # the reference stops at a gradient of 1e-3 or so
        assert np.allclose(found["estimate"], estimate, rtol=3e-4), kind
        assert np.allclose(found["se"], error, rtol=3e-3), kind
    found = fit.predict(s.iloc[[0, 100]], random_effects="none", se=True)
    assert np.allclose(found, [[0.212656, 0.057606], [0.478314, 0.126975]], rtol=1e-3)


def test_glmmtmb_random_effects_in_the_zero_part(reference_data):
    # glmmTMB(count ~ mined + (1|site), ziformula = ~1 + (1|site), family = poisson), rows 1 and 101
    s = reference_data("salamanders")
    fit = glmm("count ~ mined + (1|site)", s, family="poisson", zi="~ 1 + (1|site)")
    for kind, expected in {
        "response": [[0.3115192, 0.1185126], [3.0736224, 0.3894187]],
        "zprob": [[0.6987781, 0.11686294], [0.1717975, 0.07106809]],
        "link": [[0.03361394, 0.28601886], [1.31135441, 0.09953601]],
    }.items():
        assert np.allclose(fit.predict(s.iloc[[0, 100]], kind=kind, se=True), expected, rtol=3e-4), kind


def test_glmmtmb_hurdle(reference_data):
    # glmmTMB(count ~ mined + (1|site), ziformula = ~mined, family = truncated_nbinom2), rows 1 and 101
    s = reference_data("salamanders")
    fit = glmm("count ~ mined + (1|site)", s, family="truncated_nbinom2", zi="~ mined")
    for kind, expected in {
        "response": [[0.2925556, 0.05026883], [2.2726259, 0.22283471]],
        "conditional": [[1.838919, 0.2044674], [3.671166, 0.3238672]],
    }.items():
        assert np.allclose(fit.predict(s.iloc[[0, 100]], kind=kind, se=True), expected, rtol=3e-4), kind


def test_glmmtmb_restricted_likelihood_and_crossed_terms(reference_data):
    # glmmTMB(cbind(germ, n - germ) ~ gen * extract + (1|plate), binomial, REML = TRUE), rows 1 and 12
    d = reference_data("crowder_seeds")
    fit = glmm("cbind(germ, n - germ) ~ gen * extract + (1|plate)", d, family="binomial", reml=True)
    found = fit.predict(d.iloc[[0, 11]], se=True)
    assert np.allclose(found, [[0.3154760, 0.05904451], [0.7057941, 0.04470629]], rtol=1e-4)
    typical = fit.predict({"gen": ["O73"], "extract": ["bean"]}, kind="link", random_effects="none", se=True)
    assert typical["se"].iloc[0] == pytest.approx(fit.bse["Intercept"], rel=1e-6)
    # glmmTMB(diameter ~ 1 + (1|plate) + (1|sample), Penicillin), rows 1, 50 and 144
    p = reference_data("penicillin")
    found = glmm("diameter ~ 1 + (1|plate) + (1|sample)", p).predict(p.iloc[[0, 49, 143]], se=True)
    expected = [[25.96229, 0.2409595], [21.20989, 0.2408073], [18.75082, 0.2419486]]
    assert np.allclose(found, expected, rtol=1e-4)


def bootstrap_errors(fit: FittedGLMM, new: pd.DataFrame, n_sims: int) -> tuple[np.ndarray, np.ndarray]:
    """Root mean square of the formula's error, and of the true one, over data simulated with new random effects."""
    truth = {t.term.group: t for t in fit.solution.terms}
    predictors, _ = fit.design.encode(new)
    design = predictors["cond"]
    errors, formula = [], []
    for rng in np.random.default_rng(11).spawn(n_sims):
        eta_fit = {name: np.array(v) for name, v in fit.solution.values.items()}
        eta_new = design.X @ fit.params.to_numpy()
        for term_fit, term_new in zip(fit.design.predictors["cond"].terms, design.terms, strict=True):
            t = truth[term_fit.group]
            b = rng.multivariate_normal(np.zeros(len(t.covariance)), t.covariance, len(t.term.levels))
            change = b[term_fit.codes] - t.modes[term_fit.codes]
            eta_fit["cond"] = eta_fit["cond"] + np.einsum("ij,ij->i", term_fit.Z, change)
            eta_new = eta_new + np.einsum("ij,ij->i", term_new.Z, b[term_new.codes])
        y = Law(fit.family, eta_fit, fit.trials).simulate(1, rng)[0]
        found = fit.refit(y).predict(new, kind="link", se=True)
        errors.append(found["estimate"].to_numpy() - eta_new)
        formula.append(found["se"].to_numpy())
    return np.sqrt(np.mean(np.square(formula), axis=0)), np.sqrt(np.mean(np.square(errors), axis=0))


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("value ~ x + (x|g)", "gaussian"),
        ("count ~ x + (1|g) + (1|h)", "poisson"),
        ("cbind(k, n - k) ~ x + (1|g)", "binomial"),
    ],
)
def test_conditional_standard_errors_agree_with_a_parametric_bootstrap(formula, family):
    fit = glmm(formula, grouped(4, 16, 6), family=family)
    new = pd.DataFrame({"x": [0.0, 1.5, -1.0], "g": ["g00", "g11", "g15"], "h": ["p", "q", "w"]})
    formula_error, error = bootstrap_errors(fit, new, 200)
    # relative Monte Carlo error of a root mean square of 200: 1 / sqrt(400) = 5 %; three of them
    assert np.all(np.abs(formula_error / error - 1.0) < 0.15)


# ---- intervals ---------------------------------------------------------------------------------------
def test_intervals_are_those_of_the_link_mapped_back(counts):
    new = pd.DataFrame({"x": [0.3], "f": ["low"]})
    link = counts.predict(new, kind="link", random_effects="none", level=0.9)
    response = counts.predict(new, random_effects="none", level=0.9)
    assert np.allclose(np.exp(link[["lower", "upper"]]), response[["lower", "upper"]], rtol=1e-7)
    assert link["upper"].iloc[0] - link["estimate"].iloc[0] == pytest.approx(1.6448536 * link["se"].iloc[0], rel=1e-6)


def test_unbounded_coefficients_have_infinite_standard_errors():
    d = pd.DataFrame({"y": [0] * 8 + [1, 0, 1, 1, 0, 1, 0, 1], "t": ["none"] * 8 + ["some"] * 8})
    found = glmm("y ~ t", d, family="binomial").predict({"t": ["none", "some"]}, kind="link", se=True)
    assert np.isinf(found["se"].iloc[0])
    # the sum of two unbounded coefficients is bounded: log(5 / 3) of 8 rows
    assert found["se"].iloc[1] == pytest.approx(np.sqrt(1.0 / 5.0 + 1.0 / 3.0), rel=1e-3)


# ---- unseen data -------------------------------------------------------------------------------------
def test_incomplete_rows_keep_their_place(counts):
    new = pd.DataFrame(
        {"x": [0.0, np.nan, 1.0], "f": ["low", "mid", None], "g": ["g01", "g02", "g03"], "h": "p"}, index=[7, 3, 5]
    )
    found = counts.predict(new, se=True)
    assert found.index.tolist() == [7, 3, 5]
    assert found["estimate"].isna().tolist() == [False, True, True]
    assert found["se"].isna().tolist() == [False, True, True]
    assert counts.predict(new.iloc[1:]).isna().all()


def test_categories_are_matched_by_name_not_by_order(counts):
    new = pd.DataFrame({"x": 0.0, "g": "g01", "h": "p", "f": ["mid", "high"]})
    shuffled = new.assign(f=pd.Categorical(["mid", "high"], categories=["mid", "unused", "high"]))
    assert np.array_equal(counts.predict(new), counts.predict(shuffled))
    assert counts.predict(new).iloc[0] != counts.predict(new).iloc[1]


def test_splines_and_offsets_are_those_of_the_fit(data):
    d = data.assign(effort=np.linspace(0.5, 2.0, len(data)))
    fit = glmm("count ~ bs(x, df=4) + scale(k) + f + offset(np.log(effort)) + (1|g)", d, family="poisson")
    # one row at a time: a transform that looked at the new data would change
    alone = [fit.predict(d.iloc[[i]]).iloc[0] for i in (0, 50, 199)]
    assert np.allclose(alone, fit.predict().iloc[[0, 50, 199]], rtol=1e-12)
    twice = fit.predict(d.assign(effort=2.0 * d["effort"]))
    assert np.allclose(twice, 2.0 * fit.predict(), rtol=1e-12)


def test_group_columns_are_needed_only_for_conditional_predictions(counts):
    new = pd.DataFrame({"x": [0.0], "f": ["low"]})
    assert np.isfinite(counts.predict(new, random_effects="none").iloc[0])
    assert np.isfinite(counts.predict(new, random_effects="average").iloc[0])
    with pytest.raises(ModelError, match="'g'"):
        counts.predict(new)


def test_new_levels_are_refused_or_predicted_at_zero_with_their_variance(counts):
    new = pd.DataFrame({"x": [0.0], "f": ["low"], "g": ["unknown"], "h": ["p"]}, index=["first"])
    with pytest.raises(ModelError, match=r"'g' that the fit has not seen \(row 'first'\).*new_levels='zero'"):
        counts.predict(new)
    known = counts.predict(new.assign(g="g01"), kind="link", se=True)
    found = counts.predict(new, kind="link", se=True, new_levels="zero")
    sd = counts.var_corr.query("group == 'g' and term == 'Intercept'")["sd"].iloc[0]
    assert found["se"].iloc[0] > sd
    assert found["se"].iloc[0] > known["se"].iloc[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"f": "enormous"}, "column 'f' has the level 'enormous'"),
        ({"x": "one"}, "'x'"),
        ({"g": 3}, "'g'"),
    ],
)
def test_errors_name_the_column(counts, change, message):
    row = {"x": 0.0, "f": "low", "g": "g01", "h": "p"} | change
    with pytest.raises(ModelError, match=message):
        counts.predict(pd.DataFrame([row]))


def test_missing_column_is_named(counts):
    with pytest.raises(ModelError, match="'x' is not in the new data"):
        counts.predict(pd.DataFrame({"f": ["low"], "g": ["g01"], "h": ["p"]}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "mean"}, "kind must be one of"),
        ({"kind": "zprob"}, "zi="),
        ({"kind": "disp"}, "no dispersion"),
        ({"random_effects": "all"}, "random_effects must be one of"),
        ({"level": 95}, "between 0 and 1"),
        ({"new_levels": "skip"}, "new_levels must be one of"),
    ],
)
def test_wrong_options(counts, options, message):
    with pytest.raises(ModelError, match=message):
        counts.predict(**options)


def test_error_of_an_average_knows_the_error_of_the_spread():
    # With huge counts the fit sees log means b of L groups: the mean of b has variance s^2 / L, s^2 itself 2 s^4 / L,
    # independently, so that log E(y) = mean + s^2 / 2 has variance s^2 / L + s^4 / (2 L).
    rng = np.random.default_rng(3)
    levels = 40
    g = np.repeat(np.arange(levels), 3)
    d = pd.DataFrame({"g": g, "y": rng.poisson(np.exp(9.0 + rng.normal(0.0, 1.3, levels)[g]))})
    fit = glmm("y ~ 1 + (1|g)", d, family="poisson")
    variance = fit.var_corr["sd"].iloc[0] ** 2
    row = fit.predict(d[:1], random_effects="average", se=True, level=0.95).iloc[0]
    expected = np.sqrt(variance / levels + variance**2 / (2 * levels))
    assert row["se"] / row["estimate"] == pytest.approx(expected, rel=1e-3)
    assert row["upper"] / row["estimate"] == pytest.approx(np.exp(1.959964 * expected), rel=1e-3)
    typical = fit.predict(d[:1], random_effects="none", se=True).iloc[0]
    assert typical["se"] / typical["estimate"] == pytest.approx(np.sqrt(variance / levels), rel=1e-3)
