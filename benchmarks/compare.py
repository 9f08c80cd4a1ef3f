"""Two commits on one machine: the same runs in turns, so that what else the machine does hits both."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.cases import CASES, Case
from benchmarks.contestants import contestant
from benchmarks.machine import commit
from benchmarks.measure import Measured, measure
from benchmarks.workers import HERE, Run

__all__ = ["Comparison", "compare", "judge"]

TOLERANCE = 0.05
"""Ratios closer to 1 than this are noise on most machines."""

MB_TOLERANCE = 20.0


@dataclass(frozen=True)
class Comparison:
    """One case, or one part of it, in both commits.

    Attributes
    ----------
    name : str
    base, head : float
        Medians: processor seconds, or MB.
    ratio, low, high : float
        Median and quartiles over turns of head / base.
    verdict : {"slower", "faster", "same"} or a note
    """

    name: str
    base: float
    head: float
    ratio: float
    low: float
    high: float
    verdict: str


def compare(base: str, head: str, names: list[str], repeats: int, budget: float, timeout: float) -> list[Comparison]:
    """Run our own tools of each case in both commits; commits are anything that git understands."""
    found: list[Comparison] = []
    with _checkout(base) as base_env, _checkout(head) as head_env, _stage() as stage:
        for case in (CASES[name] for name in names):
            print(f"{case.name}: {case.about}", file=sys.stderr, flush=True)
            for tool in case.tools:
                if tool.split(",")[0] not in ("glmmcore", "simresid"):
                    continue
                both = {
                    side: partial(contestant, case, tool, timeout, env, stage)
                    for side, env in (("base", base_env), ("head", head_env))
                }
                found += _compare_tool(case, tool, measure(both, repeats, budget))
    return found


def _compare_tool(case: Case, tool: str, measured: dict[str, Measured]) -> list[Comparison]:
    name = case.name if tool in ("glmmcore", "simresid") else f"{case.name} ({tool.split(', ')[-1]})"
    base, head = measured["base"], measured["head"]
    if not (base.runs and head.runs):
        nan = float("nan")
        note = "; ".join(f"{side}: {m.note}" for side, m in measured.items() if m.note)
        return [Comparison(name, base.median(), head.median(), nan, nan, nan, note)]
    if case.kind != "memory":
        return [judge(name, [r.cpu for r in base.runs], [r.cpu for r in head.runs])]

    def of(runs: list[Run], part: str) -> list[float]:
        return [r.parts[part] for r in runs]

    shared = [part for part in base.runs[0].parts if part in head.runs[0].parts]
    return [judge(f"{name}, {p}", of(base.runs, p), of(head.runs, p), MB_TOLERANCE) for p in shared]


def judge(name: str, base: list[float], head: list[float], slack: float = 0.0) -> Comparison:
    """Compare runs that were taken in turns.

    A verdict needs a median ratio outside 1 +- `TOLERANCE`, a median difference above `slack`, and three quarters of
    the turns on the same side of 1.
    """
    ratios = sorted(h / b for b, h in zip(base, head, strict=False))
    low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else 3 * ratios
    a, b = statistics.median(base), statistics.median(head)
    verdict = "same" if len(ratios) > 1 else "one turn, no verdict"
    if len(ratios) > 1 and abs(b - a) > slack:
        if ratio > 1 + TOLERANCE and low > 1:
            verdict = "slower"
        elif ratio < 1 - TOLERANCE and high < 1:
            verdict = "faster"
    return Comparison(name, a, b, ratio, low, high, verdict)


@contextmanager
def _checkout(name: str) -> Iterator[dict[str, str]]:
    """Check a commit out beside the repository; yield the environment that imports it."""
    root = HERE.parent
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "-C", str(root), "worktree", "add", "--detach", str(tree), name], check=True)
        try:
            print(f"{name} is {commit(root, name)}", file=sys.stderr)
            yield {"PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1"}
        finally:
            subprocess.run(["git", "-C", str(root), "worktree", "remove", "--force", str(tree)], check=True)


@contextmanager
def _stage() -> Iterator[Path]:
    """Yield a folder with these benchmarks and neither package, so that both commits run the same cases."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        (Path(folder) / "benchmarks").symlink_to(HERE)
        yield Path(folder)
