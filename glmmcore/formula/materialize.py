"""Matrices that need formulaic: codings of categories other than the plain ones, splines, `scale` and the like.

Formulaic is given values by their labels and terms as lists of labels; it never sees text that it would parse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError
from glmmcore.formula.algebra import Term
from glmmcore.formula.columns import Columns
from glmmcore.formula.expressions import Expression
from glmmcore.formula.frame import recode
from glmmcore.formula.parsed import Part
from glmmcore.formula.size import require_factor, require_rows
from glmmcore.formula.syntax import Call, Name, walk
from glmmcore.formula.transforms import States, numbers_of, value_of, width

__all__ = ["FormulaicParts", "SlowMatrix"]

_INTERCEPT = ""  # no column can have this name in a formula


@dataclass(frozen=True, slots=True)
class SlowMatrix:
    """A matrix that `FormulaicParts` makes.

    Attributes
    ----------
    key : str
        Its name there.
    columns : tuple of str
    column_terms : tuple of tuple of str
        For each column the factors of its term; none for the intercept.
    is_numeric : bool
        Whether no categorical factor takes part.
    """

    key: str
    columns: tuple[str, ...]
    column_terms: tuple[tuple[str, ...], ...]
    is_numeric: bool


@dataclass(slots=True)
class FormulaicParts:
    """Parts of a model that go through one structured formulaic call, so that they share factors and states.

    Attributes
    ----------
    terms : dict of str to tuple of Term
        By key.
    single : dict of str to Expression
        Expressions that give one column, by key.
    states : dict
        What transforms remember, after `fit`.
    levels : dict of str to pandas.Index
        Level sets of the categorical columns, after `fit`.
    specs : dict of str to formulaic.ModelSpec
        Codings, after `fit`.
    """

    terms: dict[str, tuple[Term, ...]] = field(default_factory=dict)
    single: dict[str, Expression] = field(default_factory=dict)
    states: States = field(default_factory=dict)
    levels: dict[str, pd.Index] = field(default_factory=dict)
    specs: dict[str, Any] = field(default_factory=dict)

    def add_part(self, part: Part) -> str:
        """Register a sum of terms; returns its key."""
        key = f"part{len(self.terms) + len(self.single)}"
        self.terms[key] = part.terms
        return key

    def add_expression(self, expression: Expression) -> str:
        """Register an expression that gives one column; returns its key."""
        key = f"part{len(self.terms) + len(self.single)}"
        self.single[key] = expression
        return key

    def fit(self, data: Columns) -> dict[str, np.ndarray]:
        """Evaluate on the data of the fit and remember states and levels; one dense matrix for each key."""
        if not self.terms and not self.single:
            return {}
        for name in self._categories(data):
            self.levels[name] = data.factor(name)[1]
            require_factor(data.nobs, len(self.levels[name]), name)
        with _translated_errors("formula"):
            found = {key: self._column(expression, data) for key, expression in self.single.items()}
            if self.terms:
                found |= self._matrices(data)
        return found

    def repeat(self, data: Columns, keys: list[str]) -> dict[str, np.ndarray]:
        """Evaluate parts on new data with the fitted states."""
        if not keys:
            return {}
        needed = {name for key in keys for expression in self._expressions(key) for name in expression.names}
        for name, known in self.levels.items():
            if name in needed:
                recode(*data.factor(name), known, name)  # refuses levels that the fit has not seen
        with _translated_errors("new data"):
            found = {key: self._column(self.single[key], data) for key in keys if key in self.single}
            chosen = [key for key in keys if key in self.terms]
            context = self._context(chosen, data)
            frame = pd.DataFrame(index=pd.RangeIndex(data.nobs))
            for key in chosen:
                matrix = self.specs[key].get_model_matrix(frame, context=context)
                found[key] = self._dense(key, matrix, data)
        return found

    def matrix(self, key: str) -> SlowMatrix:
        """Noun for a fitted part."""
        spec = self.specs[key]
        numeric = not any(contrasts for contrasts in spec.factor_contrasts.values())
        owners: dict[int, tuple[str, ...]] = {}
        for term, columns in zip(self.terms[key], spec.term_indices.values(), strict=True):
            owners.update(dict.fromkeys(columns, tuple(factor.label for factor in term)))
        names = tuple(spec.column_names)
        return SlowMatrix(key, names, tuple(owners[j] for j in range(len(names))), numeric)

    def _expressions(self, key: str) -> Iterable[Expression]:
        if key in self.single:
            return (self.single[key],)
        return dict.fromkeys(factor for term in self.terms[key] for factor in term)

    def _categories(self, data: Columns) -> list[str]:
        """Columns that are text or categories, or are made categories by ``C(...)``."""
        found: dict[str, None] = {}
        for key in (*self.terms, *self.single):
            for expression in self._expressions(key):
                coded = {
                    node.arguments[0].name
                    for node in walk(expression.node)
                    if isinstance(node, Call) and node.function == "C" and isinstance(node.arguments[0], Name)
                }
                for name in expression.names:
                    if name in data and (name in coded or data.kind(name) == "categorical"):
                        found[name] = None
        return list(found)

    def _column(self, expression: Expression, data: Columns) -> np.ndarray:
        return data.finite_column(numbers_of(expression, data, self.states), expression.label)[:, None]

    def _context(self, keys: Iterable[str], data: Columns) -> dict[str, Any]:
        """Values by their labels."""
        from formulaic.materializers.types import FactorValues

        context: dict[str, Any] = {_INTERCEPT: FactorValues(1, kind="constant")}
        for key in keys:
            for expression in self._expressions(key):
                if expression.label not in context:
                    context[expression.label] = value_of(expression, data, self.states)
        return context

    def _matrices(self, data: Columns) -> dict[str, np.ndarray]:
        from formulaic import Formula
        from formulaic.parser.types import Factor, Term

        context = self._context(self.terms, data)
        widths = {label: width(value) for label, value in context.items() if label != _INTERCEPT}
        formulas = {}
        for key, terms in self.terms.items():
            labels = [[factor.label for factor in term] for term in terms]
            require_rows(data.nobs, [[widths[label] for label in term] for term in labels])
            formulas[key] = [
                Term([Factor(label, eval_method="lookup") for label in term or [_INTERCEPT]]) for term in labels
            ]
        matrices = Formula(**formulas, _ordering="none").get_model_matrix(
            pd.DataFrame(index=pd.RangeIndex(data.nobs)), context=context, na_action="ignore", output="numpy"
        )
        self.specs = {key: getattr(matrices, key).model_spec for key in formulas}
        return {key: self._dense(key, getattr(matrices, key), data) for key in formulas}

    def _dense(self, key: str, matrix: Any, data: Columns) -> np.ndarray:
        """Float64, C order, all finite (a column that is not is named)."""
        columns = list(self.specs[key].column_names)
        try:
            values = np.ascontiguousarray(matrix, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ModelError(f"formula: the columns {', '.join(columns)} are not all numeric") from error
        if not np.isfinite(values).all():
            j = int(np.argmin(np.isfinite(values).all(axis=0)))
            data.require_finite(values[:, j], f"'{columns[j]}'", "change the expression or leave the row out")
        return values


@contextmanager
def _translated_errors(where: str) -> Iterator[None]:
    """Formulaic's errors, and those of functions that it calls, as ours."""
    try:
        with np.errstate(all="ignore"):  # what is not finite is reported by name and row afterwards
            yield
    except ModelError:
        raise
    except Exception as error:  # formulaic lets through whatever a function in the formula raises
        lines = str(error).splitlines() or [type(error).__name__]
        raise ModelError(f"{where}: {lines[0]}") from error
