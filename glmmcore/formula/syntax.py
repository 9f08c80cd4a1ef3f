"""The syntax tree of an expression inside a formula. There is no other way from text to a value.

A tree can hold numbers, texts, names, operators, calls of named functions and lists, and nothing else: no attribute,
subscript, function definition or condition has a node.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = [
    "Binary",
    "Call",
    "Constant",
    "Library",
    "Listing",
    "Mapping",
    "Name",
    "Node",
    "Number",
    "Text",
    "Unary",
    "plain_name",
    "show",
    "walk",
]


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Text:
    """A text in quotes."""

    value: str


@dataclass(frozen=True, slots=True)
class Constant:
    """True, False or None."""

    value: bool | None


@dataclass(frozen=True, slots=True)
class Name:
    """A column, or a constant such as ``pi`` when there is no such column."""

    name: str


@dataclass(frozen=True, slots=True)
class Library:
    """A name with the prefix ``np.`` or ``contr.`` that is not called."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    """A sign or ``~`` before an operand."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic, a comparison, ``&`` or ``|``; powers are ``**``."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function by its name."""

    function: str
    arguments: tuple[Node, ...]
    keywords: tuple[tuple[str, Node], ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """``[a, b]``, or ``(a, b)`` when `brackets` are round."""

    brackets: str
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """``{key: value}``."""

    items: tuple[tuple[Node, Node], ...]


Node = Number | Text | Constant | Name | Library | Unary | Binary | Call | Listing | Mapping

PRECEDENCE = {
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), 1),
    "|": 2,
    "&": 4,
    **dict.fromkeys(("+", "-"), 5),
    **dict.fromkeys(("*", "/", "//", "%"), 6),
    "**": 8,
}
"""How strongly operators of two operands bind; signs have 7."""
COMPARISON, SIGN, POWER = 1, 7, 8


def children(node: Node) -> tuple[Node, ...]:
    """Nodes directly below."""
    match node:
        case Unary(operand=operand):
            return (operand,)
        case Binary(left=left, right=right):
            return (left, right)
        case Call(arguments=arguments, keywords=keywords):
            return (*arguments, *(value for _, value in keywords))
        case Listing(items=items):
            return items
        case Mapping(items=pairs):
            return tuple(node for pair in pairs for node in pair)
    return ()


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and all below it, from left to right."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(children(node)))


def plain_name(name: str) -> bool:
    """Whether a name inside an expression needs no back-ticks where it is printed."""
    return name.isidentifier() and unicodedata.normalize("NFKC", name) == name


def show(node: Node, binding: int = 0) -> str:
    """Print a node, in brackets if it binds less than `binding`; this is the label of its column.

    Examples
    --------
    >>> show(Binary("**", Binary("+", Name("x"), Name("my x")), Number(2)))
    '(x + `my x`) ** 2'
    """
    match node:
        case Number(value=value) | Text(value=value) | Constant(value=value):
            return repr(value)
        case Name(name=name):
            return name if plain_name(name) else f"`{name}`"
        case Library(name=name):
            return name
        case Unary(operator=operator, operand=operand):
            text, own = operator + show(operand, SIGN), SIGN
        case Binary(operator=operator, left=left, right=right):
            own = PRECEDENCE[operator]
            tight = (own + 1, own) if own == POWER else (own + (own == COMPARISON), own + 1)
            text = f"{show(left, tight[0])} {operator} {show(right, tight[1])}"
        case Call(function=function, arguments=arguments, keywords=keywords):
            given = [*map(show, arguments), *(f"{name}={show(value)}" for name, value in keywords)]
            return f"{function}({', '.join(given)})"
        case Listing(brackets="[", items=items):
            return f"[{', '.join(map(show, items))}]"
        case Listing(items=items):
            return f"({', '.join(map(show, items))}{',' if len(items) == 1 else ''})"
        case Mapping(items=pairs):
            return f"{{{', '.join(f'{show(key)}: {show(value)}' for key, value in pairs)}}}"
    return f"({text})" if own < binding else text
