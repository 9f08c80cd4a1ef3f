"""Mutation testing: change one operator, constant or branch at a time and see whether a test notices.

``python tests/mutation/mutate.py GROUP --sample N --seed S`` tries N mutants, drawn at random, of the modules of one
group (see ``GROUPS``). Each mutant is run by the tests that reach its line, the quickest first, in a forked process
that has the heavy libraries already imported; the files on disk are never changed. Results go to
``build/mutation/GROUP.jsonl``, one line each, and a run that was stopped continues there. ``--retry`` tries the
survivors anew, for instance after tests were added.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "mutation"
# Seconds of tests, as measured on the code as it stands, that one mutant may cost at most.
BUDGET = 30.0


@dataclass(frozen=True)
class Group:
    """Modules to change, tests that ought to notice, and whether kernels run as plain Python."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    jit: bool = True
    expression: str = "not parity"


GROUPS = {
    "statistics": Group(
        (
            "simresid/pvalues.py",
            *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("simresid/checks/[!_]*.py")),
            *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("simresid/checks/_[!_]*.py")),
        ),
        ("tests/simresid/checks",),
    ),
    "ranking": Group(("simresid/scaled.py",), ("tests/simresid/test_scaled.py",)),
    "engine": Group(
        (
            "glmmcore/engines/blocked.py",
            "glmmcore/engines/layout.py",
            "glmmcore/engines/_row_kernels.py",
            "glmmcore/engines/_blocked_kernels.py",
            "glmmcore/engines/_blocked_inverse_kernels.py",
            "glmmcore/engines/_dense_kernels.py",
        ),
        ("tests/glmmcore/engines/test_systems.py",),
        jit=False,
        expression="not SparseSystem",
    ),
}

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
    before = _first_lines(chosen.statement)
    holder = _parent(tree, chosen.statement)
    at = next((f, v.index(chosen.statement)) for f, v in ast.iter_fields(holder) if _has(v, chosen.statement))
    chosen.apply()
    return ast.fix_missing_locations(tree), chosen, before, _first_lines(getattr(holder, at[0])[at[1]])


def _has(value: Any, node: ast.stmt) -> bool:
    return isinstance(value, list) and any(item is node for item in value)


def _parent(tree: ast.Module, node: ast.stmt) -> ast.AST:
    return next(p for p in ast.walk(tree) if any(_has(v, node) for _, v in ast.iter_fields(p)))


def _first_lines(statement: ast.stmt) -> str:
    """Text of a statement, of a compound one its head only."""
    shown = copy.copy(statement)
    if isinstance(shown, ast.FunctionDef | ast.ClassDef | ast.If | ast.For | ast.While | ast.With | ast.Try):
        shown.body = [ast.Pass()]
        if isinstance(shown, ast.If | ast.For | ast.While):
            shown.orelse = []
    return " ".join(ast.unparse(shown).split())


class _Finder(importlib.abc.MetaPathFinder):
    """Import one module from a changed tree, everything else as usual."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self.file = ROOT / module
        self.name = module.removesuffix(".py").replace("/", ".")
        self.code = compile(tree, str(self.file), "exec")

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        """Return the spec of the changed module, None for every other."""
        if fullname != self.name:
            return None
        loader = SourceFileLoader(fullname, str(self.file))
        loader.get_code = lambda name: self.code  # type: ignore[method-assign]
        return importlib.util.spec_from_file_location(fullname, self.file, loader=loader)


def in_child(work: Callable[[], int], seconds: float) -> str:
    """Run `work` in a forked process: "survived" (0), "killed" (1) or "time" when it takes longer than `seconds`."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        try:
            status = work()
        except BaseException:  # a mutant that cannot be imported is noticed
            status = 1
        os._exit(min(int(status), 1))
    deadline = time.monotonic() + 20 * seconds  # a hang; the limit of CPU time ends a loop
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "time"
        time.sleep(0.01)
    if os.WIFSIGNALED(status):
        return "time" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "killed"
    return "survived" if os.WEXITSTATUS(status) == 0 else "killed"


def run_tests(arguments: list[str], plugins: list[Any] | None = None) -> int:
    """Run pytest quietly in this process."""
    import pytest

    os.chdir(ROOT)
    return int(pytest.main(["-q", "-p", "no:cacheprovider", "--tb=no", *arguments], plugins=plugins or []))


