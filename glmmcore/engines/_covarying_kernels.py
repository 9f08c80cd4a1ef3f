"""Loops over rows, each at one effect of the leading factor and at some columns of the border; see `covarying`."""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = ["accumulate", "block_products", "row_covariances"]


@kernel
def accumulate(lo, hi, z, at, lead, x, columns, places, predictor, weights, values, diagonal, border, corner, score):
    """Add the runs lo..hi to Z'WZ and to Z' values.

    Run i meets the effect ``at[i]`` of the leading factor with z[i] in predictor `lead`, and the columns (c,) of the
    border with x[i] in their predictors; in rows of the leading factor these stand at `places`. `weights` packs the
    lower triangle of W over predictors.
    """
    n_lead = diagonal.size
    own = lead * (lead + 1) // 2 + lead
    for i in range(lo, hi):
        a = at[i]
        score[a] += values[lead, i - lo] * z[i]
        diagonal[a] += weights[own, i - lo] * z[i] * z[i]
        for c in range(x.shape[1]):
            p, column = predictor[c], columns[i, c]
            score[n_lead + column] += values[p, i - lo] * x[i, c]
            high, low = max(p, lead), min(p, lead)
            border[a, places[i, c]] += weights[high * (high + 1) // 2 + low, i - lo] * x[i, c] * z[i]
            for d in range(x.shape[1]):
                high, low = max(p, predictor[d]), min(p, predictor[d])
                pair = high * (high + 1) // 2 + low
                corner[column, columns[i, d]] += weights[pair, i - lo] * x[i, c] * x[i, d]


@kernel
def row_covariances(lo, hi, z, at, lead, x, columns, places, predictor, variance, cross, corner, out):
    """Add Z cov(b) Z' of the runs lo..hi, packed lower triangle over predictors, to out (pairs, hi - lo).

    Columns of the border beyond those of `corner` are left out.
    """
    n = corner.shape[0]
    own = lead * (lead + 1) // 2 + lead
    for i in range(lo, hi):
        a = at[i]
        out[own, i - lo] += z[i] * z[i] * variance[a]
        for c in range(x.shape[1]):
            column, p = columns[i, c], predictor[c]
            if column >= n or x[i, c] == 0.0:
                continue
            high, low = max(p, lead), min(p, lead)
            twice = 2.0 if p == lead else 1.0
            out[high * (high + 1) // 2 + low, i - lo] += twice * z[i] * x[i, c] * cross[a, places[i, c]]
            for d in range(x.shape[1]):
                if columns[i, d] < n and predictor[d] <= p:
                    pair = p * (p + 1) // 2 + predictor[d]
                    out[pair, i - lo] += x[i, c] * x[i, d] * corner[column, columns[i, d]]


@kernel
def block_products(first, columns, left, right, out):
    """Add left'right, both (q, m), to out (E, E): column j of block b stands at ``columns[b, j]``."""
    m = left.shape[1]
    own = np.empty((m, m))
    for b in range(first.size - 1):
        own[:] = 0.0
        for i in range(first[b], first[b + 1]):
            for j in range(m):
                value = left[i, j]
                if value != 0.0:
                    for k in range(m):
                        own[j, k] += value * right[i, k]
        for j in range(m):
            for k in range(m):
                out[columns[b, j], columns[b, k]] += own[j, k]
