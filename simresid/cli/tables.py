"""Read a table that a user points at, or say in one sentence why it cannot be used."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import re
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["InputError", "read_table"]

DELIMITERS = ",;\t|"
WORDS_OF_FORMULAS = {"pi", "e", "True", "False", "None", "np", "in"}
"""Names in formulas that are not columns."""


class InputError(Exception):
    """The input cannot be used; the message says why and what to do."""


def read_table(
    file: str,
    formulas: Sequence[str],
    columns: Sequence[str],
    *,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    na: Sequence[str] = (),
) -> pd.DataFrame:
    """Columns that formulas and options name, from a CSV or Parquet file or an embedded data set.

    Raises
    ------
    InputError
        One sentence on what is wrong with the file.
    """
    from simresid import datasets

    path = Path(file)
    if not path.exists() and file in datasets.names():
        table = datasets.load(file)
        _wanted(file, list(table.columns), formulas, columns)
        return table
    if not path.exists():
        raise InputError(f"there is no file '{file}', nor an embedded data set of this name (see: simresid data)")
    if path.is_dir():
        raise InputError(f"'{file}' is a folder; name a CSV or Parquet file")
    if path.suffix == ".parquet":
        table = _read_parquet(path, formulas, columns)
    else:
        table = _read_csv(path, formulas, columns, delimiter, decimal, encoding, list(na))
    if not len(table):
        raise InputError(f"'{file}' has a header but no rows")
    return table


def _read_parquet(path: Path, formulas: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    if importlib.util.find_spec("pyarrow") is None:
        raise InputError("Parquet files need the package pyarrow; install it or use CSV")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read as Parquet: {error}") from None
    return table[_wanted(str(path), list(table.columns), formulas, columns)]


def _read_csv(
    path: Path,
    formulas: Sequence[str],
    columns: Sequence[str],
    delimiter: str | None,
    decimal: str | None,
    encoding: str | None,
    na: list[str],
) -> pd.DataFrame:
    import pandas as pd

    try:
        encoding = encoding or _encoding(path)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"'{path}' cannot be read: {error}") from None
    line = _first_line(path, encoding)
    delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter) or _delimiter(line, formulas, columns)
    if len(delimiter) != 1:
        raise InputError(f"--delimiter: '{delimiter}' must be a single character, or 'tab'")
    header = [name.strip() for name in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))]
    wanted = _wanted(str(path), header, formulas, columns)
    if not wanted:
        raise InputError(f"the formula names no column of '{path}'; its columns are: {', '.join(header[:12])}")
    for name in wanted:
        if header.count(name) > 1:
            raise InputError(f"'{path}' has {header.count(name)} columns called '{name}'; rename them")
    _refuse_ragged_rows(path, encoding, delimiter, len(header))
    positions = sorted(header.index(name) for name in wanted)
    arguments: dict[str, Any] = {
        "sep": delimiter, "encoding": encoding, "usecols": positions, "header": 0, "na_values": na,
        "names": [header[i] for i in positions], "skipinitialspace": True, "low_memory": False,
        "index_col": False,
    }  # fmt: skip
    try:
        table = pd.read_csv(path, decimal=decimal or ".", **arguments)
        if delimiter != "," and decimal is None and _has_decimal_commas(path, table):
            table = pd.read_csv(path, decimal=",", **arguments)
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not {encoding}: {error.reason} at byte {error.start}; set --encoding") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"'{path}' cannot be read: {' '.join(str(error).split())}") from None
    groups = {name for formula in formulas for bar in re.findall(r"\|([^)]*)", formula) for name in _variables(bar)}
    for name in wanted:
        if name not in groups and name not in columns:
            _refuse_stray_text(path, table[name])
    return table


def _encoding(path: Path) -> str:
    """utf-8 if it is, utf-16 by its mark, else latin-1, which any file is."""
    with _open(path) as stream:
        mark = stream.read(4)
        if mark[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return "utf-16"
        if b"\x00" in mark or mark == b"PAR1":
            raise InputError(f"'{path}' is not a text file")
        stream.seek(0)
        import codecs

        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while block := stream.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            print(f"simresid: '{path}' is not utf-8, read as latin-1 (see --encoding)", file=sys.stderr)
            return "latin-1"
    return "utf-8-sig"


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _first_line(path: Path, encoding: str) -> str:
    try:
        with gzip.open(path, "rt", encoding=encoding) if path.suffix == ".gz" else path.open(encoding=encoding) as s:
            line = s.readline(1 << 20).rstrip("\r\n")
    except (LookupError, UnicodeError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"'{path}' cannot be read as {encoding}: {error}") from None
    if not line.strip():
        raise InputError(f"'{path}' is empty, or its first line is; a header with the names of columns is needed")
    return line


def _refuse_ragged_rows(path: Path, encoding: str, delimiter: str, width: int) -> None:
    """A row with other than the header's number of fields has its values in the wrong columns."""
    with (
        gzip.open(path, "rt", encoding=encoding, newline="")
        if path.suffix == ".gz"
        else path.open(encoding=encoding, newline="") as stream
    ):
        reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True)
        try:
            for row in reader:
                if len(row) != width and row and (len(row) < width or any(row[width:])):
                    raise InputError(
                        f"'{path}': line {reader.line_num} has {len(row)} fields, the header has {width}; look for "
                        "a missing value or a delimiter inside a text without quotes"
                    )
        except (csv.Error, UnicodeError, OSError, EOFError, zlib.error) as error:
            raise InputError(f"'{path}' cannot be read: {error}") from None


