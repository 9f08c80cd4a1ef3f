"""Fourth moments that widths of dispersion intervals rest on."""

import numpy as np
import pytest
from scipy.stats import betabinom, binom

from simresid.checks._row_moments import kurtosis_of_shares


def kurtosis(law) -> float:
    k = np.arange(law.support()[1] + 1)
    p = law.pmf(k)
    mean = p @ k
    return float(p @ (k - mean) ** 4 / (p @ (k - mean) ** 2) ** 2)


@pytest.mark.parametrize(
    ("n", "a", "b"), [(10, 2.5, 2.5), (10, 0.2, 0.6), (3, 5, 1), (40, 30, 2), (2, 1, 1), (500, 8, 3)]
)
def test_kurtosis_is_that_of_the_sum_over_all_counts(n, a, b):
    law = betabinom(n, a, b)
    got = kurtosis_of_shares(np.array([law.mean()]), np.array([law.var()]), np.array([float(n)]))
    assert got == pytest.approx(kurtosis(law), rel=1e-8)


@pytest.mark.parametrize(("n", "p"), [(1, 0.3), (10, 0.5), (200, 0.01)])
def test_binomial_counts_and_less(n, p):
    law = binom(n, p)
    for variance in (law.var(), 0.5 * law.var()):
        got = kurtosis_of_shares(np.array([law.mean()]), np.array([variance]), np.array([float(n)]))
        assert got == pytest.approx(kurtosis(law), rel=1e-8)


def test_more_variance_than_any_law_has_and_chances_of_none():
    got = kurtosis_of_shares(np.array([5.0, 0.0, 1e8]), np.array([100.0, 0.0, 3e8]), np.array([10.0, 10.0, 1e9]))
    assert np.all(np.isfinite(got)) and got[0] == pytest.approx(1.0, abs=1e-2) and np.all(got > 0.99)
