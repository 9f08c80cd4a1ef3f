import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

import glmmcore
import simresid as sr
from glmmcore import ModelError, glmm
from simresid.checks._dispersion_simulated import _given_total, _stretch, squared_deviation_ratio


def poisson_glm(y, x):
    return sm.GLM(y, sm.add_constant(x), family=sm.families.Poisson()).fit()


def test_ratio_and_pvalue_by_hand(known_poisson):
    rng = np.random.default_rng(1)
    mean = rng.uniform(1, 6, 80)
    model = known_poisson(mean, rng.poisson(mean))
    res = sr.simulate_residuals(model, 99)
    squared = ((res.simulated - mean) ** 2).sum(axis=1)
    own = ((model.observed - mean) ** 2).sum()
    result = sr.dispersion_test(res, "greater")
    assert result.statistic == pytest.approx(own / squared.mean(), rel=1e-12)
    assert result.pvalue == (1 + np.sum(squared >= own)) / 100
    assert result.correction == "effective degrees of freedom"


def test_streaming_gives_the_same_numbers(known_poisson):
    rng = np.random.default_rng(2)
    model = known_poisson(np.full(60, 3.0), rng.poisson(3, 60))
    kept = sr.dispersion_test(sr.simulate_residuals(model, 99, keep_simulations=True))
    streamed = sr.dispersion_test(sr.simulate_residuals(model, 99, keep_simulations=False))
    assert (kept.statistic, kept.pvalue) == (streamed.statistic, streamed.pvalue)


def test_leverage_is_divided_out():
    ratio, _ = squared_deviation_ratio(np.array([3.0, 0.0]), np.array([1.0, 1.0]), np.ones(2), np.full(2, 0.5))
    assert ratio == 5.0


@pytest.mark.parametrize("grouped", [False, True])
def test_variance_is_averaged_over_the_random_effects(grouped):
    data = sr.create_data(120, n_groups=12, family="nbinom2", dispersion=1.5, intercept=1.0, rng=3)
    fit = glmmcore.glmm("observed ~ x1 + (1|group)", data, "nbinom2")
    res, codes = sr.simulate_residuals(fit, 99), np.arange(120)
    if grouped:
        codes = np.arange(120) % 40
        res = res.recalculate(group=codes)
    total = [np.bincount(codes, weights=v) for v in (fit.expected_variance(), fit.variance())]
    h = np.bincount(codes, weights=fit.leverage) if not grouped else fit.group_leverage(codes)
    mean = np.bincount(codes, weights=fit.fitted)
    simulated = np.mean(np.sum((res.simulated - mean) ** 2, axis=1)) / np.sum(total[1])
    expected = np.sum((res.observed - mean) ** 2) / np.sum(total[0] * (1 - h)) / simulated
    assert np.sum(total[0]) > 1.05 * np.sum(total[1])
    assert sr.dispersion_test(res, null="simulated").statistic == pytest.approx(expected, rel=1e-9)


def test_stretch_is_that_of_the_degrees_of_freedom():
    # n squares of normal variables against n - edf of them
    variance, h = np.full(40, 3.0), np.full(40, 0.25)
    assert _stretch(variance, variance, h, 2 / 40) == pytest.approx(np.sqrt(40 / 30), rel=1e-12)
    assert _stretch(variance, variance, h, 1000.0) == 1.0  # a fit takes away from fourth cumulants
    assert _stretch(variance, variance, np.zeros(40), 3 / 40) == pytest.approx(1.0, rel=1e-12)


def test_given_the_total_as_in_the_score_test():
    # Poisson counts of mean m: sum (2 m^2 + m) before, sum 2 m^2 after; 20 000 replicates, errors of 1 %
    rng, mean = np.random.default_rng(2), np.linspace(0.5, 3, 60)
    y = rng.poisson(mean, (20_000, 60))
    squared, total = np.sum((y - mean) ** 2, axis=1), np.sum(y - mean, axis=1)
    assert np.var(squared) == pytest.approx(np.sum(2 * mean**2 + mean), rel=0.05)
    assert np.var(_given_total(squared, total, 0.0)) == pytest.approx(np.sum(2 * mean**2), rel=0.05)
    np.testing.assert_array_equal(_given_total(squared, total, 1e3), squared)


