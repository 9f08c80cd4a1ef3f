"""All tests of residuals: as methods, and their entries in the same order, which is that of tables."""

from __future__ import annotations

from simresid.checks.base import CheckResult
from simresid.checks.categorical import categorical_test
from simresid.checks.dispersion import dispersion_test
from simresid.checks.entry import ENTRIES, ResidualTest
from simresid.checks.heteroscedasticity import heteroscedasticity_test
from simresid.checks.outliers import outlier_test
from simresid.checks.phylogenetic import phylogenetic_autocorrelation_test
from simresid.checks.quantiles import quantile_test
from simresid.checks.spatial import spatial_autocorrelation_test
from simresid.checks.statistic import statistic_test
from simresid.checks.temporal import temporal_autocorrelation_test
from simresid.checks.uniformity import uniformity_test
from simresid.checks.zero_inflation import zero_inflation_test

__all__ = ["ALONE", "TESTS", "TestMethods", "entry_of"]


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


TESTS: tuple[ResidualTest, ...] = tuple(ENTRIES[test] for test in vars(TestMethods).values() if test in ENTRIES)

ALONE = tuple(entry.name for entry in TESTS if entry.alone is not None)
"""Names of the tests that need nothing but the residuals."""


def entry_of(name: str, result: CheckResult | str | None = None) -> ResidualTest | None:
    """Entry of the test of that name, or else of the test that returns such results; None for a user's own test."""
    by_name = (test for test in TESTS if test.name == name)
    by_result = (test for test in TESTS if type(result) is test.result)
    return next(by_name, None) or next(by_result, None)
