"""Arguments that are not data frames: brought to one type, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError, warn_user

__all__ = [
    "alpha_of",
    "known_elsewhere",
    "random_generator",
    "real_array",
    "renamed",
    "require_level",
    "require_workers",
    "row_values",
    "warn_user",
]

P = ParamSpec("P")
R = TypeVar("R")


def real_array(value: Any, what: str) -> np.ndarray:
    """Own float64 array of numbers; masked and missing values are NaN.

    Parameters
    ----------
    value : array_like
    what : str
        What to call it in an error.

    Raises
    ------
    ModelError
        For complex numbers and dates, of which numpy would keep a part, for text and for ragged lists.

    Examples
    --------
    >>> real_array([1, None, True], "y").tolist()
    [1.0, nan, 1.0]
    """
    try:
        if isinstance(value, (pd.Series, pd.api.extensions.ExtensionArray)) and value.dtype.kind not in "cMm":
            return value.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
        if isinstance(value, np.ma.MaskedArray) and value.dtype.kind not in "cMm":
            return np.asarray(np.ma.filled(value.astype(np.float64), np.nan))
        array = np.asarray(value)
        if array.dtype.kind not in "cMmUS":
            return np.array(array, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ModelError(f"{what} must hold real numbers")


def row_values(value: Any, what: str, index: pd.Index) -> np.ndarray:
    """As `real_array`, one value for each row of `index`; a Series must have that index.

    Raises
    ------
    ModelError
        Also for a wrong length or another index.
    """
    if isinstance(value, pd.Series) and not value.index.equals(index):
        raise ModelError(
            f"{what} is a Series with another index than the rows, pass {what}.to_numpy() to go by position"
        )
    array = real_array(value, what)
    if array.shape != (len(index),):
        raise ModelError(f"{what} has shape {array.shape}, there are {len(index)} rows")
    return array


def random_generator(rng: Any) -> np.random.Generator:
    """Generator from a generator, a seed or None for fresh entropy.

    Raises
    ------
    ModelError
        For anything else.
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise ModelError(f"rng must be a numpy.random.Generator, a seed of at least 0 or None, not {rng!r}") from None


def renamed(call: str, old: str, old_value: Any, new: str, new_value: Any) -> Any:
    """Value of an argument that used to have another name, with a warning where the former name was used.

    Parameters
    ----------
    call : str
        Function that was called.
    old, new : str
        Former and present name.
    old_value, new_value : object
        As given; None for not given.

    Returns
    -------
    object
        The one that was given, or None.

    Raises
    ------
    ModelError
        If both were given.
    """
    if old_value is None:
        return new_value
    if new_value is not None:
        raise ModelError(f"{call}: {old}= is the former name of {new}=, give {new}= only")
    warn_user(f"{call}: {old}= is now called {new}=", FutureWarning)
    return old_value


def known_elsewhere(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function: arguments that other programs have under these names are refused with what to write here.

    Parameters
    ----------
    **names : str
        What to write instead, by the name of the argument.

    Examples
    --------
    >>> @known_elsewhere(seed="rng=")
    ... def draw(rng=1):
    ...     return rng
    >>> draw(seed=3)
    Traceback (most recent call last):
    TypeError: draw() has no argument seed=; write rng=
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for name in kwargs:
                if name in names:
                    raise TypeError(f"{function.__name__}() has no argument {name}=; write {names[name]}")
            return function(*args, **kwargs)

        return call

    return decorate


def alpha_of(alpha: Any, level: Any) -> float:
    """One minus the level of intervals, given as such or as the level.

    Raises
    ------
    ModelError
        If it is not between 0 and 1.

    Examples
    --------
    >>> alpha_of(0.05, None), alpha_of(0.05, 0.75)
    (0.05, 0.25)
    """
    if level is None:
        require_level(alpha, "alpha")
        return float(alpha)
    require_level(level, "level")
    return 1.0 - float(level)


def require_level(value: Any, what: str) -> None:
    """Refuse what is not a number between 0 and 1.

    Raises
    ------
    ModelError
        Naming the argument.
    """
    if not (isinstance(value, Real) and 0.0 < float(value) < 1.0):
        raise ModelError(f"{what} must lie between 0 and 1, such as 0.95 or 0.05, not {value!r}")


def require_workers(n_jobs: Any) -> None:
    """Refuse a number of workers that joblib would not take or misread.

    Raises
    ------
    ModelError
        For anything but None or a whole number other than 0.
    """
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0):
        raise ModelError(f"n_jobs must be None or a whole number such as 2, or -1 for all processors, not {n_jobs!r}")
