"""Compare log-likelihoods of random models with those of R's glmmTMB, where it is installed.

Usage: python -m tests.robustness.differential [--models 300] [--seed 1] [--family NAME] [--folder DIR [--minutes 9]]

Nowhere may ours be lower by more than 1e-4 unless the verdict says that the fit is not to be trusted, or glmmTMB's
number is refuted: Laplace's approximation at its estimates, written again from the densities, is no higher, or it is
off by more than one and the integral that it approximates is no higher. Exit status 0 when that holds, 1 when it does
not, 2 without R or glmmTMB, 3 when the minutes were over first: the same command goes on from there. Only numbers go
between the two programs.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from glmmcore import ModelError, glmm

from .independent import integral, laplace, read_estimates
from .models import Model, draw_model

TOLERANCE = 1e-4
# Seconds after which R is given up on with one model; many, since other work may keep it from the processor.
PATIENCE = 300.0
# Words of the verdicts that say that the log-likelihood may not be the maximum.
TOLD = ("Not converged", "may not be the highest", "log-likelihood many maxima")


class Outcome(NamedTuple):
    """Our side of one model; `gap` is how far glmmTMB's log-likelihood lies above ours."""

    kind: str
    gap: float
    text: str


def have_r() -> bool:
    """Whether R and glmmTMB are there."""
    program = shutil.which("Rscript")
    if program is None:
        return False
    asked = subprocess.run([program, "-e", "library(glmmTMB)"], capture_output=True, check=False)
    return asked.returncode == 0


def fit_in_r(models: list[Model], folder: Path, end: float, patience: float) -> dict[str, float]:
    """Log-likelihoods by name, NaN where glmmTMB gives none; none of the models that were left at the end."""
    table = [
        (m.name, m.in_r, m.formula, m.zi or "~0", m.disp or "~1", "yes" if m.reml else "no") for m in models
    ]  # fmt: skip
    pd.DataFrame(table, columns=["name", "family", "formula", "zi", "disp", "reml"]).to_csv(
        folder / "models.tsv", sep="\t", index=False
    )
    for m in models:
        m.data.to_csv(folder / f"{m.name}.csv", index=False)
    found = folder / "found.tsv"
    found.touch()
    while _missing(models, found) and time.monotonic() < end:
        _run_r(folder, found, end, patience)
        if time.monotonic() > end:
            break
        for name in _missing(models, found)[:1]:
            # compiled code that did not return was ended from outside, and its model has no answer
            with found.open("a") as out:
                out.write(f"{name}\tNA\tNA\t{patience}\n")
    if not found.stat().st_size:
        return {}
    rows = pd.read_csv(found, sep="\t", header=None)
    return dict(zip(rows[0], pd.to_numeric(rows[1], errors="coerce"), strict=True))


def _missing(models: list[Model], found: Path) -> list[str]:
    """Names without an answer, in order."""
    done = {line.split("\t")[0] for line in found.read_text().splitlines()}
    return [m.name for m in models if m.name not in done]


def _run_r(folder: Path, found: Path, end: float, patience: float) -> None:
    """Let R work on what is left, until it is done, has been silent for too long, or the time is over."""
    script = Path(__file__).with_name("fit.R")
    run = subprocess.Popen(["Rscript", str(script), str(folder)], stdout=subprocess.DEVNULL)
    silent, size = 0.0, found.stat().st_size
    while run.poll() is None and silent < patience and time.monotonic() < end:
        time.sleep(1.0)
        silent = silent + 1.0 if found.stat().st_size == size else 0.0
        size = found.stat().st_size
    run.kill()
    run.wait()


def refutation(model: Model, ours: float, folder: Path) -> str:
    """Why the number of glmmTMB is not a higher log-likelihood; nothing if it is one or cannot be told."""
    file = folder / f"{model.name}.estimates"
    if not file.exists() or model.reml:
        return ""
    theirs = read_estimates(file.read_text().splitlines())
    there = laplace(model, theirs)
    if there <= ours + TOLERANCE:
        return f"at glmmTMB's estimates it is {there:.5f}"
    exact, error = integral(model, theirs)
    # a mode that is none, or an approximation far from what it approximates
    if exact + error <= ours + TOLERANCE and not abs(there - exact) < 1.0:
        return f"at glmmTMB's estimates Laplace's approximation means nothing, and the integral is {exact:.5f}"
    return ""


def compare(model: Model, reference: float, folder: Path) -> Outcome:
    """Fit with ours and set the log-likelihoods against each other."""
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = glmm(
                model.formula, model.data, model.family, link=model.link, zi=model.zi, disp=model.disp, reml=model.reml
            )
            verdict = " ".join(fit.verdict)
    except ModelError as error:
        return Outcome("refused", np.nan, str(error))
    seconds = time.perf_counter() - begin
    gap = reference - fit.llf
    text = f"ours {fit.llf:.5f}, glmmTMB {reference:.5f}, {seconds:.1f} s; {verdict or 'no remark'}"
    if not np.isfinite(reference):
        return Outcome("no reference", np.nan, text)
    if gap < -TOLERANCE:
        return Outcome("higher", gap, text)
    if gap <= TOLERANCE:
        return Outcome("equal", gap, text)
    if reason := refutation(model, fit.llf, folder):
        return Outcome("refuted", gap, f"{reason}; {text}")
    told = not fit.converged or any(words in verdict for words in TOLD)
    return Outcome("lower, told" if told else "LOWER, SILENT", gap, text)


def judged(file: Path) -> dict[str, Outcome]:
    """Outcomes by name that an earlier run left in its folder."""
    if not file.exists():
        return {}
    rows = [line.split("\t") for line in file.read_text().splitlines()]
    return {name: Outcome(kind, float(gap), text) for name, kind, gap, text in rows}


def main() -> int:
    """Run the comparison and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--family")
    parser.add_argument("--folder", type=Path, help="keep data, R's answers and outcomes here, and go on from them")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds that R may take for one model")
    options = parser.parse_args()
    if not have_r():
        print("R with glmmTMB is not installed")
        return 2
    end = time.monotonic() + 60.0 * options.minutes
    models = [draw_model(options.seed, i, options.family) for i in range(options.models)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        reference = fit_in_r(models, folder, end, options.patience)
        outcomes = judged(folder / "outcomes.tsv")
        for model in models:
            if model.name in outcomes or model.name not in reference:
                continue
            if time.monotonic() > end:
                break
            outcome = outcomes[model.name] = compare(model, reference[model.name], folder)
            with (folder / "outcomes.tsv").open("a") as out:
                out.write(f"{model.name}\t{outcome.kind}\t{outcome.gap}\t{outcome.text}\n")
            if outcome.kind not in ("equal", "no reference") and not (outcome.kind == "higher" and outcome.gap > -0.01):
                print(f"{outcome.kind:14s} {model.name:8s} {outcome.gap:10.5f}  {model}: {outcome.text}", flush=True)
    counts = Counter(outcomes[m.name].kind for m in models if m.name in outcomes)
    print(", ".join(f"{kind} {count}" for kind, count in sorted(counts.items())))
    if counts.total() < len(models):
        print(f"{len(models) - counts.total()} of {len(models)} models are left")
        return 3
    return int("LOWER, SILENT" in counts)


if __name__ == "__main__":
    sys.exit(main())
