"""Estimates do not depend on the unit of the response, nor on whether equal rows are repeated or weighted."""

import numpy as np
import pandas as pd
import pytest

from glmmcore import ModelError, glmm


def frame(seed: int = 0, n: int = 120, levels: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(levels), n // levels)
    x = rng.normal(size=n)
    y = 1 + x + rng.normal(size=levels)[g] + rng.normal(size=n) * np.exp(0.3 * x)
    return pd.DataFrame({"x": x, "g": g, "y": y})


@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1e-9, 1e7, 1e40, 1e100])
@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ x", {}),
        ("y ~ x + (1|g)", {}),
        ("y ~ x + (x|g)", {"disp": "~ x"}),
        ("y ~ x", {"disp": "~ x"}),
        ("y ~ x + (1|g)", {"family": "t"}),
        ("y ~ x + (1|g)", {"disp": "~ x", "reml": True}),
    ],
)
def test_unit_of_the_response(formula, options, scale):
    if options.get("family") == "t":  # refused beyond 1e40, see below
        scale = scale**0.35
    data = frame()
    # a power of two would leave every digit alone; this does not
    want, got = glmm(formula, data, **options), glmm(formula, data.assign(y=scale * data["y"]), **options)
    assert got.converged and got.verdict == want.verdict
    # REML integrates p coefficients in units of the response
    n = len(data) - (2 if options.get("reml") else 0)
    assert got.llf + n * np.log(scale) == pytest.approx(want.llf, abs=1e-6)
    # within 1e-3 standard errors: both stop where 1e-9 of log-likelihood is left
    np.testing.assert_array_less(np.abs(got.params / scale - want.params), 1e-3 * want.bse)
    np.testing.assert_allclose(got.bse / scale, want.bse, rtol=2e-3)
    np.testing.assert_allclose(got.var_corr["sd"].astype(float) / scale, want.var_corr["sd"].astype(float), rtol=2e-3)
    errors = got.predict(se=True)["se"] / scale
    np.testing.assert_allclose(errors, want.predict(se=True)["se"], rtol=3e-3)


def test_a_response_beyond_doubles_is_refused():
    data = frame()
    for scale in (1e-135, 1e135):
        with pytest.raises(ModelError, match="other units"):
            glmm("y ~ x", data.assign(y=scale * data["y"]), disp="~ x")
    for scale in (1e-50, 1e50):
        with pytest.raises(ModelError, match="other units"):
            glmm("y ~ x", data.assign(y=scale * data["y"]), "t")


@pytest.mark.parametrize("n_agq", [1, 3, 7])
@pytest.mark.parametrize("seed", [0, 1])
def test_repeated_rows_are_weighted_rows(seed, n_agq):
    rng = np.random.default_rng(seed)
    data = frame(seed, 60)
    eta = 0.5 * data["x"] + rng.normal(0, 1, 12)[data["g"]] + rng.normal(0, 0.7, 12)[data["g"]] * data["x"]
    data = data.assign(y=rng.binomial(1, 1 / (1 + np.exp(-eta))), w=rng.integers(1, 4, 60))
    repeated = data.loc[np.repeat(data.index, data["w"])].reset_index(drop=True)
    weighted = glmm("y ~ x + (x|g)", data, "binomial", freq_weights="w", n_agq=n_agq)
    assert weighted.llf == pytest.approx(glmm("y ~ x + (x|g)", repeated, "binomial", n_agq=n_agq).llf, abs=1e-8)


def test_refit_to_the_same_response_is_the_fit():
    """Standard deviations that vanish as logarithms are no edge to be left: another optimum was found from there."""
    worst = 0.0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        g = np.repeat(np.arange(15), 6)
        f = pd.Categorical.from_codes(rng.integers(0, 3, 90), list("abc"))
        x = rng.normal(size=90)
        y = rng.poisson(np.exp(0.5 + 0.2 * x + rng.normal(0, 0.4, 15)[g]))
        fit = glmm("y ~ x + cs(f|g)", {"x": x, "g": g, "f": f, "y": y}, "poisson")
        worst = max(worst, abs(fit.refit(fit.observed).llf - fit.llf))
    assert worst < 1e-5
