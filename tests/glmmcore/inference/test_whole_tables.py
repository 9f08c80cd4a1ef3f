"""Tables after a fit print whole, and compare with the level that the formula compares with."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from glmmcore import ModelError, avg_comparisons, drop_terms, glmm, marginal_means, power, wald_tests


@pytest.fixture(scope="module")
def trial():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"arm": np.tile(["drug", "placebo", "sham"], 60), "sex": np.repeat(["f", "m"], 90)})
    data["y"] = rng.poisson(np.exp(1.0 + 0.4 * (data["arm"] == "drug") + 0.2 * (data["sex"] == "m")))
    return data


@pytest.fixture(scope="module")
def fit(trial):
    return glmm("y ~ arm + sex", trial, family="poisson")


TABLES = {
    "means": lambda fit: marginal_means(fit, ["arm", "sex"]),
    "contrasts": lambda fit: marginal_means(fit, "arm", contrasts="pairwise"),
    "within": lambda fit: marginal_means(fit, "arm", by="sex", contrasts="pairwise"),
    "population": lambda fit: avg_comparisons(fit, "arm"),
    "ratios": lambda fit: fit.exp_table(),
    "tests": wald_tests,
    "dropped": drop_terms,
    "power": lambda fit: power(fit, {"arm[T.placebo]": 0.3}, n_sims=20),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_prints_all_its_columns(fit, name):
    table = TABLES[name](fit)
    with pd.option_context("display.width", 40, "display.max_columns", 3):
        text = repr(table)
    assert all(str(column) in text for column in table)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(table)), table)


def test_rows_of_a_table_with_two_keys_are_found_by_both(fit):
    table = marginal_means(fit, ["arm", "sex"])
    assert table.loc[("drug", "m"), "estimate"] == table["estimate"].loc[("drug", "m")]


def test_comparisons_are_with_the_level_of_the_formula(trial, fit):
    coded = glmm("y ~ C(arm, Treatment('placebo')) + sex", trial, family="poisson")
    found = marginal_means(coded, "arm", contrasts="dunnett")
    assert list(found.index) == ["drug - placebo", "sham - placebo"]
    # treatment coding makes these differences the coefficients themselves
    np.testing.assert_allclose(found["estimate"], coded.params.iloc[1:3], rtol=1e-12)
    np.testing.assert_allclose(found["se"], coded.bse.iloc[1:3], rtol=1e-10)
    assert list(avg_comparisons(coded, "arm").index) == list(found.index)
    # without such coding it is the first, or the one that is asked for
    assert list(marginal_means(fit, "arm", contrasts="dunnett").index) == ["placebo - drug", "sham - drug"]
    asked = marginal_means(fit, "arm", contrasts="dunnett", reference="placebo")
    assert list(asked.index) == list(found.index)
    np.testing.assert_allclose(asked.to_numpy(float), found.to_numpy(float), rtol=1e-5)
    assert list(avg_comparisons(coded, "arm", values=["sham", "drug"]).index) == ["drug - sham"]
    with pytest.raises(ModelError, match="'gel' is no level of 'arm'; its levels are 'drug', 'placebo', 'sham'"):
        marginal_means(fit, "arm", contrasts="dunnett", reference="gel")


def test_references_of_products_go_by_column(fit):
    kinds = {"arm": "dunnett", "sex": "dunnett"}
    found = marginal_means(fit, ["arm", "sex"], contrasts=kinds, reference={"arm": "sham"})
    assert list(found.index) == ["drug - sham : m - f", "placebo - sham : m - f"]


def test_an_interaction_that_the_model_leaves_out_has_no_test(fit):
    """Rounding of 1e-16 over an error of 0 was p = 0."""
    found = marginal_means(fit, ["arm", "sex"], contrasts={"arm": "pairwise", "sex": "pairwise"})
    assert (found[["estimate", "se", "lower", "upper"]].to_numpy() == 0.0).all()
    assert found[["statistic", "pvalue"]].isna().to_numpy().all()


def test_combinations_written_as_in_r_are_explained(fit):
    with pytest.raises(ModelError, match=r"for their combinations write \['arm', 'sex'\]"):
        marginal_means(fit, "arm:sex")
