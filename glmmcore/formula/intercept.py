"""The intercept switched on and off inside of brackets, as R reads it: it is one for the whole sum of terms."""

from __future__ import annotations

from collections.abc import Iterator

from glmmcore.formula.tokens import Token, fail_at

__all__ = ["Summand", "hoist_intercept"]

Summand = tuple[str, tuple[Token, ...]]


def hoist_intercept(formula: str, summands: list[Summand]) -> list[Summand]:
    """Take every 0 and 1 out of brackets: ``(a + 0) / b`` is ``a / b - 1``.

    As in R the last one decides, a minus before its brackets turns it round, and ``a:(b + 1)`` is ``a:b``.

    Parameters
    ----------
    formula : str
        For messages.
    summands : list of (sign, tokens)
        Checked by `check_algebra`.
    """
    out: list[Summand] = []
    for sign, tokens in summands:
        switches: list[Summand] = []
        left = _without(formula, sign, tokens, switches)
        out += [(sign, left)] if left else []
        out += switches
    return out


def _without(formula: str, sign: str, tokens: tuple[Token, ...], switches: list[Summand]) -> tuple[Token, ...]:
    """Tokens of one summand, its brackets freed of 0 and 1, which are added to `switches`."""
    out: list[Token] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token.kind != "context":
            out.append(token)
            position += 1
            continue
        close = _closing(tokens, position)
        inner = tokens[position + 1 : close]
        found: list[Summand] = []
        kept = _freed(formula, sign, inner, found)
        if not found:
            kept = inner
        switches += found
        if kept:
            out += [token, *kept, tokens[close]]
        elif len(tokens) > close - position + 1:
            fail_at(formula, token.start, "there is no term in these brackets")
        position = close + 1
    return tuple(out)


def _freed(formula: str, sign: str, inner: tuple[Token, ...], switches: list[Summand]) -> tuple[Token, ...]:
    kept: list[Token] = []
    for own, operator, tokens in _summands(inner):
        net = "+" if own == sign else "-"
        if len(tokens) == 1 and tokens[0].kind == "value":
            is_on = (net == "+") == (tokens[0].text == "1")
            switches.append(("+" if is_on else "-", (tokens[0]._replace(text="1"),)))
            continue
        left = _without(formula, net, tokens, switches)
        if not left or (not kept and own == "-"):  # nothing yet to subtract from
            continue
        kept += [operator._replace(text=own), *left] if kept and operator is not None else left
    return tuple(kept)


def _summands(tokens: tuple[Token, ...]) -> Iterator[tuple[str, Token | None, tuple[Token, ...]]]:
    """Sign, last token of the sign, and tokens of each piece between signs outside of brackets."""
    sign, operator, depth = "+", None, 0
    current: list[Token] = []
    for token in tokens:
        if token.kind == "context":
            depth += 1 if token.text == "(" else -1
        if depth == 0 and token.kind == "operator" and token.text in ("+", "-"):
            if current:
                yield sign, operator, tuple(current)
                sign, current = token.text, []
            elif token.text == "-":
                sign = "-" if sign == "+" else "+"
            operator = token
            continue
        current.append(token)
    if current:
        yield sign, operator, tuple(current)


def _closing(tokens: tuple[Token, ...], start: int) -> int:
    depth = 0
    for position in range(start, len(tokens)):
        if tokens[position].kind == "context":
            depth += 1 if tokens[position].text == "(" else -1
            if depth == 0:
                return position
    raise AssertionError("brackets are matched by the tokeniser")
