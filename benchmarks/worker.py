"""The process behind `benchmarks.workers.PythonWorker`: one JSON command per line, one JSON answer per line."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from dataclasses import asdict
from typing import Any

os.environ.setdefault("MPLBACKEND", "Agg")


def serve() -> None:
    """Answer until the input ends; what tools print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    from benchmarks.tools import Absent, prepare

    task: Any = None
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] == "prepare":
                task = prepare(command["kind"], command["tool"], command["model"])
                answer: dict[str, Any] = {name: sys.modules[name].__file__ for name in _ours()}
            else:
                began, used = time.perf_counter(), time.process_time()
                result = task()
                took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
                answer = took | asdict(result)
        except Absent as reason:
            answer = {"error": str(reason)}
        except Exception as e:
            answer = {"error": f"{type(e).__name__}: {str(e)[:120]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _ours() -> list[str]:
    return [name for name in ("simresid", "glmmcore") if name in sys.modules]


if __name__ == "__main__":
    serve()
