"""Rows at which a fitted model is looked at: chosen columns vary, numbers rest at their mean, categories average."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import mapping_of, require_word
from glmmcore.errors import ModelError
from glmmcore.results.estimability import dropped_columns
from glmmcore.results.row_designs import designs_of_rows

if TYPE_CHECKING:
    from glmmcore.design import PredictorDesign
    from glmmcore.fitted import FittedGLMM

__all__ = ["WEIGHTS", "ReferenceGrid", "column_values", "reference_levels"]

WEIGHTS = ("equal", "proportional")
# Distinct values of a numeric column up to which all are looked at; of more the user has to choose.
_MAX_VALUES = 12
# Combinations of values of all columns: some ten seconds.
_MOST_ROWS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceGrid:
    """Combinations of the chosen columns, each an average over the levels of the other categories.

    Attributes
    ----------
    cells : DataFrame
        Values of the chosen columns, one row for each of the m combinations.
    weights : ndarray, shape (s,)
        Of the s combinations of the other columns in every average; their sum is 1.
    frame : DataFrame
        The m s rows that are averaged, those of one cell together.
    predictors : dict of str to PredictorDesign
        Their designs; with random terms when these are averaged over.
    averaged : tuple of str
        Categories averaged over.
    at_means : tuple of str
        Numbers that stand at their mean since nothing else was asked for.
    """

    cells: pd.DataFrame
    weights: np.ndarray
    frame: pd.DataFrame
    predictors: dict[str, PredictorDesign]
    averaged: tuple[str, ...] = ()
    at_means: tuple[str, ...] = ()

    @classmethod
    def build(
        cls,
        fit: FittedGLMM,
        variables: Sequence[str],
        at: Mapping[str, Any] | None = None,
        *,
        weights: str = "equal",
        random_effects: str = "none",
    ) -> ReferenceGrid:
        """Lay out the grid of `variables`.

        Parameters
        ----------
        fit : FittedGLMM
        variables : sequence of str
        at : mapping of str to values, optional
            Values of columns, chosen ones or others.
        weights : {"equal", "proportional"}
            Of combinations averaged over: all the same, or by their number of rows in the data.
        random_effects : {"none", "average"}
        """
        require_word(random_effects, "random_effects", ("none", "average"))
        encode: Any = fit.design.encode
        known = encode.fixed_kinds
        if random_effects == "average":
            known = known | encode.left_kinds
        at = mapping_of(at, "at")
        for name in (*variables, *at):
            if name not in known:
                parts = re.split(r"\s*[:*+]\s*", name) if isinstance(name, str) else []
                together = len(parts) > 1 and set(parts) <= set(known)
                hint = f"; for their combinations write {parts}" if together else ""
                raise ModelError(f"'{name}' is no column of the fixed effects; they are {', '.join(known)}{hint}")
        hint = "; weights of the rows of a population are for avg_predictions(..., newdata=, weights=)"
        require_word(weights, "weights", WEIGHTS, hint)
        factors = [name for name in known if name in encode.factors or known[name] == "categorical"]
        values = {
            name: column_values(fit, name, name in factors, chosen=name in variables, given=at.get(name))
            for name in known
        }
        others = [name for name in known if name not in variables]
        order = [*variables, *others]
        positions = _positions({name: len(values[name]) for name in order})
        columns = {name: values[name].array.take(at) for name, at in zip(order, positions, strict=True)}
        frame = pd.DataFrame(columns, index=range(len(positions[0]) if order else 1))
        predictors, _, _ = designs_of_rows(fit, frame, random_effects)
        size = len(frame) // int(np.prod([len(values[name]) for name in variables], initial=1))
        averaged = [name for name in others if name in factors]
        shares = np.full(size, 1.0 / size)
        if weights == "proportional" and averaged:
            shares = _shares(fit, frame.iloc[:size], averaged)
        cells_frame = frame[list(variables)].iloc[::size].reset_index(drop=True)
        several = tuple(name for name in averaged if len(values[name]) > 1)
        resting = tuple(name for name in others if name not in factors and name not in at)
        return cls(cells_frame, shares, frame, predictors, several, resting)

    def average(self, values: np.ndarray) -> np.ndarray:
        """Mean over each cell of values of the rows, (m s, ...), shape (m, ...)."""
        return np.tensordot(
            values.reshape(len(self.cells), len(self.weights), *values.shape[1:]), self.weights, axes=(1, 0)
        )

    def row(self, part: str = "cond") -> tuple[np.ndarray, np.ndarray]:
        """Averaged weights of a part's coefficients (m, p), and offsets (m,)."""
        design = self.predictors[part]
        return self.average(design.X), self.average(design.offset)

    def outside(self, part: str = "cond") -> tuple[np.ndarray | None, list[str]]:
        """`PredictorDesign.outside` averaged, (m, r) or None, and the columns that would have to be known."""
        design = self.predictors[part]
        return None if design.outside is None else self.average(design.outside), dropped_columns(design)


