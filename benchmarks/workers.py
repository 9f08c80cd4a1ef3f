"""Processes that run one tool each and are timed turn by turn, so that all tools meet the same state of the machine."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.models import MODELS
from benchmarks.tools import Absent

__all__ = ["PythonWorker", "RWorker", "Run", "run_fresh"]

HERE = Path(__file__).resolve().parent


@dataclass
class Run:
    """One timed run.

    Attributes
    ----------
    seconds, cpu : float
        Elapsed, and of the processor (NaN where it is not known).
    value : float
        Log-likelihood, where there is one.
    parts : dict of str to float
        Seconds, or megabytes, by part.
    """

    seconds: float
    cpu: float = float("nan")
    value: float = float("nan")
    parts: dict[str, float] = field(default_factory=dict)


class _Worker:
    """A process that answers each line with one line."""

    def __init__(self, command: list[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=dict(os.environ, **(env or {})),
            cwd=cwd,
        )

    def ask(self, line: str, timeout: float | None = None) -> str:
        """Send a line and wait for the answer; `Absent` if it does not come."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                self.close()
                raise Absent(f"more than {timeout:.0f} s")
        answer = self.process.stdout.readline()
        if not answer:
            raise Absent("the process died")
        return answer.rstrip("\n")

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()


class PythonWorker(_Worker):
    """Runs the Python tools; `env` and `cwd` decide which checkout is imported."""

    def __init__(self, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        super().__init__([sys.executable, "-W", "ignore", "-m", "benchmarks.worker"], env, cwd or HERE.parent)

    def prepare(self, kind: str, tool: str, model: str, timeout: float | None = None) -> dict[str, str]:
        """Return the places that our packages were imported from."""
        return self._ask({"do": "prepare", "kind": kind, "tool": tool, "model": model}, timeout)

    def run(self, timeout: float | None = None) -> Run:
        """Do what was prepared, once."""
        return Run(**self._ask({"do": "run"}, timeout))

    def _ask(self, command: dict[str, Any], timeout: float | None) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.ask(json.dumps(command), timeout))
        if "error" in answer:
            raise Absent(answer["error"])
        return answer


class RWorker(_Worker):
    """Runs lme4, glmmTMB and DHARMa in one R process; data go there as CSV."""

    def __init__(self) -> None:
        program = shutil.which("Rscript")
        if program is None:
            raise Absent("R is not installed")
        super().__init__([program, "--vanilla", str(HERE / "peers.R")])

    def versions(self) -> list[str]:
        """`R 4.2.2`, `lme4 1.1.31`, ..."""
        return self._ask("versions", None)

    def prepare(self, kind: str, tool: str, model: str, timeout: float | None = None) -> dict[str, str]:
        """Send data and formula."""
        given = MODELS[model]
        with tempfile.NamedTemporaryFile(suffix=".csv") as file:
            given.make().to_csv(file.name, index=False)
            self._ask("\t".join(["prepare", kind, tool, file.name, given.formula, given.family]), timeout)
        return {}

    def run(self, timeout: float | None = None) -> Run:
        """Do what was prepared, once."""
        seconds, value, *parts = self._ask("run", timeout)
        split = (part.rsplit("=", 1) for part in parts)
        return Run(float(seconds), value=float(value), parts={name: float(number) for name, number in split})

    def _ask(self, line: str, timeout: float | None) -> list[str]:
        state, *words = self.ask(line, timeout).split("\t")
        if state == "error":
            raise Absent(words[0])
        return words


def run_fresh(
    task: str, model: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float | None = None
) -> Run:
    """Run a task of `benchmarks.fresh` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.fresh", task, model],
        env=dict(os.environ, **(env or {})),
        cwd=cwd or HERE.parent,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if done.returncode:
        raise Absent(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}")
    return Run(**json.loads(done.stdout.strip().splitlines()[-1]))
