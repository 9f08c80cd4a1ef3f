"""Time the tools of a case in turns, until each has used its share of time."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.contestants import Contestant
from benchmarks.tools import Absent
from benchmarks.workers import Run

__all__ = ["Measured", "measure"]


@dataclass
class Measured:
    """All runs of one tool in one case.

    Attributes
    ----------
    runs : list of Run
        Warm runs; a first run is kept only where it took so long that it was the only one.
    note : str
        Why there are none.
    """

    runs: list[Run] = field(default_factory=list)
    note: str = ""

    def median(self, what: str = "seconds") -> float:
        """Median of elapsed or processor seconds, NaN without runs."""
        return statistics.median(getattr(r, what) for r in self.runs) if self.runs else math.nan

    @property
    def value(self) -> float:
        """Log-likelihood."""
        return self.runs[-1].value if self.runs else math.nan

    def part_medians(self) -> dict[str, float]:
        """Median by part."""
        return {name: statistics.median(r.parts[name] for r in self.runs) for name in self.runs[0].parts}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"note": self.note, "runs": [asdict(r) for r in self.runs]}


def measure(contestants: Mapping[str, Callable[[], Contestant]], repeats: int, budget: float) -> dict[str, Measured]:
    """Run each tool once to warm up, then in turns.

    Parameters
    ----------
    contestants : mapping of str to callable
        Each makes one; they are stopped at the end.
    repeats : int
        Timed runs of each at most.
    budget : float
        Seconds of timed runs of each, about; one run always counts.
    """
    out = {name: Measured() for name in contestants}
    ready: dict[str, tuple[Contestant, int]] = {}
    try:
        for name, make in contestants.items():
            one = make()
            try:
                ready[name] = (one, 0)
                one.start()
                first = one.run()
                if one.settles and first.seconds > budget / repeats:
                    first = one.run()
                left = min(repeats, int(budget / max(first.seconds, 1e-9)))
                if left < 1:
                    out[name].runs.append(first)
                ready[name] = (one, left)
            except Absent as reason:
                out[name].note = str(reason)
                one.stop()
                del ready[name]
            print(f"  {name}: {out[name].note or f'{first.seconds:.3g} s at first'}", file=sys.stderr, flush=True)
        _take_turns(ready, out)
    finally:
        _stop(ready)
    return out


def _take_turns(ready: dict[str, tuple[Contestant, int]], out: dict[str, Measured]) -> None:
    turn = 0
    while active := [(name, one) for name, (one, left) in ready.items() if left > turn]:
        for name, one in active if turn % 2 == 0 else active[::-1]:
            try:
                out[name].runs.append(one.run())
            except Absent as reason:
                out[name].note = str(reason)
        turn += 1


def _stop(ready: dict[str, tuple[Contestant, int]]) -> None:
    for one, _ in ready.values():
        one.stop()
    ready.clear()
