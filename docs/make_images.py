"""Write the pictures of README.md: ``python docs/make_images.py``."""

from pathlib import Path

import matplotlib as mpl

from glmmcore import glmm
from simresid import datasets, simulate_residuals

IMAGES = Path(__file__).parent / "images"

mpl.use("Agg")
for family, name in (("poisson", "overview"), ("nbinom2", "overview-nbinom2")):
    fit = glmm("count ~ mined + (1|site)", datasets.load("salamanders"), family=family)
    simulate_residuals(fit).plot().savefig(IMAGES / f"{name}.png", dpi=150)
