"""What components owe to the estimates of a fit."""

import numpy as np
import pytest

import simresid as sr
from glmmcore import glmm
from simresid.checks._dispersion_refits import PEARSON, RELATIVE, UNWEIGHTED, _Evidence
from simresid.checks.nulls.comparison import _owed_share
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


def test_what_positive_numbers_owe_is_a_share_of_them():
    """The fit explains all of the logarithms: every data set has the number of the first, whose law it is given."""
    law = np.random.default_rng(9).normal(size=(60, 2))
    numbers = np.exp(law @ np.array([[1.0], [-0.5]]) - 3.0)
    np.testing.assert_allclose(numbers - _owed_share(numbers, law), np.full((60, 1), numbers[0]), rtol=1e-9)
    noisy = numbers * np.random.default_rng(10).gamma(2, size=(60, 1))
    left = noisy - _owed_share(noisy, law)
    assert left[0] == noisy[0]  # as it is
    assert left.min() > 0  # a part of the mean would be less than nothing of the smallest
    assert (noisy - owed_to_law(noisy, law)).min() < 0


def test_an_unknown_law_or_one_that_never_differs_takes_nothing():
    components = np.random.default_rng(2).normal(size=(50, 4))
    assert not owed_to_law(components, np.vstack([UNKNOWN_LAW] * 50)).any()
    assert not owed_to_law(components, np.ones((50, 3))).any()


def test_what_is_not_known_of_all_data_sets_does_not_enter():
    rng = np.random.default_rng(5)
    laws, components = rng.normal(size=(50, 3)), rng.normal(size=(50, 2)) * 0.1
    components += laws[:, :1]
    partly = np.column_stack([laws, np.where(np.arange(50) == 7, np.nan, 1.0)])
    np.testing.assert_array_equal(owed_to_law(components, partly), owed_to_law(components, laws))


def test_the_description_has_the_spread_of_random_effects():
    mean, variance = np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 2.0])
    np.testing.assert_array_equal(describe_law(mean, variance, np.array([0.7, 0.0]))[3:], [0.7, 0.0])
    many = np.array([0.3, 0.4, 0.0, 1.2, 0.0])  # 0.09 + 0.16 + 1.44 = 1.3 squared
    assert describe_law(mean, variance, many)[3:] == pytest.approx([1.3], rel=1e-14)
    assert describe_law(mean, variance).shape == (3,)


def test_unit_and_order_do_not_matter():
    rng = np.random.default_rng(3)
    mean, variance = rng.gamma(2, size=(60, 30)), rng.gamma(2, size=(60, 30))
    spread = rng.gamma(4, size=(60, 1))
    laws = np.array([describe_law(m, v, s) for m, v, s in zip(mean, variance, spread, strict=True)])
    scaled = np.array(
        [describe_law(1e3 * m, 1e6 * v, 1e-11 * s) for m, v, s in zip(mean, variance, spread, strict=True)]
    )
    components = laws @ np.array([[1.0], [2.0], [0.5], [1.0]]) + rng.normal(size=(60, 1))
    found = owed_to_law(components, laws)
    np.testing.assert_allclose(owed_to_law(components, scaled), found, atol=1e-9)
    back = rng.permutation(60)
    np.testing.assert_allclose(owed_to_law(components[back], laws[back]), found[back], atol=1e-9)


def test_ratio_of_the_data_is_that_over_refits_with_their_law():
    """Betabinomial counts: the ratio follows the fitted spread of the groups, in the data as in refits."""
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
    assert res.refit_pool.own.law[3] == pytest.approx(fit.var_corr["sd"].iloc[0], rel=1e-12)
    assert np.corrcoef(logs, laws[:, 3])[0, 1] < -0.6  # what there is to take out: larger effects, smaller deviations
    # the same numbers regressed on the laws vary less, and those of the result are of this kind
    assert np.std(np.log(result.null_distribution)) < 0.8 * np.std(logs)


def test_counts_that_are_all_zero_have_nothing_to_test():
    """Every refit is that of the data, so that neither ratio varies (0 / 0 in the length of the pair before)."""
    import pandas as pd

    data = pd.DataFrame({"y": np.zeros(60), "x": np.linspace(-1, 1, 60), "g": np.repeat(np.arange(12), 5)})
    result = sr.dispersion_test(sr.simulate_residuals(glmm("y ~ x + (1|g)", data, "poisson")))
    assert np.isnan(result.pvalue)
    assert "The fit fixes this ratio" in result.summary()


def test_ratios_count_that_the_fit_does_not_fix():
    """Independent standard errors are .5; spreads of 100 data sets decide which of the two ratios count."""
    rng = np.random.default_rng(6)
    evidence = _Evidence(np.full(3, 0.5), np.full(2, 0.5), "two-sided", growth=False)
    for unweighted, pearson, expected in (
        (0.5, 0.5, [RELATIVE]),
        (0.5, 0.2, [RELATIVE, PEARSON]),  # Pearson's varies less than that of independent rows: it is estimated
        (0.5, 0.02, [RELATIVE]),
        (0.02, 0.5, [PEARSON]),
        (0.02, 0.2, [PEARSON]),
    ):
        x = rng.normal(size=(100, 4)) * [unweighted, unweighted / 0.1, pearson, 0.0]
        assert evidence.counted(x) == expected
        x[0, 2] = 5 * pearson
        assert (evidence(x)[0] == evidence(x).max()) == (PEARSON in expected)
        assert evidence.leading(x[0], x[1:]) == (PEARSON if PEARSON in expected else UNWEIGHTED)
    assert not evidence.is_free(rng.normal(size=(100, 4)) * 0.02).any()
