"""Sentences on linear combinations of coefficients about which the data say nothing.

Where columns of a design were dropped since they depend on earlier ones (an interaction with an empty cell), predictors
of new rows are determined only if the rows fulfil the same relations, see `glmmcore.formula.rank.Aliasing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from glmmcore.design import PredictorDesign

__all__ = ["dropped_columns", "not_estimable", "zero_sums"]

# Rows or cells that a message names at most.
_NAMED = 8
# Share of the addends below which a sum of distances from the relations is zero.
_ROUNDING = 1e-8


def zero_sums(weights: np.ndarray, outside: np.ndarray | None) -> np.ndarray:
    """Whether combinations, weights (m, n), of rows that are `outside` (n, r) the relations fulfil them, (m,)."""
    if outside is None:
        return np.ones(len(weights), dtype=bool)
    sums = np.abs(weights @ outside)
    return np.asarray((sums <= _ROUNDING * (np.abs(weights) @ np.abs(outside))).all(axis=1))


def dropped_columns(design: PredictorDesign) -> list[str]:
    """Dropped columns that take another value in some row than the data of the fit say."""
    if design.outside is None:
        return []
    return [design.aliased[j] for j in np.flatnonzero(np.abs(design.outside).max(axis=0, initial=0.0))]


def not_estimable(what: str, kind: str, names: Sequence[str], dropped: Sequence[str]) -> str:
    """Sentence that names rows, cells or contrasts that are NaN, and the columns that would tell."""
    shown = ", ".join(names[:_NAMED]) + (f", ... ({len(names)} in all)" if len(names) > _NAMED else "")
    columns = ", ".join(dict.fromkeys(dropped))
    nan = "are NaN" if len(names) > 1 else "is NaN"
    return f"{what}: {kind} {shown} cannot be estimated and {nan}: the data of the fit do not determine {columns}"
