"""Columns that are linear combinations of earlier ones, or out of all proportion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glmmcore.errors import ModelError
from glmmcore.tall import cross

__all__ = ["aliased_columns", "column_sizes", "require_scale"]

# R's and lme4's tolerance: with less than this share of its norm left a column depends on earlier ones.
_TOLERANCE = 1e-7
# Squared share below which the cheap test by cross-products cannot decide.
_SUSPICIOUS = 1e-8
# Sizes whose squares, and so variances of coefficients, stay within double precision whatever the other columns.
_SMALLEST, _LARGEST = 1e-140, 1e140
# Up to so many columns numpy is faster with one after the other than with all side by side.
_FEW = 8


def column_sizes(X: np.ndarray) -> np.ndarray:
    """Largest absolute value of each column of X (n, p), (p,)."""
    if X.shape[1] > _FEW or not len(X):
        return np.asarray(np.abs(X).max(axis=0, initial=0.0))
    return np.array([np.abs(column).max() for column in X.T])


def require_scale(X: np.ndarray, columns: Sequence[str]) -> None:
    """Refuse columns of X (n, p) so large or small that the variance of a coefficient is beyond double precision.

    Raises
    ------
    ModelError
        Naming the column.
    """
    size = column_sizes(X)
    wrong = (size > _LARGEST) | ((size > 0.0) & (size < _SMALLEST))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ModelError(
            f"column '{columns[at]}' has a largest absolute value of {size[at]:.3g}, whose square is beyond double "
            "precision; measure it in other units"
        )


def aliased_columns(X: np.ndarray) -> np.ndarray:
    """Mask (p,) of the columns of X (n, p) that depend on earlier ones.

    The Cholesky factor of the scaled cross-product shows at the speed of a matrix product that all columns
    are safe; only when a pivot is small are they orthogonalised one after the other.

    Examples
    --------
    >>> aliased_columns(np.array([[1.0, 2, 1], [1, 2, 3], [1, 2, 0]])).tolist()
    [False, True, False]
    """
    p = X.shape[1]
    none = np.zeros(p, dtype=bool)
    if p == 0:
        return none
    gram = cross(X, X)
    norms = np.sqrt(np.diag(gram))
    if (norms > 0).all() and np.isfinite(norms).all():
        try:
            pivots = np.diag(np.linalg.cholesky(gram / np.outer(norms, norms)))
        except np.linalg.LinAlgError:
            pivots = np.zeros(p)
        if (pivots**2 > _SUSPICIOUS).all():
            return none
    return _orthogonalise(X)


def _orthogonalise(X: np.ndarray) -> np.ndarray:
    """Gram-Schmidt in column order, each column twice for full accuracy."""
    aliased = np.zeros(X.shape[1], dtype=bool)
    basis = np.empty((X.shape[0], X.shape[1]), order="F")
    rank = 0
    for j in range(X.shape[1]):
        scale = np.abs(X[:, j]).max(initial=0.0)
        if scale == 0:
            aliased[j] = True
            continue
        rest = X[:, j] / scale
        norm = np.linalg.norm(rest)
        for _ in range(2):
            rest = rest - basis[:, :rank] @ (basis[:, :rank].T @ rest)
        left = np.linalg.norm(rest)
        if left < _TOLERANCE * norm:
            aliased[j] = True
        else:
            basis[:, rank] = rest / left
            rank += 1
    return aliased
