"""Lexemes of a formula to the tokens that formula algebra knows; a call with its arguments is one token."""

from __future__ import annotations

from typing import NamedTuple

from glmmcore.formula.lexer import Lexeme, fail_at, read_lexemes

__all__ = ["Token", "call_name", "group_tokens", "has_bar", "strip_brackets", "tokenise", "top_level"]


class Token(NamedTuple):
    """One piece of a formula.

    Attributes
    ----------
    kind : str
        ``"name"``, ``"value"``, ``"call"`` (with its arguments, or ``{...}``), ``"operator"`` or ``"context"``
        (a bracket).
    text : str
        Names without back-ticks; of a call as it is written.
    start, end : int
        First and last character in the formula.
    lexemes : tuple of Lexeme
        Of a call; of ``{...}`` what is between the brackets.
    """

    kind: str
    text: str
    start: int
    end: int
    lexemes: tuple[Lexeme, ...] = ()


def tokenise(formula: str) -> list[Token]:
    """Split a formula.

    Raises
    ------
    ModelError
        For brackets or quotes that do not match, and for ``.`` and ``%in%``.
    """
    return group_tokens(formula, tuple(read_lexemes(formula)))


def group_tokens(formula: str, lexemes: tuple[Lexeme, ...]) -> list[Token]:
    """Tokens of lexemes whose brackets match."""
    tokens: list[Token] = []
    place = 0
    while place < len(lexemes):
        end = _end_of_call(lexemes, place)
        tokens.append(_token(formula, lexemes[place:end]))
        place = end
    return tokens


def _end_of_call(lexemes: tuple[Lexeme, ...], place: int) -> int:
    """Where the token that begins at a place ends: behind the closing bracket of a call or ``{...}``."""
    first = lexemes[place]
    if first.text != "{" or first.kind != "symbol":
        if first.kind != "name" or place + 1 == len(lexemes):
            return place + 1
        place += 1
        bracket = lexemes[place]
        if bracket.kind != "symbol" or bracket.text not in "([" or bracket.start != first.end + 1:
            return place
    depth = 0
    while True:
        if lexemes[place].kind == "symbol":
            depth += (lexemes[place].text in ("(", "[", "{")) - (lexemes[place].text in (")", "]", "}"))
        place += 1
        if depth == 0:
            return place


def _token(formula: str, lexemes: tuple[Lexeme, ...]) -> Token:
    first, last = lexemes[0], lexemes[-1]
    if len(lexemes) > 1:
        inner = lexemes[1:-1] if first.kind == "symbol" else lexemes
        return Token("call", formula[first.start : last.end + 1], first.start, last.end, inner)
    if first.text == "." and first.kind == "name":
        fail_at(formula, first.start, "'.' (all other columns) is not supported, name the columns")
    if first.kind == "symbol" and first.text.startswith("%"):
        fail_at(formula, first.start, f"{first.text} is not supported, write a/b for b within a, or a:b")
    kind = {"name": "name", "quoted": "name", "number": "value", "text": "value"}.get(first.kind)
    if kind is None:
        kind = "context" if first.text in "()[]{}" else "operator"
    text = repr(first.text) if first.kind == "text" else first.text
    return Token(kind, text, first.start, first.end)


def call_name(token: Token) -> str | None:
    """Name of the function that a token calls; None for ``{...}`` and what is no call."""
    lexemes = token.lexemes
    if len(lexemes) > 1 and lexemes[0].start == token.start and lexemes[1].text == "(":
        return lexemes[0].text
    return None


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


def strip_brackets(tokens: list[Token]) -> list[Token]:
    """Tokens without the brackets around all of them."""
    closes: dict[int, int] = {}
    opened: list[int] = []
    for i, token in enumerate(tokens):
        if token.kind == "context":
            if token.text in "([{":
                opened.append(i)
            else:
                closes[opened.pop()] = i
    around = 0
    while closes.get(around) == len(tokens) - 1 - around and tokens[around].text == "(":
        around += 1
    return tokens[around : len(tokens) - around]
