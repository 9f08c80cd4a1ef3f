"""Loops of the blocked system: leading block-diagonal factor, sparse cells, dense trailing block.

Shapes used throughout: n rows sorted by leading level, L leading levels with k coefficients each, K trailing columns
per row, Q trailing columns in all, F trailing factors, C = total height of the cell blocks.

=============  ===========  ======================================================================================
name           shape        meaning
=============  ===========  ======================================================================================
lead           (n,)         leading level of each row, ascending
z_lead         (n, k)       leading left-hand side
z_trail        (n, K)       left-hand sides of all trailing factors side by side
column_factor  (K,)         trailing factor of each of the K columns
column_within  (K,)         position of the column inside its factor's block
start          (n, F)       first trailing column of the row's level of each factor
cell           (n, F)       first cell row of the row's (leading level, trailing level) pair
m_lead         (L, k, k)    Z'WZ of each leading level
m_cell         (C, k)       Z'WZ between trailing (rows) and leading (columns), one small block a cell
m_trail        (Q, Q)       Z'WZ of the trailing columns, lower triangle (blocks on the diagonal in full)
=============  ===========  ======================================================================================
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = [
    "accumulate",
    "accumulate_score",
    "back_substitute",
    "cell_layout",
    "eliminate_leading",
    "factor_products",
    "forward_substitute",
    "linear_predictors",
    "row_covariances",
    "scale_inverse",
    "scale_trailing",
    "selected_inverse",
    "sort_rows",
]


@kernel
def sort_rows(codes, n_levels):
    """Stable counting sort: (order, first row of each level)."""
    first = np.zeros(n_levels + 1, dtype=np.int64)
    for i in range(codes.size):
        first[codes[i] + 1] += 1
    for j in range(n_levels):
        first[j + 1] += first[j]
    fill = first.copy()
    order = np.empty(codes.size, dtype=np.int64)
    for i in range(codes.size):
        order[fill[codes[i]]] = i
        fill[codes[i]] += 1
    return order, first


@kernel
def cell_layout(first, codes, sizes, level_start, n_slots, start, cell):
    """Number the distinct (leading level, trailing level) pairs level by level.

    Fills `start` and `cell`; returns (first cell row of each leading level, trailing column of each cell row,
    factor of each cell row).
    """
    n_levels = first.size - 1
    n_factors = sizes.size
    seen_in = np.full(n_slots, -1, dtype=np.int64)
    where = np.zeros(n_slots, dtype=np.int64)
    cell_first = np.zeros(n_levels + 1, dtype=np.int64)
    height = 0
    for j in range(n_levels):
        for i in range(first[j], first[j + 1]):
            for f in range(n_factors):
                slot = level_start[f] + codes[i, f]
                if seen_in[slot] != j:
                    seen_in[slot] = j
                    where[slot] = height
                    height += sizes[f]
                cell[i, f] = where[slot]
        cell_first[j + 1] = height
    cell_column = np.empty(height, dtype=np.int32)
    cell_factor = np.empty(height, dtype=np.int32)
    for i in range(codes.shape[0]):
        for f in range(n_factors):
            for a in range(sizes[f]):
                cell_column[cell[i, f] + a] = start[i, f] + a
                cell_factor[cell[i, f] + a] = f
    return cell_first, cell_column, cell_factor


@kernel
def linear_predictors(
    lo, hi, lead, z_lead, lead_predictor, z_trail, trail_predictor, column_factor, column_within, start, b, out
):
    """Add Z b of rows lo..hi to out (m, hi - lo)."""
    k = z_lead.shape[1]
    n_trail = z_trail.shape[1]
    offset = b.size - 0
    for i in range(lo, hi):
        base = lead[i] * k
        for a in range(k):
            out[lead_predictor[a], i - lo] += z_lead[i, a] * b[base + a]
        for c in range(n_trail):
            offset = start[i, column_factor[c]] + column_within[c]
            out[trail_predictor[c], i - lo] += z_trail[i, c] * b[offset]


@kernel
def accumulate(
    lo, hi, lead, z_lead, lead_predictor, z_trail, trail_predictor, column_factor, column_within, start, cell,
    n_lead, weights, m_lead, m_cell, m_trail,
):  # fmt: skip
    """Add the rows lo..hi to Z'WZ; `weights` (pairs, hi - lo) packs the lower triangle of each row's m x m W."""
    k = z_lead.shape[1]
    n_trail = z_trail.shape[1]
    for i in range(lo, hi):
        r = i - lo
        j = lead[i]
        for a in range(k):
            pa = lead_predictor[a]
            za = z_lead[i, a]
            for b in range(a + 1):
                pb = lead_predictor[b]
                pair = pa * (pa + 1) // 2 + pb if pa >= pb else pb * (pb + 1) // 2 + pa
                m_lead[j, a, b] += weights[pair, r] * za * z_lead[i, b]
        for c in range(n_trail):
            pc = trail_predictor[c]
            zc = z_trail[i, c]
            fc = column_factor[c]
            row = cell[i, fc] + column_within[c]
            for a in range(k):
                pa = lead_predictor[a]
                pair = pa * (pa + 1) // 2 + pc if pa >= pc else pc * (pc + 1) // 2 + pa
                m_cell[row, a] += weights[pair, r] * zc * z_lead[i, a]
            p = start[i, fc] + column_within[c] - n_lead
            for d in range(c + 1):
                pd = trail_predictor[d]
                pair = pc * (pc + 1) // 2 + pd if pc >= pd else pd * (pd + 1) // 2 + pc
                q = start[i, column_factor[d]] + column_within[d] - n_lead
                value = weights[pair, r] * zc * z_trail[i, d]
                m_trail[p, q] += value
                if d != c and column_factor[d] == fc:
                    m_trail[q, p] += value


@kernel
def accumulate_score(
    lo, hi, lead, z_lead, lead_predictor, z_trail, trail_predictor, column_factor, column_within, start, values, out
):
    """Add Z' values of rows lo..hi to out (q,); `values` is (m, hi - lo)."""
    k = z_lead.shape[1]
    n_trail = z_trail.shape[1]
    for i in range(lo, hi):
        base = lead[i] * k
        for a in range(k):
            out[base + a] += z_lead[i, a] * values[lead_predictor[a], i - lo]
        for c in range(n_trail):
            out[start[i, column_factor[c]] + column_within[c]] += (
                z_trail[i, c] * values[trail_predictor[c], i - lo]
            )


