"""Figures. Every number in them comes from the tests in `simresid.checks` or from the fit; this package only draws.

Plots take ``ax=None`` and return the Axes drawn on. Without `ax` a new pyplot figure is made; with `ax`
pyplot is not touched. No style is changed globally and nothing is shown: call ``plt.show()`` or save.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "plot_calibration": "calibration",
    "plot_dispersion": "null",
    "plot_field": "field",
    "plot_histogram": "histogram",
    "plot_lift": "ranking",
    "plot_lorenz": "ranking",
    "plot_means": "means",
    "plot_outliers": "outliers",
    "plot_overview": "overview",
    "plot_predictions": "predictions",
    "plot_qq": "qq",
    "plot_random_effects": "random_effects",
    "plot_residuals": "residuals",
    "plot_rootogram": "rootogram",
    "plot_simulated_data": "simulated_data",
    "plot_spatial": "spatial",
    "plot_statistic": "null",
    "plot_temporal": "temporal",
    "plot_variogram": "variogram",
    "plot_zero_inflation": "null",
}
"""Public name -> module of this package that defines it."""

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'simresid.plots' has no attribute {name!r}")
    value = getattr(import_module(f"simresid.plots.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
