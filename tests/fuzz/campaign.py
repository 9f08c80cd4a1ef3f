"""Run one target under atheris: ``python -m tests.fuzz.campaign formula -max_total_time=1200``.

A failure does not end the campaign. The first input of every kind of failure is written to ``simresid-fuzz/failures``
in the folder for temporary files; the counts are printed every minute and at the end.
"""

from __future__ import annotations

import collections
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SLOW = 5.0
"""Seconds beyond which an input counts as a hang."""


class Campaign:
    """Counts outcomes and keeps one input of each kind of failure."""

    def __init__(self, check: Any, name: str, folder: Path) -> None:
        self.check, self.name, self.folder = check, name, folder
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.failures: collections.Counter[str] = collections.Counter()
        self.start = time.monotonic()
        self.reported = self.start
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, data: bytes) -> None:
        begin = time.process_time()
        try:
            self.outcomes[self.check(data)] += 1
        except Exception as error:
            self._keep(data, self._kind(error), traceback.format_exc())
        if time.process_time() - begin > SLOW:
            self._keep(data, "slow", f"{time.process_time() - begin:.1f} s of processor time")
        if time.monotonic() - self.reported > 60:
            self.report()

    def _kind(self, error: BaseException) -> str:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}-{Path(frame.filename).stem}-{frame.lineno}"

    def _keep(self, data: bytes, kind: str, story: str) -> None:
        self.failures[kind] += 1
        if self.failures[kind] == 1:
            (self.folder / f"{self.name}-{kind}").write_bytes(data)
            (self.folder / f"{self.name}-{kind}.txt").write_text(f"{data!r}\n{story}")
            print(f"new failure: {kind}", flush=True)

    def report(self) -> None:
        self.reported = time.monotonic()
        total = sum(self.outcomes.values()) + sum(self.failures.values())
        print(f"{self.name}: {total} inputs in {self.reported - self.start:.0f} s, {time.process_time():.0f} s of "
              f"processor time; {dict(self.outcomes)}; failures {dict(self.failures)}", flush=True)  # fmt: skip


def _kernels() -> list[str]:
    """Modules of both packages that hold compiled functions."""
    found = []
    for package in ("glmmcore", "simresid"):
        for file in sorted((HERE.parents[1] / package).rglob("*.py")):
            if "import kernel" in file.read_text(encoding="utf-8"):
                found.append(".".join(file.relative_to(HERE.parents[1]).with_suffix("").parts))
    return found


def main() -> None:
    import importlib

    import atheris

    name, *options = sys.argv[1:]
    folder = Path(tempfile.gettempdir()) / "simresid-fuzz"
    for module in _kernels():
        importlib.import_module(module)  # before the instruments: Numba does not compile what atheris adds
    with atheris.instrument_imports(include=["glmmcore", "simresid"]):
        target = importlib.import_module(f"tests.fuzz.{name}_target")
    campaign = Campaign(target.check, name, folder / "failures")
    work = folder / f"corpus-{name}"
    work.mkdir(parents=True, exist_ok=True)
    atheris.Setup([sys.argv[0], *options, str(work), str(HERE / "corpus" / name)], campaign)
    try:
        atheris.Fuzz()
    finally:
        campaign.report()


if __name__ == "__main__":
    main()
