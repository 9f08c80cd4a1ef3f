"""`Relationship`: labels, the precision matrix behind them, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from glmmcore.engines.level_factor import LevelFactor
from glmmcore.engines.precision import Precision
from glmmcore.errors import ModelError

__all__ = ["Relationship", "as_text", "make_labels", "some"]


def as_text(labels: Iterable[Any]) -> pd.Index:
    """Labels as text, so that those of files and of data frames compare: 3, 3.0 and "3" are the same label."""
    return pd.Index(
        [
            str(int(label)) if isinstance(label, (float, np.floating)) and float(label).is_integer() else str(label)
            for label in labels
        ],
        dtype=object,
    )


def some(labels: Iterable[Any], most: int = 5) -> str:
    """List some labels in a sentence."""
    listed = list(labels)
    return ", ".join(repr(str(v)) for v in listed[:most]) + (
        f" and {len(listed) - most} more" if len(listed) > most else ""
    )


def make_labels(labels: Iterable[Any] | None, n: int, what: str) -> pd.Index:
    """Labels of the rows of a matrix, distinct as text.

    Raises
    ------
    ModelError
        For none, too many, missing and repeated ones.
    """
    if labels is None or isinstance(labels, str):
        raise ModelError(f"{what}: give labels=, one for each row, or a DataFrame with labels on both sides")
    out: pd.Index = pd.Index(list(labels))
    if len(out) != n:
        raise ModelError(f"{what}: {len(out)} labels for {n} rows")
    if out.hasnans:
        raise ModelError(f"{what}: the label at position {int(np.argmax(out.isna()))} is missing")
    twice = as_text(out).duplicated()
    if twice.any():
        raise ModelError(f"{what}: labels occur twice: {some(out[twice])}")
    return out


class Relationship:
    """Covariance of the levels of a grouping factor, R, up to a variance that a model estimates.

    Made by the functions of `glmmcore.relationship` and given to ``glmm(known={"group": ...})``. Kept as the sparse
    precision matrix of nodes: the labels and, for trees and pedigrees, those between them.

    Parameters
    ----------
    labels : Index, shape (L,)
        What levels are called.
    precision : Precision
        Of the nodes.
    node : ndarray of int64, shape (L,), optional
        Node of each label, -1 for one whose effect is zero; the label's position by default.
    what : str
        In words, for tables.
    ordered : bool
        Whether the labels stand in the order of time.
    variances : ndarray, shape (N,), optional
        Of the nodes, where they are known without a factorisation.

    Examples
    --------
    >>> from glmmcore import relationship
    >>> r = relationship.covariance([[1.0, 0.5], [0.5, 1.0]], ["a", "b"])
    >>> r
    <Relationship: covariance of 2 labels>
    >>> r.variances.round(6).tolist()
    [1.0, 1.0]
    """

    def __init__(
        self,
        labels: pd.Index,
        precision: Precision,
        node: np.ndarray | None = None,
        what: str = "relationship",
        *,
        ordered: bool = False,
        variances: np.ndarray | None = None,
    ) -> None:
        self.labels = labels
        self.precision = precision
        self.node = np.arange(len(labels)) if node is None else node
        self.what = what
        self.ordered = ordered
        self._node_variances = variances

    def __repr__(self) -> str:
        n = self.precision.n_levels
        nodes = f", {n} nodes" if n != len(self.labels) else ""
        return f"<Relationship: {self.what} of {len(self.labels)} labels{nodes}>"

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the factorisation, which is made anew."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_factor", "_text")}

    @cached_property
    def _factor(self) -> LevelFactor:
        return LevelFactor(self.precision)

    @cached_property
    def _text(self) -> pd.Index:
        """Labels as they are compared."""
        return as_text(self.labels)

    def positions(self, labels: Iterable[Any]) -> np.ndarray:
        """Where labels stand among those of the relationship, compared as text.

        Parameters
        ----------
        labels : iterable
            Of any type.

        Returns
        -------
        ndarray of int64
            Positions, -1 for a label that the relationship lacks.
        """
        return np.asarray(self._text.get_indexer(as_text(labels)), dtype=np.int64)

    def equals(self, other: Relationship) -> bool:
        """Whether two relationships are the same matrix with the same labels.

        Parameters
        ----------
        other : Relationship
            To compare with.

        Returns
        -------
        bool
            Entry by entry, without tolerance.
        """
        one, two = self.precision, other.precision
        pairs = ((self.node, other.node), (one.row, two.row), (one.column, two.column), (one.value, two.value))
        same = all(np.array_equal(a, b) for a, b in (*pairs, (one.null, two.null)))
        return same and self._text.equals(other._text)

    @property
    def weight(self) -> np.ndarray:
        """0 for labels whose effect is zero, 1 for the others, (L,)."""
        return (self.node >= 0).astype(float)

    @cached_property
    def variances(self) -> np.ndarray:
        """Diagonal of R by label, (L,)."""
        known = self._node_variances
        return self.of_labels(self._factor.variances() if known is None else known)

    def of_labels(self, nodes: np.ndarray) -> np.ndarray:
        """Take what belongs to nodes for each label.

        Parameters
        ----------
        nodes : ndarray, shape (N, ...)
            A value, or more, for every node.

        Returns
        -------
        ndarray, shape (L, ...)
            Zero for a label without effect.
        """
        weight = self.weight.reshape((-1,) + (1,) * (nodes.ndim - 1))
        return np.asarray(nodes[np.maximum(self.node, 0)] * weight)

    def draw(self, n_columns: int, rng: np.random.Generator) -> np.ndarray:
        """Draw effects with covariance R.

        Parameters
        ----------
        n_columns : int
            Independent columns.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        ndarray, shape (L, n_columns)
            A row for each label.
        """
        return self.of_labels(self._factor.draw(rng.standard_normal((self.precision.n_levels, n_columns))))

    def matrix(self, labels: Iterable[Any] | None = None) -> pd.DataFrame:
        """R as a table.

        Parameters
        ----------
        labels : iterable, optional
            Between these labels, all by default.

        Returns
        -------
        DataFrame, shape (m, m)
            Labels on both sides.

        Raises
        ------
        ModelError
            For labels that the relationship lacks.
        """
        at = np.arange(len(self.labels)) if labels is None else self.positions(labels)
        if (at < 0).any():
            lacking = [label for label, place in zip(list(labels or ()), at, strict=True) if place < 0]
            raise ModelError(f"the relationship lacks {some(lacking)}")
        columns = np.empty((len(at), len(at)))
        for j, place in enumerate(at):
            unit = np.zeros(self.precision.n_levels)
            if self.node[place] >= 0:
                unit[self.node[place]] = 1.0
            columns[:, j] = self.of_labels(self._factor.solve(unit))[at]
        return pd.DataFrame(0.5 * (columns + columns.T), index=self.labels[at], columns=self.labels[at])

    def distances(self, labels: Iterable[Any] | None = None) -> pd.DataFrame:
        """Variances of the differences between effects: for a tree, lengths of the paths between tips.

        What `simresid.phylogenetic_autocorrelation_test` takes.

        Parameters
        ----------
        labels : iterable, optional
            Between these labels, all by default.

        Returns
        -------
        DataFrame, shape (m, m)
            Labels on both sides, zero on the diagonal.
        """
        table = self.matrix(labels)
        shared = table.to_numpy()
        own = np.diag(shared)
        between = np.maximum(own[:, None] + own - 2.0 * shared, 0.0)
        np.fill_diagonal(between, 0.0)
        return pd.DataFrame(between, index=table.index, columns=table.columns)
