"""P-values and limits of several comparisons at once.

Tukey's and Bonferroni's methods, Sidak's and Holm's step-down (1979) take the comparisons' number only. Dunnett's takes
their correlations: P(max |T_j| > t) of a multivariate t distribution (Dunnett 1955, Hothorn, Bretz and Westfall 2008),
averaged over directions that are always the same, so that a result never depends on a seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special

from glmmcore.errors import ModelError

__all__ = ["ADJUSTMENTS", "Comparisons", "JointMaximum", "StudentizedRange", "adjusted", "t_quantile", "two_sided"]

ADJUSTMENTS = ("tukey", "dunnett", "mvt", "holm", "sidak", "bonferroni", "none")

# Two to this power are the directions averaged over: p-values for up to ten means are good to three digits.
_POWER, _SEED = 13, 20221127
# Nodes of Gauss's rule over the smallest variate and over the estimate, and where the normal density is nothing beside
# double precision.
_INNER, _OUTER, _FARTHEST = 96, 48, 8.5
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


def two_sided(statistic: np.ndarray, df: np.ndarray) -> np.ndarray:
    """P-value of |t|."""
    normal, at = np.isinf(df), -np.abs(statistic)
    return np.asarray(2.0 * np.where(normal, special.ndtr(at), special.stdtr(np.where(normal, 1.0, df), at)))


def t_quantile(df: np.ndarray, probability: float) -> np.ndarray:
    """Quantile of t, of the normal distribution where `df` is infinite."""
    normal = np.isinf(df)
    t = special.stdtrit(np.where(normal, 1.0, df), probability)
    return np.asarray(np.where(normal, special.ndtri(probability), t))


def _tukey(family: Comparisons, plain: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    root, n = np.sqrt(2.0), family.n_means
    tails = {d: StudentizedRange(n, d) for d in np.unique(family.df)}
    pvalue = [tails[d].sf(abs(t) * root) for t, d in zip(family.statistic, family.df, strict=True)]
    quantiles = {d: tail.quantile(level) / root for d, tail in tails.items()}
    half = np.array([quantiles[d] for d in family.df])
    return np.clip(pvalue, plain, 1.0), half


class StudentizedRange:
    """Range of n normal variates over an independent estimate of their standard deviation with df degrees of freedom.

    Two integrals by Gauss's rule, over the smallest variate and over the estimate, to 1e-10; scipy's is adaptive and
    takes half a second for a quantile.

    Examples
    --------
    >>> round(StudentizedRange(4, 20.0).quantile(0.95), 3)
    3.958
    """

    def __init__(self, n: int, df: float) -> None:
        self._n = n
        nodes, weights = _gauss_rule(_INNER)
        self._z = _FARTHEST * nodes
        self._density = n * _FARTHEST * weights * np.exp(-0.5 * np.square(self._z)) / np.sqrt(2.0 * np.pi)
        self._scale, self._weight = np.ones(1), np.ones(1)
        if np.isfinite(df):
            nodes, weights = _gauss_rule(_OUTER if df >= 3.0 else 5 * _OUTER)
            low, high = np.sqrt(2.0 * special.gammaincinv(0.5 * df, np.array([1e-15, 1.0 - 1e-15])) / df)
            self._scale = 0.5 * (low + high) + 0.5 * (high - low) * nodes
            log = np.log(2.0) + 0.5 * df * np.log(0.5 * df) - special.gammaln(0.5 * df)
            log = log + (df - 1.0) * np.log(self._scale) - 0.5 * df * np.square(self._scale)
            self._weight = 0.5 * (high - low) * weights * np.exp(log)
            self._weight = self._weight / self._weight.sum()

    def sf(self, q: float) -> float:
        """P(range > q)."""
        within = special.ndtr(self._z + q * self._scale[:, None]) - special.ndtr(self._z)
        return float(1.0 - self._weight @ (within ** (self._n - 1) @ self._density))

    def quantile(self, level: float) -> float:
        """q with P(range <= q) = level."""
        from scipy.optimize import brentq

        high = 4.0
        while self.sf(high) > 1.0 - level:
            high *= 1.5
        return float(brentq(lambda q: self.sf(q) - (1.0 - level), 0.0, high, xtol=1e-9))


@cache
def _gauss_rule(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(size)


def _multivariate(family: Comparisons, plain: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Single-step tests by the joint distribution of all comparisons."""
    joint = JointMaximum(family.correlation)
    pvalue = np.array([joint.sf(abs(t), d) for t, d in zip(family.statistic, family.df, strict=True)])
    quantiles = {d: joint.quantile(level, d) for d in np.unique(family.df)}
    # the integral is good to four digits: never below one comparison's, never above Bonferroni's
    return np.clip(pvalue, plain, np.minimum(len(plain) * plain, 1.0)), np.array([quantiles[d] for d in family.df])


class JointMaximum:
    """Distribution of max |T_j| of a multivariate t with a correlation matrix (k, k), which may be singular.

    With T = L u R / s, u a direction, R a length and s the scale, max |T_j| > t means R / s > t / max |(L u)_j|, and
    the square of R / s over the rank has an F distribution with rank and df degrees of freedom (Deak 1980). That leaves
    an average over directions, which is precise far out too, where p-values are small.

    Examples
    --------
    >>> round(JointMaximum(np.array([[1.0, 0.5], [0.5, 1.0]])).quantile(0.95, np.inf), 3)
    2.212
    """

    def __init__(self, correlation: np.ndarray) -> None:
        values, vectors = np.linalg.eigh(correlation)
        used = values > _DETERMINED * values[-1]
        root = vectors[:, used] * np.sqrt(values[used])
        self._rank = root.shape[1]
        self._reach = np.abs(_directions(self._rank) @ root.T).max(axis=1)

    def sf(self, t: float, df: float = np.inf) -> float:
        """P(max |T_j| > t), df degrees of freedom."""
        square = np.square(t / self._reach)
        if np.isinf(df):
            return float(special.chdtrc(self._rank, square).mean())
        return float(special.fdtrc(self._rank, df, square / self._rank).mean())

    def quantile(self, level: float, df: float = np.inf) -> float:
        """t with P(max |T_j| <= t) = level."""
        from scipy.optimize import brentq

        low = float(t_quantile(np.array([df]), 0.5 + 0.5 * level)[0])
        high = low + 1.0
        while self.sf(high, df) > 1.0 - level:
            high *= 1.5
        if self.sf(low, df) <= 1.0 - level:
            return low
        return float(brentq(lambda t: self.sf(t, df) - (1.0 - level), low, high, xtol=1e-7))


def _directions(dimensions: int) -> np.ndarray:
    """Points on the unit sphere, spread evenly and always the same, (points, dimensions)."""
    from scipy.stats import qmc

    cube = qmc.Sobol(dimensions, seed=_SEED).random_base2(_POWER)
    normals = special.ndtri(np.clip(cube, 1e-15, 1.0 - 1e-15))
    return np.asarray(normals / np.sqrt(np.square(normals).sum(axis=1, keepdims=True)))