@pytest.mark.parametrize(
    ("arguments", "formula"),
    [
        ({"family": "nbinom2", "dispersion": 1.5, "intercept": 1.0}, "observed ~ x1 + (1|group)"),
        ({"family": "binomial", "trials": 10, "random_effect_sd": 2.0}, "cbind(successes, failures) ~ x1 + (1|group)"),
    ],
)
def test_size_in_small_groups(arguments, formula):
    # groups of 3. At the fitted random effects 'greater' rejects 21 % for nbinom2, 'less' 15 % for 10 trials;
    # 200 replicates: four standard errors above .06 are .13
    p = []
    for seed in range(200):
        data = sr.create_data(99, n_groups=33, rng=seed, **arguments)
        res = sr.simulate_residuals(glmmcore.glmm(formula, data, arguments["family"]), 99, rng=seed)
        p.append([sr.dispersion_test(res, side, null="simulated").pvalue for side in ("two-sided", "greater", "less")])
    assert np.all(np.mean(np.array(p) <= 0.05, axis=0) < 0.13)


def test_error_of_the_ratio_covers():
    # coverage of ratio * exp(+-1.96 error) for gamma-mixed Poisson data with a known ratio; 400 replicates
    rng = np.random.default_rng(3)
    mean, n = 4.0, 300
    hits = 0
    for _ in range(400):
        y = rng.poisson(mean * rng.gamma(4.0, 0.25, n))  # variance 4 + 16/4
        ratio, error = squared_deviation_ratio(y, np.full(n, mean), np.full(n, mean), np.zeros(n))
        hits += ratio * np.exp(-1.96 * error) < 2.0 < ratio * np.exp(1.96 * error)
    assert 0.90 < hits / 400 < 0.98


def test_pearson_method_equals_r(dharma):
    want = dharma["dispersion_pearson"]
    y = np.array(dharma["observed"], dtype=float)
    pearson, df = np.array(want["pearson_residuals"]), want["df_residual"]

    class Fit:
        observed, fitted, nobs = y, np.array(dharma["fitted"]), y.size
        resid_pearson, edf = pearson, y.size - df

        def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
            return np.tile(self.observed, (n_sims, 1))

    res = sr.simulate_residuals(Fit(), 20)
    for alternative in ("two-sided", "greater", "less"):
        got = sr.dispersion_test(res, alternative, "pearson")
        assert got.statistic == pytest.approx(want[alternative]["statistic"], rel=1e-8)
        assert got.pvalue == pytest.approx(want[alternative]["pvalue"], rel=1e-6, abs=1e-300)


def test_k_of_n_is_compared_on_the_count_scale():
    # beta-binomial data: DHARMa subtracts a probability from a count and reports about 1
    rng = np.random.default_rng(4)
    trials, n = 20, 120
    y = rng.binomial(trials, rng.beta(1.0, 1.0, n))
    fit = sm.GLM(np.column_stack([y, trials - y]), np.ones((n, 1)), family=sm.families.Binomial()).fit()
    result = sr.dispersion_test(sr.simulate_residuals(fit))
    p = y.mean() / trials
    assert result.statistic == pytest.approx(y.var() / (trials * p * (1 - p)) * n / (n - 1), rel=0.05)
    assert result.statistic > 5


