"""What a verdict says of random effects, ranges and dispersions that are at a limit, and that it names them."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

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


def test_effects_of_a_zero_inflation_that_is_none_are_not_called_small() -> None:
    """Said "next to nothing (standard deviation 0.3)" of what has no value at all."""
    d = plain_data(np.random.default_rng([1, 0]))
    found = fit("y ~ x + f + (1|g)", d, zi="~ (1|g)")
    assert any("zero inflation is estimated as zero" in s for s in found.verdict)
    assert not any("next to nothing" in s for s in found.verdict)


def test_a_standard_deviation_that_adds_nothing_is_told() -> None:
    """Between "zero" and what adds to the log-likelihood: groups are spread until the estimate has just left zero."""
    g = np.repeat(np.arange(20), 5)
    rng = np.random.default_rng(1)
    effects, noise = rng.normal(size=20), np.random.default_rng(2).gamma(2.0, size=100)
    low, high = 0.0, 1.0
    for _ in range(40):
        spread = 0.5 * (low + high)
        d = pd.DataFrame({"y": noise * np.exp(spread * effects[g]), "g": g.astype(str)})
        found = fit("y ~ 1 + (1|g)", d, family="gamma")
        sd = float(found.var_corr["sd"].iloc[0])
        if 2e-3 < sd < 0.02:
            break
        low, high = (low, spread) if sd > 0.01 else (spread, high)
    else:
        raise AssertionError("no spread has a small standard deviation for its estimate")
    assert found.llf - fit("y ~ 1", d, family="gamma").llf < 2e-5
    (said,) = found.verdict
    assert "The variance of Intercept by g is next to nothing" in said


def gaussian_field(y: np.ndarray, places: np.ndarray, sd: float, reach: float, sigma: float, mean: float) -> float:
    """Log density of a mean and effects of places with correlations exp(-(d / reach)^2), dense."""
    gaps = np.square(places[:, None] - places[None]).sum(axis=2)
    root = np.linalg.cholesky(sd**2 * np.exp(-gaps / reach**2) + sigma**2 * np.eye(len(y)))
    squares = np.square(np.linalg.solve(root, y - mean)).sum()
    return float(-0.5 * (squares + len(y) * np.log(2.0 * np.pi)) - np.log(np.diag(root)).sum())


def smooth_field(seed: int) -> tuple[pd.DataFrame, FittedGLMM]:
    """Effects of sixty places and nothing else, fitted with residuals."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0.0, 1.0, (60, 2))
    gaps = np.square(places[:, None] - places[None]).sum(axis=2)
    y = 2.0 + np.linalg.cholesky(np.exp(-gaps / 0.04) + 1e-10 * np.eye(60)) @ rng.normal(size=60)
    d = pd.DataFrame({"east": places[:, 0], "north": places[:, 1], "y": y})
    return d, fit("y ~ 1 + gau(east, north|1)", d, family="gaussian")


@pytest.mark.parametrize("seed", [1, 4, 5])
def test_a_field_without_residuals_has_the_errors_of_the_model_without(seed: int) -> None:
    """The residual standard deviation had an error of a sixth of itself, and once half of the range was its error."""
    d, found = smooth_field(seed)
    assert any("The residual variance is estimated as zero: gau(east, north) by 1" in s for s in found.verdict)
    assert np.isinf(found.disp_bse).all()
    row, places, y = found.var_corr.iloc[0], d[["east", "north"]].to_numpy(), d["y"].to_numpy()
    at = np.array([np.log(float(row["sd"])), np.log(float(row["range"])), found.params["Intercept"]])

    def value(x: np.ndarray) -> float:
        return gaussian_field(y, places, np.exp(x[0]), np.exp(x[1]), found.sigma, x[2])

    assert found.llf == pytest.approx(value(at), abs=1e-4)
    step = 2e-3 * np.eye(3)
    hessian = [
        [value(at + a + b) - value(at + a - b) - value(at - a + b) + value(at - a - b) for b in step] for a in step
    ]
    errors = np.sqrt(np.diag(np.linalg.inv(-np.array(hessian) / 1.6e-5)))
    # differences of a log density with a condition number of 1e8
    assert float(row["se_sd"]) / float(row["sd"]) == pytest.approx(errors[0], rel=5e-3)
    assert float(row["se_range"]) / float(row["range"]) == pytest.approx(errors[1], rel=5e-3)


