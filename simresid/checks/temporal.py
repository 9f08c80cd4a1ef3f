r"""Test residuals for correlation in time.

Ordered by time and centred, :math:`e_t = u_t - \bar u`,

* Durbin-Watson: :math:`d = \sum_{t \ge 2} (e_t - e_{t-1})^2 / \sum_t e_t^2`. Exact (normal residuals) for series
  shorter than 100: :math:`P(d < c) = P(\sum_j (\lambda_j - c) z_j^2 < 0)` with
  :math:`\lambda_j = 2 - 2\cos(\pi j/n), j = 1..n-1` (Durbin & Watson 1950); otherwise normal with mean 2 and
  variance :math:`4(n-2)/((n-1)(n+1))`.
* Ljung-Box: :math:`Q = n(n+2) \sum_{k \le m} r_k^2/(n-k)`, chi-square with `m` degrees of freedom (1978). Below
  1000 residuals the chi-square is too liberal (8 % at n = 50), so that residuals are permuted instead.

Spacing in time is ignored. Several series (`by=`) are centred and ordered one by one: numerators,
denominators and degrees of freedom are added, :math:`d = \sum_s n_s d_s / \sum_s n_s` is referred to a
normal distribution. Residuals that share a time are replaced by :math:`\sum (u - 1/2)/\sqrt m`, which keeps
the variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from glmmcore.arguments import require_flag
from simresid.arguments import check_word, whole_number
from simresid.checks._combined import combine, shown
from simresid.checks._mean_cdf import middle
from simresid.checks._null import analytic_null_holds, null_residuals
from simresid.checks._serial import (
    autocorrelation_interval,
    autocorrelations,
    durbin_watson,
    durbin_watson_pvalue,
    durbin_watson_variance,
    ljung_box,
    permuted_ljung_box,
    pooled_durbin_watson,
    serial_statistic,
    vary,
)
from simresid.checks.base import CheckResult, Effect
from simresid.checks.entry import AUTOCORRELATION_LIMITS, Request, ResidualTest
from simresid.checks.inputs import (
    FloatArray,
    Residuals,
    aligned,
    aligned_numeric,
    generator,
    residual_array,
)
from simresid.checks.nulls.choice import NullKind, against_refits, without_refits
from simresid.checks.nulls.comparison import LEVEL, compare, digest, normal_limits
from simresid.checks.nulls.fitted_data import FittedData
from simresid.checks.nulls.plan import Plan
from simresid.checks.nulls.refit_pool import RefitPool
from simresid.checks.pvalues import (
    check_alternative,
    monte_carlo_error,
    normal_pvalue,
    simulation_pvalue,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TEMPORAL", "AutocorrelationResult", "durbin_watson_pvalue", "temporal_autocorrelation_test"]

EXACT_BELOW = 100
"""Length of a series from which Durbin-Watson's statistic is taken to be normal."""

PERMUTED_BELOW = 1000
"""Number of residuals from which Ljung-Box's statistic is taken to be chi-square; below it is permuted."""

