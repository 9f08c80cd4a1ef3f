"""Fields of many places, which know their neighbours only: beside dense covariances, from formula to predictions."""

import numpy as np
import pandas as pd
import pytest

from glmmcore import ModelError, glmm
from glmmcore.formula import build_design

N_PLACES = 90


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(11)
    at = rng.uniform(0.0, 10.0, (N_PLACES, 2))
    distance = np.hypot(*(np.subtract.outer(c, c) for c in at.T))
    field = np.linalg.cholesky(np.exp(-distance / 2.0) + 1e-10 * np.eye(N_PLACES)) @ rng.normal(size=N_PLACES)
    place = np.concatenate([np.arange(N_PLACES), rng.integers(0, N_PLACES, 150)])
    d = pd.DataFrame({"x": at[place, 0], "y": at[place, 1], "z": rng.normal(size=len(place))})
    d["n"] = rng.poisson(np.exp(0.7 + 0.3 * d["z"] + 0.8 * field[place]))
    d["h"] = rng.integers(0, 6, len(d))
    return d


@pytest.fixture(scope="module")
def fits(counts):
    """With all neighbours but the last, a trifle less than all, and with the dense covariance."""
    return [
        glmm(f"n ~ z + exp(x, y | 1{option}) + (1 | h)", counts, "poisson")
        for option in (f", neighbours = {N_PLACES - 2}", "")
    ]


def test_almost_all_neighbours_are_the_dense_covariance(fits):
    sparse, dense = fits
    # one neighbour of the last place is left out, and there is a nugget of 1e-8
    assert sparse.llf == pytest.approx(dense.llf, abs=1e-4)
    np.testing.assert_allclose(sparse.params, dense.params, atol=1e-4)
    np.testing.assert_allclose(sparse.bse, dense.bse, rtol=1e-4)
    columns = ["sd", "range", "se_sd", "se_range"]
    # standard errors of the range take third derivatives by differences
    np.testing.assert_allclose(sparse.var_corr[columns].loc[0], dense.var_corr[columns].loc[0], rtol=2e-3)
    np.testing.assert_allclose(sparse.predict(kind="link"), dense.predict(kind="link"), atol=1e-3)


def test_kriging_is_that_of_the_dense_covariance(fits):
    new = pd.DataFrame({"x": [1.0, 5.0, 9.9, 40.0], "y": [1.0, 5.5, 0.1, 40.0], "z": 0.0, "h": 1})
    sparse, dense = (fit.predict(new, kind="link", se=True) for fit in fits)
    np.testing.assert_allclose(sparse, dense, rtol=2e-3, atol=1e-3)


def test_predictions_do_not_depend_on_who_else_is_asked_about(counts):
    fit = glmm("n ~ z + exp(x, y | 1, neighbours = 8)", counts, "poisson")
    new = pd.DataFrame({"x": np.linspace(0, 10, 30), "y": np.linspace(10, 2, 30), "z": 0.0})
    together = fit.predict(new, kind="link", se=True)
    alone = pd.concat([fit.predict(new.iloc[[i]], kind="link", se=True) for i in (0, 13, 29)])
    np.testing.assert_allclose(together.loc[[0, 13, 29]], alone, rtol=1e-5, atol=1e-7)


def test_draws_at_new_places_are_one_field(counts):
    """Two new places side by side, far from all of the data, get the same effect."""
    fit = glmm("n ~ z + exp(x, y | 1, neighbours = 8)", counts, "poisson")
    new = pd.DataFrame({"x": [60.0, 60.0001], "y": [60.0, 60.0], "z": 12.0})
    means = fit.simulate(40, newdata=new, random_effects=["1"], rng=1) / np.exp(fit.params["z"] * 12.0)
    assert np.corrcoef(np.log(means + 0.01).T)[0, 1] > 0.9


def test_a_fit_says_that_it_is_an_approximation(fits):
    sparse, dense = (str(fit.summary()) for fit in fits)
    assert f"an approximation: each is given its {N_PLACES - 2} nearest neighbours" in sparse
    assert "approximation" not in dense


def test_first_search_with_fewer_neighbours_ends_in_the_same_maximum():
    """From 1000 places on; a start that is given is searched from alone, without it."""
    rng = np.random.default_rng(8)
    d = pd.DataFrame(rng.uniform(size=(1000, 2)), columns=["x", "y"])
    d["e"] = np.sin(5.0 * d["x"]) * np.cos(4.0 * d["y"]) + rng.normal(size=1000)
    formula = "e ~ 1 + exp(x, y | 1, neighbours = 24)"
    fit, given = glmm(formula, d), glmm(formula, d, start={"range(1)": 1.0, "sd(1)": 1.0})
    assert given.llf == pytest.approx(fit.llf, abs=1e-6)
    np.testing.assert_allclose(fit.bse, given.bse, rtol=1e-4)


def test_refits_and_simulations_keep_the_neighbours(fits):
    again = fits[0].refit(fits[0].simulate(1, rng=5)[0])
    assert again.solution.terms[0].term.places.neighbours == N_PLACES - 2
    assert np.isfinite(again.llf) and again.llf != fits[0].llf


@pytest.mark.parametrize(
    ("structure", "n", "groups", "option", "neighbours"),
    [
        ("mat", 3000, 1, "", None),
        ("mat", 3001, 1, "", 50),
        ("exp", 3001, 1, "", 30),
        ("mat", 6000, 2, "", None),
        ("mat", 3001, 1, ", neighbours = 3000", None),
        ("mat", 3001, 1, ", neighbours = 40", 40),
        ("exp", 40, 1, ", neighbours = 5", 5),
        ("mat", 40, 1, ", neighbours = 39", None),
    ],
)
def test_who_is_approximated_depends_on_structure_and_number_of_places(structure, n, groups, option, neighbours):
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"e": rng.normal(size=n), "x": rng.normal(size=n), "y": rng.normal(size=n)})
    d["g"] = np.arange(n) % groups
    design = build_design(f"e ~ {structure}(x, y | g{option})", d)
    assert design.predictors["cond"].terms[0].places.neighbours == neighbours


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("n ~ mat(x, y | 1, neighbours = 0)", "neighbours = 30"),
        ("n ~ mat(x, y | 1, neighbors = 3)", "neighbours = 30"),
        ("n ~ mat(x, y | 1,)", "neighbours = 30"),
        ("n ~ ou(x | 1, neighbours = 3)", "has no options"),
        ("n ~ cs(0 + z | h, neighbours = 3)", "has no options"),
        ("n ~ gau(x, y | 1, neighbours = 3)", "no sparse approximation that is close"),
    ],
)
def test_sentences(counts, formula, words):
    with pytest.raises(ModelError, match=words):
        glmm(formula, counts, "poisson")
