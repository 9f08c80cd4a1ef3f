"""New data in the terms of a fitted design."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from glmmcore.errors import ModelError
from glmmcore.formula import build_design


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 50
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "z": rng.uniform(1, 2, size=n),
            "i": rng.integers(0, 3, size=n),
            "f": rng.choice(["a", "b", "c"], size=n),
            "h": pd.Categorical(rng.choice(["lo", "hi"], size=n), categories=["lo", "hi"]),
            "g": rng.choice(["p", "q", "r"], size=n),
            "k": rng.choice([1, 2, 5], size=n),
        }
    )


FORMULAS = [
    "y ~ x*f + (x|g)",
    "y ~ f:h + x + (f|g/k)",
    "y ~ poly(x, 2) + C(i) + log(z) + (0 + x || g)",
    "y ~ bs(x, df=5) + C(f, contr.sum) + (scale(x) | g:k)",
    "y ~ scale(x) + h + offset(log(z)) + offset(center(x)) + (1|k)",
    "y ~ 0 + f + C(i)*x + cs(0 + f | k)",
    "scale(y) ~ 1 + (f || g)",
    "cbind(i, 2 - i) ~ x",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_some_rows_of_the_fit_come_back(formula, data):
    """Centres, knots, level sets and contrasts are those of the fit, whatever rows are asked for."""
    design = build_design(formula, data, zi="~ scale(z) + (x|g) + offset(x)", offset="z")
    encode = pickle.loads(pickle.dumps(design.encode))
    rows = np.array([3, 7, 4, 4, 40])
    new = data.iloc[rows].drop(columns="y") if not formula.startswith("cbind") else data.iloc[rows]
    predictors, keep = encode(new)
    assert keep.all() and len(keep) == 5
    for name, fitted in design.predictors.items():
        found = predictors[name]
        assert found.columns == fitted.columns and found.aliased == fitted.aliased
        np.testing.assert_allclose(found.X, fitted.X[rows], rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(found.offset, fitted.offset[rows], rtol=1e-13, atol=1e-14)
        for a, b in zip(found.terms, fitted.terms, strict=True):
            assert (a.group, a.columns, a.structure) == (b.group, b.columns, b.structure)
            assert a.levels.equals(b.levels) and a.codes.dtype == np.int32
            np.testing.assert_array_equal(a.codes, b.codes[rows])
            np.testing.assert_allclose(a.Z, b.Z[rows], rtol=1e-13, atol=1e-14)


def test_the_fits_own_pickle_survives(data):
    design = build_design("y ~ poly(x, 2) + f + (x|g/k)", data)
    again = pickle.loads(pickle.dumps(design))
    np.testing.assert_array_equal(again.predictors["cond"].X, design.predictors["cond"].X)


def test_unseen_groups_have_code_minus_one(data):
    design = build_design("y ~ x + (1|g) + (1|g:k) + (1|k)", data)
    seen = set(zip(data["g"], data["k"], strict=True))
    new = pd.DataFrame({"x": 0.0, "g": ["p", "new", "q", "p"], "k": [1, 2, 99, 5]})
    predictors, _ = design.encode(new)
    g, both, k = predictors["cond"].terms
    assert g.codes.tolist() == [0, -1, 1, 0]
    assert k.codes.tolist() == [0, 1, -1, 2]
    expected = [both.levels.get_loc(f"{a}:{b}") if (a, b) in seen else -1 for a, b in zip(new.g, new.k, strict=True)]
    assert both.codes.tolist() == expected


def test_unseen_combinations_of_seen_levels():
    data = pd.DataFrame({"y": [1.0, 2, 3], "a": ["p", "p", "q"], "b": ["u", "v", "v"]})
    design = build_design("y ~ 1 + (1|a:b)", data)
    predictors, _ = design.encode({"a": ["q", "p", "q"], "b": ["u", "v", "v"]})
    assert predictors["cond"].terms[0].codes.tolist() == [-1, 1, 2]


def test_missing_rows_are_kept_out(data):
    design = build_design("y ~ x + f + offset(z) + (1|g)", data)
    new = data.iloc[:6].copy()
    new.loc[0, "x"] = np.nan
    new.loc[2, "g"] = None
    new.loc[3, "z"] = np.nan
    new.loc[4, "y"] = np.nan  # the response does not matter
    predictors, keep = design.encode(new)
    assert keep.tolist() == [False, True, False, False, True, True]
    np.testing.assert_array_equal(predictors["cond"].X, design.predictors["cond"].X[[1, 4, 5]])
    predictors, keep = design.encode(new, groups=False)
    assert keep.tolist() == [False, True, True, False, True, True]
    assert predictors["cond"].terms == ()


@pytest.mark.parametrize("formula", ["y ~ x + f + (1|g)", "y ~ scale(x) + C(f, contr.sum) + (x|g)"])
def test_no_complete_row(formula, data):
    design = build_design(formula, data)
    for new in (data.iloc[:0], data.iloc[:3].assign(f=None), data.iloc[:3].assign(x=np.nan)):
        predictors, keep = design.encode(new)
        assert not keep.any() and len(keep) == len(new)
        assert predictors["cond"].X.shape == (0, len(predictors["cond"].columns))
        assert predictors["cond"].terms[0].codes.shape == (0,)


def test_groups_are_not_needed_without_random_terms(data):
    design = build_design("y ~ x + (z|g)", data)
    predictors, _ = design.encode({"x": [1.0, 2.0]}, groups=False)
    np.testing.assert_array_equal(predictors["cond"].X, [[1, 1], [1, 2]])


def test_types_that_mean_the_same(data):
    """Integers for floats, text for categories, other category sets, floats for integer groups."""
    design = build_design("y ~ x + h + factor(i) + (1|k) + (1|g)", data)
    new = pd.DataFrame(
        {
            "x": [1, 2],
            "h": ["hi", "lo"],
            "i": [2.0, 0.0],
            "k": [5.0, 2.0],
            "g": pd.Categorical(["q", "p"], categories=["q", "p", "other"]),
        }
    )
    predictors, _ = design.encode(new)
    np.testing.assert_array_equal(predictors["cond"].X, [[1, 1, 1, 0, 1], [1, 2, 0, 0, 0]])
    assert [t.codes.tolist() for t in predictors["cond"].terms] == [[2, 1], [1, 0]]


@pytest.mark.parametrize(
    ("formula", "change", "message"),
    [
        (
            "y ~ f",
            {"f": "new"},
            "column 'f' has the level 'new' that the fit has not seen, it knows 'a', 'b', 'c'",
        ),
        ("y ~ x:f", {"f": "new"}, "column 'f' has the level 'new' that the fit has not seen"),
        ("y ~ C(f, contr.sum)", {"f": "new"}, "column 'f' has the level 'new' that the fit has not seen"),
        ("y ~ factor(i)", {"i": 7}, "column 'i' has the level 7 that the fit has not seen, it knows 0, 1, 2"),
        ("y ~ C(i, contr.helmert)", {"i": 7}, "column 'i' has the level 7 that the fit has not seen"),
        ("y ~ 1 + (f|g)", {"f": "new"}, "column 'f' has the level 'new' that the fit has not seen"),
        ("y ~ x", {"x": "text"}, "column 'x' of the new data holds text or categories, the fit had numbers"),
        (
            "y ~ scale(x)",
            {"x": "text"},
            "column 'x' of the new data holds text or categories, the fit had numbers",
        ),
        ("y ~ f", {"f": 1.0}, "column 'f' of the new data holds numbers, the fit had text or categories"),
        ("y ~ 1 + (1|g)", {"g": 3}, "column 'g' of the new data holds numbers, the fit had text"),
        ("y ~ 1 + (1|k)", {"k": "3"}, "column 'k' of the new data holds text, the fit had numbers"),
        ("y ~ x", {"x": np.inf}, "column 'x' is inf in row 0"),
        ("y ~ log(z)", {"z": -1.0}, r"'log\(z\)' is nan in row 0"),
        ("y ~ scale(log(z))", {"z": 0.0}, r"'scale\(log\(z\)\)' is -inf in row 0"),
    ],
)
def test_new_data_that_do_not_fit(formula, change, message, data):
    design = build_design(formula, data)
    with pytest.raises(ModelError, match=message):
        design.encode(data.iloc[:3].assign(**change))


@pytest.mark.parametrize(
    ("formula", "column"),
    [("y ~ x", "x"), ("y ~ offset(z)", "z"), ("y ~ 1 + (x|g)", "x"), ("y ~ 1 + (1|g)", "g")],
)
def test_absent_columns_are_named(formula, column, data):
    with pytest.raises(ModelError, match=f"column '{column}' is not in the new data"):
        build_design(formula, data).encode(data.drop(columns=column))


def test_an_offset_column_given_as_argument_is_needed_too(data):
    design = build_design("y ~ x", data, offset="z")
    predictors, _ = design.encode(data.iloc[:4])
    np.testing.assert_array_equal(predictors["cond"].offset, data["z"].iloc[:4])
    with pytest.raises(ModelError, match="column 'z' is not in the new data"):
        design.encode(data[["x"]])


def test_an_offset_array_does_not_extend_to_new_data(data):
    design = build_design("y ~ x", data, offset=np.ones(50))
    with pytest.raises(ModelError, match="fitted with an array as offset=, fit with a column"):
        design.encode(data)


def test_new_data_must_be_a_table(data):
    with pytest.raises(ModelError, match="the new data must be a pandas DataFrame"):
        build_design("y ~ x", data).encode([1, 2, 3])
