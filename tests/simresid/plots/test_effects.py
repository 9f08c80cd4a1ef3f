"""Figures of means and effects: every artist against the numbers of glmmcore, every text against what it says."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from glmmcore import DataWarning, ModelError, compact_letters, glmm, marginal_means
from simresid import datasets, plot_means, plot_predictions, simulate_residuals
from simresid.plots.style import LOOKS


@pytest.fixture(scope="module")
def salamanders():
    """Zero-inflated counts: overall means are a third lower than those of the conditional part."""
    data = datasets.load("salamanders")
    return glmm("count ~ mined * DOY + spp + (1|site)", data, zi="~ mined", family="poisson")


@pytest.fixture(scope="module")
def cattle():
    data = datasets.load("cbpp")
    return glmm("cbind(incidence, size - incidence) ~ period + (1|herd)", data, family="binomial")


@pytest.fixture(scope="module")
def nitrogen():
    """A gaussian experiment, a and b crossed, one cell of which is empty."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"a": list("xyz") * 20, "b": [f"block {k // 20}" for k in range(60)]})
    data["y"] = rng.normal(size=60) + 2.0 * (data["a"] == "z")
    data = data[(data["a"] != "y") | (data["b"] != "block 1")]
    with pytest.warns(DataWarning, match="dropped"):
        return glmm("y ~ a * b", data)


def intervals(ax) -> Any:
    """Place, mean, lower and upper end of every interval drawn upright, (m, 4)."""
    out = []
    for container in ax.containers:
        points, _, (bars,) = container.lines
        for (x, mean), bar in zip(points.get_xydata(), bars.get_segments(), strict=True):
            out.append([x, mean, *sorted(bar[:, 1])])
    return np.array(out)


def heading(ax) -> str:
    return " ".join(ax.get_title(loc="left").split())


def test_means_and_intervals_are_those_of_the_table(salamanders) -> None:
    ax = plot_means(salamanders, "spp", level=0.9)
    table = marginal_means(salamanders, "spp", kind="response", level=0.9)
    drawn = intervals(ax)
    assert drawn[:, 0] == pytest.approx(np.arange(7))
    assert drawn[:, 1:] == pytest.approx(table[["estimate", "lower", "upper"]].to_numpy())
    assert [t.get_text() for t in ax.get_xticklabels()] == list(table.index)
    low, high = ax.get_ylim()
    assert low < table["lower"].min() < table["upper"].max() < high


def test_means_of_zero_inflated_models_are_overall_unless_a_part_is_asked_for(salamanders) -> None:
    overall, part, zeros = (
        plot_means(salamanders, "mined", letters=False, component=c) for c in (None, "conditional", "zi")
    )
    assert intervals(overall)[:, 1] == pytest.approx(marginal_means(salamanders, "mined", kind="response")["estimate"])
    assert np.all(intervals(overall)[:, 1] < 0.9 * intervals(part)[:, 1])
    assert overall.get_ylabel() == "Mean of count\nrandom effects at zero"
    assert part.get_ylabel() == "Mean of count, conditional part\nrandom effects at zero"
    assert zeros.get_ylabel().startswith("Probability of a structural zero")


def test_letters_stand_above_their_means(salamanders) -> None:
    ax = plot_means(salamanders, "spp", adjust="holm", level=0.99)
    letters = compact_letters(salamanders, "spp", kind="response", adjust="holm", alpha=0.01)
    upper = marginal_means(salamanders, "spp", kind="response", level=0.99)["upper"]
    assert [t.get_text() for t in ax.texts] == list(letters)
    assert len(set(letters)) > 1
    for k, (text, top) in enumerate(zip(ax.texts, upper, strict=True)):
        assert text.xy == pytest.approx((k, top))
    assert heading(ax) == "Means with 99 % intervals Same letter: not told apart (Holm, 1 %)"
    plain = plot_means(salamanders, "spp", letters=False)
    assert not plain.texts
    assert heading(plain) == "Means with 95 % intervals"
    assert plot_means(salamanders, "spp", title="").get_title(loc="left") == ""


def test_options_reach_means_and_letters(salamanders) -> None:
    wide = salamanders.cov_params() * 100.0
    ax = plot_means(salamanders, "mined", kind="link", cov=wide)
    table = marginal_means(salamanders, "mined", cov=wide)
    assert intervals(ax)[:, 1:] == pytest.approx(table[["estimate", "lower", "upper"]].to_numpy())
    assert [t.get_text() for t in ax.texts] == list(compact_letters(salamanders, "mined", cov=wide)) == ["a", "a"]
    assert [t.get_text() for t in plot_means(salamanders, "mined", kind="link").texts] == ["b", "a"]
    assert ax.get_ylabel() == "count, log scale"


def test_blocks_are_named_and_what_is_not_estimable_is_said(nitrogen, text_problems) -> None:
    with pytest.warns(DataWarning, match="mean of") as caught:
        ax = plot_means(nitrogen, "a", by="b")
    assert len(caught) == 1
    figure = ax.figure
    assert [t.get_text() for t in ax.get_xticklabels()] == list("xyz") * 3
    (top,) = ax.child_axes
    assert [t.get_text() for t in top.get_xticklabels()] == ["b: block 0", "b: block 1", "b: block 2"]
    assert list(ax.get_xticks()) == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert [(t.get_text(), t.xy[0]) for t in ax.texts if t.get_rotation() == 90] == [("not estimable", 5)]
    with pytest.warns(DataWarning):
        letters = compact_letters(nitrogen, "a", by="b").dropna()
    assert [t.get_text() for t in ax.texts if not t.get_rotation()] == list(letters)
    assert not text_problems(figure)


def test_long_names_lie_below_each_other(salamanders, text_problems) -> None:
    ax = plot_means(salamanders, ["spp", "mined"])
    table = marginal_means(salamanders, ["spp", "mined"], kind="response")
    assert [t.get_text() for t in ax.get_yticklabels()] == [f"{spp}, {mined}" for spp, mined in table.index]
    assert ax.containers[0].lines[0].get_xdata() == pytest.approx(table["estimate"].to_numpy())
    assert ax.get_xlabel().startswith("Mean of count")
    assert ax.yaxis_inverted()
    assert not text_problems(ax.figure)
    blocks = plot_means(salamanders, "spp", by="mined")
    bold = [t.get_text() for t in blocks.get_yticklabels() if t.get_fontweight() == "bold"]
    assert bold == ["mined: no", "mined: yes"]
    assert not text_problems(blocks.figure)


def test_panels_side_by_side_keep_their_room(salamanders) -> None:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot_means(salamanders, "mined", ax=left)
    plot_means(salamanders, "spp", by="mined", ax=right)
    figure.canvas.draw()  # a layout without room for its axes warns, which is an error here
    assert all(ax.get_position().width > 0.25 for ax in (left, right))


def test_observed_values_are_proportions_and_letters_stand_beyond_them(cattle, text_problems) -> None:
    ax = plot_means(cattle, "period", data=True)
    data = datasets.load("cbpp")
    share = data["incidence"] / data["size"]
    for cloud, text, (period, values) in zip(ax.collections, ax.texts, share.groupby(data["period"]), strict=False):
        assert np.sort(np.asarray(cloud.get_offsets())[:, 1]) == pytest.approx(np.sort(values))
        assert text.xy[1] >= values.max(), period
    assert ax.get_ylabel() == "Probability of incidence\nrandom effects at zero"
    average = plot_means(cattle, "period", random_effects="average")
    assert average.get_ylabel().endswith("averaged over random effects")
    assert not text_problems(ax.figure)


def test_infinite_limits_are_arrows(text_problems) -> None:
    data = pd.DataFrame({"y": [0, 0, 0, 0, 3, 4, 2, 5], "f": list("aaaabbbb")})
    fit = glmm("y ~ f", data, family="poisson")
    table = marginal_means(fit, "f", kind="response")
    assert np.isinf(table.loc["a", "upper"])
    ax = plot_means(fit, "f")
    arrows = [line for line in ax.lines if line.get_marker() == "^" and len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in arrows] == [[0.0]]
    assert ax.get_ylim()[1] < 10.0
    assert not text_problems(ax.figure)


def test_curve_and_band_are_those_of_the_table(salamanders) -> None:
    ax = plot_predictions(salamanders, "DOY", level=0.8, data=False)
    (curve,) = ax.lines
    table = marginal_means(salamanders, "DOY", kind="response", at={"DOY": curve.get_xdata()}, level=0.8)
    assert curve.get_ydata() == pytest.approx(table["estimate"].to_numpy())
    doy = salamanders.data["DOY"]
    assert curve.get_xdata()[[0, -1]] == pytest.approx([doy.min(), doy.max()])
    edges = ax.collections[0].get_paths()[0].vertices
    for end in ("lower", "upper"):
        for point in table[end].reset_index().to_numpy()[::10]:
            assert np.min(np.hypot(*(edges - point).T)) < 1e-9
    assert heading(ax) == "Effect of DOY, 80 % intervals"


def test_effect_at_rows_of_the_data_is_the_prediction() -> None:
    data = datasets.load("sleepstudy")
    fit = glmm("Reaction ~ Days + (Days|Subject)", data, reml=True)
    ax = plot_predictions(fit, "Days")
    curve = ax.lines[0]
    expected = fit.predict({"Days": curve.get_xdata()}, random_effects="none")
    assert curve.get_ydata() == pytest.approx(expected.to_numpy())
    points = np.asarray(ax.collections[0].get_offsets())
    assert points == pytest.approx(data[["Days", "Reaction"]].to_numpy())


def test_curves_differ_by_line_and_shape_and_end_with_their_data() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": np.r_[rng.uniform(0, 1, 40), rng.uniform(2, 3, 40)], "f": ["low"] * 40 + ["high"] * 40})
    data["y"] = data["x"] + rng.normal(size=80)
    ax = plot_predictions(glmm("y ~ x + f", data), "x", by="f")
    legend = ax.get_legend()
    assert legend.get_title().get_text() == "f"
    assert [t.get_text() for t in legend.get_texts()] == ["high", "low"]
    for k, (curve, name) in enumerate(zip(ax.lines, ["high", "low"], strict=True)):
        part = data.loc[data["f"] == name, "x"]
        assert part.min() - 0.05 < curve.get_xdata().min() < curve.get_xdata().max() < part.max() + 0.05
        assert curve.get_color() == LOOKS[k][0]
    assert ax.lines[0].get_linestyle() != ax.lines[1].get_linestyle()
    clouds = [c for c in ax.collections if len(c.get_offsets()) == 40]
    assert [to_hex(c.get_facecolor()[0]) for c in clouds] == [LOOKS[0][0], LOOKS[1][0]]
    assert len(clouds[0].get_paths()[0].vertices) != len(clouds[1].get_paths()[0].vertices)


def test_a_number_separates_curves_by_its_quartiles_or_by_what_is_asked(salamanders) -> None:
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"x": rng.normal(size=60), "z": rng.normal(size=60)})
    data["y"] = data["x"] * data["z"] + rng.normal(size=60)
    fit = glmm("y ~ x * z", data)
    quartiles = np.quantile(data["z"], [0.25, 0.5, 0.75])
    ax = plot_predictions(fit, "x", by="z")
    for line, z in zip(ax.lines, quartiles, strict=True):
        assert line.get_ydata() == pytest.approx(fit.predict({"x": line.get_xdata(), "z": [z] * 101}).to_numpy())
    chosen = plot_predictions(fit, "x", by="z", at={"z": [-1, 1], "x": [0, 1]})
    assert [t.get_text() for t in chosen.get_legend().get_texts()] == ["\N{MINUS SIGN}1", "1"]
    assert [list(line.get_xdata()) for line in chosen.lines] == [[0, 1], [0, 1]]


