"""Arguments of what is asked of a fit: refused by name, whatever their type."""

from __future__ import annotations

import inspect
import time
import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

import glmmcore
from glmmcore import (
    ModelError,
    avg_comparisons,
    avg_predictions,
    collinearity,
    compact_letters,
    glmm,
    inverse_prediction,
    marginal_means,
    satterthwaite,
    side_by_side,
    slopes,
    wald_tests,
)

N = 48
LEVELS = np.resize(["u", "v", "w"], N)
CONTAINERS = (["x"], {"x": 1}, {"x"}, np.array(["x", "f"]), np.zeros((2, 2)), pd.Series(np.arange(N)), pd.NA, slice(3))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    d = pd.DataFrame({"x": rng.normal(size=N), "f": LEVELS, "g": np.repeat(np.arange(8), 6), "w": rng.random(N) + 0.5})
    return d.assign(y=d["x"] + rng.normal(size=N), k=rng.poisson(3.0, N))


@pytest.fixture(scope="module")
def linear(data):
    return glmm("y ~ x + f + (1|g)", data)


@pytest.fixture(scope="module")
def counts(data):
    return glmm("k ~ x + (1|g)", data, family="poisson")


@pytest.mark.parametrize("junk", CONTAINERS, ids=lambda v: type(v).__name__)
def test_words_and_names_of_other_types(linear, junk):
    calls = [
        lambda: linear.part_columns(junk),
        lambda: linear.part_coefficients(junk),
        lambda: linear.part_standard_errors(junk),
        lambda: linear.part_covariance(junk, "cond"),
        lambda: linear.coefficient_table(junk),
        lambda: linear.cov_params(junk),
        lambda: linear.cov_params("sandwich", cluster="g", small_sample=junk),
        lambda: linear.conf_int(method=junk),
        lambda: linear.conf_int(parameters=junk),
        lambda: linear.predict(kind=junk),
        lambda: linear.predict(new_levels=junk),
        lambda: marginal_means(linear, "f", kind=junk),
        lambda: marginal_means(linear, "f", weights=junk),
        lambda: marginal_means(linear, "f", contrasts="pairwise", adjust=junk),
        lambda: marginal_means(linear, "f", kind="response", contrasts="pairwise", scale=junk),
        lambda: compact_letters(linear, "f", component=junk),
        lambda: slopes(linear, junk),
        lambda: avg_predictions(linear, junk),
        lambda: avg_predictions(linear, "f", random_effects=junk),
        lambda: avg_comparisons(linear, "f", comparison=junk),
        lambda: inverse_prediction(linear, junk, 1.0),
        lambda: inverse_prediction(linear, "x", 1.0, method=junk),
        lambda: wald_tests(linear, junk),
        lambda: wald_tests(linear, kind=junk),
        lambda: collinearity(linear, junk),
        lambda: side_by_side(linear, cell=junk),
    ]
    for call in calls:
        with pytest.raises(ModelError, match=" "):
            call()


@pytest.mark.parametrize(
    "junk", [3, 2.5, np.zeros((2, 2)), {"f": 1}, pd.Series(LEVELS), b"f"], ids=lambda v: repr(v)[:9]
)
def test_what_names_no_columns(linear, junk):
    for call in (
        lambda: marginal_means(linear, junk),
        lambda: marginal_means(linear, "f", by=junk),
        lambda: slopes(linear, "x", by=junk),
        lambda: avg_predictions(linear, "f", by=junk),
        lambda: compact_letters(linear, junk),
    ):
        with pytest.raises(ModelError, match="must name"):
            call()


@pytest.mark.parametrize("junk", ["x", 3.5, np.zeros((2, 2)), ["x"]], ids=lambda v: type(v).__name__)
def test_values_that_are_no_mapping(linear, junk):
    for call in (
        lambda: marginal_means(linear, "f", at=junk),
        lambda: slopes(linear, "x", at=junk),
        lambda: inverse_prediction(linear, "x", 1.0, at=junk),
    ):
        with pytest.raises(ModelError, match="at must map"):
            call()


def test_parts_that_the_model_lacks_are_empty(linear, counts):
    for part in ("zi", "disp"):
        assert counts.part_columns(part) == [] and counts.part_coefficients(part).empty
        assert counts.part_covariance("cond", part).shape == (2, 0)
    assert linear.part_columns("cond") == list(linear.params.index)
    with pytest.raises(ModelError, match="part must be one of 'cond', 'zi'"):
        counts.part_columns("sigma")


