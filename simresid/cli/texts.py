"""All cells of a column as texts, each different one once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simresid.cli.cells import CellFormat, number_reader
from simresid.cli.terminal import one_line

__all__ = ["Known", "Texts", "known_texts", "rows_of", "shortened"]


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


@dataclass(frozen=True)
class Known:
    """Positions of the texts that are not missing, and what was."""

    positions: list[int]
    rows: int
    missing: int
    missing_texts: dict[str, int]


def known_texts(column: Texts, form: CellFormat, numeric: bool = False) -> Known:
    """Tell the missing apart; `numeric` also takes -999.0 for missing where --na says -999."""
    gone = [i for i, text in enumerate(column.texts) if not text or text in form.missing]
    if numeric and (codes := form.missing_numbers):
        read = number_reader(".")
        gone += [i for i, text in enumerate(column.texts) if text not in form.missing and read(text) in codes]
    words = {column.texts[i]: int(column.counts[i]) for i in gone if column.texts[i]}
    missing = int(sum(column.counts[i] for i in gone))
    known = sorted(set(range(len(column.texts))) - set(gone))
    return Known(known, int(column.counts.sum()) - missing, missing, words)


def rows_of(column: Texts, positions: Iterable[int]) -> int:
    """Count the rows that hold one of the texts at these positions."""
    return int(sum(column.counts[i] for i in positions))


def shortened(text: str) -> str:
    """Text as messages show it."""
    text = one_line(text[:100])
    return text if len(text) <= 40 else text[:37] + "..."