def test_categories_stand_side_by_side(salamanders, text_problems) -> None:
    ax = plot_predictions(salamanders, "spp", by="mined", data=False)
    table = marginal_means(salamanders, ["mined", "spp"], kind="response")
    assert intervals(ax)[:, 1:] == pytest.approx(table[["estimate", "lower", "upper"]].to_numpy())
    assert intervals(ax)[:, 0] == pytest.approx(np.r_[np.arange(7) - 0.25, np.arange(7) + 0.25])
    assert [c.lines[0].get_marker() for c in ax.containers] == ["o", "s"]
    points = plot_predictions(salamanders, "spp", by="mined")
    drawn = np.concatenate([np.asarray(c.get_offsets())[:, 1] for c in points.collections if len(c.get_offsets()) > 7])
    assert np.sort(drawn) == pytest.approx(np.sort(salamanders.observed))
    assert not text_problems(ax.figure)


def test_numbers_that_are_categories_in_the_formula_are_drawn_as_such() -> None:
    data = pd.DataFrame({"year": [2001, 2002, 2003] * 8, "y": np.random.default_rng(5).normal(size=24)})
    ax = plot_predictions(glmm("y ~ C(year)", data), "year")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["2001", "2002", "2003"]
    assert len(ax.containers) == 1
    means = plot_means(glmm("y ~ year", data), "year")
    assert [t.get_text() for t in means.get_xticklabels()] == ["2001", "2002", "2003"]


