"""Negative numbers have one sign in a figure, that of matplotlib's ticks, and none of it outside of figures."""

from __future__ import annotations

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from glmmcore import glmm
from simresid import benchmark_tests, diagnose, from_simulations, plots
from simresid.plots.style import level_texts, minus_signs

MINUS = "\N{MINUS SIGN}"
HYPHEN = re.compile(r"(?<![\w.)\]])-(?=\.?\d)|\de-\d")


@pytest.fixture(scope="module")
def negative():
    """Rows whose every number is below zero, judged by simulations that lie too low and too close together."""
    rng = np.random.default_rng(5)
    n = 200
    data = pd.DataFrame(
        {
            "x": -5.0 - 3.0 * rng.random(n),
            "level": -1 - np.arange(n) % 3,
            "half": -0.5 - np.arange(n) % 3,
            "site": -1 - np.arange(n) % 8,
            "east": -rng.random(n),
            "north": -rng.random(n),
        }
    )
    data["y"] = -9.0 - 0.1 * data["x"] + 0.4 * data["site"] + rng.normal(size=n)
    simulated = data["y"].to_numpy() + 0.1 * rng.normal(size=(200, n)) - 0.1
    return from_simulations(simulated, data["y"], data["x"].to_numpy(), data=data)


@pytest.fixture(scope="module")
def mixed(negative):
    return glmm("y ~ x + C(level) + (1|site)", negative.data)


def _alternating(n):
    """Uniform residuals of which each is the opposite of the one before."""
    u = np.random.default_rng(2).random(n)
    return np.where(np.arange(n) % 2 == 0, 0.5 * u, 1.0 - 0.5 * u)


def _field(data):
    z = np.sin(4 * data["east"]) - 0.5 + 0.1 * np.random.default_rng(1).normal(size=len(data))
    return glmm("z ~ 1 + exp(east, north | 1)", data.assign(z=z).iloc[:60])


def _rates():
    return benchmark_tests(lambda control, rng: {"a": rng.random()}, control_values=["-1", "-2"], n_replicates=5)


DRAWN = {
    "plot_calibration": lambda res, fit: plots.plot_calibration(_rates()),
    "plot_dispersion": lambda res, fit: plots.plot_dispersion(res, title="ratio -1"),
    "plot_field": lambda res, fit: plots.plot_field(_field(res.data), cells=12),
    "plot_histogram": lambda res, fit: plots.plot_histogram(res, title="level -1"),
    "plot_lift": lambda res, fit: plots.plot_lift(
        from_simulations(np.ones((99, 40)), np.arange(40.0), np.arange(40.0)), title="group -1"
    ),
    "plot_lorenz": lambda res, fit: plots.plot_lorenz(
        from_simulations(np.ones((99, 40)), np.arange(40.0), -np.arange(40.0))
    ),
    "plot_means": lambda res, fit: plots.plot_means(fit, "level"),
    "plot_outliers": lambda res, fit: plots.plot_outliers(
        from_simulations(
            -5 + np.random.default_rng(1).random((99, 9)),
            -np.arange(9.0),
            data=pd.DataFrame({"a": np.ones(9)}, index=-1 - np.arange(9)),
        )
    ),
    "plot_overview": lambda res, fit: plots.plot_overview(res),
    "plot_predictions": lambda res, fit: plots.plot_predictions(fit, "x", by="level"),
    "plot_qq": lambda res, fit: plots.plot_qq(res, title="logLik -67.5"),
    "plot_random_effects": lambda res, fit: plots.plot_random_effects(fit),
    "plot_residuals": lambda res, fit: plots.plot_residuals(res, "x"),
    "plot_rootogram": lambda res, fit: plots.plot_rootogram(
        from_simulations(np.random.default_rng(1).poisson(2, (99, 50)), np.arange(50) % 5), title="offset -1"
    ),
    "plot_simulated_data": lambda res, fit: plots.plot_simulated_data(res, "half"),
    "plot_spatial": lambda res, fit: plots.plot_spatial(_alternating(200), np.arange(200.0) - 250, np.zeros(200)),
    "plot_statistic": lambda res, fit: plots.plot_statistic(res, np.min),
    "plot_temporal": lambda res, fit: plots.plot_temporal(_alternating(60), np.arange(60) - 80),
    "plot_variogram": lambda res, fit: plots.plot_variogram(_alternating(90), np.arange(90) - 95, title="lag -1"),
    "plot_zero_inflation": lambda res, fit: plots.plot_zero_inflation(
        from_simulations(np.random.default_rng(1).poisson(2, (99, 50)), np.arange(50) % 5), title="zeros -1"
    ),
}


def texts_of_figures() -> list[str]:
    out = []
    for number in plt.get_fignums():
        figure = plt.figure(number)
        figure.canvas.draw()
        out += [t.get_text() for t in figure.findobj(Text) if t.get_visible()]
    return out


def test_every_figure_is_among_the_cases() -> None:
    assert sorted(DRAWN) == sorted(plots.__all__)


@pytest.mark.parametrize("name", plots.__all__)
def test_negative_numbers_have_the_sign_of_ticks(name: str, negative, mixed) -> None:
    DRAWN[name](negative, mixed)
    said = texts_of_figures()
    assert [text for text in said if HYPHEN.search(text)] == []
    assert [text for text in said if MINUS in text]


@pytest.mark.parametrize("name", ["level", "half"])
def test_levels_of_residuals_have_it(name: str, negative) -> None:
    plots.plot_residuals(negative, name)
    assert [t for t in texts_of_figures() if HYPHEN.search(t)] == []


def test_what_is_printed_keeps_hyphens(negative) -> None:
    said = diagnose(negative)
    printed = f"{said}\n{said.table.to_string()}"
    assert HYPHEN.search(printed)
    assert MINUS not in printed


def test_users_without_the_glyph_keep_hyphens(negative) -> None:
    with plt.rc_context({"axes.unicode_minus": False}):
        plots.plot_overview(negative)
        said = texts_of_figures()
    assert [text for text in said if HYPHEN.search(text)]
    assert [text for text in said if MINUS in text] == []


@pytest.mark.parametrize(
    "text",
    ["EC-2", "2011-12-01", "0-5", "(a)-1", "y ~ x - 1", "y ~ x-1", "[1, 2]-3", "zero-inflated", "- 5"],
)
def test_other_hyphens_stay(text: str) -> None:
    assert minus_signs(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shift -0.22 [-0.25, -.2]", f"shift {MINUS}0.22 [{MINUS}0.25, {MINUS}.2]"),
        ("(-1, 3e-05]", f"({MINUS}1, 3e{MINUS}05]"),
        ("-1", f"{MINUS}1"),
        ("I\n-0.006 expected", f"I\n{MINUS}0.006 expected"),
        ("a=-2", f"a={MINUS}2"),
    ],
)
def test_signs_of_numbers_do_not(text: str, expected: str) -> None:
    assert minus_signs(text) == expected


def test_levels_of_any_kind() -> None:
    bins = pd.cut([-1.5, 0.5], [-2, 0, 2]).categories
    assert level_texts(bins) == [f"({MINUS}2, 0]", "(0, 2]"]
    assert level_texts(np.array([-2, 3])) == [f"{MINUS}2", "3"]
    assert level_texts([-0.5, 2.0]) == [f"{MINUS}0.5", "2"]
    assert level_texts(["DES-L", "R-10"]) == ["DES-L", "R-10"]
