"""What the tests return, under one address: each record stands beside its test."""

from __future__ import annotations

from simresid.checks.base import THRESHOLDS as THRESHOLDS
from simresid.checks.base import CheckResult, Effect, Severity
from simresid.checks.categorical import CategoricalResult
from simresid.checks.dispersion import DispersionResult
from simresid.checks.heteroscedasticity import HeteroscedasticityResult
from simresid.checks.lrt import LikelihoodRatioResult
from simresid.checks.outliers import OutlierResult
from simresid.checks.phylogenetic import PhylogeneticResult
from simresid.checks.quantiles import QuantileResult
from simresid.checks.spatial import MoranResult
from simresid.checks.statistic import StatisticResult
from simresid.checks.temporal import AutocorrelationResult
from simresid.checks.uniformity import UniformityResult
from simresid.checks.variogram import Variogram
from simresid.checks.zero_inflation import ZeroInflationResult

__all__ = [
    "AutocorrelationResult",
    "CategoricalResult",
    "CheckResult",
    "DispersionResult",
    "Effect",
    "HeteroscedasticityResult",
    "LikelihoodRatioResult",
    "MoranResult",
    "OutlierResult",
    "PhylogeneticResult",
    "QuantileResult",
    "Severity",
    "StatisticResult",
    "UniformityResult",
    "Variogram",
    "ZeroInflationResult",
]
