"""Arguments that are not data frames: brought to one type, or refused by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from functools import wraps
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError, warn_user

__all__ = [
    "alpha_of",
    "from_proportions",
    "holds_proportions",
    "known_elsewhere",
    "mapping_of",
    "names_of",
    "per_trial",
    "random_generator",
    "read_together",
    "real_array",
    "renamed",
    "require_flag",
    "require_level",
    "require_name",
    "require_whole",
    "require_word",
    "require_workers",
    "row_values",
    "tables_in_counts",
    "warn_user",
    "workers_for",
]

_MOST_WORKERS = 1024
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
        raise ModelError(f"{what} is a Series with another index than the rows, its to_numpy() goes by position")
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


LEVEL = "level=, such as level=0.9 for alpha=0.1"
"""What to write for ``alpha=`` of intervals."""

ALPHA = "alpha=, such as alpha=0.1 for level=0.9"
"""What to write for ``level=`` of tests."""


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


def require_whole(value: Any, what: str, least: int, most: int | None = None) -> None:
    """Refuse what is not a whole number in a range.

    Raises
    ------
    ModelError
        Naming the argument.
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):
        span = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ModelError(f"{what} must be a whole number {span}, not {value!r:.200}")


def require_workers(n_jobs: Any) -> None:
    """Refuse a number of workers that joblib would not take or misread.

    Raises
    ------
    ModelError
        For anything but None or a whole number other than 0 that machines have processors for.
    """
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0 or int(n_jobs) > _MOST_WORKERS):
        raise ModelError(
            f"n_jobs must be None or a whole number such as 2 (at most {_MOST_WORKERS}), or -1 for all processors, not "
            f"{n_jobs!r:.60}"
        )


def require_flag(value: Any, what: str) -> None:
    """Refuse what is neither True nor False: arrays and columns are neither, and "no" would be true.

    Raises
    ------
    ModelError
        Naming the argument.

    Examples
    --------
    >>> require_flag("no", "refit")
    Traceback (most recent call last):
    glmmcore.errors.ModelError: refit='no'; use True or False
    """
    if not isinstance(value, (bool, np.bool_)):
        raise ModelError(f"{what}={value!r:.200}; use True or False")


def workers_for(n_tasks: int, n_jobs: int | None) -> int | None:
    """Workers to start for some tasks, no more than there are tasks: processes that never get one are started too.

    Examples
    --------
    >>> workers_for(3, 500), workers_for(3, -1), workers_for(3, None)
    (3, -1, None)
    """
    return n_jobs if n_jobs is None or n_jobs < 0 else min(n_jobs, max(n_tasks, 1))


def require_word(value: Any, what: str, words: Collection[str | None], hint: str = "") -> None:
    """Refuse what is not one of some words, whatever its type: arrays, lists and columns too.

    `hint` ends the message.

    Raises
    ------
    ModelError
        Naming the argument and the words.

    Examples
    --------
    >>> require_word([1, 2], "kind", ("link", "response"))
    Traceback (most recent call last):
    glmmcore.errors.ModelError: kind must be one of 'link' or 'response', not [1, 2]
    """
    if (value is None and None in words) or (isinstance(value, str) and value in words):
        return
    *others, last = (repr(word) for word in words if word is not None)
    shown = f"{', '.join(others)} or {last}" if others else last
    given = " ".join(repr(value).split())  # columns and arrays on one line
    raise ModelError(f"{what} must be one of {shown}, not {given:.200}{hint}")


def require_name(value: Any, what: str) -> None:
    """Refuse what cannot be the name of one column: a list of names, values, a table.

    Raises
    ------
    ModelError
        Naming the argument.
    """
    if not isinstance(value, Hashable) or isinstance(value, (tuple, slice)) or value is pd.NA:
        raise ModelError(f"{what} must name one column, not {value!r:.200}")


