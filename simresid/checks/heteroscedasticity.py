r"""Test whether the spread of the residuals changes along predictors.

The scores :math:`a_i = (u_i - 1/2)^2 - \overline{(u - 1/2)^2}` (Mood's, efficiency .76 against the optimum
for normal data and bounded, so that outliers do not decide) are regressed on polynomials of the predictor's
ranks,

.. math::
    T = \sum_{j \ge 1} w_j \frac{(\sum_i B_j(x_i) a_i)^2}{s_a^2}, \quad s_a^2 = \frac{1}{n-1} \sum_i a_i^2,

a weighted sum of chi-squares with :math:`w = (1, 1, .3, .2, .1)`. Dividing by the observed variance makes
this a permutation statistic: a spread that is wrong, but wrong everywhere alike, is left to the dispersion
test. Below `n = 150` the permutation distribution is simulated. Compared with refits (`simresid.checks.nulls`) the
scores are :math:`E (u_i - 1/2)^2` over the cell of each residual, so that ties need not be broken, and the sums are
taken from their centre over data and refits. The effect is the ratio of the spread
(standard deviation of `u`) between the highest and the lowest value of the predictor in the linear part of the
fit, for categories between the levels of the largest and the smallest spread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simresid.checks._expected import expected_spread_scores
from simresid.checks._leverage import widened_residuals
from simresid.checks._mean_cdf import squared_deviation
from simresid.checks._null import analytic_null_holds, null_residuals
from simresid.checks.base import CheckResult, Effect, with_dispersion
from simresid.checks.basis import Basis, default_predictor, predictor_basis
from simresid.checks.entry import RATIO_LIMITS, Request, ResidualTest
from simresid.checks.inputs import FloatArray, Residuals, generator
from simresid.checks.nulls.choice import NullKind, against_refits, without_refits
from simresid.checks.nulls.comparison import LEVEL, Expected, compare, digest
from simresid.checks.nulls.fitted_data import FittedData
from simresid.checks.nulls.plan import Plan
from simresid.checks.nulls.refit_pool import RefitPool
from simresid.checks.pvalues import monte_carlo_error, quadratic_form_sf, simulation_pvalue
from simresid.checks.quantiles import N_NULL, OTHER_WEIGHTS, SMALL_SAMPLE

__all__ = ["HETEROSCEDASTICITY", "HeteroscedasticityResult", "heteroscedasticity_test"]

ROUNDING = 1e-9
"""Standard deviation of squared deviations, which lie between 0 and 1/4, below which they are all the same."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class HeteroscedasticityResult(CheckResult):
    """Whether the spread of the residuals changes with the predictors.

    Attributes
    ----------
    df : int
        Number of functions of the predictors that the squared deviations are compared with.
    predictor : str
        Columns as a formula would name them; empty for the prediction and for values without a name.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import heteroscedasticity_test
    >>> x = np.linspace(0, 1, 100)
    >>> u = 0.5 + 0.5 * x * np.sin(np.arange(100.0))
    >>> result = heteroscedasticity_test(u, x)
    >>> result.pvalue < 0.001, result.effect.value > 1
    (True, True)
    """

    df: int
    predictor: str = ""
    title = "heteroscedasticity"

    def _remedy(self) -> str:
        return (
            f"{self.effect}: model the dispersion along this predictor, as in {with_dispersion(self.predictor)}, or "
            "choose a family with another mean-variance relation"
        )


def heteroscedasticity_test(
    res: Residuals, predictor: Any = None, *, null: NullKind = "auto", n_refits: int | None = None
) -> HeteroscedasticityResult:
    """Test whether the spread of the residuals depends on predictors.

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)
        Residuals to test; plain ones must lie in [0, 1].
    predictor : array_like (n,), str, DataFrame, list of str, optional
        As in `quantile_test`.
    null : {"auto", "refits", "simulated", "analytic"}
        As in `uniformity_test`.
    n_refits : int, optional
        As in `uniformity_test`.

    Returns
    -------
    HeteroscedasticityResult
        `statistic` and `pvalue` of the test; `effect` is the fitted spread at the high end of the first
        predictor over that at its low end, for categories the largest spread of a level over the smallest.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.special import ndtr
    >>> from simresid import heteroscedasticity_test
    >>> rng = np.random.default_rng(1)
    >>> x = rng.random(300)
    >>> print(heteroscedasticity_test(rng.random(300), x).summary())
    heteroscedasticity (rank score test): statistic 1.353, p = 0.68; spread ratio 1.06 [0.88, 1.26].
    >>> print(heteroscedasticity_test(ndtr(rng.normal(size=300) * (0.5 + x)), x).summary())
    heteroscedasticity (rank score test): statistic 44.89, p < 0.001; spread ratio 1.85 [1.5, 2.29], severe.
    """
    basis = predictor_basis(predictor, res)
    varying = basis.degree > 0
    if not varying.any():
        raise ValueError("the predictor is constant, so the spread cannot depend on it")
    functions = basis.functions[:, varying]
    weights = OTHER_WEIGHTS[np.minimum(basis.degree, OTHER_WEIGHTS.size - 1)][varying] * basis.share[varying]
    refitted, notes = against_refits(
        res, null, n_refits, lambda pool, plan: _among_refits(res, pool, plan, basis, functions, weights)
    )
    if refitted is not None:
        return refitted
    u = widened_residuals(res)
    statistic = float(spread_statistic(u[None, :], functions, weights)[0])
    replicates: FloatArray | None = None
    kind = "analytic"
    if not analytic_null_holds(res, without_refits(null)):
        pool = null_residuals(res)
        replicates, notes, kind = pool.replicates, (*notes, pool.note), "simulated"
        statistic = float(spread_statistic(pool.comparable(u)[None, :], functions, weights)[0])
    elif u.size < SMALL_SAMPLE:
        replicates = generator(res, "heteroscedasticity").permuted(np.tile(u, (N_NULL, 1)), axis=1)
    if replicates is None:
        pvalue, error = quadratic_form_sf(statistic, weights), 0.0
    else:
        pvalue = simulation_pvalue(statistic, spread_statistic(replicates, functions, weights), "greater")
        error = monte_carlo_error(pvalue, replicates.shape[0], "greater")
    return HeteroscedasticityResult(
        statistic=statistic,
        pvalue=pvalue,
        alternative="two-sided",
        method="rank score test" + ("" if replicates is None else ", simulated null"),
        n_obs=u.size,
        effect=_spread_ratio((u - 0.5) ** 2, basis),
        monte_carlo_error=error,
        null=kind,
        notes=notes,
        df=int(weights.size),
        predictor=basis.name,
    )


