"""How a column of texts is read: as numbers, dates, truth values or labels; or why it cannot be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.cli.cells import CellFormat, is_date, is_grouped, is_truth_value, number_reader
from simresid.cli.texts import Known, Texts, known_texts, shortened
from simresid.cli.unclear import (
    UnclearColumn,
    refuse_ambiguous,
    refuse_dates_without_signs,
    refuse_disguised,
    refuse_infinite,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ColumnReading", "PlainNumbers", "read_labels", "read_predictor", "read_times"]

EXACT = 2**53
"""Whole numbers up to here are kept as such."""


@dataclass(frozen=True)
class ColumnReading:
    """How one column was read.

    Attributes
    ----------
    name : str
    read_as : str
        "numbers", "labels", "dates", "true or false", with the way of writing where it is not the plain one.
    levels : int or None
        Number of different labels.
    missing : int
        Rows without a value.
    missing_texts : dict of str to int
        Texts other than the empty one that were taken for missing, with their numbers of rows.
    """

    name: str
    read_as: str
    levels: int | None
    missing: int
    missing_texts: dict[str, int] = field(default_factory=dict)

    @property
    def is_text(self) -> bool:
        """Whether the values are labels."""
        return self.read_as.startswith("labels")

    def __str__(self) -> str:
        levels = "" if self.levels is None else f", {self.levels} different"
        return self.read_as + levels + (f", {self.missing} missing" if self.missing else "")


class PlainNumbers:
    """Cells of a column as long as all are plain numbers or missing, which takes eight bytes a row.

    Parameters
    ----------
    name : str
    form : CellFormat
    commas : bool
        As in `read_predictor`.
    """

    def __init__(self, name: str, form: CellFormat, commas: bool) -> None:
        self.name, self._form = name, form
        sign, thousands, self._how = _ways(form, commas)[0]
        self._sign, self._read = sign, number_reader(sign, thousands)
        self._parts: list[np.ndarray[Any, Any]] = []
        self._missing: dict[str, int] = {}
        self._whole = True
        self.grouped_point: str | None = None
        self._ungrouped = False

    def add(self, cells: list[str]) -> bool:
        """Take the cells of further rows; False where one of them is no plain finite number."""
        read, missing = self._read, self._form.missing
        values = np.empty(len(cells))
        for i, cell in enumerate(cells):
            number = read(cell)
            if number is None:
                if cell and cell not in missing:
                    return False
                number = np.nan
                self._missing[cell] = self._missing.get(cell, 0) + 1
            values[i] = number
        for code in self._form.missing_numbers:
            self._missing[f"{code:g}"] = self._missing.get(f"{code:g}", 0) + int(np.sum(values == code))
            values[values == code] = np.nan
        if np.isinf(values).any():
            return False
        self._parts.append(values)
        self._whole = self._whole and not any(self._sign in cell or "e" in cell or "E" in cell for cell in cells)
        if not self._ungrouped:
            pointed = [cell for cell in cells if "." in cell]
            self._ungrouped = not all(is_grouped(cell, ".") for cell in pointed)
            self.grouped_point = None if self._ungrouped else self.grouped_point or next(iter(pointed), None)
        return True

    def finish(self) -> tuple[pd.Series, ColumnReading]:
        """Column of whole numbers where all cells are, else of floats, with NaN for what is missing."""
        import pandas as pd

        values = np.concatenate(self._parts)
        self._parts = []
        refuse_dates_without_signs(self.name, values)
        missing = int(np.isnan(values).sum())
        whole = self._whole and not missing and bool(np.all(np.abs(values) <= EXACT))
        words = {text: count for text, count in self._missing.items() if text and count}
        series = pd.Series(values.astype(np.int64) if whole else values, name=self.name)
        return series, ColumnReading(self.name, self._how, None, missing, words)


# ---- labels ----------------------------------------------------------------------------------------
def read_labels(column: Texts, form: CellFormat) -> tuple[pd.Series, ColumnReading]:
    """Read identifiers and factors: two labels are one only if their texts are the same.

    Where every text is a whole number as a computer writes it, or every text a decimal one, nothing is lost by keeping
    numbers, and they are kept, so that they sort. All else is text; texts that are numbers, such as 01, sort by value.
    """
    import pandas as pd

    known = known_texts(column, form)
    texts = [column.texts[i] for i in known.positions]
    if texts and all(_is_whole(text) for text in texts):
        values, how = np.array([int(text) for text in texts]), "labels, whole numbers"
    elif texts and all(_is_decimal(text) for text in texts):
        values, how = np.array([float(text) for text in texts]), "labels, numbers"
    else:
        series = _labelled(column, known, sort_by_value=True)
        return series, _reading(column, known, "labels", len(texts))
    out: Any = np.full(len(column.texts), np.nan)
    if known.missing == 0:
        out = np.zeros(len(column.texts), dtype=values.dtype)
    elif values.dtype.kind == "i":  # missing whole numbers: a type that can hold both
        taken = np.zeros(len(column.texts), dtype=np.int64)
        taken[known.positions] = values
        absent = np.ones(len(column.texts), dtype=bool)
        absent[known.positions] = False
        series = pd.Series(pd.arrays.IntegerArray(taken[column.codes], absent[column.codes]), name=column.name)
        return series.astype("Int64"), _reading(column, known, how, len(texts))
    out[known.positions] = values
    return pd.Series(out[column.codes], name=column.name), _reading(column, known, how, len(texts))


def _is_whole(text: str) -> bool:
    return len(text) < 17 and text.lstrip("-").isdecimal() and text.isascii() and str(int(text)) == text


def _is_decimal(text: str) -> bool:
    return len(text) < 25 and "." in text and number_reader(".")(text) is not None and repr(float(text)) == text


def _labelled(column: Texts, known: Known, sort_by_value: bool) -> pd.Series:
    import pandas as pd

    read = number_reader(".")
    values = {column.texts[i]: read(column.texts[i]) for i in known.positions} if sort_by_value else {}
    if values and all(value is not None for value in values.values()):
        order = sorted(values, key=lambda text: (values[text] or 0.0, text))
        new = {text: i for i, text in enumerate(order)}
        codes = np.array([new.get(text, -1) for text in column.texts], dtype=np.int64)
        return pd.Series(
            pd.Categorical.from_codes(codes[column.codes], pd.Index(order, dtype=object)), name=column.name
        )
    texts = np.array([None, *column.texts], dtype=object)[1:]
    gone = sorted(set(range(len(texts))) - set(known.positions))
    texts[gone] = None
    return pd.Series(texts[column.codes], name=column.name, dtype=object).infer_objects()


def _reading(column: Texts, known: Known, how: str, levels: int | None = None) -> ColumnReading:
    return ColumnReading(column.name, how, levels, known.missing, known.missing_texts)


# ---- times -----------------------------------------------------------------------------------------
def read_times(column: Texts, form: CellFormat) -> tuple[pd.Series, ColumnReading]:
    """Read dates written year-month-day; whatever else is judged like a predictor."""
    import pandas as pd

    known = known_texts(column, form)
    texts = [column.texts[i] for i in known.positions]
    if not texts or not all(is_date(text) for text in texts):
        series, reading = read_predictor(column, form, commas=False)
        if reading.is_text:
            at = known.positions[0]
            text = shortened(column.texts[at])
            raise UnclearColumn(
                f"column '{column.name}' must hold times, but row {column.row(at)} has '{text}'; "
                "write numbers or dates as year-month-day"
            )
        return series, reading
    try:
        dates = pd.to_datetime(pd.Series(texts), format="ISO8601", utc=any(t[-1] == "Z" or "+" in t for t in texts))
    except (ValueError, OverflowError) as error:
        raise UnclearColumn(f"column '{column.name}' holds dates that cannot be: {error}") from None
    out = pd.Series(pd.NaT, index=range(len(column.texts)), dtype=dates.dtype)
    out.iloc[known.positions] = dates.to_numpy() if dates.dt.tz is None else dates.array
    return out.iloc[column.codes].reset_index(drop=True).rename(column.name), _reading(column, known, "dates")


# ---- predictors and responses ----------------------------------------------------------------------
def read_predictor(column: Texts, form: CellFormat, commas: bool) -> tuple[pd.Series, ColumnReading]:
    """Read a column as numbers if it is one of numbers, as labels if it clearly is not.

    Parameters
    ----------
    commas : bool
        Whether decimal commas may be taken for such without being told, as where another sign separates the columns.

    Raises
    ------
    UnclearColumn
        If the column mostly holds numbers in disguise, numbers with other texts among them, or more labels than a
        predictor can have.
    """
    import pandas as pd

    known = known_texts(column, form, numeric=True)
    for sign, thousands, how in _ways(form, commas):
        read = number_reader(sign, thousands)
        numbers = [read(column.texts[i]) for i in known.positions]
        if all(number is not None for number in numbers):
            refuse_ambiguous(column, known, sign, form)
            refuse_infinite(column, known, numbers)
            series = _numeric(column, known, numbers)
            refuse_dates_without_signs(column.name, series.to_numpy())
            return series, _reading(column, known, how)
    if known.positions and all(is_truth_value(column.texts[i]) for i in known.positions):
        truth = np.array([text.lower() == "true" for text in column.texts])
        absent = np.ones(len(truth), dtype=bool)
        absent[known.positions] = False
        values: Any = truth[column.codes]
        if known.missing:
            values = pd.arrays.BooleanArray(values, absent[column.codes])
        return pd.Series(values, name=column.name), _reading(column, known, "true or false")
    refuse_disguised(column, known, _ways(form, commas)[0])
    return _labelled(column, known, sort_by_value=False), _reading(column, known, "labels", len(known.positions))


def _ways(form: CellFormat, commas: bool) -> list[tuple[str, str | None, str]]:
    """Ways to read numbers, the likeliest first: decimal sign, signs of thousands, words."""
    decimal = form.decimal
    if decimal is None and form.thousands and "," not in form.thousands and (commas or "." in form.thousands):
        decimal = "," if "." in form.thousands else None
    plain = "numbers" if decimal != "," else "numbers with decimal commas"
    if form.thousands:
        plain += f" and '{form.thousands[0]}' between thousands"
    ways = [(decimal or ".", form.thousands, plain)]
    if decimal is None and commas and not (form.thousands and "," in form.thousands):
        ways.append((",", form.thousands, "numbers with decimal commas"))
    if decimal == "," and not (form.thousands and "." in form.thousands):
        ways.append((".", None, "numbers with decimal points"))
    return ways


def _numeric(column: Texts, known: Known, numbers: list[Any]) -> pd.Series:
    import pandas as pd

    values = np.full(len(column.texts), np.nan)
    values[known.positions] = numbers
    whole = not known.missing and bool(np.all((values == np.floor(values)) & (np.abs(values) <= EXACT)))
    whole = whole and all(text.lstrip("+-").isdecimal() for text in column.texts)
    return pd.Series((values.astype(np.int64) if whole else values)[column.codes], name=column.name)
