"""Loops of a blocked system whose factors have one coefficient a level each.

The same functions as in `_blocked_kernels` and `_blocked_inverse_kernels`, with the same arguments and shapes (k = 1;
`row_covariances` without those that say where a column belongs), for the commonest models; every cell is one number.
Fixed effects as a last factor may have several coefficients: their relative factor is the identity.

Indices are made unsigned: Numba asks of every signed one whether it counts from the end, which takes as long as the
sums here.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = [
    "back_substitute",
    "eliminate_leading",
    "factor_products",
    "factor_products_of_one",
    "forward_substitute",
    "multiply",
    "row_covariances",
    "row_covariances_of_two",
    "scale_inverse",
    "selected_inverse",
    "subtract_products",
    "trailing_products",
]


@kernel
def eliminate_leading(m_lead, prior, cell_first, cell_factor, m_cell, t, sizes, l_lead, y):
    """l_lead[j] = sqrt(t^2 M_j + prior), y[j] = t_f M_cell t / l_lead[j]; returns as its namesake."""
    logdet = 0.0
    for j in range(m_lead.shape[0]):
        value = t[0, 0, 0] * m_lead[j, 0, 0] * t[0, 0, 0] + prior
        if not value > 0.0:
            return logdet, j
        root = np.sqrt(value)
        l_lead[j, 0, 0] = root
        logdet += np.log(value)
        share = t[0, 0, 0] / root
        for p in range(np.uint64(cell_first[j]), np.uint64(cell_first[j + 1])):
            y[p, 0] = m_cell[p, 0] * t[np.uint64(cell_factor[p]), 0, 0] * share
    return logdet, -1


@kernel
def multiply(m_lead, cell_first, cell_column, m_cell, x, out):
    """Add to `out` Z'WZ x without what the trailing block does to the trailing part."""
    n_lead = np.uint64(m_lead.shape[0])
    for j in range(n_lead):
        own, total = x[j], m_lead[j, 0, 0] * x[j]
        for p in range(np.uint64(cell_first[j]), np.uint64(cell_first[j + np.uint64(1)])):
            column = n_lead + np.uint64(cell_column[p])
            out[column] += m_cell[p, 0] * own
            total += m_cell[p, 0] * x[column]
        out[j] += total


@kernel
def subtract_products(cell_first, cell_column, y, s):
    """s -= y y', level by level."""
    for j in range(cell_first.size - 1):
        hi = np.uint64(cell_first[j + 1])
        for r in range(np.uint64(cell_first[j]), hi):
            column, value = np.uint64(cell_column[r]), y[r, 0]
            for p in range(r, hi):
                s[column, np.uint64(cell_column[p])] -= y[p, 0] * value


@kernel
def forward_substitute(l_lead, cell_first, cell_column, y, x):
    """x := L^-1 x on the leading part, and take its effect out of the trailing part (in place)."""
    n_lead = np.uint64(l_lead.shape[0])
    for j in range(n_lead):
        value = x[j] / l_lead[j, 0, 0]
        x[j] = value
        for p in range(np.uint64(cell_first[j]), np.uint64(cell_first[j + np.uint64(1)])):
            x[n_lead + np.uint64(cell_column[p])] -= y[p, 0] * value


@kernel
def back_substitute(l_lead, cell_first, cell_column, y, x):
    """Finish the solve of the leading part once the trailing part of `x` is solved (in place)."""
    n_lead = np.uint64(l_lead.shape[0])
    for j in range(n_lead):
        value = x[j]
        for p in range(np.uint64(cell_first[j]), np.uint64(cell_first[j + np.uint64(1)])):
            value -= y[p, 0] * x[n_lead + np.uint64(cell_column[p])]
        x[j] = value / l_lead[j, 0, 0]


@kernel
def trailing_products(cell_first, cell_column, y, v_trail, out):
    """The rows of V22 y that stand at the cells, `out` (C, 1), zeroed; uses the upper triangle of V22 only."""
    n_used = np.uint64(v_trail.shape[0])
    for j in range(cell_first.size - 1):
        lo, hi = np.uint64(cell_first[j]), np.uint64(cell_first[j + 1])
        while hi > lo and np.uint64(cell_column[hi - np.uint64(1)]) >= n_used:  # columns ascend
            hi -= np.uint64(1)
        for r in range(lo, hi):
            column, value = np.uint64(cell_column[r]), y[r, 0]
            total = v_trail[column, column] * value
            for p in range(r + np.uint64(1), hi):
                v = v_trail[column, np.uint64(cell_column[p])]
                total += v * y[p, 0]
                out[p, 0] += v * value
            out[r, 0] += total


