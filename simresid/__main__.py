"""``python -m simresid``: two models of embedded data, fitted, judged and drawn.

The one place in this package that uses `glmmcore`, and only as any user would.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

FORMULA = "count ~ mined + (1|site)"
FAMILIES = ("poisson", "nbinom2")
DOTS_PER_INCH = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line; that of the process by default.

    Returns
    -------
    int
        Exit status.
    """
    parser = argparse.ArgumentParser(
        prog="python -m simresid",
        description="Fit a Poisson and a negative binomial model to embedded data, judge both and draw both.",
    )
    parser.add_argument("--out", type=Path, default=Path("simresid-demo.png"), help="picture to write (PNG)")
    out = parser.parse_args(arguments).out
    if not out.parent.is_dir():
        parser.error(f"--out: folder {out.parent} does not exist")
    if out.is_dir():
        parser.error(f"--out: {out} is a folder; give the name of a PNG file")

    from glmmcore import glmm
    from simresid import datasets, simulate_residuals

    data = datasets.load("salamanders")
    print("Data:", datasets.describe("salamanders"))
    figures = []
    for family in FAMILIES:
        fit = glmm(FORMULA, data, family=family)
        residuals = simulate_residuals(fit)
        print("", f"---- {family} ".ljust(78, "-"), fit.summary(), "", residuals.summary(), sep="\n")
        figures.append(residuals.plot())
    write_stacked(figures, out)
    print(f"\nFigures: {out.resolve()}")
    return 0


def write_stacked(figures: Sequence[Figure], path: Path) -> None:
    """Write figures of equal width below each other into one PNG file."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.image import imsave

    images = []
    for figure in figures:
        figure.set_dpi(DOTS_PER_INCH)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        images.append(np.asarray(canvas.buffer_rgba()))
    imsave(path, np.vstack(images), format="png", dpi=DOTS_PER_INCH)


if __name__ == "__main__":
    sys.exit(main())