def test_pearson_of_a_selection_is_that_of_its_rows():
    rng = np.random.default_rng(3)
    half = np.repeat(["right", "wrong"], 200)
    data = pd.DataFrame({"x": rng.normal(size=400), "half": half})
    mean = np.exp(1 + 0.3 * data["x"])
    data["y"] = np.where(half == "right", rng.poisson(mean), rng.negative_binomial(1, 1 / (1 + mean)))
    fits = glmm("y ~ x + half", data, "poisson"), smf.glm("y ~ x + half", data, family=sm.families.Poisson()).fit()
    # leverage of a row, by the definition of the hat matrix
    design = np.column_stack([np.ones(400), data["x"], half == "wrong"])
    weight = fits[0].fitted[:, None]
    hat = np.sum(design * np.linalg.solve(design.T @ (weight * design), design.T).T, axis=1) * weight[:, 0]
    for fit in fits:
        res = sr.simulate_residuals(fit)
        for name in ("right", "wrong"):
            rows = half == name
            squared = (data["y"][rows] - fits[0].fitted[rows]) ** 2 / fits[0].fitted[rows]
            result = res.recalculate(select=rows).dispersion_test(method="pearson")
            # models that know no leverage spread the parameters evenly: 1.5 for the hat matrix's 1.6 of 200
            assert result.statistic == pytest.approx(squared.sum() / (200 - hat[rows].sum()), rel=2e-3)
            assert (result.pvalue < 0.01) == (name == "wrong")
    with pytest.raises(ValueError, match="not a selection"):
        res.recalculate(select=half == "right").dispersion_test(method="refit")


def test_rows_without_trials_have_a_place():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"x": rng.normal(size=120), "n": rng.integers(0, 5, 120)})
    data["k"] = rng.binomial(data["n"], 1 / (1 + np.exp(-data["x"])))
    assert (data["n"] == 0).sum() > 10
    res = sr.simulate_residuals(glmm("cbind(k, n - k) ~ x", data, "binomial"))
    assert res.quantile_test().pvalue > 0.01
    assert not res.diagnose().failed
    sr.plot_residuals(res)


def test_groups_are_compared_as_groups():
    rng = np.random.default_rng(5)
    group = np.repeat(np.arange(40), 10)
    p = 1 / (1 + np.exp(-2 * rng.standard_normal(40)))
    y = rng.binomial(1, p[group])
    res = sr.from_simulations(rng.binomial(1, y.mean(), (250, 400)), y, np.full(400, y.mean()))
    assert sr.dispersion_test(res).pvalue > 0.05  # 0/1 data cannot show it
    grouped = sr.dispersion_test(res.recalculate(group=group), null="simulated")
    assert grouped.n_obs == 40
    assert grouped.statistic > 2
    assert grouped.pvalue == 2 / 251


def test_new_random_effects_do_not_drown_overdispersion(known_poisson):
    rng = np.random.default_rng(6)
    codes = np.repeat(np.arange(20), 10)
    b = rng.standard_normal(20)
    y = rng.poisson(3 * np.exp(b[codes] + 0.5 * rng.standard_normal(200)))
    model = known_poisson(np.full(200, 3.0), y, codes, 1.0, b)
    res = sr.simulate_residuals(model, random_effects="unconditional")
    result = sr.dispersion_test(res, null="simulated")
    assert result.pvalue < 0.02
    assert "given the fitted random effects" in result.notes[0]
    assert sr.dispersion_test(res, method="dharma").pvalue > 0.1


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_size_for_a_fitted_glm(alternative):
    # 300 replicates of 60 rows with 3 coefficients; 4 standard errors above .05 are .10
    rng = np.random.default_rng(7)
    p = []
    for seed in range(300):
        x = rng.normal(size=(60, 2))
        y = rng.poisson(np.exp(1 + x @ [0.3, -0.3]))
        p.append(
            sr.dispersion_test(
                sr.simulate_residuals(poisson_glm(y, x), 99, rng=seed), alternative, null="simulated"
            ).pvalue
        )
    assert 0.01 < np.mean(np.array(p) <= 0.05) < 0.10


def test_refit_holds_and_repeats():
    rng = np.random.default_rng(8)
    x = rng.normal(size=50)
    y = rng.negative_binomial(1, 1 / (1 + np.exp(1 + 0.3 * x)))
    res = sr.simulate_residuals(poisson_glm(y, x), 99)
    first = sr.dispersion_test(res, method="refit", n_refits=39)
    assert first.pvalue == 2 / 40
    assert sr.dispersion_test(res, method="refit", n_refits=39).statistic == first.statistic
    assert first.statistic > 1.5


def test_interval_and_advice():
    rng = np.random.default_rng(9)
    y = rng.negative_binomial(2, 2 / 12, 400)
    res = sr.from_simulations(rng.poisson(10, (250, 400)), y, np.full(400, 10.0))
    result = sr.dispersion_test(res)
    assert result.conf_int[0] < 6 < result.conf_int[1]  # 1 + 10/2
    assert "overdispersed" in result.advice()
    assert "nbinom2" in result.advice()
    assert result.effect.severity == "severe"


