"""Relative factors of effects that covary across levels: square roots of their covariance, without any inverse.

An objective F of the root meets it through Lambda u and Lambda'x, and its gradient through the symmetric matrix
G = 2 dF/dSigma, of which a root keeps what its parameters need: G is sum of the rows' information on the effects,
M - M V M with M = Z'WZ and V their conditional covariance, and of products of vectors.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

import numpy as np
from scipy.linalg import lapack, lstsq

from glmmcore.engines import _line_kernels as kernels

__all__ = [
    "CorrelationRoot",
    "DenseRoot",
    "DenseSlope",
    "LevelRoot",
    "LineRoot",
    "LineSlope",
    "RootChange",
    "Slope",
    "as_columns",
    "as_rows",
]

# Smallest pivot of a correlation matrix below which its Cholesky factor is made with pivoting, to its numerical rank.
_SMALLEST_PIVOT = 1e-6
# Share of the largest singular value of such a matrix that is rounding.
_RANK = 1e-12


class Slope(Protocol):
    """What is kept of G."""

    trace: float

    def add(self, left: np.ndarray, dual: np.ndarray, times: float = 1.0) -> None:
        """Add ``times * left dual'``; all that is added must be symmetric in the end."""


class LevelRoot(Protocol):
    """A square root Lambda of the covariance Sigma of all effects of a factor, (q, q)."""

    scale: float

    def apply(self, u: np.ndarray) -> np.ndarray:
        """Lambda u, for (q,) or (q, m)."""

    def apply_transposed(self, x: np.ndarray) -> np.ndarray:
        """Lambda'x."""

    def multiply(self, x: np.ndarray) -> np.ndarray:
        """Sigma x."""

    def solve(self, x: np.ndarray) -> np.ndarray:
        """Sigma^-1 x, (q,), x in the range of Sigma."""

    def slope(self, dense: np.ndarray) -> Slope:
        """G from a dense matrix (q, q)."""

    def no_slope(self) -> Slope:
        """G of zero."""


class RootChange:
    """Difference of two roots over `span`: a step along a change of parameters, or a slope."""

    def __init__(self, new: LevelRoot, old: LevelRoot, span: float = 1.0) -> None:
        self._new, self._old, self._span = new, old, span

    def apply(self, u: np.ndarray) -> np.ndarray:
        """(New - old) u / span."""
        if self._new is self._old:
            return np.zeros_like(u)
        return np.asarray((self._new.apply(u) - self._old.apply(u)) / self._span)

    def apply_transposed(self, x: np.ndarray) -> np.ndarray:
        """(New - old)'x / span."""
        if self._new is self._old:
            return np.zeros_like(x)
        return np.asarray((self._new.apply_transposed(x) - self._old.apply_transposed(x)) / self._span)


