"""Linear models of animals whose pedigree leaves a large dense core, which are searched in single precision."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from glmmcore.engines import sparse
from glmmcore.relationship import from_pedigree

N, FOUNDERS = 1500, 100


@pytest.fixture(scope="module")
def animals():
    """Parents at random among all that were born before, every other one male."""
    rng = np.random.default_rng(4)
    sire, dam, value = np.zeros(N, int), np.zeros(N, int), rng.normal(size=N)
    for i in range(FOUNDERS, N):
        sire[i], dam[i] = 1 + 2 * rng.integers(0, i // 2), 2 + 2 * rng.integers(0, i // 2)
        value[i] = 0.5 * (value[sire[i] - 1] + value[dam[i] - 1]) + np.sqrt(0.5) * value[i]
    d = pd.DataFrame({"id": np.arange(1, N + 1), "sire": sire, "dam": dam, "x": rng.normal(size=N)})
    return d.assign(y=1.0 + 0.5 * d["x"] + value + rng.normal(size=N))


@pytest.mark.parametrize("core_inverse", [True, False])
@pytest.mark.parametrize("reml", [False, True])
def test_searches_end_where_those_in_double_precision_end(animals, reml, core_inverse, monkeypatch):
    from glmmcore.engines.pattern import SparsePattern

    plan = SparsePattern.plan
    monkeypatch.setattr(SparsePattern, "plan", lambda self: plan(self, core_inverse))
    known = {"id": from_pedigree(animals)}
    found = []
    for least in (10**9, 50):
        monkeypatch.setattr(sparse, "_LARGE", least)
        found.append(glmm("y ~ x + (1|id)", animals, known=known, reml=reml))
    double, single = found
    # evaluations in double precision
    assert single.solution.optimum.n_evaluations < double.solution.optimum.n_evaluations
    assert single.llf == pytest.approx(double.llf, rel=1e-10)
    # the search ends within 1e-5 standard errors of the maximum
    spread = double.var_corr["se_sd"].iloc[0]
    assert single.var_corr["sd"].iloc[0] == pytest.approx(double.var_corr["sd"].iloc[0], abs=1e-4 * spread)
    np.testing.assert_allclose(single.params, double.params, atol=1e-5 * double.bse.min())
    np.testing.assert_allclose(single.bse, double.bse, rtol=1e-6)
    np.testing.assert_allclose(single.random_effects["id"], double.random_effects["id"], atol=1e-5)
