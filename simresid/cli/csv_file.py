"""Rows of a CSV file, read once from the first byte to the last, or the line that cannot be read."""

from __future__ import annotations

import codecs
import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from simresid.cli.terminal import one_line

__all__ = ["CsvFile", "InputError"]

DELIMITERS = ",;\t|"
ROWS_AT_ONCE = 1 << 15
LONGEST_LINE = 1 << 24
"""Characters; a file of another kind may have no line end at all."""

_END = "\x00end"
"""Comes after the last line: a quotation that was never closed swallows it."""

_UNREADABLE = (LookupError, UnicodeError, OSError, EOFError, zlib.error)


class InputError(Exception):
    """The input cannot be used; the message says why and what to do.

    Parameters
    ----------
    message : str
    *details : str
        Lines of their own below it.
    """

    def __init__(self, message: str, *details: str) -> None:
        super().__init__("\n  ".join(one_line(text) for text in (message, *details)))


class CsvFile:
    """A text file of rows with a header.

    Parameters
    ----------
    path : Path
        Compressed if its name ends in ``.gz``.
    encoding : str or None
        None for utf-16 if the file begins with its mark, else utf-8 if the file is, else latin-1.
    delimiter : str or None
        None for the one that makes most columns out of the header.
    score : callable
        How many of some names the user needs; asked about the header under each delimiter.

    Attributes
    ----------
    header : list of str
    delimiter, encoding : str
    notes : list of str
        What was assumed.
    """

    def __init__(
        self, path: Path, encoding: str | None, delimiter: str | None, score: Callable[[list[str]], int]
    ) -> None:
        self.path = path
        self.notes: list[str] = []
        try:
            self.encoding = encoding or self._found_encoding()
        except _UNREADABLE as error:
            raise InputError(f"'{path}' cannot be read: {error}") from None
        line = self._first_line()
        self.delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter) or self._delimiter(line, score)
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n\0':
            raise InputError(f"--delimiter: '{delimiter}' must be a single character, or 'tab'")
        self.header = [name.strip() for name in next(self._rows())[1]]

    def chunks(self, positions: list[int]) -> Iterator[list[list[str]]]:
        """Cells of the columns at `positions`, blanks around them removed, for some rows at a time.

        A row with other than the header's number of fields has its values in the wrong columns and is refused.
        """
        width = len(self.header)
        rows = self._rows()
        next(rows)
        out: list[list[str]] = [[] for _ in positions]
        appends = [(column.append, at) for column, at in zip(out, positions, strict=True)]
        for line, row in rows:
            if len(row) != width and (len(row) < width or any(row[width:])):
                raise InputError(
                    f"'{self.path}': line {line} has {len(row)} fields, the header has {width}; look for "
                    "a missing value or a delimiter inside a text without quotes"
                )
            for append, at in appends:
                append(row[at].strip())
            if len(out[0]) == ROWS_AT_ONCE:
                yield out
                for column in out:
                    column.clear()
        if out[0]:
            yield out

    # ---- lines and rows ----------------------------------------------------------------------------
    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Rows that are not blank, each with the number of its last line."""
        with self._open_text() as stream:
            reader = csv.reader(self._lines(stream), delimiter=self.delimiter, skipinitialspace=True)
            row: list[str] = []
            try:
                for row in reader:
                    if row and (len(row) > 1 or row[0].strip()) and row != [_END]:
                        yield reader.line_num, row
            except csv.Error as error:
                reason = str(error)
                if "field limit" in reason:
                    reason = f"holds a text of more than {csv.field_size_limit()} characters; is a quote missing?"
                raise InputError(f"'{self.path}': the row that ends in line {reader.line_num}: {reason}") from None
            except UnicodeDecodeError as error:
                raise InputError(
                    f"'{self.path}' is not {self.encoding}: {error.reason} at byte {error.start}; set --encoding"
                ) from None
            except _UNREADABLE as error:
                raise InputError(f"'{self.path}' cannot be read: {error}") from None
            if row != [_END]:
                raise InputError(f"'{self.path}': a quotation begins in the last row and never ends")

    def _lines(self, stream: IO[str]) -> Iterator[str]:
        number = 0
        while line := stream.readline(LONGEST_LINE):
            number += 1
            if "\0" in line:
                raise InputError(f"'{self.path}' is not a text file: line {number} holds a null byte")
            if len(line) == LONGEST_LINE:
                raise InputError(f"'{self.path}': line {number} is longer than {LONGEST_LINE} characters")
            yield line
        yield "\n"  # the last line may come without an end
        yield _END

    def _open_text(self) -> IO[str]:
        try:
            if _is_compressed(self.path):
                return gzip.open(self.path, "rt", encoding=self.encoding, newline="")  # type: ignore[return-value]
            return self.path.open(encoding=self.encoding, newline="")
        except (*_UNREADABLE, ValueError) as error:  # of encodings that are no words
            raise InputError(f"'{self.path}' cannot be read as {self.encoding}: {error}") from None

    # ---- what nobody said --------------------------------------------------------------------------
    def _found_encoding(self) -> str:
        """utf-8 if it is, utf-16 by its mark, else latin-1, which any file is."""
        stream: Any
        with gzip.open(self.path, "rb") if _is_compressed(self.path) else self.path.open("rb") as stream:
            mark = stream.read(4)
            if mark[:2] in (b"\xff\xfe", b"\xfe\xff"):
                return "utf-16"
            if b"\x00" in mark or mark == b"PAR1":
                raise InputError(f"'{self.path}' is not a text file")
            stream.seek(0)
            decoder = codecs.getincrementaldecoder("utf-8")()
            try:
                while block := stream.read(1 << 20):
                    decoder.decode(block)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                self.notes.append(f"'{self.path}' is not utf-8, read as latin-1 (see --encoding)")
                return "latin-1"
        return "utf-8-sig"

    def _first_line(self) -> str:
        try:
            with self._open_text() as stream:
                line = stream.readline(1 << 20).rstrip("\r\n")
        except _UNREADABLE as error:
            raise InputError(f"'{self.path}' cannot be read as {self.encoding}: {error}") from None
        if not line.strip():
            raise InputError(
                f"'{self.path}' is empty, or its first line is; a header with the names of columns is needed"
            )
        return line

    def _delimiter(self, line: str, score: Callable[[list[str]], int]) -> str:
        """Find the delimiter that makes most of the names in use columns, then most columns."""

        def quality(delimiter: str) -> tuple[int, int]:
            try:
                header = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
            except csv.Error:
                return -1, 0
            return score([name.strip() for name in header]), len(header)

        return max(DELIMITERS, key=quality)


def _is_compressed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"
