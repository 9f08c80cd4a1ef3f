"""Simulations in every shape that other software produces."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import simresid as sr

M, N = 60, 25


@pytest.fixture
def draws():
    rng = np.random.default_rng(4)
    return rng.poisson(3, (M, N)), rng.poisson(3, N)


class Dataset:
    """As much of an xarray Dataset as the reader of variables uses; xarray itself is no dependency."""

    def __init__(self, **data_vars):
        self.data_vars = data_vars


def test_shapes_agree(draws):
    simulated, y = draws
    u = sr.from_simulations(simulated, y).residuals
    chains = simulated.reshape(3, M // 3, N)
    idata = SimpleNamespace(posterior_predictive=Dataset(y=chains), observed_data=Dataset(y=y), posterior=Dataset())
    for form in (
        simulated.astype(np.int8),
        simulated.tolist(),
        np.asfortranarray(simulated),
        pd.DataFrame(simulated),
        chains,
        {"y_rep": chains},
        Dataset(y=chains),
        idata,
    ):
        np.testing.assert_array_equal(sr.from_simulations(form, y).residuals, u)
    np.testing.assert_array_equal(sr.from_simulations(idata, "y").residuals, u)


def test_containers_that_are_ambiguous_or_incomplete(draws):
    simulated, y = draws
    with pytest.raises(ValueError, match="found 2 \\(a, b\\)"):
        sr.from_simulations({"a": simulated, "b": simulated}, y)
    with pytest.raises(ValueError, match="no group posterior_predictive"):
        sr.from_simulations(SimpleNamespace(posterior=Dataset()), y)
    idata = SimpleNamespace(posterior_predictive=Dataset(y=simulated), observed_data=Dataset(y=y))
    with pytest.raises(ValueError, match="no variable 'z'"):
        sr.from_simulations(idata, "z")
    with pytest.raises(ValueError, match="no observed_data"):
        sr.from_simulations(simulated, "y")


def test_data_tree(draws):
    xarray = pytest.importorskip("xarray", reason="xarray is optional")
    simulated, y = draws
    dataset = xarray.Dataset({"y": (("chain", "draw", "row"), simulated.reshape(3, M // 3, N))})
    tree = xarray.DataTree.from_dict(
        {"posterior_predictive": dataset, "observed_data": xarray.Dataset({"y": ("row", y)})}
    )
    expected = sr.from_simulations(simulated, y).residuals
    for form in (tree, dataset, tree["posterior_predictive"]):
        np.testing.assert_array_equal(sr.from_simulations(form, y).residuals, expected)
    np.testing.assert_array_equal(sr.from_simulations(tree, "y").residuals, expected)
    with pytest.raises(ValueError, match="must hold one variable"):
        sr.from_simulations(xarray.DataTree.from_dict({"posterior": dataset}), y)


def test_transposed_simulations_are_detected(draws):
    simulated, y = draws
    with pytest.raises(ValueError, match=r"looks transposed.*pass simulated\.T"):
        sr.from_simulations(simulated.T, y)
    labels = pd.Index([f"r{k}" for k in range(N)])
    square = pd.DataFrame(simulated[:N].T, index=labels)
    with pytest.raises(ValueError, match="looks transposed"):
        sr.from_simulations(square, pd.Series(y, index=labels))
    with pytest.raises(ValueError, match="simulated has 25 columns but there are 24 observed values"):
        sr.from_simulations(simulated, y[:-1])


def test_bad_values(draws):
    simulated, y = draws
    broken = simulated.astype(float)
    broken[5, 3] = np.inf
    with pytest.raises(ValueError, match=r"row position\(s\) 3; first in replicate 5"):
        sr.from_simulations(broken, y)
    with pytest.raises(ValueError, match=r"observed is NaN or infinite at row position\(s\) 2"):
        sr.from_simulations(simulated, np.where(np.arange(N) == 2, np.nan, y))
    with pytest.raises(ValueError, match="fitted has 3 values but there are 25 residuals"):
        sr.from_simulations(simulated, y, [1, 2, 3])
    with pytest.raises(ValueError, match="must hold numbers"):
        sr.from_simulations(simulated.astype(str), y)
    with pytest.raises(ValueError, match="must be \\(n_sims, n\\)"):
        sr.from_simulations(simulated[0], y)
    with pytest.raises(ValueError, match="data has 3 rows"):
        sr.from_simulations(simulated, y, data=pd.DataFrame({"x": [1, 2, 3]}))
    with pytest.raises(ValueError, match="needs a model"):
        sr.from_simulations(simulated, y, method="exact")


def test_probabilities_beside_counts_are_noticed():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.2, 0.6, N)
    simulated, y = rng.binomial(8, p, (M, N)), rng.binomial(8, p)
    with pytest.warns(UserWarning, match="multiply by the number of trials"):
        sr.from_simulations(simulated, y, p)
    sr.from_simulations(simulated, y, 8 * p)
    sr.from_simulations(rng.binomial(1, p, (M, N)), rng.binomial(1, p), p)


def test_later_changes_of_the_input_do_no_harm(draws):
    simulated, y = draws[0].astype(float), draws[1].astype(float)
    res = sr.from_simulations(simulated, y)
    before = res.expected.copy()
    other = sr.from_simulations(simulated, y)
    simulated[:], y[:] = 0, 0
    np.testing.assert_array_equal(other.expected, before)
    assert other.observed.any()


def test_discreteness_is_found_out(draws):
    simulated, y = draws
    assert sr.from_simulations(simulated, y).discrete
    assert not sr.from_simulations(simulated + 0.5, y).discrete
    assert not sr.from_simulations(simulated, y, discrete=False).discrete
    # A continuous law with an atom at zero is not discrete, but its zeros need the noise.
    rng = np.random.default_rng(1)
    zeros = sr.from_simulations(simulated * rng.random((M, N)), y * rng.random(N), method="traditional")
    assert not zeros.discrete and zeros.jitter


def test_labels_come_from_data_or_series(draws):
    simulated, y = draws
    labels = [f"r{k}" for k in range(N)]
    assert list(sr.from_simulations(simulated, pd.Series(y, index=labels)).index) == labels
    data = pd.DataFrame({"x": np.arange(N)}, index=labels)
    res = sr.from_simulations(simulated, y, data=data)
    assert list(res.index) == labels
    mean = pd.Series(np.arange(N, dtype=float), index=labels)
    shuffled = sr.from_simulations(simulated, y, mean.sample(frac=1, random_state=1), data=data)
    np.testing.assert_array_equal(shuffled.fitted, mean)
    np.testing.assert_array_equal(sr.from_simulations(simulated, y, "x", data=data).fitted, mean)
    with pytest.raises(ValueError, match="observed and data have different row labels"):
        sr.from_simulations(simulated, pd.Series(y), data=data)
    np.testing.assert_array_equal(res.align("x"), np.arange(N))
