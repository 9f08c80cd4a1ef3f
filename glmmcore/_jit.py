"""The one way glmmcore compiles a kernel.

Kernels are plain loops over C-contiguous float64/int32 arrays, so that each has exactly one signature. They hold no
global state and release the GIL. ``fastmath`` stays off: it would make NaN checks lie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["kernel"]


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` lazily, cached on disk, without the GIL, with IEEE division."""
    return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
