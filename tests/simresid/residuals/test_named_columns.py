"""Columns of the user's data frame can be named whether the formula uses them or not."""

from __future__ import annotations

import pickle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import simresid as sr
from glmmcore import ModelError, glmm


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(91)
    n = 180
    d = pd.DataFrame(
        {
            "eggs": rng.poisson(3, n).astype(float), "height": rng.normal(size=n),
            "nest": rng.choice(list("abcdefghi"), n), "hour": rng.permutation(n),
            "lon": rng.uniform(0, 9, n), "lat": rng.uniform(40, 49, n),
            "visitor": rng.choice(["jay", "crow", "none"], n),
            "when": pd.date_range("2021-03-01", periods=n, freq="7h"),
        },
        index=[f"r{i}" for i in rng.permutation(n)],
    )  # fmt: skip
    d.loc[d.index[[3, 50, 51, 179]], "eggs"] = np.nan
    d.loc[d.index[8], "height"] = np.nan
    return d


@pytest.fixture(scope="module")
def res(frame):
    return sr.simulate_residuals(glmm("eggs ~ height + (1|nest)", frame, family="poisson"), 100)


def test_columns_outside_the_formula_are_those_of_the_rows_of_the_fit(frame, res):
    used = frame.dropna(subset=["eggs", "height"])
    assert res.n_obs == len(used) == 175
    for name in ("hour", "lon", "visitor", "when"):
        np.testing.assert_array_equal(res.align(name).to_numpy(), used[name].to_numpy())
        assert list(res.align(name).index) == list(used.index)
        assert res.has_column(name)
    assert not res.has_column("day")
    joined = res.align("visitor:nest")
    assert list(joined) == [f"{v}:{g}" for v, g in zip(used["visitor"], used["nest"], strict=True)]
    with pytest.raises(KeyError, match=r"'day' is not a column of the data; columns: .*hour.*visitor"):
        res.align("day")


def test_every_test_takes_names_and_gives_what_values_give(frame, res):
    used = frame.dropna(subset=["eggs", "height"])
    pairs = [
        (res.categorical_test("visitor"), res.categorical_test(used["visitor"].to_numpy())),
        (res.quantile_test("lat"), res.quantile_test(used["lat"].to_numpy())),
        (res.quantile_test(["lat", "hour"]), res.quantile_test(used[["lat", "hour"]])),
        (res.temporal_autocorrelation_test("when", by="visitor"),
         res.temporal_autocorrelation_test(used["when"].to_numpy(), by=used["visitor"].to_numpy())),
        (res.spatial_autocorrelation_test("lon", "lat"),
         res.spatial_autocorrelation_test(used["lon"].to_numpy(), used["lat"].to_numpy())),
    ]  # fmt: skip
    for by_name, by_value in pairs:
        assert (by_name.statistic, by_name.pvalue) == (by_value.statistic, by_value.pvalue)
    named = {"predictors": ["lat"], "categories": "visitor", "time": "hour", "by": "nest", "x": "lon", "y": "lat"}
    values = {argument: used[name] for argument, name in named.items()}
    values["categories"] = {"visitor": used["visitor"]}
    table = sr.diagnose(res, **named, n_monte_carlo=0).table
    pd.testing.assert_series_equal(table["pvalue"], sr.diagnose(res, **values, n_monte_carlo=0).table["pvalue"])


def test_screen_plots_report_and_influence_take_names(frame, res, tmp_path):
    table = sr.screen({"jay": ("eggs ~ height", frame, "poisson")}, tests="all", time="hour", categories="visitor",
                      progress=False)  # fmt: skip
    assert table["error"].iloc[0] == ""
    assert {"temporal autocorrelation", "categories of visitor"} <= set(table.columns)
    drawn = [sr.plot_residuals(res, "lat"), *sr.plot_residuals(res, ["lat", "visitor"]),
             sr.plot_spatial(res, "lon", "lat"), *sr.plot_temporal(res, "when", "visitor")]  # fmt: skip
    for axes in drawn:
        plt.close(axes.figure)
    page = sr.report(res, tmp_path / "page.html", time="hour", x="lon", y="lat").read_text(encoding="utf-8")
    assert "Residuals in time" in page
    assert "Residuals in space" in page
    assert set(sr.influence(res.model, "visitor").distance.index) == {"jay", "crow", "none"}


