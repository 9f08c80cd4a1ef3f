"""Statistics and p-values beside those of DHARMa on the same simulations (`tests/simresid/reference/README.md`)."""

from __future__ import annotations

import math

import numpy as np
import pytest

import simresid as sr

# Arithmetic of the same formulas in two languages.
STATISTIC, PVALUE = 1e-8, 1e-9
# DHARMa's Kolmogorov-Smirnov p-values are asymptotic or exact by its own rule of ties and sizes.
KS_PVALUE = 0.02

# DHARMa subtracts probabilities from the counts of its k-of-n case, and so do we to compare.
pytestmark = pytest.mark.filterwarnings("ignore:fitted lies in:UserWarning")

STATISTICS = {
    "dispersion": lambda res, alternative: sr.dispersion_test(res, alternative=alternative, method="dharma"),
    "zero_inflation": lambda res, alternative: sr.zero_inflation_test(res, alternative=alternative),
    "generic_mean": lambda res, alternative: sr.statistic_test(res, np.mean, alternative=alternative),
    "generic_sd": lambda res, alternative: sr.statistic_test(res, lambda y: np.std(y, ddof=1), alternative=alternative),
    "generic_max": lambda res, alternative: sr.statistic_test(res, np.max, alternative=alternative),
}


@pytest.fixture
def residuals(dharma):
    simulated = np.array(dharma["simulated_by_row"], float).T
    return sr.from_simulations(simulated, np.array(dharma["observed"], float), np.array(dharma["fitted"], float))


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_of_simulations(dharma, residuals, name):
    want, n_sims = dharma[name], dharma["n_sims"]
    if not math.isfinite(float(want["greater"]["statistic"])):
        pytest.skip("neither the data nor the simulations have zeros")
    # DHARMa gives the proportion k / n of simulations at or beyond the data; (1 + k) / (1 + n) is never zero
    pvalues = {side: (1 + round(want[side]["pvalue"] * n_sims)) / (1 + n_sims) for side in ("greater", "less")}
    pvalues["two-sided"] = min(1.0, 2.0 * min(pvalues.values()))
    for alternative, pvalue in pvalues.items():
        got = STATISTICS[name](residuals, alternative)
        assert got.statistic == pytest.approx(want[alternative]["statistic"], rel=STATISTIC)
        assert got.pvalue == pytest.approx(pvalue, rel=PVALUE)


def test_uniformity(dharma):
    u = np.array(dharma["scaled_residuals"])
    for alternative, want in dharma["uniformity"].items():
        got = sr.uniformity_test(u, alternative=alternative)
        assert got.statistic == pytest.approx(want["statistic"], rel=STATISTIC)
        assert got.pvalue == pytest.approx(want["pvalue"], abs=KS_PVALUE)


def test_dispersion_of_groups(dharma, residuals):
    want, grouped = dharma["recalculated"], residuals.recalculate(group=np.array(dharma["group"]))
    assert grouped.n_obs == len(want["levels"])
    got = sr.dispersion_test(grouped, method="dharma").statistic
    assert got == pytest.approx(want["dispersion"]["statistic"], rel=STATISTIC)
