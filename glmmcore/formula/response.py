"""The left-hand side as numbers: values, 0/1, or successes with their trials."""

from __future__ import annotations

import numpy as np
import pandas as pd

from glmmcore.arguments import from_proportions, holds_proportions
from glmmcore.design import Response
from glmmcore.errors import ModelError
from glmmcore.formula.bars import parse_formula
from glmmcore.formula.columns import Columns
from glmmcore.formula.expressions import checked
from glmmcore.formula.frame import row_name
from glmmcore.formula.parsed import ParsedFormula
from glmmcore.formula.syntax import Binary, Call
from glmmcore.formula.transformed import Transformed, transformed

__all__ = ["make_response", "trials_in_response"]


def make_response(
    parsed: ParsedFormula,
    values: list[np.ndarray],
    data: Columns,
    trials: np.ndarray | None,
    proportions: bool | None = None,
) -> Response:
    """Put the response together.

    Parameters
    ----------
    parsed : ParsedFormula
    values : list of ndarray, shape (n,)
        Value of each expression of ``parsed.response``; empty for a categorical column.
    data : Columns
    trials : ndarray, shape (n,), or None
        The argument of this name.
    proportions : bool, optional
        Whether the values are proportions of their trials; found out by default.
    """
    if parsed.is_counts:
        if trials is not None:
            raise ModelError("give either cbind(successes, failures) or trials=, not both")
        won, lost = values
        for expression, counts in zip(parsed.response, values, strict=True):
            _require(counts >= 0, data, f"'{expression.label}' in cbind is negative", counts)
        return Response(parsed.response_name, won, won + lost)
    name = parsed.response_column
    if name is not None and data.kind(name) == "categorical":
        return _two_levels(name, data, trials)
    y = values[0]
    levels = (False, True) if name is not None and data.kind(name) == "boolean" else None
    if trials is not None:
        _require(trials >= 0, data, "trials is negative", trials)
        if proportions is None:
            proportions = _is_over(parsed, data, trials) or holds_proportions(y, trials)
        y = from_proportions(y, trials) if proportions else y
        _require(y <= trials, data, f"'{parsed.response_name}' exceeds its number of trials", y)
    way = None if trials is not None else _way_back(parsed, data)
    return Response(parsed.response_name, y, trials, levels, way, trials is not None and bool(proportions))


def trials_in_response(formula: str, frame: pd.DataFrame) -> np.ndarray | None:
    """Successes and failures of ``cbind`` added up, (n,), NaN where one is missing; None where there are none."""
    parsed = parse_formula(formula)
    names = {name for expression in parsed.response for name in expression.names}
    if not parsed.is_counts or not names <= set(frame.columns) or not all(e.is_arithmetic for e in parsed.response):
        return None
    columns = Columns(frame, "the new data")
    columns.read(names)
    for name in names:
        columns.numeric(name)  # text could be added up too
    won, lost = (columns.arithmetic(expression) for expression in parsed.response)
    return np.full(len(frame), won + lost, dtype=np.float64)


def _is_over(parsed: ParsedFormula, data: Columns, trials: np.ndarray) -> bool:
    """Whether the response is written as something over its trials, so that 1 is all of them, not one."""
    node = parsed.response[0].node
    while isinstance(node, Call) and node.function == "I":
        node = node.arguments[0]
    if not isinstance(node, Binary) or node.operator != "/":
        return False
    below = checked(node.right)
    return below.is_arithmetic and bool(np.all(data.arithmetic(below) == trials))


def _way_back(parsed: ParsedFormula, data: Columns) -> Transformed | None:
    """What the response is a function of, unless that could be on either side of an even power."""
    way = transformed(parsed.response[0].node)
    if way is None or way.base or way.power % 2.0:
        return way
    if way.inner not in data.data.columns:
        return None
    inner = way.factor * np.asarray(data.data[way.inner], dtype=float) + way.shift
    return way if np.nanmin(inner) >= 0.0 else None


def _two_levels(name: str, data: Columns, trials: np.ndarray | None) -> Response:
    codes, levels = data.factor(name)
    if trials is not None:
        raise ModelError(f"response '{name}' holds text or categories, trials= needs numbers of successes")
    if len(levels) != 2:
        shown = ", ".join(repr(v) for v in levels[:6].tolist()) + (", ..." if len(levels) > 6 else "")
        raise ModelError(f"categorical response '{name}' must have two levels, it has {len(levels)}: {shown}")
    return Response(name, codes.astype(np.float64), None, tuple(levels.tolist()))


def _require(fine: np.ndarray, data: Columns, what: str, values: np.ndarray) -> None:
    if not fine.all():
        at = int(np.argmin(fine))
        raise ModelError(f"{what} in {row_name(data.index, at)} ({values[at]:g})")
