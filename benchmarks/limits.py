"""What fits report where a parameter is at its limit, beside the simpler model, on hundreds of simulated data sets.

    python -m benchmarks.limits run FILE --sets 200            # every kind; goes on with a file that is there
    python -m benchmarks.limits run FILE --sets 200 --kind t   # one kind again, from the start
    python -m benchmarks.limits table FILE                     # the table of docs/standard_errors.md

`FILE` gets one line for each data set and kind. Exit status 1 when anything is off.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from glmmcore import FittedGLMM, ModelError, glmm, marginal_means

from .limit_kinds import KINDS, Kind, plain_data

# Below this difference of log-likelihoods the richer model is the simpler one: where it says that a parameter is at a
# limit at infinity, which it may stop short of, and otherwise, as with a variance, which is zero or is not.
AT_LIMIT, SAME = 2e-3, 1e-6
# Relative tolerance.
LIMIT = 1e-2
# What the verdict may say besides: that the search saw lower maxima, which is about no parameter.
OF_THE_SEARCH = "Several maxima"


class Outcome(NamedTuple):
    """A line of the file: what a fit was, how far off what it reports is and where, and what is wrong with it."""

    kind: str
    seed: int
    outcome: str
    gap: float
    deviation: float
    where: str
    fault: str
    seconds: float
    verdict: str


def differences(rich: FittedGLMM, simple: FittedGLMM, d: pd.DataFrame) -> Iterator[tuple[float, str]]:
    """Relative differences of what the two models report on what they share.

    Not of profile intervals: away from the estimates the richer model may leave its limit, and they are wider by right.
    """
    yield _relative(rich.bse, simple.bse), "standard errors"
    if simple.zi_bse.size:
        yield _relative(rich.zi_bse[simple.zi_bse.index], simple.zi_bse), "standard errors (zi)"
    # as quantiles: a relative difference of a standard error multiplies in a p-value of 1e-30
    normal = [stats.norm.isf(np.maximum(m.pvalues.to_numpy(), 1e-280) / 2.0) for m in (rich, simple)]
    yield float(np.max(np.abs(normal[0] - normal[1]) / np.maximum(normal[1], 1.0))), "p-values"
    yield _of_width(rich.conf_int(), simple.conf_int()), "intervals"
    new = d.head(6)
    for kind in ("link", "response"):
        for effects in ("none", "conditional"):
            ours, theirs = (m.predict(new, kind=kind, random_effects=effects, se=True)["se"] for m in (rich, simple))
            yield _relative(ours, theirs), f"predictions ({kind}, {effects})"
    ours, theirs = (marginal_means(m, "f") for m in (rich, simple))
    yield _relative(ours["se"], theirs["se"]), "marginal means"
    yield _of_width(ours[["lower", "upper"]], theirs[["lower", "upper"]]), "intervals of marginal means"


def _relative(ours: Any, theirs: Any) -> float:
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    if not np.isfinite(ours[np.isfinite(theirs)]).all():
        return float("inf")
    with np.errstate(invalid="ignore"):
        return float(np.max(np.where(ours == theirs, 0.0, np.abs(ours / theirs - 1.0))))


def _of_width(ours: pd.DataFrame, theirs: pd.DataFrame) -> float:
    """Largest difference of limits as a share of half an interval's width."""
    half = 0.5 * (theirs["upper"] - theirs["lower"]).to_numpy(dtype=float)[:, None]
    a, b = (t[["lower", "upper"]].to_numpy(dtype=float) for t in (ours, theirs))
    return float(np.max(np.abs(a - b) / half)) if np.isfinite(a).all() else float("inf")


def wholly(rich: FittedGLMM, simple: FittedGLMM) -> bool:
    """Whether all parameters that the simpler model lacks are at limits at infinity, not those of some rows only."""
    if any("in some rows" in sentence for sentence in rich.verdict):
        return False
    parts = [(rich.disp_bse, simple.disp_bse), (rich.zi_bse, simple.zi_bse)]
    return all(bool(np.isinf(ours).all()) for ours, theirs in parts if ours.size and not theirs.size)


