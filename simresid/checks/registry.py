"""All tests of residuals: their entries in the order of tables, and themselves as methods of residuals."""

from __future__ import annotations

from simresid.checks.base import CheckResult
from simresid.checks.categorical import CATEGORIES, categorical_test
from simresid.checks.dispersion import DISPERSION, dispersion_test
from simresid.checks.entry import ResidualTest
from simresid.checks.heteroscedasticity import HETEROSCEDASTICITY, heteroscedasticity_test
from simresid.checks.outliers import OUTLIERS, outlier_test
from simresid.checks.phylogenetic import PHYLOGENETIC, phylogenetic_autocorrelation_test
from simresid.checks.quantiles import QUANTILES, quantile_test
from simresid.checks.spatial import SPATIAL, spatial_autocorrelation_test
from simresid.checks.statistic import STATISTIC, statistic_test
from simresid.checks.temporal import TEMPORAL, temporal_autocorrelation_test
from simresid.checks.uniformity import UNIFORMITY, uniformity_test
from simresid.checks.zero_inflation import ZERO_INFLATION, zero_inflation_test

__all__ = ["ALONE", "TESTS", "TestMethods", "entry_of"]

TESTS: tuple[ResidualTest, ...] = (
    UNIFORMITY,
    DISPERSION,
    ZERO_INFLATION,
    OUTLIERS,
    QUANTILES,
    HETEROSCEDASTICITY,
    CATEGORIES,
    TEMPORAL,
    SPATIAL,
    PHYLOGENETIC,
    STATISTIC,
)

ALONE = tuple(entry.name for entry in TESTS if entry.alone is not None)
"""Names of the tests that need nothing but the residuals."""


class TestMethods:
    """The tests as methods of residuals: the functions themselves, so that an editor shows their arguments."""

    uniformity_test = uniformity_test
    dispersion_test = dispersion_test
    zero_inflation_test = zero_inflation_test
    outlier_test = outlier_test
    quantile_test = quantile_test
    heteroscedasticity_test = heteroscedasticity_test
    categorical_test = categorical_test
    temporal_autocorrelation_test = temporal_autocorrelation_test
    spatial_autocorrelation_test = spatial_autocorrelation_test
    phylogenetic_autocorrelation_test = phylogenetic_autocorrelation_test
    statistic_test = statistic_test


def entry_of(name: str, result: CheckResult | str | None = None) -> ResidualTest | None:
    """Entry of the test of that name, or else of the test that returns such results; None for a user's own test."""
    by_name = (test for test in TESTS if test.name == name)
    by_result = (test for test in TESTS if type(result) is test.result)
    return next(by_name, None) or next(by_result, None)
