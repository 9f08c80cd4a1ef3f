"""Refits of models with more variances and dispersions than small data bear: they end on edges and at limits.

Half of the responses left the common search for the ordinary fit there, of some two hundred evaluations each.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.laplace import LaplaceObjective
from glmmcore.many._batch_dense import BatchDense, dense_batch_suits
from glmmcore.many.batch_blocks import BlockTask, objective_of

COUNT = 8
# Refits are within 1e-9 of a maximum, and fits within 5e-6 of a supremum at infinity.
LLF_RELATIVE, SUPREMUM = 1e-7, 5e-6
PARAMS = 1e-4


@pytest.fixture(scope="module")
def small() -> pd.DataFrame:
    """72 rows, 6 groups crossed with 4, little between them, and no more variance than the simplest law has."""
    rng = np.random.default_rng(41)
    n = 72
    x, z = rng.normal(size=n), rng.normal(size=n)
    g, h = np.arange(n) % 6, rng.permutation(np.arange(n) % 4)
    mean = np.exp(0.9 + 0.2 * x + rng.normal(0, 0.15, 6)[g])
    count = rng.poisson(mean)
    columns = {"count": count, "real": np.log(mean) + rng.normal(0, 0.5, n), "share": rng.beta(3.0, 4.0, n)}
    columns |= {"size": rng.gamma(4.0, mean / 4.0), "k": rng.binomial(6, 0.4, n), "w": rng.integers(1, 3, n)}
    return pd.DataFrame({"x": x, "z": z, "g": g, "h": h, **columns})


# Formula, family and options.
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "nbinom2": ("count ~ x + (x|g) + (1|h)", "nbinom2", {}),
    "nbinom1": ("count ~ x + (x||g) + (1|h)", "nbinom1", {}),
    "nbinom2, weights": ("count ~ x + (x|g) + (1|h)", "nbinom2", {"freq_weights": "w"}),
    "poisson, three coefficients": ("count ~ x + (x + z|g) + (1|h)", "poisson", {}),
    "no zeros in excess": ("count ~ x + (x|g) + (1|h)", "poisson", {"zi": "~ 1"}),
    "gamma": ("size ~ x + (x|g) + (1|h)", "gamma", {"link": "log"}),
    "beta": ("share ~ x + (x|g) + (1|h)", "beta", {}),
    "nbinom2, one slope": ("count ~ x + (x|g)", "nbinom2", {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_no_response_is_left_to_the_ordinary_fit(name: str, small: pd.DataFrame, monkeypatch: Any) -> None:
    formula, family, options = MODELS[name]
    fit = glmm(formula, small, family, **options)
    y = fit.simulate(COUNT, rng=3, random_effects="unconditional")
    evaluations, fits, evaluate = [], [], LaplaceObjective.__call__

    def counted(self: LaplaceObjective, x: np.ndarray) -> tuple[float, np.ndarray]:
        evaluations.append(1)
        return evaluate(self, x)

    task = BlockTask.of_refits(fit)
    monkeypatch.setattr(LaplaceObjective, "__call__", counted)
    monkeypatch.setattr(Estimator, "fit", lambda *_, **__: fits.append(1))
    found = task(y)
    assert not fits
    assert not evaluations  # all are fitted in step
    assert found.converged.all() and found.error == [""] * COUNT


@pytest.mark.parametrize("name", ["nbinom2", "no zeros in excess", "gamma"])
def test_same_as_fits_from_scratch(name: str, small: pd.DataFrame) -> None:
    formula, family, options = MODELS[name]
    fit = glmm(formula, small, family, **options)
    y = fit.simulate(COUNT, rng=3, random_effects="unconditional")
    many = fit.refit_many(y)
    edges = 0
    for i in range(COUNT):
        one = glmm(formula, small.assign(**{formula.split(" ~")[0]: y[i]}), family, **options)
        edges += one.singular
        assert many.llf[i] > one.llf - LLF_RELATIVE * abs(one.llf)
        assert many.llf[i] < one.llf + max(LLF_RELATIVE * abs(one.llf), SUPREMUM)
        assert many.singular[i] == one.singular
        np.testing.assert_array_less(np.abs(many.params.loc[i] - one.params), PARAMS * one.bse)
        np.testing.assert_allclose(many.fitted[i], one.fitted, rtol=1e-3)
    assert edges > COUNT // 4  # as few would show nothing


@pytest.mark.parametrize(
    "name", ["nbinom2", "nbinom1", "nbinom2, weights", "poisson, three coefficients", "no zeros in excess"]
)
def test_one_block_against_one_response_at_a_time(name: str, small: pd.DataFrame) -> None:
    """Value and gradient at any point, with a singular covariance among them."""
    formula, family, options = MODELS[name]
    problem = glmm(formula, small, family, **options).estimator.problem
    rng = np.random.default_rng(5)
    y = rng.poisson(3.0, (5, len(small))).astype(float)
    batch = objective_of(problem, np.ascontiguousarray(y[:, problem.rows]))
    assert isinstance(batch, BatchDense)
    x = rng.normal(0.3, 0.4, (5, problem.n_params))
    x[3, batch.theta] = 0.0
    x[4, batch.theta.stop - 1] = 0.0
    value, gradient = batch(np.arange(5), x)
    for i in range(5):
        want, slope = LaplaceObjective(problem.with_response(y[i]))(x[i])
        assert value[i] == pytest.approx(want, rel=1e-11)
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-8, atol=1e-8)


def test_who_is_fitted_as_one_block(small: pd.DataFrame) -> None:
    designs = {
        "count ~ x + (x|g)": False,
        "count ~ x + (x|g) + (1|h)": True,
        "count ~ x + (1|g) + (0 + x|h)": True,
    }
    for formula, suits in designs.items():
        assert dense_batch_suits(glmm(formula, small, "poisson").estimator.problem) == suits
    many_levels = small.assign(h=np.arange(72) // 2)  # 6 x 2 and 36 coefficients
    assert not dense_batch_suits(glmm("count ~ x + (x|g) + (1|h)", many_levels, "poisson").estimator.problem)
    assert not dense_batch_suits(glmm("real ~ x + (x|g) + (1|h)", small, "t").estimator.problem)
