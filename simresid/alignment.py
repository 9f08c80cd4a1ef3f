"""Bringing what a user passes (column, Series, array) into the order of the residuals, or saying why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FloatArray", "align_rows", "finite_vector", "real_array"]

FloatArray: TypeAlias = NDArray[np.float64]

EXACT_INTEGERS = 2**53
"""Neighbouring whole numbers beyond differ in no bit of a float64: ranks among them would be chance."""


class Columns(Protocol):
    """Columns that can be named."""

    @property
    def names(self) -> list[Any]: ...

    def __contains__(self, name: Any) -> bool: ...

    def __getitem__(self, name: Any) -> pd.Series: ...


def align_rows(values: Any, what: str, index: pd.Index, columns: Columns | None = None) -> pd.Series:
    """One value per residual, in the order of the residuals.

    Parameters
    ----------
    values : str, Series or array-like
        One of `columns`, or several as in ``"batch:cask"`` or ``["batch", "cask"]`` for each combination of theirs; a
        Series, matched by its labels when they contain all of `index` and no label twice; several of them in a list or
        a DataFrame, for each combination; or anything else of the right length, taken by position.
    what : str
        Name of the argument for messages.
    index : Index (n,)
        Row labels of the residuals.
    columns : NamedColumns, optional
        What the residuals know of their rows.

    Returns
    -------
    Series
        Values under `index`. Missing values are left to the caller.

    Raises
    ------
    ValueError, KeyError
        If a column is unknown, a length is wrong or labels do not match; the message names both sides.
    """
    import pandas as pd

    if isinstance(values, str):
        return _column(values, what, index, columns)
    if columns is not None and _names_columns(values, columns, len(index)):
        unknown = [name for name in values if name not in columns]
        if unknown:
            raise KeyError(f"{what}={unknown[0]!r:.200} is not a column of the data; columns: {columns.names[:20]}")
        return _nested(pd.DataFrame({name: columns[name] for name in values}), index, ":".join(values))
    several = _several_columns(values)
    if several:
        aligned = [align_rows(column, what, index) for column in several]
        name = ":".join(str(column.name) for column in several)
        return _nested(pd.DataFrame(dict(enumerate(aligned))), index, name) if len(several) > 1 else aligned[0]
    if isinstance(values, pd.Series):
        return _by_labels(_native(values), what, index)
    return _by_position(values, what, index, has_columns=columns is not None and bool(columns.names))


def _column(name: str, what: str, index: pd.Index, columns: Columns | None) -> pd.Series:
    """A column, or the combinations of several whose names are joined by colons."""
    import pandas as pd

    if columns is None or not columns.names:
        raise KeyError(f"{what}={name!r} names a column, but these residuals carry no data; pass the values")
    if name in columns:
        return pd.Series(columns[name].array, index=index, name=name)
    parts = name.split(":")
    if len(parts) > 1 and all(part in columns for part in parts):
        return _nested(pd.DataFrame({part: columns[part] for part in parts})[parts], index, name)
    raise KeyError(f"{what}={name!r} is not a column of the data; columns: {columns.names[:20]}")


def _by_labels(values: pd.Series, what: str, index: pd.Index) -> pd.Series:
    """A Series whose labels are those of the residuals, or hold all of them once."""
    n = len(index)
    if len(values) == n and values.index.equals(index):
        return values
    if values.index.is_unique and index.is_unique and index.isin(values.index).all():
        return values.reindex(index)
    if len(values) != n and index.isin(values.index).all():
        twice = next(iter([*values.index[values.index.duplicated()], *index[index.duplicated()]]))
        raise ValueError(
            f"{what} has {len(values)} values but there are {n} residuals, and row labels that occur twice, such as "
            f"{twice!r}, do not say which is whose: name a column of the data, or pass the values of the {n} rows"
        )
    if len(values) != n:
        raise ValueError(
            f"{what} has {len(values)} values but there are {n} residuals, and its index does not contain all of their "
            "row labels"
        )
    raise ValueError(
        f"{what} has the right length ({n}) but other row labels than the residuals; pass {what}.to_numpy() to go by "
        "position"
    )


def _by_position(values: Any, what: str, index: pd.Index, *, has_columns: bool) -> pd.Series:
    """Values without labels, one for each residual."""
    import pandas as pd

    n = len(index)
    if isinstance(values, np.ma.MaskedArray):
        values = real_array(values, what)
    if isinstance(values, list | tuple):  # numpy would turn the missing among texts into the text "nan"
        try:
            plain = np.asarray(values)
        except ValueError:
            raise ValueError(f"{what} is a list of items of different lengths; pass one value for each row") from None
        values = np.array(values, dtype=object) if plain.dtype.kind in "US" and plain.ndim == 1 else plain
    array = values if isinstance(values, pd.api.extensions.ExtensionArray | pd.Index) else _native(np.asarray(values))
    if array.ndim != 1 or len(array) != n:
        shape = f"shape {array.shape}" if array.ndim != 1 else f"{len(array)} values"
        hint = (
            f"; {len(array)} rows were given, but only {n} entered the fit: pass a Series with the data's index or a "
            "column name"
            if array.ndim == 1 and len(array) > n and has_columns
            else ""
        )
        raise ValueError(f"{what} has {shape} but there are {n} residuals{hint}")
    return pd.Series(array, index=index)


def _names_columns(values: Any, columns: Columns, n: int) -> bool:
    """Whether a list holds names of columns rather than a label for each of n rows."""
    if not isinstance(values, list | tuple) or not values or len(values) == n:
        return False
    return all(isinstance(value, str) for value in values) and any(value in columns for value in values)


def _several_columns(values: Any) -> list[pd.Series]:
    """Columns of a table or of a list of Series; none for anything else."""
    import pandas as pd

    if isinstance(values, pd.DataFrame):
        return [values.iloc[:, k] for k in range(values.shape[1])]
    if isinstance(values, list | tuple) and all(isinstance(value, pd.Series) for value in values):
        return list(values)
    return []


def _nested(columns: pd.DataFrame, index: pd.Index, name: str) -> pd.Series:
    """Combinations of columns as text, missing where one of them is."""
    import pandas as pd

    text = columns.astype(str).fillna("").agg(":".join, axis=1).astype(object)
    different = columns.groupby(list(columns), sort=False, dropna=False, observed=True).ngroup()
    if text.nunique() < different.nunique():  # "a:b" and "c" beside "a" and "b:c": quotes tell them apart
        text = columns.astype(object).map(repr).agg(":".join, axis=1).astype(object)
    return pd.Series(text.where(columns.notna().all(axis=1), None).array, index=index, name=name)


def _native(values: Any) -> Any:
    """Series or array in the byte order of this machine, since pandas refuses to reorder others."""
    dtype = values.dtype
    return values.astype(dtype.newbyteorder("=")) if isinstance(dtype, np.dtype) and not dtype.isnative else values


def real_array(values: Any, what: str) -> NDArray[np.float64]:
    """`values` as an array of float64, a view where it is one; masked and missing values are NaN.

    Raises
    ------
    ValueError
        For complex numbers, dates, text and ragged lists, which numpy would convert with a part lost or refuse with
        a message that names nothing.
    """
    try:
        with np.errstate(all="ignore"):  # values beyond float64 become infinite, which the callers refuse by row
            array = np.asanyarray(values) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
            if array.dtype.kind == "O":
                return np.array(values, dtype=np.float64)
            if array.dtype.kind in "iu" and array.size and max(-int(array.min()), int(array.max())) > EXACT_INTEGERS:
                raise ValueError("whole numbers beyond 2**53 are not exact in double precision; subtract a constant")
            if array.dtype.kind in "biuf":
                masked = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
                array = np.asarray(array, dtype=np.float64)
                return array if masked is None else np.where(masked, np.nan, array)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{what} must hold numbers: {error}") from None
    raise ValueError(f"{what} must hold numbers that are real, got dtype {array.dtype}")


def finite_vector(values: Any, what: str, n: int | None = None) -> NDArray[np.float64]:
    """`values` as a fresh C-contiguous float64 vector, of length `n` if given, not empty, all finite."""
    vector = np.array(real_array(values, what))
    if vector.ndim != 1:
        raise ValueError(f"{what} must be a vector, got shape {vector.shape}")
    if vector.size == 0:
        raise ValueError(f"{what} is empty; at least one row is needed")
    if n is not None and vector.size != n:
        raise ValueError(f"{what} has {vector.size} values, expected {n}")
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        shown = ", ".join(map(str, bad[:10])) + (", ..." if bad.size > 10 else "")
        raise ValueError(f"{what} is NaN or infinite at row position(s) {shown}; drop these rows")
    return vector
