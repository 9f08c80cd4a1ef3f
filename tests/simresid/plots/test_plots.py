"""What the figures draw, against numbers computed here or taken from the tests."""

from __future__ import annotations

import subprocess
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import simresid
from glmmcore import glmm
from simresid import from_simulations, plots, quantile_test
from simresid.checks.frequencies import count_frequencies
from simresid.plots.residuals import FINE_CURVE
from simresid.plots.style import ALERT

MINUS = "\N{MINUS SIGN}"


def title(ax) -> str:
    return ax.get_title() or ax.get_title(loc="left")


def test_public_names_are_the_same_at_both_levels() -> None:
    for name in plots.__all__:
        assert getattr(simresid, name) is getattr(plots, name)
    with pytest.raises(AttributeError, match="no attribute 'plot_nothing'"):
        plots.plot_nothing  # noqa: B018


def test_given_axes_leave_pyplot_alone(right) -> None:
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    for draw in (plots.plot_qq, plots.plot_histogram, plots.plot_dispersion, plots.plot_rootogram):
        assert draw(right, ax) is ax
    assert not plt.get_fignums()


def test_qq_band_is_that_of_the_test() -> None:
    u = np.random.default_rng(2).random(50)
    ax = plots.plot_qq(u)
    band = simresid.uniformity_test(u, method="band").band
    corners = ax.collections[0].get_paths()[0].vertices
    for edge in ("lower", "upper"):
        for x, y in zip(band[edge], band["probability"], strict=True):
            assert np.min(np.hypot(*(corners - [x, y]).T)) < 1e-9
    points = ax.lines[1].get_xydata()
    assert points[:, 1] == pytest.approx(np.sort(u))
    assert points[:, 0] == pytest.approx(np.arange(1, 51) / 51)


def test_residual_curves_and_pvalue_are_those_of_the_test(right) -> None:
    x = np.arange(right.n_obs)
    result = right.quantile_test(x, curves=True)
    ax = plots.plot_residuals(right, x)
    assert f"p = {result.pvalue:.2f}" in title(ax)
    median = result.curves[result.curves["quantile"] == 0.5]
    lines = [line.get_xydata().T for line in ax.lines if len(line.get_xdata()) == FINE_CURVE]
    assert any(np.allclose(np.interp(median["rank"], *line), median["value"], atol=2e-3) for line in lines)


def test_curves_of_few_rows_are_smooth_and_stay_between_their_points() -> None:
    rng = np.random.default_rng(5)
    u, x = rng.random(30), rng.random(30)
    curves = simresid.quantile_test(u, x, curves=True).curves
    ax = plots.plot_residuals(u, x)
    lines = [line.get_xydata().T for line in ax.lines if len(line.get_xdata()) == FINE_CURVE]
    for q, curve in curves.groupby("quantile"):
        along, value = curve["rank"].to_numpy(), curve["value"].to_numpy()
        drawn = min(lines, key=lambda line: np.abs(np.interp(along, *line) - value).max())
        assert np.interp(along, *drawn) == pytest.approx(value, abs=0.01), q
        bends = np.abs(np.diff(np.diff(drawn[1]) / np.diff(drawn[0])))
        polyline = np.abs(np.diff(np.diff(value) / np.diff(along)))
        assert bends.max() < 0.5 * polyline.max()
        assert drawn[1].min() >= value.min() - 1e-12
        assert drawn[1].max() <= value.max() + 1e-12


def test_axes_that_are_passed_look_like_our_own_but_keep_size_and_colours() -> None:
    u = np.random.default_rng(5).random(30)
    own = plots.plot_qq(u)
    with matplotlib.rc_context({"font.size": 14.0}):
        figure, passed = plt.subplots(facecolor="black")
        passed.tick_params(colors="yellow")
        plots.plot_qq(u, passed)
    assert passed.get_title(loc="left") == own.get_title(loc="left")
    assert not passed.spines["top"].get_visible()
    assert passed.xaxis.label.get_fontsize() == 14.0
    assert passed.xaxis.get_ticklabels()[0].get_color() == "yellow"
    assert figure.get_facecolor()[:3] == (0.0, 0.0, 0.0)


