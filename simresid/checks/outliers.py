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

Compared with refits (`simresid.checks.nulls`), the statistic is the number of outliers to be expected over all
simulations and all ways to break ties: a row with :math:`l = P(Y < y)`, :math:`h = P(Y \le y)` lies below all of `M`
simulations with probability :math:`\{(1-l)^{M+1} - (1-h)^{M+1}\} / \{(M+1)(h-l)\}`, ties broken at random, and above
all likewise. It does not depend on the seed. Where the law is not known, or residuals are exact, it is the part of the
row's cell outside.

DHARMa's bootstrap (`method="bootstrap"`) counts residuals of exactly 0 or 1 instead, and treats simulated
data sets as observed ones, with their simulations resampled from the other data sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simresid.arguments import check_word, whole_number
from simresid.checks._leverage import shrinkage
from simresid.checks._mean_cdf import below
from simresid.checks._null import analytic_null_holds, null_residuals
from simresid.checks.base import CheckResult, Effect
from simresid.checks.entry import ResidualTest, either
from simresid.checks.inputs import FloatArray, simulated_only
from simresid.checks.nulls.choice import NullKind, against_refits, without_refits
from simresid.checks.nulls.comparison import compare, normal_limits
from simresid.checks.nulls.fitted_data import FittedData
from simresid.checks.nulls.plan import Plan
from simresid.checks.nulls.refit_pool import RefitPool
from simresid.checks.pvalues import check_alternative, floor_pvalue, monte_carlo_error, normal_pvalue, simulation_pvalue

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["OUTLIERS", "OutlierResult", "outlier_test", "outlying_rows"]

Margin = Literal["both", "lower", "upper"]

