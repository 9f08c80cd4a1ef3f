"""Batched fits: every number is that of an ordinary fit of the same response."""

from __future__ import annotations

import joblib
import numpy as np
import pandas as pd
import pytest

from glmmcore import ModelError, fit_many, glmm
from glmmcore.many._batch_start import start_batch
from glmmcore.many.batch_blocks import BlockTask, objective_of

# Both stop where the log-likelihood can rise by 1e-9 at most, hence within sqrt(2e-9) standard errors of the maximum.
LLF, PARAMS = 1e-6, 1e-4
# Hessians are differences at slightly different points: relative error of the differences.
ERRORS = 2e-3


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    g = rng.permutation(np.repeat(np.arange(10), 9))[:80]  # neither sorted nor balanced
    return pd.DataFrame(
        {
            "x": rng.normal(size=80),
            "g": g,
            "z": rng.normal(size=80),
            "m": rng.integers(1, 9, 80),
            "w": 1 + g % 3,
        }
    )


def responses(frame: pd.DataFrame, family: str, count: int = 12) -> np.ndarray:
    """Counts or values with group effects (80, count)."""
    rng = np.random.default_rng(7)
    b = rng.normal(0, 0.6, (10, count))[frame["g"]]
    eta = 0.4 + 0.3 * frame["x"].to_numpy()[:, None] + b
    mean = np.exp(eta)
    draw = {
        "gaussian": lambda: eta + rng.normal(0, 0.7, eta.shape),
        "poisson": lambda: rng.poisson(mean),
        "nbinom2": lambda: rng.negative_binomial(2, 2 / (2 + mean)),
        "binomial": lambda: rng.binomial(frame["m"].to_numpy()[:, None], 1 / (1 + np.exp(-eta))),
        "gamma": lambda: rng.gamma(2, mean / 2),
        "zip": lambda: rng.poisson(mean) * (rng.random(eta.shape) > 0.2),
    }
    return draw[family]().astype(float)


