"""Columns that are linear combinations of earlier ones, or out of all proportion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glmmcore.errors import ModelError
from glmmcore.tall import cross

__all__ = ["Aliasing", "aliased_columns", "column_sizes", "require_offset", "require_scale"]

# R's and lme4's tolerance: with less than this share of its norm left a column depends on earlier ones.
_TOLERANCE = 1e-7
# Squared share below which the cheap test by cross-products cannot decide.
_UNDECIDED = 1e-8
# Sizes whose squares, and so variances of coefficients, stay within double precision whatever the other columns.
_SMALLEST, _LARGEST = 1e-140, 1e140
# A row fulfils a relation between columns when it does so to this share of the column's size: on the rows of the fit
# dropped columns do to 1e-7.
_FULFILLED = 1e-6
# Rounding of the sum that a relation is, as a share of its addends.
_ROUNDING = 1e-10
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


def require_offset(offset: np.ndarray) -> None:
    """Refuse an offset (n,) whose square is beyond double precision.

    Raises
    ------
    ModelError
    """
    size = np.abs(offset).max(initial=0.0)
    if size > _LARGEST:
        raise ModelError(
            f"the offset has a largest absolute value of {size:.3g}, whose square is beyond double precision; measure "
            "it in other units"
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
        if (pivots**2 > _UNDECIDED).all():
            return none
    return _orthogonalise(X)


@dataclass(frozen=True, slots=True, eq=False)
class Aliasing:
    """Which columns of a matrix are kept, and how the others depend on them.

    Attributes
    ----------
    kept, dropped : tuple of int
        Positions of columns.
    weights : ndarray, shape (len(kept), len(dropped))
        ``X[:, dropped] = X[:, kept] @ weights`` on the rows of the fit.
    sizes : ndarray, shape (len(dropped),)
        Largest absolute value of each dropped column, 1 for a column of zeros.
    """

    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    weights: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray) -> Aliasing:
        """Find the columns of X (n, p) that depend on earlier ones."""
        aliased = aliased_columns(X)
        kept, dropped = np.flatnonzero(~aliased), np.flatnonzero(aliased)
        weights = np.zeros((len(kept), len(dropped)))
        sizes = column_sizes(X[:, dropped])
        sizes[sizes == 0.0] = 1.0
        if len(kept) and len(dropped):
            scale = column_sizes(X[:, kept])
            shares = np.linalg.lstsq(X[:, kept] / scale, X[:, dropped] / sizes, rcond=None)[0]
            shares[np.abs(shares) < _ROUNDING] = 0.0
            weights = shares * sizes / scale[:, None]
        return cls(tuple(kept.tolist()), tuple(dropped.tolist()), weights, sizes)

    def outside(self, X: np.ndarray) -> np.ndarray:
        """How far rows X (n, p) are from fulfilling the relations, (n, len(dropped)); zero where they do.

        A linear combination of coefficients can be estimated if, and only if, its weights fulfil all of them: then it
        is a combination of expected values of rows of the fit (Searle 1971, chapter 5).
        """
        sums = X[:, self.kept] @ self.weights
        given = X[:, self.dropped]
        addends = np.abs(X[:, self.kept]) @ np.abs(self.weights)
        limit = _FULFILLED * np.maximum(self.sizes, np.abs(given)) + _ROUNDING * addends
        distance = given - sums
        return np.where(np.abs(distance) > limit, distance / self.sizes, 0.0)


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
