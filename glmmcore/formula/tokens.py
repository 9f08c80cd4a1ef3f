"""Formula text to tokens with places, and errors that point at a place."""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from glmmcore.errors import ModelError

__all__ = ["Token", "fail_at", "has_bar", "is_bracketed", "render", "tokenise", "top_level"]

# Operators of more than one character; other runs of symbols are single ones ("~ -1" arrives as "~-").
_LONG_OPERATORS = ("||", "**")
_PLAIN_NAME = re.compile(r"[^\W\d][\w.]*")


class Token(NamedTuple):
    """One piece of a formula.

    Attributes
    ----------
    kind : str
        ``"name"``, ``"value"``, ``"python"`` (a whole call or ``{...}``), ``"operator"`` or ``"context"``
        (a bracket).
    text : str
        Without back-ticks.
    start, end : int
        First and last character in the formula.
    """

    kind: str
    text: str
    start: int
    end: int


def fail_at(formula: str, place: int, message: str) -> NoReturn:
    """Raise a `ModelError` that shows the formula with a caret under `place`."""
    place = min(max(place, 0), len(formula))
    line_start = formula.rfind("\n", 0, place) + 1
    line = formula[line_start:].split("\n", 1)[0]
    raise ModelError(f"formula: {message}\n  {line}\n  {' ' * (place - line_start)}^")


def tokenise(formula: str) -> list[Token]:
    """Split a formula on formulaic's token stream; a call with its arguments is one token.

    Raises
    ------
    ModelError
        For brackets or quotes that do not match.
    """
    from formulaic.errors import FormulaParsingError
    from formulaic.parser.algos.tokenize import tokenize

    _check_brackets(formula)
    tokens: list[Token] = []
    try:
        for raw in tokenize(formula):
            tokens.extend(_normalise(raw.kind.value, raw.token, raw.source_start, raw.source_end, formula))
    except FormulaParsingError as error:
        fail_at(formula, len(formula), f"it cannot be read ({str(error).splitlines()[0]})")
    return tokens


def _normalise(kind: str, text: str, start: int, end: int, formula: str) -> list[Token]:
    if text == "." and formula[start] != "`":
        fail_at(formula, start, "'.' (all other columns) is not supported, name the columns")
    if kind != "operator":
        return [Token(kind, text, start, end)]
    if formula[start] == "%":
        fail_at(formula, start, f"%{text}% is not supported, write a/b for b within a, or a:b")
    found = []
    place = start
    while text:
        symbol = next((s for s in _LONG_OPERATORS if text.startswith(s)), text[0])
        place = formula.index(symbol[0], place)
        found.append(Token("operator", symbol, place, place + len(symbol) - 1))
        place += len(symbol)
        text = text[len(symbol) :]
    return found


def render(tokens: tuple[Token, ...] | list[Token]) -> str:
    """Write tokens as formula text, with names quoted again where they need it."""
    return " ".join(_render_one(token) for token in tokens)


def _render_one(token: Token) -> str:
    if token.kind == "name" and not _PLAIN_NAME.fullmatch(token.text):
        return f"`{token.text}`"
    return f"{{{token.text}}}" if token.kind == "python" else token.text


def _check_brackets(formula: str) -> None:
    closers = {"(": ")", "[": "]", "{": "}"}
    open_at: list[int] = []
    quote_at = -1
    for place, char in enumerate(formula):
        if quote_at >= 0:
            if char == formula[quote_at]:
                quote_at = -1
        elif char in "'\"`":
            quote_at = place
        elif char in closers:
            open_at.append(place)
        elif char in ")]}":
            if not open_at:
                fail_at(formula, place, f"'{char}' without an opening bracket")
            opened = open_at.pop()
            if closers[formula[opened]] != char:
                fail_at(formula, place, f"'{closers[formula[opened]]}' expected here")
    if quote_at >= 0:
        fail_at(formula, quote_at, f"the quote {formula[quote_at]} is not closed")
    if open_at:
        fail_at(formula, open_at[-1], f"'{formula[open_at[-1]]}' is not closed")


def top_level(tokens: list[Token], symbols: tuple[str, ...]) -> list[int]:
    """Positions of operators outside all brackets."""
    depth = 0
    found = []
    for i, token in enumerate(tokens):
        if token.kind == "context":
            depth += 1 if token.text in "([" else -1
        elif depth == 0 and token.kind == "operator" and token.text in symbols:
            found.append(i)
    return found


def has_bar(tokens: list[Token]) -> bool:
    """Whether there is a bar at any depth."""
    return any(token.kind == "operator" and token.text in ("|", "||") for token in tokens)


def is_bracketed(tokens: list[Token]) -> bool:
    """Whether the first bracket closes at the very end."""
    if len(tokens) < 2 or tokens[0].text != "(" or tokens[0].kind != "context":
        return False
    depth = 0
    for i, token in enumerate(tokens):
        if token.kind == "context":
            depth += 1 if token.text in "([" else -1
            if depth == 0:
                return i == len(tokens) - 1
    return False