MODELS = {
    "poisson": ("y ~ x + (1|g)", "poisson", {}),
    "poisson slopes": ("y ~ x + (x|g)", "poisson", {}),
    "poisson independent slopes": ("y ~ x + (x||g)", "poisson", {}),
    "poisson offset, weights": ("y ~ x + offset(z) + (1|g)", "poisson", {"freq_weights": "w"}),
    "poisson without groups": ("y ~ x", "poisson", {}),
    "nbinom2": ("y ~ x + (1|g)", "nbinom2", {}),
    "nbinom2 with disp": ("y ~ x + (1|g)", "nbinom2", {"disp": "~ x"}),
    "binomial of trials": ("y ~ x + (1|g)", "binomial", {"trials": "m"}),
    "gaussian": ("y ~ x + (1|g)", "gaussian", {}),
    "gaussian REML": ("y ~ x + (1|g)", "gaussian", {"reml": True}),
    "gaussian var_weights": ("y ~ x + (1|g)", "gaussian", {"var_weights": "w"}),
    "gamma": ("y ~ x + (1|g)", "gamma", {}),
    "zip": ("y ~ x + (1|g)", "poisson", {"zi": "~ 1"}),
    "poisson quadrature": ("y ~ x + (1|g)", "poisson", {"n_agq": 5}),
    "crossed": ("y ~ x + (1|g) + (1|m)", "poisson", {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_same_as_single_fits(name: str, frame: pd.DataFrame) -> None:
    formula, family, options = MODELS[name]
    count = 12 if BLOCKWISE.get(name, True) else 4
    y = responses(frame, "zip" if name == "zip" else family, count)
    many = fit_many(formula, frame, family, responses=y, **options)
    assert (many.error == "").all()
    for i in range(count):
        fit = glmm(formula, frame.assign(y=y[:, i]), family, **options)
        assert many.converged[i] == fit.converged
        assert many.singular[i] == fit.singular
        assert many.llf[i] == pytest.approx(fit.llf, abs=LLF)
        if fit.singular:  # the likelihood is flat around a vanishing factor, up to fourth order
            continue
        np.testing.assert_array_less(np.abs(many.params.loc[i] - fit.params), PARAMS * fit.bse)
        np.testing.assert_allclose(many.bse.loc[i], fit.bse, rtol=ERRORS)
        np.testing.assert_allclose(many.sigma[i], fit.sigma, rtol=1e-4)
        np.testing.assert_allclose(many.sd.loc[i], fit.var_corr["sd"].astype(float), rtol=1e-3)
        np.testing.assert_allclose(many.fitted[i], fit.fitted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(many.pearson[i], np.sum(fit.resid_pearson**2), rtol=1e-4)
        for at_once, alone in zip(many.cdf(), fit.cdf(), strict=True):
            np.testing.assert_allclose(at_once[i], alone, atol=1e-4)


BLOCKWISE = {"poisson quadrature": False, "crossed": False}


@pytest.mark.parametrize("name", MODELS)
def test_which_designs_are_fitted_in_blocks(name: str, frame: pd.DataFrame) -> None:
    formula, family, options = MODELS[name]
    y = responses(frame, "zip" if name == "zip" else family, 1)[:, 0]
    fit = glmm(formula, frame.assign(y=y), family, **options)
    task = BlockTask.of(fit.estimator)
    assert (task.linear or task.problem is not None) == BLOCKWISE.get(name, True)


@pytest.mark.parametrize("name", ["poisson", "poisson slopes", "nbinom2 with disp", "zip", "poisson without groups"])
def test_gradient_against_differences(name: str, frame: pd.DataFrame) -> None:
    formula, family, options = MODELS[name]
    y = responses(frame, "zip" if name == "zip" else family, 3)
    fit = glmm(formula, frame.assign(y=y[:, 0]), family, **options)
    problem = BlockTask.of(fit.estimator).problem
    objective = objective_of(problem, np.ascontiguousarray(y.T[:, problem.rows]))
    x, _ = start_batch(objective)
    x += np.random.default_rng(1).normal(0, 0.2, x.shape)
    everything, step = np.arange(3), 1e-5
    _, gradient = objective(everything, x)
    for j in range(x.shape[1]):
        ahead, behind = x.copy(), x.copy()
        ahead[:, j] += step
        behind[:, j] -= step
        difference = (objective(everything, ahead)[0] - objective(everything, behind)[0]) / (2 * step)
        # rounding of F, some 1e-13 of 200, over the step
        np.testing.assert_allclose(gradient[:, j], difference, rtol=1e-6, atol=2e-6)


def test_hard_responses_get_the_ordinary_fit(frame: pd.DataFrame) -> None:
    y = responses(frame, "poisson", 6)
    y[:, 0] = 0.0  # no finite intercept
    y[:, 1] = np.where(frame["g"] < 5, 0, 3)  # a group effect of any size
    y[:, 2] = 2.0  # no variance at all: a singular fit
    y[3, 3] = -1.0
    y[4, 4] = np.inf
    many = fit_many("~ x + (1|g)", frame, "poisson", responses=y)
    assert "negative" in many.error[3] or "-1" in many.error[3]
    assert "finite" in many.error[4]
    assert [name for name, _ in many.items()] == [0, 1, 2, 5]
    assert list(many) == list(range(6))
    assert many.params.loc[[3, 4]].isna().all(axis=None)
    assert not many.converged[[3, 4]].any()
    for i in (0, 1, 2, 5):
        fit = glmm("y ~ x + (1|g)", frame.assign(y=y[:, i]), "poisson")
        assert many.llf[i] == pytest.approx(fit.llf, abs=1e-4 if i == 0 else LLF)
        assert many.converged[i] == fit.converged
        assert many.singular[i] == fit.singular


def test_missing_values_are_left_out_response_by_response(frame: pd.DataFrame) -> None:
    y = pd.DataFrame(responses(frame, "poisson", 4), columns=list("abcd"))
    level = np.where(frame.index == 3, "rare", "common")
    frame = frame.assign(x=frame["x"].where(frame["x"] < 1.8), level=level)
    y.loc[[3, 7], "b"] = np.nan
    y.loc[:, "c"] = np.nan
    many = fit_many("~ x + (1|g)", frame, "poisson", responses=y)
    fit = glmm("b ~ x + (1|g)", frame.assign(b=y["b"]), "poisson")
    assert many.llf["b"] == pytest.approx(fit.llf, abs=LLF)
    kept = frame.index[frame["x"].notna()]
    assert np.isnan(many.fitted[1]).sum() == len(kept.intersection([3, 7]))
    assert "missing" in many.error["c"]
    assert many["b"].nobs == fit.nobs
    assert many["b"].formula == "b ~ x + (1|g)"
    lost = fit_many("~ level + (1|g)", frame, "poisson", responses=y)
    assert lost.error["b"]
    assert lost.error["a"] == ""


def test_workers_and_blocks_change_nothing(frame: pd.DataFrame) -> None:
    y = responses(frame, "poisson", 450)  # three blocks
    one = fit_many("~ x + (1|g)", frame, "poisson", responses=y).to_frame()
    pd.testing.assert_frame_equal(
        one, fit_many("~ x + (1|g)", frame, "poisson", responses=y, n_jobs=2).to_frame(), check_exact=True
    )
    with joblib.parallel_config(backend="threading", n_jobs=2):
        threads = fit_many("~ x + (1|g)", frame, "poisson", responses=y).to_frame()
    pd.testing.assert_frame_equal(one, threads, check_exact=True)


def test_threads_do_not_share_the_linear_system(frame: pd.DataFrame) -> None:
    """Crossed designs are fitted one by one, in the estimator's linear system."""
    long = pd.concat([frame] * 4, ignore_index=True)
    y = np.random.default_rng(2).poisson(3, (len(long), 12))
    one = fit_many("~ x + (1|g) + (1|m)", long, "poisson", responses=y).llf
    with joblib.parallel_config(backend="threading", n_jobs=2):
        assert fit_many("~ x + (1|g) + (1|m)", long, "poisson", responses=y).llf.equals(one)


def test_refit_many_is_refit(frame: pd.DataFrame) -> None:
    fit = glmm("y ~ x + (1|g)", frame.assign(y=responses(frame, "nbinom2", 1)[:, 0]), "nbinom2")
    y = fit.simulate(8, rng=3, random_effects="unconditional")
    many = fit.refit_many(y)
    single = [fit.refit(row).llf for row in y]
    np.testing.assert_allclose(many.llf, single, atol=LLF)
    assert many[5].llf == pytest.approx(many.llf[5], abs=LLF)
    with pytest.raises(ModelError, match="one response a row"):
        fit.refit_many(y.T)


def test_rows_of_families_with_further_parameters(frame: pd.DataFrame) -> None:
    """Each response has a power of its own; incomplete rows stay NaN."""
    y = responses(frame, "zip", 3) * 1.5
    y[[3, 7], 1] = np.nan
    many = fit_many("~ x + (1|g)", frame, "tweedie", responses=y)
    lower, upper = many.cdf()
    assert np.isnan(upper[1, [3, 7]]).all() and np.isnan(upper).sum() == 2
    for i in range(3):
        rows = frame.assign(y=y[:, i]).dropna()
        fit = glmm("y ~ x + (1|g)", rows, "tweedie")
        there = np.isfinite(y[:, i])
        np.testing.assert_allclose(upper[i, there], fit.cdf()[1], atol=1e-4)
        np.testing.assert_allclose(lower[i, there], fit.cdf()[0], atol=1e-4)
        np.testing.assert_allclose(many.linear_predictors["cond"][i, there], fit.predict(kind="link"), atol=1e-3)
        assert many.linear_predictors["disp"][i, 0] == pytest.approx(fit.disp_params.iloc[0], abs=1e-3)


def test_proportions_are_read_as_a_single_fit_reads_them(frame: pd.DataFrame) -> None:
    y = responses(frame, "binomial", 2) / frame["m"].to_numpy()[:, None]
    many = fit_many("~ x + (1|g)", frame, "binomial", responses=y, trials="m")
    fit = glmm("y ~ x + (1|g)", frame.assign(y=y[:, 1]), "binomial", trials="m")
    assert many.llf[1] == pytest.approx(fit.llf, abs=LLF)


def test_groups_of_rows(frame: pd.DataFrame) -> None:
    parts = [frame.assign(y=y, species=s) for s, y in zip("cab", responses(frame, "poisson", 3).T, strict=True)]
    data = pd.concat(parts, ignore_index=True)
    data.loc[data["species"] == "b", "y"] = -1.0
    many = fit_many("y ~ x + (1|g)", data, "poisson", by="species", freq_weights=data["w"].to_numpy())
    assert list(many.llf.index) == ["a", "b", "c"]
    fit = glmm("y ~ x + (1|g)", parts[0], "poisson", freq_weights="w")
    assert many.llf["c"] == fit.llf
    assert many["c"].llf == fit.llf
    pd.testing.assert_series_equal(many.params.loc["c"], fit.params, check_names=False)
    assert many.error["b"] and not many.converged["b"]
    assert many.sd.columns.tolist() == ["g: Intercept"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"responses": np.ones((3, 80))}, "one column a response"),
        ({"responses": ["x", "nope"]}, "no column 'nope'"),
        ({"responses": pd.DataFrame({"a": ["u"] * 80})}, "does not hold numbers"),
        ({"responses": pd.DataFrame(np.ones((80, 2)), columns=["a", "a"])}, "two responses are called 'a'"),
        ({"responses": pd.DataFrame({"a": np.ones(80)}, index=np.arange(80)[::-1])}, "row labels"),
        ({"responses": np.full((80, 1), np.nan)}, "missing in every row"),
        ({}, "responses= .* or by="),
        ({"by": "nope"}, "no column 'nope'"),
    ],
)
def test_bad_input(frame: pd.DataFrame, arguments: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        fit_many("~ x + (1|g)", frame, "poisson", **arguments)


def test_left_side_must_be_a_name(frame: pd.DataFrame) -> None:
    with pytest.raises(ModelError, match="plain name or empty"):
        fit_many("log(y) ~ x", frame, "gaussian", responses=np.ones((80, 1)))


def test_proportions_are_read_by_all_rows_together():
    rng = np.random.default_rng(8)
    d = pd.DataFrame({"x": rng.normal(size=200), "n": rng.integers(2, 5, 200), "half": np.repeat([0, 1], 100)})
    d["k"] = rng.binomial(d["n"], 1 / (1 + np.exp(-d["x"])))
    d["share"] = d["k"] / d["n"]
    # the second half has shares of 0 and 1 only, which alone would be counts
    e = d[(d["half"] == 0) | d["share"].isin([0, 1])]
    assert (e["k"][e["share"] == 1] > 1).any()
    shares, counts = (fit_many(f"{y} ~ x", e, "binomial", by="half", trials="n").to_frame() for y in ("share", "k"))
    pd.testing.assert_frame_equal(shares, counts)

    missing = d[["share", "k"]].astype(float)
    missing.iloc[7] = np.nan
    fits = fit_many("~ x", d, "binomial", responses=missing, trials="n").to_frame().drop(columns="error")
    np.testing.assert_allclose(*fits.astype(float).to_numpy(), rtol=1e-12)
    single = glmm("k ~ x", d.assign(k=missing["k"]), "binomial", trials="n")
    np.testing.assert_allclose(fits["pearson"].astype(float), np.sum(single.resid_pearson**2), rtol=1e-6)


def test_columns_are_read_as_proportions_together():
    """A column that happens to be all zeros and ones is of the kind of its neighbours: 3 of 3 was one of 3."""
    rng = np.random.default_rng(9)
    d = pd.DataFrame({"x": rng.normal(size=60), "n": rng.integers(1, 4, 60)})
    counts = pd.DataFrame({"mixed": rng.binomial(d["n"], 0.5), "whole": rng.integers(0, 2, 60) * d["n"]})
    shares = counts.div(d["n"], axis=0)
    assert set(shares["whole"]) == {0.0, 1.0} and (counts["whole"] > 1).any()
    found, expected = (fit_many("~ x", d, "binomial", responses=r, trials="n") for r in (shares, counts))
    pd.testing.assert_frame_equal(found.to_frame(), expected.to_frame())
    assert found["whole"].llf == pytest.approx(glmm("whole ~ x", d.join(counts), "binomial", trials="n").llf, abs=LLF)
    # alone there is nothing that would tell
    alone = fit_many("~ x", d, "binomial", responses=shares[["whole"]], trials="n")
    assert alone["whole"].observed.max() == 1.0


@pytest.mark.parametrize("name", ["share", "a ~ b", "k/n", "of all"])
def test_the_response_of_groups_is_found_under_any_name(name):
    rng = np.random.default_rng(8)
    d = pd.DataFrame({"x": rng.normal(size=200), "n": rng.integers(2, 5, 200), "half": np.repeat([0, 1], 100)})
    d["k"] = rng.binomial(d["n"], 1 / (1 + np.exp(-d["x"])))
    d[name] = d["k"] / d["n"]
    e = d[(d["half"] == 0) | d[name].isin([0, 1])]
    shares, counts = (fit_many(f"`{y}` ~ x", e, "binomial", by="half", trials="n").to_frame() for y in (name, "k"))
    pd.testing.assert_frame_equal(shares, counts)


def test_held_out_rows_of_a_response_whose_name_is_no_identifier(frame: pd.DataFrame) -> None:
    y = pd.DataFrame(responses(frame, "poisson", 2), columns=["outcome 1", "y ~ x"])
    many = fit_many("~ x + (1|g)", frame, "poisson", responses=y)
    for name in y:
        new = frame.assign(**{name: y[name]}).iloc[:7]
        np.testing.assert_array_equal(many[name].held_out(new).observed, y[name][:7])
