"""The left-hand side as numbers: values, 0/1, or successes with their trials."""

from __future__ import annotations

import numpy as np

from glmmcore.design import Response
from glmmcore.errors import ModelError
from glmmcore.formula.columns import Columns
from glmmcore.formula.frame import row_name
from glmmcore.formula.parsed import ParsedFormula
from glmmcore.formula.transformed import Transformed, transformed

__all__ = ["from_proportions", "holds_proportions", "make_response"]


def make_response(
    parsed: ParsedFormula,
    values: list[np.ndarray],
    data: Columns,
    trials: np.ndarray | None,
    like: Response | None = None,
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
    like : Response, optional
        Of a fit to other rows, which knows whether the values are proportions.
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
    proportions = False
    levels = (False, True) if name is not None and data.kind(name) == "boolean" else None
    if trials is not None:
        _require(trials >= 0, data, "trials is negative", trials)
        proportions = holds_proportions(y, trials) if like is None else like.proportions
        y = from_proportions(y, trials) if proportions else y
        _require(y <= trials, data, f"'{parsed.response_name}' exceeds its number of trials", y)
    way = None if trials is not None else _way_back(parsed, data)
    return Response(parsed.response_name, y, trials, levels, way, proportions)


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


def holds_proportions(y: np.ndarray, trials: np.ndarray) -> bool:
    """Whether all lie in [0, 1], not all are whole, and each times its trials is whole to 1e-8 of the trials."""
    if ((y < 0) | (y > 1)).any() or (y == np.round(y)).all():
        return False
    counts = from_proportions(y, trials)
    return bool((counts == np.round(counts)).all())


def from_proportions(y: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Numbers of successes, whole where they miss it by rounding."""
    counts = y * trials
    whole = np.round(counts)
    return np.where(np.abs(counts - whole) <= 1e-8 * np.maximum(trials, 1.0), whole, counts)


def _require(fine: np.ndarray, data: Columns, what: str, values: np.ndarray) -> None:
    if not fine.all():
        at = int(np.argmin(fine))
        raise ModelError(f"{what} in {row_name(data.index, at)} ({values[at]:g})")
