"""Every way to hold the same numbers gives the same fit; what holds no numbers is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from glmmcore import glmm

from .cage import Case, judge, refused, same, zoo
from .data import clean, table

ARROW = find_spec("pyarrow") is not None
POLARS = find_spec("polars") is not None


def fit(formula: str = "y ~ x + (1|g)", family: str = "poisson", **columns: Any) -> Callable[[], Any]:
    return lambda: glmm(formula, table(**columns), family)


def values(name: str) -> np.ndarray:
    return table()[name].to_numpy(copy=True)


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


# name -> the numbers of a column in this form
FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    **{
        kind: lambda v, kind=kind: v.astype(kind)
        for kind in ("i1", "i2", "i4", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "g", ">f8", ">i4", ">f4")
    },
    **{
        kind: lambda v, kind=kind: pd.array(v, dtype=kind)
        for kind in ("Int8", "Int64", "UInt16", "Float32", "Float64", "Sparse[float]", "Sparse[int]")
    },
    "object of int": lambda v: pd.Series([int(a) for a in v], dtype=object),
    "object of float": lambda v: pd.Series([float(a) for a in v], dtype=object),
    "object of numpy scalars": lambda v: pd.Series([np.int8(a) for a in v], dtype=object),
    "object of int and float": lambda v: pd.Series([int(a) if a % 2 else float(a) for a in v], dtype=object),
    "Decimal": lambda v: pd.Series([Decimal(int(a)) for a in v], dtype=object),
    "list": lambda v: v.tolist(),
    "tuple": lambda v: tuple(v.tolist()),
    "read-only": lambda v: read_only(v.astype(float)),
    "strided": lambda v: np.repeat(v.astype(float), 3)[::3],
    "reversed view": lambda v: v[::-1].copy()[::-1],
    "Fortran column": lambda v: np.asfortranarray(np.column_stack([v, v]).astype(float))[:, 1],
    "masked array": lambda v: np.ma.masked_array(v.astype(float)),
}
if ARROW:
    import pyarrow as pa

    FORMS |= {
        f"pyarrow {kind}": lambda v, kind=kind: pd.Series([int(a) for a in v], dtype=pd.ArrowDtype(kind))
        for kind in (pa.int64(), pa.uint8(), pa.float32(), pa.float64())
    }
    FORMS["pyarrow decimal"] = lambda v: pd.Series(
        [Decimal(int(a)) for a in v], dtype=pd.ArrowDtype(pa.decimal128(12, 2))
    )

SAME_NUMBERS = [
    Case(f"{column} as {name}", fit(**{column: form(values(column))}), same(clean))
    for column in ("x", "y")
    for name, form in FORMS.items()
]

BOOLEANS: dict[str, Callable[[np.ndarray], Any]] = {
    "bool": lambda v: v.astype(bool),
    "boolean": lambda v: pd.array(v.astype(bool), dtype="boolean"),
    "object of bool": lambda v: pd.Series([bool(a) for a in v], dtype=object),
    "object of numpy bool": lambda v: pd.Series([np.bool_(a) for a in v], dtype=object),
    "two texts": lambda v: np.where(v == 1, "yes", "no"),
    "category": lambda v: pd.Categorical(np.where(v == 1, "yes", "no"), categories=["no", "yes", "never"]),
}
if ARROW:
    BOOLEANS["pyarrow bool"] = lambda v: pd.Series(v.astype(bool), dtype=pd.ArrowDtype(pa.bool_()))
    BOOLEANS["pyarrow string"] = lambda v: pd.Series(np.where(v == 1, "yes", "no"), dtype=pd.ArrowDtype(pa.string()))


def clean_binary() -> Any:
    return clean("b ~ x + (1|g)", "binomial")


def clean_covariate() -> Any:
    return clean("y ~ b + (1|g)")


SAME_BOOLEANS = [
    Case(f"response as {name}", fit("b ~ x + (1|g)", "binomial", b=form(values("b"))), same(clean_binary))
    for name, form in BOOLEANS.items()
] + [
    Case(f"covariate as {name}", fit("y ~ b + (1|g)", b=form(values("b"))), same(clean_covariate))
    for name, form in BOOLEANS.items()
]

CODES = np.repeat(np.arange(6), 10)
GROUPS: dict[str, Any] = {
    "integers": CODES,
    "negative integers": -5 + CODES,
    "huge integers": 2**62 + CODES,
    "floats": CODES + 0.5,
    "texts of numbers": (CODES + 10).astype(str),
    "fixed-width bytes kept as text": np.array([f"g{c}" for c in CODES], dtype="U2"),
    "category with unused levels": pd.Categorical.from_codes(CODES, list("abcdefgh")),
    "ordered category": pd.Categorical.from_codes(CODES, list("abcdef"), ordered=True),
    "category of numbers": pd.Categorical(CODES),
    "nullable integers": pd.array(CODES, dtype="Int64"),
    "string dtype": pd.array([f"g{c}" for c in CODES], dtype="string"),
    "dates": pd.Timestamp("2020-01-01") + pd.to_timedelta(CODES, unit="D"),
    "dates with zone": pd.Timestamp("2020-01-01", tz="Europe/Paris") + pd.to_timedelta(CODES, unit="D"),
    "timedeltas": pd.to_timedelta(CODES, unit="h"),
    "periods": pd.PeriodIndex.from_ordinals(CODES, freq="M"),
    "intervals": pd.IntervalIndex.from_arrays(CODES, CODES + 1),
    "Decimal": pd.Series([Decimal(int(c)) for c in CODES], dtype=object),
    "objects of date": pd.Series(list((pd.Timestamp("2020-01-01") + pd.to_timedelta(CODES, unit="D")).date)),
    "unicode": np.array(list("αβγδεζ"))[CODES],
    "texts with colons and slashes": np.array(["a:b", "a/b", "a|b", "", " ", "~"], dtype=object)[CODES],
    "uint8": CODES.astype("u1"),
    "big-endian": CODES.astype(">i8"),
    "sparse": pd.arrays.SparseArray(CODES),
}
if ARROW:
    GROUPS["pyarrow dictionary"] = pd.Series(
        pa.array([f"g{c}" for c in CODES]).dictionary_encode(),
        dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())),
    )
    GROUPS["pyarrow timestamps"] = pd.Series(
        pd.Timestamp("2020-01-01") + pd.to_timedelta(CODES, unit="D"), dtype=pd.ArrowDtype(pa.timestamp("us"))
    )

SAME_GROUPS = [Case(f"group as {name}", fit(g=form), same(clean)) for name, form in GROUPS.items()]

DATES = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(60), unit="D")
NOT_NUMBERS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "dates": (DATES, ("'x'", "dates")),
    "dates with zone": (DATES.tz_localize("UTC"), ("'x'", "dates")),
    "timedeltas": (pd.to_timedelta(np.arange(60), unit="h"), ("'x'",)),
    "periods": (DATES.to_period("D"), ("'x'",)),
    "intervals": (pd.IntervalIndex.from_arrays(np.arange(60), np.arange(60) + 1), ("'x'",)),
    "complex": (np.arange(60) + 1j, ("'x'", "complex")),
    "objects of complex": (pd.Series([complex(a, 1) for a in range(60)], dtype=object), ("'x'",)),
    "numbers and text": (pd.Series([1, "a"] * 30, dtype=object), ("'x'", "mixture")),
    "numbers and lists": (pd.Series([1, [2]] * 30, dtype=object), ("'x'",)),
    "lists": (pd.Series([[1, 2]] * 60, dtype=object), ("'x'",)),
    "dicts": (pd.Series([{"a": 1}] * 60, dtype=object), ("'x'",)),
    "arrays": (pd.Series([np.arange(2)] * 60, dtype=object), ("'x'",)),
    "fractions": (pd.Series([Fraction(1, 3)] * 60, dtype=object), ("'x'", "mixture")),
    "bytes": (pd.Series([b"a", b"b"] * 30, dtype=object), ("'x'",)),
    "functions": (pd.Series([len] * 60, dtype=object), ("'x'",)),
    "all None": (pd.Series([None] * 60, dtype=object), ("missing", "'x'")),
    "all NA": (pd.array([pd.NA] * 60, dtype="Int64"), ("missing", "'x'")),
    "all NaT": (pd.DatetimeIndex([pd.NaT] * 60), ("missing", "'x'")),
    "one text": (["a"] * 60, ("'x'", "only one level")),
    "category without values": (pd.Categorical([None] * 60, categories=["a", "b"]), ("missing", "'x'")),
}
if ARROW:
    NOT_NUMBERS["pyarrow list"] = (pd.Series([[1]] * 60, dtype=pd.ArrowDtype(pa.list_(pa.int64()))), ("'x'",))
    NOT_NUMBERS["pyarrow date"] = (pd.Series(DATES.date, dtype=pd.ArrowDtype(pa.date32())), ("'x'", "dates"))
    NOT_NUMBERS["pyarrow null"] = (pd.Series([None] * 60, dtype=pd.ArrowDtype(pa.null())), ("'x'",))

NOT_COVARIATES = [
    Case(f"covariate of {name}", fit(x=form), refused(*words)) for name, (form, words) in NOT_NUMBERS.items()
]
NOT_RESPONSES = [
    Case(f"response of {name}", fit("x ~ b + (1|g)", "gaussian", x=NOT_NUMBERS[name][0]), refused("'x'"))
    for name in ("dates", "timedeltas", "periods", "complex", "numbers and text", "lists", "bytes", "all None")
] + [
    Case("response of texts of numbers", fit(y=values("y").astype(str)), refused("'y'", "two levels")),
    Case("response of three categories", fit("x ~ b", "binomial", x=list("abc") * 20), refused("'x'", "it has 3: 'a'")),
    Case("response of two texts for counts", fit(y=["a", "b"] * 30), refused("'y'", "family='binomial'")),
]
NOT_GROUPS = [
    Case("group of lists", fit(g=pd.Series([[1], [2]] * 30, dtype=object)), refused("'g'", "[1]")),
    Case("group of tuples", fit(g=pd.Series([(1, "s"), (2, "s")] * 30, dtype=object)), refused("'g'", "mixture")),
    Case("group of numbers and text", fit(g=pd.Series([1, "a"] * 30, dtype=object)), refused("'g'", "mixture")),
    Case("group of arrays", fit(g=pd.Series([np.arange(2)] * 60, dtype=object)), refused("'g'")),
    Case("one group", fit(g="a"), refused("'g'", "only one level")),
    Case("group of None", fit(g=pd.Series([None] * 60, dtype=object)), refused("'g'", "missing")),
]

# Texts and categories of numbers make a factor, as in R; what the levels are called must not matter.
FACTORS = [
    Case(f"factor of {name}", fit(x=form), same(lambda: clean("y ~ C(x) + (1|g)")))
    for name, form in {
        "texts of numbers": values("x").astype(str),
        "category": pd.Categorical(values("x")),
        "category with unused levels": pd.Categorical(values("x"), categories=[-1, 0, 1, 2, 3, 4, 9]),
        "string dtype": pd.array(values("x").astype(str), dtype="string"),
    }.items()
]


def frame_of_other_library(kind: str) -> Any:
    d = table()
    match kind:
        case "dict of lists":
            return {name: d[name].tolist() for name in d}
        case "dict of arrays":
            return {name: d[name].to_numpy() for name in d}
        case "structured array":
            return d.assign(g=d["g"].astype("U1"))[["y", "x"]].assign(g=CODES).to_records(index=False)
        case "object frame":
            return d.astype(object)
        case "Fortran frame":
            return pd.DataFrame(np.asfortranarray(np.column_stack([d["y"], d["x"], CODES])), columns=["y", "x", "g"])
        case "read-only frame":
            block = read_only(np.column_stack([d["y"], d["x"], CODES]).astype(float))
            return pd.DataFrame(block, columns=["y", "x", "g"], copy=False)
        case "polars":
            import polars

            return polars.DataFrame({name: d[name].tolist() for name in d})
        case "polars small types":
            import polars

            return polars.DataFrame({name: d[name].tolist() for name in d}).with_columns(
                polars.col("y").cast(polars.UInt8),
                polars.col("x").cast(polars.Decimal(10, 2)),
                polars.col("g").cast(polars.Categorical),
            )
        case "polars lazy":
            import polars

            return polars.DataFrame({name: d[name].tolist() for name in d}).lazy()
        case "pyarrow table":
            return pa.table({name: d[name].tolist() for name in d})
        case "convert_dtypes":
            return d.convert_dtypes()
        case "arrow convert_dtypes":
            return d.convert_dtypes(dtype_backend="pyarrow")
        case "frame subclass":
            return type("Frame", (pd.DataFrame,), {"_constructor": property(lambda self: type(self))})(d)
    raise AssertionError(kind)


TABLES = ["dict of lists", "dict of arrays", "structured array", "object frame", "Fortran frame", "read-only frame"]
TABLES += ["convert_dtypes", "frame subclass"]
TABLES += ["polars", "polars small types"] * POLARS + ["pyarrow table", "arrow convert_dtypes"] * ARROW
SAME_TABLES = [
    Case(
        f"data as {kind}", lambda kind=kind: glmm("y ~ x + (1|g)", frame_of_other_library(kind), "poisson"), same(clean)
    )
    for kind in TABLES
]
NOT_TABLES: list[Case] = [
    Case(f"data as {name}", lambda d=d: glmm("y ~ x + (1|g)", d, "poisson"), refused("data", *words))
    for name, (d, words) in {
        "None": (None, ("NoneType",)),
        "text": ("data.csv", ("str",)),
        "list": ([1, 2], ("list",)),
        "matrix": (np.eye(3), ("ndarray",)),
        "Series": (pd.Series([1, 2]), ("Series",)),
        "dict of unequal lengths": ({"y": [1, 2], "x": [1]}, ("same length",)),
        "dict of numbers": ({"y": 1, "x": 2, "g": 3}, ()),
        "dict of matrices": ({"y": np.ones((3, 2)), "x": np.ones(3), "g": np.ones(3)}, ()),
        "empty dict": ({}, ()),
    }.items()
]
if POLARS:
    NOT_TABLES.append(
        Case("data as polars lazy", lambda: glmm("y ~ x", frame_of_other_library("polars lazy")), refused("LazyFrame"))
    )


EVERY = [
    *SAME_NUMBERS,
    *SAME_BOOLEANS,
    *SAME_GROUPS,
    *NOT_COVARIATES,
    *NOT_RESPONSES,
    *NOT_GROUPS,
    *FACTORS,
    *SAME_TABLES,
    *NOT_TABLES,
]


@zoo(EVERY)
def test_columns(case: Case) -> None:
    judge(case)