def names_of(value: Any, what: str) -> list[Any]:
    """Names of columns, given as one, as several, or as none (None).

    Raises
    ------
    ModelError
        For values, tables and numbers.

    Examples
    --------
    >>> names_of("a", "by"), names_of(("a", "b"), "by"), names_of(None, "by")
    (['a'], ['a', 'b'], [])
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, Iterable) and not isinstance(value, (bytes, Mapping, pd.Series, pd.DataFrame)):
        is_table = isinstance(value, np.ndarray) and value.ndim != 1
        names: list[Any] = [] if is_table else list(value)
        if not is_table and all(isinstance(name, Hashable) and name is not pd.NA for name in names):
            return names
    raise ModelError(f"{what} must name a column or a list of columns, not {value!r:.200}")


def mapping_of(value: Any, what: str) -> dict[Any, Any]:
    """A mapping as a dict, empty for None.

    Raises
    ------
    ModelError
        For anything else.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ModelError(f"{what} must map names to values, such as {{'x': [0, 1]}}, not {value!r:.200}")
    return dict(value)


def holds_proportions(y: np.ndarray, trials: np.ndarray) -> bool:
    """Whether all lie in [0, 1], not all are whole, and each times its trials is whole to 1e-8 of the trials."""
    if ((y < 0) | (y > 1)).any() or (y == np.round(y)).all():
        return False
    counts = from_proportions(y, trials)
    return bool((counts == np.round(counts)).all())


def from_proportions(y: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Numbers of successes, whole where they miss it by rounding."""
    counts = y * trials
    whole = np.round(counts)
    return np.where(np.abs(counts - whole) <= 1e-8 * np.maximum(trials, 1.0), whole, counts)


def per_trial(counts: np.ndarray, trials: np.ndarray | None) -> np.ndarray:
    """Shares of k of n, NaN without trials; other responses as they are."""
    if trials is None:
        return counts
    return np.divide(counts, trials, out=np.full(len(counts), np.nan), where=np.asarray(trials) > 0)


def read_together(responses: Sequence[np.ndarray], trials: Sequence[np.ndarray]) -> list[bool]:
    """Whether each of several responses of one kind holds proportions: one of zeros and ones could be either.

    Missing values are NaN.

    Examples
    --------
    >>> half, whole, sizes = np.array([0.5, 1.0]), np.array([0.0, 1.0]), np.array([2.0, 2.0])
    >>> read_together([whole], [sizes]), read_together([half, whole], [sizes, sizes])
    ([False], [True, True])
    """
    present = [~(np.isnan(y) | np.isnan(n)) for y, n in zip(responses, trials, strict=True)]
    found = [holds_proportions(y[at], n[at]) for y, n, at in zip(responses, trials, present, strict=True)]
    if not any(found):
        return found
    return [own or bool(np.isin(y[at], (0.0, 1.0)).all()) for own, y, at in zip(found, responses, present, strict=True)]


def tables_in_counts(responses: Sequence[tuple[pd.DataFrame, str | None]], trials: Any) -> list[pd.DataFrame]:
    """Tables with numbers of successes where their responses, named beside them, hold proportions of the trials.

    All together say whether they do, see `read_together`. Tables stay as they are if one lacks these numbers.
    """
    tables = [table for table, _ in responses]
    if trials is None:
        return tables
    outcomes = [table.get(name) for table, name in responses]
    sizes = [table.get(trials) if isinstance(trials, str) else pd.Series(trials, index=table.index) for table in tables]
    if any(c is None or not pd.api.types.is_numeric_dtype(c) for c in (*outcomes, *sizes)):
        return tables
    y, n = ([c.to_numpy(dtype=float, na_value=np.nan) for c in cs if c is not None] for cs in (outcomes, sizes))
    return [
        table.assign(**{str(name): from_proportions(own, of)}) if shares else table
        for (table, name), own, of, shares in zip(responses, y, n, read_together(y, n), strict=True)
    ]
