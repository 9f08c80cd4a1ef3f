"""Products of tall arrays, in one block and in several."""

import numpy as np
import pytest

from glmmcore.tall import cross, inner, times

# Sums of up to 30 000 products in another order.
ROUNDING = 1e-12


@pytest.mark.parametrize("n", [0, 1, 7, 30_000])
@pytest.mark.parametrize("p", [0, 1, 3, 40])
@pytest.mark.parametrize("k", [None, 0, 1, 5])
def test_same_as_numpy(n, p, k):
    rng = np.random.default_rng(n + p)
    a, small = rng.normal(size=(n, p)), rng.normal(size=p if k is None else (p, k))
    b = rng.normal(size=n if k is None else (n, k))
    np.testing.assert_allclose(cross(a, b), a.T @ b, rtol=0.0, atol=ROUNDING * max(n, 1))
    np.testing.assert_allclose(times(a, small), a @ small, rtol=0.0, atol=ROUNDING * 40)
    assert cross(a, b).flags.c_contiguous
    assert times(a, small).flags.c_contiguous
    if k is None:
        np.testing.assert_allclose(inner(b, 2.0 * b), 2.0 * b @ b, rtol=ROUNDING)
