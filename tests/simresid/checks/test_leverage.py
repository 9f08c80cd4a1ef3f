import numpy as np
import pytest
from scipy.stats import truncnorm

import glmmcore
import simresid as sr
from simresid.checks._leverage import leverage_of, tie_variance, truncated_normal_variance, widened_residuals


def test_truncated_variance_equals_scipy():
    from scipy.special import ndtri

    low, high = np.array([0.01, 0.4, 0.93]), np.array([0.3, 0.41, 0.999])
    expected = [truncnorm(ndtri(a), ndtri(b)).var() for a, b in zip(low, high, strict=True)]
    np.testing.assert_allclose(truncated_normal_variance(low, high), expected, rtol=1e-6)


def test_plain_arrays_and_models_without_degrees_of_freedom_are_left_alone(known_poisson):
    u = np.random.default_rng(1).random(20)
    np.testing.assert_array_equal(widened_residuals(u), u)
    res = sr.simulate_residuals(known_poisson(np.full(30, 3.0), np.full(30, 3.0)), 50)
    np.testing.assert_array_equal(widened_residuals(res), res.residuals)  # edf = 0


def test_ties_take_their_share_of_the_variance():
    rng = np.random.default_rng(2)
    res = sr.from_simulations(rng.poisson([0.05, 5.0, 500.0], (250, 3)), [0, 5, 500])
    rare, middle, common = tie_variance(res)
    assert rare > 0.6 > middle > 0.02 > common


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_residuals_of_a_right_glmm_get_unit_variance(family):
    # 60 groups of 5: a fifth of the variance is taken by the fit; 12 fits
    raw, wide = [], []
    for seed in range(12):
        data = sr.create_data(300, n_groups=60, family=family, intercept=1.0, rng=seed)
        fit = glmmcore.glmm("observed ~ x1 + (1|group)", data, family)
        res = sr.simulate_residuals(fit, 250, rng=seed)
        assert leverage_of(res)[1] == "leverage"
        for store, u in ((raw, res.residuals), (wide, widened_residuals(res))):
            store.append(np.var(u))
    assert abs(np.mean(wide) * 12 - 1) < abs(np.mean(raw) * 12 - 1)
    if family == "poisson":  # gaussian sigma is estimated with the same shrinkage
        assert np.mean(raw) * 12 < 0.95
        assert np.mean(wide) * 12 == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("random_effects", ["conditional", "unconditional"])
def test_whether_simulations_are_kept_changes_nothing(random_effects):
    data = sr.create_data(150, n_groups=30, intercept=1.0, rng=4)
    fit = glmmcore.glmm("observed ~ x1 + (1|group)", data, "poisson")
    kept, streamed = (
        sr.diagnose(sr.simulate_residuals(fit, 60, random_effects=random_effects, keep_simulations=keep)).table
        for keep in (True, False)
    )
    columns = ["statistic", "effect_size", "effect_low", "effect_high", "pvalue"]
    np.testing.assert_allclose(kept[columns], streamed[columns], rtol=1e-12)
