"""Mutation testing: change one operator, constant or branch at a time and see whether a test notices.

``python -m tests.mutation.mutate GROUP --sample N --seed S`` tries N mutants, drawn at random, of the modules of one
group (see ``GROUPS``). Each mutant is run by the tests that reach its line, the quickest first, in a forked process
that has the heavy libraries already imported; the files on disk are never changed. Results go to
``build/mutation/GROUP.jsonl``, one line each, and a run that was stopped continues there. ``--again FILE`` tries the
survivors of such a file anew, after tests were added; they are recognised by the changed statement, so that the modules
may have been edited since.
"""

from __future__ import annotations

import argparse
import ast
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
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

from .operators import Mutation, head, mutant, mutations

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "mutation"
# Seconds of tests, as measured on the code as it stands, that one mutant may cost at most.
BUDGET = 30.0
# Outcomes that a test brought about.
KILLED = ("killed", "time")


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
            "simresid/checks/pvalues.py",
            *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("simresid/checks/[!_]*.py")),
            *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("simresid/checks/_[!_]*.py")),
        ),
        ("tests/simresid/checks",),
    ),
    "ranking": Group(("simresid/residuals/scaled.py",), ("tests/simresid/residuals/test_scaled.py",)),
    "engine": Group(
        (
            "glmmcore/engines/blocked.py",
            "glmmcore/engines/layout.py",
            "glmmcore/engines/_row_kernels.py",
            "glmmcore/engines/_blocked_kernels.py",
            "glmmcore/engines/_blocked_inverse_kernels.py",
            "glmmcore/engines/_dense_kernels.py",
            "glmmcore/engines/_intercept_kernels.py",
        ),
        ("tests/glmmcore/engines/test_systems.py",),
        jit=False,
        expression="not SparseSystem",
    ),
}


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


def numbers(group: Group) -> list[tuple[str, int]]:
    """Every mutant of a group: module and number."""
    return [
        (module, number)
        for module in group.modules
        for number in range(sum(1 for _ in mutations(ast.parse((ROOT / module).read_text()))))
    ]


def survivors(file: Path) -> list[tuple[str, int]]:
    """Find the survivors of an earlier run among the mutants of the code as it stands."""
    known = [r for r in read_results(file) if r["outcome"] not in KILLED]
    wanted = {(r["module"], r["kind"], r["before"]) for r in known}
    present: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for module in {r["module"] for r in known}:
        source = (ROOT / module).read_text()
        for number, change in enumerate(mutations(ast.parse(source))):
            if (module, change.kind, head(change.statement)) in wanted:
                _, _, before, after = mutant(source, number)
                present.setdefault((module, change.kind, before, after), []).append((module, number))
    found = [present.get((r["module"], r["kind"], r["before"], r["after"]), []) for r in known]
    print(f"{sum(map(bool, found))} of {len(known)} survivors are still in the code")
    return sorted({key for keys in found for key in keys})


def read_results(file: Path) -> list[dict[str, Any]]:
    """One record a line."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def main() -> None:
    """Run a sample of mutants of one group and print the tally."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("group", choices=GROUPS)
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--again", type=Path, metavar="FILE", help="try the survivors of an earlier run")
    options = parser.parse_args()
    group = GROUPS[options.group]
    os.environ["NUMBA_DISABLE_JIT"] = "0" if group.jit else "1"
    os.environ |= {"MPLBACKEND": "Agg", "OPENBLAS_NUM_THREADS": "1"}
    sys.path.insert(0, str(ROOT))
    preload()
    FOLDER.mkdir(parents=True, exist_ok=True)
    map_file, results = FOLDER / f"{options.group}-reach.json", FOLDER / f"{options.group}.jsonl"
    every = numbers(group)
    if options.again:
        sample = survivors(options.again)
        results = results.with_stem(results.stem + "-again")
    else:
        sample = sorted(random.Random(options.seed).sample(every, min(options.sample, len(every))))
    if not map_file.exists():
        print("which tests reach which lines ...", flush=True)
        if in_child(lambda: reach(group, map_file), 3600.0) != "survived":
            sys.exit("the tests fail on the code as it stands")
    reached = json.loads(map_file.read_text())
    known = {(r["module"], r["number"]): r for r in read_results(results)}
    with results.open("a") as out:
        for key in sample:
            if key not in known:
                known[key] = try_mutant(*key, reached, group.jit)
                print(json.dumps(known[key]), file=out, flush=True)
    tally: dict[str, int] = {}
    for r in (known[key] for key in sample):
        tally[r["outcome"]] = tally.get(r["outcome"], 0) + 1
        if r["outcome"] not in KILLED:
            print(f"{r['outcome']} {r['module']}:{r['line']} {r['kind']}\n  {r['before']}\n  {r['after']}")
    print(f"{options.group}: {len(sample)} of {len(every)} mutants", tally)


if __name__ == "__main__":
    main()
