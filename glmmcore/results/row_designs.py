"""Designs of the rows that are asked about: those of the fit or new ones, with the columns that random effects need."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError

if TYPE_CHECKING:
    from glmmcore.design import PredictorDesign
    from glmmcore.fitted import FittedGLMM

__all__ = ["designs_of_rows"]

# Relative difference of variances that is rounding.
_EQUAL = 1e-8


def designs_of_rows(
    fit: FittedGLMM, newdata: Any, random_effects: str | Collection[str]
) -> tuple[dict[str, PredictorDesign], np.ndarray, pd.Index]:
    """Designs of the complete rows, which rows these are, and the labels of all rows."""
    if newdata is None:
        return fit.design.predictors, np.ones(fit.nobs, dtype=bool), fit.data.index
    from glmmcore.formula.frame import as_frame

    frame = as_frame(newdata, "the new data")
    encode: Any = fit.design.encode
    if random_effects == "conditional":
        _require_groups(encode.group_columns, frame)
    elif random_effects != "none":  # any level of other groups will do: only the left-hand sides are used
        needed = encode.fixed_kinds.keys() | encode.left_kinds.keys()
        if random_effects == "average":
            needed |= _columns_with_variances(fit, frame)
        else:
            own = {column for group in random_effects for column in group.split(":")}
            _require_groups([column for column in encode.group_columns if column in own], frame)
            needed |= own | _coordinates(fit, random_effects)
        only_groups = [g for g in (*encode.group_columns, *encode.place_kinds) if g not in needed]
        frame = frame.assign(**{g: fit.data[g].iloc[:1].repeat(len(frame)).array for g in only_groups})
    predictors, keep = encode(frame, groups=random_effects != "none")
    return predictors, keep, frame.index


def _coordinates(fit: FittedGLMM, groups: Collection[str]) -> set[str]:
    """Columns of the coordinates of places, if effects of some of these groups are of places."""
    encode: Any = fit.design.encode
    of_places = any(t.term.places is not None and t.term.group in groups for t in fit.solution.terms)
    return set(encode.place_kinds) if of_places else set()


def _require_groups(columns: Any, frame: pd.DataFrame) -> None:
    """Say how to predict without grouping columns where there are none."""
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ModelError(
            f"column '{missing[0]}' of the random effects is not in the new data; random_effects='none' predicts for a "
            "typical level, random_effects='average' for the mean over levels"
        )


def _columns_with_variances(fit: FittedGLMM, frame: pd.DataFrame) -> set[str]:
    """Columns of grouping factors whose levels have variances of their own, as those that covary may.

    Raises
    ------
    ModelError
        If the new rows do not have such a column.
    """
    out = set()
    for t in fit.solution.terms:
        variances = t.term.variances(np.unique(t.term.codes))
        if np.ptp(variances) <= _EQUAL * variances.max():
            continue
        columns = t.term.group.split(":")
        absent = [column for column in columns if column not in frame]
        if absent:
            raise ModelError(
                f"predict: levels of '{t.term.group}' have different variances, so that an average over their effects "
                f"needs the column '{absent[0]}' in the new data"
            )
        out |= set(columns)
    return out
