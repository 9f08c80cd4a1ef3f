"""Structures with few correlation parameters: T = diag(sd) C, C the Cholesky factor of a correlation matrix."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from scipy import linalg

from glmmcore.covariance.base import Structure
from glmmcore.errors import ModelError

__all__ = ["CommonCompoundSymmetric", "CommonScale", "CompoundSymmetric", "Correlated", "OwnScales"]


# Distance, on the scale t, from no correlation to one that is clear.
_FAR = 2.0


class Correlated(Structure):
    """Correlation matrix of a few parameters t; subclasses give its factor C(t) and the derivatives."""

    def __init__(self, k: int) -> None:
        super().__init__(k)
        if k < 2:
            raise ModelError(f"{self.name}(...) needs at least two coefficients per level, the left-hand side has {k}")

    @property
    def n_correlations(self) -> int:
        """Number of parameters m of the correlation matrix."""
        return 1

    @abstractmethod
    def triangle(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """C (k, k) and dC/dt (m, k, k), lower triangular."""

    @property
    def independent(self) -> np.ndarray:
        """Parameters t of small correlations, where the optimiser starts."""
        return np.zeros(self.n_correlations)

    def opposed(self, sd: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """See `Structure.opposed`; the one correlation has the other sign than most of those given."""
        theta = self.start(sd)
        if self.one_correlation:
            lower = covariance[np.tril_indices(self.k, -1)]
            theta[-1] -= _FAR * np.sign(lower.sum() or 1.0)
        return theta


class OwnScales(Correlated):
    """A standard deviation for each coefficient: theta is their logarithms, then t."""

    rescaling = "columns"

    @property
    def size(self) -> int:
        """k + m."""
        return self.k + self.n_correlations

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """See `Structure.factor`."""
        return np.exp(theta[: self.k])[:, None] * self.triangle(theta[self.k :])[0]

    def gradient(self, theta: np.ndarray, d_factor: np.ndarray) -> np.ndarray:
        """See `Structure.gradient`."""
        sd = np.exp(theta[: self.k])
        c, dc = self.triangle(theta[self.k :])
        lower = np.tril(d_factor) * sd[:, None]
        return np.append((lower * c).sum(axis=1), np.tensordot(dc, lower, axes=2))

    def start(self, sd: np.ndarray) -> np.ndarray:
        """See `Structure.start`."""
        return np.append(np.log(sd), self.independent)

    def units(self, unit: float) -> np.ndarray:
        """See `Structure.units`: logarithms and transformed correlations have none."""
        return np.ones(self.size)

    def curvature(self, n_levels: int) -> np.ndarray:
        """See `Structure.curvature`."""
        return np.full(self.size, 1.0 * n_levels)


class CommonScale(Correlated):
    """One standard deviation for all coefficients: T = theta_0 C(theta_1, ...)."""

    rescaling = "common"
    one_row = True

    @property
    def size(self) -> int:
        """1 + m."""
        return 1 + self.n_correlations

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """See `Structure.factor`."""
        return theta[0] * self.triangle(theta[1:])[0]

    def gradient(self, theta: np.ndarray, d_factor: np.ndarray) -> np.ndarray:
        """See `Structure.gradient`."""
        c, dc = self.triangle(theta[1:])
        lower = np.tril(d_factor)
        return np.append(np.sum(lower * c), theta[0] * np.tensordot(dc, lower, axes=2))

    def start(self, sd: np.ndarray) -> np.ndarray:
        """See `Structure.start`."""
        return np.append(np.sqrt(np.mean(np.square(sd))), self.independent)

    def units(self, unit: float) -> np.ndarray:
        """See `Structure.units`."""
        return np.append(unit, np.ones(self.n_correlations))

    def curvature(self, n_levels: int) -> np.ndarray:
        """See `Structure.curvature`."""
        return np.append(2.0 * n_levels * self.k, np.full(self.n_correlations, 0.5 * n_levels * self.k))

    @property
    def reported(self) -> list[tuple[str, int, int]]:
        """One standard deviation, then the correlations by lag."""
        return [("sd", 0, 0)] + [("corr", lag, 0) for lag in range(1, self.k)]


class _CompoundSymmetry(Correlated):
    """All correlations equal, rho in (-1/(k-1), 1) through a logistic map."""

    one_correlation = True

    def _correlation(self, t: float) -> tuple[np.ndarray, np.ndarray]:
        low = 1.0 / (self.k - 1)
        # 1e-10 inside the open interval: the Cholesky factor must exist wherever the optimiser looks
        p = np.clip(1.0 / (1.0 + np.exp(-np.clip(t, -700.0, 700.0))), 1e-10, 1.0 - 1e-10)
        rho = (1.0 + low) * p - low
        off = 1.0 - np.eye(self.k)
        return np.eye(self.k) + rho * off, (1.0 + low) * p * (1.0 - p) * off

    def triangle(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """C = chol(R) and dC/dt = C Phi(C^-1 dR C^-T), Phi = lower triangle with halved diagonal."""
        r, dr = self._correlation(float(t[0]))
        c = linalg.cholesky(r, lower=True)
        inner = linalg.solve_triangular(c, linalg.solve_triangular(c, dr, lower=True).T, lower=True)
        inner = np.tril(inner)
        inner[np.diag_indices(self.k)] *= 0.5
        return c, (c @ inner)[None]

    @property
    def independent(self) -> np.ndarray:
        """Correlation zero."""
        return np.array([-np.log(self.k - 1.0)])


class CompoundSymmetric(OwnScales, _CompoundSymmetry):
    """``cs``: own standard deviations (as logarithms), one common correlation."""

    name = "cs"


class CommonCompoundSymmetric(CommonScale, _CompoundSymmetry):
    """``homcs``: one standard deviation, one correlation."""

    name = "homcs"
    absorbs_noise = True

    @property
    def reported(self) -> list[tuple[str, int, int]]:
        """One standard deviation, one correlation."""
        return [("sd", 0, 0), ("corr", 1, 0)]
