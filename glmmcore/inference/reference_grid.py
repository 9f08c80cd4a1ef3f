"""Rows at which a fitted mean is looked at: chosen columns vary, numbers rest at their mean, categories average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.errors import ModelError
from glmmcore.results.estimability import dropped_columns

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM

__all__ = ["ReferenceGrid"]

# A numeric column with more distinct values needs to be told at which of them to look.
_MAX_VALUES = 12


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceGrid:
    """Linear combinations of the conditional coefficients, one for each combination of the chosen columns.

    Attributes
    ----------
    cells : DataFrame
        Values of the chosen columns, one row a combination.
    rows : ndarray, shape (m, p)
        Weights of the coefficients: designs averaged, with equal weights, over the other categories.
    offset : ndarray, shape (m,)
        Known part of the linear predictor.
    outside : ndarray, shape (m, r), or None
        As in `PredictorDesign`, averaged likewise: the combination cannot be estimated where it is not zero.
    dropped : tuple of str
        Columns that would have to be known for those.
    """

    cells: pd.DataFrame
    rows: np.ndarray
    offset: np.ndarray
    outside: np.ndarray | None = None
    dropped: tuple[str, ...] = ()

    @classmethod
    def build(cls, fit: FittedGLMM, variables: Sequence[str], at: Mapping[str, Any] | None = None) -> ReferenceGrid:
        """Lay out the grid of `variables`; `at` gives values of columns, chosen ones or others."""
        encode: Any = fit.design.encode
        known = encode.fixed_kinds
        at = dict(at or {})
        for name in (*variables, *at):
            if name not in known:
                raise ModelError(f"'{name}' is no column of the fixed effects; they are {', '.join(known)}")
        factors = encode.factors
        values = {name: _values(fit, name, name in factors, name in variables, at.get(name)) for name in known}
        order = [*variables, *(name for name in known if name not in variables)]
        cells = list(product(*(range(len(values[name])) for name in order)))
        positions = np.array(cells, dtype=int).reshape(len(cells), len(order))
        frame = pd.DataFrame({name: values[name].array.take(positions[:, j]) for j, name in enumerate(order)})
        predictors, _ = encode(frame, groups=False)
        design = predictors["cond"]
        size = len(frame) // int(np.prod([len(values[name]) for name in variables], initial=1))
        return cls(
            frame[list(variables)].iloc[::size].reset_index(drop=True),
            design.X.reshape(-1, size, design.X.shape[1]).mean(axis=1),
            design.offset.reshape(-1, size).mean(axis=1),
            None if design.outside is None else design.outside.reshape(-1, size, design.outside.shape[1]).mean(axis=1),
            tuple(dropped_columns(design)),
        )


def _values(fit: FittedGLMM, name: str, is_factor: bool, chosen: bool, given: Any) -> pd.Series:
    """Values of one column in the grid, of the type it has in the data: all levels of a factor, else the mean."""
    column = fit.data[name]
    if given is not None:
        values = pd.Series(np.atleast_1d(np.asarray(given, dtype=object)))
        if is_factor:
            return _like(column, values)
        try:
            return values.astype(float)
        except (TypeError, ValueError):
            raise ModelError(f"at: values of the numeric column '{name}' must be numbers") from None
    distinct = pd.Series(column.unique()).sort_values(ignore_index=True)
    if is_factor:
        return distinct
    if not chosen:
        return pd.Series([float(column.astype(float).mean())])
    if len(distinct) > _MAX_VALUES:
        raise ModelError(
            f"column '{name}' has {len(distinct)} distinct numbers; say at which to look, "
            f"such as at={{{name!r}: [0, 1]}}"
        )
    return distinct.astype(float)


def _like(column: pd.Series, values: pd.Series) -> pd.Series:
    """Values with the categories of the data's column."""
    unseen = [v for v in values if v not in set(column)]
    if unseen:
        raise ModelError(f"at: column '{column.name}' has no level {unseen[0]!r}")
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Series(pd.Categorical(values, categories=column.cat.categories))
    return values.astype(column.dtype)
