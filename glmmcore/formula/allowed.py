"""What a formula may call, with which arguments: the whole list. Whatever is not in it has no way to be called.

Two sorts of arguments are told apart. *Rows* are expressions with one value in each row. *Options* are constants:
a value that depends on other rows, such as another column as ``knots=``, would silently mean something else in new
data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from glmmcore.formula.grammar import ExpressionError
from glmmcore.formula.hints import unknown_argument
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
)

__all__ = [
    "CONSTANTS",
    "CONTRASTS",
    "ELEMENTWISE",
    "ROWWISE",
    "TRANSFORMS",
    "Contrast",
    "Signature",
    "bind",
    "constant",
    "is_function",
    "options_of",
    "signature",
]

_PLAIN = (
    "abs", "log", "log10", "log2", "log1p", "exp", "expm1", "exp2", "sqrt", "floor", "ceil", "sign",
    "minimum", "maximum", "sin", "cos", "tan", "arcsin", "arccos", "arctan",
    "sinh", "cosh", "tanh", "arctanh",
)  # fmt: skip
ELEMENTWISE: dict[str, np.ufunc] = {
    f"np.{name}": function
    for name, function in vars(np).items()
    if isinstance(function, np.ufunc) and function.signature is None and function.nout == 1
}
"""Functions from numbers of a row to one number of that row."""
ELEMENTWISE |= {name: ELEMENTWISE[f"np.{name}"] for name in _PLAIN}
ELEMENTWISE |= {f"a{name}": ELEMENTWISE[f"np.arc{name}"] for name in ("sin", "cos", "tan")}

CONSTANTS: dict[str, float] = {
    "pi": np.pi,
    **{f"np.{name}": getattr(np, name) for name in ("pi", "e", "inf", "nan", "euler_gamma")},
}
"""Numbers with a name."""

LARGEST_SIZE, LARGEST_DEGREE = 10_000, 100


@dataclass(frozen=True, slots=True)
class Signature:
    """Arguments of a function.

    Attributes
    ----------
    rows : tuple of str
        Leading arguments with a value in each row.
    required : int
        How many of these must be given.
    options : dict of str to str
        Constants that may follow, with the kind of each (a key of `_KINDS`).
    named : frozenset of str
        Options that are only known by name.
    call : callable, optional
        Of functions of numpy.
    """

    rows: tuple[str, ...]
    required: int
    options: dict[str, str] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    call: Callable[..., Any] | None = None


ROWWISE: dict[str, Signature] = {
    "np.where": Signature(("condition", "x", "y"), 3, call=np.where),
    "np.clip": Signature(
        ("a", "a_min", "a_max"), 1, dict.fromkeys(("min", "max"), "number"), frozenset({"min", "max"}), np.clip
    ),
    "np.round": Signature(("a",), 1, {"decimals": "whole"}, call=np.round),
    "np.around": Signature(("a",), 1, {"decimals": "whole"}, call=np.around),
    "np.isin": Signature(("element",), 1, {"test_elements": "values", "invert": "flag"}, call=np.isin),
    "np.digitize": Signature(("x",), 1, {"bins": "numbers", "right": "flag"}, call=np.digitize),
    "np.interp": Signature(
        ("x",), 1, {"xp": "numbers", "fp": "numbers", "left": "number", "right": "number"}, call=np.interp
    ),
    "np.select": Signature(("condlist", "choicelist"), 2, {"default": "number"}, call=np.select),
    "np.nan_to_num": Signature(
        ("x",), 1, dict.fromkeys(("nan", "posinf", "neginf"), "number"),
        frozenset({"nan", "posinf", "neginf"}), np.nan_to_num,
    ),
}  # fmt: skip
"""Functions of numpy that are no ufuncs but give one value per row of values of that row."""

_BOUNDS = {"lower_bound": "number", "upper_bound": "number"}
_CUBIC = {"df": "size", "knots": "numbers", **_BOUNDS, "constraints": "constraints", "extrapolation": "extrapolation"}
TRANSFORMS: dict[str, Signature] = {
    "I": Signature(("x",), 1),
    "center": Signature(("x",), 1),
    "scale": Signature(("x",), 1, {"center": "flag or number", "scale": "flag or number", "ddof": "number"}),
    "standardize": Signature(("x",), 1, {"center": "flag", "rescale": "flag", "ddof": "number"}),
    "poly": Signature(("x",), 1, {"degree": "degree", "raw": "flag"}),
    "bs": Signature(
        ("x",), 1, {"df": "size", "knots": "numbers", "degree": "degree", "include_intercept": "flag", **_BOUNDS,
                    "extrapolation": "extrapolation"},
    ),
    "cr": Signature(("x",), 1, _CUBIC),
    "cs": Signature(("x",), 1, _CUBIC),
    "cc": Signature(("x",), 1, _CUBIC),
    "C": Signature(
        ("x",), 1, {"contrasts": "contrasts", "levels": "levels", "spans_intercept": "flag"},
        frozenset({"levels", "spans_intercept"}),
    ),
    "hashed": Signature(
        ("x",), 1, {"levels": "size", "contrasts": "contrasts", "spans_intercept": "flag"},
        frozenset({"spans_intercept"}),
    ),
}  # fmt: skip
"""Functions that remember something of the data of the fit, or say how a category is coded."""

CONTRASTS: dict[str, tuple[str, dict[str, str]]] = {
    "contr.treatment": ("treatment", {"base": "value"}),
    "contr.SAS": ("SAS", {"base": "value"}),
    "contr.sum": ("sum", {}),
    "contr.helmert": ("helmert", {"reverse": "flag", "scale": "flag"}),
    "contr.diff": ("diff", {"backward": "flag"}),
    "contr.poly": ("poly", {"scores": "numbers"}),
    "contr.custom": ("custom", {"contrasts": "matrix", "names": "levels"}),
    "Treatment": ("treatment", {"reference": "value"}),
    "Sum": ("sum", {}),
    "Helmert": ("helmert", {"reverse": "flag", "scale": "flag"}),
    "Diff": ("diff", {"backward": "flag"}),
    "Poly": ("poly", {"scores": "numbers"}),
}
"""Codings of categories, R's and patsy's names: what they are called in formulaic, and their options."""


class Contrast(NamedTuple):
    """A coding by the name that formulaic has for it, with its options."""

    name: str
    options: tuple[tuple[str, Any], ...]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are(value: object, fits: Callable[[object], bool]) -> bool:
    return isinstance(value, (list, tuple)) and all(map(fits, value))


def _is_value(value: object) -> bool:
    return isinstance(value, (str, bool, int, float))


def _is_matrix(value: object) -> bool:
    rows = list(value.values()) if isinstance(value, dict) else value
    return _are(rows, lambda row: _are(row, _is_number))


_WORDS = ("raise", "clip", "na", "zero", "extend")
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "flag": (lambda v: isinstance(v, bool), "True or False"),
    "number": (_is_number, "a number"),
    "flag or number": (lambda v: isinstance(v, bool) or _is_number(v), "True, False or a number"),
    "whole": (_is_whole, "a whole number"),
    "size": (lambda v: _is_whole(v) and v > 0, "a whole number above 0"),
    "degree": (lambda v: _is_whole(v) and v >= 0, "a whole number"),
    "numbers": (lambda v: _are(v, _is_number), "numbers such as [1, 2]"),
    "value": (_is_value, "one level of the column"),
    "values": (lambda v: _are(v, _is_value) or _is_value(v), "values such as ['a', 'b']"),
    "levels": (lambda v: _are(v, _is_value), "levels such as ['a', 'b']"),
    "matrix": (_is_matrix, "numbers for each contrast, such as {'low': [1, 0, 0]}"),
    "contrasts": (lambda v: isinstance(v, Contrast) or _is_matrix(v), "a coding such as contr.sum or Treatment('a')"),
    "constraints": (lambda v: v == "center" or _is_matrix(v) or _are(v, _is_number), "'center' or numbers"),
    "extrapolation": (lambda v: v in _WORDS, f"one of {', '.join(map(repr, _WORDS))}"),
}  # fmt: skip


def signature(function: str) -> Signature | None:
    """Arguments of a function that is no ufunc, None for one that is not on the list."""
    return ROWWISE.get(function) or TRANSFORMS.get(function)


def is_function(name: str) -> bool:
    """Whether a formula may call a function of this name."""
    return name in ELEMENTWISE or signature(name) is not None


def bind(call: Call, known: Signature) -> tuple[list[Node], dict[str, Node]]:
    """Rows and options that a call gives.

    Raises
    ------
    ExpressionError
        For an argument that the function does not have in a formula.
    """
    positional = [*known.rows, *(name for name in known.options if name not in known.named)]
    if len(call.arguments) > len(positional):
        raise ExpressionError(f"{call.function}() takes at most {len(positional)} argument(s) in a formula")
    given = dict(zip(positional, call.arguments, strict=False))
    for name, node in call.keywords:
        if name not in known.rows[1:] and name not in known.options:
            raise ExpressionError(unknown_argument(call, name, [*known.rows[1:], *known.options]))
        if name in given:
            raise ExpressionError(f"the argument {name} is given twice")
        given[name] = node
    missing = [name for name in known.rows[: known.required] if name not in given]
    if missing:
        raise ExpressionError(f"{call.function}() takes {known.required} argument(s), here are {len(given)}")
    return [given[name] for name in known.rows if name in given], {k: v for k, v in given.items() if k in known.options}


def options_of(function: str, given: dict[str, Node], kinds: dict[str, str]) -> dict[str, Any]:
    """Values of the options of a call; None stands for the default.

    Raises
    ------
    ExpressionError
        For a value that is no constant, of another kind, or too large.
    """
    values = {}
    for name, node in given.items():
        value = constant(node)
        if value is None:
            continue
        fits, wanted = _KINDS[kinds[name]]
        if not fits(value):
            raise ExpressionError(f"{name} of {function}() must be {wanted}, not {show(node)}")
        largest = {"size": LARGEST_SIZE, "degree": LARGEST_DEGREE}.get(kinds[name])
        if largest is not None and value > largest:
            raise ExpressionError(f"{function}() of size {show(node)}; at most {largest} is allowed")
        values[name] = value
    return values


def constant(node: Node) -> Any:
    """Value of an option: a number, text, list of these, or `Contrast`.

    Raises
    ------
    ExpressionError
        When it depends on the data.
    """
    match node:
        case Number(value=value) | Text(value=value) | Constant(value=value):
            return value
        case Name(name=name) | Library(name=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case Name(name=name) | Library(name=name) if name in CONTRASTS:
            return Contrast(CONTRASTS[name][0], ())
        case Call(function=function) if function in CONTRASTS:
            return _contrast(node)
        case Listing(items=items):
            return [constant(item) for item in items]
        case Mapping(items=pairs):
            return {_key(key): constant(value) for key, value in pairs}
        case Unary(operator="+" | "-", operand=operand) if _is_number(value := constant(operand)):
            return -value if node.operator == "-" else value
        case Binary(operator=operator, left=left, right=right) if operator in _ARITHMETIC:
            return _combine(node, constant(left), constant(right))
    raise ExpressionError(f"{show(node)} must be a constant here, not something that depends on the data")


def _key(node: Node) -> str | int | float:
    value = constant(node)
    if isinstance(value, (str, int, float)):
        return value
    raise ExpressionError(f"{show(node)} is not a name")


def _contrast(call: Call) -> Contrast:
    name, kinds = CONTRASTS[call.function]
    _, given = bind(call, Signature((), 0, kinds))
    values = options_of(call.function, given, kinds)
    return Contrast(name, tuple(("base" if word == "reference" else word, value) for word, value in values.items()))


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "**": lambda a, b: a**b,
}


def _combine(node: Binary, left: Any, right: Any) -> int | float:
    """Arithmetic of two constants, in doubles so that none takes long."""
    for side, value in ((node.left, left), (node.right, right)):
        if not _is_number(value):
            raise ExpressionError(f"{show(side)} is not a number")
    try:
        value = _ARITHMETIC[node.operator](float(left), float(right))
    except (OverflowError, ZeroDivisionError):
        value = np.inf
    if isinstance(value, complex) or not abs(value) < 1e300:
        raise ExpressionError(f"{show(node)} is out of range")
    is_whole = isinstance(left, int) and isinstance(right, int) and node.operator != "/"
    return int(value) if is_whole and value.is_integer() and abs(value) < 2**53 else value
