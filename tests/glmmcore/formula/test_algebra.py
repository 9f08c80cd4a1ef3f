"""Expansion of formula algebra against formulaic's, and the limits that keep it cheap."""

from __future__ import annotations

import time

import numpy as np
import pytest
from formulaic import Formula

from glmmcore.errors import ModelError
from glmmcore.formula.bars import parse_formula


def sums(rng: np.random.Generator, depth: int) -> str:
    """Any nesting of all operators; formulaic knows no 0 inside of brackets as R has it."""
    if depth == 0 or rng.random() < 0.25:
        return str(rng.choice(list("abcd")))
    operator = rng.choice(["+", "*", ":", "/", "-", "^"], p=[0.35, 0.2, 0.2, 0.1, 0.05, 0.1])
    left, right = sums(rng, depth - 1), sums(rng, depth - 1)
    if operator == "^":
        return f"({left} + {right})^{rng.integers(1, 5)}"
    return f"({left}){operator}({right})"


def test_terms_and_their_order_are_those_of_formulaic():
    rng = np.random.default_rng(8)
    tried = 0
    for _ in range(400):
        formula = sums(rng, int(rng.integers(1, 4)))
        try:
            found = [tuple(factor.label for factor in term) for term in parse_formula(f"y ~ {formula}").fixed.terms]
        except ModelError as error:
            assert "no term in these brackets" in str(error)  # such as x:(a - a)
            continue
        expected = [tuple(f.expr for f in term.factors if f.expr != "1") for term in Formula(f"1 + {formula}")]
        assert found == expected, formula
        tried += 1
    assert tried > 350


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("x * -z", "a term is missing after '\\*'"),
        ("(x:-z)", "a term is missing before '-'"),
        ("()", "a term is missing before '\\)'"),
        ("(a + b)^0", "a whole number from 1 to 20"),
        ("(a + b)^2.5", "a whole number from 1 to 20"),
        ("log(a)**2", r"must be written I\(log\(a\)\*\*2\)"),
        ("*".join("abcdefghijklm"), "more than 4096 terms"),
        (":".join("abcdefghijklm"), "more than 12 columns"),
        ("a + `a` + {a} + I(x)^2", "must be written"),
    ],
)
def test_refused_with_a_place(formula, message):
    with pytest.raises(ModelError, match=message):
        parse_formula(f"y ~ {formula}")


def test_a_column_that_is_called_like_an_expression_is_not_taken_for_it():
    with pytest.raises(ModelError, match="have the same name, rename it"):
        parse_formula("y ~ `I(x ** 2)` + I(x**2)")
    assert len(parse_formula("y ~ `I(x ** 2)` + x").fixed.terms) == 3


@pytest.mark.parametrize("formula", ["(" * 20_000 + "x" + ")" * 20_000, " + ".join(["x"] * 50_000), "(x + z)^20"])
def test_long_formulas_are_read_at_once(formula):
    start = time.process_time()
    assert len(parse_formula(f"y ~ {formula} + (1 | {'(' * 5000}g{')' * 5000})").fixed.terms) >= 2
    assert time.process_time() - start < 5.0
