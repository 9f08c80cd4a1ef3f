"""Draws, distribution function, mean and variance of a family agree with one another and with the density."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from glmmcore.families.base import Parameters

from .case import Case
from .cases import CASES

N_DRAWS = 200_000
# Kolmogorov's statistic exceeds 2.2 / sqrt(n) with probability 1e-4 (less for discrete laws).
KOLMOGOROV = 2.2 / np.sqrt(N_DRAWS)
# Two-sided normal tail of 2e-5 for each moment of the fixed-seed draws.
STANDARD_ERRORS = 4.3

POINTS = [pytest.param(c, at, id=f"{c}-{i}") for c in CASES for i, at in enumerate(c.at)]


def row(at: tuple[float, float, tuple[float, ...]]) -> Parameters:
    eta, delta, psi = at
    return Parameters(np.array([eta]), np.array([delta]), np.array(psi, dtype=float))


def rows(p: Parameters, n: int) -> Parameters:
    return Parameters(np.repeat(p.eta, n), p.delta, p.psi)


@pytest.mark.parametrize(("case", "at"), POINTS)
def test_draws_follow_the_distribution_function(case: Case, at: tuple) -> None:
    family, p, trials = case.family, row(at), np.array([float(case.trials)])
    draws = family.simulate(trials, p, N_DRAWS, np.random.default_rng(5))
    assert draws.shape == (N_DRAWS, 1)
    assert draws.dtype == np.float64
    values, counts = np.unique(draws[:, 0], return_counts=True)
    below, up_to = family.cdf(values, np.repeat(trials, values.size), rows(p, values.size))
    reached = np.cumsum(counts) / N_DRAWS
    assert np.max(np.abs(up_to - reached)) < KOLMOGOROV
    assert np.max(np.abs(below - (reached - counts / N_DRAWS))) < KOLMOGOROV


@pytest.mark.parametrize(("case", "at"), POINTS)
def test_draws_have_the_stated_mean_and_variance(case: Case, at: tuple) -> None:
    family, p, trials = case.family, row(at), np.array([float(case.trials)])
    draws = family.simulate(trials, p, N_DRAWS, np.random.default_rng(6))[:, 0]
    mean = family.mean(trials, p)[0]
    if case.mean_moment:
        assert abs(draws.mean() - mean) < STANDARD_ERRORS * draws.std() / np.sqrt(N_DRAWS)
    if case.finite_variance:
        squares = (draws - mean) ** 2
        variance = family.variance(trials, p)[0]
        assert abs(squares.mean() - variance) < STANDARD_ERRORS * squares.std() / np.sqrt(N_DRAWS) + 1e-9 * variance


@pytest.mark.parametrize(("case", "at"), POINTS)
def test_distribution_function_against_the_density(case: Case, at: tuple) -> None:
    """Discrete: the jump is exp(log density). Continuous: its slope is."""
    family, p = case.family, row(at)
    rng = np.random.default_rng(7)
    y = np.unique(family.simulate(np.array([float(case.trials)]), p, 60, rng)[:, 0])
    trials, many = np.full(y.size, float(case.trials)), rows(p, y.size)
    below, up_to = family.cdf(y, trials, many)
    density = np.exp(family.derivatives(y, trials, many).loglik)
    jump = up_to - below
    if family.discrete:
        np.testing.assert_allclose(jump, density, rtol=1e-7, atol=1e-12)
        return
    atom = jump > 0
    np.testing.assert_allclose(jump[atom], density[atom], rtol=1e-9)
    # proportions crowd at both ends of the unit interval
    step = 1e-5 * (np.minimum(y, 1 - y) if np.all((y >= 0) & (y <= 1)) else np.abs(y))
    step[atom] = 1.0
    slope = (family.cdf(y + step, trials, many)[0] - family.cdf(y - step, trials, many)[1]) / (2 * step)
    # central difference: truncation and cancellation both about 1e-6
    np.testing.assert_allclose(slope[~atom], density[~atom], rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("case", [c for c in CASES if c.family.discrete and c.at], ids=str)
def test_masses_sum_to_one(case: Case) -> None:
    """Over the whole support, at the first point; also the mean and the variance in 30 digits."""
    eta, delta, psi = case.at[0]
    family, p, trials = case.family, row(case.at[0]), np.array([float(case.trials)])
    dispersion = [delta] if family.has_dispersion else []
    with mp.workdps(30):
        at = [mp.mpf(v) for v in (eta, *dispersion, *psi)]
        total, first, second = mp.mpf(0), mp.mpf(0), mp.mpf(0)
        last = case.trials if family.takes_trials else 4000
        start = 1 if family.hurdle else 0
        for k in range(start, last + 1):
            mass = mp.exp(case.reference(k, *at))
            total, first, second = total + mass, first + k * mass, second + k * k * mass
            if total > 0.5 and mass < mp.mpf(10) ** -25:
                break
        assert abs(total - 1) < 1e-10
        assert family.mean(trials, p)[0] == pytest.approx(float(first), rel=1e-9)
        assert family.variance(trials, p)[0] == pytest.approx(float(second - first**2), rel=1e-8)


@pytest.mark.parametrize("case", [c for c in CASES if c.family.discrete and not c.link], ids=str)
def test_distribution_function_is_safe_far_out(case: Case) -> None:
    family = case.family
    deltas = case.far_delta if family.has_dispersion else (0.0,)
    far_y = [y for y in case.far_y if not family.takes_trials or y <= case.trials]
    grid = np.array([(e, d, y) for e in case.far_eta for d in deltas for y in far_y])
    if case.name == "genpois":
        # its sum has about min(y, 70 phi) terms: exact but slow there
        grid = grid[np.minimum(grid[:, 2], 70 * np.exp(grid[:, 1])) < 1e6]
    eta, delta, y = (np.ascontiguousarray(c) for c in grid.T)
    psi = np.array([0.5 * (low + high) for low, high in case.psi])
    below, up_to = family.cdf(y, np.full(y.size, float(case.trials)), Parameters(eta, delta, psi))
    wrong = ~((below >= 0) & (below <= up_to) & (up_to <= 1))
    assert not wrong.any(), grid[wrong]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_draws_are_safe_far_out(case: Case) -> None:
    family = case.family
    deltas = [-300.0, 0.0, 300.0] if family.has_dispersion else [0.0]
    psi = np.array([0.5 * (low + high) for low, high in case.psi])
    eta = np.array([e for e in case.far_eta if abs(e) < 500 and e > 0] + list(case.eta))
    trials = np.full(eta.size, float(case.trials))
    for delta in deltas:
        draws = family.simulate(trials, Parameters(eta, np.array([delta]), psi), 3, np.random.default_rng(8))
        assert not np.isnan(draws).any()
