"""P-values and limits of several comparisons at once.

Tukey's and Bonferroni's methods, Sidak's and Holm's step-down (1979) take the comparisons' number only. Dunnett's takes
their correlations: P(max |T_j| > t) of a multivariate t distribution (Dunnett 1955, Hothorn, Bretz and Westfall 2008),
averaged over directions that are always the same, so that a result never depends on a seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from scipy import special

from glmmcore.errors import ModelError
from glmmcore.results.t_distribution import t_quantile, two_sided

__all__ = ["ADJUSTMENTS", "Comparisons", "JointMaximum", "StudentizedRange", "adjusted"]

ADJUSTMENTS = ("tukey", "dunnett", "mvt", "holm", "sidak", "bonferroni", "none")

# Two to this power are the directions averaged over: p-values for up to ten means are good to three digits.
_POWER, _SEED = 13, 20221127
# Nodes of Gauss's rule over the smallest variate and over the estimate, and where the normal density is nothing beside
# double precision.
_INNER, _OUTER, _FARTHEST = 96, 48, 8.5
# Degree of the polynomial for the distribution of a range, nodes that stand for all directions, steps of a root and the
# relative error of its tail.
_DEGREE, _NODES, _MOST_STEPS, _SAME_TAIL = 128, 64, 60, 1e-12
# Share of the largest eigenvalue of the correlations below which one is rounding.
_DETERMINED = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """A family of comparisons, those that cannot be estimated left out but counted.

    Attributes
    ----------
    statistic, df : ndarray, shape (k,)
        Estimate over standard error, degrees of freedom (inf for the normal distribution).
    correlation : ndarray, shape (k, k)
    n_means : int
        Means that are compared.
    n_comparisons : int
        All of the family.
    """

    statistic: np.ndarray
    df: np.ndarray
    correlation: np.ndarray
    n_means: int
    n_comparisons: int


def adjusted(family: Comparisons, how: str, level: float) -> tuple[np.ndarray, np.ndarray]:
    """P-values (k,) and the multiples (k,) of the standard errors for limits of joint `level`.

    Limits of Holm's method are Bonferroni's, which they imply.
    """
    m, df = family.n_comparisons, family.df
    plain = two_sided(family.statistic, df)
    if not len(df):
        return plain, plain
    if how == "tukey":
        return _tukey(family, plain, level)
    if how in ("dunnett", "mvt"):
        return _multivariate(family, plain, level)
    if how == "none":
        return plain, t_quantile(df, 0.5 + 0.5 * level)
    if how == "sidak":
        pvalue = -np.expm1(m * np.log1p(-np.minimum(plain, 1.0 - 1e-16)))
        return pvalue, t_quantile(df, 1.0 + 0.5 * np.expm1(np.log(level) / m))
    half = t_quantile(df, 1.0 - 0.5 * (1.0 - level) / m)
    if how == "bonferroni":
        return np.minimum(m * plain, 1.0), half
    if how != "holm":
        raise ModelError(f"adjust must be one of {', '.join(map(repr, ADJUSTMENTS))}, not {how!r}")
    order = np.argsort(plain)
    stepped = np.maximum.accumulate((m - np.arange(len(plain))) * plain[order])
    pvalue = np.empty(len(plain))
    pvalue[order] = np.minimum(stepped, 1.0)
    return pvalue, half


def _tukey(family: Comparisons, plain: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    root = np.sqrt(2.0)
    found, where = np.unique(family.df, return_inverse=True)
    pvalue = StudentizedRange(family.n_means, family.df).sf(np.abs(family.statistic) * root)
    half = StudentizedRange(family.n_means, found).quantile(level)[where] / root
    return np.clip(pvalue, plain, 1.0), half


class StudentizedRange:
    """Range of n normal variates over independent estimates of their standard deviation with df degrees of freedom.

    Two integrals by Gauss's rule, over the smallest variate and over the estimate, to 1e-10, the first one as a
    polynomial of the range; scipy's is adaptive and takes half a second for a quantile.

    Parameters
    ----------
    n : int
    df : float or ndarray, shape (k,)

    Examples
    --------
    >>> round(StudentizedRange(4, 20.0).quantile(0.95).item(), 3)
    3.958
    """

    def __init__(self, n: int, df: float | np.ndarray) -> None:
        self._n, self._df = n, np.atleast_1d(np.asarray(df, dtype=float))
        self._cdf = _range_cdf(n)
        size = _OUTER if np.all(self._df >= 3.0) else 5 * _OUTER
        nodes, weights = _gauss_rule(size)
        self._scale, self._weight = np.ones((len(self._df), size)), np.zeros((len(self._df), size))
        self._weight[:, 0] = 1.0
        known = np.isfinite(self._df)
        own = self._df[known, None]
        low, high = (np.sqrt(2.0 * special.gammaincinv(0.5 * own, tail) / own) for tail in (1e-15, 1.0 - 1e-15))
        scale = 0.5 * (low + high) + 0.5 * (high - low) * nodes
        log = np.log(2.0) + 0.5 * own * np.log(0.5 * own) - special.gammaln(0.5 * own)
        log = log + (own - 1.0) * np.log(scale) - 0.5 * own * np.square(scale)
        weight = 0.5 * (high - low) * weights * np.exp(log)
        self._scale[known], self._weight[known] = scale, weight / weight.sum(axis=1, keepdims=True)

    def sf(self, q: np.ndarray | float) -> np.ndarray:
        """P(range > q) for each df, (k,)."""
        at = np.atleast_1d(q)[:, None] * self._scale
        within = np.where(at < 2.0 * _FARTHEST, self._cdf(np.minimum(at, 2.0 * _FARTHEST)), 1.0)
        return np.asarray(1.0 - (self._weight * within).sum(axis=1))

    def quantile(self, level: float) -> np.ndarray:
        """q with P(range <= q) = level for each df, (k,)."""
        one = 1.0 - 0.5 * (1.0 - level)
        pairs = 0.5 * self._n * (self._n - 1.0)
        low, high = (np.sqrt(2.0) * t_quantile(self._df, tail) for tail in (one, 1.0 - (1.0 - one) / pairs))
        return _root_of_tail(self.sf, 1.0 - level, low, high)


@cache
def _range_cdf(n: int) -> np.polynomial.Chebyshev:
    """P(range of n normal variates <= w), 0 <= w <= 2 _FARTHEST, a polynomial that is good to 1e-13."""
    nodes, weights = _gauss_rule(_INNER)
    z = _FARTHEST * nodes
    density = n * _FARTHEST * weights * np.exp(-0.5 * np.square(z)) / np.sqrt(2.0 * np.pi)

    def cdf(w: np.ndarray) -> np.ndarray:
        return np.asarray((special.ndtr(z + w[:, None]) - special.ndtr(z)) ** (n - 1) @ density)

    return np.polynomial.Chebyshev.interpolate(cdf, _DEGREE, domain=[0.0, 2.0 * _FARTHEST])


@cache
def _gauss_rule(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(size)


def _root_of_tail(
    tail: Callable[[np.ndarray], np.ndarray], share: float, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """x with tail(x) = share, arrays (k,) of falling tails; the lower end where that is reached there.

    Secants between logarithms, one end's value halved when it stays (the Illinois rule).
    """
    at_low, at_high = np.log(tail(low) / share), np.log(tail(high) / share)
    while np.any(at_high > 0.0):
        high = np.where(at_high > 0.0, 1.5 * high, high)
        at_high = np.log(tail(high) / share)
    begins = at_low <= 0.0
    out, start = low, low
    stayed = np.zeros(len(low))
    for _ in range(_MOST_STEPS):
        span = np.where(at_low > at_high, at_low - at_high, 1.0)
        out = np.where(begins, start, low + (high - low) * np.clip(at_low / span, 0.0, 1.0))
        now = np.where(begins, 0.0, np.log(tail(out) / share))
        if np.all(np.abs(now) < _SAME_TAIL):
            break
        above = now > 0.0
        at_high = np.where(above, np.where(stayed > 0.0, 0.5, 1.0) * at_high, now)
        at_low = np.where(above, now, np.where(stayed < 0.0, 0.5, 1.0) * at_low)
        low, high = np.where(above, out, low), np.where(above, high, out)
        stayed = np.where(above, 1.0, -1.0)
    return out


def _multivariate(family: Comparisons, plain: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Single-step tests by the joint distribution of all comparisons."""
    joint = JointMaximum(family.correlation)
    pvalue = joint.sf(np.abs(family.statistic), family.df)
    found, where = np.unique(family.df, return_inverse=True)
    # the integral is good to four digits: never below one comparison's, never above Bonferroni's
    return np.clip(pvalue, plain, np.minimum(len(plain) * plain, 1.0)), joint.quantile(level, found)[where]