ROUNDING = 1e-9
"""Probability of a tie below which there is none."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class OutlierResult(CheckResult):
    """Observations outside all of their simulations.

    Attributes
    ----------
    statistic : float
        Number of outliers that is tested: `observed`, or among refits its mean over the ways to break ties.
    observed, expected : float
        Number of outliers, ties broken as in the residuals, and the number that a right model gives on average.
    conf_int : tuple of float
        95 % interval of the outlier frequency.
    table : DataFrame
        One row per outlier, under its label: ``row`` (position), ``direction`` ("low"/"high"), ``observed``,
        ``residual``.
    null_distribution : ndarray or None
        Simulated counts where the null was simulated.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import from_simulations
    >>> rng = np.random.default_rng(1)
    >>> res = from_simulations(rng.poisson(3, size=(250, 100)), rng.negative_binomial(1, 0.25, size=100))
    >>> result = res.outlier_test()
    >>> result.observed > result.expected, set(result.table["direction"])
    (True, {'high'})
    """

    observed: int
    expected: float
    conf_int: tuple[float, float]
    table: pd.DataFrame
    null_distribution: FloatArray | None = None
    title = "outliers"

    def _remedy(self) -> str:
        side = self.table["direction"].value_counts().to_dict()
        if self.statistic < self.expected:
            return f"{self.counted} outliers, {self.expected:.1f} expected: the model may be underdispersed"
        rows = len(self.table)
        ties = "" if self.counted == f"{rows:,}" else f"{self.counted} on average over ties, "
        names = ": `residuals.outliers()` names them" if rows else ""
        return (
            f"{rows:,} row{'s' * (rows != 1)} outside all simulations ({side.get('high', 0)} high, "
            f"{side.get('low', 0)} low; {ties}{self.expected:.1f} expected){names}; "
            "if many, try a heavier-tailed family"
        )

    @property
    def counted(self) -> str:
        """`statistic` in words; with a decimal where it is a mean over ties."""
        if self.statistic >= 100.0 or self.statistic == round(self.statistic):
            return f"{self.statistic:,.0f}"
        return f"{self.statistic:.1f}"


def outlier_test(
    res: SimulatedResiduals,
    alternative: str = "two-sided",
    margin: Margin = "both",
    method: Literal["binomial", "bootstrap"] = "binomial",
    *,
    null: NullKind = "auto",
    n_refits: int | None = None,
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
    null : {"auto", "refits", "simulated", "analytic"}
        As in `uniformity_test`.
    n_refits : int, optional
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
    >>> from simresid import from_simulations, outlier_test
    >>> rng = np.random.default_rng(1)
    >>> y = rng.normal(size=100)
    >>> y[7] = 9.0
    >>> result = outlier_test(from_simulations(rng.normal(size=(999, 100)), y), "greater")
    >>> int(result.table.loc[7, "row"]), result.table.loc[7, "direction"]
    (7, 'high')
    """
    simulated_only(res, "outlier_test")
    check_alternative(alternative)
    check_word(margin, "margin", ("both", "lower", "upper"))
    check_word(method, "method", ("binomial", "bootstrap"))
    if method == "bootstrap":
        return _bootstrap(res, alternative, margin, whole_number(n_boot, "n_boot", least=1, most=10**6))
    refitted, notes = against_refits(
        res, null, n_refits, lambda pool, plan: _among_refits(res, pool, plan, alternative, margin)
    )
    if refitted is not None:
        return refitted
    n, edge = res.n_obs, 1 / (res.n_ranked + 1)
    pool = None if analytic_null_holds(res, without_refits(null)) else null_residuals(res)
    u = res.residuals if pool is None else pool.comparable(res.residuals)
    side = _sides(u, edge, margin)
    count = int(np.count_nonzero(side))
    rate = _one_sided_rate(res, edge) * (2 if margin == "both" else 1)
    pvalue, interval = binomial_test(count, n, rate, alternative)
    extra: dict[str, Any] = {"method": "exact binomial", "notes": notes}
    if pool is not None:
        counts = np.array([np.count_nonzero(_sides(v, edge, margin)) for v in pool.replicates], dtype=float)
        pvalue = simulation_pvalue(count, counts, alternative)
        extra = {
            "method": "simulated counts",
            "null_distribution": counts,
            "monte_carlo_error": monte_carlo_error(pvalue, counts.size, alternative),
            "notes": (*notes, pool.note),
            "null": "simulated",
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


def expected_outliers(data: FittedData, n_sims: int, margin: Margin, exact: bool) -> float:
    """Outliers of the data on average over simulations and ties.

    Parameters
    ----------
    data : FittedData
    n_sims : int
        Simulations that a row is compared with.
    margin : {"both", "lower", "upper"}
    exact : bool
        Whether the residuals are those of the law itself.
    """
    lo, hi = data.lower, data.upper
    if exact or data.is_ranked:
        edge = 1 / (n_sims + 1)
        low, high = below(lo, hi, edge), 1.0 - below(lo, hi, 1 - edge)
    else:
        low, high = _outside(1.0 - hi, 1.0 - lo, n_sims), _outside(lo, hi, n_sims)
    return float((low.sum() if margin != "upper" else 0.0) + (high.sum() if margin != "lower" else 0.0))


def _outside(without: FloatArray, including: FloatArray, n_sims: int) -> FloatArray:
    """Probability of a row to lie beyond all simulations.

    A simulation lies inside of it with the probability `without` ties or `including` them; the row's place among its
    ties is uniform, so that the answer is the mean of p^n_sims over p between the two.
    """
    share = including - without
    tied = share > ROUNDING
    power = n_sims + 1
    return np.where(tied, (including**power - without**power) / np.where(tied, power * share, 1.0), including**n_sims)


def _among_refits(
    res: SimulatedResiduals, pool: RefitPool, plan: Plan, alternative: str, margin: Margin
) -> OutlierResult:
    n, n_sims, exact = res.n_obs, res.n_sims, res.from_law
    rate = (2 if margin == "both" else 1) / (n_sims + 1)
    spread = float(np.sqrt(n * rate * (1 - rate)))
    found = compare(
        pool,
        plan,
        ("outliers", margin),
        lambda data: np.array([expected_outliers(data, n_sims, margin, exact)]),
        lambda x: x[:, 0],
        lambda x: normal_pvalue(x / spread, alternative),
        alternative=alternative,
        theory_limits=normal_limits(spread, alternative),
        in_proportion=True,
    )
    side = _sides(res.residuals, 1 / (n_sims + 1), margin)
    expected, (low, high) = float(found.centre[0]), found.limits
    excess = found.statistic
    interval = (max(excess - high, -expected) / n, min(excess - low, n - expected) / n)
    return OutlierResult(
        statistic=float(found.own[0]),
        alternative=alternative,
        method="outliers of refits",
        n_obs=n,
        effect=Effect("excess outlier frequency", excess / n, 0.0, interval),
        observed=int(np.count_nonzero(side)),
        expected=expected,
        conf_int=(interval[0] + expected / n, interval[1] + expected / n),
        table=_table(res, side),
        null_distribution=expected + found.null,
        notes=found.notes,
        **found.fields,
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


def outlying_rows(res: SimulatedResiduals, side: NDArray[Any]) -> pd.DataFrame:
    """Rows with a `side` other than 0: position, "low" or "high", observed and residual, under their labels."""
    import pandas as pd

    at = np.flatnonzero(side)
    return pd.DataFrame(
        {
            "position": at,
            "side": np.where(side[at] < 0, "low", "high"),
            "observed": res.observed[at],
            "residual": res.residuals[at],
        },
        index=res.index[at],
    )


def _table(res: SimulatedResiduals, side: FloatArray) -> pd.DataFrame:
    return outlying_rows(res, side).rename(columns={"position": "row", "side": "direction"})


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


OUTLIERS = ResidualTest(
    name="outliers",
    title="Outliers",
    test=outlier_test,
    result=OutlierResult,
    limits={"excess outlier frequency": (0.005, 0.02)},
    word=either("too many outliers", "too few outliers"),
    size=lambda result: f"{result.counted}, {result.expected:,.1f} expected",
    alone=lambda asked: {},
    headline_place=4,
)
