r"""Test residuals within categories and between them.

Within each level the residuals are tested for uniformity (Kolmogorov-Smirnov, see
`simresid.checks.uniformity`) and the p-values adjusted by Holm's method. Between levels, Levene's test with
medians (Brown & Forsythe 1974) is a one-way analysis of variance of :math:`|u - \tilde u_{level}|`. Levels with
fewer than ten rows measure from 1/2, the median that a right model gives: the two deviations of a pair from its own
median are equal, so that the variance within pairs would be rounding error, and of three or five rows one
deviation is always zero, so that the test would never reject. The overall p-value is twice the smaller of the
smallest adjusted p-value and Levene's.

Compared with refits (`simresid.checks.nulls`), the distances are those of the mean distribution function over all ways
to break ties, the worst level is that with the largest :math:`\sqrt{n_l D_l\,\mathrm{artanh} D_l}`, and the spread is
the analysis of variance of :math:`E|u_i - 1/2|` over the cell of each residual. Each of both parts is put into its
standard deviations over data and refits, and the larger is the statistic. For small distances the measure of a level
is :math:`\sqrt{n_l} D_l`. Those of few rows end at 1, next to which what they owe to the estimates is no longer
proportional to these; half the rate of large deviations of a binomial share around 1/2,
:math:`2 D\,\mathrm{artanh} D`, has no end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simresid.checks._mean_cdf import absolute_deviation, largest_distance
from simresid.checks._null import analytic_null_holds, null_residuals
from simresid.checks.base import CheckResult, Effect, with_dispersion
from simresid.checks.basis import terms_of
from simresid.checks.entry import ResidualTest
from simresid.checks.inputs import FloatArray, Residuals, aligned, residual_array
from simresid.checks.nulls.choice import NullKind, against_refits, without_refits
from simresid.checks.nulls.comparison import LEVEL, compare, digest
from simresid.checks.nulls.fitted_data import FittedData
from simresid.checks.nulls.plan import FEWEST_TO_RANK, Plan
from simresid.checks.nulls.refit_pool import RefitPool
from simresid.checks.pvalues import floor_pvalue, holm, monte_carlo_error, simulation_pvalue
from simresid.checks.uniformity import ks_distances, ks_pvalues, ks_statistic

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CATEGORIES", "CategoricalResult", "categorical_test", "levene"]

NOT_COMPARABLE = "Spread cannot be compared: that needs two levels and more rows than levels."
#: Values of the replicates that are worked on at a time.
BLOCK_VALUES = 1_000_000
#: Rows from which on a level's own median is the centre of its deviations.
MEDIAN_FROM = 10
#: Distance to which larger ones, such as 1, are set where 1 is infinitely far.
_NEXT_TO_1 = 1.0 - 1e-12
#: Variance of deviations, which lie in [0, 1], below which there is rounding error only.
NO_VARIANCE = 1e-20


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CategoricalResult(CheckResult):
    """Uniformity within each category and equal spread between them.

    Attributes
    ----------
    levels : DataFrame
        One row per level: ``n``, ``statistic``, ``pvalue``, ``pvalue_adjusted`` (Holm), ``mean`` of the residuals
        (1/2 if right) and ``spread``, their mean distance from 1/2 (1/4 if right).
    uniformity_pvalue : float
        Smallest adjusted p-value.
    homogeneity_statistic, homogeneity_pvalue : float or None
        Levene's test around medians; None when there is nothing to compare.
    category : str
        As a formula would name it; empty for values without a name.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import categorical_test
    >>> u = np.r_[np.linspace(0.02, 0.98, 30), np.linspace(0.4, 0.6, 30)]
    >>> result = categorical_test(u, np.repeat(["wide", "narrow"], 30))
    >>> result.homogeneity_pvalue < 0.001, list(result.levels.index)
    (True, ['narrow', 'wide'])
    """

    levels: pd.DataFrame
    uniformity_pvalue: float
    homogeneity_statistic: float | None
    homogeneity_pvalue: float | None
    category: str = ""
    title = "categories"

    @property
    def spread_differs(self) -> bool:
        """Whether it is the spread rather than the mean of the residuals by which levels depart.

        Where both parts of the test reject, what is further off in standard errors of independent uniforms.
        """
        p = self.homogeneity_pvalue
        if p is None or max(p, self.uniformity_pvalue) >= LEVEL:
            return p is not None and p < self.uniformity_pvalue
        n, mean, spread = (self.levels[column].to_numpy() for column in ("n", "mean", "spread"))
        return bool(np.max(np.sqrt(48 * n) * np.abs(spread - 0.25)) > np.max(np.sqrt(12 * n) * np.abs(mean - 0.5)))

    def _remedy(self) -> str:
        if self.spread_differs:
            return (
                "the spread differs between the levels: model the dispersion by this category, as in "
                f"{with_dispersion(self.category or 'category')}"
            )
        smallest = self.levels[self.levels["pvalue"] == self.levels["pvalue"].min()]
        worst = (smallest["statistic"] * np.sqrt(smallest["n"])).idxmax()
        return f"level {worst} departs most: add this category to the model, or an interaction with it"


def categorical_test(
    res: Residuals, categories: Any, *, null: NullKind = "auto", n_refits: int | None = None
) -> CategoricalResult:
    """Test uniformity within each category and equal spread between categories.

    Parameters
    ----------
    res : SimulatedResiduals or array_like (n,)
        Residuals to test; plain ones must lie in [0, 1].
    categories : array_like (n,) or str
        Level of each row, or a column of the model's data. Unused levels are ignored.
    null : {"auto", "refits", "simulated", "analytic"}
        As in `uniformity_test`.
    n_refits : int, optional
        As in `uniformity_test`.

    Returns
    -------
    CategoricalResult
        `levels` has one row per level; `homogeneity_pvalue` is None if no two levels can be compared.

    Raises
    ------
    ValueError
        If a category is missing or the length differs.

    Examples
    --------
    >>> import numpy as np
    >>> from simresid import categorical_test
    >>> u = (np.arange(60) + 0.5) / 60
    >>> result = categorical_test(u, np.tile(["a", "b"], 30))
    >>> [str(level) for level in result.levels.index], bool(result.uniformity_pvalue > 0.9)
    (['a', 'b'], True)
    """
    u = residual_array(res)
    series = aligned(categories, res, "categories")
    try:
        series = series.astype("category").cat.remove_unused_categories()
    except TypeError:
        raise ValueError(f"categories holds {series.iloc[0]!r}, which cannot be a level; use text") from None
    name, drawn = terms_of(categories), u
    codes, names = series.cat.codes.to_numpy(), series.cat.categories
    members = [np.flatnonzero(codes == k) for k in range(names.size)]
    refitted, given = against_refits(
        res, null, n_refits, lambda pool, plan: _among_refits(pool, plan, names, codes, members, drawn)
    )
    if refitted is not None:
        return replace(refitted, category=name)
    pool = None if analytic_null_holds(res, without_refits(null)) else null_residuals(res)
    if pool is not None:
        u = pool.comparable(u)
    statistic = np.array([ks_statistic(u[rows], "two-sided") for rows in members])
    homogeneity = levene(u, codes)
    notes = list(given)
    error = 0.0
    if pool is not None:
        replicates = pool.replicates
        simulated = [ks_distances(replicates[:, rows]) for rows in members]
        pvalue = np.array([simulation_pvalue(d, s, "greater") for d, s in zip(statistic, simulated, strict=True)])
        if homogeneity is not None:
            null_f = levene_statistics(replicates, codes)
            homogeneity = homogeneity[0], simulation_pvalue(homogeneity[0], null_f[np.isfinite(null_f)], "greater")
        error = monte_carlo_error(float(pvalue.min()), replicates.shape[0], "greater")
        notes.append(pool.note)
    else:
        size = np.array([rows.size for rows in members])
        exact = np.array([np.unique(u[rows]).size == rows.size for rows in members])
        pvalue = ks_pvalues(statistic, size, exact)
    if homogeneity is None:
        notes.append(NOT_COMPARABLE)
    adjusted = holm(pvalue)
    smallest = float(adjusted.min())
    overall = smallest if homogeneity is None else min(1.0, 2 * min(smallest, homogeneity[1]))
    return CategoricalResult(
        statistic=float(statistic.max()),
        pvalue=overall,
        alternative="two-sided",
        method="Kolmogorov-Smirnov per level, Levene between",
        n_obs=u.size,
        effect=_effect(members, statistic, pvalue),
        monte_carlo_error=error,
        null="analytic" if pool is None else "simulated",
        notes=tuple(notes),
        levels=_levels(names, members, drawn, statistic, pvalue, adjusted),
        uniformity_pvalue=smallest,
        homogeneity_statistic=None if homogeneity is None else homogeneity[0],
        homogeneity_pvalue=None if homogeneity is None else homogeneity[1],
        category=name,
    )


def _among_refits(
    pool: RefitPool, plan: Plan, names: Any, codes: Any, members: list[Any], u: FloatArray
) -> CategoricalResult:
    """Compare the distance within the worst level and the spread between levels with those of refits."""
    sizes = np.array([rows.size for rows in members])
    n_levels = sizes.size
    comparable = 1 < names.size < codes.size

    def components(data: FittedData) -> FloatArray:
        distances = level_distances(data, members)
        f = spread_between(absolute_deviation(data.lower, data.upper), codes) if comparable else 0.0
        measures = _measures(distances, sizes)
        # both parts first: what they owe to the estimates shows in them, hardly in one level
        return np.concatenate([[measures.max(), np.sqrt(max(f, 0.0))], measures, distances])

    def evidence(x: FloatArray) -> FloatArray:
        """The larger of both parts, each in its own standard deviations over data and refits."""
        parts = x[:, : 2 if comparable else 1]
        spread = parts.std(axis=0)
        return np.asarray(((parts - parts.mean(axis=0)) / np.where(spread > 0, spread, 1.0)).max(axis=1))

    by_theory = _by_theory(sizes, codes, comparable)
    found = compare(
        pool,
        plan,
        ("categories", digest(codes)),
        components,
        lambda x: evidence(x) if len(x) > FEWEST_TO_RANK else by_theory(x),
        lambda t: min(1.0, 2 * 10.0**-t),
        theory_limits=(-np.inf, float(-np.log10(LEVEL / 2))),
        centre_by="zero",
    )
    (worst, spread), measures, own = np.split(found.own, [2, 2 + n_levels])
    values = found.components
    if found.n_refits >= FEWEST_TO_RANK:
        each = values[:, 2 : 2 + n_levels].T
        pvalue = np.array([simulation_pvalue(*pair, "greater") for pair in zip(measures, each, strict=True)])
        uniformity = simulation_pvalue(float(worst), values[:, 0], "greater")
        homogeneity = simulation_pvalue(float(spread), values[:, 1], "greater")
    else:
        pvalue = ks_pvalues(own, sizes, np.zeros(sizes.size, dtype=bool))
        uniformity = float(holm(pvalue).min())
        homogeneity = levene_pvalue(float(spread) ** 2, codes)
    at = int(np.argmax(measures))
    low, high = found.around(float(own[at]), 0.0, float(1.3581 / np.sqrt(sizes[at])))
    notes = [] if comparable else [NOT_COMPARABLE]
    return CategoricalResult(
        statistic=float(own.max()),
        alternative="two-sided",
        method="distance per level, spread between",
        n_obs=codes.size,
        effect=Effect("largest distance within a level", float(own[at]), 0.0, (max(0.0, low), min(1.0, high))),
        notes=(*notes, *found.notes),
        levels=_levels(names, members, u, own, pvalue, holm(pvalue)),
        uniformity_pvalue=uniformity,
        homogeneity_statistic=float(spread) ** 2 if comparable else None,
        homogeneity_pvalue=homogeneity if comparable else None,
        **found.fields,
    )


def level_distances(data: FittedData, members: list[Any]) -> FloatArray:
    """Largest distance of the mean distribution function of each level from the uniform one ``(n_levels,)``."""
    return np.array([largest_distance(data.lower[rows], data.upper[rows]) for rows in members])


def _measures(distances: FloatArray, sizes: NDArray[np.intp]) -> FloatArray:
    """Distances of levels as comparable as root n times them, without an end at 1 ``(n_levels,)``."""
    return np.asarray(np.sqrt(sizes * distances * np.arctanh(np.minimum(distances, _NEXT_TO_1))))


def _by_theory(sizes: NDArray[np.intp], codes: Any, comparable: bool) -> Callable[[FloatArray], FloatArray]:
    """Evidence for few refits of very many rows, from the p-values of independent uniforms."""

    def evidence(x: FloatArray) -> FloatArray:
        tied = np.zeros(sizes.size, dtype=bool)
        smallest = [float(holm(ks_pvalues(row[2 + sizes.size :], sizes, tied)).min()) for row in x]
        spread = [levene_pvalue(float(row[1]) ** 2, codes) if comparable else 1.0 for row in x]
        return np.asarray(-np.log10(np.minimum(smallest, spread)))

    return evidence


def spread_between(z: FloatArray, codes: Any) -> float:
    """F statistic of a one-way analysis of variance of `z` ``(n,)``; 0 where it does not vary."""
    size = np.bincount(codes)
    mean = np.bincount(codes, weights=z) / size
    within = float(np.sum((z - mean[codes]) ** 2)) / (z.size - size.size)
    between = float(np.sum(size * (mean - z.mean()) ** 2)) / (size.size - 1)
    return between / within if within > NO_VARIANCE else 0.0


def levene_pvalue(f: float, codes: Any) -> float:
    """P-value of an F statistic between levels."""
    from scipy.special import fdtrc

    n_levels = int(codes.max()) + 1
    return floor_pvalue(fdtrc(n_levels - 1, codes.size - n_levels, f))


def levene(u: FloatArray, codes: Any) -> tuple[float, float] | None:
    """Compute Levene's statistic and its p-value, around medians or, in levels of few rows, around 1/2.

    None with fewer than two levels, no degrees of freedom or no spread within levels.

    Parameters
    ----------
    u : ndarray (n,)
    codes : ndarray of int (n,)
        Level of each row, 0 to number of levels minus 1.

    Examples
    --------
    >>> import numpy as np
    >>> statistic, pvalue = levene(np.array([0.1, 0.7, 0.9, 0.4, 0.5, 0.6]), np.array([0, 0, 0, 1, 1, 1]))
    >>> round(statistic, 4)  # deviations .4, .2, .4 and .1, 0, .1 from 1/2
    12.8
    """
    from scipy.special import fdtrc

    n_levels = int(codes.max()) + 1
    f = float(levene_statistics(u[None, :], codes)[0])
    if not np.isfinite(f):
        return None
    return f, floor_pvalue(fdtrc(n_levels - 1, u.size - n_levels, f))


def levene_statistics(u: FloatArray, codes: Any) -> FloatArray:
    """Levene's statistics of the rows of `u` ``(m, n)``, NaN where `levene` gives None."""
    n_levels = int(codes.max()) + 1
    out = np.full(len(u), np.nan)
    if n_levels < 2 or codes.size <= n_levels:
        return out
    size = np.bincount(codes, minlength=n_levels)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(size)[:-1])
    centre = np.stack([_centre(u[:, rows]) for rows in members], axis=1)
    step = max(1, BLOCK_VALUES // codes.size)
    for first in range(0, len(u), step):
        block = u[first : first + step]
        cell = (np.arange(len(block))[:, None] * n_levels + codes).ravel()
        z = np.abs(block - centre[first : first + step][:, codes])
        mean = np.bincount(cell, weights=z.ravel(), minlength=len(block) * n_levels).reshape(-1, n_levels) / size
        between = np.sum(size * (mean - z.mean(axis=1, keepdims=True)) ** 2, axis=1) / (n_levels - 1)
        within = np.sum((z - mean[:, codes]) ** 2, axis=1) / (codes.size - n_levels)
        np.divide(between, within, out=out[first : first + step], where=within > NO_VARIANCE)
    return out


def _centre(u: FloatArray) -> FloatArray:
    """What the deviations of a level's residuals ``(m, rows)`` are taken from ``(m,)``."""
    return np.asarray(np.median(u, axis=1)) if u.shape[1] >= MEDIAN_FROM else np.full(len(u), 0.5)


def _effect(members: list[Any], statistic: FloatArray, pvalue: FloatArray) -> Effect:
    worst = int(np.argmin(pvalue))
    d, slack = float(statistic[worst]), 1.3581 / np.sqrt(members[worst].size)
    return Effect("largest distance within a level", d, 0.0, (max(0.0, d - slack), min(1.0, d + slack)))


def _levels(
    names: Any, members: list[Any], u: FloatArray, statistic: FloatArray, pvalue: FloatArray, adjusted: FloatArray
) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "n": [rows.size for rows in members],
            "statistic": statistic,
            "pvalue": pvalue,
            "pvalue_adjusted": adjusted,
            "mean": [float(np.mean(u[rows])) for rows in members],
            "spread": [float(np.mean(np.abs(u[rows] - 0.5))) for rows in members],
        },
        index=pd.Index(names, name="level"),
    )


def _word(result: CategoricalResult) -> str:
    return "spread differs" if result.spread_differs else "levels differ"


CATEGORIES = ResidualTest(
    name="categories",
    title="Categories",
    test=categorical_test,
    result=CategoricalResult,
    takes_arrays=True,
    limits={"largest distance within a level": (0.05, 0.15)},
    word=_word,
    size_name="distance",
    along=lambda asked: asked.each(asked.categories, "categories", "categories of"),
)
