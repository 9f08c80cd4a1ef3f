"""Simulation-based residual diagnostics for any fitted model that can simulate new responses.

Names are loaded on first use, so that ``import simresid`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "SimulatedResiduals": "residuals",
    "simulate_residuals": "simulate",
    "from_simulations": "simulate",
    "FittedModel": "protocol",
    "as_fitted_model": "adapters",
    "register_adapter": "adapters",
    "RegressorFit": "adapters",
    "check_fitted_model": "testing",
    "dispersion_test": "checks.dispersion",
    "zero_inflation_test": "checks.statistic",
    "statistic_test": "checks.statistic",
    "uniformity_test": "checks.uniformity",
    "outlier_test": "checks.outliers",
    "quantile_test": "checks.quantiles",
    "categorical_test": "checks.categorical",
    "heteroscedasticity_test": "checks.heteroscedasticity",
    "temporal_autocorrelation_test": "checks.temporal",
    "spatial_autocorrelation_test": "checks.spatial",
    "phylogenetic_autocorrelation_test": "checks.phylogenetic",
    "simulated_lrt": "checks.lrt",
    "diagnose": "checks.battery",
    "screen": "screening",
    "quantile_curves": "checks.curves",
    "benchmark_tests": "benchmarking",
    "create_data": "teaching_data",
    "plot_calibration": "plots",
    "plot_dispersion": "plots",
    "plot_histogram": "plots",
    "plot_outliers": "plots",
    "plot_overview": "plots",
    "plot_qq": "plots",
    "plot_random_effects": "plots",
    "plot_residuals": "plots",
    "plot_rootogram": "plots",
    "plot_simulated_data": "plots",
    "plot_spatial": "plots",
    "plot_statistic": "plots",
    "plot_temporal": "plots",
    "plot_zero_inflation": "plots",
    "report": "html_report",
}
"""Public name -> module that defines it."""

__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'simresid' has no attribute {name!r}")
    value = getattr(import_module(f"simresid.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
