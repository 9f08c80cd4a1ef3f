"""Accepted input: a `SimulatedResiduals` or plain residuals, and columns aligned with their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from simresid.alignment import FloatArray, real_array
from simresid.checks.base import ResponseKind
from simresid.protocol import FittedModel, may_have_random_effects

if TYPE_CHECKING:
    import pandas as pd

    from simresid.simulated_residuals import SimulatedResiduals

__all__ = [
    "BINARY_NOTE",
    "FloatArray",
    "Residuals",
    "aligned",
    "aligned_numeric",
    "generator",
    "is_binary",
    "is_simulated",
    "residual_array",
    "response_kind",
    "shares_random_effects",
    "simulated_only",
]

Residuals: TypeAlias = "SimulatedResiduals | ArrayLike"


BINARY_NOTE = "Single 0/1 responses cannot show dispersion or zero inflation; group rows with recalculate(group=...)."

ROUNDING = 1e-9
"""Of probabilities that are one."""

# Columns of objects that are numbers all the same, in the words of pandas.
_NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal")


@runtime_checkable
class _HasSimulations(Protocol):
    """What tells a residual object, which stands above this module, from an array."""

    @property
    def residuals(self) -> FloatArray: ...

    def child_rng(self, name: str) -> np.random.Generator: ...


def is_simulated(res: Any) -> bool:
    """Whether `res` is a residual object rather than a plain array."""
    return isinstance(res, _HasSimulations)


def simulated_only(res: Any, test: str) -> None:
    """Raise TypeError unless `res` carries simulations."""
    if not is_simulated(res):
        raise TypeError(
            f"{test} needs simulations, so it takes a SimulatedResiduals (from simulate_residuals or "
            f"from_simulations), not a {type(res).__name__}"
        )


def residual_array(res: Any) -> FloatArray:
    """Scaled residuals as a float vector, checked to lie in [0, 1].

    Raises
    ------
    TypeError, ValueError
        If `res` is a fitted model, has the wrong shape or holds values outside [0, 1] or NaN.
    """
    if isinstance(res, FittedModel) and not is_simulated(res):
        raise TypeError("this is a fitted model; pass simulate_residuals(model) instead")
    u = real_array(res.residuals if is_simulated(res) else res, "residuals")
    if u.ndim != 1 or u.size < 2:
        raise ValueError(f"residuals must be a vector of at least 2 values, not of shape {u.shape}")
    bad = np.flatnonzero(~((u >= 0) & (u <= 1)))
    if bad.size:
        raise ValueError(
            f"scaled residuals must lie in [0, 1]; row {bad[0]} is {u[bad[0]]} ({bad.size} such rows). "
            "Raw or Pearson residuals cannot be tested here"
        )
    return u


def generator(res: Any, name: str) -> np.random.Generator:
    """Stream of random numbers that depends on the object's seed and on `name` only."""
    if is_simulated(res):
        return res.child_rng(name)  # type: ignore[no-any-return]
    return np.random.default_rng(np.random.SeedSequence([123, *name.encode()]))


def aligned(values: Any, res: Any, name: str) -> pd.Series:
    """One value per residual, in residual order and without labels.

    Parameters
    ----------
    values : str, Series or array_like
        A column of the model's data, a Series matched by its labels, or an array in residual order
        (`simresid.alignment`).
    res : SimulatedResiduals or array_like
        Where the rows come from.
    name : str
        Argument name for messages.

    Raises
    ------
    ValueError, KeyError
        If a column is unknown, lengths or labels differ or a value is missing.
    """
    import pandas as pd

    from simresid.alignment import align_rows

    if is_simulated(res):
        series: pd.Series = res.align(values, name)
    else:
        values = values.to_numpy() if isinstance(values, pd.Series) else values
        series = align_rows(values, name, pd.RangeIndex(np.asarray(res).size))
    if (missing := np.flatnonzero(series.isna())).size:
        raise ValueError(f"{name} is missing in {missing.size} rows, the first at position {missing[0]}")
    if series.dtype == object and pd.api.types.infer_dtype(series) in _NUMBERS:
        series = series.astype(float)
    return series.reset_index(drop=True)


def aligned_numeric(values: Any, res: Any, name: str) -> FloatArray:
    """As `aligned`, as finite floats; dates become days since the first."""
    import pandas as pd

    series = aligned(values, res, name)
    if pd.api.types.is_datetime64_any_dtype(series) or isinstance(series.dtype, pd.PeriodDtype):
        stamps = series.dt.to_timestamp() if isinstance(series.dtype, pd.PeriodDtype) else series
        return np.asarray((stamps - stamps.min()) / pd.Timedelta(days=1), dtype=float)
    array = real_array(series, name)
    if (bad := np.flatnonzero(~np.isfinite(array))).size:
        raise ValueError(f"{name} is not finite at position {bad[0]}")
    return array


def response_kind(res: Any) -> ResponseKind:
    """What the response is, as far as advice depends on it."""
    if res.trials is not None and bool(np.any(res.trials > 1)):
        return "k of n"
    return "counts" if res.discrete else "continuous"


def is_binary(res: SimulatedResiduals) -> bool:
    """Whether the responses are single 0/1 outcomes, and by the model too: counts may happen to be all 0 or 1."""
    if res.is_grouped or not res.discrete or not np.all((res.observed == 0) | (res.observed == 1)):
        return False
    if res.trials is not None:
        return bool(np.all(res.trials == 1))
    ones = res.observed == 1
    if ones.any():
        return bool(np.all(res.cells[1][ones] > 1.0 - ROUNDING))
    return not any((block > 1).any() for _, block in res.iter_simulations())


def shares_random_effects(res: Any) -> bool:
    """Whether simulated rows depend on each other through newly drawn random effects."""
    if not is_simulated(res) or res.model is None:
        return False
    conditional = isinstance(res.random_effects, str) and res.random_effects == "conditional"
    return not conditional and may_have_random_effects(res.model)
