import numpy as np
import pytest
import statsmodels.api as sm

import glmmcore
import simresid as sr


@pytest.fixture(scope="module")
def data():
    frame = sr.create_data(150, n_groups=15, intercept=1.0, rng=5)
    frame.loc[frame["group"] == "g07", "observed"] = 12  # no slope there
    return frame.sample(frac=1, random_state=1)


@pytest.fixture(scope="module")
def fit(data):
    return glmmcore.glmm("observed ~ x1 + (1|group)", data, "poisson")


def test_distances_are_those_of_refits(fit, data):
    result = sr.influence(fit, "group")
    inverse = np.linalg.inv(fit.cov_params())
    refitted = {}
    for name in result.distance.index:
        change = fit.refit(rows=(data["group"] != name).to_numpy()).params - fit.params
        refitted[name] = change @ inverse @ change / 2
    expected = np.array([refitted[name] for name in result.distance.index])
    assert np.corrcoef(result.distance, expected)[0, 1] > 0.95
    assert result.to_frame().index[0] == max(refitted, key=refitted.get) == "g07"
    assert (result.n_rows == 10).all()


def test_single_rows_of_a_linear_model_as_statsmodels():
    frame = sr.create_data(60, n_groups=6, family="gaussian", rng=2)
    fit = glmmcore.glmm("observed ~ x1", frame, "gaussian")
    reference = sm.OLS(frame["observed"], sm.add_constant(frame[["x1"]])).fit()
    result = sr.influence(fit, np.arange(60))
    cooks = reference.get_influence().cooks_distance[0] * reference.scale / fit.sigma**2  # ours divides by n
    np.testing.assert_allclose(result.distance, cooks, rtol=1e-6)
    np.testing.assert_allclose(result.standard_errors, fit.bse, rtol=1e-10)


def test_takes_residuals_labels_and_prints(fit, data):
    one = sr.influence(sr.simulate_residuals(fit, 20), data["group"].sort_index())
    two = sr.influence(fit, "group")
    np.testing.assert_array_equal(one.distance, two.distance)
    assert "groups with a distance above 4/15" in repr(two)
    assert list(two.to_frame().columns) == ["n_rows", "distance", "change of Intercept", "change of x1"]
    assert two.threshold == 4 / 15


def test_clear_errors(fit, data):
    glm = sm.GLM(data["observed"], np.ones(150), family=sm.families.Poisson()).fit()
    with pytest.raises(ValueError, match="cannot say how its coefficients change"):
        sr.influence(glm, np.arange(150))
    with pytest.raises(ValueError, match="one level"):
        sr.influence(fit, np.zeros(150))
    with pytest.raises(ValueError, match="missing in 1 rows"):
        sr.influence(fit, data["time"].where(data["time"] != data["time"].iloc[0]))


def test_groups_that_others_do_without_are_named():
    """Without a level of a factor its coefficient is not determined: no distance, and none is counted as large."""
    data = sr.create_data(90, n_groups=9, rng=2)
    data["region"] = np.repeat(["north", "south", "west"], 30)
    result = sr.influence(glmmcore.glmm("observed ~ x1 + region + (1|group)", data, "poisson"), "region")
    assert result.distance.isna().all()
    assert repr(result).startswith("0 of 3 groups")
    assert "without north, south, west the other rows do not determine all coefficients" in repr(result)
