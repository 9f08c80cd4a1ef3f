"""Draws of levels of a relationship that have no rows, given the effects of those that have some."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import null_space

from glmmcore.engines.level_factor import LevelFactor
from glmmcore.engines.precision import Precision
from glmmcore.memory import require_memory
from glmmcore.results.simulation import square_root

if TYPE_CHECKING:
    from glmmcore.estimation.solution import TermSolution
    from glmmcore.relationship.base import Relationship

__all__ = ["deviations_of_unobserved"]


def deviations_of_unobserved(solution: TermSolution) -> Callable[[np.random.Generator], np.ndarray] | None:
    """Return what draws how far levels are from their modes, (L, k), zero for levels with rows; None if all have some.

    Given the effects of the levels with rows, those of the other nodes have the precision Q_UU, times the inverse of
    the covariance of the coefficients, and the mean that is their mode.
    """
    term, relationship = solution.term, solution.term.relationship
    assert relationship is not None
    with_rows = relationship.node[np.unique(term.codes)]
    unobserved = np.ones(relationship.precision.n_levels, dtype=bool)
    unobserved[with_rows[with_rows >= 0]] = False
    if not unobserved[relationship.node[relationship.node >= 0]].any():
        return None
    at = np.flatnonzero(unobserved)
    draw_nodes = _drawing(relationship, at)
    k, root = len(solution.covariance), square_root(solution.covariance)

    def draw(rng: np.random.Generator) -> np.ndarray:
        nodes = np.zeros((len(unobserved), k))
        nodes[at] = draw_nodes(rng.standard_normal((len(at), k)))
        return relationship.of_labels(nodes) @ root.T

    return draw


def _drawing(relationship: Relationship, at: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """From independent normals (m, k) to nodes with the precision of those `at` some places given all others."""
    precision = relationship.precision
    matrix = precision.matrix()[at][:, at]
    if not precision.is_singular:
        return LevelFactor(Precision.of(matrix)).draw
    m = len(at)
    require_memory(5.0 * 8.0 * m * m, f"drawing {m} levels without rows", "draw all levels anew")
    pin, null = precision.pin[at], precision.null[at]
    # what is left to them by the constraints, which the others have their part in
    free = null_space(null.T)
    root = np.linalg.cholesky(np.linalg.inv(free.T @ (matrix.toarray() - pin @ pin.T) @ free))
    return lambda normals: np.asarray(free @ (root @ normals[: free.shape[1]]))
