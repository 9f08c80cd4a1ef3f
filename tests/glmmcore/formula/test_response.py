"""Responses: values, two levels, k of n."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmmcore.errors import ModelError
from glmmcore.formula import build_design

DATA = pd.DataFrame(
    {
        "y": [1.5, 2.5, 3.5, 4.5],
        "k": [0, 2, 3, 1],
        "n": [4, 5, 3, 2],
        "p": [0.0, 0.4, 1.0, 0.5],
        "x": [0.1, 0.9, 0.4, 0.2],
        "s": ["yes", "no", "yes", "no"],
        "t": [True, False, False, True],
        "c": pd.Categorical(["good", "bad", "bad", "good"], categories=["unused", "good", "bad"]),
        "i": pd.Categorical([2, 1, 2, 1]),
        "three": ["a", "b", "c", "a"],
        "same": ["a"] * 4,
    }
)


@pytest.mark.parametrize(
    ("left", "y", "levels"),
    [
        ("y", [1.5, 2.5, 3.5, 4.5], None),
        ("k", [0, 2, 3, 1], None),
        ("s", [1, 0, 1, 0], ("no", "yes")),
        ("t", [1, 0, 0, 1], (False, True)),
        ("c", [0, 1, 1, 0], ("good", "bad")),
        ("i", [1, 0, 1, 0], (1, 2)),
        ("log(y)", np.log([1.5, 2.5, 3.5, 4.5]), None),
        ("k/n", [0, 0.4, 1, 0.5], None),
        ("s == 'no'", [0, 1, 0, 1], None),
        ("scale(y)", (np.array([1.5, 2.5, 3.5, 4.5]) - 3) / np.std([1.5, 2.5, 3.5, 4.5], ddof=1), None),
    ],
)
def test_values(left, y, levels):
    response = build_design(f"{left} ~ x", DATA).response
    np.testing.assert_allclose(response.y, y, rtol=1e-15)
    assert response.levels == levels and response.name == left and response.trials is None
    assert response.y.dtype == np.float64 and response.y.flags.c_contiguous and response.y.flags.writeable


@pytest.mark.parametrize("dtype", [object, "category", "string"])
def test_two_levels_in_any_text_type(dtype):
    response = build_design("s ~ x", DATA.assign(s=DATA["s"].astype(dtype))).response
    assert response.y.tolist() == [1, 0, 1, 0] and response.levels == ("no", "yes")


def test_nullable_booleans():
    response = build_design("t ~ x", DATA.assign(t=DATA["t"].astype("boolean"))).response
    assert response.y.tolist() == [1, 0, 0, 1] and response.levels == (False, True)


def test_successes_and_failures():
    response = build_design("cbind(k, n - k) ~ x", DATA).response
    np.testing.assert_array_equal(response.y, DATA["k"])
    np.testing.assert_array_equal(response.trials, DATA["n"])
    assert response.name == "cbind(k, n - k)"


@pytest.mark.parametrize("trials", ["n", [4, 5, 3, 2], np.array([4, 5, 3, 2]), DATA["n"]])
def test_trials_as_column_or_array(trials):
    response = build_design("k ~ x", DATA, trials=trials).response
    np.testing.assert_array_equal(response.y, DATA["k"])
    np.testing.assert_array_equal(response.trials, DATA["n"])


def test_one_number_of_trials_for_all():
    np.testing.assert_array_equal(build_design("k ~ x", DATA, trials=6).response.trials, [6, 6, 6, 6])


def test_proportions_with_trials_become_counts():
    response = build_design("p ~ x", DATA, trials="n").response
    np.testing.assert_array_equal(response.y, [0, 2, 3, 1])


def test_zeros_and_ones_with_trials_are_counts():
    response = build_design("k ~ x", DATA.assign(k=[0, 1, 1, 0]), trials="n").response
    np.testing.assert_array_equal(response.y, [0, 1, 1, 0])


def test_what_is_no_whole_count_is_left_to_the_family():
    response = build_design("x ~ y", DATA, trials="n").response
    np.testing.assert_array_equal(response.y, DATA["x"])


@pytest.mark.parametrize(
    ("left", "trials", "message"),
    [
        ("three", None, "categorical response 'three' must have two levels, it has 3: 'a', 'b', 'c'"),
        ("same", None, "categorical response 'same' must have two levels, it has 1: 'a'"),
        ("s", "n", "response 's' holds text or categories, trials= needs numbers"),
        ("cbind(k, n - k)", "n", "not both"),
        ("cbind(k, n - 4)", None, r"'n - 4' in cbind is negative in row 2 \(-1\)"),
        ("cbind(k - 1, n)", None, r"'k - 1' in cbind is negative in row 0 \(-1\)"),
        ("n", "k", r"'n' exceeds its number of trials in row 0 \(4\)"),
        ("k", [4, 5, -3, 2], r"trials is negative in row 2 \(-3\)"),
        ("k", [4, 5, 3], "trials has length 3, the data have 4 rows"),
        ("k", np.ones((4, 2)), r"trials has shape \(4, 2\), the data have 4 rows"),
        ("k", "s", "column 's' holds text or categories, numbers are needed here"),
        ("k", ["a", "b", "c", "d"], "trials must hold real numbers"),
        ("log(k)", None, r"'log\(k\)' is -inf in row 0"),
        ("log(s)", None, "column 's' holds text or categories"),
        ("unknown", None, "column 'unknown' is not in data"),
    ],
)
def test_bad_responses(left, trials, message):
    with pytest.raises(ModelError, match=message):
        build_design(f"{left} ~ x", DATA, trials=trials)


def test_response_as_predictor():
    with pytest.raises(ModelError, match="the response 'y' is also on the right-hand side"):
        build_design("y ~ x + y", DATA)


@pytest.mark.parametrize(
    ("left", "trials", "successes"),
    [
        ("won / n", "n", [0, 5, 3, 0]),
        ("I(won / n)", DATA["n"], [0, 5, 3, 0]),
        ("won / (n + 1 - 1)", "n", [0, 5, 3, 0]),
        ("sure / 4", 4, [0, 4, 4, 0]),
        ("sure / y", "n", [0, 1, 1, 0]),  # over something else: zeros and ones are counts
        ("sure / 4", 8, [0, 1, 1, 0]),
    ],
)
def test_a_response_over_its_trials_is_a_proportion_even_where_all_are_zero_or_one(left, trials, successes):
    """The values alone could be counts: 5 of 5 was one success of 5."""
    won, sure, y = [0, 5, 3, 0], [0, 4, 4, 0], [1, 4, 4, 1]
    response = build_design(f"{left} ~ x", DATA.assign(won=won, sure=sure, y=y), trials=trials).response
    assert response.y.tolist() == successes
    assert response.proportions == (successes != [0, 1, 1, 0])
