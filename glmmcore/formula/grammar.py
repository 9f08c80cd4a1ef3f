"""Lexemes of one call or expression to its syntax tree, by precedence of operators."""

from __future__ import annotations

from typing import NoReturn

from glmmcore.formula.lexer import Lexeme
from glmmcore.formula.syntax import (
    COMPARISON,
    POWER,
    PRECEDENCE,
    SIGN,
    Binary,
    Call,
    Constant,
    Library,
    Listing,
    Mapping,
    Name,
    Node,
    Number,
    Text,
    Unary,
)

__all__ = ["ExpressionError", "parse_tree"]

DEEPEST = 100
_CONSTANTS = {"True": True, "TRUE": True, "False": False, "FALSE": False, "None": None}
_SPELLINGS = {"^": "**", "factor": "C", "as.factor": "C"}
_WORDS = {
    "and": "write & for and, | for or, ~ for not, with brackets around comparisons",
    "or": "write & for and, | for or, ~ for not, with brackets around comparisons",
    "not": "write & for and, | for or, ~ for not, with brackets around comparisons",
    "if": "write np.where(condition, yes, no)",
    "in": "write np.isin(x, ['a', 'b'])",
}
_INSTEAD = {
    "&&": "write & for and",
    "||": "write | for or",
    "!": "write ~ for not, with brackets around comparisons",
    "=": "write == to compare",
    "[": "a part of a column cannot be taken",
    "%%": "write x % 2 for the remainder",
    "%/%": "write x // 2 for whole division",
    "%in%": "write np.isin(x, ['a', 'b'])",
}
_END = Lexeme("end", "", -1, -1)


class ExpressionError(Exception):
    """What is wrong with an expression, in a few words."""


def parse_tree(lexemes: tuple[Lexeme, ...]) -> Node:
    """Tree of an expression.

    R's ``^``, ``factor()``, ``as.factor()``, ``TRUE`` and names with dots are understood.

    Raises
    ------
    ExpressionError

    Examples
    --------
    >>> from glmmcore.formula.lexer import read_lexemes
    >>> parse_tree(tuple(read_lexemes("x^2")))
    Binary(operator='**', left=Name(name='x'), right=Number(value=2))
    """
    parser = _Parser(lexemes)
    tree = parser.expression()
    if parser.next is not _END:
        parser.fail_here()
    return tree


class _Parser:
    """Recursive descent; operators by precedence climbing. Methods read a part and leave `place` behind it."""

    def __init__(self, lexemes: tuple[Lexeme, ...]) -> None:
        self.lexemes = lexemes
        self.place = 0
        self.depth = 0

    @property
    def next(self) -> Lexeme:
        return self.lexemes[self.place] if self.place < len(self.lexemes) else _END

    def take(self) -> Lexeme:
        lexeme = self.next
        self.place += 1
        return lexeme

    def at(self, *symbols: str) -> bool:
        return self.next.kind == "symbol" and self.next.text in symbols

    def expect(self, symbol: str) -> None:
        if not self.at(symbol):
            self.fail_here()
        self.place += 1

    def fail_here(self) -> NoReturn:
        lexeme = self.next
        if lexeme.kind == "end":
            raise ExpressionError("something is missing at its end")
        if lexeme.kind == "name" and lexeme.text in _WORDS:
            raise ExpressionError(_WORDS[lexeme.text])
        if lexeme.kind == "symbol" and lexeme.text in _INSTEAD:
            raise ExpressionError(_INSTEAD[lexeme.text])
        if lexeme.kind == "symbol":
            raise ExpressionError(f"'{lexeme.text}' is not expected here")
        raise ExpressionError(f"an operator or a comma is missing before '{lexeme.text}'")

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ExpressionError(f"nested more than {DEEPEST} levels deep, compute a column first")

    def expression(self, binding: int = 0) -> Node:
        """Operators that bind more than `binding`, with their operands."""
        outside = self.depth
        self.deeper()
        left = self.operand()
        while self.next.kind == "symbol":
            operator = _SPELLINGS.get(self.next.text, self.next.text)
            own = PRECEDENCE.get(operator, -1)
            if own <= binding:
                break
            self.place += 1
            self.deeper()  # each operator of a chain is one level of the tree
            left = Binary(operator, left, self.expression(own - 1 if own == POWER else own))
            if own == COMPARISON and PRECEDENCE.get(self.next.text) == COMPARISON and self.next.kind == "symbol":
                raise ExpressionError("compare two values at a time and join comparisons by &")
        self.depth = outside
        return left

    def operand(self) -> Node:
        lexeme = self.next
        if self.at("+", "-", "~"):
            self.place += 1
            return Unary(lexeme.text, self.expression(SIGN - 1))
        if self.at("(", "[", "{"):
            return self.bracket()
        if lexeme.kind == "text":
            self.place += 1
            return Text(lexeme.text)
        if lexeme.kind == "number":
            self.place += 1
            return _number(lexeme.text)
        if lexeme.kind in ("name", "quoted"):
            return self.name()
        self.fail_here()

    def name(self) -> Node:
        lexeme = self.take()
        if lexeme.kind == "name" and self.at("("):
            return self.call(_SPELLINGS.get(lexeme.text, lexeme.text))
        if lexeme.kind == "name" and lexeme.text in _CONSTANTS:
            return Constant(_CONSTANTS[lexeme.text])
        if lexeme.kind == "name" and lexeme.text in _WORDS and (self.next.kind not in ("symbol", "end")):
            raise ExpressionError(_WORDS[lexeme.text])
        if lexeme.kind == "name" and lexeme.text.startswith(("np.", "contr.")):
            return Library(lexeme.text)
        return Name(lexeme.text)

    def call(self, function: str) -> Node:
        self.place += 1
        arguments: list[Node] = []
        keywords: dict[str, Node] = {}
        while not self.at(")"):
            if self.at("*", "**"):
                raise ExpressionError("arguments cannot be unpacked with *")
            after = self.lexemes[self.place + 1] if self.place + 1 < len(self.lexemes) else _END
            if self.next.kind == "name" and (after.kind, after.text) == ("symbol", "="):
                word = self.next.text
                self.place += 2
                if word in keywords:
                    raise ExpressionError(f"the argument {word} is given twice")
                keywords[word] = self.expression()
            elif keywords:
                raise ExpressionError("arguments without a name come before those with one")
            else:
                arguments.append(self.expression())
            if not self.at(")"):
                self.expect(",")
        self.place += 1
        if function == "Q" and len(arguments) == 1 and isinstance(arguments[0], Text) and not keywords:
            return Name(arguments[0].value)  # patsy's way to quote a name
        return Call(function, tuple(arguments), tuple(keywords.items()))

    def bracket(self) -> Node:
        opened = self.take().text
        closer = {"(": ")", "[": "]", "{": "}"}[opened]
        items: list[Node] = []
        pairs: list[tuple[Node, Node]] = []
        trailing = False
        while not self.at(closer):
            item = self.expression()
            if opened == "{":
                self.expect(":")
                pairs.append((item, self.expression()))
            items.append(item)
            trailing = self.at(",")
            if not self.at(closer):
                self.expect(",")
        self.place += 1
        if opened == "{":
            return Mapping(tuple(pairs))
        if opened == "(" and len(items) == 1 and not trailing:
            return items[0]
        return Listing(opened, tuple(items))


def _number(text: str) -> Number:
    value = float(text)
    if value == float("inf"):
        raise ExpressionError("a number is out of range")
    return Number(int(text.lstrip("0") or "0") if text.isdecimal() else value)
