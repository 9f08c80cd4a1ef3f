r"""A statistic of the data among the same statistic of refits.

A test gives *components*, a vector per data set (values of the mean distribution function, score sums, a ratio), and a
*distance* from the centre of the components to a number. The centre is made of the data and all refits, so that it
treats the `B + 1` data sets alike and the rank p-value :math:`(1 + \#\{T_j \ge T\}) / (1 + B)` keeps its level
whatever a fit does to the components on average. What differs between data sets because their fits have different
estimates is taken out before (`simresid.checks.nulls.fitted_law`).

The centre of a number is the mean. Components of which theory expects something (`simresid.checks._expected`) are
taken from there, and from their mean as far as that is more than noise: its distance `m` from the expected value, in
each direction, is multiplied by :math:`\max(0, 1 - 4 v / m^2)`, `v` the variance of a mean of as many refits. The bias
of a fit, which would hide departures in the other direction, is taken out; where theory knows it, the noise of its
estimate from few refits does not enter the statistic, and p-values vary with the seed as ranks among refits do. What
is left of the mean beside the directions is taken out likewise with `v` the variance of the refits and 1 for 4: only
where it exceeds their standard deviation, so that all of them would be far from the centre for nothing.

Beyond all refits the tail is continued down to 1e-6 (`simresid.checks.pvalues.continued_pvalue`).

Fewer than 39 refits cannot reject by rank. They give the mean of the components; what lies between it and the data,
over :math:`\sqrt{1 + 1/B}`, is referred to the test's theoretical distribution, whose spread is at least that of a
fitted model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simresid.alignment import FloatArray
from simresid.checks._refits import failed_refits
from simresid.checks.nulls.fitted_data import FittedData
from simresid.checks.nulls.fitted_law import owed_to_law
from simresid.checks.nulls.plan import FEWEST_TO_RANK, Plan
from simresid.checks.nulls.refit_pool import RefitPool, RefitsFailed
from simresid.checks.pvalues import (
    continued_pvalue,
    continued_quantile,
    monte_carlo_error,
    rank_pvalues,
    simulation_pvalue,
    smallest_continued_pvalue,
)

__all__ = ["LEVEL", "Comparison", "Expected", "compare", "digest", "limits_of", "normal_limits", "significant_limits"]


LEVEL = 0.05
"""Of the intervals."""

MOST_SHARE = 1e6
"""Half an interval by the effect, at most: where there is no effect its interval has no scale."""


CERTAIN = 4.0
"""Squared standard errors by which a mean must differ from what theory expects to be believed in part."""


LEAST_SHARE = 1e-9
"""Of the mean of positive components: what is smaller counts as so much."""


class Expected(NamedTuple):
    """What theory expects of the components of a fitted right model.

    Attributes
    ----------
    values : ndarray (k,)
    directions : ndarray (d, k) or None
        In which the components may differ from it by less than the spread of refits, orthonormal under `weights`; by
        default in all.
    weights : ndarray (k,) or None
    """

    values: FloatArray
    directions: FloatArray | None = None
    weights: FloatArray | None = None


CentreBy: TypeAlias = Literal["mean", "median", "zero"] | Expected


@dataclass(frozen=True, eq=False)
class Comparison:
    """The data among refits.

    Attributes
    ----------
    statistic : float
        Distance of the data from the centre.
    null : ndarray (m,)
        The same of the refits that succeeded.
    own : ndarray (k,)
        Components of the data.
    centre : ndarray (k,)
        Where the components of refits lie that have the estimates of the data.
    pvalue, monte_carlo_error : float
    n_refits : int
        Refits that were used.
    components : ndarray (m, k)
        Of these refits.
    limits : tuple of float
        Statistics between these have p >= .05 in a two-sided test; for one-sided statistics the first is -inf.
    ranks : ndarray (1 + count,) or None
        Rank p-value of the data, first, and of every replicate among all of them, NaN where a refit failed; None of
        few refits.
    notes : tuple of str
    """

    statistic: float
    null: FloatArray
    own: FloatArray
    centre: FloatArray
    pvalue: float
    monte_carlo_error: float
    n_refits: int
    components: FloatArray
    limits: tuple[float, float]
    ranks: FloatArray | None
    notes: tuple[str, ...]

    @property
    def share(self) -> float:
        """Smallest significant statistic in the direction of the data's, in parts of the latter: below 1 if p < .05."""
        limit = self.limits[1] if self.statistic >= 0 else self.limits[0]
        return min(max(limit / self.statistic, 0.0), MOST_SHARE) if self.statistic != 0 else MOST_SHARE

    def around(self, value: float, null: float, usual: float, power: float = 1.0) -> tuple[float, float]:
        """Interval of an effect that grows with the statistic's `power`: contains `null` where p is .05 or more.

        Parameters
        ----------
        value, null : float
            Effect of the data, and of a right model.
        usual : float
            Half of the interval to be expected, for effects close to `null`, which the statistic gives no scale.
        power : float
        """
        size = abs(value - null)
        half = size * self.share**power
        if half < size:
            return value - half, value + half
        half = min(half, usual)  # never rounded to an end beside `null`
        return min(value - half, null), max(value + half, null)

    @property
    def fields(self) -> dict[str, Any]:
        """What every result says about its null distribution."""
        return {
            "pvalue": self.pvalue,
            "monte_carlo_error": self.monte_carlo_error,
            "null": "refits",
            "n_refits": self.n_refits,
            "ranks": self.ranks,
        }


