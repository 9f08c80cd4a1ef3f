"""The figure of marginal means."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from glmmcore import compact_letters, glmm, marginal_means, plot_means


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(6)
    d = pd.DataFrame({"t": np.tile(list("abcd"), 30), "s": np.repeat(["m", "n"], 60)})
    d["y"] = rng.poisson(np.where(d["t"] == "d", 9.0, 3.0) * np.where(d["s"] == "n", 1.5, 1.0))
    return glmm("y ~ t * s", d, "poisson")


def bars(ax):
    """Places, estimates and limits of each set of points."""
    return [
        (container.lines[0].get_xydata(), np.array(container.lines[2][0].get_segments())) for container in ax.containers
    ]


def test_points_limits_and_letters_are_those_of_the_tables(fit):
    ax = plot_means(fit, "t")
    means, letters = marginal_means(fit, "t", kind="response"), compact_letters(fit, "t")
    ((points, limits),) = bars(ax)
    assert np.allclose(points, np.column_stack([np.arange(4), means["estimate"]]))
    assert np.allclose(limits[:, :, 1], means[["lower", "upper"]])
    assert [text.get_text() for text in ax.texts] == letters.tolist()
    assert [label.get_text() for label in ax.get_xticklabels()] == list("abcd")
    assert ax.get_ylabel() == "mean of y, 95 % limits"
    plt.close(ax.figure)


def test_groups_have_colours_markers_and_a_legend(fit):
    _, ax = plt.subplots()
    assert plot_means(fit, "t", by="s", kind="link", letters=False, level=0.9, ax=ax) is ax
    means = marginal_means(fit, "t", by="s", level=0.9)["estimate"].unstack("s")
    sets = bars(ax)
    assert len(sets) == 2 and not ax.texts
    for (points, _), level in zip(sets, "mn", strict=True):
        assert np.allclose(points[:, 1], means[level])
    assert np.all(sets[0][0][:, 0] < sets[1][0][:, 0])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["m", "n"]
    markers = {container.lines[0].get_marker() for container in ax.containers}
    colours = {container.lines[0].get_color() for container in ax.containers}
    assert len(markers) == len(colours) == 2
    assert ax.get_ylabel() == "log of mean of y, 90 % limits"
    plt.close(ax.figure)


def test_cells_without_data_are_left_out(fit):
    d = fit.data[~((fit.data["t"] == "d") & (fit.data["s"] == "n"))]
    with pytest.warns(UserWarning, match="dropped"):
        some = glmm("y ~ t * s", d, "poisson")
    with pytest.warns(UserWarning, match="t=d, s=n|s=n, t=d"):
        ax = plot_means(some, ["t", "s"])
    assert len(ax.texts) == 7
    plt.close(ax.figure)
