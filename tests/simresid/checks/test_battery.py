import numpy as np
import pandas as pd
import pytest

import simresid as sr
from simresid.checks._monte_carlo import residual_replicates
from simresid.checks.results import CheckResult, Effect


@pytest.fixture(scope="module")
def overdispersed():
    rng = np.random.default_rng(1)
    mean = rng.uniform(2, 6, 400)
    y = rng.negative_binomial(1.5, 1.5 / (1.5 + mean))
    return sr.from_simulations(rng.poisson(mean, (250, 400)), y, mean)


def test_overdispersion_is_named_with_advice(overdispersed):
    diagnosis = sr.diagnose(overdispersed)
    assert "dispersion" in diagnosis.failed
    assert diagnosis.table.loc["dispersion", "severity"] == "severe"
    assert "nbinom2" in diagnosis.summary()
    assert diagnosis.verdict.startswith("The model fails")
    assert overdispersed.test_all().table.equals(diagnosis.table)
    assert "<table" in diagnosis._repr_html_()


def test_pvalues_do_not_depend_on_the_order_of_calls(overdispersed):
    whole = sr.diagnose(overdispersed).table["pvalue"]
    rng = np.random.default_rng(1)
    mean = rng.uniform(2, 6, 400)
    y = rng.negative_binomial(1.5, 1.5 / (1.5 + mean))
    again = sr.from_simulations(rng.poisson(mean, (250, 400)), y, mean)
    assert again.heteroscedasticity_test().pvalue == whole["heteroscedasticity"]
    assert again.outlier_test().pvalue == whole["outliers"]
    assert again.dispersion_test().pvalue == whole["dispersion"]
    assert again.quantile_test().pvalue == whole["quantiles"]
    assert again.uniformity_test().pvalue == whole["uniformity"]
    assert (whole > 0).all()


def test_familywise_error(known_poisson):
    # 6 tests adjusted together; 100 right models, 4 standard errors above .05
    failures = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        mean = rng.uniform(1, 5, 60)
        res = sr.simulate_residuals(known_poisson(mean, rng.poisson(mean)), 250, rng=seed)
        table = sr.diagnose(res, n_monte_carlo=0).table
        failures += bool((table["pvalue_adjusted"] < 0.05).any())
    assert failures / 100 < 0.14


def test_trivial_departures_at_large_n_are_negligible(known_poisson):
    rng = np.random.default_rng(2)
    mean = rng.uniform(1, 5, 150_000)
    model = known_poisson(mean, rng.poisson(mean * rng.gamma(150.0, 1 / 150, mean.size)))
    diagnosis = sr.diagnose(sr.simulate_residuals(model, 100))
    assert diagnosis.table.loc["dispersion", "pvalue"] < 0.05
    assert diagnosis.failed == []
    assert "negligible" in diagnosis.verdict


def test_simulation_pvalues_survive_adjustment_for_many_tests(overdispersed):
    rng = np.random.default_rng(3)
    many = {f"x{j}": rng.random(400) for j in range(20)}
    diagnosis = sr.diagnose(overdispersed, predictors=many, n_monte_carlo=0)
    assert len(diagnosis.table) == 26 - (not (overdispersed.observed == 0).any())
    assert diagnosis.table.loc["dispersion", "pvalue"] == 2 / 251
    assert (diagnosis.table["pvalue_adjusted"] >= diagnosis.table["pvalue"]).all()
    assert "dispersion" in diagnosis.failed


def test_binary_responses_skip_what_they_cannot_show():
    rng = np.random.default_rng(4)
    y = rng.binomial(1, 0.4, 100)
    diagnosis = sr.diagnose(sr.from_simulations(rng.binomial(1, 0.4, (99, 100)), y))
    assert "dispersion" not in diagnosis.results
    assert "recalculate" in diagnosis.notes[0]


def test_zeros_are_tested_where_data_or_some_simulation_have_any():
    rng = np.random.default_rng(10)
    simulated, y = 5 + rng.poisson(2, (99, 60)), 5 + rng.poisson(2, 60)
    assert "zero inflation" not in sr.diagnose(sr.from_simulations(simulated, y), n_monte_carlo=0).results
    simulated[7, 3] = 0
    assert "zero inflation" in sr.diagnose(sr.from_simulations(simulated, y), n_monte_carlo=0).results
    simulated[7, 3], y[4] = 5, 0
    assert "zero inflation" in sr.diagnose(sr.from_simulations(simulated, y), n_monte_carlo=0).results


