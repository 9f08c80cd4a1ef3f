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


def test_groups_have_the_leverage_of_their_sums():
    data = sr.create_data(120, n_groups=12, intercept=1.0, rng=5)
    fit = glmmcore.glmm("observed ~ x1 + (1|group)", data, "poisson")
    res = sr.simulate_residuals(fit, 50)
    own = data["group"].cat.codes.to_numpy()
    expected = fit.group_leverage(own)
    for aggregate in ("sum", "mean"):
        np.testing.assert_allclose(leverage_of(res.recalculate(group="group", aggregate=aggregate))[0], expected)
    # a selection, grouped, and grouped again
    kept = np.flatnonzero(own > 1)[::-1]
    pairs = res.recalculate(select=kept).recalculate(group=own[kept])
    codes = np.where(own > 1, own - 2, -1)
    np.testing.assert_allclose(leverage_of(pairs)[0], fit.group_leverage(codes))
    halves = pairs.recalculate(group=np.arange(10) // 5)
    np.testing.assert_allclose(leverage_of(halves)[0], fit.group_leverage(np.where(codes >= 0, codes // 5, -1)))
    # no leverage is known for medians, and none is needed with new random effects
    assert leverage_of(res.recalculate(group="group", aggregate=np.median))[1] == "none"
    redrawn = sr.simulate_residuals(fit, 50, random_effects="unconditional")
    assert leverage_of(redrawn.recalculate(group="group"))[1] == "none"


@pytest.mark.parametrize("grouping", ["own", "crossing"])
def test_right_models_pass_after_grouping(grouping):
    # 30 fits. Uncorrected, the mean ratio of groups with an effect of their own is .03 and all tests reject;
    # of crossing groups it is .85. The standard error of the mean ratio is about .08.
    ratio, p = [], []
    for seed in range(30):
        data = sr.create_data(200, n_groups=20, intercept=1.0, rng=seed)
        fit = glmmcore.glmm("observed ~ x1 + (1|group)", data, "poisson")
        res = sr.simulate_residuals(fit, 99, rng=seed)
        grouped = res.recalculate(group="group" if grouping == "own" else np.arange(200) % 10)
        result = sr.dispersion_test(grouped, null="simulated")
        assert "approximate" in result.summary()
        ratio.append(result.statistic)
        rest = [test(grouped, null="analytic") for test in (sr.uniformity_test, sr.quantile_test)]
        p.append([r.pvalue for r in (result, *rest)])
    assert np.mean(ratio) == pytest.approx(1, abs=0.2)
    assert np.max(np.mean(np.array(p) <= 0.05, axis=0)) <= 5 / 30


def test_selected_rows_with_new_random_effects_are_compared_given_the_fitted_ones():
    data = sr.create_data(120, n_groups=12, intercept=1.0, rng=6)
    fit = glmmcore.glmm("observed ~ x1 + (1|group)", data, "poisson")
    res = sr.simulate_residuals(fit, 99, random_effects="unconditional")
    order = np.random.default_rng(1).permutation(120)
    whole, shuffled = (sr.dispersion_test(r, null="simulated") for r in (res, res.recalculate(select=order)))
    assert shuffled.statistic == pytest.approx(whole.statistic, rel=1e-6)
    few = np.arange(0, 120, 3)[::-1]
    squares = np.sum((fit.observed - fit.fitted)[few] ** 2)
    expected = squares / np.sum((fit.variance() * (1 - fit.leverage))[few])
    # the mean of 99 simulated sums of squares stands in for the sum of variances
    assert sr.dispersion_test(res.recalculate(select=few), null="simulated").statistic == pytest.approx(
        expected, rel=0.1
    )


def test_where_leverages_come_from(known_poisson):
    rng = np.random.default_rng(7)
    mean = rng.uniform(2, 6, 40)
    model = known_poisson(mean, rng.poisson(mean))
    for edf, expected in ((4.0, 0.1), (0.0, 0.0), (40.0, 0.0), (-1.0, 0.0)):
        model.edf = edf
        h, word = leverage_of(sr.simulate_residuals(model, 30))
        assert word == ("effective degrees of freedom" if 0 <= edf < 40 else "none")
        np.testing.assert_allclose(h, np.full(40, expected))
    model.edf = 4.0
    res = sr.simulate_residuals(model, 30)
    # spread evenly it says nothing about some of the rows, nor about groups
    for other in (res.recalculate(select=np.arange(20)), res.recalculate(group=np.arange(40) % 8)):
        np.testing.assert_array_equal(leverage_of(other)[0], np.zeros(other.n_obs))
        assert leverage_of(other)[1] == "none"
    model.leverage = np.linspace(0, 1, 40)
    np.testing.assert_array_equal(leverage_of(sr.simulate_residuals(model, 30))[0], np.minimum(model.leverage, 0.999))


def test_widening_by_hand(known_poisson):
    from scipy.special import ndtr, ndtri

    rng = np.random.default_rng(8)
    mean = np.full(30, 400.0)
    model = known_poisson(mean, rng.poisson(mean))
    model.edf = 6.0
    res = sr.simulate_residuals(model, 200)
    v = tie_variance(res)
    np.testing.assert_allclose(widened_residuals(res), ndtr(ndtri(res.residuals) / np.sqrt(1 - (1 - v) * 0.2)))
    # a large count has cells of 1/sd on the normal scale: variance 1/(12 * 400); 64 simulations see few of them
    assert np.mean(v) < 0.01
