"""Changes of one operator, constant, name or branch of a module, in its syntax tree."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Mutation", "head", "mutant", "mutations"]

COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
NAMES = {
    a: b
    for pair in (
        ("min", "max"), ("minimum", "maximum"), ("fmin", "fmax"), ("argmin", "argmax"), ("gammainc", "gammaincc"),
        ("chdtr", "chdtrc"), ("sf", "cdf"), ("isf", "ppf"), ("floor", "ceil"), ("any", "all"), ("sum", "mean"),
    )
    for a, b in (pair, pair[::-1])
}  # fmt: skip
WORDS = {"greater": "less", "less": "greater", "two-sided": "greater", "left": "right", "right": "left"}
# What is not computed with: messages, types, names to export.
SKIPPED = (ast.JoinedStr, ast.Raise, ast.Import, ast.ImportFrom)
SKIPPED_FIELDS = {"annotation", "returns", "decorator_list", "type_params", "bases"}


@dataclass
class Mutation:
    """One change, made in place by `apply`."""

    line: int
    kind: str
    statement: ast.stmt
    apply: Callable[[], None]


def mutations(tree: ast.Module) -> Iterator[Mutation]:
    """Every mutation of a module, in a fixed order."""
    for statement in tree.body:
        if _is_code(statement):
            yield from _inside(statement, statement, lambda new: None)


def _is_code(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        return not (isinstance(target, ast.Name) and (target.id == "__all__" or _is_alias(node)))
    return not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")


def _is_alias(node: ast.Assign | ast.AnnAssign) -> bool:
    return isinstance(node, ast.AnnAssign) and "TypeAlias" in ast.dump(node.annotation)


def _inside(node: ast.AST, statement: ast.stmt, replace: Callable[[Any], None]) -> Iterator[Mutation]:
    if isinstance(node, SKIPPED):
        return
    if isinstance(node, ast.stmt):
        statement = node
    for kind, apply in _changes(node, replace):
        yield Mutation(getattr(node, "lineno", statement.lineno), kind, statement, apply)
    for field, value in ast.iter_fields(node):
        if field in SKIPPED_FIELDS:
            continue
        if isinstance(value, list):
            for i, item in enumerate(value):
                if isinstance(item, ast.AST):
                    yield from _inside(item, statement, lambda new, v=value, i=i: v.__setitem__(i, new))
        elif isinstance(value, ast.AST):
            yield from _inside(value, statement, lambda new, f=field: setattr(node, f, new))


def _changes(node: ast.AST, replace: Callable[[Any], None]) -> Iterator[tuple[str, Callable[[], None]]]:
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            for other in COMPARISONS[type(op)]:
                yield "comparison", lambda i=i, other=other: node.ops.__setitem__(i, other())
    elif isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in ARITHMETIC:
        yield "operator", lambda: setattr(node, "op", ARITHMETIC[type(node.op)]())
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            if isinstance(node.right, ast.Constant):
                yield "dropped term", lambda: replace(node.left)
            elif isinstance(node.left, ast.Constant):
                yield "dropped term", lambda: replace(node.right)
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.UAdd):
        yield "sign", lambda: replace(node.operand)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        simple = isinstance(node.test, ast.UnaryOp) or (isinstance(node.test, ast.Compare) and len(node.test.ops) == 1)
        if not simple:  # the others are negated by the branches above
            yield "negation", lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, bool):
            yield "constant", lambda: setattr(node, "value", not value)
        elif isinstance(value, int | float):
            yield "constant", lambda: setattr(node, "value", value + 1)
        elif isinstance(value, str) and value in WORDS:
            yield "word", lambda: setattr(node, "value", WORDS[value])
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in NAMES:
        yield "name", lambda: setattr(node, "id", NAMES[node.id])
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr in NAMES:
        yield "name", lambda: setattr(node, "attr", NAMES[node.attr])
    elif isinstance(node, ast.Continue):
        yield "loop", lambda: replace(ast.Break())
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "dropped call", lambda: replace(ast.Pass())


def mutant(source: str, number: int) -> tuple[ast.Module, Mutation, str, str]:
    """Tree of one mutant, its mutation, and the changed statement before and after."""
    tree = ast.parse(source)
    chosen = list(mutations(tree))[number]
    before = head(chosen.statement)
    holder = _parent(tree, chosen.statement)
    at = next((f, v.index(chosen.statement)) for f, v in ast.iter_fields(holder) if _has(v, chosen.statement))
    chosen.apply()
    return ast.fix_missing_locations(tree), chosen, before, head(getattr(holder, at[0])[at[1]])


def _has(value: Any, node: ast.stmt) -> bool:
    return isinstance(value, list) and any(item is node for item in value)


def _parent(tree: ast.Module, node: ast.stmt) -> ast.AST:
    return next(p for p in ast.walk(tree) if any(_has(v, node) for _, v in ast.iter_fields(p)))


def head(statement: ast.stmt) -> str:
    """Text of a statement, of a compound one its head only."""
    shown = copy.copy(statement)
    if isinstance(shown, ast.FunctionDef | ast.ClassDef | ast.If | ast.For | ast.While | ast.With | ast.Try):
        shown.body = [ast.Pass()]
        if isinstance(shown, ast.If | ast.For | ast.While):
            shown.orelse = []
    return " ".join(ast.unparse(shown).split())
