"""Counts and successes outside the support, and the registry: messages that say what to do."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from glmmcore.errors import DataWarning, ModelError
from glmmcore.families import FAMILIES, get_family
from glmmcore.families.base import Family


@pytest.mark.parametrize(
    ("name", "y", "trials", "message"),
    [
        (
            "truncated_poisson",
            [1, 2, 3, 4, 0, 6, 7, 0, 1, 0],
            1,
            r"3 zeros in rows 4, 7, 9 \(counted from 0\); truncated_poisson needs y >= 1; "
            r"use zi= or family='poisson'",
        ),
        ("truncated_nbinom2", [0, 2], 1, r"1 zero in row 0 .*use zi= or family='nbinom2'"),
        ("truncated_nbinom1", [0, 2], 1, r"1 zero in row 0 .*use zi= or family='nbinom1'"),
        ("poisson", [0] + [-1] * 9, 1, r"9 negative values in rows 1, 2, 3, 4, 5 and 4 more .*counts y >= 0"),
        ("nbinom2", [1, -2], 1, r"1 negative value in row 1 .*family='gaussian'"),
        ("genpois", [1, np.inf], 1, r"1 non-finite value in row 1 "),
        ("gaussian", [1, np.nan], 1, r"1 non-finite value in row 1 .*gaussian needs finite y"),
        ("binomial", [1, 5, 3], 4, r"1 value larger than the number of trials in row 1 .*check the order"),
        (
            "binomial",
            [1, 5, 3],
            1,
            r"2 values larger than the number of trials in rows 1, 2 .*number of trials",
        ),
        ("betabinomial", [1, -5], 4, r"1 negative value in row 1 .*0 <= successes <= trials"),
        ("binomial", [0, 0], -1, r"2 negative numbers of trials in rows 0, 1 .*trials >= 0"),
    ],
)
def test_rows_are_named(name: str, y: list[float], trials: float, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        get_family(name).check_support(np.array(y, dtype=float), np.full(len(y), float(trials)))


@pytest.mark.parametrize("name", ["poisson", "nbinom1", "genpois", "binomial"])
def test_fractions_are_warned_of(name: str) -> None:
    hint = "shares need the number of trials" if name == "binomial" else "rates need the counts, with offset"
    with pytest.warns(DataWarning, match=rf"1 non-integer count in row 1 .* law of whole numbers.*; {hint}"):
        get_family(name).check_support(np.array([1.0, 0.5]), np.ones(2))


@pytest.mark.parametrize("name", ["truncated_poisson", "truncated_nbinom1", "truncated_nbinom2"])
def test_hurdles_take_zeros(name: str) -> None:
    family = get_family(name)
    assert family.hurdle
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        family.check_support(np.array([0.0, 3.0]), np.ones(2), zero_model=True)
    with pytest.raises(ModelError, match="negative"):
        family.check_support(np.array([0.0, -3.0]), np.ones(2), zero_model=True)


@pytest.mark.parametrize("name", FAMILIES)
def test_registry(name: str) -> None:
    family = get_family(name)
    assert isinstance(family, Family)
    assert family.name == name
    assert family.predictors[0] == "cond"
    assert get_family(family) is family
    for link in family.links:
        assert get_family(name.upper(), link).link.name == link


def test_unknown_names_get_suggestions() -> None:
    with pytest.raises(ModelError, match=r"unknown family 'nbinom3' \(did you mean 'nbinom[12]'.*choose one of gauss"):
        get_family("nbinom3")
    with pytest.raises(ModelError, match="family 'poisson' has no link 'probit'; choose one of log, identity, sqrt"):
        get_family("poisson", "probit")
    with pytest.raises(ModelError, match="already has a link"):
        get_family(get_family("poisson"), "sqrt")
