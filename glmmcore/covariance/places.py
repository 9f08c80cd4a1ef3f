"""Where the levels of a term stand: coordinates in groups, and the distances among them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from glmmcore.covariance.place_order import neighbour_graph
from glmmcore.engines.neighbours import NeighbourGraph

__all__ = ["MOST_DENSE_PLACES", "NEIGHBOURS", "Places"]

# Places of one group up to which a field has its dense covariance.
MOST_DENSE_PLACES = 3000
# On how many neighbours the effect of a place depends in larger groups. Smooth fields need more: of 2000 places with
# a smoothness of 2.5 log-likelihoods are up to .8 from the dense ones with 30 and up to .22 with 50, with one of .5
# up to .07 with 30.
NEIGHBOURS = {"exp": 30, "mat": 50, "gau": 50}


@dataclass(frozen=True, eq=False)
class Places:
    """Distinct coordinates of a term, group by group, in ascending order.

    Attributes
    ----------
    coordinates : ndarray, shape (q, d)
        In the user's units.
    first : ndarray of int64, shape (groups + 1,)
        First place of each group, and q.
    unit : float
        A distance of ordinary size, in which ranges are parametrised; fixed when the model is fitted.
    names : tuple of str
        Of the d coordinates.
    known : ndarray of int64, or None
        Where the places of the fit are among these, if there are more.
    neighbours : int or None
        Of how many neighbours each place is given, if not of all: an approximation with a sparse precision.
    """

    coordinates: np.ndarray
    first: np.ndarray
    unit: float
    names: tuple[str, ...]
    known: np.ndarray | None = None
    neighbours: int | None = None

    @property
    def n(self) -> int:
        """Number of places in all groups."""
        return len(self.coordinates)

    @cached_property
    def distances(self) -> list[np.ndarray]:
        """Euclidean distances within each group in `unit`, (k, k) each."""
        return [
            cdist(self.coordinates[a:b], self.coordinates[a:b]) / self.unit for a, b in pairwise(self.first.tolist())
        ]

    @cached_property
    def closest_and_farthest(self) -> tuple[float, float]:
        """Least distance within a group and largest diagonal of a group, in `unit`; zeros where all are alone."""
        groups = [self.coordinates[a:b] for a, b in pairwise(self.first.tolist()) if b - a > 1]
        if not groups:
            return 0.0, 0.0
        closest = min(float(KDTree(own).query(own, k=2)[0][:, 1].min()) for own in groups)
        return closest / self.unit, max(float(np.linalg.norm(np.ptp(own, axis=0))) for own in groups) / self.unit

    @cached_property
    def graph(self) -> NeighbourGraph:
        """Who depends on whom with so many `neighbours`."""
        assert self.neighbours is not None
        return neighbour_graph(self.coordinates, self.first, self.neighbours, self.known)

    @cached_property
    def pair_distances(self) -> np.ndarray:
        """Distances in `unit` of all pairs on the pattern of the `graph`; the first are of places to themselves."""
        scaled, graph = self.coordinates / self.unit, self.graph
        return np.asarray(np.sqrt(np.square(scaled[graph.row] - scaled[graph.column]).sum(axis=1)))

    @cached_property
    def steps(self) -> np.ndarray:
        """Of places along one coordinate, how far each is from the one before, in `unit`; NaN for the first ones."""
        out = np.full(self.n, np.nan)
        out[1:] = np.diff(self.coordinates[:, 0]) / self.unit
        out[self.first[:-1]] = np.nan
        return out
