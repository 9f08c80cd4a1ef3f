"""Formula algebra: what is no formula, and what it would silently read as something else than meant."""

from __future__ import annotations

from glmmcore.formula.tokens import Token, fail_at, render

__all__ = ["check_algebra"]

_OPERATORS = ("+", "-", "*", "/", ":", "**", "^")


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
