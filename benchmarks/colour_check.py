"""Check that the overview figure keeps its messages in grey and for readers with deuteranopia.

Usage: ``python benchmarks/colour_check.py [FOLDER]``. Writes the figure as drawn, in grey, and as seen with
deuteranopia, for a misfit and for a right model, and fails unless

* every state has a shape and a glyph of its own, whatever its colour;
* in each rendering glyphs stand out from the marks they are on, and departing points and curves from paper,
  by a luminance contrast (WCAG) of at least 3. From ordinary points and curves they differ by shape.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
from matplotlib.colors import to_rgb

matplotlib.use("Agg")

# Machado, Oliveira and Fernandes (2009), severity 1, applied to linear RGB.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def linear(rgb):
    """Undo the gamma of sRGB values in [0, 1]."""
    rgb = np.asarray(rgb, dtype=float)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def gamma(values):
    """Apply the gamma of sRGB."""
    values = np.clip(values, 0, 1)
    return np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)


def grey(rgb):
    """Render as luminance."""
    return gamma(np.repeat((linear(rgb) @ LUMINANCE)[..., None], 3, axis=-1))


def deuteranopia(rgb):
    """Render as seen without green cones."""
    return gamma(linear(rgb) @ DEUTERANOPIA.T)


RENDERINGS = {"as_drawn": np.asarray, "grey": grey, "deuteranopia": deuteranopia}


def contrast(a: str, b: str, rendering) -> float:
    """WCAG contrast ratio of two colours under a rendering."""
    first, second = (float(linear(rendering(np.array(to_rgb(c)))) @ LUMINANCE) for c in (a, b))
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)


def overviews():
    """Overview figures of a misfit and of a right model."""
    from simresid import from_simulations, plot_overview

    for name, size in (("misfit", 2), ("right", None)):
        rng = np.random.default_rng(8)
        mean = rng.uniform(2, 6, 300)
        y = rng.poisson(mean) if size is None else rng.negative_binomial(size, size / (size + mean))
        yield name, plot_overview(from_simulations(rng.poisson(mean, (250, 300)), y, mean))


def main(folder: Path) -> int:
    """Write the renderings and return 1 if a message is lost."""
    from simresid.plots.style import ALERT, MARKS, POINT

    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in overviews():
        figure.set_dpi(100)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255
        for kind, rendering in RENDERINGS.items():
            matplotlib.image.imsave(folder / f"{name}_{kind}.png", np.clip(rendering(pixels), 0, 1))
    problems = []
    looks = [(mark.marker, mark.glyph) for mark in MARKS.values()]
    if len(set(looks)) < len(looks):
        problems.append("two states share shape and glyph")
    for kind, rendering in RENDERINGS.items():
        for state, mark in MARKS.items():
            if (ratio := contrast(mark.ink, mark.fill, rendering)) < 3:
                problems.append(f"{kind}: the glyph of {state!r} has contrast {ratio:.2f} to its mark")
        if (ratio := contrast(ALERT, "white", rendering)) < 3:
            problems.append(f"{kind}: departing parts have contrast {ratio:.2f} to paper")
        print(f"{kind:13s} departing against ordinary: {contrast(ALERT, POINT, rendering):.2f}")
    print("\n".join(problems) or f"every message is kept; look at {folder}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "colour_check")))
