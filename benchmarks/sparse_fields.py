"""Fields of many places: how close neighbours are to the dense covariance, and what fits cost.

    python -m benchmarks.sparse_fields closeness | dense | fits | maxima

``closeness``: log-likelihoods at the true parameters of fields over 2000 places, 5 rows each, with 20 to 50 neighbours,
less those of the dense covariance. ``dense``: a fit of 3000 places with the dense covariance. ``fits``: 100 000 rows
over 10 000 places. ``maxima``: of 200 small data sets, how often other starts end higher than a fit. Times are CPU
seconds of one process.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd

from glmmcore import glmm
from glmmcore.estimation.estimator import Estimator
from glmmcore.estimation.laplace import LaplaceObjective
from glmmcore.estimation.linear import LinearObjective
from glmmcore.families import get_family
from glmmcore.formula import build_design

PLACES, ROWS = 2000, 5
NEIGHBOURS = (20, 30, 40, 50)
# Smoothness; the distance at which the correlation is some .1, as a share of the side of the square.
SMOOTHNESS, REACH = (0.5, 1.0, 1.5, 2.5), (0.1, 0.3, 1.0)


def matern_field(at: np.ndarray, smoothness: float, reach: float, rng: np.random.Generator) -> np.ndarray:
    """A draw at places (n, 2), by 4000 random waves of the spectrum, which is a t distribution of frequencies."""
    n_waves = 4000
    scale = np.sqrt(8.0 * smoothness) / reach  # one over the range
    frequency = rng.standard_normal((n_waves, 2)) * scale / np.sqrt(rng.gamma(smoothness, 2.0, (n_waves, 1)))
    phase = rng.uniform(0.0, 2.0 * np.pi, n_waves)
    out = np.zeros(len(at))
    for lo in range(0, n_waves, 200):
        out += np.cos(at @ frequency[lo : lo + 200].T + phase[lo : lo + 200]).sum(axis=1)
    return out * np.sqrt(2.0 / n_waves)


def rows(n_places: int, n_rows: int, family: str, smoothness: float, reach: float, seed: int) -> pd.DataFrame:
    """Every place at least once in the unit square, a field with standard deviation one."""
    rng = np.random.default_rng(seed)
    at = rng.uniform(size=(n_places, 2))
    field = matern_field(at, smoothness, reach, rng)
    place = np.concatenate([np.arange(n_places), rng.integers(0, n_places, n_rows - n_places)])
    d = pd.DataFrame({"x": at[place, 0], "y": at[place, 1], "z": rng.normal(size=n_rows)})
    eta = 0.5 + 0.3 * d["z"] + field[place]
    d["r"] = rng.poisson(np.exp(eta)).astype(float) if family == "poisson" else eta + rng.normal(size=n_rows)
    return d


def log_likelihood(d: pd.DataFrame, family: str, smoothness: float, reach: float, option: str) -> tuple[float, float]:
    """At the true parameters, and CPU seconds of one evaluation with gradient, the second."""
    name = "exp" if smoothness == 0.5 else "mat"
    design = build_design(f"r ~ z + {name}(x, y | 1{option})", d)
    estimator = Estimator.build(design, get_family(family))
    problem, term = estimator.problem, estimator.problem.terms[0]
    unit = term.term.places.unit
    theta = [1.0, np.log(reach / np.sqrt(8.0 * smoothness) / unit), np.log(smoothness)][: term.structure.size]
    objective = LinearObjective(problem, None) if family == "gaussian" else LaplaceObjective(problem)
    x = np.zeros(problem.n_params)
    x[term.where] = theta
    for part in problem.parts:
        if part.where.stop > part.where.start:
            x[part.where] = part.standardised(np.array([0.5, 0.3]))
    objective(x + 1e-3)
    begin = time.process_time()
    return -float(objective(x)[0]), time.process_time() - begin


def closeness() -> None:
    """Table of differences of log-likelihoods."""
    print("family smoothness reach dense_llf dense_s " + " ".join(f"diff_{m} s_{m}" for m in NEIGHBOURS))
    for family in ("gaussian", "poisson"):
        for smoothness in SMOOTHNESS:
            for reach in REACH:
                d = rows(PLACES, ROWS * PLACES, family, smoothness, reach, 7)
                dense, seconds = log_likelihood(d, family, smoothness, reach, "")
                line = [f"{family} {smoothness} {reach} {dense:.3f} {seconds:.2f}"]
                for m in NEIGHBOURS:
                    found, cost = log_likelihood(d, family, smoothness, reach, f", neighbours = {m}")
                    line.append(f"{found - dense:.3f} {cost:.2f}")
                print(" ".join(line), flush=True)


def _timed(formula: str, d: pd.DataFrame, family: str) -> None:
    begin = time.process_time()
    fit = glmm(formula, d, family)
    seconds = time.process_time() - begin
    shown = fit.var_corr.drop(columns=["component", "group", "term"]).iloc[0].round(4).to_dict()
    print(family, formula, f"{seconds:.1f} s, llf {fit.llf:.3f}, converged {fit.converged}", shown, flush=True)


def _warm() -> None:
    """Compile everything on small data."""
    for family in ("gaussian", "poisson"):
        d = rows(300, 2500, family, 0.5, 0.3, 1)
        for option in ("", ", neighbours = 30"):
            glmm(f"r ~ z + exp(x, y | 1{option})", d, family)
            glmm(f"r ~ z + mat(x, y | 1{option})", d, family)


def dense() -> None:
    """A gaussian fit of 3000 places, dense and with neighbours."""
    _warm()
    d = rows(3000, 15_000, "gaussian", 0.5, 0.3, 2)
    for option in (", neighbours = 30", ""):
        _timed(f"r ~ z + exp(x, y | 1{option})", d, "gaussian")


def fits() -> None:
    """100 000 rows over 10 000 places."""
    _warm()
    for family in ("gaussian", "poisson"):
        for name, smoothness in (("exp", 0.5), ("mat", 1.0)):
            d = rows(10_000, 100_000, family, smoothness, 0.3, 1)
            _timed(f"r ~ z + {name}(x, y | 1)", d, family)


def maxima() -> None:
    """Of 200 small data sets: how often other starts than those of the search end higher than it."""
    _warm()
    missed, below, gaps = 0, 0, []
    for seed in range(200):
        family = ("gaussian", "poisson")[seed % 2]
        d = rows(30, 60, family, 0.5, (0.1, 0.3, 1.0)[seed % 3], 100 + seed)
        formula = "r ~ z + exp(x, y | 1)"
        fit = glmm(formula, d, family)
        found = [
            glmm(formula, d, family, start={"range(1)": r, "sd(1)": sd}).llf
            for r, sd in ((0.01, 1.0), (0.1, 0.5), (1.0, 2.0), (10.0, 3.0))
        ]
        gap = max(found) - fit.llf
        missed += gap > 1e-3
        below += min(found) < max(*found, fit.llf) - 1e-3
        if gap > 1e-3:
            gaps.append(f"seed {seed} {family} {gap:.4f}")
    print(f"200 data sets: starts end in different maxima in {below}, the fit is lower than the best in {missed}", gaps)


if __name__ == "__main__":
    parts = {"closeness": closeness, "dense": dense, "fits": fits, "maxima": maxima}
    if len(sys.argv) != 2 or sys.argv[1] not in parts:
        sys.exit(__doc__)
    parts[sys.argv[1]]()
