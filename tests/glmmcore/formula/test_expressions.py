"""Arithmetic in formulas."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from glmmcore.formula.expressions import Expression, evaluate, parse_expression
from glmmcore.formula.grammar import ExpressionError
from glmmcore.formula.lexer import read_lexemes


def read(code: str) -> Expression:
    return parse_expression(tuple(read_lexemes(code)))


COLUMNS = {"x": np.array([1.0, 2.0, 4.0]), "n": np.array([3.0, 5.0, 7.0]), "my x": np.array([0.5, 1.5, 2.5])}
LABELS = {"f": np.array(["a", "b", "a"], dtype=object)}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("n - x", [2.0, 3.0, 3.0]),
        ("x / n", [1 / 3, 2 / 5, 4 / 7]),
        ("I(x**2) + 1", [2.0, 5.0, 17.0]),
        ("-x // 3", [-1.0, -1.0, -2.0]),
        ("np.log(x)", np.log([1, 2, 4])),
        ("log10(x) + sqrt(n)", np.log10([1, 2, 4]) + np.sqrt([3, 5, 7])),
        ("2 * np.pi + x * pi", 2 * np.pi + np.pi * np.array([1, 2, 4])),
        ("`my x` * 2", [1.0, 3.0, 5.0]),
        ("x > 1", [False, True, True]),
        ("f == 'a'", [True, False, True]),
        ("np.maximum(x, 2)", [2.0, 2.0, 4.0]),
        ("log(0 * x)", [-np.inf] * 3),
        ("10", 10.0),
    ],
)
def test_arithmetic(code, expected):
    np.testing.assert_allclose(evaluate(read(code).node, (COLUMNS | LABELS).__getitem__), expected, rtol=1e-15)


def test_integers_do_not_overflow():
    value = evaluate(read("x**9").node, {"x": np.array([1e3])}.__getitem__)
    np.testing.assert_allclose(value, 1e27)


@pytest.mark.parametrize("code", ["scale(x)", "poly(x, 2)", "C(x)", "scale(x) + log(n)"])
def test_what_remembers_data_is_told(code):
    assert not read(code).is_arithmetic
    with pytest.raises(TypeError, match="more than arithmetic"):
        evaluate(read(code).node, COLUMNS.__getitem__)


@pytest.mark.parametrize(
    ("r", "label"),
    [
        ("I(x^2)", "I(x ** 2)"),
        ("factor(x)", "C(x)"),
        ("as.factor(my.var)", "C(`my.var`)"),
        ("np.log(x)", "np.log(x)"),
        ("C(f, contr.sum)", "C(f, contr.sum)"),
        ("f == 'a^b.c'", "f == 'a^b.c'"),
        ("log(`a^b`)", "log(`a^b`)"),
        ("x * 1.5", "x * 1.5"),
        ("scale(x, scale=FALSE)", "scale(x, scale=False)"),
        ("log(\u00b5)", "log(`\u00b5`)"),  # micro sign: Python would make a Greek mu of it
        ("log(größe)", "log(größe)"),
        ("I( x**2+`a b` )", "I(x ** 2 + `a b`)"),
        (r"f == 'it\'s'", '''f == "it's"'''),
        (r"f == 'a\\b'", r"f == 'a\\b'"),
        ("Q('my x') + 1", "`my x` + 1"),
        ("log(class)", "log(class)"),
    ],
)
def test_spellings(r, label):
    assert read(r).label == label


def test_names():
    found = read("np.log(log(x) + `my x`) + exp(y - pi)")
    assert found.names == ("x", "my x", "y", "pi")
    assert read("C(f, Treatment('a'), levels=['a', 'b'])").names == ("f",)


PRINTED = [
    "-x ** 2", "(-x) ** 2", "2 ** -x", "x ** y ** 2", "(x ** y) ** 2", "x - (y - 2)", "x - y - 2", "x / (y * 2)",
    "x / y * 2",
    "-(x + y)", "-x + y", "~(x > 1) & (y < 2)", "(x > 1) == (y > 1)", "(x | y) & x", "x | y & x", "x % 2 // 3",
    "1e5 + .5 + 3.",
    "f(x, y, a=[1, 2.5, 'b'], b={'k': [1, -2], 'l': (3,)}, c=(1, 2), d=None, e=True)", "- - x", "+x", "x > -1", "(x)",
]  # fmt: skip


@pytest.mark.parametrize("code", PRINTED)
def test_trees_are_read_and_printed_as_python_reads_and_prints_them(code):
    from glmmcore.formula.grammar import parse_tree
    from glmmcore.formula.syntax import show

    printed = show(parse_tree(tuple(read_lexemes(code))))
    assert printed == ast.unparse(ast.parse(code, mode="eval"))
    assert show(parse_tree(tuple(read_lexemes(printed)))) == printed


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x y", "an operator or a comma is missing before 'y'"),
        ("x +", "something is missing at its end"),
        ("x[0]", "a part of a column cannot be taken"),
        ("0 < x < 1", "compare two values at a time"),
        ("x and y", "write & for and"),
        ("not x", "write & for and"),
        ("!x", "write ~ for not"),
        ("x if y else n", "np.where"),
        ("x in n", "np.isin"),
        ("bs(x, *n)", "cannot be unpacked"),
        ("bs(x, **n)", "cannot be unpacked"),
        ("bs(df=5, x)", "arguments without a name come before"),
        ("scale(x, ddof=1, ddof=2)", "given twice"),
        ("f'x'", "missing before 'x'"),
        ("'a' 'b'", "missing before 'b'"),
        ("x.mean()", "not known to work row by row"),
        ("np.mean(x)", "not known to work row by row"),
        ("ns(x, df=3)", "write cr"),
        ("as.numeric(x)", "a column of numbers is used as it is"),
        ("relevel(f, ref='b')", r"write C\(f, Treatment\('b'\)\)"),
        ("C(f, ref='b')", r"write C\(f, Treatment\('b'\)\)"),
        ("mat(x, n)", r"needs a bar: write mat\(x, n \| 1\), or a grouping column instead of 1"),
        ("ar1(n)", r"needs a bar: write ar1\(n \| 1\), or a grouping column"),
        ("toep(0 + x)", r"needs a bar: write toep\(0 \+ x \| group\)"),
        ("exp(x, n)", r"takes 1 argument\(s\) in a formula, here are 2; for a random effect write exp\(x, n \| 1\)"),
        ("log(x, base=2)", "takes 1 argument"),
        ("bs(x, df=n)", "must be a constant here"),
        ("bs(x, df=4.5)", "df of bs\\(\\) must be a whole number"),
        ("bs(x, n=4)", "no argument 'n', it knows df, knots"),
        ("hashed(f, 3, hash_func=x)", "no argument 'hash_func'"),
        ("scale(x, _state=x)", "no argument '_state'"),
        ("center(x, n)", "at most 1 argument"),
        ("1e999 + x", "out of range"),
        ("[x]", "not one number per row"),
        ("contr.sum", "write C\\(f, contr.sum\\)"),
        ("np.nothing", "neither a constant of numpy nor a contrast"),
    ],
)
def test_refused(code, message):
    with pytest.raises(ExpressionError, match=message):
        read(code)
