"""Covariances of random coefficients from moments of the rows' residuals, level by level: where searches start.

With s = Z'Wr and w = Z'WZ of every level, r the residuals of the fixed effects and `total` the variance of a row, of
which the effects' own share is tr(Sigma sum(w)) / n, the sum over levels of s s' - total w has the expectation

    sum(w Sigma w) - sum(w) tr(Sigma sum(w)) / n

where levels of other factors meet at random. Of one factor with the same rows in every level, that is the maximum of
the likelihood.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["moment_covariance", "moment_variances"]

# Least variance of a coefficient at the start, relative to that of a row.
_LEAST_SHARE = 0.01
# Least share of sum(w^2) that is left for the moments of levels with hardly more than one row each.
_LEAST_LEFT = 0.1
# Share up to which moments say nothing, as where every level has one row and what is theirs shows in how levels covary;
# and the variance at the start then, relative to that of a row.
_NOTHING_LEFT, _UNKNOWN_SHARE = 1e-6, 0.5


def moment_variances(square: np.ndarray, w: np.ndarray, total: Any, n: float) -> np.ndarray:
    """Variances of coefficients from sum(s^2) (..., k) over levels, w (L, k) and `total` (..., 1), none too small."""
    sums, squares = w.sum(axis=0), np.square(w).sum(axis=0)
    own = squares - np.square(sums) / n
    left = np.maximum(own, np.maximum(_LEAST_LEFT * squares, 1e-300))
    found = np.maximum((square - total * sums) / left, _LEAST_SHARE * total)
    return np.asarray(np.where(own > _NOTHING_LEFT * squares, found, _UNKNOWN_SHARE * total))


def moment_covariance(s: np.ndarray, w: np.ndarray, total: float, n: float) -> np.ndarray:
    """Covariance (k, k) of the coefficients of a level from s (L, k) and w (L, k, k); no variance is too small.

    The shortest solution where levels have too few rows for all coefficients.
    """
    k = s.shape[1]
    sums = w.sum(axis=0)
    squares = np.einsum("lab,lcd->acbd", w, w).reshape(k * k, k * k)
    own = np.linalg.lstsq(squares, sums.ravel(), rcond=None)[0]
    share = float(sums.ravel() @ own) / n
    # what the mean variance takes out of the moments leaves its least share
    taken = min(1.0, (1.0 - _LEAST_LEFT) / share) if share > 0.0 else 0.0
    left = squares - taken * np.outer(sums, sums) / n
    found = np.linalg.lstsq(left, (s.T @ s - total * sums).ravel(), rcond=None)[0].reshape(k, k)
    values, vectors = np.linalg.eigh(0.5 * (found + found.T))
    return np.asarray((vectors * np.maximum(values, _LEAST_SHARE * total)) @ vectors.T)
