import numpy as np
import pytest

from glmmcore import ModelError, glmm
from simresid import create_data


def dense_hat(fit, weights, x, codes, penalty):
    """Diagonal of W A (A'WA + P)^-1 A' with every random effect as a column."""
    a = np.c_[np.ones(len(x)), x, np.eye(codes.max() + 1)[codes]]
    p = np.diag(np.r_[0, 0, np.full(codes.max() + 1, penalty)])
    return weights * np.einsum("ij,ji->i", a, np.linalg.solve((a.T * weights) @ a + p, a.T))


@pytest.mark.parametrize(("family", "reml"), [("gaussian", False), ("gaussian", True), ("poisson", False)])
def test_equals_the_dense_hat_matrix_in_any_row_order(family, reml):
    data = create_data(120, n_groups=12, family=family, rng=1).sample(frac=1, random_state=2)
    fit = glmm("observed ~ x1 + (1|group)", data, family, reml=reml)
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


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
@pytest.mark.parametrize("grouping", ["own", "crossing", "rows"])
def test_leverage_of_groups_equals_the_dense_hat_matrix(family, grouping):
    data = create_data(120, n_groups=12, family=family, rng=1).sample(frac=1, random_state=2)
    fit = glmm("observed ~ x1 + (1|group)", data, family)
    own = data["group"].cat.codes.to_numpy()
    codes = {"own": own, "crossing": np.arange(120) % 7, "rows": np.arange(120)}[grouping].copy()
    codes[codes == 3] = -1  # rows of no group
    codes[codes > 3] -= 1
    variance = fit.variance()
    weights, sigma = (np.ones(120), fit.sigma) if family == "gaussian" else (fit.fitted, 1.0)
    a = np.c_[np.ones(120), data["x1"], np.eye(12)[own]]
    penalty = np.diag(np.r_[0, 0, np.full(12, sigma**2 / fit.var_corr["sd"].iloc[0] ** 2)])
    root = np.sqrt(weights)[:, None] * a
    hat = root @ np.linalg.solve(root.T @ root + penalty, root.T)
    v = np.sqrt(variance)[:, None] * (codes[:, None] == np.arange(codes.max() + 1))
    expected = np.einsum("ig,ij,jg->g", v, hat, v) / np.sum(v**2, axis=0)
    np.testing.assert_allclose(fit.group_leverage(codes), expected, atol=1e-6)
    if grouping == "rows":
        np.testing.assert_allclose(fit.group_leverage(np.arange(120)), fit.leverage, rtol=1e-6)


@pytest.mark.parametrize("of", ["group_leverage", "deletion_changes"])
def test_codes_of_groups_are_checked_before_they_index_anything(of):
    data = create_data(40, n_groups=8, rng=5)
    fit = glmm("observed ~ x1 + (1|group)", data, "poisson")
    good = np.arange(40) % 4
    assert len(getattr(fit, of)(good.astype(np.int8))) == 4
    for bad in (
        good * 2,
        good - 2,
        good + 1,
        np.where(good == 1, 10**12, good),
        np.full(40, -1),
        good[:39],
        good + 0.0,
    ):
        with pytest.raises(ModelError, match="codes must"):
            getattr(fit, of)(bad)
