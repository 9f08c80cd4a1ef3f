"""What a fitted model says about each row: response, mean and variance under the simulations asked for, labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.alignment import finite_vector
from simresid.protocol import (
    HasCdf,
    HasColumns,
    HasData,
    HasNewRows,
    HasOneStep,
    HasPopulationMean,
    HasRandomEffects,
    HasRepeatedRows,
    HasTrials,
    HasVariance,
)
from simresid.residuals.rows import NamedColumns, Rows

if TYPE_CHECKING:
    import pandas as pd

    from simresid.alignment import FloatArray
    from simresid.protocol import FittedModel, RandomEffects


__all__ = ["held_out", "model_cdf", "model_rows", "one_step_ahead", "row_index", "written_out"]


def model_rows(model: FittedModel, random_effects: RandomEffects) -> Rows:
    """Response and the mean and variance that belong to the kind of simulation asked for."""
    observed = finite_vector(model.observed, "the model's observed response")
    n = observed.size
    if int(model.nobs) != n:
        raise ValueError(
            f"the model reports nobs={int(model.nobs)} but holds {n} observed values; rows of zero weight or "
            "zero trials carry no residual: drop them and fit again"
        )
    conditional = random_effects == "conditional"
    if isinstance(model, HasRandomEffects) and not model.has_random_effects:
        conditional = True  # nothing to condition on
    if conditional:
        expected = finite_vector(model.fitted, "the model's fitted mean", n)
    elif random_effects == "unconditional" and isinstance(model, HasPopulationMean):
        expected = finite_vector(model.population_mean(), "the model's population mean", n)
    else:
        expected = None
    variance = None
    if conditional and isinstance(model, HasVariance):
        variance = np.array(model.variance(), dtype=np.float64)
        if variance.shape != (n,) or not (variance > 0).all():  # NaN fails as well
            variance = None
    trials = model.trials if isinstance(model, HasTrials) else None
    data = model.data if isinstance(model, HasData) else None
    columns = NamedColumns(data, model if isinstance(model, HasColumns) else None)
    return Rows(
        observed=observed,
        index=row_index(data, None, n),
        fitted=expected,
        expected=expected,
        variance=variance,
        trials=None if trials is None else finite_vector(trials, "the model's trials", n),
        columns=columns,
    )


def model_cdf(model: FittedModel, random_effects: RandomEffects, n: int) -> tuple[FloatArray, FloatArray]:
    """Distribution function at the observed response and its left limit, checked."""
    if not isinstance(model, HasCdf):
        raise ValueError(f"method='exact' needs a model with cdf(); {type(model).__name__} has none, use 'rank'")
    has_random_effects = not isinstance(model, HasRandomEffects) or model.has_random_effects
    if random_effects != "conditional" and has_random_effects:
        raise ValueError("method='exact' is conditional on the random effects; use method='rank' for new ones")
    lower, upper = (np.asarray(side, dtype=np.float64) for side in model.cdf())
    if lower.shape != (n,) or upper.shape != (n,):
        raise ValueError(f"cdf() returned shapes {lower.shape} and {upper.shape}, expected {(n,)} twice")
    bad = np.flatnonzero(~((lower >= 0) & (lower <= upper) & (upper <= 1)))
    if bad.size:
        raise ValueError(f"cdf() is not within 0 <= P(Y<y) <= P(Y<=y) <= 1 at row position(s) {bad[:10].tolist()}")
    return lower, upper


def held_out(model: Any, newdata: Any) -> Any:
    """Rows that the model was not fitted to, as a model of them."""
    if not isinstance(model, HasNewRows):
        raise TypeError(
            f"newdata= is for fits of glmmcore, not {type(model).__name__}; simulate the new rows yourself and use "
            "from_simulations"
        )
    return model.held_out(newdata)


def written_out(model: FittedModel) -> FittedModel:
    """The model with a row for each of those that one row may stand for."""
    return model.written_out() if isinstance(model, HasRepeatedRows) else model


def one_step_ahead(model: FittedModel, random_effects: RandomEffects, newdata: Any) -> FittedModel:
    """The model of each row given the rows before it."""
    if newdata is not None:
        raise ValueError("method='one-step' is for the rows of the fit, in their order; leave newdata out")
    if random_effects != "conditional":
        raise ValueError(
            "method='one-step' integrates random effects out, given the rows before; leave random_effects out"
        )
    if not isinstance(model, HasOneStep):
        raise ValueError(
            f"method='one-step' needs a model with one_step(), such as glmmcore's with a serial term (ou, ar1, random "
            f"walk); {type(model).__name__} has none"
        )
    return model.one_step()


def row_index(data: pd.DataFrame | None, observed: Any, n: int) -> pd.Index:
    """Labels of the rows: those of the data, or of the observed response, or their numbers."""
    import pandas as pd

    if data is not None:
        if not isinstance(data, pd.DataFrame):
            raise TypeError(f"data must be a pandas DataFrame, not {type(data).__name__}")
        if len(data) != n:
            raise ValueError(f"data has {len(data)} rows but the observed response has {n} values")
        if isinstance(observed, pd.Series) and not observed.index.equals(data.index):
            raise ValueError(
                "observed and data have different row labels; pass observed.to_numpy() if they are in the same order"
            )
        return data.index
    return observed.index if isinstance(observed, pd.Series) else pd.RangeIndex(n)
