"""Log densities in extended precision, written from their definitions; `eta` is the linear predictor of the mean."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

Long = np.longdouble
Array = np.ndarray
LogDensity = Callable[..., Array]

PI = Long("3.14159265358979323846")

# Coefficients B_2k / (2k (2k - 1)) of Stirling's series.
_STIRLING = [
    Long(a) / Long(b)
    for a, b in ((1, 12), (-1, 360), (1, 1260), (-1, 1680), (1, 1188), (-691, 360360), (1, 156), (-3617, 122400))
]


def log_gamma(x: Array) -> Array:
    """Stirling's series after a shift beyond 30, where eight terms give 20 digits; scipy's for double precision."""
    if np.asarray(x).dtype != Long:
        return special.gammaln(x)
    x = np.array(x, dtype=Long)
    shift = np.zeros_like(x)
    while np.any(x < 30):
        small = x < 30
        shift = np.where(small, shift - np.log(x), shift)
        x = np.where(small, x + 1, x)
    series = sum(c / x ** (2 * k + 1) for k, c in enumerate(_STIRLING))
    return shift + (x - 0.5) * np.log(x) - x + 0.5 * np.log(2 * PI) + series


def softplus(x: Array) -> Array:
    return np.logaddexp(np.zeros((), dtype=x.dtype), x)


def log_choose(n: Array, k: Array) -> Array:
    return log_gamma(n + 1) - log_gamma(k + 1) - log_gamma(n - k + 1)


def poisson(y, n, eta, phi):
    return y * eta - np.exp(eta) - log_gamma(y + 1)


def truncated_poisson(y, n, eta, phi):
    return poisson(y, n, eta, phi) - np.log(-np.expm1(-np.exp(eta)))


def negative_binomial(y, eta, size):
    denominator = np.logaddexp(np.log(size), eta)
    constant = log_gamma(y + size) - log_gamma(size) - log_gamma(y + 1)
    return constant + size * (np.log(size) - denominator) + y * (eta - denominator)


def nbinom2(y, n, eta, phi):
    return negative_binomial(y, eta, phi)


def nbinom1(y, n, eta, phi):
    return negative_binomial(y, eta, np.exp(eta) / phi)


def binomial(y, n, eta, phi):
    return log_choose(n, y) + y * eta - n * softplus(eta)


def binomial_cloglog(y, n, eta, phi):
    return log_choose(n, y) + y * np.log(-np.expm1(-np.exp(eta))) - (n - y) * np.exp(eta)


def betabinomial(y, n, eta, phi):
    a, b = phi * np.exp(-softplus(-eta)), phi * np.exp(-softplus(eta))
    beta = log_gamma(a) + log_gamma(b) - log_gamma(phi)
    return log_choose(n, y) + log_gamma(y + a) + log_gamma(n - y + b) - log_gamma(n + phi) - beta


def beta(y, n, eta, phi):
    a, b = phi * np.exp(-softplus(-eta)), phi * np.exp(-softplus(eta))
    return (a - 1) * np.log(y) + (b - 1) * np.log1p(-y) + log_gamma(phi) - log_gamma(a) - log_gamma(b)


def gamma(y, n, eta, phi):
    return phi * (np.log(phi) - eta) - log_gamma(phi) + (phi - 1) * np.log(y) - phi * y * np.exp(-eta)


def lognormal(y, n, eta, phi):
    variance = np.log1p(phi**2 * np.exp(-2 * eta))
    return -np.log(2 * PI * variance) / 2 - (np.log(y) - eta + variance / 2) ** 2 / (2 * variance) - np.log(y)


def gaussian(y, n, mean, phi):
    return -np.log(2 * PI) / 2 - np.log(phi) - (y - mean) ** 2 / (2 * phi**2)


def gaussian_log(y, n, eta, phi):
    return gaussian(y, n, np.exp(eta), phi)


def student(y, n, mean, phi):
    """With five degrees of freedom."""
    df = Long(5)
    constant = log_gamma((df + 1) / 2) - log_gamma(df / 2) - np.log(df * PI) / 2 - np.log(phi)
    return constant - (df + 1) / 2 * np.log1p(((y - mean) / phi) ** 2 / df)


def zero_inflated(log_density: LogDensity) -> LogDensity:
    def mixture(y, n, eta, phi, zeta):
        rest = log_density(y, n, eta, phi)
        return np.where(y == 0, np.logaddexp(zeta, rest), rest) - softplus(zeta)

    return mixture
