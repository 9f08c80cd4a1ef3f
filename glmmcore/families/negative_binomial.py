"""The negative binomial law with mean mu and size k, shared by its parametrisations.

Notation: p = k / (k + mu), q = 1 - p, x = mu / k = q / p; R, S1, T1, T2, T3 as in `special`.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np

from glmmcore._jit import kernel
from glmmcore.families.base import Parameters
from glmmcore.families.count_density import LARGE_COUNT, log_factorial
from glmmcore.families.counts import CountFamily
from glmmcore.families.draws import count_ends, draw_negative_binomial, negative_binomial_ends
from glmmcore.families.special import HALF_LOG_2PI, clip_exponent, log1pmx, rising, stirling_error

__all__ = [
    "NegativeBinomialFamily",
    "nb2_row",
    "nb_constant",
    "nb_core",
    "nb_log1pmx",
    "nb_lookup",
    "nb_shares",
    "nb_split",
]


class NegativeBinomialFamily(CountFamily):
    """A negative binomial law, given by its mean and its size."""

    @abstractmethod
    def size(self, p: Parameters) -> np.ndarray:
        """Size parameter of the negative binomial law."""

    def simulate(self, trials: np.ndarray, p: Parameters, n_sims: int, rng: np.random.Generator) -> np.ndarray:
        """See `Family.simulate`."""
        return draw_negative_binomial(self._mu(p), self.size(p), (n_sims, p.eta.size), rng)

    def cdf(self, y: np.ndarray, trials: np.ndarray, p: Parameters) -> tuple[np.ndarray, np.ndarray]:
        """See `Family.cdf`."""
        mu, size = self._mu(p), self.size(p)
        return count_ends(lambda k: negative_binomial_ends(k, mu, size), y)


@kernel
def nb_shares(gap, k):
    """Return (p, q, log1p(x), mu) from gap = log mu - log k."""
    e = math.exp(-abs(gap))
    return nb_split(gap, e, math.log1p(e), k)


@kernel
def nb_split(gap, e, s, k):
    """Return the same from e = exp(-|gap|) and s = log1p(e)."""
    large = 1.0 / (1.0 + e)
    small = e * large
    if gap > 0:
        return small, large, gap + s, k / e
    return large, small, s, k * e


@kernel
def nb_core(y, eta, mu, k, log_k, p, log_ratio, zero):
    """Log density at log mean eta, less `nb_constant`; log_ratio = log1p(x) and zero = k log1p(x) = -log f(0).

    All arguments belong to the same law: `log_k` alone may lie outside the range in which `k` is a float.
    """
    if y < LARGE_COUNT:
        return y * (eta - log_ratio) - zero
    gap = p * (mu - y)
    if abs(gap) < 0.5 * min(y, k):
        return y * log1pmx(gap / y) + k * log1pmx(-gap / k)
    # log(1 + y/k), where y/k may overflow
    own_ratio = math.log1p(y / k) if y < k else math.log1p(k / y) + math.log(y) - log_k
    return y * ((eta - math.log(y)) - (log_ratio - own_ratio)) - (zero - k * own_ratio)


@kernel
def nb_constant(y, rise, k, log_k):
    """Return log of lgamma(y+k) / (lgamma(k) k^y y!), or the log density at mean y for large y."""
    if y < LARGE_COUNT:
        return rise - log_factorial(y)
    represented = clip_exponent(log_k)
    return (
        stirling_error(y + k)
        - stirling_error(k)
        - stirling_error(y)
        - HALF_LOG_2PI
        + 0.5 * (represented - math.log(y + k) - math.log(y))
        # 1 / lgamma(k) is k itself where k is tiny
        + min(log_k - represented, 0.0)
    )


@kernel
def nb_lookup(y, k, table):
    """R, S1, T1, T2, T3 from the table when y is a whole number in it."""
    j = int(y) if y < table.shape[0] else -1
    if j == y:
        return table[j, 0], table[j, 1], table[j, 2], table[j, 3], table[j, 4]
    return rising(y, k)


@kernel
def nb_log1pmx(x, log_ratio):
    """log(1 + x) - x from log_ratio = log(1 + x), without cancellation."""
    return log_ratio - x if x > 0.3 else log1pmx(x)


@kernel
def nb2_row(y, k, p, q, log_ratio, mu, s1, t1):
    """(l_t, l_tt, l_ttt, l_d, l_td, l_ttd) with t = log mu and d = log k."""
    # mu p = k q; each form is the stable one on its side
    first = y * p - (mu * p if p > q else k * q)
    w = (y + k) * q * p
    d1 = t1 - k * nb_log1pmx(mu / k, log_ratio) - (mu - y) * q if p > q else s1 - k * log_ratio + k * q - y * p
    return first, -w, -w * (p - q), d1, q * first, q * p * (y * (p - q) - 2.0 * k * q)
