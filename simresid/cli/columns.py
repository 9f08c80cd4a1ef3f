"""How a column of texts is read: as numbers, dates, truth values or labels; or why it cannot be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.cli.cells import CellFormat, Disguise, disguise_of, is_date, is_grouped, is_truth_value, number_reader
from simresid.cli.terminal import one_line

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ColumnReading",
    "PlainNumbers",
    "Texts",
    "UnclearColumn",
    "read_labels",
    "read_predictor",
    "read_times",
    "refuse_points",
]

MOST_NUMBERS_AMONG_LABELS = 10
"""Different numbers that may stand among labels, as in 0, 5, 10, control."""

MOST_NUMBERED_LABELS = 6
"""Different texts such as ``1a``, ``1b`` that are taken for labels."""

MOST_LABELS = 50
"""Different labels that a predictor may have where they are more than half as many as rows."""

EXACT = 2**53
"""Whole numbers up to here are kept as such."""


class UnclearColumn(Exception):
    """A column cannot be read without guessing; the message says where and what to do."""


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


class Texts:
    """All cells of a column: each different text once, and its number for every row.

    Parameters
    ----------
    name : str
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.numbers: dict[str, int] = {}
        self._codes: list[np.ndarray[Any, Any]] = []

    def add(self, cells: Iterable[str]) -> None:
        """Cells of further rows, without blanks around them."""
        known = self.numbers
        self._codes.append(np.array([known.setdefault(cell, len(known)) for cell in cells], dtype=np.int32))

    def finish(self) -> None:
        """Count."""
        self.codes = np.concatenate(self._codes) if self._codes else np.zeros(0, np.int32)
        self._codes = []
        self.texts = list(self.numbers)
        self.counts = np.bincount(self.codes, minlength=len(self.texts))

    def row(self, position: int) -> int:
        """First row, counted from 1, that holds the text of this number."""
        return int(np.argmax(self.codes == position)) + 1


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
        missing = int(np.isnan(values).sum())
        whole = self._whole and not missing and bool(np.all(np.abs(values) <= EXACT))
        words = {text: count for text, count in self._missing.items() if text and count}
        series = pd.Series(values.astype(np.int64) if whole else values, name=self.name)
        return series, ColumnReading(self.name, self._how, None, missing, words)


def refuse_points(name: str, text: str) -> None:
    """Refuse a column like 1.250 in a file where decimal commas are to be expected."""
    raise UnclearColumn(
        f"column '{name}' holds values like {text} in a file that may have decimal commas: decimals or thousands? "
        "Use --decimal . for decimals, --thousands . for thousands; decimals need one sign in all columns"
    )


@dataclass(frozen=True)
class _Known:
    """Positions of the texts that are not missing, and what was."""

    positions: list[int]
    rows: int
    missing: int
    missing_texts: dict[str, int]


def _known(column: Texts, form: CellFormat, numeric: bool = False) -> _Known:
    """Tell the missing apart; `numeric` also takes -999.0 for missing where --na says -999."""
    gone = [i for i, text in enumerate(column.texts) if not text or text in form.missing]
    if numeric and (codes := form.missing_numbers):
        read = number_reader(".")
        gone += [i for i, text in enumerate(column.texts) if text not in form.missing and read(text) in codes]
    words = {column.texts[i]: int(column.counts[i]) for i in gone if column.texts[i]}
    missing = int(sum(column.counts[i] for i in gone))
    known = sorted(set(range(len(column.texts))) - set(gone))
    return _Known(known, int(column.counts.sum()) - missing, missing, words)


# ---- labels ----------------------------------------------------------------------------------------
def read_labels(column: Texts, form: CellFormat) -> tuple[pd.Series, ColumnReading]:
    """Read identifiers and factors: two labels are one only if their texts are the same.

    Where every text is a whole number as a computer writes it, or every text a decimal one, nothing is lost by keeping
    numbers, and they are kept, so that they sort. All else is text; texts that are numbers, such as 01, sort by value.
    """
    import pandas as pd

    known = _known(column, form)
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


def _labelled(column: Texts, known: _Known, sort_by_value: bool) -> pd.Series:
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


def _reading(column: Texts, known: _Known, how: str, levels: int | None = None) -> ColumnReading:
    return ColumnReading(column.name, how, levels, known.missing, known.missing_texts)


