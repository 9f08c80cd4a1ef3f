"""Decorrelation of observation and simulations before they are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

__all__ = ["Whiten", "shrunk_covariance", "whitening"]


@dataclass(frozen=True, eq=False)
class Whiten:
    """Multiply by the inverse of a lower Cholesky factor.

    Attributes
    ----------
    factor : ndarray (n, n)
        Lower triangular; ``factor @ factor.T`` is the covariance taken out.
    """

    factor: FloatArray

    def __call__(self, chunk: int, block: FloatArray) -> FloatArray:
        """Whiten every replicate of ``(b, n)``."""
        return np.ascontiguousarray(self._solve(block.T).T)

    def vector(self, y: FloatArray) -> FloatArray:
        """Whiten one response ``(n,)``."""
        return np.ascontiguousarray(self._solve(y))

    def _solve(self, right: FloatArray) -> FloatArray:
        from scipy.linalg import solve_triangular

        return solve_triangular(self.factor, right, lower=True, check_finite=False)


def whitening(covariance: Any, n: int) -> Whiten:
    """Map that turns `covariance` into the identity.

    Raises
    ------
    ValueError
        If `covariance` is not a symmetric positive definite ``(n, n)`` matrix.
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.shape != (n, n):
        raise ValueError(f"rotation has shape {matrix.shape}, expected a covariance of shape {(n, n)}")
    if not np.allclose(matrix, matrix.T, rtol=1e-8, atol=1e-8 * np.abs(matrix).max()):
        raise ValueError("rotation is not symmetric; pass the covariance of the response")
    try:
        return Whiten(np.asarray(np.linalg.cholesky(matrix), dtype=np.float64))
    except np.linalg.LinAlgError:
        raise ValueError(
            "rotation is not positive definite; pass the full covariance of the response, residual "
            "variance included"
        ) from None


def shrunk_covariance(simulated: FloatArray) -> FloatArray:
    """Covariance of the columns of ``(k, n)`` with its correlations shrunk towards zero.

    The shrinkage intensity is the estimated optimum ``sum var(r_ij) / sum r_ij**2`` over ``i != j`` of
    Schäfer & Strimmer (2005, Stat. Appl. Genet. Mol. Biol. 4:32). The result is positive definite for any
    number of simulations, unless a column is constant, which is given the smallest positive variance among
    the others.
    """
    k = simulated.shape[0]
    sd = simulated.std(axis=0, ddof=1)
    if not (sd > 0).any():
        raise ValueError("rotation cannot be estimated: the simulations do not vary")
    sd = np.where(sd > 0, sd, sd[sd > 0].min())
    z = (simulated - simulated.mean(axis=0)) / sd
    r = z.T @ z / (k - 1)
    # var(r_ij) from the k products z_i z_j, whose mean is r_ij (k - 1) / k
    second = (z**2).T @ (z**2) / k - (r * (k - 1) / k) ** 2
    variance = second * k**2 / (k - 1) ** 3
    off = ~np.eye(r.shape[0], dtype=bool)
    squared = (r[off] ** 2).sum()
    intensity = 1.0 if squared == 0 else min(1.0, variance[off].sum() / squared)
    r *= 1.0 - intensity
    np.fill_diagonal(r, 1.0)
    return r * np.outer(sd, sd)
