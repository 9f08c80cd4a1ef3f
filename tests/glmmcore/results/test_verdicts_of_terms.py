"""What a verdict says of random effects, ranges and dispersions that are at a limit, and that it names them."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from glmmcore import FittedGLMM, glmm

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.limit_kinds import plain_data

# Two log-likelihoods of which one is the other's limit.
SAME = 1e-3


def fit(formula: str, d: pd.DataFrame, family: str = "poisson", **options: str) -> FittedGLMM:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return glmm(formula, d, family=family, **options)


@pytest.mark.parametrize(
    ("term", "simpler", "said"),
    [
        ("ou(when|g)", "(1|g)", "The rate of ou(when) by g is estimated as zero"),
        ("ar1(0 + t|g)", "(1|g)", "The correlation of successive times of t by g is estimated as one"),
        ("ar1(when|g)", "(1|g)", "The correlation of successive times of ar1(when) by g is estimated as one"),
    ],
)
def test_effects_of_times_that_are_all_the_same_are_told_once(term: str, simpler: str, said: str) -> None:
    d = plain_data(np.random.default_rng([1, 3]))
    found, plain = fit(f"y ~ x + f + {term}", d), fit(f"y ~ x + f + {simpler}", d)
    assert found.llf == pytest.approx(plain.llf, abs=SAME)
    assert [said in s for s in found.verdict if "Several maxima" not in s] == [True]


def test_places_that_are_independent_are_told() -> None:
    d = plain_data(np.random.default_rng([1, 3]))
    found, plain = (fit(f"y ~ x + f + (1|g) + {t}", d) for t in ("exp(east, north|1)", "(1|calm)"))
    assert found.llf == pytest.approx(plain.llf, abs=SAME)
    assert any("The range of exp(east, north) by 1 is estimated as zero" in s for s in found.verdict)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_a_slope_has_no_variance_in_every_unit_or_in_none(unit: float) -> None:
    """Standard deviations of 1e-3 of the largest were zero: those of every covariate in large numbers."""
    rng = np.random.default_rng(8)
    g, x = np.repeat(np.arange(30), 10), rng.normal(size=300)
    b = rng.normal(0.0, 0.5, 30)[g]
    d = pd.DataFrame({"y": rng.poisson(np.exp(1.0 + b * (1.0 + 0.8 * x))), "x": unit * x, "g": g})
    (said,) = fit("y ~ x + (x|g)", d).verdict
    assert "a combination of the coefficients' variances by g" in said


@pytest.mark.parametrize(("left", "family"), [("y", "gaussian"), ("size", "gamma")])
def test_a_dispersion_of_one_row_is_named(left: str, family: str) -> None:
    """Said "not converged" and nothing else."""
    rng = np.random.default_rng(3)
    d = pd.DataFrame({"x": rng.normal(size=80), "level": ["a"] * 39 + ["b"] * 40 + ["c"]})
    d["y"] = 1.0 + 0.5 * d["x"] + rng.normal(size=80)
    d["size"] = np.exp(d["y"])
    found = fit(f"{left} ~ x + level", d, family=family, disp="~ level")
    assert any("no maximum along level[T.c] (disp)" in s and "1 row exactly" in s for s in found.verdict)
