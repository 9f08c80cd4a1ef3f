"""The laws themselves against scipy.stats and closed forms, at the edges of their supports."""

import numpy as np
import pytest
from scipy import special, stats
from scipy.integrate import quad

from simresid.adapters._count_laws import (
    Binomial,
    GeneralizedPoisson,
    LeftTruncated,
    NegativeBinomial,
    Ordinal,
    Poisson,
    ZeroMixture,
)
from simresid.adapters._laws import Beta, Gamma, InverseGaussian, LogNormal, Normal, Tweedie
from simresid.adapters._mixed_rows import mean_over_normal

MU = np.array([1e-8, 0.05, 0.7, 3.0, 40.0, 5000.0])
Y = np.array([0.0, 1.0, 2.0, 2.0, 55.0, 4900.0])


@pytest.mark.parametrize(
    ("law", "reference"),
    [
        (Poisson(MU), stats.poisson(MU)),
        (NegativeBinomial(MU, 0.3), stats.nbinom(0.3, 0.3 / (0.3 + MU))),
        (NegativeBinomial(MU, 1e4), stats.nbinom(1e4, 1e4 / (1e4 + MU))),
        (NegativeBinomial(MU, np.inf), stats.poisson(MU)),
        (Binomial(np.full(6, 6000.0), MU / 6000), stats.binom(6000, MU / 6000)),
        (Binomial(np.ones(6), np.linspace(0, 1, 6)), stats.binom(1, np.linspace(0, 1, 6))),
    ],
)
def test_counts(law, reference):
    # atol: scipy goes through a success probability, which rounds where mean / size is below 1e-11
    np.testing.assert_allclose(law.mean(), reference.mean(), atol=1e-11)
    np.testing.assert_allclose(law.variance(), reference.var(), atol=1e-11)
    for y in (Y, np.zeros(6), np.full(6, 3.0)):
        np.testing.assert_allclose(law.pmf(y), reference.pmf(y), rtol=1e-8, atol=1e-11)
        lower, upper = law.cdf(y)
        np.testing.assert_allclose(upper, reference.cdf(y), rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(lower, reference.cdf(y - 1), rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(law.above(y), reference.sf(y), rtol=1e-6, atol=1e-11)
    between = law.cdf(np.full(6, 2.5))
    np.testing.assert_allclose(between[0], between[1])
    np.testing.assert_array_equal(law.cdf(np.full(6, -1.0)), 0)


@pytest.mark.parametrize(
    ("law", "reference"),
    [
        (Normal(MU, 2.0), stats.norm(MU, 2)),
        (Gamma(MU, 0.4), stats.gamma(2.5, scale=0.4 * MU)),
        (InverseGaussian(MU, 0.4), stats.invgauss(MU * 0.4, scale=2.5)),
        (LogNormal(MU, 0.3), stats.lognorm(np.sqrt(0.3), scale=MU * np.exp(-0.15))),
        (Beta(MU / 6000, 7.0), stats.beta(7 * MU / 6000, 7 * (1 - MU / 6000))),
    ],
)
def test_continuous(law, reference):
    np.testing.assert_allclose(law.mean(), reference.mean(), rtol=1e-10)
    np.testing.assert_allclose(law.variance(), reference.var(), rtol=1e-9)
    for y in (MU / 6000, MU * 1.3, np.zeros(6), np.full(6, -1.0)):
        lower, upper = law.cdf(y)
        np.testing.assert_array_equal(lower, upper)
        np.testing.assert_allclose(upper, reference.cdf(y), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("power", [1.05, 1.5, 1.95])
def test_tweedie_is_a_poisson_sum_of_gammas(power):
    """The cdf by its definition, over every count of amounts, with scipy's distributions."""
    mu, phi = np.array([0.1, 1.0, 30.0]), 0.7
    law = Tweedie(mu, phi, power)
    rate = mu ** (2 - power) / (phi * (2 - power))
    shape, scale = (2 - power) / (power - 1), phi * (power - 1) * mu ** (power - 1)
    counts = np.arange(1, int(rate.max() + 40 * np.sqrt(rate.max()) + 60))[:, None]
    for y in (0.3 * mu, mu, 2 * mu, np.zeros(3)):
        terms = stats.poisson.pmf(counts, rate) * stats.gamma.cdf(y, counts * shape, scale=scale)
        np.testing.assert_allclose(law.cdf(y)[1], np.exp(-rate) + terms.sum(axis=0), rtol=1e-10)
    np.testing.assert_array_equal(law.cdf(np.zeros(3))[0], 0)
    np.testing.assert_array_equal(law.cdf(np.full(3, -1.0)), 0)


@pytest.mark.parametrize("lam", [0.0, 0.4, -0.15])
def test_generalized_poisson(lam):
    """Consul's probabilities summed one by one."""
    theta = np.array([0.3, 2.0, 12.0])
    law = GeneralizedPoisson(theta, lam)
    k = np.arange(400)[:, None]
    base = np.maximum(theta + k * lam, 0)
    with np.errstate(divide="ignore"):
        log_mass = np.log(theta) + np.where(k == 1, 0, (k - 1) * np.log(base)) - base - special.gammaln(k + 1)
    mass = np.where(theta + k * lam > 0, np.exp(log_mass), 0)
    mass /= mass.sum(axis=0)
    mean = (k * mass).sum(axis=0)
    np.testing.assert_allclose(law.mean(), mean, rtol=1e-9)
    np.testing.assert_allclose(law.variance(), ((k - mean) ** 2 * mass).sum(axis=0), rtol=1e-7)
    np.testing.assert_allclose(
        law.cdf(np.array([0.0, 2.0, 9.0]))[1], [mass[0, 0], mass[:3, 1].sum(), mass[:10, 2].sum()]
    )
    simulated = law.draw(20_000, np.random.default_rng(1))
    for row in range(3):
        observed = np.bincount(simulated[:, row], minlength=400)[:400]
        common = 20_000 * mass[:, row] > 5
        expected = np.append(20_000 * mass[common, row], 20_000 * mass[~common, row].sum() + 1e-9)
        hits = np.append(observed[common], observed[~common].sum())
        assert stats.chisquare(hits, expected * hits.sum() / expected.sum()).pvalue > 1e-4


@pytest.mark.parametrize("cut", [0, 3])
@pytest.mark.parametrize("mu", [1e-3, 0.2, 5.0])
def test_left_truncated(cut, mu):
    law = LeftTruncated(Poisson(np.full(2, mu)), cut)
    k = np.arange(cut + 1, 80)
    mass = stats.poisson.pmf(k, mu) / stats.poisson.sf(cut, mu)
    np.testing.assert_allclose(law.pmf(np.array([cut + 1.0, cut + 2.0])), mass[:2])
    # a mean formed as a difference of small numbers keeps fewer digits the rarer the row is
    np.testing.assert_allclose(law.mean(), (k * mass).sum(), rtol=1e-4)
    np.testing.assert_allclose(law.cdf(np.full(2, cut + 2.0))[1], mass[:2].sum(), rtol=1e-6)
    np.testing.assert_array_equal(law.cdf(np.full(2, float(cut))), 0)
    simulated = law.draw(4000, np.random.default_rng(2))
    assert simulated.min() == cut + 1
    assert stats.binomtest(int((simulated == cut + 1).sum()), simulated.size, mass[0]).pvalue > 1e-4


def test_zero_mixture_and_ordinal():
    law = ZeroMixture(Poisson(np.array([2.0, 5.0])), np.array([0.3, 0.0]))
    np.testing.assert_allclose(law.pmf(0), [0.3 + 0.7 * np.exp(-2), np.exp(-5)])
    np.testing.assert_allclose(law.cdf(np.zeros(2))[1], law.pmf(0))
    ordinal = Ordinal(np.array([[0.2, 0.5, 0.3], [0.0, 0.0, 1.0]]))
    np.testing.assert_allclose(ordinal.cdf(np.array([1, 2]))[0], [0.2, 0.0])
    np.testing.assert_allclose(ordinal.cdf(np.array([1, 2]))[1], [0.7, 1.0])
    np.testing.assert_array_equal(ordinal.draw(50, np.random.default_rng(3))[:, 1], 2)
    np.testing.assert_array_equal(ordinal.rows(np.array([1, 1])).mean(), [2.0, 2.0])


@pytest.mark.parametrize("sd", [0.0, 0.5, 3.0, 8.0])
def test_mean_over_normal(sd):
    eta = np.array([-4.0, 0.0, 2.0])
    probit = mean_over_normal(stats.norm.cdf, eta, np.full(3, sd))
    np.testing.assert_allclose(probit, stats.norm.cdf(eta / np.sqrt(1 + sd**2)), rtol=1e-9)
    log = mean_over_normal(np.exp, eta, np.full(3, sd))
    np.testing.assert_allclose(log, np.exp(eta + sd**2 / 2), rtol=1e-9)
    logistic = [
        quad(lambda z, e=e: stats.norm.pdf(z) / (1 + np.exp(-e - sd * z)), -12, 12, points=[0, -e / max(sd, 1)])[0]
        for e in eta
    ]
    np.testing.assert_allclose(
        mean_over_normal(lambda value: 1 / (1 + np.exp(-value)), eta, np.full(3, sd)), logistic, rtol=1e-7
    )