@pytest.mark.parametrize("seed", [3, 7])
def test_small_residuals_of_a_field_are_not_called_zero(seed: int) -> None:
    """A hundredth of the effects' standard deviation was, where the log-likelihood falls by .6 and 3.8 towards zero."""
    d, found = smooth_field(seed)
    assert not any("residual variance" in s for s in found.verdict)
    row, places, y = found.var_corr.iloc[0], d[["east", "north"]].to_numpy(), d["y"].to_numpy()
    at = (float(row["sd"]), float(row["range"]))
    mean = found.params["Intercept"]
    none, some = (gaussian_field(y, places, *at, sigma, mean) for sigma in (1e-5, found.sigma))
    assert some - none > 0.5


@pytest.mark.parametrize(
    ("left", "family", "term"),
    [("y", "gaussian", "exp(east, north|1)"), ("c", "poisson", "mat(east, north|1)"), ("c", "poisson", "ou(when|g)")],
)
def test_effects_of_places_and_times_without_variance_are_told(left: str, family: str, term: str) -> None:
    rng = np.random.default_rng([5, 4])
    d = pd.DataFrame(rng.uniform(0.0, 1.0, (60, 2)), columns=["east", "north"])
    d["y"], d["c"], d["when"], d["g"] = rng.normal(size=60), rng.poisson(3.0, 60), np.arange(60.0), np.arange(60) // 10
    found, plain = (fit(f"{left} ~ {right}", d, family=family) for right in (f"1 + {term}", "1"))
    assert found.llf == pytest.approx(plain.llf, abs=1e-6)
    (said,) = found.verdict
    assert f"the variance of {term.split('|')[0]}) by {term.split('|')[1][:-1]} is estimated as zero" in said
    np.testing.assert_allclose(found.bse, plain.bse, rtol=1e-5)
    errors = [m.predict(d.head(5), se=True)["se"] for m in (found, plain)]
    np.testing.assert_allclose(*errors, rtol=1e-3)


def test_a_large_mean_beside_no_residual_variance_is_told_what_to_do_about() -> None:
    """Blood pressures at visits with a covariance of their own: rounding of numbers around 150 hid the maximum, which a
    density of the whole multivariate normal law has too."""
    rng = np.random.default_rng(12)
    n, visits = 60, 4
    d = pd.DataFrame({"id": np.repeat(np.arange(n), visits), "visit": np.tile(list("abcd"), n)})
    d["bp"] = (150.0 + rng.normal(0.0, 8.0, n)[d["id"]] + rng.normal(0.0, 5.0, n * visits)).round(1)
    right = "visit + cs(0 + visit | id)"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        far, near = (glmm(f"{left} ~ {right}", d, disp="~ 0") for left in ("bp", "center(bp)"))
    assert not far.converged
    assert "Take the mean out of the response, as in center(bp) ~ ...: beside" in far.verdict[0]
    assert near.converged and not any("Take the mean" in sentence for sentence in near.verdict)
    y = d["bp"].to_numpy().reshape(n, visits)
    spread = near.var_corr["sd"].to_numpy()
    rho = near.var_corr.filter(like="corr_").to_numpy()[1, 0]
    covariance = np.outer(spread, spread) * (rho + (1 - rho) * np.eye(visits)) + near.sigma**2 * np.eye(visits)
    # the mean of every visit is its average, whatever the covariance
    law = stats.multivariate_normal(np.zeros(visits), covariance)
    assert near.llf == pytest.approx(law.logpdf(y - y.mean(axis=0)).sum(), abs=1e-4)
    assert far.llf == pytest.approx(near.llf, abs=1e-3)
