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


def test_tweedie_densities_with_a_peak_for_each_number_of_events():
    """Claims of nearly one size: the log-likelihood has a maximum for every number of them behind a response."""
    rng = np.random.default_rng(5)
    counts = rng.poisson(3.0, 40)
    d = pd.DataFrame({"x": rng.normal(size=40), "y": 2.0 * rng.gamma(400.0 * counts, 1 / 400.0)})
    fit = glmm("y ~ x", d, family="tweedie")
    assert fit.extra_params["power"] < 1.05
    (sentence,) = [s for s in fit.verdict if "a peak for each number of events" in s]
    assert "fixed={'power': 1.5}" in sentence
    held = glmm("y ~ x", d, family="tweedie", fixed={"power": 1.5})
    assert not any("peak" in s for s in held.verdict)


def test_tweedie_densities_without_separate_peaks():
    rng = np.random.default_rng(6)
    mean = np.exp(1.0 + 0.3 * rng.normal(size=300))
    for shape in (0.5, 2.0):  # powers 1.67 and 1.33
        d = pd.DataFrame({"y": rng.gamma(shape * rng.poisson(mean) + 1e-300) / shape})
        assert not any("peak" in s for s in glmm("y ~ 1", d, family="tweedie").verdict)
