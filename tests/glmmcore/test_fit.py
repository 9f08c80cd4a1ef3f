"""`glmm` end to end: equivalences that need no reference, special cases, errors."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from glmmcore import DataWarning, ModelError, fit_many, glmm
from glmmcore.estimation import laplace
from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.laplace import LaplaceObjective
from glmmcore.families import get_family
from glmmcore.formula import build_design
from simresid import datasets

# Two fits of one model agree to the optimiser's expected decrease of 1e-9 in the log-likelihood.
SAME_LLF = 1e-7


def counts(seed=0, n=120, groups=12):
    rng = np.random.default_rng(seed)
    d = pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, groups, n), "h": rng.integers(0, 5, n)})
    mu = np.exp(0.4 + 0.3 * d["x"] + 0.5 * rng.normal(size=groups)[d["g"]])
    d["y"] = rng.negative_binomial(2.0, 2.0 / (2.0 + mu))
    d["trials"] = rng.integers(2, 9, n)
    d["k"] = rng.binomial(d["trials"], mu / (1 + mu))
    d["real"] = np.log(mu) + rng.normal(size=n)
    return d


@pytest.mark.parametrize("family", ["poisson", "nbinom2"])
def test_row_blocks_do_not_matter(family, monkeypatch):
    design = build_design("y ~ x + (x|g) + (1|h)", counts(), zi="~ x")
    problem = Estimator.build(design, get_family(family)).problem
    x = 0.3 * np.random.default_rng(1).normal(size=problem.n_params)
    whole = LaplaceObjective(problem)(x)
    monkeypatch.setattr(laplace, "CHUNK", 17)
    blocks = LaplaceObjective(problem)(x)
    np.testing.assert_allclose(blocks[0], whole[0], rtol=1e-12)
    np.testing.assert_allclose(blocks[1], whole[1], rtol=1e-9, atol=1e-9)


def test_gaussian_without_bars_is_least_squares():
    d = counts()
    fit = glmm("real ~ x + C(h)", d)
    x = np.column_stack([np.ones(len(d)), d["x"], pd.get_dummies(d["h"], drop_first=True)]).astype(float)
    beta, rss, *_ = np.linalg.lstsq(x, d["real"], rcond=None)
    sigma2 = rss[0] / len(d)
    names = ["Intercept", "x", *[c for c in fit.params.index if c.startswith("C(h)")]]
    np.testing.assert_allclose(fit.params[names], beta, rtol=1e-7)
    np.testing.assert_allclose(fit.sigma, np.sqrt(sigma2), rtol=1e-7)
    np.testing.assert_allclose(fit.llf, -0.5 * len(d) * (np.log(2 * np.pi * sigma2) + 1), rtol=1e-10)
    np.testing.assert_allclose(fit.bse[names], np.sqrt(sigma2 * np.diag(np.linalg.inv(x.T @ x))), rtol=1e-4)


def test_linear_mixed_model_equals_laplace_which_is_exact_there():
    d = counts()
    profiled = glmm("real ~ x + (x|g) + (1|h)", d)
    # a constant dispersion model takes the general route
    general = glmm("real ~ x + (x|g) + (1|h)", d, disp="~ 1")
    np.testing.assert_allclose(profiled.llf, general.llf, rtol=1e-9)
    np.testing.assert_allclose(profiled.params, general.params, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(profiled.var_corr["sd"], general.var_corr["sd"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(profiled.sigma, general.sigma, rtol=1e-5)
    np.testing.assert_allclose(profiled.disp_bse, general.disp_bse, rtol=2e-3)
    np.testing.assert_allclose(profiled.fitted, general.fitted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(profiled.edf, general.edf, rtol=1e-4)


@pytest.mark.parametrize("formula", ["real ~ x + (1|g)", "y ~ x + (x|g)"])
def test_frequency_weights_are_repeated_rows(formula):
    d = counts()
    w = np.random.default_rng(2).integers(1, 4, len(d))
    family = "gaussian" if formula.startswith("real") else "nbinom2"
    weighted = glmm(formula, d, family=family, freq_weights=w)
    repeated = glmm(formula, d.loc[d.index.repeat(w)].reset_index(drop=True), family=family)
    np.testing.assert_allclose(weighted.llf, repeated.llf, rtol=1e-9)
    # a singular fit, where differences of the gradient are good to three digits only
    np.testing.assert_allclose(weighted.bse, repeated.bse, rtol=2e-3)
    assert weighted.df_resid == repeated.df_resid


def test_variance_weights_of_profiled_and_general_route_agree():
    d = counts()
    w = np.random.default_rng(2).uniform(0.3, 3.0, len(d))
    a, b = glmm("real ~ x + (1|g)", d, var_weights=w), glmm("real ~ x + (1|g)", d, var_weights=w, disp="~ 1")
    np.testing.assert_allclose(a.llf, b.llf, rtol=1e-9)
    np.testing.assert_allclose(a.variance(), a.sigma**2 / w, rtol=1e-10)
    np.testing.assert_allclose(b.variance(), a.variance(), rtol=1e-5)


def test_bernoulli_rows_and_their_sums_differ_by_the_binomial_coefficient():
    d = counts()
    rows = [{"x": r.x, "g": r.g, "success": s} for r in d.itertuples() for s in [1] * r.k + [0] * (r.trials - r.k)]
    single = glmm("success ~ x + (1|g)", pd.DataFrame(rows), family="binomial")
    grouped = glmm("cbind(k, trials - k) ~ x + (1|g)", d, family="binomial")
    from scipy.special import gammaln

    constant = np.sum(gammaln(d.trials + 1) - gammaln(d.k + 1) - gammaln(d.trials - d.k + 1))
    np.testing.assert_allclose(single.llf + constant, grouped.llf, rtol=1e-9)
    by_column = glmm("k ~ x + (1|g)", d, family="binomial", trials="trials")
    np.testing.assert_allclose(by_column.llf, grouped.llf, rtol=1e-12)
    labels = pd.DataFrame(rows).assign(success=lambda t: np.where(t["success"] == 1, "yes", "no"))
    np.testing.assert_allclose(glmm("success ~ x + (1|g)", labels, family="binomial").llf, single.llf, rtol=1e-12)


def test_quadrature_approaches_the_integral():
    """One group factor: the marginal likelihood is a product of one-dimensional integrals."""
    from scipy import integrate, stats

    d = counts(groups=15)
    d["b"] = (d["k"] > d["trials"] / 2).astype(int)
    fit = glmm("b ~ x + (1|g)", d, family="binomial", n_agq=25)
    beta, sd = fit.params.to_numpy(), fit.var_corr["sd"].iloc[0]
    total = 0.0
    for _, rows in d.groupby("g"):
        eta = beta[0] + beta[1] * rows["x"].to_numpy()
        sign = 2 * rows["b"].to_numpy() - 1

        def integrand(u, eta=eta, sign=sign):
            return np.exp(-np.logaddexp(0, -sign * (eta + sd * u)).sum()) * stats.norm.pdf(u)

        total += np.log(integrate.quad(integrand, -9, 9, epsabs=0, epsrel=1e-11)[0])
    np.testing.assert_allclose(fit.llf, total, rtol=1e-7)


def test_laplace_error_is_what_quadrature_finds():
    d = counts(groups=40)
    formula = "cbind(k, trials - k) ~ x + (1|g)"
    laplace, quadrature = (glmm(formula, d, family="binomial", n_agq=n) for n in (1, 25))
    error = laplace.laplace_error()
    # the estimates of the two differ a little, and quadrature's are better by the square of that
    assert abs(error) > 1e-2
    assert 0.0 <= quadrature.llf - (laplace.llf + error) < 0.2 * abs(error)
    assert glmm("real ~ x + (1|g)", d).laplace_error() == 0.0


@pytest.mark.parametrize(
    ("formula", "family", "options"),
    [
        ("real ~ x + (x|g)", "gaussian", {}),
        ("real ~ x + (x|g)", "gaussian", {"reml": True}),
        ("y ~ x + (1|g) + (1|h)", "nbinom2", {}),
        ("y ~ x + (1|g)", "poisson", {"zi": "~ x"}),
        ("cbind(k, trials - k) ~ x + (1|g)", "binomial", {"n_agq": 5}),
        ("y ~ x", "nbinom1", {}),
    ],
)
def test_refit_of_the_observed_is_the_fit(formula, family, options):
    fit = glmm(formula, counts(), family=family, **options)
    again = fit.refit(fit.observed)
    np.testing.assert_allclose(again.llf, fit.llf, atol=SAME_LLF)
    np.testing.assert_allclose(again.params, fit.params, rtol=1e-4, atol=1e-5)
    other = fit.refit(fit.simulate(1, rng=3)[0])
    fresh = glmm(formula.replace("y ~", "y ~"), counts(), family=family, **options)
    assert abs(other.llf - fresh.llf) > 1e-3
    np.testing.assert_allclose(fit.llf, fresh.llf, atol=SAME_LLF)


@pytest.mark.parametrize(("family", "link"), [("poisson", "identity"), ("gamma", "identity"), ("gamma", "inverse")])
def test_links_whose_first_steps_leave_the_range_start_from_the_overall_mean(family, link):
    rng = np.random.default_rng(0)
    d = pd.DataFrame({"x": rng.normal(size=80), "g": rng.integers(0, 8, 80)})
    mu = np.maximum(1.0 + d["x"], 0.02)
    d["y"] = rng.poisson(mu).astype(float) if family == "poisson" else rng.gamma(2.0, mu / 2.0) + 1e-3
    fit = glmm("y ~ x + (1|g)", d, family=family, link=link)
    # rows of zero counts push the Poisson mean onto the edge of its range: no stationary point, and it says so
    assert fit.converged == (family == "gamma")
    assert any("Not converged" in s for s in fit.verdict) == (family == "poisson")
    assert np.all(fit.fitted > 0.0)
    assert fit.llf > glmm("y ~ 1", d, family=family, link=link).llf


def test_order_of_terms_does_not_matter():
    d = counts()
    terms = ["(1|g)", "(0 + x|g)", "(1|h)"]
    fits = [glmm("y ~ x + " + " + ".join(p), d, family="poisson").llf for p in itertools.permutations(terms)]
    np.testing.assert_allclose(fits, fits[0], atol=SAME_LLF)


def test_zero_variance_is_a_result_with_a_sentence():
    rng = np.random.default_rng(5)
    d = pd.DataFrame({"g": np.repeat(np.arange(20), 5), "x": rng.normal(size=100)})
    # less spread between groups than chance gives: the variance must be zero
    d["y"] = np.tile([0, 1, 2, 3, 4], 20)
    fit = glmm("y ~ x + (1|g)", d, family="poisson")
    assert fit.converged and fit.singular
    assert fit.var_corr["sd"].iloc[0] < 1e-3
    assert any("Singular fit" in s and "g" in s for s in fit.verdict)
    np.testing.assert_allclose(fit.llf, glmm("y ~ x", d, family="poisson").llf, atol=1e-6)
    assert np.all(np.isfinite(fit.bse))


def test_as_many_groups_as_rows_is_a_result_with_a_sentence():
    d = counts()
    fit = glmm("real ~ x + (1|unit)", d.assign(unit=range(len(d))))
    np.testing.assert_allclose(fit.llf, glmm("real ~ x", d).llf, atol=1e-6)
    assert any("cannot be told apart" in s for s in fit.verdict)


@pytest.mark.parametrize("structure", ["homcs", "homtoep"])
def test_a_structure_that_takes_the_noise_of_every_row_is_a_result_with_a_sentence(structure):
    rng = np.random.default_rng(7)
    d = pd.DataFrame({"g": np.repeat(np.arange(30), 3), "f": np.tile(list("abc"), 30)})
    d["y"] = rng.normal(size=30)[d["g"]] + rng.normal(size=90)
    fit = glmm(f"y ~ 1 + {structure}(0 + f | g)", d)
    assert any("cannot be told apart" in s for s in fit.verdict)


def test_separation_is_a_result_with_a_sentence():
    rng = np.random.default_rng(5)
    d = pd.DataFrame({"g": np.repeat(np.arange(10), 6), "x": rng.normal(size=60), "w": rng.normal(size=60)})
    d["y"] = (d["x"] > 0).astype(int)
    fit = glmm("y ~ x + w + (1|g)", d, family="binomial")
    assert fit.converged
    assert fit.llf > -1e-3
    assert any("do not bound" in s and "x" in s for s in fit.verdict)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: glmm("y ~ x + (1|g)", d.assign(y=-1), family="poisson"), "poisson"),
        (lambda d: glmm("cbind(k, trials - k) ~ x", d, family="poisson"), "takes no trials"),
        (lambda d: glmm("k ~ x", d.assign(trials=1, k=2), family="binomial", trials="trials"), "trials"),
        (lambda d: glmm("y ~ x", d, family="poisson", disp="~ x"), "no dispersion"),
        (lambda d: glmm("y ~ x", d, family="nbinom2", disp="~ x + (1|g)"), "fixed effects only"),
        (lambda d: glmm("y ~ x", d, family="poisson", var_weights="trials"), "freq_weights"),
        (lambda d: glmm("y ~ x + (1|g)", d, family="posson"), "poisson"),
        (lambda d: glmm("y ~ x + (1|g)", d, family="poisson", link="probit"), "link"),
        (lambda d: glmm("y ~ x + (1|g) + (1|h)", d, family="poisson", n_agq=5), "one grouping factor"),
        (lambda d: glmm("y ~ x", d, family="poisson", n_agq=5), "random effects"),
        (lambda d: glmm("y ~ x + (1|g)", d, family="poisson", n_agq=0), "n_agq"),
        (lambda d: glmm("real ~ 1", d.assign(real=1.0)), "no variation"),
    ],
)
def test_contradictions_are_named(call, message):
    with pytest.raises(ModelError, match=message) as caught:
        call(counts())
    assert "\n" not in str(caught.value)


def test_simulations_have_the_moments_of_the_model():
    fit = glmm("y ~ x + (x|g) + (1|h)", counts(), family="nbinom2", zi="~ 1")
    conditional = fit.simulate(4000, rng=1)
    error = np.sqrt(fit.variance() / 4000)
    assert np.max(np.abs(conditional.mean(axis=0) - fit.fitted) / error) < 5.0
    unconditional = fit.simulate(4000, rng=2, random_effects="unconditional")
    error = unconditional.std(axis=0) / np.sqrt(4000)
    assert np.max(np.abs(unconditional.mean(axis=0) - fit.population_mean()) / error) < 5.0
    partly = fit.simulate(5, rng=3, random_effects=["h"])
    assert partly.shape == (5, fit.nobs)
    with pytest.raises(ModelError, match="no group 'q'"):
        fit.simulate(5, random_effects=["q"])
    np.testing.assert_array_equal(fit.simulate(3, rng=7), fit.simulate(3, rng=7))


def test_cdf_brackets_the_observation():
    for formula, family in (("y ~ x + (1|g)", "nbinom2"), ("real ~ x + (1|g)", "gaussian")):
        fit = glmm(formula, counts(), family=family)
        lower, upper = fit.cdf()
        assert np.all((lower >= 0) & (upper <= 1) & (lower <= upper))
        assert np.all(lower < upper) == (family == "nbinom2")


def test_refits_in_threads_do_not_disturb_each_other():
    from concurrent.futures import ThreadPoolExecutor

    fit = glmm("y ~ x + (x|g) + (1|h)", counts(n=400), family="poisson")
    responses = fit.simulate(16, rng=1)
    one_by_one = [fit.refit(y).llf for y in responses]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda y: fit.refit(y).llf, responses))
    assert together == one_by_one


@pytest.mark.parametrize("family", ["binomial", "betabinomial"])
def test_trials_given_as_frequency_weights_are_refused(family):
    """R's ``glm(k/n ~ x, weights = n)``: repeated rows of a proportion have no law."""
    rng = np.random.default_rng(21)
    d = pd.DataFrame({"dose": rng.uniform(0, 4, 40), "insects": rng.integers(4, 15, 40)})
    d["share"] = rng.binomial(d["insects"], 0.4) / d["insects"]
    with pytest.raises(ModelError, match=r"proportions.*pass the numbers of trials as trials="):
        glmm("share ~ dose", d, family=family, freq_weights="insects")
    assert glmm("share ~ dose", d, family=family, trials="insects").trials is not None
    yes = d.assign(dead=(d["share"] > 0.4).astype(int))
    assert glmm("dead ~ dose", yes, family="binomial", freq_weights="insects").nobs == 40  # 0/1 rows may be repeated


