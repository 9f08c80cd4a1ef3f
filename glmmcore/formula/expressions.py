"""Python (or R-like) arithmetic inside a formula: what it needs, and its value for plain expressions.

Names are looked up in the data, then in `ENVIRONMENT`; the caller's variables are never seen. Arithmetic and
numpy functions are evaluated here by walking the syntax tree; anything else (splines, contrasts, `scale`) is
left to formulaic, which calls `eval`: `glmmcore.formula.allowed` says what may get there.
"""

from __future__ import annotations

import ast
import operator
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from glmmcore.formula.allowed import DEEPEST, ELEMENTWISE, check_syntax, depth, is_elementwise

__all__ = [
    "CONSTANTS",
    "ENVIRONMENT",
    "Expression",
    "UnsupportedExpression",
    "call_arguments",
    "canonical",
    "coded_column",
    "evaluate",
    "parse_expression",
    "translate",
]

_FUNCTIONS = (
    "abs", "log", "log10", "log2", "log1p", "exp", "expm1", "sqrt", "floor", "ceil", "sign",
    "minimum", "maximum", "sin", "cos", "tan", "arcsin", "arccos", "arctan",
    "sinh", "cosh", "tanh", "arctanh",
)  # fmt: skip
ENVIRONMENT: dict[str, Any] = {
    "np": np,
    "pi": np.pi,
    **{name: getattr(np, name) for name in _FUNCTIONS},
    **{f"a{name}": getattr(np, f"arc{name}") for name in ("sin", "cos", "tan")},
}
"""Names a formula may use besides the columns of the data (and formulaic's own transforms)."""
CONSTANTS = frozenset({"np", "pi", "contr", "Treatment", "Sum", "Helmert", "Diff", "Poly"})
"""What may stand in value position without being a column."""

_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.Pow: operator.pow,  # unlike np.power it squares exactly as formulaic's evaluation does
    ast.Mod: np.mod,
    ast.FloorDiv: np.floor_divide,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}
_QUOTED = re.compile(r"(`[^`]*`|'[^']*'|\"[^\"]*\")")
_DOTTED = re.compile(r"(?<![\w.])(?!(?:np|contr)\.)([^\W\d]\w*(?:\.\w+)+)(?![\w.]*\s*\()")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")


class UnsupportedExpression(Exception):
    """The expression needs more than arithmetic."""


class Expression(NamedTuple):
    """A parsed expression.

    Attributes
    ----------
    code : str
        Python spelling, names that are no identifiers in back-ticks.
    names : tuple of str
        Names in value position (columns, or constants of the environment).
    functions : tuple of str
        Names in call position.
    row_bound : str or None
        First piece, if any, whose value in a row may depend on other rows without formulaic remembering it.
    """

    code: str
    names: tuple[str, ...]
    functions: tuple[str, ...]
    row_bound: str | None = None


def translate(code: str) -> str:
    """Spell R's ``^``, ``factor()``, ``as.factor()`` and dotted names the Python way.

    Examples
    --------
    >>> translate("I(x^2) + factor(my.var)")
    'I(x**2) + C(`my.var`)'
    """
    pieces = _QUOTED.split(code)
    for i in range(0, len(pieces), 2):
        piece = pieces[i].replace("^", "**")
        piece = re.sub(r"(?<![\w.])(?:as\.)?factor\s*\(", "C(", piece)
        piece = _DOTTED.sub(r"`\1`", piece)
        pieces[i] = _IDENTIFIER.sub(_quote_unstable, piece) if not piece.isascii() else piece
    return "".join(pieces)


def _quote_unstable(match: re.Match[str]) -> str:
    """Quote a name that Python's parser would turn into another one (the micro sign into a Greek mu)."""
    name = match.group()
    return name if unicodedata.normalize("NFKC", name) == name else f"`{name}`"


@lru_cache(maxsize=512)
def _syntax_tree(code: str) -> tuple[ast.expr, dict[str, str]]:
    """Tree of the code and, for the stand-ins of back-ticked names, the names."""
    aliases: dict[str, str] = {}
    pieces = _QUOTED.split(code)
    for i in range(1, len(pieces), 2):
        if pieces[i].startswith("`"):
            alias = f"_quoted_{len(aliases)}_"
            while alias in code:  # a column of that very name
                alias = f"{alias}_"
            aliases[alias] = pieces[i][1:-1]
            pieces[i] = alias
    try:
        tree = ast.parse("".join(pieces).strip(), mode="eval").body
    except ValueError as error:
        raise SyntaxError(str(error)) from None
    except (MemoryError, RecursionError):
        raise SyntaxError("nested too deep") from None
    if depth(tree) > DEEPEST:
        raise SyntaxError(f"nested more than {DEEPEST} levels deep, compute a column first")
    return tree, aliases


