"""Residuals are uniform under exchangeability, whatever the law; tests do not depend on order, names or units.

The exact check needs no chance: of the n_sims + 1 values of a row each takes the place of the observation in turn.
Their residuals, each spread evenly over its cell, must cover every point of the unit interval equally often.
"""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simresid
from simresid.residuals.scaled import rank

from .budget import examples

# Small whole numbers tie often; the others are what a response may hold.
VALUES = st.one_of(
    st.integers(-2, 3).map(float),
    st.floats(-1e6, 1e6),
    st.sampled_from([0.0, 0.5, 1.0, 1e-300, -1e-300, 1e15, 1e15 + 1, 5e-324]),
)


@st.composite
def exchangeable(draw: st.DrawFn) -> np.ndarray:
    """(m, n) values, m of them for each of n rows."""
    m, n = draw(st.integers(3, 12)), draw(st.integers(1, 4))
    return np.array(draw(st.lists(st.lists(VALUES, min_size=n, max_size=n), min_size=m, max_size=m)))


@examples(150)
@given(exchangeable())
def test_every_replicate_as_the_observation_covers_the_unit_interval_once(values: np.ndarray) -> None:
    """Cells ``[below, below + equal + 1) / m`` of the m choices overlap m deep nowhere more, nowhere less."""
    m = len(values)
    edges = np.arange(m + 1) / m
    cover = np.zeros((m, values.shape[1]))
    for i in range(m):
        others = np.delete(values, i, axis=0)
        below = (others < values[i]).sum(axis=0).astype(np.int32)
        equal = (others == values[i]).sum(axis=0).astype(np.int32)
        low, high = (rank(below, equal, m - 1, np.full(len(below), v)) for v in (0.0, 1.0))
        inside = (edges[:-1, None] >= low - 1e-12) & (edges[1:, None] <= high + 1e-12)
        cover += inside / (m * (high - low))
    np.testing.assert_allclose(cover, 1.0, atol=1e-9)


@examples(60)
@given(exchangeable(), st.integers(0, 2**32 - 1), st.data())
def test_residual_lies_in_the_cell_of_its_rank(values: np.ndarray, seed: int, data: st.DataObject) -> None:
    """Through the public front end: counted by brute force, the same for the same seed, in [0, 1]."""
    i = data.draw(st.integers(0, len(values) - 1))
    simulated, observed = np.delete(values, i, axis=0), values[i]
    simulated, observed = np.tile(simulated, (1, 5)), np.tile(observed, 5)
    res = simresid.from_simulations(simulated, observed, rng=seed)
    below, equal = (simulated < observed).sum(axis=0), (simulated == observed).sum(axis=0)
    m = len(simulated) + 1
    assert np.all(res.residuals >= below / m - 1e-15)
    assert np.all(res.residuals <= (below + equal + 1) / m + 1e-15)
    again = simresid.from_simulations(simulated, observed, rng=seed)
    np.testing.assert_array_equal(again.residuals, res.residuals)
    # order of the replicates is irrelevant; a strictly increasing map and an exact change of unit keep every rank
    shuffled = simresid.from_simulations(simulated[::-1], observed, rng=seed)
    np.testing.assert_array_equal(shuffled.residuals, res.residuals)
    doubled = simresid.from_simulations(simulated * 4.0, observed * 4.0, rng=seed)
    if not np.any(np.abs(values) < 1e-300):
        np.testing.assert_array_equal(doubled.residuals, res.residuals)
    # reversed responses mirror the cells
    mirrored = simresid.from_simulations(-simulated, -observed, rng=seed)
    assert np.all(mirrored.residuals >= 1 - (below + equal + 1) / m - 1e-15)
    assert np.all(mirrored.residuals <= 1 - below / m + 1e-15)


@examples(25)
@given(
    st.lists(st.floats(0.001, 1.0), min_size=2, max_size=6),
    st.sampled_from(["rank", "pit", "traditional"]),
    st.integers(0, 2**32 - 1),
)
def test_uniform_for_random_discrete_laws(weights: list[float], method: str, seed: int) -> None:
    """Mean and mean square of 3000 residuals of one law: exact for rank, up to 1 / n_sims for DHARMa's two."""
    p = np.array(weights) / np.sum(weights)
    rng = np.random.default_rng(seed)
    simulated, observed = rng.choice(len(p), (39, 3000), p=p), rng.choice(len(p), 3000, p=p)
    u = simresid.from_simulations(simulated, observed, method=method, rng=seed, discrete=True).residuals
    assert np.all((u >= 0) & (u <= 1))
    slack = 0.0 if method == "rank" else 0.05
    # 7 standard errors: never by chance in a million examples
    assert abs(u.mean() - 1 / 2) < 7 * np.sqrt(1 / 12 / 3000) + slack
    assert abs((u**2).mean() - 1 / 3) < 7 * np.sqrt(4 / 45 / 3000) + slack


@st.composite
def counted(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Simulations, observations and predictors of 30 to 80 rows."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(30, 80))
    mean = np.exp(rng.normal(0.5, draw(st.floats(0.0, 1.0)), n))
    kind = draw(st.sampled_from(["poisson", "binary", "normal"]))
    draws = {
        "poisson": lambda size: rng.poisson(mean, size),
        "binary": lambda size: (rng.random(size) < mean / (1 + mean)).astype(float),
        "normal": lambda size: rng.normal(mean, 1.0, size),
    }[kind]
    data = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "y": rng.normal(size=n),
            "time": rng.permutation(n).astype(float),
            "group": rng.integers(0, 4, n),
        }
    )
    return draws((60, n)), draws(n), data


