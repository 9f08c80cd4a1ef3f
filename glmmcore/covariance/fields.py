"""Structures of effects that covary across levels by how far these are apart: one effect a level, Sigma = sd^2 R.

Parameters are the standard deviation, whose sign is free, and logarithms of range and smoothness, all without limits.
Distances are in units of their own size. Structures along a line are in `glmmcore.covariance.times`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from glmmcore.covariance import _place_kernels as kernels
from glmmcore.covariance.base import Structure
from glmmcore.covariance.matern import matern
from glmmcore.covariance.places import Places
from glmmcore.engines.neighbours import NUGGET, NeighbourRoot, NeighbourSlope
from glmmcore.engines.roots import CorrelationRoot, DenseRoot, DenseSlope, LevelRoot, Slope

__all__ = [
    "START_RANGE",
    "START_SHIFTS",
    "TO_INDEPENDENCE",
    "Exponential",
    "Field",
    "Gaussian",
    "Matern",
    "bounded_exp",
]

# Logarithms of ranges, rates and smoothness are followed up to here.
_LARGEST_LOG = 40.0
_SMALLEST_LOG_SMOOTHNESS, _LARGEST_SMOOTHNESS = -7.0, 100.0
# Distance to where a parameter is followed to at which it is there.
_AT_END = 1e-3
# Pairs of places whose correlations are made together.
_PAIRS_AT_ONCE = 1_000_000
# Range from which searches start, in the unit of the places.
START_RANGE = 0.4
# Changes of the logarithm of a range to other starts.
START_SHIFTS = (-1.5, 1.5, 3.5)
# The change from there to the range at which neighbours at their usual distance hardly covary.
TO_INDEPENDENCE = 5.0


class Field(Structure):
    """Effects of places; ``covarying`` says how they covary, see `Factor`, ``on_line`` whether places are times.

    ``parameters`` are the kinds of what follows the standard deviation, as tables show them; ``followed`` says between
    which values of theta each is followed: the covariance does not change beyond.
    """

    rescaling = "common"
    one_row = True
    parameters: ClassVar[tuple[str, ...]]
    followed: ClassVar[tuple[tuple[float, float], ...]] = ((-_LARGEST_LOG, _LARGEST_LOG),)
    on_line: ClassVar[bool] = False
    covarying: str

    def __init__(self, places: Places) -> None:
        super().__init__(1)
        self.places = places
        self._last: tuple[np.ndarray, LevelRoot] | None = None

    @property
    def entries(self) -> int:
        """Numbers in dense blocks of the covariance."""
        return int(np.square(np.diff(self.places.first)).sum()) if self.covarying == "dense" else 0

    @property
    def independent_blocks(self) -> np.ndarray | None:
        """First place of each group and the number of places; None where an approximation has an order of its own."""
        return None if self.covarying == "sparse" else self.places.first

    @property
    def size(self) -> int:
        """The standard deviation and the parameters."""
        return 1 + len(self.parameters)

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """The standard deviation, (1, 1): what one level varies by."""
        return theta[:1, None].copy()

    def gradient(self, theta: np.ndarray, d_factor: np.ndarray) -> np.ndarray:
        """Chain rule for a function of `factor`."""
        out = np.zeros(self.size)
        out[0] = d_factor[0, 0]
        return out

    def root(self, theta: np.ndarray) -> LevelRoot:
        """See `FactorRoot.root`."""
        known = self._last
        if known is None or not np.array_equal(known[0], theta):
            known = theta.copy(), self._root(theta)
            self._last = known
        return known[1]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_last": None}

    @abstractmethod
    def _root(self, theta: np.ndarray) -> LevelRoot: ...

    @abstractmethod
    def root_gradient(self, theta: np.ndarray, slope: Slope) -> np.ndarray:
        """See `FactorRoot.root_gradient`."""

    @abstractmethod
    def covariance_slopes(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """See `FactorRoot.covariance_slopes`."""

    @abstractmethod
    def natural(self, theta: np.ndarray) -> np.ndarray:
        """Values of `parameters` as tables show them."""

    @abstractmethod
    def natural_slopes(self, theta: np.ndarray) -> np.ndarray:
        """Their derivatives, each by its own element of theta."""

    @abstractmethod
    def correlations(self, theta: np.ndarray) -> tuple[float, float]:
        """Correlations of the nearest and of the farthest effects of a group, 0 and 1 where each stands alone."""

    def start(self, sd: np.ndarray) -> np.ndarray:
        """See `Structure.start`."""
        return np.append(np.sqrt(np.mean(np.square(sd))), self.start_parameters)

    @property
    @abstractmethod
    def start_parameters(self) -> np.ndarray:
        """Parameters from which searches start."""

    @property
    @abstractmethod
    def other_starts(self) -> list[np.ndarray]:
        """Parameters far from there: likelihoods of ranges often have several maxima."""

    @property
    @abstractmethod
    def nearly_independent(self) -> np.ndarray:
        """Parameters at which all but the nearest places are independent."""

    def at_ends(self, theta: np.ndarray) -> np.ndarray:
        """Which parameters are as far as they are followed, a mask (size,)."""
        low, high = np.array(self.followed).T
        return np.append(False, (theta[1:] < low + _AT_END) | (theta[1:] > high - _AT_END))

    @property
    def reported(self) -> list[tuple[str, int, int]]:
        """The standard deviation and `parameters`."""
        return [("sd", 0, 0)] + [(kind, 0, 0) for kind in self.parameters]

    def units(self, unit: float) -> np.ndarray:
        """See `Structure.units`."""
        return np.append(unit, np.ones(self.size - 1))

    def curvature(self, n_levels: int) -> np.ndarray:
        """See `Structure.curvature`."""
        return np.append(0.5 * n_levels, np.full(self.size - 1, 0.1 * n_levels))


# ---- fields ------------------------------------------------------------------------------------------------
class _DistanceField(Field):
    """Correlation of the distance: one dense matrix a group, or a sparse precision of neighbours."""

    parameters: ClassVar[tuple[str, ...]] = ("range",)

    def __init__(self, places: Places) -> None:
        super().__init__(places)
        self.covarying = "dense" if places.neighbours is None else "sparse"

    @abstractmethod
    def _correlations(self, distance: np.ndarray, theta: np.ndarray) -> Iterator[np.ndarray]:
        """R at distances of any shape, then its derivatives by the parameters, each made when it is asked for."""

    def _root(self, theta: np.ndarray) -> DenseRoot | NeighbourRoot:
        if self.places.neighbours is not None:
            return self._neighbour_root(theta)
        matrices = [next(self._matrices(d, theta)) for d in self.places.distances]
        return DenseRoot(float(theta[0]), [CorrelationRoot(m) for m in matrices], self.places.first)

    def _matrices(self, distance: np.ndarray, theta: np.ndarray) -> Iterator[np.ndarray]:
        """R of a group, then its derivatives by the parameters, from its distances (k, k)."""
        return self._correlations(distance, theta)

    def _neighbour_root(self, theta: np.ndarray) -> NeighbourRoot:
        if self._last is not None and np.array_equal(self._last[0][1:], theta[1:]):
            last = self._last[1]
            assert isinstance(last, NeighbourRoot)
            return last.rescaled(float(theta[0]))
        graph, q = self.places.graph, self.places.n
        m, p = graph.neighbour.shape[1], len(self.parameters)
        weight, innovation = np.zeros((q, m)), np.empty(q)
        d_weight, d_innovation = np.zeros((p, q, m)), np.empty((p, q))
        distance = self.places.pair_distances
        law = np.empty((len(distance), 1 + p))
        for lo in range(q, len(distance), _PAIRS_AT_ONCE):  # the first q are of each place to itself
            at = slice(lo, lo + _PAIRS_AT_ONCE)
            for j, values in enumerate(self._correlations(distance[at], theta)):
                law[at, j] = values
        kernels.condition(graph.count, graph.entry, NUGGET, law, weight, innovation, d_weight, d_innovation)
        return NeighbourRoot(float(theta[0]), graph, weight, innovation, d_weight, d_innovation)

    def correlations(self, theta: np.ndarray) -> tuple[float, float]:
        """See `Field.correlations`."""
        nearest, farthest = self.places.closest_and_farthest
        found = next(self._correlations(np.array([nearest, farthest]), theta)) if farthest > 0.0 else (0.0, 1.0)
        return float(found[0]), float(found[1])

    def root_gradient(self, theta: np.ndarray, slope: Slope) -> np.ndarray:
        """See `FactorRoot.root_gradient`: dF = tr(G dSigma) / 2."""
        if isinstance(slope, NeighbourSlope):
            return np.append(theta[0] * slope.with_correlations, 0.5 * slope.gradient())
        assert isinstance(slope, DenseSlope)
        out = np.zeros(self.size)
        for distance, block in zip(self.places.distances, slope.blocks, strict=True):
            for j, matrix in enumerate(self._matrices(distance, theta)):
                out[j] += np.vdot(block, matrix)
        return out * np.append(theta[0], np.full(self.size - 1, 0.5 * theta[0] ** 2))

    def covariance_slopes(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """See `FactorRoot.covariance_slopes`."""
        out = np.zeros((self.size, len(x)))
        if self.places.neighbours is None:
            for i, distance in enumerate(self.places.distances):
                at = slice(int(self.places.first[i]), int(self.places.first[i + 1]))
                for j, matrix in enumerate(self._matrices(distance, theta)):
                    out[j, at] = matrix @ x[at]
        else:
            root = self.root(theta)
            assert isinstance(root, NeighbourRoot)
            out[0], out[1:] = root.correlate(x), root.change_of_correlations(x)
        return out * np.append(2.0 * theta[0], np.full(self.size - 1, theta[0] ** 2))[:, None]

    def natural(self, theta: np.ndarray) -> np.ndarray:
        """Range in the user's units."""
        return np.array([bounded_exp(theta[1]) * self.places.unit])

    def natural_slopes(self, theta: np.ndarray) -> np.ndarray:
        """See `Field.natural_slopes`."""
        return self.natural(theta)

    @property
    def start_parameters(self) -> np.ndarray:
        """See `Field.start_parameters`."""
        return np.array([np.log(START_RANGE)])

    @property
    def other_starts(self) -> list[np.ndarray]:
        """See `Field.other_starts`."""
        return [self.start_parameters + shift for shift in START_SHIFTS]

    @property
    def nearly_independent(self) -> np.ndarray:
        """See `Field.nearly_independent`."""
        out = self.start_parameters
        out[0] -= TO_INDEPENDENCE
        return out


