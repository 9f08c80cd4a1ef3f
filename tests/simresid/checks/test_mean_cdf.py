"""Mean distribution functions of residuals known up to cells."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from simresid.checks._mean_cdf import MOST_EXACT, below, largest_distance


@pytest.mark.parametrize("n", [1, 2, 3, 20, MOST_EXACT])
def test_largest_distance_of_points_is_that_of_kolmogorov(n):
    u = np.random.default_rng(n).uniform(size=n)
    assert largest_distance(u, u) == pytest.approx(stats.kstest(u, "uniform").statistic, abs=1e-15)


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_largest_distance_of_cells_over_a_fine_grid(n):
    rng = np.random.default_rng(n)
    lower, upper = np.sort(rng.uniform(size=(2, n)), axis=0)
    upper[::3] = lower[::3]  # some are points
    grid = np.linspace(0.0, 1.0, 200_001)
    found = np.abs(np.mean([below(lower, upper, q) for q in grid], axis=1) - grid)
    # the grid misses the end of a cell by 5e-6 at most, and the difference changes by n times as much beside points
    assert largest_distance(lower, upper) == pytest.approx(found.max(), abs=1e-5)


def test_few_rows_have_distances_of_their_own():
    """So that none is equal to another in a comparison with refits."""
    u = np.random.default_rng(1).uniform(0.97, 1.0, size=200)
    distances = [largest_distance(one, one) for one in u[:, None]]
    assert np.unique(distances).size == 200
