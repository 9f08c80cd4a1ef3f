"""What a fit must not depend on, and what must follow when the data change in a known way."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import simresid
from glmmcore import glmm
from glmmcore.families import FAMILIES as FAMILY_NAMES
from glmmcore.fitted import FittedGLMM

from .budget import examples

# Both fits end when less than 1e-9 further rise is expected; a flat direction may keep 1e-7.
LLF = 1e-6

FAMILIES = ["gaussian", "poisson", "binomial", "trials", "nbinom2", "nbinom1", "gamma", "beta", "tweedie", "t"]
RIGHT = ["x + (1|g)", "x + f + (1|g)", "x + (x|g)", "x + (x||g)", "x + f", "x + (1|g) + (1|h)", "x*f + (1|g/h)"]


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, pd.DataFrame, dict]:
    """A formula with data of about its model."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    name, right = draw(st.sampled_from(FAMILIES)), draw(st.sampled_from(RIGHT))
    n = draw(st.integers(60, 120))
    d = pd.DataFrame({"x": rng.normal(size=n), "g": rng.permutation(n) % 10, "h": rng.permutation(n) % 4})
    d["f"] = np.array(list("abc"))[rng.permutation(n) % 3]
    eta = 0.3 + 0.4 * d["x"] + 0.5 * rng.normal(size=10)[d["g"]] + 0.3 * rng.normal(size=10)[d["g"]] * d["x"]
    mu, p = np.exp(eta), 1 / (1 + np.exp(-eta))
    d["n"] = rng.integers(3, 9, n)
    d["y"] = {
        "gaussian": lambda: rng.normal(eta),
        "poisson": lambda: rng.poisson(mu),
        "binomial": lambda: rng.binomial(1, p),
        "trials": lambda: rng.binomial(d["n"], p),
        "nbinom2": lambda: rng.negative_binomial(1.5, 1.5 / (1.5 + mu)),
        "nbinom1": lambda: rng.negative_binomial(mu, 0.4),
        "gamma": lambda: rng.gamma(2.0, mu / 2.0),
        "beta": lambda: np.clip(rng.beta(5 * p, 5 * (1 - p)), 1e-4, 1 - 1e-4),
        "tweedie": lambda: rng.gamma(np.maximum(rng.poisson(mu), 1e-9), 1.0) * (rng.random(n) < 0.9),
        "t": lambda: eta + rng.standard_t(4, n),
    }[name]().astype(float)
    options = {"family": "binomial", "trials": "n"} if name == "trials" else {"family": name}
    return f"y ~ {right}", d, options