def every_test(res, data: pd.DataFrame) -> dict:
    tests = {
        "dispersion": lambda: res.dispersion_test(method="dharma"),
        "conditional dispersion": lambda: res.dispersion_test(),
        "zeros": lambda: res.zero_inflation_test(),
        "uniformity": lambda: res.uniformity_test(),
        "outliers": lambda: res.outlier_test(),
        "quantiles": lambda: res.quantile_test(data["x"].to_numpy()),
        "categories": lambda: res.categorical_test(data["group"].to_numpy()),
        "time": lambda: res.temporal_autocorrelation_test(data["time"].to_numpy()),
        "space": lambda: res.spatial_autocorrelation_test(data["x"].to_numpy(), data["y"].to_numpy()),
        "heteroscedasticity": lambda: res.heteroscedasticity_test(data["x"].to_numpy()),
    }
    return {name: test() for name, test in tests.items()}


@examples(8)
@given(counted())
def test_pvalues_are_probabilities_and_results_survive_pickling(case) -> None:
    simulated, observed, data = case
    res = simresid.from_simulations(simulated, observed, data=data)
    copy = pickle.loads(pickle.dumps(res))
    np.testing.assert_array_equal(copy.residuals, res.residuals)
    again = every_test(copy, data)
    for name, result in every_test(res, data).items():
        assert 0 < result.pvalue <= 1, name
        assert pickle.loads(pickle.dumps(result)).pvalue == result.pvalue, name
        assert again[name].pvalue == result.pvalue, name
        assert again[name].statistic == result.statistic, name


@examples(8)
@given(counted(), st.integers(0, 2**32 - 1))
def test_tests_do_not_depend_on_names_units_or_origin(case, seed: int) -> None:
    """Labels of groups, unit and origin of time and space, a monotone map of time order."""
    simulated, observed, data = case
    res = simresid.from_simulations(simulated, observed)
    names = np.array(["zebra", "ant", "ox", "bee"])[data["group"]]
    x, y, time = (data[c].to_numpy() for c in ("x", "y", "time"))
    pairs = [
        (res.categorical_test(data["group"].to_numpy()), res.categorical_test(names)),
        (res.temporal_autocorrelation_test(time), res.temporal_autocorrelation_test(8.0 * time - 64.0)),
        (res.spatial_autocorrelation_test(x, y), res.spatial_autocorrelation_test(4.0 * x, 4.0 * y)),
    ]
    for one, other in pairs:
        assert one.pvalue == pytest.approx(other.pvalue, rel=1e-9), one
        assert one.statistic == pytest.approx(other.statistic, rel=1e-9), one


@examples(8)
@given(counted(), st.integers(0, 2**32 - 1))
def test_row_order_does_not_matter(case, seed: int) -> None:
    """With the residuals taken along (a plain array: nothing random is left)."""
    simulated, observed, data = case
    u = simresid.from_simulations(simulated, observed).residuals
    order = np.random.default_rng(seed).permutation(len(u))
    x, y, time, group = (data[c].to_numpy() for c in ("x", "y", "time", "group"))
    tests = {
        "uniformity": lambda o: simresid.uniformity_test(u[o]),
        "quantiles": lambda o: simresid.quantile_test(u[o], x[o]),
        "categories": lambda o: simresid.categorical_test(u[o], group[o]),
        "time": lambda o: simresid.temporal_autocorrelation_test(u[o], time[o]),
        "space": lambda o: simresid.spatial_autocorrelation_test(u[o], x[o], y[o]),
    }
    same = np.arange(len(u))
    for name, test in tests.items():
        one, other = test(same), test(order)
        assert one.statistic == pytest.approx(other.statistic, rel=1e-7, abs=1e-10), name
        # a null distribution that is simulated in small samples has the error that the result states
        error = 6 * np.hypot(getattr(one, "monte_carlo_error", 0.0), getattr(other, "monte_carlo_error", 0.0))
        assert one.pvalue == pytest.approx(other.pvalue, rel=1e-5, abs=1e-10 + error), name


@examples(40)
@given(exchangeable(), st.integers(0, 5), st.data())
def test_grouped_residuals_are_those_of_the_sums(values: np.ndarray, seed: int, data: st.DataObject) -> None:
    """`recalculate` against simulations that were summed by hand: the same cells."""
    n = 6
    values = np.round(np.tile(values, (1, n))[:, :n] % 7.0)
    groups = np.array(data.draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n)))
    if len(set(groups)) < 2:
        return
    simulated, observed = values[1:], values[0]
    grouped = simresid.from_simulations(simulated, observed, rng=seed).recalculate(group=groups)
    labels = sorted(set(groups))
    summed = np.column_stack([values[:, groups == g].sum(axis=1) for g in labels])
    np.testing.assert_array_equal(np.asarray(grouped.observed), summed[0])
    below, equal = (summed[1:] < summed[0]).sum(axis=0), (summed[1:] == summed[0]).sum(axis=0)
    m = len(values)
    assert np.all(grouped.residuals >= below / m - 1e-15)
    assert np.all(grouped.residuals <= (below + equal + 1) / m + 1e-15)
