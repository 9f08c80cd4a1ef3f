"""Tables of results print whole and know the former names of columns; arguments that were renamed work."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from glmmcore import ModelError, compact_letters, compare, glmm, satterthwaite


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(25)
    d = pd.DataFrame({"x": rng.normal(size=60), "f": list("abc") * 20, "g": np.repeat(np.arange(12), 5)})
    d["y"] = rng.poisson(np.exp(0.5 + 0.3 * d["x"] + 0.8 * (d["f"] == "b")))
    d["z"] = d["x"] + 8.0 * (d["f"] == "b") + rng.normal(size=60)
    return d


def test_comparisons_print_every_column_and_their_notes_below(table):
    small, large = (glmm(f"y ~ {x} + (1|g)", table, family="poisson") for x in ("f", "f + x"))
    found = compare(small, large, other=glmm("y ~ f + x + (1|g)", table, family="nbinom2"))
    head, *rows = repr(found).splitlines()
    assert head.split() == [name for name in found.columns if name != "note"]
    assert all(len(row) < 130 for row in rows)
    assert rows[-1].startswith("other: overdispersion on its boundary")
    assert f"{found['aic'].iloc[1]:.1f}" in rows[1]
    html = found._repr_html_()
    assert "pvalue_chi2" in html
    assert "overdispersion on its boundary" in html


def test_large_numbers_keep_their_decimals(table):
    fits = [glmm(f"y ~ {x}", pd.concat([table] * 40), family="poisson") for x in ("1", "f")]
    assert f"{fits[1].aic:.1f}" in repr(compare(*fits))
    assert "e+" not in repr(compare(*fits))


def test_probabilities_that_doubles_do_not_tell_from_zero_are_printed_as_small(table):
    counts = pd.concat([table.assign(y=table["y"] + 400 * (table["f"] == "b"))] * 4)
    found = compare(*(glmm(f"y ~ {x}", counts, family="poisson") for x in ("1", "f")))
    assert 0.0 <= found["pvalue"].iloc[1] < 1e-100  # the column keeps the number
    for shown in (repr(found), found._repr_html_().replace("&lt;", "<")):
        assert shown.count("<1e-16") == 3  # the weight of the first, both p-values of the second
        assert "e-1" not in shown.replace("<1e-16", "")
    assert "NaN" not in repr(found)


def test_former_names_of_columns_work_with_a_warning(table):
    tested = satterthwaite(glmm("z ~ x + (1|g)", table, reml=True))
    assert list(tested.columns) == ["estimate", "se", "df", "statistic", "pvalue"]
    for same in (tested, pickle.loads(pickle.dumps(tested))):
        with pytest.warns(FutureWarning, match="'p' is now called 'pvalue'"):
            assert same["p"].equals(tested["pvalue"])
        with pytest.warns(FutureWarning, match="'t' is now called 'statistic'"):
            assert same.loc["x", "t"] == tested.loc["x", "statistic"]
    assert type(tested.round(3)) is pd.DataFrame
    assert type(tested[["df", "se"]]) is pd.DataFrame
    with pytest.raises(KeyError):
        tested["nothing"]


def test_levels_are_called_level_and_former_names_warn(table):
    fit = glmm("y ~ f + (1|g)", table, family="poisson")
    new = table[:3]
    limits = fit.predict(new, level=0.9)
    with pytest.warns(FutureWarning, match="interval= is now called level="):
        pd.testing.assert_frame_equal(fit.predict(new, interval=0.9), limits)
    with pytest.raises(ModelError, match="former name"):
        fit.predict(new, interval=0.9, level=0.9)
    pd.testing.assert_frame_equal(fit.conf_int(level=0.9), fit.conf_int(1.0 - 0.9))
    pd.testing.assert_frame_equal(fit.exp_table(level=0.9), fit.exp_table(alpha=1.0 - 0.9))
    for bad in (0.0, 1.0, 95, np.nan, "0.9"):
        for call in (fit.conf_int, fit.exp_table):
            with pytest.raises(ModelError, match="level must lie between 0 and 1"):
                call(level=bad)
            with pytest.raises(ModelError, match="alpha must lie between 0 and 1"):
                call(alpha=bad)


def test_letters_take_alpha(table):
    fit = glmm("z ~ f", table, reml=True)
    letters = compact_letters(fit, "f", alpha=0.01)
    assert letters["b"] != letters["a"]
    with pytest.warns(FutureWarning, match="level= is now called alpha="):
        assert compact_letters(fit, "f", level=0.01).equals(letters)
    with pytest.raises(ModelError, match="alpha must lie"):
        compact_letters(fit, "f", alpha=5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("zinb", "'nbinom2' with zi='~ 1'"),
        ("ZIP", "'poisson' with zi='~ 1'"),
        ("zero_inflated_poisson", "zi='~ 1'"),
        ("quasipoisson", "'nbinom1'"),
        ("negative.binomial", "'nbinom2'"),
        ("Bernoulli", "'binomial'"),
        ("poison", "did you mean 'poisson'"),
    ],
)
def test_families_under_the_names_of_other_software(table, name, words):
    with pytest.raises(ModelError, match=words):
        glmm("y ~ x", table, family=name)


def test_new_data_without_the_grouping_column(table):
    fit = glmm("y ~ x + (1|g)", table, family="poisson")
    with pytest.raises(ModelError, match="'g' of the random effects is not in the new data; random_effects='none'"):
        fit.predict({"x": [0.0, 1.0]})
    assert np.isfinite(fit.predict({"x": [0.0, 1.0]}, random_effects="none")).all()
    assert np.isfinite(fit.predict({"x": [0.0, 1.0]}, random_effects="average")).all()


def test_counts_above_one_trial_say_how_to_give_trials(table):
    with pytest.raises(ModelError, match="trials=, or cbind"):
        glmm("y ~ x", table, family="binomial")
