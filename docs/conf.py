"""Configuration of the site; build it with ``make -C docs html``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Data that may not be redistributed: taken from this folder where it exists, else replaced by simulated ones.
REFERENCE = HERE.parents[1] / "shared" / "reference" / "data"
if REFERENCE.is_dir():
    os.environ.setdefault("SIMRESID_DATA", str(REFERENCE))

import numpydoc.xref  # noqa: E402

import simresid.checks.results  # noqa: E402

project = "simresid"
author = "The simresid developers"
copyright = author
release = version = simresid.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "run",
    "printed",
    "breaks",
    "reference",
]
exclude_patterns = ["_build", "_templates", "gallery/*.zip", "**/GALLERY_HEADER.rst"]
templates_path = ["_templates"]
default_role = "py:obj"

myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # numpydoc shows the types, with shapes
numpydoc_show_class_members = False  # the class template lists them with links

# What a function returns links to the page of that class; links to Python and numpy need the network.
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
numpydoc.xref.DEFAULT_LINKS.clear()
fits = ("FittedGLMM", "ManyFits", "InversePrediction", "ModelError")
models = ("SimulatedResiduals", "FittedModel", "RegressorFit")
results = [name for name in simresid.checks.results.__all__ if name != "Severity"]
numpydoc_xref_aliases = {
    **{name: f"glmmcore.{name}" for name in fits},
    **{name: f"simresid.{name}" for name in models},
    **{name: f"simresid.checks.results.{name}" for name in results},
    "Relationship": "glmmcore.relationship.Relationship",
    "Diagnosis": "simresid.checks.battery.Diagnosis",
    "BenchmarkResult": "simresid.teaching.benchmarking.BenchmarkResult",
}

sphinx_gallery_conf = {
    "examples_dirs": "../gallery",
    "gallery_dirs": "gallery",
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("simresid", "glmmcore"),
    "backreferences_dir": "api/backreferences",
    "remove_config_comments": True,
    "show_memory": False,
    "capture_repr": (),  # what a script has to say it prints; Axes and legends are not for readers
    "write_computation_times": False,  # those pages ask the network for their tables
    "min_reported_time": 1,
    "show_signature": False,
    "download_all_examples": False,
    "parallel": 2,
    "thumbnail_size": (600, 300),
}

html_theme = "pydata_sphinx_theme"
html_title = "simresid"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"**": ["globaltoc.html"]}
html_theme_options = {
    "navbar_center": [],
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
