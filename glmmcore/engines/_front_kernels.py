"""Multifrontal loops over the supernodes of a plan: numeric factorisation and solves.

==============  ============================================================================================
name            meaning
==============  ============================================================================================
first           (S + 1,) first position of every supernode; the core starts at first[S]
row_first       (S + 1,) where the rows of every supernode start in `rows`
rows            positions below each supernode, ascending
parent          (S,) parent supernode, S for the core, -1 for none
panel_first     (S + 1,) where the panels start in `panel`: a (w, w) and an (r, w) block, column-major
core            (c, c) the core, column-major, lower triangle
local           (order,) scratch: position inside the front being worked on
stack           updates (factor) or finished fronts (inverse) that wait for their parent or children
pending         (S,) the supernodes on the stack
state           (2,) numbers used in `stack` (factor only) and in `pending`
==============  ============================================================================================

A front is the w columns of a supernode followed by its r rows.
"""

from __future__ import annotations

import numpy as np

from glmmcore._jit import kernel

__all__ = ["assemble_front", "backward", "factor_fronts", "forward", "pass_on"]


@kernel
def assemble_front(s, first, row_first, rows, parent, panel_first, panel, local, stack, pending, state, update):
    """Zero the update matrix of front s and add the updates its children left on the stack."""
    lo, w = first[s], first[s + 1] - first[s]
    top, r = row_first[s], row_first[s + 1] - row_first[s]
    square, below = panel_first[s], panel_first[s] + w * w
    update[: r * r] = 0.0
    if state[1] == 0 or parent[pending[state[1] - 1]] != s:
        return
    for c in range(w):
        local[lo + c] = c
    for i in range(r):
        local[rows[top + i]] = w + i
    while state[1] > 0 and parent[pending[state[1] - 1]] == s:
        child = pending[state[1] - 1]
        child_top = row_first[child]
        n = row_first[child + 1] - child_top
        base = state[0] - n * n
        for c in range(n):
            column = local[rows[child_top + c]]
            from_ = base + c * n
            if column < w:
                for i in range(c, n):
                    row = local[rows[child_top + i]]
                    if row < w:
                        panel[square + column * w + row] += stack[from_ + i]
                    else:
                        panel[below + column * r + row - w] += stack[from_ + i]
            else:
                to = (column - w) * r - w
                for i in range(c, n):
                    update[to + local[rows[child_top + i]]] += stack[from_ + i]
        state[0] = base
        state[1] -= 1


@kernel
def pass_on(s, first, row_first, rows, parent, core, stack, pending, state, update):
    """Hand the update matrix of front s to its parent: into the core, or onto the stack."""
    n_super = parent.size
    top, r = row_first[s], row_first[s + 1] - row_first[s]
    if parent[s] == n_super:
        lo = first[n_super]
        for c in range(r):
            column = rows[top + c] - lo
            for i in range(c, r):
                core[rows[top + i] - lo, column] += update[c * r + i]
    elif parent[s] >= 0:
        stack[state[0] : state[0] + r * r] = update[: r * r]
        state[0] += r * r
        pending[state[1]] = s
        state[1] += 1


@kernel
def _factor_panel(w, r, square, below, panel, update):
    """Cholesky of one panel and its downdate of the update matrix; the first column that fails, or -1."""
    for k in range(w):
        d = panel[square + k * w + k]
        if not d > 0.0:
            return k
        d = np.sqrt(d)
        panel[square + k * w + k] = d
        for i in range(k + 1, w):
            panel[square + k * w + i] /= d
        for i in range(r):
            panel[below + k * r + i] /= d
        for j in range(k + 1, w):
            x = panel[square + k * w + j]
            if x != 0.0:
                for i in range(j, w):
                    panel[square + j * w + i] -= panel[square + k * w + i] * x
                for i in range(r):
                    panel[below + j * r + i] -= panel[below + k * r + i] * x
    for j in range(r):
        for k in range(w):
            x = panel[below + k * r + j]
            if x != 0.0:
                for i in range(j, r):
                    update[j * r + i] -= panel[below + k * r + i] * x
    return -1


@kernel
def factor_fronts(
    begin, end, first, row_first, rows, parent, panel_first, panel, core, local, stack, pending, state, update
):
    """Factor the supernodes begin..end in turn; the first position not positive definite, or -1."""
    for s in range(begin, end):
        w = first[s + 1] - first[s]
        r = row_first[s + 1] - row_first[s]
        assemble_front(s, first, row_first, rows, parent, panel_first, panel, local, stack, pending, state, update)
        failed = _factor_panel(w, r, panel_first[s], panel_first[s] + w * w, panel, update)
        if failed >= 0:
            return first[s] + failed
        pass_on(s, first, row_first, rows, parent, core, stack, pending, state, update)
    return -1


@kernel
def forward(first, row_first, rows, panel_first, panel, x):
    """x := L^-1 x on the supernodes, and take their effect out of the core (in place)."""
    for s in range(first.size - 1):
        lo, w = first[s], first[s + 1] - first[s]
        top, r = row_first[s], row_first[s + 1] - row_first[s]
        square, below = panel_first[s], panel_first[s] + w * w
        for k in range(w):
            value = x[lo + k] / panel[square + k * w + k]
            x[lo + k] = value
            for i in range(k + 1, w):
                x[lo + i] -= panel[square + k * w + i] * value
            for i in range(r):
                x[rows[top + i]] -= panel[below + k * r + i] * value


@kernel
def backward(first, row_first, rows, panel_first, panel, x):
    """x := L^-T x on the supernodes once the core of x is solved (in place)."""
    for s in range(first.size - 2, -1, -1):
        lo, w = first[s], first[s + 1] - first[s]
        top, r = row_first[s], row_first[s + 1] - row_first[s]
        square, below = panel_first[s], panel_first[s] + w * w
        for k in range(w - 1, -1, -1):
            value = x[lo + k]
            for i in range(k + 1, w):
                value -= panel[square + k * w + i] * x[lo + i]
            for i in range(r):
                value -= panel[below + k * r + i] * x[rows[top + i]]
            x[lo + k] = value / panel[square + k * w + k]
