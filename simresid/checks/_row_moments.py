"""Mean and variance of every row, and what simulations vary around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simresid.checks.inputs import FloatArray, shares_random_effects
from simresid.protocol import HasVariance

if TYPE_CHECKING:
    from simresid.simulated_residuals import SimulatedResiduals

__all__ = [
    "Spread",
    "given_random_effects",
    "kurtosis_of_shares",
    "mean_and_variance",
    "other_growth",
    "relative_spread",
    "row_variance",
    "sums",
    "unit_of_deviations",
]

SQUARED = (1e-60, 1e60)
"""Sizes of deviations whose squares, summed and multiplied with each other, neither vanish nor overflow."""

SMALLEST_CHANCE = 1e-12
"""Of a success or a failure, where a fit has none."""

SIZES = (1e-3, 1e12)
"""Sums of the parameters of beta laws between all or nothing and one chance for all."""

SAME_VARIANCE = 1e-9
"""Difference of variances, by the largest, that is rounding."""

SAME_SHARE = 1e-6
"""Relative difference of shares of the mean that is rounding."""


class Spread(NamedTuple):
    """Deviations of a data set from the means of its fit.

    Attributes
    ----------
    squares, allowed : float
        Sums of squared deviations and of variances, in units of the largest variance so that none overflows.
    relative : float
        Root of the sum of squared variances over their sum: how far few rows make up the sums.
    pearson : float
        Mean squared Pearson residual.
    ratio_error, pearson_error : float
        Standard errors of the logarithms of ``squares / allowed`` and of `pearson`, as of independent rows.
    is_constant : bool
        Whether all rows have the same variance.
    other_growth : float
        Logarithm of how much likelier counts are under the other growth of the variance with the mean (`other_growth`);
        NaN where this is not asked for.
    """

    squares: float = np.nan
    allowed: float = np.nan
    relative: float = np.nan
    pearson: float = np.nan
    ratio_error: float = np.nan
    pearson_error: float = np.nan
    is_constant: bool = False
    other_growth: float = np.nan


def relative_spread(observed: FloatArray, mean: FloatArray, variance: FloatArray) -> Spread:
    """Spread of responses ``(n,)`` around their means; NaN without a finite variance."""
    scale = float(np.max(variance))
    if not 0.0 < scale < np.inf:
        return Spread()
    squared, allowed = np.square((observed - mean) / np.sqrt(scale)), variance / scale
    varying = allowed > 0
    terms = squared[varying] / allowed[varying]
    total = float(allowed.sum())
    return Spread(
        squares=float(squared.sum()),
        allowed=total,
        relative=float(np.sqrt(allowed @ allowed)) / total,
        pearson=float(np.mean(terms)),
        ratio_error=_log_ratio_error(squared, allowed),
        pearson_error=_log_ratio_error(terms, np.ones(terms.size)),
        is_constant=float(np.ptp(allowed)) <= SAME_VARIANCE,
        other_growth=other_growth(observed, mean, variance),
    )


def other_growth(counts: FloatArray, mean: FloatArray, variance: FloatArray) -> float:
    r"""Log-likelihood of a variance that grows otherwise with the mean, minus that of the fitted one.

    Both are those of negative binomial laws around the fitted means. The excess :math:`V_i - \mu_i` of the fitted
    variance is replaced by its mean share times the mean, :math:`\mu_i\,\mathrm{mean}\{(V-\mu)/\mu\}`, or, where it is
    such a share already, by :math:`\mu_i^2\,\mathrm{mean}\{(V-\mu)/\mu^2\}`.

    Parameters
    ----------
    counts, mean, variance : ndarray (n,)

    Returns
    -------
    float
        NaN where responses are no counts or a row has no more variance than Poisson counts.

    Examples
    --------
    >>> mean = np.array([1.0, 10.0])
    >>> bool(other_growth(np.array([6.0, 10.0]), mean, mean + mean**2) > 0)
    True
    """
    if not (np.all(variance > mean * (1 + SAME_VARIANCE)) and np.all(mean > 0) and np.all(counts == np.rint(counts))):
        return np.nan
    share = (variance - mean) / mean
    is_linear = float(np.ptp(share)) <= SAME_SHARE * float(share.max())
    other = np.mean(share / mean) * mean if is_linear else np.full(mean.size, np.mean(share))
    return _negative_binomial(counts, mean, mean / other) - _negative_binomial(counts, mean, mean / share)


def _negative_binomial(counts: FloatArray, mean: FloatArray, size: FloatArray) -> float:
    """Log-likelihood of counts, without the term that depends on nothing else."""
    from scipy.special import gammaln

    terms = gammaln(counts + size) - gammaln(size) - size * np.log1p(mean / size) - counts * np.log1p(size / mean)
    return float(terms.sum())


def _log_ratio_error(squared: FloatArray, allowed: FloatArray) -> float:
    """Standard error over rows of the logarithm of the ratio of sums, 0 without deviations."""
    total = float(squared.sum())
    ratio = total / float(allowed.sum())
    return float(np.sqrt(np.sum(np.square(squared - ratio * allowed)))) / max(total, 1e-300)


def mean_and_variance(res: SimulatedResiduals) -> tuple[FloatArray, FloatArray]:
    """Per row or group, given the fitted random effects but for groups with new ones."""
    fitted: Any = res.model
    if not res.is_grouped and isinstance(model := fitted, HasVariance):
        at = slice(None) if res.positions is None else res.positions
        return np.asarray(fitted.fitted, dtype=float)[at], np.asarray(model.variance(), dtype=float)[at]
    if shares_random_effects(res) and not res.is_grouped:
        mean, variance, _, _ = given_random_effects(res)
        return mean, variance
    known = res.pearson_variance
    return res.expected, row_variance(res, res.expected) if known is None else known


def unit_of_deviations(res: SimulatedResiduals, mean: FloatArray) -> float:
    """Power of two of the size of the deviations, 1 where these can be squared as they are."""
    _, block = next(iter(res.iter_simulations()))
    size = float(max(np.max(np.abs(res.observed - mean)), np.max(np.abs(block[:2] - mean))))
    if size == 0.0 or SQUARED[0] < size < SQUARED[1]:
        return 1.0
    return float(2.0 ** np.floor(np.log2(size)))


def sums(res: SimulatedResiduals, mean: FloatArray, unit: float) -> tuple[FloatArray, FloatArray]:
    """Squared deviations and deviations from the mean, summed over rows, of every replicate."""
    sums = res.replicate_sums
    if sums is not None and unit == 1.0:
        return sums.squared, sums.deviation
    squared, deviation = res.simulated_statistics(
        [
            lambda block: np.sum(((block - mean) / unit) ** 2, axis=1),
            lambda block: np.sum((block - mean) / unit, axis=1),
        ]
    )
    return squared, deviation


def row_variance(res: SimulatedResiduals, mean: FloatArray, unit: float = 1.0) -> FloatArray:
    """Variance per row from the simulations."""
    total = np.zeros(res.n_obs)
    for _, block in res.iter_simulations():
        total += np.sum(((block - mean) / unit) ** 2, axis=0)
    return total / res.n_sims


def given_random_effects(res: SimulatedResiduals) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Mean and variance per row given the fitted random effects; squares and deviations of new simulations."""
    return res.remember("simulations given the random effects", lambda: _simulate_given_random_effects(res))


