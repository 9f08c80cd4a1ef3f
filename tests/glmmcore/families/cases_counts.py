"""Counts, proportions of trials and the Gaussian law, written out in mpmath from their definitions."""

from __future__ import annotations

import mpmath as mp
import numpy as np

from .case import Case


def small_counts(rng: np.random.Generator, n: int) -> np.ndarray:
    """Counts of every size class that the kernels treat differently."""
    kind = rng.integers(0, 4, n)
    top = np.array([3.0, 15.0, 90.0, 4000.0])[kind]
    return np.floor(rng.uniform(0, top))


def positive_counts(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.maximum(small_counts(rng, n), 1)


def successes(trials: int):
    return lambda rng, n: rng.integers(0, trials + 1, n)


def log_choose(n, k):
    return mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1)


def gaussian(y, N, mu, phi, psi):
    return -mp.log(2 * mp.pi) / 2 - mp.log(phi) - (y - mu) ** 2 / (2 * phi**2)


def binomial(y, N, mu, phi, psi):
    return log_choose(N, y) + y * mp.log(mu) + (N - y) * mp.log1p(-mu)


def poisson(y, N, mu, phi, psi):
    return y * mp.log(mu) - mu - mp.loggamma(y + 1)


def negative_binomial(y, mu, size):
    return (
        mp.loggamma(y + size)
        - mp.loggamma(size)
        - mp.loggamma(y + 1)
        + size * mp.log(size / (size + mu))
        + y * mp.log(mu / (size + mu))
    )


def nbinom2(y, N, mu, phi, psi):
    return negative_binomial(y, mu, phi)


def nbinom1(y, N, mu, phi, psi):
    return negative_binomial(y, mu, mu / phi)


def nbinom12(y, N, mu, phi, psi):
    return negative_binomial(y, mu, mu / (phi + mu / mp.exp(psi[0])))


def betabinomial(y, N, mu, phi, psi):
    a, b = mu * phi, (1 - mu) * phi
    return log_choose(N, y) + log_beta(y + a, N - y + b) - log_beta(a, b)


def log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def genpois(y, N, mu, phi, psi):
    theta, rate = mu / mp.sqrt(phi), 1 - 1 / mp.sqrt(phi)
    m = theta + rate * y
    return mp.log(theta) + (y - 1) * mp.log(m) - m - mp.loggamma(y + 1) if m > 0 else -mp.inf


def truncated(log_density):
    """Given y >= 1."""

    def density(y, N, mu, phi, psi):
        return log_density(y, N, mu, phi, psi) - mp.log(-mp.expm1(log_density(mp.mpf(0), N, mu, phi, psi)))

    return density


COUNT_CASES: list[Case] = [
    Case("gaussian", gaussian, lambda rng, n: rng.normal(0, 3, n), far_y=(-1e9, 0.0, 1e9)),
    Case("gaussian", gaussian, lambda rng, n: rng.normal(0, 3, n), link="log"),
    Case("gaussian", gaussian, lambda rng, n: rng.normal(0, 3, n), link="inverse", eta=(0.2, 3.0)),
    Case("gaussian", gaussian, lambda rng, n: rng.normal(0, 3, n), link="sqrt", eta=(0.2, 3.0)),
    Case("poisson", poisson, small_counts, at=((0.7, 0.0, ()), (-4.0, 0.0, ()), (6.0, 0.0, ()))),
    Case("poisson", poisson, small_counts, link="identity", eta=(0.1, 30.0), far_eta=(-1.0, 1e-30, 1e9)),
    Case("poisson", poisson, small_counts, link="sqrt", eta=(0.1, 9.0), far_eta=(-1.0, 0.0, 1e-30, 1e5)),
    Case(
        "nbinom2",
        nbinom2,
        small_counts,
        at=((0.7, 0.3, ()), (1.5, -1.5, ()), (2.0, 30.0, ()), (0.0, 3.0, ())),
    ),
    Case("nbinom2", nbinom2, small_counts, link="identity", eta=(0.1, 30.0), far_eta=(-1.0, 1e-30, 1e9)),
    Case(
        "nbinom1",
        nbinom1,
        small_counts,
        at=((0.7, 0.3, ()), (1.5, 1.5, ()), (2.0, -30.0, ()), (-2.0, 0.0, ())),
    ),
    Case("nbinom1", nbinom1, small_counts, link="sqrt", eta=(0.1, 9.0), far_eta=(-1.0, 0.0, 1e-30, 1e5)),
    Case(
        "nbinom12",
        nbinom12,
        small_counts,
        psi=((-2.0, 2.0),),
        at=((0.7, 0.3, (0.5,)), (1.5, -9.0, (1.0,)), (1.5, 0.0, (30.0,))),
    ),
    Case(
        "genpois",
        genpois,
        small_counts,
        delta=(0.0, 3.0),
        at=((0.7, 0.3, ()), (2.0, 2.5, ()), (-1.0, 1.0, ()), (3.0, 0.0, ()), (4.0, -0.3, ())),
    ),
    # underdispersed, inside the support
    Case("genpois", genpois, lambda rng, n: rng.integers(0, 8, n), eta=(1.5, 2.5), delta=(-0.6, 0.0), at=()),
    *(
        Case(
            f"truncated_{name}",
            truncated(density),
            positive_counts,
            link=link,
            eta=eta,
            at=((0.7, 0.3, ()), (-4.0, 1.0, ()), (2.0, 0.0, ()), (1.0, -12.0, ()), (1.0, 12.0, ())) if not link else (),
            far_y=(1.0, 2.0, 37.0, 1e9),
        )
        for name, density in (("poisson", poisson), ("nbinom1", nbinom1), ("nbinom2", nbinom2))
        for link, eta in ((None, (-6.0, 2.5)), ("sqrt", (0.1, 3.0)))
    ),
    *(
        Case(
            "betabinomial",
            betabinomial,
            successes(trials),
            link=link,
            trials=trials,
            eta=eta,
            at=((0.4, 1.0, ()), (-1.0, -1.0, ()), (-0.5, 4.0, ()), (-0.5, 30.0, ())),
            far_eta=far,
            far_y=(0.0, 1.0, float(trials)),
        )
        for link, eta, far in (
            ("logit", (-6.0, 6.0), (-700.0, -40.0, 40.0, 700.0)),
            ("probit", (-4.0, 4.0), (-1e4, -40.0, 40.0, 1e4)),
            ("cloglog", (-4.0, 1.0), (-700.0, -40.0, 40.0, 700.0)),
        )
        for trials in (1, 10, 3000)
    ),
    *(
        Case(
            "binomial",
            binomial,
            successes(trials),
            link=link,
            trials=trials,
            eta=eta,
            at=((0.5 * sum(eta), 0.0, ()), (0.9 * eta[0] + 0.1 * eta[1], 0.0, ())),
            far_eta=far,
            far_y=(0.0, 1.0, float(trials)),
        )
        for link, eta, far in (
            ("logit", (-6.0, 6.0), (-700.0, -40.0, 40.0, 700.0)),
            ("probit", (-4.0, 4.0), (-1e4, -40.0, 40.0, 1e4)),
            ("cloglog", (-4.0, 1.5), (-700.0, -40.0, 40.0, 700.0)),
            ("log", (-4.0, -0.1), (-700.0, -1e-20, 0.0, 3.0)),
            ("identity", (0.05, 0.95), (-1.0, 0.0, 1e-30, 1.0, 7.0)),
        )
        for trials in (1, 12, 5000)
    ),
]