def test_departing_curves_carry_crosses(overdispersed, right) -> None:
    def crosses(ax) -> int:
        return sum(line.get_marker() == "X" for line in ax.lines)

    result = overdispersed.quantile_test()
    assert crosses(plots.plot_residuals(overdispersed)) == (result.quantiles["pvalue_adjusted"] < 0.05).sum() > 0
    assert crosses(plots.plot_residuals(right)) == 0


def test_outliers_point_outwards(overdispersed) -> None:
    ax = plots.plot_residuals(overdispersed)
    low, high = (int((overdispersed.outlier_sides == s).sum()) for s in (-1, 1))
    sizes = [len(c.get_offsets()) for c in ax.collections if len(c.get_offsets()) in (low, high)]
    assert low in sizes
    assert high in sizes


def test_few_values_are_drawn_as_levels() -> None:
    rng = np.random.default_rng(1)
    ax = plots.plot_residuals(rng.random(200), np.arange(200) % 4)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "1", "2", "3"]
    quartiles = {round(float(p.get_y()), 6) for p in ax.patches}
    u = np.random.default_rng(1).random(200)
    assert quartiles == {round(float(np.quantile(u[k::4], 0.25)), 6) for k in range(4)}


def test_departing_level_is_hatched_and_named_in_bold() -> None:
    rng = np.random.default_rng(1)
    u = rng.random(300)
    u[2::3] **= 3
    ax = plots.plot_residuals(u, np.array(["a", "b", "c"])[np.arange(300) % 3])
    assert title(ax).startswith("1 of 3 levels off")
    assert sum(p.get_hatch() is not None for p in ax.patches) == 1
    assert [t.get_fontweight() for t in ax.get_xticklabels()] == ["normal", "normal", "bold"]


def test_several_predictors_and_all(overdispersed) -> None:
    axes = plots.plot_residuals(overdispersed, "all")
    assert [ax.get_xlabel() or ax.get_ylabel() for ax in axes][1].startswith("x")
    assert len(plots.plot_residuals(overdispersed, ["x", "site"])) == 2
    with pytest.raises(KeyError, match="not all of these"):
        plots.plot_residuals(overdispersed, ["x", "nowhere"])
    with pytest.raises(ValueError, match="figure of their own"):
        plots.plot_residuals(overdispersed, "all", plt.figure().add_subplot())
    with pytest.raises(ValueError, match="needs the data"):
        plots.plot_residuals(np.array([0.1, 0.5, 0.9]), "all")


def test_all_leaves_out_the_response() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=50)
    data = pd.DataFrame({"y": y, "x": rng.normal(size=50)})
    axes = plots.plot_residuals(from_simulations(rng.normal(size=(99, 50)), y, data=data), "all")
    assert len(axes) == 1


def test_grouping_factors_are_categories_and_hopeless_columns_do_not_hide_others(slopes) -> None:
    res = simresid.simulate_residuals(slopes, 99)
    axes = plots.plot_residuals(res, "all")
    assert {ax.get_ylabel() for ax in axes} == {"g", "Scaled residual"}
    n = 400
    names = [f"row {k}" for k in range(n)]
    res = from_simulations(
        np.random.default_rng(1).normal(size=(99, n)),
        np.random.default_rng(2).normal(size=n),
        data=pd.DataFrame({"label": names, "x": np.arange(n)}),
    )
    axes = plots.plot_residuals(res, "all")
    assert "too many to draw" in axes[0].texts[0].get_text().replace("\n", " ")
    assert axes[1].get_xlabel().startswith("x")
    for draw in (plots.plot_residuals, plots.plot_simulated_data):
        with pytest.raises(ValueError, match="400 levels"):
            draw(res, "label")


def test_histogram_counts_every_residual(overdispersed) -> None:
    ax = plots.plot_histogram(overdispersed)
    assert sum(p.get_height() for p in ax.patches) == overdispersed.n_obs
    hatched = sorted(p.get_height() for p in ax.patches if p.get_hatch())
    assert hatched == sorted(int((overdispersed.outlier_sides == s).sum()) for s in (-1, 1))
    with pytest.raises(ValueError, match="n_bins must be a whole number of at least 1"):
        plots.plot_histogram(overdispersed, n_bins=-1)


