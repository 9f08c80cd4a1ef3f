"""Change of basis that makes a fit independent of the units, shifts and collinearity of covariates.

Every block of fixed-effects columns is orthonormalised, and so are the left-hand sides of random terms as far as
their covariance structure allows; estimates are mapped back at the end. The optimiser then works in coordinates whose
curvature it can guess.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

from glmmcore.formula.rank import column_sizes
from glmmcore.tall import cross, times

__all__ = ["orthonormal", "rescale"]

# Cholesky of the cross-product loses half the digits; beyond this condition number of X'X use Householder.
_CHOLESKY_LIMIT = 1e8
# Smallest eigenvalue of the scaled cross-product of a random term's columns that still counts as full rank.
_RANK_LIMIT = 1e-14


def orthonormal(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthogonal columns of mean square one spanning those of `x` (n, p).

    Returns
    -------
    columns : ndarray, shape (n, p)
        ``x @ back``.
    back : ndarray, shape (p, p)
        Upper triangular; coefficients of `x` are ``back @`` those of `columns`.
    """
    n, p = x.shape
    if p == 0:
        return np.ascontiguousarray(x), np.zeros((0, 0))
    scale = column_sizes(x)
    scale[scale == 0.0] = 1.0
    scaled = x / scale
    lower, info = lapack.dpotrf(cross(scaled, scaled) / n, lower=1)
    pivots = np.diag(lower)
    if info == 0 and pivots.max() ** 2 < _CHOLESKY_LIMIT * pivots.min() ** 2:
        back = np.ascontiguousarray(lapack.dtrtri(lower, lower=1)[0].T)
        return times(scaled, back), back / scale[:, None]
    q, upper = linalg.qr(scaled, mode="economic")
    signs = np.where(np.diag(upper) < 0.0, -1.0, 1.0)
    back = linalg.solve_triangular(upper, np.diag(signs) * np.sqrt(n))
    return np.ascontiguousarray(q * (signs * np.sqrt(n))), back / scale[:, None]


def rescale(z: np.ndarray, kind: str, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Left-hand side of a random term in convenient units, as `orthonormal` does but no further than `kind` allows.

    Parameters
    ----------
    z : ndarray, shape (n, k)
    kind : {"linear", "columns", "common"}
        `Structure.rescaling` of the term.
    weights : ndarray, shape (n,), optional
        How often each row counts: quadrature of several coefficients depends on the basis, if little.
    """
    if z.shape[1] == 1 and np.all(z == 1.0):
        return z, np.eye(1)
    if weights is not None:
        back = rescale(z * np.sqrt(weights / weights.mean())[:, None], kind)[1]
        return times(z, back), back
    norm = _root_mean_square(z)
    if kind == "linear":
        scaled = z / norm
        gram = cross(scaled, scaled) / len(z)
        if np.linalg.eigvalsh(gram)[0] > _RANK_LIMIT:
            return orthonormal(z)
    if kind == "common":
        norm[:] = norm.max()
    return z / norm, np.diag(1.0 / norm)


def _root_mean_square(z: np.ndarray) -> np.ndarray:
    """Per column, safe from overflow; 1 for a column of zeros."""
    largest = column_sizes(z)
    largest[largest == 0.0] = 1.0
    norm = np.sqrt(np.mean(np.square(z / largest), axis=0)) * largest
    norm[norm == 0.0] = 1.0
    return norm
