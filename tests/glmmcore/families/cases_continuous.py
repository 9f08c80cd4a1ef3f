"""Laws of continuous responses, and counts whose normaliser is a series, in mpmath from their definitions."""

from __future__ import annotations

from functools import lru_cache

import mpmath as mp
import numpy as np
from scipy import optimize, special

from .case import Case


def positive(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.exp(rng.normal(0.3, 1.2, n))


def with_zeros(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.exp(rng.normal(0.3, 1.0, n)) * (rng.random(n) < 0.8)


def inside_unit(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.beta(0.7, 0.7, n)


def closed_unit(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.clip(rng.uniform(-0.4, 1.4, n), 0, 1)


def real(rng: np.random.Generator, n: int) -> np.ndarray:
    return 2 * rng.standard_t(3, n)


def few_counts(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.floor(rng.uniform(0, rng.choice([3.0, 15.0, 60.0], n)))


def gamma(y, N, mu, phi, psi):
    return phi * mp.log(phi / mu) - mp.loggamma(phi) + (phi - 1) * mp.log(y) - phi * y / mu


def lognormal(y, N, mu, phi, psi):
    variance = mp.log1p(phi**2 / mu**2)
    mean = mp.log(mu) - variance / 2
    return -mp.log(2 * mp.pi * variance) / 2 - (mp.log(y) - mean) ** 2 / (2 * variance) - mp.log(y)


def beta(y, N, mu, phi, psi):
    a, b = mu * phi, (1 - mu) * phi
    return (a - 1) * mp.log(y) + (b - 1) * mp.log1p(-y) + mp.loggamma(phi) - mp.loggamma(a) - mp.loggamma(b)


def ordbeta(y, N, mu, phi, psi):
    eta = mp.log(mu) - mp.log1p(-mu)
    above_zero = 1 / (1 + mp.exp(psi[0] - eta))
    one = 1 / (1 + mp.exp(psi[0] + mp.exp(psi[1]) - eta))
    if y == 0:
        return mp.log1p(-above_zero)
    if y == 1:
        return mp.log(one)
    return mp.log(above_zero - one) + beta(y, N, mu, phi, psi)


def student(y, N, mu, phi, psi):
    df, z = mp.exp(psi[0]), (y - mu) / phi
    constant = mp.loggamma((df + 1) / 2) - mp.loggamma(df / 2) - mp.log(df * mp.pi) / 2 - mp.log(phi)
    return constant - (df + 1) / 2 * mp.log1p(z**2 / df)


def skew_normal(y, N, mu, phi, psi):
    alpha = psi[0]
    d = alpha / mp.sqrt(1 + alpha**2)
    omega = phi / mp.sqrt(1 - 2 * d**2 / mp.pi)
    z = (y - mu) / omega + d * mp.sqrt(2 / mp.pi)
    return mp.log(2) - mp.log(omega) - mp.log(2 * mp.pi) / 2 - z**2 / 2 + mp.log(mp.ncdf(alpha * z))


@lru_cache(maxsize=100_000)
def log_gamma(x: mp.mpf) -> mp.mpf:
    return mp.loggamma(x)


def tweedie(y, N, mu, phi, psi):
    p = 1 + 1 / (1 + mp.exp(-psi[0]))
    exponent = (y * mu ** (1 - p) / (1 - p) if y > 0 else 0) - mu ** (2 - p) / (2 - p)
    if y == 0:
        return exponent / phi
    a = (2 - p) / (p - 1)
    z = a * mp.log(y) - a * mp.log(p - 1) - (1 + a) * mp.log(phi) - mp.log(2 - p)
    total, largest, j = mp.mpf(0), mp.mpf(0), 0
    while True:
        j += 1
        term = mp.exp(j * z - log_gamma(mp.mpf(j + 1)) - log_gamma(j * a))
        total, largest = total + term, max(largest, term)
        if term < largest * mp.mpf(10) ** -55:
            return mp.log(total) - mp.log(y) + exponent / phi


@lru_cache(maxsize=100_000)
def inverse_power(j: int, nu: mp.mpf, digits: int) -> mp.mpf:
    return mp.mpf(j) ** -nu


def com_poisson_sums(rate: mp.mpf, nu: mp.mpf) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    """Sums of w, j w and j^2 w over all counts."""
    w, total, first, second, j = mp.mpf(1), mp.mpf(1), mp.mpf(0), mp.mpf(0), 0
    smallest = mp.mpf(10) ** (-mp.mp.dps - 10)
    while True:
        j += 1
        ratio = rate * inverse_power(j, nu, mp.mp.dps)
        w *= ratio
        total, first, second = total + w, first + j * w, second + j * j * w
        if ratio < 0.95 and w < smallest * total:
            return total, first, second


def com_poisson_rate(mu: float, nu: float) -> float:
    """Log rate in double precision: the start of Newton's iteration."""
    j = np.arange(800.0)
    log_factorial = special.gammaln(j + 1)

    def excess(log_rate: float) -> float:
        return float(special.softmax(j * log_rate - nu * log_factorial) @ j) - mu

    return optimize.brentq(excess, -20.0, nu * np.log(500.0), xtol=1e-15, rtol=1e-15)


def com_poisson(y, N, mu, phi, psi):
    nu = 1 / phi
    log_rate = mp.mpf(com_poisson_rate(float(mu), float(nu)))
    for _ in range(3):
        total, first, second = com_poisson_sums(mp.exp(log_rate), nu)
        mean = first / total
        log_rate -= mp.log(mean / mu) * mean / (second / total - mean**2)
    total, _, _ = com_poisson_sums(mp.exp(log_rate), nu)
    return y * log_rate - nu * mp.loggamma(y + 1) - mp.log(total)


@lru_cache(maxsize=1000)
def log_bell(y: mp.mpf) -> mp.mpf:
    return mp.log(mp.bell(int(y)))


def bell(y, N, mu, phi, psi):
    theta = mp.lambertw(mu).real
    return y * mp.log(theta) - mp.exp(theta) + 1 + log_bell(y) - mp.loggamma(y + 1)


FAR_POSITIVE = (1e-300, 0.3, 1.0, 1e9)
FAR_REAL = (-1e9, 0.0, 1e300)

CONTINUOUS_CASES: list[Case] = [
    Case("gamma", gamma, positive, at=((0.7, 0.3, ()), (-2.0, 4.0, ()), (1.0, 1.0, ())), far_y=FAR_POSITIVE),
    *(
        Case(name, density, positive, link=link, eta=(0.2, 3.0), far_eta=(-1.0, 0.0, 1e-30, 1e9))
        for name, density in (("gamma", gamma), ("lognormal", lognormal))
        for link in ("identity", "inverse", "sqrt")
    ),
    Case("lognormal", lognormal, positive, at=((0.7, 0.3, ()), (-1.0, 0.0, ())), far_y=FAR_POSITIVE),
    Case(
        "beta",
        beta,
        inside_unit,
        delta=(-1.0, 4.0),
        at=((0.7, 1.0, ()), (-1.0, 3.0, ()), (0.5, 1.5, ())),
        far_y=(1e-300, 0.3, 1 - 1e-16),
    ),
    Case(
        "beta",
        beta,
        inside_unit,
        link="probit",
        delta=(-1.0, 4.0),
        at=((0.4, 1.8, ()),),
        far_y=(1e-300, 0.3, 1 - 1e-16),
    ),
    Case(
        "beta",
        beta,
        inside_unit,
        link="cloglog",
        delta=(-1.0, 4.0),
        at=((-0.3, 1.8, ()),),
        far_y=(1e-300, 0.3, 1 - 1e-16),
    ),
    Case(
        "ordbeta",
        ordbeta,
        closed_unit,
        psi=((-2.0, 0.5), (-1.0, 1.5)),
        at=((0.7, 1.0, (-1.0, 0.5)), (-1.5, 2.0, (-0.3, -1.0)), (1.0, 2.0, (-1.5, 1.2))),
        far_y=(0.0, 1e-300, 0.3, 1 - 1e-16, 1.0),
    ),
    Case(
        "t",
        student,
        real,
        psi=((-0.5, 4.0),),
        at=((0.7, 0.3, (1.8,)), (-2.0, -1.0, (3.0,))),
        far_y=FAR_REAL,
    ),
    Case("t", student, real, psi=((-0.5, 4.0),), link="log", at=((0.7, 0.3, (2.0,)),), far_y=FAR_REAL),
    Case(
        "skewnormal",
        skew_normal,
        real,
        psi=((-3.0, 3.0),),
        at=((0.7, 0.3, (2.0,)), (-2.0, -1.0, (-5.0,)), (0.0, 0.0, (0.0,))),
        far_y=FAR_REAL,
    ),
    Case(
        "skewnormal",
        skew_normal,
        real,
        psi=((-3.0, 3.0),),
        link="log",
        at=((0.7, 0.3, (2.0,)),),
        far_y=FAR_REAL,
    ),
    Case(
        "tweedie",
        tweedie,
        with_zeros,
        delta=(-0.7, 1.5),
        psi=((-1.5, 1.5),),
        at=((0.7, 0.3, (0.0,)), (2.0, -1.0, (-2.0,)), (1.0, 1.0, (0.4,)), (1.0, -6.0, (0.0,))),
        far_y=(0.0, 1e-300, 1.0, 1e9),
    ),
    Case(
        "tweedie",
        tweedie,
        with_zeros,
        link="identity",
        eta=(0.2, 3.0),
        delta=(-0.7, 1.5),
        psi=((-1.5, 1.5),),
        at=((0.7, 0.3, (0.0,)),),
        far_eta=(-1.0, 1e-30, 1e9),
    ),
    Case(
        "compois",
        com_poisson,
        few_counts,
        eta=(-1.5, 1.5),
        delta=(-1.2, 0.4),
        at=(
            (0.7, 0.3, ()),
            (1.0, 2.0, ()),
            (3.0, -2.0, ()),
            (-1.0, 0.5, ()),
            (6.0, 1.0, ()),
            (11.0, 1.5, ()),
        ),
    ),
    Case("bell", bell, few_counts, at=((0.7, 0.0, ()), (-3.0, 0.0, ()), (4.0, 0.0, ()))),
    Case("bell", bell, few_counts, link="sqrt", eta=(0.1, 6.0), far_eta=(-1.0, 0.0, 1e-30, 1e5)),
]
