r"""What tests look at in one data set and the fit to it.

An observation `y` of a law `F` lies in the cell from :math:`P(Y < y)` to :math:`P(Y \le y)`; its residual is uniform
over that cell. Cells need no noise, so that a statistic of cells does not depend on how ties were broken. Where the
law of a row is not known its cell is that of the rank among simulations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks._row_moments import Spread, mean_and_variance, relative_spread
from simresid.checks.nulls.fitted_law import UNKNOWN_LAW, describe_law
from simresid.protocol import HasVariance, HasVarianceTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simresid.alignment import FloatArray
    from simresid.simulated_residuals import SimulatedResiduals


__all__ = ["FittedData", "from_law", "from_many", "from_residuals", "from_simulations_of"]


@dataclass(frozen=True, eq=False)
class FittedData:
    """Cells and sums of one data set under the model fitted to it.

    Attributes
    ----------
    lower, upper : ndarray (n,)
        Cell of every residual.
    spread : Spread
        Deviations from the conditional mean; NaN where the variance is unknown.
    zeros, zeros_expected, zeros_sd : float
        Number of zeros, its expectation and standard deviation under the fitted law; NaN if not asked for.
    law : ndarray (3 + k,)
        Description of the fit (`simresid.checks.nulls.fitted_law`); NaN where the variance is unknown.
    is_ranked : bool
        Whether the cells are those of ranks among simulations, not of the law itself.
    residuals : SimulatedResiduals or None
        Residuals of the fit, where simulations of it are needed.
    """

    lower: FloatArray
    upper: FloatArray
    spread: Spread
    zeros: float
    zeros_expected: float
    zeros_sd: float
    law: FloatArray
    is_ranked: bool = False
    residuals: SimulatedResiduals | None = None


def from_law(model: Any, positions: NDArray[np.intp] | None, with_zeros: bool) -> FittedData:
    """Cells and sums from the model's distribution function.

    Parameters
    ----------
    model : FittedModel with `cdf`
    positions : ndarray of int or None
        Rows to use, all by default.
    with_zeros : bool
        Whether to count zeros.
    """
    variance = model.variance() if isinstance(model, HasVariance) else None
    at_zero = model.cdf(np.zeros(int(model.nobs))) if with_zeros else None
    lower, upper = model.cdf()
    effects = effects_spread(model)
    return _reduced(model.observed, lower, upper, model.fitted, variance, effects, at_zero, positions)


def from_many(fits: Any, y: FloatArray, positions: NDArray[np.intp] | None, with_zeros: bool) -> list[FittedData | str]:
    """Cells and sums of many refits, or the reason why one failed.

    Parameters
    ----------
    fits : what `refit_many` returns, with `cdf` and `variance`
    y : ndarray (b, n)
        The responses that were fitted.
    positions, with_zeros
        As in `from_law`.
    """
    lower, upper = fits.cdf()
    at_zero = fits.cdf(np.zeros(y.shape)) if with_zeros else None
    mean, variance = np.asarray(fits.fitted), np.asarray(fits.variance())
    effects = np.asarray(fits.sd, dtype=np.float64) if hasattr(fits, "sd") else np.empty((len(y), 0))
    out: list[FittedData | str] = []
    for j, error in enumerate(fits.error):
        zero = None if at_zero is None else (at_zero[0][j], at_zero[1][j])
        try:
            row = error or _reduced(y[j], lower[j], upper[j], mean[j], variance[j], effects[j], zero, positions)
        except ValueError as failure:
            row = str(failure)
        out.append(row)
    return out


def _reduced(
    observed: Any,
    lower: Any,
    upper: Any,
    mean: Any,
    variance: Any,
    effects: FloatArray,
    at_zero: Any,
    positions: NDArray[np.intp] | None,
) -> FittedData:
    y, lo, hi, mu = (_rows(values, positions) for values in (observed, lower, upper, mean))
    if not (np.isfinite(lo).all() and np.isfinite(hi).all()):
        raise ValueError("the distribution function is not finite")
    around, law = Spread(), UNKNOWN_LAW
    if variance is not None:
        within = _rows(variance, positions)
        around, law = relative_spread(y, mu, within), describe_law(mu, within, effects)
    zeros = expected = sd = np.nan
    if at_zero is not None:
        p = _rows(at_zero[1], positions) - _rows(at_zero[0], positions)
        zeros, expected, sd = float(np.count_nonzero(y == 0)), float(p.sum()), float(np.sqrt(np.sum(p * (1.0 - p))))
    return FittedData(lo, np.maximum(hi, lo), around, zeros, expected, sd, law)


def from_residuals(res: SimulatedResiduals, with_zeros: bool) -> FittedData:
    """Cells and sums from simulated residuals: of groups, with new random effects, after a rotation."""
    lower, upper = res.cells
    zeros = expected = sd = np.nan
    if with_zeros:
        sums = res.replicate_sums
        simulated = res.simulated_statistics([count_zeros])[0] if sums is None else sums.zeros
        zeros, expected = float(np.count_nonzero(res.observed == 0)), float(simulated.mean())
        sd = float(simulated.std())
    mean, variance = mean_and_variance(res)
    around = relative_spread(res.observed, mean, variance)
    law = describe_law(mean, variance, effects_spread(res.model))
    return FittedData(lower, upper, around, zeros, expected, sd, law, is_ranked=True)


def from_simulations_of(res: SimulatedResiduals) -> FittedData:
    """Nothing but the residuals, whose simulations are drawn when a statistic asks for them."""
    nothing = np.empty(0)
    return FittedData(nothing, nothing, Spread(), np.nan, np.nan, np.nan, UNKNOWN_LAW, is_ranked=True, residuals=res)


def effects_spread(model: Any) -> FloatArray:
    """Standard deviations of the random effects of a fit ``(k,)``; none where a model does not tell."""
    return np.asarray(model.var_corr["sd"], dtype=np.float64) if isinstance(model, HasVarianceTable) else np.empty(0)


def count_zeros(block: FloatArray) -> Any:
    """Zeros of every row of a block."""
    return np.count_nonzero(block == 0, axis=1)


def _rows(values: Any, positions: NDArray[np.intp] | None) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    return array if positions is None else array[positions]
