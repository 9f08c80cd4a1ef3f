"""Definitions of residuals: by hand, against DHARMa's output, and uniform under the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import simresid as sr
from glmmcore import glmm
from simresid.residuals import scaled

REPLICATES, ROWS, SIMS = 1000, 50, 100


def test_rank_and_pit_by_hand():
    # Observation 3 among 1, 3, 3, 5: one below, two equal.
    res = sr.from_simulations(np.array([[1], [3], [3], [5]]) * np.ones(3), np.full(3, 3.0))
    v = res.child_rng("residuals").random(3)
    np.testing.assert_allclose(res.residuals, (1 + v * 3) / 5, rtol=1e-15)
    pit = sr.from_simulations(np.array([[1], [3], [3], [5]]) * np.ones(3), np.full(3, 3.0), method="pit")
    np.testing.assert_allclose(pit.residuals, (1 + v * 2) / 4, rtol=1e-15)


def piecewise_linear_cdf(simulated, y):
    """The traditional residual as its definition reads, one observation at a time."""
    values, counts = np.unique(simulated, return_counts=True)
    heights = np.cumsum(counts) / (simulated.size + 1)
    return np.interp(y, values, heights, left=0.0, right=1.0)


def test_traditional_is_the_interpolated_cdf():
    rng = np.random.default_rng(2)
    simulated = np.round(rng.normal(size=(40, 300)), 1)  # rounded, so that ties occur
    y = np.round(rng.normal(size=300) * 1.5, 2)
    res = sr.from_simulations(simulated, y, method="traditional", discrete=False)
    expected = [piecewise_linear_cdf(s, value) for s, value in zip(simulated.T, y, strict=True)]
    np.testing.assert_allclose(res.residuals, expected, rtol=1e-12, atol=1e-15)
    assert (res.residuals == 0).any() and (res.residuals == 1).any()


def test_exact_lies_between_the_two_sides():
    np.testing.assert_allclose(scaled.exact(np.array([0.2]), np.array([0.6]), np.array([0.25])), [0.3])


def test_exact_residuals_do_not_depend_on_row_order():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"x": rng.normal(size=120), "group": np.repeat(np.arange(12), 10)})
    data["y"] = rng.poisson(np.exp(0.5 + 0.5 * data["x"] + rng.normal(0, 0.7, 12)[data["group"]]))
    shuffled = data.sample(frac=1, random_state=1)
    first, second = (
        pd.Series(
            sr.simulate_residuals(glmm("y ~ x + (1|group)", d, family="poisson"), method="exact", rng=2).residuals,
            index=d.index,
        )
        for d in (data, shuffled)
    )
    # the fits agree to the optimiser's tolerance
    np.testing.assert_allclose(second[first.index], first, atol=1e-5)


def test_residuals_equal_those_of_dharma(dharma):
    """Every residual lies in DHARMa's cell; traditional and rotated ones agree to 1e-10."""
    simulated, y = np.array(dharma["simulated_by_row"], float).T, np.array(dharma["observed"], float)
    below, at_or_below = np.array(dharma["fraction_below"]), np.array(dharma["fraction_below_or_equal"])
    n_sims = simulated.shape[0]
    u = sr.from_simulations(simulated, y).residuals
    slack = 1e-12
    assert (u >= below * n_sims / (n_sims + 1) - slack).all()
    assert (u <= (at_or_below * n_sims + 1) / (n_sims + 1) + slack).all()
    pit = sr.from_simulations(simulated, y, method="pit").residuals
    assert (pit >= below - slack).all() and (pit <= at_or_below + slack).all()
    if "scaled_residuals_traditional" in dharma:
        got = sr.from_simulations(simulated, y, method="traditional", discrete=False).residuals
        np.testing.assert_allclose(got, dharma["scaled_residuals_traditional"], rtol=1e-10, atol=1e-12)
    if not isinstance(dharma.get("rotation", ""), str):
        got = sr.from_simulations(simulated, y, method="pit", rotation=np.array(dharma["rotation"]))
        np.testing.assert_allclose(got.residuals, dharma["scaled_residuals_rotated"], rtol=1e-10, atol=1e-12)
    grouped = sr.from_simulations(simulated, y).recalculate(group=np.array(dharma["group"]))
    np.testing.assert_allclose(np.sort(grouped.observed), np.sort(dharma["recalculated"]["observed"]))


def tweedie(rng, size, mean=2.0, phi=1.5, power=1.6):
    """Compound Poisson-gamma, with an atom at zero."""
    jumps = rng.poisson(mean ** (2 - power) / (phi * (2 - power)), size)
    scale = phi * (power - 1) * mean ** (power - 1)
    return rng.standard_gamma(jumps * (2 - power) / (power - 1)) * scale


LAWS = {
    "poisson 0.2": lambda rng, size: rng.poisson(0.2, size),
    "poisson 2": lambda rng, size: rng.poisson(2, size),
    "poisson 50": lambda rng, size: rng.poisson(50, size),
    "bernoulli": lambda rng, size: rng.random(size) < 0.3,
    "k of 10": lambda rng, size: rng.binomial(10, 0.4, size),
    "gamma": lambda rng, size: rng.gamma(2.0, 1.0, size),
    "gaussian": lambda rng, size: rng.normal(1.0, 2.0, size),
    "nbinom2": lambda rng, size: rng.negative_binomial(1.5, 0.3, size),
    "tweedie": tweedie,
    "zero-inflated": lambda rng, size: rng.poisson(3, size) * (rng.random(size) > 0.3),
}


