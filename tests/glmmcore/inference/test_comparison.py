"""Likelihood-ratio tables and tests of terms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from glmmcore import DataWarning, ModelError, compare, drop_terms, glmm, wald_tests


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(15), 8)
    d = pd.DataFrame({"g": g, "x": rng.normal(size=120), "a": rng.choice(list("uvw"), 120)})
    d["y"] = rng.poisson(np.exp(0.8 + 0.3 * d["x"] + rng.normal(0.0, 0.5, 15)[g]))
    d["z"] = 0.3 * d["x"] + rng.normal(0.0, 0.5, 15)[g] + rng.normal(size=120)
    return d


# ---- R -----------------------------------------------------------------------------------------------
def test_lme4_anova_of_sleepstudy(reference_data):
    # anova(lmer(Reaction ~ Days + (1|Subject), REML = FALSE), lmer(Reaction ~ Days + (Days|Subject), REML = FALSE))
    s = reference_data("sleepstudy")
    small, large = (glmm(f"Reaction ~ Days + ({left}|Subject)", s) for left in ("1", "Days"))
    table = compare(large, small)
    assert table["df"].tolist() == [4, 6]
    assert np.allclose(table["aic"], [1802.079, 1763.939], atol=5e-4)
    assert np.allclose(table["bic"], [1814.851, 1783.097], atol=5e-4)
    assert np.allclose(table["llf"], [-897.0393, -875.9697], atol=5e-5)
    assert table["chisq"].iloc[1] == pytest.approx(42.1393, abs=5e-5)
    assert table["pvalue_chi2"].iloc[1] == pytest.approx(7.0724e-10, rel=1e-4)
    # a variance and a covariance at once: half and half chi-square with 1 and 2 df
    expected = 0.5 * (stats.chi2.sf(42.13930, 1) + stats.chi2.sf(42.13930, 2))
    assert table["pvalue"].iloc[1] == pytest.approx(expected, rel=1e-4)
    assert "variance of Days by Subject" in table["note"].iloc[1]


def test_glmmtmb_anova_and_drop1_of_cbpp(reference_data):
    # anova(g0, g1), drop1(g1, test = "Chisq") of cbind(incidence, size - incidence) ~ period + (1|herd)
    c = reference_data("cbpp", "period")
    large = glmm("cbind(incidence, size - incidence) ~ period + (1|herd)", c, family="binomial")
    small = glmm("cbind(incidence, size - incidence) ~ 1 + (1|herd)", c, family="binomial")
    table = compare(small, large).iloc[1]
    assert table["chisq"] == pytest.approx(25.61006, abs=2e-5)
    assert table["chisq_df"] == 3
    assert table["pvalue"] == pytest.approx(1.1509e-05, rel=1e-4)
    assert table["note"] == ""
    dropped = drop_terms(large)
    assert dropped.index.tolist() == ["<none>", "period"]
    assert np.allclose(dropped["aic"], [194.0526, 213.6626], atol=1e-4)
    assert dropped.loc["period", "chisq"] == pytest.approx(25.61006, abs=2e-5)


def test_type_two_wald_tests_agree_with_car(reference_data):
    # car::Anova(glmmTMB(cbind(germ, n - germ) ~ extract * gen, binomial))
    fit = glmm("cbind(germ, n - germ) ~ extract * gen", reference_data("crowder_seeds"), family="binomial")
    table = wald_tests(fit)
    assert table.index.tolist() == ["extract", "gen", "extract:gen"]
    assert np.allclose(table["chisq"], [53.39742, 3.04255, 6.44768], rtol=1e-5)
    assert np.allclose(table["pvalue"], [2.7245e-13, 0.081108, 0.011110], rtol=1e-4)


# ---- boundaries and nesting --------------------------------------------------------------------------
def test_one_variance_on_the_boundary_halves_the_pvalue(data):
    table = compare(glmm("z ~ x", data), glmm("z ~ x + (1|g)", data))
    assert table["pvalue"].iloc[1] == pytest.approx(0.5 * table["pvalue_chi2"].iloc[1])
    assert table["chisq_df"].iloc[1] == 1


def test_overdispersion_is_on_the_boundary_of_the_negative_binomial(data):
    table = compare(glmm("y ~ x", data, family="poisson"), glmm("y ~ x", data, family="nbinom2"))
    assert table["pvalue"].iloc[1] == pytest.approx(0.5 * table["pvalue_chi2"].iloc[1])
    assert "overdispersion" in table["note"].iloc[1]


def test_several_variances_at_once_are_said_to_be_conservative(data):
    data = data.assign(h=np.arange(120) % 7)
    table = compare(glmm("z ~ x", data), glmm("z ~ x + (1|g) + (1|h)", data))
    assert table["pvalue"].iloc[1] == table["pvalue_chi2"].iloc[1]
    assert "conservative" in table["note"].iloc[1]


def test_a_variance_of_zero_has_a_pvalue_of_one():
    rng = np.random.default_rng(12)
    d = pd.DataFrame(
        {"y": np.tile([-1.0, 1.0, 0.5, -0.5], 6) + 0.01 * rng.normal(size=24), "g": np.repeat(range(6), 4)}
    )
    table = compare(glmm("y ~ 1", d), glmm("y ~ 1 + (1|g)", d))
    assert table["chisq"].iloc[1] == pytest.approx(0.0, abs=1e-8)
    assert table["pvalue"].iloc[1] >= 0.5


@pytest.mark.parametrize(
    ("small", "large", "reason"),
    [
        ({"formula": "y ~ x"}, {"formula": "y ~ a + (1|g)"}, "fixed effects of part 'cond' differ"),
        ({"formula": "y ~ x", "family": "nbinom1"}, {"formula": "y ~ x + a", "family": "nbinom2"}, "no special case"),
        ({"formula": "y ~ x + (1|g)"}, {"formula": "y ~ x + a"}, "only in the smaller model"),
        ({"formula": "y ~ 1 + offset(x)"}, {"formula": "y ~ a"}, "offsets"),
    ],
)
def test_models_that_are_not_nested_are_not_tested(data, small, large, reason):
    fits = [glmm(data=data, **({"family": "poisson"} | options)) for options in (small, large)]
    table = compare(*fits)
    assert table["pvalue"].isna().all()
    assert reason in table["note"].iloc[1]


def test_the_same_column_space_in_other_columns_is_nested(data):
    small = glmm("y ~ x", data, family="poisson")
    large = glmm("y ~ I(x + x**2) + I(x - x**2)", data, family="poisson")
    assert compare(small, large)["pvalue"].iloc[1] == pytest.approx(
        compare(small, glmm("y ~ x + I(x**2)", data, family="poisson"))["pvalue"].iloc[1], rel=1e-4
    )


def test_names_and_weights_of_models(data):
    a, b, c = (glmm(f"y ~ {terms}", data, family="poisson") for terms in ("1", "x", "x + a"))
    table = compare(c, empty=a, slope=b)
    assert table.index.tolist() == ["empty", "slope", c.description]
    assert table["delta_aic"].min() == 0.0 and np.allclose(table["delta_aic"], table["aic"] - min(table["aic"]))
    likelihoods = np.exp(-0.5 * (table["aic"] - table["aic"].iloc[1]))
    assert np.allclose(table["aic_weight"], likelihoods / likelihoods.sum())
    assert np.allclose(table["chisq"], compare(a, b, c)["chisq"], equal_nan=True)
    with pytest.raises(ModelError, match="two fits"):
        compare(alone=a)


def test_what_cannot_be_compared_is_refused(data):
    fit = glmm("y ~ x", data, family="poisson")
    with pytest.raises(ModelError, match="two fits"):
        compare(fit)
    with pytest.raises(ModelError, match="120 and 100 rows"):
        compare(fit, glmm("y ~ x + a", data.iloc[:100], family="poisson"))
    with pytest.raises(ModelError, match="different responses"):
        compare(fit, glmm("z ~ x + a", data))
    reml = glmm("z ~ x + (1|g)", data, reml=True)
    with pytest.raises(ModelError, match="some fits are by reml=True"):
        compare(reml, glmm("z ~ x + a + (1|g)", data))
    with pytest.raises(ModelError, match="restricted likelihoods"):
        compare(reml, glmm("z ~ x + a + (1|g)", data, reml=True))
    assert compare(reml, glmm("z ~ x + (x|g)", data, reml=True))["chisq"].iloc[1] >= 0.0


# ---- terms -------------------------------------------------------------------------------------------
def test_drop_terms_equals_fits_without_them(data):
    fit = glmm("y ~ x + a + (1|g)", data, family="poisson")
    table = drop_terms(fit)
    for label, rest in (("x", "a"), ("a", "x")):
        without = glmm(f"y ~ {rest} + (1|g)", data, family="poisson")
        assert table.loc[label, "llf"] == pytest.approx(without.llf, abs=1e-7)
        assert table.loc[label, "aic"] == pytest.approx(without.aic, abs=1e-6)


def test_terms_inside_an_interaction_are_not_dropped(data):
    assert drop_terms(glmm("y ~ x * a", data, family="poisson")).index.tolist() == ["<none>", "x:a"]


def test_restricted_fits_are_refitted_by_maximum_likelihood(data):
    a = drop_terms(glmm("z ~ x + (1|g)", data, reml=True))
    b = drop_terms(glmm("z ~ x + (1|g)", data))
    assert np.allclose(a, b, equal_nan=True)


def test_parts_have_their_own_terms(data):
    fit = glmm("y ~ x", data, family="nbinom2", disp="~ a")
    assert drop_terms(fit, "disp").index.tolist() == ["<none>", "a"]
    assert wald_tests(fit, "disp").loc["a", "df"] == 2
    with pytest.raises(ModelError, match="no part 'zi'"):
        wald_tests(fit, "zi")


def test_a_wald_test_of_one_coefficient_is_its_square(data):
    fit = glmm("y ~ x + (1|g)", data, family="poisson")
    assert wald_tests(fit).loc["x", "chisq"] == pytest.approx(fit.tvalues["x"] ** 2)


def test_terms_are_those_of_the_formula(data):
    """Not what labels look like: columns may be called ``length [mm]`` and ``a:b``."""
    named = data.assign(**{"length [mm]": data["x"], "length [log]": data["x"] ** 2, "a:x": np.sin(data["x"])})
    fit = glmm("y ~ `length [mm]` + `length [log]` + `a:x` + a", named, family="poisson")
    found = wald_tests(fit)
    assert found.index.tolist() == ["length [mm]", "length [log]", "a:x", "a"]
    assert found["df"].tolist() == [1, 1, 1, 2]
    assert np.allclose(found["chisq"].iloc[:2], fit.tvalues.iloc[[1, 2]] ** 2)
    dropped = drop_terms(fit)
    assert dropped.index.tolist() == ["<none>", *found.index]  # no term contains another
    without = glmm("y ~ `length [mm]` + `a:x` + a", named, family="poisson")
    assert dropped.loc["length [log]", "llf"] == pytest.approx(without.llf, abs=1e-7)


def test_basis_functions_and_contrasts_are_one_term(data):
    fit = glmm("y ~ bs(x, df=4) * C(a, contr.sum)", data, family="poisson")
    assert wald_tests(fit)["df"].to_dict() == {"bs(x, df=4)": 4, "C(a, contr.sum)": 2, "bs(x, df=4):C(a, contr.sum)": 8}
    assert drop_terms(fit).index.tolist() == ["<none>", "bs(x, df=4):C(a, contr.sum)"]


def test_wald_tests_beside_complete_separation(data):
    """Level w has zeros only: its coefficient has no estimate, the others keep their tests."""
    cut = data.assign(y=data["y"].where(data["a"] != "w", 0))
    fit = glmm("y ~ a * x", cut, family="poisson")
    rest = glmm("y ~ a * x", cut[cut["a"] != "w"], family="poisson")
    assert np.isinf(fit.bse["a[T.w]"])
    found, expected = wald_tests(fit), wald_tests(rest)
    # without w the same likelihood: a and a:x with one df less, x as it is
    assert np.allclose(found["chisq"], expected["chisq"], rtol=2e-3)
    assert found["df"].tolist() == expected["df"].tolist() == [1, 1, 1]
    assert "tested without a[T.w], which the data do not bound; drop_terms(fit)" in found.loc["a", "note"]
    assert found.loc["x", "note"] == ""
    alone = wald_tests(glmm("y ~ I(a == 'w')", cut, family="poisson"))
    assert np.isnan(alone["pvalue"].iloc[0]) and alone["note"].iloc[0].startswith("no Wald test: I(a == 'w')[T.True]")


# ---- nesting -----------------------------------------------------------------------------------------
NESTED = [
    # small, large: nested, parameters on the edge, what is said
    ({"family": "poisson"}, {"family": "poisson", "zi": "~ 1"}, True, 1, "zero inflation"),
    ({"family": "poisson"}, {"family": "poisson", "zi": "~ x"}, True, 2, "2 parameters of zero inflation"),
    ({"family": "poisson", "link": "sqrt"}, {"family": "poisson"}, False, 0, "the links differ"),
    ({"family": "nbinom2", "disp": "~ x"}, {"family": "nbinom2"}, False, 0, "part 'disp' is missing"),
    ({"family": "nbinom2", "disp": "~ 1"}, {"family": "nbinom2"}, True, 0, ""),
    ({"family": "nbinom2"}, {"family": "nbinom2", "disp": "~ x"}, True, 0, ""),
    ({"family": "nbinom2"}, {"family": "nbinom2", "disp": "~ 0 + x"}, False, 0, "part 'disp' has no intercept"),
    # an intercept need not be written as one
    ({"family": "nbinom2"}, {"family": "nbinom2", "disp": "~ 0 + a"}, True, 0, ""),
    ({"family": "nbinom1"}, {"family": "poisson"}, False, 0, "nbinom1 is no special case of poisson"),
]


@pytest.mark.parametrize(("small", "large", "nested", "edges", "reason"), NESTED)
def test_what_is_nested_in_what(data, small, large, nested, edges, reason):
    from glmmcore.inference.nesting import nesting

    fits = [glmm("y ~ x", data, **options) for options in (small, large)]
    found = nesting(*fits)
    assert (found.nested, found.n_boundary, found.reason) == (nested, edges, reason)


STRUCTURES = [
    # small, large: parameters on the edge, or why not nested
    ("(x||g)", "(x|g)", 0),
    ("(x|g)", "(x||g) + (1|h) + (1|k)", "the covariance of the effects by g"),  # its correlation is the smaller model's
    ("(1|g) + (0+x|g)", "(x|g)", 0),
    ("(1|g)", "(0+a|g)", 2),  # the same intercepts in other columns
    ("(0+x|g)", "(x|g)", 1),
    ("diag(0+a|g)", "(0+a|g)", 0),
    ("homdiag(0+a|g)", "homcs(0+a|g)", 0),
    ("homcs(0+a|g)", "cs(0+a|g)", 0),
    ("cs(0+a|g)", "toep(0+a|g)", 0),
    ("ar1(0+a|g)", "homtoep(0+a|g)", 0),
    ("homcs(0+a|g)", "homtoep(0+a|g)", 0),
    ("ar1(0+a|g)", "cs(0+a|g)", "the covariance of the effects by g"),
    ("ar1(0+a|g)", "diag(0+a|g)", "the covariance of the effects by g"),
    ("homcs(0+a|g)", "diag(0+a|g)", "the covariance of the effects by g"),
    ("cs(0+a|g)", "hetar1(0+a|g) + (1|h)", "the covariance of the effects by g"),
    ("(1|h)", "(1|h) + homcs(0+a|g)", 1),
    ("diag(0+a|g)", "diag(a + x|g)", "the covariance of the effects by g"),
    ("(1|g)", "(1|g/a)", 1),
]


@pytest.mark.parametrize(("small", "large", "found"), STRUCTURES)
def test_structures_of_random_effects_are_nested_or_not(data, small, large, found):
    """By their covariance matrices, worked out by hand; columns of the same names say little."""
    from glmmcore.inference.nesting import nesting

    d = data.assign(h=np.arange(120) % 7, k=np.arange(120) % 11)
    answer = nesting(*(glmm(f"z ~ x + {terms}", d) for terms in (small, large)))
    if isinstance(found, str):
        assert not answer.nested and found in answer.reason
    else:
        assert (answer.nested, answer.n_boundary) == (True, found)


def test_tests_of_effects_whose_correlation_has_no_meaning_are_approximate(data):
    table = compare(glmm("z ~ x", data), glmm("z ~ x + ar1(0+a|g)", data))
    assert table["note"].iloc[1].endswith("where its correlation has no meaning: the p-value is approximate")
    assert table["pvalue"].iloc[1] == table["pvalue_chi2"].iloc[1]


def test_a_dispersion_model_has_an_edge_a_coefficient(data):
    """Poisson: the three levels of the dispersion are infinite; that is no mixture of 2 and 3 df alone."""
    table = compare(glmm("y ~ x", data, family="poisson"), glmm("y ~ x", data, family="nbinom2", disp="~ a"))
    assert table["chisq_df"].iloc[1] == 3 and table["pvalue"].iloc[1] == table["pvalue_chi2"].iloc[1]
    assert table["note"].iloc[1].startswith("3 parameters of overdispersion on their boundary")


def test_special_cases_at_both_limits_and_inside(data):
    table = compare(glmm("y ~ x", data, family="poisson"), glmm("y ~ x", data, family="nbinom12"))
    assert "linear overdispersion and quadratic overdispersion" in table["note"].iloc[1]
    skew = compare(glmm("z ~ x", data), glmm("z ~ x", data, family="skewnormal"))
    # alpha = 0 is inside: 4.7 % of 1000 gaussian data sets of 150 rows exceed 3.84, 9.4 % exceed 2.71
    assert skew["note"].iloc[1] == "" and skew["pvalue"].iloc[1] == skew["pvalue_chi2"].iloc[1]


def test_offsets_that_a_coefficient_makes_up_for_are_nested(data):
    d = data.assign(o=0.5 * data["x"])
    table = compare(glmm("y ~ 1 + offset(o)", d, family="poisson"), glmm("y ~ x", d, family="poisson"))
    assert table["note"].iloc[1] == "" and table["chisq_df"].iloc[1] == 1


def test_likelihoods_on_other_scales_are_not_compared(data):
    """Restricted likelihoods change with the units of fixed effects: log 2 for a column twice as large."""
    small, large = (glmm(f"z ~ x + ({left}|g)", data, reml=True) for left in ("1", "x"))
    twice = glmm("z ~ I(2 * x) + (x|g)", data, reml=True)
    assert twice.llf == pytest.approx(large.llf - np.log(2.0), abs=1e-5)
    with pytest.raises(ModelError, match="units and the coding"):
        compare(small, twice)
    with pytest.raises(ModelError, match="units and the coding"):
        compare(glmm("z ~ a + (1|g)", data, reml=True), glmm("z ~ C(a, contr.sum) + (x|g)", data, reml=True))
    w = data.assign(w=1.0 + np.arange(120) % 3)
    for weights in ("freq_weights", "var_weights"):
        with pytest.raises(ModelError, match="120 and|different " + weights):
            compare(glmm("z ~ x", w, **{weights: "w"}), glmm("z ~ x + a", w))
    assert compare(glmm("z ~ x", w, var_weights="w"), glmm("z ~ x + a", w, var_weights="w"))["note"].iloc[1] == ""
    points = [glmm(f"y ~ {t} + (1|g)", data, family="poisson", n_agq=n) for t, n in (("1", 1), ("x", 5))]
    table = compare(*points)
    assert np.isnan(table["pvalue"].iloc[1]) and "n_agq 1 and 5" in table["note"].iloc[1]


def test_column_spaces():
    from glmmcore.inference.nested_effects import spans

    x = np.random.default_rng(1).normal(size=(20, 2))
    one, none = np.ones((20, 1)), np.zeros((20, 0))
    assert spans(x, x @ np.array([[1e8], [-3.0]]))
    assert not spans(x, one)
    assert spans(one, none) and not spans(none, one)
    assert spans(np.hstack([one, x, np.zeros((20, 1))]), x + one)


def test_type_three_is_that_of_sums_to_zero():
    """The same model with sum-to-zero contrasts: its type III hypotheses are single coefficients."""
    rng = np.random.default_rng(17)
    n = 90
    d = pd.DataFrame({"f": rng.choice(list("abc"), n), "h": rng.choice(list("uv"), n, p=[0.7, 0.3])})
    d["x"], d["z"], d["g"] = rng.normal(2.0, 1.0, n), rng.normal(size=n), rng.integers(0, 12, n)
    d["y"] = d["x"] * (d["f"] == "b") + rng.normal(size=12)[d["g"]] + rng.normal(size=n)
    d["c"] = rng.poisson(np.exp(0.5 + 0.2 * d["z"]))
    own = wald_tests(glmm("y ~ f * h + f * x + z + (1|g)", d, reml=True), kind="III")
    sums = glmm("y ~ C(f, contr.sum) * C(h, contr.sum) + C(f, contr.sum) * x + z + (1|g)", d, reml=True)
    terms = sums.design.predictors["cond"].column_terms
    for label, row in own.iterrows():
        factors = {{"f": "C(f, contr.sum)", "h": "C(h, contr.sum)"}.get(v, v) for v in label.split(":")}
        at = [j for j, term in enumerate(terms) if set(term) == factors]
        f, q, df = sums.satterthwaite.joint_test(np.eye(len(terms))[at], sums.params.to_numpy())
        assert (row["F"], row["df"]) == pytest.approx((f, q), rel=1e-4), label
        # Fai and Cornelius' degrees of freedom depend a little on how the hypothesis is written
        assert row["df_resid"] == pytest.approx(df, rel=1e-2 if q > 1 else 1e-3), label
    poisson = wald_tests(glmm("c ~ f * h + z", d, family="poisson"), kind="III")
    coded = glmm("c ~ C(f, contr.sum) * C(h, contr.sum) + z", d, family="poisson")
    at = [j for j, term in enumerate(coded.design.predictors["cond"].column_terms) if term == ("C(f, contr.sum)",)]
    beta, cov = coded.params.to_numpy()[at], coded.cov_params().to_numpy()[np.ix_(at, at)]
    assert poisson.loc["f", "chisq"] == pytest.approx(beta @ np.linalg.solve(cov, beta), rel=1e-4)


def test_type_three_of_empty_cells_is_refused():
    d = pd.DataFrame({"f": list("aabbcc") * 5, "h": list("uvuuuv") * 5, "y": np.arange(30.0) % 7})
    with pytest.raises(ModelError, match="combinations without rows"), pytest.warns(DataWarning):
        wald_tests(glmm("y ~ f * h", d), kind="III")


def test_aicc():
    d = pd.DataFrame({"y": [1.0, 3.0, 2.0, 6.0, 4.0, 7.0, 5.0, 9.0], "x": [0, 1] * 4})
    fits = glmm("y ~ 1", d), glmm("y ~ x", d)
    # Hurvich and Tsai (1989): AIC + 2 k (k + 1) / (n - k - 1)
    expected = [f.aic + 2 * k * (k + 1) / (8 - k - 1) for f, k in zip(fits, (2, 3), strict=True)]
    assert np.allclose(compare(*fits)["aicc"], expected)
