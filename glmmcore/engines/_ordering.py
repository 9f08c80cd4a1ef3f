"""Fill-reducing order of a weighted graph: approximate minimum degree on the quotient graph.

The method of Amestoy, Davis and Duff (SIAM J. Matrix Anal. Appl. 17, 1996, 886-905), written for graphs whose
nodes are levels of grouping factors: a node weighs as many columns as the level has coefficients, and the
elimination stops as soon as what is left would fill in anyway, because a dense core costs less in LAPACK than its
last sparse columns in loops.

Every node i keeps one list in `lists`: first the elements (eliminated cliques) it belongs to, then the neighbours
it still has outside all of them. An element's list holds the uneliminated nodes of its clique.

The elimination is one kernel of six steps, each under a comment: as kernels of their own, which hand fourteen arrays to
each other, they took a tenth more time and a third more to compile.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = ["minimum_degree"]

# `status` of a node
_NODE, _ELEMENT, _GONE = 0, 1, 2
# Degree up to which a node is eliminated however large the core would be.
_SMALL_DEGREE = 16


@kernel
def _unlink(i, degree, head, after, before):
    """Take node i out of its list of nodes of equal degree."""
    if before[i] >= 0:
        after[before[i]] = after[i]
    else:
        head[degree[i]] = after[i]
    if after[i] >= 0:
        before[after[i]] = before[i]


@kernel
def _link(i, degree, head, after, before):
    """Put node i at the front of the list of nodes of its degree."""
    first = head[degree[i]]
    after[i] = first
    before[i] = -1
    if first >= 0:
        before[first] = i
    head[degree[i]] = i


@kernel
def minimum_degree(first, neighbour, weight, dense_degree, core_share, core_degree):
    """Order the nodes of a symmetric graph.

    Parameters
    ----------
    first, neighbour : ndarray of int64, shapes (n + 1,) and (edges,)
        Adjacency lists, both directions, no loops.
    weight : ndarray of int64, shape (n,)
        Columns of each node.
    dense_degree : int
        Nodes with more neighbours than this go to the core unseen.
    core_share : float
        The elimination stops when the smallest degree exceeds this share of the columns left ...
    core_degree : int
        ... or this number (16 at least).

    Returns
    -------
    order : ndarray of int64, shape (n,)
    n_sparse : int
        The nodes ``order[n_sparse:]`` are the core.
    """
    n = weight.size
    # a node's list: where it begins in `lists`, its length, and how many of its entries are elements
    lists = np.empty(neighbour.size + n, dtype=np.int64)
    begin = np.empty(n, dtype=np.int64)
    length = np.zeros(n, dtype=np.int64)
    n_elements = np.zeros(n, dtype=np.int64)
    status = np.full(n, _NODE, dtype=np.int8)
    size = weight.copy()  # columns; 0: absorbed or gone; negative: in the clique being built
    degree = np.zeros(n, dtype=np.int64)  # columns of all neighbours or a bound of them; of an element's clique
    into = np.full(n, -1, dtype=np.int64)  # the node that has absorbed this one
    stamp = np.zeros(n, dtype=np.int64)  # what was seen in a step has a stamp of its `mark` or more
    # nodes by a hash of their lists: first of a bucket, next in it, bucket of a node
    hash_head = np.full(n, -1, dtype=np.int64)
    hash_next = np.full(n, -1, dtype=np.int64)
    hash_key = np.zeros(n, dtype=np.int64)
    core = np.zeros(n, dtype=np.bool_)
    left = 0  # columns that are neither eliminated nor in the core
    # ---- lists of neighbours, and nodes of equal degree linked
    for i in range(n):
        if first[i + 1] - first[i] > dense_degree:
            core[i] = True
            size[i] = 0
        else:
            left += weight[i]
    free = 0
    for i in range(n):
        begin[i] = free
        if not core[i]:
            for p in range(first[i], first[i + 1]):
                j = neighbour[p]
                if not core[j]:
                    lists[free] = j
                    free += 1
                    degree[i] += weight[j]
            length[i] = free - begin[i]
            free += 1  # room for one element more than neighbours
    head = np.full(left + 1, -1, dtype=np.int64)
    after = np.full(n, -1, dtype=np.int64)
    before = np.full(n, -1, dtype=np.int64)
    for i in range(n - 1, -1, -1):
        if not core[i]:
            _link(i, degree, head, after, before)
    pivots = np.empty(n, dtype=np.int64)
    n_pivots = 0
    lowest = 0
    mark = 1
    while left > 0:
        while head[lowest] < 0:
            lowest += 1
        pivot = head[lowest]
        if lowest > _SMALL_DEGREE and (lowest > core_share * (left - size[pivot]) or lowest > core_degree):
            break
        _unlink(pivot, degree, head, after, before)
        # ---- the clique: union of the pivot's elements and neighbours
        need = free + left
        if need > lists.size:
            grown = np.empty(2 * need, dtype=np.int64)
            grown[:free] = lists[:free]
            lists = grown
        own = size[pivot]
        size[pivot] = -own
        clique = free
        clique_weight = 0
        for p in range(begin[pivot], begin[pivot] + length[pivot]):
            is_element = p < begin[pivot] + n_elements[pivot]
            source = lists[p]
            if is_element:
                if status[source] != _ELEMENT:
                    continue
                lo, hi = begin[source], begin[source] + length[source]
                status[source] = _GONE
            else:
                lo, hi = p, p + 1
            for at in range(lo, hi):
                i = lists[at]
                if size[i] > 0:
                    clique_weight += size[i]
                    size[i] = -size[i]
                    lists[free] = i
                    free += 1
                    _unlink(i, degree, head, after, before)
        status[pivot] = _ELEMENT
        begin[pivot] = clique
        n_elements[pivot] = 0
        # ---- weight of every touched element outside the clique
        top = 0
        for at in range(clique, free):
            i = lists[at]
            for p in range(begin[i], begin[i] + n_elements[i]):
                e = lists[p]
                if status[e] == _ELEMENT:
                    if stamp[e] < mark:
                        stamp[e] = mark + degree[e]
                        top = max(top, degree[e])
                    stamp[e] += size[i]
        # ---- new lists and degrees of the clique's nodes
        for at in range(clique, free):
            i = lists[at]
            lo = begin[i]
            stop_elements = lo + n_elements[i]
            stop = lo + length[i]
            put = lo
            outside = 0
            key = 0
            for p in range(lo, stop_elements):
                e = lists[p]
                if status[e] == _ELEMENT:
                    beyond = stamp[e] - mark
                    if beyond > 0:
                        outside += beyond
                        lists[put] = e
                        put += 1
                        key += e
                    else:
                        status[e] = _GONE
            kept = put - lo
            for p in range(stop_elements, stop):
                j = lists[p]
                if size[j] > 0:
                    outside += size[j]
                    lists[put] = j
                    put += 1
                    key += j
            if outside == 0:
                own -= size[i]
                clique_weight += size[i]
                into[i] = pivot
                size[i] = 0
                status[i] = _GONE
                continue
            degree[i] = min(degree[i], outside)
            # the pivot becomes the first element; one entry at least was dropped, or the spare place is used
            lists[put] = lists[lo + kept]
            lists[lo + kept] = lists[lo]
            lists[lo] = pivot
            n_elements[i] = kept + 1
            length[i] = put - lo + 1
            key = (key + pivot) % n
            hash_key[i] = key
            hash_next[i] = hash_head[key]
            hash_head[key] = i
        mark += top + 1
        # ---- nodes with equal lists are one node from here on
        for at in range(clique, free):
            i = lists[at]
            if size[i] == 0:
                continue
            key = hash_key[i]
            one = hash_head[key]
            hash_head[key] = -1
            while one >= 0:
                if hash_next[one] >= 0 and size[one] != 0:
                    for p in range(begin[one], begin[one] + length[one]):
                        stamp[lists[p]] = mark
                    previous = one
                    two = hash_next[one]
                    while two >= 0:
                        same = length[two] == length[one] and n_elements[two] == n_elements[one]
                        p = begin[two]
                        while same and p < begin[two] + length[two]:
                            same = stamp[lists[p]] == mark
                            p += 1
                        if same:
                            size[one] += size[two]
                            size[two] = 0
                            status[two] = _GONE
                            into[two] = one
                            hash_next[previous] = hash_next[two]
                        else:
                            previous = two
                        two = hash_next[two]
                    mark += 1
                one = hash_next[one]
        # ---- the clique's nodes return to the degree lists
        left -= own
        put = clique
        for at in range(clique, free):
            i = lists[at]
            if size[i] == 0:
                continue
            size[i] = -size[i]
            degree[i] = max(0, min(degree[i] + clique_weight - size[i], left - size[i]))
            lists[put] = i
            put += 1
            _link(i, degree, head, after, before)
            lowest = min(lowest, degree[i])
        free = put
        length[pivot] = put - clique
        degree[pivot] = clique_weight
        size[pivot] = 0
        if length[pivot] == 0:
            status[pivot] = _GONE
        pivots[n_pivots] = pivot
        n_pivots += 1
    return _collect(pivots, n_pivots, into)


@kernel
def _collect(pivots, n_pivots, into):
    """List every pivot with the nodes merged into it, then the core: (order, nodes before the core)."""
    n = into.size
    place = np.full(n, -1, dtype=np.int64)
    for p in range(n_pivots):
        place[pivots[p]] = p
    count = np.zeros(n_pivots + 2, dtype=np.int64)
    for i in range(n):
        root = i
        while into[root] >= 0:
            root = into[root]
        walk = i
        while into[walk] >= 0:
            following = into[walk]
            into[walk] = root
            walk = following
        place[i] = place[root] if place[root] >= 0 else n_pivots
        count[place[i] + 1] += 1
    for p in range(n_pivots + 1):
        count[p + 1] += count[p]
    n_sparse = count[n_pivots]
    order = np.empty(n, dtype=np.int64)
    for p in range(n_pivots):  # the pivot itself first: a node of twins is no clique before it is eliminated
        order[count[p]] = pivots[p]
        count[p] += 1
    for i in range(n):
        if place[i] == n_pivots or pivots[place[i]] != i:
            order[count[place[i]]] = i
            count[place[i]] += 1
    return order, n_sparse
