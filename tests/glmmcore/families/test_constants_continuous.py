"""Intercept-only maximum likelihood against glmmTMB 1.1.15, and beyond it where that stops short."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, special

from glmmcore.families import get_family
from glmmcore.families.base import Family, Parameters

COUNTS = np.array([0, 1, 3, 2, 0, 5, 1, 0, 2, 7, 1, 4, 0, 2, 3, 1, 9, 0, 1, 2.0])
PROPORTIONS = np.array([0.12, 0.5, 0.33, 0.8, 0.91, 0.27, 0.45, 0.62, 0.05, 0.71, 0.38, 0.55])
POSITIVE = np.array([0.5, 1.2, 0.3, 2.2, 0.9, 4.1, 1.7, 0.6, 3.3, 1.1])


def fit(family: Family, y: np.ndarray, trials: float = 1.0) -> tuple[float, float, float, dict[str, float]]:
    """Log-likelihood, intercept, sigma and further parameters at the best of the family's starts."""
    trials, n_delta = np.full(y.size, trials), int(family.has_dispersion)

    def parameters(theta: np.ndarray) -> Parameters:
        delta = theta[1:2] if n_delta else np.zeros(1)
        return Parameters(np.full(y.size, theta[0]), delta, theta[1 + n_delta :])

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        d = family.derivatives(y, trials, parameters(theta))
        return -d.loglik.sum(), -d.d1.sum(axis=1)

    mu = family.start_mean(y, trials).mean()
    pearson = np.mean((y / trials - mu) ** 2 / family.working_variance(np.full(y.size, mu), trials))
    best = None
    for psi in family.start_psi():
        delta = [family.start_delta(pearson)] * n_delta
        start = np.concatenate([[family.link.link(mu)], delta, psi])
        result = optimize.minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-7})
        if best is None or result.fun < best.fun:
            best = result
    theta = best.x
    sigma = family.sigma(float(theta[1])) if n_delta else family.sigma(0.0)
    return -best.fun, float(theta[0]), sigma, family.describe_extra(theta[1 + n_delta :])


REFERENCE = [
    ("gamma", POSITIVE, -13.70380980, 0.4637340, 0.7362777, {}),
    ("lognormal", POSITIVE, -13.55075149, 0.4827769, 1.5147349, {}),
    ("beta", PROPORTIONS, 0.60323802, -0.1209319, 2.9657661, {}),
    (
        "ordbeta",
        np.concatenate([[0, 1], PROPORTIONS, [0, 1]]),
        -11.16671302,
        -0.1209319,
        2.9657659,
        {"lower": 0.112362, "upper": 0.861162},
    ),
    ("t", np.append(POSITIVE, 12.0), -23.19724787, 1.0840846, 0.6866515, {"df": 1.042097}),
    ("tweedie", np.concatenate([[0, 0], POSITIVE]), -19.00428677, 0.2814125, 0.9635181, {"power": 1.254625}),
    ("compois", COUNTS, -39.58950683, 0.7884569, 9.0998879, {}),
    ("bell", COUNTS, -40.08960452, 0.7884573, 1.0, {}),
]


@pytest.mark.parametrize(("name", "y", "llf", "intercept", "sigma", "extra"), REFERENCE, ids=[r[0] for r in REFERENCE])
def test_reference_fit(
    name: str, y: np.ndarray, llf: float, intercept: float, sigma: float, extra: dict[str, float]
) -> None:
    got = fit(get_family(name), y)
    assert got[0] == pytest.approx(llf, abs=1e-6)
    # The reference stops at its own tolerance: estimates agree to the square root of that of the likelihood.
    assert got[1] == pytest.approx(intercept, abs=2e-5)
    assert got[2] == pytest.approx(sigma, rel=2e-4)
    assert got[3] == pytest.approx(extra, rel=2e-4)


def test_skewnormal_leaves_the_stationary_point() -> None:
    """From slant 0 the reference stays at the normal law's -15.98090342 although the data are skewed."""
    family = get_family("skewnormal")
    llf, _, _, extra = fit(family, POSITIVE)
    assert llf > -15.98090342 + 1.0
    assert extra["slant"] > 1
    at_zero = family.derivatives(
        POSITIVE,
        np.ones(10),
        Parameters(np.full(10, POSITIVE.mean()), np.log([POSITIVE.std()]), np.zeros(1)),
    )
    assert at_zero.loglik.sum() == pytest.approx(-15.98090342, abs=1e-7)
    assert abs(at_zero.d1.sum(axis=1)).max() < 1e-12


def test_fixed_degrees_of_freedom_match_the_estimated_law() -> None:
    fixed, free = get_family("t"), get_family("t")
    fixed = type(free)(df=4.0)
    y, eta, delta = np.array([0.3, -7.0, 2.0]), np.array([0.1, 0.2, 0.3]), np.array([0.4])
    a = fixed.derivatives(y, np.ones(3), Parameters(eta, delta, np.zeros(0)))
    b = free.derivatives(y, np.ones(3), Parameters(eta, delta, np.log([4.0])))
    assert a.d1.shape == (2, 3)
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other[:2] if other.ndim == 2 else other, rtol=1e-13)


