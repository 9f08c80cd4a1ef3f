"""Effects of places and times: distinct coordinates in each group as levels, for rows of the fit and new ones."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from glmmcore.covariance import FIELDS, Places
from glmmcore.covariance.places import MOST_DENSE_PLACES, NEIGHBOURS
from glmmcore.design import RandomTerm
from glmmcore.errors import ModelError
from glmmcore.formula.columns import Columns
from glmmcore.formula.expressions import Expression
from glmmcore.formula.frame import row_name
from glmmcore.formula.groups import Grouping, make_grouping
from glmmcore.formula.parsed import Bar

__all__ = ["FieldPlan", "plan_field"]

_MOST_COORDINATES = 3
# Coordinates beyond this have squares that double precision cannot hold with room for sums.
_LARGEST = 1e140
# Steps that make the unit of a line.
_STEPS_A_UNIT = 5.0
_DEGREES = re.compile(r"(lon|lat|lng|long|longitude|latitude)([_. ].*)?", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class FieldPlan:
    """One term such as ``exp(x, y | g)``: how rows are placed.

    Attributes
    ----------
    structure : str
        A key of `glmmcore.covariance.FIELDS`.
    coordinates : tuple of Expression
    grouping : Grouping or None
        None for one group of all rows.
    places : Places
    """

    structure: str
    coordinates: tuple[Expression, ...]
    grouping: Grouping | None
    places: Places

    @property
    def group(self) -> str:
        """The grouping factor as printed."""
        return "1" if self.grouping is None else self.grouping.name

    @property
    def label(self) -> str:
        """The left side as printed."""
        return f"{self.structure}({', '.join(self.places.names)})"

    def encode(self, data: Columns, slow: dict[str, np.ndarray]) -> RandomTerm:
        """Term of some rows; places of new ones in groups of the fit are added to those of the fit."""
        values = _values(self.coordinates, self.structure, data)
        n_groups = len(self.places.first) - 1
        groups, labels = np.zeros(data.nobs, dtype=np.int64), None
        if self.grouping is not None:
            groups, labels = self._groups(data)
        known = np.repeat(np.arange(n_groups), np.diff(self.places.first))
        group, place, code = _distinct(np.concatenate([known, groups]), np.vstack([self.places.coordinates, values]))
        codes = code[self.places.n :]
        places = self.places
        if len(group) > places.n:
            first = _first(group, int(group.max()) + 1)
            places = replace(places, coordinates=place, first=first, known=code[: places.n])
        seen = np.where(groups < n_groups, codes, -1).astype(np.int32)
        return self.term(seen, places, labels, codes)

    def _groups(self, data: Columns) -> tuple[np.ndarray, pd.Index]:
        """Codes of the rows' groups, those that the fit has not seen after the others, and all labels."""
        assert self.grouping is not None
        codes, levels = self.grouping.encode(data).astype(np.int64), self.grouping.levels
        new = np.flatnonzero(codes < 0)
        if not len(new):
            return codes, levels
        columns = np.column_stack([data.factor(column)[0][new] for column in self.grouping.columns])
        _, first, which = np.unique(columns, axis=0, return_index=True, return_inverse=True)
        codes[new] = len(levels) + which.reshape(-1)
        shown = [
            ":".join(str(data.factor(c)[1][data.factor(c)[0][new[i]]]) for c in self.grouping.columns) for i in first
        ]
        return codes, pd.Index([*levels, *shown])

    def empty(self) -> RandomTerm:
        """The same of no rows."""
        return self.term(np.empty(0, dtype=np.int32), self.places)

    def term(
        self,
        codes: np.ndarray,
        places: Places,
        groups: pd.Index | None = None,
        place_codes: np.ndarray | None = None,
    ) -> RandomTerm:
        """Term of rows at some places, whose groups have labels."""
        columns = [pd.Index(column, name=name) for column, name in zip(places.coordinates.T, places.names, strict=True)]
        if self.grouping is not None:
            group = np.repeat(np.arange(len(places.first) - 1), np.diff(places.first))
            labels = self.grouping.levels if groups is None else groups
            columns.insert(0, pd.Index(labels[group], name=self.grouping.name))
        levels = columns[0] if len(columns) == 1 else pd.MultiIndex.from_arrays(columns)
        z = np.ones((len(codes), 1))
        return RandomTerm(
            self.group, (self.label,), z, codes, levels, self.structure, places=places, place_codes=place_codes
        )


