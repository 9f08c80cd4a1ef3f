"""Aggregated and selected residuals against a direct computation with pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import simresid as sr

M, N = 80, 300


@pytest.fixture
def data():
    rng = np.random.default_rng(8)
    return pd.DataFrame(
        {
            "site": pd.Categorical(rng.choice(["north", "mid", "south"], N), ["south", "mid", "north", "unused"]),
            "plot": rng.integers(0, 40, N),
            "x": rng.normal(size=N),
            "keep": rng.random(N) < 0.7,
        },
        index=[f"r{k}" for k in range(N)],
    )


@pytest.fixture
def res(data):
    rng = np.random.default_rng(9)
    return sr.from_simulations(rng.poisson(2, (M, N)), rng.poisson(2, N), np.full(N, 2.0), data=data)


def brute_force(res, labels, aggregate):
    """Aggregated observation and simulations by pandas, groups sorted."""
    frame = pd.DataFrame(np.vstack([res.observed, res.simulated]).T)
    table = frame.groupby(np.asarray(labels)).agg(aggregate)
    return table.index, table[0].to_numpy(), table.iloc[:, 1:].to_numpy().T


@pytest.mark.parametrize("aggregate", ["sum", "mean", np.median, lambda v: v.max()])
def test_against_pandas(res, data, aggregate):
    grouped = res.recalculate("plot", aggregate=aggregate)
    # pandas 2.2 warns of functions of numpy that it knows by name
    known = "median" if aggregate is np.median else aggregate
    index, observed, simulated = brute_force(res, data["plot"], known)
    np.testing.assert_array_equal(grouped.index, index)
    np.testing.assert_allclose(grouped.observed, observed, rtol=1e-14)
    np.testing.assert_allclose(grouped.simulated, simulated, rtol=1e-14)
    below, equal = (simulated < observed).sum(axis=0), (simulated == observed).sum(axis=0)
    cell = (grouped.residuals * (M + 1) - below) / (1 + equal)
    assert ((cell > 0) & (cell < 1)).all()
    assert grouped.n_obs == len(index) and grouped.is_grouped


def test_groups_know_their_own_means(res, data):
    for aggregate, size in (("sum", data["plot"].value_counts().sort_index()), ("mean", 1)):
        grouped = res.recalculate("plot", aggregate=aggregate)
        np.testing.assert_allclose(grouped.fitted, 2.0 * np.asarray(size) * np.ones(grouped.n_obs))
    np.testing.assert_allclose(res.recalculate("plot").data["x"], data.groupby("plot")["x"].mean(), rtol=1e-12)


def test_variance_of_sums_and_means(poisson_fit):
    model = poisson_fit(100)
    res = sr.simulate_residuals(model)
    sizes, total = np.full(10, 10.0), np.bincount(np.arange(100) % 10, model.fitted)
    np.testing.assert_allclose(res.recalculate("site").pearson_variance, total)
    np.testing.assert_allclose(res.recalculate("site", aggregate="mean").pearson_variance, total / sizes**2)
    np.testing.assert_allclose(res.recalculate("site").expected, total)
    assert res.recalculate("site", aggregate=np.max).pearson_variance is None


def test_labels_keep_their_order(res, data):
    assert list(res.recalculate("site").index) == ["south", "mid", "north"]
    numbers = res.recalculate(group=data["plot"].to_numpy())
    assert numbers.index.is_monotonic_increasing
    mixed = res.recalculate(group=np.array(["a", 1] * (N // 2), dtype=object))
    assert set(mixed.index) == {"a", 1}


def test_series_align_by_label(res, data):
    shuffled = data["plot"].sample(frac=1, random_state=2)
    by_label = res.recalculate(group=shuffled)
    np.testing.assert_array_equal(by_label.residuals, res.recalculate("plot").residuals)
    by_position = res.recalculate(group=shuffled.to_numpy())
    assert not np.array_equal(by_position.observed, by_label.observed)


def test_streamed_groups_equal_kept_groups(poisson_fit):
    model = poisson_fit(20_000)
    group = np.random.default_rng(1).integers(0, 700, 20_000)
    kept, streamed = (
        sr.simulate_residuals(model, 40, keep_simulations=keep).recalculate(group) for keep in (True, False)
    )
    np.testing.assert_array_equal(kept.residuals, streamed.residuals)


def test_selection_keeps_residuals(res, data):
    for select in (data["keep"].to_numpy(), "keep", np.flatnonzero(data["keep"])):
        chosen = res.recalculate(select=select)
        np.testing.assert_array_equal(chosen.residuals, res.residuals[data["keep"]])
        assert list(chosen.index) == list(data.index[data["keep"]])
        np.testing.assert_array_equal(chosen.simulated, res.simulated[:, data["keep"]])
    order = res.recalculate(select=[5, 2, 9])
    np.testing.assert_array_equal(order.residuals, res.residuals[[5, 2, 9]])
    assert not order.is_grouped and order.n_obs == 3
    np.testing.assert_array_equal(order.data["x"], data["x"].iloc[[5, 2, 9]])


def test_selection_then_grouping(res, data):
    grouped = res.recalculate("plot", select="keep")
    expected = pd.Series(res.observed)[data["keep"].to_numpy()].groupby(data.loc[data["keep"], "plot"].to_numpy())
    np.testing.assert_array_equal(grouped.observed, expected.sum())


def test_groups_of_groups(res, data):
    plots = res.recalculate("plot")
    parity = plots.recalculate(group=np.asarray(plots.index) % 2)
    np.testing.assert_array_equal(parity.observed, pd.Series(res.observed).groupby(data["plot"].to_numpy() % 2).sum())


def test_nothing_asked_nothing_changed(res):
    assert res.recalculate() is res


def test_what_is_refused(res, data):
    with pytest.raises(ValueError, match="more than once"):
        res.recalculate(select=[1, 1, 2])
    with pytest.raises(ValueError, match=r"outside 0\.\.299"):
        res.recalculate(select=[1, 300])
    with pytest.raises(ValueError, match="outside"):
        res.recalculate(select=[-1, 3])
    with pytest.raises(ValueError, match="at least 2"):
        res.recalculate(select=[1])
    with pytest.raises(ValueError, match="select has 3 values but there are 300 residuals"):
        res.recalculate(select=[True, False, True])
    with pytest.raises(ValueError, match="boolean"):
        res.recalculate(select="plot")
    with pytest.raises(ValueError, match="whole positions"):
        res.recalculate(select=[1.0, 2.0])
    with pytest.raises(ValueError, match="1 level"):
        res.recalculate(group=np.zeros(N))
    with pytest.raises(ValueError, match="group has 10 values but there are 300 residuals"):
        res.recalculate(group=np.zeros(10))
    with pytest.raises(ValueError, match=r"missing at row position\(s\) \[7\]"):
        res.recalculate(group=np.where(np.arange(N) == 7, np.nan, data["plot"]))
    with pytest.raises(ValueError, match="use 'sum', 'mean' or a function"):
        res.recalculate("plot", aggregate="median")
    with pytest.raises(KeyError, match="not a column"):
        res.recalculate("nowhere")
    with pytest.raises(ValueError, match="goes with group="):
        res.recalculate(rotation=np.eye(N))


def test_exact_residuals_become_ranks(poisson_fit):
    grouped = sr.simulate_residuals(poisson_fit(100), method="exact").recalculate("site")
    assert grouped.method == "rank"
    np.testing.assert_array_equal(
        grouped.residuals, sr.simulate_residuals(poisson_fit(100)).recalculate("site").residuals
    )


def test_groups_are_uniform_under_the_truth():
    """20 000 groups of four Poisson counts: chi-square over ten cells, and nominal outlier frequency."""
    from scipy import stats

    rng = np.random.default_rng(3)
    n = 80_000
    res = sr.from_simulations(rng.poisson(0.4, (99, n)), rng.poisson(0.4, n))
    grouped = res.recalculate(np.arange(n) // 4)
    counts = np.histogram(grouped.residuals, 10, (0, 1))[0]
    assert stats.chisquare(counts).pvalue > 1e-3
    outliers = int(np.abs(grouped.outlier_sides).sum())
    assert stats.binomtest(outliers, grouped.n_obs, 2 / 100).pvalue > 1e-3


def test_groups_within_groups_are_named_as_in_a_formula():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"house": list("aabbbb"), "plant": [1, 2, 1, 1, 2, 2], "a:b": list("xxyyyy")})
    res = sr.from_simulations(rng.poisson(3, (99, 6)), rng.poisson(3, 6), data=data)
    nested = res.recalculate(group="house:plant")
    assert list(nested.index) == ["a:1", "a:2", "b:1", "b:2"]
    by_hand = res.recalculate(group=data["house"] + ":" + data["plant"].astype(str))
    np.testing.assert_array_equal(nested.residuals, by_hand.residuals)
    assert list(res.recalculate(group="a:b").index) == ["x", "y"]  # a column of that very name
    with pytest.raises(KeyError, match="house:pot"):
        res.recalculate(group="house:pot")
    data.loc[2, "house"] = None
    holed = sr.from_simulations(rng.poisson(3, (99, 6)), rng.poisson(3, 6), data=data)
    with pytest.raises(ValueError, match="missing"):
        holed.recalculate(group="house:plant")


def test_columns_by_name_are_combined(res):
    """As in R's paste: each combination is a group, whether written as a list or with a colon."""
    listed, written = res.recalculate(group=["site", "plot"]), res.recalculate(group="site:plot")
    np.testing.assert_array_equal(listed.index, written.index)
    np.testing.assert_array_equal(listed.observed, written.observed)
    with pytest.raises(KeyError, match="group='nowhere' is not a column of the data"):
        res.recalculate(group=["site", "nowhere"])