def ks_rejections(residuals):
    """Share of replicates in which the exact Kolmogorov-Smirnov test rejects uniformity at 5 %."""
    u = np.sort(residuals.reshape(REPLICATES, ROWS), axis=1)
    steps = np.arange(1, ROWS + 1) / ROWS
    distance = np.maximum((steps - u).max(axis=1), (u - steps + 1 / ROWS).max(axis=1))
    return (stats.kstwo.sf(distance, ROWS) < 0.05).mean()


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_uniform_under_the_truth(law):
    """1000 data sets each: size of a 5 % test within 3..7 % (three standard errors are 2.1 %).

    The outlier frequency of the rank residual is nominal, 2/(M+1), within four standard errors. The 1000
    data sets are rows of one call.
    """
    rng = np.random.default_rng(11)
    draw = LAWS[law]
    y = draw(rng, REPLICATES * ROWS).astype(float)
    simulated = draw(rng, (SIMS, REPLICATES * ROWS)).astype(float)
    for method in ("rank", "pit", "traditional"):
        res = sr.from_simulations(simulated, y, method=method)
        assert 0.03 <= ks_rejections(res.residuals) <= 0.07, method
        if method == "rank":
            nominal = 2 / (SIMS + 1)
            frequency = np.abs(res.outlier_sides).mean()
            assert abs(frequency - nominal) < 4 * np.sqrt(nominal * (1 - nominal) / y.size)


class FixedLaw:
    """Independent observations of one known law."""

    def __init__(self, observed, mean, cdf):
        self.observed, self.fitted, self.nobs = observed, np.full(observed.size, mean), observed.size
        self._cdf = cdf

    def simulate(self, n_sims, *, rng=None, random_effects="conditional"):
        raise AssertionError("exact residuals need no simulations")

    def cdf(self, y=None):
        return self._cdf(self.observed if y is None else y)


def step_cdf(frozen):
    return lambda y: (frozen.cdf(y - 1), frozen.cdf(y))


EXACT_CDFS = {
    "poisson 0.2": step_cdf(stats.poisson(0.2)),
    "poisson 2": step_cdf(stats.poisson(2)),
    "poisson 50": step_cdf(stats.poisson(50)),
    "bernoulli": step_cdf(stats.bernoulli(0.3)),
    "k of 10": step_cdf(stats.binom(10, 0.4)),
    "gamma": lambda y: (special.gammainc(2.0, y), special.gammainc(2.0, y)),
    "gaussian": lambda y: (special.ndtr((y - 1) / 2), special.ndtr((y - 1) / 2)),
    "nbinom2": step_cdf(stats.nbinom(1.5, 0.3)),
    "zero-inflated": lambda y: (
        np.where(y > 0, 0.3 + 0.7 * stats.poisson.cdf(y - 1, 3), 0.0),
        0.3 + 0.7 * stats.poisson.cdf(y, 3),
    ),
}


@pytest.mark.parametrize("law", EXACT_CDFS)
def test_exact_is_uniform_under_the_truth(law):
    y = LAWS[law](np.random.default_rng(12), REPLICATES * ROWS).astype(float)
    res = sr.simulate_residuals(FixedLaw(y, y.mean(), EXACT_CDFS[law]), method="exact")
    assert 0.03 <= ks_rejections(res.residuals) <= 0.07


def test_rank_is_uniform_for_few_simulations():
    """Exactly uniform for any number of simulations: chi-square over ten cells, 4 simulations, heavy ties."""
    rng = np.random.default_rng(5)
    n = 100_000
    res = sr.from_simulations(rng.poisson(0.7, (4, n)), rng.poisson(0.7, n))
    counts = np.histogram(res.residuals, bins=10, range=(0, 1))[0]
    assert stats.chisquare(counts).pvalue > 1e-3
    pit = sr.from_simulations(rng.poisson(0.7, (4, n)), rng.poisson(0.7, n), method="pit")
    counts = np.histogram(pit.residuals, bins=10, range=(0, 1))[0]
    assert stats.chisquare(counts).pvalue < 1e-10  # what the other definition cannot do


def test_sums_of_replicates_by_hand():
    rng = np.random.default_rng(20)
    block, centre = rng.poisson(1.5, (7, 11)).astype(float), rng.uniform(0.5, 3.0, 11)
    precision, sums = rng.uniform(0.2, 2.0, 11), np.full((7, 4), np.nan)
    scaled.moment_block(block, centre, precision, sums)
    deviation = block - centre
    expected = [(block == 0).sum(1), deviation.sum(1), (deviation**2).sum(1), (precision * deviation**2).sum(1)]
    np.testing.assert_allclose(sums, np.transpose(expected), rtol=1e-12, atol=1e-12)


def test_blocks_add_to_the_counts_so_far():
    rng = np.random.default_rng(21)
    block, y = rng.poisson(2.0, (9, 6)).astype(float), rng.poisson(2.0, 6).astype(float)
    below, equal = np.zeros(6, np.int32), np.zeros(6, np.int32)
    for part in (block[:4], block[4:]):
        scaled.count_block(np.ascontiguousarray(part), y, below, equal)
    np.testing.assert_array_equal(below, (block < y).sum(axis=0))
    np.testing.assert_array_equal(equal, (block == y).sum(axis=0))