def test_optional_tests_run(overdispersed):
    rng = np.random.default_rng(5)
    n = 400
    diagnosis = sr.diagnose(
        overdispersed,
        categories={"site": rng.choice(list("abc"), n)},
        time=rng.permutation(n),
        x=rng.random(n),
        y=rng.random(n),
        n_monte_carlo=0,
    )
    assert {"categories of site", "temporal autocorrelation", "spatial autocorrelation"} <= set(diagnosis.results)
    with pytest.raises(ValueError, match="both x and y"):
        sr.diagnose(overdispersed, x=rng.random(n))


def test_predictors_come_in_any_shape(overdispersed):
    rng = np.random.default_rng(7)
    mean = rng.uniform(2, 6, 60)
    frame = pd.DataFrame({"a": rng.random(60), "b": rng.random(60)})
    res = sr.from_simulations(rng.poisson(mean, (99, 60)), rng.poisson(mean), mean, data=frame)
    wanted = {f"quantiles along {name}": res.quantile_test(frame[name]).pvalue for name in frame}
    for predictors in (frame, {"a": frame["a"], "b": frame["b"].to_numpy()}, ["a", "b"], ("a", "b")):
        table = sr.diagnose(res, predictors=predictors, n_monte_carlo=0).table
        assert table.loc[list(wanted), "pvalue"].tolist() == list(wanted.values())
    alone = sr.diagnose(res, predictors=frame["b"], n_monte_carlo=0)
    assert alone.table.loc["quantiles along b", "pvalue"] == wanted["quantiles along b"]
    assert alone.to_frame() is alone.table
    unnamed = sr.diagnose(res, predictors=frame["b"].to_numpy(), n_monte_carlo=0)
    assert unnamed.table.loc["quantiles along predictor", "pvalue"] == wanted["quantiles along b"]


@pytest.mark.parametrize("method", ["rank", "pit"])
def test_resampled_residuals_scatter_as_binomial_fractions(method):
    # 2000 resamplings: the mean of a row is its residual, its variance u (1 - u) / M and that of the ties
    rng = np.random.default_rng(9)
    res = sr.from_simulations(rng.normal(size=(80, 12)), rng.normal(size=12), method=method)
    replicates = residual_replicates(res, 2000)
    below = np.mean(res.simulated < res.observed, axis=0)
    m = 81 if method == "rank" else 80
    shift = 0.5 if method == "rank" else 0.0
    np.testing.assert_allclose(replicates.mean(axis=0), (80 * below + shift) / m, atol=5 * 0.5 / np.sqrt(80 * 2000))
    variance = 80 * below * (1 - below) / m**2 + (1 / 12 / m**2 if method == "rank" else 0.0)
    np.testing.assert_allclose(replicates.var(axis=0), variance, rtol=0.15, atol=1e-12)


def test_monte_carlo_error_is_that_of_repeated_simulation():
    # spread of the p-value over 40 fresh sets of simulations against its estimate from one set
    rng = np.random.default_rng(6)
    y = rng.normal(0.12, 1, 200)
    p, estimates = [], []
    for _ in range(40):
        res = sr.from_simulations(rng.normal(size=(100, 200)), y, rng=int(rng.integers(2**31)))
        p.append(sr.uniformity_test(res).pvalue)
        replicates = residual_replicates(res, 20)
        estimates.append(np.std([sr.uniformity_test(u).pvalue for u in replicates], ddof=1))
    assert np.median(estimates) == pytest.approx(np.std(p), rel=0.5)


def test_severity_uses_the_log_scale_for_ratios():
    assert Effect("dispersion ratio", 1.05, 1.0).severity == "negligible"
    assert Effect("dispersion ratio", 1 / 1.3, 1.0).severity == "moderate"
    assert Effect("dispersion ratio", 0.0, 1.0).severity == "severe"
    assert Effect("autocorrelation", -0.3, 0.0).severity == "severe"


def test_results_print_and_unpack(overdispersed):
    result = sr.dispersion_test(overdispersed)
    statistic, pvalue = result
    assert (statistic, pvalue) == (result.statistic, result.pvalue)
    assert repr(result).startswith("<DispersionResult: dispersion")
    frame = result.to_frame()
    assert frame.loc[0, "severity"] == "severe"
    assert "<table" in result._repr_html_()
    with pytest.raises(AttributeError):
        result.pvalue = 1.0


def test_notes_cannot_inject_markup_into_notebooks():
    result = CheckResult(statistic=1.0, pvalue=0.5, alternative="greater", method="m", n_obs=3, notes=("level <b>",))
    assert "<b>" not in result._repr_html_()
    assert "level &lt;b&gt;" in result._repr_html_()
