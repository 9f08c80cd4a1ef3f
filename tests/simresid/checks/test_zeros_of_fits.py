"""Zeros where a model has none, where its fit fixes their number, and single 0/1 responses of models of counts."""

import numpy as np
import pytest

import simresid as sr
from glmmcore import glmm
from simresid.checks.inputs import BINARY_NOTE


def test_a_continuous_response_without_zeros_has_no_refits_that_failed():
    rng = np.random.default_rng(1)
    x = rng.normal(size=40)
    res = sr.simulate_residuals(glmm("y ~ x", {"y": x + rng.normal(size=40), "x": x}))
    result = sr.zero_inflation_test(res)
    assert (result.statistic, result.pvalue) == (1.0, 1.0)
    assert not any("refits" in note for note in result.notes)
    assert res.refit_pool.size == 0
    with pytest.raises(ValueError, match="choose 'auto'"):
        sr.zero_inflation_test(res, null="refit")


@pytest.mark.parametrize(("family", "zi"), [("binomial", None), ("truncated_poisson", "~ 1")])
def test_a_number_of_zeros_that_the_fit_fixes_is_not_tested(family, zi):
    """The score of an intercept of a logit: as many zeros are fitted as there are, to the search's tolerance."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=120)
    y = rng.poisson(2.0, 120) * (rng.random(120) > 0.3)
    fit = glmm("y ~ x", {"y": np.minimum(y, 1) if family == "binomial" else y, "x": x}, family, zi=zi)
    expected = fit.cdf(np.zeros(120))[1].sum()
    assert expected == pytest.approx(np.sum(y == 0), abs=1e-3)
    res = sr.simulate_residuals(fit)
    result = sr.zero_inflation_test(res)
    assert np.isnan(result.pvalue)
    assert "The fit fixes the number of zeros" in result.advice()
    assert "zero inflation" not in sr.diagnose(res).results


def test_zeros_of_a_poisson_fit_are_tested_all_the_same():
    rng = np.random.default_rng(3)
    x = rng.normal(size=120)
    y = rng.poisson(2.0, 120) * (rng.random(120) > 0.3)
    assert sr.zero_inflation_test(sr.simulate_residuals(glmm("y ~ x", {"y": y, "x": x}, "poisson"))).pvalue < 0.01


def test_counts_that_happen_to_be_0_or_1_are_no_binary_responses():
    """A Poisson law of mean .5 has counts above 1 in 9 % of rows; a fair coin has half of its variance."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=150), rng.integers(0, 2, 150)
    found = sr.diagnose(sr.simulate_residuals(glmm("y ~ x", {"y": y, "x": x}, "poisson")))
    assert found.results["dispersion"].statistic == pytest.approx(0.5, abs=0.1)
    assert "dispersion" in found.failed
    assert BINARY_NOTE not in found.notes
    logistic = sr.diagnose(sr.simulate_residuals(glmm("y ~ x", {"y": y, "x": x}, "binomial")))
    assert BINARY_NOTE in logistic.notes
    ones = rng.integers(0, 2, (99, 150))
    assert BINARY_NOTE in sr.diagnose(sr.from_simulations(ones, y)).notes
    assert BINARY_NOTE in sr.diagnose(sr.from_simulations(ones, np.zeros(150))).notes
    assert "zero inflation" in sr.diagnose(sr.from_simulations(rng.poisson(3, (99, 150)), np.zeros(150))).failed
