"""What is known about each observation, besides its simulations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

__all__ = ["Rows"]


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
    data : DataFrame (n rows) or None
    membership : ndarray of int (n_model,) or None
        Position here of every row of the model, -1 for rows left out; None when there is one entry per row of the
        model, or when entries are not sums or means of rows.
    """

    observed: FloatArray
    index: pd.Index
    fitted: FloatArray | None = None
    expected: FloatArray | None = None
    variance: FloatArray | None = None
    trials: FloatArray | None = None
    data: pd.DataFrame | None = None
    membership: NDArray[np.intp] | None = None