class JointMaximum:
    """Distribution of max |T_j| of a multivariate t with a correlation matrix (k, k), which may be singular.

    With T = L u R / s, u a direction, R a length and s the scale, max |T_j| > t means R / s > t / max |(L u)_j|, and
    the square of R / s over the rank has an F distribution with rank and df degrees of freedom (Deak 1980). That leaves
    an average over directions, which is precise far out too, where p-values are small. What is averaged is a smooth
    function of log max |(L u)_j|: polynomials through some nodes have the same average as it, to ten digits.

    Examples
    --------
    >>> round(JointMaximum(np.array([[1.0, 0.5], [0.5, 1.0]])).quantile(0.95, np.inf).item(), 3)
    2.212
    """

    def __init__(self, correlation: np.ndarray) -> None:
        values, vectors = np.linalg.eigh(correlation)
        used = values > _DETERMINED * values[-1]
        root = vectors[:, used] * np.sqrt(values[used])
        self._rank = root.shape[1]
        reach = np.abs(_directions(self._rank) @ root.T).max(axis=1)
        self._reach, self._weights = _few_nodes(reach)

    def sf(self, t: np.ndarray | float, df: np.ndarray | float = np.inf) -> np.ndarray:
        """P(max |T_j| > t) with df degrees of freedom, each (k,)."""
        t, df = np.broadcast_arrays(np.atleast_1d(np.asarray(t, dtype=float)), np.asarray(df, dtype=float))
        square, normal = np.square(t[:, None] / self._reach), np.isinf(df)[:, None]
        tails = special.fdtrc(self._rank, np.where(normal, 1.0, df[:, None]), square / self._rank)
        return np.asarray(np.where(normal, special.chdtrc(self._rank, square), tails) @ self._weights)

    def quantile(self, level: float, df: np.ndarray | float = np.inf) -> np.ndarray:
        """t with P(max |T_j| <= t) = level for each df, (k,)."""
        df = np.atleast_1d(np.asarray(df, dtype=float))
        low = t_quantile(df, 0.5 + 0.5 * level)
        return _root_of_tail(lambda t: self.sf(t, df), 1.0 - level, low, low + 1.0)


def _few_nodes(reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights whose average of a smooth function of log reach is that over all of reach, (n,)."""
    low, high = np.log(reach.min()), np.log(reach.max())
    if high - low < 1e-9:
        return reach[:1], np.ones(1)
    angle = (np.arange(_NODES) + 0.5) * np.pi / _NODES
    own = np.arccos(np.clip((2.0 * np.log(reach) - low - high) / (high - low), -1.0, 1.0))
    moments = np.array([np.cos(k * own).mean() for k in range(_NODES)])
    moments[1:] *= 2.0
    weights = np.cos(np.outer(angle, np.arange(_NODES))) @ moments / _NODES
    return np.exp(0.5 * (low + high) + 0.5 * (high - low) * np.cos(angle)), weights


@lru_cache(maxsize=4)
def _directions(dimensions: int) -> np.ndarray:
    """Points on the unit sphere, spread evenly and always the same, (points, dimensions)."""
    from scipy.stats import qmc

    cube = qmc.Sobol(dimensions, seed=_SEED).random_base2(_POWER)
    normals = special.ndtri(np.clip(cube, 1e-15, 1.0 - 1e-15))
    return np.asarray(normals / np.sqrt(np.square(normals).sum(axis=1, keepdims=True)))
