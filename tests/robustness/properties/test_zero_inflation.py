"""Zero inflation and hurdles over every law that takes them, against the law itself and against differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special, stats

from glmmcore.families import get_family
from glmmcore.families.zero_inflation import ZeroInflated

from .budget import examples
from .laws import CHANCE, NAMES, Point, best_slope, eta_unit, points

MIXED = [
    name for name in NAMES if get_family(name).discrete or get_family(name).hurdle or get_family(name).mass_at_zero
]


@pytest.mark.parametrize("name", MIXED)
def test_zero_inflation_of_every_law(name: str) -> None:
    """Mass at 0, moments, distribution function, draws and slopes of the mixture."""

    @examples(4)
    @given(points(name), st.floats(-8.0, 8.0), st.integers(0, 2**32 - 1))
    def check(point: Point, zeta: float, seed: int) -> None:
        assume(name != "genpois" or point.delta > 0.2)
        mixture = ZeroInflated(point.family)
        pi = special.expit(zeta)
        one, p = point.many_trials(), point.parameters()
        at_zero = float(mixture.zero_probability(one, p, np.array([zeta]))[0])
        own = 0.0 if point.family.hurdle else float(np.exp(point.log_density(np.zeros(1)))[0])
        assert at_zero == pytest.approx(pi + (1 - pi) * own, rel=1e-9)
        assert mixture.mean(one, p, np.array([zeta]))[0] == pytest.approx((1 - pi) * point.mean, rel=1e-12)
        second = point.variance + point.mean**2
        variance = (1 - pi) * second - ((1 - pi) * point.mean) ** 2
        rounding = 1e-12 * second
        assert mixture.variance(one, p, np.array([zeta]))[0] == pytest.approx(variance, rel=1e-9, abs=rounding)
        draws = mixture.simulate(one, p, np.array([zeta]), 1000, np.random.default_rng(seed))[:, 0]
        mixture.check_support(draws, point.many_trials(1000))
        chance = stats.binomtest(int((draws == 0).sum()), 1000, min(at_zero, 1.0)).pvalue
        assert chance > CHANCE
        y = np.unique(np.r_[0.0, draws[:7]])
        many, trials, z = point.parameters(len(y)), point.many_trials(len(y)), np.full(len(y), zeta)
        below, up_to = mixture.cdf(y, trials, many, z)
        assert up_to[0] == pytest.approx(at_zero, rel=1e-7)
        assert below[0] == 0.0
        centre = mixture.derivatives(y, trials, many, z)
        if point.family.discrete:
            np.testing.assert_allclose(up_to - below, np.exp(centre.loglik), rtol=1e-6, atol=1e-12)

        def evaluate(d_eta: float, d_zeta: float):
            return mixture.derivatives(y, trials, many._replace(eta=many.eta + d_eta), z + d_zeta)

        size = 1 + y + point.mean + np.exp(point.delta) + np.abs(centre.loglik)
        unit = eta_unit(point)
        checks = [
            (centre.d1[0], lambda s: evaluate(s, 0.0).loglik, unit, 1.0),
            (centre.d1[-1], lambda s: evaluate(0.0, s).loglik, 1.0, 1.0),
            (centre.d2[0, 0], lambda s: evaluate(s, 0.0).d1[0], unit, unit),
            (centre.d2[0, -1], lambda s: evaluate(0.0, s).d1[0], 1.0, unit),
            (centre.d2[1, 0], lambda s: evaluate(s, 0.0).d1[-1], unit, 1.0),
            (centre.d2[1, -1], lambda s: evaluate(0.0, s).d1[-1], 1.0, 1.0),
            (centre.d3[0, 0], lambda s: evaluate(s, 0.0).d2[0, 0], unit, unit**2),
            (centre.d3[0, -1], lambda s: evaluate(0.0, s).d2[0, 0], 1.0, unit**2),
            (centre.d3[1, -1], lambda s: evaluate(0.0, s).d2[0, -1], 1.0, unit),
            (centre.d3[2, 0], lambda s: evaluate(s, 0.0).d2[1, -1], unit, 1.0),
            (centre.d3[2, -1], lambda s: evaluate(0.0, s).d2[1, -1], 1.0, 1.0),
        ]
        for number, (claimed, f, step, scale) in enumerate(checks):
            slope, error = best_slope(f, step, size / scale + np.abs(f(0.0)))
            wrong = ~(np.abs(claimed - slope) <= 1e-6 * np.abs(slope) + error)
            assert not wrong.any(), (number, y[wrong], claimed[wrong], slope[wrong])

    check()
