"""Expressions inside a formula: read once, checked against the list of what is allowed, and evaluated from their tree.

Names are columns of the data, then `CONSTANTS`; variables of the caller and builtins cannot be named. A value is found
by walking the tree; a function is called only if it is found by its name in one of the tables of
`glmmcore.formula.allowed`. Neither Python's ``eval`` nor formulaic's parser sees any text.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from glmmcore.formula.allowed import (
    CONSTANTS,
    CONTRASTS,
    ELEMENTWISE,
    ROWWISE,
    TRANSFORMS,
    bind,
    constant,
    options_of,
    signature,
)
from glmmcore.formula.grammar import ExpressionError, parse_tree
from glmmcore.formula.hints import bar_missing, unknown_function
from glmmcore.formula.lexer import Lexeme
from glmmcore.formula.syntax import (
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
    show,
    walk,
)

__all__ = ["Expression", "column", "evaluate", "parse_expression"]

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.true_divide,
    "**": operator.pow,  # unlike np.power it squares exactly
    "%": np.mod,
    "//": np.floor_divide,
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_LOGICAL: dict[str, np.ufunc] = {"&": np.logical_and, "|": np.logical_or}
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that may stand in a formula.

    Attributes
    ----------
    node : Node
    label : str
        As it names a column of a matrix: a column's own name, else the expression with usual spacing.
    names : tuple of str
        Columns that it needs, or constants such as ``pi``.
    is_arithmetic : bool
        Whether nothing in it remembers data or makes a category.
    """

    node: Node
    label: str = field(compare=False)
    names: tuple[str, ...] = field(compare=False)
    is_arithmetic: bool = field(compare=False)

    @property
    def column(self) -> str | None:
        """The column that it is as it stands, if it is one."""
        return self.node.name if isinstance(self.node, Name) else None

    @property
    def coded_column(self) -> str | None:
        """The column that it makes a factor of, such as ``year`` in ``C(year, contr.sum)``."""
        match self.node:
            case Call(function="C", arguments=(Name(name=name), *_)):
                return name
        return None

    @property
    def text(self) -> str:
        """Spelling in a formula among terms."""
        if isinstance(self.node, Name):
            return show(self.node)
        return f"{{{self.label}}}"


@lru_cache(maxsize=4096)
def column(name: str) -> Expression:
    """A column as it stands."""
    return Expression(Name(name), name, (name,), True)


def parse_expression(lexemes: tuple[Lexeme, ...]) -> Expression:
    """Read an expression and check it.

    Raises
    ------
    ExpressionError
        When it is none, or holds what a formula may not hold.

    Examples
    --------
    >>> from glmmcore.formula.lexer import read_lexemes
    >>> found = parse_expression(tuple(read_lexemes("log(x^2+`my z`)*np.pi")))
    >>> found.label, found.names
    ('log(x ** 2 + `my z`) * np.pi', ('x', 'my z'))
    """
    try:
        return checked(parse_tree(lexemes))
    except RecursionError:
        raise ExpressionError("nested too deep") from None


def checked(node: Node) -> Expression:
    """Expression of a tree that is checked first.

    Raises
    ------
    ExpressionError
    """
    if isinstance(node, Name):
        return column(node.name)
    names: dict[str, None] = {}
    _check(node, names)
    plain = not any(isinstance(n, Call) and n.function in TRANSFORMS and n.function != "I" for n in walk(node))
    return Expression(node, show(node), tuple(names), plain)


def _check(node: Node, names: dict[str, None]) -> None:
    """Refuse what has no value in each row; collect the columns."""
    match node:
        case Name(name=name):
            names[name] = None
        case Number() | Text() | Constant(value=bool()):
            pass
        case Library(name=name) if name in CONSTANTS:
            pass
        case Library(name=name) if name in CONTRASTS:
            raise ExpressionError(f"{name} says how a category is coded, write C(f, {name})")
        case Library(name=name):
            raise ExpressionError(f"{name} is neither a constant of numpy nor a contrast")
        case Unary(operand=operand):
            _check_operand(operand)
            _check(operand, names)
        case Binary(operator=sign, left=left, right=right):
            if sign not in _COMPARISONS:
                _check_operand(left)
                _check_operand(right)
            _check_power(node)
            _check(left, names)
            _check(right, names)
        case Call():
            _check_call(node, names)
        case _:
            raise ExpressionError(f"{show(node)} is not one number per row")


