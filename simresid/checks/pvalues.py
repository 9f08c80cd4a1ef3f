"""Conventions for p-values: simulation ranks, their Monte Carlo error, multiplicity and weighted chi-squares.

A p-value from `M` simulations is a rank among ``M + 1`` equally likely places, so it is ``(1 + k) / (1 +
M)``: never zero, and below or at ``alpha`` with a probability of at most ``alpha`` [1]_.

References
----------
.. [1] Phipson, B. and Smyth, G. K. (2010). Permutation p-values should never be zero. Statistical
Applications in
   Genetics and Molecular Biology 9, article 39.
.. [2] Imhof, J. P. (1961). Computing the distribution of quadratic forms in normal variables. Biometrika 48,
419-426.
.. [3] Kuonen, D. (1999). Saddlepoint approximations for distributions of quadratic forms in normal variables.
   Biometrika 86, 929-935.
.. [4] Liu, Y. and Xie, J. (2020). Cauchy combination test. Journal of the American Statistical Association
115,
   393-402.
.. [5] Westfall, P. H. and Young, S. S. (1993). Resampling-based multiple testing. Wiley, New York, algorithm 2.8.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simresid.arguments import check_word

__all__ = [
    "Alternative",
    "cauchy_combination",
    "check_alternative",
    "continued_pvalue",
    "continued_quantile",
    "floor_pvalue",
    "holm",
    "monte_carlo_error",
    "normal_pvalue",
    "quadratic_form_sf",
    "quadratic_form_tail",
    "rank_pvalues",
    "simulation_pvalue",
    "smallest_continued_pvalue",
    "smallest_pvalue",
    "westfall_young",
]

Alternative: TypeAlias = Literal["two-sided", "greater", "less"]

#: A p-value that underflows is reported as this, never as zero.
smallest_pvalue = 1e-300

#: What a few hundred simulated statistics cannot tell from smaller p-values, and the fewest to continue a tail from.
smallest_continued_pvalue, FEWEST_IN_TAIL = 1e-6, 10

#: Statistics closer than this (relative) count as ties: the same number reached through another order of
#: summation.
_TIE = 1e-12

_NODES = 400
"""Points of the contour integral."""


def check_alternative(alternative: str) -> None:
    """Raise ValueError unless `alternative` is one of the three words."""
    check_word(alternative, "alternative", get_args(Alternative))


def simulation_pvalue(observed: float, simulated: ArrayLike, alternative: str = "two-sided") -> float:
    """Rank p-value of an observed statistic among simulated ones.

    Parameters
    ----------
    observed : float
        Statistic of the observed data.
    simulated : array_like (n_sims,)
        The same statistic of each simulated data set. Ties with `observed` count in both tails.
    alternative : {"two-sided", "greater", "less"}
        Direction in which the observed statistic departs from the simulated ones.

    Returns
    -------
    float
        ``(1 + k) / (1 + n_sims)``; two-sided ``min(1, 2 * min(greater, less))``.

    Raises
    ------
    ValueError
        If a statistic is not finite or the alternative is unknown.

    Examples
    --------
    >>> simulation_pvalue(9.5, range(10), alternative="greater")
    0.09090909090909091
    """
    check_alternative(alternative)
    t = np.asarray(simulated, dtype=float)
    if t.ndim != 1 or t.size == 0:
        raise ValueError("simulated statistics must be a vector with one value per simulation")
    if not (math.isfinite(observed) and np.all(np.isfinite(t))):
        raise ValueError("the statistic is not finite for the observed or for some simulated data")
    slack = _TIE * np.maximum(abs(observed), np.abs(t))
    greater = (1 + np.count_nonzero(t >= observed - slack)) / (1 + t.size)
    less = (1 + np.count_nonzero(t <= observed + slack)) / (1 + t.size)
    if alternative == "greater":
        return float(greater)
    if alternative == "less":
        return float(less)
    return float(min(1.0, 2 * min(greater, less)))


def rank_pvalues(statistics: NDArray[np.float64], alternative: str = "two-sided") -> NDArray[np.float64]:
    """`simulation_pvalue` of each of some statistics among all the others.

    Examples
    --------
    >>> rank_pvalues(np.array([1.0, 4.0, 2.0, 3.0]), "greater")
    array([1.  , 0.25, 0.75, 0.5 ])
    """
    check_alternative(alternative)
    t = np.sort(statistics)
    slack = _TIE * np.abs(statistics)
    greater = (t.size - np.searchsorted(t, statistics - slack, side="left")) / t.size
    less = np.searchsorted(t, statistics + slack, side="right") / t.size
    if alternative == "two-sided":
        return np.asarray(np.minimum(1.0, 2 * np.minimum(greater, less)))
    return np.asarray(greater if alternative == "greater" else less)


def monte_carlo_error(pvalue: float, n_sims: int, alternative: str = "two-sided") -> float:
    """Return the standard error of a simulation p-value due to having only `n_sims` simulations.

    The tail count is binomial, hence ``sqrt(p (1 - p) / n_sims)``; a two-sided value is twice a tail.

    Examples
    --------
    >>> round(monte_carlo_error(0.05, 999, "greater"), 4)
    0.0069
    """
    tail, factor = (pvalue / 2, 2.0) if alternative == "two-sided" else (pvalue, 1.0)
    return float(factor * math.sqrt(max(tail * (1 - tail), 0.0) / n_sims))


def continued_pvalue(observed: float, simulated: ArrayLike, alternative: str = "two-sided") -> float:
    r"""Rank p-value that goes on beyond the last simulated statistic, down to 1e-6.

    With `k` the larger of 10 and a tenth of the `M` statistics, `u` the (k+1)-th largest and `S` the sum of the `k`
    excesses over `u`, a statistic `T` beyond all of them has

    .. math:: p = \frac{k}{M + 1} \Bigl(1 + \frac{T - u}{S}\Bigr)^{-k}.

    This is the predictive distribution of the next excess of an exponential tail, so that for such a tail ``P(p <=
    alpha) = alpha`` whatever its rate. Normal and other lighter tails get larger p-values, heavier ones (such as a
    power of the response) smaller ones: do not use it for those.

    Parameters
    ----------
    observed : float
    simulated : array_like (n_sims,)
    alternative : {"two-sided", "greater", "less"}

    Examples
    --------
    >>> 1e-6 < continued_pvalue(5.0, np.random.default_rng(1).normal(size=250), "greater") < 1e-3
    True
    """
    p = simulation_pvalue(observed, simulated, alternative)
    t = np.asarray(simulated, dtype=float)
    sides = 2.0 if alternative == "two-sided" else 1.0
    if alternative != "less" and observed > t.max():
        p = min(p, sides * _upper_tail(observed, t))
    elif alternative != "greater" and observed < t.min():
        p = min(p, sides * _upper_tail(-observed, -t))
    return max(p, smallest_continued_pvalue)


def _upper_tail(observed: float, t: NDArray[np.float64]) -> float:
    k = max(FEWEST_IN_TAIL, t.size // 10)
    if t.size <= k:
        return 1.0
    top = np.sort(t)[-(k + 1) :]
    excess = float(np.sum(top[1:] - top[0]))
    return float(k / (t.size + 1) * (1 + (observed - top[0]) / excess) ** -k) if excess > 0.0 else 1.0


def continued_quantile(simulated: NDArray[np.float64], tail: float) -> float:
    """Statistic whose one-sided `continued_pvalue` is `tail` where it lies beyond all simulated ones.

    Examples
    --------
    >>> t = np.random.default_rng(1).normal(size=39)
    >>> round(continued_pvalue(continued_quantile(t, 0.001), t, "greater"), 10)
    0.001
    """
    k = max(FEWEST_IN_TAIL, simulated.size // 10)
    if simulated.size <= k:
        return math.inf
    top = np.sort(simulated)[-(k + 1) :]
    excess = float(np.sum(top[1:] - top[0]))
    if not excess > 0.0:
        return math.inf
    return float(top[0] + excess * ((k / ((simulated.size + 1) * tail)) ** (1 / k) - 1))


def normal_pvalue(z: float, alternative: str = "two-sided") -> float:
    """P-value of a standard normal statistic, floored so that it never prints as zero.

    Examples
    --------
    >>> round(normal_pvalue(1.959964), 6)
    0.05
    """
    from scipy.special import ndtr

    check_alternative(alternative)
    p = {"two-sided": 2 * ndtr(-abs(z)), "greater": ndtr(-z), "less": ndtr(z)}[alternative]
    return floor_pvalue(p)


def floor_pvalue(p: float) -> float:
    """Clip a p-value to ``[1e-300, 1]``."""
    return float(min(1.0, max(float(p), smallest_pvalue)))


def holm(pvalues: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjustment, valid under any dependence.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(pvalues, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def westfall_young(pvalues: ArrayLike) -> NDArray[np.float64]:
    """Step-down adjustment by the smallest p-value of every data set, exact whatever the dependence [5]_.

    Parameters
    ----------
    pvalues : array_like (k, 1 + m)
        P-values of k tests, of the data (first) and of m simulated data sets, each among all ``1 + m``.

    Returns
    -------
    ndarray (k,)

    Examples
    --------
    Two tests that always agree are one:

    >>> once = np.arange(1, 101) / 100
    >>> westfall_young([once, once])
    array([0.01, 0.01])
    """
    p = np.asarray(pvalues, dtype=float)
    order = np.argsort(p[:, 0], kind="stable")
    # of each test and those with larger p-values: how often a data set has one as small
    smallest = np.minimum.accumulate(p[order][::-1], axis=0)[::-1]
    stepped = np.maximum.accumulate(np.mean(smallest <= p[order, :1] * (1 + _TIE), axis=1))
    adjusted = np.empty_like(stepped)
    adjusted[order] = stepped
    return adjusted


def cauchy_combination(pvalues: Iterable[float]) -> float:
    """Combine dependent p-values: the mean of ``tan((1/2 - p) pi)`` is close to Cauchy in its tail [4]_.

    Examples
    --------
    >>> round(cauchy_combination([0.02, 0.02]), 6)
    0.02
    """
    p = np.clip(np.fromiter(pvalues, dtype=float), smallest_pvalue, 1.0 - 1e-15)
    # tan((1/2 - p) pi) = 1 / tan(p pi), which keeps its digits for tiny p
    statistic = float(np.mean(1.0 / np.tan(p * np.pi)))
    tail = math.atan2(1.0, statistic) / math.pi
    return floor_pvalue(tail)


def quadratic_form_sf(x: float, weights: ArrayLike) -> float:
    """Tail probability ``P(sum_j w_j z_j**2 > x)`` for independent standard normal ``z_j``.

    The cumulant generating function ``K(s) = -1/2 sum_j log(1 - 2 s w_j)`` is inverted,
    ``P = 1/(2 pi i) * integral exp(K(s) - s x) / s ds``, along a path through the saddlepoint [3]_ that is
    bent so that the integrand dies exponentially; the trapezoidal rule then gives about 12 correct digits,
    also of tiny probabilities. Equal weights reduce to a chi-square.

    Parameters
    ----------
    x : float
        Point of evaluation.
    weights : array_like (k,)
        Weights; of both signs only with ``x = 0``, the case of a ratio of quadratic forms [2]_.

    Examples
    --------
    >>> round(quadratic_form_sf(6.0, [1.0, 0.5, 0.25]), 6)
    0.026499
    """
    from scipy.special import chdtrc

    w = np.asarray(weights, dtype=float)
    w = w[np.abs(w) > 1e-12 * np.max(np.abs(w), initial=0.0)]
    if w.size == 0 or (w.min() > 0 and x <= 0):
        return 1.0
    if w.max() < 0:
        return smallest_pvalue
    if w.min() == w.max():
        return floor_pvalue(chdtrc(w.size, x / w[0]))
    if w.min() < 0:
        if x != 0.0:
            raise ValueError("weights of both signs need x = 0")
        if w.sum() > 0:
            return floor_pvalue(1.0 - _invert_cumulants(0.0, -w))
    return floor_pvalue(_invert_cumulants(x, w))


def _invert_cumulants(x: float, w: NDArray[np.float64]) -> float:
    """Integrate along a path that crosses the real axis between the pole at 0 and the first branch point."""
    from scipy.optimize import brentq

    top = 1 / (2 * float(w.max()))

    def slope(s: float) -> float:
        return float(np.sum(w / (1 - 2 * s * w)) - x)

    low = 0.25 * top
    c = brentq(slope, low, top * (1 - 1e-13), rtol=1e-10) if slope(low) < 0 else low
    width = 1 / math.sqrt(2 * float(np.sum((w / (1 - 2 * c * w)) ** 2)))
    # t = width sinh(tau): algebraic decay becomes exponential; the bend adds exp(-x t^2) when x > 0
    tau = np.linspace(0.0, 25.0 if x == 0 else 8.0, _NODES)
    t, dt = width * np.sinh(tau), width * np.cosh(tau)
    bend = 0.0 if x == 0 else min(0.5 / width, 0.5 / (top - c)) * 0.5
    s = c + 1j * t + bend * t * t
    ds = (1j + 2 * bend * t) * dt
    log_value = -0.5 * np.log(1 - 2 * np.outer(s, w)).sum(axis=1) - s * x
    value = (np.exp(log_value) / s * ds).imag
    return float(tau[1] * (np.sum(value) - 0.5 * value[0])) / math.pi


def quadratic_form_tail(x: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """`quadratic_form_sf` of every value of an array, through a table where there are many."""
    if x.size <= 20:
        return np.reshape([quadratic_form_sf(v, weights) for v in np.ravel(x)], x.shape)
    grid, log_tail = _tail_table(tuple(weights))
    return np.asarray(np.exp(np.interp(x, grid, log_tail)))


@lru_cache(maxsize=64)
def _tail_table(weights: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    w = np.array(weights)
    top = w.sum() + 12 * np.sqrt(2 * np.sum(w**2)) + 40 * w.max()
    grid = top * np.linspace(0.0, 1.0, 300) ** 2
    grid[0] = 1e-9
    return grid, np.log([quadratic_form_sf(v, w) for v in grid])
