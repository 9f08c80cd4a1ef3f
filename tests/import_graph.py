"""The import graph of both packages, folder by folder: ``python -m tests.import_graph``.

Data flows one way: a module may import from its own folder and from those that stand before it in `LAYERS`, inside
functions too. Imports under ``TYPE_CHECKING`` name types only and do not count. The object that a user holds
(`FittedGLMM`, `SimulatedResiduals`) stands above everything that it offers as a method.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Folders and top-level modules of each package, lowest first; names in one tuple do not import each other.
LAYERS = {
    "glmmcore": (
        ("_jit", "errors", "memory"),
        ("arguments", "averages", "tall"),
        ("design",),
        ("engines", "families"),
        ("covariance",),
        ("formula",),
        ("relationship",),
        ("estimation",),
        ("results",),
        ("inference",),
        ("estimates",),
        ("many",),
        ("fitted",),
        ("fit",),
        ("many_responses",),
    ),
    "simresid": (
        ("arguments", "datasets", "files", "rdatasets"),
        ("alignment",),
        ("protocol",),
        ("fitting", "simulations"),
        ("adapters",),
        ("residuals",),
        ("checks",),
        ("plots",),
        ("html_report",),
        ("simulated_residuals",),
        ("simulate",),
        ("screening", "selfcheck", "teaching", "warmup_models"),
        ("cli", "__main__"),
    ),
}
# What a user starts: they may use public names of the package itself.
COMMANDS = {"__main__", "cli", "selfcheck"}
# What simresid may take from inside glmmcore: leaves that know nothing of models.
SHARED_LEAVES = {"glmmcore._jit", "glmmcore.arguments", "glmmcore.averages", "glmmcore.memory"}


@dataclass(frozen=True)
class Import:
    """Module `source` imports module `target`, `names` of it."""

    source: str
    target: str
    names: tuple[str, ...]


@cache
def parsed(path: Path) -> ast.Module:
    """Syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def modules(package: str) -> dict[str, Path]:
    """Module name -> file."""
    out = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        out[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return out


def imports(package: str) -> list[Import]:
    """All imports of our own modules, those inside functions included."""
    known = modules("glmmcore") | modules("simresid")
    out = []
    for source, path in modules(package).items():
        for node in _running(parsed(path)):
            if isinstance(node, ast.Import):
                out += [Import(source, a.name, ()) for a in node.names if a.name in known]
            elif isinstance(node, ast.ImportFrom) and node.module in known:
                inner = [f"{node.module}.{a.name}" for a in node.names]
                out += [Import(source, name, ()) for name in inner if name in known]
                names = tuple(a.name for a, name in zip(node.names, inner, strict=True) if name not in known)
                out += [Import(source, node.module, names)] if names else []
    return out


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs, that is, without what stands under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _running(child)


def place(module: str) -> str:
    """Folder or top-level module below the package that a module belongs to; ``__init__`` for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def level(module: str) -> int:
    """Height of a module's folder; that of the package itself, which loads names on request, above all."""
    package = module.split(".")[0]
    for height, names in enumerate(LAYERS[package]):
        if place(module) in names:
            return height
    if place(module) == "__init__":
        return len(LAYERS[package])
    raise KeyError(f"{module}: give {place(module)} a place in LAYERS")


def upward(package: str) -> list[str]:
    """Imports within a package that go up, or sideways between folders of one level.

    Commands may use the package's public names, as users do.
    """
    return [
        f"{i.source} -> {i.target}"
        for i in imports(package)
        if i.target.split(".")[0] == package
        and place(i.source) != place(i.target)
        and level(i.target) >= level(i.source)
        and not (place(i.target) == "__init__" and place(i.source) in COMMANDS)
    ]


def private_uses(package: str) -> list[str]:
    """Underscored modules and names that are used outside the folder they belong to."""
    out = []
    for i in imports(package):
        home, _, name = i.target.rpartition(".")
        inside = i.source.startswith(home + ".") or i.source == home
        if name.startswith("_") and not inside and i.target not in SHARED_LEAVES:
            out.append(f"{i.source} -> {i.target}")
        out += [f"{i.source} -> {i.target}.{n}" for n in i.names if n.startswith("_") and not n.startswith("__")]
    return out


def private_attributes(package: str) -> list[str]:
    """Underscored attributes of our own classes that are read in other files than those that make them."""
    trees = {name: parsed(path) for name, path in modules(package).items()}
    made = {name: _private_names(tree) for name, tree in trees.items()}
    known = set().union(*made.values())
    out = []
    for name, tree in trees.items():
        foreign = known - made[name]
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in foreign:
                text = ast.unparse(node)
                out += [] if text.startswith(("self.", "cls.")) and text.count(".") == 1 else [f"{name}: {text}"]
    return out


def _private_names(tree: ast.AST) -> set[str]:
    """Underscored names that a file defines or writes to."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def across() -> list[str]:
    """What simresid takes from inside glmmcore, apart from public names and shared leaves, and the reverse."""
    out = [f"{i.source} -> {i.target}" for i in imports("glmmcore") if i.target.startswith("simresid")]
    for i in imports("simresid"):
        if i.target.startswith("glmmcore") and i.target != "glmmcore" and i.target not in SHARED_LEAVES:
            out.append(f"{i.source} -> {i.target}")
    return out


def cycles(package: str) -> list[list[str]]:
    """Groups of modules that import each other in a circle (strongly connected components of more than one)."""
    edges = defaultdict(set)
    for i in imports(package):
        if i.target.split(".")[0] == package and place(i.source) != "__init__":
            edges[i.source].add(i.target)
    order: list[str] = []
    seen: set[str] = set()

    def visit(start: str, graph: dict[str, set[str]], into: list[str]) -> None:
        stack = [(start, iter(sorted(graph.get(start, ()))))]
        seen.add(start)
        while stack:
            node, following = stack[-1]
            step = next((n for n in following if n not in seen), None)
            if step is None:
                into.append(node)
                stack.pop()
            else:
                seen.add(step)
                stack.append((step, iter(sorted(graph.get(step, ())))))

    for module in modules(package):
        if module not in seen:
            visit(module, edges, order)
    back = defaultdict(set)
    for source, targets in edges.items():
        for target in targets:
            back[target].add(source)
    seen.clear()
    out = []
    for module in reversed(order):
        if module not in seen:
            component: list[str] = []
            visit(module, back, component)
            if len(component) > 1:
                out.append(sorted(component))
    return out


def main() -> None:
    """Print each folder with the folders that it imports, then what breaks the rules."""
    for package in LAYERS:
        uses = defaultdict(set)
        for i in imports(package):
            if i.target.split(".")[0] == package and place(i.source) != place(i.target):
                uses[place(i.source)].add(place(i.target))
        print(f"{package}, lowest first")
        for names in LAYERS[package]:
            for name in names:
                print(f"  {name:20s} <- {', '.join(sorted(uses[name], key=lambda n: level(f'{package}.{n}'))) or '-'}")
        for title, found in (
            ("upward", upward(package)),
            ("cycles", [" <-> ".join(c) for c in cycles(package)]),
            ("private", private_uses(package)),
        ):
            print(f"  {title}: {len(found)}")
            for line in sorted(set(found)):
                print(f"    {line}")
    print("between the packages:", len(across()), *sorted(set(across())), sep="\n    ")


if __name__ == "__main__":
    main()
