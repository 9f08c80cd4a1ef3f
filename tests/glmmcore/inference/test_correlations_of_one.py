"""Intercepts and slopes with an estimated correlation of one, or minus one, beside R's lme4 and glmmTMB."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from glmmcore import FittedGLMM, glmm


class Reference(NamedTuple):
    """Numbers of lme4 1.1-31 (gaussian, by maximum likelihood) or glmmTMB 1.1.5, limits by lme4's profiles."""

    family: str
    sign: int
    errors: tuple[float, float]
    sd: tuple[float, float]
    # limits of sd(Intercept), sd(x), the correlation, the intercept and the slope
    limits: tuple[tuple[float, float], ...]


# lme4's limits of the correlations at minus one are those of the data with the covariate turned round, which change
# their sign: its own search from an estimate of -1 returns (-1, 1).
REFERENCES = {
    1: Reference(
        "gaussian",
        1,
        (0.2340867, 0.1665867),
        (0.8134773, 0.4811133),
        ((0.53416, 1.30119), (0.25748, 0.84366), (0.52989, 1.0), (-0.110168, 0.875977), (-0.251338, 0.447194)),
    ),
    2: Reference(
        "gaussian",
        -1,
        (0.2314802, 0.1951421),
        (0.7950171, 0.6200117),
        ((0.520389, 1.273674), (0.370099, 1.036156), (-1.0, -0.796347), (-0.070216, 0.903071), (-0.242645, 0.578078)),
    ),
    4: Reference(
        "poisson",
        -1,
        (0.234528, 0.178087),
        (0.8030971, 0.570187),
        ((0.51629, 1.333118), (0.343165, 0.958647), (-1.0, -0.862256), (-0.105859, 0.891115), (-0.105823, 0.640625)),
    ),
}


def fit(seed: int) -> FittedGLMM:
    family, sign = REFERENCES[seed].family, REFERENCES[seed].sign
    rng = np.random.default_rng([91, seed])
    g, x, b = np.repeat(np.arange(14), 9), rng.normal(size=126), rng.normal(size=14)
    eta = 0.4 + 0.3 * x + 0.7 * b[g] + sign * 0.45 * b[g] * x
    y = eta + rng.normal(size=126) if family == "gaussian" else rng.poisson(np.exp(eta))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return glmm("y ~ x + (x|g)", pd.DataFrame({"x": x, "y": y, "g": g.astype(str)}), family)


@pytest.mark.parametrize("seed", REFERENCES)
def test_errors_and_limits_are_those_of_r(seed: int) -> None:
    found, there = fit(seed), REFERENCES[seed]
    assert any("a correlation of one" in s for s in found.verdict)
    assert found.var_corr["corr_1"].astype(float).iloc[1] == pytest.approx(there.sign, abs=1e-6)
    # glmmTMB differences its gradient, lme4's tolerance of the estimates is 1e-4 of them
    np.testing.assert_allclose(found.bse, there.errors, rtol=1e-4)
    np.testing.assert_allclose(found.var_corr["sd"].astype(float), there.sd, rtol=2e-3)
    random, fixed = (found.conf_int(parameters=which, method="profile") for which in ("random", "cond"))
    names = ["sd(Intercept|g)", "sd(x|g)", "corr(Intercept,x|g)"]
    table = pd.concat([random.loc[names], fixed])[["lower", "upper"]].to_numpy(float)
    # lme4 interpolates profiles by splines, which a correlation's near its end is least like
    tolerance = np.array([[2e-4], [2e-4], [2e-3], [2e-4], [2e-4]])
    assert np.all(np.abs(table - np.array(there.limits)) < tolerance)