def test_many_rows_are_a_density_of_whole_cells() -> None:
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"x": rng.normal(size=25_000)})
    data["y"] = rng.poisson(np.exp(0.5 * data["x"] + 1))
    ax = plot_predictions(glmm("y ~ x", data, family="poisson"), "x")
    mesh = next(c for c in ax.collections if c.get_array() is not None)
    assert mesh.get_array().sum() == 25_000
    edges = np.asarray(mesh.get_coordinates())[:, 0, 1]
    assert np.diff(edges) == pytest.approx(round(np.ptp(data["y"]) / 40) or 1)
    assert not [c for c in ax.collections if len(c.get_offsets()) > 2]


def test_residuals_stand_for_their_model_and_given_axes_leave_pyplot_alone(cattle) -> None:
    ax = Figure().add_subplot()
    assert plot_means(simulate_residuals(cattle, 50, rng=1), "period", ax=ax) is ax
    other = Figure().add_subplot()
    assert plot_predictions(cattle, "period", ax=other) is other
    assert not plt.get_fignums()


def test_what_cannot_be_drawn_is_said(cattle, salamanders) -> None:
    with pytest.raises(TypeError, match=r"plot_means takes a model fitted by glmmcore\.glmm, not dict"):
        plot_means({}, "period")
    with pytest.raises(TypeError, match=r"plot_predictions\(\) got an unexpected argument 'contrasts'"):
        plot_predictions(cattle, "period", contrasts="pairwise")
    with pytest.raises(ModelError, match="'herd' is no column of the fixed effects"):
        plot_means(cattle, "herd")
    with pytest.raises(ModelError, match="'nothing' is no column of the fixed effects"):
        plot_predictions(cattle, "nothing")
    with pytest.raises(ValueError, match="is the predictor itself"):
        plot_predictions(cattle, "period", by="period")
    with pytest.raises(ValueError, match="spp has 7 levels, at most 6"):
        plot_predictions(salamanders, "DOY", by="spp")


