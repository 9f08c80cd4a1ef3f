"""What bounds the memory of a process: the machine, ulimit, and control groups of either version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import glmmcore.memory
from glmmcore.memory import available_memory

GB = 10**9


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Folders like /proc and /sys/fs/cgroup of a machine with 100 GB."""
    monkeypatch.setattr(glmmcore.memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(glmmcore.memory, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(glmmcore.memory, "_process_limits", lambda: None)
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 200000000 kB\nMemAvailable: 97656250 kB\n")
    return tmp_path


def group(folder: Path, limit: str, used: int, cached: int = 0, version: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    (folder / names[0]).write_text(limit + "\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")


def member(system: Path, line: str) -> None:
    (system / "proc" / "self" / "cgroup").write_text(line + "\n")


def test_of_the_machine_alone(system):
    assert available_memory() == 100 * GB


def test_group_of_a_batch_job(system):
    """Its limit stands in its own folder, not at the top."""
    member(system, "0::/system.slice/job_7/step_0")
    group(system / "cgroup/system.slice/job_7/step_0", "max", GB)
    group(system / "cgroup/system.slice/job_7", str(8 * GB), 3 * GB, GB)
    group(system / "cgroup/system.slice", str(50 * GB), GB)
    assert available_memory() == 6 * GB  # what the kernel would give back of cached files counts as free


def test_group_of_a_container(system):
    """Inside, the own group is at the top, and the path may be that of the host."""
    member(system, "0::/../../docker/abc")
    group(system / "cgroup", str(4 * GB), GB)
    assert available_memory() == 3 * GB


def test_groups_of_version_1(system):
    member(system, "3:cpu,cpuacct:/a\n4:memory:/b/c\n0::/")
    group(system / "cgroup/memory/b/c", str(2**63 - 4096), GB, version=1)
    group(system / "cgroup/memory/b", str(5 * GB), GB, version=1)
    assert available_memory() == 4 * GB


def test_a_group_beyond_its_limit(system):
    member(system, "0::/a")
    group(system / "cgroup/a", str(GB), 2 * GB)
    assert available_memory() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="ulimit")
@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_limits_of_the_process(limit):
    """A matrix beyond ``ulimit -v`` is refused with a sentence before numpy fails to get it."""
    code = f"""
import resource
import numpy as np
import simresid
from glmmcore.memory import available_memory
from simresid import from_simulations
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.{limit}, (used + 2 * 10**9,) * 2)
assert 0 < available_memory() <= used + 2 * 10**9, available_memory()
wide = np.broadcast_to(0.0, (1000, 10**6))
try:
    from_simulations(wide, np.zeros(10**6))
except MemoryError as error:
    assert "needs about 8.0 GB" in str(error), error
else:
    raise SystemExit("no error")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
