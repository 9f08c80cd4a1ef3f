"""What the numbers were measured on: processor, versions, commit, date; no names of machines or people."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.tools import Absent
from benchmarks.workers import HERE, RWorker

__all__ = ["commit", "describe"]

PACKAGES = (
    "numpy", "scipy", "pandas", "numba", "matplotlib", "statsmodels",
    "mixedlm", "interlace-lme", "gpboost", "checkmodel",
)  # fmt: skip
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def describe() -> dict[str, Any]:
    """Machine, versions and date of this run."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "threads": {name: os.environ[name] for name in THREADS if name in os.environ},
        "commit": commit(HERE.parent),
        "versions": [f"Python {platform.python_version()}", *_versions(), *_r_versions()],
    }


def commit(folder: Path, name: str = "HEAD") -> str:
    """Short hash, with "+" if files differ from it; empty outside a repository."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
        return done.stdout.strip()

    found = git("rev-parse", "--short", name)
    changed = name == "HEAD" and git("status", "--porcelain", "--", "simresid", "glmmcore")
    return found + ("+" if changed else "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _versions() -> list[str]:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} absent")
    return found


def _r_versions() -> list[str]:
    try:
        worker = RWorker()
    except Absent:
        return ["R absent"]
    try:
        return worker.versions()
    except Absent:
        return ["R does not run"]
    finally:
        worker.close()