def try_one(name: str, kind: Kind, seed: int) -> Outcome:
    """Fit both models to one data set."""
    begin = time.process_time()
    d = plain_data(np.random.default_rng([1, seed]))

    def outcome(
        what: str, gap: float = np.nan, worst: tuple[float, str] = (np.nan, ""), fault: str = "", said: str = ""
    ):
        return Outcome(name, seed, what, gap, *worst, fault, round(time.process_time() - begin, 2), said)

    try:
        simple, rich = (glmm(formula, d, **options) for formula, options in (kind.simple, kind.rich))
    except ModelError as error:
        return outcome("refused", fault=str(error))
    new = [s for s in rich.verdict if s not in simple.verdict and not s.startswith(OF_THE_SEARCH)]
    gap, said = rich.llf - simple.llf, " ".join(new)
    if not rich.converged:
        return outcome("unconverged", gap, said=said)
    told = [s for s in new if any(words in s for words in kind.told)]
    if gap < -AT_LIMIT:
        return outcome("lower", gap, fault="lower than the simpler model", said=said)
    if abs(gap) > (AT_LIMIT if told and kind.at_infinity and wholly(rich, simple) else SAME):
        return outcome("inside", gap, said=said)
    worst = max(differences(rich, simple, d))
    fault = "" if told else "names nothing"
    if len(new) > len(told):
        fault = "names something else"
    return outcome("limit", gap, worst, fault, said)


def run(file: Path, sets: int, kinds: list[str]) -> None:
    """Add what is missing in the file: all kinds on a tenth of the data sets, then on the next."""
    done = {(row.kind, row.seed) for row in read(file)}
    if kinds:
        keep = [row for row in read(file) if row.kind not in kinds]
        _write(file, keep, "w")
        done = {(row.kind, row.seed) for row in keep}
    share = max(sets // 10, 1)
    for begin in range(0, sets, share):
        for name in kinds or KINDS:
            for seed in range(begin, min(begin + share, sets)):
                if (name, seed) not in done:
                    _write(file, [try_one(name, KINDS[name], seed)], "a")


def _write(file: Path, rows: list[Outcome], mode: str) -> None:
    with file.open(mode, newline="") as out:
        csv.writer(out).writerows(rows)


def read(file: Path) -> list[Outcome]:
    """All lines of a file."""
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        rows = list(csv.reader(lines))
    return [Outcome(r[0], int(r[1]), r[2], float(r[3]), float(r[4]), r[5], r[6], float(r[7]), r[8]) for r in rows]


def is_off(row: Outcome) -> bool:
    """Whether something is wrong with an outcome."""
    return bool(row.fault or (row.outcome == "limit" and not row.deviation <= LIMIT))


def table(rows: list[Outcome]) -> str:
    """Markdown: one line a kind."""
    lines = [
        "| kind | sets | at the limit | largest deviation | of | above 1 % | faults | not converged | refused |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in KINDS:
        own = [r for r in rows if r.kind == name]
        if not own:
            continue
        limit = [r for r in own if r.outcome == "limit"]
        worst = max(limit, key=lambda r: r.deviation, default=None)
        largest, of = (f"{worst.deviation:.1e}", worst.where) if worst else ("", "")
        cells = [
            name, len(own), len(limit), largest, of, sum(not r.deviation <= LIMIT for r in limit),
            sum(bool(r.fault) and r.outcome != "refused" for r in own), sum(r.outcome == "unconverged" for r in own),
            sum(r.outcome == "refused" for r in own),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(str(c).replace('|', chr(92) + '|') for c in cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Run the study or print what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--kind", action="append", default=[], help="only this, from the start; may be repeated")
    options = parser.parse_args()
    if options.what == "run":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run(options.file, options.sets, options.kind)
    rows = read(options.file)
    for row in filter(is_off, rows):
        print(f"{row.kind} #{row.seed}: {row.deviation:.2g} {row.where}, {row.gap:.1e}; {row.fault}; {row.verdict}")
    print(table(rows))
    return int(any(map(is_off, rows)))


if __name__ == "__main__":
    sys.exit(main())