@pytest.mark.parametrize("level", [95, 1.0, 0.0, -0.5, np.nan, "0.95", None])
def test_levels_that_are_none(linear, level):
    """Levels such as 95 gave limits that were NaN, and negative ones limits on the wrong side, without a word."""
    for call in (linear.random_effects_frame, lambda v: inverse_prediction(linear, "x", 1.0, level=v)):
        with pytest.raises(ModelError, match="level must lie between 0 and 1"):
            call(level)
    with pytest.raises(ModelError, match="level must lie"):
        side_by_side(linear, level=level)


@pytest.mark.parametrize("limits", [(1.0, 0.0), (0.0,), (np.nan, 1.0), (-np.inf, np.inf), "ab", 3.0])
def test_limits_of_a_search(linear, limits):
    with pytest.raises(ModelError, match="limits"):
        inverse_prediction(linear, "x", 1.0, limits=limits)


@pytest.mark.parametrize("target", ["a", None, np.nan, [1.0]])
def test_targets(linear, target):
    with pytest.raises(ModelError, match="target must be a number"):
        inverse_prediction(linear, "x", target)


@pytest.mark.parametrize("weights", [[1, np.nan, 0], [1, np.inf, 0], ["a", 1, 0]])
def test_weights_of_contrasts_are_numbers(linear, weights):
    with pytest.raises(ModelError, match="contrast 'own'"):
        marginal_means(linear, "f", contrasts={"own": weights})


@pytest.mark.parametrize("rows", ["x", [[1.0, np.nan, 0, 0]], [1.0, 2.0], np.zeros((2, 2, 4))])
def test_contrasts_of_satterthwaite(data, rows):
    with pytest.raises(ModelError, match="contrasts"):
        satterthwaite(glmm("y ~ x + f + (1|g)", data, reml=True), rows)


def test_digits(linear):
    assert side_by_side(linear, digits=0).loc["rows"].item() == str(N)
    for digits in (-1, 2.5, "2", True, 10**6, [2]):
        with pytest.raises(ModelError, match="digits must be a whole number"):
            side_by_side(linear, digits=digits)


def test_weights_of_rows_held_out(data):
    fit = glmm("y ~ x", data, var_weights="w")
    new = data.set_index(np.arange(N) + 100)
    assert fit.held_out(new, var_weights="w").nobs == N
    for weights in (np.zeros(N), -np.ones(N), np.ones(N - 1), np.ones(N + 5), data["w"], "nobody", np.full(N, np.nan)):
        with pytest.raises(ModelError, match="var_weights"):
            fit.held_out(new, var_weights=weights)


def test_nodes_of_the_error_of_laplace(counts):
    assert counts.laplace_error(1) == pytest.approx(0.0, abs=1e-10)
    for n_agq in (0, -3, 2.5, "9", 10**6, True):
        with pytest.raises(ModelError, match="n_agq must be a whole number"):
            counts.laplace_error(n_agq)


def test_factors_of_inflation_leave_out_what_is_given(data):
    """A given coefficient has no variance: its factor was NaN, with a warning of numpy."""
    free = collinearity(glmm("k ~ f + x", data.assign(x=data["x"]), family="poisson", fixed={"x": 0.2}))
    alone = collinearity(glmm("k ~ f", data, family="poisson", offset=0.2 * data["x"]))
    pd.testing.assert_frame_equal(pd.DataFrame(free), pd.DataFrame(alone), rtol=1e-6)


def test_responses_that_do_not_fit_into_memory(linear, data):
    for call in (lambda: linear.simulate(10**12), lambda: linear.simulate(10**12, newdata=data)):
        with pytest.raises(MemoryError, match="draw fewer at once"):
            call()


def test_grids_beyond_reason(data):
    rng = np.random.default_rng(1)
    names = [f"f{j}" for j in range(8)]
    many = pd.DataFrame({name: rng.integers(0, 12, 2000).astype(str) for name in names}).assign(
        k=rng.poisson(2.0, 2000)
    )
    fit = glmm("k ~ " + " + ".join(names), many, family="poisson")
    began = time.process_time()
    with pytest.raises(ModelError, match=r"f0 \(12\), .* have 429,981,696 combinations"):
        marginal_means(fit, "f0")
    assert time.process_time() - began < 5.0
    held = marginal_means(fit, "f0", at={name: ["3"] for name in names[2:]})
    assert len(held) == 12 and held["estimate"].notna().all()