def plan_field(bar: Bar, data: Columns) -> tuple[FieldPlan, RandomTerm, list[str]]:
    """Places of the rows of a fit.

    Returns
    -------
    plan : FieldPlan
    term : RandomTerm
    notes : list of str
        Warnings.

    Raises
    ------
    ModelError
        For coordinates that cannot be: text, too many, without two places in a group.
    """
    names = tuple(expression.label for expression in bar.coordinates)
    field, shown = FIELDS[bar.structure], ", ".join(names)
    line = field.on_line
    if len(names) > (1 if line else _MOST_COORDINATES):
        limit = "one time" if line else "one to three coordinates"
        raise ModelError(f"{bar.structure}(...) takes {limit} on the left of the bar, here are {len(names)}: {shown}")
    if len(set(names)) < len(names):
        raise ModelError(f"{bar.structure}({shown} | ...): the same coordinate twice")
    values = _values(bar.coordinates, bar.structure, data)
    grouping, groups = None, np.zeros(data.nobs, dtype=np.int32)
    if bar.group:
        grouping, groups = make_grouping(bar.group, data, least=1)
    group, place, codes = _distinct(groups, values)
    first = _first(group, 1 if grouping is None else len(grouping.levels))
    if np.diff(first).max() < 2:
        name = "1" if grouping is None else grouping.name
        advice = "leave it out" if grouping is None else f"write (1 | {name})"
        raise ModelError(
            f"{bar.structure}({shown} | {name}): no two different places in a group, so that nothing can be said about "
            f"how effects covary with distance; {advice}"
        )
    most = int(np.diff(first).max())
    neighbours = None if line else _neighbours(bar, most)
    if bar.structure == "gau" and neighbours is not None:
        raise ModelError(
            f"gau({shown} | ...): {most} places in a group, and fields this smooth have no sparse approximation that "
            f"is close; use mat({shown} | ...), average rows of nearby places, or write neighbours = {most} for the "
            "dense covariance, whose cost is the cube of the places"
        )
    places = Places(place, first, _unit(bar.structure, place, first), names, neighbours=neighbours)
    notes = []
    if not line and len(names) > 1 and any(_DEGREES.fullmatch(name) for name in names) and np.abs(place).max() <= 360:
        notes.append(
            f"{bar.structure}({shown} | ...) takes distances as on a plane; if these are degrees, project them to "
            "kilometres first, since a degree of longitude shrinks towards the poles"
        )
    plan = FieldPlan(bar.structure, bar.coordinates, grouping, places)
    return plan, plan.term(codes.astype(np.int32), places), notes


def _values(coordinates: tuple[Expression, ...], structure: str, data: Columns) -> np.ndarray:
    """Coordinates of the rows, (n, d)."""
    for expression in coordinates:
        if not expression.is_arithmetic:
            raise ModelError(
                f"{structure}(...): '{expression.label}' cannot be a coordinate; use numeric columns or arithmetic"
            )
    values = np.column_stack([data.evaluate(expression) for expression in coordinates]) + 0.0  # no negative zeros
    for expression, column in zip(coordinates, values.T, strict=True):
        if np.abs(column).max(initial=0.0) > _LARGEST:
            at = int(np.argmax(np.abs(column)))
            raise ModelError(
                f"'{expression.label}' is {column[at]:g} in {row_name(data.index, at)}: too large for a coordinate, "
                "measure in other units"
            )
        if structure == "ar1" and np.any(column != np.round(column)):
            at = int(np.argmax(column != np.round(column)))
            raise ModelError(
                f"the times of ar1 are whole numbers, '{expression.label}' is {column[at]:g} in "
                f"{row_name(data.index, at)}; use ou({expression.label} | ...) for irregular times"
            )
    return values


def _distinct(groups: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct pairs of group and place in ascending order, (q,) and (q, d), and which one each row is, (n,)."""
    order = np.lexsort((*values.T[::-1], groups))
    group, place = groups[order], values[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (group[1:] != group[:-1]) | (place[1:] != place[:-1]).any(axis=1)
    codes = np.empty(len(order), dtype=np.int64)
    codes[order] = np.cumsum(new) - 1
    return group[new], place[new], codes


def _first(group: np.ndarray, n_groups: int) -> np.ndarray:
    return np.searchsorted(group, np.arange(n_groups + 1)).astype(np.int64)


def _neighbours(bar: Bar, most: int) -> int | None:
    """Of how many others each place is given; None for all, as far as `most` places of one group."""
    if bar.neighbours is None:
        return None if most <= MOST_DENSE_PLACES else NEIGHBOURS[bar.structure]
    return None if bar.neighbours >= most - 1 else bar.neighbours


def _unit(structure: str, place: np.ndarray, first: np.ndarray) -> float:
    """A distance of ordinary size: root mean square within groups, or some steps of a line."""
    if structure == "ar1":
        return 1.0
    if FIELDS[structure].on_line:
        steps = np.delete(np.diff(place[:, 0]), first[1:-1] - 1)
        return _STEPS_A_UNIT * float(np.median(steps))
    squares = [np.square(place[a:b] - place[a:b].mean(axis=0)).sum() for a, b in pairwise(first.tolist())]
    pairs = max(float(np.sum(np.maximum(np.diff(first) - 1, 0))), 1.0)
    return float(np.sqrt(2.0 * np.sum(squares) / pairs))
