"""Rows that stand for several: everything that simulates is that of the rows written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm, power
from simresid import gini_index, lift_table, screen, simulate_residuals, simulated_lrt

MODELS = {
    "nbinom2": ("y ~ x * f + offset(np.log(e)) + (1|g)", "nbinom2", {}),
    "quadrature": ("cbind(k, n - k) ~ x + (1|g)", "binomial", {"n_agq": 5}),
    "zero-inflated": ("y ~ x + (1|g)", "poisson", {"zi": "~ f"}),
    "restricted": ("z ~ x + (x|g)", "gaussian", {"reml": True}),
    "no groups": ("y ~ x + f", "poisson", {}),
}
# two searches for one maximum
CLOSE = {"rtol": 1e-5, "atol": 1e-7}


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows with their numbers, one of them incomplete, and the same rows written out."""
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"g": np.repeat(np.arange(12), 8), "x": rng.normal(size=96), "f": rng.choice(list("ab"), 96)})
    d["e"], d["w"], d["n"] = rng.uniform(0.5, 2, 96), rng.integers(1, 6, 96), rng.integers(1, 6, 96)
    effect = rng.normal(0, 0.5, 12)[d["g"]]
    d["y"] = rng.negative_binomial(2, 2 / (2 + d["e"] * np.exp(0.7 + 0.3 * d["x"] + effect)))
    d["k"] = rng.binomial(d["n"], 1 / (1 + np.exp(-d["x"] - effect)))
    d["z"], d["day"] = d["x"] + effect + rng.normal(size=96), rng.permutation(96)
    d.loc[7, "x"] = np.nan
    d.index = [f"row {i}" for i in range(96)]
    return d, d.iloc[np.repeat(np.arange(96), d["w"])]


@pytest.mark.parametrize("name", MODELS)
def test_written_out_is_the_fit_of_all_rows(name, tables):
    formula, family, options = MODELS[name]
    weighted = glmm(formula, tables[0], family, freq_weights="w", **options)
    found, known = weighted.written_out(), glmm(formula, tables[1], family, **options)
    assert found.nobs == known.nobs > weighted.nobs
    assert found.written_out() is found
    for attribute in ("llf", "params", "bse", "sigma", "fitted", "resid_pearson"):
        np.testing.assert_allclose(getattr(found, attribute), getattr(known, attribute), **CLOSE)
    np.testing.assert_allclose(found.cdf(), known.cdf(), **CLOSE)
    pd.testing.assert_series_equal(found.column("day"), known.column("day"))
    pd.testing.assert_frame_equal(found.data[list(known.data)], known.data)


@pytest.mark.parametrize("name", MODELS)
def test_residuals_and_tests(name, tables):
    formula, family, options = MODELS[name]
    weighted, plain = (
        simulate_residuals(fit, method="exact")
        for fit in (
            glmm(formula, tables[0], family, freq_weights="w", **options),
            glmm(formula, tables[1], family, **options),
        )
    )
    np.testing.assert_allclose(weighted.residuals, plain.residuals, **CLOSE)
    for a, b in (
        (weighted.uniformity_test(), plain.uniformity_test()),
        (weighted.dispersion_test(), plain.dispersion_test()),
        (weighted.temporal_autocorrelation_test("day"), plain.temporal_autocorrelation_test("day")),
    ):
        assert a.effect.value == pytest.approx(b.effect.value, rel=1e-3, abs=1e-6)
        assert a.pvalue == pytest.approx(b.pvalue, rel=0.05, nan_ok=True)  # ranks among refits, one of which may tie


def test_bootstrap_power_and_ratios(tables):
    formula, family, _ = MODELS["no groups"]
    weighted, plain = glmm(formula, tables[0], family, freq_weights="w"), glmm(formula, tables[1], family)
    options = {"method": "bootstrap", "n_sims": 100, "rng": 1}
    np.testing.assert_allclose(weighted.conf_int(**options), plain.conf_int(**options), **CLOSE)
    # as narrow as the profile likelihood's, within the noise of 100 draws; one draw a row would be 1.7 times as wide
    width = np.ptp(weighted.conf_int(**options), axis=1) / np.ptp(weighted.conf_int(method="profile"), axis=1)
    assert np.all((width > 0.75) & (width < 1.3))
    found, known = (power(fit, {"x": 0.1}, n_sims=100, rng=1) for fit in (weighted, plain))
    pd.testing.assert_frame_equal(found, known)
    smaller = glmm("y ~ f", tables[0].dropna(), family, freq_weights="w"), glmm("y ~ f", tables[1].dropna(), family)
    ratios = [simulated_lrt(small, fit, n_sims=39) for small, fit in zip(smaller, (weighted, plain), strict=True)]
    np.testing.assert_allclose(*(r.null_distribution for r in ratios), atol=1e-5)


def test_shares_and_screens(tables):
    formula, family, _ = MODELS["no groups"]
    weighted, plain = glmm(formula, tables[0], family, freq_weights="w"), glmm(formula, tables[1], family)
    for table in (lift_table, gini_index):
        for exposure in (None, "e"):
            np.testing.assert_allclose(table(weighted, exposure=exposure), table(plain, exposure=exposure), **CLOSE)
    np.testing.assert_allclose(gini_index(weighted, weights="w"), gini_index(plain), **CLOSE)
    rows = screen({"weighted": weighted, "plain": plain}, progress=False)
    assert rows["nobs"].tolist() == [plain.nobs, plain.nobs]
    # names have random numbers of their own; with one draw a row the ratio was far from this
    assert rows.loc["weighted", "dispersion ratio"] == pytest.approx(rows.loc["plain", "dispersion ratio"], rel=0.15)
    assert "1 row" in rows.loc["weighted", "notes"]