def test_com_poisson_is_poisson_at_unit_dispersion() -> None:
    y = np.array([0.0, 1, 5, 30, 1000, 1e6])
    eta = np.array([-3.0, 0.0, 1.5, 3.5, 6.8, 13.8])
    com = get_family("compois").derivatives(y, np.ones(6), Parameters(eta, np.zeros(1), np.zeros(0)))
    poisson = get_family("poisson").derivatives(y, np.ones(6), Parameters(eta, np.zeros(1), np.zeros(0)))
    np.testing.assert_allclose(com.loglik, poisson.loglik, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(com.d1[0], poisson.d1[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(com.d2[0], poisson.d2[0], rtol=1e-9)


def test_com_poisson_dispersion_is_bounded() -> None:
    """Strongly over-dispersed counts: beyond the bound nothing changes, so phi cannot drift."""
    family, y = get_family("compois"), np.array([0.0, 0, 0, 50, 0, 200])
    eta, empty = np.full(6, np.log(y.mean())), np.zeros(0)
    at = [family.derivatives(y, np.ones(6), Parameters(eta, np.array([d]), empty)) for d in (24.0, 30.0)]
    np.testing.assert_allclose(at[0].loglik, at[1].loglik, rtol=1e-12)
    assert np.all(at[1].d1[1] == 0)
    assert family.sigma(30.0) == 1e10


@pytest.mark.parametrize("phi", [1e6, 1e8, 1e10])
def test_com_poisson_tends_to_the_geometric_law(phi: float) -> None:
    """With nu = 1/phi, log f = log g + nu (E log Y! - log y! + (y - mu) Cov(Y, log Y!)/V) + O(nu^2), moments of g."""
    mu, y = np.array([0.01, 0.3, 2.0, 30.0]), np.array([0.0, 1.0, 7.0, 2.0])
    j = np.arange(3000.0)
    log_g = j[:, None] * np.log(mu / (1.0 + mu)) - np.log1p(mu)
    g, factorial = np.exp(log_g), special.gammaln(j + 1.0)
    mean = factorial @ g
    slope = ((j[:, None] - mu) * g).T @ factorial / (mu * (1.0 + mu))
    first = mean - special.gammaln(y + 1.0) + (y - mu) * slope
    p = Parameters(np.log(mu), np.log([phi]), np.zeros(0))
    d = get_family("compois").derivatives(y, np.ones(4), p)
    geometric = y * np.log(mu / (1.0 + mu)) - np.log1p(mu)
    # second order: some mu log mu times nu
    np.testing.assert_allclose(d.loglik, geometric + first / phi, rtol=0.0, atol=1e3 / phi**2 + 1e-13)
    np.testing.assert_allclose(d.d1[1], -first / phi, rtol=1e-7, atol=1e3 / phi**2)
    np.testing.assert_allclose(d.d1[0], (y - mu) / (1.0 + mu), rtol=200.0 / phi + 1e-12)


@pytest.mark.parametrize(("mu", "phi"), [(3000.0, 500.0), (200.0, 900.0), (20_000.0, 900.0), (2e5, 30.0), (1e4, 1e4)])
def test_com_poisson_wide_laws_against_the_whole_sum(mu: float, phi: float) -> None:
    """Laws of thousands of terms, which the family sums on coarser grids and by quadrature."""
    family, delta, empty = get_family("compois"), np.log([phi]), np.zeros(0)
    y = np.floor([0.0, 0.5 * mu, mu, mu + 5 * np.sqrt(mu * phi)])
    p = Parameters(np.full(4, np.log(mu)), delta, empty)
    d = family.derivatives(y, np.ones(4), p)
    j = np.arange(min(60 * mu, mu + 60 * np.sqrt(mu * phi)) + 1000)
    mass = np.exp(family.derivatives(j, np.ones(j.size), p._replace(eta=np.full(j.size, np.log(mu)))).loglik)
    # Differences of log f between counts do not involve the normaliser; the sums check it and the moments.
    assert mass.sum() == pytest.approx(1, abs=1e-8)
    assert j @ mass == pytest.approx(mu, rel=1e-8)
    variance = (j - mu) ** 2 @ mass
    assert family.variance(np.ones(4), p)[0] == pytest.approx(variance, rel=1e-7)
    np.testing.assert_allclose(d.d1[0], (y - mu) * mu / variance, rtol=1e-6, atol=1e-9)
    # E log Y! enters the derivative in delta; at the mean it is all of it.
    log_factorial = special.gammaln(j + 1)
    at_mean = (special.gammaln(mu + 1) - log_factorial @ mass) / phi
    assert d.d1[1, 2] == pytest.approx(at_mean, rel=1e-6, abs=1e-7)
    below, up_to = family.cdf(y, np.ones(4), p)
    cumulated = np.cumsum(mass)
    whole = y.astype(int)
    np.testing.assert_allclose(up_to, cumulated[whole], atol=1e-8)
    np.testing.assert_allclose(up_to - below, mass[whole], rtol=1e-4, atol=1e-12)


def test_bell_distribution_function_of_large_counts_against_the_whole_sum() -> None:
    family, mu = get_family("bell"), 9000.0
    j = np.arange(12_000.0)
    p = Parameters(np.full(j.size, np.log(mu)), np.zeros(1), np.zeros(0))
    mass = np.exp(family.derivatives(j, np.ones(j.size), p).loglik)
    assert mass.sum() == pytest.approx(1, abs=1e-9)
    y = np.array([4000.0, 5000, 8800, 9000, 9500, 11_000])
    below, up_to = family.cdf(y, np.ones(6), Parameters(p.eta[:6], p.delta, p.psi))
    # 1e-10 in the body; in the far tail, where a count changes the mass by 6 %, about 1e-7.
    np.testing.assert_allclose(up_to, np.cumsum(mass)[y.astype(int)], rtol=3e-7, atol=1e-70)
    np.testing.assert_allclose(below, np.cumsum(mass)[y.astype(int) - 1], rtol=3e-7, atol=1e-70)
