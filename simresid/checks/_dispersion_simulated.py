"""Dispersion ratios among those of simulations that are not refitted (formulas in `simresid.checks.dispersion`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks._leverage import leverage_of
from simresid.checks._row_moments import given_random_effects, row_variance, sums, unit_of_deviations
from simresid.checks.base import Effect
from simresid.checks.inputs import FloatArray, response_kind, shares_random_effects
from simresid.checks.pvalues import monte_carlo_error, simulation_pvalue
from simresid.protocol import HasExpectedVariance, HasVariance

if TYPE_CHECKING:
    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["conditional", "simulated_fields", "squared_deviation_ratio"]

_GROUP_NOTES = {
    "none": "Sums over groups are shrunk by the fit and this is not corrected: 'less' may be too liberal, "
    "'greater' too cautious.",
    "leverage": "Sums over groups are shrunk by the fit; the correction is approximate where groups share a "
    "random effect.",
}


def squared_deviation_ratio(
    observed: FloatArray, mean: FloatArray, variance: FloatArray, leverage: FloatArray
) -> tuple[float, float]:
    """Dispersion ratio and the standard error of its logarithm over rows.

    Parameters
    ----------
    observed, mean, variance, leverage : ndarray (n,)
        Response, its conditional mean and variance, and leverages in [0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> ratio, _ = squared_deviation_ratio(
    ...     np.array([1.0, 3.0]), np.full(2, 2.0), np.full(2, 2.0), np.full(2, 0.5))
    >>> ratio
    1.0
    """
    squared = (observed - mean) ** 2
    allowed = variance * (1 - leverage)
    total = float(allowed.sum())
    ratio = float(squared.sum()) / total
    if ratio == 0.0:
        return 0.0, 0.0
    spread = float(np.sqrt(np.sum((squared - ratio * allowed) ** 2))) / total
    return ratio, spread / ratio


def conditional(res: SimulatedResiduals, alternative: str, given: tuple[str, ...] = ()) -> dict[str, Any]:
    """Ratio among those of simulations given the random effects, corrected for what the fit does."""
    notes = list(given)
    if shares_random_effects(res) and not res.is_grouped:
        mean, variance, squared, deviation = given_random_effects(res)
        unit = 1.0
        notes.append("Simulated once more given the fitted random effects.")
    else:
        mean = res.expected
        unit = unit_of_deviations(res, mean)
        squared, deviation = sums(res, mean, unit)
        known = res.pearson_variance
        variance = row_variance(res, mean, unit) if known is None or unit != 1.0 else known
    if float(squared.max()) == 0.0:
        raise ValueError("the simulations do not vary around their mean, so dispersion cannot be tested")
    leverage, correction = leverage_of(res)
    if res.is_grouped and res.model is not None and not shares_random_effects(res):
        notes.append(_GROUP_NOTES[correction])
    if not np.any(variance > 0):
        raise ValueError("the variance of the response is zero in every row")
    if not np.all(np.isfinite(variance)):
        raise ValueError("the variance of the response is not finite in some rows, so it has no dispersion to test")
    # Ratios have no unit: with a largest variance of 1 nothing overflows, not even fourth powers.
    scale = float(np.max(variance))
    variance, squared, deviation = variance / scale, squared / scale, deviation / np.sqrt(scale)
    observed = (res.observed - mean) / (unit * np.sqrt(scale))
    expected = variance * _averaging(res)
    _, error = squared_deviation_ratio(observed, np.zeros(res.n_obs), expected, leverage)
    null = squared / float(squared.mean())
    # The simulated mean is used on both sides, so that an approximate variance cannot bias the comparison.
    shrinkage = float(np.sum(expected * (1 - leverage)) / np.sum(variance))
    statistic = float(np.sum(observed**2)) / shrinkage / float(squared.mean())
    if leverage.any():
        if (membership := res.rows.membership) is None or bool(np.all(membership >= 0)):
            null = _given_total(null, deviation, float(np.sum(observed)))
        null = null ** _stretch(variance, expected, leverage, float(np.var(null)))
        null /= float(null.mean())
    return simulated_fields(res, statistic, null, alternative, "conditional simulations", error, correction, notes)


def _averaging(res: SimulatedResiduals) -> FloatArray:
    """Variance averaged over the random effects by that at the fitted ones; 1 where the model does not say."""
    model: Any = res.model
    ones, membership = np.ones(res.n_obs), res.rows.membership
    if not (isinstance(model, HasExpectedVariance) and isinstance(model, HasVariance)):
        return ones
    if res.is_grouped and (membership is None or shares_random_effects(res)):
        return ones
    averaged = np.asarray(model.expected_variance(), dtype=float)
    fitted = np.asarray(model.variance(), dtype=float)
    if membership is not None:
        inside = membership >= 0
        averaged, fitted = (
            np.bincount(membership[inside], weights=v[inside], minlength=res.n_obs) for v in (averaged, fitted)
        )
    return np.asarray(np.divide(averaged, fitted, out=ones, where=fitted > 0))


def _given_total(null: FloatArray, deviation: FloatArray, observed: float) -> FloatArray:
    """Ratios with their regression on the total deviation taken out, as far as the data's is near zero."""
    deviation = deviation - float(deviation.mean())
    size = float(deviation @ deviation)
    if size == 0.0:
        return null
    share = max(0.0, 1.0 - abs(observed) / float(np.sqrt(size / deviation.size)))
    return np.asarray(np.maximum(null - share * float(null @ deviation) / size * deviation, 0.0))


def _stretch(variance: FloatArray, expected: FloatArray, leverage: FloatArray, null_variance: float) -> float:
    """How much more the logarithm of the data's ratio varies than that of simulations; see the module."""
    if null_variance == 0.0:
        return 1.0
    free = expected * (1 - leverage)
    scale = float(np.sum(variance) / np.sum(free)) ** 2 / float(np.sum(variance**2))
    normal, cumulant = (float(np.sum(expected**2 * (1 - leverage) ** k)) * scale for k in (1, 4))
    share = min(1.0, 2 * float(np.sum(variance**2)) / float(np.sum(variance)) ** 2 / null_variance)
    return max(1.0, float(np.sqrt(share * normal + (1 - share) * cumulant)))


def simulated_fields(
    res: SimulatedResiduals,
    statistic: float,
    null: FloatArray,
    alternative: str,
    method: str,
    row_error: float,
    correction: str,
    notes: list[str],
) -> dict[str, Any]:
    """Rank a ratio among those of simulations: fields of the result."""
    pvalue = simulation_pvalue(statistic, null, alternative)
    with np.errstate(divide="ignore"):
        logs = np.log(null[null > 0])
    error = max(row_error, float(np.std(logs)) if logs.size > 1 else 0.0)
    interval = (statistic * float(np.exp(-1.96 * error)), statistic * float(np.exp(1.96 * error)))
    return {
        "statistic": statistic,
        "pvalue": pvalue,
        "alternative": alternative,
        "method": method,
        "n_obs": res.n_obs,
        "effect": Effect("dispersion ratio", statistic, 1.0, interval),
        "monte_carlo_error": monte_carlo_error(pvalue, null.size, alternative),
        "null": "refits" if method == "refit" else "simulated",
        "n_refits": null.size if method == "refit" else 0,
        "null_distribution": null,
        "conf_int": interval,
        "correction": correction,
        "response": response_kind(res),
        "notes": tuple(notes),
    }
