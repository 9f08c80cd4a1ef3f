"""Starts of searches in large data: moments of models with a log link find what the data were made with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.start import start_candidates
from glmmcore.families import get_family
from glmmcore.formula.build import build_design

N, GROUPS, SIZE = 40_000, 1000, 1.5
# A thousand levels tell a standard deviation to .02 and what they explain to .06 of the logarithm of a size. Starts
# that take exp(b) for 1 + b are off by .03 to .1 and by .5.
SD_TOLERANCE, SIZE_TOLERANCE = 0.025, 0.1


def _rows(draw, sds):
    rng = np.random.default_rng(20)
    codes = [rng.integers(0, GROUPS, N) for _ in sds]
    x = rng.standard_normal(N)
    effects = sum(sd * rng.standard_normal(GROUPS)[c] for sd, c in zip(sds, codes, strict=True))
    frame = pd.DataFrame({name: c.astype(str) for name, c in zip("gh", codes, strict=False)})
    return frame.assign(x=x, y=np.asarray(draw(rng, np.exp(1.5 + 0.3 * x + effects)), dtype=float))


def _start(formula, data, family):
    problem = Estimator.build(build_design(formula, data), family).problem
    x = start_candidates(problem)[0]
    sds = [float(np.abs(t.structure.factor(x[t.where]) * t.root_back)[0, 0]) for t in problem.terms]
    disp = problem.part("disp") if family.has_dispersion else None
    return sds, None if disp is None else float(x[disp.where][0])


@pytest.mark.parametrize(
    ("family", "draw"),
    [
        ("gamma", lambda rng, m: rng.gamma(SIZE, m / SIZE)),
        ("nbinom2", lambda rng, m: rng.negative_binomial(SIZE, SIZE / (SIZE + m))),
    ],
)
def test_a_dispersion_starts_without_what_the_random_effects_explain(family, draw):
    (sd,), delta = _start("y ~ x + (1|g)", _rows(draw, (0.6,)), get_family(family, "log"))
    assert abs(sd - 0.6) < SD_TOLERANCE
    assert abs(delta - np.log(SIZE)) < SIZE_TOLERANCE


def test_standard_deviations_of_poisson_effects_start_at_moments_of_their_exponentials():
    data = _rows(lambda rng, m: rng.poisson(m), (0.7, 0.4))
    sds, _ = _start("y ~ x + (1|g) + (1|h)", data, get_family("poisson"))
    np.testing.assert_allclose(sds, (0.7, 0.4), atol=SD_TOLERANCE)
