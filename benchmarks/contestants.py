"""One tool in one case, ready to be timed turn by turn."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.cases import R_TOOLS, Case
from benchmarks.models import MODELS
from benchmarks.tools import Absent
from benchmarks.workers import HERE, PythonWorker, Run, RWorker, run_fresh

__all__ = ["Contestant", "contestant"]


class Contestant:
    """A tool in a case. `start` does what is not to be timed; `run` may be called any number of times.

    Attributes
    ----------
    settles : bool
        Whether a first run may be slower than all others, because something is compiled or loaded.
    """

    settles = False

    def start(self) -> None:
        """Prepare; raise `Absent` if the tool cannot do this case."""

    def run(self) -> Run:
        """Do the work once."""
        raise NotImplementedError

    def stop(self) -> None:
        """Free what `start` took."""


class _Resident(Contestant):
    """In a process that stays, so that everything is warm."""

    def __init__(self, case: Case, tool: str, timeout: float, env: Mapping[str, str] | None, cwd: Path | None) -> None:
        self.case, self.tool, self.timeout, self.env, self.cwd = case, tool, timeout, env, cwd

    def start(self) -> None:
        self.worker: PythonWorker | RWorker
        self.settles = self.tool not in R_TOOLS
        self.worker = RWorker() if self.tool in R_TOOLS else PythonWorker(self.env, self.cwd)
        # compiling and R's own fits of a first residual object may take long
        places = self.worker.prepare(self.case.kind, self.tool, self.case.model, 3 * self.timeout)
        wanted = (self.env or {}).get("PYTHONPATH", "")
        if places and not all(place.startswith(wanted) for place in places.values()):
            raise RuntimeError(f"{wanted} was to be imported, but these were: {places}")

    def run(self) -> Run:
        return self.worker.run(self.timeout)

    def stop(self) -> None:
        if hasattr(self, "worker"):
            self.worker.close()


class _Fresh(Contestant):
    """In a new process each time."""

    def __init__(self, case: Case, tool: str, env: Mapping[str, str] | None, cwd: Path | None) -> None:
        self.case, self.tool, self.cwd = case, tool, cwd
        self.env = dict(env or {})

    def start(self) -> None:
        if "empty" not in self.tool and self.case.kind == "cold":
            run_fresh("cold", self.case.model, self.env, self.cwd)  # fill the cache

    def run(self) -> Run:
        with tempfile.TemporaryDirectory() as folder:
            env = self.env | ({"NUMBA_CACHE_DIR": folder} if "empty" in self.tool else {})
            began = time.perf_counter()
            run = run_fresh(self.case.kind, self.case.model, env, self.cwd)
            return replace(run, seconds=time.perf_counter() - began) if self.case.kind == "cold" else run


class _FreshR(Contestant):
    """A new R process that loads packages, fits, and simulates or makes residuals."""

    def __init__(self, case: Case, tool: str) -> None:
        self.case, self.tool = case, tool

    def start(self) -> None:
        program = shutil.which("Rscript")
        if program is None:
            raise Absent("R is not installed")
        self.file = tempfile.NamedTemporaryFile(suffix=".csv")  # noqa: SIM115
        MODELS[self.case.model].make().to_csv(self.file.name, index=False)
        self.command = [program, "--vanilla", str(HERE / "cold.R"), self.tool, self.file.name]
        self.command.append(MODELS[self.case.model].formula)

    def run(self) -> Run:
        began = time.perf_counter()
        done = subprocess.run(self.command, capture_output=True, text=True)
        if done.returncode:
            said = [line.removeprefix("Error: ") for line in done.stderr.splitlines() if line.startswith("Error")]
            raise Absent(said[0] if said else f"exit {done.returncode}")
        parts = dict(line.rsplit("=", 1) for line in done.stdout.split("\t"))
        return Run(time.perf_counter() - began, parts={k: float(v) for k, v in parts.items()})

    def stop(self) -> None:
        if hasattr(self, "file"):
            self.file.close()


def contestant(
    case: Case, tool: str, timeout: float, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Contestant:
    """Return the tool as it runs in this case; `env` and `cwd` choose the checkout for our own."""
    if case.kind == "cold" and tool in R_TOOLS:
        return _FreshR(case, tool)
    if case.kind in ("cold", "memory"):
        return _Fresh(case, tool, env, cwd)
    return _Resident(case, tool, timeout, env, cwd)
