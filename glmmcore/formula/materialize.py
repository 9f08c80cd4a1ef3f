"""Matrices that need formulaic: contrasts, splines, `scale` and whatever else has a state; one call for all of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glmmcore.errors import ModelError
from glmmcore.formula.bars import Part
from glmmcore.formula.columns import Columns
from glmmcore.formula.expressions import ENVIRONMENT, Expression

__all__ = ["FormulaicParts", "SlowMatrix"]


@dataclass(frozen=True, slots=True)
class SlowMatrix:
    """A matrix that `FormulaicParts` makes.

    Attributes
    ----------
    key : str
        Its name there.
    columns : tuple of str
    is_numeric : bool
        Whether no categorical factor takes part.
    """

    key: str
    columns: tuple[str, ...]
    is_numeric: bool


@dataclass(slots=True)
class FormulaicParts:
    """Parts of a model that go through one structured formulaic call, so that they share evaluated factors and states.

    Attributes
    ----------
    formulas : dict of str to str
    names : tuple of str
        Columns they need.
    as_is : tuple of str
        Columns that are categories by ``C(...)`` and keep their own values, such as integers.
    specs : formulaic.ModelSpecs or None
        States and level sets, after `fit`.
    """

    formulas: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    as_is: tuple[str, ...] = ()
    specs: Any = None

    def add_part(self, key: str, text: str, part: Part) -> None:
        """Register a sum of terms."""
        self._add(key, text, part.names)
        for expression in part.expressions.values():
            if "C" in expression.functions:
                self.as_is += tuple(name for name in expression.names if name not in self.as_is)

    def add_expression(self, key: str, expression: Expression) -> None:
        """Register one expression that gives one column."""
        self._add(key, "0 + {" + expression.code + "}", expression.names)

    def _add(self, key: str, formula: str, names: tuple[str, ...]) -> None:
        self.formulas[key] = formula
        self.names += tuple(name for name in names if name not in self.names)

    def fit(self, data: Columns) -> dict[str, Any]:
        """Evaluate on the data of the fit; formulaic's matrix for each key."""
        if not self.formulas:
            return {}
        from formulaic import Formula

        matrices = self._run(data, Formula, **self.formulas)
        self.specs = {key: matrices[key].model_spec for key in self.formulas}
        return matrices

    def _run(self, data: Columns, make: Any, **formulas: str) -> dict[str, Any]:
        from formulaic.errors import FormulaicError

        table = data.table([name for name in self.names if name in data], self.as_is)
        try:
            with np.errstate(all="ignore"):
                found = make(**formulas).get_model_matrix(
                    table, context=ENVIRONMENT, na_action="ignore", output="numpy"
                )
        except FormulaicError as error:
            raise ModelError(f"formula: {str(error).splitlines()[0]}") from error
        return {key: getattr(found, key) for key in formulas}

    def repeat(self, data: Columns, keys: list[str]) -> dict[str, np.ndarray]:
        """Evaluate on new data with the fitted states."""
        from formulaic.errors import DataMismatchWarning, FormulaicError

        table = data.table([name for name in self.names if name in data], self.as_is)
        found = {}
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("error", DataMismatchWarning)
                for key in keys:
                    matrix = self.specs[key].get_model_matrix(table, context=ENVIRONMENT)
                    found[key] = dense(matrix, data, list(self.specs[key].column_names))
        except (FormulaicError, DataMismatchWarning) as error:
            raise ModelError(f"new data: {str(error).splitlines()[0]}") from error
        return found


def dense(matrix: Any, data: Columns, columns: list[str]) -> np.ndarray:
    """Float64, C order, all finite (a column that is not is named)."""
    try:
        values = np.ascontiguousarray(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError(f"formula: the columns {', '.join(columns)} are not all numeric") from error
    if not np.isfinite(values).all():
        j = int(np.argmin(np.isfinite(values).all(axis=0)))
        data.require_finite(values[:, j], f"'{columns[j]}'", "only complete and finite values can be used")
    return values


def is_numeric(spec: Any) -> bool:
    """Whether a fitted formulaic spec has no categorical factor."""
    return not any(contrasts for contrasts in spec.factor_contrasts.values())
