"""Small blocks of many responses: levels of rows, factors T that are linear in theta, inverses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from glmmcore.covariance import STRUCTURES
from glmmcore.engines.layout import RowLayout
from glmmcore.estimation.problem import Problem, TermPart

__all__ = ["factor_basis", "inverted", "levels_of_rows", "pulled", "pushed", "term_basis"]


def factor_basis(problem: Problem) -> np.ndarray:
    """d T / d theta of the leading factor, (number of theta, k, k): T is linear in theta."""
    assert problem.layout is not None
    k = problem.layout.factors[0].k
    return np.array([unit for term in problem.terms for unit in term_basis(term, k)])


def term_basis(term: TermPart, k: int) -> Iterator[np.ndarray]:
    """d T / d theta of one term in the T of its factor, (k, k) for each theta."""
    structure = STRUCTURES[term.term.structure](term.structure.k)
    for unit in np.eye(structure.size):
        t = np.zeros((k, k))
        t[term.columns, term.columns] = structure.factor(unit)
        yield t


def levels_of_rows(layout: RowLayout) -> tuple[np.ndarray, np.ndarray]:
    """Level of the leading factor of each row, counted over those that have rows, and the first row of each."""
    start = np.ascontiguousarray(layout.start[:, 0])
    first = layout.first[np.append(0, np.flatnonzero(start[1:] != start[:-1]) + 1)]
    # levels without rows keep their prior and add nothing
    return np.repeat(np.arange(len(first)), np.diff(np.append(first, layout.n))), first


def pushed(t: np.ndarray, u: np.ndarray) -> np.ndarray:
    """T u by level: (b, k, k) times (b, L, k)."""
    return u * t if t.shape[1] == 1 else u @ np.swapaxes(t, 1, 2)


def pulled(t: np.ndarray, x: np.ndarray) -> np.ndarray:
    """T' X by level: (b, k, k) and (L, k, p) or (b, L, k, p)."""
    return t[:, None] * x if t.shape[1] == 1 else np.swapaxes(t, 1, 2)[:, None] @ x


def inverted(h: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inverse, log determinant (b,) and whether all are positive definite (b,), of blocks (b, L, k, k)."""
    if h.shape[-1] == 1:
        diagonal = h[:, :, 0, 0]
        positive = np.asarray((diagonal > 0.0).all(axis=1))
        safe = np.where(diagonal > 0.0, diagonal, 1.0)
        return (1.0 / safe)[:, :, None, None], np.log(safe).sum(axis=1), positive
    if h.shape[-1] == 2:  # in closed form: LAPACK's calls cost more than the arithmetic
        a, b, c = h[..., 0, 0], h[..., 1, 0], h[..., 1, 1]
        pivot = c - b * (b / a)
        fine = (a > 0.0) & (pivot > 0.0)
        determinant = np.where(fine, a * pivot, 1.0)
        out = np.empty_like(h)
        out[..., 0, 0], out[..., 1, 1] = c / determinant, a / determinant
        out[..., 0, 1] = out[..., 1, 0] = -b / determinant
        return out, np.log(determinant).sum(axis=1), np.asarray(fine.all(axis=1))
    try:
        root = np.linalg.cholesky(h)
        positive = np.asarray(np.isfinite(root).all(axis=(1, 2, 3)))
    except np.linalg.LinAlgError:
        finite = np.isfinite(h).all(axis=(1, 2, 3))
        h = np.where(finite[:, None, None, None], h, np.eye(h.shape[-1]))
        positive = finite & (np.linalg.eigvalsh(h)[:, :, 0] > 0.0).all(axis=1)
        h = np.where(positive[:, None, None, None], h, np.eye(h.shape[-1]))
        root = np.linalg.cholesky(h)
    logdet = 2.0 * np.log(np.diagonal(root, axis1=2, axis2=3)).sum(axis=(1, 2))
    return np.linalg.inv(h), logdet, positive
