"""Variograms of residuals: against brute force, size and power of their band."""

import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from simresid import simulate_residuals, variogram


def places(seed, n=70):
    """Uniform places and an exponential field."""
    rng = np.random.default_rng(seed)
    d = pd.DataFrame({"x": rng.uniform(0, 10, n), "y": rng.uniform(0, 10, n), "g": np.arange(n) % 2})
    gap = np.hypot(
        np.subtract.outer(d["x"].to_numpy(), d["x"].to_numpy()), np.subtract.outer(d["y"].to_numpy(), d["y"].to_numpy())
    )
    d["z"] = np.linalg.cholesky(np.exp(-gap / 4) + 1e-9 * np.eye(n)) @ rng.normal(size=n)
    return d, gap


def test_semivariances_are_means_over_pairs():
    """Written as a double loop over rows at distinct places, with and without groups."""
    d, gap = places(1)
    u = np.random.default_rng(2).random(70)
    for by in (None, d["g"]):
        table = variogram(u, d["x"], d["y"], by, bins=6, max_distance=4.0).table
        found = [[] for _ in range(6)]
        for i in range(70):
            for j in range(i):
                if gap[i, j] <= 4.0 and (by is None or d["g"][i] == d["g"][j]):
                    found[int(gap[i, j] / 4.0 * 6)].append((gap[i, j], (u[i] - u[j]) ** 2 / 2 / np.var(u)))
        assert min(map(len, found)) >= 10
        if by is None:
            np.testing.assert_array_equal(table["pairs"], [len(f) for f in found])
            np.testing.assert_allclose(table["semivariance"], [np.mean([v for _, v in f]) for f in found], rtol=1e-12)
            np.testing.assert_allclose(table["distance"], [np.mean([h for h, _ in f]) for f in found], rtol=1e-12)
        total = sum(v for f in found for _, v in f)
        assert (table["pairs"] * table["semivariance"]).sum() == pytest.approx(total, rel=1e-12)


def test_band_and_pvalue_say_the_same_and_have_their_level():
    """200 sets of independent residuals: rejections within three standard errors of 5 %."""
    d, _ = places(3, 40)
    rejected = 0
    for seed in range(200):
        found = variogram(np.random.default_rng(seed).random(40), d["x"], d["y"], bins=8)
        table = found.table
        outside = ((table["semivariance"] < table["lower"]) | (table["semivariance"] > table["upper"])).any()
        assert outside == (found.pvalue < 0.05)
        rejected += outside
    assert abs(rejected / 200 - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 200)


def test_refits_of_the_tests_are_used():
    """A field that is not in the model is seen; once it is, no more; the pool is that of the tests."""
    d, _ = places(5)
    d["value"] = d["z"] + np.random.default_rng(5).normal(0, 0.4, 70)
    wrong = simulate_residuals(glmm("value ~ 1", d), method="exact")
    found = variogram(wrong, "x", "y", n_refits=99)
    assert found.null == "refits"
    assert found.n_refits == 99
    assert found.pvalue < 0.05
    assert found.alike
    assert found.farthest_out <= 3
    before = len(wrong.refit_pool.outcomes)
    wrong.spatial_autocorrelation_test("x", "y", n_refits=99)
    assert len(wrong.refit_pool.outcomes) == before
    right = simulate_residuals(glmm("value ~ 1 + exp(x, y | 1)", d), method="exact")
    assert variogram(right, "x", "y", n_refits=99).pvalue > 0.05


def test_times_and_repeated_places():
    """One coordinate; rows at one place are combined, with a note."""
    rng = np.random.default_rng(1)
    u = np.repeat(rng.random(50), 2)
    found = variogram(u, np.repeat(np.arange(50.0), 2))
    assert "combined" in found.notes[0]
    assert found.table["distance"].iloc[-1] <= 24.5


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((np.linspace(0.1, 0.9, 9), np.arange(9.0)), {}, "at least 10 distinct places"),
        ((np.linspace(0.1, 0.9, 40), np.arange(40.0)), {"max_distance": -1.0}, "positive distance"),
        ((np.linspace(0.1, 0.9, 40), np.arange(40.0)), {"max_distance": "x"}, "positive distance"),
        ((np.linspace(0.1, 0.9, 40), np.arange(40.0)), {"max_distance": 0.5}, "only 0 pairs"),
        ((np.full(40, 0.5), np.arange(40.0)), {}, "do not vary"),
        ((np.linspace(0.1, 0.9, 40), np.arange(40.0)), {"bins": 0}, "bins"),
        ((np.linspace(0.1, 0.9, 40), np.arange(40.0)), {"bins": 10**9}, "at most 1,000"),
        ((np.linspace(0.1, 0.9, 40), np.arange(40.0)), {"null": "refits"}, "no model"),
    ],
)
def test_bad_input_is_refused(arguments, options, words):
    """With a sentence."""
    with pytest.raises(ValueError, match=words):
        variogram(*arguments, **options)


def test_distances_beyond_all_places_leave_the_pair_that_is_furthest_apart():
    rng = np.random.default_rng(1)
    x, y, u = np.r_[0, 1, rng.random(58)], np.r_[0, 1, rng.random(58)], rng.random(60)
    for furthest in (1e3, np.inf, 10**400):
        table = variogram(u, x, y, max_distance=furthest).table
        assert table["pairs"].tolist() == [60 * 59 // 2]  # all, at less than a twelfth of that distance
