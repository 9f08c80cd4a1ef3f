"""What a family says of itself in words and about its relatives is asked of the class, never of its name."""

from __future__ import annotations

import numpy as np
import pytest

from glmmcore.families import FAMILIES, get_family
from glmmcore.families.base import Parameters

MEAN, SIGMA, Y = 2.5, 1.7, np.array([0.5, 1.0, 4.0])


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_words_of_the_dispersion_are_complete(name):
    family = get_family(name)
    words = family.dispersion_words.format(sigma=SIGMA, variance=SIGMA**2, increased=1.0 + SIGMA)
    assert "{" not in words and "1.7" in words


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_special_cases_are_families_with_the_same_support(name):
    family = get_family(name)
    for other in family.special_cases:
        assert get_family(other).discrete == family.discrete
        assert get_family(other).takes_trials == family.takes_trials


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_unit_deviance_is_twice_the_loss_of_log_likelihood(name):
    """By its definition, 2 phi [l(y; mean y) - l(y; mean)], from the family's own density at a dispersion of 1."""
    family = get_family(name)
    y = np.array([1.0, 2.0, 4.0])
    trials = np.full(3, 6.0 if family.takes_trials else 1.0)
    p = Parameters(np.zeros(3), np.zeros(1), np.zeros(len(family.extra)))
    deviance = family.unit_deviance(y, trials, np.full(3, MEAN), p)
    if deviance is None:
        assert name not in ("gaussian", "poisson", "binomial", "gamma", "nbinom2")
        return

    def loglik(mean):
        eta = family.link.link(mean / trials)
        return family.derivatives(y, trials, p._replace(eta=eta)).loglik

    np.testing.assert_allclose(deviance, 2.0 * (loglik(y) - loglik(np.full(3, MEAN))), rtol=1e-10, atol=1e-12)
