"""Profile limits where a parameter is at a limit: variance zero, correlation one, no overdispersion.

A limit is right where the model with the parameter fixed at it has lost 1.92 of log-likelihood: fits with ``fixed=``
are searched for from several starts, and know nothing of profiles. One case is done again from the normal density.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from glmmcore import FittedGLMM, glmm

LOSS = stats.chi2.ppf(0.95, 1) / 2.0
# Of a log-likelihood at a limit: its root is found to 1e-6.
TOLERANCE = 2e-4
LEVELS, SIZE = 15, 7


def table(seed: int, slope: float = 0.0, spread: float = 0.0) -> pd.DataFrame:
    """Responses whose effects of a group are perfectly correlated with its slopes, or absent."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(LEVELS), SIZE)
    x = rng.normal(size=len(g))
    u = rng.normal(size=LEVELS)[g]
    eta = 0.4 + 0.3 * x + spread * u + slope * u * x
    return pd.DataFrame(
        {"g": g, "x": x, "f": np.tile(list("abc"), LEVELS * SIZE // 3), "y": eta + rng.normal(size=len(g)),
         "count": rng.poisson(np.exp(eta)), "k": rng.binomial(6, 1.0 / (1.0 + np.exp(-eta))), "n": 6}
    )  # fmt: skip


CASES: dict[str, tuple[str, str, dict[str, Any], int, float, float]] = {
    "a variance of zero that others can use": ("y ~ x + (1|g)", "gaussian", {"disp": "~x"}, 31, 0, 0),
    "two variances of zero": ("count ~ x + (x|g)", "poisson", {}, 4, 0, 0),
    "a correlation of one": ("count ~ x + (x|g)", "poisson", {}, 11, 0.3, 0.5),
    "a correlation of one, k of n": ("k ~ 1 + (x|g)", "binomial", {"trials": "n"}, 12, 0.4, 0.6),
    "a correlation of one, no fixed slope": ("y ~ 1 + (x|g)", "gaussian", {}, 13, 0.3, 0.6),
    "correlations of three effects": ("y ~ 1 + (0 + f|g)", "gaussian", {}, 14, 0, 0.4),
    "t that is normal": ("y ~ x", "t", {}, 16, 0, 0),
    "no overdispersion, no variance": ("count ~ x + (1|g)", "nbinom2", {}, 17, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_model_fixed_at_a_limit_has_lost_what_the_level_allows(case: str) -> None:
    formula, family, kwargs, seed, slope, spread = CASES[case]
    data = table(seed, slope, spread)
    fit = glmm(formula, data, family, **kwargs)
    limits = fit.conf_int(method="profile", parameters="all")
    assert not limits.isna().any(axis=None)
    checked = 0
    for (part, parameter), row in limits.iterrows():
        name = parameter if part in ("cond", "random") else f"{part}: {parameter}"
        for limit in row:
            if np.isfinite(limit) and limit not in (-1.0, 0.0, 1.0):
                lost = fit.llf - _fixed(formula, data, family, kwargs, name, float(limit)).llf
                assert lost == pytest.approx(LOSS, abs=TOLERANCE), (name, limit)
                checked += 1
    assert checked >= 5
    for name, (lower, upper) in limits.loc[["random"]].droplevel(0).iterrows():
        if name.startswith("corr"):
            for inside in (lower + 0.02 if lower == -1.0 else None, upper - 0.02 if upper == 1.0 else None):
                if inside is not None:
                    assert fit.llf - _fixed(formula, data, family, kwargs, name, inside).llf < LOSS + TOLERANCE


def _fixed(
    formula: str, data: pd.DataFrame, family: str, kwargs: dict[str, Any], name: str, value: float
) -> FittedGLMM:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return glmm(formula, data, family, fixed={name: value}, **kwargs)


def test_limits_of_a_correlation_of_one_are_those_of_the_normal_density() -> None:
    data = table(21, 0.45, 0.6)
    fit = glmm("y ~ x + (x|g)", data)
    assert fit.var_corr["corr_1"][1] == pytest.approx(1.0)
    lower, upper = fit.conf_int(method="profile", parameters="random").loc["corr(Intercept,x|g)"]
    assert upper == 1.0
    groups = [(rows["y"].to_numpy(), rows["x"].to_numpy()) for _, rows in data.groupby("g")]

    def loss(p: np.ndarray) -> float:
        a, b = np.exp(p[2:4])
        covariance = np.array([[a * a, lower * a * b], [lower * a * b, b * b]])
        total = 0.0
        for y, x in groups:
            z = np.column_stack([np.ones(len(x)), x])
            v = z @ covariance @ z.T + np.exp(2.0 * p[4]) * np.eye(len(x))
            total -= stats.multivariate_normal.logpdf(y, z @ p[:2], v)
        return total

    start = np.array([0.4, 0.3, -0.7, -0.7, 0.0])
    found = optimize.minimize(
        loss, start, method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-9, "xatol": 1e-6}
    )
    assert found.fun + fit.llf == pytest.approx(LOSS, abs=TOLERANCE)


def test_a_correlation_of_one_has_no_standard_error() -> None:
    data = table(21, 0.45, 0.6)
    for family, formula in (("gaussian", "y ~ x + (x|g)"), ("poisson", "count ~ x + (x|g)")):
        fit = glmm(formula, data, family)
        assert fit.singular
        assert np.isnan(fit.var_corr["se_corr_1"][1])
        covariance = fit.cov_params(parameters="all")
        name = "random", "corr(Intercept,x|g)"
        assert np.isnan(covariance.loc[name, name])
        assert np.isfinite(covariance.drop(index=name, columns=name)).all(axis=None)
        # what is left is that of the model with one effect a group: the standard deviations of fixed ratio
        sd = fit.var_corr["sd"]
        rank_one = data.assign(z=sd[0] + sd[1] * data["x"])
        assert glmm(formula.replace("x|g", "0 + z|g"), rank_one, family).llf == pytest.approx(fit.llf, abs=1e-6)


@pytest.mark.parametrize("seed", [2, 8])
@pytest.mark.parametrize("unit", [1e4, 1e7, 1e-4])
def test_limits_do_not_depend_on_the_unit_of_a_covariate(seed: int, unit: float) -> None:
    """A slope's deviation of 1e-5 beside one of .4 was taken for zero: no error, no limits."""
    rng = np.random.default_rng([717, seed])
    g, x, b = np.repeat(np.arange(15), 8), rng.normal(size=120), rng.normal(size=15)
    d = pd.DataFrame({"g": g, "x": x, "y": 1.0 + 0.4 * x + 0.6 * b[g] + rng.normal(size=120)})
    tables = []
    for factor in (1.0, unit):
        found = glmm("y ~ x + (x|g)", d.assign(x=factor * d["x"]))
        random, fixed = (found.conf_int(parameters=which, method="profile") for which in ("random", "cond"))
        own = pd.concat([random, fixed])[["lower", "upper"]].copy()
        own.loc[["sd(x|g)", "x"]] *= factor
        own.loc["error of sd(x)"] = float(found.var_corr["se_sd"].iloc[1]) * factor
        tables.append(own.to_numpy(float))
    assert np.isfinite(tables[0]).all()
    np.testing.assert_allclose(tables[1], tables[0], rtol=1e-5, atol=1e-5)


def test_limits_beside_a_correlation_of_one_are_those_of_another_structure() -> None:
    """Of two levels `cs` and an unstructured covariance are the same model; the limits of `cs` ended in an error."""
    rng = np.random.default_rng([717, 54])
    g, _, f = np.repeat(np.arange(15), 8), rng.normal(size=120), np.array(list("ab"))[rng.integers(0, 2, 120)]
    y = rng.poisson(np.exp(1.0 + (f == "a") * 0.5 * rng.normal(size=15)[g]))
    d = pd.DataFrame({"g": g, "f": f, "y": y})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = [glmm(f"y ~ f + {term}", d, "poisson") for term in ("cs(0 + f|g)", "(0 + f|g)")]
    tables = [f.conf_int(parameters="random", method="profile").to_numpy(float) for f in fits]
    np.testing.assert_allclose(tables[0], tables[1], atol=1e-4)
