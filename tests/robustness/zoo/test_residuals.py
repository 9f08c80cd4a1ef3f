"""Bad and extreme input of residuals: models, simulations, groups, tests of residuals and teaching data."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import simresid
from glmmcore import glmm
from simresid import from_simulations, simulate_residuals

from .cage import Case, finite, holds, judge, passed_on, refused, same, zoo
from .data import N, clean, table


@cache
def draws() -> tuple[np.ndarray, np.ndarray]:
    """Simulations (100, 60) and an observation of the same law."""
    rng = np.random.default_rng(5)
    return rng.poisson(3.0, (100, N)), rng.poisson(3.0, N)


@cache
def residuals() -> simresid.SimulatedResiduals:
    return simulate_residuals(clean(), 100)


@cache
def drawn() -> simresid.SimulatedResiduals:
    return from_simulations(*draws())


def spoiled(value: Any, where: Any = 7, dtype: Any = float) -> np.ndarray:
    """Observation with one value replaced."""
    y = draws()[1].astype(dtype)
    y[where] = value
    return y


# ---- from_simulations ------------------------------------------------------------------------------------
def made(simulated: Any = None, observed: Any = None, **options: Any) -> Callable[[], Any]:
    def call() -> Any:
        sims, y = draws()
        return from_simulations(
            simulated(sims) if callable(simulated) else sims if simulated is None else simulated,
            observed(y) if callable(observed) else y if observed is None else observed,
            **options,
        )

    return call


FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "list": lambda v: v.tolist(),
    "float32": lambda v: v.astype("f4"),
    "float16": lambda v: v.astype("f2"),
    "int8": lambda v: v.astype("i1"),
    "uint64": lambda v: v.astype("u8"),
    "long double": lambda v: v.astype("g"),
    "big-endian": lambda v: v.astype(">f8"),
    "object": lambda v: v.astype(object),
    "Fortran": lambda v: np.asfortranarray(v),
    "strided": lambda v: np.repeat(v, 2, axis=-1)[..., ::2],
    "reversed": lambda v: v[..., ::-1].copy()[..., ::-1],
    "masked": lambda v: np.ma.masked_array(v),
    "matrix class": lambda v: np.matrix(v) if v.ndim == 2 else v,
    "pandas": lambda v: pd.DataFrame(v) if v.ndim == 2 else pd.Series(v),
    "nullable": lambda v: pd.DataFrame(v).convert_dtypes() if v.ndim == 2 else pd.array(v, dtype="Int64"),
    "chains": lambda v: v.reshape(4, 25, N) if v.ndim == 2 else v,
    "Decimal": lambda v: np.vectorize(Decimal, otypes=[object])(v.astype(int).astype(object)),
}


def read_only(v: np.ndarray) -> np.ndarray:
    v = v.astype(float)
    v.flags.writeable = False
    return v


BAD = {"NaN": np.nan, "infinity": np.inf, "minus infinity": -np.inf}
_WARNS = {"matrix class": ("matrix subclass",)}  # of numpy, for making one
SIMULATIONS = [
    *(
        Case(f"simulations as {name}", made(form), same(drawn, *_WARNS.get(name, ()), rtol=0))
        for name, form in FORMS.items()
    ),
    *(Case(f"observed as {name}", made(None, form), same(drawn, rtol=0)) for name, form in FORMS.items()),
    Case("read-only", made(read_only, read_only), same(drawn, rtol=0)),
    *(Case(f"{name} in observed", made(None, spoiled(v)), refused("observed", "7")) for name, v in BAD.items()),
    *(
        Case(f"{name} in simulations", made(lambda s, v=v: np.where(np.arange(N) == 7, v, s)), refused("7"))
        for name, v in BAD.items()
    ),
    *(
        Case(
            f"{name} in one simulation",
            made(lambda s, v=v: np.where((np.arange(100)[:, None] == 3) & (np.arange(N) == 7), v, s)),
            refused("7"),
        )
        for name, v in BAD.items()
    ),
    *(
        Case(f"{name} in fitted", made(fitted=np.where(np.arange(N) == 7, v, 3.0)), refused("fitted", "7"))
        for name, v in BAD.items()
    ),
    Case("masked observed", made(None, lambda y: np.ma.masked_array(y, np.arange(N) == 7)), refused("observed", "7")),
    Case("None in observed", made(None, spoiled(None, dtype=object)), refused("observed", "7")),
    Case("NA in observed", made(None, pd.array(spoiled(0), dtype="Float64").copy()), finite()),
    Case("text in observed", made(None, spoiled("a", dtype=object)), refused("observed")),
    Case("complex observed", made(None, lambda y: y * 1j), refused("observed", "complex")),
    Case("dates observed", made(None, pd.date_range("2020", periods=N)), refused("observed")),
    Case("text simulations", made(lambda s: s.astype(str)), refused("simulated")),
    Case("complex simulations", made(lambda s: s * 1j), refused("simulated", "complex")),
    Case("ragged simulations", made([[1, 2], [3]]), refused("simulated")),
    Case("transposed", made(lambda s: s.T), refused("transposed")),
    Case("one simulation", made(lambda s: s[:1]), refused("2")),
    Case("no simulations", made(lambda s: s[:0]), refused("simulat")),
    Case("vector of simulations", made(lambda s: s[0]), refused("simulated", "shape")),
    Case("four dimensions", made(lambda s: s.reshape(2, 5, 10, N)), refused("simulated", "shape")),
    Case("no observed", made(lambda s: s[:, :0], []), refused("empty")),
    Case("one row", made(lambda s: s[:, :1], [3]), finite()),
    Case("matrix observed", made(None, lambda y: y[:, None]), refused("observed", "shape")),
    Case("scalar observed", made(None, 3), refused("observed")),
    Case("None observed", made(lambda s: s, lambda y: None), refused("observed")),
    Case("name of observed without a container", made(None, "y"), refused("observed_data")),
    Case("simulations of None", made(lambda s: None), refused("simulated")),
    Case("dict of two", made(lambda s: {"a": s, "b": s}), refused("one variable")),
    Case("empty dict", made({}), refused("one variable")),
    Case("all zeros", made(lambda s: s * 0, lambda y: y * 0), finite()),
    Case("all equal", made(lambda s: s * 0 + 5, lambda y: y * 0 + 5), finite()),
    Case(
        "all simulations equal, observed beyond",
        made(lambda s: s * 0 + 5, lambda y: y * 0 + 9),
        holds(lambda r: (r.residuals > 0.98).all()),
    ),
    Case("values of 1e299", made(lambda s: s * 1e299, lambda y: y * 1e299), same(drawn, rtol=0)),
    Case("values of 1e300", made(lambda s: s * 1e300, lambda y: y * 1e300), refused("1e+300")),
    Case("values of 1e-300", made(lambda s: s * 1e-300, lambda y: y * 1e-300), same(drawn, rtol=0)),
    Case("subnormal values", made(lambda s: s * 5e-324, lambda y: y * 5e-324), same(drawn, rtol=0)),
    Case("counts of 1e12", made(lambda s: s + 10**12, lambda y: y + 10**12), same(drawn, rtol=0)),
    Case("integers beyond 2**53", made(lambda s: s + 2**60, lambda y: y + 2**60), refused("2**53")),
    Case("booleans", made(lambda s: s > 3, lambda y: y > 3), finite()),
    Case(
        "other index",
        made(lambda s: pd.DataFrame(s, columns=range(100, 160)), lambda y: pd.Series(y)),
        same(drawn, rtol=0),
    ),
    Case(
        "columns in another order",
        made(lambda s: pd.DataFrame(s).iloc[:, ::-1], lambda y: pd.Series(y)),
        refused("another order"),
    ),
    Case("fitted of another length", made(fitted=[1, 2]), refused("fitted", "60")),
    Case("fitted of text", made(fitted=["a"] * N), refused("fitted")),
    Case("fitted by name without data", made(fitted="x"), refused("fitted", "'x'")),
    Case("fitted by an unknown name", made(fitted="qq", data=table()), refused("fitted", "'qq'")),
    Case("fitted as text column", made(fitted="g", data=table()), refused("fitted")),
    Case("data of another length", made(data=table().iloc[:5]), refused("data", "60")),
    Case("data as a list", made(data=[1, 2]), refused("data")),
    Case("data as a dict", made(data={"x": [1]}), refused("data")),
    Case("unknown method", made(method="ranks"), refused("method", "rank")),
    Case("exact method", made(method="exact"), refused("exact")),
    Case("method None", made(method=None), refused("method")),
    Case("seed of text", made(rng="a"), refused("rng")),
    Case("negative seed", made(rng=-1), refused("rng")),
    Case("seed of a float", made(rng=1.0), refused("rng")),
    Case("seed True", made(rng=True), refused("rng")),
    Case("discrete of text", made(discrete="no"), refused("discrete")),
    Case("rotation of another shape", made(rotation=np.eye(3)), refused("rotation")),
    Case("rotation of NaN", made(rotation=np.full((N, N), np.nan)), refused("rotation")),
    Case("rotation that is singular", made(rotation=np.ones((N, N))), refused("rotation")),
    Case("rotation that is not symmetric", made(rotation=np.triu(np.ones((N, N)))), refused("rotation")),
    Case("rotation of text", made(rotation="guess"), refused("rotation")),
    Case("rotation with few simulations", made(lambda s: s[:12], rotation="estimated"), refused("rotation")),
]


# ---- simulate_residuals ----------------------------------------------------------------------------------
def simulated(model: Any = clean, *arguments: Any, **options: Any) -> Callable[[], Any]:
    return lambda: simulate_residuals(model() if callable(model) else model, *arguments, **options)


class Fake:
    """A model of one's own, with something wrong."""

    def __init__(self, **wrong: Any) -> None:
        sims, y = draws()
        self.observed, self.fitted, self.nobs, self.sims = y, np.full(N, 3.0), N, sims.astype(float)
        self.__dict__.update(wrong)

    def simulate(self, n_sims: int, *, rng: Any = None, random_effects: Any = "conditional") -> Any:
        return self.sims(n_sims) if callable(self.sims) else self.sims[:n_sims]


