import numpy as np
import pytest

from glmmcore import glmm
from simresid import create_data


def dense_hat(fit, weights, x, codes, penalty):
    """Diagonal of W A (A'WA + P)^-1 A' with every random effect as a column."""
    a = np.c_[np.ones(len(x)), x, np.eye(codes.max() + 1)[codes]]
    p = np.diag(np.r_[0, 0, np.full(codes.max() + 1, penalty)])
    return weights * np.einsum("ij,ji->i", a, np.linalg.solve((a.T * weights) @ a + p, a.T))


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_equals_the_dense_hat_matrix_in_any_row_order(family):
    data = create_data(120, n_groups=12, family=family, rng=1).sample(frac=1, random_state=2)
    fit = glmm("observed ~ x1 + (1|group)", data, family)
    variance = fit.var_corr["sd"].iloc[0] ** 2
    codes = data["group"].cat.codes.to_numpy()
    if family == "gaussian":
        expected = dense_hat(fit, np.ones(120), data["x1"], codes, fit.sigma**2 / variance)
    else:
        expected = dense_hat(fit, fit.fitted, data["x1"], codes, 1 / variance)
    np.testing.assert_allclose(fit.leverage, expected, atol=1e-6)
    assert fit.leverage.sum() == pytest.approx(fit.edf, rel=1e-8)


def test_sums_to_the_effective_parameters():
    data = create_data(100, n_groups=10, family="nbinom2", intercept=1, rng=3)
    for formula in ("observed ~ x1", "observed ~ x1 + (x1|group)"):
        fit = glmm(formula, data, "nbinom2")
        assert fit.leverage.sum() == pytest.approx(fit.edf, rel=1e-8)
        assert fit.leverage.min() > 0