def test_clear_errors():
    with pytest.raises(TypeError, match="needs simulations"):
        sr.dispersion_test(np.array([0.2, 0.4]))
    data = sr.create_data(120, n_groups=12, intercept=1.0, rng=1)
    data["observed"] = data["expected"] + np.random.default_rng(1).standard_cauchy(120)
    heavy = glmmcore.glmm("observed ~ x1", data, "t")
    assert np.isinf(heavy.variance()).all()  # at most 2 degrees of freedom
    with pytest.raises(ValueError, match="not finite in some rows"):
        sr.dispersion_test(sr.simulate_residuals(heavy, 20))
    constant = sr.from_simulations(np.ones((30, 5)), np.ones(5), np.ones(5))
    with pytest.raises(ValueError, match="do not vary"):
        sr.dispersion_test(constant)
    res = sr.from_simulations(np.random.default_rng(1).normal(size=(30, 5)), np.zeros(5))
    with pytest.raises(ValueError, match="Pearson"):
        sr.dispersion_test(res, method="pearson")
    with pytest.raises(ValueError, match="refit"):
        sr.dispersion_test(res, method="refit")
    with pytest.raises(ValueError, match="method='deviance'"):
        sr.dispersion_test(res, method="deviance")


@pytest.mark.parametrize("unit", [1e-290, 1e-150, 1e-100, 1e-9, 1e100, 1e150, 1e290])
@pytest.mark.parametrize("method", ["conditional", "dharma"])
def test_ratios_have_no_unit(unit, method):
    """Fourth powers of 1e100 overflow, squares of 1e-200 vanish."""
    rng = np.random.default_rng(61)
    mean = rng.normal(size=120)
    simulated, observed = mean + rng.normal(size=(99, 120)), mean + 1.3 * rng.normal(size=120)
    wanted = sr.dispersion_test(sr.from_simulations(simulated, observed, mean), method=method)
    found = sr.dispersion_test(sr.from_simulations(simulated * unit, observed * unit, mean * unit), method=method)
    assert found.pvalue == wanted.pvalue
    assert (found.statistic, *found.conf_int) == pytest.approx((wanted.statistic, *wanted.conf_int), rel=1e-9)


@pytest.mark.parametrize("unit", [1e-120, 1e120])
def test_ratios_of_fits_have_no_unit(unit):
    rng = np.random.default_rng(62)
    d = pd.DataFrame({"x": rng.normal(size=90), "pen": np.repeat(np.arange(15), 6)})
    d["gain"] = 2 + d["x"] + rng.normal(size=15)[d["pen"]] + rng.normal(size=90)
    ratios = []
    for factor in (1.0, unit):
        fit = glmm("gain ~ x + (1|pen)", d.assign(gain=d["gain"] * factor))
        for res in (sr.simulate_residuals(fit, 99), sr.simulate_residuals(fit, 99).recalculate(group="pen")):
            ratios.append(res.dispersion_test(null="analytic").statistic)
    assert ratios[2:] == pytest.approx(ratios[:2], rel=1e-3)  # as far as the optimum of the variances is found


@pytest.mark.parametrize("weight", [1e-300, 1e-160, 1e160, 1e300])
def test_extreme_weights_are_no_reason_to_fail(weight):
    """Variances from 1e-300 to 1 in one sum, whose squares overflow."""
    rng = np.random.default_rng(63)
    d = pd.DataFrame({"x": rng.normal(size=50), "w": np.where(np.arange(50) == 7, weight, 1.0)})
    d["y"] = 1 + d["x"] + rng.normal(size=50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = sr.simulate_residuals(smf.wls("y ~ x", d, weights=d["w"]).fit(), 60).dispersion_test()
    assert np.isfinite(result.statistic)
    assert result.statistic > 0
    assert 0 < result.pvalue <= 1 or "fixes this ratio" in result.summary()
    with pytest.raises(ModelError, match="divide them by their mean"):
        glmm("y ~ x", d, var_weights="w")