class _Reach:
    """Plugin that notes which lines each test reaches, and how long it takes."""

    def __init__(self, cov: Any) -> None:
        self.cov, self.seconds = cov, {}

    def pytest_runtest_setup(self, item: Any) -> None:
        self.cov.switch_context(item.nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            raise RuntimeError(f"{report.nodeid} fails on the code as it stands")
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def reach(group: Group, into: Path) -> int:
    """Write, for each module and line, the tests that execute it, and the seconds each test takes."""
    import coverage

    cov = coverage.Coverage(data_file=None, include=[str(ROOT / m) for m in group.modules], config_file=False)
    plugin = _Reach(cov)
    cov.start()
    status = run_tests([*group.tests, "-k", group.expression], [plugin])
    cov.stop()
    data = cov.get_data()
    lines = {m: data.contexts_by_lineno(str(ROOT / m)) for m in group.modules}
    into.write_text(json.dumps({"lines": lines, "seconds": plugin.seconds}))
    return status


def tests_of(module: str, changed: Mutation, reached: dict[str, Any], jit: bool) -> list[str]:
    """Tests that reach a line, the quickest first and `BUDGET` seconds at most.

    For a line executed on import only, and for a compiled line, those that reach anything of the module.
    """
    lines, seconds = reached["lines"][module], reached["seconds"]
    here = lines.get(str(changed.line)) or lines.get(str(changed.statement.lineno), [])
    found = {test for test in here if test}
    if not found and (here or jit):
        found = {test for tests in lines.values() for test in tests if test}
    chosen, total = [], 0.0
    for test in sorted(found, key=lambda t: (seconds[t], t)):
        total += seconds[test]
        if chosen and total > BUDGET:
            break
        chosen.append(test)
    return chosen


def try_mutant(module: str, number: int, reached: dict[str, Any], jit: bool) -> dict[str, Any]:
    """Make one mutant and run its tests."""
    source = (ROOT / module).read_text()
    tree, chosen, before, after = mutant(source, number)
    record = {"module": module, "number": number, "line": chosen.line, "kind": chosen.kind}
    record |= {"before": before, "after": after}
    tests = tests_of(module, chosen, reached, jit)
    if not tests:
        return record | {"outcome": "not reached"}

    def work() -> int:
        if jit and "import kernel" in source:  # the cache would not see a changed constant
            import numba

            numba.config.CACHE_DIR = tempfile.mkdtemp()
        sys.meta_path.insert(0, _Finder(module, tree))
        return run_tests(["-x", *tests])

    usual = sum(reached["seconds"][test] for test in tests)
    return record | {"tests": len(tests), "outcome": in_child(work, 20 + 3 * usual)}


def preload() -> None:
    """Import what every child needs; nothing of the two packages."""
    for name in (
        "numpy", "scipy.stats", "scipy.optimize", "scipy.spatial", "scipy.interpolate", "pandas", "matplotlib.pyplot",
        "numba", "formulaic", "statsmodels.api", "statsmodels.formula.api", "mpmath", "pytest", "joblib", "coverage",
    ):  # fmt: skip
        importlib.import_module(name)


def main() -> None:
    """Run a sample of mutants of one group and print the tally."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("group", choices=GROUPS)
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--retry", action="store_true", help="try the survivors anew")
    options = parser.parse_args()
    group = GROUPS[options.group]
    os.environ["NUMBA_DISABLE_JIT"] = "0" if group.jit else "1"
    os.environ |= {"MPLBACKEND": "Agg", "OPENBLAS_NUM_THREADS": "1"}
    sys.path.insert(0, str(ROOT))
    preload()
    FOLDER.mkdir(parents=True, exist_ok=True)
    map_file, results = FOLDER / f"{options.group}-reach.json", FOLDER / f"{options.group}.jsonl"
    if options.retry or not map_file.exists():
        print("which tests reach which lines ...", flush=True)
        if in_child(lambda: reach(group, map_file), 3600.0) != "survived":
            sys.exit("the tests fail on the code as it stands")
    reached = json.loads(map_file.read_text())
    every = [
        (module, number)
        for module in group.modules
        for number in range(sum(1 for _ in mutations(ast.parse((ROOT / module).read_text()))))
    ]
    sample = sorted(random.Random(options.seed).sample(every, min(options.sample, len(every))))
    known = {}
    if results.exists():
        known = {(r["module"], r["number"]): r for r in map(json.loads, results.read_text().splitlines())}
    if options.retry:
        known = {key: r for key, r in known.items() if r["outcome"] in ("killed", "time")}
        results.write_text("".join(json.dumps(r) + "\n" for r in known.values()))
    with results.open("a") as out:
        for key in sample:
            if key not in known:
                known[key] = try_mutant(*key, reached, group.jit)
                print(json.dumps(known[key]), file=out, flush=True)
    tally: dict[str, int] = {}
    for key in sample:
        r = known[key]
        tally[r["outcome"]] = tally.get(r["outcome"], 0) + 1
        if r["outcome"] not in ("killed", "time"):
            print(
                f"{r['outcome']} #{r['number']} {r['module']}:{r['line']} {r['kind']}\n  {r['before']}\n  {r['after']}"
            )
    print(f"{options.group}: {len(sample)} of {len(every)} mutants", tally)


if __name__ == "__main__":
    main()
