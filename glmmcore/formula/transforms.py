"""Values of functions with a state and of categories with a coding: splines, `scale`, ``C(f, contr.sum)``.

The functions are formulaic's; they are called here, with arguments from the checked tree and a state that belongs to
the place in the formula.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError
from glmmcore.formula.allowed import TRANSFORMS, Contrast, bind, options_of
from glmmcore.formula.columns import Columns
from glmmcore.formula.expressions import Expression, evaluate
from glmmcore.formula.frame import BOOLEAN_LEVELS, row_name
from glmmcore.formula.size import require_factor
from glmmcore.formula.syntax import Call, Name, Node, show, walk

__all__ = ["States", "numbers_of", "value_of", "width"]

States = dict[Call, dict[str, Any]]
"""What each call of a transform remembers of the data of the fit."""


def value_of(expression: Expression, data: Columns, states: States) -> Any:
    """Value of an expression: numbers (n,) or (n, k), a categorical Series, or formulaic's ``FactorValues``.

    A call that is not yet in `states` learns from the data.

    Raises
    ------
    ModelError
        For values that a transform cannot take, and for new data that the fit does not know.
    """
    return _Evaluation(data, states).value(expression)


def width(value: Any) -> int:
    """Columns that a value has before any is dropped."""
    inner = getattr(value, "__wrapped__", value)
    if isinstance(inner, pd.Series):
        return len(inner.cat.categories)
    if isinstance(inner, dict):
        return sum(isinstance(key, int) for key in inner)
    return 1 if inner.ndim == 1 else inner.shape[1]


def numbers_of(expression: Expression, data: Columns, states: States) -> np.ndarray:
    """One number per row (n,) of an expression that has to be that.

    Raises
    ------
    ModelError
    """
    found = _Evaluation(data, states)
    return found.numbers(evaluate(expression.node, data.operand, found.one_column), expression.label)


class _Evaluation:
    def __init__(self, data: Columns, states: States) -> None:
        self.data = data
        self.states = states

    def value(self, expression: Expression) -> Any:
        node = expression.node
        if isinstance(node, Name) and self.data.is_factor(node.name):
            return self._category(node.name)
        while isinstance(node, Call) and node.function == "I":
            node = node.arguments[0]
        if isinstance(node, Name) and self.data.is_text(node.name):
            return self._category(node.name)
        if isinstance(node, Call) and node.function in TRANSFORMS:
            return self._transform(node)
        if expression.is_arithmetic:
            values = self.data.evaluate(expression)
            return _condition(values) if self.data.is_condition(expression) else values
        found = evaluate(node, self.data.operand, self.one_column)
        values = self.numbers(found, expression.label)
        return _condition(values) if np.asarray(found).dtype.kind == "b" else values

    def _category(self, name: str) -> pd.Series:
        if not self.data.is_factor(name):
            self.data.numeric(name)  # says what it holds
        codes, levels = self.data.factor(name)
        return pd.Series(pd.Categorical.from_codes(codes, categories=levels))

    def one_column(self, call: Call) -> np.ndarray:
        """Value of a transform inside an expression."""
        value = self._transform(call)
        if not isinstance(value, np.ndarray) or value.ndim != 1:
            raise ModelError(
                f"formula: {show(call)} has several columns or is a category, it must be a term of its own"
            )
        return value

    def _transform(self, call: Call) -> Any:
        known = TRANSFORMS[call.function]
        rows, given = bind(call, known)
        options = options_of(call.function, given, known.options)
        is_new = call not in self.states
        state = self.states.setdefault(call, {})
        if call.function == "C":
            return self._coded(call, rows[0], options, state)
        if call.function == "hashed":
            return self._hashed(call, rows[0], options)
        values = self.numbers(evaluate(rows[0], self.data.operand, self.one_column), show(call))
        if is_new:
            _check_size(call, options, values)
        else:
            self._check_bounds(call, options, state, values)
        from formulaic.transforms import TRANSFORMS as functions

        found = functions[call.function](values, **options, _state=state)
        inner = getattr(found, "__wrapped__", found)
        return inner if isinstance(inner, np.ndarray) and inner.ndim == 1 else found

    def numbers(self, value: Any, label: str) -> np.ndarray:
        """One float64 number per row."""
        array = np.asarray(value)
        if array.dtype.kind not in "iufb":
            raise ModelError(f"formula: {label} needs numbers, it is given text or categories")
        if array.shape not in ((), (self.data.nobs,)):
            raise ModelError(f"'{label}' is not one number per row")
        return np.array(np.broadcast_to(array, self.data.nobs), dtype=np.float64)

    def _coded(self, call: Call, inner: Node, options: dict[str, Any], state: dict[str, Any]) -> Any:
        """Category with its coding and levels."""
        from formulaic.transforms import C

        values = self._labels(call, inner)
        found = pd.unique(values).tolist()
        if "levels" not in state:
            state["levels"] = self._levels(call, options.pop("levels", None), found)
        options.pop("levels", None)
        known = state["levels"]
        unseen = [level for level in found if level not in set(known)]
        if unseen:
            shown = ", ".join(map(repr, known[:10])) + (", ..." if len(known) > 10 else "")
            if state.get("fitted"):
                message = f"has the level {unseen[0]!r} that the fit has not seen, it knows {shown}"
            else:
                message = f"does not list the level {unseen[0]!r} of the data; list it too or leave its rows out"
            raise ModelError(f"{show(call)} {message}")
        state["fitted"] = True
        contrast = options.pop("contrasts", None)
        if isinstance(contrast, Contrast):
            contrast = _formulaic_contrast(call, contrast, known)
        return C(pd.Series(pd.Categorical(values, categories=known)), contrast, levels=known, **options)

    def _labels(self, call: Call, inner: Node) -> pd.Series:
        """Levels of each row; whole numbers of columns of whole numbers stay whole."""
        if isinstance(inner, Name):
            codes, levels = self.data.factor(inner.name)
            return pd.Series(np.asarray(levels, dtype=None if len(levels) else object)[codes], dtype=levels.dtype)
        value = np.asarray(evaluate(inner, self.data.operand, self.one_column))
        if value.shape not in ((), (self.data.nobs,)):
            raise ModelError(f"'{show(call)}' is not one value per row")
        value = np.broadcast_to(value, self.data.nobs)
        if value.dtype.kind == "f":
            self.data.require_finite(value, f"'{show(inner)}'", "change the expression or leave the row out")
            columns = [node.name for node in walk(inner) if isinstance(node, Name) and node.name in self.data]
            if columns and all(map(self.data.is_whole, columns)) and (value == np.round(value)).all():
                value = value.astype(np.int64)
        return pd.Series(value)

    def _levels(self, call: Call, given: list[Any] | None, found: list[Any]) -> list[Any]:
        match call.arguments[0]:
            case _ if given is not None:
                known = list(given)
                if len(set(known)) < len(known):
                    raise ModelError(f"{show(call)}: a level is given twice")
            case Name(name=name):
                known = self.data.factor(name)[1].tolist()
            case _:
                known = sorted(found)
        require_factor(self.data.nobs, len(known), show(call))
        return known

    def _hashed(self, call: Call, inner: Node, options: dict[str, Any]) -> Any:
        from formulaic.transforms import hashed

        values = np.asarray(evaluate(inner, self.data.operand, self.one_column))
        if values.shape not in ((), (self.data.nobs,)):
            raise ModelError(f"'{show(call)}' is not one value per row")
        contrast = options.pop("contrasts", None)
        if "levels" not in options:
            raise ModelError(f"{show(call)} needs the number of levels to make, such as hashed(f, 10)")
        _require_rows(call, options["levels"], self.data.nobs)
        if isinstance(contrast, Contrast):
            contrast = _formulaic_contrast(call, contrast, list(range(options["levels"])))
        return hashed(np.broadcast_to(values, self.data.nobs), contrasts=contrast, **options)

    def _check_bounds(self, call: Call, options: dict[str, Any], state: dict[str, Any], values: np.ndarray) -> None:
        """Refuse new values of a spline beyond those of the fit, unless the formula says how to go on."""
        if "lower_bound" not in state or options.get("extrapolation", "raise") != "raise":
            return
        low, high = state["lower_bound"], state["upper_bound"]
        inside = (values >= low) & (values <= high)
        if inside.all():
            return
        at = int(np.argmin(inside))
        raise ModelError(
            f"'{show(call)}' is fitted from {low:g} to {high:g}, {row_name(self.data.index, at)} of {self.data.what} "
            f"has {values[at]:g}; fit with {show(call)[:-1]}, extrapolation='extend') to continue the curve (or 'clip')"
        )


def _condition(values: np.ndarray) -> pd.Series:
    """0 and 1 as a factor with False and True."""
    return pd.Series(pd.Categorical(values.astype(bool), categories=BOOLEAN_LEVELS))


def _require_rows(call: Call, size: int, nobs: int) -> None:
    """Refuse a basis with more columns than rows."""
    if size > nobs:
        raise ModelError(f"formula: {show(call)} makes {size} columns, there are only {nobs} rows")


def _check_size(call: Call, options: dict[str, Any], values: np.ndarray) -> None:
    """Refuse a basis with more columns than rows, and knots that are no knots of these data."""
    nobs = len(values)
    size = options.get("df", 0) or len(options.get("knots", ())) + options.get("degree", 1)
    _require_rows(call, size, nobs)
    if call.function == "poly" and not options.get("raw", False):
        distinct = len(np.unique(values))
        if options.get("degree", 1) >= distinct:
            raise ModelError(f"formula: the degree of {show(call)} must be below {distinct}, the number of its values")
    if "knots" in options:
        low = options.get("lower_bound", values.min(initial=np.inf))
        high = options.get("upper_bound", values.max(initial=-np.inf))
        outside = [knot for knot in options["knots"] if not low <= knot <= high]
        if outside:
            raise ModelError(f"formula: the knot {outside[0]:g} of {show(call)} is outside of {low:g} to {high:g}")
        options["knots"] = sorted(options["knots"])


def _formulaic_contrast(call: Call, contrast: Contrast, levels: list[Any]) -> Any:
    """Make formulaic's object for a coding."""
    from formulaic.transforms import contrasts as library

    classes = {
        "treatment": library.TreatmentContrasts,
        "SAS": library.SASContrasts,
        "sum": library.SumContrasts,
        "helmert": library.HelmertContrasts,
        "diff": library.DiffContrasts,
        "poly": library.PolyContrasts,
        "custom": library.CustomContrasts,
    }
    options = dict(contrast.options)
    if "base" in options and options["base"] not in levels:
        shown = ", ".join(map(repr, levels[:10])) + (", ..." if len(levels) > 10 else "")
        raise ModelError(f"formula: {options['base']!r} in {show(call)} is none of the levels {shown}")
    return classes[contrast.name](**options)
