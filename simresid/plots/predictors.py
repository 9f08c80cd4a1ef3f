"""What a plot can be drawn against: columns, arrays, dates and categories, with missing rows set aside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simresid.checks.basis import default_predictor
from simresid.checks.inputs import is_simulated, residual_array
from simresid.plots.style import level_texts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Predictor", "resolve", "with_rows"]


@dataclass(frozen=True)
class Predictor:
    """One predictor and the residuals that belong to it.

    Attributes
    ----------
    name : str
    values : Series (n,)
        Without missing values, in the order of `residuals`.
    residuals : SimulatedResiduals or ndarray (n,)
        Those of the rows where the predictor is known.
    n_missing : int
        Rows left out because the predictor is missing there.
    kind : {"numeric", "date", "category"}
    """

    name: str
    values: pd.Series
    residuals: Any
    n_missing: int
    kind: Literal["numeric", "date", "category"]

    @cached_property
    def numbers(self) -> Any:
        """Values of a numeric predictor, or dates as matplotlib counts them ``(n,)``."""
        if self.kind == "date":
            import matplotlib.dates as mdates
            import pandas as pd

            period = isinstance(self.values.dtype, pd.PeriodDtype)
            stamps = self.values.dt.to_timestamp() if period else self.values
            return np.asarray(mdates.date2num(stamps.to_numpy()), dtype=float)
        return self.values.to_numpy(dtype=float)

    @cached_property
    def category(self) -> pd.Series:
        """Values as a category without unused levels."""
        return self.values.astype("category").cat.remove_unused_categories()

    @property
    def codes(self) -> Any:
        """Number of the level of each row ``(n,)``."""
        return self.category.cat.codes.to_numpy()

    @property
    def levels(self) -> list[str]:
        """Names of the levels."""
        return level_texts(self.category.cat.categories)


def resolve(res: Any, against: Any, name: str | None = None) -> Predictor:
    """Align `against` with the residuals and decide how to draw it.

    Numbers with a single value, or with fewer than ten values and more than ten rows each, are categories.
    """
    import pandas as pd

    from simresid.alignment import align_rows

    if against is None:
        series = pd.Series(default_predictor(res))
        name = name or "Predicted value"
    elif is_simulated(res):
        series = res.align(against, "against")
    else:
        n = residual_array(res).size
        array = against.to_numpy() if isinstance(against, pd.Series) else against
        series = align_rows(array, "against", pd.RangeIndex(n))
    name = name or (str(against) if isinstance(against, str) else str(getattr(against, "name", None) or "predictor"))
    if pd.api.types.is_complex_dtype(series.dtype):
        raise ValueError(f"{name} must hold real numbers, not {series.dtype}")
    missing = series.isna().to_numpy()
    if pd.api.types.is_float_dtype(series.dtype):
        missing = missing | ~np.isfinite(series.to_numpy(dtype=float))
    if missing.all():
        raise ValueError(f"{name} is missing in every row, so there is nothing to draw against")
    kept = with_rows(res, ~missing)
    values = series[~missing].reset_index(drop=True)
    return Predictor(name, values, kept, int(missing.sum()), _kind(values))


def with_rows(res: Any, keep: Any) -> Any:
    """Residuals of the rows where the mask `keep` is true."""
    if keep.all():
        return res
    if keep.sum() < 2:
        raise ValueError("fewer than two rows are left to draw")
    return res.recalculate(select=np.flatnonzero(keep)) if is_simulated(res) else residual_array(res)[keep]


def _kind(values: pd.Series) -> Literal["numeric", "date", "category"]:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values) or isinstance(values.dtype, pd.PeriodDtype):
        return "date"
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        return "category"
    n_unique = values.nunique()
    return "category" if n_unique == 1 or (n_unique < 10 and len(values) > 10 * n_unique) else "numeric"
