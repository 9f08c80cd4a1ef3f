"""Loops over effects along a line, each of which depends on the one before: x_i = rho_i x_(i-1) + sqrt(c_i) u_i.

A chain begins wherever rho_i = 0 and c_i = 1, so that many chains stand behind each other as one. See `line` for the
recursions.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = ["apply_root", "apply_root_transposed", "filter_line", "line_information", "smooth_line", "solve_line"]


@kernel
def apply_root(rho, innovation, u, out):
    """Effects x from innovations u, both (q, m)."""
    for i in range(u.shape[0]):
        root = np.sqrt(innovation[i])
        for e in range(u.shape[1]):
            before = out[i - 1, e] if i else 0.0
            out[i, e] = rho[i] * before + root * u[i, e]


@kernel
def apply_root_transposed(rho, innovation, x, out):
    """The adjoint of `apply_root`, both (q, m)."""
    q = x.shape[0]
    carry = np.zeros(x.shape[1])
    for i in range(q - 1, -1, -1):
        root = np.sqrt(innovation[i])
        for e in range(x.shape[1]):
            total = x[i, e] + carry[e]
            out[i, e] = root * total
            carry[e] = rho[i] * total


@kernel
def filter_line(weight, rho, innovation, information, pivot):
    """Information f_i gathered up to each effect, and pivots 1 + c_(i+1) f_i.

    Returns the log determinant, and whether all pivots are positive.
    """
    logdet = 0.0
    q = weight.size
    gathered = 0.0
    for i in range(q):
        gathered = weight[i] + (rho[i] * rho[i] * gathered / pivot[i - 1] if i else 0.0)
        information[i] = gathered
        pivot[i] = 1.0 + (innovation[i + 1] if i + 1 < q else 1.0) * gathered
        if not (pivot[i] > 0.0 and 1.0 + gathered > 0.0):
            return logdet, False
        logdet += np.log(pivot[i])
    return logdet, True


@kernel
def solve_line(rho, innovation, pivot, rhs, out):
    """Solve (I + C'WC) out = rhs for columns (q, m), C the root of a line of unit variance."""
    q, m = rhs.shape
    state = np.empty((q, m))
    root = np.sqrt(innovation[0])
    for i in range(q):
        own, gain = 1.0 / root, rho[i] / pivot[i - 1] if i else 0.0
        ahead = 0.0
        if i + 1 < q:
            root = np.sqrt(innovation[i + 1])
            ahead = rho[i + 1] / root
        for e in range(m):
            value = rhs[i, e] * own
            if i + 1 < q:
                value -= ahead * rhs[i + 1, e]
            state[i, e] = value + (gain * state[i - 1, e] if i else 0.0)
    for i in range(q - 1, -1, -1):
        own = (innovation[i + 1] if i + 1 < q else 1.0) / pivot[i]
        gain = rho[i + 1] / pivot[i] if i + 1 < q else 0.0
        for e in range(m):
            state[i, e] = own * state[i, e] + (gain * state[i + 1, e] if i + 1 < q else 0.0)
    for i in range(q):
        own = 1.0 / np.sqrt(innovation[i])
        for e in range(m):
            before = rho[i] * state[i - 1, e] if i else 0.0
            out[i, e] = (state[i, e] - before) * own


@kernel
def smooth_line(rho, innovation, pivot, variance):
    """Variance of every effect of unit variance given the rows, (q,)."""
    q = pivot.size
    variance[q - 1] = 1.0 / pivot[q - 1]
    for i in range(q - 2, -1, -1):
        gain = rho[i + 1] / pivot[i]
        variance[i] = innovation[i + 1] / pivot[i] + gain * gain * variance[i + 1]


@kernel
def line_information(rho, innovation, information, pivot, variance, own, cross):
    """What the rows tell of the innovations: 1 - var(u_i) into `own`, -cov(u_i, x_(i-1)) into `cross`."""
    for i in range(pivot.size):
        predicted = innovation[i]
        if i:
            predicted += rho[i] * rho[i] / (1.0 + information[i - 1])
        learned = 1.0 - variance[i] / predicted
        own[i] = innovation[i] / predicted * learned
        cross[i] = rho[i] * np.sqrt(innovation[i]) / pivot[i - 1] * learned if i else 0.0
