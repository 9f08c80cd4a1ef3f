r"""Test whether data scatter around the model's mean as much as the model says.

Conditional method (default). With :math:`\mu_i` the mean and :math:`V_i` the variance of the law that the
simulations are drawn from, the statistic is

.. math:: r = \frac{\sum_i (y_i-\mu_i)^2}{\sum_i \bar V_i (1-h_i)},

compared with :math:`r_j = \sum_i (S_{ji}-\mu_i)^2 / \sum_i V_i`. The squared deviations enter unweighted:
for canonical links the numerator minus its expectation is the score statistic for an observation-level
random effect, and for a log link it is the one for nbinom2's :math:`\mu^2` variance. Weighting by
:math:`1/V_i` (Pearson) loses half of the power against these when means vary.

Simulations are drawn at the fitted random effects and not refitted, the data were drawn at the true ones and
fitted. Four corrections make the two comparable.

* :math:`h_i`, the leverage of row `i` in the working least-squares problem of the fit, random effects
  included: the fit shrinks residuals, :math:`E(y_i-\hat\mu_i)^2 \approx E V_i\,(1-h_i)`. Without leverages
  :math:`h_i = \mathrm{edf}/n`.
* :math:`\bar V_i = E(V_i \mid y)`, the variance averaged over the random effects given the data, if the model
  offers it (`expected_variance`): not :math:`V_i` at the fitted ones, as :math:`V` is curved. In 100 groups of
  10 the sum changes by 18 % for nbinom2 (:math:`\theta` = 1.5), by 27 % for gamma in groups of 5, by -1 % for
  10 trials, and for Poisson counts by nothing, where the effects of curvature and of the skew of the random
  effects cancel.
* The data have fewer degrees of freedom, so that `r` varies more than :math:`r_j`. Sums of squares of normal
  variables have relative variances :math:`2 \sum V^2 / (\sum V)^2` without and :math:`2 \sum \bar V^2
  (1-h) / \{\sum \bar V (1-h)\}^2` with a fit. What the simulations vary more than this is due to fourth
  cumulants, which the fit multiplies by :math:`(1-h)^4`. :math:`\log r_j` is stretched by the root of the
  ratio of the two sums if that is above 1 (1.05 for 10 trials in groups of 10, 1.2 in groups of 3).
* A fit reproduces the total, the simulations do not: a replicate with many events has larger squares as well
  as a larger mean. So the linear regression of :math:`r_j` on :math:`d_j = \sum_i (S_{ji} - \mu_i)` is taken
  out, multiplied by :math:`1 - |d|/\mathrm{sd}(d_j)` where that is positive, as far as the fit does reproduce
  it. For a Poisson GLM this leaves :math:`2 \sum \mu^2` of a variance of :math:`\sum (2\mu^2 + \mu)`, the
  variance of the score test with estimated coefficients (Dean 1992). Selected rows have no such total.

If the residual object redraws random effects, the variance between groups would drown the variance within.
The model then simulates once more, conditionally.

Compared with refits (`simresid.checks.nulls`), none of the corrections is needed: the statistic is :math:`\sum_i
(y_i-\mu_i)^2 / \sum_i V_i` of every fit, on the log scale, and the reported ratio is that of the data over the
geometric mean of the refits. Where a continuous response has one variance for all rows, which is estimated from the
same deviations (a gaussian model), or the refits hardly vary, the fit has fixed the statistic, and the result says so.

DHARMa's statistic is :math:`\mathrm{var}(y-\hat y)/\mathrm{mean}_j \mathrm{var}(S_j-\hat y)` with
:math:`\hat y` the prediction shown in plots. Pearson's is :math:`X^2/\nu` with :math:`X^2 = \sum_i
r_{P,i}^2` and :math:`\nu = n - \mathrm{edf}`, referred to a chi-square. The refit method compares
:math:`X^2` with that of fits to data simulated with new random effects, a parametric bootstrap.

The interval is :math:`r \exp(\pm 1.96 s)`, :math:`s` the larger of the standard error of :math:`\log r` over
rows and the standard deviation of :math:`\log r_j`. With refits its end on the side of 1 is that of the inverted test,
which excludes 1 where p < .05.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simresid.arguments import check_word, whole_number
from simresid.checks._leverage import effective_parameters, leverage_of
from simresid.checks._row_moments import given_random_effects, mean_and_variance, row_variance, sums, unit_of_deviations
from simresid.checks.inputs import FloatArray, response_kind, shares_random_effects, simulated_only
from simresid.checks.nulls.choice import NullKind, against_refits
from simresid.checks.nulls.comparison import compare, normal_limits
from simresid.checks.nulls.fitted_data import FittedData
from simresid.checks.nulls.plan import Plan
from simresid.checks.nulls.refit_pool import RefitPool, RefitsFailed
from simresid.checks.pvalues import (
    check_alternative,
    floor_pvalue,
    monte_carlo_error,
    normal_pvalue,
    simulation_pvalue,
)
from simresid.checks.results import DispersionResult, Effect
from simresid.protocol import CanRefit, HasExpectedVariance, HasPearson, HasVariance

if TYPE_CHECKING:
    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["dispersion_test"]

Method = Literal["conditional", "dharma", "pearson", "refit"]

FIXED = 0.1
"""Spread of refits by that of independent rows below which the statistic is a property of the fit, not of the data."""

FIXED_NOTE = "The fit fixes this ratio (its scale is estimated from the same deviations), so there is nothing to test."


def dispersion_test(
    res: SimulatedResiduals,
    alternative: str = "two-sided",
    method: Method = "conditional",
    *,
    null: NullKind = "auto",
    n_refits: int | None = None,
    n_jobs: int | None = None,
) -> DispersionResult:
    """Test for over- and underdispersion.

    Parameters
    ----------
    res : SimulatedResiduals
        Of single observations or of groups; k-of-n responses are compared as counts.
    alternative : {"two-sided", "greater", "less"}
        ``"greater"`` is overdispersion.
    method : {"conditional", "dharma", "pearson", "refit"}
        See the module documentation for the formulas. ``"pearson"`` is quick and needs the model's Pearson
        residuals and degrees of freedom; ``"refit"`` fits the model to every simulated data set.
    null : {"auto", "refits", "simulated", "analytic"}
        As in `uniformity_test`, for ``method="conditional"``; without refits the ratios of the simulations.
    n_refits : int, optional
        Number of refits; by default that of the rule in `simresid.checks.nulls.plan`, for ``method="refit"`` as many as
        there are simulations.
    n_jobs : int, optional
        Workers for the refits, as in joblib.

    Returns
    -------
    DispersionResult
        `statistic` is the dispersion ratio, 1 for a right model.

    Raises
    ------
    TypeError
        If `res` is a plain array.
    ValueError
        If the method needs something that the model does not offer.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> mean = np.full(100, 4.0)
    >>> res = from_simulations(rng.poisson(mean, (250, 100)), rng.negative_binomial(4, 0.5, 100), mean)
    >>> result = dispersion_test(res)
    >>> result.statistic > 1.3, result.pvalue < 0.05
    (True, True)
    """
    simulated_only(res, "dispersion_test")
    check_alternative(alternative)
    check_word(method, "method", ("conditional", "dharma", "pearson", "refit"))
    with np.errstate(over="ignore", invalid="ignore"):  # squares that overflow are refused as not finite
        if method == "conditional":
            refitted, notes = against_refits(
                res, null, n_refits, lambda pool, plan: _among_refits(res, pool, plan, alternative)
            )
            return refitted or _conditional(res, alternative, notes)
        if method == "dharma":
            return _dharma(res, alternative)
        if method == "pearson":
            return _pearson(res, alternative)
        count = res.n_sims if n_refits is None else whole_number(n_refits, "n_refits", least=1)
        return _refit(res, alternative, count, n_jobs)


# ---- array core
# --------------------------------------------------------------------------------------------------


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


_GROUP_NOTES = {
    "none": "Sums over groups are shrunk by the fit and this is not corrected: 'less' may be too liberal, "
    "'greater' too cautious.",
    "leverage": "Sums over groups are shrunk by the fit; the correction is approximate where groups share a "
    "random effect.",
}


# ---- methods
# -----------------------------------------------------------------------------------------------------


def _log_ratio(data: FittedData) -> FloatArray:
    return np.array([np.log(max(data.squares, 1e-300) / data.allowed)])


def _among_refits(res: SimulatedResiduals, pool: RefitPool, plan: Plan, alternative: str) -> DispersionResult:
    if not pool.own.allowed > 0:
        raise RefitsFailed("the model's variance is not known")
    error = _row_error(res)
    found = compare(
        pool,
        plan,
        "dispersion",
        _log_ratio,
        lambda x: x[:, 0],
        lambda x: normal_pvalue(x / error, alternative),
        alternative=alternative,
        theory_limits=normal_limits(error, alternative),
    )
    fields, notes = found.fields, list(found.notes)
    if shares_random_effects(res) and not res.is_grouped:
        notes.append("Deviations are taken given the fitted random effects.")
    _, variance = mean_and_variance(res)
    estimated = not res.discrete and not res.is_grouped and float(np.ptp(variance)) <= 1e-9 * float(variance.max())
    if estimated or float(np.std(found.null)) < FIXED * error:
        fields |= {"pvalue": np.nan, "monte_carlo_error": np.nan}
        notes.append(FIXED_NOTE)
    log_ratio, (low, high) = found.statistic, found.limits
    # the end towards 1 inverts the test; the other one knows that data vary more the more they are overdispersed
    towards, away = (high, -low) if log_ratio > 0 else (-low, high)
    ends = abs(log_ratio) - towards, abs(log_ratio) + max(away, 1.96 * error)
    ends = ends if log_ratio > 0 else (-ends[1], -ends[0])
    with np.errstate(over="ignore"):
        interval = float(np.exp(ends[0])), float(np.exp(ends[1]))
    ratio = float(np.exp(log_ratio))
    return DispersionResult(
        statistic=ratio,
        alternative=alternative,
        method="squared deviations of refits",
        response=response_kind(res),
        n_obs=res.n_obs,
        effect=Effect("dispersion ratio", ratio, 1.0, interval),
        null_distribution=np.exp(found.null),
        conf_int=interval,
        correction="refits",
        notes=tuple(notes),
        **fields,
    )


def _row_error(res: SimulatedResiduals) -> float:
    """Standard error over rows of the logarithm of the ratio."""
    mean, variance = mean_and_variance(res)
    scale = float(variance.max())
    observed = (res.observed - mean) / np.sqrt(scale)
    _, error = squared_deviation_ratio(observed, np.zeros(mean.size), variance / scale, np.zeros(mean.size))
    return max(error, 1e-12)


def _conditional(res: SimulatedResiduals, alternative: str, given: tuple[str, ...] = ()) -> DispersionResult:
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
    return _result(res, statistic, null, alternative, "conditional simulations", error, correction, notes)


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


def _dharma(res: SimulatedResiduals, alternative: str) -> DispersionResult:
    centre = res.fitted
    unit = unit_of_deviations(res, centre)
    null = res.simulated_statistics([lambda block: np.var((block - centre) / unit, axis=1, ddof=1)])[0]
    mean = float(null.mean())
    if mean == 0.0:
        raise ValueError("the simulations do not vary around the fitted values")
    statistic = float(np.var((res.observed - centre) / unit, ddof=1)) / mean
    return _result(res, statistic, null / mean, alternative, "DHARMa", 0.0, "none", [])


def _pearson(res: SimulatedResiduals, alternative: str) -> DispersionResult:
    from scipy.special import chdtr, chdtrc, chdtri

    model: Any = res.model
    if res.is_grouped or not isinstance(res.model, HasPearson):
        raise ValueError("method='pearson' needs ungrouped residuals of a model with Pearson residuals")
    edf = effective_parameters(model)
    if edf is None:
        raise ValueError("method='pearson' needs the model's edf or df_resid")
    df = model.nobs - edf
    if df <= 0:
        raise ValueError(f"no residual degrees of freedom are left (n = {model.nobs}, edf = {edf:.4g})")
    total = float(np.sum(np.asarray(model.resid_pearson, dtype=float) ** 2))
    greater, less = chdtrc(df, total), chdtr(df, total)
    p = {"greater": greater, "less": less, "two-sided": min(1.0, 2 * min(greater, less))}[alternative]
    interval = (total / chdtri(df, 0.025), total / chdtri(df, 0.975))
    ratio = total / df
    return DispersionResult(
        statistic=ratio,
        pvalue=floor_pvalue(p),
        alternative=alternative,
        method="Pearson chi-square",
        n_obs=res.n_obs,
        effect=Effect("dispersion ratio", ratio, 1.0, interval),
        null_distribution=None,
        conf_int=interval,
        correction="effective degrees of freedom",
        response=response_kind(res),
    )


def _refit(res: SimulatedResiduals, alternative: str, n_refits: int, n_jobs: int | None) -> DispersionResult:
    from simresid.checks._refits import failed_refits, refit_statistics

    if res.is_grouped or not isinstance(res.model, CanRefit):
        raise ValueError("method='refit' needs ungrouped residuals of a model with a refit method")
    observed = _pearson_sum(res.model)
    null, n_failed = refit_statistics(
        res.model,
        "pearson",
        _pearson_sum,
        n_refits,
        res.child_rng("dispersion, refit"),
        n_jobs,
    )
    mean = float(null.mean())
    pvalue = simulation_pvalue(observed / mean, null / mean, alternative)
    notes = failed_refits(n_failed, null.size, pvalue, alternative)
    return _result(res, observed / mean, null / mean, alternative, "refit", 0.0, "refit", notes)


def _pearson_sum(model: Any) -> float:
    """Sum of squared Pearson residuals of a fit."""
    if isinstance(model, HasPearson):
        return float(np.sum(np.asarray(model.resid_pearson, dtype=float) ** 2))
    squared = (model.observed - model.fitted) ** 2
    if isinstance(model, HasVariance):
        return float(np.sum(squared / model.variance()))
    raise ValueError("method='refit' needs the model's Pearson residuals or its variance")


def _result(
    res: SimulatedResiduals,
    statistic: float,
    null: FloatArray,
    alternative: str,
    method: str,
    row_error: float,
    correction: str,
    notes: list[str],
) -> DispersionResult:
    pvalue = simulation_pvalue(statistic, null, alternative)
    with np.errstate(divide="ignore"):
        logs = np.log(null[null > 0])
    error = max(row_error, float(np.std(logs)) if logs.size > 1 else 0.0)
    interval = (statistic * float(np.exp(-1.96 * error)), statistic * float(np.exp(1.96 * error)))
    return DispersionResult(
        statistic=statistic,
        pvalue=pvalue,
        alternative=alternative,
        method=method,
        n_obs=res.n_obs,
        effect=Effect("dispersion ratio", statistic, 1.0, interval),
        monte_carlo_error=monte_carlo_error(pvalue, null.size, alternative),
        null="refits" if method == "refit" else "simulated",
        n_refits=null.size if method == "refit" else 0,
        null_distribution=null,
        conf_int=interval,
        correction=correction,
        response=response_kind(res),
        notes=tuple(notes),
    )
