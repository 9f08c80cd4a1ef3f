"""Loops of the blocked system: leading block-diagonal factor, sparse cells, dense trailing block.

Shapes used throughout: n runs of rows that are equal in Z, L leading levels with k coefficients each, K columns of
left-hand sides per run of which the first k are the leading ones, F factors (0 leads), Q trailing coefficients, C =
total height of the cell blocks.

=============  ===========  ======================================================================================
name           shape        meaning
=============  ===========  ======================================================================================
z              (n, K)       left-hand sides of all factors side by side, runs of rows sorted by leading level
predictor      (K,)         linear predictor each column belongs to
factor         (K,)         factor of each column
within         (K,)         position of the column inside its factor's block
start          (n, F)       first coefficient of the run's level of each factor, counted over all coefficients
cell           (n, F)       first cell row of the run's (leading level, trailing level) pair; column 0 is unused
m_lead         (L, k, k)    Z'WZ of each leading level, lower triangle
m_cell         (C, k)       Z'WZ between trailing (rows) and leading (columns), one small block a cell
m_trail        (Q, Q)       Z'WZ of the trailing columns, upper triangle (diagonal blocks in full)
q_factor       (Q,)         factor of each trailing coefficient
q_start        (Q,)         first trailing coefficient of its block
q_within       (Q,)         position inside its block
=============  ===========  ======================================================================================

Trailing coefficients are counted from 0 after the leading ones wherever the name begins with ``q_`` or ``cell_``.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = [
    "accumulate",
    "accumulate_leads",
    "accumulate_others",
    "back_substitute",
    "cell_layout",
    "eliminate_leading",
    "forward_substitute",
    "multiply",
    "scale_trailing",
    "spread_cells",
    "subtract_products",
]


@kernel
def _are_ascending(start):
    """Whether every leading level meets the levels of every trailing factor in ascending order."""
    for f in range(1, start.shape[1]):
        for i in range(1, start.shape[0]):
            if start[i, 0] == start[i - 1, 0] and start[i, f] < start[i - 1, f]:
                return False
    return True


@kernel
def _cells_of_sorted_rows(start, k, sizes, n_lead, cell, cell_first):
    """`cell_layout` of rows that need not be sorted by trailing coefficient first."""
    n, n_factors = start.shape
    for f in range(1, n_factors):
        for i in range(n):
            if i == 0 or start[i, 0] != start[i - 1, 0] or start[i, f] != start[i - 1, f]:
                cell_first[start[i, 0] // k + 1] += sizes[f]
    for j in range(cell_first.size - 1):
        cell_first[j + 1] += cell_first[j]
    fill = cell_first.copy()
    cell_column = np.empty(cell_first[-1], dtype=np.int32)
    cell_factor = np.empty(cell_first[-1], dtype=np.int32)
    for f in range(1, n_factors):
        size = sizes[f]
        for i in range(n):
            j = start[i, 0] // k
            if i == 0 or start[i, 0] != start[i - 1, 0] or start[i, f] != start[i - 1, f]:
                for a in range(size):
                    cell_column[fill[j] + a] = start[i, f] - n_lead + a
                    cell_factor[fill[j] + a] = f
                fill[j] += size
            cell[i, f] = fill[j] - size
    return cell_first, cell_column, cell_factor


@kernel
def cell_layout(start, k, n_levels, sizes, n_lead, n_trailing, cell):
    """Number the distinct (leading level, trailing level) pairs level by level, trailing coefficients ascending.

    Fills `cell`; returns (first cell row of each leading level, trailing coefficient of each cell row, its factor).
    """
    n = start.shape[0]
    cell_first = np.zeros(n_levels + 1, dtype=np.int64)
    if k > 0 and _are_ascending(start):
        return _cells_of_sorted_rows(start, k, sizes, n_lead, cell, cell_first)
    # rows by trailing coefficient, so that every leading level meets its cells in ascending order
    count = np.zeros(n_trailing + 1, dtype=np.int64)
    order = np.empty(n, dtype=np.int64)
    seen = np.empty(n_levels, dtype=np.int64)
    fill = np.empty(n_levels, dtype=np.int64)
    cell_column = np.empty(0, dtype=np.int32)
    cell_factor = np.empty(0, dtype=np.int32)
    for numbering in range(2):
        for f in range(1, sizes.size):
            count[:] = 0
            for i in range(n):
                count[start[i, f] - n_lead + 1] += 1
            for q in range(n_trailing):
                count[q + 1] += count[q]
            for i in range(n):
                q = start[i, f] - n_lead
                order[count[q]] = i
                count[q] += 1
            seen[:] = -1
            for at in range(n):
                i = order[at]
                q = start[i, f] - n_lead
                j = start[i, 0] // k if k > 0 else 0
                if numbering == 0:
                    if seen[j] != q:
                        seen[j] = q
                        cell_first[j + 1] += sizes[f]
                else:
                    if seen[j] != q:
                        seen[j] = q
                        for a in range(sizes[f]):
                            cell_column[fill[j] + a] = q + a
                            cell_factor[fill[j] + a] = f
                        fill[j] += sizes[f]
                    cell[i, f] = fill[j] - sizes[f]
        if numbering == 0:
            for j in range(n_levels):
                cell_first[j + 1] += cell_first[j]
                fill[j] = cell_first[j]
            cell_column = np.empty(cell_first[n_levels], dtype=np.int32)
            cell_factor = np.empty(cell_first[n_levels], dtype=np.int32)
    return cell_first, cell_column, cell_factor


@kernel
def accumulate(lo, hi, k, z, predictor, factor, within, start, cell, weights, values, m_lead, m_cell, m_trail, score):
    """Add the runs lo..hi to Z'WZ and to Z' values.

    `weights` (pairs, hi - lo) packs the lower triangle of each run's W; `values` is (m, hi - lo).
    """
    n_columns = z.shape[1]
    n_lead = m_lead.shape[0] * k
    pair = np.empty((n_columns, n_columns), dtype=np.int64)
    for c in range(n_columns):
        for d in range(n_columns):
            high, low = max(predictor[c], predictor[d]), min(predictor[c], predictor[d])
            pair[c, d] = high * (high + 1) // 2 + low
    for i in range(lo, hi):
        r = i - lo
        j = start[i, 0] // k if k > 0 else 0
        for a in range(k):
            score[start[i, 0] + a] += values[predictor[a], r] * z[i, a]
            for b in range(a + 1):
                m_lead[j, a, b] += weights[pair[a, b], r] * z[i, a] * z[i, b]
        for c in range(k, n_columns):
            fc = factor[c]
            row = cell[i, fc] + within[c]
            score[start[i, fc] + within[c]] += values[predictor[c], r] * z[i, c]
            for a in range(k):
                m_cell[row, a] += weights[pair[c, a], r] * z[i, c] * z[i, a]
            p = start[i, fc] + within[c] - n_lead
            for d in range(k, c + 1):
                q = start[i, factor[d]] + within[d] - n_lead
                value = weights[pair[c, d], r] * z[i, c] * z[i, d]
                m_trail[q, p] += value
                if d != c and factor[d] == fc:
                    m_trail[p, q] += value


@kernel
def accumulate_leads(lo, hi, z, start, weights, values, m_lead, score):
    """What `accumulate` adds to the leading levels if they have one coefficient, all in one predictor.

    Indices as in `_intercept_kernels`.
    """
    first, n = np.uint64(lo), np.uint64(hi - lo)
    r = np.uint64(0)
    while r < n:
        j = np.uint64(start[first + r, 0])
        # sums of a leading level, whose runs stand together, stay in registers
        lead, lead_score = 0.0, 0.0
        while r < n and np.uint64(start[first + r, 0]) == j:
            z0 = z[first + r, 0]
            lead_score += values[0, r] * z0
            lead += weights[0, r] * z0 * z0
            r += np.uint64(1)
        score[j] += lead_score
        m_lead[j, 0, 0] += lead


@kernel
def accumulate_others(lo, hi, n_lead, z, factor, within, start, cell, weights, values, m_cell, m_trail, score):
    """What `accumulate` adds beside `accumulate_leads`; a kernel of its own, since one factor has nothing there."""
    first, n, before = np.uint64(lo), np.uint64(hi - lo), np.uint64(n_lead)
    # one pass for each column is faster than one for all: a loop over the columns inside costs more than the sums
    for c in range(1, z.shape[1]):
        f, w = np.uint64(factor[c]), np.uint64(within[c])
        for at in range(n):
            run = first + at
            p = np.uint64(start[run, f]) + w
            score[p] += values[0, at] * z[run, c]
            wz = weights[0, at] * z[run, c]
            m_cell[np.uint64(cell[run, f]) + w, 0] += wz * z[run, 0]
            m_trail[p - before, p - before] += wz * z[run, c]
        for d in range(1, c):
            g, v = np.uint64(factor[d]), np.uint64(within[d])
            for at in range(n):
                run = first + at
                p, q = np.uint64(start[run, f]) + w - before, np.uint64(start[run, g]) + v - before
                value = weights[0, at] * z[run, c] * z[run, d]
                m_trail[q, p] += value
                if f == g:
                    m_trail[p, q] += value


@kernel
def multiply(m_lead, cell_first, cell_column, m_cell, x, out):
    """Add to `out` Z'WZ x without what the trailing block does to the trailing part."""
    n_levels, k = m_lead.shape[0], m_lead.shape[1]
    n_lead = n_levels * k
    for j in range(n_levels):
        base = j * k
        for a in range(k):
            for b in range(k):
                m = m_lead[j, a, b] if a >= b else m_lead[j, b, a]
                out[base + a] += m * x[base + b]
        for p in range(cell_first[j], cell_first[j + 1]):
            column = n_lead + cell_column[p]
            for a in range(k):
                out[column] += m_cell[p, a] * x[base + a]
                out[base + a] += m_cell[p, a] * x[column]


