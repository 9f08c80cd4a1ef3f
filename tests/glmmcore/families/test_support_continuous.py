"""Responses outside the support: the message names the rows and what would fit."""

from __future__ import annotations

import numpy as np
import pytest

from glmmcore.errors import ModelError
from glmmcore.families import get_family
from glmmcore.families.t import StudentT


@pytest.mark.parametrize(
    ("name", "y", "message"),
    [
        (
            "gamma",
            [1, 2, 0, 3, 0, 0],
            r"3 zeros in rows 2, 4, 5 .*gamma needs y > 0; use zi= or family='tweedie'",
        ),
        ("lognormal", [1, 0], r"1 zero in row 1 .*lognormal needs y > 0; use zi="),
        ("gamma", [1, -2], r"1 negative value in row 1 .*family='gaussian'"),
        ("tweedie", [0, -1, 1], r"1 negative value in row 1 .*tweedie needs y >= 0"),
        ("beta", [0.2, 0, 0], r"2 zeros in rows 1, 2 .*0 < y < 1; use zi= or family='ordbeta'"),
        ("beta", [0.2, 1], r"1 one in row 1 .*family='ordbeta'"),
        ("ordbeta", [0.2, 1.5], r"1 value above 1 in row 1 .*0 <= y <= 1; .*betabinomial"),
        ("t", [0.2, np.nan], r"1 non-finite value in row 1 "),
        ("skewnormal", [np.inf, 0], r"1 non-finite value in row 0 "),
        ("compois", [1, -1], r"1 negative value in row 1 "),
        ("bell", [1, -1], r"1 negative value in row 1 "),
    ],
)
def test_rows_are_named(name: str, y: list[float], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        get_family(name).check_support(np.array(y, dtype=float), np.ones(len(y)))


@pytest.mark.parametrize("name", ["gamma", "lognormal", "beta"])
def test_hurdles_take_zeros(name: str) -> None:
    family = get_family(name)
    assert family.hurdle
    y = np.array([0.0, 0.3])
    family.check_support(y, np.ones(2), zero_model=True)
    with pytest.raises(ModelError, match="negative"):
        family.check_support(-y, np.ones(2), zero_model=True)


def test_degrees_of_freedom_must_be_positive() -> None:
    with pytest.raises(ModelError, match="df > 0"):
        StudentT(df=0)


def test_unknown_link_names_the_choices() -> None:
    with pytest.raises(ModelError, match="log, identity, inverse, sqrt"):
        get_family("gamma", "logit")
