"""An estimate of the need before something large is allocated, so that one call does not bring a machine down."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["available_memory", "require_memory"]

SHARE = 0.8
"""Part of the available memory that one array may take."""


def available_memory() -> float | None:
    """Bytes that can still be used without swapping; None where the system does not say."""
    found = [_meminfo(), _cgroup()]
    known = [value for value in found if value is not None]
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
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * float(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return None


def _cgroup() -> float | None:
    """Linux: what the limit of a container or batch job leaves."""
    for folder, limit, used in (
        ("/sys/fs/cgroup", "memory.max", "memory.current"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        try:
            most = float((Path(folder) / limit).read_text())
            cached = _cached(Path(folder) / "memory.stat")
            return max(most - float((Path(folder) / used).read_text()) + cached, 0.0)
        except (OSError, ValueError):  # no such file, or the word "max"
            continue
    return None


def _cached(file: Path) -> float:
    """Pages of files that the kernel would give back."""
    for line in file.read_text().splitlines():
        if line.startswith("inactive_file "):
            return float(line.split()[1])
    return 0.0