def test_outer_observations_do_not_press_the_means_flat():
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"x": np.linspace(0.0, 1.0, 200), "g": np.tile(["a", "b"], 100)})
    data["y"] = rng.poisson(2.0, 200)
    data.loc[7, "y"] = 60
    fit = glmm("y ~ x + g", data, family="poisson")
    ax = plot_predictions(fit, "x")
    assert ax.get_ylim()[1] < 12
    assert heading(ax).endswith("1 of 200 rows lie outside the view")
    plt.close(ax.figure)
    calm = data.assign(y=data["y"].clip(upper=5))
    ax = plot_predictions(glmm("y ~ x + g", calm, family="poisson"), "x")
    assert "outside" not in heading(ax) or ax.get_ylim()[1] < 5
    plt.close(ax.figure)


def test_the_exposure_of_means_stands_beside_them(text_problems) -> None:
    """Means of counts at the mean of an offset looked like rates."""
    rng = np.random.default_rng(3)
    d = pd.DataFrame({"t": np.resize(["a", "b"], 120), "years": np.round(rng.uniform(0.2, 6.0, 120), 1)})
    d["y"], d["x"], d["g"] = rng.poisson(d["years"]), rng.normal(size=120), np.arange(120) % 6
    fit = glmm("y ~ t + x + (1|g) + offset(log(years))", d, family="poisson")
    mean = f"years = {d['years'].mean():.4g}"
    for ax, said in (
        (plot_means(fit, "t"), mean),
        (plot_predictions(fit, "x", by="t"), mean),
        (plot_predictions(fit, "x", at={"years": 1}), "years = 1"),
        (plot_predictions(fit, "x", at={"years": [1000]}, kind="link"), "years = 1000"),
        (plot_predictions(fit, "years"), None),
    ):
        labels = f"{ax.get_xlabel()} {ax.get_ylabel()}"
        assert (said in labels) if said else "years =" not in labels
        assert text_problems(ax.figure) == []
        plt.close(ax.figure)
    plain = glmm("y ~ t + x", d, family="poisson")
    assert "=" not in plot_means(plain, "t").get_ylabel()
    plt.close("all")
