"""Decorrelation of observation and simulations before they are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glmmcore.memory import require_memory
from simresid.alignment import real_array
from simresid.residuals.streaming import refuse_non_finite

if TYPE_CHECKING:
    from collections.abc import Callable

    from simresid.alignment import FloatArray
    from simresid.simulations.sources import SimulationSource


__all__ = ["Whiten", "shrunk_covariance", "simulations_for_covariance", "whitening", "whitening_by"]


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
    matrix = real_array(covariance, "rotation")
    if matrix.shape != (n, n):
        raise ValueError(f"rotation has shape {matrix.shape}, expected a covariance of shape {(n, n)}")
    require_memory(4 * 8.0 * n * n, f"decorrelating {n} rows", "group the rows first, or leave rotation out")
    if not np.isfinite(matrix).all():
        raise ValueError("rotation holds NaN or infinite values; pass the covariance of the response")
    if not np.allclose(matrix, matrix.T, rtol=1e-8, atol=1e-8 * np.abs(matrix).max()):
        raise ValueError("rotation is not symmetric; pass the covariance of the response")
    try:
        return Whiten(np.asarray(np.linalg.cholesky(matrix), dtype=np.float64))
    except np.linalg.LinAlgError:
        raise ValueError(
            "rotation is not positive definite; pass the full covariance of the response, residual variance included"
        ) from None


def whitening_by(rotation: Any, n: int, simulations: Callable[[], SimulationSource]) -> Whiten | None:
    """The map that takes a covariance out: none, one that is given, or with ``"estimated"`` that of `simulations`."""
    if rotation is None:
        return None
    if not isinstance(rotation, str):
        return whitening(rotation, n)
    if rotation != "estimated":
        raise ValueError(f"rotation={rotation!r}; pass a covariance matrix or 'estimated'")
    return whitening(shrunk_covariance(simulations()), n)


def simulations_for_covariance(n: int) -> int:
    """How many simulations to spend on an ``(n, n)`` covariance.

    Forty per row leave less than a twentieth of typical correlations to the shrinkage; beyond 1200 rows the
    number of drawn values is held at 6e7 (a few seconds), but not below four per row.
    """
    return max(1000, 4 * n, min(40 * n, 60_000_000 // n))


def shrunk_covariance(source: SimulationSource) -> FloatArray:
    """Covariance of the rows of a simulated response, with its correlations shrunk towards zero.

    The shrinkage intensity is the estimated optimum ``sum var(r_ij) / sum r_ij**2`` over ``i != j`` of
    Schäfer & Strimmer (2005, Stat. Appl. Genet. Mol. Biol. 4:32). The result is positive definite for any
    number of simulations. Rows that do not vary are given the smallest positive variance among the others.

    Returns
    -------
    ndarray (n, n)
    """
    k, n = source.n_sims, source.n_rows
    require_memory(7 * 8 * n * n, f"the covariance of {n} rows", "group the rows first, or leave rotation out")
    with np.errstate(all="ignore"):  # what overflows is refused below
        covariance = _shrunk(source, k, n)
    if not np.isfinite(covariance).all():
        raise ValueError("rotation cannot be estimated: the squares of simulated values overflow; divide the response")
    return covariance


def _shrunk(source: SimulationSource, k: int, n: int) -> FloatArray:
    first = source.draw(0)
    refuse_non_finite(first, 0)
    centre, scale = first.mean(axis=0), first.std(axis=0)  # rough, against cancellation only
    if not np.isfinite(scale).all():
        return np.full((n, n), np.nan)
    scale[scale == 0] = 1.0
    total, products, squares = np.zeros(n), np.zeros((n, n)), np.zeros((n, n))
    for start, block in source.blocks():
        if not np.isfinite(block.sum()):
            refuse_non_finite(block, start)
        z = (block - centre) / scale
        total += z.sum(axis=0)
        products += z.T @ z
        z *= z
        squares += z.T @ z
    covariance = (products - np.outer(total, total) / k) / (k - 1)
    sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    if not (sd > 0).any():
        raise ValueError("rotation cannot be estimated: the simulations do not vary")
    sd[sd == 0] = sd[sd > 0].min()
    unit = np.outer(sd, sd)
    r = covariance / unit
    # The variance of a mean of k products z_i z_j.
    variance = np.maximum(squares / k - (products / k) ** 2, 0.0) / unit**2 / (k - 1)
    off = ~np.eye(n, dtype=bool)
    squared = float((r[off] ** 2).sum())
    intensity = 1.0 if squared == 0 else min(1.0, float(variance[off].sum()) / squared)
    r *= 1.0 - intensity
    np.fill_diagonal(r, 1.0)
    return np.asarray(r * unit * np.outer(scale, scale))
