"""A leading factor with a diagonal Z'WZ, and all other coefficients as a border of dense columns.

Z'WZ is ``[[D, B], [B', C]]``: D of the q coefficients of the leading factor, each row at one of them, B the border of
E columns and C its corner.
"""

from __future__ import annotations

import numpy as np

from glmmcore.engines.contract import Engine
from glmmcore.engines.layout import RowLayout

__all__ = ["BorderedSystem"]


class BorderedSystem(Engine):
    """Z'WZ with a border.

    Parameters
    ----------
    layout : RowLayout
    n_profiled : int
        Number of fixed effects, the last coefficients, that take part in `solve` only.
    """

    def __init__(self, layout: RowLayout, n_profiled: int = 0) -> None:
        self._q = layout.factors[0].order
        self._e = layout.order - self._q
        self._used = self._e - n_profiled
        self._others = [
            (slice(int(lo) - self._q, int(hi) - self._q), f.k)
            for f, lo, hi in zip(layout.factors[1:], layout.offsets[1:-1], layout.offsets[2:], strict=True)
        ]
        self._prior = layout.prior[self._q :]
        self._set_layout(layout)
        self._allocate()

    def _allocate(self) -> None:
        q, e = self._q, self._e
        self._diagonal, self._border, self._corner = np.zeros(q), np.zeros((q, e)), np.zeros((e, e))
        self._solved, self._schur = np.zeros((q, e)), np.zeros((e, e))

    def reset(self) -> None:
        """Forget the rows added so far."""
        self._diagonal[...] = 0.0
        self._border[...] = 0.0
        self._corner[...] = 0.0

    def multiply(self, x: np.ndarray) -> np.ndarray:
        """Z'WZ x, (q + E,)."""
        q = self._q
        out = np.empty_like(x)
        out[:q] = self._diagonal * x[:q] + self._border @ x[q:]
        out[q:] = self._border.T @ x[:q] + self._corner @ x[q:]
        return out
