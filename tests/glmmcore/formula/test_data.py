"""Missing rows, arguments, kinds of tables, and data that cannot be used."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmmcore.errors import ModelError
from glmmcore.formula import build_design


@pytest.fixture
def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 30
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "z": rng.uniform(1, 2, size=n),
            "w": rng.uniform(1, 2, size=n),
            "m": rng.integers(3, 6, size=n),
            "f": np.resize(["a", "b", "c"], n),
            "g": np.repeat(list("pqrst"), 6),
            "unused": np.nan,
        },
        index=[f"row{i}" for i in range(n)],
    )


COMPLETE = "y ~ x + f + offset(z) + (x | g)"


@pytest.mark.parametrize("column", ["y", "x", "z", "w", "m", "f", "g"])
def test_rows_missing_anywhere_are_left_out_everywhere(column, data):
    holes = data.copy()
    holes[column] = holes[column].astype("float64" if column in "yxzwm" else object)
    holes.iloc[[2, 17], holes.columns.get_loc(column)] = None
    kept = data.drop(index=["row2", "row17"])
    arguments = {"freq_weights": "w", "zi": "~ f", "disp": "~ scale(x)"}
    found = build_design(COMPLETE + " + offset(m)", holes, **arguments)
    expected = build_design(COMPLETE + " + offset(m)", kept, **arguments)
    assert found.n_missing == 2 and found.nobs == 28
    assert found.frame.index.tolist() == kept.index.tolist()
    assert found.frame.columns.tolist() == ["y", "x", "z", "w", "m", "f", "g"]
    np.testing.assert_array_equal(found.response.y, expected.response.y)
    np.testing.assert_array_equal(found.freq_weights, expected.freq_weights)
    for name, predictor in expected.predictors.items():
        np.testing.assert_array_equal(found.predictors[name].X, predictor.X)
        np.testing.assert_array_equal(found.predictors[name].offset, predictor.offset)
        for a, b in zip(found.predictors[name].terms, predictor.terms, strict=True):
            np.testing.assert_array_equal(a.codes, b.codes)
            np.testing.assert_array_equal(a.Z, b.Z)


@pytest.mark.parametrize("argument", ["trials", "offset", "freq_weights", "var_weights"])
def test_missing_values_in_array_arguments(argument, data):
    values = np.full(30, 9.0)
    values[4] = np.nan
    data["y"] = np.abs(data["y"])
    found = build_design("y ~ x", data, **{argument: values})
    assert found.n_missing == 1 and "row4" not in found.frame.index


def test_levels_of_rows_left_out_vanish(data):
    data.loc[data["f"] == "a", "x"] = np.nan
    data.loc[data["g"] == "s", "y"] = np.nan
    design = build_design("y ~ x + f + (1|g)", data)
    assert design.predictors["cond"].columns == ("Intercept", "x", "f[T.c]")
    assert design.predictors["cond"].terms[0].levels.tolist() == ["p", "q", "r", "t"]
    assert set(design.predictors["cond"].terms[0].codes) == {0, 1, 2, 3}


def test_frame_holds_the_users_values(data):
    design = build_design("y ~ log(z) + (1|g)", data)
    pd.testing.assert_frame_equal(design.frame, data[["y", "z", "g"]])
    assert design.formula == "y ~ log(z) + (1|g)" and design.formulas == {"cond": "y ~ log(z) + (1|g)"}


def test_design_does_not_share_memory_with_the_data(data):
    weights = np.ones(30)
    design = build_design("y ~ x", data, offset="z", freq_weights=weights, var_weights="w")
    for array in (
        design.response.y,
        design.freq_weights,
        design.var_weights,
        design.predictors["cond"].offset,
    ):
        assert array.flags.writeable and array.flags.c_contiguous
        assert not any(np.shares_memory(array, data[c].to_numpy()) for c in "yxzw")
    assert not np.shares_memory(design.freq_weights, weights)


class Foreign:
    """A table of another library."""

    def __init__(self, frame):
        self.frame = frame

    def to_pandas(self):
        return self.frame


class Polars:
    """A table that looks like one of polars, which is not among the test dependencies."""

    __module__ = "polars.dataframe.frame"

    def __init__(self, frame):
        self.frame = frame
        self.columns = list(frame)

    def to_pandas(self):
        raise ModuleNotFoundError("pyarrow")

    def __getitem__(self, name):
        return self.frame[name]


class Enum:
    categories = ("c", "b", "a")


class EnumColumn:
    dtype = Enum()

    def to_numpy(self):
        return np.array(["a", "b", "c", "b"], dtype=object)


def test_enums_of_polars_keep_their_order():
    table = Polars({"y": pd.Series([1.0, 2, 3, 4]), "f": EnumColumn()})
    assert build_design("y ~ 0 + f", table).predictors["cond"].columns == ("f[c]", "f[b]", "f[a]")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda d: d.to_dict("list"),
        lambda d: {c: d[c].to_numpy() for c in d},
        Foreign,
        Polars,
        lambda d: d.to_records(),
    ],
)
def test_other_tables(wrap, data):
    plain = data.reset_index(drop=True)
    found = build_design(COMPLETE, wrap(plain))
    np.testing.assert_array_equal(found.predictors["cond"].X, build_design(COMPLETE, plain).predictors["cond"].X)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([1, 2], "data must be a pandas DataFrame .* not list"),
        (np.ones((3, 2)), "data must be a pandas DataFrame .* not ndarray"),
        ({"y": [1, 2], "x": [1]}, "data cannot be read as a table: All arrays must be of the same length"),
        ({"y": 1, "x": 2}, "data cannot be read as a table"),
        ({"y": [], "x": []}, "data has no rows"),
        (pd.DataFrame({"y": [1.0], "z": [2.0]}), "column 'x' is not in data; its columns are y, z"),
        (pd.DataFrame([[1.0, 2.0, 3.0]], columns=["y", "x", "x"]), "more than one column 'x'"),
    ],
)
def test_bad_tables(table, message):
    with pytest.raises(ModelError, match=message):
        build_design("y ~ x", table)


@pytest.mark.parametrize(
    ("change", "formula", "message"),
    [
        ({"x": np.nan}, "y ~ x", "every row has something missing, column 'x' is empty"),
        ({"g": None}, "y ~ x + (1|g)", "every row has something missing, column 'g' is empty"),
        ({"f": "a"}, "y ~ x + f", r"column 'f' has only one level \('a'\), leave it out"),
        ({"f": "a"}, "y ~ x + scale(z) + f", r"column 'f' has only one level \('a'\)"),
        ({}, "y ~ f*g*x*z", r"30 complete rows are too few for 60 fixed-effect coefficients, drop terms"),
        ({}, "y ~ log(x)", r"'log\(x\)' is nan in row 'row\d+'"),
        ({}, "y ~ scale(log(x))", r"'scale\(log\(x\)\)' is nan in row 'row\d+'"),
        ({}, "y ~ offset(log(x))", r"'log\(x\)' is nan in row 'row\d+'"),
        ({}, "y ~ log(f)", "column 'f' holds text or categories, numbers are needed here"),
        ({}, "y ~ offset(f)", "column 'f' holds text or categories, numbers are needed here"),
        ({}, "y ~ scale(f)", r"formula: .*scale\(f\)"),
        ({}, "y ~ C(f, contr.nothing)", r"formula: .*contr.nothing"),
        ({}, "y ~ np.nothing(x)", r"'np.nothing' in 'np.nothing\(x\)' is not known to work row by row"),
        ({}, "y ~ I(x - np.mean(x))", r"'np.mean' in .* row by row, use center\(\), scale\(\) or compute"),
        ({}, "y ~ I(x - x.mean())", "'x.mean' in .* is not known to work row by row"),
        ({}, "y ~ I(x - x[0])", "a part of a column cannot be taken"),
        ({}, "y ~ offset(np.cumsum(x))", "'np.cumsum' in .* is not known to work row by row"),
        ({}, "y ~ np.modf(x)", "'np.modf' in 'np.modf\\(x\\)' is not known to work row by row"),
        ({}, "y ~ I(2**5000)", r"2 \*\* 5000 is out of range"),
        ({}, "y ~ Z", "column 'Z' is not in data, did you mean 'z'"),
        ({}, "y ~ np", "column 'np' is not in data"),
        ({}, "y ~ x + foo(x)", r"function 'foo' in 'foo\(x\)' is not known"),
        (
            {"x": pd.date_range("2020", periods=30)},
            "y ~ x",
            "column 'x' holds dates, turn it into a number first",
        ),
        ({"x": pd.date_range("2020", periods=30)}, "y ~ scale(x)", "column 'x' holds dates"),
        (
            {"x": np.resize(np.array([1, "a"], dtype=object), 30)},
            "y ~ x",
            "column 'x' holds a mixture of types",
        ),
        ({"x": np.ones(30, dtype=complex)}, "y ~ x", "column 'x' is of type complex128"),
    ],
)
def test_bad_columns(change, formula, message, data):
    with pytest.raises(ModelError, match=message):
        build_design(formula, data.assign(**change))


@pytest.mark.parametrize("formula", ["y ~ x", "x ~ y", "y ~ offset(x)", "y ~ (x|g)"])
def test_infinite_values_are_named(formula, data):
    data.loc["row7", "x"] = -np.inf
    with pytest.raises(ModelError, match="column 'x' is -inf in row 'row7'"):
        build_design(formula, data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"freq_weights": [1.0] * 29}, "freq_weights has length 29, the data have 30 rows"),
        ({"var_weights": np.r_[np.ones(29), 0]}, "var_weights must be positive, it is 0 in row 'row29'"),
        ({"freq_weights": np.r_[-1.0, np.ones(29)]}, "freq_weights must be positive, it is -1 in row 'row0'"),
        ({"freq_weights": np.full(30, np.nan)}, "every row has something missing, freq_weights is empty"),
        ({"freq_weights": "f"}, "column 'f' holds text or categories, numbers are needed here"),
        ({"freq_weights": "nowhere"}, "column 'nowhere' is not in data"),
        ({"offset": np.r_[np.inf, np.ones(29)]}, "offset is inf in row 'row0'"),
        ({"offset": pd.Series(np.ones(30))}, r"offset is a Series with another index .* offset.to_numpy\(\)"),
        ({"zi": "~ x + y"}, "the response 'y' is also on the right-hand side"),
        ({"zi": "y ~ x"}, "only '~ terms' is allowed here"),
        ({"disp": "~ nowhere"}, "column 'nowhere' is not in data"),
        ({"disp": "~ f*g*x*z"}, "30 complete rows are too few for 60 fixed-effect coefficients of disp"),
    ],
)
def test_bad_arguments(arguments, message, data):
    with pytest.raises(ModelError, match=message):
        build_design("y ~ x", data, **arguments)


def test_errors_are_one_line_but_for_a_marked_formula(data):
    for formula in ("y ~ nowhere", "y ~ scale(f)", "y ~ log(x)", "y ~ f*g*x*z"):
        with pytest.raises(ModelError) as caught:
            build_design(formula, data)
        assert "\n" not in str(caught.value)