MODELS = [
    *(Case(f"model of {type(m).__name__}", simulated(m), refused("model")) for m in (3, "fit", [1], {"a": 1}, 1.5)),
    Case("model None", simulated(None), refused("model")),
    Case("class instead of a model", lambda: simulate_residuals(Fake), refused("model")),
    Case("model of one's own", simulated(lambda: Fake(), 100), finite()),
    *(Case(f"n_sims={n!r}", simulated(clean, n), refused("n_sims")) for n in (0, 1, -5, 2.5, "9", None, True, np.nan)),
    Case("n_sims=2", simulated(clean, 2), finite()),
    Case("n_sims of 1e15", simulated(clean, 10**15), refused("n_sims")),
    *(
        Case(f"{k}={v!r}", simulated(**{k: v}), refused(k))
        for k, v in (
            ("method", "ranks"),
            ("method", 3),
            ("random_effects", "all"),
            ("random_effects", None),
            ("random_effects", 3),
            ("random_effects", ["h"]),
            ("rng", -1),
            ("rng", "a"),
            ("keep_simulations", "yes"),
            ("keep_simulations", 2),
            ("rotation", "guess"),
            ("rotation", np.eye(2)),
            ("block_size", 0),
            ("block_size", "a"),
            ("n_jobs", 0),
            ("n_jobs", "two"),
            ("refit", "yes"),
        )
    ),
    Case("refit with exact", simulated(refit=True, method="exact"), refused("method")),
    *(
        Case(
            f"model with {name} in observed",
            simulated(lambda v=v: Fake(observed=spoiled(v)), 50),
            refused("observed", "7"),
        )
        for name, v in BAD.items()
    ),
    *(
        Case(f"model with {name} in fitted", simulated(lambda v=v: Fake(fitted=spoiled(v)), 50), refused("fitted", "7"))
        for name, v in BAD.items()
    ),
    *(
        Case(
            f"model with {name} in simulations",
            simulated(lambda v=v: Fake(sims=np.full((100, N), v)), 50),
            refused("simulat"),
        )
        for name, v in BAD.items()
    ),
    Case("model with text in observed", simulated(lambda: Fake(observed=["a"] * N)), refused("observed")),
    Case("model with text simulations", simulated(lambda: Fake(sims=np.full((100, N), "a")), 50), refused("simulat")),
    Case(
        "model with transposed simulations", simulated(lambda: Fake(sims=lambda n: np.ones((N, n)))), refused("shape")
    ),
    Case("model with too few simulations", simulated(lambda: Fake(sims=lambda n: np.ones((2, N)))), refused("shape")),
    Case("model with simulations of None", simulated(lambda: Fake(sims=lambda n: None)), refused("simulat")),
    Case("model with fewer fitted", simulated(lambda: Fake(fitted=np.ones(3))), refused("fitted", "60")),
    Case("model with wrong nobs", simulated(lambda: Fake(nobs=3)), refused("nobs")),
    Case("model without observed", simulated(lambda: Fake(observed=None)), refused("observed")),
    Case("model of constants", simulated(lambda: Fake(sims=np.full((100, N), 3.0)), 100), finite()),
    Case("fit of one row", simulated(lambda: glmm("y ~ 1", table(y=3).iloc[:1], "poisson"), 50), finite()),
    Case("fit of zeros", simulated(lambda: glmm("y ~ x", table(y=0), "poisson"), 50), finite()),
    Case(
        "fit with separation",
        simulated(lambda: glmm("b ~ x", table(b=lambda d: (d["x"] > 2) * 1), "binomial"), 50),
        finite(),
    ),
    Case(
        "fit of counts of 1e12",
        simulated(lambda: glmm("y ~ x", table(y=lambda d: (d["y"] + 1) * 10**12), "poisson"), 50),
        finite(),
    ),
    Case(
        "fit with a duplicated index",
        simulated(lambda: glmm("y ~ x", table().set_axis(np.zeros(N)), "poisson"), 50),
        finite(),
    ),
    Case(
        "fit with a row without trials",
        simulated(
            lambda: glmm(
                "k ~ x",
                table(m=lambda d: d["m"].where(d.index != 7, 0), k=lambda d: d["k"].where(d.index != 7, 0)),
                "binomial",
                trials="m",
            ),
            50,
        ),
        finite(),
    ),
]


