"""Random terms against dense indicator matrices built by brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmmcore.design import RandomTerm
from glmmcore.errors import DataWarning, ModelError
from glmmcore.formula import build_design
from glmmcore.formula.frame import factorise
from glmmcore.formula.groups import _renumber


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    n = 80
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "f": rng.choice(["a", "b", "c"], size=n),
            "t": rng.integers(1, 5, size=n),
            "g": rng.choice(["g10", "g2", "g1"], size=n),
            "k": rng.choice([30, 4, -7, 100], size=n),
            "h": pd.Categorical(rng.choice(["lo", "hi"], size=n), categories=["lo", "none", "hi"]),
            "d": rng.choice(pd.date_range("2020-01-01", periods=3), size=n),
        }
    )


def dense(term: RandomTerm) -> np.ndarray:
    """Z as one matrix, level by level."""
    n, k = term.Z.shape
    out = np.zeros((n, len(term.levels) * k))
    for i in range(n):
        out[i, term.codes[i] * k : (term.codes[i] + 1) * k] = term.Z[i]
    return out


def brute_force(left: np.ndarray, keys: list, order: list) -> np.ndarray:
    return np.hstack([np.where(np.array([key == level for key in keys])[:, None], left, 0.0) for level in order])


def terms_of(formula: str, data: pd.DataFrame) -> tuple[RandomTerm, ...]:
    return build_design(formula, data).predictors["cond"].terms


@pytest.mark.parametrize(
    ("column", "order"),
    [("g", ["g1", "g10", "g2"]), ("k", [-7, 4, 30, 100]), ("h", ["lo", "hi"])],
)
def test_levels_are_in_r_order(column, order, data):
    (term,) = terms_of(f"y ~ 1 + (1|{column})", data)
    assert term.levels.tolist() == order
    assert term.group == column and term.columns == ("Intercept",) and term.structure == "us"
    assert term.codes.dtype == np.int32 and term.Z.dtype == np.float64
    np.testing.assert_array_equal(dense(term), brute_force(np.ones((80, 1)), data[column].tolist(), order))


def test_dates_can_group(data):
    (term,) = terms_of("y ~ 1 + (1|d)", data)
    assert term.levels.tolist() == sorted(data["d"].unique().tolist())


@pytest.mark.parametrize(
    ("left", "names", "build"),
    [
        ("x", ("Intercept", "x"), lambda d: np.column_stack([np.ones(80), d.x])),
        ("0 + x", ("x",), lambda d: d[["x"]].to_numpy()),
        (
            "1 + x + I(x**2)",
            ("Intercept", "x", "I(x ** 2)"),
            lambda d: np.column_stack([np.ones(80), d.x, d.x**2]),
        ),
        (
            "f",
            ("Intercept", "f[T.b]", "f[T.c]"),
            lambda d: np.column_stack([np.ones(80), d.f == "b", d.f == "c"]),
        ),
        ("0 + f", ("f[a]", "f[b]", "f[c]"), lambda d: np.column_stack([d.f == v for v in "abc"])),
        ("x:z", ("Intercept", "x:z"), lambda d: np.column_stack([np.ones(80), d.x * d.z])),
        (
            "scale(x)",
            ("Intercept", "scale(x)"),
            lambda d: np.column_stack([np.ones(80), (d.x - d.x.mean()) / d.x.std()]),
        ),
    ],
)
def test_left_hand_sides(left, names, build, data):
    (term,) = terms_of(f"y ~ 1 + ({left} | g)", data)
    assert term.columns == names
    np.testing.assert_allclose(
        dense(term),
        brute_force(np.asarray(build(data), dtype=float), data["g"].tolist(), ["g1", "g10", "g2"]),
        rtol=1e-14,
        atol=1e-15,
    )
    assert term.Z.flags.c_contiguous


@pytest.mark.parametrize("columns", [("g", "k"), ("k", "g"), ("g", "h", "f")])
def test_interactions(columns, data):
    (term,) = terms_of(f"y ~ 1 + (1|{':'.join(columns)})", data)
    keys = list(zip(*(data[c].tolist() for c in columns), strict=True))
    rank = {"g": ["g1", "g10", "g2"], "k": [-7, 4, 30, 100], "h": ["lo", "hi"], "f": ["a", "b", "c"]}
    order = sorted(set(keys), key=lambda key: [rank[c].index(v) for c, v in zip(columns, key, strict=True)])
    assert term.levels.tolist() == [":".join(str(v) for v in key) for key in order]
    assert term.group == ":".join(columns)
    np.testing.assert_array_equal(dense(term), brute_force(np.ones((80, 1)), keys, order))


def test_nesting_expands(data):
    nested = terms_of("y ~ x + (x|g/k)", data)
    crossed = terms_of("y ~ x + (x|g) + (x|g:k)", data)
    assert [t.group for t in nested] == ["g", "g:k"]
    for a, b in zip(nested, crossed, strict=True):
        np.testing.assert_array_equal(dense(a), dense(b))


def test_labels_that_collide_stay_apart():
    data = {"y": [1.0, 2, 3, 4], "a": ["p:q", "p", "p:q", "p"], "b": ["r", "q:r", "r", "q:r"]}
    (term,) = terms_of("y ~ 1 + (1|a:b)", pd.DataFrame(data))
    assert term.codes.tolist() == [1, 0, 1, 0]


def test_sparse_combinations_use_hashing():
    rng = np.random.default_rng(0)
    combined = rng.integers(0, 10**12, 500)
    codes, cells = _renumber(combined, 10**12)
    np.testing.assert_array_equal(cells[codes], combined)
    assert (np.diff(cells) > 0).all() and codes.dtype == np.int32
    small_codes, small_cells = _renumber(combined % 1000, 1000)
    expected, inverse = np.unique(combined % 1000, return_inverse=True)
    np.testing.assert_array_equal(small_cells, expected)
    np.testing.assert_array_equal(small_codes, inverse)


def test_double_bar_splits_numeric_columns(data):
    terms = terms_of("y ~ x + (x + z || g)", data)
    assert [(t.columns, t.structure) for t in terms] == [
        (("Intercept",), "us"),
        (("x",), "us"),
        (("z",), "us"),
    ]
    np.testing.assert_array_equal(terms[2].Z[:, 0], data["z"])
    assert all(t.Z.flags.c_contiguous for t in terms)


def test_double_bar_with_a_factor_is_one_diagonal_term(data):
    (term,) = terms_of("y ~ x + (f || g)", data)
    assert term.columns == ("Intercept", "f[T.b]", "f[T.c]") and term.structure == "diag"
    (term,) = terms_of("y ~ x + (C(f, contr.sum) || g)", data)
    assert term.structure == "diag" and len(term.columns) == 3


@pytest.mark.parametrize("structure", ["us", "diag", "homdiag", "cs", "homcs"])
def test_structure_words(structure, data):
    (term,) = terms_of(f"y ~ x + {structure}(f | g)", data)
    assert term.structure == structure and len(term.columns) == 3


def test_ar1_takes_the_levels_of_one_factor(data):
    (term,) = terms_of("y ~ x + ar1(0 + factor(t) | g)", data)
    assert term.structure == "ar1" and term.columns == tuple(f"C(t)[{k}]" for k in range(1, 5))
    for wrong in ("factor(t)", "t + x", "0 + f:h", "1"):
        with pytest.raises(ModelError, match=r"ar1 needs one column per time, write ar1\(0 \+ factor\(time\) \| g\)"):
            build_design(f"y ~ x + ar1({wrong} | g)", data)


@pytest.mark.parametrize("structure", ["toep", "homtoep", "hetar1"])
def test_serial_structures_take_whole_numbers(structure, data):
    (levels,) = terms_of(f"y ~ x + {structure}(0 + factor(t) | g)", data)
    for left in ("t", "0 + t"):
        (numbers,) = terms_of(f"y ~ x + {structure}({left} | g)", data)
        assert numbers.columns == levels.columns
        np.testing.assert_array_equal(numbers.Z, levels.Z)
    with pytest.raises(ModelError, match=f"no row has 't' 3, and {structure} knows no gaps; use ar1"):
        build_design(f"y ~ x + {structure}(t | g)", data[data["t"] != 3])
    with pytest.raises(ModelError, match=f"the times 't' of {structure} are not whole numbers, use ou"):
        build_design(f"y ~ x + {structure}(t | g)", data.assign(t=data["t"] / 3))


def test_ar1_warns_of_times_out_of_step(data):
    gap = data[data["t"] != 3]
    with pytest.warns(DataWarning, match="equally spaced times in this order, without gaps: 1, 2, 4"):
        build_design("y ~ ar1(0 + factor(t) | g)", gap)
    text = data.assign(t=(data["t"] * 4).astype(str))
    with pytest.warns(DataWarning, match="in this order, without gaps: 12, 16, 4, 8"):
        build_design("y ~ ar1(0 + t | g)", text)
    ordered = text.assign(t=pd.Categorical(text["t"], categories=["4", "8", "12", "16"]))
    build_design("y ~ ar1(0 + t | g)", ordered)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ x + (1|one)", r"grouping factor 'one' has only one level \('7'\)"),
        ("y ~ x + (1|one:one2)", "grouping factor 'one:one2' has only one level"),
        ("y ~ x + (1|nothing)", "column 'nothing' is not in data"),
        ("y ~ x + (1|gg)", "column 'gg' is not in data, did you mean 'g'"),
        ("y ~ x + (0|g)", "random effects of 'g' have no column"),
        ("y ~ x + (1|g) + (1|g)", "random effects of 'g' appear twice"),
        ("y ~ x + (1|g:k) + (1|k/g)", "random effects of 'k:g' appear twice"),
        ("y ~ x + (1|mixed)", "column 'mixed' holds a mixture of types"),
    ],
)
def test_bad_groups(formula, message, data):
    more = data.assign(one=7, one2="a", mixed=pd.Series([1, "a"] * 40, dtype=object))
    with pytest.raises(ModelError, match=message):
        build_design(formula, more)


@pytest.mark.parametrize("n_levels", [1, 7, 100, 101, 3000])
@pytest.mark.parametrize("dtype", ["str", "string"])
def test_levels_that_are_text_come_in_the_order_of_pandas(n_levels: int, dtype: str) -> None:
    rng = np.random.default_rng(n_levels)
    letters = rng.choice(list("Aa_ 0\u00e9\u4e2d\U0001f600"), size=(n_levels, 6))
    source = pd.Series(["".join(row[: rng.integers(0, 7)]) for row in letters], dtype=dtype)
    source = source[rng.integers(0, n_levels, 3 * n_levels)].reset_index(drop=True)
    source[::5] = None
    codes, levels = factorise(source, "g")
    wanted, texts = pd.factorize(source, sort=True)
    np.testing.assert_array_equal(codes, wanted)
    assert codes.dtype == np.int32 and levels.tolist() == list(texts)
