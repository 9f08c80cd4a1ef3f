"""Every plot on data that leave little to draw, and in little room."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from glmmcore import glmm
from simresid import from_simulations, plots, simulate_residuals

PLOTS: dict[str, Callable[[Any, Any], Any]] = {
    "qq": lambda res, ax: plots.plot_qq(res, ax),
    "residuals": lambda res, ax: plots.plot_residuals(res, None, ax),
    "categories": lambda res, ax: plots.plot_residuals(res, _levels(res), ax),
    "one category": lambda res, ax: plots.plot_residuals(res, np.repeat("a", res.n_obs), ax),
    "dates": lambda res, ax: plots.plot_residuals(res, pd.date_range("2020-01-01", periods=res.n_obs), ax),
    "missing": lambda res, ax: plots.plot_residuals(res, _with_missing(res), ax),
    "histogram": lambda res, ax: plots.plot_histogram(res, ax),
    "dispersion": lambda res, ax: plots.plot_dispersion(res, ax),
    "statistic": lambda res, ax: plots.plot_statistic(res, np.max, ax),
    "zeros": lambda res, ax: plots.plot_zero_inflation(res, ax),
    "rootogram": lambda res, ax: plots.plot_rootogram(res, ax),
    "temporal": lambda res, ax: plots.plot_temporal(res, np.arange(res.n_obs), None, ax),
    "spatial": lambda res, ax: plots.plot_spatial(res, np.arange(res.n_obs) % 7, np.arange(res.n_obs) // 7, ax),
    "outliers": lambda res, ax: plots.plot_outliers(res, ax),
    "simulated data": lambda res, ax: plots.plot_simulated_data(res, None, ax),
    "simulated groups": lambda res, ax: plots.plot_simulated_data(res, _levels(res), ax),
}

CLEAR_ERRORS = {
    ("dispersion", "all_equal"): "do not vary",
    ("spatial", "three_rows"): "at least 4 distinct places",
}
"""Where there is nothing to draw, and what is said instead."""


def _levels(res: Any) -> Any:
    return np.array(["low", "medium", "high"])[np.arange(res.n_obs) % 3]


def _with_missing(res: Any) -> Any:
    x = np.linspace(0, 1, res.n_obs)
    x[0] = np.nan
    return x


def figure_of(drawn: Any) -> Any:
    return (drawn if hasattr(drawn, "figure") else np.ravel(drawn)[0]).figure


@pytest.mark.parametrize("data", ["three_rows", "all_equal", "overdispersed"])
@pytest.mark.parametrize("name", PLOTS)
def test_plot(name, data, request, text_problems) -> None:
    res = request.getfixturevalue(data)
    if (name, data) in CLEAR_ERRORS:
        with pytest.raises(ValueError, match=CLEAR_ERRORS[name, data]):
            PLOTS[name](res, None)
        return
    drawn = PLOTS[name](res, None)
    assert not text_problems(figure_of(drawn))
    figure = plt.figure(figsize=(3, 2.6), layout="constrained")
    ax = figure.add_subplot()
    drawn_on = PLOTS[name](res, ax)
    assert drawn_on is ax
    assert not text_problems(figure)


@pytest.mark.parametrize("name", PLOTS)
def test_parts_of_figures_are_axes_as_well(name, overdispersed) -> None:
    """Axes of ``subfigures`` have no figure with a size: an AttributeError of matplotlib."""
    part = plt.figure(figsize=(8, 3)).subfigures(1, 2)[1]
    ax = part.subplots()
    assert PLOTS[name](overdispersed, ax) is ax
    part.figure.canvas.draw()


@pytest.mark.parametrize("data", ["three_rows", "all_equal", "overdispersed"])
@pytest.mark.parametrize("figsize", [None, (3.0, 9.0)])
def test_overview(data, figsize, request, text_problems) -> None:
    assert not text_problems(plots.plot_overview(request.getfixturevalue(data), figsize=figsize))


@pytest.mark.parametrize("figsize", [(3.0, 2.6), (6.0, 4.5)])
def test_thirty_long_names(overdispersed, figsize, text_problems) -> None:
    for draw in (plots.plot_residuals, plots.plot_simulated_data):
        figure = plt.figure(figsize=figsize, layout="constrained")
        draw(overdispersed, "site", figure.add_subplot())
        assert not text_problems(figure)
        shown = [t.get_text() for t in figure.axes[0].get_yticklabels() if t.get_text()]
        assert len(shown) == len(set(shown))  # shortened names still tell levels apart
    assert not text_problems(plots.plot_overview(overdispersed, against="site", figsize=(3, 9)))


def test_all_equal_residuals(text_problems) -> None:
    u = np.full(40, 0.5)
    for draw in (plots.plot_qq, plots.plot_histogram, lambda v: plots.plot_residuals(v, np.arange(40))):
        assert not text_problems(draw(u).figure)
    with pytest.raises(ValueError, match="do not vary"):
        plots.plot_temporal(u, np.arange(40))


def test_missing_predictor_is_said_and_counted(overdispersed) -> None:
    n = int(overdispersed.data["x"].isna().sum())
    ax = plots.plot_residuals(overdispersed, "x")
    assert any(f"{n} rows without x" in t.get_text() for t in ax.texts)
    with pytest.raises(ValueError, match="missing in every row"):
        plots.plot_residuals(overdispersed, np.full(overdispersed.n_obs, np.nan))


def test_long_row_labels_and_long_formula(overdispersed, text_problems) -> None:
    from simresid import from_simulations

    labels = [f"Very long row label of the observation {k}" for k in range(overdispersed.n_obs)]
    y = pd.Series(overdispersed.observed, index=labels)
    res = from_simulations(overdispersed.simulated, y)
    assert not text_problems(plots.plot_outliers(res).figure)
    formula = "nbinom2(log): a_long_response ~ " + " + ".join(f"predictor_{k}" for k in range(20))
    assert not text_problems(plots.plot_overview(res, title=formula, figsize=(3, 9)))


def test_dollar_signs_in_names_are_not_formulas(text_problems) -> None:
    from simresid import from_simulations

    rng = np.random.default_rng(1)
    data = pd.DataFrame({r"price $\unknown$": rng.random(60)})
    res = from_simulations(rng.normal(size=(99, 60)), rng.normal(size=60), data=data)
    assert not text_problems(plots.plot_overview(res, against=data.columns[0], title=r"y ~ $\nothing$"))


def test_overlap_is_noticed(text_problems) -> None:
    figure = plt.figure(figsize=(3, 3))
    figure.text(0.1, 0.5, "one text")
    figure.text(0.15, 0.5, "another")
    figure.text(0.95, 0.2, "far out")
    found = text_problems(figure)
    assert any("overlaps" in p for p in found)
    assert any("leaves" in p for p in found)


@pytest.mark.slow
def test_a_million_points_are_quick_and_small(tmp_path) -> None:
    import time

    rng = np.random.default_rng(1)
    u, x = rng.random(1_000_000), rng.random(1_000_000)
    from simresid.checks.quantiles import quantile_test
    from simresid.plots.predictors import resolve
    from simresid.plots.residuals import draw_against

    predictor = resolve(u, x)
    result = quantile_test(u, predictor.numbers, curves=True)
    figure = plt.figure()
    started = time.process_time()
    draw_against(figure.add_subplot(), predictor, result)
    figure.savefig(tmp_path / "million.pdf")
    assert time.process_time() - started < 2.0
    assert (tmp_path / "million.pdf").stat().st_size < 300_000


def _heights():
    return np.random.default_rng(2).random(30)


@pytest.mark.parametrize("far", [1.7e308, -1.7e308, 8e307])
def test_places_beyond_an_axis(far):
    """Margins around them overflow: matplotlib ended with a singular matrix."""
    time = np.arange(30.0)
    time[3] = far
    with pytest.raises(ValueError, match=r"beyond what an axis can show \(1e\+307\)"):
        plots.plot_temporal(_heights(), time)
    with pytest.raises(ValueError, match="beyond what an axis can show"):
        plots.plot_residuals(_heights(), time, rank=False)
    axes = plots.plot_residuals(_heights(), time)
    axes.figure.canvas.draw()
    axes = plots.plot_temporal(_heights(), np.where(np.arange(30) == 3, far / 1e2, time))
    axes[0].figure.canvas.draw()


def test_places_and_predictors_of_subnormal_size():
    """Ratios of extents overflowed, and steps of ticks were zero."""
    tiny = np.resize([0.0, 5e-324, -5e-324, 1e-323], 30)
    plots.plot_spatial(_heights(), np.arange(30.0), tiny).figure.canvas.draw()
    plots.plot_residuals(_heights(), tiny).figure.canvas.draw()


@pytest.mark.parametrize("ax", [np.int8(4), "axes", [1, 2], np.inf])
def test_what_is_no_axes(ax):
    with pytest.raises((TypeError, ValueError), match="ax"):
        plots.plot_temporal(_heights(), np.arange(30), ax=ax)
    fit = glmm("y ~ 1 + (1|g)", {"y": _heights(), "g": np.arange(30) % 6})
    with pytest.raises(TypeError, match="ax= takes Axes"):
        plots.plot_random_effects(fit, ax=ax)


@pytest.mark.parametrize("name", [["x"], np.array(["x", "f"]), pd.Series(np.arange(30)), {"x": [1]}])
def test_names_that_are_none(name):
    fit = glmm("y ~ x + (1|g)", {"y": _heights(), "g": np.arange(30) % 6, "x": np.arange(30) % 7})
    for call in (
        lambda: plots.plot_predictions(fit, name),
        lambda: plots.plot_predictions(fit, "x", name),
        lambda: plots.plot_random_effects(fit, name),
        lambda: plots.plot_random_effects(fit, "g", name),
    ):
        with pytest.raises(ValueError, match="must name one column"):
            call()


@pytest.mark.parametrize("against", [pd.DataFrame(), pd.DataFrame(np.zeros((30, 2)), columns=["a", "a"])])
def test_tables_without_panels(against):
    with pytest.raises(ValueError, match="columns, each with a name of its own"):
        plots.plot_residuals(_heights(), against)


@pytest.mark.parametrize("title", [1.5, True, b"bytes", (1, 2), np.zeros((2, 2)), np.zeros(0), pd.NA, pd.Series(["a"])])
def test_titles_of_any_type_are_written(title):
    res = from_simulations(np.random.default_rng(1).poisson(3, (50, 30)), np.arange(30) % 5)
    figure = plots.plot_overview(res, title=title)
    assert any(str(title).split()[0] in text.get_text() for text in figure.texts if str(title))
    assert plots.plot_qq(res, title=title).get_title(loc="left") is not None
    plt.close("all")


@pytest.mark.parametrize("value", [np.zeros(0), np.zeros((2, 2)), pd.NA, pd.Series(dtype=float), "yes", None, 1])
def test_flags_are_true_or_false(value):
    x = np.arange(40.0)
    u = np.linspace(0.01, 0.99, 40)
    with pytest.raises(ValueError, match=r"(?s)rank=.*; use True or False"):
        plots.plot_residuals(u, x, rank=value)
    with pytest.raises(ValueError, match=r"(?s)colorbar=.*; use True or False"):
        plots.plot_spatial(u, x, x % 7, colorbar=value)


def test_what_is_neither_axes_nor_figure():
    u = np.linspace(0.01, 0.99, 40)
    figure, ax = plt.subplots()
    polar = plt.figure().add_subplot(projection="polar")
    for wrong in (figure, ax.xaxis, ax.plot([0, 1])[0], figure.subfigures(1, 2)[0], polar, "ax", [ax]):
        with pytest.raises(TypeError, match="ax= takes Axes of matplotlib with an x- and a y-axis"):
            plots.plot_qq(u, wrong)
    res = from_simulations(np.random.default_rng(1).poisson(3, (50, 30)), np.arange(30) % 5)
    for wrong in (ax, 0, "figure", figure.subfigures(1, 2)[0]):
        with pytest.raises(TypeError, match="figure= takes a Figure"):
            plots.plot_overview(res, figure=wrong)
    for size in (np.zeros(0), np.zeros((2, 2)), pd.NA, "ab", (0, 1)):
        with pytest.raises(ValueError, match="figsize="):
            plots.plot_overview(res, figsize=size)
    plt.close("all")


def test_rows_without_trials_in_figures_of_shares() -> None:
    """A column of shares, missing where there were no trials, is the response; nothing is divided by zero."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.normal(size=60), "n": np.r_[0, 0, rng.integers(2, 9, 58)]})
    data["k"] = rng.binomial(data["n"], 0.4)
    data["share"] = data["k"] / data["n"]
    fit = glmm("k ~ x", data, family="binomial", trials="n")
    res = simulate_residuals(fit, 50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        panels = plots.plot_residuals(res, against="all")
        ax = plots.plot_predictions(fit, "x")
    names = [panel.get_xlabel() for panel in np.ravel(panels) if panel.get_visible()]
    assert "x" in " ".join(names) and "share" not in " ".join(names)
    assert np.isfinite(ax.get_ylim()).all()
    plt.close("all")
