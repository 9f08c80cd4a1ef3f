"""Which columns of a dense border the blocks of a leading factor meet.

The leading factor's levels stand in independent blocks, such as the times of one group. Arrays with a row for every
level would have all E columns of the border, (q, E). Where each block meets few of these, as with
``ar1(t | g) + (1 | g)``, a row has the m columns of its block only, (q, m): no operation on such rows mixes blocks.
"""

from __future__ import annotations

import numpy as np

from glmmcore.engines._covarying_kernels import block_products
from glmmcore.engines.layout import RowLayout

__all__ = ["BlockColumns", "WholeBorder", "border_of"]

# Share of the border's columns up to which a block's own columns are kept.
_FEW = 0.25


class WholeBorder:
    """Every row of (q, m) has all E columns.

    Parameters
    ----------
    layout : RowLayout
    n_profiled : int
        Columns at the end that are left out of what is `used`.

    Attributes
    ----------
    spans : list of (slice, int)
        Columns of each factor among all E, and how many belong to a level.
    columns : ndarray of int64, shape (R, c)
        Column, among all E, of each left-hand side of a run.
    width, used : int
        Number m of columns in rows of the leading factor, and without the profiled ones.
    row_spans, places : list of (slice, int), ndarray of int64, shape (R, c)
        The same as `spans` and `columns` within such a row.
    """

    def __init__(self, layout: RowLayout, n_profiled: int) -> None:
        q = layout.factors[0].order
        k = layout.factors[0].k
        first = layout.start[:, layout.factor[k:]].astype(np.int64)
        self.columns = np.ascontiguousarray(first + layout.within[k:] - q)
        self.spans = [
            (slice(int(lo) - q, int(hi) - q), f.k)
            for f, lo, hi in zip(layout.factors[1:], layout.offsets[1:-1], layout.offsets[2:], strict=True)
        ]
        self.width = layout.order - q
        self.used = self.width - n_profiled
        self.row_spans, self.places = self.spans, self.columns

    def products(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Left'right in all columns, (E, E)."""
        return left.T @ right

    def pulled(self, rows: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Rows'x, (E,), for x (q,)."""
        return rows.T @ x

    def pushed(self, rows: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Rows x, (q,), for x (E,)."""
        return rows @ x

    def weighted(self, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Rows times weights (E, E), in the columns of each row."""
        return rows @ weights


class BlockColumns(WholeBorder):
    """Every row has the columns that its block meets, factor by factor, filled up with columns of zeros."""

    def __init__(self, layout: RowLayout, n_profiled: int) -> None:
        super().__init__(layout, n_profiled)
        lead = layout.factors[0]
        assert lead.blocks is not None
        self._first = lead.blocks
        self._size = self.width
        sizes = np.diff(self._first)
        self._block = np.repeat(np.arange(len(sizes)), sizes)
        block = self._block[layout.start[:, 0]]
        at, spans, places, width = [], [], [], 0
        for i, f in enumerate(layout.factors[1:], start=1):
            level = (layout.start[:, i] - layout.offsets[i]) // f.k
            met, place, widest = _levels_met(block, len(sizes), level.astype(np.int64), f.n_levels)
            own = np.arange(f.k)
            at.append((layout.offsets[i] - lead.order + met[:, :, None] * f.k + own).reshape(len(sizes), -1))
            places.append(width + place[:, None] * f.k + own)
            spans.append((slice(width, width + widest * f.k), f.k))
            width += widest * f.k
        self._at = np.ascontiguousarray(np.hstack(at))
        self.places = np.ascontiguousarray(np.hstack(places))
        self.row_spans, self.width, self.used = spans, width, width - n_profiled

    def products(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """See `WholeBorder.products`."""
        out = np.zeros((self._size, self._size))
        block_products(self._first, self._at, np.ascontiguousarray(left), np.ascontiguousarray(right), out)
        n = self._size - (self.width - left.shape[1])
        return out[:n, :n]

    def pulled(self, rows: np.ndarray, x: np.ndarray) -> np.ndarray:
        """See `WholeBorder.pulled`."""
        at = self._at[:, : rows.shape[1]]
        sums = np.add.reduceat(rows * x[:, None], self._first[:-1])
        return np.bincount(at.ravel(), weights=sums.ravel(), minlength=self._size)

    def pushed(self, rows: np.ndarray, x: np.ndarray) -> np.ndarray:
        """See `WholeBorder.pushed`."""
        return np.asarray(np.einsum("qm,qm->q", rows, x[self._at][self._block]))

    def weighted(self, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """See `WholeBorder.weighted`."""
        at = self._at[:, : rows.shape[1]]
        own = weights[at[:, :, None], at[:, None, :]]
        return np.asarray(np.einsum("qm,qmk->qk", rows, own[self._block]))


def _levels_met(
    block: np.ndarray, n_blocks: int, level: np.ndarray, n_levels: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Levels that each block meets, (blocks, m), where each run's level stands among them, and m."""
    pair, run = np.unique(block * n_levels + level, return_inverse=True)
    of_block = pair // n_levels
    place = np.arange(len(pair)) - np.searchsorted(of_block, np.arange(n_blocks))[of_block]
    widest = int(place.max()) + 1
    met = np.zeros((n_blocks, widest), dtype=np.int64)
    met[of_block, place] = pair % n_levels
    return met, place[run], widest


def border_of(layout: RowLayout, n_profiled: int) -> WholeBorder:
    """The blocks' own columns where these are few."""
    lead = layout.factors[0]
    several = lead.blocks is not None and len(lead.blocks) > 2
    if several and len(layout.factors) > 1 and not any(f.covarying for f in layout.factors[1:]):
        own = BlockColumns(layout, n_profiled)
        if own.width <= _FEW * (layout.order - lead.order):
            return own
    return WholeBorder(layout, n_profiled)
