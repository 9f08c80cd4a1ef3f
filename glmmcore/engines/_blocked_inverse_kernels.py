"""Loops of the blocked system's selected inverse; names and shapes as in `_blocked_kernels`.

v_lead (L, k, k), v_cell (C, k) and v_trail (Q, Q) hold H^-1 on the pattern of Z'Z: leading blocks, cells and the
trailing block in full.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = [
    "factor_products",
    "gather_cells",
    "mirror",
    "row_covariances",
    "scale_inverse",
    "selected_inverse",
    "trailing_products",
]


@kernel
def mirror(a):
    """Copy the upper triangle onto the lower one, in squares that fit the cache."""
    n = a.shape[0]
    for c0 in range(0, n, 32):
        for r0 in range(c0, n, 32):
            for c in range(c0, min(c0 + 32, n)):
                for r in range(max(r0, c + 1), min(r0 + 32, n)):
                    a[r, c] = a[c, r]


@kernel
def trailing_products(cell_first, cell_column, y, v_trail, out):
    """The rows of V22 y that stand at the cells, `out` (C, k), zeroed; uses the upper triangle of V22 only.

    `v_trail` may cover only the first trailing coefficients; the others (fixed effects that are profiled, not
    integrated) are treated as absent.
    """
    n_used, k = v_trail.shape[0], y.shape[1]
    for j in range(cell_first.size - 1):
        lo, hi = cell_first[j], cell_first[j + 1]
        while hi > lo and cell_column[hi - 1] >= n_used:  # columns ascend
            hi -= 1
        for r in range(lo, hi):
            for p in range(r, hi):
                v = v_trail[cell_column[r], cell_column[p]]
                for a in range(k):
                    out[p, a] += v * y[r, a]
                    if p != r:
                        out[r, a] += v * y[p, a]


@kernel
def gather_cells(cell_first, cell_column, wide, out):
    """Take the rows at the cells, `out` (C, k), from a dense (L k, Q) array; zero beyond its columns."""
    k = out.shape[1]
    for j in range(cell_first.size - 1):
        for p in range(cell_first[j], cell_first[j + 1]):
            for a in range(k):
                out[p, a] = wide[j * k + a, cell_column[p]] if cell_column[p] < wide.shape[1] else 0.0


@kernel
def selected_inverse(l_lead, cell_first, y, product, v_lead, v_cell):
    """H^-1 on the pattern of Z'Z: v_cell = -V22 K, v_lead = D^-1 - K' v_cell, K = H21 D^-1 and `product` = V22 y."""
    n_levels, k = l_lead.shape[0], l_lead.shape[1]
    inverse = np.zeros((k, k))
    gain = np.empty(k)
    for j in range(n_levels):
        # inverse of the triangular factor, then D^-1 = L^-T L^-1
        for b in range(k):
            for a in range(b, k):
                value = 1.0 if a == b else 0.0
                for c in range(b, a):
                    value -= l_lead[j, a, c] * inverse[c, b]
                inverse[a, b] = value / l_lead[j, a, a]
        for a in range(k):
            for b in range(a + 1):
                value = 0.0
                for c in range(a, k):
                    value += inverse[c, a] * inverse[c, b]
                v_lead[j, a, b] = value
                v_lead[j, b, a] = value
        for p in range(cell_first[j], cell_first[j + 1]):
            for a in range(k):
                gain[a], value = 0.0, 0.0
                for c in range(a, k):
                    gain[a] += y[p, c] * inverse[c, a]
                    value -= product[p, c] * inverse[c, a]
                v_cell[p, a] = value
            for a in range(k):
                for b in range(k):
                    v_lead[j, a, b] -= gain[a] * v_cell[p, b]


@kernel
def _lead_times(t, v_lead, j, out):
    """out = T V of the leading level j."""
    k = out.shape[0]
    for a in range(k):
        for b in range(k):
            value = 0.0
            for c in range(a + 1):
                value += t[0, a, c] * v_lead[j, c, b]
            out[a, b] = value


@kernel
def factor_products(
    m_lead, m_cell, m_trail, t, sizes, v_lead, v_cell, v_trail, cell_first, cell_factor, q_start, q_within, q_factor, g
):
    """Sum over levels of the diagonal blocks of Z'WZ Lambda H^-1: g (F, kmax, kmax), zeroed."""
    n_levels, k = m_lead.shape[0], m_lead.shape[1]
    tv = np.empty((k, k))
    for j in range(n_levels):
        _lead_times(t, v_lead, j, tv)
        for a in range(k):
            for b in range(k):
                value = 0.0
                for c in range(k):
                    m = m_lead[j, a, c] if a >= c else m_lead[j, c, a]
                    value += m * tv[c, b]
                g[0, a, b] += value
        row = cell_first[j]
        while row < cell_first[j + 1]:
            f = cell_factor[row]
            size = sizes[f]
            for w in range(size):
                for a in range(k):
                    # (T_f V_cell)[w, a] against M_cell for the leading block
                    value = 0.0
                    for c in range(w + 1):
                        value += t[f, w, c] * v_cell[row + c, a]
                    for b in range(k):
                        g[0, b, a] += m_cell[row + w, b] * value
                    # M_cell (T V_cell') for the trailing block
                    for x in range(size):
                        value = 0.0
                        for c in range(a + 1):
                            value += t[0, a, c] * v_cell[row + x, c]
                        g[f, w, x] += m_cell[row + w, a] * value
            row += size
    for column in range(v_trail.shape[0]):
        for row in range(column, v_trail.shape[0]):
            m = m_trail[column, row]
            if m == 0.0:  # different levels of one factor, mostly
                continue
            c, r = column, row
            for _ in range(1 if row == column else 2):
                fc, fr, wr = q_factor[c], q_factor[r], q_within[r]
                for x in range(sizes[fc]):
                    value = 0.0
                    for b in range(wr + 1):
                        value += t[fr, wr, b] * v_trail[q_start[r] + b, q_start[c] + x]
                    g[fc, q_within[c], x] += m * value
                c, r = row, column


