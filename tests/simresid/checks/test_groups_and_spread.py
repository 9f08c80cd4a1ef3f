import gzip
import json

import numpy as np
import pytest
from scipy.stats import levene as scipy_levene
from scipy.stats import norm

import simresid as sr
from simresid.checks.categorical import levene


def test_levene_equals_scipy():
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, 90)
    u = rng.random(90)
    expected = scipy_levene(*(u[codes == k] for k in range(4)), center="median")
    assert levene(u, codes) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)


def test_homogeneity_equals_r(shared):
    for path in sorted((shared / "reference" / "residuals").glob("*.json.gz")):
        case = json.loads(gzip.decompress(path.read_bytes()))
        result = sr.categorical_test(np.array(case["scaled_residuals"]), np.array(case["category"]))
        want = case["categorical"]
        assert result.homogeneity_pvalue == pytest.approx(want["homogeneity_pvalue"], rel=1e-6)
        assert sorted(result.levels.index) == sorted(want["levels"])


def test_size_and_power_by_category():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(5), 20)
    p = [sr.categorical_test(rng.random(100), groups).pvalue for _ in range(400)]
    assert 0.005 < np.mean(np.array(p) <= 0.05) < 0.095
    shifted = norm.cdf(rng.normal(size=100) + (groups == 3))
    result = sr.categorical_test(shifted, groups)
    assert result.pvalue < 0.05
    assert "level 3" in result.advice()


def test_unused_levels_and_single_levels():
    import pandas as pd

    u = np.random.default_rng(3).random(30)
    category = pd.Series(pd.Categorical(["a"] * 30, categories=["a", "b"]))
    result = sr.categorical_test(u, category)
    assert list(result.levels.index) == ["a"]
    assert result.homogeneity_pvalue is None
    assert result.pvalue == sr.uniformity_test(u).pvalue
    with pytest.raises(ValueError, match="missing"):
        sr.categorical_test(u, [None, *["a"] * 29])


@pytest.mark.parametrize("n", [40, 300])
def test_size_of_heteroscedasticity(n):
    rng = np.random.default_rng(n)
    m = 300 if n < 150 else 800
    x = rng.random(n)
    # also when residuals are overdispersed everywhere alike: that is not heteroscedasticity
    for power in (1.0, 0.5):
        u = rng.beta(power, power, (m, n))
        rate = np.mean([sr.heteroscedasticity_test(row, x).pvalue <= 0.05 for row in u])
        assert rate < 0.05 + 4 * np.sqrt(0.05 * 0.95 / m)
        assert rate > 0.01


def test_power_and_size_of_effect():
    rng = np.random.default_rng(4)
    x = rng.random(400)
    result = sr.heteroscedasticity_test(norm.cdf(rng.normal(size=400) * (0.4 + x)), x)
    assert result.pvalue < 1e-6
    assert result.effect.value > 1.5
    with pytest.raises(ValueError, match="constant"):
        sr.heteroscedasticity_test(rng.random(30), np.ones(30))
