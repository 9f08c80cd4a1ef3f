"""What figures say must survive grey, and small print: lightness, sizes and digits."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.markers import MarkerStyle

from benchmarks.colour_check import LUMINANCE, RENDERINGS, linear
from glmmcore import glmm
from simresid import from_simulations, plot_qq, plots, simulate_residuals
from simresid.plots.style import two_sided

TOLD_APART = 8.0
"""Difference in CIE lightness between a shade and the middle: greys of a printed scale differ by 5 to 10."""


def lightness(rgb, rendering=np.asarray):
    """CIE L* of colours."""
    luminance = linear(rendering(rgb)) @ LUMINANCE
    return np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * 24389 / 27)


def mesh_of(ax):
    return next(c for c in ax.collections if isinstance(c, QuadMesh))


@pytest.mark.parametrize("rendering", RENDERINGS)
def test_both_sides_of_a_scale_differ_in_lightness(rendering: str) -> None:
    shades = two_sided(-1.0, 1.0)
    value = np.linspace(-1.0, 1.0, 41)
    seen = lightness(shades["cmap"](shades["norm"](value))[:, :3], RENDERINGS[rendering])
    assert np.all(np.diff(seen) < 0)
    middle = seen[20]
    assert middle - TOLD_APART >= seen[value >= 0.5].max()
    assert middle + TOLD_APART <= seen[value <= -0.5].min()
    assert seen[0] < lightness(np.ones(3)) - 4  # not that of paper


def many(bend: float):
    """Residuals of 30 000 rows that lie the higher, the larger the predictor."""
    rng = np.random.default_rng(3)
    x = rng.random(30_000)
    return rng.beta(1 + bend * x, 1 + bend * (1 - x)), x


def test_dense_residuals_are_darker_where_they_are_more() -> None:
    u, x = many(2.0)
    ax = plots.plot_residuals(u, x)
    mesh = mesh_of(ax)
    ax.figure.canvas.draw()
    seen = lightness(mesh.get_facecolors()[:, :3]).reshape(mesh.get_array().shape)
    few, more = seen[-1, 0], seen[0, 0]  # above and below on the left
    assert more < seen[seen.shape[0] // 2].mean() - TOLD_APART
    assert few > seen[seen.shape[0] // 2].mean() + TOLD_APART
    note = next(t for t in ax.texts if "fewer" in t.get_text())
    assert note.get_window_extent().x0 >= ax.get_window_extent().x1  # beside the residuals, not over them


def test_dense_residuals_of_a_right_model_are_of_one_shade() -> None:
    u, x = many(0.0)
    ax = plots.plot_residuals(u, x)
    ax.figure.canvas.draw()
    seen = lightness(mesh_of(ax).get_facecolors()[:, :3])
    assert np.quantile(np.abs(seen - np.median(seen)), 0.95) < TOLD_APART


def test_maps_of_many_places_grow_darker_with_the_residual() -> None:
    u, x, y = np.random.default_rng(1).random((3, 6000))
    ax = plots.plot_spatial(np.where(x < 0.5, 0.2, 0.8) + 0.1 * (u - 0.5), x, y)
    ax.figure.canvas.draw()
    mesh = mesh_of(ax)
    empty = np.ma.getmaskarray(mesh.get_array())
    seen = np.ma.masked_array(lightness(mesh.get_facecolors()[:, :3]).reshape(empty.shape), empty)
    assert seen[:, :20].min() > seen[:, -20:].max() + 2 * TOLD_APART


@pytest.fixture(scope="module")
def field():
    rng = np.random.default_rng(1)
    x, y = rng.random((2, 60))
    return glmm("z ~ 1 + exp(x, y | 1)", {"x": x, "y": y, "z": np.sin(4 * x) + 0.1 * rng.normal(size=60)})


def test_labels_of_contours_are_their_levels(field) -> None:
    """0.775 was labelled as 0.78, which is another contour."""
    for ax in plots.plot_field(field, cells=15):
        lines = next(c for c in ax.collections if hasattr(c, "labelTexts"))
        levels = {round(float(v), 9) for v in lines.levels}
        assert lines.labelTexts
        assert {round(float(t.get_text().replace("\N{MINUS SIGN}", "-")), 9) for t in lines.labelTexts} <= levels


def test_fields_grow_darker_with_the_effect(field) -> None:
    ax = plots.plot_field(field, cells=15)[0]
    ax.figure.canvas.draw()
    mesh = mesh_of(ax)
    value = np.ma.getmaskarray(mesh.get_array()).ravel()
    effect = np.ma.getdata(mesh.get_array()).ravel()[~value]
    seen = lightness(mesh.get_facecolors()[~value, :3])
    assert np.all(np.diff(seen[np.argsort(effect)]) <= 1e-9)


def test_cells_of_an_overview_are_written_in_one_size() -> None:
    rng = np.random.default_rng(1)
    mean = rng.uniform(2, 6, 200)
    y = rng.negative_binomial(2, 2 / (2 + mean))
    figure = plots.plot_overview(from_simulations(rng.poisson(mean, (100, 200)), y, mean), figsize=(7.2, 5))
    cells = [ax for ax in figure.axes if not ax.get_xlabel() and len(ax.texts) == 3]  # glyph, finding, size
    assert len(cells) == 6
    for k in (1, 2):
        assert len({round(ax.texts[k].get_fontsize(), 9) for ax in cells}) == 1


def test_titles_of_axes_that_are_passed_are_broken_by_their_own_size() -> None:
    """Axes of pyplot have titles of 12 points until ours, of 10, are set: they were broken as if larger."""
    u, x = np.random.default_rng(1).random((2, 200))
    _, axes = plt.subplots(1, 3, figsize=(9.6, 3.6))
    text = "Quantiles level, p = 0.99"
    plots.plot_residuals(u, x, axes[0], title=text)
    own, shown = axes[0].get_window_extent().width, axes[0]._left_title.get_window_extent().width
    assert axes[0].get_title(loc="left") == text
    assert shown < own


def test_numbers_that_are_compared_have_the_digits_that_tell_them_apart() -> None:
    rng = np.random.default_rng(1)
    ax = plots.plot_dispersion(from_simulations(rng.poisson(3, (250, 100)), rng.poisson(3, 100)))
    observed, among = (t.get_text() for t in ax.texts)
    numbers = [observed.split()[-1], among.split()[-3], among.split()[-1]]
    assert len(set(numbers)) == 3
    assert {len(n.lstrip("0.").replace(".", "")) for n in numbers} <= {1, 2, 3}


def test_squares_of_a_variogram_are_in_its_legend() -> None:
    x, y = np.random.default_rng(1).random((2, 120))
    ax = plots.plot_variogram(np.clip(x, 0.001, 0.999), x, y)
    assert "outside the band" in [t.get_text() for t in ax.get_legend().get_texts()]


@pytest.mark.parametrize("n", [7, 30, 3000])
def test_distribution_functions_are_those_of_the_data(n: int) -> None:
    """Steps of 30 counts were drawn at k / 29 below the count instead of k / 30 at it."""
    from scipy.stats import ecdf

    rng = np.random.default_rng(2)
    y = rng.poisson(2.0, n)
    ax = plots.plot_simulated_data(from_simulations(rng.poisson(2.0, (60, n)), y))
    line = next(line for line in ax.lines if line.get_label() == "observed")
    assert line.get_drawstyle() == "steps-post"
    x, height = line.get_data()
    exact = ecdf(y).cdf
    for value in np.unique(y):
        drawn = height[np.flatnonzero(x <= value)[-1]]
        assert drawn == pytest.approx(float(exact.evaluate(value)), abs=1e-12)
    assert height[0] == 0.0


def test_a_figure_without_outliers_has_no_numbers_at_its_axes() -> None:
    rng = np.random.default_rng(1)
    ax = plots.plot_outliers(from_simulations(rng.normal(size=(999, 10)), np.zeros(10)))
    ax.figure.canvas.draw()
    assert not [t.get_text() for t in ax.get_xticklabels() + ax.get_yticklabels() if t.get_text()]


@pytest.mark.parametrize("figsize", [(3.54, 2.9), (5.6, 3.8)])
@pytest.mark.parametrize("mean", [1.0, 3.0, 8.0])
def test_the_legend_of_a_rootogram_hides_no_bar(mean: float, figsize: tuple[float, float]) -> None:
    rng = np.random.default_rng(3)
    y = rng.negative_binomial(4, 4 / (4 + mean), 500)
    ax = plt.figure(figsize=figsize, layout="constrained").add_subplot()
    plots.plot_rootogram(from_simulations(rng.poisson(mean, (100, 500)), y), ax)
    ax.figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    bars = [bar.get_window_extent() for container in ax.containers for bar in container]
    assert not [bar for bar in bars if bar.overlaps(box)]


def test_effects_of_fits_are_drawn_on_parts_of_figures(field) -> None:
    d = {"g": np.repeat(["a", "b", "c", "d", "e", "f"], 8), "x": np.tile(np.arange(8.0), 6)}
    d["y"] = np.random.default_rng(1).normal(size=48) + np.repeat(np.arange(6.0), 8)
    fit = glmm("y ~ x + (1|g)", d)
    axes = plt.figure(figsize=(8, 8)).subfigures(1, 2)[1].subplots(3)
    plots.plot_random_effects(fit, ax=axes[0])
    plots.plot_predictions(fit, "x", ax=axes[1])
    plots.plot_field(field, ax=axes[2], cells=10)
    means = plt.figure().subfigures(1, 2)[0].subplots()
    plots.plot_means(glmm("y ~ g", d), "g", ax=means)
    assert len(means.get_xticks()) + len(means.get_yticks()) > 6


def test_dense_residuals_beside_years_leave_no_stripes() -> None:
    """Years of equal rank fell into every other column of cells."""
    rng = np.random.default_rng(1)
    ax = plots.plot_residuals(rng.random(40_000), 2001 + rng.integers(0, 20, 40_000))
    assert not np.ma.getmaskarray(mesh_of(ax).get_array()).any()


def test_band_says_whether_refits_tell_its_width():
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"x": rng.normal(size=200)})
    d["y"] = d["x"] + rng.normal(size=200)
    res = simulate_residuals(glmm("y ~ x", d), 50, rng=1)
    space = "\N{NO-BREAK SPACE}"
    for n_refits, label in ((40, f"95{space}% band of 40 refits"), (8, f"95{space}% band of theory around 8 refits")):
        ax = plot_qq(res, n_refits=n_refits)
        assert label in ax.get_legend_handles_labels()[1]


@pytest.fixture(scope="module")
def three_lines():
    rng = np.random.default_rng(6)
    d = pd.DataFrame({"x": rng.random(90), "g": np.repeat(list("abc"), 30)})
    d["y"] = d["x"] + rng.normal(size=90)
    return glmm("y ~ x * g", d)


def test_legends_say_whose_points_are_which(three_lines) -> None:
    """Points of levels had shapes of their own, and the legend only the lines: in grey nobody knew which was whose."""
    ax = plots.plot_predictions(three_lines, "x", by="g")
    shown = [key.get_marker() for key in ax.get_legend().legend_handles]
    assert len(set(shown)) == 3
    clouds = [c for c in ax.collections if len(c.get_offsets()) == 30]
    for marker, cloud in zip(shown, clouds, strict=True):
        shape = MarkerStyle(marker)
        expected = shape.get_path().transformed(shape.get_transform()).vertices
        np.testing.assert_allclose(cloud.get_paths()[0].vertices, expected)
    lines = [key.get_linestyle() for key in ax.get_legend().legend_handles]
    assert lines == [line.get_linestyle() for line in ax.lines]


def test_legends_name_no_points_that_are_not_drawn(three_lines) -> None:
    ax = plots.plot_predictions(three_lines, "x", by="g", data=False)
    assert {key.get_marker() for key in ax.get_legend().legend_handles} <= {"", "None"}


def test_bands_that_overlap_are_edged_as_their_lines(three_lines) -> None:
    """In grey two tints that overlap are three greys, of which none says whose it is."""
    from simresid import benchmark_tests

    rates = benchmark_tests(
        lambda control, rng: {"a": rng.random(), "b": rng.random()}, control_values=[0.0, 1.0], n_replicates=20
    )
    axes = [plots.plot_predictions(three_lines, "x", by="g"), plots.plot_calibration(rates)]
    for ax, n in zip(axes, (3, 2), strict=True):
        bands = [c for c in ax.collections if isinstance(c, PolyCollection)]
        dashes = [str(band.get_linestyle()) for band in bands]
        assert len(bands) == len(set(dashes)) == n
        for band in bands:
            ink = band.get_edgecolor()[0]
            seen = lightness(ink[:3] * ink[3] + 1.0 - ink[3])  # on paper
            assert band.get_linewidth()[0] > 0
            assert seen < lightness(np.ones(3)) - 2 * TOLD_APART