@kernel
def scale_inverse(t, sizes, cell_first, cell_factor, q_factor, v_lead, v_cell, v_trail):
    """Replace V = H^-1 by Lambda V Lambda' on the pattern, in place (full trailing block)."""
    n_levels, k = v_lead.shape[0], v_lead.shape[1]
    work = np.empty((k, k))
    largest = 1
    for f in range(sizes.size):
        largest = max(largest, sizes[f])
    block = np.empty((largest, k))
    column = np.empty(largest)
    for j in range(n_levels):
        _lead_times(t, v_lead, j, work)
        for a in range(k):
            for b in range(k):
                value = 0.0
                for c in range(b + 1):
                    value += work[a, c] * t[0, b, c]
                v_lead[j, a, b] = value
        row = cell_first[j]
        while row < cell_first[j + 1]:
            f = cell_factor[row]
            size = sizes[f]
            for w in range(size):
                for a in range(k):
                    value = 0.0
                    for c in range(a + 1):
                        value += v_cell[row + w, c] * t[0, a, c]
                    block[w, a] = value
            for w in range(size):
                for a in range(k):
                    value = 0.0
                    for c in range(w + 1):
                        value += t[f, w, c] * block[c, a]
                    v_cell[row + w, a] = value
            row += size
    q = v_trail.shape[0]
    for c in range(q):  # left: rows
        r = 0
        while r < q:
            f = q_factor[r]
            for w in range(sizes[f]):
                value = 0.0
                for b in range(w + 1):
                    value += t[f, w, b] * v_trail[r + b, c]
                column[w] = value
            for w in range(sizes[f]):
                v_trail[r + w, c] = column[w]
            r += sizes[f]
    c = 0
    while c < q:  # right: columns
        f = q_factor[c]
        for r in range(q):
            for w in range(sizes[f]):
                value = 0.0
                for b in range(w + 1):
                    value += t[f, w, b] * v_trail[r, c + b]
                column[w] = value
            for w in range(sizes[f]):
                v_trail[r, c + w] = column[w]
        c += sizes[f]


@kernel
def row_covariances(lo, hi, k, z, predictor, factor, within, start, cell, v_lead, v_cell, v_trail, out):
    """Add Z V Z' of each run, packed lower triangle over predictors, to out (pairs, hi - lo).

    V is as `scale_inverse` left it.
    """
    n_columns = z.shape[1]
    n_lead = v_lead.shape[0] * k
    n_used = v_trail.shape[0]
    for i in range(lo, hi):
        r = i - lo
        j = start[i, 0] // k if k > 0 else 0
        for a in range(k):
            pa = predictor[a]
            for b in range(k):
                pb = predictor[b]
                if pa >= pb:
                    out[pa * (pa + 1) // 2 + pb, r] += z[i, a] * z[i, b] * v_lead[j, a, b]
        for c in range(k, n_columns):
            p = start[i, factor[c]] + within[c] - n_lead
            if p >= n_used:
                continue
            pc = predictor[c]
            row = cell[i, factor[c]] + within[c]
            for a in range(k):
                pa = predictor[a]
                value = z[i, c] * z[i, a] * v_cell[row, a]
                if pa == pc:
                    out[pa * (pa + 1) // 2 + pa, r] += 2.0 * value
                elif pa > pc:
                    out[pa * (pa + 1) // 2 + pc, r] += value
                else:
                    out[pc * (pc + 1) // 2 + pa, r] += value
            for d in range(k, n_columns):
                pd = predictor[d]
                if pc >= pd:
                    q = start[i, factor[d]] + within[d] - n_lead
                    if q < n_used:
                        out[pc * (pc + 1) // 2 + pd, r] += z[i, c] * z[i, d] * v_trail[p, q]
