"""The one way both packages compile a kernel.

Kernels are plain loops over C-contiguous float64/int32 arrays, so that each has exactly one signature. They hold no
global state and release the GIL. ``fastmath`` stays off: it would make NaN checks lie.

Numba's cache on disk notices a change of the kernel's own file only, not of a kernel it calls from another file: after
an upgrade a stale callee would give wrong numbers silently. So every cache entry also carries a stamp of the whole
package that the kernel belongs to.
"""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numba

__all__ = ["kernel"]


@cache
def _package_stamp(folder: Path) -> str:
    """Digest of a package's files with kernels: of their contents, so that a cache may be copied with the package."""
    digest = blake2b()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        if b"import kernel" in content:
            digest.update(path.name.encode() + content)
    return digest.hexdigest()


def _package_folder(function: Callable[..., Any]) -> Path:
    """Folder of the package that a function was written in."""
    depth = function.__module__.count(".")
    return Path(function.__code__.co_filename).resolve().parents[max(depth - 1, 0)]


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` lazily, cached on disk, without the GIL, with IEEE division."""
    # no kernel is handed to C code or to another kernel as a value, so the entry point for that need not be compiled
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's can be written to
        _warn_once()
        return numba.njit(**options)(function)
    compiled.compile = _without_collector(compiled.compile)
    # no public way to add to the stamp; without these attributes the cache works as numba made it
    cache_on_disk: Any = getattr(compiled, "_cache", None)
    file = getattr(cache_on_disk, "_cache_file", None)
    if file is not None and hasattr(file, "_source_stamp"):
        file._source_stamp = (file._source_stamp, _package_stamp(_package_folder(function)))
        cache_on_disk.load_overload = _forgiving(cache_on_disk.load_overload, cache_on_disk.flush)
        cache_on_disk.save_overload = _forgiving(cache_on_disk.save_overload, None)
    return compiled


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """No search for cycles within: a compiler makes many objects that live, and a tenth of its time went into it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _without_collector(method: Callable[..., Any]) -> Callable[..., Any]:
    """`method` that compiles, run while the collector of cycles is paused."""

    def call(*arguments: Any) -> Any:
        with _collector_paused():
            return method(*arguments)

    return call


def _forgiving(method: Callable[..., Any], repair: Callable[[], None] | None) -> Callable[..., Any]:
    """`method` of a cache with a full disk or a broken file as a reason to compile, not to fail."""

    def call(*arguments: Any) -> Any:
        try:
            return method(*arguments)
        except Exception:  # unpickling a broken file raises whatever it likes
            _warn_once()
            if repair is not None:
                with contextlib.suppress(Exception):
                    repair()
            return None

    return call


@cache
def _warn_once() -> None:
    """Say that nothing is kept, in the name of Numba, so that it is said once."""
    warnings.warn_explicit(
        "Numba cannot keep compiled code on disk, so every process compiles it again, which takes seconds; set "
        "NUMBA_CACHE_DIR to a folder that can be written to",
        RuntimeWarning,
        numba.__file__,
        1,
        registry=vars(numba).setdefault("__warningregistry__", {}),
    )
