"""Plans: what is kept of the formula and the levels of a fit, to make its columns again from new data.

Matrices that need formulaic (contrasts, splines) are made by it all at once and arrive in `slow`, by the keys that the
plans hold; all others are made here (`FastMatrix`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmcore.design import PredictorDesign, RandomTerm
from glmmcore.formula.columns import Columns
from glmmcore.formula.coordinates import FieldPlan
from glmmcore.formula.expressions import Expression
from glmmcore.formula.fast import FastMatrix
from glmmcore.formula.groups import Grouping
from glmmcore.formula.materialize import SlowMatrix
from glmmcore.formula.rank import Aliasing

__all__ = ["Matrix", "OffsetPlan", "PredictorPlan", "TermPlan", "build_matrix", "sum_offsets"]

Matrix = FastMatrix | SlowMatrix


@dataclass(frozen=True, slots=True)
class OffsetPlan:
    """One known addend of a predictor; `key` finds it among the matrices of formulaic, None where numpy computes it."""

    expression: Expression
    key: str | None

    def build(self, data: Columns, slow: dict[str, np.ndarray]) -> np.ndarray:
        """Addend (n,)."""
        if self.key is not None:
            return slow[self.key][:, 0]
        return data.evaluate(self.expression)


@dataclass(frozen=True, slots=True)
class TermPlan:
    """One random term: `pick` are the columns of `matrix` that are its own (all when None)."""

    grouping: Grouping
    matrix: Matrix
    pick: int | None
    structure: str

    def encode(self, data: Columns, slow: dict[str, np.ndarray]) -> RandomTerm:
        """Term of new rows."""
        return self.build(build_matrix(self.matrix, data, slow), self.grouping.encode(data))

    def empty(self) -> RandomTerm:
        """The same of no rows."""
        return self.build(np.empty((0, len(self.matrix.columns))), np.empty(0, dtype=np.int32))

    def build(self, matrix: np.ndarray, codes: np.ndarray) -> RandomTerm:
        """Term from the built matrix and the group codes."""
        names = self.matrix.columns
        if self.pick is not None:
            names = (names[self.pick],)
            matrix = np.ascontiguousarray(matrix[:, self.pick : self.pick + 1])
        return RandomTerm(self.grouping.name, names, matrix, codes, self.grouping.levels, self.structure)


@dataclass(frozen=True, slots=True)
class PredictorPlan:
    """One linear predictor: plan of X, which of its columns depend on others, offsets, random terms."""

    fixed: Matrix
    aliasing: Aliasing
    offsets: tuple[OffsetPlan, ...]
    terms: tuple[TermPlan | FieldPlan, ...]

    def keys(self, groups: bool) -> list[str]:
        """Keys of the matrices of formulaic: of the fixed part, the offsets and, with `groups`, the random terms."""
        matrices = [self.fixed] + [term.matrix for term in self.terms if groups and isinstance(term, TermPlan)]
        own = [matrix.key for matrix in matrices if isinstance(matrix, SlowMatrix)]
        return own + [offset.key for offset in self.offsets if offset.key is not None]

    def design(self, X: np.ndarray, offset: np.ndarray, terms: tuple[RandomTerm, ...], new: bool) -> PredictorDesign:
        """Design from all columns X (n, p); `new` rows are compared with those of the fit."""
        names, owners = self.fixed.columns, self.fixed.column_terms
        kept, dropped = self.aliasing.kept, self.aliasing.dropped
        outside = self.aliasing.outside(X) if dropped and new else None
        if dropped:
            X = np.ascontiguousarray(X[:, kept])
        return PredictorDesign(
            X,
            tuple(names[j] for j in kept),
            offset,
            terms,
            tuple(names[j] for j in dropped),
            tuple(owners[j] for j in kept),
            outside,
        )


def build_matrix(matrix: Matrix, data: Columns, slow: dict[str, np.ndarray]) -> np.ndarray:
    """Dense matrix of a plan; those of formulaic are ready in `slow`."""
    return slow[matrix.key] if isinstance(matrix, SlowMatrix) else matrix.build(data)


def sum_offsets(offsets: tuple[OffsetPlan, ...], data: Columns, slow: dict[str, np.ndarray]) -> np.ndarray:
    """Sum (n,) of all addends, zeros without any."""
    total = np.zeros(data.nobs)
    for offset in offsets:
        total += offset.build(data, slow)
    return total
