"""Bad and extreme input of what a fit is asked for: predictions, simulations, refits, many responses."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import glmmcore
from glmmcore import FittedGLMM, fit_many, glmm

from .cage import Case, finite, holds, judge, refused, same, zoo
from .data import FORMULA, N, clean, put, table


@cache
def mixed() -> FittedGLMM:
    """A fit with a factor, a number, a transform and two bars."""
    return glmm("y ~ C(b) + x + scale(e) + (x||g)", table(), "poisson")


@cache
def counted() -> FittedGLMM:
    return clean("k ~ x + (1|g)", "binomial", trials="m")


# ---- predict ---------------------------------------------------------------------------------------------
def predict(newdata: Any, fit: Callable[[], FittedGLMM] = clean, **options: Any) -> Callable[[], Any]:
    return lambda: fit().predict(newdata() if callable(newdata) else newdata, **options)


def three(**columns: Any) -> pd.DataFrame:
    return table().iloc[[0, 20, 40]].assign(**columns)


def first_three() -> Any:
    return clean().predict(three())


SAME_ROWS: dict[str, Any] = {
    "list in a dict": lambda: {"x": three()["x"].tolist(), "g": three()["g"].tolist()},
    "object": lambda: three().astype(object),
    "nullable": lambda: three().convert_dtypes(),
    "category": lambda: three(g=pd.Categorical(three()["g"])),
    "category in another order": lambda: three(g=pd.Categorical(three()["g"], categories=list("fedcbaz"))),
    "float32": lambda: three(x=three()["x"].astype("f4")),
    "big-endian": lambda: three(x=three()["x"].astype(">f8")),
    "Decimal": lambda: three(x=[Decimal(int(v)) for v in three()["x"]]),
    "odd index": lambda: three().set_axis([7, 7, "a"]),
    "other columns too": lambda: three(y=np.nan, z=np.inf),
    "MultiIndex": lambda: three().set_axis(pd.MultiIndex.from_tuples([(0, 1), (0, 2), (1, 1)])),
}
PREDICT = [
    *(Case(f"new data of {name}", predict(d), same(first_three, rtol=1e-12)) for name, d in SAME_ROWS.items()),
    Case(
        "new data with rows twice",
        predict(lambda: pd.concat([three(), three()])),
        same(lambda: pd.concat([first_three()] * 2), rtol=1e-12),
    ),
    Case("no new rows", predict(lambda: three().iloc[:0]), holds(lambda p: len(p) == 0)),
    Case(
        "no new rows with intervals",
        predict(lambda: three().iloc[:0], level=0.9),
        holds(lambda p: p.shape == (0, 4)),
    ),
    Case(
        "missing in new data",
        predict(lambda: three(x=[1, np.nan, 1])).__call__
        and (lambda: clean().predict(three(x=[1, np.nan, 1])).isna().tolist()),
        holds(lambda p: p == [False, True, False]),
    ),
    Case(
        "everything missing in new data",
        lambda: clean().predict(three(x=np.nan), level=0.9).isna().to_numpy().ravel(),
        holds(lambda p: p.all()),
    ),
    Case("infinite in new data", predict(lambda: three(x=[1, np.inf, 1])), refused("'x'", "row 20")),
    Case("text in new data", predict(lambda: three(x=list("abc"))), refused("'x'", "numbers")),
    Case("dates in new data", predict(lambda: three(x=pd.date_range("2020", periods=3))), refused("'x'", "dates")),
    Case("missing column", predict(lambda: three().drop(columns="x")), refused("'x'", "new data")),
    Case("missing group column", predict(lambda: three().drop(columns="g")), refused("'g'", "new data")),
    Case(
        "missing group column not needed",
        predict(lambda: three().drop(columns="g"), random_effects="none"),
        same(lambda: clean().predict(three(), random_effects="none")),
    ),
    Case(
        "missing group column averaged",
        predict(lambda: three().drop(columns="g"), random_effects="average"),
        same(lambda: clean().predict(three(), random_effects="average")),
    ),
    Case("column twice", predict(lambda: pd.concat([three(), three()[["x"]]], axis=1)), refused("'x'")),
    Case("new level", predict(lambda: three(g=["a", "zz", "b"])), refused("'g'", "20", "new_levels")),
    Case(
        "new level allowed",
        predict(lambda: three(g="zz"), new_levels="zero"),
        same(lambda: clean().predict(three(), random_effects="none"), rtol=1e-12),
    ),
    Case("numbers for levels of text", predict(lambda: three(g=[1, 2, 3])), refused("'g'", "numbers")),
    Case(
        "missing group allowed",
        lambda: clean().predict(three(g=["a", None, "b"]), new_levels="zero").isna().tolist(),
        holds(lambda p: p == [False, True, False]),
    ),
    Case(
        "new level of a factor",
        predict(lambda: three(b=[0, 1, 2]), mixed),
        refused("'b'", "2.0" if False else "2", "not seen"),
    ),
    Case("level of a factor as text", predict(lambda: three(b=["0", "1", "0"]), mixed), refused("'b'")),
    Case(
        "one row to scale",
        predict(lambda: three().iloc[:1], mixed),
        same(lambda: mixed().predict(three()).iloc[:1], rtol=1e-12),
    ),
    Case(
        "covariate of 1e300",
        predict(lambda: three(x=1e300)),
        refused("of row", "kind='link'"),
    ),
    Case(
        "covariate that overflows the mean",
        predict(lambda: three(x=1e5)),
        refused("of row", "kind='link'"),
    ),
    Case("covariate of 1e5, link", predict(lambda: three(x=1e5), kind="link"), finite()),
    Case("new data as list", predict([1, 2]), refused("new data")),
    Case("new data as text", predict("new"), refused("new data")),
    Case("new data as number", predict(3), refused("new data")),
    Case("new data of unequal lengths", predict({"x": [1, 2], "g": ["a"]}), refused("new data")),
    Case("unknown kind", predict(None, kind="mean"), refused("kind", "'response'")),
    Case("kind None", predict(None, kind=None), refused("kind")),
    Case("zprob without zi", predict(None, kind="zprob"), refused("zi=")),
    Case("disp of poisson", predict(None, kind="disp"), refused("poisson")),
    Case("unknown effects", predict(None, random_effects="all"), refused("random_effects")),
    Case("effects of a group that is not there", predict(None, random_effects=["h"]), refused("random_effects")),
    Case("level of 95", predict(None, level=95), refused("level", "0.95")),
    Case("level of 0", predict(None, level=0), refused("level")),
    Case("level of NaN", predict(None, level=np.nan), refused("level")),
    Case("level as text", predict(None, level="0.95"), refused("level")),
    Case("unknown policy", predict(None, new_levels="skip"), refused("new_levels")),
    Case(
        "offset column missing",
        predict(lambda: three().drop(columns="e"), lambda: clean("y ~ x", offset="e")),
        refused("'e'"),
    ),
    Case(
        "offset array and new data",
        predict(three, lambda: glmm("y ~ x", table(), "poisson", offset=np.ones(N))),
        refused("offset"),
    ),
]


# ---- simulate ----------------------------------------------------------------------------------------------
def simulate(*arguments: Any, fit: Callable[[], FittedGLMM] = clean, **options: Any) -> Callable[[], Any]:
    return lambda: fit().simulate(*arguments, **options)


SIMULATE = [
    *(Case(f"n_sims={n!r}", simulate(n, rng=1), refused("n_sims")) for n in (0, -1, 1.5, "5", None, np.nan, [3])),
    Case("n_sims of numpy", simulate(np.int64(3), rng=1), same(simulate(3, rng=1))),
    *(
        Case(f"rng={rng!r}", simulate(3, rng=rng), refused("rng"))
        for rng in (-1, 1.5, "seed", np.nan, [1.5], np.random.RandomState)
    ),
    Case("seed sequence", simulate(3, rng=np.random.SeedSequence(1)), same(simulate(3, rng=1))),
    *(
        Case(f"random_effects={e!r}", simulate(3, random_effects=e), refused("random_effects"))
        for e in ("h", ["g", "h"], [], None, 3)[:2]
    ),
    Case("random_effects=None", simulate(3, random_effects=None), refused("random_effects")),
    Case("random_effects=3", simulate(3, random_effects=3), refused("random_effects")),
    Case("no group redrawn", simulate(3, rng=1, random_effects=[]), same(simulate(3, rng=1))),
    Case("group of a fit without", simulate(3, fit=lambda: clean("y ~ x"), random_effects=["g"]), refused("no groups")),
    Case("newdata with a new level", simulate(3, rng=1, newdata=three(g="zz")), refused("'g'")),
    Case(
        "newdata with a new level redrawn",
        simulate(3, rng=1, newdata=three(g="zz"), random_effects="unconditional"),
        finite(),
    ),
    Case("newdata with infinity", simulate(3, rng=1, newdata=three(x=np.inf)), refused("'x'")),
    Case("newdata without a column", simulate(3, rng=1, newdata=three().drop(columns="x")), refused("'x'")),
    Case(
        "newdata without trials",
        simulate(3, rng=1, newdata=three().drop(columns="m"), fit=counted),
        refused("trials"),
    ),
    Case(
        "newdata with negative trials",
        simulate(3, rng=1, newdata=three(), trials=[-1, 2, 3], fit=counted),
        refused("trials"),
    ),
    Case(
        "newdata with trials of NaN",
        simulate(3, rng=1, newdata=three(), trials=[np.nan, 2, 3], fit=counted),
        refused("trials"),
    ),
    Case(
        "newdata with trials of another length",
        simulate(3, rng=1, newdata=three(), trials=[1, 2], fit=counted),
        refused("trials"),
    ),
    Case(
        "newdata with trials of text",
        simulate(3, rng=1, newdata=three(), trials=list("abc"), fit=counted),
        refused("trials"),
    ),
    Case("newdata without rows", simulate(3, rng=1, newdata=three().iloc[:0]), holds(lambda s: s.shape == (3, 0))),
    Case(
        "mean of 1e15",
        simulate(3, rng=1, fit=lambda: glmm("y ~ 1", table(y=lambda d: d["y"] * 1e15), "poisson")),
        finite(),
    ),
    Case(
        "mean of 1e25",
        simulate(3, rng=1, fit=lambda: glmm("y ~ 1", table(y=lambda d: d["y"] * 1e25), "poisson")),
        finite(),
    ),
    Case(
        "nbinom2 of 1e15",
        simulate(3, rng=1, fit=lambda: glmm("y ~ 1", table(y=lambda d: d["y"] * 1e15), "nbinom2")),
        finite(),
    ),
    Case(
        "all zeros", simulate(3, rng=1, fit=lambda: glmm("y ~ x", table(y=0), "poisson")), holds(lambda s: not s.any())
    ),
    Case("cdf of another length", lambda: clean().cdf(np.ones(3)), refused("y ")),
    Case("cdf of NaN", lambda: clean().cdf(np.full(N, np.nan)), refused("cdf", "0")),
    Case("cdf of text", lambda: clean().cdf(["a"] * N), refused("y ")),
    Case("cdf of infinity", lambda: clean().cdf(np.full(N, np.inf)), holds(lambda c: (c[1] == 1).all())),
    Case("cdf below the support", lambda: clean().cdf(np.full(N, -5.0)), holds(lambda c: not np.any(c))),
    Case("cdf of 1e300", lambda: clean().cdf(np.full(N, 1e300)), holds(lambda c: (c[1] == 1).all())),
]


# ---- refit -------------------------------------------------------------------------------------------------
def refit(y: Any = None, fit: Callable[[], FittedGLMM] = clean, **options: Any) -> Callable[[], Any]:
    return lambda: fit().refit(y() if callable(y) else y, **options)


REFIT = [
    Case("refit to itself", refit(lambda: clean().observed), same(clean)),
    Case("refit to a list", refit(lambda: clean().observed.tolist()), same(clean)),
    Case("refit to int8", refit(lambda: clean().observed.astype("i1")), same(clean)),
    Case("refit to a nullable Series", refit(lambda: pd.Series(clean().observed, dtype="Int64")), same(clean)),
    Case("refit to a Series in another order", refit(lambda: pd.Series(clean().observed)[::-1]), refused("index")),
    Case("refit to nothing", refit(), refused("refit")),
    Case("refit to another length", refit([1, 2]), refused("shape")),
    Case("refit to a matrix", refit(lambda: clean().observed[:, None]), refused("shape")),
    Case("refit to NaN", refit(lambda: put("y", 7, np.nan)["y"].to_numpy()), refused("7")),
    Case("refit to infinity", refit(lambda: put("y", 7, np.inf)["y"].to_numpy()), refused("7")),
    Case(
        "refit to masked values", refit(lambda: np.ma.masked_array(clean().observed, np.arange(N) == 7)), refused("7")
    ),
    Case("refit to negative counts", refit(lambda: clean().observed - 5), refused("negative")),
    Case("refit to fractions", refit(lambda: clean().observed + 0.5), finite("non-integer")),
    Case("refit to text", refit(["a"] * N), refused("y")),
    Case("refit to complex", refit(np.ones(N) * 1j), refused("y")),
    Case("refit to dates", refit(pd.date_range("2020", periods=N)), refused("y")),
    Case("refit to a constant", refit(np.full(N, 4.0)), holds(lambda f: np.allclose(f.fitted, 4, rtol=1e-3))),
    Case("refit to zeros", refit(np.zeros(N)), holds(lambda f: abs(f.llf) < 1e-2)),
    Case(
        "refit of gaussian to a constant",
        refit(np.full(N, 4.0), lambda: clean("z ~ x + (1|g)", "gaussian")),
        refused("perfectly"),
    ),
    Case("refit to more successes than trials", refit(np.full(N, 99.0), counted), refused("trials")),
    Case("rows outside", refit(rows=[0, 999]), refused("rows")),
    Case("rows of floats", refit(rows=[0.0, 1.0]), refused("rows")),
    Case("no rows", refit(rows=[]), refused("rows")),
    Case("rows of one group", refit(rows=np.arange(10)), refused("'g'", "one level")),
    Case("short mask of rows", refit(rows=[True, False]), refused("rows")),
    Case("all rows", refit(rows=np.arange(N)), same(clean)),
    Case("many of another shape", lambda: clean().refit_many(np.ones((2, 3))), refused("shape")),
    Case("many of a vector", lambda: clean().refit_many(np.ones(N)), refused("shape")),
    Case("many of text", lambda: clean().refit_many([["a"] * N]), refused("y")),
    Case("many of none", lambda: clean().refit_many(np.ones((0, N))), holds(lambda m: len(m) == 0)),
    Case(
        "many with one of NaN and one negative",
        lambda: (
            clean()
            .refit_many(np.array([clean().observed, np.full(N, np.nan), -clean().observed - 1]))
            .error.str.len()
            .gt(10)
            .tolist()
        ),
        holds(lambda e: e == [False, True, True]),
    ),
]


# ---- fit_many ----------------------------------------------------------------------------------------------
def many(responses: Any = None, formula: str = "~ x + (1|g)", **options: Any) -> Callable[[], Any]:
    return lambda: fit_many(formula, table(), "poisson", responses=responses, **options)


def columns(**others: Any) -> pd.DataFrame:
    return pd.DataFrame({"y": table()["y"], "w": table()["w"], **others})


def clean_many() -> np.ndarray:
    fits = [clean(), clean("w ~ x + (1|g)")]
    return np.concatenate([[f.llf for f in fits], *[f.params for f in fits]])


MANY = [
    Case("names", many(["y", "w"]), same(clean_many, rtol=1e-5)),
    Case("frame", many(columns()), same(clean_many, rtol=1e-5)),
    Case("matrix", many(columns().to_numpy()), same(clean_many, rtol=1e-5)),
    Case(
        "Fortran matrix of int8", many(np.asfortranarray(columns().to_numpy(dtype="i1"))), same(clean_many, rtol=1e-5)
    ),
    Case("list of lists", many(columns().to_numpy().tolist()), same(clean_many, rtol=1e-5)),
    Case("nullable frame", many(columns().convert_dtypes()), same(clean_many, rtol=1e-5)),
    Case("object frame", many(columns().astype(object)), refused("'y'", "numbers")),
    Case("frame in another order", many(columns()[::-1]), refused("row labels")),
    Case("frame with a name twice", many(columns().set_axis(["y", "y"], axis=1)), refused("'y'")),
    Case("unknown names", many(["y", "yy"]), refused("'yy'")),
    Case("text column", many(["y", "g"]), refused("'g'")),
    Case("transposed matrix", many(columns().to_numpy().T), refused("(2, 60)")),
    Case("vector", many(columns()["y"].to_numpy()), refused("(60,)")),
    Case("no responses", many(np.ones((N, 0))), refused("(60, 0)")),
    Case("matrix of text", many(np.full((N, 2), "a")), refused("responses")),
    Case("complex matrix", many(np.ones((N, 2)) * 1j), refused("responses")),
    Case(
        "masked matrix",
        lambda: many(
            np.ma.masked_array(columns().to_numpy(dtype=float), np.arange(2 * N).reshape(N, 2) == 6)
        )().llf.to_numpy(),
        holds(
            lambda llf: np.allclose(
                llf, [glmm(FORMULA, table().drop(index=3), "poisson").llf, clean("w ~ x + (1|g)").llf]
            )
        ),
    ),
    Case("responses and groups", many(["y"], by="g"), refused("responses=", "by=")),
    Case("neither responses nor groups", many(), refused("responses=", "by=")),
    Case("transformed response", many(["y"], "log(y) ~ x"), refused("left side")),
    Case("no tilde", many(["y"], "x"), refused("'~'")),
    Case("formula None", many(["y"], None), refused("formula")),
    Case("response among predictors", many(["y"], "~ y"), refused("'y'")),
    Case(
        "one response of NaN, one negative",
        lambda: many(columns(n=np.nan, m=-1.0))().error.str.len().gt(10).tolist(),
        holds(lambda e: e == [False, False, True, True]),
    ),
    Case(
        "one response of infinity",
        lambda: many(columns(i=np.where(np.arange(N) == 3, np.inf, 1)))().error.str.len().gt(10).tolist(),
        holds(lambda e: e == [False, False, True]),
    ),
    Case("one response of zeros", many(columns(o=0)), finite()),
    Case("groups of a missing column", many(by="qq", formula="y ~ x"), refused("'qq'")),
    Case(
        "groups with missing labels",
        lambda: fit_many("y ~ x", table(g=lambda d: d["g"].where(d["g"] != "a")), "poisson", by="g").llf.to_numpy(),
        holds(lambda llf: len(llf) == 5),
    ),
    Case(
        "groups of one row",
        lambda: fit_many("y ~ x", table(r=range(N)), "poisson", by="r").error.str.len().gt(10).to_numpy(),
        holds(lambda e: e.all()),
    ),
    Case(
        "groups with weights",
        lambda: fit_many("y ~ x", table(), "poisson", by="g", freq_weights=table()["w"].to_numpy()).llf.to_numpy(),
        finite(),
    ),
    Case(
        "groups with a Series of weights in another order",
        lambda: fit_many("y ~ x", table(), "poisson", by="g", freq_weights=table()["w"][::-1]),
        refused("freq_weights"),
    ),
    Case(
        "groups with weights of another length",
        lambda: fit_many("y ~ x", table(), "poisson", by="g", freq_weights=np.ones(3)),
        refused("freq_weights"),
    ),
    Case("n_jobs of text", many(["y"], n_jobs="2"), refused("n_jobs")),
    Case("n_jobs of 0", many(["y"], n_jobs=0), refused("n_jobs")),
    Case("unknown response asked for", lambda: many(["y"])()["z"], refused("'z'")),
]

# ---- what else a fit is asked for ----------------------------------------------------------------------------
OTHERS = [
    *(
        Case(f"conf_int({k}={v!r})", lambda k=k, v=v: clean().conf_int(**{k: v}), refused(k))
        for k, v in (
            ("alpha", 0),
            ("alpha", 1),
            ("alpha", 5),
            ("alpha", np.nan),
            ("alpha", "x"),
            ("method", "bayes"),
            ("method", None),
            ("parameters", "fixed"),
        )
    ),
    Case("compare of nothing", lambda: glmmcore.compare(), refused("compare")),
    Case("compare of one", lambda: glmmcore.compare(clean()), refused("two")),
    Case("compare of something else", lambda: glmmcore.compare(clean(), 3), refused("FittedGLMM")),
    Case(
        "compare of different rows",
        lambda: glmmcore.compare(clean(), glmm("y ~ 1 + (1|g)", table().iloc[:50], "poisson")),
        refused("rows"),
    ),
    Case(
        "compare of different responses", lambda: glmmcore.compare(clean(), clean("w ~ 1 + (1|g)")), refused("response")
    ),
    Case("marginal means of a missing term", lambda: glmmcore.marginal_means(clean(), "qq"), refused("'qq'")),
    Case("marginal means of None", lambda: glmmcore.marginal_means(clean(), None), refused("variables")),
    Case("marginal means of a group", lambda: glmmcore.marginal_means(clean(), "g"), refused("'g'")),
    Case(
        "marginal means of an unknown kind",
        lambda: glmmcore.marginal_means(clean("y ~ g"), "g", kind="mean"),
        refused("kind"),
    ),
    Case("group leverage of another length", lambda: clean().group_leverage(np.zeros(3, dtype=int)), refused("codes")),
    Case("group leverage of floats", lambda: clean().group_leverage(np.full(N, 0.5)), refused("codes")),
    Case("unknown residuals", lambda: clean().residuals("raw"), refused("kind")),
]


@zoo([*PREDICT, *SIMULATE, *REFIT, *MANY, *OTHERS])
def test_fits(case: Case) -> None:
    judge(case)
