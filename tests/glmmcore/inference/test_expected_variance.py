import numpy as np
import pytest
from scipy import stats

from glmmcore import glmm
from glmmcore.results.law import Law
from simresid import create_data

CASES = {
    "poisson": ({"family": "poisson"}, "observed ~ x1 + (1|group)"),
    "nbinom2": ({"family": "nbinom2", "dispersion": 1.5, "intercept": 1.0}, "observed ~ x1 + (1|group)"),
    "binomial": ({"family": "binomial", "trials": 10}, "cbind(successes, failures) ~ x1 + (1|group)"),
}


def log_density(family, y, eta, fit):
    if family == "poisson":
        return stats.poisson.logpmf(y, np.exp(eta))
    if family == "nbinom2":
        return stats.nbinom.logpmf(y, fit.sigma, fit.sigma / (fit.sigma + np.exp(eta)))
    return stats.binom.logpmf(y, 10, 1 / (1 + np.exp(-eta)))


def by_integration(fit, family, codes):
    """Mean of the variance over the random intercept of each group, on a grid of intercepts."""
    sd, modes = fit.var_corr["sd"].iloc[0], fit.random_effects["group"].iloc[:, 0].to_numpy()
    grid = np.linspace(-5.0, 5.0, 401)
    out, without = np.empty(fit.nobs), fit.law.eta - modes[codes]
    for g in range(codes.max() + 1):
        rows = codes == g
        eta = without[rows] + (modes[g] + grid)[:, None]
        posterior = log_density(family, fit.observed[rows], eta, fit).sum(axis=1) - 0.5 * ((modes[g] + grid) / sd) ** 2
        weights = np.exp(posterior - posterior.max())
        variance = np.array([_variance(fit, rows, row) for row in eta])
        out[rows] = weights @ variance / weights.sum()
    return out


def _variance(fit, rows, eta):
    trials = None if fit.trials is None else fit.trials[rows]
    return Law(fit.family, fit.solution.values | {"cond": eta}, trials).variance()


@pytest.mark.parametrize("family", CASES)
@pytest.mark.parametrize("per_group", [10, 3])
def test_equals_the_mean_over_the_posterior(family, per_group):
    # second order in 1 / information: what is left is below a tenth of the correction for groups of 10
    arguments, formula = CASES[family]
    data = create_data(60, n_groups=60 // per_group, rng=4, **arguments).sample(frac=1, random_state=1)
    fit = glmm(formula, data, family)
    expected = by_integration(fit, family, data["group"].cat.codes.to_numpy())
    got = fit.expected_variance()
    assert got.sum() == pytest.approx(expected.sum(), rel=0.003 if per_group == 10 else 0.02)
    np.testing.assert_allclose(got, expected, rtol=0.02 if per_group == 10 else 0.15)
    if family == "nbinom2":
        assert expected.sum() > 1.05 * fit.variance().sum()
    if family == "binomial":
        assert expected.sum() < 0.995 * fit.variance().sum()


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_equals_the_variance_without_random_effects_or_curvature(family):
    data = create_data(60, n_groups=6, family=family, rng=5)
    formula = "observed ~ x1" + (" + (1|group)" if family == "gaussian" else "")
    fit = glmm(formula, data, family)
    np.testing.assert_array_equal(fit.expected_variance(), fit.variance())


def test_stays_small_where_a_group_says_little():
    # all-zero groups under a large variance: a normal law of the predictor would give e**20
    data = create_data(200, n_groups=50, family="nbinom2", dispersion=1.5, intercept=-2, random_effect_sd=2.0, rng=6)
    fit = glmm("observed ~ x1 + (1|group)", data, "nbinom2")
    expected = by_integration(fit, "nbinom2", data["group"].cat.codes.to_numpy())
    assert fit.expected_variance().sum() == pytest.approx(expected.sum(), rel=0.15)
