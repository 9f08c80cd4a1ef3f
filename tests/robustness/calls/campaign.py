"""Many hostile calls: ``nice -n 10 python -m tests.robustness.calls.campaign --calls 20000 --seed 7000``.

Work is done in processes of a thousand trials, so that an abort of the interpreter is counted and named too. Prints
counts and the first trials of every kind of failure:

- an exception that is not one of ours, raised on purpose with a sentence (a function of the user's own may raise),
- a warning that is not ours,
- more than 20 seconds of processor time,
- p-values outside (0, 1], numbers that are not finite without a note, numbers other than those of plain arithmetic.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np

from ..zoo.cage import require_ours
from .generate import Trial, fits
from .tests_of_residuals import generate

LONGEST = 20.0
OWN_WARNINGS = ("DataWarning", "UserWarning", "ConvergenceWarning", "FutureWarning")


class TooLong(BaseException):
    """More than `LONGEST` seconds of processor time."""


def _ring(*_: object) -> None:
    raise TooLong


def judge(trial: Trial) -> tuple[str, str]:
    """Outcome of a trial (``result`` or ``refused``), and what is wrong with it."""
    result: Any = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = trial.run()
        except Exception as error:
            try:
                require_ours(error)
            except AssertionError as foreign:
                if trial.own_functions and "foreign" in str(foreign):
                    return "of the user", ""
                return "refused", str(foreign) + "\n" + "".join(traceback.format_exception(error, limit=-4))
            return "refused", ""
    for warning in caught:
        if not _is_ours(warning):
            return "result", f"{warning.category.__name__} in {warning.filename}:{warning.lineno}: {warning.message}"
    return "result", _not_finite(result) or (trial.truth and trial.truth(result)) or ""


def _is_ours(warning: Any) -> bool:
    return warning.category.__name__ in OWN_WARNINGS or "matplotlib" in warning.filename


def _not_finite(result: Any) -> str:
    if isinstance(result, dict):
        return next((text for text in map(_not_finite, result.values()) if text), "")
    if not all(hasattr(result, name) for name in ("pvalue", "statistic", "effect")):
        return ""
    values = {"statistic": result.statistic, "pvalue": result.pvalue}
    if result.effect is not None:
        values |= {"effect": result.effect.value}
        values |= dict(zip(("low", "high"), result.effect.interval or (), strict=False))
    bad = {name: v for name, v in values.items() if not np.isfinite(v)}
    if getattr(result, "expected", 1.0) == 0.0:
        bad.pop("statistic", None)  # a ratio to nothing
    if result.alternative != "two-sided":
        bad = {name: v for name, v in bad.items() if name not in ("low", "high") or np.isnan(v)}  # one-sided
    if _misses(result):
        return f"p = {result.pvalue} and the interval {result.effect}"
    if bad and not result.notes:
        return f"not finite and no note: {bad}"
    if np.isfinite(result.pvalue) and not 0 < result.pvalue <= 1:
        return f"pvalue {result.pvalue}"
    return ""


def _misses(result: Any) -> bool:
    """Whether the interval of an effect holds its null value although the test rejects clearly."""
    effect = result.effect
    if effect is None or effect.interval is None or result.null != "refits" or not result.pvalue < 0.049:
        return False
    low, high = effect.interval
    return bool(low < effect.null < high)


def run_block(first: int, last: int, file: Path) -> None:
    """Try trials `first` to `last`; outcomes go to `file` line by line."""
    faulthandler.enable()
    fits()  # compiles what fits need
    signal.signal(signal.SIGPROF, _ring)
    with file.open("w") as out:
        for number in range(first, last):
            out.write(f"{json.dumps({'trial': number})}\n")
            out.flush()
            began = time.process_time()
            what = "making the trial"
            signal.setitimer(signal.ITIMER_PROF, LONGEST)
            try:
                trial = generate(np.random.default_rng(number))
                what = trial.what
                outcome, problem = judge(trial)
            except TooLong:
                outcome, problem = "too long", "".join(traceback.format_exc(limit=-6))
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0.0)
            line = {"trial": number, "outcome": outcome, "seconds": time.process_time() - began}
            if problem:
                line |= {"problem": problem, "what": what}
            out.write(f"{json.dumps(line)}\n")


def campaign(calls: int, seed: int, block: int = 1000) -> tuple[collections.Counter[str], list[dict[str, Any]]]:
    """Try `calls` trials from number `seed` on."""
    counts: collections.Counter[str] = collections.Counter()
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        at = seed
        while at < seed + calls:
            file, last = Path(folder) / "outcomes", min(at + block, seed + calls)
            command = [
                sys.executable,
                "-m",
                "tests.robustness.calls.campaign",
                "--block",
                str(at),
                str(last),
                str(file),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            finished = [line for line in lines if "outcome" in line]
            for line in finished:
                counts[line["outcome"]] += 1
            failures += [line for line in finished if "problem" in line]
            for line in finished:
                if "problem" in line:
                    print(f"--- trial {line['trial']}: {line['what'][:700]}\n{line['problem'][:2500]}")
            at = last
            if done.returncode:
                at = lines[-1]["trial"] + 1
                counts["abort"] += 1
                failures.append(
                    {"trial": at - 1, "problem": f"abort {done.returncode}\n{done.stderr[-3000:]}", "what": ""}
                )
            slowest = max(finished, key=lambda line: line["seconds"], default={"trial": at, "seconds": 0.0})
            print(f"up to {at}: {dict(counts)}, {len(failures)} failures, slowest {slowest['seconds']:.1f} s "
                  f"({slowest['trial']})", flush=True)  # fmt: skip
    return counts, failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7000, help="number of the first trial")
    parser.add_argument("--block", nargs=3, metavar=("FIRST", "LAST", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.block:
        run_block(int(options.block[0]), int(options.block[1]), Path(options.block[2]))
        return 0
    began = time.monotonic()
    counts, failures = campaign(options.calls, options.seed)
    kinds: collections.Counter[str] = collections.Counter()
    for failure in failures:
        kind = failure["problem"].splitlines()[0][:160]
        kinds[kind] += 1
    print(f"{options.calls} calls in {time.monotonic() - began:.0f} s: {dict(counts)}; {sum(kinds.values())} failures")
    for kind, count in kinds.most_common():
        print(f"{count:6} {kind}")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
