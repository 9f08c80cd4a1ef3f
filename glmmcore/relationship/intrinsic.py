"""Intrinsic autoregressions: neighbours on a map, and random walks. Their effects obey constraints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from glmmcore.engines.precision import Precision
from glmmcore.errors import ModelError, warn_of_data
from glmmcore.relationship.base import Relationship, make_labels, some
from glmmcore.relationship.matrices import labelled_square

__all__ = ["from_adjacency", "random_walk"]

# Separate parts of a map, each of which has a constraint with a dense column.
_MOST_PARTS = 200


def from_adjacency(weights: Any, labels: Iterable[Any] | None = None, *, unit_variance: bool = False) -> Relationship:
    """Intrinsic conditional autoregression of areas with given neighbours (Besag, York and Mollie 1991).

    The effect of an area given all others has the mean of its neighbours' effects, weighted, and variance
    ``sd**2 / (sum of its weights)``. Effects add up to zero within each connected part of the map; an area without
    neighbours has the effect zero. Beside an independent term of a second column with the same labels this is the model
    of Besag, York and Mollie.

    Parameters
    ----------
    weights : DataFrame, array_like, sparse matrix, or libpysal W or Graph
        Symmetric, not negative, zero or one in most cases; the diagonal is not used.
    labels : iterable, optional
        One for each row of a matrix without labels.
    unit_variance : bool
        Scale to a geometric mean of the areas' variances of one (Sorbye and Rue 2014), so that standard deviations
        compare between maps.

    Returns
    -------
    Relationship
        For ``glmm(known=)``.

    Raises
    ------
    ModelError
        For weights that are not symmetric or negative, and maps of very many separate parts.

    Examples
    --------
    >>> from glmmcore import relationship
    >>> r = relationship.from_adjacency([[0, 1, 0], [1, 0, 1], [0, 1, 0]], ["west", "centre", "east"])
    >>> r.variances.round(3).tolist()
    [0.556, 0.222, 0.556]
    """
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    weights, labels = _weights(weights, labels)
    square, names = labelled_square(weights, labels, "from_adjacency")
    square = sparse.csc_array(square - sparse.diags_array(square.diagonal()))
    square.eliminate_zeros()
    if square.nnz and square.data.min() < 0.0:
        raise ModelError("from_adjacency: weights must not be negative")
    total = np.asarray(square.sum(axis=0)).ravel()
    isolated = total == 0.0
    if isolated.all():
        raise ModelError("from_adjacency: no two areas are neighbours")
    if isolated.any():
        warn_of_data(
            f"from_adjacency: {int(isolated.sum())} areas have no neighbours and the effect zero: "
            f"{some(names[isolated])}"
        )
    kept = np.flatnonzero(~isolated)
    node = np.where(isolated, -1, np.cumsum(~isolated) - 1)
    laplacian = sparse.csc_array(sparse.diags_array(total) - square)[kept][:, kept]
    n_parts, part = connected_components(laplacian, directed=False)
    if n_parts > _MOST_PARTS:
        raise ModelError(
            f"from_adjacency: the map falls into {n_parts} parts, more than the {_MOST_PARTS} that are possible"
        )
    null = np.zeros((len(kept), n_parts))
    null[np.arange(len(kept)), part] = 1.0
    null /= np.sqrt(null.sum(axis=0))
    first = np.array([int(np.argmax(part == p)) for p in range(n_parts)])
    out = Relationship(names, _intrinsic(laplacian, null, first), node, "intrinsic autoregression")
    if unit_variance:
        size = float(np.exp(np.mean(np.log(out.variances[~isolated]))))
        return Relationship(names, out.precision.scaled(size), node, "intrinsic autoregression")
    return out


def random_walk(order: int, levels: Iterable[Any]) -> Relationship:
    """Random walk over ordered levels, such as years: differences (of differences) of neighbours are independent.

    Effects add up to zero, those of order 2 have no linear trend either: the intercept, and a covariate for the trend,
    stand for these.

    Parameters
    ----------
    order : {1, 2}
        Order of the differences, whose standard deviation is what a model estimates.
    levels : iterable
        In their order, those without rows too. Numbers are positions, ascending: differences of order 1 over a gap have
        the gap times the variance; those of order 2 need equal steps.

    Returns
    -------
    Relationship
        For ``glmm(known=)``.

    Raises
    ------
    ModelError
        For numbers that do not ascend, and unequal steps with order 2.

    Examples
    --------
    >>> from glmmcore import relationship
    >>> relationship.random_walk(1, range(2001, 2005)).variances.round(3).tolist()
    [0.875, 0.375, 0.375, 0.875]
    """
    from scipy import sparse

    if order not in (1, 2):
        raise ModelError(f"random_walk: order must be 1 or 2, not {order!r}")
    listed = list(levels)
    names = make_labels(listed, len(listed), "random_walk")
    n = len(names)
    if n < order + 2:
        raise ModelError(f"random_walk: order {order} needs at least {order + 2} levels, there are {n}")
    step = np.ones(n - 1)
    if pd.api.types.is_numeric_dtype(names.dtype) and not pd.api.types.is_bool_dtype(names.dtype):
        step = np.diff(names.to_numpy(dtype=np.float64))
        if not np.all(np.isfinite(step)) or step.min() <= 0.0:
            raise ModelError(f"random_walk: levels must ascend, see {some(names[int(np.argmin(step)) :], 2)}")
    if order == 1:
        difference = sparse.diags_array([-np.ones(n - 1), np.ones(n - 1)], offsets=[0, 1], shape=(n - 1, n))
        matrix = difference.T @ sparse.diags_array(1.0 / step) @ difference
    else:
        if np.ptp(step) > 1e-8 * step.max():
            raise ModelError(
                "random_walk: order 2 needs equal steps between the levels; list the absent ones too, or use order 1"
            )
        bands = [np.ones(n - 2), -2.0 * np.ones(n - 2), np.ones(n - 2)]
        difference = sparse.diags_array(bands, offsets=[0, 1, 2], shape=(n - 2, n))
        matrix = difference.T @ difference
    trend = np.vander(np.linspace(-1.0, 1.0, n), order, increasing=True)
    null = np.linalg.qr(trend)[0]
    at = np.array([0]) if order == 1 else np.array([0, n - 1])
    precision = _intrinsic(sparse.csc_array(matrix), null, at)
    return Relationship(names, precision, what=f"random walk of order {order}", ordered=True)


def _intrinsic(matrix: Any, null: np.ndarray, at: np.ndarray) -> Precision:
    """Precision of a singular matrix: made definite at the levels `at`, whose effects determine the null space's."""
    from scipy import sparse

    n = matrix.shape[0]
    size = np.zeros(n)
    size[at] = matrix.diagonal().mean()
    pin = np.zeros((n, len(at)))
    pin[at, np.arange(len(at))] = np.sqrt(size[at])
    return Precision.of(matrix + sparse.diags_array(size)).of_null(null, pin)


def _weights(weights: Any, labels: Iterable[Any] | None) -> tuple[Any, Iterable[Any] | None]:
    """Matrix and labels of a libpysal object, or what was given."""
    from scipy import sparse

    if isinstance(weights, pd.DataFrame) or sparse.issparse(weights) or not hasattr(weights, "sparse"):
        return weights, labels
    for name in ("id_order", "unique_ids"):
        if labels is None and getattr(weights, name, None) is not None:
            labels = list(getattr(weights, name))
    return sparse.csc_array(weights.sparse), labels
