"""Arguments as other programs name them, offsets as functions of columns, warnings at the line of the user."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest

from glmmcore import (
    DataWarning,
    ModelError,
    avg_comparisons,
    avg_predictions,
    glmm,
    marginal_means,
    power,
    slopes,
)


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"x": rng.normal(size=90), "years": rng.uniform(30.0, 90.0, 90)})
    return data.assign(y=rng.poisson(0.1 * data["years"]))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("weights", "freq_weights="),
        ("exposure", r"offset\(np.log\(exposure\)\)"),
        ("nAGQ", "n_agq="),
        ("REML", "reml="),
    ],
)
def test_an_argument_of_other_programs_is_explained(counts, name, advice):
    with pytest.raises(TypeError, match=rf"glmm\(\) has no argument {name}=; write .*{advice}"):
        glmm("y ~ x", counts, family="poisson", **{name: 1})


def test_levels_and_seeds_under_the_names_of_other_programs(counts):
    fit = glmm("y ~ x", counts, family="poisson")
    for call in (
        lambda: fit.predict(alpha=0.1),
        lambda: marginal_means(fit, at={"x": [0.0]}, alpha=0.1),
        lambda: avg_predictions(fit, alpha=0.1),
        lambda: avg_comparisons(fit, "x", alpha=0.1),
        lambda: slopes(fit, "x", alpha=0.1),
    ):
        with pytest.raises(TypeError, match=r"has no argument alpha=; write level=, such as level=0.9"):
            call()
    for call in (lambda: fit.simulate(10, seed=1), lambda: power(fit, {"x": 0.1}, seed=1)):
        with pytest.raises(TypeError, match=r"has no argument seed=; write rng="):
            call()
    with pytest.raises(TypeError, match=r"predict\(\) has no argument se_fit=; write se=True"):
        fit.predict(se_fit=True)
    assert fit.predict(counts[:2], level=0.9).shape == (2, 4)
    with pytest.raises(TypeError, match=r"power\(\) has no argument level=; write alpha=, such as alpha=0.1 for"):
        power(fit, {"x": 0.1}, level=0.9)


def test_the_signature_is_that_of_the_function():
    assert "n_agq" in inspect.signature(glmm).parameters
    for function in (glmm, marginal_means, avg_comparisons):
        assert "names" not in inspect.signature(function).parameters


def test_an_offset_may_be_a_function_of_columns(counts):
    named, written = (
        glmm("y ~ x", counts, family="poisson", offset="log(years)"),
        glmm("y ~ x + offset(np.log(years))", counts, family="poisson"),
    )
    assert named.llf == written.llf
    new = pd.DataFrame({"x": [0.0], "years": [10.0]})
    assert named.predict(new).iloc[0] == written.predict(new).iloc[0]


def test_an_exposure_that_is_no_logarithm_is_told_at_the_line_of_the_user(counts):
    with pytest.warns(DataWarning, match=r"multiplies means by up to exp\(.*offset\(np\.log") as caught:
        glmm("y ~ x", counts, family="poisson", offset="years")
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        glmm("y ~ x", counts, family="poisson", offset="np.log(years)")
        glmm("y ~ x", counts, offset="years")  # identity link: years are what they are


def test_an_exposure_in_whole_numbers_is_told_or_refused(counts):
    few = counts.assign(visits=np.tile([1, 2, 5], 30), holders=np.tile([3, 40, 2900], 30))
    with pytest.warns(DataWarning, match="from 1 to 5 in whole numbers.*as its logarithm"):
        glmm("y ~ x", few, family="poisson", offset="visits")
    with pytest.raises(ModelError, match=r"from 3 to 2900.*offset\(np\.log.*no model with a log link"):
        glmm("y ~ x + offset(holders)", few, family="poisson")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        glmm("y ~ x", few.assign(same=3), family="poisson", offset="same")
        glmm("y ~ x + offset(np.log(holders))", few, family="poisson")
        glmm("y ~ x", few.assign(once=np.tile([0, 1], 45)), family="poisson", offset="once")


def test_an_offset_given_as_an_argument_stands_in_the_summary(counts):
    text = str(glmm("y ~ x", counts, family="poisson", offset="log(years)").summary())
    assert "Offset:         log(years), on the scale of the link" in text
    assert "Offset" not in str(glmm("y ~ x + offset(log(years))", counts, family="poisson").summary())
    assert "an array, on" in str(glmm("y ~ x", counts, family="poisson", offset=np.log(counts["years"])).summary())


def test_names_of_contrasts_elsewhere_and_references_that_nothing_compares_with(counts):
    fit = glmm("y ~ f", counts.assign(f=np.tile(list("abc"), 30)), family="poisson")
    with pytest.raises(ModelError, match="emmeans' 'tukey' is contrasts='pairwise'"):
        marginal_means(fit, "f", contrasts="tukey")
    for contrasts in ("pairwise", None, {"a - b": [1, -1, 0]}):
        with pytest.raises(ModelError, match="reference= is the level with which contrasts='dunnett' compares"):
            marginal_means(fit, "f", contrasts=contrasts, reference="b")


@pytest.mark.parametrize(("family", "other"), [("poisson", "nbinom2"), ("truncated_poisson", "truncated_nbinom2")])
def test_a_family_without_dispersion_names_one_with(counts, family, other):
    with pytest.raises(ModelError, match=f"family '{family}' has no dispersion parameter, '{other}' has one"):
        glmm("y ~ x", counts[counts["y"] > 0], family=family, disp="~ x")
