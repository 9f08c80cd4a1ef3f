"""The data behind a formula: columns as numbers or category codes, missing rows found, bad values named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError

__all__ = [
    "BOOLEAN_LEVELS",
    "Column",
    "as_frame",
    "drop_unused",
    "factorise",
    "find_column",
    "read_column",
    "recode",
    "row_name",
]

# Names that a message lists at most.
_MOST_NAMES = 12
# Levels up to which a sort of Python's takes less time than the call of one for arrays.
_FEW_LEVELS = 100

BOOLEAN_LEVELS = pd.Index([False, True])
"""Levels of a boolean column, whether both occur or not: False is the reference, as in R."""


@dataclass(slots=True, eq=False)
class Column:
    """One column in the form the designs need.

    Attributes
    ----------
    name : str
    kind : str
        ``"numeric"``, ``"boolean"``, ``"categorical"`` or ``"datetime"`` (good for grouping only).
    values : ndarray of float64 or None
        Of a numeric or boolean column, NaN where missing.
    codes, levels : ndarray of int32 and pandas.Index, or None
        Of a categorical or boolean column, code -1 where missing.
    source : pandas.Series
        What the user gave.
    """

    name: str
    kind: str
    source: pd.Series
    values: np.ndarray | None = None
    codes: np.ndarray | None = None
    levels: pd.Index | None = None

    @property
    def missing(self) -> np.ndarray | None:
        """Mask of missing rows, None when there is none."""
        if self.values is not None:
            mask = np.isnan(self.values)
        elif self.codes is not None:
            mask = self.codes < 0
        else:
            mask = self.source.isna().to_numpy()
        return mask if mask.any() else None

    def take(self, keep: np.ndarray) -> Column:
        """Rows of a mask, with only the levels that are left."""
        codes, levels = self.codes, self.levels
        if codes is not None and levels is not None:
            codes = codes[keep]
            if self.kind == "categorical":
                codes, levels = drop_unused(codes, levels)
        values = None if self.values is None else self.values[keep]
        return Column(self.name, self.kind, self.source[keep], values, codes, levels)


def as_frame(data: Any, what: str = "data") -> pd.DataFrame:
    """Accept a pandas frame, a mapping of columns, or a table of another library.

    Raises
    ------
    ModelError
        For anything else.
    """
    if isinstance(data, pd.DataFrame):
        return data
    try:
        if isinstance(data, dict):
            return pd.DataFrame(data)
        if isinstance(data, np.ndarray) and data.dtype.names:
            return pd.DataFrame({name: data[name] for name in data.dtype.names})
        if hasattr(data, "to_pandas"):
            return _from_other_library(data)
        if hasattr(data, "__dataframe__"):
            return pd.api.interchange.from_dataframe(data)
    except (ValueError, TypeError) as error:
        raise ModelError(f"{what} cannot be read as a table: {error}") from error
    raise ModelError(f"{what} must be a pandas DataFrame (or a dict of columns), not {type(data).__name__}")


def _from_other_library(data: Any) -> pd.DataFrame:
    if type(data).__module__.split(".")[0] == "polars":  # its to_pandas needs pyarrow
        return pd.DataFrame({name: _polars_column(data[name]) for name in data.columns})
    table = data.to_pandas()
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"to_pandas() gave a {type(table).__name__}")
    return table


def _polars_column(column: Any) -> Any:
    """Values of a column; an Enum keeps its order, a Categorical has none but that of first appearance."""
    values = column.to_numpy()
    if type(column.dtype).__name__ == "Enum":
        return pd.Categorical(values, categories=list(column.dtype.categories))
    return values


def find_column(data: pd.DataFrame, name: str, what: str = "data") -> pd.Series:
    """Column by name, with a helpful error when it is not there or there twice."""
    try:
        column = data[name]
    except KeyError:
        known = [str(c) for c in data.columns]
        close = get_close_matches(name, known, n=1) or [c for c in known if c.lower() == name.lower()]
        hint = f", did you mean '{close[0]}'?" if close else f"; its columns are {_some(known)}"
        raise ModelError(f"column '{name}' is not in {what}{hint}") from None
    if isinstance(data.columns, pd.MultiIndex):
        raise ModelError(f"{what} has columns in {data.columns.nlevels} levels; give each a name of its own, one text")
    if isinstance(column, pd.DataFrame):
        raise ModelError(f"{what} has more than one column '{name}', rename or drop all but one")
    return column


def read_column(source: pd.Series, name: str) -> Column:
    """Find out what a column is and bring it to float64 or to codes and levels.

    Raises
    ------
    ModelError
        When it mixes numbers and text, or is of a type without use in a model.
    """
    dtype = source.dtype
    if isinstance(dtype, np.dtype):
        if dtype.kind == "b":
            return _boolean(source, name, source.to_numpy(dtype=np.float64))
        if dtype.kind in "iuf":
            return Column(name, "numeric", source, values=source.to_numpy(dtype=np.float64))
        if dtype.kind in "Mm":
            return Column(name, "datetime", source)
        if dtype.kind == "O":
            return _read_object(source, name)
        raise ModelError(f"column '{name}' is of type {dtype}, which a model cannot use")
    if isinstance(dtype, pd.CategoricalDtype):
        codes = source.array.codes.astype(np.int32)
        codes, levels = drop_unused(codes, dtype.categories)
        return Column(name, "categorical", source, codes=codes, levels=levels)
    if pd.api.types.is_bool_dtype(dtype):
        return _boolean(source, name, source.to_numpy(dtype=np.float64, na_value=np.nan))
    if pd.api.types.is_numeric_dtype(dtype):
        return Column(name, "numeric", source, values=source.to_numpy(dtype=np.float64, na_value=np.nan))
    if pd.api.types.is_string_dtype(dtype):
        codes, levels = factorise(source, name)
        return Column(name, "categorical", source, codes=codes, levels=levels)
    return Column(name, "datetime", source)


def _read_object(source: pd.Series, name: str) -> Column:
    found = pd.api.types.infer_dtype(source, skipna=True)
    if found in ("integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty"):
        values = np.array([np.nan if pd.isna(v) else float(v) for v in source], dtype=np.float64)
        if found == "boolean":
            return _boolean(source, name, values)
        return Column(name, "numeric", source, values=values)
    if found in ("string", "categorical"):
        codes, levels = factorise(source, name)
        return Column(name, "categorical", source, codes=codes, levels=levels)
    if found in ("datetime", "datetime64", "date", "timedelta", "time", "period", "interval"):
        return Column(name, "datetime", source)
    raise ModelError(f"column '{name}' holds a mixture of types ({found}), make it all numbers or all text")


def _boolean(source: pd.Series, name: str, values: np.ndarray) -> Column:
    codes = np.where(np.isnan(values), -1.0, values).astype(np.int32)
    return Column(name, "boolean", source, values, codes, BOOLEAN_LEVELS)


def factorise(source: pd.Series, name: str) -> tuple[np.ndarray, pd.Index]:
    """Codes (int32, -1 where missing) and sorted levels of any column.

    Raises
    ------
    ModelError
        When numbers and text are mixed, or the values are lists or the like.
    """
    if isinstance(source.dtype, pd.CategoricalDtype):
        return drop_unused(source.array.codes.astype(np.int32), source.dtype.categories)
    if isinstance(source.dtype, np.dtype) and not source.dtype.isnative:  # pandas refuses to sort these
        source = source.astype(source.dtype.newbyteorder("="))
    try:
        is_text = isinstance(source.dtype, pd.StringDtype)
        codes, levels = _in_order(*pd.factorize(source)) if is_text else pd.factorize(source, sort=True)
    except (TypeError, NotImplementedError):  # lists and arrays, or their pyarrow counterparts
        raise ModelError(f"column '{name}' holds {_kind_of(source)}, which cannot be levels; use text") from None
    levels = pd.Index(levels, name=None)
    if levels.dtype == object and (found := pd.api.types.infer_dtype(levels)).startswith("mixed"):
        raise ModelError(f"column '{name}' holds a mixture of types ({found}), make it all numbers or all text")
    return codes.astype(np.int32), levels


def _in_order(codes: np.ndarray, levels: pd.Index) -> tuple[np.ndarray, pd.Index]:
    """Levels that are text, sorted, and the codes to go with them; as pandas does but in fewer steps."""
    if len(levels) <= _FEW_LEVELS:
        texts = levels.tolist()
        order = np.array(sorted(range(len(texts)), key=texts.__getitem__), dtype=np.intp)
    else:
        order = levels.argsort()
    rank = np.empty(len(levels) + 1, dtype=np.int32)
    rank[order] = np.arange(len(levels))
    rank[-1] = -1  # what is missing
    return rank[codes], levels.take(order)


def _kind_of(source: pd.Series) -> str:
    return f"values such as {source.dropna().iloc[0]!r}" if source.dtype == object else f"values of type {source.dtype}"


def drop_unused(codes: np.ndarray, levels: pd.Index) -> tuple[np.ndarray, pd.Index]:
    """Renumber codes so that only levels that occur remain, in their order."""
    used = np.zeros(len(levels) + 1, dtype=bool)
    used[codes] = True  # code -1 marks the last, extra place
    used = used[:-1]
    if used.all():
        return codes, levels
    renumber = np.append(np.cumsum(used) - 1, -1).astype(np.int32)
    return renumber[codes], levels[used]


def recode(codes: np.ndarray, levels: pd.Index, known: pd.Index, name: str) -> np.ndarray:
    """Codes of new data in terms of the fitted levels.

    Raises
    ------
    ModelError
        For a level that the fit has not seen.
    """
    position = known.get_indexer(levels)
    if (position < 0).any():
        unseen = levels.tolist()[int(np.argmin(position))]
        shown = ", ".join(repr(v) for v in known[:10].tolist()) + (", ..." if len(known) > 10 else "")
        raise ModelError(f"column '{name}' has the level {unseen!r} that the fit has not seen, it knows {shown}")
    return position.astype(np.int32)[codes]


def row_name(index: pd.Index, position: int) -> str:
    """Row label for messages."""
    label = index[position]
    return f"row {label!r}" if isinstance(label, str) else f"row {label}"


def _some(names: Iterable[str]) -> str:
    """List names in a message, no more than `_MOST_NAMES`."""
    names = list(names)
    return ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "") if names else "none"
