import numpy as np
import pytest

import simresid as sr
from glmmcore import glmm


@pytest.fixture
def res():
    rng = np.random.default_rng(1)
    return sr.from_simulations(rng.poisson(2, (99, 40)), rng.poisson(2, 40))


def test_counts_by_hand(res):
    result = sr.statistic_test(res, np.max, "greater")
    simulated = res.simulated.max(axis=1)
    assert result.statistic == pytest.approx(res.observed.max() / simulated.mean())
    assert result.pvalue == (1 + np.sum(simulated >= res.observed.max())) / 100
    np.testing.assert_array_equal(result.null_distribution, simulated)
    low, high = result.conf_int
    assert low <= result.expected <= high


def test_several_at_once_equal_one_by_one(res):
    table = sr.statistic_test(res, {"sd": np.std, "ones": lambda v: np.sum(v == 1)}, "less")
    assert table["sd"].pvalue == sr.statistic_test(res, np.std, "less").pvalue
    assert table["ones"].observed == np.sum(res.observed == 1)


def test_vectorized_equals_row_by_row(res):
    blockwise = sr.statistic_test(res, lambda block: block.sum(axis=1), name="total", vectorized=True)
    assert blockwise.pvalue == sr.statistic_test(res, np.sum).pvalue
    assert blockwise.method == "total"


def test_zeros(res):
    result = sr.zero_inflation_test(res)
    zeros = (res.simulated == 0).sum(axis=1)
    assert result.observed == np.sum(res.observed == 0)
    assert result.expected == zeros.mean()
    assert result.pvalue == sr.statistic_test(res, lambda v: np.sum(v == 0)).pvalue


def test_no_zeros_anywhere_is_a_result():
    rng = np.random.default_rng(2)
    res = sr.from_simulations(50 + rng.poisson(2, (99, 40)), 50 + rng.poisson(2, 40))
    result = sr.zero_inflation_test(res)
    assert (result.statistic, result.pvalue) == (1.0, 1.0)
    assert "fewer than 0.03" in result.notes[0]


def test_zeros_that_are_never_simulated():
    rng = np.random.default_rng(3)
    y = 50 + rng.poisson(2, 40)
    y[:5] = 0
    result = sr.zero_inflation_test(sr.from_simulations(50 + rng.poisson(2, (99, 40)), y), "greater")
    assert result.statistic == np.inf
    assert result.pvalue == 0.01
    assert result.effect.value == 5 / 40


def test_bad_statistics_are_named(res):
    with pytest.raises(TypeError, match="'a' is not callable"):
        sr.statistic_test(res, {"a": 3})
    with pytest.raises(ValueError, match="one number"):
        sr.statistic_test(res, lambda v: v[:2], name="pair")
    with pytest.raises(ValueError, match="not finite"):
        sr.statistic_test(res, lambda v: np.nan)
    with pytest.raises(TypeError, match="statistic_test needs simulations"):
        sr.statistic_test([0.1, 0.2], np.mean)
    with pytest.raises(TypeError, match="needs simulations"):
        sr.zero_inflation_test([0.1, 0.2])


def test_effects_and_intervals_by_hand(res):
    # how far the observed value lies from the middle 95 % of the simulated ones
    result, simulated = sr.statistic_test(res, np.mean), res.simulated.mean(axis=1)
    own, (low, high) = res.observed.mean(), np.quantile(simulated, [0.025, 0.975])
    assert (result.effect.value, result.effect.null) == (pytest.approx(own / simulated.mean()), 1.0)
    assert result.effect.interval == pytest.approx((own / high, own / low))
    assert result.conf_int == pytest.approx((low, high))
    below = np.mean(np.append(simulated <= own, True))
    above = np.mean(np.append(simulated >= own, True))
    assert result.pvalue == pytest.approx(min(1.0, 2 * min(below, above)))
    zeros = (res.simulated == 0).sum(axis=1)
    result, own = sr.zero_inflation_test(res), np.sum(res.observed == 0)
    assert result.statistic == pytest.approx(own / zeros.mean())
    assert result.effect.value == pytest.approx((own - zeros.mean()) / 40)
    low, high = np.quantile(zeros, [0.025, 0.975])
    assert result.effect.interval == pytest.approx(((own - high) / 40, (own - low) / 40))


def test_ratios_of_nothing(res):
    # 0/0 is one, anything else over nothing is infinite with its sign
    first = res.observed[0]
    for value, ratio in ((0.0, 1.0), (2.0, np.inf), (-2.0, -np.inf)):
        result = sr.statistic_test(res, lambda v, x=value: x * np.array_equal(v, res.observed))
        assert result.statistic == ratio
        assert result.effect is None
    # a statistic that can be zero or negative has no ratio to speak of
    assert sr.statistic_test(res, lambda v: v[0] - first).effect is None


@pytest.mark.parametrize("vectorized", [False, True])
def test_statistics_beyond_any_mean(vectorized):
    """The sum over the simulations overflowed to a ratio of zero."""
    rng = np.random.default_rng(1)
    res = sr.from_simulations(rng.normal(size=(40, 20)), rng.normal(size=20))

    def large(y):
        return np.where(np.max(y, axis=-1) > 1.5, 1.7e308, -1.7e308)

    for null in ("auto", "simulated"):
        with pytest.raises(ValueError, match=r"'large' is beyond 1e\+300, where there is no mean"):
            sr.statistic_test(res, large, vectorized=vectorized, null=null)


def test_a_statistic_that_all_simulations_share_tells_against_a_model_whose_data_differ():
    """Any zeros, or their share: in all simulations one, respectively none; only a tie with the data says nothing."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=80)
    for y, statistic in (
        (np.maximum(rng.poisson(1.5, 80), 1), lambda v: float((v == 0).any())),
        (np.where(np.arange(80) < 2, 0, rng.poisson(60, 80)), lambda v: np.mean(v == 0)),
    ):
        res = sr.simulate_residuals(glmm("y ~ x", {"y": y, "x": x}, "poisson"))
        own, simulated = statistic(res.observed), [statistic(row) for row in res.simulated]
        assert np.ptp(simulated) == 0 != own - simulated[0]
        assert sr.statistic_test(res, statistic, n_refits=99).pvalue == pytest.approx(2 / 100)
        same = sr.statistic_test(res, lambda v: 0.1, n_refits=99)
        assert np.isnan(same.pvalue)
        assert "the same in all simulations" in same.summary()
    fixed = sr.statistic_test(res, np.mean, n_refits=99)
    assert "The fit reproduces this statistic" in fixed.summary()
