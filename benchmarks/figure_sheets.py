"""Draw every figure of README, gallery and the page of all figures in colour, in grey and without green cones.

Usage: ``python -m benchmarks.figure_sheets FOLDER [--docs] [NAME ...]``. Each figure is drawn 600 pixels wide, as it is
on a narrow page, and set beside its two other renderings; sheets of six go to FOLDER. Names choose scripts of the
gallery (``plot_15_spatial``) or pages (``every_figure``). ``--docs`` also writes ``docs/images/figures.png``, the small
sheet of the page of all figures. Texts that are smaller than 5.5 pixels there, or than 4.4 points when the figure is
printed 17 cm wide, are listed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import os
import re
import runpy
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np

from benchmarks.colour_check import RENDERINGS

matplotlib.use("Agg")

ROOT = Path(__file__).resolve().parents[1]
PIXELS, PRINTED_INCHES = 600, 17 / 2.54
SMALLEST_PIXELS, SMALLEST_POINTS = 5.5, 4.4
PER_SHEET = 6
BLOCK = re.compile(r"^```(?:python|\{run\})\n(.*?)^```$", flags=re.M | re.S)


def figures(name: str) -> Iterator[tuple[str, matplotlib.figure.Figure]]:
    """Figures of a script of the gallery or of the blocks of a page, with names."""
    import matplotlib.pyplot as plt

    plt.close("all")
    page = {"README": ROOT / "README.md"}.get(name, ROOT / "docs" / f"{name}.md")
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            if page.exists():
                namespace = {"__name__": "__main__"}
                for block in BLOCK.findall(page.read_text(encoding="utf-8")):
                    text = "\n".join(line for line in block.splitlines() if not re.match(r":[a-z-]+:", line))
                    exec(compile(text, page.name, "exec"), namespace)
            else:
                runpy.run_path(str(ROOT / "gallery" / f"{name}.py"))
        finally:
            os.chdir(here)
    for number in plt.get_fignums():
        yield f"{name} {number}", plt.figure(number)
    plt.close("all")


def small_texts(figure: matplotlib.figure.Figure) -> list[str]:
    """Texts that cannot be read at 600 pixels or in print."""
    from matplotlib.text import Text

    width = figure.get_size_inches()[0]
    out = []
    for text in figure.findobj(Text):
        if not text.get_visible() or not text.get_text().strip():
            continue
        pixels = text.get_fontsize() / 72.0 * PIXELS / width
        points = text.get_fontsize() * min(1.0, PRINTED_INCHES / width)
        if pixels < SMALLEST_PIXELS or points < SMALLEST_POINTS:
            out.append(f"{text.get_text()[:40]!r} {pixels:.1f} px, {points:.1f} pt")
    return out


def drawn(figure: matplotlib.figure.Figure, pixels: int = PIXELS) -> np.ndarray:
    """The figure as RGB in [0, 1], some pixels wide."""
    figure.set_dpi(pixels / figure.get_size_inches()[0])
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255.0


def stacked(pictures: list[np.ndarray], across: bool) -> np.ndarray:
    """Pictures beside or below each other on white."""
    side = 0 if across else 1
    longest = max(picture.shape[side] for picture in pictures)
    padded = []
    for picture in pictures:
        pad = [(0, 8), (0, 8), (0, 0)]
        pad[side] = (0, longest - picture.shape[side] + 8)
        padded.append(np.pad(picture, pad, constant_values=1.0))
    return np.concatenate(padded, axis=1 - side)


def main(folder: Path, names: list[str], *, for_docs: bool) -> int:
    """Draw the sheets; 1 if a text is too small."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, small, thumbnails, n_sheets = [], [], [], 0
    for name in names:
        for label, figure in figures(name):
            found = small_texts(figure)
            small += [f"{label}: {text}" for text in found]
            picture = drawn(figure)
            rows.append(stacked([np.clip(see(picture), 0, 1) for see in RENDERINGS.values()], across=True))
            if for_docs and name == "every_figure":
                little = drawn(figure, 300)
                thumbnails.append(stacked([np.clip(see(little), 0, 1) for see in RENDERINGS.values()], across=True))
            print(f"{n_sheets:02d}.{len(rows)} {label}")
            if len(rows) == PER_SHEET:
                matplotlib.image.imsave(folder / f"sheet_{n_sheets:02d}.png", stacked(rows, across=False))
                rows, n_sheets = [], n_sheets + 1
    if rows:
        matplotlib.image.imsave(folder / f"sheet_{n_sheets:02d}.png", stacked(rows, across=False))
    if thumbnails:
        save_small(stacked(thumbnails, across=False), ROOT / "docs" / "images" / "figures.png")
    print("\n".join(small) or "every text can be read")
    return 1 if small else 0


def save_small(pixels: np.ndarray, path: Path) -> None:
    """Write a picture with a palette that keeps the few strong colours among many pale ones."""
    from PIL import Image

    picture = Image.fromarray((255 * pixels).astype(np.uint8))
    picture.quantize(256, method=Image.Quantize.FASTOCTREE).save(path, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--docs", action="store_true")
    given = parser.parse_intermixed_args()  # names may follow the option
    every = ["README", "every_figure", *sorted(path.stem for path in (ROOT / "gallery").glob("plot_*.py"))]
    sys.exit(main(given.folder, given.names or every, for_docs=given.docs))