@kernel
def scale_trailing(m_trail, q_start, q_within, q_factor, t, sizes, prior, s):
    """s = Lambda' M Lambda + diag(prior), upper triangle of the trailing block."""
    n = s.shape[0]
    scale = np.empty(n)
    for r in range(n):
        scale[r] = t[q_factor[r], 0, 0]
    # one past the stretch of factors with one coefficient that c lies in
    end = 0
    for c in range(n):
        fc, bc, wc = q_factor[c], q_start[c], q_within[c]
        if c >= end:
            end = c
            while end < n and sizes[q_factor[end]] == 1:
                end += 1
        # no row is in two levels of one factor
        same = c
        while same < end and q_factor[same] == fc:
            s[c, same] = 0.0
            same += 1
        if same > c:
            s[c, c] = scale[c] * m_trail[c, c] * scale[c]
        for r in range(same, end):
            s[c, r] = scale[r] * m_trail[c, r] * scale[c]
        for r in range(max(c, end), n):
            fr, br, wr = q_factor[r], q_start[r], q_within[r]
            value = 0.0
            for a in range(wr, sizes[fr]):
                for b in range(wc, sizes[fc]):
                    value += t[fr, a, wr] * m_trail[bc + b, br + a] * t[fc, b, wc]
            s[c, r] = value
        s[c, c] += prior[c]


