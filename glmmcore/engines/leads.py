"""The leading factor of a `CovaryingSystem` alone: H = I + Lambda'D Lambda with D the diagonal Z'WZ of its effects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
from scipy.linalg import lapack

from glmmcore.engines import _line_kernels as kernels
from glmmcore.engines.neighbours import NeighbourRoot, NeighbourSlope
from glmmcore.engines.roots import DenseRoot, DenseSlope, LevelRoot, LineRoot, LineSlope, Slope, as_columns, as_rows

__all__ = ["DenseLead", "Lead", "LineLead", "NeighbourLead", "lead_of"]

Weighted: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""Rows (q, m) times a symmetric matrix over the columns of a border."""


class Lead(Protocol):
    """One factorisation."""

    logdet: float

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """H^-1 rhs, for (q,) or (q, m)."""

    def slope(self) -> Slope:
        """D - D V D with V = Lambda H^-1 Lambda', as far as the root needs it."""

    def subtract(self, slope: Any, reduced: np.ndarray, solved: np.ndarray, weighted: Weighted) -> None:
        """Subtract ``weighted(reduced) reduced'`` from G; `solved` is Lambda'reduced, (q, m)."""

    def variance(self) -> np.ndarray:
        """Diagonal of V, (q,)."""


def lead_of(root: LevelRoot, diagonal: np.ndarray) -> Lead | None:
    """Factor for a root; None when H is not positive definite."""
    try:
        if isinstance(root, LineRoot):
            return LineLead(root, diagonal)
        if isinstance(root, NeighbourRoot):
            return NeighbourLead(root, diagonal)
        assert isinstance(root, DenseRoot)
        return DenseLead(root, diagonal)
    except ArithmeticError:
        return None


def _refined(
    solve: Callable[[np.ndarray], np.ndarray], root: LevelRoot, diagonal: np.ndarray, rhs: np.ndarray
) -> np.ndarray:
    """Solution of (I + Lambda'D Lambda) x = rhs by `solve`, with one step of refinement."""
    found = solve(rhs)
    weights = diagonal if rhs.ndim == 1 else diagonal[:, None]
    left = rhs - found - root.apply_transposed(weights * root.apply(found))
    return np.asarray(found + solve(left))


