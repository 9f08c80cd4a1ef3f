"""Sentences on laws whose probabilities do not sum to one."""

from __future__ import annotations

from math import exp, factorial, log

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from glmmcore.families import get_family
from glmmcore.families.base import Parameters


def consul(mean: float, phi: float) -> float:
    """Sum of theta (theta + lambda y)^(y - 1) exp(-theta - lambda y) / y! over y with theta + lambda y > 0."""
    theta, rate = mean / phi**0.5, 1 - phi**-0.5
    total, y = 0.0, 0
    while y < 150 and theta + rate * y > 0:
        total += exp(log(theta) + (y - 1) * log(theta + rate * y) - theta - rate * y) / factorial(y)
        y += 1
    return total


@pytest.mark.parametrize(("mean", "phi"), [(0.3, 0.3), (1.0, 0.3), (0.5, 0.5), (4.0, 0.6), (20.0, 0.9), (3.0, 2.0)])
def test_probabilities_of_generalised_poisson_counts_sum_to_the_sum(mean, phi):
    total = get_family("genpois").total_probability(Parameters(np.log([mean]), np.log([phi]), np.zeros(0)))
    np.testing.assert_allclose(total, consul(mean, phi) if phi < 1 else 1.0, rtol=1e-12)


def test_a_law_that_is_only_nearly_a_distribution_is_told():
    rng = np.random.default_rng(3)
    x = rng.normal(size=300)
    few = pd.DataFrame({"x": x, "y": rng.binomial(3, 0.8, 300)})
    fit = glmm("y ~ x", few, "genpois")
    (sentence,) = [s for s in fit.verdict if "only nearly a distribution" in s]
    means, phi = fit.fitted, fit.sigma
    assert f"{consul(means.min(), phi):.3f}" in sentence or f"{consul(means.max(), phi):.3f}" in sentence
    many = few.assign(y=rng.binomial(40, 0.4, 300))
    for family, data in (("genpois", many), ("genpois", few.assign(y=rng.poisson(2, 300) * 2)), ("compois", few)):
        assert not any("only nearly" in s for s in glmm("y ~ x", data, family).verdict)
