"""Formulas taken apart, and errors that show the place."""

from __future__ import annotations

import pytest

from glmmcore.errors import ModelError
from glmmcore.formula.bars import parse_formula


def bars_of(text: str) -> list[tuple[str, tuple[str, ...], str, bool]]:
    return [(bar.left.text, bar.group, bar.structure, bar.independent) for bar in parse_formula(text).bars]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y ~ (1|g)", [("1 + 1", ("g",), "us", False)]),
        ("y ~ (x|g)", [("1 + x", ("g",), "us", False)]),
        ("y ~ (0+x||g)", [("1 + 0 + x", ("g",), "us", True)]),
        ("y ~ (-1 + x | g)", [("1 - 1 + x", ("g",), "us", False)]),
        ("y ~ (1|a/b)", [("1 + 1", ("a",), "us", False), ("1 + 1", ("a", "b"), "us", False)]),
        (
            "y ~ (x|a/b/c)",
            [("1 + x", group, "us", False) for group in (("a",), ("a", "b"), ("a", "b", "c"))],
        ),
        ("y ~ (1|a:b/c)", [("1 + 1", ("a", "b"), "us", False), ("1 + 1", ("a", "b", "c"), "us", False)]),
        ("y ~ (1|(a:b))", [("1 + 1", ("a", "b"), "us", False)]),
        ("y ~ cs(0 + f | g)", [("1 + 0 + f", ("g",), "cs", False)]),
        ("y ~ ar1(0+factor(t)|g) + diag(x|h)", [
            ("1 + 0 + {C(t)}", ("g",), "ar1", False),
            ("1 + x", ("h",), "diag", False),
        ]),
        ("y ~ homdiag(x|g) + us(x|h)", [("1 + x", ("g",), "homdiag", False), ("1 + x", ("h",), "us", False)]),
        ("y ~ (x + (1|g))", [("1 + 1", ("g",), "us", False)]),
        ("y ~ (1|`my group`)", [("1 + 1", ("my group",), "us", False)]),
        ("y ~ (1|factor(g)) + (1|as.factor(h))", [
            ("1 + 1", ("g",), "us", False),
            ("1 + 1", ("h",), "us", False),
        ]),
        ("y ~ x", []),
    ],
)  # fmt: skip
def test_bars(text, expected):
    assert bars_of(text) == expected


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("y ~ x + (1|g)", "1 + x"),
        ("y ~ (1|g)", "1"),
        ("y ~ 0 + (1|g)", "1 + 0"),
        ("y ~ -1 + x + (1|g) - z", "1 - 1 + x - z"),
        ("y ~ a*b:c + offset(log(n)) + (a+b)^2", "1 + a * b : c + ( a + b ) ^ 2"),
        ("y ~ `my x` + I(x^2) + poly(x, 2)", "1 + `my x` + {I(x ** 2)} + {poly(x, 2)}"),
        ("y ~ cs(x, df=3) + x", "1 + {cs(x, df=3)} + x"),
        ("y ~ I(a|b)", "1 + {I(a | b)}"),
        ("höhe ~ größe + (1|straße)", "1 + größe"),
        ("y ~ + x\n + z", "1 + x + z"),
    ],
)
def test_fixed_part_is_what_remains(text, fixed):
    assert parse_formula(text).fixed.text == fixed


def test_offsets_are_collected_from_anywhere():
    parsed = parse_formula("y ~ offset(log(n)) + x + offset(z) + (1|g)")
    assert [offset.label for offset in parsed.offsets] == ["log(n)", "z"]


