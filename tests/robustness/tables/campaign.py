"""Many generated CSV files: ``python -m tests.robustness.tables.campaign --files 50000 --seed 1000``.

Every file is read and its columns compared with what they mean; every `--fit-every`-th goes through ``simresid check``
instead. Prints counts, and the first file of every kind of failure; exit status 1 if there is any.
"""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
import time
import traceback
from pathlib import Path

from .generate import generate
from .judge import judge_command, judge_reading


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1000, help="number of the first file")
    parser.add_argument("--fit-every", type=int, default=20)
    options = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    failures: collections.Counter[str] = collections.Counter()
    slowest, start = 0.0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.seed, options.seed + options.files):
            file = generate(number)
            is_fitted = number % options.fit_every == 0
            begin = time.process_time()
            try:
                outcome = (judge_command if is_fitted else judge_reading)(file, Path(folder))
                counts[("checked, " if is_fitted else "") + outcome] += 1
            except Exception as error:
                frame = traceback.extract_tb(error.__traceback__)[-1]
                kind = f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"
                failures[kind] += 1
                if failures[kind] <= 3:
                    print(f"file {number}: {kind}: {str(error)[:600]}\n  {file.formula} {file.options} {file.name}")
            slowest = max(slowest, time.process_time() - begin)
    seconds = time.monotonic() - start
    print(f"{options.files} files in {seconds:.0f} s, slowest {slowest:.1f} s: {dict(counts)}; {dict(failures)}")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