def test_frequency_weights_that_are_not_whole_are_refused():
    rng = np.random.default_rng(22)
    d = pd.DataFrame({"y": rng.poisson(3, 30), "z": rng.normal(size=30)}, index=[f"plot{i}" for i in range(30)])
    weights = np.ones(30)
    weights[[4, 9]] = 2.5, 0.7
    for family in ("poisson", "gaussian"):
        with pytest.raises(ModelError, match=r"whole numbers.*2\.5 in row .*plot4"):
            glmm("y ~ z", d, family=family, freq_weights=weights)
    many = fit_many("y ~ z", d.assign(part=np.arange(30) % 2), "poisson", by="part", freq_weights=weights)
    assert ["whole numbers" in error for error in many.error] == [True, True]


@pytest.mark.parametrize("reml", [False, True])
def test_a_gaussian_without_any_coefficient(reml):
    """Mean zero: the maximum is in closed form, and REML has nothing to integrate."""
    y = np.array([0.3, -1.2, 0.8, 2.1, -0.4])
    fit = glmm("y ~ 0", {"y": y}, reml=reml)
    np.testing.assert_allclose(fit.llf, stats.norm.logpdf(y, 0.0, np.sqrt(np.mean(y**2))).sum(), rtol=1e-12)


@pytest.mark.parametrize("dtype", [">f8", ">i4", ">u2"])
def test_columns_in_the_byte_order_of_other_machines(dtype):
    rng = np.random.default_rng(5)
    data = {"k": rng.poisson(2, 60), "x": rng.integers(0, 5, 60), "h": rng.integers(0, 6, 60)}
    foreign = {name: values.astype(dtype) for name, values in data.items()}
    formula = "k ~ x + scale(x) + C(x) + (1 | h)"
    with pytest.warns(DataWarning, match="whole numbers"), pytest.warns(DataWarning, match="dropped"):
        fits = [glmm(formula, one, "poisson", offset="x") for one in (data, foreign)]
    assert fits[0].llf == fits[1].llf
    np.testing.assert_array_equal(fits[0].predict(foreign), fits[1].predict(data))


