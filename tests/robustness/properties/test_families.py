"""Density, distribution function, moments, derivatives and draws of every family agree at random parameters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special, stats

from glmmcore.families import get_family
from glmmcore.families.base import Parameters

from .budget import examples
from .laws import CHANCE, CONTINUOUS, DISCRETE, LOCATION, NAMES, Point, best_slope, eta_unit, points

# The longest support that is counted through.
LONGEST = 6_000
# Sum of up to LONGEST masses, each with the promised relative error of 1e-9.
SUM = 1e-8


def support(point: Point) -> np.ndarray:
    """Counts from the smallest on, as far as a tail of 1e-13 or `LONGEST`."""
    if point.family.takes_trials:
        return np.arange(point.trials + 1.0)
    first = 1.0 if point.family.hurdle else 0.0
    last = point.mean + 10.0
    while last < LONGEST and point.cdf(np.array([last]))[1][0] < 1 - 1e-13:
        last *= 2
    return np.arange(first, min(np.ceil(last), LONGEST) + 1)


@pytest.mark.parametrize("name", DISCRETE)
def test_masses_cumulate_to_the_distribution_function(name: str) -> None:
    @examples(6)
    @given(points(name))
    def check(point: Point) -> None:
        y = support(point)
        mass = np.exp(point.log_density(y))
        below, up_to = point.cdf(y)
        np.testing.assert_allclose(up_to, np.cumsum(mass), rtol=SUM, atol=SUM)
        np.testing.assert_allclose(below, np.cumsum(mass) - mass, rtol=SUM, atol=SUM)
        assert np.all(np.diff(up_to) >= -1e-12)
        if len(y) < LONGEST:
            assert mass.sum() == pytest.approx(1.0, abs=SUM)
            mean = float(mass @ y)
            variance = float(mass @ (y - mean) ** 2)
            # what lies beyond a tail of 1e-13
            assert point.mean == pytest.approx(mean, rel=1e-7, abs=2e-13 * y[-1])
            assert point.variance == pytest.approx(variance, rel=1e-6, abs=2e-13 * y[-1] ** 2 + 1e-9 * mean)

    check()


@pytest.mark.parametrize("nu", [1.2, 2.0, 20.0, 100.0, 1000.0])
@pytest.mark.parametrize("mean", [1.0, 2.0, 17.0, 40.0, 3 - 1e-12, 3 + 1e-9])
def test_conway_maxwell_poisson_at_whole_means(mean: float, nu: float) -> None:
    """Where one count has nearly all the mass, those on both sides of it must balance: log lambda is not -690."""
    point = Point(get_family("compois", "identity"), mean, -np.log(nu), (), 1)
    y = np.arange(400.0)
    mass = np.exp(point.log_density(y))
    assert mass.sum() == pytest.approx(1.0, abs=1e-10)
    assert mass @ y == pytest.approx(mean, rel=1e-10)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_density_integrates_to_the_distribution_function(name: str) -> None:
    """Between draws next to one another, by 40-point Gauss-Legendre rules in the variable that opens the support."""
    nodes, weights = np.polynomial.legendre.leggauss(40)

    @examples(8)
    @given(points(name), st.integers(0, 2**32 - 1))
    def check(point: Point, seed: int) -> None:
        draws = np.unique(point.simulate(400, seed))
        inside = draws[(draws != 0) & (draws != 1)] if name in ("tweedie", "ordbeta") else draws
        unit = name in ("beta", "ordbeta")
        if unit:
            inside = inside[(inside > 1e-300) & (inside < 1 - 1e-12)]
        assume(len(inside) > 20)
        positive = not unit and np.all(draws >= 0) and name not in LOCATION
        centre, width = float(np.median(inside)), float(np.quantile(inside, 0.75) - np.quantile(inside, 0.25))
        if positive:
            opened, back, slope_of = np.log(inside), np.exp, lambda y: y
        elif unit:
            opened, back, slope_of = special.logit(inside), special.expit, lambda y: y * (1 - y)
        else:
            assume(width > 1e-6 * abs(centre))
            opened = np.arcsinh((inside - centre) / width)
            back, slope_of = lambda v: centre + width * np.sinh(v), lambda y: np.hypot(width, y - centre)
        middle, half = 0.5 * (opened[1:] + opened[:-1]), 0.5 * np.diff(opened)
        y = back((middle[:, None] + half[:, None] * nodes).ravel())
        density = np.exp(point.log_density(y)) * slope_of(y)
        mass = (density.reshape(-1, 40) @ weights) * half
        ends = back(opened)
        below, up_to = point.cdf(ends)
        np.testing.assert_array_equal(below, up_to)
        # the ends are rounded, and the distribution function has an absolute error of its own
        rounding = 4e-16 * np.abs(ends) * np.exp(point.log_density(ends))
        np.testing.assert_allclose(np.diff(up_to), mass, rtol=1e-6, atol=1e-8 + rounding.max())

    check()


@pytest.mark.parametrize("name", NAMES)
def test_draws_follow_the_distribution_function(name: str) -> None:
    """Randomised probability integral transforms of draws are uniform."""

    @examples(10)
    @given(points(name), st.integers(0, 2**32 - 1))
    def check(point: Point, seed: int) -> None:
        draws = point.simulate(1500, seed)
        point.family.check_support(draws, point.many_trials(1500))
        below, up_to = point.cdf(draws)
        assert np.all((below >= 0) & (below <= up_to) & (up_to <= 1))
        if name in CONTINUOUS:  # a draw stands for all numbers that round to it
            smaller = np.where(draws == np.finfo(float).tiny, 0.0, np.nextafter(draws, -np.inf))
            below, up_to = point.cdf(smaller)[0], point.cdf(np.nextafter(draws, np.inf))[1]
        u = below + np.random.default_rng(seed + 1).random(1500) * (up_to - below)
        assert stats.kstest(u, "uniform").pvalue > CHANCE

    check()


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_slopes(name: str) -> None:
    """Every derivative against a fourth-order difference of the one below, at responses drawn from nearby laws."""

    @examples(8)
    @given(points(name), points(name), st.integers(0, 2**32 - 1))
    def check(point: Point, other: Point, seed: int) -> None:
        family = point.family
        assume(other.trials == point.trials or not family.takes_trials)
        assume(family.name != "genpois" or point.delta > 0.2)  # nearer to 0 a difference leaves the support
        y = np.unique(np.concatenate([point.simulate(5, seed), other.simulate(3, seed)]))
        if family.name == "beta":
            y = np.clip(y, 1e-12, 1 - 1e-12)
        n, trials = len(y), point.many_trials(len(y))
        at = [point.eta, *([point.delta] if family.has_dispersion else []), *point.psi]

        def evaluate(a: int, shift: float):
            moved = list(at)
            moved[a] += shift
            delta = moved[1] if family.has_dispersion else 0.0
            psi = np.array(moved[1 + family.has_dispersion :])
            return family.derivatives(y, trials, Parameters(np.full(n, moved[0]), np.array([delta]), psi))

        centre = evaluate(0, 0.0)
        assume(np.all(np.isfinite(centre.loglik)))
        newton = family.newton_terms(y, trials, point.parameters(n))
        np.testing.assert_allclose(newton[1], centre.d1[0], rtol=1e-9, atol=1e-11 * (1 + np.abs(y).max()))
        np.testing.assert_allclose(newton[2], centre.d2[0], rtol=1e-9, atol=1e-11 * (1 + np.abs(y).max()))
        for a, predictor in enumerate(family.predictors):
            for order, (claimed, pick) in enumerate(
                [
                    (centre.d1[a], lambda d: d.loglik),
                    (centre.d2[a], lambda d: d.d1[0]),
                    (centre.d3[a], lambda d: d.d2[0]),
                ]
            ):
                unit = eta_unit(point)
                # rounding of what is differenced: the parts of a derivative may cancel
                terms = abs(point.mean) + np.exp(point.delta) if name not in LOCATION else 0.0
                size = (1 + np.abs(y) + terms + np.abs(centre.loglik)) / unit**order + np.abs(pick(centre))
                slope, error = best_slope(lambda s, a=a, pick=pick: pick(evaluate(a, s)), unit if a == 0 else 1.0, size)
                wrong = ~(np.abs(claimed - slope) <= 1e-6 * np.abs(slope) + error)
                assert not wrong.any(), (predictor, order + 1, y[wrong], claimed[wrong], slope[wrong])

    check()