def compare(
    pool: RefitPool,
    plan: Plan,
    key: Any,
    components: Callable[[FittedData], FloatArray],
    distance: Callable[[FloatArray], FloatArray],
    theory: Callable[[float], float],
    *,
    alternative: str = "greater",
    theory_limits: tuple[float, float],
    centre_by: CentreBy = "mean",
    continued: bool = True,
    in_proportion: bool = False,
) -> Comparison:
    """Compare the data with refits, as many as the plan and the outcome ask for.

    Parameters
    ----------
    pool : RefitPool
    plan : Plan
    key : hashable
        Names the components, so that another call finds them.
    components : callable
        ``(k,)`` of a `FittedData`.
    distance : callable
        ``(m,)`` of centred components ``(m, k)``.
    theory : callable
        P-value of a distance, for few refits.
    alternative : {"two-sided", "greater", "less"}
    theory_limits : tuple of float
        Distances between which `theory` gives .05 or more.
    centre_by : {"mean", "median", "zero"} or Expected
        Where components are measured from.
    continued : bool
        Whether the tail beyond the refits is known to be no heavier than an exponential one.
    in_proportion : bool
        Whether positive components owe to the estimates a share of themselves, as a number far below one does.

    Raises
    ------
    RefitsFailed
        If more than half of the refits fail.
    """
    own = np.asarray(components(pool.own), dtype=float)
    for count in plan.rounds:
        made = pool.values(key, components, count)
        if count > plan.rounds[0] and pool.size < count:
            break  # out of time: the result of the round before stands
        values, usable = made, len(made)
        if 2 * usable < count:
            failures = pool.failures(count)
            why = f", the first because {failures[0].reason}" if failures else ""
            raise RefitsFailed(pool.stopped or f"{count - usable} of {count} refits failed{why}")
        if usable < FEWEST_TO_RANK:
            centre = values.mean(axis=0) * (centre_by != "zero")
            noise = float(np.sqrt(1 + 1 / usable)) if centre_by != "zero" else 1.0
            statistic, pure = (float(distance((own - centre)[None, :] / factor)[0]) for factor in (1.0, noise))
            null = distance(values - centre)
            pvalue, error = max(theory(pure), smallest_continued_pvalue), 0.0
            inflation = statistic / pure if pure != 0.0 else 1.0  # by the noise of the centre
            limits, ranks = (theory_limits[0] * inflation, theory_limits[1] * inflation), None
        else:
            everything = np.vstack([own[None, :], values])
            laws = pool.laws(key, count)
            owed = (_owed_share if in_proportion and everything.min() > 0 else owed_to_law)(everything, laws)
            centre = _centre(everything - owed, centre_by)
            both = distance(everything - owed - centre)
            # as if all had been fitted with the law of the data
            values, centre = values - owed[1:] + owed[0], centre + owed[0]
            statistic, null = float(both[0]), both[1:]
            pvalue = (continued_pvalue if continued else simulation_pvalue)(statistic, null, alternative)
            error = monte_carlo_error(pvalue, usable, alternative)
            limits = significant_limits(null, alternative, continued=continued)
            ranks = _at_replicates(rank_pvalues(both, alternative), pool.usable(key, count))
        if plan.is_settled(count, pvalue):
            break
    notes = _failure_notes(pool, count, usable, pvalue, alternative)
    return Comparison(statistic, null, own, centre, pvalue, error, usable, values, limits, ranks, tuple(notes))


