"""Every public name of DHARMa 0.5.1 has an equivalent here, which runs; `docs/from_r.md` names each.

The names are those of the package's manual. Deprecated ones stand beside what replaced them there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import simresid
from glmmcore import glmm

PAGE = Path(__file__).resolve().parents[2] / "docs" / "from_r.md"


def _made() -> SimpleNamespace:
    data = simresid.create_data(60, intercept=1.0, random_effect_sd=0.5, n_groups=6, rng=2)
    smaller = glmm("observed ~ 1 + (1|group)", data, family="poisson")
    fit = glmm("observed ~ x1 + (1|group)", data, family="poisson")
    res = simresid.simulate_residuals(fit, n_sims=60)
    rng = np.random.default_rng(1)
    return SimpleNamespace(data=data, fit=fit, smaller=smaller, res=res, time=np.arange(60), x=rng.random(60))


def _distances(n: int) -> np.ndarray:
    at = np.arange(n, dtype=float)
    return np.abs(at[:, None] - at[None, :])


def _benchmark() -> pd.DataFrame:
    def tests(rng: np.random.Generator) -> dict[str, Any]:
        y = rng.poisson(3.0, 30)
        return {"dispersion": simresid.from_simulations(rng.poisson(3.0, (60, 30)), y).dispersion_test()}

    return simresid.benchmark_tests(tests, n_replicates=5, progress=False)


EQUIVALENTS: dict[str, Callable[[SimpleNamespace], Any]] = {
    "simulateResiduals": lambda m: simresid.simulate_residuals(m.fit, n_sims=60),
    "createDHARMa": lambda m: simresid.from_simulations(m.fit.simulate(60, rng=1), m.fit.observed, m.fit.fitted),
    "createData": lambda m: simresid.create_data(30, rng=1),
    "recalculateResiduals": lambda m: m.res.recalculate(group="group"),
    "residuals": lambda m: (m.res.residuals, m.res.normal_residuals()),
    "transformQuantiles": lambda m: m.res.normal_residuals(),
    "getQuantile": lambda m: simresid.from_simulations(m.fit.simulate(60, rng=1), m.fit.observed).residuals,
    "outliers": lambda m: m.res.outliers(),
    "print": lambda m: repr(m.res),
    "plot": lambda m: m.res.plot(),
    "hist": lambda m: simresid.plot_histogram(m.res),
    "plotQQunif": lambda m: simresid.plot_qq(m.res),
    "plotResiduals": lambda m: simresid.plot_residuals(m.res, "x1"),
    "plotSimulatedResiduals": lambda m: m.res.plot(),
    "plotConventionalResiduals": lambda m: m.fit.residuals("pearson"),
    "testResiduals": lambda m: m.res.diagnose(),
    "testSimulatedResiduals": lambda m: m.res.diagnose(),
    "testUniformity": lambda m: m.res.uniformity_test(),
    "testDispersion": lambda m: m.res.dispersion_test(),
    "testOverdispersion": lambda m: m.res.dispersion_test(),
    "testOverdispersionParametric": lambda m: m.res.dispersion_test(method="pearson"),
    "testOutliers": lambda m: m.res.outlier_test(),
    "testZeroInflation": lambda m: m.res.zero_inflation_test(),
    "testGeneric": lambda m: m.res.statistic_test(np.max),
    "testQuantiles": lambda m: m.res.quantile_test(),
    "testCategorical": lambda m: m.res.categorical_test("group"),
    "testTemporalAutocorrelation": lambda m: m.res.temporal_autocorrelation_test(m.time),
    "testSpatialAutocorrelation": lambda m: m.res.spatial_autocorrelation_test(m.x, m.x[::-1]),
    "testPhylogeneticAutocorrelation": lambda m: m.res.phylogenetic_autocorrelation_test(_distances(60)),
    "simulateLRT": lambda m: simresid.simulated_lrt(m.smaller, m.fit, n_sims=20),
    "runBenchmarks": lambda m: _benchmark(),
    "benchmarkRuntime": lambda m: simresid.screen({"one": m.fit}, n_sims=60, progress=False)["seconds"],
    "getSimulations": lambda m: m.fit.simulate(3, rng=1),
    "getRefit": lambda m: m.fit.refit(m.fit.simulate(1, rng=1)[0]),
    "getFitted": lambda m: m.fit.fitted,
    "getFixedEffects": lambda m: m.fit.params,
    "getObservedResponse": lambda m: m.fit.observed,
    "getResiduals": lambda m: m.fit.residuals("response"),
    "getPearsonResiduals": lambda m: m.fit.residuals("pearson"),
    "getFamily": lambda m: m.fit.family.name,
    "getRandomState": lambda m: m.res.seed,
    "hurricanes": lambda m: simresid.datasets.names(),
}


@pytest.fixture(scope="module")
def made() -> SimpleNamespace:
    return _made()


@pytest.mark.parametrize("name", EQUIVALENTS)
def test_a_name_of_dharma_has_an_equivalent_that_runs(name: str, made: SimpleNamespace) -> None:
    assert EQUIVALENTS[name](made) is not None
    plt.close("all")


def test_the_page_names_them_all() -> None:
    named = set(re.findall(r"[A-Za-z]+", PAGE.read_text(encoding="utf-8").split("## glmmTMB and lme4")[0]))
    assert [name for name in EQUIVALENTS if name not in named] == []
