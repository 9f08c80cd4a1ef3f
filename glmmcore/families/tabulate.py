"""Smooth functions of one variable, tabulated to working precision.

With one dispersion for all rows, the costly parts of some laws (the tweedie series, the rate of the
Conway-Maxwell-Poisson law) are analytic functions of a single number per row. They are expanded in Chebyshev
polynomials on panels that are halved until the coefficients have died out; where they do not, rows are
computed one by one. So a table never decides the accuracy, only the time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glmmcore._jit import kernel
from glmmcore.families.links import Array

__all__ = ["ChebyshevTable"]

_NODES = 20
_DEPTH = 5
"""A panel of width 1 is halved at most this often."""
_FEWEST_ROWS = 300
"""Below this many rows nothing is tabulated."""

_ANGLES = np.pi * (np.arange(_NODES) + 0.5) / _NODES
_POINTS = np.cos(_ANGLES)
_TRANSFORM = 2 / _NODES * np.cos(np.outer(np.arange(_NODES), _ANGLES))
_TRANSFORM[0] /= 2


@kernel
def _evaluate(x, first, leaf_of_cell, centre, scale, coefficients, out):
    """Clenshaw's recurrence for all functions of a row; cells are the finest halving."""
    nodes, m = coefficients.shape[1], coefficients.shape[2]
    cells = 2.0**5
    b0, b1 = np.empty(m), np.empty(m)
    for i in range(x.size):
        leaf = leaf_of_cell[int(np.floor(x[i] * cells)) - first]
        if leaf < 0:
            continue
        u = (x[i] - centre[leaf]) * scale[leaf]
        for f in range(m):
            b0[f] = coefficients[leaf, nodes - 1, f]
            b1[f] = 0.0
        for k in range(nodes - 2, 0, -1):
            for f in range(m):
                new = coefficients[leaf, k, f] + 2.0 * u * b0[f] - b1[f]
                b1[f] = b0[f]
                b0[f] = new
        for f in range(m):
            out[f, i] = coefficients[leaf, 0, f] + u * b0[f] - b1[f]


class ChebyshevTable:
    """Vector-valued function of one variable, with panels built where it is asked for.

    Parameters
    ----------
    function : callable
        x of shape (k,) -> values of shape (m, k); analytic near the real line. Values below 1 in absolute
        value are held to an absolute error, larger ones to a relative error, of `tolerance`.
    tolerance : float or ndarray, shape (m,)
        Size of the last coefficients at which a panel is accepted.
    """

    def __init__(self, function: Callable[[Array], Array], tolerance: float | Array = 3e-14) -> None:
        self._function = function
        self._tolerance = tolerance
        self._spent = 0
        self._leaves: dict[int, list[tuple[int, int, Array]]] = {}

    def __call__(self, x: Array) -> Array:
        """Return the values at `x`, shape (m, n)."""
        if x.size < _FEWEST_ROWS:
            return self._function(x)
        panels = np.unique(np.floor(x).astype(np.int64))
        if panels.size * _NODES * 2 > x.size:
            return self._function(x)
        for panel in panels.tolist():
            if panel not in self._leaves:
                self._leaves[panel] = self._build(panel * 2**_DEPTH, 2**_DEPTH, x.size)
        return self._interpolate(x, panels)

    def _build(self, start: int, length: int, budget: int) -> list[tuple[int, int, Array]]:
        """Cover cells start .. start + length, where possible, by leaves (first cell, cells, coefficients).

        No more than `budget` evaluations are spent in all: a rough function is better computed row by row.
        """
        if self._spent > budget:
            return []
        self._spent += _NODES
        half = 0.5 * length / 2**_DEPTH
        values = self._function(start / 2**_DEPTH + half * (1 + _POINTS))
        coefficients = _TRANSFORM @ values.T
        size = np.maximum(np.abs(coefficients).max(axis=0), 1.0)
        if np.all(np.abs(coefficients[-3:]).max(axis=0) <= self._tolerance * size):
            return [(start, length, coefficients)]
        if length == 1:
            return []
        half_length = length // 2
        return self._build(start, half_length, budget) + self._build(start + half_length, half_length, budget)

    def _interpolate(self, x: Array, panels: Array) -> Array:
        leaves = [leaf for panel in panels.tolist() for leaf in self._leaves[panel]]
        first = int(panels[0]) * 2**_DEPTH
        leaf_of_cell = np.full((int(panels[-1]) + 1) * 2**_DEPTH - first, -1, dtype=np.int64)
        for k, (start, length, _) in enumerate(leaves):
            leaf_of_cell[start - first : start - first + length] = k
        if not leaves:
            return self._function(x)
        starts = np.array([leaf[0] for leaf in leaves]) / 2**_DEPTH
        halves = np.array([leaf[1] for leaf in leaves]) / 2 ** (_DEPTH + 1)
        coefficients = np.stack([leaf[2] for leaf in leaves])
        out = np.empty((coefficients.shape[2], x.size))
        _evaluate(x, first, leaf_of_cell, starts + halves, 1 / halves, coefficients, out)
        rough = leaf_of_cell[np.floor(x * 2**_DEPTH).astype(np.int64) - first] < 0
        if rough.any():
            out[:, rough] = self._function(x[rough])
        return out
