"""Loops over levels whose coefficients are a first-order autoregressive chain; see `chain` for the recursions.

Shapes: L levels with k coefficients each, `weight` (L k,) the diagonal of Z'WZ times the squared standard deviation.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = ["accumulate", "filter_chains", "smoothed_blocks", "solve_chains", "sum_blocks"]


@kernel
def accumulate(lo, hi, z, at, x, columns, weights, values, diagonal, border, corner, score):
    """Add the runs lo..hi to Z'WZ and to Z' values.

    Run i meets the coefficient ``at[i]`` of the chain with z[i], and the columns (c,) of the border with x[i].
    """
    n_lead = diagonal.size
    for i in range(lo, hi):
        w, v, a = weights[i - lo], values[i - lo], at[i]
        score[a] += v * z[i]
        diagonal[a] += w * z[i] * z[i]
        for c in range(x.shape[1]):
            column, wx = columns[i, c], w * x[i, c]
            score[n_lead + column] += v * x[i, c]
            border[a, column] += wx * z[i]
            for d in range(x.shape[1]):
                corner[column, columns[i, d]] += wx * x[i, d]


@kernel
def filter_chains(k, weight, rho, innovation, pivot):
    """Information gathered up to each coefficient, as pivots 1 + innovation f (the last of a level: 1 + f).

    Returns the log determinant, and the first level that is not positive definite or -1.
    """
    logdet = 0.0
    for level in range(weight.size // k):
        information = 0.0
        for i in range(k):
            at = level * k + i
            information = weight[at] + (rho * rho * information / pivot[at - 1] if i else 0.0)
            pivot[at] = 1.0 + (innovation if i < k - 1 else 1.0) * information
            if not pivot[at] > 0.0:
                return logdet, level
            logdet += np.log(pivot[at])
    return logdet, -1


@kernel
def solve_chains(k, rho, innovation, pivot, rhs, out):
    """Solve (I + C' W C) out = rhs for every level; C the factor of the chain of unit variance."""
    root = np.sqrt(innovation)
    state = np.empty(k)
    for level in range(rhs.size // k):
        base = level * k
        # y = innovation C^-T rhs, carried forward through the pivots
        before = 0.0
        for i in range(k):
            own = rhs[base + i] * (root if i else innovation)
            if i < k - 1:
                own -= rho * root * rhs[base + i + 1]
            before = own + (rho / pivot[base + i - 1] * before if i else 0.0)
            state[i] = before
        state[k - 1] /= innovation * pivot[base + k - 1]
        for i in range(k - 2, -1, -1):
            state[i] = (state[i] + rho * state[i + 1]) / pivot[base + i]
        # back from the chain to its independent innovations
        out[base] = state[0]
        for i in range(1, k):
            out[base + i] = (state[i] - rho * state[i - 1]) / root


@kernel
def smoothed_blocks(k, rho, innovation, pivot, blocks):
    """Covariance of the chain of unit variance given the rows, (L, k, k)."""
    for level in range(blocks.shape[0]):
        base = level * k
        blocks[level, k - 1, k - 1] = 1.0 / pivot[base + k - 1]
        for i in range(k - 2, -1, -1):
            gain = rho / pivot[base + i]
            for j in range(i + 1, k):
                blocks[level, i, j] = gain * blocks[level, i + 1, j]
                blocks[level, j, i] = blocks[level, i, j]
            blocks[level, i, i] = innovation / pivot[base + i] + gain * gain * blocks[level, i + 1, i + 1]


@kernel
def sum_blocks(k, rho, innovation, pivot, diagonal, variance, total):
    """Sum over levels of diag(Z'WZ) V into `total` (k, k), and the diagonal of V into `variance` (q,).

    V is as in `smoothed_blocks`.
    """
    column = np.empty(k)
    for level in range(diagonal.size // k):
        base = level * k
        variance[base + k - 1] = 1.0 / pivot[base + k - 1]
        for i in range(k - 2, -1, -1):
            gain = rho / pivot[base + i]
            variance[base + i] = innovation / pivot[base + i] + gain * gain * variance[base + i + 1]
        for j in range(k):
            column[j] = variance[base + j]
            total[j, j] += diagonal[base + j] * column[j]
            for i in range(j - 1, -1, -1):
                column[i] = rho / pivot[base + i] * column[i + 1]
                total[i, j] += diagonal[base + i] * column[i]
                total[j, i] += diagonal[base + j] * column[i]
