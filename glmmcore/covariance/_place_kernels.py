"""Loops over places and their neighbours; see `place_order`, and `fields` for the laws.

``neighbour`` (q, m) are those of each place, the first ``count`` (q,) of a row. Pairs a > b of a place (the last,
a = count) and its neighbours are packed as a (a - 1) / 2 + b.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = ["condition", "farthest_first", "pair_distances"]


@kernel
def farthest_first(coordinates, centre, out):
    """Order places (n, d): the nearest to the centre, then each time the farthest from all before."""
    n, d = coordinates.shape
    nearest = np.empty(n)
    at = 0
    for i in range(n):
        total = 0.0
        for c in range(d):
            step = coordinates[i, c] - centre[c]
            total += step * step
        nearest[i] = total
        if total < nearest[at]:
            at = i
    nearest[:] = np.inf
    for position in range(n):
        out[position] = at
        nearest[at] = -1.0
        farthest = at
        for i in range(n):
            if nearest[i] < 0.0:
                continue
            total = 0.0
            for c in range(d):
                step = coordinates[i, c] - coordinates[at, c]
                total += step * step
            nearest[i] = min(nearest[i], total)
            if nearest[i] > nearest[farthest]:
                farthest = i
        at = farthest


@kernel
def pair_distances(lo, hi, coordinates, neighbour, count, out):
    """Distances among the neighbours of the effects lo..hi and to these, pairs a > b packed, (hi - lo, pairs)."""
    for i in range(lo, hi):
        for a in range(1, count[i] + 1):
            one = i if a == count[i] else neighbour[i, a]
            for b in range(a):
                other = neighbour[i, b]
                total = 0.0
                for d in range(coordinates.shape[1]):
                    step = coordinates[one, d] - coordinates[other, d]
                    total += step * step
                out[i - lo, a * (a - 1) // 2 + b] = np.sqrt(total)


@kernel
def condition(lo, hi, count, nugget, correlation, slope, weight, innovation, d_weight, d_innovation):
    """Weights and innovations of the effects lo..hi, with their derivatives by p parameters.

    ``correlation`` (hi - lo, pairs) and ``slope`` (p, hi - lo, pairs) are packed as distances are. With K the
    correlations among neighbours plus the nugget, k those with the effect: weights w = K^-1 k, innovation
    1 + nugget - k'w, dw = K^-1 (dk - dK w), d innovation = -(2 dk - dK w)'w.
    """
    m = weight.shape[1]
    lower = np.empty((m, m))
    y = np.empty(m)
    for i in range(lo, hi):
        r = i - lo
        c = count[i]
        own = c * (c - 1) // 2
        for a in range(c):
            row = a * (a - 1) // 2
            for b in range(a + 1):
                x = correlation[r, row + b] if b < a else 1.0 + nugget
                for e in range(b):
                    x -= lower[a, e] * lower[b, e]
                lower[a, b] = x / lower[b, b] if b < a else np.sqrt(max(x, 0.1 * nugget))
        left = 1.0 + nugget
        for a in range(c):
            x = correlation[r, own + a]
            for e in range(a):
                x -= lower[a, e] * y[e]
            y[a] = x / lower[a, a]
            left -= y[a] * y[a]
        innovation[i] = max(left, 0.1 * nugget)
        for a in range(c - 1, -1, -1):
            x = y[a]
            for e in range(a + 1, c):
                x -= lower[e, a] * weight[i, e]
            weight[i, a] = x / lower[a, a]
        for p in range(slope.shape[0]):
            for a in range(c):
                y[a] = 0.0
            for a in range(c):
                row = a * (a - 1) // 2
                for b in range(a):
                    y[a] -= slope[p, r, row + b] * weight[i, b]
                    y[b] -= slope[p, r, row + b] * weight[i, a]
            change = 0.0
            for a in range(c):
                dk = slope[p, r, own + a]
                change -= (2.0 * dk + y[a]) * weight[i, a]
                y[a] += dk
            d_innovation[p, i] = change
            for a in range(c):
                x = y[a]
                for e in range(a):
                    x -= lower[a, e] * y[e]
                y[a] = x / lower[a, a]
            for a in range(c - 1, -1, -1):
                x = y[a]
                for e in range(a + 1, c):
                    x -= lower[e, a] * d_weight[p, i, e]
                d_weight[p, i, a] = x / lower[a, a]
