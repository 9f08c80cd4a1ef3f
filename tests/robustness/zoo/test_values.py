"""NaN, infinity and extreme numbers in every argument of a fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from glmmcore import FittedGLMM, glmm

from .cage import Case, Result, finite, holds, judge, refused, require_finite, same, zoo
from .data import FORMULA, N, clean, put, table

FAMILIES = {  # a response of the clean table that suits each family, and further arguments
    "gaussian": ("z", {}),
    "t": ("z", {}),
    "skewnormal": ("z", {}),
    "binomial": ("k", {"trials": "m"}),
    "betabinomial": ("k", {"trials": "m"}),
    "beta": ("p", {}),
    "ordbeta": ("p", {}),
    "gamma": ("e", {}),
    "lognormal": ("e", {}),
    "tweedie": ("e", {}),
    "poisson": ("y", {}),
    "nbinom1": ("y", {}),
    "nbinom2": ("y", {}),
    "nbinom12": ("y", {}),
    "genpois": ("y", {}),
    "compois": ("y", {}),
    "bell": ("y", {}),
    "truncated_poisson": ("w", {}),
    "truncated_nbinom1": ("w", {}),
    "truncated_nbinom2": ("w", {}),
}


def fit(data: pd.DataFrame | None = None, family: str = "poisson", formula: str = FORMULA, **arguments: Any) -> Any:
    return lambda: glmm(formula, table() if data is None else data, family, **arguments)


def without(*rows: int) -> Callable[[], FittedGLMM]:
    return lambda: glmm(FORMULA, table().drop(index=list(rows)), "poisson")


# ---- missing and infinite -------------------------------------------------------------------------------
MISSING = [
    *(Case(f"missing in column {c}", fit(put(c, 7, np.nan)), same(without(7))) for c in ("y", "x")),
    Case("missing group", fit(put("g", 7, "a").assign(g=lambda d: d["g"].mask(d.index == 7))), same(without(7))),
    Case("missing in a column that is not used", fit(put("z", 7, np.nan)), same(clean)),
    Case("infinite in a column that is not used", fit(put("z", 7, np.inf)), same(clean)),
    *(
        Case(
            f"missing in {name}",
            fit(**{name: np.where(np.arange(N) == 7, np.nan, value)}),
            same(lambda: glmm(FORMULA, table().drop(index=7), "poisson")),
        )
        for name, value in (("offset", 0.0), ("freq_weights", 1.0))
    ),
    Case(
        "missing everywhere but in one row",
        fit(table(x=np.where(np.arange(N) == 3, 1.0, np.nan))),
        refused("1 complete row", "too few"),
    ),
    Case("every row missing something", fit(table(x=[1.0, np.nan] * 30, y=[np.nan, 1.0] * 30)), refused("every row")),
    Case(
        "infinite and missing in one row",
        fit(put("x", 7, np.inf).assign(y=lambda d: d["y"].where(d.index != 7))),
        same(without(7)),
    ),
    *(
        Case(f"{value} in column {c}", fit(put(c, 7, value)), refused(f"column '{c}'", "row 7"))
        for c in ("y", "x")
        for value in (np.inf, -np.inf)
    ),
    *(
        Case(f"{value} in {name}", fit(**{name: np.where(np.arange(N) == 7, value, 1.0)}), refused(name, "row 7"))
        for name in ("offset", "freq_weights")
        for value in (np.inf, -np.inf)
    ),
    Case(
        "infinite trials",
        fit(formula="k ~ x", family="binomial", trials=np.where(np.arange(N) == 7, np.inf, 9.0)),
        refused("trials", "row 7"),
    ),
    Case(
        "infinite weight of gaussian",
        fit(formula="z ~ x", family="gaussian", var_weights=np.where(np.arange(N) == 7, np.inf, 1.0)),
        refused("var_weights", "row 7"),
    ),
    Case(
        "missing trials",
        fit(formula="k ~ x", family="binomial", trials=np.where(np.arange(N) == 7, np.nan, 9.0)),
        same(lambda: glmm("k ~ x", table().drop(index=7), "binomial", trials=np.full(N - 1, 9.0))),
    ),
    Case("log of a negative value", fit(formula="y ~ log(x - 2)"), refused("log(x - 2)", "row")),
    Case("log of zero", fit(formula="y ~ log(x)"), refused("log(x)", "row")),
    Case("division by zero", fit(formula="y ~ I(1/x)"), refused("1 / x", "row 5")),
    Case("overflow in a formula", fit(formula="y ~ exp(1000*x)"), refused("exp", "row")),
    Case("group level called nan", fit(table(g=np.where(table()["g"] == "a", "nan", table()["g"]))), same(clean)),
    Case("infinite response of log", fit(formula="log(y) ~ x", family="gaussian"), refused("log(y)", "row")),
    *(
        Case(
            f"{value} in the response of {family}", fit(put(c, 7, value), family, f"{c} ~ x", **more), refused("row 7")
        )
        for family, (c, more) in FAMILIES.items()
        for value in (np.inf,)
    ),
    *(
        Case(
            f"missing in the response of {family}",
            fit(put(c, 7, np.nan), family, f"{c} ~ x", **more),
            same(
                lambda c=c, family=family, more=more: glmm(f"{c} ~ x", table().drop(index=7), family, **more), rtol=1e-5
            ),
        )
        for family, (c, more) in FAMILIES.items()
        if family in ("gaussian", "binomial", "beta", "nbinom2", "gamma")
    ),
]

# ---- arguments of a row ---------------------------------------------------------------------------------
ROWS = [
    Case("weight of zero", fit(freq_weights=np.where(np.arange(N) == 7, 0.0, 1.0)), refused("freq_weights", "row 7")),
    Case(
        "negative weight",
        fit(freq_weights=np.where(np.arange(N) == 7, -1.0, 1.0)),
        refused("freq_weights", "-1", "row 7"),
    ),
    Case(
        "negative weight of gaussian",
        fit(formula="z ~ x", family="gaussian", var_weights=-np.ones(N)),
        refused("var_weights", "row 0"),
    ),
    Case("weights for counts", fit(var_weights="w"), refused("var_weights", "gaussian")),
    Case("weights of text", fit(freq_weights="g"), refused("'g'")),
    Case("weights of texts of numbers", fit(freq_weights=["a"] * N), refused("freq_weights")),
    Case("weights of another length", fit(freq_weights=np.ones(N + 1)), refused("freq_weights", "61", "60")),
    Case("matrix of weights", fit(freq_weights=np.ones((N, 1))), refused("freq_weights", "shape")),
    Case(
        "Series of weights with another index",
        fit(freq_weights=pd.Series(np.ones(N), index=np.arange(N) + 1)),
        refused("freq_weights", "index"),
    ),
    Case("Series of weights in another order", fit(freq_weights=table()["w"][::-1]), refused("freq_weights", "index")),
    Case("weights from a missing column", fit(freq_weights="ww"), refused("'ww'", "'w'")),
    Case("offset of dates", fit(offset=pd.date_range("2020", periods=N)), refused("offset")),
    Case("offset of complex", fit(offset=np.ones(N) * 1j), refused("offset")),
    Case("offset of booleans", fit(offset=np.ones(N, dtype=bool)), holds(lambda f: abs(f.llf - clean().llf) < 1e-6)),
    Case("scalar offset", fit(offset=1.0), holds(lambda f: abs(f.llf - clean().llf) < 1e-6)),
    Case("None among weights", fit(freq_weights=[None] + [1.0] * (N - 1)), same(without(0))),
    Case("nullable weights", fit(freq_weights=pd.array([pd.NA] + [1.0] * (N - 1), dtype="Float64")), same(without(0))),
    Case("masked weights", fit(freq_weights=np.ma.masked_array(np.ones(N), np.arange(N) == 0)), same(without(0))),
    Case(
        "huge equal weights",
        fit(formula="y ~ x", freq_weights=np.full(N, 1e9)),
        holds(
            lambda f: (
                np.allclose(f.params, clean("y ~ x").params, rtol=1e-6)
                and np.allclose(f.bse * 1e9**0.5, clean("y ~ x").bse, rtol=1e-4)
            )
        ),
    ),
    Case(
        "huge equal weights of gaussian",
        fit(formula="z ~ x", family="gaussian", var_weights=np.full(N, 1e12)),
        holds(lambda f: np.allclose(f.params, clean("z ~ x", "gaussian").params)),
    ),
    Case(
        "tiny equal weights of gaussian",
        fit(formula="z ~ x + (1|g)", family="gaussian", var_weights=np.full(N, 1e-12)),
        holds(
            lambda f: (
                np.allclose(f.params, clean("z ~ x + (1|g)", "gaussian").params, rtol=1e-4)
                and abs(f.llf - clean("z ~ x + (1|g)", "gaussian").llf) < 1e-4
            )
        ),
    ),
    Case(
        "one enormous weight",
        fit(formula="z ~ x", family="gaussian", var_weights=np.where(np.arange(N) == 7, 1e12, 1.0)),
        holds(lambda f: abs(f.fitted[7] - table()["z"][7]) < 1e-5),
    ),
    Case(
        "proportions without trials",
        fit(table(k=lambda d: d["k"] / d["m"]), "binomial", "k ~ x"),
        finite("non-integer"),
    ),
    Case(
        "proportions with trials",
        fit(table(k=lambda d: d["k"] / d["m"]), "binomial", "k ~ x", trials="m"),
        same(lambda: clean("k ~ x", "binomial", trials="m")),
    ),
    Case(
        "more successes than trials",
        fit(put("k", 7, 99), "binomial", "k ~ x", trials="m"),
        refused("'k' exceeds", "row 7"),
    ),
    Case("trials for counts", fit(trials=np.full(N, 99)), refused("trials", "poisson")),
    Case("negative trials", fit(put("m", 7, -1), "binomial", "k ~ x", trials="m"), refused("row 7")),
    Case(
        "no trials in a row",
        fit(put("m", 7, 0).assign(k=lambda d: d["k"].where(d.index != 7, 0)), "binomial", "k ~ x", trials="m"),
        holds(lambda f: abs(f.llf - glmm("k ~ x", table().drop(index=7), "binomial", trials="m").llf) < 1e-8),
    ),
    Case("no trials at all", fit(table(k=0, m=0), "binomial", "k ~ x", trials="m"), refused("trials")),
    Case(
        "successes and failures both negative",
        fit(table(f=-1), "binomial", "cbind(k, f) ~ x"),
        refused("'f'", "negative"),
    ),
    Case(
        "1e9 trials",
        fit(table(m=1e9, k=lambda d: d["k"] * 1e7), "binomial", "k ~ 1", trials="m"),
        holds(lambda f: np.isclose(f.fitted[0] / 1e9, table()["k"].mean() * 0.01, rtol=1e-9)),
    ),
]


# ---- extreme numbers ------------------------------------------------------------------------------------
def scaled(factor: float) -> Result:
    """The slope takes the factor back, the rest stays."""

    def check(f: FittedGLMM) -> bool:
        return np.isclose(f.llf, clean().llf, rtol=1e-8) and np.isclose(
            f.params["x"] * factor, clean().params["x"], rtol=1e-4
        )

    return holds(check)


def shifted(by: float) -> Result:
    """The intercept takes the offset back, the rest stays."""

    def check(f: FittedGLMM) -> bool:
        expected = clean().params - [by, 0]
        return np.isclose(f.llf, clean().llf, rtol=1e-7) and np.allclose(f.params, expected, rtol=1e-4, atol=1e-4)

    return holds(check)


EXTREMES = [
    *(
        Case(f"covariate times {factor:g}", fit(table(x=lambda d, factor=factor: d["x"] * factor)), scaled(factor))
        for factor in (1e-130, 1e-100, 1e-20, 1e-10, 1e10, 1e20, 1e100, 1e130)
    ),
    *(
        Case(
            f"covariate times {factor:g}",
            fit(table(x=lambda d, factor=factor: d["x"] * factor)),
            refused("'x'", "units"),
        )
        for factor in (1e-300, 1e-200, 1e-150, 1e150, 1e200, 1e300)
    ),
    *(
        Case(
            f"covariate times {factor:g} in a random slope",
            fit(table(v=lambda d, factor=factor: d["x"] * factor), formula="y ~ 1 + (0 + v|g)"),
            refused("'v'", "units"),
        )
        for factor in (1e-300, 1e300)
    ),
    *(
        Case(
            f"covariate times {factor:g} of gaussian",
            fit(table(x=lambda d, factor=factor: d["x"] * factor), "gaussian", "z ~ x + (1|g)"),
            holds(lambda f: np.isclose(f.llf, clean("z ~ x + (1|g)", "gaussian").llf, rtol=1e-7)),
        )
        for factor in (1e-130, 1e130)
    ),
    *(
        Case(
            f"response of gaussian times {factor:g}",
            fit(table(z=lambda d, factor=factor: d["z"] * factor), "gaussian", "z ~ x + (1|g)"),
            refused("'z'", "units"),
        )
        for factor in (1e-300, 1e-200, 1e200, 1e300)
    ),
    *(
        Case(
            f"response of {family} times {factor:g}",
            fit(table(e=lambda d, factor=factor: d["e"] * factor), family, "e ~ x"),
            holds(
                lambda f, factor=factor, family=family: np.isclose(
                    f.params["x"], clean("e ~ x", family).params["x"], rtol=1e-3
                )
            ),
        )
        for factor in (1e-12, 1e-100, 1e12, 1e100)
        for family in ("gamma", "lognormal")
    ),
    *(
        Case(
            f"response of tweedie times {factor:g}",
            fit(table(e=lambda d, factor=factor: d["e"] * factor), "tweedie", "e ~ x"),
            finite(),
        )
        for factor in (1e-12, 1e12)
    ),
    *(
        Case(
            f"response of gaussian times {factor:g}",
            fit(table(z=lambda d, factor=factor: d["z"] * factor), "gaussian", "z ~ x + (1|g)"),
            holds(
                lambda f, factor=factor: np.allclose(
                    f.params / factor, clean("z ~ x + (1|g)", "gaussian").params, rtol=1e-4
                )
            ),
        )
        for factor in (1e-130, 1e-100, 1e-20, 1e-8, 1e8, 1e20, 1e100, 1e130)
    ),
    *(
        Case(
            f"covariate plus {shift:g}",
            fit(table(x=lambda d, shift=shift: d["x"] + shift)),
            holds(lambda f: np.isclose(f.llf, clean().llf, rtol=1e-6)),
        )
        for shift in (1e3, 1e5, 1e6)
    ),
    Case("covariate plus 1e15", fit(table(x=lambda d: d["x"] + 1e15)), finite("linear combinations")),
    *(Case(f"offset of {by:g}", fit(offset=np.full(N, by)), shifted(by)) for by in (-700.0, -100.0, 100.0, 700.0)),
    Case("offset of 1e300", fit(offset=np.full(N, 1e300)), refused("offset")),
    Case(
        "offsets of +-700",
        fit(formula="y ~ x", offset=np.where(np.arange(N) % 2, 700.0, -700.0)),
        holds(lambda f: not f.converged and f.verdict[0].startswith("Not converged")),
    ),
    *(
        Case(
            f"mean of {scale:g} counts",
            fit(table(y=lambda d, scale=scale: d["y"] * scale), formula="y ~ 1"),
            holds(
                lambda f, scale=scale: np.isclose(f.params["Intercept"], np.log(table()["y"].mean() * scale), rtol=1e-9)
            ),
        )
        for scale in (1e3, 1e6, 1e9, 1e12)
    ),
    *(
        Case(
            f"mean of {scale:g} counts, {family}",
            fit(table(y=lambda d, scale=scale: (d["y"] + 1) * scale), family, "y ~ 1"),
            holds(
                lambda f, scale=scale: np.isclose(
                    f.params["Intercept"], np.log((table()["y"] + 1).mean() * scale), rtol=2e-2
                )
            ),
        )
        for scale in (1e6, 1e12)
        for family in ("nbinom1", "nbinom2", "truncated_nbinom2", "tweedie", "gamma", "lognormal")
    ),
    *(
        Case(
            f"mean of 1e6 counts, {family}",
            fit(table(y=lambda d: 1_000_000 + d["y"] * 1000), family, "y ~ 1"),
            finite(),
        )
        for family in ("genpois", "nbinom12", "truncated_poisson", "truncated_nbinom1")
    ),
    Case("mean of 1e4 counts, compois", fit(table(y=lambda d: 10_000 + d["y"] * 20), "compois", "y ~ 1"), finite()),
    Case("mean of 100 counts, bell", fit(table(y=lambda d: 100 + d["y"]), "bell", "y ~ 1"), finite()),
    Case("subnormal covariate", fit(table(x=lambda d: d["x"] * 5e-324)), refused("'x'", "units")),
    Case("covariate from 1e-300 to 1e300", fit(table(x=np.geomspace(1e-300, 1e300, N))), refused("'x'", "units")),
    Case("negative zero", fit(table(x=lambda d: np.where(d["x"] == 0, -0.0, d["x"]))), same(clean)),
    Case(
        "beta next to 0 and 1", fit(table(p=np.where(np.arange(N) % 2, 1e-300, 1 - 1e-16)), "beta", "p ~ 1"), finite()
    ),
    Case("gamma next to 0", fit(table(e=np.geomspace(1e-300, 1.0, N)), "gamma", "e ~ 1"), finite()),
    Case("lognormal next to 0", fit(table(e=np.geomspace(1e-9, 1.0, N)), "lognormal", "e ~ 1"), finite()),
    Case(
        "summary of an overflowing dispersion",
        fit(table(e=np.geomspace(1e-30, 1.0, N)), "lognormal", "e ~ 1"),
        Result(lambda f: f.summary() and require_finite(f.llf)),
    ),
    Case("t with a response of 1e100", fit(put("z", 7, 1e100), "t", "z ~ x"), refused("other units")),
    Case("gaussian with an outlier of 1e100", fit(put("z", 7, 1e100), "gaussian", "z ~ x"), finite()),
]

# ---- outside the support ---------------------------------------------------------------------------------
SUPPORT = [
    Case(
        f"{value:g} for {family}",
        fit(put(FAMILIES[family][0], 7, value), family, f"{FAMILIES[family][0]} ~ x", **FAMILIES[family][1]),
        refused("row 7"),
    )
    for family, value in [
        ("poisson", -1),
        ("nbinom1", -1),
        ("nbinom2", -1),
        ("nbinom12", -1),
        ("genpois", -1),
        ("compois", -1),
        ("bell", -1),
        ("binomial", -1),
        ("betabinomial", -1),
        ("beta", 0),
        ("beta", 1),
        ("beta", -0.1),
        ("beta", 1.1),
        ("ordbeta", -0.1),
        ("ordbeta", 1.1),
        ("gamma", 0),
        ("gamma", -1),
        ("lognormal", 0),
        ("lognormal", -1),
        ("tweedie", -1),
        ("truncated_poisson", 0),
        ("truncated_nbinom1", 0),
        ("truncated_nbinom2", 0),
        ("truncated_poisson", -1),
    ]
] + [
    Case(
        f"fraction for {family}",
        fit(put(FAMILIES[family][0], 7, 1.5), family, f"{FAMILIES[family][0]} ~ x", **FAMILIES[family][1]),
        finite("non-integer"),
    )
    for family in ("poisson", "nbinom1", "nbinom2", "binomial", "betabinomial", "truncated_poisson")
]


@zoo([*MISSING, *ROWS, *EXTREMES, *SUPPORT])
def test_values(case: Case) -> None:
    judge(case)
