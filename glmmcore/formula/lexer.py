"""Formula text to lexemes: the only place that reads quotes, escapes and names, for terms and calls alike."""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from glmmcore.errors import ModelError

__all__ = ["Lexeme", "fail_at", "read_lexemes"]

_SPACE = re.compile(r"\s+")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_SYMBOL = re.compile(r"\|\||&&|\*\*|//|==|!=|<=|>=|%[A-Za-z*/.]*%|.", re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\n": "", **{char: char for char in "\\'\"`"}}
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
LARGEST_CODE_POINT = 0x10FFFF


class Lexeme(NamedTuple):
    """One name, number, text or symbol.

    Attributes
    ----------
    kind : str
        ``"name"``, ``"quoted"`` (a name in back-ticks), ``"text"``, ``"number"`` or ``"symbol"``.
    text : str
        Names without back-ticks, texts without quotes and escapes.
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


def read_lexemes(formula: str) -> list[Lexeme]:
    r"""Split a formula into lexemes.

    Names are letters, digits, ``_`` and dots; what begins with a digit is a number if all of it can be. Between
    back-ticks every character stands for itself; between quotes ``\`` escapes.

    Raises
    ------
    ModelError
        For brackets or quotes that do not match, and escapes that are not known.

    Examples
    --------
    >>> [lexeme.text for lexeme in read_lexemes("y ~ log(`a b`) + x^2")]
    ['y', '~', 'log', '(', 'a b', ')', '+', 'x', '^', '2']
    """
    found: list[Lexeme] = []
    open_brackets: list[Lexeme] = []
    place = 0
    while place < len(formula):
        if space := _SPACE.match(formula, place):
            place = space.end()
            continue
        lexeme = _read_one(formula, place)
        if lexeme.kind == "symbol":
            _match_bracket(formula, lexeme, open_brackets)
        found.append(lexeme)
        place = lexeme.end + 1
    if open_brackets:
        fail_at(formula, open_brackets[-1].start, f"'{open_brackets[-1].text}' is not closed")
    return found


def _read_one(formula: str, start: int) -> Lexeme:
    first = formula[start]
    if first == "`":
        end = formula.find("`", start + 1)
        if end < 0:
            fail_at(formula, start, "the quote ` is not closed")
        if end == start + 1:
            fail_at(formula, start, "there is no name between the back-ticks")
        return Lexeme("quoted", formula[start + 1 : end], start, end)
    if first in "'\"":
        return _read_text(formula, start)
    number = _NUMBER.match(formula, start)
    if number and not _continues_name(formula[number.end() : number.end() + 1]):
        return Lexeme("number", number.group(), start, number.end() - 1)
    end = start
    while end < len(formula) and _continues_name(formula[end]):
        end += 1
    if end > start:
        return Lexeme("name", formula[start:end], start, end - 1)
    symbol = _SYMBOL.match(formula, start)
    assert symbol is not None
    return Lexeme("symbol", symbol.group(), start, symbol.end() - 1)


def _continues_name(char: str) -> bool:
    """Whether a character may stand in a name: a letter, digit, ``_``, a dot, or a mark on a letter."""
    return char != "" and (char.isalnum() or char in "_." or f"a{char}".isidentifier())


def _read_text(formula: str, start: int) -> Lexeme:
    pieces: list[str] = []
    place = start + 1
    while True:
        char = formula[place : place + 1]
        if not char:
            fail_at(formula, start, f"the quote {formula[start]} is not closed")
        if char == formula[start]:
            return Lexeme("text", "".join(pieces), start, place)
        if char == "\\":
            escape = _ESCAPE.match(formula, place)
            if escape is None:
                fail_at(formula, start, f"the quote {formula[start]} is not closed")
            pieces.append(_unescape(formula, place, escape.group(1)))
            place = escape.end()
        else:
            pieces.append(char)
            place += 1


def _unescape(formula: str, place: int, escaped: str) -> str:
    if len(escaped) > 1:
        code = int(escaped[1:], 16)
        if code <= LARGEST_CODE_POINT:
            return chr(code)
    if escaped not in _ESCAPED:
        fail_at(formula, place, "this escape is not known, write two backslashes for one")
    return _ESCAPED[escaped]


def _match_bracket(formula: str, lexeme: Lexeme, open_brackets: list[Lexeme]) -> None:
    if lexeme.text in _CLOSERS:
        open_brackets.append(lexeme)
    elif lexeme.text in _CLOSERS.values():
        if not open_brackets:
            fail_at(formula, lexeme.start, f"'{lexeme.text}' without an opening bracket")
        wanted = _CLOSERS[open_brackets.pop().text]
        if wanted != lexeme.text:
            fail_at(formula, lexeme.start, f"'{wanted}' expected here")
