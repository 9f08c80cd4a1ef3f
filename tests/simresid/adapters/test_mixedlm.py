"""mixedlm: every family, weights, trials and offset, given the random effects or with new ones."""

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from simresid.adapters import as_fitted_model

mixedlm = pytest.importorskip("mixedlm")
families = pytest.importorskip("mixedlm.families")

N, GROUPS = 240, 24


@pytest.fixture
def frame():
    rng = np.random.default_rng(91)
    group = rng.permutation(np.repeat(np.arange(GROUPS), N // GROUPS))
    x = rng.normal(size=N)
    eta = 0.6 + 0.3 * x + rng.normal(size=GROUPS)[group] * 0.6 + rng.normal(size=GROUPS)[group] * 0.4 * x
    trials = rng.integers(3, 9, N)
    successes = rng.binomial(trials, special.expit(eta))
    return pd.DataFrame(
        {
            "x": x,
            "g": [f"g{k:02d}" for k in group],
            "y": eta + rng.normal(size=N),
            "count": rng.poisson(np.exp(eta)),
            "over": rng.poisson(np.exp(eta) * rng.gamma(3, 1 / 3, N)),
            "hit": rng.binomial(1, special.expit(eta)),
            "size": rng.gamma(1, np.exp(eta)),
            "wald": rng.wald(np.exp(0.2 * eta), 1.0),
            "successes": successes,
            "whole": trials,
            "proportion": successes / trials,
            "trials": trials.astype(float),
            "weight": rng.uniform(0.5, 3, N),
            "shift": 0.2 * x**2,
        },
        index=np.arange(N) + 500,
    )


def check_unconditional(model, variance=None):
    simulated = model.simulate(2000, rng=5, random_effects="unconditional")
    spread = simulated.var(axis=0)
    z = (simulated.mean(axis=0) - model.population_mean()) / np.sqrt(spread / 2000)
    assert np.max(np.abs(z)) < 5.5
    if variance is not None:  # normal responses: the variance of a variance is 2 / S
        assert np.max(np.abs(spread / variance - 1)) < 5.5 * np.sqrt(2 / 2000)


@pytest.mark.parametrize("reml", [True, False])
def test_lmer_with_weights_and_offset(frame, reml, assert_law_agrees):
    result = mixedlm.lmer(
        "y ~ x + (x | g)",
        frame,
        REML=reml,
        weights=frame["weight"].to_numpy(),
        offset=frame["shift"].to_numpy(),
    )
    model = as_fitted_model(result)
    np.testing.assert_allclose(model.fitted, result.fitted())
    np.testing.assert_allclose(model.variance(), result.sigma**2 / frame["weight"])
    fixed = result.matrices.X @ result.beta + frame["shift"]
    np.testing.assert_allclose(model.population_mean(), fixed)
    covariance = result.VarCorr().get_cov("g")
    design = np.column_stack([np.ones(N), frame["x"]])
    marginal = np.einsum("ij,jk,ik->i", design, covariance, design) + model.variance()
    check_unconditional(model, marginal)
    assert model.llf == result.logLik().value
    assert 2 < model.edf < 2 + 2 * GROUPS
    assert ("REML" in model.description) == reml
    assert list(model.data.index) == list(frame.index)
    assert_law_agrees(model, refit_rtol=1e-3)


def glmer_fits(frame):
    cases = {
        "poisson": ("count ~ x + (x | g)", families.Poisson(), {"offset": frame["shift"].to_numpy()}),
        "binary": ("hit ~ x + (1 | g)", families.Binomial(), {}),
        "probit": ("hit ~ x + (1 | g)", families.Binomial("probit"), {}),
        "successes of trials": ("successes / whole ~ x + (1 | g)", families.Binomial(), {}),
        "proportion": (
            "proportion ~ x + (1 | g)",
            families.Binomial(),
            {"weights": frame["trials"].to_numpy()},
        ),
        "gamma": ("size ~ x + (1 | g)", families.Gamma(), {"weights": frame["weight"].to_numpy()}),
        "inverse gaussian": ("wald ~ x + (1 | g)", families.InverseGaussian(), {}),
        "negative binomial": ("over ~ x + (1 | g)", families.NegativeBinomial(theta=3.0), {}),
    }
    return cases


@pytest.mark.parametrize(
    "case",
    [
        "poisson",
        "binary",
        "probit",
        "successes of trials",
        "proportion",
        "gamma",
        "inverse gaussian",
        "negative binomial",
    ],
)
@pytest.mark.filterwarnings("ignore:Model is singular")  # the inverse Gaussian one is, and has a law too
def test_glmer(frame, case, assert_law_agrees):
    formula, family, options = glmer_fits(frame)[case]
    result = mixedlm.glmer(formula, frame, family=family, **options)
    model = as_fitted_model(result)
    k_of_n = case in ("successes of trials", "proportion")
    scale = frame["trials"].to_numpy() if k_of_n else 1.0
    np.testing.assert_allclose(model.fitted, result.fitted() * scale)
    np.testing.assert_allclose(model.resid_pearson, result.residuals(type="pearson"), rtol=1e-6)
    if k_of_n:
        np.testing.assert_allclose(model.observed, frame["successes"])
        np.testing.assert_allclose(model.trials, frame["trials"])
    if case == "negative binomial":
        assert not hasattr(model, "refit")
    check_unconditional(model)
    assert_law_agrees(model, refit_rtol=1e-2)


def test_glmer_nb_keeps_its_theta(frame, assert_law_agrees):
    result = mixedlm.glmer_nb("over ~ x + (1 | g)", frame)
    model = as_fitted_model(result)
    np.testing.assert_allclose(model.variance(), model.fitted + model.fitted**2 / result.family.theta)
    np.testing.assert_allclose(
        model.cdf()[1],
        stats.nbinom.cdf(
            frame["over"], result.family.theta, result.family.theta / (result.family.theta + model.fitted)
        ),
    )
    assert_law_agrees(model)


def test_likelihood_weights_are_refused(frame):
    result = mixedlm.glmer("count ~ x + (1 | g)", frame, family=families.Poisson(), weights=frame["weight"].to_numpy())
    with pytest.raises(TypeError, match="powers of its likelihood"):
        as_fitted_model(result)


def test_missing_rows(frame):
    """mixedlm forgets the labels of the rows it keeps, so there is no data to align with."""
    frame.loc[503, "x"] = np.nan
    model = as_fitted_model(mixedlm.lmer("y ~ x + (1 | g)", frame))
    assert model.nobs == N - 1
    assert model.data is None
    np.testing.assert_array_equal(model.observed, frame["y"].drop(503))
