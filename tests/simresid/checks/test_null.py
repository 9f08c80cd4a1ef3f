"""Residuals that share new random effects: the null distribution must know, wherever the simulations are."""

import numpy as np
import pytest

import simresid as sr
from simresid.checks import _null
from simresid.checks._null import analytic_null_holds, null_residuals

N, GROUPS, SD = 120, 6, 1.0
CODES = np.arange(N) % GROUPS


def shared_effects(known_poisson, seed, n_sims=99, **options):
    """Residuals of a true model whose rows share six random effects."""
    rng = np.random.default_rng(seed)
    effects = SD * rng.standard_normal(GROUPS)
    mean = np.full(N, 8.0)
    y = rng.poisson(mean * np.exp(effects[CODES]))
    model = known_poisson(mean, y, CODES, SD, effects)
    return sr.simulate_residuals(model, n_sims, random_effects="unconditional", rng=seed, **options)


COORDINATES = np.random.default_rng(0).random((2, N))
NEAR = COORDINATES + 3.0 * np.array([np.cos(CODES), np.sin(CODES)])  # groups are places
TESTS = {
    "uniformity": lambda r, **o: sr.uniformity_test(r, **o),
    "uniformity ad": lambda r, **o: sr.uniformity_test(r, method="ad", **o),
    "uniformity cvm": lambda r, **o: sr.uniformity_test(r, method="cvm", **o),
    "uniformity band": lambda r, **o: sr.uniformity_test(r, method="band", **o),
    "outliers": lambda r, **o: sr.outlier_test(r, **o),
    "quantiles": lambda r, **o: sr.quantile_test(r, CODES.astype(float), **o),
    "heteroscedasticity": lambda r, **o: sr.heteroscedasticity_test(r, CODES.astype(float), **o),
    "categories": lambda r, **o: sr.categorical_test(r, CODES, **o),
    "temporal": lambda r, **o: sr.temporal_autocorrelation_test(r, CODES * N + np.arange(N), **o),
    "spatial": lambda r, **o: sr.spatial_autocorrelation_test(r, *NEAR, **o),
}


@pytest.mark.parametrize("name", TESTS)
def test_keeping_simulations_changes_no_pvalue(known_poisson, name):
    kept, streamed = (shared_effects(known_poisson, 1, keep_simulations=keep) for keep in (True, False))
    assert kept.simulated is not None
    assert streamed.simulated is None
    a, b = TESTS[name](kept), TESTS[name](streamed)
    assert (a.statistic, a.pvalue) == (b.statistic, b.pvalue)
    assert any("from the simulations" in note for note in b.notes)


@pytest.mark.parametrize("name", TESTS)
def test_size_with_simulations_that_do_not_fit_into_memory(known_poisson, name, monkeypatch):
    # room for 39 of the 99 replicates, which are ranked among all 99: p-values remain exact ranks.
    # 120 replicates at .05: three and a half standard errors are .07
    monkeypatch.setattr(_null, "MAX_VALUES", 39 * N)
    simulated, analytic = [], []
    for seed in range(120):
        res = shared_effects(known_poisson, seed, keep_simulations=False)
        result = TESTS[name](res)
        simulated.append(result.pvalue)
        analytic.append(TESTS[name](res, null="analytic").pvalue)
    assert any("39 of 99 simulations" in note for note in result.notes)
    assert min(simulated) >= 1 / 40
    assert np.mean(np.array(simulated) <= 0.05) < 0.12
    if name != "outliers":
        assert np.mean(np.array(analytic) <= 0.05) > 0.2  # what the fallback used to do


def test_partial_ranks_are_those_of_the_full_pool(known_poisson, monkeypatch):
    # continuous data have no ties, so that ranks agree up to the uniform spread within a cell
    rng = np.random.default_rng(5)
    y, simulated = rng.normal(size=30), rng.normal(size=(60, 30))
    full = null_residuals(sr.from_simulations(simulated, y)).replicates
    monkeypatch.setattr(_null, "MAX_VALUES", 40 * 30)
    part = null_residuals(sr.from_simulations(simulated, y))
    assert part.replicates.shape == (40, 30)
    np.testing.assert_array_equal(np.floor(part.replicates * 61), np.floor(full[:40] * 61))


@pytest.mark.parametrize("method", ["pit", "traditional"])
def test_other_definitions_are_compared_as_ranks(known_poisson, method):
    # The null residuals are ranks, which differ from these in cells of 1/n_sims: the data must be ranked too.
    res = shared_effects(known_poisson, 3, n_sims=20, method=method)
    pool = null_residuals(res)
    own = pool.comparable(res.residuals)
    assert not np.array_equal(own, res.residuals)
    assert np.max(np.abs(own - res.residuals)) < 0.9
    assert own.min() > 0
    assert own.max() < 1


