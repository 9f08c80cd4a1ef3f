"""Fixed parts and left-hand sides: typed by hand, and against formulaic."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix

from glmmcore.errors import DataWarning, ModelError
from glmmcore.formula import build_design
from glmmcore.formula.bars import parse_formula
from glmmcore.formula.columns import Columns
from glmmcore.formula.fast import plain_matrix


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    n = 60
    frame = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "z": rng.uniform(1, 3, size=n),
            "i": rng.integers(0, 4, size=n),
            "b": rng.random(n) < 0.5,
            "f": rng.choice(["low", "high", "mid"], size=n),
            "h": rng.choice(["u", "v"], size=n),
            "c": pd.Categorical(rng.choice(["lo", "mid", "hi"], size=n), categories=["lo", "mid", "hi", "never"]),
            "g": rng.choice(list("pqrst"), size=n),
            "my x": rng.normal(size=n),
            "größe": rng.normal(size=n),
        }
    )
    frame["c"] = frame["c"].cat.remove_unused_categories().cat.add_categories(["never"])
    return frame


def formulaic_matrix(formula: str, data: pd.DataFrame) -> pd.DataFrame:
    used = data.assign(b=pd.Categorical(data["b"]))  # formulaic takes booleans for numbers, R for factors
    used["c"] = used["c"].cat.remove_unused_categories()
    return model_matrix(formula, used, output="pandas")


FAST = [
    "1",
    "x",
    "0 + x",
    "x - 1",
    "-1 + x + f",
    "x + 0 + f + c",
    "f",
    "c",
    "0 + c",
    "b",
    "0 + b",
    "b*x",
    "i + x + z",
    "x:z + f + x",
    "f*h",
    "h*f",
    "h + f + f:h",
    "f*c*h",
    "f*x",
    "x*f",
    "0 + f + f:h + h",
    "x*z*f",
    "f:h + f + h + x",
    "x + f + x",
    "C(i)",
    "C(i)*x",
    "C(b) + C(f)",
    "0 + C(i) + f",
    "I(x**2) + x",
    "log(z) + log(z):f + f",
    "I( x+z ):f + f + I(x + z)",
    "np.maximum(x, 0) + z",
    "`my x` + I(`my x`**2)",
    "größe + I(größe**2)",
    "np.sqrt(z)",
    "(f + h + x)**2",
    "(f + h)^2 - f:h",
    "x + z - z",
    "np.where(x > 0, z, 0)",
]
SLOW = [
    "b:x",
    "b*bs(x, df=3)",
    "0 + b + scale(x)",
    "b:f + poly(x, 2)",
    "x:f",
    "f:h",
    "f + f:h",
    "x:f - 1",
    "scale(x) + center(z)",
    "poly(x, 3) + f",
    "bs(x, df=5)*h",
    "C(f, contr.sum)*h",
    "C(f, contr.treatment(base='mid'))",
    "C(i, contr.helmert) + x",
    "C(f, Treatment('mid')) + C(h, Sum)",
    "0 + cr(x, df=3)",
    "f/h",
    "I(f)",
    "(x + z):h",
    "np.clip(x, -1, 1):h",
]


@pytest.mark.parametrize("formula", FAST + SLOW)
def test_same_matrix_and_names_as_formulaic(formula, data):
    """Values agree to the last bit."""
    expected = formulaic_matrix(formula, data)
    found = build_design(f"y ~ {formula}", data).predictors["cond"]
    assert list(found.columns) == list(expected.columns)
    np.testing.assert_array_equal(found.X, expected.to_numpy(dtype=float))
    assert found.X.flags.c_contiguous and found.X.dtype == np.float64


@pytest.mark.parametrize("formula", FAST)
def test_plain_formulas_take_the_fast_path(formula, data):
    parsed = parse_formula(f"y ~ {formula}")
    columns = Columns(data)
    columns.read(c for c in data.columns)
    assert plain_matrix(parsed.fixed, columns) is not None


@pytest.mark.parametrize("formula", SLOW)
def test_other_formulas_do_not(formula, data):
    columns = Columns(data)
    columns.read(c for c in data.columns)
    assert plain_matrix(parse_formula(f"y ~ {formula}").fixed, columns) is None


def test_every_sum_of_some_terms_agrees_with_formulaic(data):
    """All subsets of main effects and interactions, with and without intercept, whatever path they take."""
    terms = ["x", "f", "h", "x:f", "f:h"]
    for size, first in itertools.product(range(1, 6), ("1", "0")):
        for chosen in itertools.combinations(terms, size):
            formula = " + ".join([first, *chosen])
            expected = formulaic_matrix(formula, data)
            found = build_design(f"y ~ {formula}", data).predictors["cond"]
            assert list(found.columns) == list(expected.columns), formula
            np.testing.assert_array_equal(found.X, expected.to_numpy(dtype=float))


def test_by_hand():
    data = {
        "y": [1, 2, 3, 4],
        "x": [1.5, 2.5, 3.5, 4.5],
        "f": ["b", "a", "c", "a"],
        "h": ["q", "p", "q", "p"],
    }
    design = build_design("y ~ f + x", data).predictors["cond"]
    assert design.columns == ("Intercept", "f[T.b]", "f[T.c]", "x")
    np.testing.assert_array_equal(design.X, [[1, 1, 0, 1.5], [1, 0, 0, 2.5], [1, 0, 1, 3.5], [1, 0, 0, 4.5]])
    design = build_design("y ~ x*h", data).predictors["cond"]
    assert design.columns == ("Intercept", "x", "h[T.q]", "x:h[T.q]")
    np.testing.assert_array_equal(design.X, [[1, 1.5, 1, 1.5], [1, 2.5, 0, 0], [1, 3.5, 1, 3.5], [1, 4.5, 0, 0]])


def test_r_spellings_mean_the_same(data):
    ours = build_design("y ~ factor(i) + I(x^2) + log(z)", data).predictors["cond"]
    theirs = formulaic_matrix("C(i) + I(x**2) + np.log(z)", data)
    np.testing.assert_array_equal(ours.X, theirs.to_numpy(dtype=float))
    assert ours.columns == ("Intercept", "C(i)[T.1]", "C(i)[T.2]", "C(i)[T.3]", "I(x ** 2)", "log(z)")


def test_names_with_dots(data):
    dotted = data.rename(columns={"x": "my.x", "f": "my.f"})
    found = build_design("y ~ log(my.x**2) + my.f + poly(my.x, 3)", dotted).predictors["cond"]
    expected = formulaic_matrix("log(x**2) + f + poly(x, 3)", data)
    np.testing.assert_array_equal(found.X, expected.to_numpy(dtype=float))


@pytest.mark.parametrize("rest", ["i", "scale(i)"])
def test_conditions_are_factors(rest, data):
    """As in R, on both paths; inside of arithmetic booleans count as 0 and 1."""
    cut = data.assign(k=np.where(data["x"] > 0, "yes", "no"))
    for formula in ("0 + I(x > 0)", "I(x > 0):z", "h*I(x > 0)"):
        found = build_design(f"y ~ {formula} + {rest}", data).predictors["cond"]
        expected = build_design(f"y ~ {formula.replace('I(x > 0)', 'k')} + {rest}", cut).predictors["cond"]
        names = [name.replace("I(x > 0)", "k").replace("True", "yes").replace("False", "no") for name in found.columns]
        assert names == list(expected.columns)
        np.testing.assert_array_equal(found.X, expected.X)
    counted = build_design(f"y ~ I(b + (x > 0) + b) + {rest}", data).predictors["cond"].X[:, 1]
    np.testing.assert_array_equal(counted, 2.0 * data["b"] + (data["x"] > 0))


@pytest.mark.parametrize("rest", ["z", "scale(z)"])
@pytest.mark.parametrize("formula", ["b + (1|g)", "b:x + (1|g)", "0 + b + (1|g)", "x + (0 + b|g)", "x + (b||g)"])
def test_booleans_are_factors_everywhere(formula, rest, data):
    """False is the reference; new data may hold one of the two values only, or 0 and 1."""
    words = data.assign(b=np.where(data["b"], "yes", "no"))
    design = build_design(f"y ~ {rest} + {formula}", data)
    expected = build_design(f"y ~ {rest} + {formula}", words)
    for kind in ("bool", "int", "boolean", "object"):
        rows = data.assign(b=data["b"].astype(kind))[data["b"] if kind == "bool" else slice(None)]
        found = design.encode(rows)[0]["cond"]
        wanted = expected.encode(words.loc[rows.index])[0]["cond"]
        np.testing.assert_array_equal(found.X, wanted.X)
        for a, b in zip(found.terms, wanted.terms, strict=True):
            np.testing.assert_array_equal(a.Z, b.Z)
            assert a.structure == b.structure
    with pytest.raises(ModelError, match="column 'b' of the new data is 2 in row 0, the fit had booleans"):
        design.encode(data.assign(b=2))


def test_a_boolean_that_never_changes_is_aliased_as_in_r(data):
    with pytest.warns(DataWarning, match=r"dropped: b\[T.True\]"):
        assert build_design("y ~ b + x", data[data["b"]]).predictors["cond"].columns == ("Intercept", "x")


@pytest.mark.parametrize(
    ("formula", "intercept", "terms"),
    [  # attr(terms(formula), "intercept") and "term.labels" of R 4.2
        ("(f + 0)/x", 0, "f x:f"),
        ("x:(f + 0)", 0, "x:f"),
        ("(0 + x)*z", 0, "x z x:z"),
        ("x - (z + 0)", 1, "x"),
        ("x - (z - 1)", 1, "x"),
        ("x - (z + 1)", 0, "x"),
        ("0 + (x + 1)", 1, "x"),
        ("(x + 0) + 1", 1, "x"),
        ("((x + 0)/z)", 0, "x x:z"),
        ("(x + z - 1)^2", 0, "x z x:z"),
        ("(0 + x + z + i)^2 - x:z", 0, "x z i x:i z:i"),
        ("x + (-1)", 0, "x"),
        ("(x - 0)/z", 1, "x x:z"),
        ("(x + 1):z", 1, "x:z"),
        ("x:(1 + z)", 1, "x:z"),
        ("x:(0 - z + i)", 0, "x:i"),
        ("x - (-(z + 0))", 0, "x"),
        ("x + (-(0 + z))", 1, "x"),
        ("x + (0 - z + i)*h", 0, "x i h i:h"),
        ("(x + (z + (i - 1)))*h", 0, "x z i h x:h z:h i:h"),
        ("((x - 1) + (z + 1)):i", 1, "x:i z:i"),
        ("x + ((0))", 0, "x"),
    ],
)
def test_the_intercept_inside_of_brackets(formula, intercept, terms, data):
    fixed = build_design(f"y ~ {formula}", data).predictors["cond"]
    found = {frozenset(term) for term in fixed.column_terms}
    assert (() in fixed.column_terms) == bool(intercept)
    assert found - {frozenset()} == {frozenset(term.split(":")) for term in terms.split()}
    left = build_design(f"y ~ 1 + ({formula} | g)", data).predictors["cond"].terms[0]
    assert ("Intercept" in left.columns) == bool(intercept)


def test_brackets_without_a_term_are_refused(data):
    with pytest.raises(ModelError, match=r"no term in these brackets\n  y ~ x:\(0\)\n        \^"):
        build_design("y ~ x:(0)", data)


def test_terms_are_those_of_the_formula_not_of_labels(data):
    names = data.rename(columns={"x": "length [mm]", "z": "length [log]", "i": "a:b", "h": "p[T.q]"})
    for rest in ("", " + bs(my, df=3)"):
        names["my"] = data["my x"]
        fixed = build_design(f"y ~ `length [mm]` + `length [log]` + `a:b` + f:`p[T.q]` + f{rest}", names)
        terms = list(dict.fromkeys(fixed.predictors["cond"].column_terms))
        more = [("bs(my, df=3)",)] if rest else []
        expected = [(), ("length [mm]",), ("length [log]",), ("a:b",), ("f",), *more, ("f", "p[T.q]")]
        assert terms == expected


def test_levels_follow_r(data):
    """Text and numbers sorted, categories in their own order; levels that do not occur have no column."""
    assert build_design("y ~ 0 + f", data).predictors["cond"].columns == ("f[high]", "f[low]", "f[mid]")
    assert build_design("y ~ 0 + c", data).predictors["cond"].columns == ("c[lo]", "c[mid]", "c[hi]")
    assert build_design("y ~ 0 + factor(i)", data).predictors["cond"].columns == tuple(f"C(i)[{k}]" for k in range(4))
    some = data[data["f"] != "low"]
    assert build_design("y ~ f", some).predictors["cond"].columns == ("Intercept", "f[T.mid]")
    some = data[data["c"] != "mid"]
    assert build_design("y ~ c + poly(x, 2)", some).predictors["cond"].columns[1] == "c[T.hi]"


@pytest.mark.parametrize("kind", ["object", "string", "category", "Int64", "Float64", "boolean"])
def test_column_types_of_pandas(kind, data):
    base = data.copy()
    source = {"Int64": "i", "Float64": "x", "boolean": "b"}.get(kind, "f")
    other = base.copy()
    other[source] = other[source].astype(kind)
    other.loc[3, source] = pd.NA if kind in ("Int64", "Float64", "boolean", "string") else None
    for formula in (f"y ~ {source} + z", f"y ~ {source} + scale(z)"):
        expected = build_design(formula, base.drop(index=3))
        found = build_design(formula, other)
        assert found.n_missing == 1
        assert found.predictors["cond"].columns == expected.predictors["cond"].columns
        np.testing.assert_array_equal(found.predictors["cond"].X, expected.predictors["cond"].X)


def test_objects_that_hold_numbers_are_numbers(data):
    other = data.assign(x=data["x"].astype(object), b=data["b"].astype(object))
    found = build_design("y ~ x + b", other).predictors["cond"]
    np.testing.assert_array_equal(found.X, build_design("y ~ x + b", data).predictors["cond"].X)


def test_integer_columns_do_not_overflow():
    data = {"y": [1.0, 2, 3], "k": np.array([10**7, 2, 3])}
    for formula in ("y ~ 0 + I(k**3)", "y ~ 0 + {k**3} + center(k)"):
        assert build_design(formula, data).predictors["cond"].X[0, 0] == 1e21


def test_dropped_columns_are_named_and_kept_out_of_new_data(data):
    doubled = data.assign(w=2 * data["x"] + 1, q=data["z"])
    with pytest.warns(DataWarning, match="linear combinations of earlier columns, dropped: q, w"):
        design = build_design("y ~ z + q + x + w + (1|g)", doubled)
    cond = design.predictors["cond"]
    assert cond.columns == ("Intercept", "z", "x") and cond.aliased == ("q", "w")
    np.testing.assert_array_equal(cond.X, np.column_stack([np.ones(60), data["z"], data["x"]]))
    again, _ = design.encode(doubled)
    np.testing.assert_array_equal(again["cond"].X, cond.X)
    assert again["cond"].columns == cond.columns and again["cond"].aliased == cond.aliased


def test_empty_cells_of_an_interaction_are_aliased(data):
    some = data[~((data["f"] == "mid") & (data["h"] == "v"))]
    with pytest.warns(DataWarning, match=r"dropped: f\[T.mid\]:h\[T.v\]"):
        design = build_design("y ~ f*h", some)
    assert np.linalg.matrix_rank(design.predictors["cond"].X) == design.predictors["cond"].X.shape[1] == 5


def test_aliased_columns_of_other_predictors_name_them(data):
    with pytest.warns(DataWarning, match="fixed effects of zi: .* dropped: q"):
        build_design("y ~ x", data.assign(q=data["x"]), zi="~ x + q")


def test_parts_of_all_predictors(data):
    design = build_design(
        "y ~ x + offset(z) + (1|g)", data, zi="~ f + (x|g) + offset(log(z))", disp="~ scale(x) + offset(2*z)"
    )
    assert list(design.predictors) == ["cond", "zi", "disp"]
    assert design.formulas["zi"] == "~ f + (x|g) + offset(log(z))"
    np.testing.assert_array_equal(design.predictors["cond"].offset, data["z"])
    np.testing.assert_array_equal(design.predictors["zi"].offset, np.log(data["z"]))
    np.testing.assert_array_equal(design.predictors["disp"].offset, 2 * data["z"])
    assert design.predictors["zi"].columns == ("Intercept", "f[T.low]", "f[T.mid]")
    assert design.predictors["zi"].terms[0].columns == ("Intercept", "x")
    assert design.predictors["disp"].terms == ()


def test_offsets_add_up(data):
    design = build_design("y ~ x + offset(z) + offset(log(z)) + offset(scale(x))", data, offset="i")
    scaled = (data["x"] - data["x"].mean()) / data["x"].std(ddof=1)
    expected = data["z"] + np.log(data["z"]) + scaled + data["i"]
    np.testing.assert_allclose(design.predictors["cond"].offset, expected, rtol=1e-14, atol=1e-14)
    by_array = build_design("y ~ x", data, offset=np.arange(60))
    np.testing.assert_array_equal(by_array.predictors["cond"].offset, np.arange(60))
    np.testing.assert_array_equal(build_design("y ~ x", data).predictors["cond"].offset, np.zeros(60))


def test_no_intercept_and_no_columns(data):
    assert build_design("y ~ 0 + (1|g)", data).predictors["cond"].X.shape == (60, 0)


def test_functions_are_looked_up_in_a_small_environment_only(data):
    local_function = np.log  # noqa: F841 - must not be found
    with pytest.raises(ModelError, match=r"function 'local_function' in 'local_function\(z\)' is not known"):
        build_design("y ~ local_function(z)", data)
    with pytest.raises(ModelError, match="function '__import__'"):
        build_design("y ~ I(__import__('os'))", data)
