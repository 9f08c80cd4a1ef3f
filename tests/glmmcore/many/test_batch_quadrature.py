"""Quadrature of many responses in step: value and gradient are those of each response alone, refits those of `glmm`."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.quadrature import QuadratureObjective
from glmmcore.families import get_family
from glmmcore.formula import build_design
from glmmcore.many.batch_blocks import BlockTask, objective_of
from glmmcore.many.warm import WarmStart

# The modes are found to a decrement of 1e-14 and 1e-18, which moves values by as much and gradients by its root.
VALUE, GRADIENT = 1e-11, 1e-6
COUNT = 5
MODELS = {
    "poisson": ("count ~ x + (1|g)", "poisson", {}, 7),
    "poisson slopes": ("count ~ x + (x|g)", "poisson", {}, 4),
    "three coefficients": ("count ~ x + (x + z||g)", "poisson", {}, 3),
    "binomial": ("yes ~ x + (1|g)", "binomial", {}, 7),
    "nbinom2 with disp": ("count ~ x + (1|g)", "nbinom2", {"disp": "~ x"}, 5),
    "zip": ("count ~ x + (1|g)", "poisson", {"zi": "~ 1"}, 5),
    "a slope alone": ("count ~ x + (0 + x|g)", "poisson", {}, 6),
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """120 rows in 15 groups."""
    rng = np.random.default_rng(3)
    d = pd.DataFrame({"g": np.repeat(np.arange(15), 8), "x": rng.normal(size=120), "z": rng.normal(size=120)})
    eta = 0.3 + 0.4 * d["x"] + rng.normal(0.0, 0.8, 15)[d["g"]]
    d["count"] = rng.poisson(np.exp(eta)).astype(float)
    d["yes"] = (rng.random(120) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    return d


@pytest.mark.parametrize("name", MODELS)
def test_objective_is_that_of_each_response(name: str, frame: pd.DataFrame) -> None:
    formula, family, parts, n_agq = MODELS[name]
    estimator = Estimator.build(build_design(formula, frame, **parts), get_family(family), n_agq=n_agq)
    problem, rng = estimator.problem, np.random.default_rng(4)
    y = np.array([rng.permutation(problem.likelihood.y) for _ in range(COUNT)])
    x = rng.normal(0.0, 0.3, (COUNT, problem.n_params))
    for term in problem.terms:
        x[:, term.where] += term.structure.start(np.full(term.structure.k, 0.6))
    value, gradient = objective_of(problem, y, n_agq)(np.arange(COUNT), x)
    for i in range(COUNT):
        likelihood = problem.likelihood.with_response(y[i])
        own, slope = QuadratureObjective(replace(problem, likelihood=likelihood), n_agq)(x[i])
        np.testing.assert_allclose(value[i], own, rtol=VALUE)
        np.testing.assert_allclose(gradient[i], slope, rtol=GRADIENT, atol=GRADIENT)


@pytest.mark.parametrize("name", ["poisson", "binomial", "poisson slopes"])
def test_refits_are_fits_from_scratch(name: str, frame: pd.DataFrame) -> None:
    formula, family, parts, n_agq = MODELS[name]
    fit = glmm(formula, frame, family, n_agq=n_agq, **parts)
    assert BlockTask.of(fit.estimator, WarmStart.of(fit)).problem is not None
    y = fit.simulate(6, rng=5, random_effects="unconditional")
    many = fit.refit_many(y, n_jobs=1)
    response = formula.split()[0]
    for i in range(6):
        alone = glmm(formula, frame.assign(**{response: y[i]}), family, n_agq=n_agq, **parts)
        assert many.llf[i] == pytest.approx(alone.llf, rel=1e-7)
        if not alone.singular:
            np.testing.assert_array_less(np.abs(many.params.loc[i] - alone.params), 1e-4 * alone.bse)
