"""Formula algebra: what is no formula, and what it would silently read as something else than meant."""

from __future__ import annotations

import math

from glmmcore.formula.tokens import Token, fail_at, render

__all__ = ["check_algebra"]

_OPERATORS = ("+", "-", "*", "/", ":", "**", "^")
_BINDING = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2, ":": 3, "**": 4, "^": 4}
MOST_TERMS, LARGEST_POWER = 4096, 20


def check_algebra(formula: str, tokens: tuple[Token, ...]) -> None:
    """Refuse one summand, with the place marked, that is not terms joined by operators.

    Raises
    ------
    ModelError
        Also for ``x**2`` and ``2 * x``, which formula algebra does not take for arithmetic.
    """
    wanted = True  # a term is to come
    for i, token in enumerate(tokens):
        if token.kind == "operator":
            _check_operator(formula, token, tokens[:i], wanted)
            wanted = True
        elif token.text == ")" and token.kind == "context":
            if wanted:
                fail_at(formula, token.start, "a term is missing before ')'")
        elif not wanted:
            fail_at(formula, token.start, f"an operator is missing before '{token.text}'")
        else:
            wanted = token.text == "(" and token.kind == "context"
            _check_operand(formula, token, tokens, i)
    if wanted:
        fail_at(formula, tokens[-1].end + 1, f"a term is missing after '{tokens[-1].text}'")
    _check_number_of_terms(formula, tokens)


def _check_operator(formula: str, token: Token, before: tuple[Token, ...], wanted: bool) -> None:
    if token.text in ("|", "||"):
        fail_at(formula, token.start, "a bar must stand alone in brackets and be added: ... + (x | g)")
    if token.text not in _OPERATORS:
        fail_at(formula, token.start, f"'{token.text}' is not an operator of formulas")
    if wanted and token.text not in ("+", "-"):
        fail_at(formula, token.start, f"a term is missing before '{token.text}'")
    if token.text in ("**", "^") and before[-1].text != ")":
        base = render(before[-1:])
        fail_at(formula, token.start, f"a power of '{base}' must be written I({base}**2)")


def _check_operand(formula: str, token: Token, tokens: tuple[Token, ...], i: int) -> None:
    if token.text.startswith("offset(") and token.kind == "python":
        fail_at(formula, token.start, "offset(...) must stand alone and be added")
    if token.text == "[" and token.kind == "context":
        fail_at(formula, token.start, "'[' is not allowed here")
    if token.kind == "value":
        before = tokens[i - 1].text if i else "+"
        after = tokens[i + 1].text if i + 1 < len(tokens) else "+"
        is_power = before in ("**", "^")
        is_intercept = token.text in ("0", "1") and before in ("+", "-", "(") and after in ("+", "-", ")")
        if not is_power and not is_intercept:
            fail_at(formula, token.start, f"{token.text} is no term, arithmetic must be written I(...)")


def _check_number_of_terms(formula: str, tokens: tuple[Token, ...]) -> None:
    """Refuse what would expand to thousands of terms, before anything expands it."""
    counts: list[int] = []
    waiting: list[Token] = []

    def reduce(binding: int) -> None:
        while waiting and _BINDING[waiting[-1].text] >= max(binding, 1):
            operator = waiting.pop()
            right, left = counts.pop(), counts.pop()
            counts.append(_number_of_terms(operator.text, left, right))
            if counts[-1] > MOST_TERMS:
                fail_at(formula, operator.start, f"this expands to more than {MOST_TERMS} terms")

    wanted = True
    for i, token in enumerate(tokens):
        if token.text == "(" and token.kind == "context":
            waiting.append(token)
        elif token.text == ")" and token.kind == "context":
            reduce(1)
            waiting.pop()
        elif token.kind != "operator":
            is_power = bool(i) and tokens[i - 1].text in ("**", "^")
            counts.append(_power(formula, token) if is_power else 1)
        elif not wanted:  # a sign before a term does not count
            reduce(_BINDING[token.text])
            waiting.append(token)
        wanted = token.kind == "operator" or token.text == "("
    reduce(1)


def _power(formula: str, token: Token) -> int:
    if not token.text.isdecimal() or not 1 <= int(token.text[:6]) <= LARGEST_POWER:
        fail_at(formula, token.start, f"a power must be a whole number from 1 to {LARGEST_POWER}")
    return int(token.text)


def _number_of_terms(operator: str, left: int, right: int) -> int:
    """Most terms that may come of two operands of so many terms."""
    if operator in ("**", "^"):  # all products of up to `right` of them
        return sum(math.comb(left, j) for j in range(1, min(left, right) + 1))
    return {"+": left + right, "-": left, "*": left + right + left * right, "/": left + right, ":": left * right}[
        operator
    ]
