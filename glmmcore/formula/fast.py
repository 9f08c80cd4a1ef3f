"""Dense matrices of plain terms without formulaic's materialiser: the same columns and names, a fraction of the cost.

Plain terms are sums and interactions of columns, ``factor(column)`` and arithmetic of numeric columns. Categorical
columns are coded against their first level when the terms they are marginal to are in the model; models in which that
is not so (an interaction without its main effects) are left to formulaic, as is every function with a state.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError
from glmmcore.formula.bars import Part
from glmmcore.formula.columns import Columns
from glmmcore.formula.expressions import ENVIRONMENT, UnsupportedExpression, call_arguments, evaluate
from glmmcore.formula.tokens import Token

__all__ = ["FastMatrix", "plain_matrix"]


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of a term.

    Attributes
    ----------
    label : str
        As formulaic prints it.
    source : str
        Column, or code of an arithmetic expression.
    kind : str
        ``"numeric"``, ``"categorical"`` or ``"expression"``.
    levels : pandas.Index or None
        Of a categorical factor, as fitted.
    """

    label: str
    source: str
    kind: str
    levels: pd.Index | None = None


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
        return all(factor.kind != "categorical" for factor in self.factors.values())

    def build(self, data: Columns) -> np.ndarray:
        """Matrix (n, p), float64, C order."""
        out = np.empty((data.nobs, len(self.columns)))
        values = {label: self._values(factor, data) for label, factor in self.factors.items()}
        j = 0
        for term in self.terms:
            pieces = []
            for label, full in term:
                factor = self.factors[label]
                if factor.levels is None:
                    pieces.append([values[label]])
                else:
                    first = 0 if full else 1
                    pieces.append([values[label] == k for k in range(first, len(factor.levels))])
            for reverse in product(*reversed(pieces)):
                column = out[:, j]
                column[:] = 1.0
                for piece in reverse:
                    column *= piece
                j += 1
        return out

    def _values(self, factor: Factor, data: Columns) -> np.ndarray:
        if factor.kind == "numeric":
            return data.numeric(factor.source)
        if factor.kind == "expression":
            return data.finite_expression(evaluate(factor.source, data.operand), factor.label)
        codes, levels = data.factor(factor.source)
        assert factor.levels is not None
        if levels is factor.levels or levels.equals(factor.levels):
            return codes
        return recode(codes, levels, factor.levels, factor.source)


def recode(codes: np.ndarray, levels: pd.Index, known: pd.Index, name: str) -> np.ndarray:
    """Codes of new data in terms of the fitted levels.

    Raises
    ------
    ModelError
        For a level that the fit has not seen.
    """
    position = known.get_indexer(levels)
    if (position < 0).any():
        unseen = levels[int(np.argmin(position))]
        shown = ", ".join(repr(v) for v in known[:10].tolist()) + (", ..." if len(known) > 10 else "")
        raise ModelError(
            f"column '{name}' has the level {unseen!r} that the fit has not seen, it knows {shown}"
        )
    return position.astype(np.int32)[codes]


def plain_matrix(part: Part, data: Columns) -> FastMatrix | None:
    """Recipe for a part of plain terms, None when formulaic has to do it."""
    factors: dict[str, Factor] = {}
    terms = _expand(part, data, factors)
    if terms is None:
        return None
    coded = _code(terms, factors)
    if coded is None:
        return None
    columns: list[str] = []
    for term in coded:
        labels = []
        for label, full in term:
            levels = factors[label].levels
            if levels is None:
                labels.append([label])
            else:
                mark = "" if full else "T."
                labels.append([f"{label}[{mark}{level}]" for level in levels[0 if full else 1 :]])
        columns += [":".join(reversed(reverse)) or "Intercept" for reverse in product(*reversed(labels))]
    return FastMatrix(factors, coded, tuple(columns))


def _expand(part: Part, data: Columns, factors: dict[str, Factor]) -> list[tuple[str, ...]] | None:
    """Terms (tuples of factor labels) in formulaic's order: by degree, then as written."""
    terms: dict[frozenset[str], tuple[str, ...]] = {frozenset(): ()}
    for sign, tokens in part.summands:
        only = tokens[0].text if len(tokens) == 1 and tokens[0].kind == "value" else None
        if only in ("0", "1"):
            if (only == "1") == (sign == "+"):
                terms[frozenset()] = ()
            else:
                terms.pop(frozenset(), None)
            continue
        if sign == "-":
            return None
        found = _product(tokens, data, factors)
        if found is None:
            return None
        for term in found:
            terms.setdefault(frozenset(term), term)
    return sorted(terms.values(), key=len)


def _product(
    tokens: tuple[Token, ...], data: Columns, factors: dict[str, Factor]
) -> list[tuple[str, ...]] | None:
    """Terms of ``a:b * c``; None when there is anything else than names, ``:`` and ``*``."""
    result: list[tuple[str, ...]] = []
    current: tuple[str, ...] = ()

    def fold() -> None:
        crossed = [term + current for term in result]
        result.append(current)
        result.extend(crossed)

    for i, token in enumerate(tokens):
        if i % 2:
            if token.kind != "operator" or token.text not in (":", "*"):
                return None
            if token.text == "*":
                fold()
                current = ()
            continue
        factor = _factor(token, data)
        if factor is None:
            return None
        factors[factor.label] = factor
        current += (factor.label,)
    fold()
    if any(len(set(term)) < len(term) for term in result):
        return None
    return result


def _factor(token: Token, data: Columns) -> Factor | None:
    if token.kind == "name":
        if token.text not in data:
            return None
        if data.kind(token.text) == "categorical":
            return Factor(token.text, token.text, "categorical", data.factor(token.text)[1])
        data.numeric(token.text)
        return Factor(token.text, token.text, "numeric")
    if token.kind != "python":
        return None
    if token.text.startswith("C("):
        arguments = call_arguments(token.text)
        if arguments is not None and len(arguments) == 1 and arguments[0] in data:
            return Factor(f"C({arguments[0]})", arguments[0], "categorical", data.factor(arguments[0])[1])
        return None
    return None


def _code(
    terms: list[tuple[str, ...]], factors: dict[str, Factor]
) -> tuple[tuple[tuple[str, bool], ...], ...] | None:
    """Decide which categorical factors lose their first level.

    A factor f of term T is reduced when T without f is spanned by earlier terms; the first categorical main effect
    of a model without intercept keeps all its levels and then spans the intercept.
    """
    spanned: set[frozenset[str]] = set()
    coded = []
    for term in terms:
        missing = [
            label
            for label in term
            if factors[label].kind == "categorical" and frozenset(term) - {label} not in spanned
        ]
        full = bool(missing)
        if full and len(term) > 1:
            return None
        coded.append(tuple((label, full) for label in term))
        spanned.add(frozenset(term))
        if full:
            spanned.add(frozenset())
    return tuple(coded)
