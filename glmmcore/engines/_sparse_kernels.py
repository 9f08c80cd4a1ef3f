"""Loops over the blocks of Z'WZ, one small dense block for each pair of levels that share a row.

`value` holds the blocks one after another, row-major: first a (k, k) block of every level of every factor, then a
(k_f, k_g) block of every pair of levels met in one row, f > g. The same offsets serve the inverse. The fixed
effects, which meet every level, stay outside: `border` (q, p) is Z'WX and `fixed` (p, p) X'WX.

Arrays over blocks: `at` offset in `value`, `factor_f` and `factor_g`, `start_f` and `start_g` first coefficients.
Where a block sits in the factor: `row` and `column` of its first entry inside the front that owns it, `flipped`
when the level of f comes before that of g there. `block_first` (S + 2,) delimits the blocks of every supernode
and of the core.
"""

from __future__ import annotations

from glmmcore._jit import kernel
from glmmcore.engines._inverse_kernels import core_entry

__all__ = [
    "accumulate",
    "correct",
    "multiply",
    "products",
    "row_covariances",
    "scale",
    "scatter",
    "selected_core",
]


@kernel
def accumulate(
    lo, hi, n_random, z, predictor, factor, within, start, offsets, sizes, level_at, pair_at, weights, values,
    value, border, fixed, score,
):  # fmt: skip
    """Add the runs lo..hi to Z'WZ and to Z' values.

    `level_at` (F,) is the offset of each factor's first block, `pair_at` (R, pairs) that of each run's pair
    blocks; the first `n_random` columns of z are random effects, the others fixed.
    """
    n_columns = z.shape[1]
    for i in range(lo, hi):
        r = i - lo
        for c in range(n_columns):
            fc = factor[c]
            wc = within[c]
            pc = predictor[c]
            score[start[i, fc] + wc] += values[pc, r] * z[i, c]
            for d in range(c + 1):
                fd = factor[d]
                wd = within[d]
                pd = predictor[d]
                pair = pc * (pc + 1) // 2 + pd if pc >= pd else pd * (pd + 1) // 2 + pc
                x = weights[pair, r] * z[i, c] * z[i, d]
                if c < n_random:
                    if fc == fd:
                        k = sizes[fc]
                        block = level_at[fc] + (start[i, fc] - offsets[fc]) * k
                        value[block + wc * k + wd] += x
                        if c != d:
                            value[block + wd * k + wc] += x
                    else:
                        value[pair_at[i, fc * (fc - 1) // 2 + fd] + wc * sizes[fd] + wd] += x
                elif d < n_random:
                    border[start[i, fd] + wd, wc] += x
                else:
                    fixed[wc, wd] += x
                    if c != d:
                        fixed[wd, wc] += x


@kernel
def multiply(at, factor_f, factor_g, start_f, start_g, sizes, value, x, out):
    """Add Z'WZ x to `out`, without the fixed effects."""
    for b in range(at.size):
        kf, kg = sizes[factor_f[b]], sizes[factor_g[b]]
        for i in range(kf):
            for j in range(kg):
                m = value[at[b] + i * kg + j]
                out[start_f[b] + i] += m * x[start_g[b] + j]
                if start_f[b] != start_g[b]:
                    out[start_g[b] + j] += m * x[start_f[b] + i]


@kernel
def scatter(
    first, row_first, panel_first, block_first, row, column, factor_f, factor_g, flipped, sizes, at, t, prior_first,
    prior_row, prior_column, prior_value, value, panel, core,
):  # fmt: skip
    """Write Lambda' Z'WZ Lambda plus the prior precision into the zeroed panels and core, lower triangles."""
    n_super = first.size - 1
    for s in range(n_super + 1):
        w = 0
        r = 0
        square = 0
        if s < n_super:
            w = first[s + 1] - first[s]
            r = row_first[s + 1] - row_first[s]
            square = panel_first[s]
        for b in range(block_first[s], block_first[s + 1]):
            f, g = factor_f[b], factor_g[b]
            kf, kg = sizes[f], sizes[g]
            for i in range(kf):
                for j in range(kg):
                    x = 0.0
                    for c in range(i, kf):
                        for d in range(j, kg):
                            x += t[f, c, i] * value[at[b] + c * kg + d] * t[g, d, j]
                    x_row = row[b] + (j if flipped[b] else i)
                    x_column = column[b] + (i if flipped[b] else j)
                    if x_row < x_column:
                        continue
                    if s == n_super:
                        core[x_row, x_column] = x
                    elif x_row < w:
                        panel[square + x_column * w + x_row] = x
                    else:
                        panel[square + w * w + x_column * r + x_row - w] = x
        for b in range(prior_first[s], prior_first[s + 1]):
            if s == n_super:
                core[prior_row[b], prior_column[b]] += prior_value[b]
            elif prior_row[b] < w:
                panel[square + prior_column[b] * w + prior_row[b]] += prior_value[b]
            else:
                panel[square + w * w + prior_column[b] * r + prior_row[b] - w] += prior_value[b]


@kernel
def selected_core(lo, hi, core, core_inverse, row, column, factor_f, factor_g, flipped, sizes, at, v):
    """Copy the core's inverse on the pattern of Z'Z, the blocks lo..hi, into `v`."""
    for b in range(lo, hi):
        kg = sizes[factor_g[b]]
        for i in range(sizes[factor_f[b]]):
            for j in range(kg):
                x_row = row[b] + (j if flipped[b] else i)
                x_column = column[b] + (i if flipped[b] else j)
                v[at[b] + i * kg + j] = core_entry(core, core_inverse, x_row, x_column)


@kernel
def correct(at, factor_f, factor_g, start_f, start_g, sizes, left, right, v):
    """Add left right' of the (q, p) arrays to the blocks of `v`."""
    for b in range(at.size):
        kg = sizes[factor_g[b]]
        for i in range(sizes[factor_f[b]]):
            for j in range(kg):
                x = 0.0
                for c in range(left.shape[1]):
                    x += left[start_f[b] + i, c] * right[start_g[b] + j, c]
                v[at[b] + i * kg + j] += x


@kernel
def products(at, factor_f, factor_g, start_f, start_g, sizes, t, value, v, g):
    """Add to g (F, kmax, kmax) the diagonal blocks of Z'WZ Lambda V of all levels, without the fixed effects."""
    for b in range(at.size):
        f, h = factor_f[b], factor_g[b]
        kf, kh = sizes[f], sizes[h]
        for i in range(kf):
            for j in range(kh):
                m = value[at[b] + i * kh + j]
                for x in range(kf):
                    inner = 0.0
                    for c in range(j + 1):
                        inner += t[h, j, c] * v[at[b] + x * kh + c]
                    g[f, i, x] += m * inner
                if start_f[b] != start_g[b]:
                    for x in range(kh):
                        inner = 0.0
                        for c in range(i + 1):
                            inner += t[f, i, c] * v[at[b] + c * kh + x]
                        g[h, j, x] += m * inner


@kernel
def scale(at, factor_f, factor_g, sizes, t, v):
    """Replace the blocks of V by T_f V T_g'."""
    for b in range(at.size):
        f, g = factor_f[b], factor_g[b]
        kf, kg = sizes[f], sizes[g]
        for i in range(kf - 1, -1, -1):  # from below: row i needs the rows above it only
            for j in range(kg):
                x = 0.0
                for c in range(i + 1):
                    x += t[f, i, c] * v[at[b] + c * kg + j]
                v[at[b] + i * kg + j] = x
        for i in range(kf):
            for j in range(kg - 1, -1, -1):
                x = 0.0
                for c in range(j + 1):
                    x += v[at[b] + i * kg + c] * t[g, j, c]
                v[at[b] + i * kg + j] = x


@kernel
def row_covariances(
    lo, hi, n_random, n_columns, z, predictor, factor, within, start, offsets, sizes, level_at, pair_at, v,
    v_border, v_fixed, out,
):  # fmt: skip
    """Add Z V Z' of each run, packed lower triangle over predictors, to out (pairs, hi - lo)."""
    for i in range(lo, hi):
        r = i - lo
        for c in range(n_columns):
            fc = factor[c]
            wc = within[c]
            pc = predictor[c]
            for d in range(c + 1):
                fd = factor[d]
                wd = within[d]
                pd = predictor[d]
                if c >= n_random:
                    x = v_border[start[i, fd] + wd, wc] if d < n_random else v_fixed[wc, wd]
                elif fc == fd:
                    k = sizes[fc]
                    x = v[level_at[fc] + (start[i, fc] - offsets[fc]) * k + wc * k + wd]
                else:
                    x = v[pair_at[i, fc * (fc - 1) // 2 + fd] + wc * sizes[fd] + wd]
                pair = pc * (pc + 1) // 2 + pd if pc >= pd else pd * (pd + 1) // 2 + pc
                both = 2.0 if c != d and pc == pd else 1.0
                out[pair, r] += both * z[i, c] * z[i, d] * x
