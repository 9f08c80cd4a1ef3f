"""Intercept-only maximum likelihood of the count laws against glmmTMB 1.1.15 and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from glmmcore.families import get_family

from .test_constants_continuous import COUNTS, POSITIVE, fit

POSITIVE_COUNTS = COUNTS[COUNTS > 0]
SUCCESSES = np.array([3, 5, 9, 1, 0, 7, 10, 4.0])

REFERENCE = [
    ("poisson", COUNTS, 1, -44.95651822, 0.7884574, 1.0),
    ("nbinom1", COUNTS, 1, -39.54772410, 0.7884574, 1.5506415),
    ("nbinom2", COUNTS, 1, -39.54772410, 0.7884574, 1.4187677),
    ("nbinom12", COUNTS, 1, -39.54772410, 0.7884574, None),  # phi and kappa are not identified here
    ("genpois", COUNTS, 1, -39.52020379, 0.7884574, 2.6688775),
    ("truncated_poisson", POSITIVE_COUNTS, 1, -31.39719797, 1.0097235, 1.0),
    ("truncated_nbinom1", POSITIVE_COUNTS, 1, -28.23087467, 0.6380167, 2.0164669),
    ("truncated_nbinom2", POSITIVE_COUNTS, 1, -28.23087467, 0.6380164, 0.9386329),
    ("betabinomial", SUCCESSES, 10, -19.05192669, -0.0318085, 1.4802793),
    ("gaussian", POSITIVE, 1, -15.98090342, 1.59, 1.1962022),
]


@pytest.mark.parametrize(("name", "y", "trials", "llf", "intercept", "sigma"), REFERENCE, ids=[r[0] for r in REFERENCE])
def test_reference_fit(
    name: str, y: np.ndarray, trials: float, llf: float, intercept: float, sigma: float | None
) -> None:
    got = fit(get_family(name), y, trials)
    assert got[0] == pytest.approx(llf, abs=1e-6)
    # The reference stops at its own tolerance: estimates agree to the square root of that of the likelihood.
    assert got[1] == pytest.approx(intercept, abs=2e-5)
    if sigma is not None:
        assert got[2] == pytest.approx(sigma, rel=2e-5)


def test_binomial_maximum_is_the_proportion() -> None:
    got = fit(get_family("binomial"), SUCCESSES, 10)
    p = SUCCESSES.sum() / 80
    assert got[1] == pytest.approx(np.log(p / (1 - p)), abs=1e-7)
