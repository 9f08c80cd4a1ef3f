"""What components owe to the estimates of a fit."""

import numpy as np
import pytest

import simresid as sr
from glmmcore import glmm
from simresid.checks.nulls.fitted_law import UNKNOWN_LAW, describe_law, owed_to_law


def test_what_follows_the_law_is_taken_out_and_noise_is_left():
    rng = np.random.default_rng(1)
    laws, noise = rng.normal(size=(100, 3)), rng.normal(size=(100, 2))
    follows = laws @ np.array([[2.0, -1.0], [0.0, 3.0], [1.0, 0.5]])
    left = follows + noise - owed_to_law(follows + noise, laws)
    # three coefficients take away sqrt(3/100) of the noise at most, as far as they are believed
    assert np.std(left - noise, axis=0) == pytest.approx(np.zeros(2), abs=0.3)
    assert np.std(owed_to_law(follows, laws) - (follows - follows.mean(axis=0))) < 1e-12
    alone = [np.any(owed_to_law(rng.normal(size=(100, 1)), laws)) for _ in range(400)]
    assert np.mean(alone) == pytest.approx(0.119, abs=0.05)  # P(F > 2) with 3 and 96 degrees of freedom; 3 errors


def test_an_unknown_law_or_one_that_never_differs_takes_nothing():
    components = np.random.default_rng(2).normal(size=(50, 4))
    assert not owed_to_law(components, np.vstack([UNKNOWN_LAW] * 50)).any()
    assert not owed_to_law(components, np.ones((50, 3))).any()


def test_unit_and_order_do_not_matter():
    rng = np.random.default_rng(3)
    mean, variance = rng.gamma(2, size=(60, 30)), rng.gamma(2, size=(60, 30))
    laws = np.array([describe_law(m, v) for m, v in zip(mean, variance, strict=True)])
    scaled = np.array([describe_law(1e3 * m, 1e6 * v) for m, v in zip(mean, variance, strict=True)])
    components = laws @ np.array([[1.0], [2.0], [0.5]]) + rng.normal(size=(60, 1))
    found = owed_to_law(components, laws)
    np.testing.assert_allclose(owed_to_law(components, scaled), found, atol=1e-9)
    back = rng.permutation(60)
    np.testing.assert_allclose(owed_to_law(components[back], laws[back]), found[back], atol=1e-9)


def test_ratio_of_the_data_is_that_over_refits_with_their_law():
    """Betabinomial counts: the ratio follows the fitted overdispersion, in the data as in refits."""
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(30), 5)
    chance = 1 / (1 + np.exp(-rng.normal(0, 0.7, 30)[group]))
    y = rng.binomial(10, rng.beta(5 * chance, 5 * (1 - chance)))
    import pandas as pd

    fit = glmm("y ~ 1 + (1|g)", pd.DataFrame({"y": y, "g": group}), "betabinomial", trials=np.full(150, 10))
    res = sr.simulate_residuals(fit)
    result = sr.dispersion_test(res, n_refits=99)
    laws = np.array([outcome.law for outcome in res.refit_pool.outcomes[:99]])
    logs = np.log([o.spread.squares / o.spread.allowed for o in res.refit_pool.outcomes[:99]])
    assert abs(np.corrcoef(logs, laws[:, 1])[0, 1]) > 0.3  # what there is to take out
    # the same numbers regressed on the laws vary less, and those of the result are of this kind
    assert np.std(np.log(result.null_distribution)) < 0.9 * np.std(logs)
