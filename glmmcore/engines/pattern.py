"""Which levels of which factors meet in a row, and where their cross-products are stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmcore.engines._row_kernels import sort_rows
from glmmcore.engines.layout import Factor, RowLayout
from glmmcore.engines.symbolic import Plan, make_plan

__all__ = ["Placement", "SparsePattern"]


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """The blocks of a pattern in the order of the fronts that own them; names as in `_sparse_kernels`.

    Attributes
    ----------
    at, factor_f, factor_g, start_f, start_g, row, column, flipped : ndarray, shape (blocks,)
    block_first : ndarray of int64, shape (S + 2,)
    position : ndarray of int64, shape (q,)
        Place of every coefficient in the elimination order.
    prior_row, prior_column, prior_value : ndarray, shape (entries,)
        Prior precision, lower triangle, in the order and coordinates of the fronts.
    prior_first : ndarray of int64, shape (S + 2,)
    """

    at: np.ndarray
    factor_f: np.ndarray
    factor_g: np.ndarray
    start_f: np.ndarray
    start_g: np.ndarray
    row: np.ndarray
    column: np.ndarray
    flipped: np.ndarray
    block_first: np.ndarray
    position: np.ndarray
    prior_row: np.ndarray
    prior_column: np.ndarray
    prior_value: np.ndarray
    prior_first: np.ndarray


class SparsePattern:
    """The blocks of Z'WZ, and those each row adds to.

    Parameters
    ----------
    layout : RowLayout

    Attributes
    ----------
    n_random : int
        Number of factors with a prior; what follows is the border.
    level_at : ndarray of int64, shape (F,)
        Offset of the first level's block of every factor.
    pair_at : ndarray of int32, shape (R, F (F - 1) / 2)
        Offset of the pair blocks of each run of rows.
    node_first : ndarray of int64, shape (F + 1,)
        Number of every factor's first level among all levels.
    at, factor_f, factor_g, node_f, node_g : ndarray, shape (blocks,)
        Offset, factors and levels of every block.
    size : int
        Numbers in all blocks.
    prior_f, prior_g, prior_value : ndarray
        Levels and values of the entries of the prior precision, lower triangle.
    """

    def __init__(self, layout: RowLayout) -> None:
        factors = [f for f in layout.factors if f.prior > 0.0]
        self.n_random = len(factors)
        levels = np.array([f.n_levels for f in factors], dtype=np.int64)
        k = np.array([f.k for f in factors], dtype=np.int64)
        self.node_first = np.concatenate(([0], np.cumsum(levels))).astype(np.int64)
        starts = np.concatenate(([0], np.cumsum(levels * k * k)))
        self.level_at = starts[:-1].astype(np.int64)
        each = np.repeat(np.arange(len(factors)), levels)
        node = np.arange(self.node_first[-1])
        at = [self.level_at[each] + (node - self.node_first[each]) * k[each] ** 2]
        f_of, g_of, node_f, node_g = [each], [each], [node], [node]
        self.pair_at = np.empty((layout.n_runs, len(factors) * (len(factors) - 1) // 2), dtype=np.int32)
        size = int(starts[-1])
        for f in range(len(factors)):
            for g in range(f):
                number, level_f, level_g = _pairs(layout, f, g)
                offsets = size + np.arange(len(level_f)) * (k[f] * k[g])
                size += len(level_f) * int(k[f] * k[g])
                if size > np.iinfo(np.int32).max:
                    raise MemoryError("more than 2^31 cross-products of random effects")
                self.pair_at[:, f * (f - 1) // 2 + g] = offsets[number]
                at.append(offsets)
                f_of.append(np.full(len(level_f), f))
                g_of.append(np.full(len(level_f), g))
                node_f.append(self.node_first[f] + level_f)
                node_g.append(self.node_first[g] + level_g)
        self.at = np.concatenate(at)
        self.factor_f, self.factor_g = np.concatenate(f_of), np.concatenate(g_of)
        self.node_f, self.node_g = np.concatenate(node_f), np.concatenate(node_g)
        self.size = size
        self.node_size = k[each]
        self.prior_f, self.prior_g, self.prior_value = self._prior(factors)

    def _prior(self, factors: list[Factor]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Entries of the prior precision of every level or pair of levels."""
        rows, columns, values = [], [], []
        for f, first in zip(factors, self.node_first, strict=False):
            if f.precision is None:
                rows.append(first + np.arange(f.n_levels))
                columns.append(rows[-1])
                values.append(np.full(f.n_levels, f.prior))
            else:
                rows.append(first + f.precision.row)
                columns.append(first + f.precision.column)
                values.append(f.precision.value)
        return np.concatenate(rows), np.concatenate(columns), np.concatenate(values)

    def plan(self, core_inverse: bool | None = None) -> Plan:
        """Order and analyse the graph of the levels, see `make_plan`."""
        pair, prior = self.node_f != self.node_g, self.prior_f != self.prior_g
        one = np.concatenate([self.node_f[pair], self.prior_f[prior]])
        other = np.concatenate([self.node_g[pair], self.prior_g[prior]])
        tail, head = np.concatenate([one, other]), np.concatenate([other, one])
        order, first = sort_rows(tail.astype(np.int32), len(self.node_size))
        return make_plan(first, head[order], self.node_size, core_inverse)

    def place(self, plan: Plan) -> Placement:
        """Sort the blocks by the front that owns them and note where in it they sit."""
        position_f, position_g = plan.node_position[self.node_f], plan.node_position[self.node_g]
        order, row, column, first = _in_fronts(plan, position_f, position_g)
        sizes = self.node_size
        # an entry of the prior for each coefficient of its level
        k = sizes[self.prior_f]
        each = np.repeat(np.arange(len(k)), k)
        own = np.arange(len(each)) - np.repeat(np.cumsum(k) - k, k)
        prior = [plan.node_position[nodes][each] + own for nodes in (self.prior_f, self.prior_g)]
        prior_order, prior_row, prior_column, prior_first = _in_fronts(plan, *prior)
        start = np.cumsum(sizes) - sizes
        within = np.arange(int(sizes.sum())) - np.repeat(start, sizes)
        return Placement(
            at=self.at[order],
            factor_f=self.factor_f[order].astype(np.int32),
            factor_g=self.factor_g[order].astype(np.int32),
            start_f=start[self.node_f[order]],
            start_g=start[self.node_g[order]],
            row=row,
            column=column,
            flipped=(position_f < position_g)[order],
            block_first=first,
            position=np.repeat(plan.node_position, sizes) + within,
            prior_row=prior_row,
            prior_column=prior_column,
            prior_value=self.prior_value[each][prior_order],
            prior_first=prior_first,
        )


