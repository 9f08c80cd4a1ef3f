"""What is known of one test of residuals wherever tests are run, judged or shown.

A test is one file of this folder. Beside the function and its result stands one `ResidualTest`, from which the battery
knows when the test applies, the verdict its words, sizes their limits, and screens their columns. `registry` lists the
tests in the order of tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simresid.checks.base import THRESHOLDS, CheckResult, Effect
from simresid.checks.basis import Basis, default_predictor, predictor_basis

if TYPE_CHECKING:
    from simresid.simulated_residuals import SimulatedResiduals

__all__ = [
    "AUTOCORRELATION_LIMITS",
    "ENTRIES",
    "RATIO_LIMITS",
    "PlannedTest",
    "Request",
    "ResidualTest",
    "described_size",
    "either",
]

RATIO_LIMITS = (float(np.log(1.1)), float(np.log(1.5)))
"""For ratios: negligible below 1.1 and severe from 1.5, or their inverses."""

AUTOCORRELATION_LIMITS = (0.05, 0.20)
"""For correlations with neighbours in time, in space or along a tree."""

Arguments = Mapping[str, Any]


class PlannedTest(NamedTuple):
    """A test with all its arguments but the residuals, and whether these may be a plain array."""

    test: Callable[..., CheckResult]
    takes_arrays: bool


@dataclass(frozen=True, eq=False)
class Request:
    """What a battery of tests is asked for.

    Attributes
    ----------
    res : SimulatedResiduals
    predictors, categories, time, by, x, y
        As in `simresid.diagnose`.
    """

    res: SimulatedResiduals
    predictors: Any = None
    categories: Any = None
    time: Any = None
    by: Any = None
    x: Any = None
    y: Any = None

    @cached_property
    def prediction(self) -> Basis:
        """Smooth functions of the model's prediction."""
        return predictor_basis(default_predictor(self.res), self.res)

    def column(self, values: Any, name: str) -> Any:
        """Values in residual order, free of labels, so that they fit plain residual arrays too."""
        return self.res.align(values, name).array

    def each(self, values: Any, argument: str, words: str) -> dict[str, dict[str, Any]]:
        """Arguments of a test of each column, by `words` and its name; one without a name has that of the argument."""
        named = _named(values, argument)
        aligned = {name: self.res.align(column, name).rename(name) for name, column in named.items()}
        return {f"{words} {name}": {argument: column} for name, column in aligned.items()}


def _named(values: Any, default: str) -> dict[str, Any]:
    import pandas as pd

    if values is None:
        return {}
    if isinstance(values, str):
        return {values: values}
    if isinstance(values, pd.DataFrame):
        return {str(name): values[name] for name in values.columns}
    if isinstance(values, Mapping):
        return {str(name): column for name, column in values.items()}
    if isinstance(values, (list, tuple)) and values and all(isinstance(v, str) for v in values):
        return {name: name for name in values}
    return {str(getattr(values, "name", None) or default): values}


@dataclass(frozen=True, kw_only=True, eq=False)
class ResidualTest:
    """Entry of one test.

    Attributes
    ----------
    name : str
        In tables and verdicts.
    title : str
        On figures.
    test : callable
        Takes residuals, and `null` and `n_refits` by name.
    result : type
        What it returns.
    takes_arrays : bool
        Whether the test does with a plain array of residuals.
    limits : mapping of str to (float, float)
        For `THRESHOLDS`: effects of this test by name, and where they become more than negligible and severe.
    word : callable
        Takes a result that departs and says in a few words how.
    size_name : str
        What to call the size of the departure in a figure.
    size : callable, optional
        Takes a result and says the size instead.
    alone : callable, optional
        For a test that needs nothing but the residuals: takes a `Request` and returns the arguments of the test, or the
        reason why it does not apply, or None where there is no need to say why.
    along : callable, optional
        For a test along columns that a user names: takes a `Request` and returns arguments by the name of the test.
    headline_place : int
        Place in headlines: what is likely to cause the other departures comes first.
    is_consequence : bool
        Whether other departures bring this one about, so that a headline names it only where it stands alone.
    screen_columns : mapping of str to callable
        Columns of a screen beside the p-value; each takes a result and returns a number.
    short_name : str
        `name` where there is little room.
    """

    name: str
    title: str
    test: Callable[..., Any]
    result: type[CheckResult]
    takes_arrays: bool = False
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    word: Callable[[Any], str] = lambda result: "departs"
    size_name: str = "size"
    size: Callable[[Any], str] | None = None
    alone: Callable[[Request], Arguments | str | None] | None = None
    along: Callable[[Request], Mapping[str, Arguments]] | None = None
    headline_place: int = 0
    is_consequence: bool = False
    screen_columns: Mapping[str, Callable[[Any], float]] = field(default_factory=dict)
    short_name: str = ""

    def __post_init__(self) -> None:
        THRESHOLDS.update(self.limits)
        ENTRIES[self.test] = self

    def planned(self, arguments: Arguments, how: Arguments) -> PlannedTest:
        """The test with its arguments, `how` being those about the null distribution."""
        return PlannedTest(partial(self.test, **arguments, **how), self.takes_arrays)

    def size_text(self, result: CheckResult) -> str:
        """Size of a departure, such as ``ratio 1.34 [1.19, 1.50]``."""
        if self.size is not None and isinstance(result, self.result):
            return self.size(result)
        return described_size(result, self.size_name)


ENTRIES: dict[Callable[..., Any], ResidualTest] = {}
"""Test -> its entry, of all modules of tests that were imported."""


def described_size(result: CheckResult, name: str) -> str:
    """Say ``ratio 1.34 [1.19, 1.50]``, or the statistic where no size is known."""
    if result.effect is None:
        return f"statistic {result.statistic:.3g}"
    effect: Effect = result.effect
    value, *ends = (round(v, 2) + 0.0 for v in (effect.value, *(effect.interval or ())))  # no negative zero
    return f"{name} {value:.2f}" + (f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "")


def either(more: str, less: str) -> Callable[[CheckResult], str]:
    """Words for an effect above the value of a right model, and for one that is not."""
    return lambda result: more if result.effect is not None and result.effect.value > result.effect.null else less
