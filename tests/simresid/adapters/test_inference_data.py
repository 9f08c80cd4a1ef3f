"""Posterior predictive draws: which draws are used, and what is asked for in vain."""

from types import SimpleNamespace

import numpy as np
import pytest

from simresid.adapters import as_fitted_model
from simresid.adapters.inference_data import PosteriorPredictive, adapt
from simresid.protocol.conformance import check_fitted_model

CHAINS, DRAWS, N = 4, 500, 20


@pytest.fixture
def arrays():
    rng = np.random.default_rng(111)
    mean = rng.uniform(1, 6, N)
    rate = mean * rng.gamma(50, 1 / 50, size=(CHAINS, DRAWS, 1))
    return rng.poisson(mean), rng.poisson(rate)


def container(predictive, observed):
    """The attributes that InferenceData and DataTree have in common."""
    groups = {}
    for name, variables in (("posterior_predictive", predictive), ("observed_data", observed)):
        if variables is not None:
            groups[name] = type("Group", (dict,), {"data_vars": property(lambda self: self)})(variables)
    return SimpleNamespace(**groups)


def test_draws_come_from_the_store(arrays):
    observed, draws = arrays
    model = adapt(container({"y": draws}, {"y": observed}))
    np.testing.assert_array_equal(model.observed, observed)
    np.testing.assert_allclose(model.fitted, draws.mean(axis=(0, 1)))
    assert model.discrete
    simulated = model.simulate(600, rng=1)
    stored = {tuple(row) for row in draws.reshape(-1, N)}
    assert {tuple(row) for row in simulated} <= stored
    everything = model.simulate(CHAINS * DRAWS, rng=1)
    np.testing.assert_array_equal(np.sort(everything, axis=0), np.sort(draws.reshape(-1, N), axis=0))
    with pytest.raises(ValueError, match="only 2000 draws are stored"):
        model.simulate(2001)


def test_protocol(arrays):
    observed, draws = arrays
    new_groups = np.random.default_rng(112).poisson(3, size=(CHAINS, DRAWS, N))
    check_fitted_model(PosteriorPredictive(observed, draws, unconditional=new_groups))


def test_new_groups_have_to_be_drawn_elsewhere(arrays):
    observed, draws = arrays
    model = adapt(container({"y": draws}, {"y": observed}))
    with pytest.raises(ValueError, match="unconditional=new_draws"):
        model.simulate(2, random_effects="unconditional")
    with pytest.raises(ValueError, match="cannot be redrawn"):
        model.simulate(2, random_effects=["g"])


def test_several_dimensions_and_stacked_samples(arrays):
    observed, draws = arrays
    model = adapt(container({"y": draws.reshape(CHAINS, DRAWS, 4, 5)}, {"y": observed.reshape(4, 5)}))
    np.testing.assert_allclose(model.fitted, draws.mean(axis=(0, 1)))
    stacked = adapt(container({"y": draws.reshape(-1, N)}, {"y": observed}))
    np.testing.assert_allclose(stacked.fitted, model.fitted)


def test_ambiguous_or_missing_responses(arrays):
    observed, draws = arrays
    with pytest.raises(TypeError, match=r"no group posterior_predictive(.|\n)*from_simulations"):
        adapt(container(None, {"y": observed}))
    with pytest.raises(ValueError, match=r"share 2 variables \(y, z\)"):
        adapt(container({"y": draws, "z": draws}, {"y": observed, "z": observed}))
    with pytest.raises(ValueError, match="share no variable"):
        adapt(container({"y": draws}, {"z": observed}))
    with pytest.raises(ValueError, match="last dimensions must agree"):
        adapt(container({"y": draws[:, :, :-1]}, {"y": observed}))


def test_arviz_inference_data(arrays):
    arviz = pytest.importorskip("arviz")
    observed, draws = arrays
    data = arviz.from_dict(posterior_predictive={"y": draws}, observed_data={"y": observed})
    np.testing.assert_allclose(as_fitted_model(data).fitted, draws.mean(axis=(0, 1)))


def test_xarray_data_tree(arrays):
    xarray = pytest.importorskip("xarray")
    observed, draws = arrays
    tree = xarray.DataTree.from_dict(
        {
            "posterior_predictive": xarray.Dataset({"y": (("chain", "draw", "row"), draws)}),
            "observed_data": xarray.Dataset({"y": ("row", observed)}),
        }
    )
    np.testing.assert_allclose(as_fitted_model(tree).fitted, draws.mean(axis=(0, 1)))
