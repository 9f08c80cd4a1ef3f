"""What a formula may execute: arithmetic, comparisons and calls of known functions, and nothing else.

Formulaic evaluates Python. So that a formula from an untrusted place can at worst be refused, the syntax tree is read
against a list first: no attribute but constants of numpy and the contrasts, no subscript, lambda, comprehension,
f-string, assignment or unpacking, no argument that a function would write to, no constant that takes ages to compute.
"""

from __future__ import annotations

import ast

import numpy as np

__all__ = ["DEEPEST", "ELEMENTWISE", "check_syntax", "depth", "is_elementwise"]

ELEMENTWISE = {
    "where": (3, ()),
    "clip": (3, ("a_min", "a_max", "min", "max")),
    "round": (2, ("decimals",)),
    "around": (2, ("decimals",)),
    "isin": (2, ("invert",)),
    "digitize": (3, ("right",)),
    "interp": (3, ("left", "right")),
    "select": (3, ("default",)),
    "nan_to_num": (1, ("nan", "posinf", "neginf")),
}  # fmt: skip
"""Functions of numpy that are no ufuncs but work row by row: most positional arguments, allowed keywords."""

CONTRASTS = frozenset({"SAS", "custom", "diff", "helmert", "poly", "sum", "treatment"})
SIZES = {"bs": (1, 3), "cc": (1,), "cr": (1,), "cs": (1,), "poly": (1,), "hashed": (1,), "lag": (1,)}
"""Transforms whose arguments at these places say how much they compute."""
SIZE_KEYWORDS = frozenset({"df", "degree", "levels", "k"})
LARGEST_SIZE, DEEPEST = 10_000, 100

_PLAIN = (
    ast.Name, ast.Load, ast.Call, ast.keyword, ast.UnaryOp, ast.UAdd, ast.USub, ast.Invert, ast.BinOp, ast.Add,
    ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.Mod, ast.FloorDiv, ast.BitAnd, ast.BitOr, ast.BitXor, ast.Compare, ast.Eq,
    ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.List, ast.Tuple, ast.Dict,
)  # fmt: skip
_ELSEWHERE = (ast.Subscript, ast.Slice, ast.Lambda, ast.arguments, ast.arg, ast.comprehension, ast.ListComp, ast.Store)
"""Refused by name where expressions are checked for working row by row."""


def is_elementwise(function: object) -> bool:
    """Whether it is a function of numpy from numbers of a row to one number of that row."""
    return isinstance(function, np.ufunc) and function.signature is None and function.nout == 1


def check_syntax(tree: ast.expr, environment: dict[str, object]) -> None:
    """Refuse all but the listed syntax.

    Parameters
    ----------
    tree : ast.expr
    environment : dict
        Functions by name.

    Raises
    ------
    SyntaxError
        With a few words on what is not allowed.
    """
    called = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called.add(id(node.func))
            _check_call(node, environment)
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None):
                continue
            case ast.Constant():
                raise SyntaxError(f"{ast.unparse(node)} is not a number or a text")
            case ast.Attribute():
                _check_attribute(node, id(node) in called)
            case ast.BinOp():
                _check_arithmetic(node)
            case ast.Compare(ops=[_, _, *_]):
                raise SyntaxError("compare two values at a time and join comparisons by &")
            case ast.BoolOp() | ast.Not():
                raise SyntaxError("write & for and, | for or, ~ for not, with brackets around comparisons")
            case ast.IfExp():
                raise SyntaxError("write np.where(condition, yes, no)")
            case ast.Dict(keys=keys) if None in keys:
                raise SyntaxError("** is not allowed in a list of values")
            case _ if not isinstance(node, _PLAIN + _ELSEWHERE):
                raise SyntaxError(f"{type(node).__name__} is not allowed in a formula")


def _check_attribute(node: ast.Attribute, is_called: bool) -> None:
    match node:
        case ast.Attribute(value=ast.Name(id="contr"), attr=name) if name in CONTRASTS:
            return
        case ast.Attribute(value=ast.Name(id="np"), attr=name) if isinstance(getattr(np, name, None), float):
            return
    if not is_called:  # functions are refused where they are checked for working row by row
        raise SyntaxError(f"{ast.unparse(node)} is neither a constant of numpy nor a contrast")


def _check_call(node: ast.Call, environment: dict[str, object]) -> None:
    """Refuse arguments that a function would write to, unpacking, and sizes beyond reason."""
    if any(isinstance(argument, ast.Starred) for argument in node.args) or any(k.arg is None for k in node.keywords):
        raise SyntaxError("arguments cannot be unpacked with *")
    keywords = [k.arg or "" for k in node.keywords]
    if any(name.startswith("_") for name in keywords):
        raise SyntaxError("names of arguments cannot begin with _")
    match node.func:
        case ast.Attribute(value=ast.Name(id="np"), attr=name):
            function = getattr(np, name, None)
        case ast.Name(id=name):
            function = environment.get(name)
        case _:
            return
    if isinstance(function, np.ufunc):
        if keywords or len(node.args) != function.nin:
            given = len(node.args) + len(keywords)
            raise SyntaxError(f"{name}() takes {function.nin} argument(s) in a formula, here are {given}")
    elif isinstance(node.func, ast.Attribute) and name in ELEMENTWISE:
        most, known = ELEMENTWISE[name]
        if len(node.args) > most or not set(keywords) <= set(known):
            names = f", and by name {', '.join(known)}" if known else ""
            raise SyntaxError(f"np.{name}() takes at most {most} argument(s) in a formula{names}")
    elif name in SIZES:
        sizes = [node.args[i] for i in SIZES[name] if i < len(node.args)]
        sizes += [k.value for k in node.keywords if k.arg in SIZE_KEYWORDS]
        for size in sizes:
            value = _constant(size)
            if value is not None and value > LARGEST_SIZE:
                raise SyntaxError(f"{name}() of size {ast.unparse(size)}; at most {LARGEST_SIZE} is allowed")


def _check_arithmetic(node: ast.BinOp) -> None:
    for side in (node.left, node.right):
        if isinstance(side, (ast.List, ast.Tuple, ast.Dict)) or (
            isinstance(side, ast.Constant) and isinstance(side.value, str)
        ):
            raise SyntaxError(f"{ast.unparse(side)} is not a number")
    if isinstance(node.op, ast.Pow) and _constant(node.left) is not None:
        _constant(node)  # raises if it is out of range


def _constant(node: ast.expr) -> float | None:
    """Bound on the absolute value of arithmetic of numbers, in doubles; None if there is anything else in it."""
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            try:
                return abs(float(value))
            except OverflowError:
                raise SyntaxError("a number is out of range") from None
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            return _constant(operand)  # a bound on the absolute value
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            base, power = _constant(left), _constant(right)
            if base is None or power is None:
                return None
            try:
                result = base**power
            except (OverflowError, ZeroDivisionError):
                result = np.inf
            if not result < 1e300:
                raise SyntaxError(f"{ast.unparse(node)} is out of range")
            return float(result)
        case ast.BinOp(left=left, right=right):
            both = _constant(left), _constant(right)
            if both[0] is None or both[1] is None:
                return None
            return (both[0] + 1) * (both[1] + 1)  # a bound for sums, products and remainders
    return None


def depth(tree: ast.expr) -> int:
    """Levels of nesting, found without recursion."""
    level, nodes = 0, [tree]
    while nodes:
        level += 1
        nodes = [child for node in nodes for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    return level
