"""Six figures compared pixel by pixel with their stored images, under the matplotlib that made those.

After an intended change: ``python tests/simresid/plots/test_images.py`` draws the images anew; look at them
before committing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from simresid import from_simulations, plots

IMAGES = Path(__file__).parent / "images"
MADE_WITH = "3.11"
"""Release of matplotlib whose images are stored; others place letters differently."""
DPI = 60


def _residuals() -> Any:
    rng = np.random.default_rng(1)
    mean = rng.uniform(2, 6, 200)
    y = rng.negative_binomial(2, 2 / (2 + mean))
    return from_simulations(rng.poisson(mean, (100, 200)), y, mean)


def _temporal() -> Any:
    u = np.random.default_rng(1).random(80)
    return plots.plot_temporal((u + np.roll(u, 1)) / 2, np.arange(80))[0]


def _spatial() -> Any:
    u, x, y = np.random.default_rng(1).random((3, 100))
    return plots.plot_spatial((u + x) / 2, x, y)


FIGURES: dict[str, Callable[[], Any]] = {
    "overview": lambda: plots.plot_overview(_residuals()),
    "overview_narrow": lambda: plots.plot_overview(_residuals(), figsize=(3, 9)),
    "categories": lambda: plots.plot_residuals(_residuals(), np.array(["a", "b", "c"])[np.arange(200) % 3]).figure,
    "rootogram": lambda: plots.plot_rootogram(_residuals()).figure,
    "temporal": lambda: _temporal().figure,
    "spatial": lambda: _spatial().figure,
}


def _draw(name: str, path: Path) -> None:
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        matplotlib.use("Agg")
        FIGURES[name]().savefig(path, dpi=DPI)
    plt.close("all")


@pytest.mark.skipif(
    not matplotlib.__version__.startswith(MADE_WITH + "."),
    reason=f"the stored images were drawn by matplotlib {MADE_WITH}, this is {matplotlib.__version__}",
)
@pytest.mark.parametrize("name", FIGURES)
def test_image(name: str, tmp_path: Path) -> None:
    from matplotlib.testing.compare import compare_images

    drawn = tmp_path / f"{name}.png"
    _draw(name, drawn)
    # A root-mean-square difference of 3 grey levels of 255 forgives hinting, not a missing line of text.
    assert compare_images(str(IMAGES / f"{name}.png"), str(drawn), tol=3) is None


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for figure in FIGURES:
        _draw(figure, IMAGES / f"{figure}.png")
