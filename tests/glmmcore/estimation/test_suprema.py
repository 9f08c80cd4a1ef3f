"""Searches end next to the supremum of a likelihood without maximum, also where the way to it bends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

from glmmcore import glmm

# Log-likelihood that may be left to the supremum: a tenth of what log-likelihoods are compared by elsewhere.
LEFT = 1e-5


def ordered_beta_without_zeros(y: np.ndarray, X: np.ndarray) -> float:
    """Supremum of the log-likelihood over the mass at 0: P(1) = expit(eta - cut), a beta law below 1."""
    p, one = X.shape[1], y == 1.0

    def minus_log_likelihood(b: np.ndarray) -> float:
        eta, phi = X @ b[:p], np.exp(b[p])
        mu = special.expit(eta)
        inside = stats.beta.logpdf(np.where(one, 0.5, y), mu * phi, (1 - mu) * phi) + special.log_expit(b[p + 1] - eta)
        return -float(np.where(one, special.log_expit(eta - b[p + 1]), inside).sum())

    start = np.r_[np.zeros(p), 1.0, 1.0]
    found = optimize.minimize(minus_log_likelihood, start, method="BFGS", options={"gtol": 1e-6})
    return -float(found.fun)


def proportions(seed: int, zeros: bool, effects: float = 0.0) -> pd.DataFrame:
    """Proportions with some ones, and with zeros instead where asked."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(40, 120))
    x, g = rng.normal(size=n), np.arange(n) % 8
    mu = special.expit(0.5 + 0.4 * x + effects * rng.normal(size=8)[g])
    y = np.clip(rng.beta(mu * 6, (1 - mu) * 6), 1e-4, 1 - 1e-4)
    y = np.where(rng.random(n) < 0.15 * mu, 1.0, y)
    y[0] = 1.0
    return pd.DataFrame({"y": 1 - y if zeros else y, "x": x, "g": g})


@pytest.mark.parametrize("seed", range(12))
def test_ordered_beta_without_zeros_reaches_the_supremum_and_names_the_mass_at_zero_alone(seed):
    data = proportions(seed, zeros=False)
    fit = glmm("y ~ x", data, "ordbeta")
    supremum = ordered_beta_without_zeros(data["y"].to_numpy(), np.column_stack([np.ones(len(data)), data["x"]]))
    assert fit.converged
    assert supremum - LEFT < fit.llf < supremum + 1e-6  # of the outside search
    (told,) = fit.verdict
    assert told.startswith("lower is at its limit, where ordbeta is a law without zeros")


@pytest.mark.parametrize("seed", range(6))
def test_masses_at_the_other_end_are_the_mirror_image(seed):
    ones, zeros = (glmm("y ~ x + (1|g)", proportions(seed, end, 0.6), "ordbeta") for end in (False, True))
    np.testing.assert_allclose(zeros.llf, ones.llf, atol=LEFT)
    np.testing.assert_allclose(zeros.bse, ones.bse, rtol=1e-3)  # a step from the limit, where they are constant
    (told,) = [s for s in zeros.verdict if "at its limit" in s]
    assert told.startswith("gap is at its limit, where ordbeta is a law without ones")


# Larger family, zero inflation of both models and of the larger one alone, simpler family at whose data it is fitted.
LIMITS = [
    ("nbinom2", None, None, "poisson"),
    ("nbinom1", None, None, "poisson"),
    ("poisson", None, "~ 1", "poisson"),
    ("nbinom2", "~ x", None, "poisson"),
    ("betabinomial", None, None, "binomial"),
    ("t", None, None, "gaussian"),
]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", range(len(LIMITS)))
def test_models_at_a_simpler_one_end_at_its_log_likelihood(case, seed):
    family, shared, own, simpler = LIMITS[case]
    rng = np.random.default_rng(10 * case + seed)
    g, x = np.repeat(np.arange(20), 8), rng.normal(size=160)
    uniform = (rng.permutation(160) + 0.5) / 160  # evenly spread: less dispersion than chance has
    eta = 0.8 + 0.3 * x + rng.normal(0, 0.4, 20)[g]
    y = {
        "poisson": stats.poisson.ppf(uniform, np.exp(eta)),
        "binomial": stats.binom.ppf(0.15 + 0.7 * uniform, 10, special.expit(eta)),
        "gaussian": eta + 0.5 * (uniform - 0.5),
    }[simpler]
    data = pd.DataFrame({"y": y, "x": x, "g": g, "rest": 10 - y})
    formula = "cbind(y, rest) ~ x + (1|g)" if simpler == "binomial" else "y ~ x + (1|g)"
    larger, smaller = glmm(formula, data, family, zi=own or shared), glmm(formula, data, simpler, zi=shared)
    assert larger.converged and smaller.converged
    assert larger.llf > smaller.llf - LEFT
    if larger.llf < smaller.llf + LEFT:  # or the data are not quite at the limit
        np.testing.assert_allclose(larger.bse, smaller.bse, rtol=1e-2)
