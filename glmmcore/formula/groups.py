"""Grouping factors as integer codes; indicator matrices are never formed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError
from glmmcore.formula.columns import Columns

__all__ = ["Grouping", "make_grouping"]


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """A grouping factor as fitted.

    Attributes
    ----------
    columns : tuple of str
        One column, or several whose combinations are the levels.
    parts : tuple of pandas.Index
        Sorted values of each column.
    cells : ndarray of int64, shape (L,)
        Mixed-radix number of each level's combination, ascending.
    levels : pandas.Index, shape (L,)
        Labels.
    """

    columns: tuple[str, ...]
    parts: tuple[pd.Index, ...]
    cells: np.ndarray
    levels: pd.Index

    @property
    def name(self) -> str:
        """As printed."""
        return ":".join(self.columns)

    def encode(self, data: Columns) -> np.ndarray:
        """Codes (int32) of new rows, -1 for levels or combinations that the fit has not seen."""
        cells = np.zeros(data.nobs, dtype=np.int64)
        seen = np.ones(data.nobs, dtype=bool)
        for column, known in zip(self.columns, self.parts, strict=True):
            codes, levels = data.factor(column)
            if len(levels) and _is_text(levels) != _is_text(known):
                held, fitted = ("text", "numbers") if _is_text(levels) else ("numbers", "text")
                raise ModelError(f"column '{column}' of the new data holds {held}, the fit had {fitted}")
            position = known.get_indexer(levels)[codes] if len(levels) else codes
            seen &= position >= 0
            cells = cells * len(known) + position
        place = np.minimum(np.searchsorted(self.cells, cells), len(self.cells) - 1)
        seen &= self.cells[place] == cells
        return np.where(seen, place, -1).astype(np.int32)


def _is_text(levels: pd.Index) -> bool:
    return not pd.api.types.is_numeric_dtype(levels.dtype)


def make_grouping(columns: tuple[str, ...], data: Columns, least: int = 2) -> tuple[Grouping, np.ndarray]:
    """Levels and codes of a grouping factor, the first column varying slowest.

    Raises
    ------
    ModelError
        When there are fewer than `least` levels.
    """
    codes, levels = data.factor(columns[0])
    parts = [levels]
    cells = np.arange(len(levels), dtype=np.int64)
    if len(columns) > 1:
        combined = codes.astype(np.int64)
        for column in columns[1:]:
            codes, levels = data.factor(column)
            parts.append(levels)
            combined = combined * len(levels) + codes
        codes, cells = _renumber(combined, int(np.prod([len(part) for part in parts], dtype=object)))
        levels = _labels(cells, parts)
    grouping = Grouping(columns, tuple(parts), cells, levels)
    if len(levels) < least:
        only = f" ('{levels[0]}')" if len(levels) else ""
        raise ModelError(f"grouping factor '{grouping.name}' has only one level{only}, leave its random effects out")
    return grouping, codes


def _renumber(combined: np.ndarray, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes 0..L-1 in ascending order of the cell number, and the cells that occur."""
    if n_cells <= max(4 * len(combined), 1 << 16):  # a table of all cells is cheaper than hashing
        used = np.zeros(n_cells, dtype=bool)
        used[combined] = True
        cells = np.flatnonzero(used)
        renumber = np.empty(n_cells, dtype=np.int32)
        renumber[cells] = np.arange(len(cells), dtype=np.int32)
        return renumber[combined], cells
    codes, cells = pd.factorize(combined, sort=True)
    return codes.astype(np.int32), np.asarray(cells)


def _labels(cells: np.ndarray, parts: list[pd.Index]) -> pd.Index:
    """Labels ``"a:b"`` of cells."""
    label = np.full(len(cells), "", dtype=object)
    rest = cells
    for part in reversed(parts):
        rest, position = np.divmod(rest, len(part))
        text = np.array([str(value) for value in part], dtype=object)[position]
        label = text if part is parts[-1] else text + ":" + label
    return pd.Index(label)