def _in_fronts(plan: Plan, one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where entries at pairs of positions sit: (order by owner, rows, columns in the front, first of each owner)."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    owner = np.searchsorted(plan.first, low, side="right") - 1
    order = np.argsort(owner, kind="stable")
    owner, low, high = owner[order], low[order], high[order]
    # rows of the front: the supernode's own, then its list; all lists ascend when keyed by supernode
    outside = high >= np.append(plan.first[1:], plan.order)[owner]
    row = high - plan.first[owner]
    key = np.repeat(np.arange(plan.n_super), plan.heights) * plan.order + plan.rows
    found = np.searchsorted(key, owner[outside] * plan.order + high[outside])
    row[outside] = found - plan.row_first[owner[outside]] + plan.widths[owner[outside]]
    return order, row, low - plan.first[owner], np.searchsorted(owner, np.arange(plan.n_super + 2))


def _pairs(layout: RowLayout, f: int, g: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the pairs of levels of f and g that share a row: (each run's number, level of f, level of g)."""
    level = [_levels(layout, i) for i in (f, g)]
    order, _ = sort_rows(level[1], layout.factors[g].n_levels)
    order = order[sort_rows(level[0][order], layout.factors[f].n_levels)[0]]
    in_f, in_g = level[0][order], level[1][order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (in_f[1:] != in_f[:-1]) | (in_g[1:] != in_g[:-1])
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(new) - 1
    return number, in_f[new], in_g[new]


def _levels(layout: RowLayout, factor: int) -> np.ndarray:
    """Level of each run."""
    return (layout.start[:, factor] - layout.offsets[factor]).astype(np.int32) // layout.sizes[factor]