class LineLead:
    """Chains: the inverse of the correlation matrix is tridiagonal, and so is what is factored.

    With c_i = 1 - rho_i^2 and f_i the information up to effect i,

        f_i = s^2 d_i + rho_i^2 f_(i-1) / (1 + c_i f_(i-1)),   log|H| = sum log(1 + c_(i+1) f_i),

    which is exact for s = 0 and loses no digits as rho goes to one. The predicted variance of effect i is
    p = c_i + rho_i^2 / (1 + f_(i-1)) = (1 + c_i f_(i-1)) / (1 + f_(i-1)), its smoothed one v; e = 1 - v / p is what the
    rows from i on tell of it (weights may be negative, and 1 / p with them), and

        1 - var(u_i) = e c_i / p,   -cov(u_i, x_(i-1)) = e rho_i sqrt(c_i) / (1 + c_i f_(i-1)).
    """

    def __init__(self, root: LineRoot, diagonal: np.ndarray) -> None:
        self._root, self._diagonal = root, diagonal
        self._information, self._pivot = np.empty(len(diagonal)), np.empty(len(diagonal))
        self.logdet, fine = kernels.filter_line(
            root.scale**2 * diagonal, root.rho, root.innovation, self._information, self._pivot
        )
        if not (fine and np.isfinite(self.logdet)):
            raise ArithmeticError
        # rho_i / (1 + c_i f_(i-1)), and c_(i+1) / (1 + c_(i+1) f_i)
        self._gain, self._shrink = np.zeros(len(diagonal)), 1.0 / self._pivot
        self._gain[1:] = root.rho[1:] * self._shrink[:-1]
        self._shrink[:-1] *= root.innovation[1:]
        self._inverse_spread = 1.0 / root.spread
        self._unit_variance: np.ndarray | None = None

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """See `Lead.solve`."""
        rows = as_rows(rhs)
        out = np.empty_like(rows)
        kernels.solve_line(self._root.rho, self._inverse_spread, self._gain, self._shrink, rows, out)
        return as_columns(out, rhs)

    def _smoothed(self) -> np.ndarray:
        if self._unit_variance is None:
            self._unit_variance = np.empty(len(self._pivot))
            kernels.smooth_line(self._gain, self._shrink, self._unit_variance)
        return self._unit_variance

    def slope(self) -> LineSlope:
        """See `Lead.slope`."""
        own, cross = np.empty(len(self._pivot)), np.empty(len(self._pivot))
        root = self._root
        kernels.line_information(root.rho, root.spread, self._information, self._gain, self._smoothed(), own, cross)
        return LineSlope(root, own, cross)

    def subtract(self, slope: LineSlope, reduced: np.ndarray, solved: np.ndarray, weighted: Weighted) -> None:
        """See `Lead.subtract`."""
        own_weighted = weighted(solved)
        own = np.einsum("qe,qe->q", own_weighted, solved)
        slope.own -= own
        slope.trace -= float(own.sum())
        slope.cross[1:] -= np.einsum("qe,qe->q", own_weighted[1:], self._root.unit_apply(solved)[:-1])

    def variance(self) -> np.ndarray:
        """See `Lead.variance`."""
        return np.asarray(self._root.scale**2 * self._smoothed())

    def level_blocks(self, k: int) -> np.ndarray:
        """Blocks of V of chains of k effects each, (L, k, k)."""
        blocks = np.empty((len(self._pivot) // k, k, k))
        kernels.smooth_blocks(k, self._gain, self._smoothed(), blocks)
        blocks *= self._root.scale**2
        return blocks


class DenseLead:
    """Dense blocks, each through B = I + D^1/2 Sigma D^1/2 of its effects that rows are at.

    With P = D^1/2 B^-1 D^1/2, H^-1 = I - Lambda'P Lambda, V = Sigma - Sigma P Sigma and D - D V D = P: no inverse of
    Sigma, which may be singular. Where some d are negative (log densities that are not concave), S + K Sigma K takes
    the place of B, with K = |D|^1/2 and S the signs; H is positive definite where both have the same inertia.
    """

    def __init__(self, root: DenseRoot, diagonal: np.ndarray) -> None:
        self._root, self._diagonal = root, diagonal
        self._blocks = [
            _Block(root.scale**2, correlation.matrix, diagonal[span])
            for correlation, span in zip(root.blocks, root.spans, strict=True)
        ]
        self.logdet = float(sum(b.logdet for b in self._blocks))

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """See `Lead.solve`; one step of refinement makes up for what the subtraction costs."""
        return _refined(self._reduce, self._root, self._diagonal, rhs)

    def _reduce(self, rhs: np.ndarray) -> np.ndarray:
        """(I - Lambda'P Lambda) rhs."""
        moved = self._root.apply(rhs)
        pulled = np.zeros_like(moved)
        for block, span in zip(self._blocks, self._root.spans, strict=True):
            pulled[span] = block.information_times(moved[span])
        return np.asarray(rhs - self._root.apply_transposed(pulled))

    def slope(self) -> DenseSlope:
        """See `Lead.slope`."""
        return DenseSlope(self._root, [b.information() for b in self._blocks])

    def subtract(self, slope: DenseSlope, reduced: np.ndarray, solved: np.ndarray, weighted: Weighted) -> None:
        """See `Lead.subtract`."""
        left = weighted(reduced)
        for block, span in zip(slope.blocks, self._root.spans, strict=True):
            block -= left[span] @ reduced[span].T
        slope.trace -= float(np.sum(weighted(solved) * solved))

    def variance(self) -> np.ndarray:
        """See `Lead.variance`."""
        return np.concatenate([b.variance() for b in self._blocks])


class _Block:
    """One block of a `DenseLead`."""

    def __init__(self, square: float, correlation: np.ndarray, diagonal: np.ndarray) -> None:
        self._square, self._correlation = square, correlation
        self._n = len(diagonal)
        self._at = np.flatnonzero(diagonal)
        d = diagonal[self._at]
        self._root = np.sqrt(np.abs(d))
        sub = correlation if len(d) == self._n else correlation[np.ix_(self._at, self._at)]
        b = (square * sub) * self._root * self._root[:, None]
        self._pivots: np.ndarray | None = None
        if np.all(d > 0.0):
            b[np.diag_indices_from(b)] += 1.0
            self._factor, info = lapack.dpotrf(b, lower=1, clean=0, overwrite_a=1)
            if info != 0:
                raise ArithmeticError
            self.logdet = 2.0 * float(np.log(np.diagonal(self._factor)).sum())
        else:
            b[np.diag_indices_from(b)] += np.sign(d)
            self._factor, self._pivots, info = lapack.dsytrf(b, lower=1)
            negative, size = _inertia(self._factor, self._pivots)
            if info != 0 or negative != np.count_nonzero(d < 0.0):
                raise ArithmeticError
            self.logdet = size
        if not np.isfinite(self.logdet):
            raise ArithmeticError

    def _solve(self, rhs: np.ndarray) -> np.ndarray:
        if self._pivots is None:
            return np.asarray(lapack.dpotrs(self._factor, rhs, lower=1)[0])
        return np.asarray(lapack.dsytrs(self._factor, self._pivots, rhs, lower=1)[0])

    def information_times(self, x: np.ndarray) -> np.ndarray:
        """P x, for (k,) or (k, m)."""
        out = np.zeros_like(x)
        root = self._root if x.ndim == 1 else self._root[:, None]
        if len(self._at):
            out[self._at] = root * self._solve(root * x[self._at]).reshape(x[self._at].shape)
        return out

    def information(self) -> np.ndarray:
        """P, (k, k)."""
        if not len(self._at):
            return np.zeros((self._n, self._n))
        if self._pivots is None:
            lower = lapack.dpotri(self._factor, lower=1)[0]
        else:
            lower = lapack.dsytri(self._factor, self._pivots, lower=1)[0]
        inverse = np.tril(lower) + np.tril(lower, -1).T
        inverse *= self._root * self._root[:, None]
        if len(self._at) == self._n:
            return np.asarray(inverse)
        out = np.zeros((self._n, self._n))
        out[np.ix_(self._at, self._at)] = inverse
        return out

    def variance(self) -> np.ndarray:
        """Diagonal of V, (k,)."""
        rows = self._square * self._correlation[self._at] * self._root[:, None]
        if self._pivots is None:
            half = lapack.dtrtrs(self._factor, rows, lower=1)[0] if len(rows) else rows
            explained = np.einsum("ij,ij->j", half, half)
        else:
            explained = np.einsum("ij,ij->j", rows, self._solve(rows))
        return np.asarray(self._square * np.diagonal(self._correlation) - explained)


def _inertia(factor: np.ndarray, pivots: np.ndarray) -> tuple[int, float]:
    """Number of negative eigenvalues of a symmetric indefinite factorisation, and log of the absolute determinant."""
    negative, size, i = 0, 0.0, 0
    while i < len(pivots):
        if pivots[i] >= 0:
            value = factor[i, i]
            negative += bool(value < 0.0)
            size += np.log(abs(value)) if value != 0.0 else -np.inf
            i += 1
        else:  # a block of two, of opposite signs
            determinant = factor[i, i] * factor[i + 1, i + 1] - factor[i + 1, i] ** 2
            negative += 1 if determinant < 0.0 else (2 if factor[i, i] < 0.0 else 0)
            size += np.log(abs(determinant)) if determinant != 0.0 else -np.inf
            i += 2
    return negative, float(size)


class NeighbourLead:
    """Effects with a sparse precision P of unit variance, factored as A = P + s^2 D.

    H = C'A C, H^-1 = C^-1 A^-1 C'^-1, log|H| = log|A| + log|R|, V = s^2 A^-1 and I - H^-1 = s^2 C^-1 A^-1 D C, so that
    tr((D - D V D) dSigma) = tr(A^-1 dP) + d log|R|, of which the entries of A^-1 on the pattern of P are all that is
    needed.
    """

    def __init__(self, root: NeighbourRoot, diagonal: np.ndarray) -> None:
        self._root, self._diagonal = root, diagonal
        self._matrix = root.graph.matrix.fresh()
        values = root.precision.copy()
        values[: len(diagonal)] += root.scale**2 * diagonal
        if not self._matrix.factorise(values):
            raise ArithmeticError
        self.logdet = self._matrix.logdet + float(np.log(root.innovation).sum())
        self._found: np.ndarray | None = None

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """See `Lead.solve`; one step of refinement, since P may be ill-conditioned where H is not."""
        return _refined(self._solve, self._root, self._diagonal, rhs)

    def _solve(self, rhs: np.ndarray) -> np.ndarray:
        return self._root.unit_inverse(self._matrix.solve(self._root.unit_inverse_transposed(rhs)))

    def _inverse(self) -> np.ndarray:
        """A^-1 on the pattern, diagonal first."""
        if self._found is None:
            self._found = self._matrix.inverse()
        return self._found

    def slope(self) -> NeighbourSlope:
        """See `Lead.slope`."""
        inverse = self._inverse()
        return NeighbourSlope(
            self._root, inverse.copy(), 1.0, float(self._diagonal @ inverse[: len(self._diagonal)])
        )  # fmt: skip

    def subtract(self, slope: NeighbourSlope, reduced: np.ndarray, solved: np.ndarray, weighted: Weighted) -> None:
        """See `Lead.subtract`."""
        slope.subtract(reduced, weighted(reduced))

    def variance(self) -> np.ndarray:
        """See `Lead.variance`."""
        return np.asarray(self._root.scale**2 * self._inverse()[: len(self._diagonal)])