# ---- recalculate -----------------------------------------------------------------------------------------
def grouped(*arguments: Any, **options: Any) -> Callable[[], Any]:
    return lambda: residuals().recalculate(*arguments, **options)


def by_group() -> Any:
    return residuals().recalculate("g")


GROUPS = [
    Case("column", grouped("g"), finite()),
    Case("list", grouped(table()["g"].tolist()), same(by_group, rtol=0)),
    Case("Series", grouped(table()["g"]), same(by_group, rtol=0)),
    Case("Series in another order", grouped(table()["g"][::-1]), same(by_group, rtol=0)),
    Case(
        "Series of a larger table",
        grouped(pd.concat([table()["g"], pd.Series(["q"], index=[999])])),
        same(by_group, rtol=0),
    ),
    Case("Series with other labels", grouped(table()["g"].set_axis(range(100, 160))), refused("group", "labels")),
    Case(
        "category with unused levels",
        grouped(pd.Categorical(table()["g"], categories=list("abcdefgh"))),
        same(by_group, rtol=0),
    ),
    Case("nullable", grouped(pd.array(np.repeat(range(6), 10), dtype="Int64")), same(by_group, rtol=0)),
    Case("dates", grouped(np.repeat(pd.date_range("2020", periods=6), 10)), same(by_group, rtol=0)),
    Case(
        "mixed types",
        grouped(pd.Series(np.repeat(np.array([1, "a", 2.5, "b", None, 3], dtype=object), 10))),
        refused("group", "missing"),
    ),
    Case("numbers and text", grouped(np.repeat(np.array([1, "a", 2.5, "b", 7, 3], dtype=object), 10)), finite()),
    Case("lists", grouped(pd.Series([[1], [2]] * 30)), refused("group")),
    Case("NaN", grouped([np.nan] + [1, 2] * 29 + [1]), refused("group", "0")),
    Case("one group", grouped(["a"] * N), refused("group", "1 level")),
    Case("n groups", grouped(range(N)), finite()),
    Case("another length", grouped([1, 2]), refused("group", "60")),
    Case("matrix", grouped(np.ones((N, 2))), refused("group", "shape")),
    Case("unknown column", grouped("qq"), refused("group", "'qq'")),
    Case("unknown aggregate", grouped("g", aggregate="median"), refused("aggregate")),
    Case("aggregate None", grouped("g", aggregate=None), refused("aggregate")),
    Case("aggregate that raises", grouped("g", aggregate=lambda v: 1 / 0), passed_on(ZeroDivisionError)),
    Case("aggregate of NaN", grouped("g", aggregate=lambda v: np.nan), refused("NaN")),
    Case(
        "aggregate of a wrong shape", grouped("g", aggregate=lambda v, axis=-1: np.ones((2, 2))), refused("aggregate")
    ),
    Case("aggregate of text", grouped("g", aggregate=lambda v: "a"), refused("aggregate")),
    Case("select mask", grouped(select=np.arange(N) < 30), finite()),
    Case("select positions", grouped(select=range(30)), same(grouped(select=np.arange(N) < 30), rtol=0)),
    Case(
        "select list of booleans",
        grouped(select=[True] * 30 + [False] * 30),
        same(grouped(select=np.arange(N) < 30), rtol=0),
    ),
    Case(
        "select nullable booleans",
        grouped(select=pd.array([True] * 30 + [False] * 30, dtype="boolean")),
        same(grouped(select=np.arange(N) < 30), rtol=0),
    ),
    Case("select NA", grouped(select=pd.array([True] * 59 + [pd.NA], dtype="boolean")), refused("select")),
    Case("select floats", grouped(select=[0.0, 1.0]), refused("select")),
    Case("select nothing", grouped(select=[]), refused("select")),
    Case("select no row", grouped(select=np.zeros(N, dtype=bool)), refused("select")),
    Case("select one", grouped(select=[3]), refused("select")),
    Case("select outside", grouped(select=[0, 99]), refused("select", "99")),
    Case("select negative", grouped(select=[-1, 0]), refused("select", "-1")),
    Case("select twice", grouped(select=[1, 1, 2]), refused("select", "more than once")),
    Case("select short mask", grouped(select=[True, False]), refused("select", "60")),
    Case("select text", grouped(select=["a", "b"]), refused("select")),
    Case("select by a column of numbers", grouped(select="x"), refused("select", "boolean")),
]


