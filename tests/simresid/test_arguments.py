"""What is no word, number or object of the right kind is refused by name; combinations of columns stay apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import simresid
from glmmcore import fit_many, glmm
from simresid import categorical_test, diagnose, from_simulations, screen, simulate_residuals, simulated_lrt
from simresid.plots.style import rank_ticks
from simresid.teaching.benchmarking import benchmark_tests


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(7)
    d = pd.DataFrame({"site": np.tile(np.repeat([1, 2, 3], 8), 4), "region": np.repeat(list("nesw"), 24)})
    d["day"], d["x"] = np.tile(np.arange(8), 12), rng.normal(size=96)
    d["y"] = rng.poisson(np.exp(0.5 + 0.3 * d["x"]))
    return d


@pytest.fixture(scope="module")
def res(table):
    return simulate_residuals(glmm("y ~ x", table, family="poisson"), 100)


NONSENSE = (pd.NA, np.array([1, 2]), pd.Series([1.0, 2.0]), [[1], [2, 3]], {}, object(), 1.5, "nonsense")


@pytest.mark.parametrize("value", NONSENSE, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda r, v: r.uniformity_test(v), "alternative"),
        (lambda r, v: r.uniformity_test(method=v), "method"),
        (lambda r, v: r.uniformity_test(null=v), "null"),
        (lambda r, v: r.uniformity_test(n_refits=v), "n_refits"),
        (lambda r, v: r.dispersion_test(method=v), "method"),
        (lambda r, v: r.dispersion_test(method="refit", n_refits=v), "n_refits"),
        (lambda r, v: r.outlier_test(margin=v), "margin"),
        (lambda r, v: r.outlier_test(method="bootstrap", n_boot=v), "n_boot"),
        (lambda r, v: r.statistic_test(np.max, of=v), "of"),
        (lambda r, v: r.temporal_autocorrelation_test("day", method=v), "method"),
        (lambda r, v: r.temporal_autocorrelation_test("day", exact=v), "exact"),
        (lambda r, v: r.temporal_autocorrelation_test("day", method="ljung-box", lags=v), "lags"),
        (lambda r, v: r.spatial_autocorrelation_test("x", "day", weights=v), "weights"),
        (lambda r, v: r.spatial_autocorrelation_test("x", "day", k=v), "k must"),
        (lambda r, v: r.spatial_autocorrelation_test("x", "day", null=v), "null"),
        (lambda r, v: r.dispersion_test(null=v), "null"),
        (lambda r, v: r.categorical_test("site", null=v), "null"),
        (lambda r, v: r.diagnose(n_monte_carlo=v), "n_monte_carlo"),
        (lambda r, v: r.recalculate("site", aggregate=v), "aggregate"),
        (lambda r, v: simulated_lrt(r.model, r.model, v), "n_sims"),
        (lambda r, v: simulate_residuals(r.model, keep_simulations=v), "keep_simulations"),
        (lambda r, v: simulate_residuals(r.model, method=v), "method"),
    ],
)
def test_nonsense_is_refused_by_name(res, call, name, value):
    with pytest.raises(ValueError, match=name):
        call(res, value)


def test_numbers_that_would_never_end_are_refused(res):
    for call in (
        lambda: res.uniformity_test(n_refits=2**63),
        lambda: res.dispersion_test(method="refit", n_refits=10**9),
        lambda: res.outlier_test(method="bootstrap", n_boot=2**70),
        lambda: res.diagnose(n_monte_carlo=10**8),
        lambda: simulated_lrt(res.model, res.model, 10**12),
    ):
        with pytest.raises(ValueError, match="must be at most 1,000,000"):
            call()


@pytest.mark.parametrize("timeout", [np.inf, 1e300, 10**400, 1e10])
def test_times_beyond_any_clock_are_no_limit(res, timeout):
    limited = simulate_residuals(res.model, 20, timeout=timeout)
    np.testing.assert_array_equal(limited.residuals, simulate_residuals(res.model, 20, timeout=60).residuals)


@pytest.mark.parametrize("timeout", [-1, 0, np.nan, "soon", len, [1.0], True])
def test_times_are_positive_numbers(res, timeout):
    with pytest.raises(ValueError, match="timeout"):
        simulate_residuals(res.model, 20, timeout=timeout)


@pytest.mark.parametrize("models", ["y ~ x", 3, np.array(5.0), len])
def test_a_screen_takes_many_models(models):
    with pytest.raises(TypeError, match="screen takes many models"):
        screen(models)


def test_a_screen_of_one_fit_is_told_how(res):
    with pytest.raises(TypeError, match="screen takes many models, such as"):
        screen(res.model)


def test_data_of_simulations_are_a_frame():
    with pytest.raises(TypeError, match="data must be a pandas DataFrame"):
        from_simulations(np.ones((20, 3)), np.ones(3), data=7)


def test_responses_whose_sums_overflow_are_refused():
    draws = np.random.default_rng(1).normal(size=(20, 30))
    with pytest.raises(ValueError, match="divide by a unit"):
        from_simulations(draws * 1e305, draws[0])
    with pytest.raises(ValueError, match="divide by a unit"):
        from_simulations(draws, draws[0] * 1e305)
    assert from_simulations(draws * 1e299, draws[1] * 1e299).n_obs == 30


@pytest.mark.parametrize("ax", [0.5, "ax", np.zeros(2)])
def test_axes_of_figures_are_axes(res, ax):
    with pytest.raises(TypeError, match="ax= takes Axes"):
        simresid.plot_qq(res, ax)


def test_a_list_of_unequal_items_is_no_column(res):
    with pytest.raises(ValueError, match="one value for each row"):
        simresid.influence(glmm("y ~ x", pd.DataFrame({"y": [1, 2, 3], "x": [0, 1, 3]})), [1, [2]])


def test_several_columns_are_given_by_name_or_by_value():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"region": rng.choice(["n", "s"], 60), "site": rng.integers(1, 4, 60)}, index=np.arange(60) + 7)
    res = from_simulations(rng.normal(size=(20, 60)), rng.normal(size=60), data=data)
    named = res.recalculate(group=["region", "site"]).observed
    shuffled = data.sample(frac=1.0, random_state=1)
    for group in ([data["region"], data["site"]], data[["region", "site"]], shuffled[["region", "site"]]):
        assert np.array_equal(res.recalculate(group=group).observed, named)
    assert np.array_equal(
        res.recalculate(group=data[["site"]]).observed, res.recalculate(group=[data["site"]]).observed
    )
    with pytest.raises(ValueError, match="group has 30 values but there are 60 residuals"):
        res.recalculate(group=[data["region"], data["site"].iloc[:30]])


def test_advice_on_spread_is_code_with_the_column():
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.uniform(0, 3, 300), "my col": rng.normal(size=300)})
    data["y"] = data["x"] + rng.normal(size=300) * np.exp(data["x"])
    res = simulate_residuals(glmm("y ~ x + `my col`", data))
    for predictor, formula in (
        ("x", "~ x"),
        (data["x"], "~ x"),
        (["x", "my col"], "~ x + `my col`"),
        (data["x"].to_numpy(), "~ predictor"),
        (None, "~ predictor"),
    ):
        assert f"glmm(..., disp='{formula}')" in res.heteroscedasticity_test(predictor, null="simulated").advice()
    along = diagnose(res, predictors=["x"], n_refits=40).table["advice"]["quantiles along x"]
    assert "disp='~ x'" in along
    # levels that differ in spread alone
    f = np.tile(["a", "b"], 150)
    u = np.where(f == "a", rng.uniform(0.0, 1.0, 300), rng.uniform(0.42, 0.58, 300))
    levels = categorical_test(u, pd.Series(f, name="my f"))
    assert "disp='~ `my f`'" in levels.advice()


def test_combinations_of_columns_do_not_merge():
    # "a:b" beside "c" and "a" beside "b:c" are two groups, and so are 1 and "1"
    data = pd.DataFrame({"f": ["a:b", "a", "a:b", "a"], "g": ["c", "b:c", "c", "b:c"], "h": [1, "1", 1, "1"], "i": "u"})
    res = from_simulations(np.arange(80.0).reshape(20, 4), [1.0, 2.0, 4.0, 8.0], data=data)
    assert sorted(res.recalculate(group=["f", "g"]).observed) == [5.0, 10.0]
    assert sorted(res.recalculate(group="f:g").observed) == [5.0, 10.0]
    assert sorted(res.recalculate(group=["h", "i"]).observed) == [5.0, 10.0]


def test_sites_that_are_numbered_anew_are_said(res):
    together = res.recalculate(group="site")
    assert "the same numbers of 'site' are used in several levels of 'region'" in repr(together)
    assert together.n_obs == 3
    for group in (["region", "site"], "region", "day"):
        apart = res.recalculate(group=group)
        assert ("same numbers" in repr(apart)) == (group == "day")  # days 0 to 7 of every region
    assert res.recalculate(group=["region", "site"]).n_obs == 12
    tested = res.temporal_autocorrelation_test("day", by="site")
    assert "pass by=['region', 'series']" in tested.notes[0]
    assert not res.temporal_autocorrelation_test("day", by=["region", "site"]).notes


def test_letters_that_no_file_can_hold(table):
    # half a pair of UTF-16, as it comes out of damaged files
    found = screen({"a": ("y ~ '\ud800' + x", table, "poisson"), "b": ("y ~ x", table, "poisson")}, progress=False)
    assert "\\ud800" in found.loc["a", "error"]
    assert found.loc["b", "error"] == ""
    with pytest.raises(ValueError, match="half a letter"):
        screen({"\ud800": ("y ~ x", table, "poisson")}, progress=False)


def test_progress_is_yes_or_no(res):
    with pytest.raises(ValueError, match="progress=<NA>; use True or False"):
        simulate_residuals(res.model, 20, progress=pd.NA)


def test_ticks_of_the_largest_numbers():
    x = np.linspace(-1.0, 1.0, 40) * 1.7e308
    ticks, labels = rank_ticks(x)
    assert np.isfinite(ticks).all()
    assert len(labels) == len(ticks) > 1


def test_a_list_of_columns_one_of_which_is_unknown():
    data = pd.DataFrame({"f": np.arange(30) % 3, "g": np.arange(30) % 2})
    res = from_simulations(np.random.default_rng(1).poisson(3, (20, 30)), np.arange(30) % 5, data=data)
    for unknown in (["f", "q"], ("q", "g")):
        with pytest.raises(KeyError, match=r"group='q' is not a column of the data; columns: \['f', 'g'\]"):
            res.recalculate(group=unknown)


def test_whole_numbers_that_double_precision_cannot_tell_apart():
    res = from_simulations(np.random.default_rng(1).poisson(3, (20, 30)), np.arange(30) % 5)
    for test in (res.temporal_autocorrelation_test, res.quantile_test):
        with pytest.raises(ValueError, match=r"must hold numbers: whole numbers beyond 2\*\*53"):
            test(np.arange(30) + 2**62)


def test_no_more_workers_than_tasks(monkeypatch):
    """A screen of three models with n_jobs=99999 started processes without end."""
    import joblib

    asked = []
    parallel = joblib.Parallel
    monkeypatch.setattr(joblib, "Parallel", lambda n_jobs, **how: asked.append(n_jobs) or parallel(n_jobs=1, **how))
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.poisson(3, 30), "x": rng.normal(size=30), "g": np.arange(30) % 3})
    screen(dict.fromkeys("abc", ("y ~ x", data, "poisson")), n_jobs=900, n_sims=20, progress=False)
    fit_many("y ~ x", data, "poisson", by="g", n_jobs=900)
    benchmark_tests(lambda rng: {"p": rng.random()}, n_replicates=4, n_jobs=900)
    assert len(asked) == 3
    assert max(asked) <= 4
    for call in (
        lambda: screen({"a": ("y ~ x", data, "poisson")}, n_jobs=99_999),
        lambda: benchmark_tests(lambda rng: {"p": 0.5}, n_replicates=4, n_jobs=99_999),
        lambda: simresid.simulate_residuals(glmm("y ~ x", data, "poisson"), n_jobs=10**30),
    ):
        with pytest.raises(ValueError, match=r"n_jobs must be None or a whole number such as 2 \(at most 1024\)"):
            call()


def test_means_of_columns_that_overflow():
    data = pd.DataFrame({"x": np.resize([1.7e308, 1.6e308, 1.0], 30), "z": np.resize([1.7e308, -1.7e308], 30)})
    res = from_simulations(np.random.default_rng(1).poisson(3, (20, 30)), np.arange(30) % 5, data=data)
    grouped = res.recalculate(group=np.repeat(np.arange(5), 6), aggregate=np.max)
    with pytest.raises(ValueError, match="time is not finite at position 0"):
        grouped.temporal_autocorrelation_test("x")


@pytest.mark.parametrize("wrong", ["0.05", "x", None, 2, 95, 0, 1, -0.1, np.nan, [0.1], True, pd.NA], ids=repr)
def test_every_level_is_refused_by_its_name(table, res, wrong):
    """Levels of `benchmark_tests` were compared with p-values whatever they were."""
    calls = {
        "alpha": [
            lambda: diagnose(res, alpha=wrong),
            lambda: res.diagnose(alpha=wrong),
            lambda: screen({"a": ("y ~ x", table, "poisson")}, alpha=wrong, progress=False),
            lambda: benchmark_tests(lambda rng: {"p": 0.5}, n_replicates=2, alpha=wrong),
        ],
        "level": [
            lambda: simresid.plot_means(glmm("y ~ region", table, family="poisson"), "region", level=wrong),
            lambda: simresid.plot_predictions(res, "x", level=wrong),
        ],
    }
    for name, those in calls.items():
        for call in those:
            with pytest.raises(ValueError, match=rf"^{name}\b.*between 0 and 1"):
                call()


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "many", None])
def test_numbers_of_replicates(wrong):
    with pytest.raises(ValueError, match="n_replicates must be a whole number"):
        benchmark_tests(lambda rng: {"p": 0.5}, n_replicates=wrong)
