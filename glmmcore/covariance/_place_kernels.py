"""Loops over places and their neighbours; see `place_order`, and `fields` for the laws.

Of each place the first ``count`` (q,) neighbours of m are meant. Pairs a >= b of a place (the last, a = count) and its
neighbours are packed as a (a + 1) / 2 + b; ``entry`` (q, pairs) says which of all distinct pairs each is.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = ["condition", "farthest_first"]


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
def condition(count, entry, nugget, law, weight, innovation, d_weight, d_innovation):
    """Weights and innovations of all effects, with their derivatives by p parameters.

    ``law`` (pairs, 1 + p) has the correlation of each distinct pair and its derivatives; the first q are each effect
    with itself. With K the correlations among neighbours plus the nugget, k those with the effect: weights
    w = K^-1 k, innovation 1 + nugget - k'w, dw = K^-1 (dk - dK w), d innovation = -(2 dk - dK w)'w.
    """
    m, p = weight.shape[1], d_innovation.shape[0]
    own_law = np.empty((1 + p, m + 1, m + 1))
    lower = np.empty((m, m))
    y = np.empty(m)
    for i in range(count.size):
        c = count[i]
        for a in range(c + 1):
            row = a * (a + 1) // 2
            for b in range(a):
                at = entry[i, row + b]
                for f in range(1 + p):
                    own_law[f, a, b] = law[at, f]
        for a in range(c):
            for b in range(a + 1):
                x = own_law[0, a, b] if b < a else 1.0 + nugget
                for e in range(b):
                    x -= lower[a, e] * lower[b, e]
                lower[a, b] = x / lower[b, b] if b < a else np.sqrt(max(x, 0.1 * nugget))
        left = 1.0 + nugget
        for a in range(c):
            x = own_law[0, c, a]
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
        for f in range(p):
            for a in range(c):
                y[a] = 0.0
            for a in range(c):
                for b in range(a):
                    y[a] -= own_law[1 + f, a, b] * weight[i, b]
                    y[b] -= own_law[1 + f, a, b] * weight[i, a]
            change = 0.0
            for a in range(c):
                dk = own_law[1 + f, c, a]
                change -= (2.0 * dk + y[a]) * weight[i, a]
                y[a] += dk
            d_innovation[f, i] = change
            for a in range(c):
                x = y[a]
                for e in range(a):
                    x -= lower[a, e] * y[e]
                y[a] = x / lower[a, a]
            for a in range(c - 1, -1, -1):
                x = y[a]
                for e in range(a + 1, c):
                    x -= lower[e, a] * d_weight[f, i, e]
                d_weight[f, i, a] = x / lower[a, a]
