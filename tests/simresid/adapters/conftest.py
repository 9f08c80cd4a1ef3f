"""Whether a model's simulations, mean, variance and distribution function belong together."""

import numpy as np
import pytest
from scipy import stats

from simresid.protocol.conformance import check_fitted_model

N_SIMS = 2000
# Chance that a correct model fails one of the comparisons below, over all its rows (Bonferroni).
FALSE_ALARM = 1e-3


@pytest.fixture(name="assert_law_agrees")
def law_agreement():
    """The comparison of `_assert_law_agrees` as a function."""
    return _assert_law_agrees


def _assert_law_agrees(
    model,
    *,
    random_effects="conditional",
    mean=None,
    variance=None,
    correlated=False,
    refit_rtol=1e-4,
    seed=20261,
):
    """2000 draws against mean and variance per row, and against the cdf where there is one."""
    check_fitted_model(model, refit_rtol=refit_rtol)
    simulated = np.asarray(
        model.simulate(N_SIMS, rng=np.random.default_rng(seed), random_effects=random_effects), float
    )
    assert simulated.shape == (N_SIMS, model.nobs)
    assert np.isfinite(simulated).all()
    mean = model.fitted if mean is None else mean
    variance = model.variance() if variance is None else variance
    limit = stats.norm.isf(FALSE_ALARM / (2 * model.nobs))
    z = (simulated.mean(axis=0) - mean) / np.sqrt(variance / N_SIMS)
    assert np.max(np.abs(z)) < limit, f"mean off by {np.max(np.abs(z)):.1f} standard errors"
    centred = simulated - mean
    spread = (centred**2).mean(axis=0)
    # The error of a variance estimate needs the fourth moment; under-estimated tails of skewed laws get 50 %
    # room.
    # Whole numbers that hardly ever differ from their mean: the rare jump has fourth moment `variance`.
    least = np.where(variance < 0.1, variance, 0.0) if model.discrete else 1e-12
    error = np.sqrt(np.maximum((centred**4).mean(axis=0) - spread**2, least) / N_SIMS)
    z = (spread - variance) / error
    assert np.max(np.abs(z)) < 1.5 * limit, f"variance off by {np.max(np.abs(z)):.1f} standard errors"
    if random_effects == "conditional" and hasattr(model, "cdf"):
        _assert_cdf_agrees(model, simulated, correlated)
    return simulated


def _assert_cdf_agrees(model, simulated, correlated):
    """Both limits of the cdf at the observed response by exact binomial tests; then draws are uniform."""
    lower, upper = model.cdf()
    assert np.all((lower >= 0) & (lower <= upper) & (upper <= 1))
    for probability, below in ((lower, simulated < model.observed), (upper, simulated <= model.observed)):
        hits = below.sum(axis=0)
        p = np.minimum(stats.binom.cdf(hits, N_SIMS, probability), stats.binom.sf(hits - 1, N_SIMS, probability))
        assert np.min(p) > FALSE_ALARM / (2 * model.nobs)
    if correlated:  # then the residuals of one replicate are no sample of independent uniforms
        return
    uniform = np.random.default_rng(7).random(simulated[:20].shape)
    limits = [model.cdf(draw) for draw in simulated[:20]]
    residuals = [low + u * (high - low) for (low, high), u in zip(limits, uniform, strict=True)]
    assert stats.kstest(np.ravel(residuals), "uniform").pvalue > FALSE_ALARM