def test_rotated_residuals_are_compared_with_rotated_simulations(known_poisson):
    # the covariance of the model: shared effects make blocks. Rotated ranks must differ from plain ones.
    plain = shared_effects(known_poisson, 4)
    covariance = np.cov(plain.simulated.T) + np.eye(N)
    rotated = shared_effects(known_poisson, 4, rotation=covariance)
    between = [np.corrcoef(null_residuals(r).replicates.T)[0, GROUPS] for r in (plain, rotated)]
    assert between[0] > 0.5  # rows 0 and 6 are of one group
    assert abs(between[1]) < 0.4


class NormalMean:
    """A normal sample of unknown mean, refitted by its average; whole numbers on request."""

    def __init__(self, y, discrete=False):
        self.observed, self.nobs, self.discrete = np.asarray(y, float), len(y), discrete
        self.fitted = np.full(len(y), self.observed.mean())

    def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
        y = rng.normal(self.fitted, 2.0, (n_sims, self.nobs))
        return np.round(y) if self.discrete else y

    def refit(self, y):
        return NormalMean(y, self.discrete)


@pytest.mark.parametrize("discrete", [False, True])
def test_residuals_of_refits_are_ranked_among_themselves(discrete):
    y = np.random.default_rng(6).normal(5.0, 2.0, 25)
    res = sr.simulate_residuals(NormalMean(np.round(y) if discrete else y, discrete), 60, refit=True)
    pool = null_residuals(res)
    raw = res.simulated - res.simulated.mean(axis=1, keepdims=True)
    everything = np.vstack([res.observed - res.observed.mean(), raw])
    below = (everything[:, None, :] > everything[None, :, :]).sum(axis=1)
    # counts are jittered by half a unit: values that are closer can change places
    near = (np.abs(everything[:, None, :] - everything[None, :, :]) < 1.0).sum(axis=1)
    slack = near if discrete else np.ones_like(near)
    own = pool.comparable(res.residuals)
    assert np.all(np.abs(np.vstack([own, pool.replicates]) * 61 - below) <= slack)
    # uniform over replicates, row by row
    if not discrete:
        np.testing.assert_array_equal(
            np.sort(np.floor(np.vstack([own, pool.replicates]) * 61), axis=0), np.arange(61)[:, None] * np.ones(25)
        )


@pytest.mark.parametrize("method", ["ks", "ad", "cvm", "band", "dependent"])
def test_statistic_does_not_depend_on_the_null(method):
    rng = np.random.default_rng(8)
    res = sr.from_simulations(rng.normal(size=(99, 60)), rng.normal(0.3, 1.0, 60))
    simulated = sr.uniformity_test(res, method=method, null="simulated")
    assert simulated.statistic == pytest.approx(sr.uniformity_test(res.residuals, method=method).statistic, rel=1e-12)
    own = np.array([sr.uniformity_test(v, method=method).statistic for v in null_residuals(res).replicates])
    extreme = own <= simulated.statistic if method in ("band", "dependent") else own >= simulated.statistic
    assert simulated.pvalue == pytest.approx((1 + extreme.sum()) / 100, rel=1e-12)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_durbin_watson_has_its_small_values_where_correlation_is_positive(alternative):
    rng = np.random.default_rng(9)
    y = np.cumsum(rng.normal(size=60)) / 3.0
    res = sr.from_simulations(rng.normal(size=(99, 60)), y)
    result = sr.temporal_autocorrelation_test(res, np.arange(60), alternative=alternative, null="simulated")
    assert result.pvalue == {"two-sided": 0.02, "greater": 0.01, "less": 1.0}[alternative]


def test_ljung_box_of_the_pool():
    rng = np.random.default_rng(10)
    res = sr.from_simulations(rng.normal(size=(99, 40)), rng.normal(size=40))
    result = sr.temporal_autocorrelation_test(res, np.arange(40), method="ljung-box", null="simulated")
    own = [
        sr.temporal_autocorrelation_test(v, np.arange(40), method="ljung-box").statistic
        for v in null_residuals(res).replicates
    ]
    assert result.pvalue == (1 + np.sum(np.array(own) >= result.statistic)) / 100


def test_explicit_choices(known_poisson):
    res = shared_effects(known_poisson, 2)
    assert not analytic_null_holds(res, "auto")
    assert analytic_null_holds(res, "analytic")
    assert not analytic_null_holds(res, "simulated")
    assert analytic_null_holds(res.residuals, "auto")
    with pytest.raises(ValueError, match="null='exact'"):
        sr.uniformity_test(res, null="exact")
    with pytest.raises(ValueError, match="takes a SimulatedResiduals"):
        sr.uniformity_test(np.linspace(0.1, 0.9, 9), null="simulated")


def test_battery_says_when_replicates_are_too_few(known_poisson, monkeypatch):
    monkeypatch.setattr(_null, "MAX_VALUES", 39 * N)
    diagnosis = sr.diagnose(shared_effects(known_poisson, 2, keep_simulations=False))
    assert any("39 replicates" in note for note in diagnosis.notes)
