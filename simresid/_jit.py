"""The one way simresid compiles a kernel: plain loops over C-contiguous arrays, one signature each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["kernel"]


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` lazily, cached on disk, without the GIL, with IEEE division."""
    return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
