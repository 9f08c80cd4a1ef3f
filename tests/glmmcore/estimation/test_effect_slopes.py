"""How random effects, and the covariance of fixed ones, move with the parameters: beside differences of new modes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm

# Modes are found to 1e-9; divided by steps of 1e-4 of a parameter, and two ends.
TOLERANCE, STEP = 1e-5, 1e-4


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 240
    d = pd.DataFrame({"g": np.repeat(np.arange(12), 20), "s": np.tile(np.arange(8), 30), "x": rng.normal(size=n)})
    d["f"], d["t"] = np.tile(list("abcd"), 60), np.tile(np.arange(20), 12)
    eta = 0.5 + 0.3 * d["x"] + rng.normal(0, 0.5, 12)[d["g"]] + rng.normal(0, 0.3, 8)[d["s"]]
    eta = eta + rng.normal(0, 0.4, 12)[d["g"]] * d["x"]
    d["y"], d["c"] = eta + rng.normal(size=n), rng.poisson(np.exp(eta))
    d["z"] = d["c"] * (rng.random(n) < 1.0 / (1.0 + np.exp(rng.normal(0, 1.0, 12) - 1.0)[d["g"]]))
    return d


def effects(fit, objective, x):
    """Effects at other parameters, from a new search for the mode."""
    objective(x)
    found = objective.spherical if fit.estimator.linear else objective.mode
    return fit.estimator.problem.layout.apply_factors(fit.estimator.problem.factors(x), found)


CASES = [
    ("y ~ x + f + (x|g) + (1|s)", {"reml": True}),
    ("y ~ x + (x|g) + (1|s)", {}),
    ("y ~ x + cs(0 + f|g)", {"reml": True}),
    ("y ~ x + (1|g) + (0 + x|g)", {"reml": True}),
    ("y ~ x + ar1(0 + C(t)|g)", {"reml": True}),
    ("c ~ x + (x|g) + (1|s)", {"family": "poisson"}),
    ("c ~ x + (x|g)", {"family": "poisson", "reml": True}),
    ("z ~ x + (1|g)", {"family": "nbinom2", "zi": "~ f + (1|g)", "disp": "~ x"}),
    ("y ~ x + (1|g)", {"family": "t"}),
]


@pytest.mark.parametrize(("formula", "options"), CASES)
def test_slopes_of_effects(data, formula, options):
    fit = glmm(formula, data, **options)
    estimator, x = fit.estimator, fit.solution.x.copy()
    objective = estimator.linear_objective() if estimator.linear else estimator.objective_at(fit.solution)
    objective(x)
    found = objective.effect_slopes(x, np.ones(len(x), dtype=bool))
    for j in range(len(x)):
        step = STEP * max(1.0, abs(x[j])) * np.eye(len(x))[j]
        wanted = (effects(fit, objective, x + step) - effects(fit, objective, x - step)) / (2.0 * step[j])
        assert np.abs(found[:, j] - wanted).max() <= TOLERANCE * max(np.abs(wanted).max(), 1e-2), j
    objective(x)
    held = objective.effect_slopes(x, np.arange(len(x)) == 0)
    assert not held[:, 1:].any()


@pytest.mark.parametrize(("formula", "options"), [case for case in CASES if case[1] == {"reml": True}])
def test_slopes_of_the_covariance_of_fixed_effects(data, formula, options):
    fit = glmm(formula, data, **options)
    objective, x = fit.estimator.linear_objective(), fit.solution.x.copy()

    def relative(at):
        objective(at)
        return objective.coefficient_covariance() / objective.sigma**2

    ends = [[relative(x + sign * STEP * unit) for sign in (1, -1)] for unit in np.eye(len(x))]
    objective(x)
    found = objective.coefficient_slopes(x, np.ones(len(x), dtype=bool))
    for slope, (up, down) in zip(found, ends, strict=True):
        wanted = (up - down) / (2.0 * STEP)
        assert np.abs(slope - wanted).max() <= TOLERANCE * np.abs(wanted).max()
