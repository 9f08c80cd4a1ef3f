"""Additive relationships of a pedigree through their sparse inverse."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pandas as pd

from glmmcore.engines.precision import Precision
from glmmcore.errors import ModelError, warn_of_data
from glmmcore.relationship._pedigree_kernels import inbreeding
from glmmcore.relationship.base import Relationship, as_text, some

__all__ = ["from_pedigree"]

# What files write for an unknown parent, unless an animal is called so.
_UNKNOWN = ("", "0", ".", "*", "-", "NA", "nan", "None", "<NA>")


def from_pedigree(frame: Any, id: str = "id", sire: str = "sire", dam: str = "dam") -> Relationship:
    """Additive genetic relationships of the animals of a pedigree.

    The covariance of breeding values is A, with 1 + F on its diagonal, F the inbreeding coefficient. Its inverse is
    written down directly and is sparse (Henderson 1976); F is that of Meuwissen and Luo (1992).

    Parameters
    ----------
    frame : DataFrame or mapping of columns
        A row for each animal, in any order.
    id, sire, dam : str
        Columns of the animal and its parents; an unknown parent is missing, empty, or 0.

    Returns
    -------
    Relationship
        Labels are all animals, parents without a row of their own among them. A `glmmcore.DataWarning` names these, and
        animals that are both sire and dam, as plants may be.

    Raises
    ------
    ModelError
        For animals with two rows or that descend from themselves.

    Examples
    --------
    >>> from glmmcore import relationship
    >>> table = {"id": ["a", "b", "c"], "sire": [None, None, "a"], "dam": [None, None, "b"]}
    >>> relationship.from_pedigree(table).matrix().round(6)
         a    b    c
    a  1.0  0.0  0.5
    b  0.0  1.0  0.5
    c  0.5  0.5  1.0
    """
    columns = _columns(frame, (id, sire, dam))
    own = as_text(columns[0])
    if columns[0].isna().any():
        raise ModelError(f"from_pedigree: column '{id}' is missing in row {int(np.argmax(columns[0].isna()))}")
    twice = own.duplicated()
    if twice.any():
        raise ModelError(f"from_pedigree: animals with more than one row: {some(own[twice].unique())}")
    unknown = set(_UNKNOWN) - set(own)
    parents = [as_text(column) for column in columns[1:]]
    parents = [text.where(~(column.isna().to_numpy() | text.isin(unknown)), "") for text, column in zip(
        parents, columns[1:], strict=True
    )]  # fmt: skip
    absent = pd.Index([*parents[0], *parents[1]]).unique().difference(own, sort=False)
    absent = absent[absent != ""]
    names = absent.append(own)
    place = [np.concatenate([np.full(len(absent), -1), names.get_indexer(text)]) for text in parents]
    precision, coefficient = _inverse(place[0].astype(np.int64), place[1].astype(np.int64), names)
    both = parents[0][parents[0].isin(parents[1]) & (parents[0] != "")].unique()
    if len(both):
        warn_of_data(f"from_pedigree: {len(both)} of the animals are both sire and dam, as plants may be: {some(both)}")
    if len(absent):
        warn_of_data(
            f"from_pedigree: {len(absent)} parents have no row of their own and are taken for unrelated founders: "
            f"{some(absent)}"
        )
    labels = pd.Index([*absent, *columns[0]])
    return Relationship(labels, precision, what="pedigree", variances=1.0 + coefficient)


def _columns(frame: Any, names: tuple[str, str, str]) -> list[pd.Series]:
    from glmmcore.formula.frame import as_frame

    table = as_frame(frame, "the pedigree")
    for name in names:
        if name not in table.columns:
            raise ModelError(f"from_pedigree: there is no column {name!r}; columns: {list(table.columns)[:20]}")
    if len(set(names)) < 3:
        raise ModelError("from_pedigree: id, sire and dam must be three columns")
    if not len(table):
        raise ModelError("from_pedigree: the pedigree has no rows")
    return [table[name].reset_index(drop=True) for name in names]


def _inverse(sire: np.ndarray, dam: np.ndarray, names: pd.Index) -> tuple[Precision, np.ndarray]:
    """A^-1 = (I - P)' D^-1 (I - P), P half an entry for each parent, and inbreeding coefficients."""
    from scipy import sparse

    n = len(sire)
    order = _parents_first(sire, dam, names)
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    known = [np.where(p[order] >= 0, place[np.maximum(p[order], 0)], -1) for p in (sire, dam)]
    f, d = np.empty(n), np.empty(n)
    inbreeding(known[0], known[1], f, d)
    coefficient, variance = np.empty(n), np.empty(n)
    coefficient[order], variance[order] = f, d
    rows, columns = [np.arange(n)], [np.arange(n)]
    for p in (sire, dam):
        rows.append(np.flatnonzero(p >= 0))
        columns.append(p[p >= 0])
    values = np.concatenate([np.ones(n), np.full(len(rows[1]) + len(rows[2]), -0.5)])
    descent = sparse.csr_array((values, (np.concatenate(rows), np.concatenate(columns))), (n, n))
    logdet = -float(np.log(variance).sum())  # I - P is a triangle of determinant one
    return Precision.of(descent.T @ sparse.diags_array(1.0 / variance) @ descent, logdet), coefficient


def _parents_first(sire: np.ndarray, dam: np.ndarray, names: pd.Index) -> np.ndarray:
    """Order in which every animal stands after its parents.

    Raises
    ------
    ModelError
        If animals descend from themselves.
    """
    n = len(sire)
    offspring: list[list[int]] = [[] for _ in range(n)]
    waiting = (sire >= 0).astype(int) + (dam >= 0)
    for p in (sire, dam):
        for child in np.flatnonzero(p >= 0).tolist():
            offspring[p[child]].append(child)
    ready, order, left = deque(np.flatnonzero(waiting == 0).tolist()), [], waiting.tolist()
    while ready:
        animal = ready.popleft()
        order.append(animal)
        for child in offspring[animal]:
            left[child] -= 1
            if left[child] == 0:
                ready.append(child)
    if len(order) < n:
        _raise_loop(sire, dam, np.array(left) > 0, names)
    return np.array(order, dtype=np.int64)


def _raise_loop(sire: np.ndarray, dam: np.ndarray, stuck: np.ndarray, names: pd.Index) -> None:
    """Name one circle of descent: every animal that is left has a parent that is left."""
    at, seen = int(np.argmax(stuck)), []
    while at not in seen:
        seen.append(at)
        at = int(sire[at]) if sire[at] >= 0 and stuck[sire[at]] else int(dam[at])
    circle = [names[i] for i in seen[seen.index(at) :]]
    raise ModelError(
        f"from_pedigree: animals descend from themselves: {some(circle, 8)}; one of their parents is wrong"
    )
