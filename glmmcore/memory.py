"""An estimate of the need before something large is allocated, so that a machine is not brought down by one call."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_memory", "require_memory"]

SHARE = 0.8
"""Part of the available memory that one array may take."""

_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")


def available_memory() -> float | None:
    """Bytes that can still be used: by the machine, the process's limits and its control groups.

    None where the system says nothing.
    """
    known = [value for value in (_meminfo(), _process_limits(), _control_groups()) if value is not None]
    if known:
        return min(known)
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def require_memory(n_bytes: float, what: str, advice: str) -> None:
    """Refuse an allocation that would exhaust the memory.

    Raises
    ------
    MemoryError
        One sentence with need, supply and what to do instead.
    """
    if n_bytes < 1e8:
        return
    available = available_memory()
    if available is not None and n_bytes > SHARE * available:
        raise MemoryError(f"{what} needs about {n_bytes / 1e9:.1f} GB, {available / 1e9:.1f} GB are free: {advice}")


def _meminfo() -> float | None:
    """Linux: what the kernel estimates to be available."""
    return _kilobytes(_PROC / "meminfo", "MemAvailable:")


def _kilobytes(file: Path, field: str) -> float | None:
    try:
        for line in file.read_text().splitlines():
            if line.startswith(field):
                return 1024.0 * float(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return None


def _process_limits() -> float | None:
    """What ``ulimit -v`` and ``ulimit -d`` leave of address space and of data; batch systems set them."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    left = []
    for limit, field in ((resource.RLIMIT_AS, "VmSize:"), (resource.RLIMIT_DATA, "VmData:")):
        most = resource.getrlimit(limit)[0]
        if most != resource.RLIM_INFINITY:
            used = _kilobytes(_PROC / "self" / "status", field) or 0.0
            left.append(max(most - used, 0.0))
    return min(left, default=None)


def _control_groups() -> float | None:
    """Linux: what the limits of a container, service or batch job leave, those of the groups around it included."""
    left = []
    for folder, limit, used in _groups():
        try:
            most = float((folder / limit).read_text())
            cached = _given_back(folder / "memory.stat")
            left.append(max(most - float((folder / used).read_text()) + cached, 0.0))
        except (OSError, ValueError):  # no such file, or the word "max"
            continue
    return min(left, default=None)


def _groups() -> Iterator[tuple[Path, str, str]]:
    """Folder of every control group this process is in, with its files of limit and use, the innermost first."""
    try:
        lines = (_PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:  # version 2
            yield from _upwards(_CGROUP, path, "memory.max", "memory.current")
            yield from _upwards(_CGROUP / "unified", path, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            yield from _upwards(_CGROUP / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")
    # inside a container the path may be that of the host, while the files of the own group are at the top
    yield _CGROUP, "memory.max", "memory.current"
    yield _CGROUP / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"


def _upwards(top: Path, path: str, limit: str, used: str) -> Iterator[tuple[Path, str, str]]:
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for length in range(len(parts), 0, -1):
        yield top.joinpath(*parts[:length]), limit, used


def _given_back(file: Path) -> float:
    """Pages of files that the kernel would give back."""
    for line in file.read_text().splitlines():
        if line.startswith("inactive_file "):
            return float(line.split()[1])
    return 0.0
