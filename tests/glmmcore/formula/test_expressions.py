"""Arithmetic in formulas."""

from __future__ import annotations

import numpy as np
import pytest

from glmmcore.formula.expressions import (
    UnsupportedExpression,
    call_arguments,
    canonical,
    evaluate,
    parse_expression,
    translate,
)

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
    np.testing.assert_allclose(evaluate(code, (COLUMNS | LABELS).__getitem__), expected, rtol=1e-15)


def test_integers_do_not_overflow():
    value = evaluate("x**9", {"x": np.array([1e3])}.__getitem__)
    np.testing.assert_allclose(value, 1e27)


@pytest.mark.parametrize(
    "code", ["scale(x)", "np.mean(x)", "x.mean()", "poly(x, 2)", "log(x, base=2)", "[x]", "unknown"]
)
def test_what_is_more_than_arithmetic_is_refused(code):
    with pytest.raises(UnsupportedExpression):
        evaluate(code, COLUMNS.__getitem__)


@pytest.mark.parametrize(
    ("r", "python"),
    [
        ("I(x^2)", "I(x**2)"),
        ("factor(x)", "C(x)"),
        ("as.factor(my.var)", "C(`my.var`)"),
        ("np.log(x)", "np.log(x)"),
        ("C(f, contr.sum)", "C(f, contr.sum)"),
        ("x.mean()", "x.mean()"),
        ("f == 'a^b.c'", "f == 'a^b.c'"),
        ("log(`a^b`)", "log(`a^b`)"),
        ("x * 1.5", "x * 1.5"),
        ("refactor(x)", "refactor(x)"),
        ("log(\u00b5)", "log(`\u00b5`)"),  # micro sign: Python's parser would make a Greek mu of it
        ("log(größe)", "log(größe)"),
    ],
)
def test_r_spellings(r, python):
    assert translate(r) == python


def test_names_and_functions_are_told_apart():
    found = parse_expression("np.log(log(x) + `my x`) + f(y, df=k)")
    assert set(found.names) == {"np", "x", "my x", "y", "k"}
    assert set(found.functions) == {"log", "f"}


def test_calls():
    assert call_arguments("cbind(k,`a b`-k)") == ["k", "`a b` - k"]
    assert call_arguments("f(x, df=3)") is None
    assert call_arguments("k + 1") is None


def test_canonical_spacing():
    assert canonical("I( x**2+`a b` )") == "I(x ** 2 + `a b`)"
