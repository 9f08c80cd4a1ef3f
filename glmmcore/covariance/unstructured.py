"""Unstructured covariance: every entry of the triangle is free."""

from __future__ import annotations

import numpy as np

from glmmcore.covariance.base import Structure

__all__ = ["Unstructured"]


class Unstructured(Structure):
    """``us``: theta is the lower triangle of T, row by row; no sign is imposed, so a zero variance is no edge."""

    name = "us"
    rescaling = "linear"
    linear = True
    absorbs_noise = True

    def __init__(self, k: int) -> None:
        super().__init__(k)
        self._rows, self._columns = np.tril_indices(k)

    @property
    def size(self) -> int:
        """k (k + 1) / 2."""
        return len(self._rows)

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """See `Structure.factor`."""
        t = np.zeros((self.k, self.k))
        t[self._rows, self._columns] = theta
        return t

    def gradient(self, theta: np.ndarray, d_factor: np.ndarray) -> np.ndarray:
        """See `Structure.gradient`."""
        return d_factor[self._rows, self._columns]

    def start(self, sd: np.ndarray) -> np.ndarray:
        """See `Structure.start`."""
        return np.diag(sd)[self._rows, self._columns]

    def start_with(self, covariance: np.ndarray) -> np.ndarray:
        """Theta of coefficients with a covariance (k, k), positive definite."""
        return np.asarray(np.linalg.cholesky(covariance)[self._rows, self._columns])

    def opposed(self, sd: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """See `Structure.opposed`."""
        rows, columns = np.tril_indices(self.k, -1)
        t = np.diag(sd)
        t[rows, columns] = -0.5 * sd[rows] * np.sign(covariance[rows, columns])
        return t[self._rows, self._columns]
