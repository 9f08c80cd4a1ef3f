"""Loops over effects each of which depends on a few that come before it; see `neighbours`.

``order`` (q,) lists the effects, each after its neighbours; ``neighbour`` (q, m) are those of each effect, the first
``count`` (q,) of a row, and ``weight`` (q, m) what each has in x_i = sum_j weight_ij x_j + sqrt(innovation_i) u_i.
Pairs (a, b), a >= b, of an effect (the last, a = count) and its neighbours are packed as a (a + 1) / 2 + b;
``entry`` (q, pairs) says where the pattern of the precision holds them.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = [
    "apply_root",
    "apply_root_transposed",
    "assemble",
    "change_of_precision",
    "condition",
    "differences",
    "differences_transposed",
    "farthest_first",
    "pair_distances",
    "slopes",
]


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


@kernel
def apply_root(order, neighbour, count, weight, innovation, u, out):
    """Effects x from innovations u, both (q, e)."""
    for i in order:
        root = np.sqrt(innovation[i])
        for e in range(u.shape[1]):
            x = root * u[i, e]
            for a in range(count[i]):
                x += weight[i, a] * out[neighbour[i, a], e]
            out[i, e] = x


@kernel
def apply_root_transposed(order, neighbour, count, weight, innovation, x, out):
    """The adjoint of `apply_root`, both (q, e)."""
    for i in range(x.shape[0]):
        for e in range(x.shape[1]):
            out[i, e] = x[i, e]
    for at in range(order.size - 1, -1, -1):
        i = order[at]
        root = np.sqrt(innovation[i])
        for e in range(x.shape[1]):
            total = out[i, e]
            for a in range(count[i]):
                out[neighbour[i, a], e] += weight[i, a] * total
            out[i, e] = root * total


@kernel
def differences(neighbour, count, weight, x, out):
    """Each effect less what its neighbours say of it, B x, both (q, e)."""
    for i in range(x.shape[0]):
        for e in range(x.shape[1]):
            total = x[i, e]
            for a in range(count[i]):
                total -= weight[i, a] * x[neighbour[i, a], e]
            out[i, e] = total


@kernel
def differences_transposed(neighbour, count, weight, x, out):
    """The adjoint of `differences`, added to `out`."""
    for i in range(x.shape[0]):
        for e in range(x.shape[1]):
            out[i, e] += x[i, e]
            for a in range(count[i]):
                out[neighbour[i, a], e] -= weight[i, a] * x[i, e]


@kernel
def assemble(count, weight, innovation, entry, value):
    """Add the precision B' F^-1 B on its pattern, lower triangle, to `value`."""
    for i in range(count.size):
        c = count[i]
        scale = 1.0 / innovation[i]
        for a in range(c + 1):
            one = 1.0 if a == c else -weight[i, a]
            row = a * (a + 1) // 2
            for b in range(a + 1):
                other = 1.0 if b == c else -weight[i, b]
                value[entry[i, row + b]] += scale * one * other


@kernel
def slopes(count, weight, innovation, entry, d_weight, d_innovation, value, logs, out):
    """Add, by parameter, the sum of W dP over all entries and ``logs`` times the change of the sum of log F.

    W is symmetric, `value` its lower triangle on the pattern of P = B' F^-1 B.
    """
    m = weight.shape[1]
    y = np.empty(m + 1)
    for i in range(count.size):
        c = count[i]
        for a in range(c + 1):
            y[a] = 0.0
        for a in range(c + 1):
            one = 1.0 if a == c else -weight[i, a]
            row = a * (a + 1) // 2
            for b in range(a + 1):
                w = value[entry[i, row + b]]
                other = 1.0 if b == c else -weight[i, b]
                y[a] += w * other
                if b < a:
                    y[b] += w * one
        square = y[c]
        for a in range(c):
            square -= y[a] * weight[i, a]
        f = innovation[i]
        for p in range(d_innovation.shape[0]):
            change = 0.0
            for a in range(c):
                change -= y[a] * d_weight[p, i, a]
            out[p] += 2.0 * change / f - square * d_innovation[p, i] / (f * f) + logs * d_innovation[p, i] / f


@kernel
def change_of_precision(neighbour, count, weight, innovation, d_weight, d_innovation, x, out):
    """Add dP x to `out`, (q,), for one parameter with derivatives (q, m) and (q,)."""
    for i in range(x.size):
        c = count[i]
        own, moved = x[i], 0.0
        for a in range(c):
            own -= weight[i, a] * x[neighbour[i, a]]
            moved -= d_weight[i, a] * x[neighbour[i, a]]
        f = innovation[i]
        share = own / f
        both = moved / f - share * d_innovation[i] / f
        out[i] += both
        for a in range(c):
            out[neighbour[i, a]] -= weight[i, a] * both + d_weight[i, a] * share
