from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from simresid import from_simulations

LONG_NAMES = [f"Treatment of the site number {k:02d}, north" for k in range(30)]


@pytest.fixture(autouse=True)
def _no_figures_left() -> Iterator[None]:
    before = dict(plt.rcParams)
    yield
    plt.close("all")
    assert dict(plt.rcParams) == before, "a plot changed the global style"


@pytest.fixture(scope="session")
def overdispersed():
    """Negative binomial counts judged by a Poisson model, 30 sites with long names, x missing in places."""
    rng = np.random.default_rng(1)
    n = 600
    data = pd.DataFrame(
        {
            "site": np.array(LONG_NAMES)[np.arange(n) % 30],
            "x": np.where(rng.random(n) < 0.1, np.nan, rng.random(n)),
        }
    )
    mean = rng.uniform(2, 6, n)
    y = rng.negative_binomial(2, 2 / (2 + mean))
    return from_simulations(rng.poisson(mean, (250, n)), y, mean, data=data)


@pytest.fixture(scope="session")
def right():
    rng = np.random.default_rng(8)
    mean = rng.uniform(2, 6, 300)
    return from_simulations(rng.poisson(mean, (250, 300)), rng.poisson(mean), mean)


@pytest.fixture(scope="session")
def three_rows():
    rng = np.random.default_rng(2)
    return from_simulations(rng.poisson(3, (99, 3)), rng.poisson(3, 3))


@pytest.fixture(scope="session")
def all_equal():
    return from_simulations(np.full((99, 20), 4.0), np.full(20, 4.0))


@pytest.fixture(scope="session")
def text_problems() -> Callable[[Any], list[str]]:
    return find_text_problems


def find_text_problems(figure: Any) -> list[str]:
    """Draw the figure and describe each pair of texts that overlap and each text that leaves the figure.

    Overlaps of less than a pixel in width or 1.5 in height are the empty margins of letters.
    """
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    drawn = _tick_labels_out_of_view(figure)
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and id(t) not in drawn]
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts]
    problems = []
    for (a, p), (b, q) in combinations(boxes, 2):
        width = min(p.x1, q.x1) - max(p.x0, q.x0)
        height = min(p.y1, q.y1) - max(p.y0, q.y0)
        if width > 1 and height > 1.5:
            problems.append(f"{a!r} overlaps {b!r} by {width:.0f} x {height:.0f} pixels")
    frame = figure.bbox
    for text, box in boxes:
        if box.x0 < -1 or box.y0 < -1 or box.x1 > frame.x1 + 1 or box.y1 > frame.y1 + 1:
            problems.append(f"{text!r} leaves the figure")
    return problems


def _tick_labels_out_of_view(figure: Any) -> set[int]:
    """Ids of tick labels that matplotlib keeps but does not draw."""
    hidden = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                slack = 1e-9 * (high - low)
                if not (low - slack <= tick.get_loc() <= high + slack) or not ax.axison:
                    hidden |= {id(tick.label1), id(tick.label2)}
    return hidden
