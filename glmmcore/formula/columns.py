"""Columns of one model frame, read once, and the complete rows among them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError
from glmmcore.formula.allowed import CONSTANTS
from glmmcore.formula.expressions import Expression, evaluate
from glmmcore.formula.frame import BOOLEAN_LEVELS, Column, drop_unused, factorise, find_column, read_column, row_name

__all__ = ["Columns"]


class Columns:
    """The columns that a model uses.

    Attributes
    ----------
    index : pandas.Index
        Row labels.
    what : str
        The name of the data in messages.
    """

    def __init__(self, data: pd.DataFrame, what: str = "data") -> None:
        self.data = data
        self.what = what
        self.index = data.index
        self._columns: dict[str, Column] = {}
        self._factors: dict[str, tuple[np.ndarray, pd.Index]] = {}
        self._evaluated: dict[Expression, np.ndarray] = {}
        self._conditions: set[Expression] = set()  # those whose values are booleans

    @property
    def nobs(self) -> int:
        """Number of rows."""
        return len(self.index)

    @property
    def names(self) -> list[str]:
        """Columns read so far, in the order of the data."""
        return [name for name in self.data.columns if name in self._columns or name in self._factors]

    def source(self) -> pd.DataFrame:
        """Return the columns read so far as the user gave them, without a copy when all are used."""
        names = self.names
        return self.data.copy(deep=False) if len(names) == self.data.shape[1] else self.data[names]

    def read(self, names: Iterable[str], groups: Iterable[str] = ()) -> None:
        """Read columns; `groups` are those whose numeric values would be of no use."""
        for name in names:
            if name not in self._columns:
                self._columns[name] = read_column(find_column(self.data, name, self.what), name)
        for name in groups:
            if name not in self._factors:
                column = self._columns.get(name)
                if column is not None and column.codes is not None and column.levels is not None:
                    self._factors[name] = drop_unused(column.codes, column.levels)
                else:
                    self._factors[name] = factorise(find_column(self.data, name, self.what), name)

    def read_operands(self, expression: Expression) -> None:
        """Read the columns of an expression; a constant such as ``pi`` need not be one."""
        self.read(name for name in expression.names if name in self.data.columns or name not in CONSTANTS)

    def missing(self) -> np.ndarray:
        """Mask of the rows in which any column is missing."""
        mask = np.zeros(self.nobs, dtype=bool)
        for column in self._columns.values():
            found = column.missing
            if found is not None:
                mask |= found
        for codes, _ in self._factors.values():
            mask |= codes < 0
        return mask

    def take(self, keep: np.ndarray) -> Columns:
        """Rows of a mask."""
        taken = Columns(self.data, self.what)
        taken.index = self.index[keep]
        taken._columns = {name: column.take(keep) for name, column in self._columns.items()}
        taken._factors = {name: drop_unused(codes[keep], levels) for name, (codes, levels) in self._factors.items()}
        return taken

    def check_finite(self) -> None:
        """Refuse infinite values, naming column and row."""
        for name, column in self._columns.items():
            if column.values is not None:
                self.require_finite(column.values, f"column '{name}'")

    def require_finite(self, values: np.ndarray, what: str, advice: str = "correct it or leave the row out") -> None:
        """Refuse NaN and infinity in values of these rows."""
        finite = np.isfinite(values)
        if not finite.all():
            at = int(np.argmin(finite))
            raise ModelError(f"{what} is {values[at]} in {row_name(self.index, at)}, {advice}")

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def kind(self, name: str) -> str:
        """``"numeric"``, ``"boolean"``, ``"categorical"`` or ``"datetime"``."""
        return self._columns[name].kind

    def is_factor(self, name: str) -> bool:
        """Whether a column that is a term as it stands has one column of the design for each level."""
        return self.kind(name) in ("categorical", "boolean")

    def require_kind(self, name: str, kind: str) -> None:
        """Refuse a column of another kind than it had in the fit; 0 and 1 may stand for False and True."""
        found = self.kind(name)
        if (found, kind) == ("boolean", "numeric"):
            return
        if (found, kind) == ("numeric", "boolean"):
            self._columns[name] = self._as_boolean(name)
            return
        if found != kind:
            shown = {
                "numeric": "numbers", "boolean": "booleans", "categorical": "text or categories", "datetime": "dates"
            }  # fmt: skip
            raise ModelError(f"column '{name}' of {self.what} holds {shown[found]}, the fit had {shown[kind]}")

    def _as_boolean(self, name: str) -> Column:
        column = self._columns[name]
        assert column.values is not None
        fine = np.isin(column.values, (0.0, 1.0))
        if not fine.all():
            at = int(np.argmin(fine))
            raise ModelError(
                f"column '{name}' of {self.what} is {column.values[at]:g} in {row_name(self.index, at)}, the fit had "
                "booleans: use True and False, or 1 and 0"
            )
        return Column(name, "boolean", column.source, column.values, column.values.astype(np.int32), BOOLEAN_LEVELS)

    def numeric(self, name: str) -> np.ndarray:
        """Float64 values of a column that has to be numeric."""
        column = self._columns[name]
        if column.values is None:
            is_date = column.kind == "datetime"
            advice = (
                "turn it into a number first, such as days since the start" if is_date else "numbers are needed here"
            )
            raise ModelError(f"column '{name}' holds {'dates' if is_date else 'text or categories'}, {advice}")
        return column.values

    def factor(self, name: str) -> tuple[np.ndarray, pd.Index]:
        """Codes and levels of a column, numeric or not."""
        if name not in self._factors:
            column = self._columns[name]
            if column.codes is not None and column.levels is not None:
                self._factors[name] = (column.codes, column.levels)
            else:
                self._factors[name] = factorise(column.source, name)
        return self._factors[name]

    def evaluate(self, expression: Expression) -> np.ndarray:
        """Finite float64 values (n,) of an arithmetic expression; computed once.

        Raises
        ------
        ModelError
            When the expression needs numbers where there is text, or is not finite somewhere.
        """
        if expression not in self._evaluated:
            value = self.arithmetic(expression)
            if value.dtype.kind not in "iufb":
                for name in expression.names:
                    if self.is_text(name):
                        self.numeric(name)  # says what the column holds
                raise ModelError(f"'{expression.label}' is not numeric")
            if value.dtype.kind == "b":
                self._conditions.add(expression)
            self._evaluated[expression] = self.finite_column(value, expression.label)
        return self._evaluated[expression]

    def arithmetic(self, expression: Expression) -> np.ndarray:
        """Value of an arithmetic expression, one per row or one for all; of objects when it is not numeric."""
        try:
            value = np.asarray(evaluate(expression.node, self.operand))
        except (TypeError, ArithmeticError):
            value = np.full(self.nobs, None)
        except ValueError as error:
            raise ModelError(f"'{expression.label}' cannot be computed: {str(error).splitlines()[0]}") from error
        if value.shape not in ((), (self.nobs,)):
            raise ModelError(f"'{expression.label}' is not one number per row")
        return value

    def is_condition(self, expression: Expression) -> bool:
        """Whether an arithmetic expression is true or false in each row, such as ``I(x > 0)``."""
        self.evaluate(expression)
        return expression in self._conditions

    def is_text(self, name: str) -> bool:
        """Whether a name is a column without numeric values."""
        return name in self._columns and self._columns[name].values is None

    def is_whole(self, name: str) -> bool:
        """Whether a column holds whole numbers by its type."""
        return bool(pd.api.types.is_integer_dtype(self._columns[name].source.dtype))

    def operand(self, name: str) -> Any:
        """Value of a name inside an expression: numbers, or labels of a categorical column."""
        column = self._columns[name]
        if column.kind == "categorical" and column.codes is not None and column.levels is not None:
            return np.asarray(column.levels, dtype=object)[column.codes]
        return self.numeric(name)

    def finite_column(self, value: np.ndarray, code: str) -> np.ndarray:
        """Own float64 copy (n,) of the value of an expression, all finite."""
        column = np.empty(self.nobs)
        column[:] = value
        self.require_finite(column, f"'{code}'", "change the expression or leave the row out")
        return column
