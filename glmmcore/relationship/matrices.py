"""Relationships given as matrices: covariances, dense or in blocks, and sparse precisions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import lapack

from glmmcore.engines.precision import Precision
from glmmcore.errors import ModelError
from glmmcore.memory import require_memory
from glmmcore.relationship.base import Relationship, as_text, make_labels, some

__all__ = ["covariance", "labelled_square", "precision"]

# Relative difference between both triangles, or between two rows, that is rounding of printed numbers.
_ROUNDED = 1e-8
_IDENTICAL = 1e-12
# Eigenvalues of the correlation matrix below this share of the largest are zero: the inverse would lose as many digits.
_SINGULAR = 1e-9
# Directions without variance, each of which is a dense constraint.
_MOST_CONSTRAINTS = 200


def covariance(matrix: Any, labels: Iterable[Any] | None = None) -> Relationship:
    """Levels with a given covariance matrix: correlations of species, known sampling variances, genomic relationship.

    Parameters
    ----------
    matrix : DataFrame, array_like or sparse matrix, shape (L, L)
        Symmetric; a DataFrame has its labels on both sides. What falls into blocks is inverted by blocks.
    labels : iterable, optional
        One for each row of a matrix without labels.

    Returns
    -------
    Relationship
        Labels with the same row share one effect, labels of variance zero have none; a matrix that is singular in other
        ways, as a genomic relationship with few markers, makes effects that obey constraints.

    Raises
    ------
    ModelError
        For a matrix that is not symmetric, not finite or no covariance matrix, and for one of a far lower rank.

    Examples
    --------
    >>> import pandas as pd
    >>> from glmmcore import relationship
    >>> table = pd.DataFrame([[2.0, 1.0], [1.0, 2.0]], index=["a", "b"], columns=["a", "b"])
    >>> relationship.covariance(table).variances.round(6).tolist()
    [2.0, 2.0]
    """
    square, names = labelled_square(matrix, labels, "covariance")
    variance = square.diagonal()
    if variance.min() < 0.0:
        raise ModelError(f"covariance: the variance of {str(names[int(np.argmin(variance))])!r} is negative")
    node, kept = _distinct(square, variance, names)
    return Relationship(names, _inverse(square[kept][:, kept], names[kept]), node, "covariance")


def precision(matrix: Any, labels: Iterable[Any] | None = None) -> Relationship:
    """Levels with a given precision matrix, the inverse of their covariance; sparse ones cost what they hold.

    Parameters
    ----------
    matrix : DataFrame, array_like or sparse matrix, shape (L, L)
        Symmetric positive definite.
    labels : iterable, optional
        One for each row of a matrix without labels.

    Returns
    -------
    Relationship
        For ``glmm(known=)``.

    Raises
    ------
    ModelError
        For a matrix that is not symmetric, finite and positive definite.

    Examples
    --------
    >>> from glmmcore import relationship
    >>> relationship.precision([[2.0, -1.0], [-1.0, 2.0]], ["a", "b"]).variances.round(3).tolist()
    [0.667, 0.667]
    """
    square, names = labelled_square(matrix, labels, "precision")
    diagonal = square.diagonal()
    out = Relationship(names, Precision.of(square), what="precision")
    if diagonal.min() <= 0.0 or not _is_definite(out):
        raise ModelError(
            "precision: the matrix is not positive definite; for intrinsic autoregressions and random walks use "
            "relationship.from_adjacency and relationship.random_walk"
        )
    return out


def _is_definite(found: Relationship) -> bool:
    try:
        return bool(np.all(np.isfinite(found.variances)) and np.all(found.variances > 0.0))
    except ArithmeticError:
        return False


def labelled_square(matrix: Any, labels: Iterable[Any] | None, what: str) -> tuple[Any, pd.Index]:
    """A symmetric matrix in compressed columns, and its labels.

    Raises
    ------
    ModelError
    """
    from scipy import sparse

    if isinstance(matrix, pd.DataFrame):
        if labels is not None:
            raise ModelError(f"{what}: a DataFrame has its own labels, leave labels= out")
        names = make_labels(matrix.index, len(matrix), what)
        columns = as_text(matrix.columns)
        place = columns.get_indexer(as_text(names)) if columns.is_unique else np.full(len(names), -1)
        if len(columns) != len(names) or (place < 0).any():
            raise ModelError(
                f"{what}: rows and columns of the DataFrame have different labels; write .set_index(...) so that the "
                "labels of the rows are its index"
            )
        matrix = matrix.iloc[:, place].to_numpy()
    elif sparse.issparse(matrix):
        names = make_labels(labels, matrix.shape[0], what)
    else:
        matrix = np.asarray(matrix)
        if matrix.ndim != 2:
            raise ModelError(f"{what}: the matrix has shape {matrix.shape}, it must be square")
        names = make_labels(labels, len(matrix), what)
    if matrix.shape[0] != matrix.shape[1] or not matrix.shape[0]:
        raise ModelError(f"{what}: the matrix has shape {matrix.shape}, it must be square")
    try:
        real = matrix.dtype.kind not in "cUSMm"
        square = sparse.csc_array(matrix, dtype=np.float64) if real else None
    except (TypeError, ValueError):
        square = None
    if square is None:
        raise ModelError(f"{what}: the matrix must hold real numbers")
    square.sum_duplicates()
    if not np.all(np.isfinite(square.data)):
        at = int(np.argmax(~np.isfinite(square.data)))
        row, column = int(square.indices[at]), int(np.searchsorted(square.indptr, at, side="right")) - 1
        raise ModelError(f"{what}: the entry of {str(names[row])!r} and {str(names[column])!r} is not finite")
    difference = abs(square - square.T)
    if difference.nnz and difference.max() > _ROUNDED * max(float(abs(square).max()), 1e-300):
        row, column = divmod(int(difference.argmax()), difference.shape[1])
        raise ModelError(f"{what}: the matrix is not symmetric, see {str(names[row])!r} and {str(names[column])!r}")
    square = sparse.csc_array(0.5 * (square + square.T))
    square.eliminate_zeros()
    return square, names


def _distinct(square: Any, variance: np.ndarray, names: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Node of each label, those of equal rows the same and -1 without variance, and the first label of each node."""
    n = len(variance)
    scale = np.sqrt(np.where(variance > 0.0, variance, 1.0))
    rows = np.repeat(np.arange(n), np.diff(square.indptr))
    columns, correlation = square.indices, square.data / (scale[rows] * scale[square.indices])
    flat = variance == 0.0
    bad = flat[rows] & (columns != rows)
    bad |= (np.abs(correlation) > 1.0 + _ROUNDED) & (rows != columns)
    if bad.any():
        at = int(np.argmax(bad))
        raise ModelError(
            f"covariance: that of {str(names[rows[at]])!r} and {str(names[columns[at]])!r} is larger than their "
            "variances allow"
        )
    leader = np.arange(n)
    same = (correlation > 1.0 - _IDENTICAL) & (np.abs(scale[rows] / scale[columns] - 1.0) < _IDENTICAL)
    np.minimum.at(leader, rows[same], columns[same])
    leader[flat] = -1
    kept = np.flatnonzero(leader == np.arange(n))
    if not len(kept):
        raise ModelError("covariance: all variances are zero")
    node = np.where(leader < 0, -1, np.searchsorted(kept, leader))
    if len(kept) < n:
        own = np.flatnonzero(node >= 0)
        different = abs(square[own][:, own] - square[kept][:, kept][node[own]][:, node[own]])
        if different.nnz and different.max() > _ROUNDED * float(variance.max()):
            at = own[int(different.argmax()) // len(own)]
            raise ModelError(
                f"covariance: {str(names[at])!r} and {str(names[kept[node[at]]])!r} have a correlation of one and "
                "different rows, so that it is no covariance matrix"
            )
    return node, kept


def _inverse(square: Any, names: pd.Index) -> Precision:
    """Invert a covariance matrix block by block."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    n_blocks, block = connected_components(square, directed=False)
    if n_blocks == square.shape[0]:
        return Precision.of(sparse.diags_array(1.0 / square.diagonal()))
    order = np.argsort(block, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(block))[:-1])
    rows, columns, values, nulls = [], [], [], []
    largest = max(len(m) for m in members)
    require_memory(
        16.0 * 8.0 * largest**2,
        f"inverting a dense covariance matrix of {largest} labels",
        "give its sparse inverse by relationship.precision, or a tree or pedigree",
    )
    for own in members:
        inverse, null = _inverse_block(square[own][:, own].toarray(), names[own])
        nulls.append(np.zeros((square.shape[0], null.shape[1])))
        nulls[-1][own] = null
        i, j = np.tril_indices(len(own))
        a, b = own[i], own[j]
        rows.append(np.maximum(a, b))
        columns.append(np.minimum(a, b))
        values.append(inverse[i, j])
    row, column, value = np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
    kept = (value != 0.0) | (row == column)
    out = Precision(square.shape[0], row[kept], column[kept], value[kept])
    null = np.hstack(nulls)
    if null.shape[1] > _MOST_CONSTRAINTS:
        raise ModelError(
            f"covariance: the matrix is singular, its {square.shape[0]} labels have rank "
            f"{square.shape[0] - null.shape[1]}: add a small number such as 1e-4 of the mean variance to its diagonal"
        )
    return out.of_null(null) if null.shape[1] else out


def _inverse_block(dense: np.ndarray, names: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of a matrix, lower triangle, and a basis of what it has no variance along, made definite there."""
    n = len(dense)
    scale = np.sqrt(np.diag(dense))
    correlation = np.asfortranarray(dense / np.outer(scale, scale))
    size = float(np.abs(correlation).sum(axis=0).max())
    lower, info = lapack.dpotrf(correlation, lower=1)
    if not info and lapack.dpocon(lower, size, uplo="L")[0] > _SINGULAR:
        inverse, _ = lapack.dpotri(lower, lower=1)
        return inverse / np.outer(scale, scale), np.zeros((n, 0))
    values, vectors = np.linalg.eigh(correlation)
    if values[0] < -_ROUNDED * n:
        loudest = names[np.argsort(-np.abs(vectors[:, 0]), kind="stable")[:3]]
        raise ModelError(
            f"covariance: the matrix has a negative eigenvalue ({values[0]:.3g} of its correlations), so that it is no "
            f"covariance matrix; look at {some(loudest)}"
        )
    used = values > _SINGULAR * values[-1]
    null = np.linalg.qr(vectors[:, ~used] / scale[:, None])[0]
    inverse = ((vectors[:, used] / values[used]) @ vectors[:, used].T) / np.outer(scale, scale)
    inverse -= null @ (null.T @ inverse)
    inverse -= (inverse @ null) @ null.T
    return inverse + float(np.diag(inverse).mean()) * null @ null.T, null