@kernel
def selected_inverse(l_lead, cell_first, y, product, v_lead, v_cell):
    """H^-1 on the pattern of Z'Z: v_cell = -V22 y / l, v_lead = (1 - y' v_cell l) / l^2, with `product` = V22 y."""
    for j in range(l_lead.shape[0]):
        scale = 1.0 / l_lead[j, 0, 0]
        total = 0.0
        for p in range(np.uint64(cell_first[j]), np.uint64(cell_first[j + 1])):
            value = -product[p, 0] * scale
            v_cell[p, 0] = value
            total += y[p, 0] * value
        v_lead[j, 0, 0] = scale * (scale - total)


@kernel
def factor_products(
    m_lead, m_cell, m_trail, t, sizes, v_lead, v_cell, v_trail, cell_first, cell_factor, q_start, q_within, q_factor, g
):
    """Diagonals of the sum over levels of the diagonal blocks of Z'WZ Lambda H^-1: g (F, kmax, kmax), zeroed."""
    t0 = t[0, 0, 0]
    total = 0.0
    for j in range(m_lead.shape[0]):
        total += m_lead[j, 0, 0] * v_lead[j, 0, 0] * t0
        row, hi = cell_first[j], cell_first[j + 1]
        while row < hi:
            f = cell_factor[row]
            w, own = 0, 0.0
            while row < hi and cell_factor[row] == f:
                product = m_cell[row, 0] * v_cell[row, 0]
                own += product
                if sizes[f] > 1:
                    g[f, w, w] += product * t0
                w += 1
                row += 1
            total += own * t[f, 0, 0]
            if sizes[f] == 1:
                g[f, 0, 0] += own * t0
    g[0, 0, 0] += total
    n = v_trail.shape[0]
    end = 0
    for c in range(n):
        f, w = q_factor[c], q_within[c]
        g[f, w, w] += m_trail[c, c] * t[f, 0, 0] * v_trail[c, c]
        while end < n and q_factor[end] <= f:
            end += 1
        # no row is in two levels of one factor
        for r in range(end if sizes[f] == 1 else c + 1, n):
            product = m_trail[c, r] * v_trail[c, r]
            other = q_factor[r]
            g[f, w, w] += product * t[other, 0, 0]
            g[other, q_within[r], q_within[r]] += product * t[f, 0, 0]


@kernel
def factor_products_of_one(m_lead, t, v_lead, g):
    """The same for one factor."""
    total = 0.0
    for j in range(m_lead.shape[0]):
        total += m_lead[j, 0, 0] * v_lead[j, 0, 0] * t[0, 0, 0]
    g[0, 0, 0] += total


@kernel
def scale_inverse(t, sizes, cell_first, cell_factor, q_factor, v_lead, v_cell, v_trail):
    """Replace V = H^-1 by Lambda V Lambda' on the pattern, in place (full trailing block)."""
    for j in range(v_lead.shape[0]):
        v_lead[j, 0, 0] *= t[0, 0, 0] * t[0, 0, 0]
    for p in range(v_cell.shape[0]):
        v_cell[p, 0] *= t[0, 0, 0] * t[cell_factor[p], 0, 0]
    n = v_trail.shape[0]
    scale = np.empty(n)
    for c in range(n):
        scale[c] = t[q_factor[c], 0, 0]
    for c in range(n):
        for r in range(n):
            v_trail[c, r] *= scale[c] * scale[r]


@kernel
def row_covariances(lo, hi, z, start, cell, v_lead, v_cell, v_trail, out):
    """Add Z V Z' of each run to out (1, hi - lo): intercepts in one predictor, V is as `scale_inverse` left it."""
    n_lead, n_used = v_lead.shape[0], v_trail.shape[0]
    for i in range(lo, hi):
        total = z[i, 0] * z[i, 0] * v_lead[start[i, 0], 0, 0]
        for c in range(1, z.shape[1]):
            p = start[i, c] - n_lead
            if p < n_used:
                inner = 2.0 * z[i, 0] * v_cell[cell[i, c], 0] + z[i, c] * v_trail[p, p]
                for d in range(1, c):
                    inner += 2.0 * z[i, d] * v_trail[p, start[i, d] - n_lead]
                total += z[i, c] * inner
        out[0, i - lo] += total


@kernel
def row_covariances_of_two(lo, hi, z, start, cell, v_lead, v_cell, v_trail, out):
    """The same for two intercepts."""
    n_lead, n_used = v_lead.shape[0], v_trail.shape[0]
    for at in range(np.uint64(hi - lo)):
        run = np.uint64(lo) + at
        level, column = np.uint64(start[run, 0]), np.uint64(start[run, 1]) - np.uint64(n_lead)
        z0, z1 = z[run, 0], z[run, 1]
        total = z0 * z0 * v_lead[level, 0, 0]
        if column < np.uint64(n_used):
            total += z1 * (2.0 * z0 * v_cell[np.uint64(cell[run, 1]), 0] + z1 * v_trail[column, column])
        out[0, at] += total
