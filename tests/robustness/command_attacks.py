"""The formulas of `attacks` given to commands: ``nice -n 10 python -m tests.robustness.command_attacks 5000``.

Each goes to ``simresid check``, to ``simresid screen`` or to `simresid.screen`, beside a table whose header holds code
too. Prints counts and every violation:

- an event of the interpreter that starts a process, opens a connection, loads a library or unpickles,
- a file that nobody asked for,
- an exit status other than 0 (fine), 1 (flagged) and 2 (refused), or a refusal that is not one line of ours,
- a control character on the terminal,
- more than 20 seconds of processor time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import simresid
from simresid.cli import main as command

from .attacks import TABLE, generate

WATCHED = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "subprocess.", "socket.", "ctypes.dlopen",
           "pickle.find_class", "urllib.")  # fmt: skip
SETTINGS = {"n_sims": 20, "null": "analytic", "progress": False}
LONGEST = 20.0

_events: list[str] = []


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(WATCHED):
        frames = {frame.filename for frame in traceback.extract_stack()}
        if any("numba" in name or "importlib" in name for name in frames):
            return  # a kernel that a model needs for the first time, and modules that are imported late
        _events.append(f"{event}{arguments!r:.200}")


def run(formula: str, kind: str, family: str) -> tuple[str, str]:
    """Outcome of one formula, and what is wrong with it."""
    if kind == "screen()":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = simresid.screen({"a": (formula, TABLE, family)}, **SETTINGS)
        error = str(table["error"].iloc[0])
        return ("refused", "" if " " in error else f"no sentence: {error}") if error else ("screened", "")
    line = [kind, "table.csv", f"--formula={formula}", "--family", family, "--sims", "20", "--null", "analytic"]
    line += ["--by", "h"] if kind == "screen" else []
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = command(line)
        except SystemExit as stop:  # of argparse
            status = int(stop.code or 0)
    said = out.getvalue() + err.getvalue()
    if any(ord(char) < 32 and char not in "\n\t" for char in said):
        return "said", f"control characters in {said!r:.300}"
    if status not in (0, 1, 2):
        return "unexpected", f"exit status {status}: {err.getvalue()[-500:]}"
    if status == 2 and not err.getvalue().lstrip().startswith(("simresid", "usage: simresid")):
        return "refused", f"no line of ours: {err.getvalue()[-300:]!r}"
    return ("fine", "flagged", "refused")[status], ""


def campaign(n: int, seed: int) -> tuple[Counter[str], list[str], float]:
    """Try n formulas in an empty folder; counts, violations and the longest time."""
    counts: Counter[str] = Counter()
    violations: list[str] = []
    slowest, before = 0.0, Path.cwd()
    if not getattr(campaign, "installed", False):
        sys.addaudithook(_listen)
        campaign.installed = True  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            TABLE.to_csv("table.csv", index=False)
            for kind in ("check", "screen", "screen()"):  # compiles and imports
                run("y ~ x + (1|g)", kind, "gaussian")
            for rng in np.random.default_rng(seed).spawn(n):
                trial = generate(rng)
                kind = ("check", "screen", "screen()")[int(rng.integers(3))]
                family = ("gaussian", "poisson", "binomial")[int(rng.integers(3))]
                _events.clear()
                began = time.process_time()
                try:
                    outcome, problem = run(trial.formula, kind, family)
                except Exception as error:
                    outcome, problem = "failed", f"{type(error).__name__}: {error}"
                took = time.process_time() - began
                slowest = max(slowest, took)
                counts[f"{kind} {outcome}"] += 1
                problem = problem or (f"{took:.0f} s" if took > LONGEST else "")
                extra = {path.name for path in Path().iterdir()} - {"table.csv"}
                if _events or extra:
                    problem = f"events {_events[:3]}, files {sorted(extra)}"
                if problem:
                    violations.append(f"{kind} {family} {trial.formula!r}: {problem}")
        finally:
            os.chdir(before)
    return counts, violations, slowest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", type=int)
    parser.add_argument("--seed", type=int, default=251119)
    options = parser.parse_args()
    counts, violations, slowest = campaign(options.n, options.seed)
    print(
        f"{options.n} formulas: {dict(sorted(counts.items()))}, slowest {slowest:.1f} s, {len(violations)} violations"
    )
    for violation in violations[:40]:
        print(" ", violation[:1500])
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main())