def _check_operand(node: Node) -> None:
    if isinstance(node, (Text, Listing, Mapping)):
        raise ExpressionError(f"{show(node)} is not a number")


def _check_power(node: Binary) -> None:
    """Refuse powers of constants that are out of range."""
    if node.operator == "**" and not any(isinstance(part, (Name, Call, Text)) for part in walk(node)):
        constant(node)


def _check_call(call: Call, names: dict[str, None]) -> None:
    function = ELEMENTWISE.get(call.function)
    if function is not None:
        if call.keywords or len(call.arguments) != function.nin:
            given = len(call.arguments) + len(call.keywords)
            with_bar = bar_missing(call)
            raise ExpressionError(
                f"{call.function}() takes {function.nin} argument(s) in a formula, here are {given}"
                + (f"; for a random effect {with_bar}" if with_bar else "")
            )
        for argument in call.arguments:
            _check_operand(argument)
            _check(argument, names)
        return
    known = signature(call.function)
    if known is None:
        raise ExpressionError(unknown_function(call))
    rows, options = bind(call, known)
    options_of(call.function, options, known.options)
    for row in rows:
        for item in row.items if isinstance(row, Listing) and call.function == "np.select" else (row,):
            _check(item, names)


Lookup = Callable[[str], Any]
Transform = Callable[[Call], Any]


def evaluate(node: Node, lookup: Lookup, transform: Transform | None = None) -> Any:
    """Value of a checked tree.

    Parameters
    ----------
    node : Node
    lookup : callable
        Column of a name; raises KeyError for a name that is not a column.
    transform : callable, optional
        Value of a call of a function with a state. Not needed for arithmetic.
    """
    with np.errstate(all="ignore"):  # what is not finite is reported by name and row afterwards
        return _value(node, lookup, transform)


def _value(node: Node, lookup: Lookup, transform: Transform | None) -> Any:
    match node:
        case Number(value=value):
            return float(value)
        case Text(value=value) | Constant(value=value):
            return value
        case Library(name=name):
            return CONSTANTS[name]
        case Name(name=name):
            try:
                return lookup(name)
            except KeyError:
                return CONSTANTS[name]
        case Unary(operator="~", operand=operand):
            return np.logical_not(_condition(_value(operand, lookup, transform), operand))
        case Unary(operator=sign, operand=operand):
            value = _value(operand, lookup, transform)
            return np.negative(value) if sign == "-" else np.positive(value)
        case Binary(operator=sign, left=left, right=right) if sign in _LOGICAL:
            conditions = (_condition(_value(side, lookup, transform), side) for side in (left, right))
            return _LOGICAL[sign](*conditions)
        case Binary(operator=sign, left=left, right=right):
            return _OPERATORS[sign](_value(left, lookup, transform), _value(right, lookup, transform))
        case Call():
            return _called(node, lookup, transform)
    raise TypeError(f"{show(node)} has no value")


def _called(call: Call, lookup: Lookup, transform: Transform | None) -> Any:
    """Call a function of the list; there is no other place where a formula calls anything but a transform."""
    if call.function in ELEMENTWISE:
        return ELEMENTWISE[call.function](*(_value(argument, lookup, transform) for argument in call.arguments))
    if call.function == "I":
        return _value(call.arguments[0], lookup, transform)
    if call.function in ROWWISE:
        known = ROWWISE[call.function]
        rows, given = bind(call, known)
        values = [
            [_value(item, lookup, transform) for item in row.items]
            if isinstance(row, Listing)
            else _value(row, lookup, transform)
            for row in rows
        ]
        assert known.call is not None
        return known.call(*values, **options_of(call.function, given, known.options))
    if transform is None or call.function not in TRANSFORMS:
        raise TypeError(f"{call.function}() is more than arithmetic")
    return transform(call)


def _condition(value: Any, node: Node) -> Any:
    """True and False, of 1 and 0 too.

    Raises
    ------
    TypeError
    """
    array = np.asarray(value)
    if array.dtype.kind == "b":
        return array
    if array.dtype.kind in "iuf" and ((array == 0) | (array == 1)).all():
        return array != 0
    raise TypeError(f"{show(node)} is not True or False in each row")
