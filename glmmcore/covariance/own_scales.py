"""Unstructured covariance in standard deviations and directions, for models in which some of these are given."""

from __future__ import annotations

import numpy as np

from glmmcore.covariance.base import Structure

__all__ = ["OwnScales"]


class OwnScales(Structure):
    """``us`` as T = diag(sd) C with the logarithms of the standard deviations first, then the free entries of C.

    Row i of C is (t_i1, ..., t_i(i-1), 1) over its length: the correlation of the first two coefficients depends on one
    parameter, and so does every standard deviation.
    """

    name = "own scales"
    rescaling = "columns"

    def __init__(self, k: int) -> None:
        super().__init__(k)
        self._rows, self._columns = np.tril_indices(k, -1)

    @property
    def size(self) -> int:
        """k (k + 1) / 2."""
        return self.k + len(self._rows)

    def _directions(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """C, and the lengths that its rows were divided by."""
        c = np.eye(self.k)
        c[self._rows, self._columns] = theta[self.k :]
        length = np.sqrt(np.square(c).sum(axis=1))
        return c / length[:, None], length

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """See `Structure.factor`."""
        return np.exp(theta[: self.k])[:, None] * self._directions(theta)[0]

    def gradient(self, theta: np.ndarray, d_factor: np.ndarray) -> np.ndarray:
        """See `Structure.gradient`."""
        sd, lower = np.exp(theta[: self.k]), np.tril(d_factor)
        c, length = self._directions(theta)
        along = (lower * c).sum(axis=1)
        across = (sd / length)[:, None] * (lower - along[:, None] * c)
        return np.append(sd * along, across[self._rows, self._columns])

    def start(self, sd: np.ndarray) -> np.ndarray:
        """See `Structure.start`."""
        return np.append(np.log(sd), np.zeros(len(self._rows)))

    def units(self, unit: float) -> np.ndarray:
        """See `Structure.units`: logarithms and ratios have none."""
        return np.ones(self.size)

    def curvature(self, n_levels: int) -> np.ndarray:
        """See `Structure.curvature`."""
        return np.full(self.size, 1.0 * n_levels)
