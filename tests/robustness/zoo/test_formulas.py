"""Odd names, odd tables and huge or senseless formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from glmmcore import FittedGLMM, glmm

from .cage import Case, finite, holds, judge, refused, same, zoo
from .data import FORMULA, N, clean, table


def fit(
    formula: str = FORMULA, data: Any = None, family: str = "poisson", **arguments: Any
) -> Callable[[], FittedGLMM]:
    return lambda: glmm(formula, table() if data is None else data, family, **arguments)


def named(name: Any, formula: str | None = None) -> Callable[[], FittedGLMM]:
    """The clean fit with x called otherwise."""
    return fit(formula or f"y ~ {name} + (1|g)", table().rename(columns={"x": name}))


# ---- names of columns ------------------------------------------------------------------------------------
PLAIN = [
    "größe",
    "変数",
    "имя",
    "_x",
    "__x__",
    "x1",
    "X",
    "x.1",
    "x_1",
    "T",
    "l",
    "µ",
    "ﬁ",
    "Ⅷ",
    "x²".replace("²", "2"),
]
SHADOWS = ["log", "exp", "C", "I", "np", "offset", "cbind", "pi", "scale", "center", "poly", "bs", "factor", "ar1"]
SHADOWS += ["cs", "diag", "Treatment", "contr", "Intercept", "response", "weights", "data", "index", "cond", "self"]
KEYWORDS = ["if", "class", "lambda", "None", "True", "def", "in"]
QUOTED = [
    "my x",
    "x-1",
    "x+y",
    "1x",
    "x:y",
    "x|y",
    "(x)",
    "~",
    "x ",
    " x",
    "a'b",
    'a"b',
    "x\ty",
    "😀",
    "1",
    "x,y",
    "{x}",
]
QUOTED += ["[x]", "%x%", "#x", "x\\y", "x*y", "log(x)", "np.log(x)", "C(x)", "x²", "if", "True", "0.5", "$x", "x\ny"]

NAMES = [
    *(Case(f"plain name {name!r}", named(name), same(clean)) for name in PLAIN),
    *(Case(f"name of a function or constant {name!r}", named(name), same(clean)) for name in SHADOWS),
    *(Case(f"quoted name {name!r}", named(name, f"y ~ `{name}` + (1|g)"), same(clean)) for name in QUOTED),
    *(Case(f"keyword {name!r}", named(name), same(clean)) for name in ("class", "lambda")),
    *(
        Case(
            f"quoted response {name!r}", fit(f"`{name}` ~ x + (1|g)", table().rename(columns={"y": name})), same(clean)
        )
        for name in ("my y", "log(y)", "y ~ z", "if")
    ),
    *(
        Case(f"quoted group {name!r}", fit(f"y ~ x + (1|`{name}`)", table().rename(columns={"g": name})), same(clean))
        for name in ("my g", "a:b", "a/b", "1", "if", "größe 1")
    ),
    *(
        Case(f"offset called {name!r}", fit(data=table(**{name: 0.0}), offset=name), same(clean))
        for name in ("o o", "offset", "log", "if")
    ),
    Case(
        "column of logs called log",
        fit("y ~ log(log + 1) + (1|g)", table().rename(columns={"x": "log"})),
        same(lambda: clean("y ~ log(x + 1) + (1|g)")),
    ),
    Case(
        "quoted name in a call",
        fit("y ~ log(`my x` + 1) + (1|g)", table().rename(columns={"x": "my x"})),
        same(lambda: clean("y ~ log(x + 1) + (1|g)")),
    ),
    Case(
        "quoted name in a factor",
        fit("y ~ C(`my x`)", table().rename(columns={"x": "my x"})),
        same(lambda: clean("y ~ C(x)")),
    ),
    Case(
        "column called np and numpy",
        fit("y ~ np + np.log(x + 1)", table(np=table()["b"])),
        same(lambda: clean("y ~ b + np.log(x + 1)")),
    ),
    Case(
        "integer column names", fit("y ~ x + (1|g)", table().assign(**{"7": 1}).rename(columns={"7": 7})), same(clean)
    ),
    Case("asked for an integer name", fit("y ~ `7`", table().rename(columns={"x": 7})), refused("'7'")),
    Case("None as column name", fit(data=table().rename(columns={"z": None})), same(clean)),
    Case(
        "tuple as column name",
        fit(data=table().set_axis([("z", 1) if c == "z" else c for c in table()], axis=1)),
        same(clean),
    ),
    Case("unknown name", fit("y ~ xx"), refused("'xx'", "did you mean 'x'")),
    Case("name in other case", fit("y ~ Z"), refused("'Z'", "did you mean 'z'")),
    Case("name with a typo in a call", fit("y ~ log(xx)"), refused("'xx'")),
    Case("unknown function", fit("y ~ foo(x)"), refused("'foo'", "not known")),
]

# ---- odd tables --------------------------------------------------------------------------------------------
MULTI = pd.MultiIndex.from_product([list("abcdef"), range(10)], names=["i", "j"])
TABLES = [
    Case(
        "duplicated column in use",
        fit(data=pd.concat([table(), table()[["x"]]], axis=1)),
        refused("more than one column 'x'"),
    ),
    Case(
        "duplicated response",
        fit(data=pd.concat([table(), table()[["y"]]], axis=1)),
        refused("more than one column 'y'"),
    ),
    Case(
        "duplicated group", fit(data=pd.concat([table(), table()[["g"]]], axis=1)), refused("more than one column 'g'")
    ),
    Case(
        "duplicated offset",
        fit(data=pd.concat([table(), table()[["z"]]], axis=1), offset="z"),
        refused("more than one column 'z'"),
    ),
    Case("duplicated column not in use", fit(data=pd.concat([table(), table()[["z"]]], axis=1)), same(clean)),
    Case("duplicated index", fit(data=table().set_axis(np.zeros(N, dtype=int))), same(clean)),
    Case(
        "duplicated index and a missing value",
        fit(data=table(x=lambda d: d["x"].where(d.index != 3)).set_axis(np.zeros(N, dtype=int))),
        same(lambda: glmm(FORMULA, table().drop(index=3), "poisson")),
    ),
    Case("MultiIndex of rows", fit(data=table().set_axis(MULTI)), same(clean)),
    Case(
        "MultiIndex and a missing value",
        fit(data=table(x=lambda d: d["x"].where(d.index != 3)).set_axis(MULTI)),
        same(lambda: glmm(FORMULA, table().drop(index=3), "poisson")),
    ),
    Case(
        "MultiIndex and an infinite value",
        fit(data=table(x=lambda d: d["x"].astype(float).where(d.index != 3, np.inf)).set_axis(MULTI)),
        refused("'x'", "row ('a', 3)"),
    ),
    Case(
        "MultiIndex of columns",
        fit(data=table().set_axis(pd.MultiIndex.from_product([table().columns, ["v"]]), axis=1)),
        refused("2 levels"),
    ),
    Case("index of dates", fit(data=table().set_axis(pd.date_range("2020", periods=N))), same(clean)),
    Case("index of floats and NaN", fit(data=table().set_axis([np.nan] * 30 + list(range(30)))), same(clean)),
    Case("index of mixed types", fit(data=table().set_axis([None, "a", 1.5] * 20)), same(clean)),
    Case("index called as a column", fit(data=table().rename_axis("x")), same(clean)),
    Case("only in the index", fit(data=table().set_index("x")), refused("'x'")),
    Case(
        "rows in another order",
        fit(data=table().sample(frac=1, random_state=1)),
        holds(lambda f: np.isclose(f.llf, clean().llf, rtol=1e-9)),
    ),
    Case(
        "every second row of a frame",
        fit(data=pd.concat([table(), table()]).sort_index(kind="stable").iloc[::2]),
        same(clean),
    ),
    Case("read-only frame with attributes", fit(data=table().set_flags(allows_duplicate_labels=False)), same(clean)),
    Case(
        "thousand further columns",
        fit(data=pd.concat([table(), pd.DataFrame(np.ones((N, 1000)), index=table().index)], axis=1)),
        same(clean),
    ),
    Case("no rows", fit(data=table().iloc[:0]), refused("no rows")),
    Case("no columns", fit(data=table()[[]]), refused("'x'")),
    Case("one row", fit(data=table().iloc[:1]), refused("1 complete rows")),
    Case("one row without groups", fit("y ~ x", table().iloc[:1]), refused("1 complete rows", "2")),
    Case(
        "one row, intercept",
        fit("y ~ 1", table(y=3).iloc[:1]),
        holds(lambda f: np.isclose(f.params["Intercept"], np.log(3))),
    ),
    Case("one row, intercept of gaussian", fit("z ~ 1", table().iloc[:1], "gaussian"), refused("perfectly")),
    Case(
        "two rows",
        fit("y ~ x", table(y=[1, 2] * 30, x=[0, 1] * 30).iloc[:2]),
        holds(lambda f: np.allclose(f.fitted, [1, 2], rtol=1e-5)),
    ),
    Case("two rows of gaussian", fit("z ~ x", table(x=[0, 1] * 30).iloc[:2], "gaussian"), refused("perfectly")),
    Case("as many groups as rows", fit("y ~ x + (1|t)", table(t=range(N))), finite()),
    Case(
        "as many groups as rows of gaussian",
        fit("z ~ x + (1|t)", table(t=range(N)), "gaussian"),
        holds(lambda f: "cannot be told apart" in " ".join(f.verdict)),
    ),
    Case("two groups", fit("y ~ x + (1|h)", table(h=[0, 1] * 30)), finite()),
    Case("one group", fit("y ~ x + (1|h)", table(h=0)), refused("'h'", "one level")),
    Case("one group in an interaction", fit("y ~ x + (1|h:k)", table(h=0, k=1)), refused("'h:k'", "one level")),
    Case("one huge and many single groups", fit("y ~ x + (1|h)", table(h=np.maximum(np.arange(N) - 40, 0))), finite()),
    Case(
        "empty cells of an interaction",
        fit("y ~ g * C(w)", table(w=np.where(np.arange(N) < 10, 1, [1, 2] * 30))),
        finite("dropped"),
    ),
    Case("nested groups with the same labels", fit("y ~ x + (1|g/t)"), finite()),
    Case("crossed groups with empty cells", fit("y ~ x + (1|g) + (1|t)", table().iloc[::3]), finite()),
]

# ---- constant, collinear, separated ----------------------------------------------------------------------------
SEPARATED = table(b=(table()["x"] > 2).astype(int))
DEGENERATE = [
    Case("all zeros of counts", fit(data=table(y=0)), holds(lambda f: (f.fitted < 1e-3).all() and abs(f.llf) < 1e-2)),
    Case("all zeros of nbinom2", fit("y ~ x", table(y=0), "nbinom2"), holds(lambda f: abs(f.llf) < 1e-2)),
    Case("all zeros with zero inflation", fit("y ~ x", table(y=0), zi="~1"), holds(lambda f: abs(f.llf) < 1e-2)),
    Case("all zeros of binomial", fit("b ~ x", table(b=0), "binomial"), holds(lambda f: abs(f.llf) < 1e-2)),
    Case("all ones of binomial", fit("b ~ x", table(b=1), "binomial"), holds(lambda f: abs(f.llf) < 1e-2)),
    Case("all successes of k of n", fit("m ~ x", table(), "binomial", trials="m"), holds(lambda f: abs(f.llf) < 1e-2)),
    Case("all zeros of gaussian", fit("z ~ x", table(z=0.0), "gaussian"), refused("perfectly")),
    Case("all equal of gaussian", fit("z ~ x + (1|g)", table(z=5.0), "gaussian"), refused("perfectly")),
    Case("all equal of gamma", fit("e ~ x", table(e=5.0), "gamma"), refused("perfectly")),
    Case("all equal of lognormal", fit("e ~ x", table(e=5.0), "lognormal"), refused("perfectly")),
    Case("all equal of beta", fit("p ~ x", table(p=0.5), "beta"), refused("perfectly")),
    Case("all equal of tweedie", fit("e ~ x", table(e=5.0), "tweedie"), refused("perfectly")),
    Case("all zeros of tweedie", fit("e ~ x", table(e=0.0), "tweedie"), refused("perfectly")),
    Case("all equal of t", fit("z ~ x", table(z=5.0), "t"), refused("perfectly")),
    Case("all equal of skewnormal", fit("z ~ x", table(z=5.0), "skewnormal"), refused("perfectly")),
    Case("all zeros of ordbeta", fit("p ~ 1", table(p=0.0), "ordbeta"), holds(lambda f: abs(f.llf) < 1e-2)),
    Case("all equal counts", fit("y ~ x", table(y=5), "nbinom2"), holds(lambda f: np.allclose(f.fitted, 5, rtol=1e-4))),
    Case(
        "all equal counts of nbinom1",
        fit("y ~ x + (1|g)", table(y=5), "nbinom1"),
        holds(lambda f: np.allclose(f.fitted, 5, rtol=1e-4)),
    ),
    Case(
        "all equal counts of genpois",
        fit("y ~ x", table(y=5), "genpois"),
        holds(lambda f: np.allclose(f.fitted, 5, rtol=1e-3)),
    ),
    Case(
        "all equal counts of compois",
        fit("y ~ x", table(y=5), "compois"),
        holds(lambda f: np.allclose(f.fitted, 5, rtol=1e-3)),
    ),
    Case(
        "all ones of truncated_poisson",
        fit("w ~ x", table(w=1), "truncated_poisson"),
        holds(lambda f: abs(f.llf) < 1e-2),
    ),
    Case(
        "all ones of truncated_nbinom2",
        fit("w ~ x", table(w=1), "truncated_nbinom2"),
        holds(lambda f: abs(f.llf) < 1e-2),
    ),
    Case(
        "constant covariate",
        fit(data=table(x=3)),
        holds(lambda f: np.isclose(f.llf, clean("y ~ 1 + (1|g)").llf), "dropped: x"),
    ),
    Case(
        "covariate of zeros",
        fit(data=table(x=0)),
        holds(lambda f: np.isclose(f.llf, clean("y ~ 1 + (1|g)").llf), "dropped: x"),
    ),
    Case(
        "covariate twice under two names",
        fit("y ~ x + v + (1|g)", table(v=lambda d: d["x"])),
        holds(lambda f: np.isclose(f.llf, clean().llf), "dropped: v"),
    ),
    Case(
        "collinear but for 1e-10",
        fit("y ~ x + v + (1|g)", table(v=lambda d: d["x"] + 1e-10 * d["z"])),
        holds(lambda f: np.isclose(f.llf, clean().llf), "dropped: v"),
    ),
    Case(
        "collinear but for 1e-4",
        fit("y ~ x + v + (1|g)", table(v=lambda d: d["x"] + 1e-4 * d["z"])),
        holds(lambda f: np.isclose(f.llf, clean("y ~ x + z + (1|g)").llf)),
    ),
    Case(
        "aliased factor",
        fit("y ~ g + C(h)", table(h=np.repeat(range(6), 10))),
        holds(lambda f: np.isclose(f.llf, clean("y ~ g").llf), "dropped"),
    ),
    Case("aliased sum of indicators", fit("y ~ a + v", table(a=[0, 1] * 30, v=[1, 0] * 30)), finite("dropped: v")),
    Case("group as factor and random", fit("y ~ g + (1|g)"), holds(lambda f: f.singular)),
    Case(
        "perfect separation",
        fit("b ~ x", SEPARATED, "binomial"),
        holds(lambda f: abs(f.llf) < 1e-2 and "separation" in " ".join(f.verdict)),
    ),
    Case(
        "perfect separation with groups",
        fit("b ~ x + (1|g)", SEPARATED, "binomial"),
        holds(lambda f: abs(f.llf) < 1e-2),
    ),
    Case(
        "perfect separation of a level",
        fit("b ~ g", table(b=lambda d: np.where(d["g"] == "c", 1, d["b"])), "binomial"),
        holds(lambda f: "g[T.c]" in " ".join(f.verdict)),
    ),
    Case("groups all 0 or all 1", fit("b ~ 1 + (1|g)", table(b=np.repeat([0, 1], 30)), "binomial"), finite()),
    Case(
        "level without counts",
        fit("y ~ g", table(y=lambda d: np.where(d["g"] == "c", 0, d["y"]))),
        holds(lambda f: "g[T.c]" in " ".join(f.verdict)),
    ),
    Case("more coefficients than rows", fit("y ~ C(t):g", table(t=range(N))), refused("too few")),
    Case(
        "as many coefficients as rows",
        fit("y ~ 0 + C(t)", table(t=range(N), y=1 + np.arange(N) % 5)),
        holds(lambda f: np.allclose(f.fitted, f.observed, rtol=1e-4)),
    ),
    Case(
        "as many coefficients as rows of gaussian",
        fit("z ~ 0 + C(t)", table(t=range(N)), "gaussian"),
        refused("perfectly"),
    ),
    Case("random slope of a constant", fit("y ~ x + (v|g)", table(v=1)), finite()),
    Case("random slope of zeros", fit("y ~ x + (v|g)", table(v=0)), finite()),
    Case("more random coefficients than rows", fit("y ~ 1 + (C(t)|g)", table().iloc[::7]), finite()),
    Case("zero inflation of a response without zeros", fit("w ~ x", zi="~1"), finite()),
    Case("dispersion model of a constant", fit("z ~ x", table(v=1), "gaussian", disp="~v"), finite("dropped: v")),
]


# ---- large ---------------------------------------------------------------------------------------------------
def wide(n: int, p: int) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    d = pd.DataFrame(rng.normal(size=(n, p)), columns=[f"v{j}" for j in range(p)])
    return d.assign(y=rng.poisson(2.0, n), g=np.arange(n) % 7)


WIDE = wide(700, 300)
LEVELS = pd.DataFrame({"y": np.random.default_rng(1).poisson(2.0, 200_000), "g": np.arange(200_000) % 100_000})
LARGE = [
    Case(
        "300 terms",
        fit("y ~ " + " + ".join(f"v{j}" for j in range(300)) + " + (1|g)", WIDE),
        holds(lambda f: len(f.params) == 301),
    ),
    Case(
        "300 terms, each twice",
        fit("y ~ " + " + ".join(f"v{j % 150}" for j in range(300)), WIDE),
        holds(lambda f: len(f.params) == 151),
    ),
    Case("20 random terms", fit("y ~ 1 + " + " + ".join(f"(0 + v{j}|g)" for j in range(20)), WIDE), finite()),
    Case("a million terms", fit("y ~ " + " * ".join(f"v{j}" for j in range(20)), WIDE), refused("terms")),
    Case(
        "power of a sum of terms",
        fit("y ~ (" + " + ".join(f"v{j}" for j in range(50)) + ")**10", WIDE),
        refused("terms"),
    ),
    Case("formula of 100 kB", fit("y ~ " + " + ".join(["x"] * 25_000)), same(lambda: clean("y ~ x"))),
    Case("200 brackets", fit("y ~ " + "(" * 200 + "x" + ")" * 200), same(lambda: clean("y ~ x"))),
    Case("10000 brackets", fit("y ~ " + "(" * 10_000 + "x" + ")" * 10_000), same(lambda: clean("y ~ x"))),
    Case("1000 nested calls", fit("y ~ " + "I(" * 1000 + "x" + ")" * 1000), refused("formula")),
    Case(
        "1000 additions in a call",
        fit("y ~ I(" + " + ".join(["x"] * 1000) + ")"),
        refused("formula"),
    ),
    Case("name of 10000 letters", named("x" * 10_000), same(clean)),
    Case("1e5 levels", fit("y ~ 1 + (1|g)", LEVELS), holds(lambda f: len(f.random_effects["g"]) == 100_000)),
    Case("1e5 levels as fixed effects", fit("y ~ C(g)", LEVELS), refused("100000", "random effect")),
    Case(
        "2000 levels of text",
        fit("y ~ 1 + (1|h)", LEVELS.iloc[:4000].assign(h=lambda d: "level " + (d.index % 2000).astype(str))),
        finite(),
    ),
]

# ---- senseless --------------------------------------------------------------------------------------------------
SENSELESS = [
    Case(f"formula {text!r}", fit(text), refused(*words))
    for text, words in {
        "": ("formula",),
        "~": ("formula",),
        "y": ("formula",),
        "y ~": ("formula",),
        "~ x": ("formula",),
        "y ~ x ~ z": ("formula",),
        "y = x": ("formula",),
        "y ~ x +": ("formula",),
        "y ~ (1|g": ("not closed",),
        "y ~ 1|g)": ("bracket",),
        "y ~ (1|)": ("formula",),
        "y ~ (|g)": ("formula",),
        "y ~ (1|g|t)": ("formula",),
        "y ~ (1||)": ("formula",),
        "y ~ x + y": ("'y'", "right-hand"),
        "y ~ (1|g) + (1|g)": ("twice",),
        "y ~ .": ("'.'",),
        "y ~ x[0]": (),
        "y ~ __import__('os')": ("__import__",),
        "y ~ x.__class__": (),
        "y ~ np.load('x')": (),
        "y ~ np.random.normal(0, 1, 60)": (),
        "y ~ open('x')": ("open",),
        "y ~ lambda: x": (),
        "y ~ x if x else z": (),
        "y ~ [x]": (),
        "y ~ 'x'": (),
        "y ~ 3": (),
        "y ~ x == ": (),
        "y ~ log()": (),
        "y ~ log(x, 1, 2, 3)": (),
        "y ~ bs(x, df=-1)": (),
        "y ~ x %in% g": ("%in%",),
        "y ~ x**-1": (),
        "y ~ x**1000000": (),
        "y ~ g/0": (),
        "y ~ \x00": ("formula",),
        "y ~ x\n+ z)": ("bracket",),
        "y ~ (x": ("not closed",),
        "log(g) ~ x": ("'g'",),
        "y + z ~ x": (),
        "cbind(y) ~ x": (),
        "cbind(y, z, x) ~ 1": (),
        "y ~ offset(g)": ("'g'",),
        "y ~ offset()": (),
        "y ~ (1|log(g))": (),
        "y ~ (1|g:qq)": ("'qq'",),
        "1 ~ x": (),
        "y ~ mean(x)": ("mean",),
        "y ~ np.mean(x)": ("row",),
        "y ~ foo(1|g)": ("foo",),
        "y ~ `x": ("quote",),
        "y ~ x:": (),
        "y ~ :x": (),
    }.items()
] + [
    Case(
        f"formula of type {type(value).__name__}",
        lambda value=value: glmm(value, table(), "poisson"),
        refused("formula"),
    )
    for value in (None, 1, b"y ~ x", ["y ~ x"], {"y": "x"})
]
ARGUMENTS = [
    Case(f"{name}={value!r}", fit(**{name: value}), refused(*words))
    for name, value, words in (
        ("family", "poison", ("did you mean", "poisson")),
        ("family", None, ("family",)),
        ("family", 3, ("family",)),
        ("family", "", ("family",)),
        ("link", "lgo", ("link", "log")),
        ("link", 3, ("link",)),
        ("link", "logit", ("link",)),
        ("n_agq", 0, ("n_agq",)),
        ("n_agq", -1, ("n_agq",)),
        ("n_agq", 1.5, ("n_agq",)),
        ("n_agq", "5", ("n_agq",)),
        ("n_agq", None, ("n_agq",)),
        ("n_agq", 10**6, ("n_agq",)),
        ("zi", "y ~ x", ("left of",)),
        ("zi", "", ("formula",)),
        ("zi", 1, ("formula",)),
        ("zi", "~ y", ("'y'",)),
        ("zi", "~ qq", ("'qq'",)),
        ("disp", "~ x", ("disp",)),
        ("disp", "~ (1|g)", ("disp",)),
        ("reml", "no", ("reml",)),
        ("reml", None, ("reml",)),
        ("trials", "qq", ("'qq'",)),
        ("offset", "g", ("'g'",)),
        ("offset", {"a": 1}, ("offset",)),
        ("offset", "", ("''",)),
    )
] + [
    Case("disp with random effects", fit("z ~ x", family="gaussian", disp="~ (1|g)"), refused("disp")),
    Case("n_agq with two groups", fit("y ~ x + (1|g) + (1|t)", n_agq=5), refused("n_agq")),
    Case("n_agq with four coefficients", fit("y ~ x + (x + z + b|g)", n_agq=3), refused("n_agq")),
    Case("signs before a term", fit("y ~ + + x"), same(lambda: clean("y ~ x"))),
    Case("polynomial of degree one", fit("y ~ poly(x)"), holds(lambda f: np.isclose(f.llf, clean("y ~ x").llf))),
    Case("term taken away", fit("y ~ x - x"), same(lambda: clean("y ~ 1"))),
    Case("no fixed effects", fit("y ~ 0 + (1|g)"), finite()),
    Case("nothing at all", fit("y ~ 0"), holds(lambda f: (f.fitted == 1.0).all())),
    Case("factor twice", fit("y ~ g + I(g)"), holds(lambda f: np.isclose(f.llf, clean("y ~ g").llf), "dropped")),
    Case("random slopes of the group itself", fit("y ~ (g|g)"), finite()),
    Case("many quadrature points", fit(n_agq=50), holds(lambda f: abs(f.llf - clean().llf) < 0.1)),
]


@zoo([*NAMES, *TABLES, *DEGENERATE, *LARGE, *SENSELESS, *ARGUMENTS])
def test_formulas(case: Case) -> None:
    judge(case)
