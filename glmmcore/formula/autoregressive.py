"""The levels of an autoregressive term are times; check that they can be."""

from __future__ import annotations

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError
from glmmcore.formula.fast import FastMatrix
from glmmcore.formula.plan import Matrix

__all__ = ["check_times"]


def check_times(matrix: Matrix, group: str) -> list[str]:
    """Check the left side of ``ar1(0 + time | group)``: its columns are taken as equally spaced times.

    Returns
    -------
    list of str
        A warning when the levels are numbers that are not equally spaced in this order.

    Raises
    ------
    ModelError
        When the columns are not the levels of one categorical column.
    """
    found = _only_factor(matrix)
    if found is None:
        raise ModelError(f"ar1 needs one column per time, write ar1(0 + factor(time) | {group})")
    name, levels = found
    times = np.asarray(pd.to_numeric(pd.Series(levels), errors="coerce"), dtype=np.float64)
    steps = np.diff(times)
    if not np.isfinite(times).all() or np.allclose(steps, abs(steps[0]), rtol=1e-6, atol=0.0):
        return []
    shown = ", ".join(map(str, levels[:8])) + (", ..." if len(levels) > 8 else "")
    return [f"ar1 takes the levels of '{name}' as equally spaced times in this order, without gaps: {shown}"]


def _only_factor(matrix: Matrix) -> tuple[str, pd.Index] | None:
    """Column and levels of a matrix that has one column for each level of one factor, nothing else."""
    if isinstance(matrix, FastMatrix) and len(matrix.factors) == 1:
        factor = next(iter(matrix.factors.values()))
        if factor.levels is not None and isinstance(factor.source, str) and matrix.terms == (((factor.label, True),),):
            return factor.source, factor.levels
    return None
