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
    from simresid.checks.zero_inflation import zero_inflation_test
    from simresid.html_report import report
    from simresid.plots import (
        plot_calibration,
        plot_dispersion,
        plot_histogram,
        plot_lift,
        plot_lorenz,
        plot_means,
        plot_outliers,
        plot_overview,
        plot_predictions,
        plot_qq,
        plot_random_effects,
        plot_residuals,
        plot_rootogram,
        plot_simulated_data,
        plot_spatial,
        plot_statistic,
        plot_temporal,
        plot_zero_inflation,
    )
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
    "SimulatedResiduals": "simulated_residuals",
    "simulate_residuals": "simulate",
    "from_simulations": "simulate",
    "FittedModel": "protocol",
    "as_fitted_model": "adapters",
    "register_adapter": "adapters",
    "RegressorFit": "adapters",
    "check_fitted_model": "protocol.conformance",
    "dispersion_test": "checks.dispersion",
    "zero_inflation_test": "checks.zero_inflation",
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
    "gini_index": "checks.ranking",
    "influence": "checks.influence",
    "lift_table": "checks.ranking",
    "lorenz_curve": "checks.ranking",
    "diagnose": "checks.battery",
    "screen": "screening.many_models",
    "quantile_curves": "checks.curves",
    "benchmark_tests": "teaching.benchmarking",
    "create_data": "teaching.teaching_data",
    "plot_calibration": "plots",
    "plot_dispersion": "plots",
    "plot_histogram": "plots",
    "plot_lift": "plots",
    "plot_lorenz": "plots",
    "plot_means": "plots",
    "plot_outliers": "plots",
    "plot_overview": "plots",
    "plot_predictions": "plots",
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
    "warmup": "warmup_models",
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
    "warmup",
    "zero_inflation_test",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'simresid' has no attribute {name!r}")
    value = getattr(import_module(f"simresid.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