def _positions(sizes: dict[str, int]) -> tuple[np.ndarray, ...]:
    """Places of the values of every column in all combinations, the last column running fastest."""
    total = prod(sizes.values())
    if total > _MOST_ROWS:
        names = ", ".join(f"{name} ({size})" for name, size in sizes.items() if size > 1)
        raise ModelError(
            f"the values of {names} have {total:,} combinations, more than {_MOST_ROWS:,}; hold some columns at one "
            "value in at=, or average over rows: avg_predictions"
        )
    return np.unravel_index(np.arange(total), tuple(sizes.values())) if sizes else ()


def column_values(fit: FittedGLMM, name: str, is_factor: bool, *, chosen: bool, given: Any) -> pd.Series:
    """Values of one column in the grid, of the type it has in the data: all levels of a factor, else the mean."""
    column = fit.data[name]
    if given is not None:
        try:
            listed = np.atleast_1d(np.asarray(given, dtype=object))
        except ValueError:  # items of unequal lengths
            listed = np.empty((0, 0), dtype=object)
        if listed.ndim > 1 or not all(isinstance(value, Hashable) and value is not pd.NA for value in listed):
            raise ModelError(f"at=, values=: '{name}' takes a value or a list of values, not {given!r:.200}")
        values = pd.Series(listed)
        if values.empty:
            raise ModelError(f"at=, values=: no value of column '{name}' is given")
        if is_factor:
            return _like(column, values)
        try:
            return values.astype(float)
        except (TypeError, ValueError):
            raise ModelError(f"at: values of the numeric column '{name}' must be numbers") from None
    distinct = pd.Series(column.unique()).sort_values(ignore_index=True)
    if is_factor:
        return distinct
    if not chosen:
        return pd.Series([float(np.average(column.astype(float), weights=fit.design.freq_weights))])
    if len(distinct) > _MAX_VALUES:
        raise ModelError(
            f"column '{name}' has {len(distinct)} distinct numbers; say at which to look, "
            f"such as at={{{name!r}: [0, 1]}}, or values=[0, 1] in avg_predictions and avg_comparisons"
        )
    return distinct.astype(float)


def reference_levels(
    caller: str, fit: FittedGLMM, cells: pd.DataFrame, variables: Sequence[str], given: Any
) -> dict[str, Any]:
    """Levels of columns with which others are compared: those given, else those of the formula.

    Raises
    ------
    ModelError
        If what is given is no level.
    """
    found = {name: level for name in variables if (level := _formula_reference(fit, name, cells[name])) is not None}
    if given is None:
        return found
    if not isinstance(given, Mapping):
        if len(variables) != 1:
            raise ModelError(f"{caller}: reference= must map columns to levels, such as {{{variables[0]!r}: ...}}")
        given = {variables[0]: given}
    for name, level in given.items():
        is_value = isinstance(level, Hashable) and level is not pd.NA
        if name not in variables or not is_value or level not in set(cells[name]):
            levels = ", ".join(repr(v) for v in dict.fromkeys(cells[name])) if name in variables else "none"
            raise ModelError(f"{caller}: reference={level!r:.200} is no level of '{name}'; its levels are {levels}")
    return found | dict(given)


def _formula_reference(fit: FittedGLMM, name: str, values: pd.Series) -> Any:
    """The one level of a column that has no indicator in a formula with treatment coding, or None."""
    coded = re.compile(rf"(?:{re.escape(name)}|C\({re.escape(name)}\b.*\))\[T\.(.*)\]")
    design = fit.design.predictors["cond"]
    labels = {match[1] for column in (*design.columns, *design.aliased) if (match := coded.fullmatch(column))}
    absent = [value for value in dict.fromkeys(values) if str(value) not in labels]
    return absent[0] if labels and len(absent) == 1 else None


def _like(column: pd.Series, values: pd.Series) -> pd.Series:
    """Values of the type of the data's column, categories and all; levels that the data lack are refused."""
    unseen = [v for v in values if v not in set(column)]
    if unseen:
        raise ModelError(f"at: column '{column.name}' has no level {unseen[0]!r}")
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Series(pd.Categorical(values, categories=column.cat.categories))
    return values.astype(column.dtype)


def _shares(fit: FittedGLMM, rows: pd.DataFrame, factors: list[str]) -> np.ndarray:
    """Shares of the data's rows, or frequencies, that have the same levels as each row."""
    frequency = fit.design.freq_weights
    held = fit.data[factors].assign(_rows=np.ones(fit.nobs) if frequency is None else frequency)
    counts = held.groupby(factors, observed=True, sort=False)["_rows"].sum()
    keys = [tuple(row) for row in rows[factors].itertuples(index=False)]
    found = {key if isinstance(key, tuple) else (key,): value for key, value in counts.items()}
    sizes = np.array([found.get(key, 0.0) for key in keys])
    if sizes.sum() <= 0.0:
        raise ModelError("weights='proportional': no row of the data has the levels that at= leaves")
    return np.asarray(sizes / sizes.sum())