def test_null_distribution_and_observed_value(overdispersed) -> None:
    for draw, result in (
        (plots.plot_dispersion, overdispersed.dispersion_test()),
        (plots.plot_zero_inflation, overdispersed.zero_inflation_test()),
    ):
        ax = draw(overdispersed)
        observed = getattr(result, "observed", result.statistic)
        assert ax.lines[0].get_xdata()[0] == pytest.approx(observed)
        assert f"observed {observed:.3g}" in [t.get_text() for t in ax.texts]
        assert sum(bar.get_height() for bar in ax.containers[0]) == 250
        assert f"p = {result.pvalue:.3f}" in title(ax)


def test_statistic_from_residuals_and_from_a_result(right) -> None:
    result = right.statistic_test(np.max)
    assert plots.plot_statistic(result).get_xlabel() == "max"
    assert plots.plot_statistic(right, np.max).get_xlabel() == "max"
    with pytest.raises(ValueError, match="needs a statistic"):
        plots.plot_statistic(right)
    with pytest.raises(ValueError, match="no simulated statistics"):
        plots.plot_statistic(right.uniformity_test())


def test_rootogram_frequencies_by_brute_force() -> None:
    rng = np.random.default_rng(5)
    y, simulated = rng.poisson(2, 120), rng.poisson(2, (60, 120))
    table = count_frequencies(from_simulations(simulated, y), max_count=4)
    for k in range(5):
        hit = (lambda v, k=k: v >= 4) if k == 4 else (lambda v, k=k: v == k)
        counts = hit(simulated).sum(axis=1)
        row = table.iloc[k]
        assert row["observed"] == hit(y).sum()
        assert row["expected"] == pytest.approx(counts.mean())
        assert (row["lower"], row["upper"]) == pytest.approx(tuple(np.quantile(counts, [0.025, 0.975])))
    assert table["observed"].sum() == 120


def test_rootogram_of_wide_counts_uses_ranges_and_needs_counts() -> None:
    rng = np.random.default_rng(5)
    table = count_frequencies(from_simulations(rng.poisson(300, (50, 80)), rng.poisson(300, 80)))
    assert len(table) <= 27
    assert table["observed"].sum() == 80
    with pytest.raises(ValueError, match="whole numbers"):
        plots.plot_rootogram(from_simulations(rng.normal(size=(50, 20)), rng.normal(size=20)))