class Exponential(_DistanceField):
    """``exp``: exp(-d / range)."""

    name = "exp"

    def _correlations(self, distance: np.ndarray, theta: np.ndarray) -> Iterator[np.ndarray]:
        z = distance / bounded_exp(theta[1])
        r = np.exp(-z)
        yield r
        yield z * r


class Gaussian(_DistanceField):
    """``gau``: exp(-(d / range)^2)."""

    name = "gau"

    def _correlations(self, distance: np.ndarray, theta: np.ndarray) -> Iterator[np.ndarray]:
        z = np.square(distance / bounded_exp(theta[1]))
        r = np.exp(-z)
        yield r
        yield 2.0 * z * r


class Matern(_DistanceField):
    """``mat``: Matern's correlation of d / range, without the factor sqrt(2 smoothness)."""

    name = "mat"
    parameters = ("range", "smoothness")
    followed = (*Field.followed, (_SMALLEST_LOG_SMOOTHNESS, np.log(_LARGEST_SMOOTHNESS)))

    def _correlations(self, distance: np.ndarray, theta: np.ndarray) -> Iterator[np.ndarray]:
        value, by_z, by_k = matern(distance / bounded_exp(theta[1]), _smoothness(theta[2]))
        yield value
        yield -by_z
        yield float(_smoothness(theta[2]) < _LARGEST_SMOOTHNESS) * by_k

    def _matrices(self, distance: np.ndarray, theta: np.ndarray) -> Iterator[np.ndarray]:
        """See `_DistanceField._matrices`; half of the Bessel functions."""
        rows, columns = np.tril_indices(len(distance), -1)
        for j, found in enumerate(self._correlations(distance[rows, columns], theta)):
            yield _symmetric(len(distance), rows, columns, found, float(not j))

    def natural(self, theta: np.ndarray) -> np.ndarray:
        """Range in the user's units, and smoothness."""
        return np.array([bounded_exp(theta[1]) * self.places.unit, _smoothness(theta[2])])

    @property
    def start_parameters(self) -> np.ndarray:
        """See `Field.start_parameters`."""
        return np.array([np.log(0.5 * START_RANGE), 0.0])

    @property
    def other_starts(self) -> list[np.ndarray]:
        """See `Field.other_starts`."""
        return [self.start_parameters + np.array(shift) for shift in ((-1.5, 0.8), (1.5, -0.7), (0.0, 1.2))]


def _symmetric(k: int, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, diagonal: float) -> np.ndarray:
    out = np.empty((k, k))
    out[rows, columns] = values
    out[columns, rows] = values
    out[np.diag_indices(k)] = diagonal
    return out


def bounded_exp(log: float) -> float:
    """Number by its logarithm, kept from overflow and zero."""
    return float(np.exp(np.clip(log, -_LARGEST_LOG, _LARGEST_LOG)))


def _smoothness(log: float) -> float:
    return float(np.exp(np.clip(log, _SMALLEST_LOG_SMOOTHNESS, np.log(_LARGEST_SMOOTHNESS))))
