"""Where the levels of a term stand: coordinates in groups, and the distances among them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.spatial.distance import cdist

__all__ = ["Places"]


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
    """

    coordinates: np.ndarray
    first: np.ndarray
    unit: float
    names: tuple[str, ...]
    known: np.ndarray | None = None

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
    def steps(self) -> np.ndarray:
        """Of places along one coordinate, how far each is from the one before, in `unit`; NaN for the first ones."""
        out = np.full(self.n, np.nan)
        out[1:] = np.diff(self.coordinates[:, 0]) / self.unit
        out[self.first[:-1]] = np.nan
        return out
