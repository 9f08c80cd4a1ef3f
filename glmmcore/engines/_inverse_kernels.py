"""Loops of the selected inverse, from the core back through the fronts; names as in `_front_kernels`.

`front` is the (d, d) inverse over the w columns and r rows of one supernode, column-major. Fronts with others below
them stay on the stack, `stack_first` (S,) says where.
"""

from __future__ import annotations

from glmmcore._jit import kernel

__all__ = ["core_entry", "gather_inverse", "invert_fronts", "keep_front", "selected"]


@kernel
def _dot(a, b, lo):
    """Inner product from index lo on; four sums, so that it is not bound by the latency of one addition."""
    n = a.size
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    i = lo
    while i + 4 <= n:
        s0 += a[i] * b[i]
        s1 += a[i + 1] * b[i + 1]
        s2 += a[i + 2] * b[i + 2]
        s3 += a[i + 3] * b[i + 3]
        i += 4
    while i < n:
        s0 += a[i] * b[i]
        i += 1
    return (s0 + s1) + (s2 + s3)


@kernel
def core_entry(core, core_inverse, i, j):
    """Entry (i, j) of the core's inverse: `core` itself, or K'K with K the lower triangle of `core`."""
    if core_inverse:
        return core[i, j] if i >= j else core[j, i]
    return _dot(core[:, i], core[:, j], max(i, j))


@kernel
def gather_inverse(
    s, first, row_first, rows, parent, core, core_inverse, stack, pending, state, stack_first, local, front
):
    """Copy the inverse over the rows of front s from its parent to the last rows and columns of `front`."""
    n_super = parent.size
    w = first[s + 1] - first[s]
    top, r = row_first[s], row_first[s + 1] - row_first[s]
    d = w + r
    if parent[s] == n_super:
        lo = first[n_super]
        for c in range(r):
            column = rows[top + c] - lo
            for i in range(c, r):
                value = core_entry(core, core_inverse, rows[top + i] - lo, column)
                front[(w + c) * d + w + i] = value
                front[(w + i) * d + w + c] = value
        return
    if r == 0:
        return
    p = parent[s]
    while pending[state[1] - 1] != p:  # relatives whose descendants are done
        state[1] -= 1
    p_lo, p_w = first[p], first[p + 1] - first[p]
    p_top, p_r = row_first[p], row_first[p + 1] - row_first[p]
    p_d = p_w + p_r
    base = stack_first[state[1] - 1]
    at = 0
    for i in range(r):  # both lists ascend
        row = rows[top + i]
        if row < p_lo + p_w:
            local[i] = row - p_lo
        else:
            while rows[p_top + at] < row:
                at += 1
            local[i] = p_w + at
    for c in range(r):
        from_ = base + local[c] * p_d
        to = (w + c) * d + w
        for i in range(r):
            front[to + i] = stack[from_ + local[i]]


@kernel
def _inverse_panel(w, r, square, below, panel, gain, front):
    """Complete a front: K = L21 L11^-1, V21 = -V22 K, V11 = L11^-T L11^-1 - K'V21."""
    d = w + r
    for k in range(w):  # L11^-1, below the diagonal of the front's corner
        for i in range(k, w):
            value = 1.0 if i == k else 0.0
            for c in range(k, i):
                value -= panel[square + c * w + i] * front[k * d + c]
            front[k * d + i] = value / panel[square + i * w + i]
    for k in range(w):
        gain[k * r : (k + 1) * r] = 0.0
        for c in range(k, w):
            x = front[k * d + c]
            for i in range(r):
                gain[k * r + i] += panel[below + c * r + i] * x
    for k in range(w):
        for i in range(k + 1):  # row i <= k of L^-T L^-1 goes above the diagonal
            value = 0.0
            for c in range(k, w):
                value += front[i * d + c] * front[k * d + c]
            if i == k:
                gain[w * r + k] = value
            else:
                front[k * d + i] = value
    for k in range(w):
        front[k * d + k] = gain[w * r + k]
        for i in range(k + 1, w):
            front[k * d + i] = front[i * d + k]
    for k in range(w):
        column = front[k * d + w : k * d + d]
        column[:] = 0.0
        for c in range(r):
            x = gain[k * r + c]
            if x != 0.0:
                from_ = (w + c) * d + w
                for i in range(r):
                    column[i] -= front[from_ + i] * x
    _close_front(w, r, gain, front)


