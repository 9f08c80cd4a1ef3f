"""Independent coefficients, with their own or with one common standard deviation."""

from __future__ import annotations

import numpy as np

from glmmcore.covariance.base import Structure

__all__ = ["CommonDiagonal", "Diagonal"]


class Diagonal(Structure):
    """``diag``: T = diag(theta)."""

    name = "diag"
    rescaling = "columns"
    linear = True
    correlated = False
    absorbs_noise = True

    @property
    def size(self) -> int:
        """k."""
        return self.k

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """See `Structure.factor`."""
        return np.diag(theta)

    def gradient(self, theta: np.ndarray, d_factor: np.ndarray) -> np.ndarray:
        """See `Structure.gradient`."""
        return np.diag(d_factor).copy()

    def start(self, sd: np.ndarray) -> np.ndarray:
        """See `Structure.start`."""
        return np.array(sd, dtype=float)


class CommonDiagonal(Structure):
    """``homdiag``: T = theta I."""

    name = "homdiag"
    rescaling = "common"
    linear = True
    correlated = False
    absorbs_noise = True

    @property
    def size(self) -> int:
        """One."""
        return 1

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """See `Structure.factor`."""
        return theta[0] * np.eye(self.k)

    def gradient(self, theta: np.ndarray, d_factor: np.ndarray) -> np.ndarray:
        """See `Structure.gradient`."""
        return np.array([np.trace(d_factor)])

    def start(self, sd: np.ndarray) -> np.ndarray:
        """See `Structure.start`."""
        return np.array([np.sqrt(np.mean(np.square(sd)))])

    def curvature(self, n_levels: int) -> np.ndarray:
        """See `Structure.curvature`."""
        return np.array([2.0 * n_levels * self.k])
