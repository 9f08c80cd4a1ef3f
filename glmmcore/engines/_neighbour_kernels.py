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
    "differences",
    "differences_transposed",
    "slopes",
]


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
