"""Loops over effects along a line, each of which depends on the one before: x_i = rho_i x_(i-1) + spread_i u_i.

A chain begins wherever rho_i = 0 and spread_i = 1, so that many chains stand behind each other as one; spread_i^2 is
the innovation c_i = 1 - rho_i^2. See `LineLead` for the recursions.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = [
    "apply_root", "apply_root_transposed", "filter_line", "line_information", "smooth_blocks", "smooth_line",
    "solve_line",
]  # fmt: skip


@kernel
def apply_root(rho, spread, u, out):
    """Effects x from innovations u, both (m, q)."""
    for e in range(u.shape[0]):
        x = 0.0
        for i in range(u.shape[1]):
            x = rho[i] * x + spread[i] * u[e, i]
            out[e, i] = x


@kernel
def apply_root_transposed(rho, spread, x, out):
    """The adjoint of `apply_root`, both (m, q)."""
    for e in range(x.shape[0]):
        carried = 0.0
        for i in range(x.shape[1] - 1, -1, -1):
            total = x[e, i] + carried
            out[e, i] = spread[i] * total
            carried = rho[i] * total


@kernel
def filter_line(weight, rho, innovation, information, pivot):
    """Information f_i gathered up to each effect, and pivots 1 + c_(i+1) f_i.

    Returns the log determinant, and whether all pivots are positive. Rows of negative weight may make 1 + f_i negative
    where later rows tell more than they take away.
    """
    logdet = 0.0
    q = weight.size
    gathered = 0.0
    for i in range(q):
        gathered = weight[i] + (rho[i] * rho[i] * gathered / pivot[i - 1] if i else 0.0)
        information[i] = gathered
        pivot[i] = 1.0 + (innovation[i + 1] if i + 1 < q else 1.0) * gathered
        if not pivot[i] > 0.0:
            return logdet, False
        logdet += np.log(pivot[i])
    return logdet, True


@kernel
def solve_line(rho, inverse_spread, gain, shrink, rhs, out):
    """Solve (I + C'WC) out = rhs for rows (m, q), C the root of a line of unit variance.

    ``gain[i] = rho_i / pivot_(i-1)``, ``shrink[i] = c_(i+1) / pivot_i``, and 1 / pivot_i for the last.
    """
    m, q = rhs.shape
    for e in range(m):
        before, own = 0.0, rhs[e, 0] * inverse_spread[0]
        for i in range(q):
            after = rho[i + 1] * rhs[e, i + 1] * inverse_spread[i + 1] if i + 1 < q else 0.0
            before = own - after + gain[i] * before
            out[e, i] = shrink[i] * before
            own = rhs[e, i + 1] * inverse_spread[i + 1] if i + 1 < q else 0.0
        # back along the line, and from its effects to their innovations
        effect = out[e, q - 1]
        for i in range(q - 1, 0, -1):
            earlier = out[e, i - 1] + gain[i] * effect
            out[e, i] = (effect - rho[i] * earlier) * inverse_spread[i]
            effect = earlier
        out[e, 0] = effect * inverse_spread[0]


@kernel
def smooth_line(gain, shrink, variance):
    """Variance of every effect of unit variance given the rows, (q,)."""
    q = gain.size
    variance[q - 1] = shrink[q - 1]
    for i in range(q - 2, -1, -1):
        variance[i] = shrink[i] + gain[i + 1] * gain[i + 1] * variance[i + 1]


@kernel
def smooth_blocks(k, gain, variance, blocks):
    """Covariance of the effects of unit variance given the rows, chains of k effects each, (L, k, k)."""
    for level in range(blocks.shape[0]):
        base = level * k
        for i in range(k - 1, -1, -1):
            blocks[level, i, i] = variance[base + i]
            for j in range(i + 1, k):
                blocks[level, i, j] = gain[base + i + 1] * blocks[level, i + 1, j]
                blocks[level, j, i] = blocks[level, i, j]


@kernel
def line_information(rho, spread, information, gain, variance, own, cross):
    """What the rows tell of the innovations: 1 - var(u_i) into `own`, -cov(u_i, x_(i-1)) into `cross`."""
    for i in range(gain.size):
        innovation = spread[i] * spread[i]
        before = information[i - 1] if i else 0.0
        # the inverse of the variance predicted from the rows before
        known = (1.0 + before) / (1.0 + innovation * before)
        learned = 1.0 - variance[i] * known
        own[i] = innovation * known * learned
        cross[i] = spread[i] * gain[i] * learned