def _owed_share(components: FloatArray, laws: FloatArray) -> FloatArray:
    """Part of positive `components` ``(m, k)`` that goes with the laws of refits instead of that of the data, first.

    The regression is that of their logarithms, down to `LEAST_SHARE` of their mean.
    """
    logs = np.log(np.maximum(components, LEAST_SHARE * components.mean(axis=0)))
    owed = owed_to_law(logs, laws)
    return np.asarray(-components * np.expm1(owed[0] - owed))


def _at_replicates(pvalues: FloatArray, usable: NDArray[np.bool_]) -> FloatArray:
    """P-values of the data and of the replicates that are `usable`, NaN at the others."""
    out = np.full(1 + usable.size, np.nan)
    out[np.r_[True, usable]] = pvalues
    return out


def _centre(values: FloatArray, centre_by: CentreBy) -> FloatArray:
    """Centre of the rows of `values` ``(m, k)``."""
    if isinstance(centre_by, str):
        middle = np.median(values, axis=0) if centre_by == "median" else values.mean(axis=0)
        return np.asarray(middle * (centre_by != "zero"))
    expected, directions, weights = centre_by
    noise = CERTAIN / len(values)
    if directions is None:
        return np.asarray(expected + _mean_beyond(values - expected, noise))
    found = values - expected
    found = (found if weights is None else found * weights) @ directions.T
    centre = expected + _mean_beyond(found, noise) @ directions
    return np.asarray(centre + _mean_beyond(values - centre, 1.0))


def _mean_beyond(values: FloatArray, variances: float) -> FloatArray:
    """Mean of every column of `values` ``(m, k)``, less where its square is not many times so many of its variances."""
    mean, variance = values.mean(axis=0), values.var(axis=0, ddof=1)
    share = np.maximum(0.0, 1.0 - variances * variance / np.maximum(np.square(mean), 1e-300))
    return np.asarray(share * mean)


def digest(*arrays: NDArray[Any]) -> str:
    """Name components by the arrays that they are made with."""
    out = blake2b(digest_size=16)
    for array in arrays:
        out.update(np.ascontiguousarray(array).tobytes())
    return out.hexdigest()


def limits_of(quantile: Callable[[float], Any], alternative: str) -> tuple[float, float]:
    """Statistics between which a p-value is .05 or more, from the quantiles of their law.

    Examples
    --------
    >>> limits_of(lambda share: 100 * share, "greater")
    (-inf, 95.0)
    """
    tail = LEVEL / 2 if alternative == "two-sided" else LEVEL
    low = float(quantile(tail)) if alternative != "greater" else -np.inf
    return low, float(quantile(1 - tail)) if alternative != "less" else np.inf


def normal_limits(sd: float, alternative: str) -> tuple[float, float]:
    """The same of a normal statistic with mean 0.

    Examples
    --------
    >>> [round(limit, 2) for limit in normal_limits(2.0, "two-sided")]
    [-3.92, 3.92]
    """
    from scipy.special import ndtri

    return limits_of(lambda share: sd * ndtri(share), alternative)


def significant_limits(null: FloatArray, alternative: str, *, continued: bool) -> tuple[float, float]:
    """Statistics between which the p-value of `compare` is .05 or more; infinite where no statistic is significant."""
    tail = LEVEL / 2 if alternative == "two-sided" else LEVEL
    low = -_upper_limit(-null, tail, continued) if alternative != "greater" else -np.inf
    return low, _upper_limit(null, tail, continued) if alternative != "less" else np.inf


def _upper_limit(null: FloatArray, tail: float, continued: bool) -> float:
    allowed = int(np.ceil(tail * (null.size + 1) - 1e-9)) - 2  # exceedances that are still significant
    if allowed >= 0:
        return float(np.sort(null)[-(allowed + 1)])
    return max(float(null.max()), continued_quantile(null, tail)) if continued else np.inf


def _failure_notes(pool: RefitPool, count: int, usable: int, pvalue: float, alternative: str) -> list[str]:
    tried = min(count, pool.size)
    notes = failed_refits(tried - usable, usable, pvalue, alternative)
    if tried < count:
        notes.append(f"Of {count} refits {usable} were used: {pool.stopped}.")
    return notes
