"""The tests as methods of `SimulatedResiduals`, so that they are found where one looks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import simresid

if TYPE_CHECKING:
    from simresid.checks.battery import Diagnosis
    from simresid.checks.results import (
        AutocorrelationResult,
        CategoricalResult,
        DispersionResult,
        HeteroscedasticityResult,
        MoranResult,
        OutlierResult,
        QuantileResult,
        StatisticResult,
        UniformityResult,
        ZeroInflationResult,
    )
    from simresid.simulated_residuals import SimulatedResiduals

__all__ = ["TestMethods"]


class TestMethods:
    """Every test function that takes residuals, as a method; arguments are those of the function."""

    __test__ = False  # not a test class for pytest

    def diagnose(self, *args: Any, **kwargs: Any) -> Diagnosis:
        """Do `simresid.diagnose`, every test that applies, on these residuals.

        Parameters
        ----------
        *args, **kwargs
            Arguments of `simresid.diagnose` after the residuals.

        Returns
        -------
        Diagnosis
            All results, a table of them and a verdict.
        """
        return simresid.diagnose(_whole(self), *args, **kwargs)

    def dispersion_test(self, *args: Any, **kwargs: Any) -> DispersionResult:
        """Do `simresid.dispersion_test` on these residuals.

        Parameters
        ----------
        *args, **kwargs
            Arguments of `simresid.dispersion_test` after the residuals.

        Returns
        -------
        DispersionResult
            Statistic, p-value, size of the departure and advice.
        """
        return simresid.dispersion_test(_whole(self), *args, **kwargs)

    def zero_inflation_test(self, *args: Any, **kwargs: Any) -> ZeroInflationResult:
        """Do `simresid.zero_inflation_test` on these residuals.

        Parameters
        ----------
        *args, **kwargs
            Arguments of `simresid.zero_inflation_test` after the residuals.

        Returns
        -------
        ZeroInflationResult
            Statistic, p-value, size of the departure and advice.
        """
        return simresid.zero_inflation_test(_whole(self), *args, **kwargs)

    def statistic_test(self, *args: Any, **kwargs: Any) -> StatisticResult | dict[str, StatisticResult]:
        """Do `simresid.statistic_test` on these residuals.

        Parameters
        ----------
        *args, **kwargs
            Arguments of `simresid.statistic_test` after the residuals.

        Returns
        -------
        StatisticResult or dict of str to StatisticResult
            One result, or one per entry of a mapping of statistics.
        """
        found: StatisticResult | dict[str, StatisticResult] = simresid.statistic_test(_whole(self), *args, **kwargs)
        return found

    def uniformity_test(self, *args: Any, **kwargs: Any) -> UniformityResult:
        """Do `simresid.uniformity_test` on these residuals.

        Parameters
        ----------
        *args, **kwargs
            Arguments of `simresid.uniformity_test` after the residuals.

        Returns
        -------
        UniformityResult
            Statistic, p-value, size of the departure and advice.
        """
        return simresid.uniformity_test(_whole(self), *args, **kwargs)

    def outlier_test(self, *args: Any, **kwargs: Any) -> OutlierResult:
        """Do `simresid.outlier_test` on these residuals.

        Parameters
        ----------
        *args, **kwargs
            Arguments of `simresid.outlier_test` after the residuals.

        Returns
        -------
        OutlierResult
            Statistic, p-value, size of the departure and advice.
        """
        return simresid.outlier_test(_whole(self), *args, **kwargs)

    def quantile_test(self, *args: Any, **kwargs: Any) -> QuantileResult:
        """Do `simresid.quantile_test` on these residuals.

        Parameters
        ----------
        *args, **kwargs
            Arguments of `simresid.quantile_test` after the residuals.

        Returns
        -------
        QuantileResult
            Statistic, p-value, size of the departure and advice.
        """
        return simresid.quantile_test(_whole(self), *args, **kwargs)

    def categorical_test(self, *args: Any, **kwargs: Any) -> CategoricalResult:
        """Do `simresid.categorical_test` on these residuals.

        Parameters
        ----------
        *args, **kwargs
            Arguments of `simresid.categorical_test` after the residuals.

        Returns
        -------
        CategoricalResult
            Statistic, p-value, size of the departure and advice.
        """
        return simresid.categorical_test(_whole(self), *args, **kwargs)

    def heteroscedasticity_test(self, *args: Any, **kwargs: Any) -> HeteroscedasticityResult:
        """Do `simresid.heteroscedasticity_test` on these residuals.

        Parameters
        ----------
        *args, **kwargs
            Arguments of `simresid.heteroscedasticity_test` after the residuals.

        Returns
        -------
        HeteroscedasticityResult
            Statistic, p-value, size of the departure and advice.
        """
        return simresid.heteroscedasticity_test(_whole(self), *args, **kwargs)

    def temporal_autocorrelation_test(self, *args: Any, **kwargs: Any) -> AutocorrelationResult:
        """Do `simresid.temporal_autocorrelation_test` on these residuals.

        Parameters
        ----------
        *args, **kwargs
            Arguments of `simresid.temporal_autocorrelation_test` after the residuals.

        Returns
        -------
        AutocorrelationResult
            Statistic, p-value, size of the departure and advice.
        """
        return simresid.temporal_autocorrelation_test(_whole(self), *args, **kwargs)

    def spatial_autocorrelation_test(self, *args: Any, **kwargs: Any) -> MoranResult:
        """Do `simresid.spatial_autocorrelation_test` on these residuals.

        Parameters
        ----------
        *args, **kwargs
            Arguments of `simresid.spatial_autocorrelation_test` after the residuals.

        Returns
        -------
        MoranResult
            Statistic, p-value, size of the departure and advice.
        """
        return simresid.spatial_autocorrelation_test(_whole(self), *args, **kwargs)

    def phylogenetic_autocorrelation_test(self, *args: Any, **kwargs: Any) -> MoranResult:
        """Do `simresid.phylogenetic_autocorrelation_test` on these residuals.

        Parameters
        ----------
        *args, **kwargs
            Arguments of `simresid.phylogenetic_autocorrelation_test` after the residuals.

        Returns
        -------
        MoranResult
            Statistic, p-value, size of the departure and advice.
        """
        return simresid.phylogenetic_autocorrelation_test(_whole(self), *args, **kwargs)

    test_all = diagnose


def _whole(methods: TestMethods) -> SimulatedResiduals:
    """Name the class that these methods are part of; there is no other."""
    return cast("SimulatedResiduals", methods)