@kernel
def scale_trailing(m_trail, block_start, within, factor, t, sizes, prior, s):
    """s = Lambda' M Lambda + diag(prior) on the lower triangle of the trailing block."""
    q = s.shape[0]
    for c in range(q):
        fc = factor[c]
        bc = block_start[c]
        wc = within[c]
        for r in range(c, q):
            fr = factor[r]
            br = block_start[r]
            wr = within[r]
            value = 0.0
            for a in range(wr, sizes[fr]):
                for b in range(wc, sizes[fc]):
                    value += t[fr, a, wr] * m_trail[br + a, bc + b] * t[fc, b, wc]
            s[r, c] = value
        s[c, c] += prior[c]


@kernel
def eliminate_leading(m_lead, t_lead, cell_first, cell_column, cell_factor, m_cell, t, sizes, l_lead, y, s):
    """Factor every leading block and take its Schur complement out of `s`.

    l_lead[j] = chol(T' M_j T + I); y[j] = (T_f' M_cell T) l_lead[j]^-T; s -= y y'. Returns (log det of the leading
    part, first level whose block is not positive definite or -1).
    """
    n_levels, k = m_lead.shape[0], m_lead.shape[1]
    work = np.empty((k, k))
    logdet = 0.0
    for j in range(n_levels):
        # M T, then T' (M T)
        for a in range(k):
            for b in range(k):
                value = 0.0
                for c in range(b, k):
                    m = m_lead[j, a, c] if a >= c else m_lead[j, c, a]
                    value += m * t_lead[c, b]
                work[a, b] = value
        for a in range(k):
            for b in range(a + 1):
                value = 1.0 if a == b else 0.0
                for c in range(a, k):
                    value += t_lead[c, a] * work[c, b]
                for c in range(b):
                    value -= l_lead[j, a, c] * l_lead[j, b, c]
                if a == b:
                    if not value > 0.0:
                        return logdet, j
                    l_lead[j, a, a] = np.sqrt(value)
                    logdet += np.log(value)
                else:
                    l_lead[j, a, b] = value / l_lead[j, b, b]
        if k == 0:
            continue
        lo = cell_first[j]
        hi = cell_first[j + 1]
        row = lo
        while row < hi:
            f = cell_factor[row]
            size = sizes[f]
            for w in range(size):
                for b in range(k):
                    value = 0.0
                    for a in range(w, size):
                        inner = 0.0
                        for c in range(b, k):
                            inner += m_cell[row + a, c] * t_lead[c, b]
                        value += t[f, a, w] * inner
                    for c in range(b):
                        value -= y[row + w, c] * l_lead[j, b, c]
                    y[row + w, b] = value / l_lead[j, b, b]
            row += size
        for p in range(lo, hi):
            cp = cell_column[p]
            for r in range(lo, p + 1):
                cr = cell_column[r]
                value = 0.0
                for a in range(k):
                    value += y[p, a] * y[r, a]
                if cp >= cr:
                    s[cp, cr] -= value
                else:
                    s[cr, cp] -= value
    return logdet, -1