@lru_cache(maxsize=512)
def parse_expression(code: str) -> Expression:
    """Find the names that an expression (already translated) needs.

    Raises
    ------
    SyntaxError
        When the code is not an expression, or one that a formula may not hold (see `glmmcore.formula.allowed`).
    """
    tree, aliases = _syntax_tree(code)
    check_syntax(tree, ENVIRONMENT)
    functions: dict[str, None] = {}
    names: dict[str, None] = {}
    row_bound = None
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            target = functions if id(node) in called else names
            target[aliases.get(node.id, node.id)] = None
        elif isinstance(node, ast.Call) and not _works_by_row(node.func):
            row_bound = row_bound or _print(node.func, aliases)
        elif isinstance(node, (ast.Subscript, ast.Lambda, ast.comprehension)):
            row_bound = row_bound or _print(node, aliases)
    return Expression(code, tuple(names), tuple(functions), row_bound)


def _works_by_row(function: ast.expr) -> bool:
    """Whether a called function is a plain name, a contrast, or a function of numpy that works row by row."""
    match function:
        case ast.Name():
            return True
        case ast.Attribute(value=ast.Name(id="contr")):
            return True
        case ast.Attribute(value=ast.Name(id="np"), attr=name):
            return name in ELEMENTWISE or is_elementwise(getattr(np, name, None))
    return False


def call_arguments(code: str) -> list[str] | None:
    """Positional arguments of a call as code, None when the code is not a call with only such.

    Examples
    --------
    >>> call_arguments("cbind(k, n - k)")
    ['k', 'n - k']
    """
    tree, aliases = _syntax_tree(code)
    if not isinstance(tree, ast.Call) or tree.keywords:
        return None
    return [_print(argument, aliases) for argument in tree.args]


def coded_column(code: str) -> str | None:
    """Column that an expression makes a factor of, None when it does not.

    Examples
    --------
    >>> coded_column("C(year, contr.sum)"), coded_column("C(np.round(x))")
    ('year', None)
    """
    tree, aliases = _syntax_tree(code)
    match tree:
        case ast.Call(func=ast.Name(id="C"), args=[ast.Name(id=name), *_]):
            return aliases.get(name, name)
    return None


def canonical(code: str) -> str:
    """Print the code with the spacing that formulaic uses in column names.

    Examples
    --------
    >>> canonical("I(x**2+`my var`)")
    'I(x ** 2 + `my var`)'
    """
    return _print(*_syntax_tree(code))


def _print(tree: ast.AST, aliases: dict[str, str]) -> str:
    text = ast.unparse(tree)
    for alias, name in aliases.items():
        text = text.replace(alias, f"`{name}`")
    return text


def evaluate(code: str, lookup: Callable[[str], Any]) -> Any:
    """Value of an arithmetic expression.

    Parameters
    ----------
    code : str
        Translated code.
    lookup : callable
        Column of a name; raises KeyError for a name that is not a column.

    Raises
    ------
    UnsupportedExpression
        When formulaic has to do it.
    """
    tree, aliases = _syntax_tree(code)

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as constant):
                return float(constant) if type(constant) is int else constant
            case ast.Name(id=name):
                name = aliases.get(name, name)
                try:
                    return lookup(name)
                except KeyError:
                    if isinstance(ENVIRONMENT.get(name), float):
                        return ENVIRONMENT[name]
            case ast.Attribute(value=ast.Name(id="np"), attr=name) if isinstance(getattr(np, name, None), float):
                return getattr(np, name)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(left), value(right))
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(operand))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(left), value(right))
            case ast.Call(func=ast.Name(id="I"), args=[argument], keywords=[]):
                return value(argument)
            case ast.Call(func=func, args=arguments, keywords=[]):
                function = _ufunc(func)
                if function is not None and len(arguments) == function.nin:  # one more would be written to
                    return function(*map(value, arguments))
        raise UnsupportedExpression(code)

    with np.errstate(all="ignore"):  # what is not finite is reported by name and row afterwards
        return value(tree)


def _ufunc(node: ast.expr) -> np.ufunc | None:
    """Only elementwise functions are evaluated here."""
    function = None
    match node:
        case ast.Name(id=name):
            function = ENVIRONMENT.get(name)
        case ast.Attribute(value=ast.Name(id="np"), attr=name):
            function = getattr(np, name, None)
    return function if isinstance(function, np.ufunc) and is_elementwise(function) else None
