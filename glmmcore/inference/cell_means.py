"""Means of the cells of a reference grid, how they move with what was estimated, and combinations of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from glmmcore.families.links import LINKS, Link
from glmmcore.results.estimability import zero_sums
from glmmcore.results.joint_covariance import Combination
from glmmcore.results.quantities import RowQuantity

if TYPE_CHECKING:
    from glmmcore.fitted import FittedGLMM
    from glmmcore.inference.reference_grid import ReferenceGrid

__all__ = ["CellMeans", "linear_means", "mean_is_inverse_link", "response_means", "unknown_columns"]

# Share of its addends below which a sum is rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class CellMeans:
    """Estimates of m cells.

    Attributes
    ----------
    cells : DataFrame
        Values of the chosen columns, a row for each cell.
    estimate : ndarray, shape (m,)
    weights : Combination
        How each estimate moves with what was estimated.
    link : Link
        From means to the scale of `estimate`; identity if it is that of the response.
    shape : Link
        Scale on which limits are symmetric; that of `link` unless this is the identity.
    outside : ndarray, shape (m, r), or None
        Combinations are determined by the data where these sum to zero.
    dropped : tuple of str
        Columns that would have to be known elsewhere.
    """

    cells: pd.DataFrame
    estimate: np.ndarray
    weights: Combination
    link: Link
    shape: Link
    outside: np.ndarray | None = None
    dropped: tuple[str, ...] = ()

    def combine(self, matrix: np.ndarray) -> tuple[np.ndarray, Combination]:
        """Linear combinations, matrix (k, m): estimates (k,), NaN where the data do not determine them, and weights.

        Weights that cancel but for rounding are zero. A combination without any is a number that is known, such as the
        cubic trend of a parabola; what it is but for rounding is zero too.
        """
        estimate = matrix @ self.estimate
        weights = self.weights.mapped(lambda w: _without_rounding(matrix, w))
        parts = [*weights.fixed.values(), *([] if weights.direct is None else [weights.direct])]
        is_known = ~np.logical_or.reduce([part.any(axis=1) for part in parts])
        size = np.abs(matrix) @ np.abs(self.estimate)
        estimate[is_known & (np.abs(estimate) <= _ROUNDING * size)] = 0.0
        estimate[~zero_sums(matrix, self.outside)] = np.nan
        return estimate, weights

    def on_response(self) -> CellMeans:
        """Return the means mapped back from the link; combinations of unknown means are then unknown."""
        if self.link.name == "identity":
            return self
        known = zero_sums(np.eye(len(self.estimate)), self.outside)
        moved = self._moved(self.link.inverse(self.estimate), self.link.derivatives(self.estimate)[1])
        return CellMeans(self.cells, *moved, LINKS["identity"], self.link, unknown_columns(~known), self.dropped)

    def on_scale(self, scale: Link) -> CellMeans:
        """Return means of the response on the scale of a link: their logarithms, the logarithms of their odds."""
        if scale.name == "identity":
            return self
        with np.errstate(divide="ignore", invalid="ignore"):
            estimate = scale.link(self.estimate)
            moved = self._moved(estimate, 1.0 / scale.derivatives(estimate)[1])
        return CellMeans(self.cells, *moved, scale, scale, self.outside, self.dropped)

    def _moved(self, estimate: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, Combination]:
        return estimate, self.weights.mapped(lambda w: slope[:, None] * w)


def linear_means(fit: FittedGLMM, grid: ReferenceGrid, part: str = "cond") -> CellMeans:
    """Means of the linear predictor of a part, averaged on the scale of its link."""
    rows, offset = grid.row(part)
    outside, dropped = grid.outside(part)
    link = fit.family.link if part == "cond" else LINKS["logit"]
    estimate = rows @ fit.solution.coefficients[part] + offset
    return CellMeans(grid.cells, estimate, Combination({part: rows}), link, link, outside, tuple(dropped))


def response_means(fit: FittedGLMM, grid: ReferenceGrid, kind: str, random_effects: str) -> CellMeans:
    """Means of a quantity of `FittedGLMM.predict`, averaged on its own scale."""
    rows = RowQuantity(fit, kind, grid.predictors, grid.frame.index, random_effects)
    unknown, dropped = rows.unknown()
    averaged = rows.combination().mapped(grid.average)
    # a row that is not averaged over need not be known
    lost = grid.average(unknown.astype(float)) > 0.0
    shape = LINKS["logit"] if kind == "zprob" else fit.family.link
    outside = unknown_columns(lost)
    return CellMeans(
        grid.cells, grid.average(rows.estimate), averaged, LINKS["identity"], shape, outside, tuple(dropped)
    )


def mean_is_inverse_link(fit: FittedGLMM, grid: ReferenceGrid) -> bool:
    """Whether the mean of the response is the conditional predictor mapped back: no zero inflation, no truncation."""
    if "zi" in fit.design.predictors:
        return False
    rows = RowQuantity(fit, "response", grid.predictors, grid.frame.index)
    return np.allclose(rows.estimate, fit.family.link.inverse(rows.values["cond"]), rtol=1e-9, atol=0.0)


def _without_rounding(matrix: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """matrix @ weights, zero where the sum is nothing beside its addends."""
    out = matrix @ weights
    out[np.abs(out) <= _ROUNDING * (np.abs(matrix) @ np.abs(weights))] = 0.0
    return np.asarray(out)


def unknown_columns(unknown: np.ndarray) -> np.ndarray | None:
    """Distances that cancel in no combination, a column for each unknown cell."""
    return np.eye(len(unknown))[:, unknown] if unknown.any() else None
