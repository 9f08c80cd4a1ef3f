import numpy as np
import pytest

import simresid as sr


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
    with pytest.raises(TypeError, match="needs simulations"):
        sr.zero_inflation_test([0.1, 0.2])