@kernel
def forward_substitute(l_lead, cell_first, cell_column, y, x):
    """x := L^-1 x on the leading part, and take its effect out of the trailing part (in place)."""
    n_levels, k = l_lead.shape[0], l_lead.shape[1]
    n_lead = n_levels * k
    for j in range(n_levels):
        base = j * k
        for a in range(k):
            value = x[base + a]
            for c in range(a):
                value -= l_lead[j, a, c] * x[base + c]
            x[base + a] = value / l_lead[j, a, a]
        for p in range(cell_first[j], cell_first[j + 1]):
            value = 0.0
            for a in range(k):
                value += y[p, a] * x[base + a]
            x[n_lead + cell_column[p]] -= value


@kernel
def back_substitute(l_lead, cell_first, cell_column, y, x):
    """Finish the solve of the leading part once the trailing part of `x` is solved (in place)."""
    n_levels, k = l_lead.shape[0], l_lead.shape[1]
    n_lead = n_levels * k
    for j in range(n_levels):
        base = j * k
        for p in range(cell_first[j], cell_first[j + 1]):
            value = x[n_lead + cell_column[p]]
            for a in range(k):
                x[base + a] -= y[p, a] * value
        for a in range(k - 1, -1, -1):
            value = x[base + a]
            for c in range(a + 1, k):
                value -= l_lead[j, c, a] * x[base + c]
            x[base + a] = value / l_lead[j, a, a]


@kernel
def selected_inverse(l_lead, cell_first, cell_column, y, v_trail, n_used, v_lead, v_cell):
    """H^-1 on the pattern of Z'Z: v_cell = -V22 K, v_lead = D^-1 - K' v_cell with K = H21 D^-1.

    Trailing columns from `n_used` on (fixed effects that are not integrated) are treated as absent.
    """
    n_levels, k = l_lead.shape[0], l_lead.shape[1]
    inverse = np.zeros((k, k))
    tallest = 0
    for j in range(n_levels):
        tallest = max(tallest, cell_first[j + 1] - cell_first[j])
    gain = np.empty((tallest, k))
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
        lo = cell_first[j]
        hi = cell_first[j + 1]
        for p in range(lo, hi):
            for a in range(k):
                value = 0.0
                for c in range(a, k):
                    value += y[p, c] * inverse[c, a]
                gain[p - lo, a] = value
        for p in range(lo, hi):
            for a in range(k):
                v_cell[p, a] = 0.0
            cp = cell_column[p]
            if cp < n_used:
                for r in range(lo, hi):
                    cr = cell_column[r]
                    if cr < n_used:
                        v = v_trail[cr, cp]
                        for a in range(k):
                            v_cell[p, a] -= v * gain[r - lo, a]
        for p in range(lo, hi):
            if cell_column[p] < n_used:
                for a in range(k):
                    for b in range(k):
                        v_lead[j, a, b] -= gain[p - lo, a] * v_cell[p, b]


@kernel
def factor_products(
    m_lead, m_cell, m_trail, t_lead, t, sizes, v_lead, v_cell, v_trail, cell_factor, cell_first, block_start, within,
    factor, n_used, g_lead, g,
):  # fmt: skip
    """Sum over levels of the diagonal blocks of Z'WZ Lambda H^-1: g_lead (k, k) and g (F, kmax, kmax), both zeroed."""
    n_levels, k = m_lead.shape[0], m_lead.shape[1]
    tv = np.empty((k, k))
    for j in range(n_levels):
        for a in range(k):
            for b in range(k):
                value = 0.0
                for c in range(a + 1):
                    value += t_lead[a, c] * v_lead[j, c, b]
                tv[a, b] = value
        for a in range(k):
            for b in range(k):
                value = 0.0
                for c in range(k):
                    m = m_lead[j, a, c] if a >= c else m_lead[j, c, a]
                    value += m * tv[c, b]
                g_lead[a, b] += value
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
                        g_lead[b, a] += m_cell[row + w, b] * value
                    # M_cell (T V_cell') for the trailing block
                    value = 0.0
                    for c in range(a + 1):
                        value += t_lead[a, c] * v_cell[row, c]
                    for x in range(size):
                        value = 0.0
                        for c in range(a + 1):
                            value += t_lead[a, c] * v_cell[row + x, c]
                        g[f, w, x] += m_cell[row + w, a] * value
            row += size
    q = m_trail.shape[0]
    for c in range(min(q, n_used)):
        fc = factor[c]
        for r in range(min(q, n_used)):
            # diagonal blocks are stored in full, the others below the diagonal only
            m = m_trail[c, r] if (c >= r or block_start[c] == block_start[r]) else m_trail[r, c]
            if m != 0.0:
                fr = factor[r]
                wr = within[r]
                for x in range(sizes[fc]):
                    value = 0.0
                    for b in range(wr + 1):
                        value += t[fr, wr, b] * v_trail[block_start[r] + b, block_start[c] + x]
                    g[fc, within[c], x] += m * value


