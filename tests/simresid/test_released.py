"""What is no longer used is released at once, not when Python happens to look for cycles of references.

Large arrays count for nothing there: a screen of a thousand models of 5000 rows held two gigabytes.
"""

from __future__ import annotations

import gc
import pickle
import weakref

import numpy as np
import pandas as pd
import pytest

import glmmcore
import simresid as sr

GROUPS, SIZE = 8, 5


def sites() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    group = np.repeat(np.arange(GROUPS), SIZE)
    x = rng.normal(size=group.size)
    y = rng.poisson(np.exp(0.5 + 0.4 * x + rng.normal(0, 0.6, GROUPS)[group]))
    return pd.DataFrame({"y": y, "x": x, "group": group, "time": np.tile(np.arange(SIZE), GROUPS)})


SITES = sites()
ROW = np.arange(len(SITES))

OF_RESIDUALS = {
    "all tests": lambda res: res.diagnose(categories=SITES["group"]),
    "uniformity": sr.uniformity_test,
    "dispersion": sr.dispersion_test,
    "zeros": sr.zero_inflation_test,
    "statistic": lambda res: res.statistic_test(np.max),
    "time": lambda res: sr.temporal_autocorrelation_test(res, ROW),
    "space": lambda res: sr.spatial_autocorrelation_test(res, ROW % 7, ROW // 7),
    "variogram": lambda res: sr.variogram(res, ROW % 7, ROW // 7),
    "quantiles": lambda res: sr.quantile_test(res, SITES["x"]),
    "groups": lambda res: res.recalculate(group=SITES["group"]).uniformity_test(),
    "text": lambda res: str(res.diagnose()),
}
MADE_BY = {
    "as they come": {},
    "exact": {"method": "exact"},
    "unconditional": {"random_effects": "unconditional"},
}


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("made", MADE_BY)
@pytest.mark.parametrize("test", OF_RESIDUALS)
def test_a_test_releases_model_and_residuals(no_collector, test, made):
    model = glmmcore.glmm("y ~ x + (1|group)", SITES, "poisson")
    res = sr.simulate_residuals(model, n_sims=40, rng=1, **MADE_BY[made])
    result = OF_RESIDUALS[test](res)
    held = [weakref.ref(model), weakref.ref(res)]
    del model, res, result
    assert [ref() for ref in held] == [None, None]


@pytest.mark.parametrize(
    "formula, family, more",
    [
        ("y ~ x", "poisson", {}),
        ("y ~ x + (x|group)", "nbinom2", {}),
        ("y ~ x + (1|group)", "gaussian", {"reml": True}),
        ("y ~ x + (1|group)", "poisson", {"n_agq": 5}),
        ("y ~ x + (1|group) + (1|time)", "poisson", {"zi": "~ 1"}),
        ("y ~ x + ar1(time|group)", "gaussian", {}),
        ("y ~ bs(x, df=4)", "poisson", {}),
    ],
)
def test_a_fit_and_what_is_asked_of_it_are_released(no_collector, formula, family, more):
    model = glmmcore.glmm(formula, SITES, family, **more)
    str(model.summary())
    model.predict(SITES.head(3), interval="confidence")
    many = model.refit_many(model.simulate(3, rng=1))
    held = [weakref.ref(model), weakref.ref(many)]
    del model, many
    assert [ref() for ref in held] == [None, None]


def test_a_pickle_of_residuals_keeps_their_refits_and_releases_them(no_collector):
    model = glmmcore.glmm("y ~ x + (1|group)", SITES, "poisson")
    res = sr.simulate_residuals(model, n_sims=40, rng=1)
    before = res.uniformity_test().pvalue
    again = pickle.loads(pickle.dumps(res))
    assert again.refit_pool.size == res.refit_pool.size > 0
    assert again.uniformity_test().pvalue == before
    held = weakref.ref(again)
    del again
    assert held() is None


def test_refits_whose_residuals_are_gone_say_so():
    pool = sr.simulate_residuals(glmmcore.glmm("y ~ x", SITES, "poisson"), n_sims=40, rng=1).refit_pool
    gc.collect()
    with pytest.raises(ReferenceError, match="keep them as long as"):
        _ = pool.own
