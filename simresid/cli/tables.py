"""Read a table that a user points at, or say in one sentence why it cannot be used."""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simresid.cli.cells import APOSTROPHES, MISSING_WORDS, SPACES, CellFormat
from simresid.cli.columns import ColumnReading, PlainNumbers, read_labels, read_predictor, read_times
from simresid.cli.csv_file import CsvFile, InputError
from simresid.cli.formula_names import FormulaNames, names_in_formulas
from simresid.cli.terminal import say
from simresid.cli.texts import Texts
from simresid.cli.unclear import UnclearColumn, refuse_merged_labels, refuse_points

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Columns", "InputError", "TableReading", "cell_format", "first_disagreement", "read_columns", "read_table"]

THOUSANDS = {"space": SPACES, "blank": SPACES, " ": SPACES, "apostrophe": APOSTROPHES}
"""Words for signs that are awkward on a command line."""


@dataclass(frozen=True)
class Columns:
    """Columns that options name, by what they are taken for.

    Attributes
    ----------
    numbers, labels, times : tuple of str
    """

    numbers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    times: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Every name once."""
        return tuple(dict.fromkeys(self.numbers + self.labels + self.times))


@dataclass(frozen=True)
class TableReading:
    """A table and how it was read.

    Attributes
    ----------
    table : DataFrame
    columns : list of ColumnReading
    notes : list of str
        What the user should know, whole sentences.
    """

    table: pd.DataFrame
    columns: list[ColumnReading] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_table(
    file: str,
    formulas: Sequence[str],
    columns: Sequence[str],
    *,
    delimiter: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    encoding: str | None = None,
    na: Sequence[str] = (),
    na_only: bool = False,
) -> pd.DataFrame:
    """Columns that formulas use and `columns` name as labels, with notes on standard error; see `read_columns`."""
    form = cell_format(decimal, thousands, na, na_only)
    reading = read_columns(file, formulas, Columns(labels=tuple(columns)), form, delimiter, encoding)
    for note in reading.notes:
        say(f"simresid: {note}")
    return reading.table


def cell_format(decimal: str | None, thousands: str | None, na: Sequence[str], na_only: bool) -> CellFormat:
    """Options of the command line as the readers of cells take them.

    Raises
    ------
    InputError
        If the two signs are the same, or the one of thousands can be part of a number.
    """
    signs = THOUSANDS.get(thousands, thousands) if thousands else None
    if signs is not None:
        if signs not in THOUSANDS.values() and (len(signs) != 1 or signs.isalnum() or signs in '+-"'):
            raise InputError(f"--thousands: '{thousands}' must be , . _ space apostrophe or another single sign")
        if decimal is not None and decimal in signs:
            raise InputError(f"--decimal and --thousands are both '{decimal}'")
    words = {text.strip() for text in na}
    return CellFormat(decimal, signs, frozenset(words if na_only else words | MISSING_WORDS))


def read_columns(
    file: str,
    formulas: Sequence[str],
    columns: Columns,
    form: CellFormat,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> TableReading:
    """Columns that formulas and options name, from a CSV or Parquet file or an embedded data set.

    Raises
    ------
    InputError
        One sentence on what is wrong with the file.
    """
    from simresid import datasets

    path = Path(file)
    names = names_in_formulas(formulas)
    if not path.exists() and file in datasets.names():
        table = datasets.load(file)
        wanted = _wanted(file, list(table.columns), names, columns)
        return TableReading(table, [_typed(table[name]) for name in wanted])
    if not path.exists():
        raise InputError(f"there is no file '{file}', nor an embedded data set of this name (see: simresid data)")
    if path.is_dir():
        raise InputError(f"'{file}' is a folder; name a CSV or Parquet file")
    if not path.is_file():
        raise InputError(f"'{file}' is not a file that can be read twice; write its content to one first")
    try:
        if path.suffix.lower() == ".parquet":
            reading = _read_parquet(path, names, columns, form)
        else:
            reading = _read_csv(path, names, columns, form, delimiter, encoding)
    except UnclearColumn as error:
        raise InputError(f"'{path}': {error}") from None
    if not len(reading.table):
        raise InputError(f"'{file}' has a header but no rows")
    return reading


# ---- CSV -------------------------------------------------------------------------------------------
def _read_csv(
    path: Path,
    names: FormulaNames,
    columns: Columns,
    form: CellFormat,
    delimiter: str | None,
    encoding: str | None,
) -> TableReading:
    import pandas as pd

    def score(header: list[str]) -> int:
        return sum(name in names.possible or name in columns.all for name in header)

    file = CsvFile(path, encoding, delimiter, score)
    wanted = _wanted(str(path), file.header, names, columns)
    positions = [file.header.index(name) for name in wanted]
    commas = file.delimiter != ","
    both = (names.labels | set(columns.labels)) & names.predictors
    plain = [name for name in wanted if _role(name, names, columns) == "predictor" and name not in both]
    numbers = {name: PlainNumbers(name, form, commas) for name in plain}
    texts = {name: Texts(name) for name in wanted if name not in numbers}
    rows = 0
    for chunk in file.chunks(positions):
        rows += len(chunk[0])
        for name, cells in zip(wanted, chunk, strict=True):
            if name in texts:
                texts[name].add(cells)
            elif name in numbers and not numbers[name].add(cells):
                del numbers[name]
    again = [name for name in wanted if name not in texts and name not in numbers]
    if again:  # not plain numbers after all: what they are is judged on all of their texts
        texts |= {name: Texts(name) for name in again}
        for chunk in file.chunks([file.header.index(name) for name in again]):
            for name, cells in zip(again, chunk, strict=True):
                texts[name].add(cells)
    if not rows:
        return TableReading(pd.DataFrame(columns=wanted))
    points = {name: column.grouped_point for name, column in numbers.items()}
    found = {name: column.finish() for name, column in numbers.items()}
    notes = file.notes
    for name, column in texts.items():
        column.finish()
        found[name] = _judged(column, _role(name, names, columns), form, commas)
        if name in both:
            refuse_merged_labels(column, found[name][0])
        notes += _notes_on_missing(found[name][1])
    has_commas = any("decimal commas" in reading.read_as for _, reading in found.values())
    if has_commas or (file.delimiter == ";" and form.decimal is None):
        _refuse_points(points, texts, found, form)
    table = pd.DataFrame({name: found[name][0] for name in wanted})
    return TableReading(table, [found[name][1] for name in wanted], notes)


def _role(name: str, names: FormulaNames, columns: Columns) -> str:
    """What a column is used for; as a number wherever the formula uses it so."""
    if name in names.predictors or name in columns.numbers:
        return "predictor"
    return "time" if name in columns.times else "label"


def _judged(column: Texts, role: str, form: CellFormat, commas: bool) -> tuple[pd.Series, ColumnReading]:
    if role == "label":
        return read_labels(column, form)
    if role == "time":
        return read_times(column, form)
    return read_predictor(column, form, commas)


def _notes_on_missing(reading: ColumnReading) -> list[str]:
    """Sentence where words among labels were taken for missing."""
    if not reading.is_text or not reading.missing_texts:
        return []
    text, count = next(iter(reading.missing_texts.items()))
    others = len(reading.missing_texts) - 1
    more = f" (and {others} other texts)" if others else ""
    advice = "if it is a label, use --na-only"
    return [f"column '{reading.name}': '{text}' in {count} rows{more} is read as missing; {advice}"]


def _refuse_points(
    points: dict[str, str | None], texts: dict[str, Texts], found: dict[str, Any], form: CellFormat
) -> None:
    """Where some columns have decimal commas, or may have them, 1.250 in all rows of another one may be thousands."""
    if form.thousands and "." in form.thousands:
        return
    for name, text in points.items():
        if text is not None:
            refuse_points(name, text)
    for name, column in texts.items():
        if found[name][1].read_as == "numbers":
            read_predictor(column, replace(form, decimal=","), True)


# ---- Parquet, and what both need --------------------------------------------------------------------
def _read_parquet(path: Path, names: FormulaNames, columns: Columns, form: CellFormat) -> TableReading:
    import pandas as pd

    if importlib.util.find_spec("pyarrow") is None:
        raise InputError("Parquet files need the package pyarrow; install it or use CSV")
    try:
        parquet = importlib.import_module("pyarrow.parquet")
        header = [str(name) for name in parquet.read_schema(path).names]
        wanted = _wanted(str(path), header, names, columns)
        table = pd.read_parquet(path, columns=wanted)
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read as Parquet: {' '.join(str(error).split())}") from None
    own = replace(form, missing=form.missing - MISSING_WORDS)  # what is missing is marked as such
    readings = []
    for name in wanted:
        role = _role(name, names, columns)
        if table[name].dtype.kind == "O" and role != "label" and not isinstance(table[name].dtype, pd.CategoricalDtype):
            column = Texts(name)
            column.add("" if gone else str(v).strip() for v, gone in zip(table[name], table[name].isna(), strict=True))
            column.finish()
            series, reading = _judged(column, role, own, commas=False)
            table[name] = series.array
            readings.append(reading)
        else:
            readings.append(_typed(table[name]))
    return TableReading(table, readings)


def _typed(column: pd.Series) -> ColumnReading:
    """Reading of a column whose type the file says."""
    import pandas as pd

    kind = column.dtype.kind
    words = {"b": "true or false", "M": "dates", "m": "times"}
    is_number = pd.api.types.is_numeric_dtype(column.dtype) and kind != "b"
    how = "numbers" if is_number else words.get(kind, "labels")
    levels = int(column.astype(str)[column.notna()].nunique()) if how == "labels" else None
    return ColumnReading(str(column.name), how, levels, int(column.isna().sum()))


def _wanted(file: str, header: list[str], names: FormulaNames, columns: Columns) -> list[str]:
    """Columns in use, in the order of the header; refuse names that are none, or twice, or could fool a terminal."""
    known = set(header)
    missing = [name for name in (*columns.all, *names.needed) if name not in known]
    if missing:
        shown = ", ".join(map(str, header[:12])) + (", ..." if len(header) > 12 else "")
        hint = "; is the delimiter right? (--delimiter)" if len(header) == 1 else ""
        raise InputError(f"'{file}' has no column '{missing[0]}'; its columns are: {shown}{hint}")
    chosen = names.possible | set(columns.all)
    wanted = [name for name in dict.fromkeys(header) if name in chosen and name]
    if not wanted:
        raise InputError(f"the formula names no column of '{file}'; its columns are: {', '.join(header[:12])}")
    for name in wanted:
        if header.count(name) > 1:
            raise InputError(f"'{file}' has {header.count(name)} columns called '{name}'; rename them")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
            at = header.index(name) + 1
            raise InputError(f"'{file}': the name of column {at} holds control characters; rename it")
    return wanted


def first_disagreement(readings: Iterable[tuple[str, TableReading]]) -> str | None:
    """Sentence on a column that is of numbers in one file and of labels in another; None if there is none."""
    first: dict[str, tuple[str, str]] = {}
    for file, reading in readings:
        for column in reading.columns:
            if column.missing == len(reading.table):
                continue
            kind = column.read_as.split()[0].rstrip(",")
            other, seen = first.setdefault(column.name, (file, kind))
            if seen != kind:
                return f"column '{column.name}' holds {seen} in '{other}', but {kind} in '{file}'"
    return None
