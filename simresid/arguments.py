"""Words, numbers and seeds that a user passes: checked by name, whatever their type."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

__all__ = ["NAMES_ELSEWHERE", "check_word", "resolve_seed", "seconds", "whole_number"]

NAMES_ELSEWHERE = {
    "seed": "rng=",
    "group": "simulate_residuals(...).recalculate(group=...)",
    **dict.fromkeys(("n", "nsim", "n_sim"), "n_sims="),
    "data": "newdata= (rows that the model was not fitted to)",
    **dict.fromkeys(("re_form", "simulateREs"), "random_effects="),
}
"""What to write for arguments of `simulate_residuals` that other programs have under these names."""


def check_word(value: Any, what: str, words: Sequence[str]) -> None:
    """Raise ValueError unless `value` is one of `words`.

    Examples
    --------
    >>> check_word("leeward", "side", ("left", "right", "both"))
    Traceback (most recent call last):
    ...
    ValueError: side='leeward'; choose 'left', 'right' or 'both'
    """
    if not isinstance(value, str) or value not in words:
        *others, last = map(repr, words)
        raise ValueError(f"{what}={value!r:.200}; choose {', '.join(others)} or {last}")


def whole_number(value: Any, what: str, least: int, most: int | None = None) -> int:
    """`value` as an int of at least `least` and at most `most`, or a ValueError that names it.

    Examples
    --------
    >>> whole_number(np.int64(3), "k", least=1)
    3
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{what} must be a whole number of at least {least}, not {value!r:.200}")
    if most is not None and value > most:
        raise ValueError(f"{what} must be at most {most:,}, not {value!r:.200}: that would never end")
    return int(value)


def positive_number(value: Any) -> float | None:
    """`value` as a float, the largest there is at most; None of anything but a real number above zero.

    Examples
    --------
    >>> positive_number(2), positive_number(float("nan")), positive_number(True)
    (2.0, None, None)
    """
    number: Any = value
    if isinstance(value, bool) or not isinstance(value, Real) or not number > 0:
        return None
    return float(min(number, sys.float_info.max))


LONGEST = 1e9
"""Seconds that a limit of time can have, thirty years: clocks take not much more."""


def seconds(value: Any, what: str) -> float | None:
    """A positive number of seconds as a float, or None, or a ValueError that names it."""
    if value is None:
        return None
    number = positive_number(value)
    if number is None:
        raise ValueError(f"{what}={value!r:.200} must be a positive number of seconds, or None")
    return min(number, LONGEST)


def resolve_seed(rng: int | np.random.Generator | None) -> int:
    """Seed from what a user may pass as `rng`."""
    if rng is None:
        return int(np.random.default_rng().integers(2**63))
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63))
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        if rng < 0:
            raise ValueError(f"rng={rng}: a seed must not be negative")
        return int(rng)
    raise TypeError(f"rng must be an int, a numpy.random.Generator or None, got {type(rng).__name__}")
