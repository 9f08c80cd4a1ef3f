"""The levels of a serial term are times; check that they can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from glmmcore.covariance import FIELDS, STRUCTURES
from glmmcore.errors import ModelError
from glmmcore.formula.bars import parse_formula
from glmmcore.formula.columns import Columns
from glmmcore.formula.fast import FastMatrix
from glmmcore.formula.parsed import Bar, Part
from glmmcore.formula.plan import Matrix

__all__ = ["check_times", "numeric_times"]


def check_times(structure: str, matrix: Matrix, group: str) -> list[str]:
    """Check the left side of ``ar1(0 + time | group)`` and its kin: its columns are taken as equally spaced times.

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
        raise ModelError(f"{structure} needs one column per time, write {structure}(0 + factor(time) | {group})")
    name, levels = found
    times = np.asarray(pd.to_numeric(pd.Series(levels), errors="coerce"), dtype=np.float64)
    steps = np.diff(times)
    if not np.isfinite(times).all() or np.allclose(steps, abs(steps[0]), rtol=1e-6, atol=0.0):
        return []
    shown = ", ".join(map(str, levels[:8])) + (", ..." if len(levels) > 8 else "")
    return [f"{structure} takes the levels of '{name}' as equally spaced times in this order, without gaps: {shown}"]


def _only_factor(matrix: Matrix) -> tuple[str, pd.Index] | None:
    """Column and levels of a matrix that has one column for each level of one factor, nothing else."""
    if isinstance(matrix, FastMatrix) and len(matrix.factors) == 1:
        factor = next(iter(matrix.factors.values()))
        if factor.levels is not None and isinstance(factor.source, str) and matrix.terms == (((factor.label, True),),):
            return factor.source, factor.levels
    return None


def numeric_times(bar: Bar, columns: Columns) -> Bar:
    """``toep(time | g)`` of a column of numbers is ``toep(0 + factor(time) | g)``, and ``ar1`` has it as a coordinate.

    Raises
    ------
    ModelError
        When there are gaps, which structures other than ``ar1`` do not know.
    """
    atoms = bar.left.atoms
    numeric = len(atoms) == 1 and atoms[0].column is not None and columns.kind(atoms[0].column) == "numeric"
    if bar.coordinates or not STRUCTURES[bar.structure].ordered or not numeric:
        if not bar.group and not bar.coordinates:
            raise ModelError(f"{bar.structure}(... | 1) needs a column of whole numbers on the left of the bar")
        return bar
    if bar.structure in FIELDS:
        return replace(bar, left=Part("0", (), ()), coordinates=(atoms[0],))
    name, group = str(atoms[0].column), ":".join(bar.group)
    times = np.unique(columns.numeric(name))
    if np.any(times != np.round(times)):
        raise ModelError(f"the times '{name}' of {bar.structure} are not whole numbers, use ou({name} | {group})")
    absent = np.flatnonzero(np.diff(times) != 1.0)
    if len(absent):
        raise ModelError(
            f"no row has '{name}' {times[absent[0]] + 1:g}, and {bar.structure} knows no gaps; "
            f"use ar1({name} | {group})"
        )
    left = parse_formula(f"~ 0 + C({atoms[0].text})", one_sided=True).fixed
    return replace(bar, left=left)
