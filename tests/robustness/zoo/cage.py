"""How a case of the zoo is run and judged.

A case is a call and what must come of it: `Result` (finite numbers, which a check compares with those of a clean
input) or `Refused` (one of our own errors, whose message holds the words that lead a user to the culprit). Never an
error of another library, never more than `SECONDS`, never a warning that the case does not expect.
"""

from __future__ import annotations

import re
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import glmmcore
import simresid
from simresid.cli.tables import InputError

SECONDS = 30
"""Processor time that a case may take, far above what any needs, since the first to need a kernel compiles it."""

_OURS = tuple(str(Path(package.__file__).parent) for package in (glmmcore, simresid))
_ERRORS = (ValueError, TypeError, KeyError, NotImplementedError, MemoryError, InputError)


@dataclass(frozen=True)
class Refused:
    """Refused with a message that holds all `words`."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class PassedOn:
    """The error of a function of the user's own, as it is."""

    error: type[Exception]


@dataclass(frozen=True)
class Result:
    """A result that passes `check`, with exactly the warnings that hold the words of `warns`."""

    check: Callable[[Any], None]
    warns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """A call and its outcome."""

    name: str
    run: Callable[[], Any]
    outcome: Refused | PassedOn | Result


def refused(*words: str) -> Refused:
    return Refused(words)


def passed_on(error: type[Exception]) -> PassedOn:
    return PassedOn(error)


def finite(*warns: str) -> Result:
    """All numbers of the result are finite."""
    return Result(require_finite, warns)


def same(reference: Callable[[], Any], *warns: str, rtol: float = 1e-6) -> Result:
    """The numbers are those of the same call with clean input.

    The default tolerance is that of an optimum (1e-6); calls that do the same arithmetic pass a smaller one.
    """

    def check(result: Any) -> None:
        require_finite(result)
        np.testing.assert_allclose(numbers(result), numbers(reference()), rtol=rtol, atol=1e-9)

    return Result(check, warns)


def holds(condition: Callable[[Any], bool], *warns: str) -> Result:
    """Finite, and a condition."""

    def check(result: Any) -> None:
        require_finite(result)
        assert condition(result), result

    return Result(check, warns)


def zoo(cases: Sequence[Case]) -> Any:
    """Parametrise a test by `cases`, whose names must differ."""
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), sorted({name for name in names if names.count(name) > 1})
    # addresses of functions differ between the processes that run the tests
    plain = [re.sub(r" at 0x[0-9a-f]+", "", name) for name in names]
    ids = [name if plain.count(name) == 1 else f"{name} {plain[:i].count(name)}" for i, name in enumerate(plain)]
    return pytest.mark.parametrize("case", cases, ids=ids)


def judge(case: Case) -> None:
    """Run a case and compare with its outcome."""
    outcome = case.outcome
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        error = result = None
        with time_limit():
            try:
                result = case.run()
            except Exception as raised:
                error = raised
    if isinstance(outcome, Refused):
        assert error is not None, f"accepted: {result!r}"
        require_ours(error)
        for word in outcome.words:
            assert word in str(error), f"'{word}' is not in: {error}"
        return
    if isinstance(outcome, PassedOn):
        assert type(error) is outcome.error
        return
    if error is not None:
        raise error
    messages = [str(warning.message) for warning in caught]
    for message, warning in zip(messages, caught, strict=True):
        assert any(word in message for word in outcome.warns), f"{warning.category.__name__}: {message}"
    for word in outcome.warns:
        assert any(word in message for message in messages), f"no warning with '{word}' among {messages}"
    outcome.check(result)


def require_ours(error: BaseException) -> None:
    """Raised on purpose: by a line of ours that says ``raise``, with a sentence."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = str(error)
    ours = isinstance(error, _ERRORS) and frame.filename.startswith(_OURS) and (frame.line or "").startswith("raise")
    if not ours or len(text) < 10 or " " not in text:
        raise AssertionError(f"foreign {type(error).__name__} at {frame.filename}:{frame.lineno}: {text}") from error


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise in the middle of what does not end."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"no end after {SECONDS} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def numbers(result: Any) -> np.ndarray:
    """All numbers that a user takes from a result."""
    match result:
        case glmmcore.FittedGLMM():
            parts = (result.params, result.zi_params, result.disp_params, result.var_corr["sd"], result.fitted)
            return np.concatenate([[result.llf], *(np.asarray(part, dtype=float) for part in parts)])
        case glmmcore.ManyFits():
            fine = (result.error == "").to_numpy()
            return np.concatenate([result.llf[fine], result.params[fine].to_numpy().ravel()])
        case pd.Series():
            return result.to_numpy(dtype=float)
        case pd.DataFrame():
            return result.select_dtypes("number").to_numpy(dtype=float).ravel()
        case simresid.SimulatedResiduals():
            return result.residuals
        case list() | tuple():
            return np.concatenate([numbers(part) for part in result])
        case _ if hasattr(result, "pvalue"):
            return np.array([result.statistic, result.pvalue], dtype=float).ravel()
        case _ if hasattr(result, "pvalue_adjusted") or hasattr(result, "get_figure"):
            return np.zeros(0)
    return np.asarray(result, dtype=float).ravel()


def require_finite(result: Any) -> None:
    values = numbers(result)
    assert np.isfinite(values).all(), f"not finite: {values}"
    if hasattr(result, "pvalue"):
        assert np.min(result.pvalue) >= 0 and np.max(result.pvalue) <= 1
    if isinstance(result, glmmcore.FittedGLMM):
        assert not np.isnan(result.bse).any()
        assert isinstance(result.summary(), str)