def _among_refits(
    res: Any, pool: RefitPool, plan: Plan, basis: Basis, functions: FloatArray, weights: FloatArray
) -> HeteroscedasticityResult:
    def scores(data: FittedData) -> FloatArray:
        a = squared_deviation(data.lower, data.upper)
        return np.asarray(a @ functions / _deviation(a))

    a = squared_deviation(pool.own.lower, pool.own.upper)
    expected, sd = expected_spread_scores(res, functions), _deviation(a)
    found = compare(
        pool,
        plan,
        ("spread", digest(functions)),
        scores,
        lambda z: z**2 @ weights,
        lambda t: quadratic_form_sf(t, weights),
        theory_limits=(-np.inf, upper_quantile(weights)),
        centre_by=Expected(expected.values / sd),
    )
    # the spread of the data without what a fit does to it on average
    effect = _spread_ratio(a - functions @ found.centre * sd, basis)
    assert effect.interval is not None
    usual = 0.5 * float(np.log(effect.interval[1] / effect.interval[0]))
    low, high = found.around(float(np.log(effect.value)), 0.0, usual, 0.5)  # the statistic grows with the square
    return HeteroscedasticityResult(
        statistic=found.statistic,
        alternative="two-sided",
        method="rank score test",
        n_obs=a.size,
        effect=replace(effect, interval=(_ratio(low), _ratio(high))),
        notes=found.notes,
        df=int(weights.size),
        predictor=basis.name,
        **found.fields,
    )


def _deviation(a: FloatArray) -> float:
    return max(float(np.std(a, ddof=1)), ROUNDING)


def upper_quantile(weights: FloatArray) -> float:
    """Value that a weighted sum of chi-squares exceeds with a probability of .05."""
    from scipy.optimize import brentq

    top = float(weights.sum() + 12 * np.sqrt(2 * np.sum(weights**2)))
    return float(brentq(lambda x: quadratic_form_sf(x, weights) - LEVEL, 1e-6, top, xtol=1e-6))


def spread_statistic(u: FloatArray, functions: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted score statistic of several residual vectors.

    Parameters
    ----------
    u : ndarray (m, n)
    functions : ndarray (n, k)
        Orthonormal and orthogonal to the constant.
    weights : ndarray (k,)

    Returns
    -------
    ndarray (m,)
    """
    a = (u - 0.5) ** 2
    a = a - a.mean(axis=1, keepdims=True)
    variance = np.maximum(np.sum(a**2, axis=1), 1e-300) / (u.shape[1] - 1)
    return np.asarray(((a @ functions) ** 2 @ weights) / variance)


def _spread_ratio(a: FloatArray, basis: Basis) -> Effect:
    """Ratio of spreads from squared deviations `a` ``(n,)``."""
    levels = basis.predictor is None and basis.degree.max() == 1
    linear = basis.functions if levels else basis.functions[:, :2]
    fit = linear @ (linear.T @ a)
    along = fit if levels else linear[:, 1]
    low, high = np.argmin(along), np.argmax(along)
    floor = 1e-3 / 12
    first, last = max(float(fit[low]), floor), max(float(fit[high]), floor)
    ratio = float(np.sqrt(last / first))
    difference = linear[high] - linear[low]
    error = float(np.sqrt(np.var(a) * np.sum(difference**2)) / (2 * np.sqrt(first * last)))
    reach = min(1.96 * error, 600.0)
    return Effect("spread ratio", ratio, 1.0, (ratio * float(np.exp(-reach)), ratio * float(np.exp(reach))))


def _ratio(logarithm: float) -> float:
    """Ratio of a logarithm; beyond all reason 0 or infinite."""
    if abs(logarithm) > 500.0:
        return math.inf if logarithm > 0 else 0.0
    return math.exp(logarithm)


def _arguments(asked: Request) -> dict[str, Any] | None:
    return {"predictor": asked.prediction} if np.ptp(default_predictor(asked.res)) > 0 else None


HETEROSCEDASTICITY = ResidualTest(
    name="heteroscedasticity",
    title="Spread",
    test=heteroscedasticity_test,
    result=HeteroscedasticityResult,
    takes_arrays=True,
    limits={"spread ratio": RATIO_LIMITS},
    word=lambda result: "uneven spread",
    size_name="ratio",
    alone=_arguments,
    headline_place=3,
)