def test_autocorrelations_are_those_of_the_test() -> None:
    rng = np.random.default_rng(1)
    e = np.convolve(rng.normal(size=203), np.ones(4), "valid")
    u = (np.argsort(np.argsort(e)) + 0.5) / e.size
    axes = plots.plot_temporal(u, np.arange(u.size), lags=6)
    expected = simresid.temporal_autocorrelation_test(u, np.arange(u.size), lags=6).autocorrelation
    drawn = np.sort(np.concatenate([line.get_ydata() for line in axes[1].lines if line.get_linestyle() == "None"]))
    assert drawn == pytest.approx(np.sort(expected))
    assert title(axes[0]).startswith("Positive autocorrelation")
    assert "X" in [line.get_marker() for line in axes[1].lines]
    # independent rows in series of four: correlations about the means of series are negative, and nothing stands out
    short = plots.plot_temporal(rng.random(240), np.tile(np.arange(4), 60), np.repeat(np.arange(60), 4))
    assert title(short[0]).startswith("No autocorrelation")
    assert min(line.get_ydata().min() for line in short[1].lines if line.get_marker() == "o") < -1.96 / np.sqrt(240)
    assert "X" not in [line.get_marker() for line in short[1].lines]
    with pytest.raises(ValueError, match="time is missing in 1 rows"):
        plots.plot_temporal(u, np.r_[np.nan, np.arange(1.0, u.size)])
    with pytest.raises(ValueError, match="numbers or dates"):
        plots.plot_temporal(u, np.repeat(["a", "b"], u.size // 2))
    pair = plt.figure().subplots(1, 2)
    assert plots.plot_temporal(u, np.arange(u.size), np.repeat(["a", "b"], u.size // 2), pair)[0] is pair[0]


def test_map_shows_every_place_and_its_test() -> None:
    u, x, y = np.random.default_rng(1).random((3, 90))
    ax = plots.plot_spatial(u, x, y)
    assert sum(len(c.get_offsets()) for c in ax.collections) == 90
    result = simresid.spatial_autocorrelation_test(u, x, y)
    assert f"{result.statistic:.3f}".replace("-", MINUS) in title(ax)
    u, x, y = np.random.default_rng(1).random((3, 6000))
    mesh = plots.plot_spatial(u, x, y).collections[0]
    assert mesh.get_rasterized()


def test_outliers_are_named_with_their_ranges(overdispersed) -> None:
    ax = plots.plot_outliers(overdispersed, most=5)
    rows = [int(t.get_text()) for t in ax.get_yticklabels()]
    assert len(rows) == 5
    assert set(rows) <= set(overdispersed.outliers()["position"])
    for row, bar in zip(rows, ax.patches, strict=True):
        column = overdispersed.simulated[:, row]
        assert (bar.get_x(), bar.get_x() + bar.get_width()) == (column.min(), column.max())
    observed = next(line for line in ax.lines if line.get_label() == "observed")
    assert list(observed.get_xdata()) == list(overdispersed.observed[rows])


def test_no_outliers_is_said_so() -> None:
    rng = np.random.default_rng(1)
    ax = plots.plot_outliers(from_simulations(rng.normal(size=(999, 10)), np.zeros(10)))
    assert "No observation lies outside" in ax.texts[0].get_text()


@pytest.fixture(scope="module")
def slopes():
    from glmmcore import glmm

    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(12), 10)
    x = np.tile(np.linspace(-1, 1, 10), 12)
    y = 1 + rng.normal(0, 1, 12)[g] + (1 + rng.normal(0, 1, 12)[g]) * x + rng.normal(0, 0.5, 120)
    return glmm("y ~ x + (x|g)", pd.DataFrame({"y": y, "x": x, "g": g}))


def test_random_effects_are_sorted_with_their_intervals(slopes) -> None:
    axes = plots.plot_random_effects(slopes)
    assert axes.shape == (2, 2)
    mode = slopes.random_effects["g"]["x"]
    ax = plots.plot_random_effects(slopes, "g", "x", plt.figure().add_subplot())
    assert [t.get_text() for t in ax.get_yticklabels()] == [str(k) for k in mode.sort_values().index]
    reach = 1.96 * slopes.random_effects_sd["g"]["x"]
    ends = np.concatenate([s[:, 0] for c in ax.collections for s in c.get_segments()])
    assert np.sort(ends) == pytest.approx(np.sort(np.concatenate([mode - reach, mode + reach])))


def test_random_effects_that_are_not_there(slopes) -> None:
    with pytest.raises(ValueError, match="the model has g: "):
        plots.plot_random_effects(slopes, "h")
    with pytest.raises(ValueError, match="2 coefficients match"):
        plots.plot_random_effects(slopes, "g", ax=plt.figure().add_subplot())
    with pytest.raises(TypeError, match="no random effects"):
        plots.plot_random_effects(object())


def test_group_means_outside_their_simulations_are_crossed() -> None:
    rng = np.random.default_rng(1)
    group = np.repeat(["a", "b"], 50)
    y = rng.normal(size=100) + 2.0 * (group == "b")
    res = from_simulations(rng.normal(size=(200, 100)), y)
    ax = plots.plot_simulated_data(res, group)
    crosses = [line for line in ax.lines if line.get_marker() == "X"]
    assert title(ax) == "1 of 2 group means not reproduced"
    assert crosses[0].get_ydata()[0] == pytest.approx(y[50:].mean())


def test_rejection_rates_are_those_of_the_benchmark() -> None:
    def calculate(control: float, rng: np.random.Generator) -> dict[str, float]:
        return {"a": rng.random() ** (1 + control)}

    benchmark = simresid.benchmark_tests(calculate, control_values=[0, 1, 3], n_replicates=60)
    ax = plots.plot_calibration(benchmark)
    assert list(ax.lines[0].get_ydata()) == list(benchmark.summary()["rate"])
    assert benchmark.plot().get_xlabel() == "Control value"


def test_a_significant_but_negligible_departure_is_not_alarming():
    rng = np.random.default_rng(1)
    x = rng.random(40_000)
    u = np.clip(rng.random(40_000) + 0.025 * (x - 0.5), 0, 1)
    result = quantile_test(u, x)
    assert result.pvalue < 0.01
    assert result.effect.severity == "negligible"
    ax = plots.plot_residuals(u, x)
    assert title(ax).startswith("Quantiles nearly level, p ")
    assert ALERT not in {line.get_color() for line in ax.lines}
    severe = plots.plot_residuals(np.clip(u + 0.3 * (x - 0.5), 0, 1), x)
    assert title(severe).startswith("Quantiles off, p ")
    assert ALERT in {line.get_color() for line in severe.lines}


def test_years_are_years_and_ticks_are_told_apart() -> None:
    rng = np.random.default_rng(17)
    year = rng.integers(1987, 2024, 240)
    ax = plots.plot_residuals(rng.random(240), pd.Series(year, name="year"))
    shown = [label.get_text() for label in ax.get_xticklabels()]
    assert len(set(shown)) == len(shown) >= 4
    assert all(len(text) == 4 and 1987 <= int(text) <= 2023 for text in shown)
    # each stands at the rank of its value
    for place, text in zip(ax.get_xticks(), shown, strict=True):
        assert place == pytest.approx((np.mean(year < int(text)) + np.mean(year <= int(text))) / 2)
    levels = plots.plot_residuals(rng.random(240), pd.Series(rng.choice([2019.0, 2020.0, 2021.0], 240)))
    assert [label.get_text() for label in levels.get_xticklabels()] == ["2019", "2020", "2021"]


@pytest.mark.parametrize(
    "values",
    [
        [1e6 + 0.1 * k for k in range(60)],
        list(10.0 ** np.linspace(-5, 4, 80)),
        [0.0] * 50 + [1.0] * 3 + [2.0],
        [3e14, 4e14, 9e14] * 9,
        [-0.0004, -0.0003, 0.0, 1e-5] * 8,
    ],
)
def test_ticks_of_ranks_are_values_within_the_data(values) -> None:
    from simresid.plots.style import number_texts, rank_ticks

    places, texts = rank_ticks(values)
    assert len(set(texts)) == len(texts) >= 1
    assert np.all(np.diff(places) >= 0.12)
    for place, text in zip(places, texts, strict=True):
        value = float(text.replace(MINUS, "-"))
        assert min(values) * (1 - 1e-3 * np.sign(min(values))) <= value <= max(values) * (1 + 1e-3)
        assert 0 <= place <= 1
    assert number_texts([0.25, 1.0, 2015.0, 1e9]) == ["0.25", "1", "2015", "1e+09"]


def test_ticks_of_ranks_have_few_digits() -> None:
    """The ends were 0.0575 and 4.57 where 0.1 and 4 are as near."""
    from simresid.plots.style import rank_ticks

    rng = np.random.default_rng(25)
    drawn = [rng.gamma(2.0, 1.0, 300), rng.normal(size=400), np.exp(rng.normal(0, 2, 500)), rng.uniform(0.33, 0.63, 90)]
    tied = np.repeat(np.exp(rng.normal(0, 1, 14)), 46)
    for values in (*drawn, tied):
        places, texts = rank_ticks(values)
        assert len(texts) >= 4
        assert all(len(text.strip(f"{MINUS}0").replace(".", "").strip("0")) <= 2 for text in texts), texts
        assert np.all(np.diff(places) >= 0.12)


def test_names_of_levels_are_as_large_as_other_ticks() -> None:
    """They were 8 points beside 6."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    rng = np.random.default_rng(26)
    with mpl.rc_context({"font.size": 6.0}):
        ax = plots.plot_residuals(rng.random(90), pd.Series(list("abc") * 30), ax=plt.subplots()[1])
    sizes = [label.get_fontsize() for axis in (ax.xaxis, ax.yaxis) for label in axis.get_ticklabels()]
    assert np.ptp(sizes) < 0.1


def test_map_draws_what_the_test_tests() -> None:
    """Many visits a site lay on top of each other, and nearly every site showed its most extreme one."""
    rng = np.random.default_rng(18)
    sites, visits = 40, 25
    east, north = rng.random((2, sites))
    site = rng.permutation(np.repeat(np.arange(sites), visits))
    u = rng.random(sites * visits)
    ax = plots.plot_spatial(u, east[site], north[site])
    drawn = np.concatenate([c.get_array() for c in ax.collections if len(c.get_offsets())])
    places = np.concatenate([c.get_offsets() for c in ax.collections if len(c.get_offsets())])
    assert len(drawn) == sites
    total = np.array([(u[site == s] - 0.5).sum() for s in range(sites)])
    expected = norm.cdf(total * np.sqrt(12 / visits))  # a sum of uniform variables is as good as normal
    for s in range(sites):
        at = np.argmin(np.hypot(*(places - [east[s], north[s]]).T))
        assert drawn[at] == pytest.approx(expected[s], abs=1e-9)
    assert 0.25 < np.mean((drawn > 0.25) & (drawn < 0.75)) < 0.75
    assert ax.child_axes[0].get_ylabel() == "Residual of the place"
    result = simresid.spatial_autocorrelation_test(u, east[site], north[site])
    assert result.places["n"].tolist() == [visits] * sites


def test_series_with_many_rows_a_time_are_joined_as_they_are_tested() -> None:
    rng = np.random.default_rng(19)
    year = np.repeat(np.arange(1995, 2020), 12)
    order = rng.permutation(year.size)
    u = rng.random(year.size)
    axes = plots.plot_temporal(u[order], year[order])
    line = next(line for line in axes[0].lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 25)
    total = np.array([(u[year == y] - 0.5).sum() for y in range(1995, 2020)])
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1995, 2020))
    np.testing.assert_allclose(line.get_ydata(), norm.cdf(total * np.sqrt(12 / 12)))
    assert axes[0].get_ylabel() == "Scaled residual of a time"
    times = simresid.temporal_autocorrelation_test(u[order], year[order]).times
    assert times["n"].tolist() == [12] * 25
    # one row a time: the points are the residuals
    alone = simresid.temporal_autocorrelation_test(u[:30], np.arange(30)[::-1], np.repeat(["a", "b"], 15)).times
    np.testing.assert_allclose(alone["residual"], u[alone["row"]])
    assert alone["series"].tolist() == ["a"] * 15 + ["b"] * 15


NOTEBOOK = """
import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

class Shell(InteractiveShell):
    def enable_gui(self, gui=None):
        pass  # no event loop here

shell = Shell.instance()
shell.run_line_magic("matplotlib", "inline")
rng = np.random.default_rng(1)
from simresid import from_simulations
shell.user_ns["res"] = from_simulations(rng.poisson(3, (99, 60)), rng.poisson(3, 60))
for cell in ("res.plot()", "figure = res.plot()", "figure", "again = res.plot(); again", "1"):
    with capture_output() as captured:
        assert shell.run_cell(cell).success
    print(cell, sum("image/png" in output.data for output in captured.outputs), sep="|")
"""


def test_a_notebook_shows_a_figure_once() -> None:
    """As the last expression of a cell the overview was drawn twice."""
    pytest.importorskip("matplotlib_inline")
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, check=False)
    shown = [line.split("|") for line in done.stdout.splitlines() if "|" in line]
    assert [int(count) for _, count in shown] == [1, 1, 1, 1, 0], done.stderr[-2000:]


def test_words_of_results_name_their_statistic_and_no_tiny_pvalue() -> None:
    rng = np.random.default_rng(20)
    y = rng.poisson(4, 300) * (rng.random(300) < 0.6)
    res = from_simulations(rng.poisson(2.4, (250, 300)), y)
    zeros, spread = res.zero_inflation_test(), res.dispersion_test()
    assert f"observed / expected {zeros.statistic:.4g}, p = " in zeros.summary()
    assert f"ratio {spread.statistic:.4g}, p = " in spread.summary()
    far = simresid.uniformity_test(rng.random(4000) ** 2)
    assert far.pvalue < 1e-30
    assert ", p < 0.001" in far.summary()


def test_many_residuals_are_shaded_by_what_departs() -> None:
    """A right model is pale everywhere, on a skewed axis too; a wrong one is not."""
    rng = np.random.default_rng(21)
    n = 60_000
    x, u = rng.gamma(0.7, size=n), rng.random(n)
    for rank in (True, False):
        right = plots.plot_residuals(u, x, rank=rank).collections[0].get_array()
        cells = right.compressed()
        assert abs(cells.mean() - 1) < 0.02
        assert np.quantile(np.abs(cells - 1), 0.99) < 0.35  # about a hundred points a cell
        wrong = plots.plot_residuals(norm.cdf(1.5 * norm.ppf(u)), x, rank=rank).collections[0].get_array()
        assert np.quantile(np.abs(wrong.compressed() - 1), 0.97) > 0.35


def test_ticks_of_rootograms_are_round_frequencies() -> None:
    """They were 36, 144, 324, 576: squares of round numbers."""
    rng = np.random.default_rng(27)
    for mean, n in ((2.0, 120), (0.3, 20_000), (40.0, 300), (1.0, 9)):
        ax = plots.plot_rootogram(from_simulations(rng.poisson(mean, (60, n)), rng.poisson(mean, n)))
        shown = [float(label.get_text().replace(",", "")) for label in ax.get_yticklabels()]
        assert ax.get_yticks() == pytest.approx(np.sqrt(shown))
        assert shown[0] == 0.0
        assert len(shown) >= 4
        assert {f"{value:e}"[0] for value in shown[1:]} <= {"1", "2", "5"}


def test_edges_of_a_band_of_few_residuals_are_smooth_and_monotone() -> None:
    """Those of sixteen residuals went back and forth; where the test finds a crossing there is one still."""
    rng = np.random.default_rng(28)
    d = pd.DataFrame({"y": rng.poisson(2.0, 16), "x": rng.normal(size=16)})
    res = simresid.simulate_residuals(glmm("y ~ x", d, family="poisson"), rng=1)
    ax = plots.plot_qq(res)
    band = res.uniformity_test().band
    corners = ax.collections[0].get_paths()[0].vertices
    n = len(band) + 2
    for edge in (corners[1 : n + 1], corners[n + 2 : 2 * n + 2]):
        steps = np.diff(edge, axis=0) * np.sign(edge[-1, 1] - edge[0, 1])
        assert (steps >= -1e-12).all()
    for side in ("lower", "upper"):
        raw = band[side].to_numpy()
        drawn = [np.hypot(*(corners - [x, y]).T).min() for x, y in zip(raw, band["probability"], strict=True)]
        assert np.median(drawn) < 0.03


def test_series_on_axes_of_the_user_look_like_their_own() -> None:
    u = np.random.default_rng(29).random(60)
    axes = plt.subplots(1, 2)[1]
    plots.plot_temporal(u, np.arange(60), ax=axes)
    single = plots.plot_temporal(u, np.arange(60), ax=plt.subplots()[1])
    for ax in (*axes, single):
        assert not ax.spines["top"].get_visible()
        assert not ax.spines["right"].get_visible()
    for ax in (axes[0], single):
        assert ax.get_title(loc="left")
        assert not ax.get_title()


def test_points_at_zero_are_not_cut_by_the_axis() -> None:
    rng = np.random.default_rng(30)
    res = from_simulations(rng.poisson(1.0, (60, 90)), rng.poisson(1.0, 90))
    for names in ("abc", ["a long name of a level", "another long name", "one more long name"]):
        ax = plots.plot_simulated_data(res, np.array(list(names))[np.arange(90) % 3])
        low = min(ax.get_ylim()[0], ax.get_xlim()[0])
        assert low < -0.05
        assert ax.get_ylim()[0] < 0.0 or ax.get_xlim()[0] < 0.0


def test_map_names_what_right_models_have() -> None:
    x, y = np.random.default_rng(31).random((2, 90))
    heading = title(plots.plot_spatial(x, x, y))
    assert heading.startswith("Neighbours are alike\nMoran's I 0.")
    assert " expected, p < 0.001" in heading.replace("\n", " ")
    assert "-0.000" not in heading
