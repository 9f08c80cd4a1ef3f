"""Residuals in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simresid.residuals import SimulatedResiduals

__all__ = ["summarise"]


def summarise(residuals: SimulatedResiduals) -> str:
    """Describe `residuals` and what the tests of uniformity, dispersion and outliers find, one line each."""
    results = (residuals.uniformity_test(), residuals.dispersion_test(), residuals.outlier_test())
    return "\n".join([repr(residuals), "", *map(str, results)])
