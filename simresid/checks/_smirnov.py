r"""Exact tail of the one-sided Kolmogorov-Smirnov statistic for large samples.

.. math:: P(D^+ \ge d) = d \sum_{j=0}^{\lfloor n(1-d) \rfloor} \frac1{p_j} \binom nj p_j^{\,j} (1-p_j)^{n-j},
   \qquad p_j = d + j/n

(Smirnov 1944; Birnbaum & Tingey 1951). `scipy.special.smirnov` sums the same in extended precision, a second of work
at a million rows. Here the binomial probabilities are written with the deviance from their own mode (Loader 2000),
whose parts nearly cancel only to the order of :math:`n d^2`, so that 11 digits survive in double precision.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["smirnov_tail"]

BLOCK = 2**16
"""Terms at a time: they stay in cache."""


def smirnov_tail(n: int, d: float) -> float:
    """``P(D+ >= d)`` of `n` independent uniforms.

    Parameters
    ----------
    n : int
    d : float
        In (0, 1).

    Examples
    --------
    >>> from scipy.special import smirnov
    >>> bool(abs(smirnov_tail(5000, 0.02) / smirnov(5000, 0.02) - 1) < 1e-10)
    True
    """
    last = int(np.floor(n * (1.0 - d)))
    total = float(np.exp(n * np.log1p(-d))) / d  # j = 0
    for first in range(1, last + 1, BLOCK):
        total += float(np.sum(_terms(np.arange(first, min(first + BLOCK, last + 1), dtype=float), n, d)))
    return d * total


def _terms(j: NDArray[np.float64], n: int, d: float) -> NDArray[np.float64]:
    x = j / n
    rest = np.maximum((n - j) - n * d, 0.0) / (n - j)  # (1 - p) / (1 - x)
    with np.errstate(divide="ignore"):
        exponent = j * np.log1p(d / x) + (n - j) * np.log(rest)
    exponent += _stirling(np.array([float(n)])) - _stirling(j) - _stirling(n - j)
    return np.asarray(np.exp(exponent) * np.sqrt(n / (2 * np.pi * j * (n - j))) / (x + d))


def _stirling(k: NDArray[np.float64]) -> NDArray[np.float64]:
    """``log k! - log(sqrt(2 pi k) (k/e)^k)`` for whole k >= 1."""
    from scipy.special import gammaln

    square = 1.0 / (k * k)
    error = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / k
    few = k < 16
    if few.any():
        s = k[few]
        error[few] = gammaln(s + 1) - (s + 0.5) * np.log(s) + s - 0.5 * np.log(2 * np.pi)
    return np.asarray(error)