@kernel
def scale_inverse(t_lead, t, sizes, cell_first, cell_factor, block_start, within, factor, n_used, v_lead, v_cell, v_trail):
    """Replace V = H^-1 by Lambda V Lambda' on the pattern, in place (full trailing block)."""
    n_levels, k = v_lead.shape[0], v_lead.shape[1]
    work = np.empty((k, k))
    largest = 1
    for f in range(sizes.size):
        largest = max(largest, sizes[f])
    block = np.empty((largest, k))
    column = np.empty(largest)
    for j in range(n_levels):
        for a in range(k):
            for b in range(k):
                value = 0.0
                for c in range(a + 1):
                    value += t_lead[a, c] * v_lead[j, c, b]
                work[a, b] = value
        for a in range(k):
            for b in range(k):
                value = 0.0
                for c in range(b + 1):
                    value += work[a, c] * t_lead[b, c]
                v_lead[j, a, b] = value
        row = cell_first[j]
        while row < cell_first[j + 1]:
            f = cell_factor[row]
            size = sizes[f]
            for w in range(size):
                for a in range(k):
                    value = 0.0
                    for c in range(a + 1):
                        value += v_cell[row + w, c] * t_lead[a, c]
                    block[w, a] = value
            for w in range(size):
                for a in range(k):
                    value = 0.0
                    for c in range(w + 1):
                        value += t[f, w, c] * block[c, a]
                    v_cell[row + w, a] = value
            row += size
    q = min(v_trail.shape[0], n_used)
    for c in range(q):  # left: rows
        r = 0
        while r < q:
            f = factor[r]
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
        f = factor[c]
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
def row_covariances(
    lo, hi, lead, z_lead, lead_predictor, z_trail, trail_predictor, column_factor, column_within, start, cell, n_lead,
    n_used, b_lead, b_cell, b_trail, out,
):  # fmt: skip
    """Posterior covariance of each row's predictors, packed lower triangle: out (pairs, hi - lo)."""
    k = z_lead.shape[1]
    n_trail = z_trail.shape[1]
    for i in range(lo, hi):
        r = i - lo
        j = lead[i]
        for pair in range(out.shape[0]):
            out[pair, r] = 0.0
        for a in range(k):
            pa = lead_predictor[a]
            za = z_lead[i, a]
            for b in range(k):
                pb = lead_predictor[b]
                if pa >= pb:
                    out[pa * (pa + 1) // 2 + pb, r] += za * z_lead[i, b] * b_lead[j, a, b]
        for c in range(n_trail):
            p = start[i, column_factor[c]] + column_within[c] - n_lead
            if p >= n_used:
                continue
            pc = trail_predictor[c]
            zc = z_trail[i, c]
            row = cell[i, column_factor[c]] + column_within[c]
            for a in range(k):
                pa = lead_predictor[a]
                value = zc * z_lead[i, a] * b_cell[row, a]
                if pa == pc:
                    out[pa * (pa + 1) // 2 + pa, r] += 2.0 * value
                elif pa > pc:
                    out[pa * (pa + 1) // 2 + pc, r] += value
                else:
                    out[pc * (pc + 1) // 2 + pa, r] += value
            for d in range(n_trail):
                pd = trail_predictor[d]
                if pc >= pd:
                    q = start[i, column_factor[d]] + column_within[d] - n_lead
                    if q < n_used:
                        out[pc * (pc + 1) // 2 + pd, r] += zc * z_trail[i, d] * b_trail[p, q]
