"""Whole fits on the sparse engine: same answers as on the blocked one, and as lme4 and glmmTMB."""

import numpy as np
import pandas as pd
import pytest

from glmmcore.engines import choose_system
from glmmcore.engines.blocked import BlockedSystem
from glmmcore.engines.sparse import SparseSystem
from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.solution import ConditionalSpread
from glmmcore.families import get_family
from glmmcore.formula import build_design

# Both engines reach one optimum, where the log-likelihood is flat.
SAME_LLF = 1e-9
SAME_PARAMS = 1e-5


def scramble(n, factor):
    """Numbers in (0, 1) without pattern that any language reproduces."""
    return np.modf(np.abs(np.sin((np.arange(n) + 1.0) * factor) * 43758.5453))[0]


def effects(n, factor, sd):
    """Roughly normal numbers, sums of four uniform ones."""
    total = sum(scramble(n, factor + i) for i in range(4))
    return sd * (total - 2.0) * np.sqrt(3.0)


def crossed_gaussian():
    n = 6000
    a = np.floor(900 * scramble(n, 12.9898)).astype(int)
    b = np.floor(600 * scramble(n, 78.233)).astype(int)
    x = effects(n, 3.7, 1.0)
    y = 1.0 + 0.5 * x + effects(900, 5.1, 0.8)[a] + effects(600, 6.3, 0.5)[b] + effects(n, 9.7, 1.0)
    return pd.DataFrame({"y": y, "x": x, "a": a, "b": b})


def nested_poisson():
    n = 9000
    c = np.arange(n) % 3000
    b = np.floor(600 * scramble(3000, 7.77)).astype(int)[c]
    a = b % 60
    x = effects(n, 3.7, 1.0)
    eta = 0.3 + 0.4 * x + effects(60, 5.1, 0.5)[a] + effects(600, 6.3, 0.4)[b] + effects(3000, 8.9, 0.3)[c]
    y = np.floor(np.exp(eta) * 2.0 * scramble(n, 11.1) + scramble(n, 13.3))
    return pd.DataFrame({"y": y, "x": x, "a": a, "b": b, "c": c})


def fit(formula, data, family, engine, *, reml=False):
    estimator = Estimator.build(build_design(formula, data), get_family(family, None), reml=reml)
    problem = estimator.problem
    n_profiled = problem.part("cond").size if estimator.linear and not reml else 0
    problem.system = engine(problem.layout, n_profiled)
    solution = estimator.fit()
    spread = ConditionalSpread.of(estimator.linear_objective(), solution.x) if estimator.linear else solution
    return solution, spread.edf


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize(
    ("formula", "make", "family"),
    [
        ("y ~ x + (1|a) + (1|b)", crossed_gaussian, "gaussian"),
        ("y ~ x + (x|a) + (1|b)", crossed_gaussian, "gaussian"),
        ("y ~ x + (1|a) + (1|b) + (1|c)", nested_poisson, "poisson"),
    ],
)
def test_sparse_fit_equals_blocked_fit(formula, make, family, reml):
    data = make()
    if "x|a" in formula or reml:
        data = data.iloc[::3]
    sparse, sparse_edf = fit(formula, data, family, SparseSystem, reml=reml)
    blocked, blocked_edf = fit(formula, data, family, BlockedSystem, reml=reml)
    assert sparse.mode_found
    assert sparse.llf == pytest.approx(blocked.llf, rel=SAME_LLF)
    np.testing.assert_allclose(sparse.x, blocked.x, rtol=SAME_PARAMS, atol=SAME_PARAMS)
    np.testing.assert_allclose(sparse_edf, blocked_edf, rtol=SAME_PARAMS)
    np.testing.assert_allclose(
        sparse.covariance["cond", "cond"], blocked.covariance["cond", "cond"], rtol=1e-4, atol=1e-8
    )
    np.testing.assert_allclose(sparse.values["cond"], blocked.values["cond"], rtol=1e-4, atol=1e-5)


def test_lme4_crossed_gaussian():
    """lme4 1.1-31, lmer(y ~ x + (1|a) + (1|b), REML = FALSE)."""
    solution, _ = fit("y ~ x + (1|a) + (1|b)", crossed_gaussian(), "gaussian", choose_system)
    assert solution.llf == pytest.approx(-9573.3415204383, abs=1e-5)


def test_glmmtmb_nested_poisson():
    """glmmTMB 1.1.5, glmmTMB(y ~ x + (1|a) + (1|b) + (1|c), family = poisson)."""
    solution, _ = fit("y ~ x + (1|a) + (1|b) + (1|c)", nested_poisson(), "poisson", choose_system)
    assert solution.llf == pytest.approx(-14251.563032302, abs=1e-5)


def test_choice_of_engine():
    design = build_design("y ~ x + (1|a) + (1|b) + (1|c)", nested_poisson())
    nested = Estimator.build(design, get_family("poisson", None)).problem
    assert isinstance(nested.system, SparseSystem)
    design = build_design("y ~ x + (1|a)", nested_poisson())
    assert isinstance(Estimator.build(design, get_family("poisson", None)).problem.system, BlockedSystem)
    # every leading level meets most of the others: nothing to save
    rng = np.random.default_rng(0)
    full = pd.DataFrame(
        {"y": rng.normal(size=60000), "a": rng.integers(0, 700, 60000), "b": rng.integers(0, 500, 60000)}
    )
    design = build_design("y ~ 1 + (1|a) + (1|b)", full)
    assert isinstance(Estimator.build(design, get_family("gaussian", None)).problem.system, BlockedSystem)