def _simulate_given_random_effects(res: SimulatedResiduals) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    model: Any = res.model
    at = np.arange(model.nobs)
    if (membership := res.rows.membership) is not None:  # a selection
        at = np.flatnonzero(membership >= 0)
        at = at[np.argsort(membership[at])]
    mean = np.asarray(model.fitted, dtype=float)[at]
    step = max(1, int(4e6) // model.nobs)
    rng = res.child_rng("dispersion, conditional")
    squared, total, rows = np.empty(res.n_sims), np.empty(res.n_sims), np.zeros(at.size)
    for first in range(0, res.n_sims, step):
        size = min(step, res.n_sims - first)
        block = np.asarray(model.simulate(size, rng=rng, random_effects="conditional"), dtype=float)
        deviation = block[:, at] - mean
        total[first : first + size] = deviation.sum(axis=1)
        deviation **= 2
        squared[first : first + size] = deviation.sum(axis=1)
        rows += deviation.sum(axis=0)
    if isinstance(model, HasVariance):
        return mean, np.asarray(model.variance(), dtype=float)[at], squared, total
    return mean, rows / res.n_sims, squared, total


def kurtosis_of_shares(mean: FloatArray, variance: FloatArray, trials: FloatArray) -> FloatArray:
    """Fourth central moment over the squared variance of beta-binomial counts, or of binomial ones.

    Parameters
    ----------
    mean, variance, trials : ndarray (n,)
        Variances that no beta-binomial law has count as the nearest that one has.
    """
    n, p = trials, np.clip(mean / trials, SMALLEST_CHANCE, 1.0 - SMALLEST_CHANCE)
    pq = p * (1.0 - p)
    ratio = variance / (n * pq)
    # the sum of the two parameters of the beta law
    s = np.clip((n - ratio) / np.maximum(ratio - 1.0, 1e-300), *SIZES)
    bracket = s * (s - 1 + 6 * n) + 3 * pq * s**2 * (n - 2) + 6 * n**2 - 3 * pq * s * n * (6 - n) - 18 * pq * n**2
    return np.asarray((1 + s) / (n * pq * (s + 2) * (s + 3) * (s + n)) * bracket)