# ---- times -----------------------------------------------------------------------------------------
def read_times(column: Texts, form: CellFormat) -> tuple[pd.Series, ColumnReading]:
    """Read dates written year-month-day; whatever else is judged like a predictor."""
    import pandas as pd

    known = _known(column, form)
    texts = [column.texts[i] for i in known.positions]
    if not texts or not all(is_date(text) for text in texts):
        series, reading = read_predictor(column, form, commas=False)
        if reading.is_text:
            at = known.positions[0]
            raise UnclearColumn(
                f"column '{column.name}' must hold times, but row {column.row(at)} has '{_short(column.texts[at])}'; "
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

    known = _known(column, form, numeric=True)
    for sign, thousands, how in _ways(form, commas):
        read = number_reader(sign, thousands)
        numbers = [read(column.texts[i]) for i in known.positions]
        if all(number is not None for number in numbers):
            _refuse_ambiguous(column, known, sign, form)
            _refuse_infinite(column, known, numbers)
            return _numeric(column, known, numbers), _reading(column, known, how)
    if known.positions and all(is_truth_value(column.texts[i]) for i in known.positions):
        truth = np.array([text.lower() == "true" for text in column.texts])
        absent = np.ones(len(truth), dtype=bool)
        absent[known.positions] = False
        values: Any = truth[column.codes]
        if known.missing:
            values = pd.arrays.BooleanArray(values, absent[column.codes])
        return pd.Series(values, name=column.name), _reading(column, known, "true or false")
    _refuse_disguised(column, known, _ways(form, commas)[0])
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


def _numeric(column: Texts, known: _Known, numbers: list[Any]) -> pd.Series:
    import pandas as pd

    values = np.full(len(column.texts), np.nan)
    values[known.positions] = numbers
    whole = not known.missing and bool(np.all((values == np.floor(values)) & (np.abs(values) <= EXACT)))
    whole = whole and all(text.lstrip("+-").isdecimal() for text in column.texts)
    return pd.Series((values.astype(np.int64) if whole else values)[column.codes], name=column.name)


def _refuse_ambiguous(column: Texts, known: _Known, sign: str, form: CellFormat) -> None:
    """Numbers such as 1,250 that all could have thousands where nobody said that they have decimals."""
    if form.decimal == sign or form.thousands or (sign == "." and form.decimal is None):
        return
    signed = [i for i in known.positions if sign in column.texts[i]]
    if signed and all(is_grouped(column.texts[i], sign) for i in signed):
        raise UnclearColumn(
            f"column '{column.name}' holds values like {column.texts[signed[0]]} (row {column.row(signed[0])}): "
            f"decimals or thousands? Use --decimal {sign} for decimals, --thousands {sign} for thousands"
        )


def _refuse_infinite(column: Texts, known: _Known, numbers: list[Any]) -> None:
    for i, number in zip(known.positions, numbers, strict=True):
        if not np.isfinite(number):
            text = _short(column.texts[i])
            raise UnclearColumn(
                f"column '{column.name}' holds '{text}' in data row {column.row(i)}, which is infinite in double "
                f"precision (inf); correct it, or use --na '{text}' if it means missing"
            )


def _refuse_disguised(column: Texts, known: _Known, way: tuple[str, str | None, str]) -> None:
    """Numbers in disguise, numbers among other texts, and too many labels would silently become categories."""
    read = number_reader(*way[:2])
    plain = [i for i in known.positions if read(column.texts[i]) is not None]
    rest = sorted(set(known.positions) - set(plain))
    disguised = {i: found for i in rest if (found := disguise_of(column.texts[i])) is not None}
    numbered = [i for i, found in disguised.items() if found.what.startswith("letters")]
    few = len(numbered) <= MOST_NUMBERED_LABELS and 2 * len(numbered) <= known.rows
    letters = {column.texts[i].lstrip("+-.,0123456789") for i in numbered}  # the same behind all are a unit
    if few and len(letters) > 1 and 2 * _rows(column, plain) < known.rows:
        for i in numbered:
            del disguised[i]
    n_plain, n_disguised = _rows(column, plain), _rows(column, disguised)
    categories = f"; C({column.name}) in the formula if its texts are categories"
    if disguised and 2 * (n_plain + n_disguised) >= known.rows:
        raise UnclearColumn(_disguise_message(column, known, disguised, n_disguised) + categories)
    stray = [i for i in rest if i not in disguised] or rest
    if plain and (2 * n_plain >= known.rows or len(plain) + len(disguised) > MOST_NUMBERS_AMONG_LABELS):
        text = _short(column.texts[stray[0]])
        raise UnclearColumn(
            f"column '{column.name}' holds numbers, but also the text '{text}' in data row {column.row(stray[0])} "
            f"({known.rows - n_plain} such rows); correct it, or use --na '{text}' if it means missing{categories}"
        )
    if len(known.positions) > MOST_LABELS and 2 * len(known.positions) > known.rows:
        text = _short(column.texts[known.positions[0]])
        raise UnclearColumn(
            f"column '{column.name}' holds {len(known.positions)} different texts in {known.rows} rows, such as "
            f"'{text}' in data row {column.row(known.positions[0])}, too many for categories of a predictor; if they "
            f"are groups, write (1|{column.name}){categories}"
        )


def _disguise_message(column: Texts, known: _Known, disguised: dict[int, Disguise], n_disguised: int) -> str:
    kinds: dict[Disguise, list[int]] = {}
    for i, found in disguised.items():
        kinds.setdefault(found, []).append(i)
    kind, members = max(kinds.items(), key=lambda item: _rows(column, item[1]))
    text = _short(column.texts[members[0]])
    na = f"; --na '{text}' if that means missing" if len(members) == 1 else ""
    return (
        f"column '{column.name}' holds numbers that cannot be read: {kind.what}, such as '{text}' in data row "
        f"{column.row(members[0])} ({n_disguised} of {known.rows} rows): {kind.cure}{na}"
    )


def _rows(column: Texts, positions: Iterable[int]) -> int:
    return int(sum(column.counts[i] for i in positions))


def _short(text: str) -> str:
    text = one_line(text[:100])
    return text if len(text) <= 40 else text[:37] + "..."
