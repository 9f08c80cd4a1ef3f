"""Matrices that need formulaic: contrasts, splines, `scale` and whatever has a state; one call for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError
from glmmcore.formula.columns import Columns
from glmmcore.formula.expressions import ENVIRONMENT, Expression
from glmmcore.formula.frame import BOOLEAN_LEVELS, recode
from glmmcore.formula.parsed import Part
from glmmcore.memory import require_memory

__all__ = ["FormulaicParts", "SlowMatrix"]


@cache
def _materializer() -> Any:
    """Formulaic's materializer, with boolean columns (float64 in its table) and conditions as factors.

    Inside of expressions they stay numbers, so that ``I(a + b)`` counts.
    """
    from formulaic.materializers import PandasMaterializer
    from interface_meta import override

    class Materializer(PandasMaterializer):  # type: ignore[misc]  # formulaic has no types
        REGISTER_NAME = None

        @override
        def _lookup(self, name: str) -> Any:
            values, *rest = super()._lookup(name)
            return (_as_factor(values) if name in self.params["booleans"] else values), *rest

        @override
        def _evaluate(self, expr: str, metadata: Any, spec: Any) -> Any:
            values, *rest = super()._evaluate(expr, metadata, spec)
            is_condition = np.ndim(values) == 1 and getattr(getattr(values, "dtype", None), "kind", "") == "b"
            return (_as_factor(values) if is_condition else values), *rest

    return Materializer


def _as_factor(values: Any) -> pd.Series:
    return pd.Series(pd.Categorical(np.asarray(values).astype(bool), categories=BOOLEAN_LEVELS))


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
    formulas : dict of str to str
    names : tuple of str
        Columns they need.
    as_is : tuple of str
        Columns that are categories by ``C(...)`` and keep their own values, such as integers.
    booleans : tuple of str
        Boolean columns among them, after `fit`.
    levels : dict of str to pandas.Index
        Level sets of the categorical columns, after `fit`.
    specs : dict of str to formulaic.ModelSpec
        States and codings, after `fit`.
    """

    formulas: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    as_is: tuple[str, ...] = ()
    booleans: tuple[str, ...] = ()
    levels: dict[str, pd.Index] = field(default_factory=dict)
    specs: dict[str, Any] = field(default_factory=dict)

    def add_part(self, text: str, part: Part) -> str:
        """Register a sum of terms; returns its key."""
        for expression in part.expressions.values():
            if "C" in expression.functions:
                self.as_is += tuple(name for name in expression.names if name not in self.as_is)
        return self._add(text, part.names)

    def add_expression(self, expression: Expression) -> str:
        """Register an expression that gives one column; returns its key."""
        return self._add("0 + {" + expression.code + "}", expression.names)

    def _add(self, formula: str, names: tuple[str, ...]) -> str:
        key = f"part{len(self.formulas)}"
        self.formulas[key] = formula
        self.names += tuple(name for name in names if name not in self.names)
        return key

    def fit(self, data: Columns) -> dict[str, np.ndarray]:
        """Evaluate on the data of the fit and remember states and levels; one dense matrix for each key."""
        if not self.formulas:
            return {}
        from formulaic import Formula

        table = self._table(data)
        for name in self.names:
            if name in data and (name in self.as_is or data.kind(name) == "categorical"):
                _require_memory(data.nobs, len(data.factor(name)[1]), name)
        self.booleans = tuple(name for name in self.names if name in data and data.kind(name) == "boolean")
        with _translated_errors("formula"):
            matrices = self._evaluator(table).get_model_matrix(
                Formula(**self.formulas), na_action="ignore", output="numpy"
            )
        self.specs = {key: getattr(matrices, key).model_spec for key in self.formulas}
        for name in self.names:
            if name in data and (name in self.as_is or data.kind(name) == "categorical"):
                self.levels[name] = data.factor(name)[1]
        return {key: self._dense(key, getattr(matrices, key), data) for key in self.formulas}

    def repeat(self, data: Columns, keys: list[str]) -> dict[str, np.ndarray]:
        """Evaluate parts on new data with the fitted states."""
        if not keys:
            return {}
        needed = {str(name) for key in keys for name in self.specs[key].required_variables}
        for name, known in self.levels.items():
            if name in needed:
                recode(*data.factor(name), known, name)  # refuses levels that the fit has not seen
        table = self._table(data)
        with _translated_errors("new data"):
            return {
                key: self._dense(key, self._evaluator(table).get_model_matrix(self.specs[key]), data) for key in keys
            }

    def _evaluator(self, table: pd.DataFrame) -> Any:
        return _materializer()(table, context=ENVIRONMENT, booleans=self.booleans)

    def _table(self, data: Columns) -> pd.DataFrame:
        return data.table([name for name in self.names if name in data], self.as_is)

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

    def matrix(self, key: str) -> SlowMatrix:
        """Noun for a fitted part."""
        spec = self.specs[key]
        numeric = not any(contrasts for contrasts in spec.factor_contrasts.values())
        terms: dict[int, tuple[str, ...]] = {}
        for term, columns in spec.term_indices.items():
            factors = tuple(factor.expr for factor in term.factors if factor.expr != "1")
            terms.update(dict.fromkeys(columns, factors))
        names = tuple(spec.column_names)
        return SlowMatrix(key, names, tuple(terms[j] for j in range(len(names))), numeric)


def _require_memory(nobs: int, n_levels: int, name: str) -> None:
    """Refuse a factor that would become too large a matrix, before formulaic makes it."""
    try:
        require_memory(
            3 * 8.0 * nobs * n_levels,
            f"a matrix of {nobs} rows and a column for each of the {n_levels} levels of '{name}'",
            "make a factor with so many levels a random effect, (1 | name)",
        )
    except MemoryError as error:
        raise ModelError(str(error)) from None


@contextmanager
def _translated_errors(where: str) -> Iterator[None]:
    """Formulaic's errors, and those of functions that it calls, as ours."""
    try:
        with np.errstate(all="ignore"):  # what is not finite is reported by name and row afterwards
            yield
    except ModelError:
        raise
    except Exception as error:  # formulaic lets through whatever a function in the formula raises
        raise ModelError(f"{where}: {str(error).splitlines()[0]}") from error