def test_subsets_and_groups_carry_the_columns_along(frame, res):
    used = frame.dropna(subset=["eggs", "height"])
    rows = np.random.default_rng(92).permutation(175)[:90]
    some = res.recalculate(select=rows)
    np.testing.assert_array_equal(some.align("hour"), used["hour"].to_numpy()[rows])
    fewer = some.recalculate(select=np.arange(10, 60))
    np.testing.assert_array_equal(fewer.align("visitor"), used["visitor"].to_numpy()[rows][10:60])
    grouped = some.recalculate(group="nest")
    means = used.iloc[rows].groupby("nest")["lon"].mean()
    np.testing.assert_allclose(grouped.align("lon"), means)
    assert list(grouped.index) == list(means.index)
    with pytest.raises(KeyError, match="differs within groups"):
        grouped.align("visitor")
    frame["coast"] = frame["nest"].isin(list("abc")).map({True: "near", False: "far"})
    by_nest = res.recalculate(group="nest")
    assert list(by_nest.align("coast")) == ["near"] * 3 + ["far"] * 6


def test_a_frame_that_was_changed_is_not_believed(frame):
    """Sorted, lengthened or edited in place, its rows may be others; a new column is welcome."""

    def sort(d):
        for name, values in d.sort_values("hour").items():
            d[name] = values.to_numpy()

    def lengthen(d):
        d.loc[len(d)] = d.iloc[0]

    def edit(d):
        d["height"] = d["height"].to_numpy()[::-1]

    def relabel(d):
        d.index = d.index[::-1]

    for change in (sort, lengthen, edit, relabel):
        own = frame.reset_index(drop=True)
        fit = glmm("eggs ~ height", own, family="poisson")
        own["late"] = own["hour"] > 90
        assert fit.column("late").tolist() == (own["hour"] > 90)[fit.data.index].tolist()
        change(own)
        with pytest.raises(ModelError, match="changed after the fit"):
            fit.column("hour")
        assert fit.column("eggs").equals(fit.data["eggs"])


def test_the_frame_is_kept_by_reference_and_not_pickled(frame):
    wide = frame.assign(**{f"unused{i}": 0.0 for i in range(40)})
    fit = glmm("eggs ~ height", wide, family="poisson")
    assert fit.column_names == list(wide.columns)
    small = len(pickle.dumps(glmm("eggs ~ height", frame[["eggs", "height"]], family="poisson")))
    assert len(pickle.dumps(fit)) < 1.05 * small
    back = pickle.loads(pickle.dumps(fit))
    assert back.column_names == ["eggs", "height"]
    with pytest.raises(KeyError, match="no column 'hour'"):
        back.column("hour")


@pytest.mark.parametrize("kind", ["dict", "nullable", "categories"])
def test_any_table_and_type(frame, kind):
    d = frame.reset_index(drop=True)
    if kind == "nullable":
        d = d.convert_dtypes()
    elif kind == "categories":
        d = d.astype({"nest": "category", "visitor": "category"}).assign(even=d["hour"] % 2 == 0)
    table = {name: d[name].tolist() for name in d} if kind == "dict" else d
    formula = "eggs ~ height + even + nest" if kind == "categories" else "eggs ~ height + nest"
    fit = glmm(formula, table, family="poisson")
    assert list(fit.column("visitor")) == list(d["visitor"][fit.data.index])


def test_labels_that_occur_twice_are_the_reason_that_is_told():
    """A row is left out and labels repeat: values of all rows cannot be matched, a column of the data can."""
    data = sr.create_data(60, rng=4)
    data["x1"] = data["x1"].where(np.arange(60) != 7)
    data.index = np.arange(60) // 2
    residuals = sr.simulate_residuals(glmm("observed ~ x1 + (1|group)", data, "poisson"), n_sims=40)
    with pytest.raises(ValueError, match="row labels that occur twice, such as 0"):
        residuals.recalculate(group=data["group"])
    by_name = residuals.recalculate(group="group")
    by_position = residuals.recalculate(group=data.dropna()["group"].to_numpy())
    assert by_name.to_frame()["observed"].tolist() == by_position.to_frame()["observed"].tolist()
