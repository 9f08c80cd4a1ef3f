import numpy as np
import pytest
import statsmodels.api as sm

import glmmcore
import simresid as sr
from simresid.teaching.teaching_data import create_data


def fits(y, x):
    big = sm.GLM(y, sm.add_constant(x), family=sm.families.Poisson()).fit()
    return sm.GLM(y, np.ones((len(y), 1)), family=sm.families.Poisson()).fit(), big


def test_statistic_and_agreement_with_the_chi_square():
    rng = np.random.default_rng(1)
    x = rng.normal(size=80)
    small, big = fits(rng.poisson(np.exp(1 + 0.12 * x)), x)
    result = sr.simulated_lrt(small, big, n_sims=499)
    assert result.statistic == pytest.approx(2 * (big.llf - small.llf), rel=1e-9)
    # one parameter, n = 80: close to its chi-square; 4 Monte Carlo standard errors and a little
    from scipy.stats import chi2

    expected = chi2.sf(result.statistic, 1)
    assert abs(result.pvalue - expected) < 4 * result.monte_carlo_error + 0.01


def test_size_under_the_null():
    rng = np.random.default_rng(2)
    p = []
    for seed in range(40):
        x = rng.normal(size=30)
        p.append(sr.simulated_lrt(*fits(rng.poisson(2, 30), x), n_sims=19, rng=seed).pvalue)
    assert np.mean(np.array(p) <= 0.05) < 0.2  # 4 standard errors


def test_group_level_predictor_is_seen():
    # conditional simulations would keep the groups' effects in the null data and see nothing
    rng = np.random.default_rng(3)
    data = create_data(200, n_groups=20, fixed_effects=0.5, random_effect_sd=0.5, rng=rng)
    level = rng.normal(size=20)
    codes = data["group"].cat.codes.to_numpy()
    data["z"] = level[codes]
    data["observed"] = rng.poisson(data["expected"] * np.exp(0.8 * data["z"]))
    null = glmmcore.glmm("observed ~ x1 + (1|group)", data, "poisson")
    large = glmmcore.glmm("observed ~ x1 + z + (1|group)", data, "poisson")
    result = sr.simulated_lrt(null, large, n_sims=39)
    assert result.pvalue == 1 / 40
    assert result.n_failed == 0
    assert sr.simulated_lrt(null, large, n_sims=39).statistic == result.statistic


class NormalMean:
    """Normal values of unit variance about a constant, zero or estimated; refits may fail."""

    discrete = False

    def __init__(self, y, free, fails=lambda y: False):
        self.observed, self.nobs, self.free, self.fails = np.asarray(y, float), len(y), free, fails
        self.fitted = np.full(len(y), self.observed.mean() if free else 0.0)
        self.llf = -0.5 * float(np.sum((self.observed - self.fitted) ** 2))

    def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
        return rng.normal(self.fitted, 1.0, (n_sims, self.nobs))

    def refit(self, y):
        if self.fails(y):
            raise ArithmeticError("no")
        return NormalMean(y, self.free, self.fails)


def test_failed_refits_are_counted_and_left_out():
    y = np.random.default_rng(5).normal(0.4, 1.0, 20)
    whole = sr.simulated_lrt(NormalMean(y, False), NormalMean(y, True), n_sims=199)
    # twice the difference of the likelihoods of a normal mean
    assert whole.statistic == pytest.approx(20 * y.mean() ** 2, rel=1e-12)
    assert whole.notes == ()
    some = sr.simulated_lrt(NormalMean(y, False), NormalMean(y, True, lambda y: y[0] > 1), n_sims=199)
    assert 10 < some.n_failed < 60  # 16 % of 199 are expected
    assert some.notes[0].startswith(f"{some.n_failed} of 199 refits failed and were left out")
    assert set(some.null_distribution) < set(whole.null_distribution)
    assert some.pvalue == (1 + np.sum(some.null_distribution >= some.statistic)) / (200 - some.n_failed)
    with pytest.raises(ValueError, match="of 199 refits failed"):
        sr.simulated_lrt(NormalMean(y, False), NormalMean(y, True, lambda y: y[0] > -0.5), n_sims=199)


def test_models_in_the_wrong_order_are_noted():
    y = np.random.default_rng(6).normal(0.5, 1.0, 20)
    result = sr.simulated_lrt(NormalMean(y, True), NormalMean(y, False), n_sims=39)
    assert result.statistic == pytest.approx(-20 * y.mean() ** 2, rel=1e-12)
    assert "not nested" in result.notes[0]


def test_models_without_likelihood_or_refits_are_named():
    y = np.random.default_rng(7).normal(size=20)
    plain = NormalMean(y, False)
    for missing, what in (("llf", "does not know its log-likelihood"), ("refit", "cannot refit")):
        members = {k: v for k, v in vars(NormalMean).items() if k not in ("__dict__", "__weakref__", missing)}
        other = type("Other", (), members)(y, True)
        vars(other).pop(missing, None)
        with pytest.raises(ValueError, match=rf"the alternative model \(Other\) {what}"):
            sr.simulated_lrt(plain, other)


def test_clear_errors():
    rng = np.random.default_rng(4)
    x = rng.normal(size=30)
    small, big = fits(rng.poisson(2, 30), x)
    other, _ = fits(rng.poisson(2, 30), x)
    with pytest.raises(ValueError, match="different responses"):
        sr.simulated_lrt(other, big)
    y = rng.normal(2.0, 0.1, 20)
    with pytest.raises(ValueError, match="different responses"):
        sr.simulated_lrt(NormalMean(y, False), NormalMean(y + 1e-6, True), n_sims=19)
    with pytest.raises(ValueError, match="at least 19"):
        sr.simulated_lrt(small, big, n_sims=5)


def test_restricted_likelihoods_have_no_chi_square():
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(10), 6)
    data = {"g": g, "x": rng.normal(size=60), "y": rng.normal(size=10)[g] + rng.normal(size=60)}
    results = []
    for unit in (1.0, 100.0):
        rows = {**data, "x": data["x"] * unit}
        small, large = (glmmcore.glmm(f"y ~ {right} + (1|g)", rows, reml=True) for right in ("1", "x"))
        results.append(sr.simulated_lrt(small, large, n_sims=39))
    # the statistic moves by 2 log(unit), and with it that of every simulation
    assert results[0].statistic - results[1].statistic == pytest.approx(2 * np.log(100), abs=1e-4)
    assert results[0].pvalue == results[1].pvalue
    for result in results:
        assert result.asymptotic_pvalue is None
        assert ["estricted likelihoods" in note for note in result.notes] == [True]
