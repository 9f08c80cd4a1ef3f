"""Many questions to fits: ``nice -n 10 python -m tests.robustness.estimates.campaign --calls 5000 --seed 1``.

Prints counts and every failure: an exception that is not one of ours with a sentence, a warning that is not ours, more
than 20 seconds of processor time, a file that the code in a name would have made.
"""

from __future__ import annotations

import argparse
import collections
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np

from ..calls.campaign import LONGEST, TooLong, judge
from .generate import fits, generate, table


def _ring(*_: Any) -> None:
    raise TooLong


def campaign(calls: int, seed: int) -> tuple[collections.Counter[str], list[str]]:
    """Outcomes, and failures in words, of `calls` trials from number `seed` on."""
    import matplotlib.pyplot as plt

    fits()
    before = table().copy()
    counts: collections.Counter[str] = collections.Counter()
    failures = []
    former = signal.signal(signal.SIGPROF, _ring)
    try:
        for number in range(seed, seed + calls):
            trial = generate(np.random.default_rng(number))
            signal.setitimer(signal.ITIMER_PROF, LONGEST)
            try:
                outcome, problem = judge(trial)
            except TooLong:
                outcome, problem = "too long", "".join(traceback.format_exc(limit=-5))
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0.0)
            plt.close("all")
            counts[outcome] += 1
            if problem or Path("FLAG").exists():
                failures.append(f"{number}: {trial.what}\n{problem or 'code was run'}")
    finally:
        signal.signal(signal.SIGPROF, former)
    if not table().equals(before):
        failures.append("the table was changed")
    return counts, failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1, help="number of the first trial")
    options = parser.parse_args()
    counts, failures = campaign(options.calls, options.seed)
    for failure in failures:
        print(f"--- {failure[:2000]}")
    print(f"{options.calls} calls from {options.seed}: {dict(counts)}, {len(failures)} failures")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
