"""Printed summaries, among them the tables of the sources."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from glmmcore.families import get_family
from glmmcore.results.summary import dispersion_in_words


def table_of(fit) -> np.ndarray:
    return fit.coefficient_table()[["estimate", "se"]].to_numpy()


def test_webworms(reference_data):
    fit = glmm("y ~ trt + (1|block)", reference_data("webworms"), family="nbinom1")
    text = str(fit.summary())
    for printed in (
        "nbinom1 (log)",
        "3012.4",
        "3043.4",
        "-1500.2",
        "0.1034",
        "-0.97814",
        "0.10155",
        "block, 13",
        "1.308",
    ):
        assert printed in text
    assert fit.sigma == pytest.approx(0.308, abs=5e-4)
    assert fit.aic == pytest.approx(3012.4, abs=0.05)
    assert (fit.var_corr["sd"].iloc[0]) ** 2 == pytest.approx(0.1034, abs=5e-5)


def test_crowder(reference_data):
    d = reference_data("crowder_seeds")
    fit = glmm("cbind(germ, n - germ) ~ extract * gen", d, family="binomial")
    assert fit.aic == pytest.approx(117.9, abs=0.05)
    expected = [[-0.4122, 0.1842], [0.5401, 0.2498], [-0.1459, 0.2232], [0.7781, 0.3064]]
    assert np.allclose(table_of(fit), expected, atol=5.1e-5)
    assert "117.9" in fit.summary()


def test_crowder_with_plates_by_restricted_likelihood(reference_data):
    # glmmTMB(cbind(germ, n - germ) ~ gen * extract + (1|plate), binomial, REML = TRUE)
    fit = glmm(
        "cbind(germ, n - germ) ~ gen * extract + (1|plate)", reference_data("crowder_seeds"), "binomial", reml=True
    )
    expected = [[-0.46662, 0.24563], [-0.07554, 0.31195], [0.51292, 0.33670], [0.82645, 0.43408]]
    assert np.allclose(table_of(fit), expected, atol=2e-3)
    assert fit.var_corr["sd"].iloc[0] == pytest.approx(0.31768, abs=1e-3)
    assert "restricted maximum likelihood" in fit.summary()


def test_fish(reference_data):
    d = reference_data("fish_vaccines", "day", "vaccine")
    gamma = glmm("wt ~ day * vaccine", d, family="gamma")
    assert gamma.llf == pytest.approx(-12214.5444, abs=1e-3)
    assert gamma.sigma == pytest.approx(0.21451, abs=1e-5)
    assert "coefficient of variation 0.2145" in gamma.summary()
    normal = glmm("wt ~ day * vaccine", d)
    assert normal.llf == pytest.approx(-15842.04747, abs=1e-4)
    assert "residual standard deviation 666.5" in normal.summary()
    # the printed table has sum contrasts; ours starts from the first cell, whose mean is the first fitted value
    assert normal.fittedvalues.iloc[0] == pytest.approx(59.040245, abs=1e-3)


def test_rikz(reference_data):
    d = reference_data("rikz", "Beach", "Sample")
    fit = glmm("Richness ~ NAP + (1|Beach)", d, family="poisson")
    # printed by glmer, whose default stop is good to 1e-3 of a standard error
    assert np.allclose(table_of(fit), [[1.6623, 0.1737], [-0.5039, 0.0754]], atol=5e-4)
    assert fit.var_corr["sd"].iloc[0] == pytest.approx(0.47428, abs=5e-4)
    with_samples = glmm("Richness ~ NAP + (1|Beach) + (1|Sample)", d, family="poisson").var_corr.set_index("group")[
        "sd"
    ]
    assert with_samples["Sample"] == pytest.approx(0.26555, abs=2e-3)
    assert with_samples["Beach"] == pytest.approx(0.45822, abs=2e-3)


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(9)
    g = np.repeat(np.arange(12), 10)
    d = pd.DataFrame({"x": rng.normal(size=120), "a<b": rng.normal(size=120), "g": g})
    d["y"] = rng.negative_binomial(2.0, 2.0 / (2.0 + np.exp(1.0 + 0.4 * d["x"] + rng.normal(0, 0.5, 12)[g])))
    d.loc[::7, "y"] = 0
    return glmm("y ~ x + `a<b` + (x|g)", d, family="nbinom2", zi="~ 1", disp="~ x")


def test_tables_behind_the_text(fit):
    summary = fit.summary()
    assert list(summary.tables) == [
        "Random effects",
        "Conditional model",
        "Zero-inflation model (logit)",
        "Dispersion model (log)",
    ]
    assert np.allclose(summary.tables["Conditional model"]["estimate"], fit.params)
    assert np.allclose(summary.tables["Dispersion model (log)"]["se"], fit.disp_bse)
    assert np.allclose(summary.tables["Random effects"]["variance"], fit.var_corr["sd"] ** 2)
    assert repr(summary) == str(summary)
    for title in summary.tables:
        assert f"{title}:" in summary


def test_html_is_escaped_and_complete(fit):
    html = fit._repr_html_()
    assert "a&lt;b" in html
    assert "a<b" not in html
    assert html.count("<table") == 2 + len(fit.summary().tables)
    assert "df.resid" in html


def test_small_coefficients_keep_two_digits():
    rng = np.random.default_rng(0)
    d = pd.DataFrame({"x": 1e6 * rng.normal(size=50)})
    d["y"] = 3.0 + 2e-6 * d["x"] + rng.normal(size=50)
    fit = glmm("y ~ x", d)
    printed = fit.summary().splitlines()[-1].split()
    assert float(printed[1]) == pytest.approx(fit.params["x"], rel=0.05)
    assert float(printed[2]) == pytest.approx(fit.bse["x"], rel=0.05)


def test_every_dispersion_has_its_words():
    from glmmcore.families import FAMILIES

    silent = "{sigma:.4g}"
    families = [get_family(name) for name in FAMILIES]
    missing = [family.name for family in families if family.has_dispersion and family.dispersion_words == silent]
    assert missing == []


def test_no_words_without_a_constant_dispersion(fit):
    assert dispersion_in_words(fit) == ""


def test_verdict_is_part_of_the_summary():
    d = pd.DataFrame({"y": [0] * 8 + [1, 0, 1, 1, 0, 1, 0, 1], "t": ["none"] * 8 + ["some"] * 8})
    assert "do not bound" in glmm("y ~ t", d, family="binomial").summary()


def test_a_dispersion_that_is_held_is_said() -> None:
    """``disp="~ 0"`` of a gaussian leaves next to nothing to single rows, which is right if an effect carries them."""
    r = np.random.default_rng(31)
    d = pd.DataFrame({"x": r.normal(size=60), "g": np.repeat(list("abcdef"), 10), "row": np.arange(60).astype(str)})
    d["y"] = 0.4 * d.x + r.normal(0.0, 0.5, 6).repeat(10) + r.normal(0.0, 0.7, 60)
    carried = glmm("y ~ x + (1|g) + (1|row)", d, disp="~ 0")
    assert "Dispersion (gaussian): held at 0.000122, not estimated (disp = ~ 0)" in str(carried.summary())
    assert not carried.verdict
    not_carried = glmm("y ~ x + (1|g)", d, disp="~ 0")
    assert [s for s in not_carried.verdict if s.startswith("The residual standard deviation is held at 0.000122")]
    d["positive"] = np.exp(d.y)
    exponential = glmm("positive ~ x", d, family="gamma", disp="~ 0")
    assert "Dispersion (gamma): held at 1, not estimated" in str(exponential.summary())


@pytest.mark.parametrize(
    ("levels", "said"),
    [(("case", "control"), "y = control, not case"), (("alive", "dead"), "y = dead, not alive"), ((False, True), None)],
)
def test_which_level_is_modelled_is_said(levels, said) -> None:
    """The second level, in alphabetical order if there is no other: with cases and controls that is the controls."""
    d = pd.DataFrame({"x": np.arange(20.0), "y": [levels[i % 3 == 0] for i in range(20)]})
    text = str(glmm("y ~ x", d, family="binomial").summary())
    assert (said in text) if said else ("Response:" not in text)
    if said:
        turned = d.assign(y=pd.Categorical(d["y"], levels[::-1]))
        assert f"y = {levels[0]}, not {levels[1]}" in str(glmm("y ~ x", turned, family="binomial").summary())


def test_how_trials_were_read_is_said() -> None:
    """Zeros and ones are counts, unless the response is written over its trials: the summary tells which it was."""
    d = pd.DataFrame({"x": np.arange(12.0), "n": 4, "k": [0, 1, 2, 4, 3, 1] * 2, "one": [0, 1] * 6})
    for left, kind in (("k", "numbers of successes"), ("one", "numbers of successes"), ("k / n", "proportions")):
        text = glmm(f"{left} ~ x", d, family="binomial", trials="n").summary()
        assert f"Trials:         n, of which {left} holds {kind}" in text
    for fit in (
        glmm("cbind(k, n - k) ~ x", d, family="binomial"),
        glmm("k ~ x", d, family="binomial", trials=d["n"].to_numpy()),
    ):
        assert "Trials:" not in fit.summary()


def test_weights_are_named() -> None:
    d = pd.DataFrame({"x": np.arange(12.0), "y": np.arange(12) % 5 + 1.0, "w": [1, 2, 3] * 4})
    assert "Number of rows: 12, which stand for 24" in glmm("y ~ x", d, freq_weights="w").summary()
    assert "Weights:        w, by which the variance is divided" in glmm("y ~ x", d, var_weights="w").summary()
    assert "stand for" not in glmm("y ~ x", d).summary() and "Weights" not in glmm("y ~ x", d).summary()


def test_rows_without_trials_count_as_in_r() -> None:
    """BIC and residual degrees of freedom of lme4 2.0 and glmmTMB 1.1.15, which count the three rows without trials."""
    d = pd.DataFrame(
        {
            "x": [
            -0.626, 0.184, -0.836, 1.595, 0.33, -0.82, 0.487, 0.738, 0.576, -0.305, 1.512, 0.39, -0.621,
            -2.215, 1.125, -0.045, -0.016, 0.944, 0.821, 0.594, 0.919, 0.782, 0.075, -1.989, 0.62,
            -0.056, -0.156, -1.471, -0.478, 0.418, 1.359, -0.103, 0.388, -0.054, -1.377, -0.415, -0.394,
            -0.059, 1.1, 0.763,
            ],
            "n": [0, 0, 0, 5, 7, 5, 5, 7, 4, 7, 3, 4, 4, 4, 3, 7, 9, 8, 8, 6,
                  5, 8, 6, 7, 5, 5, 12, 7, 4, 4, 6, 9, 6, 11, 7, 5, 5, 4, 2, 7],
            "k": [0, 0, 0, 3, 2, 2, 3, 3, 4, 4, 2, 2, 1, 0, 2, 2, 2, 5, 7, 4,
                  3, 4, 4, 1, 2, 4, 7, 0, 1, 1, 5, 4, 2, 6, 4, 1, 4, 1, 1, 2],
            "g": np.tile(np.arange(8), 5),
        }
    )  # fmt: skip
    fit = glmm("cbind(k, n - k) ~ x + (1|g)", d, family="binomial")
    # printed with seven digits; lme4's optimum is 1e-5 lower
    assert fit.llf == pytest.approx(-54.81678, abs=2e-5)
    assert fit.bic == pytest.approx(120.7002, abs=1e-4)
    assert (fit.nobs, fit.df_resid) == (40, 37)
    fewer = glmm("cbind(k, n - k) ~ x + (1|g)", d[d["n"] > 0], family="binomial")
    assert fewer.llf == pytest.approx(fit.llf, abs=1e-8)
    assert fewer.bic == pytest.approx(120.4663, abs=1e-4)
