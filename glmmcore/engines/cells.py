"""Where leading and trailing levels meet: the sparse blocks between the two parts of a blocked system."""

from __future__ import annotations

import numpy as np

from glmmcore.engines._blocked_kernels import cell_layout
from glmmcore.engines.layout import RowLayout

__all__ = ["Cells"]


class Cells:
    """The distinct pairs of a leading and a trailing level, level by level; one cell row a trailing coefficient.

    Attributes
    ----------
    of_run : ndarray of int32, shape (R, F)
        First cell row of each run of rows, by trailing factor.
    first : ndarray of int64, shape (L + 1,)
        First cell row of each leading level.
    column, factor : ndarray of int32, shape (C,)
        Trailing coefficient of each cell row, ascending inside a leading level, and its factor.
    """

    def __init__(self, layout: RowLayout) -> None:
        lead = layout.factors[0]
        n_trail = layout.order - lead.order
        self.of_run = np.zeros_like(layout.start)
        if len(layout.factors) == 1:
            self.first = np.zeros(lead.n_levels + 1, dtype=np.int64)
            self.column, self.factor = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32)
            return
        self.first, self.column, self.factor = cell_layout(
            layout.start, lead.k, lead.n_levels, layout.sizes, lead.order, n_trail, self.of_run
        )

    def fill(self, layout: RowLayout) -> float:
        """Entries of the trailing block of random effects that eliminating the leading levels touches, repeated."""
        fixed = sum(f.k for f in layout.factors[1:] if f.prior == 0.0)
        heights = np.diff(self.first) - fixed
        return float(np.square(heights.astype(float)).sum())
