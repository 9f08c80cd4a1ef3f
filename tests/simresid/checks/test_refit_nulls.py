"""Tests of fitted models against refits: numbers by hand, order of calls, workers, failures, size and power."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, nbinom

import glmmcore
import simresid as sr
from simresid.checks._dispersion_refits import _length, _sampling_error, dispersion_among_refits
from simresid.checks._mean_cdf import GRID, absolute_deviation, below, mean_cdf, squared_deviation
from simresid.checks._row_moments import other_growth
from simresid.checks.curves import Bins, quantile_curves
from simresid.checks.multiplicity import adjusted_pvalues
from simresid.checks.nulls.comparison import Comparison, significant_limits
from simresid.checks.nulls.fitted_law import owed_to_law
from simresid.checks.nulls.plan import Plan, automatic_plan, fixed_plan
from simresid.checks.nulls.refit_pool import data_seed
from simresid.checks.outliers import expected_outliers
from simresid.checks.pvalues import continued_pvalue, holm, rank_pvalues, simulation_pvalue, westfall_young

TESTS = {
    "uniformity": sr.uniformity_test,
    "dispersion": sr.dispersion_test,
    "zeros": sr.zero_inflation_test,
    "outliers": sr.outlier_test,
    "quantiles": sr.quantile_test,
    "spread": sr.heteroscedasticity_test,
    "time": lambda res, **how: sr.temporal_autocorrelation_test(res, np.arange(res.n_obs), **how),
    "space": lambda res, **how: sr.spatial_autocorrelation_test(res, *_places(res.n_obs), **how),
    "categories": lambda res, **how: sr.categorical_test(res, np.arange(res.n_obs) % 4, **how),
}
TESTS_OF = {
    "uniformity": "uniformity_test",
    "dispersion": "dispersion_test",
    "zero inflation": "zero_inflation_test",
    "outliers": "outlier_test",
    "quantiles": "quantile_test",
    "heteroscedasticity": "heteroscedasticity_test",
}


def _places(n):
    return np.random.default_rng(3).random((2, n))


def rows(rng, groups, size, sd=0.7):
    group = np.repeat(np.arange(groups), size)
    data = pd.DataFrame({"x": rng.normal(size=groups * size), "group": group})
    return data, 0.5 + 0.5 * data["x"] + rng.normal(0, sd, groups)[group]


def poisson_fit(seed, groups=12, size=8):
    rng = np.random.default_rng(seed)
    data, eta = rows(rng, groups, size)
    return glmmcore.glmm("y ~ x + (1|group)", data.assign(y=rng.poisson(np.exp(eta))), family="poisson")


@pytest.fixture(scope="module")
def fit():
    return poisson_fit(1)


# ---- cells ---------------------------------------------------------------------------------------------
def test_mean_distribution_function_by_hand():
    rng = np.random.default_rng(1)
    lower = rng.random(40)
    upper = np.where(np.arange(40) % 3 == 0, lower, lower + rng.random(40) * (1 - lower) * rng.choice([1, 1e-9], 40))
    by_hand = [np.mean(below(lower, upper, q)) for q in GRID]
    assert mean_cdf(lower, upper) == pytest.approx(by_hand, abs=1e-9)
    v = (np.arange(20_000)[:, None] + 0.5) / 20_000
    u = lower + v * (upper - lower)
    assert squared_deviation(lower, upper) == pytest.approx(np.mean((u - 0.5) ** 2, axis=0), abs=1e-7)
    assert absolute_deviation(lower, upper) == pytest.approx(np.mean(np.abs(u - 0.5), axis=0), abs=1e-4)


def test_expected_outliers_are_the_mean_over_simulations_and_ties(fit):
    # 4000 sets of 20 simulations; the standard error of a mean count of 9 is about .05
    res = sr.simulate_residuals(fit, 20)
    own = res.refit_pool.own
    sets = fit.simulate(80_000, rng=2).reshape(4000, 20, fit.nobs)
    rng = np.random.default_rng(3)
    smaller, equal = (sets < fit.observed).sum(axis=1), (sets == fit.observed).sum(axis=1)
    u = (smaller + rng.random(smaller.shape) * (1 + equal)) / 21
    for margin, found in (("lower", u < 1 / 21), ("upper", u > 20 / 21)):
        assert expected_outliers(own, 20, margin, exact=False) == pytest.approx(found.sum(axis=1).mean(), abs=0.2)


# ---- the pool ------------------------------------------------------------------------------------------
def test_refits_are_the_parametric_bootstrap_of_the_statistic(fit):
    res = sr.simulate_residuals(fit, rng=5)
    result = sr.dispersion_test(res, n_refits=60)
    seeds = [np.random.SeedSequence(data_seed(res), spawn_key=(4, j, 0)) for j in range(60)]

    def logs(y, model):  # of the ratio, and over its relative spread, and what describes the law
        log_ratio = np.log(np.sum((y - model.fitted) ** 2) / np.sum(model.variance()))
        relative = log_ratio * np.sum(model.variance()) / np.sqrt(np.sum(model.variance() ** 2))
        return log_ratio, relative, *np.log([np.var(model.fitted), model.variance().mean(), model.fitted.mean()])

    def without_law(values, law):  # residuals of a regression of which 1 - 2/F is believed
        x = np.column_stack([np.ones(61), law])
        explained = x @ np.linalg.pinv(x) @ values - values.mean()
        rest = values - values.mean() - explained
        f = (explained @ explained / 3) / (rest @ rest / 57)
        return values - max(0, 1 - 2 / f) * explained

    rows = [logs(fit.observed, fit)]
    for seed in seeds:
        y = fit.simulate(1, rng=np.random.default_rng(seed), random_effects="unconditional")[0]
        rows.append(logs(y, fit.refit(y)))
    ratios, relative, *law = np.array(rows).T
    law = np.column_stack(law) - np.mean(law, axis=1)
    ratios, relative = (without_law(values, law) for values in (ratios, relative))
    relative -= np.median(relative)
    sides = [np.sqrt(np.mean(relative[side] ** 2)) for side in (relative < 0, relative > 0)]
    evidence = np.abs(relative) / np.where(relative > 0, sides[1], sides[0])
    assert result.pvalue == (1 + np.sum(evidence[1:] >= evidence[0])) / 61
    assert result.null == "refits"
    assert result.n_refits == 60
    # fits in a batch stop elsewhere in the sixth digit
    assert result.statistic == pytest.approx(np.exp(ratios[0] - np.median(ratios)), rel=1e-3)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("family", ["poisson", "nbinom2", "gamma"])
def test_the_dispersion_interval_inverts_its_test(family, alternative):
    for seed in range(4):
        rng = np.random.default_rng([seed, 11])
        data, eta = rows(rng, 10, 6)
        mean = np.exp(eta + rng.normal(0, 0.3 * (seed % 2), 60))
        y = {
            "poisson": lambda mean=mean, rng=rng: rng.poisson(mean),
            "nbinom2": lambda mean=mean, rng=rng: rng.negative_binomial(2, 2 / (2 + mean)),
            "gamma": lambda mean=mean, rng=rng: np.exp(np.log(mean) + rng.normal(0, 0.9, 60)),
        }[family]()
        fit = glmmcore.glmm("y ~ x + (1|group)", data.assign(y=y), family=family)
        for count in (12, 60):  # theory, ranks
            result = sr.dispersion_test(sr.simulate_residuals(fit, rng=seed), alternative, n_refits=count)
            low, high = result.effect.interval
            assert low <= result.statistic <= high
            assert (not low <= 1 <= high) == (result.pvalue < 0.05), result


@pytest.mark.parametrize("trials", [None, 8])
def test_the_error_of_a_dispersion_ratio_is_that_of_overdispersed_data(trials):
    # spread of the ratio over 4000 negative binomial (binomial) data sets with the fitted means; its own error is 4 %
    fit = poisson_fit(5, 20, 10)
    rng = np.random.default_rng(6)
    if trials:
        data, eta = rows(rng, 20, 10)
        y = rng.binomial(trials, 1 / (1 + np.exp(-eta)))
        fit = glmmcore.glmm("y ~ x + (1|group)", data.assign(y=y), family="binomial", trials=np.full(200, trials))
    mean, variance, ratio = fit.fitted, fit.variance(), 1.0 if trials else 2.5
    if trials:
        drawn = rng.binomial(trials, mean / trials, (4000, 200))
    else:
        size = np.sum(mean**2) / np.sum(mean) / (ratio - 1)
        drawn = rng.negative_binomial(size, size / (size + mean), (4000, 200))
    ratios = np.sum((drawn - mean) ** 2, axis=1) / np.sum(variance)
    error = _sampling_error(sr.simulate_residuals(fit, 20), 0, ratio, np.zeros(3))
    # k of n has lighter tails than the normal law that stands for it
    assert error == pytest.approx(ratios.std() / ratios.mean(), rel=0.12 if trials else 0.1)


def test_lognormal_data_are_too_dispersed_for_a_gamma_model():
    # .90 of 50 data sets (.16 where squares are not weighted); 3 of 8 or fewer has probability .0005
    hits = by_pearson = 0
    for seed in range(8):
        rng = np.random.default_rng([seed, 6])
        data, eta = rows(rng, 30, 10)
        y = np.exp(eta + rng.normal(0, 0.8, 300))
        res = sr.simulate_residuals(glmmcore.glmm("y ~ x + (1|group)", data.assign(y=y), family="gamma"), rng=seed)
        found = sr.dispersion_test(res, n_refits=60)
        hits += found.pvalue <= 0.05
        by_pearson += found.method == "Pearson residuals of refits"
    assert min(hits, by_pearson) > 3


def test_two_dispersion_ratios_count_with_their_correlation_undone():
    rng = np.random.default_rng(1)
    pairs = rng.normal(size=(60, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    pairs /= np.sqrt(np.mean(pairs**2, axis=0))
    inverse = np.linalg.inv(pairs.T @ pairs / 60)
    assert _length(pairs) == pytest.approx(np.sqrt(np.einsum("ij,jk,ik->i", pairs, inverse, pairs)), rel=1e-12)


@pytest.mark.parametrize(("drawn", "fitted"), [("nbinom1", "nbinom2"), ("nbinom2", "nbinom1")])
def test_a_variance_that_grows_with_the_mean_otherwise_is_seen_by_the_dispersion_test(drawn, fitted):
    # .87 of 150 data sets of the first, .55 without the likelihood of the other growth: 7 of 12 has probability .02
    hits = named = 0
    for seed in range(12):
        rng = np.random.default_rng([seed, 8])
        data, eta = rows(rng, 20, 10)
        mean = np.exp(eta + 0.5)
        y = rng.negative_binomial(mean / 2, 1 / 3) if drawn == "nbinom1" else rng.negative_binomial(1, 1 / (1 + mean))
        res = sr.simulate_residuals(glmmcore.glmm("y ~ x + (1|group)", data.assign(y=y), family=fitted), rng=seed)
        found = sr.dispersion_test(res, n_refits=80)
        hits += found.pvalue < 0.05
        named += found.pvalue < 0.05 and found.other_growth and "compare nbinom1" in found.advice()
    assert hits > 7
    assert named > hits / 2


def test_likelihood_of_another_growth_of_the_variance_is_that_of_negative_binomial_laws():
    rng = np.random.default_rng(1)
    mean = rng.gamma(2, 2, 50)
    y = rng.poisson(mean).astype(float)

    def log_likelihood(variance):
        return nbinom.logpmf(y, mean**2 / (variance - mean), mean / variance).sum()

    quadratic, linear = mean + 0.7 * mean**2, 2.3 * mean
    for fitted, other in (
        (quadratic, mean * (1 + np.mean(0.7 * mean))),
        (linear, mean + np.mean(1.3 / mean) * mean**2),
    ):
        by_hand = log_likelihood(other) - log_likelihood(fitted)
        assert other_growth(y, mean, fitted) == pytest.approx(by_hand, rel=1e-9)
    for counts, variance in ((y, mean), (y, 0.9 * mean), (y + 0.5, linear)):
        assert np.isnan(other_growth(counts, mean, variance))


@pytest.mark.parametrize("kind", ["conditional", "unconditional"])
def test_order_of_calls_and_workers_change_nothing(fit, kind):
    def results(order, n_jobs=None):
        res = sr.simulate_residuals(fit, 60, random_effects=kind, rng=7, n_jobs=n_jobs)
        return {name: TESTS[name](res).pvalue for name in order}

    names = list(TESTS)
    first = results(names)
    assert results(names[::-1]) == first
    assert results(names[4:] + names[:4], n_jobs=2) == first


def test_pvalues_of_counts_depend_on_the_seed_through_refits_only(fit):
    # binomial, and a fifth for the noise of the centre; 12 seeds give a standard deviation
    # of 1.5 times the true one with a probability of .003
    for name in ("uniformity", "spread", "quantiles"):
        p = [TESTS[name](sr.simulate_residuals(fit, rng=seed), n_refits=40).pvalue for seed in range(12)]
        assert np.std(p, ddof=1) <= 1.5 * 1.2 * np.sqrt(max(np.mean(p) * (1 - np.mean(p)), 0.02) / 40)


def test_the_null_distribution_is_named(fit):
    res = sr.simulate_residuals(fit, 99)
    for name, test in TESTS.items():
        default, analytic = test(res), test(res, null="analytic")
        assert default.null == "refits", name
        assert default.n_refits >= 40
        assert analytic.n_refits == 0
        assert "refits" in default.summary()
        assert default.pvalue >= 0.05 or default.advice() != "nothing to do"
        assert default.pvalue < 0.05 or default.advice() == "nothing to do"


def test_words_that_are_not_null_distributions_are_refused(fit):
    res = sr.simulate_residuals(fit, 30)
    with pytest.raises(ValueError, match="null='exact'; choose 'auto', 'refits', 'simulated' or 'analytic'"):
        sr.uniformity_test(res, null="exact")
    with pytest.raises(ValueError, match="n_refits=50 goes with null='refits'"):
        sr.diagnose(res, null="analytic", n_refits=50)
    with pytest.raises(ValueError, match="n_refits must be a whole number of at least 3, not 1"):
        sr.zero_inflation_test(res, n_refits=1)
    simulated = sr.from_simulations(np.random.default_rng(1).poisson(3, (50, 30)), np.full(30, 3))
    with pytest.raises(ValueError, match="not possible: there is no model, only simulations"):
        sr.uniformity_test(simulated, null="refits")
    with pytest.raises(ValueError, match="a plain array of residuals has no model"):
        sr.uniformity_test(np.array([0.2, 0.8]), null="refits")


def test_groups_and_selections_are_refitted_whole(fit):
    res = sr.simulate_residuals(fit, 60)
    for part in (res.recalculate(group="group"), res.recalculate(select=np.arange(0, 96, 2))):
        for name in ("uniformity", "dispersion", "outliers"):
            assert TESTS[name](part).null == "refits"
    one = sr.dispersion_test(res.recalculate(select=np.arange(96)), n_refits=40)
    assert one.pvalue == sr.dispersion_test(res, n_refits=40).pvalue


# ---- what a fit fixes, failures, time ------------------------------------------------------------------
def test_a_ratio_that_the_fit_fixes_is_not_tested():
    rng = np.random.default_rng(2)
    data, eta = rows(rng, 15, 6)
    fit = glmmcore.glmm("y ~ x + (1|group)", data.assign(y=eta + rng.normal(size=90)))
    result = sr.dispersion_test(sr.simulate_residuals(fit))
    assert np.isnan(result.pvalue)
    assert "fixes this ratio" in result.summary()
    assert "fixes this ratio" in result.advice()
    diagnosis = sr.diagnose(sr.simulate_residuals(fit))
    assert "dispersion" not in diagnosis.results
    assert any("dispersion was left out" in note for note in diagnosis.notes)


@pytest.mark.parametrize("sd", [0.85, 1.15, 1.6])
def test_a_scale_that_was_given_is_tested_as_by_chi_square(sd):
    """Squared deviations of a linear model over a known variance are chi-square of 58 degrees of freedom."""
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"x": rng.normal(size=60)})
    data["y"] = data["x"] + sd * rng.normal(size=60)
    fit = glmmcore.glmm("y ~ x", data, fixed={"sigma": 1.0})
    result = sr.dispersion_test(sr.simulate_residuals(fit), n_refits=999)
    tail = chi2.cdf(np.sum(np.square(data["y"] - fit.fitted)), 58)
    # four standard errors of a rank among 999 refits, and what a median of theirs is off
    assert result.pvalue == pytest.approx(2 * min(tail, 1 - tail), abs=4 * result.monte_carlo_error + 0.02)
    assert "fixes" not in result.summary()


def test_some_rows_of_one_variance_are_tested_as_by_their_share_of_the_squares():
    """Squares of 30 of 90 rows over the estimated variance: 90 times their share, whose law has no unknowns."""
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"x": rng.normal(size=90)})
    some = np.arange(90) < 30
    data["y"] = data["x"] + rng.normal(size=90) * np.where(some, 1.25, 1.0)
    res = sr.simulate_residuals(glmmcore.glmm("y ~ x", data))
    result = sr.dispersion_test(res.recalculate(select=some), n_refits=999)
    x = np.column_stack([np.ones(90), data["x"]])
    around = np.eye(90) - x @ np.linalg.pinv(x)
    squares = np.square(around @ np.column_stack([data["y"], rng.normal(size=(90, 4000))]))
    share = squares[some].sum(axis=0) / squares.sum(axis=0)
    expected = 2 * min(np.mean(share[1:] >= share[0]), np.mean(share[1:] <= share[0]))
    assert 0.01 < expected < 0.3
    assert result.pvalue == pytest.approx(expected, abs=4 * result.monte_carlo_error + 0.02)
    assert np.isnan(sr.dispersion_test(res.recalculate(select=np.ones(90, dtype=bool))).pvalue)


class Unreliable:
    """A fitted model of which every third refit fails, or none comes back."""

    def __init__(self, fit, failing=lambda k: k % 3 == 0, seconds=0.0):
        self.fit, self.failing, self.seconds, self.calls = fit, failing, seconds, 0
        self.observed, self.fitted, self.nobs = fit.observed, fit.fitted, fit.nobs
        self.has_random_effects, self.discrete = True, True

    def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
        return self.fit.simulate(n_sims, rng=rng, random_effects=random_effects)

    def cdf(self, y=None):
        return self.fit.cdf(y)

    def variance(self):
        return self.fit.variance()

    def refit(self, y):
        self.calls += 1
        time.sleep(self.seconds)
        if self.failing(self.calls):
            raise RuntimeError("the optimiser gave up")
        return Unreliable(self.fit.refit(y))


def test_failed_refits_bound_the_pvalue(fit):
    res = sr.simulate_residuals(Unreliable(fit), 40)
    result = sr.uniformity_test(res, n_refits=60)
    assert result.n_refits == 40
    assert "20 of 60 refits failed" in result.summary()
    assert "p would lie between" in result.summary()


def test_without_refits_there_is_a_sentence_and_another_null(fit):
    res = sr.simulate_residuals(Unreliable(fit, lambda k: True), 40)
    for name, test in TESTS.items():
        result = test(res)
        assert result.null != "refits", name
        assert "refits failed, the first because RuntimeError: the optimiser gave up" in result.summary()


def test_refits_that_hang_are_left_behind(fit, monkeypatch):
    monkeypatch.setattr("simresid.checks.nulls.refit_pool.PATIENCE", 0.3)
    res = sr.simulate_residuals(Unreliable(fit, seconds=30.0), 40)
    result = sr.uniformity_test(res)
    assert result.null == "analytic"
    assert "did not come back" in result.summary()


class _ToTheEnd(Plan):
    """Rounds that are all made, whatever p is."""

    def is_settled(self, n_refits, pvalue):
        return n_refits >= self.rounds[-1]


def test_the_clock_decides_between_rounds_only(fit, monkeypatch):
    """The 46th refit hangs: what 40 refits give stands, whether more were asked for at once or in rounds."""
    monkeypatch.setattr("simresid.checks.nulls.refit_pool.PATIENCE", 2.0)
    never = lambda call: False  # noqa: E731
    forty = sr.dispersion_test(sr.simulate_residuals(Unreliable(fit, never), 40, rng=3), n_refits=40)

    class Hanging(Unreliable):
        def refit(self, y):
            self.seconds = 0.0 if self.calls < 45 else 20.0
            return super().refit(y)

    res = sr.simulate_residuals(Hanging(fit, never), 40, rng=3)
    rounds = dispersion_among_refits(res, res.refit_pool, _ToTheEnd((40, 60)), "two-sided")
    for pvalue, n_refits, notes in (
        (rounds["pvalue"], rounds["n_refits"], rounds["notes"]),
        ((at_once := sr.dispersion_test(res, n_refits=60)).pvalue, at_once.n_refits, at_once.notes),
    ):
        assert n_refits == 40
        assert pvalue == pytest.approx(forty.pvalue, rel=1e-12)
        assert any(note.startswith("Of 60 refits 40 were used: the next did not come back within") for note in notes)
    settled = sr.dispersion_test(res, n_refits=40)
    assert not any("come back" in note for note in settled.notes)


# ---- rules ---------------------------------------------------------------------------------------------
def test_the_plan_looks_at_sizes_only(fit):
    class Sized:
        def __init__(self, rows, **more):
            self.model = type("Model", (), {"nobs": rows, "df_model": 4, **more})()

    rounds = {n: automatic_plan(Sized(n)).rounds for n in (200, 5_000, 10_000, 40_000, 100_000, 1_000_000)}
    assert rounds[200] == rounds[5_000] == (40, 100, 300)
    assert rounds[10_000] == (40, 100)
    assert rounds[40_000] == (40,)
    assert rounds[100_000] == (5,)
    assert rounds[1_000_000] == (3,)
    assert automatic_plan(Sized(200, refit_effort=40.0)).rounds == (40, 100)
    plan = automatic_plan(Sized(200))
    assert plan.is_settled(40, 0.3)
    assert not plan.is_settled(40, 0.2)
    assert plan.is_settled(100, 0.16)
    assert not plan.is_settled(100, 0.11)  # 2.5 expected beyond at p = .05, 4 or fewer of them with .89 only
    assert plan.is_settled(100, 1e-4)
    assert not plan.is_settled(100, 0.05)
    assert plan.is_settled(300, 0.05)
    assert fixed_plan(57).rounds == (57,)


@pytest.mark.parametrize("n_refits", [39, 40, 57, 99, 300])
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_limits_are_where_the_pvalue_is_a_twentieth(n_refits, alternative):
    null = np.random.default_rng(1).normal(size=n_refits)
    low, high = significant_limits(null, alternative, continued=True)
    assert np.isfinite(low) == (alternative != "greater")
    assert np.isfinite(high) == (alternative != "less")
    for limit, outwards in ((low, -1e-9), (high, 1e-9)):
        if np.isfinite(limit):
            assert continued_pvalue(limit + outwards, null, alternative) < 0.05
            assert continued_pvalue(limit - outwards, null, alternative) >= 0.05


def test_ranks_among_39_refits_are_never_significant_on_two_sides():
    null = np.random.default_rng(1).normal(size=39)
    assert significant_limits(null, "two-sided", continued=False) == (-np.inf, np.inf)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_one_sided_intervals_of_dispersion_invert_their_test(alternative):
    rng = np.random.default_rng(3)
    data, eta = rows(rng, 10, 6)
    for extra in (0.0, 0.5, 1.2):
        y = rng.poisson(np.exp(eta + rng.normal(0, 1.0, 60) * extra))
        fit = glmmcore.glmm("y ~ x", data.assign(y=y), family="poisson")
        for n_refits in (39, 99):
            result = sr.simulate_residuals(fit).dispersion_test(alternative, n_refits=n_refits)
            low, high = result.effect.interval
            assert (low == 0.0) == (alternative == "less")
            assert np.isinf(high) == (alternative == "greater")
            assert (low <= 1.0 <= high) == (result.pvalue >= 0.05), (extra, result)


@pytest.mark.parametrize("seed", range(6))
def test_interval_and_pvalue_agree(seed):
    rng = np.random.default_rng(seed)
    data, eta = rows(rng, 10, 6)
    y = rng.poisson(np.exp(eta + rng.normal(0, 0.4 * (seed % 3), 60)))
    res = sr.simulate_residuals(glmmcore.glmm("y ~ x + (1|group)", data.assign(y=y), family="poisson"), rng=seed)
    for name, test in TESTS.items():
        result = test(res)
        low, high = result.effect.interval
        excluded = not low <= result.effect.null <= high
        assert excluded == (result.pvalue < 0.05), (name, result)


# ---- size and power ------------------------------------------------------------------------------------
def test_right_models_of_small_groups_are_not_rejected():
    # 30 data sets of 200 groups of 3, where zeros were rejected in most; 6 of 30 at 5 % have probability .003
    p = {name: [] for name in ("uniformity", "zeros", "outliers", "quantiles")}
    for seed in range(30):
        res = sr.simulate_residuals(poisson_fit([seed, 3], 200, 3), rng=seed)
        for name in p:
            p[name].append(TESTS[name](res, n_refits=40).pvalue)
    for name, values in p.items():
        assert np.mean(np.array(values) <= 0.05) <= 5 / 30, name


def test_heavy_tails_of_a_gaussian_model_are_seen():
    # t(4) errors: .72 of 100 data sets are rejected (.08 without refits); 6 of 16 or fewer has probability .01
    hits = 0
    for seed in range(16):
        rng = np.random.default_rng([seed, 4])
        data, eta = rows(rng, 20, 10)
        fit = glmmcore.glmm("y ~ x + (1|group)", data.assign(y=eta + rng.standard_t(4, 200)))
        hits += sr.uniformity_test(sr.simulate_residuals(fit, rng=seed), n_refits=99).pvalue <= 0.05
    assert hits > 6


# ---- one pool, many tests --------------------------------------------------------------------------------
def test_other_places_series_and_trees_have_null_distributions_of_their_own(fit):
    # both have one row a place in the same order, so that only the distances differ
    rng = np.random.default_rng(8)
    x, y, other = np.sort(rng.random(fit.nobs)), *rng.random((2, fit.nobs))
    time = np.arange(fit.nobs)
    calls = {
        "other y": lambda res: sr.spatial_autocorrelation_test(res, x, other),
        "y": lambda res: sr.spatial_autocorrelation_test(res, x, y),
        "one series": lambda res: sr.temporal_autocorrelation_test(res, time),
        "twelve series": lambda res: sr.temporal_autocorrelation_test(res, time, np.repeat(np.arange(12), 8)),
    }
    shared = sr.simulate_residuals(fit, 40, rng=5)
    together = {name: call(shared).pvalue for name, call in calls.items()}
    for name, call in calls.items():
        assert call(sr.simulate_residuals(fit, 40, rng=5)).pvalue == together[name], name
    assert len(set(together.values())) == 4


def test_an_interval_that_ends_at_the_null_value_contains_it():
    found = Comparison(0.1, np.zeros(3), np.zeros(1), np.zeros(1), 0.4, 0.0, 3, np.zeros((3, 1)), (-0.3, 0.3), None, ())
    for null in (-0.007225737675140467, -1 / 95, 0.1 / 3):
        low, high = found.around(null + 0.07, null, 0.01)
        assert low <= null <= high


def test_the_centre_of_fixed_zeros_is_that_of_the_refits():
    """A right zero-inflated model fits its zeros: below their probability nothing varies, and no data set is off."""
    rng = np.random.default_rng(8)
    x, group = rng.normal(size=200), np.repeat(np.arange(20), 10)
    y = rng.poisson(np.exp(0.5 + 0.5 * x + rng.normal(0, 0.7, 20)[group])) * (rng.random(200) > 0.3)
    data = pd.DataFrame({"y": y, "x": x, "g": group})
    res = sr.simulate_residuals(glmmcore.glmm("y ~ x + (1|g)", data, "poisson", zi="~ 1"), 40, rng=1)
    result = sr.uniformity_test(res, method="ks", n_refits=100)
    everything = [res.refit_pool.own, *res.refit_pool.outcomes[:100]]
    gaps = np.array([mean_cdf(d.lower, d.upper) - GRID for d in everything])
    owed = owed_to_law(gaps, np.array([d.law for d in everything]))
    gaps = gaps - owed + owed[0]
    centre = (result.band["lower"] + result.band["upper"]).to_numpy() / 2 - GRID
    half = (result.band["upper"] - result.band["lower"]).to_numpy()[GRID.size // 2] / 2
    inside = np.abs(GRID - 0.5) < 0.48 - half  # where the band is not cut off at 0 or 1
    sd = gaps.std(axis=0)[inside]
    off = np.abs(gaps.mean(axis=0) - centre)[inside] / np.maximum(sd, 0.02 * sd.max())
    # 15 with the changes of spread and skewness alone; what is within one standard deviation is left
    assert off.max() < 1.05


def test_the_default_of_uniformity_is_the_studentised_envelope(fit):
    res = sr.simulate_residuals(fit, 40, rng=5)
    result = sr.uniformity_test(res, n_refits=60)
    pool = res.refit_pool
    everything = [pool.own, *pool.outcomes[:60]]
    gaps = np.array([mean_cdf(d.lower, d.upper) - GRID for d in everything])
    owed = owed_to_law(gaps, np.array([data.law for data in everything]))
    gaps = gaps - owed + owed[0]
    ks = sr.uniformity_test(res, method="ks", n_refits=60)
    centre = (ks.band["lower"] + ks.band["upper"]).to_numpy() / 2 - GRID  # where the band is not cut off at 0 or 1
    inner = np.minimum(GRID, 1 - GRID) > 0.2
    # LEAST_SCALE is not reached there, and the largest of everything may lie outside: at least, not more
    sd = gaps.std(axis=0)
    z = np.abs(gaps - centre)[:, inner] / sd[inner]
    width = (result.band["upper"] - result.band["lower"]).to_numpy() / 2
    assert np.ptp(width[inner] / sd[inner]) == pytest.approx(0, abs=1e-9)
    assert z.max(axis=1)[0] <= (width / sd)[inner][0] or result.pvalue < 0.05
    assert result.statistic == pytest.approx(ks.statistic, rel=1e-12)
    crossed = (result.band["observed"] < result.band["lower"]) | (result.band["observed"] > result.band["upper"])
    assert crossed.any() == (result.pvalue < 0.05)
    assert sr.uniformity_test(res, null="analytic").method == "Kolmogorov-Smirnov"


# ---- several tests -------------------------------------------------------------------------------------
def test_adjusted_pvalues_are_those_of_westfall_and_young_by_hand(fit):
    rng = np.random.default_rng(2)
    res = sr.simulate_residuals(fit, 40, rng=5)
    shared = rng.normal(size=61)
    ranks = [rank_pvalues(shared + 0.3 * rng.normal(size=61), "greater") for _ in range(3)]
    for row, place in zip(ranks, (0.02, 0.03, 0.5), strict=True):
        row[0] = place
    by_hand = [
        np.mean([min(column) <= 0.02 for column in zip(*ranks, strict=True)]),
        np.mean([min(column) <= 0.03 for column in zip(*ranks[1:], strict=True)]),
        np.mean(ranks[2] <= 0.5),
    ]
    assert westfall_young(ranks) == pytest.approx(np.maximum.accumulate(by_hand))
    result = sr.uniformity_test(res, n_refits=60)
    several = {
        str(k): replace(result, pvalue=float(row[0]), ranks=np.append(row, np.nan)) for k, row in enumerate(ranks)
    }
    expected = np.minimum(np.maximum.accumulate(by_hand), holm([0.02, 0.03, 0.5]))
    assert list(adjusted_pvalues(several).values()) == pytest.approx(np.maximum(expected, [0.02, 0.03, 0.5]))


def test_ranks_of_all_data_sets_are_those_of_each_among_the_others():
    t = np.random.default_rng(1).normal(size=30).round(1)  # with ties
    for alternative in ("two-sided", "greater", "less"):
        by_hand = [simulation_pvalue(t[k], np.delete(t, k), alternative) for k in range(30)]
        assert rank_pvalues(t, alternative) == pytest.approx(by_hand, rel=1e-12)


def test_tests_that_stopped_early_are_adjusted_with_as_many_refits_as_the_others():
    # a data set with row effects: one test goes on to 100 refits, the others stop at 40
    rng = np.random.default_rng(6)
    data, eta = rows(rng, 12, 8)
    y = rng.poisson(np.exp(eta + rng.normal(0, 0.45, 96)))
    res = sr.simulate_residuals(glmmcore.glmm("y ~ x + (1|group)", data.assign(y=y), family="poisson"), 40, rng=1)
    diagnosis = sr.diagnose(res, n_monte_carlo=0)
    counts = {name: result.n_refits for name, result in diagnosis.results.items()}
    assert len(set(counts.values())) > 1
    table = diagnosis.table
    again = {name: getattr(sr, TESTS_OF[name])(res, n_refits=max(counts.values())) for name in counts}
    by_hand = westfall_young([result.ranks for result in again.values()])
    expected = np.maximum(np.minimum(by_hand, holm(table["pvalue"])), table["pvalue"])
    assert table["pvalue_adjusted"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-12)
    assert {name: result.pvalue for name, result in diagnosis.results.items()} == {
        name: getattr(sr, TESTS_OF[name])(res).pvalue for name in counts
    }


# ---- pictures --------------------------------------------------------------------------------------------
def test_bands_of_quantile_curves_are_those_of_refits():
    # 60 groups of 2 take up half of the spread: the quartiles of refits vary less than those of independent rows
    fit = poisson_fit(4, 60, 2)
    res = sr.simulate_residuals(fit, 60, rng=3)
    x = np.random.default_rng(1).normal(size=120)
    curves = sr.quantile_test(res, x, n_refits=60, curves=True).curves
    own = res.refit_pool.own
    bins = Bins(x)
    refits = np.array([bins.at(d.lower, d.upper, np.array([0.25, 0.5, 0.75])) for d in res.refit_pool.outcomes[:60]])
    by_hand = quantile_curves(own.lower, x, np.array([0.25, 0.5, 0.75]), upper=own.upper, refits=refits)
    apart = 2 * refits - refits.mean(axis=0)
    twice = quantile_curves(own.lower, x, np.array([0.25, 0.5, 0.75]), upper=own.upper, refits=apart)
    assert curves.equals(by_hand)
    inner = (twice["lower"] > 0) & (twice["upper"] < 1)
    width = (curves["upper"] - curves["lower"])[inner]
    assert (twice["upper"] - twice["lower"])[inner].to_numpy() == pytest.approx(2 * width.to_numpy())
    theory = quantile_curves(own.lower, x, np.array([0.25, 0.5, 0.75]), upper=own.upper)
    assert width.mean() < 0.9 * (theory["upper"] - theory["lower"])[inner].mean()


def test_cells_in_bins_by_hand():
    rng = np.random.default_rng(2)
    x, lower = rng.random((2, 60))
    upper = lower + (1 - lower) * rng.random(60) * (rng.random(60) < 0.7)
    bins = Bins(x)
    q = np.array([0.2, 0.6])
    order = np.argsort(x, kind="stable")
    share = np.array([np.where(upper > lower, (v - lower) / np.maximum(upper - lower, 1e-300), lower <= v) for v in q])
    means = [share.clip(0, 1)[:, order[i : i + 5]].mean(axis=1) for i in range(0, 60, 5)]
    assert bins.at(lower, upper, q) == pytest.approx(np.ravel(means))
    assert bins.distribution(lower, upper)[:, [40, 120]] == pytest.approx(np.array(means))


def test_quantile_curves_of_a_right_model_of_pairs_are_level():
    # fitted effects of pairs draw the quartiles inwards by .06 on average, which is no departure
    shift = []
    for seed in range(6):
        res = sr.simulate_residuals(poisson_fit([seed, 5], 100, 2), 40, rng=seed)
        curves = sr.quantile_test(res, n_refits=40, curves=True).curves.groupby("quantile")["value"].mean()
        shift.append(curves[0.75] - curves[0.25] - 0.5)
    assert abs(np.mean(shift)) < 0.04  # standard error .012
