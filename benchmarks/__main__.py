"""Command line: ``python -m benchmarks run [CASE ...]``, ``compare BASE HEAD [CASE ...]`` or ``list``."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks import compare as comparing
from benchmarks import machine, report
from benchmarks.cases import CASES
from benchmarks.contestants import contestant
from benchmarks.measure import measure
from benchmarks.workers import HERE


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 1 if a comparison finds something slower."""
    a = _parser().parse_args(arguments)
    if a.command == "list":
        for case in CASES.values():
            print(f"{case.name:11s} {case.kind:10s} {case.about}; {', '.join(case.tools)}")
        return 0
    names = a.cases or list(CASES)
    if unknown := [name for name in names if name not in CASES]:
        print(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}", file=sys.stderr)
        return 2
    return _run(a, names) if a.command == "run" else _compare(a, names)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print the cases and their tools")
    run = commands.add_parser("run", help="time the tools of each case and write JSON and Markdown")
    both = commands.add_parser("compare", help="time two commits in turns; exit 1 if something became slower")
    both.add_argument("base")
    both.add_argument("head")
    for sub in (run, both):
        sub.add_argument("cases", nargs="*", metavar="CASE", help="all by default")
        sub.add_argument("--repeats", type=int, default=7, help="timed runs of each tool at most (7)")
        sub.add_argument("--budget", type=float, default=4.0, help="seconds of timed runs of each tool (4)")
        sub.add_argument("--timeout", type=float, default=90.0, help="seconds after which a run is given up (90)")
    run.add_argument("--no-peers", action="store_true", help="only our own tools")
    run.add_argument("--output", type=Path, default=HERE / "latest", help="path of the files, without ending")
    return parser


def _run(a: argparse.Namespace, names: list[str]) -> int:
    began, about, results = time.perf_counter(), machine.describe(), {}
    for case in (CASES[name] for name in names):
        print(f"{case.name}: {case.about}", file=sys.stderr, flush=True)
        ours = [t for t in case.tools if t.split(",")[0] in ("glmmcore", "simresid")]
        makers = {tool: partial(contestant, case, tool, a.timeout) for tool in (ours if a.no_peers else case.tools)}
        results[case.name] = measure(makers, a.repeats, a.budget)
    print(report.write(results, about, a.output))
    print(f"{time.perf_counter() - began:.0f} s in all", file=sys.stderr)
    return 0


def _compare(a: argparse.Namespace, names: list[str]) -> int:
    found = comparing.compare(a.base, a.head, names, a.repeats, a.budget, a.timeout)
    print(f"Median processor seconds (or MB) of {a.base} and {a.head}, in turns; ratio with quartiles over turns.\n")
    print("| case | base | head | head / base | quartiles | verdict |\n|---|---|---|---|---|---|")
    for c in found:
        numbers = f"{c.base:.4g} | {c.head:.4g} | {c.ratio:.3f} | {c.low:.3f} to {c.high:.3f}"
        print(f"| {c.name} | {numbers} | {c.verdict} |")
    return int(any(c.verdict == "slower" for c in found))


if __name__ == "__main__":
    raise SystemExit(main())