def test_response_forms():
    assert [e.label for e in parse_formula("cbind(k, n - k) ~ 1").response] == ["k", "n - k"]
    assert parse_formula("cbind(k, n - k) ~ 1").response_name == "cbind(k, n - k)"
    assert parse_formula("log(y) ~ 1").response[0].label == "log(y)"
    assert parse_formula("log(y) ~ 1").response_column is None
    assert parse_formula("`my y` ~ 1").response_column == "my y"
    assert parse_formula("s/n ~ 1").response[0].names == ("s", "n")
    assert parse_formula("~ x", one_sided=True).response == ()


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("y ~ x + (1|g", 8, "'(' is not closed"),
        ("y ~ x) + (1|g)", 5, "')' without an opening bracket"),
        ("y ~ f[x)", 7, "']' expected here"),
        ("y ~ `x", 4, "quote ` is not closed"),
        ("y ~ x + (1|)", 11, "nothing to the right of the bar"),
        ("y ~ x + (|g)", 9, "nothing to the left of the bar"),
        ("y", 0, "there is no '~'"),
        ("y ~", 3, "nothing to the right of '~'"),
        ("~ x", 0, "no response"),
        ("y ~ x ~ z", 6, "a second '~'"),
        ("y ~ (1|g+h)", 8, "write one bar for each"),
        ("y ~ (1|g*h)", 8, "use names, ':' and '/'"),
        ("y ~ (1|g/)", 8, "not complete"),
        ("y ~ (1|g:g)", 7, "twice in one grouping factor"),
        ("y ~ (1|log(x))", 7, "must be a column"),
        ("y ~ x | g", 6, "a bar must stand alone in brackets"),
        ("y ~ x:(1|g)", 8, "a bar must stand alone in brackets"),
        ("y ~ x - (1|g)", 8, "cannot be subtracted"),
        ("y ~ (1|g|h)", 8, "a second bar"),
        ("y ~ foo(x|g)", 4, "structure 'foo' is not known, use us, diag"),
        ("y ~ cs(x||g)", 8, "contradict each other"),
        ("y ~ (offset(x)|g)", 5, "offset cannot stand inside"),
        ("y ~ x*offset(z)", 6, "offset(...) must stand alone"),
        ("y ~ x - offset(z)", 8, "cannot be subtracted"),
        ("y ~ offset(a, b)", 4, "exactly one argument"),
        ("y ~ x**2", 5, "must be written I(x**2)"),
        ("y ~ x z", 6, "an operator is missing before 'z'"),
        ("y ~ x + * z", 8, "a term is missing before '*'"),
        ("y ~ x:", 6, "a term is missing after ':'"),
        ("y ~ x +", 6, "nothing follows this sign"),
        ("y ~ x + 2", 8, "2 is no term"),
        ("y ~ 2*x", 4, "2 is no term"),
        ("y ~ x & z", 6, "'&' is not an operator"),
        ("y ~ x %in% z", 6, "write a/b for b within a, or a:b"),
        ("y ~ .", 4, "not supported, name the columns"),
        ("y ~ I(x+)", 4, "not a valid expression"),
        ("y ~ (x * (a b))", 12, "an operator is missing"),
        ("cbind(k) ~ x", 0, "must be exactly cbind(successes, failures)"),
        ("cbind(k, n) + 1 ~ x", 0, "must be exactly cbind"),
        ("cs(f|g) ~ x", 0, "random effects in the response"),
        ("y|z ~ x", 1, "a bar in the response"),
    ],
)  # fmt: skip
def test_syntax_errors_mark_the_place(text, place, message):
    with pytest.raises(ModelError) as caught:
        parse_formula(text)
    first, shown, caret = str(caught.value).split("\n")
    assert message in first
    assert shown == f"  {text}"
    assert caret == " " * (place + 2) + "^"


def test_the_line_of_a_long_formula_is_shown():
    with pytest.raises(ModelError) as caught:
        parse_formula("y ~ x +\n  (1|g) +\n  (1|)")
    assert str(caught.value).split("\n")[1:] == ["    (1|)", "       ^"]


@pytest.mark.parametrize(
    ("text", "one_sided", "message"),
    [
        ("", False, "formula is empty"),
        (" \n", False, "formula is empty"),
        (3, False, "formula must be text"),
        (["y ~ x"], False, "formula must be text"),
        ("y ~ x", True, "only '~ terms' is allowed here"),
        ("x", True, "write for example '~ x'"),
    ],
)
def test_other_formula_errors(text, one_sided, message):
    with pytest.raises(ModelError, match=message):
        parse_formula(text, one_sided)
