"""Log densities of counts at the corners of their parameters: never above 0, and equal to mpmath's.

Log mu, log phi and log kappa are held inside [-690, 690], where exp is a float; the references do the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest

from glmmcore.families import FAMILIES, get_family
from glmmcore.families.base import Parameters
from glmmcore.families.special import FAR_EXPONENT
from glmmcore.families.zero_inflation import ZeroInflated

# Relative to 1 + |log density|: a count of 37000 times the rounding of a logarithm of 700.
ACCURACY = 1e-9
LOG_PARAMETERS = (-720.0, -703.0, -690.0, -300.0, -50.0, -20.0, -3.0, 0.0, 3.0, 20.0, 36.0, 50.0, 300.0, 690.0, 720.0)
LINK_VALUES = {
    "log": (-700.0, -300.0, -50.0, -1.0, 0.0, 5.0, 20.0, 36.0, 100.0, 690.0, 700.0),
    "identity": (1e-300, 1e-30, 0.1, 1.0, 1e4, 3.6e8, 1e12, 1e300),
    "sqrt": (-1e5, -2.0, 1e-150, 1e-8, 1.0, 3.6e8, 1e150),
}
COUNTS = (0, 1, 2, 3, 11, 13, 50, 99, 100, 101, 1000, 37000)
ZERO_LOGITS = (-800.0, -40.0, 0.0, 40.0, 800.0)
N_POINTS = 500
# A mass of all but 1 is the difference of terms of size 700, or one minus a rounded probability.
ROUNDING = 1e-10

Density = Callable[[int, mp.mpf, mp.mpf, mp.mpf], mp.mpf]


def held(log_parameter: float | mp.mpf) -> mp.mpf:
    return mp.mpf(min(max(log_parameter, -FAR_EXPONENT), FAR_EXPONENT))


def poisson(y: int, mu: mp.mpf, phi: mp.mpf, kappa: mp.mpf) -> mp.mpf:
    return y * mp.log(mu) - mu - mp.loggamma(y + 1)


def negative_binomial(y: int, mu: mp.mpf, size: mp.mpf) -> mp.mpf:
    if y < 200:
        rise = mp.fsum(mp.log1p(i / size) for i in range(y))
    else:
        with mp.workdps(700):
            rise = mp.loggamma(y + size) - mp.loggamma(size) - y * mp.log(size)
    log_ratio = mp.log1p(mu / size)
    return rise - mp.loggamma(y + 1) - size * log_ratio + y * (mp.log(mu) - log_ratio)


def nbinom1(y: int, mu: mp.mpf, phi: mp.mpf, kappa: mp.mpf) -> mp.mpf:
    return negative_binomial(y, mu, mu / phi)


def nbinom2(y: int, mu: mp.mpf, phi: mp.mpf, kappa: mp.mpf) -> mp.mpf:
    return negative_binomial(y, mu, phi)


def nbinom12(y: int, mu: mp.mpf, phi: mp.mpf, kappa: mp.mpf) -> mp.mpf:
    return negative_binomial(y, mu, mu / (phi + mu / kappa))


def truncated(whole: Density) -> Density:
    return lambda y, mu, phi, kappa: whole(y, mu, phi, kappa) - mp.log(-mp.expm1(whole(0, mu, phi, kappa)))


DENSITIES: dict[str, Density] = {
    "poisson": poisson,
    "nbinom1": nbinom1,
    "nbinom2": nbinom2,
    "nbinom12": nbinom12,
    "truncated_poisson": truncated(poisson),
    "truncated_nbinom1": truncated(nbinom1),
    "truncated_nbinom2": truncated(nbinom2),
}


def log_mean(link: str, eta: float) -> mp.mpf:
    return held({"log": lambda v: v, "identity": mp.log, "sqrt": lambda v: 2 * mp.log(abs(v))}[link](mp.mpf(eta)))


def some_corners(name: str, link: str, seed: int) -> np.ndarray:
    """Random corners (eta, delta, psi, y)."""
    family = get_family(name, link)
    deltas = LOG_PARAMETERS if family.has_dispersion else (0.0,)
    psis = LOG_PARAMETERS if family.extra else (0.0,)
    counts = [y for y in COUNTS if y or not family.hurdle]
    every = np.array(list(itertools.product(LINK_VALUES[link], deltas, psis, counts)))
    return np.random.default_rng(seed).permutation(every)[:N_POINTS]


@pytest.mark.parametrize("link", ["log", "identity", "sqrt"])
@pytest.mark.parametrize("name", DENSITIES)
def test_log_densities_at_corners_equal_mpmath(name: str, link: str) -> None:
    family = get_family(name, link)
    with mp.workdps(50):
        for eta, delta, psi, y in some_corners(name, link, 1):
            p = Parameters(np.array([eta]), np.array([delta]), np.array([psi] if family.extra else []))
            got = family.derivatives(np.array([y]), np.ones(1), p)
            mu, phi, kappa = (mp.exp(v) for v in (log_mean(link, eta), held(delta), held(psi)))
            want = float(DENSITIES[name](int(y), mu, phi, kappa))
            assert got.loglik[0] <= ROUNDING, (eta, delta, psi, y)
            assert abs(got.loglik[0] - want) <= ACCURACY * (1.0 + abs(want)), (eta, delta, psi, y, got.loglik[0], want)
            assert all(np.isfinite(part).all() for part in got)


@pytest.mark.parametrize("name", [n for n in DENSITIES if not n.startswith("truncated")])
def test_zero_inflated_log_densities_at_corners_equal_mpmath(name: str) -> None:
    family = get_family(name)
    model = ZeroInflated(family)
    with mp.workdps(50):
        for eta, delta, psi, y in some_corners(name, "log", 2)[:100]:
            p = Parameters(np.array([eta]), np.array([delta]), np.array([psi] if family.extra else []))
            mu, phi, kappa = (mp.exp(v) for v in (log_mean("log", eta), held(delta), held(psi)))
            density = DENSITIES[name](int(y), mu, phi, kappa)
            for zeta in ZERO_LOGITS:
                got = float(model.derivatives(np.array([y]), np.ones(1), p, np.array([zeta])).loglik[0])
                log_rest = -mp.log1p(mp.exp(mp.mpf(zeta)))
                want = float(log_rest + (mp.log(mp.exp(zeta) + mp.exp(density)) if y == 0 else density))
                assert got <= ROUNDING, (eta, delta, psi, y, zeta)
                assert abs(got - want) <= ACCURACY * (1.0 + abs(want)), (eta, delta, psi, y, zeta, got, want)


# Masses of a Conway-Maxwell-Poisson law are taken relative to their own sum, that of Bell from a table of its own.
@pytest.mark.parametrize("name", ["bell", "compois", "binomial", "betabinomial"])
def test_log_densities_of_other_laws_are_never_above_zero(name: str) -> None:
    family = get_family(name)
    for eta, delta, y, trials in itertools.product(LINK_VALUES["log"], LOG_PARAMETERS, COUNTS[:-1], (1.0, 7.0, 1000.0)):
        if family.takes_trials and y > trials:
            continue
        p = Parameters(np.array([eta]), np.array([delta]), np.zeros(0))
        assert family.derivatives(np.array([float(y)]), np.array([trials]), p).loglik[0] <= ROUNDING, (eta, delta, y)


@pytest.mark.parametrize("name", FAMILIES)
def test_log_densities_are_finite_for_every_value_of_a_default_link(name: str) -> None:
    """Starts of searches rely on it: they do not ask whether a step has left the range of the mean."""
    family = get_family(name)
    inside = {"beta": (1e-3, 0.3, 0.9), "ordbeta": (0.0, 0.3, 1.0), "tweedie": (0.0, 1e-3, 1.0, 100.0)}
    responses = inside.get(name, (0.0, 1.0, 7.0, 1000.0) if family.discrete else (1e-3, 0.5, 1.0, 100.0))
    eta = np.array([sign * size for size in (0.0, 0.1, 1.0, 20.0, 300.0, 1e3, 1e6) for sign in (-1.0, 1.0)])
    for y in responses:
        trials = np.full(eta.size, max(y, 1.0))
        p = Parameters(eta, np.zeros(1), np.zeros(len(family.extra)))
        with np.errstate(all="ignore"):
            loglik = family.newton_terms(np.full(eta.size, y), trials, p)[0]
        assert np.isfinite(loglik).all(), y