@kernel
def _close_front(w, r, gain, front):
    """V11 -= K'V21, and V12 = V21'."""
    d = w + r
    for k in range(w):
        for i in range(r):
            front[(w + i) * d + k] = front[k * d + w + i]
        for j in range(k + 1):
            value = 0.0
            for i in range(r):
                value += gain[j * r + i] * front[k * d + w + i]
            front[k * d + j] -= value
            if j != k:
                front[j * d + k] -= value


@kernel
def _inverse_leaf(s, first, row_first, rows, panel_first, panel, core, gain, front, column):
    """As `_inverse_panel` for one column with nothing below it, from the core's inverse triangular factor.

    V22 = K'K is never formed: with y = K g it is V21 = -K'y and V11 = l^-2 + y'y.
    """
    n_super = first.size - 1
    lo = first[n_super]
    top, r = row_first[s], row_first[s + 1] - row_first[s]
    pivot = panel[panel_first[s]]
    for i in range(r):
        gain[i] = panel[panel_first[s] + 1 + i] / pivot
    start = rows[top] - lo
    column[start:] = 0.0
    for i in range(r):
        j = rows[top + i] - lo
        x = gain[i]
        source = core[:, j]
        for k in range(j, column.size):
            column[k] += source[k] * x
    for i in range(r):
        j = rows[top + i] - lo
        front[1 + i] = -_dot(core[:, j], column, j)
    front[0] = 1.0 / (pivot * pivot) + _dot(column, column, start)


@kernel
def selected(s, first, row_first, block_first, block_row, block_column, block_f, block_g, flipped, sizes, at, front, v):
    """Copy the inverse on the pattern of Z'Z from front s into `v`."""
    d = first[s + 1] - first[s] + row_first[s + 1] - row_first[s]
    for b in range(block_first[s], block_first[s + 1]):
        kg = sizes[block_g[b]]
        for i in range(sizes[block_f[b]]):
            for j in range(kg):
                if flipped[b]:
                    v[at[b] + i * kg + j] = front[(block_column[b] + i) * d + block_row[b] + j]
                else:
                    v[at[b] + i * kg + j] = front[(block_column[b] + j) * d + block_row[b] + i]


@kernel
def keep_front(s, first, row_first, parent, has_child, closes, stack, pending, state, stack_first, front):
    """Keep the finished front s for those below it, in the place of its parent if s was the last to ask."""
    n_super = parent.size
    if not has_child[s]:
        return
    if not 0 <= parent[s] < n_super:
        state[1] = 0
    elif closes[s]:
        state[1] -= 1
    d = first[s + 1] - first[s] + row_first[s + 1] - row_first[s]
    base = 0
    if state[1] > 0:
        last = pending[state[1] - 1]
        base = stack_first[state[1] - 1] + (first[last + 1] - first[last] + row_first[last + 1] - row_first[last]) ** 2
    stack[base : base + d * d] = front[: d * d]
    pending[state[1]] = s
    stack_first[state[1]] = base
    state[1] += 1


@kernel
def invert_fronts(
    begin, end, first, row_first, rows, parent, panel_first, panel, core, core_inverse, local, has_child,
    closes, stack, pending, state, stack_first, gain, front, column, block_first, block_row, block_column,
    block_f, block_g, flipped, sizes, at, v,
):  # fmt: skip
    """Inverse of the supernodes end - 1 down to begin, on the pattern of Z'Z into `v`."""
    n_super = parent.size
    for s in range(end - 1, begin - 1, -1):
        w = first[s + 1] - first[s]
        r = row_first[s + 1] - row_first[s]
        if w == 1 and r > 0 and parent[s] == n_super and not core_inverse and not has_child[s]:
            _inverse_leaf(s, first, row_first, rows, panel_first, panel, core, gain, front, column)
        else:
            gather_inverse(
                s,
                first,
                row_first,
                rows,
                parent,
                core,
                core_inverse,
                stack,
                pending,
                state,
                stack_first,
                local,
                front,
            )
            _inverse_panel(w, r, panel_first[s], panel_first[s] + w * w, panel, gain, front)
        selected(
            s,
            first,
            row_first,
            block_first,
            block_row,
            block_column,
            block_f,
            block_g,
            flipped,
            sizes,
            at,
            front,
            v,
        )
        keep_front(s, first, row_first, parent, has_child, closes, stack, pending, state, stack_first, front)
