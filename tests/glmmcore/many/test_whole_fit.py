"""Whole fits from where the search of a batch ended, beside fits that begin anew."""

import numpy as np
import pandas as pd
import pytest

import glmmcore

LLF = 1e-7
"""Relative; what `refit_many` promises."""

IN_ERRORS = 1e-4
"""Of estimates, in standard errors: both searches end within 1e-5 of the maximum."""

ERRORS = 1e-3
"""Of standard errors, relative: Hessians at both ends are differences."""


def counts(groups: int, rows: int, sd: float) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(groups), rows)
    d = pd.DataFrame({"x": rng.normal(size=g.size), "g": g, "h": rng.integers(0, 5, g.size)})
    d["count"] = rng.poisson(np.exp(0.8 + 0.4 * d["x"] + rng.normal(0, sd, groups)[g]))
    d["y"] = 0.5 * d["x"] + rng.normal(0, sd, groups)[g] + rng.normal(size=g.size)
    return d


MODELS = {
    "Poisson": ("count ~ x + (1|g)", "poisson", 0.7, {}),
    "nbinom2 without overdispersion": ("count ~ x + (1|g)", "nbinom2", 0.7, {}),
    "nbinom1 without groups": ("count ~ x + (1|g)", "nbinom1", 0.0, {}),
    "slopes beside another factor": ("count ~ x + (x|g) + (1|h)", "nbinom2", 0.4, {}),
    "zero inflation": ("count ~ x + (1|g)", "poisson", 0.7, {"zi": "~ 1"}),
    "gaussian": ("y ~ x + (1|g)", "gaussian", 0.7, {}),
    "singular REML": ("y ~ x + (x|g)", "gaussian", 0.0, {"reml": True}),
}


@pytest.mark.parametrize("name", MODELS)
def test_equals_a_fit_that_begins_anew(name):
    formula, family, sd, more = MODELS[name]
    fit = glmmcore.glmm(formula, counts(8, 10, sd), family, **more)
    y = fit.simulate(6, rng=2, random_effects="unconditional")
    fits = fit.refit_many(y, n_jobs=1)
    spent = {"whole": 0, "anew": 0}
    for i in range(len(y)):
        whole, anew = fits.whole_fit(i), fits[i]
        assert whole.llf == pytest.approx(anew.llf, rel=LLF)
        assert np.all(np.abs(whole.params - anew.params) < IN_ERRORS * anew.bse)
        np.testing.assert_allclose(whole.bse, anew.bse, rtol=ERRORS)
        np.testing.assert_array_equal(whole.observed, y[i])
        spent["whole"] += whole.solution.optimum.n_evaluations
        spent["anew"] += anew.solution.optimum.n_evaluations
    # the last search of each only; those from other starts are not counted
    assert spent["whole"] <= spent["anew"]


def test_responses_that_cannot_be_fitted_say_why():
    fit = glmmcore.glmm("count ~ x + (1|g)", counts(8, 10, 0.7), "poisson")
    y = fit.simulate(2, rng=2)
    y[1, 3] = -1
    fits = fit.refit_many(y, n_jobs=1)
    assert fits.error[1]
    with pytest.raises(ValueError, match="negative"):
        fits.whole_fit(1)
    with pytest.raises(KeyError, match="no response 7"):
        fits.whole_fit(7)


def test_tables_of_fit_many_fit_anew():
    d = counts(8, 10, 0.7)
    fits = glmmcore.fit_many("~ x + (1|g)", d, family="poisson", responses=d[["count"]].to_numpy())
    assert fits.whole_fit(0).llf == pytest.approx(fits[0].llf, rel=LLF)
