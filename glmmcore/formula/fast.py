"""Dense matrices of plain terms without formulaic's materialiser: the same, at a fraction of the cost.

Plain terms are sums and interactions of columns, ``factor(column)`` and arithmetic of numeric columns.
Categorical columns are coded against their first level when the terms they are marginal to are in the model;
models in which that is not so (an interaction without its main effects) are left to formulaic, as is every
function with a state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from glmmcore.formula.columns import Columns
from glmmcore.formula.expressions import Expression
from glmmcore.formula.frame import BOOLEAN_LEVELS, recode
from glmmcore.formula.parsed import Part
from glmmcore.formula.syntax import Call, Name

__all__ = ["FastMatrix", "plain_matrix"]

# Rows filled at a time: columns of a C-ordered matrix lie interleaved, a block of rows should stay in cache.
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of a term.

    Attributes
    ----------
    label : str
        As formulaic prints it.
    source : str or Expression
        Column, or an arithmetic expression.
    levels : pandas.Index or None
        Of a categorical factor, as fitted.
    """

    label: str
    source: str | Expression
    levels: pd.Index | None = None

    def values(self, data: Columns) -> np.ndarray:
        """Numbers (n,), or codes (n,) in terms of the fitted levels."""
        if isinstance(self.source, Expression):
            values = data.evaluate(self.source)
            return values if self.levels is None else values.astype(np.int32)
        if self.levels is None:
            return data.numeric(self.source)
        codes, levels = data.factor(self.source)
        if levels is self.levels or levels.equals(self.levels):
            return codes
        return recode(codes, levels, self.levels, self.source)

    def labels(self, full: bool) -> list[str]:
        """Column names of this factor alone."""
        if self.levels is None:
            return [self.label]
        mark = "" if full else "T."
        return [f"{self.label}[{mark}{level}]" for level in self.levels[0 if full else 1 :]]


@dataclass(frozen=True, slots=True)
class FastMatrix:
    """Recipe of a dense matrix.

    Attributes
    ----------
    factors : dict of str to Factor
        By label.
    terms : tuple of tuple of (label, full)
        Factors of each term and, for categorical ones, whether all levels have a column.
    columns : tuple of str
    """

    factors: dict[str, Factor]
    terms: tuple[tuple[tuple[str, bool], ...], ...]
    columns: tuple[str, ...]

    @property
    def is_numeric(self) -> bool:
        """Whether no categorical factor takes part."""
        return all(factor.levels is None for factor in self.factors.values())

    @property
    def column_terms(self) -> tuple[tuple[str, ...], ...]:
        """For each column the factors of its term; none for the intercept."""
        return tuple(tuple(label for label, _ in term) for term in self.terms for _ in self._products(term))

    def build(self, data: Columns) -> np.ndarray:
        """Matrix (n, p), float64, C order."""
        out = np.ones((data.nobs, len(self.columns)))
        values = {label: factor.values(data) for label, factor in self.factors.items()}
        products = [factors for term in self.terms for factors in self._products(term)]
        for start in range(0, data.nobs if values else 0, _BLOCK):
            rows = slice(start, start + _BLOCK)
            block = {label: column[rows] for label, column in values.items()}
            for j, factors in enumerate(products):
                for label, level in factors:
                    out[rows, j] *= block[label] if level is None else block[label] == level
        return out

    def _products(self, term: tuple[tuple[str, bool], ...]) -> Iterator[list[tuple[str, int | None]]]:
        """For each column of a term its factors, and of the categorical ones the level it indicates."""
        choices: list[Iterable[int | None]] = []
        for label, full in term:
            levels = self.factors[label].levels
            choices.append([None] if levels is None else range(0 if full else 1, len(levels)))
        for reverse in product(*reversed(choices)):
            yield [(label, level) for (label, _), level in zip(term, reversed(reverse), strict=True)]


def plain_matrix(part: Part, data: Columns) -> FastMatrix | None:
    """Recipe for a part of plain terms, None when formulaic has to do it."""
    factors: dict[str, Factor] = {}
    for atom in dict.fromkeys(factor for term in part.terms for factor in term):
        factor = _factor(atom, data)
        if factor is None:
            return None
        factors[factor.label] = factor
    coded = _code([tuple(factor.label for factor in term) for term in part.terms], factors)
    if coded is None:
        return None
    columns: list[str] = []
    for term in coded:
        labels = [factors[label].labels(full) for label, full in term]
        columns += [":".join(reversed(reverse)) or "Intercept" for reverse in product(*reversed(labels))]
    return FastMatrix(factors, coded, tuple(columns))


def _factor(atom: Expression, data: Columns) -> Factor | None:
    match atom.node:
        case Name(name=name) if data.is_factor(name):
            return Factor(atom.label, name, data.factor(name)[1])
        case Name(name=name):
            data.numeric(name)  # refuses dates
            return Factor(atom.label, name)
        case Call(function="C", arguments=(Name(name=name),), keywords=()):
            return Factor(atom.label, name, data.factor(name)[1])
        case Call(function="I", arguments=(Name(name=name),)) if data.is_text(name):  # a category protected
            return None
    if not atom.is_arithmetic:
        return None
    return Factor(atom.label, atom, BOOLEAN_LEVELS if data.is_condition(atom) else None)


def _code(terms: list[tuple[str, ...]], factors: dict[str, Factor]) -> tuple[tuple[tuple[str, bool], ...], ...] | None:
    """Decide which categorical factors lose their first level.

    A factor f of term T is reduced when T without f is spanned by earlier terms; the first categorical main
    effect of a model without intercept keeps all its levels and then spans the intercept.
    """
    spanned: set[frozenset[str]] = set()
    coded = []
    for term in terms:
        full = any(factors[label].levels is not None and frozenset(term) - {label} not in spanned for label in term)
        if full and len(term) > 1:
            return None
        coded.append(tuple((label, full) for label in term))
        spanned.add(frozenset(term))
        if full:
            spanned.add(frozenset())
    return tuple(coded)