# ---- tests of residuals ------------------------------------------------------------------------------------
def outcome_of(name: str, *arguments: Any, res: Any = None, **options: Any) -> Callable[[], Any]:
    def call() -> Any:
        given = residuals() if res is None else res() if callable(res) else res
        return getattr(simresid, f"{name}_test")(given, *arguments, **options)

    return call


U = np.random.default_rng(8).random(N)
PLAIN = ["uniformity", "quantile", "heteroscedasticity"]
ROWS: dict[str, Any] = {  # test -> how it takes a column
    "quantile": lambda v: outcome_of("quantile", v),
    "heteroscedasticity": lambda v: outcome_of("heteroscedasticity", v),
    "temporal_autocorrelation": lambda v: outcome_of("temporal_autocorrelation", v, method="ljung-box"),
    "spatial_autocorrelation": lambda v: outcome_of("spatial_autocorrelation", v, np.arange(N)),
    "spatial_autocorrelation, y": lambda v: outcome_of("spatial_autocorrelation", np.arange(N), v),
    "categorical": lambda v: outcome_of("categorical", v),
}
T = np.arange(N) * 1.0
NUMERIC = [name for name in ROWS if name != "categorical"]
TESTS = [
    Case("statistic that raises", outcome_of("statistic", lambda v: 1 / 0), passed_on(ZeroDivisionError)),
    *(
        Case(f"{name} of plain residuals", outcome_of(name, *([T] if name != "uniformity" else []), res=U), finite())
        for name in PLAIN
    ),
    *(
        Case(f"{name} of {kind}", outcome_of(name, *([T] if name != "uniformity" else []), res=v), refused(*words))
        for name in PLAIN
        for kind, v, words in (
            ("NaN", np.where(T == 7, np.nan, U), ("7",)),
            ("residuals above 1", U + 1, ("[0, 1]",)),
            ("one", U[:1], ("2",)),
            ("nothing", [], ("2",)),
            ("text", ["a"] * N, ("residuals",)),
            ("a fit", clean, ("simulate_residuals",)),
            ("a matrix", U[:, None], ("shape",)),
            ("complex residuals", U * 1j, ("residuals",)),
            ("None", lambda: None, ("residuals",)),
        )
    ),
    *(
        Case(f"{name} of plain residuals", outcome_of(name, res=U), refused("SimulatedResiduals"))
        for name in ("dispersion", "zero_inflation")
    ),
    *(
        Case(f"{test} against {kind}", ROWS[test](v), refused(*words))
        for test in NUMERIC
        for kind, v, words in (
            ("NaN", np.where(T == 7, np.nan, T), ("7",)),
            ("infinity", np.where(T == 7, np.inf, T), ("7",)),
            ("another length", T[:5], ("60",)),
            ("a matrix", np.ones((N, 2)), ("shape",)),
            ("an unknown column", "qq", ("'qq'",)),
            ("complex numbers", T * 1j, ("hold numbers",)),
            ("other labels", pd.Series(T, index=T + 100), ("labels",)),
        )
        if not (test in ("quantile", "heteroscedasticity") and kind == "a matrix")
    ),
    *(
        Case(f"{test} against {kind}", ROWS[test](v), same(ROWS[test](T), rtol=1e-12))
        for test in NUMERIC
        for kind, v in (
            ("integers", T.astype(int)),
            ("a list", T.tolist()),
            ("float32", T.astype("f4")),
            ("big-endian", T.astype(">f8")),
            ("Decimal", [Decimal(int(t)) for t in T]),
            ("nullable", pd.array(T, dtype="Float64")),
            ("a range", range(N)),
            ("a Series in another order", pd.Series(T)[::-1]),
            ("an Index", pd.Index(T)),
        )
    ),
    *(
        Case(f"{test} against values times {scale:g}", ROWS[test](T * scale), same(ROWS[test](T), rtol=1e-6))
        for test in ("quantile", "heteroscedasticity", "temporal_autocorrelation")
        for scale in (1e-300, 1e300)
    ),
    *(
        Case(
            f"spatial_autocorrelation of coordinates times {scale:g}",
            outcome_of("spatial_autocorrelation", T * scale, T[::-1] * scale),
            same(outcome_of("spatial_autocorrelation", T, T[::-1]), rtol=1e-6),
        )
        for scale in (1e-100, 1e100)
    ),
    *(
        Case(f"{test} against dates", ROWS[test](pd.date_range("2020", periods=N)), finite())
        for test in ("quantile", "heteroscedasticity", "temporal_autocorrelation")
    ),
    *(
        Case(f"{test} against a constant", ROWS[test](np.ones(N)), refused(*words))
        for test, words in (
            ("heteroscedasticity", ("constant",)),
            ("temporal_autocorrelation", ("distinct",)),
        )
    ),
    Case(
        "categories with unused levels",
        ROWS["categorical"](pd.Categorical(table()["g"], categories=list("abcdefgh"))),
        same(ROWS["categorical"]("g")),
    ),
    Case("categories of NaN", ROWS["categorical"]([np.nan] + ["a", "b"] * 29 + ["a"]), refused("categories", "0")),
    Case("one category", ROWS["categorical"](["a"] * N), finite()),
    Case("n categories", ROWS["categorical"](T), finite()),
    Case("categories of lists", ROWS["categorical"](pd.Series([[1], [2]] * 30)), refused("categories")),
    Case("categories of numbers and text", ROWS["categorical"](np.array([1, "a"] * 30, dtype=object)), finite()),
    Case("categories of another length", ROWS["categorical"](["a"]), refused("categories", "60")),
    Case("times twice", outcome_of("temporal_autocorrelation", np.repeat(np.arange(30), 2)), finite()),
    Case("times by group", outcome_of("temporal_autocorrelation", table()["t"], by="g"), finite()),
    Case("times by one row each", outcome_of("temporal_autocorrelation", T, by=T), refused("distinct")),
    Case("lags of 0", outcome_of("temporal_autocorrelation", T, method="ljung-box", lags=0), refused("lags")),
    Case("lags of 1000", outcome_of("temporal_autocorrelation", T, method="ljung-box", lags=1000), refused("lags")),
    Case("lags of text", outcome_of("temporal_autocorrelation", T, method="ljung-box", lags="a"), refused("lags")),
    Case("lags of 1.5", outcome_of("temporal_autocorrelation", T, method="ljung-box", lags=1.5), refused("lags")),
    Case("one place", outcome_of("spatial_autocorrelation", np.ones(N), np.ones(N)), refused("distinct places")),
    Case("one coordinate", outcome_of("spatial_autocorrelation", T), refused("both coordinates")),
    Case("latitude of 100", outcome_of("spatial_autocorrelation", T, T + 50, great_circle=True), refused("latitude")),
    Case("k of 0", outcome_of("spatial_autocorrelation", T, T, weights="knn", k=0), refused("k must")),
    Case("k of 1000", outcome_of("spatial_autocorrelation", T, T, weights="knn", k=1000), finite()),
    Case("k of text", outcome_of("spatial_autocorrelation", T, T, weights="knn", k="a"), refused("k")),
    Case(
        "radius of NaN", outcome_of("spatial_autocorrelation", T, T, weights="band", radius=np.nan), refused("radius")
    ),
    Case("radius of 0", outcome_of("spatial_autocorrelation", T, T, weights="band", radius=0), refused("radius")),
    Case(
        "radius of 1e-300",
        outcome_of("spatial_autocorrelation", T, T, weights="band", radius=1e-300),
        refused("radius"),
    ),
    Case("radius of 1e300", outcome_of("spatial_autocorrelation", T, T, weights="band", radius=1e300), finite()),
    *(
        Case(f"distances of {kind}", outcome_of("phylogenetic_autocorrelation", v), refused("distances"))
        for kind, v in (
            ("another size", np.ones((3, 3))),
            ("NaN", np.full((N, N), np.nan)),
            ("infinity", np.full((N, N), np.inf)),
            ("negative values", -np.ones((N, N))),
            ("text", np.full((N, N), "a")),
            ("a vector", T),
            ("None", None),
            ("asymmetric values", np.triu(np.ones((N, N)), 1)),
            ("complex values", np.ones((N, N)) * 1j),
        )
    ),
    *(
        Case(
            f"{test}({k}={v!r})",
            outcome_of(test, **({"statistic": np.mean} if test == "statistic" else {}), **{k: v}),
            refused(k),
        )
        for test, k, v in (
            ("dispersion", "alternative", "bigger"),
            ("dispersion", "method", "magic"),
            ("zero_inflation", "alternative", None),
            ("statistic", "alternative", 3),
            ("uniformity", "alternative", "bigger"),
            ("outlier", "alternative", "x"),
            ("quantile", "quantiles", ()),
            ("quantile", "quantiles", (0, 0.5)),
            ("quantile", "quantiles", (np.nan,)),
            ("quantile", "quantiles", ("a",)),
            ("quantile", "null", "x"),
            ("heteroscedasticity", "null", "x"),
            ("uniformity", "method", "x"),
        )
    ),
    *(
        Case(f"statistic of {name}", outcome_of("statistic", f), refused("statistic"))
        for name, f in (
            ("text", "mean"),
            ("None", None),
            ("NaN", lambda v: np.nan),
            ("text results", lambda v: "a"),
            ("vectors", lambda v: v),
        )
    ),
    Case(
        "dispersion of constants",
        outcome_of("dispersion", res=lambda: from_simulations(draws()[0] * 0, draws()[1] * 0)),
        refused("vary"),
    ),
    Case(
        "uniformity of one row",
        outcome_of("uniformity", res=lambda: from_simulations(draws()[0][:, :1], [3])),
        refused("2"),
    ),
    Case("outliers of one row", outcome_of("outlier", res=lambda: from_simulations(draws()[0][:, :1], [3])), finite()),
    Case(
        "zeros of counts of 1e12",
        outcome_of("zero_inflation", res=lambda: from_simulations(draws()[0] + 10**12, draws()[1] + 10**12)),
        finite(),
    ),
    Case(
        "dispersion of counts of 1e12",
        outcome_of("dispersion", res=lambda: from_simulations(draws()[0] + 10**12, draws()[1] + 10**12)),
        same(outcome_of("dispersion", res=drawn), rtol=1e-3),
    ),
    Case(
        "dispersion of values of 1e200",
        outcome_of("dispersion", res=lambda: from_simulations(draws()[0] * 1e200, draws()[1] * 1e200)),
        same(outcome_of("dispersion", res=drawn), rtol=1e-9),
    ),
    Case(
        "diagnose of one row",
        lambda: len(simresid.diagnose(from_simulations(draws()[0][:, :1], [3])).table),
        finite(),
    ),
    Case(
        "diagnose of constants",
        lambda: simresid.diagnose(from_simulations(draws()[0] * 0, draws()[1] * 0)).table["pvalue"].dropna(),
        finite(),
    ),
    Case("diagnose at level 5", lambda: simresid.diagnose(residuals(), alpha=5), refused("alpha")),
    Case("diagnose of plain residuals", lambda: simresid.diagnose(U), refused("SimulatedResiduals")),
    Case(
        "likelihood ratio of unnested fits", lambda: simresid.simulated_lrt(clean(), clean("w ~ x")), refused("respon")
    ),
    Case("likelihood ratio of numbers", lambda: simresid.simulated_lrt(1, 2), refused("model")),
]