@pytest.mark.parametrize("known", [np.eye(8), "g", [("g", np.eye(8))], pd.DataFrame(np.eye(8))], ids=type)
def test_relationships_that_are_no_mapping(data, known):
    with pytest.raises(ModelError, match="known= takes a dict"):
        glmm("y ~ x + (1|g)", data, known=known)


@pytest.mark.parametrize("name", ["my col", "a:b", "log(x)", "x + f", "1", "it's", "ä ö"])
def test_means_beside_a_column_whose_name_needs_back_ticks(data, name):
    d = data.assign(**{name: data["w"]})
    found = marginal_means(glmm(f"y ~ f + x + `{name}`", d), "f", contrasts="pairwise")
    expected = marginal_means(glmm("y ~ f + x + w", d), "f", contrasts="pairwise")
    pd.testing.assert_frame_equal(pd.DataFrame(found), pd.DataFrame(expected))
    within = marginal_means(glmm(f"y ~ f * `{name}` + x", d), "f")
    assert any(f"At the mean of {name}" in note for note in within.attrs["notes"])
    labels = data.assign(**{name: np.resize(["a", "b"], N)})
    averaged = marginal_means(glmm(f"y ~ f * `{name}` + x", labels), "f")
    assert any(f"Averaged over {name} although" in note for note in averaged.attrs["notes"])


def test_no_values_of_a_column(linear):
    for call in (
        lambda: marginal_means(linear, "f", at={"x": []}),
        lambda: avg_predictions(linear, "x", values=[]),
        lambda: avg_comparisons(linear, "f", values=[]),
    ):
        with pytest.raises(ModelError, match="no value of column"):
            call()


LEVELLED = {
    "avg_comparisons": lambda f, **a: avg_comparisons(f, "f", **a),
    "avg_predictions": lambda f, **a: avg_predictions(f, "f", **a),
    "compact_letters": lambda f, **a: compact_letters(f, "f", **a),
    "inverse_prediction": lambda f, **a: inverse_prediction(f, "x", 1.0, **a),
    "marginal_means": lambda f, **a: marginal_means(f, "f", **a),
    "power": lambda f, **a: glmmcore.power(f, {"x": 0.5}, **a),
    "side_by_side": lambda f, **a: side_by_side(f, **a),
    "slopes": lambda f, **a: slopes(f, "x", **a),
    "FittedGLMM.conf_int": lambda f, **a: f.conf_int(**a),
    "FittedGLMM.exp_table": lambda f, **a: f.exp_table(**a),
    "FittedGLMM.odds_ratios": lambda f, **a: f.odds_ratios(**a),
    "FittedGLMM.predict": lambda f, **a: f.predict(**a),
    "FittedGLMM.random_effects_frame": lambda f, **a: f.random_effects_frame(**a),
}


@contextmanager
def warnings_off():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def levelled() -> set[tuple[str, str]]:
    """Public functions and methods with an argument `level` or `alpha`, and the argument."""
    functions = {name: getattr(glmmcore, name) for name in glmmcore.__all__}
    methods = {f"FittedGLMM.{name}": f for name, f in inspect.getmembers(glmmcore.FittedGLMM, inspect.isfunction)}
    called = {name: f for name, f in (functions | methods).items() if callable(f) and not isinstance(f, type)}
    return {
        (name, argument)
        for name, f in called.items()
        if "._" not in name
        for argument in ("alpha", "level")
        if argument in inspect.signature(f).parameters
    }


@pytest.mark.parametrize(("name", "argument"), sorted(levelled()))
def test_every_level_is_refused_by_its_name(data, name, argument):
    fit = glmm("I(y > 0) ~ x + f + (1|g)", data, family="binomial")
    for wrong in ("0.95", "x", 2, 95, 0, 1, -0.1, np.nan, [0.9], np.array([0.9, 0.8]), True, pd.NA):
        with pytest.raises(ModelError, match=r"(alpha|level) must lie between 0 and 1") as caught, warnings_off():
            LEVELLED[name](fit, **{argument: wrong})
        assert name == "compact_letters" or str(caught.value).startswith(argument)


def test_a_level_of_confidence_is_no_former_alpha(linear):
    """The former name of `alpha` means a level of 95 % everywhere else: letters were those of p < 0.95."""
    with pytest.raises(ModelError, match=r"write alpha=0\.05"):
        compact_letters(linear, "f", level=0.95)
    with pytest.warns(FutureWarning, match="now called alpha"):
        assert compact_letters(linear, "f", level=0.05).equals(compact_letters(linear, "f", alpha=0.05))
