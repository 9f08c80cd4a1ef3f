"""The one way glmmcore compiles a kernel.

Kernels are plain loops over C-contiguous float64/int32 arrays, so that each has exactly one signature. They hold no
global state and release the GIL. ``fastmath`` stays off: it would make NaN checks lie.

Numba's cache on disk notices a change of the kernel's own file only, not of a kernel it calls from another file: after
an upgrade a stale callee would give wrong numbers silently. So every cache entry also carries a stamp of the whole
package.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

__all__ = ["kernel"]


@cache
def _package_stamp() -> tuple[int, int]:
    """Newest change and total size of the package's files with kernels."""
    sources = Path(__file__).parent.rglob("*.py")
    found = [path.stat() for path in sources if b"import kernel" in path.read_bytes()]
    return max(s.st_mtime_ns for s in found), sum(s.st_size for s in found)


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` lazily, cached on disk, without the GIL, with IEEE division."""
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    # no public way to add to the stamp; without these attributes the cache works as numba made it
    file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if file is not None and hasattr(file, "_source_stamp"):
        file._source_stamp = (file._source_stamp, _package_stamp())
    return compiled