@pytest.mark.parametrize("offset", [800.0, -1e8, "mixed"])
def test_extreme_offsets_give_no_warnings_of_numpy(offset):
    """Warnings are errors in these tests."""
    rng = np.random.default_rng(5)
    data = {"k": rng.poisson(2, 40), "x": rng.normal(size=40)}
    values = np.where(np.arange(40) % 2, 800.0, -800.0) if offset == "mixed" else np.full(40, offset)
    assert glmm("k ~ x", data, "poisson", offset=values).nobs == 40


def test_combined_groups_are_named_in_any_order():
    rng = np.random.default_rng(5)
    data = {"y": rng.normal(size=60), "a": np.arange(60) % 5, "b": np.arange(60) // 12}
    fit = glmm("y ~ 1 + (1 | a:b)", data)
    one, other = (fit.simulate(3, rng=1, random_effects=[name]) for name in ("a:b", "b:a"))
    np.testing.assert_array_equal(one, other)


# ---- REML of links that are not defined at zero: glmmTMB 1.1.5, REML=TRUE ---------------------------------
UNRULY = [
    (
        "count ~ mined + (1|site)", "salamanders", "poisson", "sqrt",
        -1103.185791, [1.484585772, -1.010466349], [0.07788510606, 0.1129828260], 0.2526533816,
    ),
    (
        "I(Reaction / 100) ~ Days + (1|Subject)", "sleepstudy", "gamma", "inverse",
        -59.92682160, [0.3957775911, -0.01161007355], [0.01193930955, 0.0008105018795], 0.04647153521,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "name", "family", "link", "llf", "params", "errors", "sd"), UNRULY)
def test_reml_with_links_not_defined_at_zero(formula, name, family, link, llf, params, errors, sd):
    fit = glmm(formula, datasets.load(name), family, link=link, reml=True)
    assert fit.converged
    assert fit.llf == pytest.approx(llf, abs=1e-5)
    assert fit.params.to_numpy() == pytest.approx(params, rel=1e-5)
    assert fit.bse.to_numpy() == pytest.approx(errors, rel=1e-4)
    assert fit.var_corr["sd"][0] == pytest.approx(sd, rel=1e-4)
