"""Columns of a border by blocks of the leading factor: every number is that of the whole border."""

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from glmmcore.engines import covarying
from glmmcore.engines.border import BlockColumns, WholeBorder
from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.laplace import LaplaceObjective
from glmmcore.estimation.linear import LinearObjective
from glmmcore.families import get_family
from glmmcore.formula import build_design

from ..differences import check_gradient

# The same sums in another order.
ROUNDING = 1e-10
# As in `test_field_gradients`.
TOLERANCE = 1e-7
BARS = [
    "ar1(t | g) + (1 | g)",
    "ou(a | g) + (x | g)",
    "ar1(t | g) + (1 | g) + (1 | s)",
    "exp(a, b | g) + (1 | g)",
    "ou(a | g) + diag(x | g) + (0 + x | s)",
]


def data(n_groups=16, per_group=7, seed=0):
    """Groups of some times, two groups a site."""
    rng = np.random.default_rng(seed)
    n = n_groups * per_group
    d = pd.DataFrame({"g": np.repeat(np.arange(n_groups), per_group), "t": np.tile(np.arange(per_group), n_groups)})
    d = d[rng.random(n) < 0.9].reset_index(drop=True)
    d["s"], d["x"] = d["g"] // 2, rng.normal(size=len(d))
    d["a"], d["b"] = d["t"] + rng.uniform(0.0, 0.5, len(d)), rng.uniform(0.0, 5.0, len(d))
    eta = 0.4 + 0.3 * d["x"] + rng.normal(0.0, 0.6, n_groups)[d["g"]] + 0.5 * np.sin(d["a"] + d["g"])
    d["real"], d["count"] = eta + rng.normal(size=len(d)), rng.poisson(np.exp(eta)).astype(float)
    return d


def estimator_of(bars, family, **parts):
    response = "real" if family == "gaussian" else "count"
    design = build_design(f"{response} ~ x + {bars}", data(), **parts)
    return Estimator.build(design, get_family(family), reml=family == "gaussian")


def objective_of(estimator):
    return LinearObjective(estimator.problem, None) if estimator.linear else LaplaceObjective(estimator.problem)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
@pytest.mark.parametrize("bars", BARS)
def test_gradient(bars, family):
    estimator = estimator_of(bars, family)
    assert isinstance(estimator.problem.system._border_columns, BlockColumns)
    x = 0.3 * np.random.default_rng(1).normal(size=estimator.problem.n_params)
    for term in estimator.problem.terms:
        x[term.where] = term.structure.start(np.full(term.structure.k, 0.8))
    check_gradient(lambda: objective_of(estimator), x, TOLERANCE)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
@pytest.mark.parametrize("bars", [*BARS, "ar1(t | g) + (1 | s)"])
def test_fit_is_that_of_the_whole_border(bars, family, monkeypatch):
    response = "real" if family == "gaussian" else "count"
    own = glmm(f"{response} ~ x + {bars}", data(), family)
    monkeypatch.setattr("glmmcore.engines.choice.border_of", WholeBorder)
    monkeypatch.setattr(covarying, "border_of", WholeBorder)
    whole = glmm(f"{response} ~ x + {bars}", data(), family)
    assert type(whole.estimator.problem.system._border_columns) is WholeBorder
    np.testing.assert_allclose(own.llf, whole.llf, rtol=ROUNDING)
    # two searches end within 5e-5 standard errors of the maximum
    np.testing.assert_allclose(own.params, whole.params, rtol=0, atol=1e-4 * whole.bse.max())
    np.testing.assert_allclose(own.bse, whole.bse, rtol=1e-3)
    for group, sd in own.random_effects_sd.items():
        np.testing.assert_allclose(sd**2, whole.random_effects_sd[group] ** 2, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("bars", BARS)
def test_row_covariances_are_those_of_the_whole_border(bars):
    estimator = estimator_of(bars, "poisson")
    layout, own = estimator.problem.layout, estimator.problem.system
    whole = covarying.CovaryingSystem(layout, 0, WholeBorder(layout, 0))
    rng = np.random.default_rng(2)
    weights, x = rng.uniform(0.5, 2.0, (1, layout.n)), rng.normal(size=layout.order)
    start = np.zeros(estimator.problem.n_params)
    for term in estimator.problem.terms:
        start[term.where] = term.structure.start(np.full(term.structure.k, 0.8))
    found = []
    for system in (own, whole):
        system.reset()
        system.add(0, layout.n, weights, weights, np.zeros(layout.order))
        assert system.factorise(estimator.problem.factors(start))
        system.invert()
        products = [np.sum(g) if isinstance(g, np.ndarray) else g.trace for g in system.factor_products()]
        system.scale_inverse()
        rows = np.zeros((1, layout.n))
        system.row_covariances(0, layout.n, rows)
        levels = [system.level_covariances(i).ravel() for i in range(len(layout.factors))]
        found.append([system.logdet, system.solve(x), system.multiply(x), products, rows, np.concatenate(levels)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=ROUNDING, atol=ROUNDING)
