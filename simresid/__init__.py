"""Simulation-based residual diagnostics for any fitted model that can simulate new responses.

Names are loaded on first use, so that ``import simresid`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simresid.adapters import RegressorFit, as_fitted_model, register_adapter
    from simresid.checks.battery import diagnose
    from simresid.checks.categorical import categorical_test
    from simresid.checks.curves import quantile_curves
    from simresid.checks.dispersion import dispersion_test
    from simresid.checks.heteroscedasticity import heteroscedasticity_test
    from simresid.checks.influence import influence
    from simresid.checks.lrt import simulated_lrt
    from simresid.checks.outliers import outlier_test
    from simresid.checks.phylogenetic import phylogenetic_autocorrelation_test
    from simresid.checks.quantiles import quantile_test
    from simresid.checks.ranking import gini_index, lift_table, lorenz_curve
    from simresid.checks.spatial import spatial_autocorrelation_test
    from simresid.checks.statistic import statistic_test
    from simresid.checks.temporal import temporal_autocorrelation_test
    from simresid.checks.uniformity import uniformity_test
    from simresid.checks.variogram import variogram
    from simresid.checks.zero_inflation import zero_inflation_test
    from simresid.html_report import report
    from simresid.plots.calibration import plot_calibration
    from simresid.plots.field import plot_field
    from simresid.plots.histogram import plot_histogram
    from simresid.plots.means import plot_means
    from simresid.plots.null import plot_dispersion, plot_statistic, plot_zero_inflation
    from simresid.plots.outliers import plot_outliers
    from simresid.plots.overview import plot_overview
    from simresid.plots.predictions import plot_predictions
    from simresid.plots.qq import plot_qq
    from simresid.plots.random_effects import plot_random_effects
    from simresid.plots.ranking import plot_lift, plot_lorenz
    from simresid.plots.residuals import plot_residuals
    from simresid.plots.rootogram import plot_rootogram
    from simresid.plots.simulated_data import plot_simulated_data
    from simresid.plots.spatial import plot_spatial
    from simresid.plots.temporal import plot_temporal
    from simresid.plots.variogram import plot_variogram
    from simresid.protocol import FittedModel
    from simresid.protocol.conformance import check_fitted_model
    from simresid.screening.many_models import screen
    from simresid.simulate import from_simulations, simulate_residuals
    from simresid.simulated_residuals import SimulatedResiduals
    from simresid.teaching.benchmarking import benchmark_tests
    from simresid.teaching.teaching_data import create_data
    from simresid.warmup_models import warmup

__version__ = "0.1.0"

_HOME = {
    "FittedModel": "protocol",
    "RegressorFit": "adapters",
    "SimulatedResiduals": "simulated_residuals",
    "as_fitted_model": "adapters",
    "benchmark_tests": "teaching.benchmarking",
    "categorical_test": "checks.categorical",
    "check_fitted_model": "protocol.conformance",
    "create_data": "teaching.teaching_data",
    "diagnose": "checks.battery",
    "dispersion_test": "checks.dispersion",
    "from_simulations": "simulate",
    "gini_index": "checks.ranking",
    "heteroscedasticity_test": "checks.heteroscedasticity",
    "influence": "checks.influence",
    "lift_table": "checks.ranking",
    "lorenz_curve": "checks.ranking",
    "outlier_test": "checks.outliers",
    "phylogenetic_autocorrelation_test": "checks.phylogenetic",
    "plot_calibration": "plots.calibration",
    "plot_dispersion": "plots.null",
    "plot_field": "plots.field",
    "plot_histogram": "plots.histogram",
    "plot_lift": "plots.ranking",
    "plot_lorenz": "plots.ranking",
    "plot_means": "plots.means",
    "plot_outliers": "plots.outliers",
    "plot_overview": "plots.overview",
    "plot_predictions": "plots.predictions",
    "plot_qq": "plots.qq",
    "plot_random_effects": "plots.random_effects",
    "plot_residuals": "plots.residuals",
    "plot_rootogram": "plots.rootogram",
    "plot_simulated_data": "plots.simulated_data",
    "plot_spatial": "plots.spatial",
    "plot_statistic": "plots.null",
    "plot_temporal": "plots.temporal",
    "plot_variogram": "plots.variogram",
    "plot_zero_inflation": "plots.null",
    "quantile_curves": "checks.curves",
    "quantile_test": "checks.quantiles",
    "register_adapter": "adapters",
    "report": "html_report",
    "screen": "screening.many_models",
    "simulate_residuals": "simulate",
    "simulated_lrt": "checks.lrt",
    "spatial_autocorrelation_test": "checks.spatial",
    "statistic_test": "checks.statistic",
    "temporal_autocorrelation_test": "checks.temporal",
    "uniformity_test": "checks.uniformity",
    "variogram": "checks.variogram",
    "warmup": "warmup_models",
    "zero_inflation_test": "checks.zero_inflation",
}
"""Public name -> module that defines it."""

__all__ = [
    "FittedModel",
    "RegressorFit",
    "SimulatedResiduals",
    "__version__",
    "as_fitted_model",
    "benchmark_tests",
    "categorical_test",
    "check_fitted_model",
    "create_data",
    "diagnose",
    "dispersion_test",
    "from_simulations",
    "gini_index",
    "heteroscedasticity_test",
    "influence",
    "lift_table",
    "lorenz_curve",
    "outlier_test",
    "phylogenetic_autocorrelation_test",
    "plot_calibration",
    "plot_dispersion",
    "plot_field",
    "plot_histogram",
    "plot_lift",
    "plot_lorenz",
    "plot_means",
    "plot_outliers",
    "plot_overview",
    "plot_predictions",
    "plot_qq",
    "plot_random_effects",
    "plot_residuals",
    "plot_rootogram",
    "plot_simulated_data",
    "plot_spatial",
    "plot_statistic",
    "plot_temporal",
    "plot_variogram",
    "plot_zero_inflation",
    "quantile_curves",
    "quantile_test",
    "register_adapter",
    "report",
    "screen",
    "simulate_residuals",
    "simulated_lrt",
    "spatial_autocorrelation_test",
    "statistic_test",
    "temporal_autocorrelation_test",
    "uniformity_test",
    "variogram",
    "warmup",
    "zero_inflation_test",
]


def __getattr__(name: str) -> Any:
    if name == "datasets":
        return import_module("simresid.datasets")
    if name not in _HOME:
        raise AttributeError(f"module 'simresid' has no attribute {name!r}")
    value = getattr(import_module(f"simresid.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, "datasets"})
