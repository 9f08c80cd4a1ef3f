"""Plan of a sparse factorisation: order, supernodes, and where everything is stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmmcore.engines import _tree_kernels as tree
from glmmcore.engines._ordering import minimum_degree
from glmmcore.engines._row_kernels import sort_rows

__all__ = ["LARGE_FRONT", "Plan", "make_plan"]

# The elimination of single levels stops when the next one meets this share of what is left: from there a dense
# core is cheaper, each of its columns costing about 3 n^2 flops in LAPACK against some 5 d^2 memory accesses.
_CORE_SHARE = 0.25
# Above this order of the core its inverse may stay unformed, see `Plan.core_inverse`. Then a level that meets d
# columns of the core costs d n when it is a leaf of the elimination tree and d^2 n when not, so that the
# elimination stops earlier: at d above this many square roots of n.
_LARGE_CORE = 1000
_LARGE_CORE_DEGREE = 1.6
# Multiplications of one front from which BLAS is worth its call.
LARGE_FRONT = 300_000
# Rows of a front from which its part of the core's inverse is a matrix product.
_TALL_FRONT = 32


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Symbolic factorisation of a symmetric matrix of small dense blocks.

    Positions are coefficients in elimination order. Supernode s owns the positions ``first[s]:first[s + 1]`` (w
    of them) and has the r rows ``rows[row_first[s]:row_first[s + 1]]`` below, ascending; its panel is a (w, w)
    block followed by an (r, w) block, both column-major, at ``panel_first[s]``. The core takes the positions from
    ``first[-1]`` on.

    Attributes
    ----------
    node_position : ndarray of int64, shape (nodes,)
        First position of every node.
    first, row_first, panel_first : ndarray of int64, shape (S + 1,)
    rows : ndarray of int32
    parent : ndarray of int64, shape (S,)
        Parent supernode; S for the core, -1 for none.
    has_child : ndarray of bool, shape (S,)
    order : int
        Positions in all.
    core_inverse : bool
        Whether the core's inverse is formed; otherwise its entries come from the inverse of its triangular
        factor, which halves the work when few are needed.
    """

    node_position: np.ndarray
    first: np.ndarray
    row_first: np.ndarray
    panel_first: np.ndarray
    rows: np.ndarray
    parent: np.ndarray
    has_child: np.ndarray
    order: int
    core_inverse: bool

    @property
    def n_super(self) -> int:
        """Number of supernodes S."""
        return len(self.parent)

    @property
    def n_core(self) -> int:
        """Order of the core."""
        return self.order - int(self.first[-1])

    @property
    def widths(self) -> np.ndarray:
        """Columns of every supernode."""
        return np.diff(self.first)

    @property
    def heights(self) -> np.ndarray:
        """Rows below every supernode."""
        return np.diff(self.row_first)

    @property
    def factor_size(self) -> int:
        """Numbers in the factor."""
        w, r, n = self.widths, self.heights, self.n_core
        return int((w * (w + 1) // 2 + w * r).sum()) + n * (n + 1) // 2

    @property
    def work(self) -> np.ndarray:
        """Multiplications to eliminate every supernode."""
        w, r = self.widths.astype(float), self.heights.astype(float)
        return w**3 / 6.0 + w * w * r / 2.0 + w * r * r / 2.0

    @property
    def large(self) -> np.ndarray:
        """Fronts for BLAS: many multiplications, or many entries of a core's inverse that is not formed."""
        large = self.widths * (self.widths + self.heights) ** 2 > LARGE_FRONT
        if self.core_inverse:
            return large
        leaf = (self.widths == 1) & ~self.has_child
        return large | ((self.parent == self.n_super) & ~leaf & (self.heights > _TALL_FRONT))


def make_plan(first: np.ndarray, neighbour: np.ndarray, size: np.ndarray, core_inverse: bool | None = None) -> Plan:
    """Order and analyse.

    Parameters
    ----------
    first, neighbour : ndarray of int64
        Adjacency lists of the nodes, both directions, no loops.
    size : ndarray of int64, shape (nodes,)
        Coefficients of each node.
    core_inverse : bool, optional
        Whether to form the inverse of the core; by default what is estimated to be faster.
    """
    order, n_sparse, core_inverse = _order(first, neighbour, size, core_inverse)
    # children before parents, so that the nodes of a supernode follow each other
    parent = tree.elimination_tree(*_relabel(first, neighbour, order), n_sparse)
    order[:n_sparse] = order[:n_sparse][tree.postorder(parent)]
    graph = _relabel(first, neighbour, order)
    size = size[order]
    parent = tree.elimination_tree(*graph, n_sparse)
    # supernodes and their rows, first as nodes, then as positions of coefficients
    count = tree.column_counts(*graph, size, parent)
    begin = tree.supernodes(size, parent, count)
    bound = int(count[begin[1:] - 1].sum()) if n_sparse else 0
    start, nodes, above = tree.supernode_rows(*graph, begin, parent, bound)
    position = np.concatenate(([0], np.cumsum(size)))
    nodes = nodes[np.lexsort((nodes, np.repeat(np.arange(len(above)), np.diff(start))))]
    rows, row_first = _expand(nodes, start, size, position)
    super_first = position[begin]
    w, r = np.diff(super_first), np.diff(row_first)
    has_child = np.zeros(len(above), dtype=bool)
    has_child[above[(above >= 0) & (above < len(above))]] = True
    node_position = np.empty(len(size), dtype=np.int64)
    node_position[order] = position[:-1]
    panel_first = np.concatenate(([0], np.cumsum(w * (w + r)))).astype(np.int64)
    return Plan(
        node_position,
        super_first,
        row_first,
        panel_first,
        rows,
        above,
        has_child,
        int(position[-1]),
        core_inverse,
    )


def _order(
    first: np.ndarray, neighbour: np.ndarray, size: np.ndarray, core_inverse: bool | None
) -> tuple[np.ndarray, int, bool]:
    """Elimination order, number of nodes before the core, and whether the core's inverse is to be formed."""
    group, *graph, weight = _merge_twins(first, neighbour, size)
    dense_degree = max(16, int(10.0 * np.sqrt(len(weight))))
    order, n_sparse = minimum_degree(*graph, weight, dense_degree, _CORE_SHARE, len(size))
    n_core = int(weight[order[n_sparse:]].sum())
    is_open = core_inverse is None and n_core > _LARGE_CORE
    if is_open or core_inverse is False:
        limit = int(_LARGE_CORE_DEGREE * np.sqrt(n_core))
        other, n_other = minimum_degree(*graph, weight, dense_degree, _CORE_SHARE, limit)
        # forming the inverse costs half as much again
        if not is_open or int(weight[other[n_other:]].sum()) ** 3 <= 1.5 * n_core**3:
            order, n_sparse, core_inverse = other, n_other, False
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    node_place = place[group]
    return np.argsort(node_place, kind="stable"), int(np.sum(node_place < n_sparse)), core_inverse is not False


def _merge_twins(
    first: np.ndarray, neighbour: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Make one node of all that have the same neighbours, as the inner levels of one outer level have.

    Returns the number of each node's group and the graph of the groups: lists and weights. Lists of neighbours are
    compared by the 64-bit sum of their members' random labels; a collision would make a worse order, not a wrong one.
    """
    n, degree = len(size), np.diff(first)
    label = np.random.default_rng(0).integers(0, 2**63, n, dtype=np.uint64)
    key = label.copy()  # of its own for a node without neighbours
    some = degree > 0
    key[some] = np.add.reduceat(label[neighbour], first[:-1][some]) if len(neighbour) else label[:0]
    _, leader, group = np.unique(key, return_index=True, return_inverse=True)
    if len(leader) == n:
        return np.arange(n), first, neighbour, size
    leads = np.zeros(n, dtype=bool)
    leads[leader] = True
    tail = np.repeat(np.arange(n), degree)
    kept = leads[tail] & leads[neighbour]
    order, group_first = sort_rows(group[tail[kept]].astype(np.int32), len(leader))
    weight = np.bincount(group, weights=size, minlength=len(leader)).astype(np.int64)
    return group, group_first, group[neighbour[kept]][order], weight


def _relabel(first: np.ndarray, neighbour: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Adjacency lists with the nodes numbered in elimination order."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    degree = np.diff(first)[order]
    new_first = np.concatenate(([0], np.cumsum(degree)))
    entry = np.repeat(first[:-1][order] - new_first[:-1], degree) + np.arange(new_first[-1])
    return new_first, place[neighbour[entry]]


def _expand(
    nodes: np.ndarray, start: np.ndarray, size: np.ndarray, position: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Expand lists of nodes to lists of positions: (positions, start of each list)."""
    n = size[nodes]
    end = np.concatenate(([0], np.cumsum(n)))
    rows = np.repeat(position[nodes] - end[:-1], n) + np.arange(end[-1])
    return rows.astype(np.int32), end[start]