TAIL_OF_DURBIN_WATSON = {"two-sided": "two-sided", "greater": "less", "less": "greater"}
"""Alternative of the autocorrelation -> that of d, which positive autocorrelation makes small."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AutocorrelationResult(CheckResult):
    """Serial correlation of the residuals.

    Attributes
    ----------
    autocorrelation : ndarray (n_lags,)
        Autocorrelations at lag 1, 2, ...
    series : DataFrame
        One row per series: ``n``, ``statistic``, ``autocorrelation``, ``pvalue``.
    times : DataFrame or None
        What was tested, in order: ``series``, ``row`` (position of the first row of each time), ``n`` (rows at that
        time), ``residual`` (those rows combined, uniform under the model).

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import temporal_autocorrelation_test
    >>> u = 0.5 + 0.4 * np.sin(np.arange(60) / 5)
    >>> result = temporal_autocorrelation_test(u, np.arange(60))
    >>> result.pvalue < 0.001, bool(result.autocorrelation[0] > 0.9)
    (True, True)
    """

    autocorrelation: FloatArray
    series: pd.DataFrame
    times: pd.DataFrame | None = None
    title = "temporal autocorrelation"
    remedy = "add a term that varies in time (trend, season), or an AR(1) structure"


def temporal_autocorrelation_test(
    res: Residuals,
    time: Any,
    by: Any = None,
    alternative: str = "two-sided",
    method: Literal["durbin-watson", "ljung-box"] = "durbin-watson",
    *,
    lags: int | None = None,
    exact: bool | None = None,
    null: NullKind = "auto",
    n_refits: int | None = None,
) -> AutocorrelationResult:
    """Test for autocorrelation of residuals in time.

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)
        Residuals to test; plain ones must lie in [0, 1].
    time : array_like (n,) or str
        Numbers or dates. Rows with the same time (within a series) are combined.
    by : array_like (n,) or str, optional
        Series that each row belongs to; correlation is only looked for within series.
    alternative : {"two-sided", "greater", "less"}
        ``"greater"`` is positive autocorrelation. Ljung-Box has no direction.
    method : {"durbin-watson", "ljung-box"}
        Neighbours only, or all lags up to ``lags`` together.
    lags : int, optional
        Lags for Ljung-Box (and for the autocorrelations returned): by default ``min(10, n/5)``.
    exact : bool, optional
        Exact Durbin-Watson p-value; by default for a single series shorter than 100.
    null : {"auto", "refits", "simulated", "analytic"}
        As in `uniformity_test`.
    n_refits : int, optional
        As in `uniformity_test`.

    Returns
    -------
    AutocorrelationResult
        `statistic` is `d`, about ``2 - 2 r_1``, or `Q`.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import temporal_autocorrelation_test
    >>> u = np.array([0.1, 0.2, 0.15, 0.4, 0.5, 0.45, 0.7, 0.8, 0.9, 0.85])
    >>> result = temporal_autocorrelation_test(u, np.arange(10), alternative="greater")
    >>> round(result.statistic, 3), result.pvalue < 0.001
    (0.216, True)
    """
    check_alternative(alternative)
    check_word(method, "method", ("durbin-watson", "ljung-box"))
    if exact is not None:
        require_flag(exact, "exact")
    if method == "ljung-box" and alternative != "two-sided":
        raise ValueError("method='ljung-box' has no direction; use alternative='two-sided'")
    u = residual_array(res)
    layout = _Layout(aligned_numeric(time, res, "time"), None if by is None else aligned(by, res, "by"))
    longest = int(np.diff(np.append(layout.starts, layout.size.size)).max())
    if longest < 3:
        raise ValueError("no series has three distinct times, so there is no autocorrelation to test")
    n_lags = int(max(1, min(10, longest // 5))) if lags is None else lags
    if whole_number(n_lags, "lags", least=1) >= longest:
        raise ValueError(f"lags={n_lags} must lie between 1 and {longest - 1}")
    refitted, given = against_refits(
        res, null, n_refits, lambda pool, plan: _among_refits(pool, plan, layout, u, alternative, method, n_lags)
    )
    if refitted is not None:
        return refitted
    pool = None if analytic_null_holds(res, without_refits(null)) else null_residuals(res)
    if pool is not None:
        u = pool.comparable(u)
    series = layout.split(u)
    used = vary(series)
    if not used:
        raise ValueError("the residuals do not vary within any series")
    exact = (len(used) == 1 and used[0].size < EXACT_BELOW) if exact is None else exact
    if exact and len(used) > 1:
        raise ValueError("the exact p-value exists for a single series only")
    error = 0.0
    if method == "durbin-watson":
        statistic, pvalue = pooled_durbin_watson(used, alternative, exact)
        label = "Durbin-Watson, " + ("exact" if exact else "normal")
    else:
        statistic, pvalue = ljung_box(used, n_lags)
        label = f"Ljung-Box, {n_lags} lags"
        if u.size < PERMUTED_BELOW:
            permuted = permuted_ljung_box(used, n_lags, generator(res, "temporal permutation"))
            pvalue = simulation_pvalue(statistic, permuted, "greater")
            error = monte_carlo_error(pvalue, permuted.size, "greater")
            label += ", permutation"
    notes = [*given, *layout.notes, *_left_out(len(used), len(series))]
    if pool is not None:
        simulated = np.array([serial_statistic(layout.split(v), method, n_lags) for v in pool.replicates])
        tail = TAIL_OF_DURBIN_WATSON[alternative] if method == "durbin-watson" else "greater"
        pvalue = simulation_pvalue(statistic, simulated, tail)
        error = monte_carlo_error(pvalue, simulated.size, tail)
        notes.append(pool.note)
    acf = autocorrelations(used, n_lags)
    total = sum(e.size for e in used)
    return AutocorrelationResult(
        statistic=statistic,
        pvalue=pvalue,
        alternative=alternative,
        method=label,
        n_obs=u.size,
        # centring each series makes its autocorrelations -1/n on average
        effect=Effect(
            "autocorrelation",
            float(acf[0]),
            -len(used) / total,
            autocorrelation_interval(float(acf[0]), total),
        ),
        monte_carlo_error=error,
        null="analytic" if pool is None else "simulated",
        notes=tuple(notes),
        autocorrelation=acf,
        series=_table(layout, series),
        times=layout.table(u),
    )


def _left_out(n_used: int, n_series: int) -> list[str]:
    if n_used == n_series:
        return []
    return [f"{n_series - n_used} of {n_series} series are too short or constant: left out."]


def _among_refits(
    pool: RefitPool, plan: Plan, layout: _Layout, u: FloatArray, alternative: str, method: str, n_lags: int
) -> AutocorrelationResult:
    """Compare the statistic with that of refits, residuals known up to a cell at its middle."""

    def components(data: FittedData) -> FloatArray:
        series = layout.split(middle(data.lower, data.upper))
        used = vary(series)
        if not used:
            raise ValueError("the residuals do not vary within any series")
        return np.array([serial_statistic(series, method, n_lags), autocorrelations(used, 1)[0]])

    series = layout.split(middle(pool.own.lower, pool.own.upper))
    used = vary(series)
    sizes = np.array([e.size for e in used])
    if method == "durbin-watson":
        sd = float(np.sqrt(np.sum(sizes**2 * np.array([durbin_watson_variance(n) for n in sizes])))) / sizes.sum()
        tail = TAIL_OF_DURBIN_WATSON[alternative]
        theory, limits = (lambda x: normal_pvalue(x / sd, tail)), normal_limits(sd, tail)
        label, power = "Durbin-Watson", 1.0
    else:
        from scipy.special import chdtrc, chdtri

        df = int(np.minimum(n_lags, sizes - 1).sum())
        # of few refits the mean is taken off, which is that of the chi-square
        theory, limits = (lambda q: float(chdtrc(df, max(q + df, 0.0)))), (-np.inf, float(chdtri(df, LEVEL)) - df)
        tail, label, power = "greater", f"Ljung-Box, {n_lags} lags", 0.5
    found = compare(
        pool,
        plan,
        ("temporal", method, n_lags, digest(layout.order, layout.cell, layout.starts)),
        components,
        lambda x: x[:, 0],
        theory,
        alternative=tail,
        theory_limits=limits,
    )
    r, null = float(found.own[1]), float(found.centre[1])
    return AutocorrelationResult(
        statistic=float(found.own[0]),
        alternative=alternative,
        method=label,
        n_obs=layout.order.size,
        effect=Effect("autocorrelation", r, null, found.around(r, null, float(1.96 / np.sqrt(sizes.sum())), power)),
        notes=(*layout.notes, *_left_out(len(used), len(series)), *found.notes),
        autocorrelation=autocorrelations(used, n_lags),
        series=_table(layout, series),
        times=layout.table(u),
        **found.fields,
    )


class _Layout:
    """Which rows make up which time of which series.

    Attributes
    ----------
    order : ndarray of int (n,)
        Rows by series and time.
    cell : ndarray of int (n,)
        For these the number of their time, counted through all series.
    size : ndarray of int (m,)
        Rows at each time.
    starts : ndarray of int
        First time of each series.
    labels : list
        Of the series.
    notes : list of str
        What a user should know about repeated times.
    """

    def __init__(self, time: FloatArray, by: Any) -> None:
        codes = np.zeros(time.size, dtype=np.intp)
        self.labels: list[Any] = ["all"]
        if by is not None:
            category = by.astype("category").cat.remove_unused_categories()
            codes = category.cat.codes.to_numpy().astype(np.intp)
            self.labels = list(category.cat.categories)
        self.order = np.lexsort((time, codes))
        t, c = time[self.order], codes[self.order]
        new = np.concatenate([[True], (t[1:] != t[:-1]) | (c[1:] != c[:-1])])
        self.cell = np.cumsum(new) - 1
        self.size = np.bincount(self.cell)
        self.starts = np.flatnonzero(np.diff(c[new], prepend=-1))
        repeated = int(time.size - self.size.size)
        self.notes = [f"{repeated} rows share their time with another and were combined{_of_series(by)}."]
        self.notes *= repeated > 0

    def table(self, u: FloatArray) -> pd.DataFrame:
        """What is tested: the combined residual of every time of every series, in order."""
        import pandas as pd

        labels = pd.Series(self.labels, dtype=object).to_numpy()  # of an array of tuples numpy would make a matrix
        lengths = np.diff(np.append(self.starts, self.size.size))
        return pd.DataFrame(
            {
                "series": np.repeat(labels, lengths),
                "row": self.order[np.searchsorted(self.cell, np.arange(self.size.size))],
                "n": self.size,
                "residual": shown(combine(u[self.order], self.cell), self.size),
            }
        )

    def split(self, u: FloatArray) -> list[FloatArray]:
        """Centred series, in order of time."""
        value = combine(u[self.order], self.cell)
        return [e - e.mean() for e in np.split(value, self.starts[1:])]


def _of_series(by: Any) -> str:
    """How to tell series apart whose numbers are used again elsewhere."""
    if by is None:
        return "; by= names the series they belong to"
    numbers = by.dtype.kind in "iu" and by.min() in (0, 1)
    return "; if series are numbered anew in each region, pass by=['region', 'series']" if numbers else ""


def _table(layout: _Layout, series: list[FloatArray]) -> Any:
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    for label, e in zip(layout.labels, series, strict=True):
        if e.size < 3 or np.ptp(e) == 0:
            rows.append((label, e.size, None, None, None))
            continue
        d = durbin_watson(e)
        p = durbin_watson_pvalue(d, e.size, exact=e.size < EXACT_BELOW)
        rows.append((label, e.size, d, float(autocorrelations([e], 1)[0]), p))
    columns = ["series", "n", "statistic", "autocorrelation", "pvalue"]
    return pd.DataFrame(rows, columns=columns).set_index("series")


def _along_time(asked: Request) -> dict[str, dict[str, Any]]:
    if asked.time is None:
        return {}
    series = None if asked.by is None else asked.column(asked.by, "by")
    return {"temporal autocorrelation": {"time": asked.column(asked.time, "time"), "by": series}}


TEMPORAL = ResidualTest(
    name="temporal autocorrelation",
    title="Time",
    test=temporal_autocorrelation_test,
    result=AutocorrelationResult,
    takes_arrays=True,
    limits={"autocorrelation": AUTOCORRELATION_LIMITS},
    word=lambda result: "correlated in time",
    size_name="r",
    along=_along_time,
    short_name="autocorr. in time",
)
