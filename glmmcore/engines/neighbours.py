"""Effects each of which depends on a few that come before it: a sparse precision for fields of many places.

Vecchia (1988) replaces the density of a field, a product of conditional ones, by one in which each place is given its
nearest neighbours among the places before it only. With weights a_i = K^-1 k of i's neighbours and innovations
F_i = 1 - k'a_i, rows of B being one less the weights,

    R^-1 = P = B' F^-1 B,    R = C C',  C = B^-1 F^(1/2),    log|R| = sum log F_i,

any weights and innovations F_i > 0 making a valid covariance. All of it is exact at a standard deviation of zero. A
nugget keeps F_i from zero where places all but coincide or the range has no bound.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property

import numpy as np

from glmmcore.engines import _neighbour_kernels as kernels
from glmmcore.engines.symmetric import SymmetricMatrix
from glmmcore.memory import require_memory

__all__ = ["NUGGET", "NeighbourGraph", "NeighbourRoot", "NeighbourSlope"]

# Variance of what is added to each effect, independent of all others, in units of the field's. Smaller ones leave very
# smooth fields, whose innovations are smaller still, without exact gradients: weights grow as its root falls.
NUGGET = 1e-6
# Bytes that sorting the pairs of places and their neighbours takes, and the derivatives of their correlations.
_BYTES_A_PAIR = 40.0


class NeighbourGraph:
    """Who depends on whom.

    Parameters
    ----------
    order : ndarray of int64, shape (q,)
        The effects, each after its neighbours.
    neighbour : ndarray of int64, shape (q, m)
        Neighbours of each effect; the first ``count`` of a row count.
    count : ndarray of int64, shape (q,)
    """

    def __init__(self, order: np.ndarray, neighbour: np.ndarray, count: np.ndarray) -> None:
        self.order, self.neighbour, self.count = order, neighbour, count

    @property
    def n(self) -> int:
        """Number of effects."""
        return len(self.order)

    @cached_property
    def _pattern(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows and columns of the precision's lower triangle, diagonal first, and where each pair is, (q, pairs)."""
        n, m = self.neighbour.shape
        a, b = np.tril_indices(m + 1)
        require_memory(
            _BYTES_A_PAIR * n * len(a),
            f"a field of {n} places with {m} neighbours each",
            "round the coordinates, make independent groups (x, y | region), or ask for fewer neighbours",
        )
        keys = np.empty((n, len(a)), dtype=np.int64)
        members = np.empty((n, m + 1), dtype=np.int64)
        members[:, :m] = self.neighbour
        members[np.arange(n), self.count] = np.arange(n)
        for pair, (one, other) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
            high = np.maximum(members[:, one], members[:, other])
            low = np.minimum(members[:, one], members[:, other])
            # the diagonal comes first: its keys are the smallest
            keys[:, pair] = np.where(high == low, high, n + high * n + low)
        present = a[None, :] <= self.count[:, None]
        found, entry = np.unique(np.where(present, keys, np.arange(n)[:, None]), return_inverse=True)
        rest = found[n:] - n
        row = np.concatenate([np.arange(n), rest // n])
        column = np.concatenate([np.arange(n), rest % n])
        return row, column, entry.reshape(n, len(a)).astype(np.int32)

    @property
    def row(self) -> np.ndarray:
        """Row of each entry of the precision."""
        return self._pattern[0]

    @property
    def column(self) -> np.ndarray:
        """Column of each entry of the precision."""
        return self._pattern[1]

    @property
    def entry(self) -> np.ndarray:
        """Which entry each pair of an effect and its neighbours is, (q, pairs)."""
        return self._pattern[2]

    @cached_property
    def matrix(self) -> SymmetricMatrix:
        """A matrix with the pattern of the precision, analysed; to be used through its `fresh`."""
        return SymmetricMatrix(self.n, self.row, self.column)

    def __getstate__(self) -> dict[str, object]:
        return {"order": self.order, "neighbour": self.neighbour, "count": self.count}


class NeighbourRoot:
    """A root s C of the covariance, and how C moves with p parameters.

    Parameters
    ----------
    scale : float
        Standard deviation s.
    graph : NeighbourGraph
    weight : ndarray, shape (q, m)
    innovation : ndarray, shape (q,)
    d_weight : ndarray, shape (p, q, m)
    d_innovation : ndarray, shape (p, q)
    """

    def __init__(
        self,
        scale: float,
        graph: NeighbourGraph,
        weight: np.ndarray,
        innovation: np.ndarray,
        d_weight: np.ndarray,
        d_innovation: np.ndarray,
    ) -> None:
        self.scale, self.graph = scale, graph
        self.weight, self.innovation = weight, innovation
        self.d_weight, self.d_innovation = d_weight, d_innovation

    def rescaled(self, scale: float) -> NeighbourRoot:
        """The same with another standard deviation."""
        out = copy(self)
        out.scale = scale
        return out

    def unit_apply(self, u: np.ndarray) -> np.ndarray:
        """C u."""
        return self._ordered(kernels.apply_root, u)

    def unit_apply_transposed(self, x: np.ndarray) -> np.ndarray:
        """C'x."""
        return self._ordered(kernels.apply_root_transposed, x)

    def apply(self, u: np.ndarray) -> np.ndarray:
        """Lambda u."""
        return self.scale * self.unit_apply(u)

    def apply_transposed(self, x: np.ndarray) -> np.ndarray:
        """Lambda'x."""
        return self.scale * self.unit_apply_transposed(x)

    def correlate(self, x: np.ndarray) -> np.ndarray:
        """R x."""
        return self.unit_apply(self.unit_apply_transposed(x))

    def multiply(self, x: np.ndarray) -> np.ndarray:
        """Sigma x."""
        return self.scale**2 * self.correlate(x)

    def unit_inverse(self, x: np.ndarray) -> np.ndarray:
        """C^-1 x."""
        columns = _columns(x)
        out = np.empty_like(columns)
        kernels.differences(self.graph.neighbour, self.graph.count, self.weight, columns, out)
        return (out / np.sqrt(self.innovation)[:, None]).reshape(x.shape)

    def unit_inverse_transposed(self, u: np.ndarray) -> np.ndarray:
        """C'^-1 u."""
        columns = _columns(u) / np.sqrt(self.innovation)[:, None]
        out = np.zeros_like(columns)
        kernels.differences_transposed(self.graph.neighbour, self.graph.count, self.weight, columns, out)
        return out.reshape(u.shape)

    def _ordered(self, loop, x: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
        columns = _columns(x)
        out = np.empty_like(columns)
        graph = self.graph
        loop(graph.order, graph.neighbour, graph.count, self.weight, self.innovation, columns, out)
        return out.reshape(x.shape)

    @cached_property
    def precision(self) -> np.ndarray:
        """Entries of P on its pattern."""
        out = np.zeros(len(self.graph.row))
        kernels.assemble(self.graph.count, self.weight, self.innovation, self.graph.entry, out)
        return out

    def solve(self, x: np.ndarray) -> np.ndarray:
        """Sigma^-1 x."""
        return self.unit_inverse_transposed(self.unit_inverse(x)) / self.scale**2

    def change_of_correlations(self, x: np.ndarray) -> np.ndarray:
        """dR x by parameter, (p, q), for x (q,)."""
        moved = self.correlate(x)
        out = np.zeros((len(self.d_innovation), len(x)))
        for change, d_weight, d_innovation in zip(out, self.d_weight, self.d_innovation, strict=True):
            kernels.change_of_precision(
                self.graph.neighbour, self.graph.count, self.weight, self.innovation, d_weight, d_innovation, moved,
                change,
            )  # fmt: skip
        return -self.correlate(np.ascontiguousarray(out.T)).T

    def slope(self, dense: np.ndarray) -> NeighbourSlope:
        """See `LevelRoot.slope`."""
        half = self.correlate(dense)
        both = self.correlate(np.ascontiguousarray(half.T))
        values = -(self.scale**2) * both[self.graph.row, self.graph.column]
        return NeighbourSlope(self, values, 0.0, float(np.trace(half)))

    def no_slope(self) -> NeighbourSlope:
        """See `LevelRoot.no_slope`."""
        return NeighbourSlope(self, np.zeros(len(self.graph.row)), 0.0, 0.0)


class NeighbourSlope:
    """What is kept of G: tr(G R), and tr(G dSigma) = sum of W dP + logs d log|R| for changes of the parameters.

    W is a symmetric matrix by its entries on the pattern of P.
    """

    def __init__(self, root: NeighbourRoot, values: np.ndarray, logs: float, with_correlations: float) -> None:
        self._root, self.values, self.logs = root, values, logs
        self.with_correlations = with_correlations
        self.trace = root.scale**2 * with_correlations

    def add(self, left: np.ndarray, dual: np.ndarray, times: float = 1.0) -> None:
        """See `Slope.add`."""
        self._add(left[:, None], times * dual[:, None])

    def _add(self, left: np.ndarray, right: np.ndarray) -> None:
        """Add left right', both (q, e)."""
        root, graph = self._root, self._root.graph
        one, other = root.correlate(np.ascontiguousarray(left)), root.correlate(np.ascontiguousarray(right))
        self.with_correlations += float(np.sum(left * other))
        half = 0.5 * root.scale**2
        for a, b in zip(one.T, other.T, strict=True):
            self.values -= half * (a[graph.row] * b[graph.column] + b[graph.row] * a[graph.column])

    def subtract(self, reduced: np.ndarray, weighted: np.ndarray) -> None:
        """Subtract ``weighted reduced'``, which is symmetric; `trace` follows."""
        self._add(reduced, -weighted)
        self.trace = self._root.scale**2 * self.with_correlations

    def gradient(self) -> np.ndarray:
        """tr(G dSigma) by the parameters of the correlation."""
        root, graph = self._root, self._root.graph
        out = np.zeros(len(root.d_innovation))
        kernels.slopes(
            graph.count, root.weight, root.innovation, graph.entry, root.d_weight, root.d_innovation, self.values,
            self.logs, out,
        )  # fmt: skip
        return out


def _columns(x: np.ndarray) -> np.ndarray:
    """One or more vectors as columns, (q, e)."""
    return np.ascontiguousarray(x.reshape(len(x), -1), dtype=np.float64)
