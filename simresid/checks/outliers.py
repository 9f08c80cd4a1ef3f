r"""Test whether more observations lie outside all of their simulations than should.

A rank residual :math:`u = (\#\{S<y\} + V(1+\#\{S=y\}))/(M+1)` falls below :math:`1/(M+1)`, or above
:math:`M/(M+1)`, with probability :math:`1/(M+1)` exactly, whatever the response. The number of such rows
among `n` independent ones is binomial with :math:`p_0 = 2/(M+1)` (one margin: :math:`1/(M+1)`), which is
tested exactly; the two-sided p-value adds the probabilities of all counts that are no more likely than the
observed one, the interval is Clopper and Pearson's. No bootstrap is needed for discrete data.

A fit that follows its data leaves fewer outliers: with the standard deviation of the residuals shrunk by the factor
`s` of `simresid.checks._leverage`, a row lies outside with probability :math:`\Phi(z/s)` per margin, :math:`z =
\Phi^{-1}(1/(M+1))`, and :math:`p_0` is the average over rows. For a nbinom2 GLMM with 100 groups of 10 and 250
simulations this is .0057, where :math:`2/(M+1)` is .0080 and .0057 are found.

DHARMa's bootstrap (`method="bootstrap"`) counts residuals of exactly 0 or 1 instead, and treats simulated
data sets as observed ones, with their simulations resampled from the other data sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simresid.checks._inputs import FloatArray, Null, simulated_only
from simresid.checks._leverage import shrinkage
from simresid.checks._null import analytic_null_holds, null_residuals
from simresid.checks.pvalues import check_alternative, floor_pvalue, monte_carlo_error, simulation_pvalue
from simresid.checks.results import Effect, OutlierResult

if TYPE_CHECKING:
    import pandas as pd

    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["outlier_test"]

Margin = Literal["both", "lower", "upper"]


def outlier_test(
    res: SimulatedResiduals,
    alternative: str = "two-sided",
    margin: Margin = "both",
    method: Literal["binomial", "bootstrap"] = "binomial",
    *,
    null: Null = "auto",
    n_boot: int = 100,
) -> OutlierResult:
    """Test the number of observations outside all simulations.

    Parameters
    ----------
    res : SimulatedResiduals
        Residuals to test.
    alternative : {"two-sided", "greater", "less"}
        ``"greater"``: more outliers than expected.
    margin : {"both", "lower", "upper"}
        Which side to count.
    method : {"binomial", "bootstrap"}
        Exact binomial, or DHARMa's bootstrap for comparison (needs the simulations in memory).
    null : {"auto", "analytic", "simulated"}
        As in `uniformity_test`.
    n_boot : int
        Data sets for the bootstrap.

    Returns
    -------
    OutlierResult
        `statistic` is the number of outliers; `table` says which rows, and on which side.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> y = rng.normal(size=100)
    >>> y[7] = 9.0
    >>> result = outlier_test(from_simulations(rng.normal(size=(999, 100)), y), "greater")
    >>> int(result.table.loc[7, "row"]), result.table.loc[7, "direction"]
    (7, 'high')
    """
    simulated_only(res, "outlier_test")
    check_alternative(alternative)
    if margin not in ("both", "lower", "upper"):
        raise ValueError(f"margin={margin!r}; choose 'both', 'lower' or 'upper'")
    if method == "bootstrap":
        return _bootstrap(res, alternative, margin, n_boot)
    if method != "binomial":
        raise ValueError(f"method={method!r}; choose 'binomial' or 'bootstrap'")
    n, edge = res.n_obs, 1 / (res.n_ranked + 1)
    pool = None if analytic_null_holds(res, null) else null_residuals(res)
    u = res.residuals if pool is None else pool.comparable(res.residuals)
    side = _sides(u, edge, margin)
    count = int(np.count_nonzero(side))
    rate = _one_sided_rate(res, edge) * (2 if margin == "both" else 1)
    pvalue, interval = binomial_test(count, n, rate, alternative)
    extra: dict[str, Any] = {"method": "exact binomial"}
    if pool is not None:
        counts = np.array([np.count_nonzero(_sides(v, edge, margin)) for v in pool.replicates], dtype=float)
        pvalue = simulation_pvalue(count, counts, alternative)
        extra = {
            "method": "simulated counts",
            "null_distribution": counts,
            "monte_carlo_error": monte_carlo_error(pvalue, counts.size, alternative),
            "notes": (pool.note,),
        }
    return OutlierResult(
        statistic=float(count),
        pvalue=pvalue,
        alternative=alternative,
        n_obs=n,
        effect=_effect(count, n, rate, interval),
        observed=count,
        expected=n * rate,
        conf_int=interval,
        table=_table(res, side),
        **extra,
    )


def _one_sided_rate(res: SimulatedResiduals, edge: float) -> float:
    """Mean probability of a row to lie below all of its simulations."""
    from scipy.special import ndtr, ndtri

    factor = shrinkage(res)
    return edge if factor is None else float(np.mean(ndtr(ndtri(edge) / factor)))


def binomial_test(count: int, n: int, rate: float, alternative: str) -> tuple[float, tuple[float, float]]:
    """Exact binomial p-value and Clopper-Pearson interval of the frequency.

    Examples
    --------
    >>> pvalue, interval = binomial_test(3, 150, 2 / 101, "two-sided")
    >>> round(pvalue, 12)
    0.772955881479
    """
    from scipy.stats import binomtest

    test = binomtest(count, n, min(rate, 1.0), alternative=alternative)
    two_sided = test if alternative == "two-sided" else binomtest(count, n, min(rate, 1.0))
    low, high = two_sided.proportion_ci(0.95, method="exact")
    return floor_pvalue(test.pvalue), (float(low), float(high))


def _sides(u: FloatArray, edge: float, margin: Margin) -> FloatArray:
    """-1 for a low, 1 for a high outlier, 0 otherwise; sides that are not asked for count as 0."""
    low = (u < edge) if margin != "upper" else np.zeros(u.size, dtype=bool)
    high = (u > 1 - edge) if margin != "lower" else np.zeros(u.size, dtype=bool)
    return np.asarray(high.astype(float) - low)


def _effect(count: int, n: int, rate: float, interval: tuple[float, float]) -> Effect:
    return Effect("excess outlier frequency", count / n - rate, 0.0, (interval[0] - rate, interval[1] - rate))


def _table(res: SimulatedResiduals, side: FloatArray) -> pd.DataFrame:
    import pandas as pd

    at = np.flatnonzero(side)
    return pd.DataFrame(
        {
            "row": at,
            "direction": np.where(side[at] < 0, "low", "high"),
            "observed": res.observed[at],
            "residual": res.residuals[at],
        },
        index=res.index[at],
    )


def _bootstrap(res: SimulatedResiduals, alternative: str, margin: Margin, n_boot: int) -> OutlierResult:
    if res.simulated is None:
        raise ValueError("method='bootstrap' needs the simulations; create residuals with keep_simulations=True")
    simulated = res.simulated
    n_sims, n = simulated.shape
    n_boot = min(n_boot, n_sims)
    rng = res.child_rng("outliers, bootstrap")

    def outside(y: FloatArray, pool: FloatArray) -> FloatArray:
        low = np.all(pool > y, axis=0) & (margin != "upper")
        high = np.all(pool < y, axis=0) & (margin != "lower")
        return np.asarray(high.astype(float) - low)

    side = outside(res.observed, simulated)
    counts = np.empty(n_boot)
    for b in range(n_boot):
        others = np.delete(np.arange(n_sims), b)
        counts[b] = np.count_nonzero(outside(simulated[b], simulated[rng.choice(others, n_sims)]))
    count = int(np.count_nonzero(side))
    pvalue = simulation_pvalue(count, counts, alternative)
    low, high = (float(q) / n for q in np.quantile(counts, [0.025, 0.975]))
    rate = float(counts.mean()) / n
    return OutlierResult(
        statistic=float(count),
        pvalue=pvalue,
        alternative=alternative,
        method="bootstrap",
        n_obs=n,
        effect=Effect("excess outlier frequency", count / n - rate, 0.0, (count / n - high, count / n - low)),
        monte_carlo_error=monte_carlo_error(pvalue, n_boot, alternative),
        observed=count,
        expected=float(counts.mean()),
        conf_int=(low, high),
        table=_table(res, side),
        null_distribution=counts,
    )