# ---- dense blocks ------------------------------------------------------------------------------------------
class CorrelationRoot:
    """A correlation matrix (k, k) and a root of it, which exists for numerically singular ones too."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix
        lower, info = lapack.dpotrf(matrix, lower=1, clean=1)
        self._regular = info == 0 and np.diagonal(lower).min(initial=1.0) >= _SMALLEST_PIVOT
        if not self._regular:
            factor, order, rank, _ = lapack.dpstrf(matrix, lower=1)
            lower = np.zeros_like(matrix)
            lower[order - 1, :rank] = np.tril(factor)[:, :rank]
        self.root = lower

    def solve(self, x: np.ndarray) -> np.ndarray:
        """R^-1 x, (k,); the shortest solution where R is numerically singular."""
        if self._regular:
            return np.asarray(lapack.dpotrs(self.root, x, lower=1)[0])
        return np.asarray(lstsq(self.matrix, x, cond=_RANK)[0])


class DenseRoot:
    """Independent blocks of levels, each with a dense correlation matrix, and one standard deviation.

    Parameters
    ----------
    scale : float
        Standard deviation.
    blocks : list of CorrelationRoot
    first : ndarray of int64, shape (blocks + 1,)
        First level of each block.
    """

    def __init__(self, scale: float, blocks: list[CorrelationRoot], first: np.ndarray) -> None:
        self.scale, self.blocks, self.first = scale, blocks, first
        self.spans = [slice(a, b) for a, b in pairwise(first.tolist())]

    def apply(self, u: np.ndarray) -> np.ndarray:
        """Lambda u."""
        return self.scale * self._by_block([b.root for b in self.blocks], u)

    def apply_transposed(self, x: np.ndarray) -> np.ndarray:
        """Lambda'x."""
        return self.scale * self._by_block([b.root.T for b in self.blocks], x)

    def multiply(self, x: np.ndarray) -> np.ndarray:
        """Sigma x."""
        return self.scale**2 * self._by_block([b.matrix for b in self.blocks], x)

    def solve(self, x: np.ndarray) -> np.ndarray:
        """Sigma^-1 x."""
        solved = [block.solve(x[span]) for block, span in zip(self.blocks, self.spans, strict=True)]
        return np.concatenate(solved) / self.scale**2

    def _by_block(self, matrices: list[np.ndarray], x: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        for span, matrix in zip(self.spans, matrices, strict=True):
            out[span] = matrix @ x[span]
        return out

    def slope(self, dense: np.ndarray) -> DenseSlope:
        """See `LevelRoot.slope`."""
        return DenseSlope(self, [np.ascontiguousarray(dense[span, span]) for span in self.spans])

    def no_slope(self) -> DenseSlope:
        """See `LevelRoot.no_slope`."""
        return DenseSlope(self, [np.zeros_like(b.matrix) for b in self.blocks])


class DenseSlope:
    """The blocks of G."""

    def __init__(self, root: DenseRoot, blocks: list[np.ndarray]) -> None:
        self._spans, self.blocks = root.spans, blocks
        self.trace = root.scale**2 * float(
            sum(np.sum(own * block.matrix) for own, block in zip(blocks, root.blocks, strict=True))
        )

    def add(self, left: np.ndarray, dual: np.ndarray, times: float = 1.0) -> None:
        """See `Slope.add`."""
        for span, block in zip(self._spans, self.blocks, strict=True):
            block += np.outer(times * left[span], dual[span])


def as_rows(x: np.ndarray) -> np.ndarray:
    """Columns of x, (q,) or (q, m), as contiguous rows (m, q)."""
    return np.ascontiguousarray(x[None] if x.ndim == 1 else x.T, dtype=np.float64)


def as_columns(rows: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The inverse of `as_rows`, with as many dimensions as `like`."""
    return np.asarray(rows[0] if like.ndim == 1 else rows.T)


# ---- lines -------------------------------------------------------------------------------------------------
class LineRoot:
    """First-order chains behind each other, and one standard deviation.

    Parameters
    ----------
    scale : float
        Standard deviation.
    rho : ndarray, shape (q,)
        Correlation of each effect with the one before; 0 where a chain begins.
    innovation : ndarray, shape (q,)
        1 - rho^2, given so that no digits are lost as rho goes to one.
    """

    def __init__(self, scale: float, rho: np.ndarray, innovation: np.ndarray) -> None:
        self.scale, self.rho, self.innovation = scale, rho, innovation
        self.spread = np.sqrt(innovation)
        self._scaled = scale * self.spread

    def unit_apply(self, u: np.ndarray) -> np.ndarray:
        """Lambda u for a standard deviation of one."""
        return self._columns(kernels.apply_root, self.spread, u)

    def apply(self, u: np.ndarray) -> np.ndarray:
        """Lambda u."""
        return self._columns(kernels.apply_root, self._scaled, u)

    def apply_transposed(self, x: np.ndarray) -> np.ndarray:
        """Lambda'x."""
        return self._columns(kernels.apply_root_transposed, self._scaled, x)

    def multiply(self, x: np.ndarray) -> np.ndarray:
        """Sigma x."""
        return self.apply(self.apply_transposed(x))

    def solve(self, x: np.ndarray) -> np.ndarray:
        """Sigma^-1 x."""
        out = x.copy()
        out[1:] -= self.rho[1:] * x[:-1]
        out /= np.square(self._scaled)
        out[:-1] -= self.rho[1:] * out[1:]
        return out

    def _columns(self, loop, spread: np.ndarray, x: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
        rows = as_rows(x)
        out = np.empty_like(rows)
        loop(self.rho, spread, rows, out)
        return as_columns(out, x)

    def slope(self, dense: np.ndarray) -> LineSlope:
        """See `LevelRoot.slope`."""
        own = self.apply_transposed(self.apply_transposed(dense).T).T  # Lambda'G Lambda
        cross = np.zeros(len(own))
        along = self.unit_apply(np.ascontiguousarray(own.T)).T  # its rows times C'
        cross[1:] = np.diagonal(along, -1)
        return LineSlope(self, np.diagonal(own).copy(), cross)

    def no_slope(self) -> LineSlope:
        """See `LevelRoot.no_slope`."""
        return LineSlope(self, np.zeros(len(self.rho)), np.zeros(len(self.rho)))


class LineSlope:
    """N = Lambda'G Lambda along a line: its diagonal, and ``(N C')_(i, i-1)`` with C the root of unit variance."""

    def __init__(self, root: LineRoot, own: np.ndarray, cross: np.ndarray) -> None:
        self._root, self.own, self.cross = root, own, cross
        self.trace = float(own.sum())

    def add(self, left: np.ndarray, dual: np.ndarray, times: float = 1.0) -> None:
        """See `Slope.add`."""
        one = self._root.apply_transposed(left)
        other = one if dual is left else self._root.apply_transposed(dual)
        self.own += times * one * other
        self.cross[1:] += times * one[1:] * self._root.unit_apply(other)[:-1]
