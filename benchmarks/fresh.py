"""What needs a process of its own: cold start and peak memory.

``python -m benchmarks.fresh TASK MODEL`` prints JSON.
"""

from __future__ import annotations

import time

BEGAN = time.perf_counter()

import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

os.environ.setdefault("MPLBACKEND", "Agg")


def cold(model: str) -> dict[str, float]:
    """Seconds of the import, of the first fit and of its residuals; the data are made by numpy and pandas alone."""
    parts: dict[str, float] = {}

    def timed(name: str, function: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        value = function()
        parts[name] = time.perf_counter() - start
        return value

    timed("import", _import_both)
    from benchmarks.models import MODELS

    given = MODELS[model]
    data = timed("data (with pandas)", given.make)
    import glmmcore
    import simresid

    fit = timed("fit", lambda: glmmcore.glmm(given.formula, data, family=given.family))
    timed("residuals", lambda: simresid.simulate_residuals(fit, 250))
    return parts


def _import_both() -> None:
    import glmmcore  # noqa: F401
    import simresid  # noqa: F401


def memory(model: str) -> dict[str, float]:
    """Peak of resident memory above that with the data loaded and all compiled, in MB, per step."""
    import glmmcore
    import simresid
    from benchmarks.models import MODELS

    given = MODELS[model]
    data = given.make()
    _steps(glmmcore, simresid, given, data.iloc[:2000], {})
    parts: dict[str, float] = {}
    _steps(glmmcore, simresid, given, data, parts)
    return parts


def _steps(glmmcore: Any, simresid: Any, given: Any, data: Any, parts: dict[str, float]) -> None:
    before = _resident("VmRSS")

    def peak(name: str, function: Callable[[], Any]) -> Any:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        value = function()
        parts[name] = _resident("VmHWM") - before
        return value

    fit = peak("fit, MB", lambda: glmmcore.glmm(given.formula, data, family=given.family))
    res = peak("exact residuals, MB", lambda: simresid.simulate_residuals(fit, method="exact"))
    peak("battery, MB", res.diagnose)
    peak("curves, MB", lambda: simresid.quantile_test(res, curves=True))


def _resident(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


if __name__ == "__main__":
    taken = {"cold": cold, "memory": memory}[sys.argv[1]](sys.argv[2])
    seconds = time.perf_counter() - BEGAN
    print(json.dumps({"seconds": seconds, "cpu": time.process_time(), "parts": taken}))
