"""What is known about each observation, besides its simulations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from simresid.alignment import FloatArray
    from simresid.protocol import HasColumns

__all__ = ["NamedColumns", "Rows"]


@dataclass(frozen=True, eq=False)
class NamedColumns:
    """Whatever columns can be named: those at hand, and those of the user's data frame, fetched when named.

    Attributes
    ----------
    data : DataFrame (n rows) or None
        Columns at hand.
    model : HasColumns or None
        Knows further columns, a value for every row of the model.
    steps : sequence of callable
        From the rows of the model to the present entries, one after the other; each takes and returns a Series, and
        raises KeyError for values that have no counterpart there, such as text in groups.
    """

    data: pd.DataFrame | None = None
    model: HasColumns | None = None
    steps: Sequence[Callable[[pd.Series], pd.Series]] = ()

    @property
    def names(self) -> list[Any]:
        """Names of all columns, those at hand first."""
        own = [] if self.data is None else list(self.data.columns)
        others = [] if self.model is None else self.model.column_names
        return list(dict.fromkeys([*own, *others]))

    def __contains__(self, name: Any) -> bool:
        return (self.data is not None and name in self.data.columns) or (
            self.model is not None and name in self.model.column_names
        )

    def __getitem__(self, name: Any) -> pd.Series:
        if self.data is not None and name in self.data.columns:
            return self.data[name]
        if self.model is None:
            raise KeyError(name)
        values = self.model.column(name)
        for step in self.steps:
            values = step(values)
        return values

    def then(self, step: Callable[[pd.Series], pd.Series], data: pd.DataFrame | None) -> NamedColumns:
        """Columns of other entries, which `step` makes of the present ones; `data` are those at hand there."""
        return replace(self, data=data, steps=(*self.steps, step))


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """One entry per residual, all in the same order.

    Attributes
    ----------
    observed : ndarray (n,)
        Response; counts for k-of-n data.
    index : Index (n,)
        Labels: those of the data's rows, or of the groups.
    fitted : ndarray (n,) or None
        Prediction to show residuals against, on the scale of `observed`.
    expected : ndarray (n,) or None
        Mean of the law the simulations are drawn from; None when only the simulations can tell.
    variance : ndarray (n,) or None
        Variance of that law, if known.
    trials : ndarray (n,) or None
        Trials of a k-of-n response.
    columns : NamedColumns
        Columns that the user can name.
    membership : ndarray of int (n_model,) or None
        Position here of every row of the model, -1 for rows left out; None when there is one entry per row of the
        model, or when entries are not sums or means of rows.
    notes : tuple of str
        What a reader should know about how the entries were made.
    """

    observed: FloatArray
    index: pd.Index
    fitted: FloatArray | None = None
    expected: FloatArray | None = None
    variance: FloatArray | None = None
    trials: FloatArray | None = None
    columns: NamedColumns = NamedColumns()
    membership: NDArray[np.intp] | None = None
    notes: tuple[str, ...] = ()

    @property
    def data(self) -> pd.DataFrame | None:
        """Columns at hand, those that the model uses; None if unknown."""
        return self.columns.data
