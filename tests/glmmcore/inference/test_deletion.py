import numpy as np
import pytest

from glmmcore import ModelError, glmm
from simresid import create_data


def without(fit, rows):
    return fit.refit(rows=~rows).params.to_numpy() - fit.params.to_numpy()


def test_exact_for_a_linear_model():
    data = create_data(80, n_groups=8, family="gaussian", rng=1).sample(frac=1, random_state=2)
    fit = glmm("observed ~ x1 + time", data, "gaussian")
    codes = data["group"].cat.codes.to_numpy().astype(int)
    expected = [without(fit, codes == g) for g in range(8)]
    np.testing.assert_allclose(fit.deletion_changes(codes), expected, atol=1e-8)


@pytest.mark.parametrize("grouping", ["own", "crossing", "rows"])
@pytest.mark.parametrize("reml", [False, True])
def test_equals_generalised_least_squares_with_the_same_variances(grouping, reml):
    data = create_data(90, n_groups=9, family="gaussian", rng=3).sample(frac=1, random_state=4)
    fit = glmm("observed ~ x1 + (x1|group)", data, "gaussian", reml=reml)
    group, x = data["group"].cat.codes.to_numpy(), np.c_[np.ones(90), data["x1"]]
    covariance = fit.solution.terms[0].covariance
    v = fit.sigma**2 * np.eye(90) + (group[:, None] == group) * (x @ covariance @ x.T)
    codes = {"own": group.astype(int), "crossing": np.arange(90) % 5, "rows": np.arange(90)}[grouping]
    expected = []
    for g in range(codes.max() + 1):
        keep = codes != g
        xv = np.linalg.solve(v[np.ix_(keep, keep)], x[keep]).T
        expected.append(np.linalg.solve(xv @ x[keep], xv @ data["observed"].to_numpy()[keep]) - fit.params)
    np.testing.assert_allclose(fit.deletion_changes(codes), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("family", "arguments"),
    [("poisson", {"intercept": 1.0}), ("nbinom2", {"intercept": 1.0}), ("binomial", {"trials": 10})],
)
def test_follows_refits_of_mixed_models(family, arguments):
    data = create_data(150, n_groups=15, family=family, rng=5, **arguments)
    response = "cbind(successes, failures)" if family == "binomial" else "observed"
    fit = glmm(f"{response} ~ x1 + (1|group)", data, family)
    codes = data["group"].cat.codes.to_numpy().astype(int)
    refitted = np.array([without(fit, codes == g) for g in range(15)])
    changes = fit.deletion_changes(codes)
    # variances are held fixed and one step is taken: the differences are of second order
    for j in range(2):
        assert np.corrcoef(changes[:, j], refitted[:, j])[0, 1] > 0.97
    assert np.abs(changes - refitted).max() < 0.25 * np.abs(refitted).max()


def test_rows_that_are_equal_in_z_are_told_apart():
    # many rows a level: the layout keeps one entry for each run of them
    data = create_data(6000, n_groups=6, intercept=1.0, rng=8).sample(frac=1, random_state=9)
    fit = glmm("observed ~ x1 + (1|group)", data, "poisson")
    codes = np.arange(6000) % 3
    refitted = np.array([without(fit, codes == g) for g in range(3)])
    np.testing.assert_allclose(fit.deletion_changes(codes), refitted, rtol=0.1, atol=2e-4)


def test_says_where_the_rest_does_not_determine_the_effects():
    data = create_data(60, n_groups=6, rng=6)
    data["only"] = (data["group"] == data["group"].iloc[0]).astype(float) * data["x1"]
    fit = glmm("observed ~ x1 + only", data, "poisson")
    changes = fit.deletion_changes(data["group"].cat.codes.to_numpy().astype(int))
    assert np.isnan(changes[0]).all()
    assert np.isfinite(changes[1:]).all()


def test_refuses_random_effects_elsewhere():
    data = create_data(100, n_groups=10, zero_inflation=0.3, intercept=1.0, rng=7)
    fit = glmm("observed ~ x1", data, "poisson", zi="~ (1|group)")
    with pytest.raises(ModelError, match="conditional predictor"):
        fit.deletion_changes(np.arange(100))
