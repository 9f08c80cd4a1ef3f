"""The tests as methods of `SimulatedResiduals`, so that they are found where one looks for them."""

from __future__ import annotations

from typing import Any

__all__ = ["TestMethods"]


class TestMethods:
    """Every test function that takes residuals, as a method; arguments are those of the function."""

    __test__ = False  # not a test class for pytest

    def diagnose(self, *args: Any, **kwargs: Any) -> Any:
        """Do `simresid.diagnose`, every test that applies, on these residuals."""
        return _run("diagnose", self, args, kwargs)

    def dispersion_test(self, *args: Any, **kwargs: Any) -> Any:
        """Do `simresid.dispersion_test` on these residuals."""
        return _run("dispersion_test", self, args, kwargs)

    def zero_inflation_test(self, *args: Any, **kwargs: Any) -> Any:
        """Do `simresid.zero_inflation_test` on these residuals."""
        return _run("zero_inflation_test", self, args, kwargs)

    def statistic_test(self, *args: Any, **kwargs: Any) -> Any:
        """Do `simresid.statistic_test` on these residuals."""
        return _run("statistic_test", self, args, kwargs)

    def uniformity_test(self, *args: Any, **kwargs: Any) -> Any:
        """Do `simresid.uniformity_test` on these residuals."""
        return _run("uniformity_test", self, args, kwargs)

    def outlier_test(self, *args: Any, **kwargs: Any) -> Any:
        """Do `simresid.outlier_test` on these residuals."""
        return _run("outlier_test", self, args, kwargs)

    def quantile_test(self, *args: Any, **kwargs: Any) -> Any:
        """Do `simresid.quantile_test` on these residuals."""
        return _run("quantile_test", self, args, kwargs)

    def categorical_test(self, *args: Any, **kwargs: Any) -> Any:
        """Do `simresid.categorical_test` on these residuals."""
        return _run("categorical_test", self, args, kwargs)

    def heteroscedasticity_test(self, *args: Any, **kwargs: Any) -> Any:
        """Do `simresid.heteroscedasticity_test` on these residuals."""
        return _run("heteroscedasticity_test", self, args, kwargs)

    def temporal_autocorrelation_test(self, *args: Any, **kwargs: Any) -> Any:
        """Do `simresid.temporal_autocorrelation_test` on these residuals."""
        return _run("temporal_autocorrelation_test", self, args, kwargs)

    def spatial_autocorrelation_test(self, *args: Any, **kwargs: Any) -> Any:
        """Do `simresid.spatial_autocorrelation_test` on these residuals."""
        return _run("spatial_autocorrelation_test", self, args, kwargs)

    def phylogenetic_autocorrelation_test(self, *args: Any, **kwargs: Any) -> Any:
        """Do `simresid.phylogenetic_autocorrelation_test` on these residuals."""
        return _run("phylogenetic_autocorrelation_test", self, args, kwargs)

    def test_all(self, *args: Any, **kwargs: Any) -> Any:
        """Do all applicable tests, as `simresid.diagnose`."""
        return _run("diagnose", self, args, kwargs)


def _run(name: str, residuals: TestMethods, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    import simresid

    return getattr(simresid, name)(residuals, *args, **kwargs)
