"""Compiled special functions against 60-digit arithmetic, over the whole range of their arguments."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from glmmcore.families import count_density, get_family, special
from glmmcore.families.base import Parameters


def worst_relative_error(got: np.ndarray, want: list[mp.mpf]) -> float:
    return max(float(abs((mp.mpf(float(g)) - w) / w)) for g, w in zip(got, want, strict=True))


def test_digamma() -> None:
    x = np.exp(np.random.default_rng(1).uniform(-30, 30, 300))
    with mp.workdps(60):
        want = [mp.digamma(mp.mpf(v)) for v in x]
        got = np.array([special.digamma(v) for v in x])
        assert worst_relative_error(got, want) < 1e-13  # relative near the zero of digamma costs digits


def rising_reference(y: float, n: float) -> list[mp.mpf]:
    y, n = mp.mpf(y), mp.mpf(n)
    rise = mp.loggamma(y + n) - mp.loggamma(n) - y * mp.log(n)
    s = [n ** (j + 1) * (mp.polygamma(j, y + n) - mp.polygamma(j, n)) for j in range(3)]
    return [rise, s[0], s[0] - y, s[0] + s[1], s[0] + 3 * s[1] + s[2]]


def rising_points() -> list[tuple[float, float]]:
    rng = np.random.default_rng(2)
    whole = [(float(np.floor(np.exp(rng.uniform(0.7, 12)))), float(np.exp(rng.uniform(-20, 25)))) for _ in range(150)]
    small = [(float(y), float(n)) for y in (2, 3, 5, 12, 13, 40) for n in (1e-299, 1e-200, 1e-60, 0.3, 5.0, 1e12)]
    broken = [(float(np.exp(rng.uniform(-1, 6))), float(np.exp(rng.uniform(-5, 5)))) for _ in range(50)]
    return whole + small + broken + [(1e9, 1e-8), (1e9, 3.0), (1e9, 1e9), (1e9, 1e20)]


def test_differences_of_log_gamma() -> None:
    points = rising_points()
    got = np.array([special.rising(y, n) for y, n in points])
    for (y, n), row in zip(points, got, strict=True):
        # enough digits for the differences at the ends of the range
        with mp.workdps(350 if n < 1e-30 else 90):
            want = [float(w) for w in rising_reference(y, n)]
        # a count of i terms of both signs loses about i eps; T1 is S1 - y where n is small
        np.testing.assert_allclose(row, want, rtol=2e-11, atol=2e-15 * (1 + (y if n < 12 else 0)), err_msg=f"{y}, {n}")


def test_first_count_is_exact() -> None:
    assert special.rising(0.0, 3.0) == (0.0, 0.0, 0.0, 0.0, 0.0)
    assert special.rising(1.0, 1e-12) == (0.0, 1.0, 0.0, 0.0, 0.0)


def test_table_equals_single_values() -> None:
    for n in (1e-250, 0.01, 2.0, 1e6, 1e200):
        table = special.rising_table(60, n)
        single = np.array([special.rising(float(y), n) for y in range(60)])
        np.testing.assert_allclose(table, single, rtol=1e-12, atol=1e-13)


def test_size_beyond_the_range_of_floats() -> None:
    """log of (y - 1)! / n^(y - 1) is the limit for n to 0."""
    got = special.rising_at(10.0, -5000.0)
    assert got[0] == pytest.approx(9 * 5000 + np.log(362880), rel=1e-14)
    assert special.rising_at(10.0, 5000.0)[1] == pytest.approx(10.0)


def test_mills_ratio() -> None:
    x = np.concatenate([np.random.default_rng(3).uniform(-50, 9, 150), [-1e2, -1e3, -1e4, -3.0, 0.0]])
    with mp.workdps(60):
        for value in x:
            t = mp.mpf(float(value))
            h = mp.npdf(t) / mp.ncdf(t)
            first = -h * (t + h)
            want = [mp.log(mp.ncdf(t)), h, first, -(first * (t + h) + h * (1 + first))]
            assert worst_relative_error(np.array(special.mills(value)), want) < 1e-10


def test_truncation_terms() -> None:
    with mp.workdps(60):
        for t in np.random.default_rng(4).uniform(-30, 5, 60):
            m = float(np.exp(t))
            log_m = mp.log(mp.mpf(m))

            def k(u: mp.mpf) -> mp.mpf:
                return -mp.log(-mp.expm1(-mp.exp(u)) / mp.exp(u))

            want = [mp.diff(k, log_m, j) for j in range(4)]
            assert worst_relative_error(np.array(special.truncation(m)), want) < 1e-10


def test_log1pmx_and_stirling_error() -> None:
    rng = np.random.default_rng(5)
    x = np.concatenate([np.exp(rng.uniform(-30, 5, 100)), -np.exp(rng.uniform(-30, -0.001, 100))])
    y = np.exp(rng.uniform(-5, 30, 100))
    with mp.workdps(60):
        want = [mp.log1p(mp.mpf(v)) - mp.mpf(v) for v in x]
        assert worst_relative_error(np.array([special.log1pmx(v) for v in x]), want) < 1e-14
        want = [mp.loggamma(mp.mpf(v) + 1) - (mp.mpf(v) + 0.5) * mp.log(v) + v - mp.log(2 * mp.pi) / 2 for v in y]
        assert worst_relative_error(np.array([special.stirling_error(v) for v in y]), want) < 1e-11


def test_large_counts_keep_their_digits() -> None:
    """Deviance form: the error does not grow with the count."""
    y = 1e9
    with mp.workdps(60):
        for eta in (np.log(1e9), np.log(1.0001e9), np.log(3e9)):
            mu = mp.exp(mp.mpf(float(eta)))
            want = y * mp.mpf(float(eta)) - mu - mp.loggamma(y + 1)
            got = count_density.poisson_core(y, eta, float(np.exp(eta))) + count_density.poisson_constant(y)
            assert got == pytest.approx(float(want), rel=1e-9, abs=1e-9)
        n, k, p = 2e9, 6e8, 0.3001
        log_p, log_q = np.log(p), np.log1p(-p)
        choose = mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1)
        want = choose + k * mp.log(p) + (n - k) * mp.log1p(-mp.mpf(p))
        got = count_density.binomial_core(k, n, log_p, log_q, p, 1 - p) + count_density.binomial_constant(k, n)
        assert got == pytest.approx(float(want), rel=1e-9)


def test_binomial_sums_of_few_and_many_terms() -> None:
    """P(Y <= k) where the probabilities are summed, and where the first is too small or there are too many."""
    rng = np.random.default_rng(4)
    trials = np.concatenate([rng.integers(1, 40, 150), rng.integers(150, 900, 50)]).astype(float)
    eta = rng.uniform(-6, 6, trials.size)
    failure = 1 / (1 + np.exp(eta))
    k = np.floor(np.clip(trials * (1 - failure) + rng.normal(0, 3, trials.size), 0, trials))
    lower, upper = get_family("binomial").cdf(k, trials, Parameters(eta, np.zeros(1), np.empty(0)))
    for i, n in enumerate(trials):
        with mp.workdps(60):
            q = 1 / (1 + mp.exp(mp.mpf(float(eta[i]))))
            terms = [mp.binomial(int(n), j) * (1 - q) ** j * q ** (int(n) - j) for j in range(int(k[i]) + 1)]
            # the success probability is rounded to one part in 1e16 and enters N times
            assert float(abs(upper[i] / mp.fsum(terms) - 1)) < 1e-12
            below = mp.fsum(terms[:-1])
            assert lower[i] == 0 if k[i] == 0 else float(abs(lower[i] / below - 1)) < 1e-12
