"""What is said of the size of a departure."""

from __future__ import annotations

import numpy as np
import pandas as pd

from glmmcore import glmm
from simresid import simulate_residuals
from simresid.checks.base import Effect


def test_an_expected_effect_that_is_not_zero_is_told():
    """An interval that leaves 0 out stood beside p = 0.9: short series of a fit are negatively correlated."""
    told = str(Effect("autocorrelation", -0.1, -0.12, (-0.16, -0.04)))
    assert told == "autocorrelation -0.1 [-0.16, -0.04] where right models have -0.12"
    assert "right models" not in str(Effect("autocorrelation", 0.3, -0.001, (0.1, 0.5)))
    assert "right models" not in str(Effect("dispersion ratio", 2.0, 1.0, (1.5, 2.5)))

    rng = np.random.default_rng(9)
    data = pd.DataFrame({"site": np.repeat(np.arange(30), 6), "year": np.tile(np.arange(6), 30)})
    data["y"] = rng.poisson(np.exp(1.0 + rng.normal(0, 0.7, 30)[data["site"]]))
    residuals = simulate_residuals(glmm("y ~ 1 + (1|site)", data, family="poisson"))
    result = residuals.temporal_autocorrelation_test("year", by="site")
    assert result.effect is not None and result.effect.null < -0.05
    assert "where right models have -0." in str(result)