@contextmanager
def quiet() -> Iterator[None]:
    """Without the sentences on singular fits and the like."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def fitted(case: tuple[str, pd.DataFrame, dict], **changed) -> FittedGLMM:
    formula, data, options = case
    with quiet():
        fit = glmm(formula, data, **(options | changed))
    assume(fit.converged)
    return fit


def same(one: FittedGLMM, other: FittedGLMM, shift: float = 0.0) -> None:
    """Likelihood and fitted values; parameters only as far as the data hold them."""
    assert other.llf == pytest.approx(one.llf + shift, rel=1e-8, abs=LLF)


@examples(14)
@given(cases(), st.integers(0, 2**32 - 1))
def test_row_order_and_names_of_levels(case, seed: int) -> None:
    formula, data, options = case
    fit = fitted(case)
    rng = np.random.default_rng(seed)
    names = pd.Series([f"level {k}" for k in rng.permutation(10)])
    moved = data.assign(g=names[data["g"]].to_numpy(), h=pd.Categorical(-data["h"])).sample(frac=1.0, random_state=seed)
    other = fitted((formula, moved, options))
    same(fit, other)
    sd = np.sqrt(fit.variance()).mean() + 1e-9
    # fitted values move by sqrt(LLF) standard errors at most
    assert np.abs(other.fittedvalues.sort_index() - fit.fittedvalues).max() < 0.02 * sd
    for term, modes in fit.random_effects.items():
        if term == "g":
            there = other.random_effects["g"].loc[names[modes.index.to_numpy()]]
            np.testing.assert_allclose(there.to_numpy(), modes.to_numpy(), atol=0.02)


@examples(12)
@given(cases())
def test_refit_to_the_observed_is_the_fit(case) -> None:
    fit = fitted(case)
    with quiet():
        again = fit.refit(fit.observed)
        rows = fit.refit(rows=np.arange(fit.nobs))
    same(fit, again)
    same(fit, rows)
    np.testing.assert_array_equal(again.observed, fit.observed)


@examples(6)
@given(cases(), st.integers(0, 2**31))
def test_many_refits_are_refits(case, seed: int) -> None:
    """Fits in step against one after the other, from the same simulated responses."""
    fit = fitted(case)
    responses = fit.simulate(4, rng=seed, random_effects="unconditional")
    with quiet():
        many = fit.refit_many(responses)
        for i, y in enumerate(responses):
            if many.error.iloc[i]:
                continue
            one = fit.refit(y)
            if one.converged and many.converged.iloc[i]:
                assert many.llf.iloc[i] == pytest.approx(one.llf, rel=1e-7, abs=1e-4)
                allowed = 0.02 * one.bse.to_numpy() + 1e-6
                assert np.all(np.abs(many.params.iloc[i].to_numpy() - one.params.to_numpy()) < allowed)


@examples(10)
@given(cases(), st.integers(0, 2**31), st.integers(1, 9))
def test_simulations_have_the_shape_the_seed_and_the_support(case, seed: int, n_sims: int) -> None:
    fit = fitted(case)
    kinds = ["conditional", "unconditional"]
    for kind in kinds:
        one = fit.simulate(n_sims, rng=seed, random_effects=kind)
        assert one.shape == (n_sims, fit.nobs)
        np.testing.assert_array_equal(one, fit.simulate(n_sims, rng=seed, random_effects=kind))
        np.testing.assert_array_equal(one, fit.simulate(n_sims, rng=np.random.default_rng(seed), random_effects=kind))
        assert not np.array_equal(one, fit.simulate(n_sims, rng=seed + 1, random_effects=kind))
        for y in one:
            fit.family.check_support(y, np.ones(fit.nobs) if fit.trials is None else fit.trials)
            lower, upper = fit.cdf(y)
            assert np.all((lower >= 0) & (lower <= upper) & (upper <= 1))


@examples(8)
@given(cases(), st.integers(0, 2**31))
def test_fits_and_residuals_survive_pickling(case, seed: int) -> None:
    fit = fitted(case)
    copy = pickle.loads(pickle.dumps(fit))
    assert copy.llf == fit.llf
    pd.testing.assert_series_equal(copy.params, fit.params)
    pd.testing.assert_frame_equal(copy.var_corr, fit.var_corr)
    np.testing.assert_array_equal(copy.simulate(3, rng=seed), fit.simulate(3, rng=seed))
    pd.testing.assert_series_equal(copy.predict(case[1]), fit.predict(case[1]))
    assert str(copy.summary()) == str(fit.summary())
    with quiet():
        res = simresid.simulate_residuals(fit, 40, rng=seed)
        twin = simresid.simulate_residuals(copy, 40, rng=seed)
        again = pickle.loads(pickle.dumps(res))
        np.testing.assert_array_equal(twin.residuals, res.residuals)
        np.testing.assert_array_equal(again.residuals, res.residuals)
        one, other = again.dispersion_test(), res.dispersion_test()
        # NaN where the fit fixes the ratio, on both sides then
        np.testing.assert_array_equal((one.statistic, one.pvalue), (other.statistic, other.pvalue))
        blocked = simresid.simulate_residuals(fit, 40, rng=seed, block_size=7, keep_simulations=False)
        np.testing.assert_array_equal(blocked.residuals, res.residuals)


@pytest.mark.parametrize("family", sorted(FAMILY_NAMES))
def test_fits_of_every_family_survive_pickling(family: str) -> None:
    """With 400 rows, for which some families tabulate special functions."""
    rng = np.random.default_rng(3)
    d = pd.DataFrame({"x": rng.normal(size=400), "g": np.arange(400) % 10, "y": 1.0 + rng.poisson(2.0, 400)})
    if family in ("binomial", "beta", "ordbeta"):
        d["y"] = (d["y"] > 2).astype(float) if family == "binomial" else rng.beta(2, 2, 400)
    trials = np.full(400, 20.0) if family == "betabinomial" else None
    with quiet():
        fit = glmm("y ~ x + (1|g)", d, family, trials=trials)
    fit.variance(), fit.cdf(), fit.simulate(1, rng=1)
    copy = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(copy.simulate(2, rng=1), fit.simulate(2, rng=1))
    np.testing.assert_array_equal(copy.cdf()[1], fit.cdf()[1])


@examples(8)
@given(cases())
def test_predictions_of_the_rows_are_the_fitted_values(case) -> None:
    fit = fitted(case)
    trials = 1.0 if fit.trials is None else fit.trials
    np.testing.assert_allclose(fit.predict(case[1]) * trials, fit.fittedvalues, rtol=1e-9)
    np.testing.assert_allclose(fit.predict() * trials, fit.fittedvalues, rtol=1e-9)
    shuffled = case[1].sample(frac=0.5, random_state=1)
    np.testing.assert_allclose(fit.predict(shuffled), fit.predict().loc[shuffled.index], rtol=1e-9)


@examples(10)
@given(cases(), st.floats(-3.0, 3.0))
def test_known_changes_of_the_response(case, change: float) -> None:
    """Units of a continuous response, a constant offset, successes for failures."""
    formula, data, options = case
    fit = fitted(case)
    family, n = options["family"], len(data)
    intercept = fit.params["Intercept"]
    tolerance = 0.02 * fit.bse["Intercept"] + 1e-6
    if family == "gamma":
        other = fitted((formula, data.assign(y=data["y"] * np.exp(change)), options))
        same(fit, other, -n * change)
        assert abs(other.params["Intercept"] - intercept - change) < tolerance
    elif family in ("gaussian", "t"):
        scale = float(np.exp(change))
        other = fitted((formula, data.assign(y=data["y"] * scale + 5.0 * change), options))
        same(fit, other, -n * change)
        assert abs(other.params["Intercept"] - intercept * scale - 5.0 * change) < tolerance * scale
    elif family == "binomial":
        total = data["n"] if "trials" in options else 1.0
        other = fitted((formula, data.assign(y=total - data["y"]), options))
        same(fit, other)
        np.testing.assert_allclose(other.params, -fit.params, atol=20 * tolerance)
    elif family == "beta":
        same(fit, fitted((formula, data.assign(y=1.0 - data["y"]), options)))
    other = fitted(case, offset=np.full(n, change))
    same(fit, other)
    assert abs(other.params["Intercept"] + change - intercept) < tolerance


@examples(8)
@given(cases(), st.integers(2, 3))
def test_frequency_weights_are_repeated_rows(case, times: int) -> None:
    """One weight for all rows of each level of f, against the rows written that often."""
    formula, data, options = case
    weights = np.where(data["f"] == "a", times, 1).astype(float)
    weighted = fitted(case, freq_weights=weights)
    repeated = fitted((formula, data.loc[data.index.repeat(weights.astype(int))].reset_index(drop=True), options))
    same(weighted, repeated)


@examples(8)
@given(cases(), st.floats(-4, 4), st.floats(-5, 5))
def test_units_and_origin_of_a_covariate(case, log_unit: float, origin: float) -> None:
    formula, data, options = case
    unit = 10.0**log_unit
    fit = fitted(case)
    # without the correlation of intercept and slope the origin belongs to the model
    origin = 0.0 if "||" in formula else origin
    other = fitted((formula, data.assign(x=(data["x"] + origin) * unit), options))
    same(fit, other)
    assert abs(other.params["x"] * unit - fit.params["x"]) < 0.02 * fit.bse["x"] + 1e-6
