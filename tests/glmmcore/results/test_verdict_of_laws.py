"""Sentences on laws whose probabilities do not sum to one, and on counts without zeros whose mean tends to zero."""

from __future__ import annotations

from math import exp, factorial, log

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

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


def log_series(y: np.ndarray, X: np.ndarray) -> float:
    """Largest log-likelihood of logarithmic series whose odds p / (1 - p) are exp(X b)."""
    found = optimize.minimize(
        lambda b: -stats.logser.logpmf(y, np.clip(1 / (1 + np.exp(-X @ b)), 1e-12, 1 - 1e-12)).sum(),
        np.zeros(X.shape[1]),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-9, "maxiter": 5000},
    )
    return -float(found.fun)


SERIES = "in all rows the mean before truncation tends to zero"


@pytest.mark.parametrize("seed", [0, 2, 3, 4])
def test_no_separation_is_told_where_counts_without_zeros_become_logarithmic_series(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=150)
    y = rng.logseries(1 / (1 + np.exp(-(0.8 + 0.4 * x))))
    fit = glmm("y ~ x", pd.DataFrame({"x": x, "y": y}), "truncated_nbinom2")
    # the limit is approached to some 1e-6
    np.testing.assert_allclose(fit.llf, log_series(y, np.column_stack([np.ones(150), x])), atol=1e-4)
    (told,) = [s for s in fit.verdict if "do not bound" in s]
    assert told.startswith("The data do not bound Intercept (") and SERIES in told and "separation" not in told


@pytest.mark.parametrize("hurdle", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_of_variances_that_are_multiples_of_the_mean(hurdle, seed):
    rng = np.random.default_rng(seed)
    # more ones than a logarithmic series has: the mean can but tend to zero
    y = np.where(rng.random(300) < 0.3, 1, rng.logseries(0.9, 300))
    data = pd.DataFrame({"y": np.r_[y, np.zeros(100)] if hurdle else y})
    fit = glmm("y ~ 1", data, "truncated_nbinom1", zi="~ 1" if hurdle else None)
    zeros = 300 * np.log(0.75) + 100 * np.log(0.25) if hurdle else 0.0
    np.testing.assert_allclose(fit.llf - zeros, log_series(y, np.ones((300, 1))), atol=1e-4)
    (told,) = [s for s in fit.verdict if "do not bound" in s]
    assert SERIES in told and "separation" not in told


@pytest.mark.parametrize("family", ["truncated_poisson", "truncated_nbinom1", "truncated_nbinom2"])
@pytest.mark.parametrize("zeros", [0, 60])
def test_separation_of_a_cell_of_ones_is_told_for_counts_without_zeros(family, zeros):
    rng = np.random.default_rng(8)
    f = np.repeat(list("abcd"), 60)
    y = np.where(f == "c", 1, 1 + rng.negative_binomial(2, 0.4, 240))
    y[rng.choice(240, zeros, replace=False)] = 0
    fit = glmm("y ~ f", pd.DataFrame({"f": f, "y": y}), family, zi="~ 1" if zeros else None)
    (told,) = [s for s in fit.verdict if "do not bound" in s]
    assert "f[T.c] (complete separation or an empty cell)" in told


def test_separation_beside_logarithmic_series_is_told_too():
    rng = np.random.default_rng(100)
    f = np.repeat(list("abcd"), 50)
    y = np.where(f == "c", 1, rng.logseries(0.7, 200))
    fit = glmm("y ~ f", pd.DataFrame({"f": f, "y": y}), "truncated_nbinom2")
    (told,) = [s for s in fit.verdict if "do not bound" in s]
    assert "Intercept, f[T.c] (in some rows" in told and "logarithmic series" in told and "separation" in told
