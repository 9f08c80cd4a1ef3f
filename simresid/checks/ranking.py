"""How well a model ranks rows by risk, and how far its predictions are from what happens at each level of risk.

With p the predicted means and y the observed responses, rows are sorted by p. The Lorenz curve is the share of all y
that the share of rows with the lowest p has; the Gini index is twice the area between it and the diagonal (Frees,
Meyers and Cummings 2011). Rows with equal p are one step, whose inner order cannot matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glmmcore.arguments import known_elsewhere, warn_user
from simresid.alignment import align_rows, finite_vector
from simresid.arguments import whole_number
from simresid.checks.inputs import is_simulated
from simresid.protocol import HasColumns, HasData, HasTrials, HasVarianceWeights
from simresid.residuals.model_rows import row_index, written_out
from simresid.residuals.rows import NamedColumns

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

__all__ = ["NEW_ROWS", "gini_index", "lift_table", "lorenz_curve"]

MOST_GROUPS = 10**6

NEW_ROWS = dict.fromkeys(("data", "newdata"), "fit.held_out(newdata) in the place of the fit")
"""What to write for arguments that other programs have."""


@known_elsewhere(**NEW_ROWS)
def lift_table(
    model: Any, n_groups: int = 10, *, weights: str | ArrayLike | None = None, exposure: str | ArrayLike | None = None
) -> pd.DataFrame:
    """Observed beside predicted means in groups of rows with increasing prediction (a decile table).

    Parameters
    ----------
    model : SimulatedResiduals, fitted model or ``fit.held_out(...)``
        Anything with `observed` and `fitted`.
    n_groups : int
        Groups of equal weight, ten for deciles; fewer if predictions repeat.
    weights : array_like (n,) or str, optional
        Of rows whose responses are averages, such as the exposures behind pure premiums. By default the `var_weights`
        of the fit; a row of a fit with `freq_weights` counts as often as these say.
    exposure : array_like (n,) or str, optional
        Of rows whose responses are totals, such as counts over times: means are rates. Of k of n the trials by default.

    Returns
    -------
    DataFrame
        By group, the lowest predictions first: rows, weight (rows, or the sum of weights or exposures), predicted,
        observed and their ratio observed / predicted.

    Examples
    --------
    >>> from glmmcore import glmm
    >>> from simresid import lift_table
    >>> fit = glmm("y ~ x", {"y": [1, 3, 2, 6, 4, 7], "x": [0, 1, 0, 2, 1, 2]}, family="poisson")
    >>> lift_table(fit, 3).round(1).rename_axis(None)
       rows  weight  predicted  observed  ratio
    1     2     2.0        1.6       1.5    0.9
    2     2     2.0        3.3       3.5    1.1
    3     2     2.0        6.6       6.5    1.0
    """
    n_groups = whole_number(n_groups, "n_groups", least=2, most=MOST_GROUPS)
    risk, total, predicted, weight = _sorted_rows(model, weights, exposure)
    # equal predictions stay together: the group of a run of them is that of its middle
    runs = np.unique(risk, return_inverse=True)[1]
    before = np.cumsum(np.bincount(runs, weight)) - 0.5 * np.bincount(runs, weight)
    group = np.minimum((before[runs] / weight.sum() * n_groups).astype(int), n_groups - 1)
    group = np.unique(group, return_inverse=True)[1]
    sums = [np.bincount(group, values) for values in (np.ones(len(risk)), weight, predicted, total)]
    table = pd.DataFrame({"rows": sums[0].astype(int), "weight": sums[1]})
    table["predicted"], table["observed"] = sums[2] / sums[1], sums[3] / sums[1]
    table["ratio"] = table["observed"] / table["predicted"]
    table.index = pd.RangeIndex(1, len(table) + 1, name="group")
    return table


@known_elsewhere(**NEW_ROWS)
def lorenz_curve(
    model: Any, *, weights: str | ArrayLike | None = None, exposure: str | ArrayLike | None = None
) -> pd.DataFrame:
    """Share of the observed total that the rows with the lowest predictions have.

    Parameters
    ----------
    model : SimulatedResiduals, fitted model or ``fit.held_out(...)``
        Anything with `observed` and `fitted`.
    weights, exposure : array_like (n,) or str, optional
        As in `lift_table`.

    Returns
    -------
    DataFrame
        Columns share_of_rows (of weights or exposures) and share_of_observed, from 0 to 1; a line for each distinct
        prediction.

    Examples
    --------
    >>> from glmmcore import glmm
    >>> from simresid import lorenz_curve
    >>> fit = glmm("y ~ x", {"y": [1, 3, 2, 6, 4, 7], "x": [0, 1, 0, 2, 1, 2]}, family="poisson")
    >>> lorenz_curve(fit)["share_of_observed"].round(2).tolist()
    [0.0, 0.13, 0.43, 1.0]
    """
    risk, total, _, weight = _sorted_rows(model, weights, exposure)
    return _curve(risk, total, weight)


@known_elsewhere(**NEW_ROWS)
def gini_index(
    model: Any, *, weights: str | ArrayLike | None = None, exposure: str | ArrayLike | None = None
) -> pd.Series:
    """Gini index of the order of the predictions: 0 for an order that says nothing.

    Parameters
    ----------
    model : SimulatedResiduals, fitted model or ``fit.held_out(...)``
        Anything with `observed` and `fitted`; rows that were held out give an honest number.
    weights, exposure : array_like (n,) or str, optional
        As in `lift_table`.

    Returns
    -------
    Series
        Entries gini, best (of the order of the observed values themselves) and normalised, their ratio.

    Examples
    --------
    >>> from glmmcore import glmm
    >>> from simresid import gini_index
    >>> fit = glmm("y ~ x", {"y": [1, 3, 2, 6, 4, 7], "x": [0, 1, 0, 2, 1, 2]}, family="poisson")
    >>> gini_index(fit).round(3).to_dict()
    {'gini': 0.29, 'best': 0.312, 'normalised': 0.93}
    """
    risk, total, _, weight = _sorted_rows(model, weights, exposure)
    found = [_gini(_curve(order, total, weight)) for order in (risk, total / weight)]
    return pd.Series({"gini": found[0], "best": found[1], "normalised": found[0] / found[1] if found[1] else np.nan})


def _gini(curve: pd.DataFrame) -> float:
    x, y = curve["share_of_rows"].to_numpy(), curve["share_of_observed"].to_numpy()
    return float(1.0 - np.sum(np.diff(x) * (y[1:] + y[:-1])))


def _curve(risk: FloatArray, total: FloatArray, weight: FloatArray) -> pd.DataFrame:
    runs = np.unique(risk, return_inverse=True)[1]
    shares = [np.cumsum(np.bincount(runs, values)) / values.sum() for values in (weight, total)]
    columns = ("share_of_rows", "share_of_observed")
    return pd.DataFrame({name: np.concatenate([[0.0], s]) for name, s in zip(columns, shares, strict=True)})


def _sorted_rows(
    model: Any, weights: str | ArrayLike | None, exposure: str | ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Predicted risk, observed and predicted totals, and weight of every row."""
    if weights is not None and exposure is not None:
        raise ValueError("give weights= of averages or exposure= of totals, not both")
    if weights is None:  # else these say what a row counts
        model = written_out(model)
    observed = finite_vector(model.observed, "observed")
    fitted = finite_vector(model.fitted, "fitted")
    weight = np.ones(observed.size)
    trials = model.trials if isinstance(model, HasTrials) else None
    if trials is not None and weights is None and exposure is None:
        some = np.asarray(trials) > 0
        observed, fitted, weight = observed[some], fitted[some], np.asarray(trials, dtype=float)[some]
    if weights is None:
        weights = _of_averages(model, observed.size, exposure)
    for name, given in (("weights", weights), ("exposure", exposure)):
        if given is not None:
            weight = finite_vector(_in_order(model, given, name, observed.size), name)
            if weight.shape != observed.shape or not np.all(weight > 0.0):
                raise ValueError(f"{name} must be {observed.size} positive numbers, one for each row")
    times = 1.0 if weights is None else weight
    total, predicted = observed * times, fitted * times
    if np.any(total < 0.0) or not total.sum() > 0.0:
        raise ValueError("shares of a total are for responses that are not negative and not all zero")
    # what rounding makes of equal predictions is one value
    risk = predicted / weight
    unit = np.spacing(max(float(np.abs(risk).max()), 1e-300)) * 64.0
    return np.round(risk / unit) * unit, total, predicted, weight


def _of_averages(model: Any, n: int, exposure: str | ArrayLike | None) -> ArrayLike | None:
    """Weights of the rows of a fit whose responses are averages; those of totals are not taken."""
    fit = model.model if is_simulated(model) else model
    known = fit.var_weights if isinstance(fit, HasVarianceWeights) else None
    if known is None:
        return None
    if exposure is not None:
        warn_user(
            "exposure= is of responses that are totals, and the fit has var_weights, as averages have; of averages, "
            "such as amounts per year, leave exposure= out"
        )
        return None
    if len(known) != n:
        raise ValueError("the fit has var_weights, and these are not its rows: give weights= of averages")
    return known


def _in_order(model: Any, values: Any, what: str, n: int) -> pd.Series:
    """Values of a column, or with labels, or in order, for the rows of the model."""
    if is_simulated(model):
        aligned: pd.Series = model.align(values, what)
        return aligned
    data = model.data if isinstance(model, HasData) else None
    columns = NamedColumns(data, model if isinstance(model, HasColumns) else None)
    return align_rows(values, what, row_index(data, None, n), columns)
