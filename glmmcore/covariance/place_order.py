"""An order of places and the nearest of those before each: what a sparse precision of a field is built on.

The order is the maximin one (Guinness 2018): each place is the one farthest from all before. Distances to earlier
places are then of all sizes, and the approximation is many times as close as with an order along an axis, and some two
times as close as with one through grids of ever smaller cells.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.spatial import KDTree

from glmmcore.covariance._place_kernels import farthest_first
from glmmcore.engines.neighbours import NeighbourGraph

__all__ = ["maximin_order", "nearest_before", "neighbour_graph"]

# Places of the first batch, in which all distances are looked at.
_FIRST = 256


def neighbour_graph(
    coordinates: np.ndarray, first: np.ndarray, m: int, known: np.ndarray | None = None
) -> NeighbourGraph:
    """Neighbours within groups.

    Parameters
    ----------
    coordinates : ndarray, shape (q, d)
    first : ndarray of int64, shape (groups + 1,)
        First place of each group, and q.
    m : int
        Neighbours of each place.
    known : ndarray of int64, optional
        Places that come first and depend on each other only; others in their groups have neighbours among these, so
        that what is said of them does not depend on who else is asked about.
    """
    q = len(coordinates)
    neighbour = np.zeros((q, m), dtype=np.int64)
    count = np.zeros(q, dtype=np.int64)
    is_known = np.ones(q, dtype=bool)
    if known is not None:
        is_known[:] = False
        is_known[known] = True
    early, late = [], []
    for a, b in pairwise(first.tolist()):
        members = np.arange(a, b)
        leading = members[is_known[a:b]]
        others = members[~is_known[a:b]]
        if not len(leading):
            leading, others = members, members[:0]
        order = leading[maximin_order(coordinates[leading])]
        before, n_before = nearest_before(coordinates[order], m)
        neighbour[order], count[order] = order[before], n_before
        early.append(order)
        if len(others):
            n = min(m, len(order))
            _, found = KDTree(coordinates[order]).query(coordinates[others], k=n)
            neighbour[others, :n] = order[found.reshape(len(others), n)]
            count[others] = n
            late.append(others)
    return NeighbourGraph(np.concatenate(early + late), neighbour, count)


def maximin_order(coordinates: np.ndarray) -> np.ndarray:
    """From the middle on, each time the place farthest from all before, (n,); ties go to the smaller coordinates."""
    n = len(coordinates)
    ascending = np.lexsort(coordinates.T[::-1])
    sorted_places = np.ascontiguousarray(coordinates[ascending], dtype=np.float64)
    out = np.empty(n, dtype=np.int64)
    farthest_first(sorted_places, sorted_places.mean(axis=0), out)
    return ascending[out]


def nearest_before(coordinates: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Of places in order: the m nearest before each, (n, m), and how many there are, (n,); the nearest first."""
    n = len(coordinates)
    out = np.zeros((n, m), dtype=np.int64)
    count = np.minimum(np.arange(n), m)
    done, end = 0, min(n, max(_FIRST, 2 * m))
    while done < n:
        tree = KDTree(coordinates[:end])
        asked = np.arange(done, end)
        k = min(3 * m + 1, end)
        while len(asked):
            _, found = tree.query(coordinates[asked], k=k)
            found = found.reshape(len(asked), k)
            before = found < asked[:, None]
            enough = before.sum(axis=1) >= count[asked]
            place = np.argsort(~before[enough], axis=1, kind="stable")[:, :m]
            rows = asked[enough]
            nearest = np.take_along_axis(found[enough], place, axis=1)
            out[rows, : nearest.shape[1]] = np.where(np.arange(nearest.shape[1]) < count[rows, None], nearest, 0)
            asked = asked[~enough]
            k = min(2 * k, end)
        done, end = end, min(n, 2 * end)
    return out, count