def _delimiter(line: str, formulas: Sequence[str], columns: Sequence[str]) -> str:
    """Find the delimiter that makes most of the names in use columns, then most columns."""

    def score(delimiter: str) -> tuple[int, int]:
        header = [name.strip() for name in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))]
        return sum(_mentioned(name, formulas) or name in columns for name in header), len(header)

    return max(DELIMITERS, key=score)


def _wanted(file: str, header: list[str], formulas: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Columns in use, in the order of the header; refuse names that are none."""
    known = set(header)
    missing = [name for name in columns if name not in known]
    for formula in formulas:
        missing += [name for name in _variables(formula) if name not in known]
    if missing:
        shown = ", ".join(map(str, header[:12])) + (", ..." if len(header) > 12 else "")
        hint = "; is the delimiter right? (--delimiter)" if len(header) == 1 else ""
        raise InputError(f"'{file}' has no column '{missing[0]}'; its columns are: {shown}{hint}")
    return [name for name in dict.fromkeys(header) if name in columns or any(_mentioned(name, [f]) for f in formulas)]


def _mentioned(name: str, formulas: Sequence[str]) -> bool:
    pattern = rf"(?<![\w.]){re.escape(name)}(?![\w.(])"
    return bool(name) and any(re.search(pattern, formula) for formula in formulas)


def _variables(formula: str) -> list[str]:
    """Names in a formula that must be columns: no functions, keywords, attributes or quoted text."""
    quoted = re.findall(r"`([^`]*)`", formula)
    bare = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", " ", formula)
    words = re.findall(r"(?<![\w.])([^\W\d][\w.]*)(?!\s*\()(?![\w.])(?!\s*=[^=])", bare)
    return quoted + [word for word in words if word not in WORDS_OF_FORMULAS]


def _has_decimal_commas(path: Path, table: pd.DataFrame) -> bool:
    """Whether a column of text is one of numbers with decimal commas."""
    found = False
    for name in table.columns[[kind.kind not in "iufb" for kind in table.dtypes]]:
        known = table[name].dropna().astype(str)
        if len(known) and known.str.fullmatch(r"[-+]?\d*,?\d+([eE][-+]?\d+)?\s*").all():
            if known.str.fullmatch(r"[-+]?[1-9]\d{0,2},\d{3}\s*").all():
                raise InputError(
                    f"'{path}': column '{name}' holds values like {known.iloc[0]}: decimals or thousands? Use "
                    "--decimal , for decimals; for thousands take the commas out"
                )
            found = True
    return found


def _refuse_stray_text(path: Path, column: pd.Series) -> None:
    """A column of numbers with some text among them would silently be read as categories."""
    import pandas as pd

    if column.dtype.kind in "iufb":
        return
    known = column.dropna()
    numbers = pd.to_numeric(known, errors="coerce")
    stray = numbers.isna()
    if not 0 < stray.sum() < 0.5 * len(known):
        return
    at, text = known.index[stray][0], known[stray].iloc[0]
    raise InputError(
        f"'{path}': column '{column.name}' holds numbers, but also the text '{text}' in data row {at + 1} "
        f"({stray.sum()} such rows); correct it, or use --na '{text}' if it means missing"
    )
