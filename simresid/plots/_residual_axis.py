"""The axis of residuals and what is marked on it, the same in every figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simresid.checks.inputs import is_simulated, residual_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simresid.checks.results import CheckResult

__all__ = ["matters", "outlier_sides", "unit_axis"]


def unit_axis(ax: Axes, quantiles: Any = (0.25, 0.5, 0.75)) -> None:
    """Set up the residual axis."""
    ax.set_ylim(-0.02, 1.02)
    ticks = [0.0, *quantiles, 1.0]
    ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    ax.set_ylabel("Scaled residual")


def outlier_sides(res: Any) -> tuple[Any, bool]:
    """Side of each outlier, and whether there are too many."""
    if not is_simulated(res):
        return np.zeros(residual_array(res).size, dtype=int), False
    result = res.outlier_test()
    too_many = result.pvalue < 0.05 and result.statistic > result.expected
    return res.outlier_sides, bool(too_many and matters(result))


def matters(result: CheckResult) -> bool:
    """Whether a departure is more than negligible: of a million rows every one is significant."""
    return result.effect is None or result.effect.severity != "negligible"