# ---- teaching data -----------------------------------------------------------------------------------------
DATA = [
    Case(f"create_data({k}={v!r})", lambda k=k, v=v, o=o: simresid.create_data(**{k: v}, **o), refused(k))
    for k, v, o in (
        ("n", 0, {}),
        ("n", -1, {}),
        ("n", 1.5, {}),
        ("n", "a", {}),
        ("n", None, {}),
        ("n_groups", 0, {}),
        ("n_groups", 1000, {}),
        ("n_groups", 2.5, {}),
        ("intercept", np.nan, {}),
        ("intercept", np.inf, {}),
        ("intercept", "a", {}),
        ("fixed_effects", [], {}),
        ("fixed_effects", [np.nan], {}),
        ("fixed_effects", "a", {}),
        ("fixed_effects", [[1]], {}),
        ("quadratic_effects", [1, 2], {}),
        ("quadratic_effects", np.nan, {}),
        ("random_effect_sd", -1, {}),
        ("random_effect_sd", np.nan, {}),
        ("random_effect_sd", "a", {}),
        ("overdispersion", -1, {}),
        ("overdispersion", np.nan, {}),
        ("overdispersion", lambda e: e * np.nan, {}),
        ("overdispersion", lambda e: e[:3], {}),
        ("family", "poison", {}),
        ("family", None, {}),
        ("link", "lgo", {}),
        ("dispersion", 0, {}),
        ("dispersion", np.nan, {}),
        ("dispersion", np.inf, {}),
        ("correlation", 1, {}),
        ("correlation", np.nan, {}),
        ("zero_inflation", 1.5, {}),
        ("zero_inflation", np.nan, {}),
        ("trials", 0, {"family": "binomial"}),
        ("trials", 2, {}),
        ("trials", 1.5, {"family": "binomial"}),
        ("temporal_sd", -1, {}),
        ("temporal_range", 0, {"temporal_sd": 1.0}),
        ("spatial_sd", np.nan, {}),
        ("spatial_range", -1, {"spatial_sd": 1.0}),
        ("categorical_response", True, {}),
        ("n_replicates", 0, {}),
        ("n_replicates", 1.5, {}),
        ("rounded_poisson_sd", -1, {}),
        ("rounded_poisson_sd", 1, {"family": "gaussian"}),
        ("rng", -1, {}),
        ("rng", "a", {}),
        ("intercept", 1e3, {}),
        ("random_effect_sd", 1e6, {}),
        ("link", "inverse", {"family": "poisson"}),
        ("link", "log", {"family": "binomial", "intercept": 3.0}),
        ("link", "identity", {"family": "gamma", "intercept": -9.0}),
    )
] + [
    Case("create_data of one row", lambda: simresid.create_data(1, n_groups=1, rng=1), finite()),
    Case("create_data of two groups of one", lambda: simresid.create_data(2, n_groups=2, rng=1), finite()),
    Case(
        "create_data with everything",
        lambda: simresid.create_data(
            60,
            temporal_sd=1,
            spatial_sd=1,
            overdispersion=1,
            zero_inflation=0.3,
            correlation=0.5,
            fixed_effects=[1, 2],
            quadratic_effects=[1, 0],
            rng=1,
        ),
        finite(),
    ),
]


@zoo([*SIMULATIONS, *MODELS, *GROUPS, *TESTS, *DATA])
def test_residuals(case: Case) -> None:
    judge(case)
