"""Symbolic elimination: tree, postorder, column counts and the rows of every supernode.

All graphs come as adjacency lists in elimination order: `first` (n + 1,), `neighbour` (edges,), both directions.
The nodes from `n_sparse` on are the core, which counts as one tree node of that number, the last root.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = ["column_counts", "elimination_tree", "postorder", "stack_sizes", "supernode_rows", "supernodes"]


@kernel
def elimination_tree(first, neighbour, n_sparse):
    """Parent of every sparse node; -1 for a root, n_sparse below the core."""
    parent = np.full(n_sparse, -1, dtype=np.int64)
    ancestor = np.full(n_sparse, -1, dtype=np.int64)
    for row in range(first.size - 1):
        i = min(row, n_sparse)
        for p in range(first[row], first[row + 1]):
            k = neighbour[p]
            while k < i and ancestor[k] != i:
                following = ancestor[k]
                ancestor[k] = i
                if following < 0:
                    parent[k] = i
                    break
                k = following
    return parent


@kernel
def postorder(parent):
    """Nodes so that every subtree is contiguous and precedes its root; children keep their order."""
    n = parent.size
    child = np.full(n, -1, dtype=np.int64)
    sibling = np.full(n, -1, dtype=np.int64)
    for i in range(n - 1, -1, -1):
        if 0 <= parent[i] < n:
            sibling[i] = child[parent[i]]
            child[parent[i]] = i
    order = np.empty(n, dtype=np.int64)
    stack = np.empty(n, dtype=np.int64)
    done = 0
    for root in range(n):
        if 0 <= parent[root] < n:
            continue
        stack[0] = root
        top = 1
        while top > 0:
            i = stack[top - 1]
            if child[i] >= 0:
                stack[top] = child[i]
                child[i] = sibling[child[i]]
                top += 1
            else:
                order[done] = i
                done += 1
                top -= 1
    return order


@kernel
def column_counts(first, neighbour, size, parent):
    """Rows below the node's own in each sparse column of the factor, in coefficients."""
    n_sparse = parent.size
    count = np.zeros(n_sparse, dtype=np.int64)
    mark = np.full(n_sparse, -1, dtype=np.int64)
    for i in range(size.size):
        for p in range(first[i], first[i + 1]):
            k = neighbour[p]
            while 0 <= k < min(i, n_sparse) and mark[k] != i:
                count[k] += size[i]
                mark[k] = i
                k = parent[k]
    return count


@kernel
def supernodes(size, parent, count):
    """First node of every supernode, and n_sparse.

    Neighbouring columns with equal rows share one; a supernode also joins the parent next to it when that stores
    few zeros: always up to 4 columns, with less than 60 % of zeros up to 16, 15 % up to 48, 5 % beyond.
    """
    n = parent.size
    begin = np.zeros(n + 1, dtype=np.int64)
    n_super = 0
    for j in range(n):
        if j == 0 or parent[j - 1] != j or count[j - 1] != count[j] + size[j]:
            begin[n_super] = j
            n_super += 1
    begin[n_super] = n
    keep = np.ones(n_super, dtype=np.bool_)
    width = 0
    rows = 0
    zeros = 0.0
    for s in range(n_super - 1, -1, -1):
        own = 0
        for j in range(begin[s], begin[s + 1]):
            own += size[j]
        below = count[begin[s + 1] - 1]
        last = begin[s + 1] - 1
        if s < n_super - 1 and parent[last] == begin[s + 1]:
            total = own + width
            empty = zeros + own * (width + rows - below)
            share = empty / (total * (0.5 * total + rows))
            if total <= 4 or (total <= 16 and share < 0.6) or (total <= 48 and share < 0.15) or share < 0.05:
                keep[s + 1] = False
                width = total
                zeros = empty
                continue
        width, rows, zeros = own, below, 0.0
    merged = 0
    for s in range(n_super):
        if keep[s]:
            begin[merged] = begin[s]
            merged += 1
    begin[merged] = n
    return begin[: merged + 1]


@kernel
def _collect(nodes, lo, hi, last, s, mark, rows, used):
    """Append to `rows` what of nodes[lo:hi] lies from `last` on and is not yet marked with s; new length in use."""
    for p in range(lo, hi):
        i = nodes[p]
        if i >= last and mark[i] != s:
            mark[i] = s
            rows[used] = i
            used += 1
    return used


@kernel
def supernode_rows(first, neighbour, begin, parent, n_rows):
    """Nodes below every supernode, unsorted: (start of each list, nodes, parent supernode).

    `n_rows` bounds the number of nodes in all lists. The parent of a supernode is the number of supernodes when
    it is the core, and -1 when nothing is below.
    """
    n_super = begin.size - 1
    n_sparse = parent.size
    n = first.size - 1
    owner = np.empty(n_sparse + 1, dtype=np.int64)
    owner[n_sparse] = n_super
    for s in range(n_super):
        for j in range(begin[s], begin[s + 1]):
            owner[j] = s
    above = np.full(n_super, -1, dtype=np.int64)
    child = np.full(n_super, -1, dtype=np.int64)
    sibling = np.full(n_super, -1, dtype=np.int64)
    mark = np.full(n, -1, dtype=np.int64)
    start = np.zeros(n_super + 1, dtype=np.int64)
    rows = np.empty(n_rows, dtype=np.int32)
    used = 0
    for s in range(n_super):
        last = begin[s + 1]
        for j in range(begin[s], last):
            used = _collect(neighbour, first[j], first[j + 1], last, s, mark, rows, used)
        c = child[s]
        while c >= 0:
            used = _collect(rows, start[c], start[c + 1], last, s, mark, rows, used)
            c = sibling[c]
        start[s + 1] = used
        top = parent[last - 1]
        if top >= 0:
            above[s] = owner[top]
            if above[s] < n_super:
                sibling[s] = child[above[s]]
                child[above[s]] = s
    return start, rows[:used].copy(), above


@kernel
def stack_sizes(parent, width, height):
    """Room the stacks need at most: (updates when factoring, fronts when inverting, `closes`).

    `closes` marks the child of every supernode that the inverse visits last.
    """
    n = parent.size
    closes = np.zeros(n, dtype=np.bool_)
    last = np.full(n + 1, -1, dtype=np.int64)
    for s in range(n - 1, -1, -1):
        if 0 <= parent[s] < n:
            last[parent[s]] = s
    for s in range(n):
        if last[s] >= 0:
            closes[last[s]] = True
    pending = np.empty(n, dtype=np.int64)
    factor, used, top = 0, 0, 0
    for s in range(n):
        while top > 0 and parent[pending[top - 1]] == s:
            top -= 1
            used -= height[pending[top]] ** 2
        if 0 <= parent[s] < n:
            pending[top] = s
            top += 1
            used += height[s] ** 2
            factor = max(factor, used)
    inverse, used, top = 0, 0, 0
    for s in range(n - 1, -1, -1):
        while top > 0 and pending[top - 1] != parent[s]:
            top -= 1
            used -= (width[pending[top]] + height[pending[top]]) ** 2
        if last[s] >= 0:
            if closes[s] and top > 0:
                top -= 1
                used -= (width[pending[top]] + height[pending[top]]) ** 2
            pending[top] = s
            top += 1
            used += (width[s] + height[s]) ** 2
            inverse = max(inverse, used)
    return factor, inverse, closes