@kernel
def eliminate_leading(m_lead, prior, cell_first, cell_factor, m_cell, t, sizes, l_lead, y):
    """Factor every leading block and divide the cells by it.

    l_lead[j] = chol(T' M_j T + prior I); y[j] = (T_f' M_cell T) l_lead[j]^-T. Returns (log det of the leading part,
    first level whose block is not positive definite or -1).
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
                    value += m * t[0, c, b]
                work[a, b] = value
        for a in range(k):
            for b in range(a + 1):
                value = prior if a == b else 0.0
                for c in range(a, k):
                    value += t[0, c, a] * work[c, b]
                for c in range(b):
                    value -= l_lead[j, a, c] * l_lead[j, b, c]
                if a == b:
                    if not value > 0.0:
                        return logdet, j
                    l_lead[j, a, a] = np.sqrt(value)
                    logdet += np.log(value)
                else:
                    l_lead[j, a, b] = value / l_lead[j, b, b]
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
                            inner += m_cell[row + a, c] * t[0, c, b]
                        value += t[f, a, w] * inner
                    for c in range(b):
                        value -= y[row + w, c] * l_lead[j, b, c]
                    y[row + w, b] = value / l_lead[j, b, b]
            row += size
    return logdet, -1


@kernel
def subtract_products(cell_first, cell_column, y, s):
    """s -= y y', level by level: the Schur complement of the leading part."""
    k = y.shape[1]
    for j in range(cell_first.size - 1):
        lo = cell_first[j]
        hi = cell_first[j + 1]
        for r in range(lo, hi):
            cr = cell_column[r]
            for p in range(r, hi):
                value = 0.0
                for a in range(k):
                    value += y[p, a] * y[r, a]
                s[cr, cell_column[p]] -= value


@kernel
def spread_cells(cell_first, cell_column, y, wide):
    """Write y, (C, k), into a dense (L k, Q) array whose other entries are zero."""
    k = y.shape[1]
    for j in range(cell_first.size - 1):
        for a in range(k):
            for p in range(cell_first[j], cell_first[j + 1]):
                wide[j * k + a, cell_column[p]] = y[p, a]


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
