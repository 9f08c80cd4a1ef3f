"""New data in terms of a fitted design."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from glmmcore.design import PredictorDesign, RandomTerm
from glmmcore.errors import ModelError
from glmmcore.formula.columns import Columns
from glmmcore.formula.expressions import Expression
from glmmcore.formula.frame import as_frame
from glmmcore.formula.materialize import FormulaicParts
from glmmcore.formula.plan import PredictorPlan, build_matrix, sum_offsets
from glmmcore.formula.transforms import States

__all__ = ["Encoder"]


@dataclass(frozen=True, slots=True)
class Encoder:
    """Designs for new rows with the columns, transforms and level sets of the fit; picklable.

    Attributes
    ----------
    plans : dict of str to PredictorPlan
    parts : FormulaicParts
    fixed_kinds, left_kinds : dict of str to str
        Kind at the fit of each column in fixed parts and offsets, and in the left sides of bars.
    place_kinds : dict of str to str
        The same of columns in coordinates.
    group_columns : tuple of str
    factors : frozenset of str
        Columns in fixed parts that are factors there: text, categories, booleans, and what stands in ``C(...)``.
    array_offset : bool
        Whether the fit had an offset that is no column.
    """

    plans: dict[str, PredictorPlan]
    parts: FormulaicParts
    fixed_kinds: dict[str, str]
    left_kinds: dict[str, str]
    place_kinds: dict[str, str]
    group_columns: tuple[str, ...]
    factors: frozenset[str]
    array_offset: bool

    @property
    def states(self) -> States:
        """What transforms remember of the data of the fit."""
        return self.parts.states

    @property
    def offsets(self) -> tuple[Expression, ...]:
        """Addends of the offset of the conditional part."""
        return tuple(offset.expression for offset in self.plans["cond"].offsets)

    def __call__(self, newdata: Any, *, groups: bool = True) -> tuple[dict[str, PredictorDesign], np.ndarray]:
        """Encode new rows.

        Parameters
        ----------
        newdata : DataFrame or mapping of columns
            The response is not needed.
        groups : bool
            Whether to make the random terms; without them their columns need not be there.

        Returns
        -------
        predictors : dict of str to PredictorDesign
            For the complete rows; group levels that the fit has not seen have code -1.
        keep : ndarray of bool, shape (len(newdata),)
            The complete rows.

        Raises
        ------
        ModelError
            For a column that is absent or of another type, and for a level of a fixed categorical column that
            the fit has not seen.
        """
        if self.array_offset:
            raise ModelError("the model was fitted with an array as offset=, fit with a column to use new data")
        columns = Columns(as_frame(newdata, "the new data"), "the new data")
        kinds = self.fixed_kinds | (self.left_kinds | self.place_kinds if groups else {})
        columns.read(kinds, self.group_columns if groups else ())
        keep = ~columns.missing()
        if not keep.all():
            columns = columns.take(keep)
        slow: dict[str, np.ndarray] = {}
        if columns.nobs:
            columns.check_finite()
            for name, kind in kinds.items():
                columns.require_kind(name, kind)
            keys = [key for plan in self.plans.values() for key in plan.keys(groups)]
            slow = self.parts.repeat(columns, keys)
        predictors = {}
        for predictor, plan in self.plans.items():
            if columns.nobs:
                X, offset, terms = _encode(plan, columns, slow, groups)
            else:
                X, offset, terms = _no_rows(plan, groups)
            predictors[predictor] = plan.design(X, offset, terms, new=True)
        return predictors, keep


Encoded = tuple[np.ndarray, np.ndarray, tuple[RandomTerm, ...]]


def _encode(plan: PredictorPlan, columns: Columns, slow: dict[str, np.ndarray], groups: bool) -> Encoded:
    """All columns of the fixed part, offset, random terms."""
    terms = tuple(term.encode(columns, slow) for term in (plan.terms if groups else ()))
    return build_matrix(plan.fixed, columns, slow), sum_offsets(plan.offsets, columns, slow), terms


def _no_rows(plan: PredictorPlan, groups: bool) -> Encoded:
    """Make the same of no rows at all, which transforms could not digest."""
    terms = tuple(term.empty() for term in (plan.terms if groups else ()))
    return np.empty((0, len(plan.fixed.columns))), np.empty(0), terms
