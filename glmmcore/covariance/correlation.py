"""Structures with one correlation parameter: T = diag(sd) chol(R(rho))."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from scipy import linalg

from glmmcore.covariance.base import Structure
from glmmcore.errors import ModelError

__all__ = ["AutoRegressive", "CommonCompoundSymmetric", "CompoundSymmetric"]


class _OneCorrelation(Structure):
    """Correlation matrix of one parameter t; subclasses give its factor C(t) and dC/dt."""

    def __init__(self, k: int) -> None:
        super().__init__(k)
        if k < 2:
            raise ModelError(f"{self.name}(...) needs at least two coefficients per level, the left-hand side has {k}")

    @abstractmethod
    def _triangle(self, t: float) -> tuple[np.ndarray, np.ndarray]:
        """C and dC/dt, lower triangular."""


class _CompoundSymmetry(_OneCorrelation):
    """All correlations equal, rho in (-1/(k-1), 1) through a logistic map."""

    def _correlation(self, t: float) -> tuple[np.ndarray, np.ndarray]:
        low = 1.0 / (self.k - 1)
        # 1e-10 inside the open interval: the Cholesky factor must exist wherever the optimiser looks
        p = np.clip(1.0 / (1.0 + np.exp(-np.clip(t, -700.0, 700.0))), 1e-10, 1.0 - 1e-10)
        rho = (1.0 + low) * p - low
        off = 1.0 - np.eye(self.k)
        return np.eye(self.k) + rho * off, (1.0 + low) * p * (1.0 - p) * off

    def _triangle(self, t: float) -> tuple[np.ndarray, np.ndarray]:
        """C = chol(R) and dC/dt = C Phi(C^-1 dR C^-T), Phi = lower triangle with halved diagonal."""
        r, dr = self._correlation(t)
        c = linalg.cholesky(r, lower=True)
        inner = linalg.solve_triangular(c, linalg.solve_triangular(c, dr, lower=True).T, lower=True)
        inner = np.tril(inner)
        inner[np.diag_indices(self.k)] *= 0.5
        return c, c @ inner

    def _independent(self) -> float:
        low = 1.0 / (self.k - 1)
        return float(np.log(low))


class CompoundSymmetric(_CompoundSymmetry):
    """``cs``: own standard deviations (as logarithms), one common correlation."""

    name = "cs"
    rescaling = "columns"

    @property
    def size(self) -> int:
        """k + 1."""
        return self.k + 1

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """See `Structure.factor`."""
        return np.exp(theta[: self.k])[:, None] * self._triangle(theta[self.k])[0]

    def gradient(self, theta: np.ndarray, d_factor: np.ndarray) -> np.ndarray:
        """See `Structure.gradient`."""
        sd = np.exp(theta[: self.k])
        c, dc = self._triangle(theta[self.k])
        lower = np.tril(d_factor)
        return np.append(sd * (lower * c).sum(axis=1), np.sum(lower * sd[:, None] * dc))

    def start(self, sd: np.ndarray) -> np.ndarray:
        """See `Structure.start`."""
        return np.append(np.log(sd), self._independent())

    def units(self, unit: float) -> np.ndarray:
        """See `Structure.units`: logarithms and a logit have none."""
        return np.ones(self.size)

    def curvature(self, n_levels: int) -> np.ndarray:
        """See `Structure.curvature`."""
        return np.full(self.size, 1.0 * n_levels)


class _CommonScale(_OneCorrelation):
    """One standard deviation for all coefficients: T = theta_0 chol(R(theta_1))."""

    rescaling = "common"

    @property
    def size(self) -> int:
        """Two."""
        return 2

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """See `Structure.factor`."""
        return theta[0] * self._triangle(theta[1])[0]

    def gradient(self, theta: np.ndarray, d_factor: np.ndarray) -> np.ndarray:
        """See `Structure.gradient`."""
        c, dc = self._triangle(theta[1])
        lower = np.tril(d_factor)
        return np.array([np.sum(lower * c), theta[0] * np.sum(lower * dc)])

    def units(self, unit: float) -> np.ndarray:
        """See `Structure.units`."""
        return np.array([unit, 1.0])

    def curvature(self, n_levels: int) -> np.ndarray:
        """See `Structure.curvature`."""
        return np.array([2.0 * n_levels * self.k, 0.5 * n_levels * self.k])


class CommonCompoundSymmetric(_CommonScale, _CompoundSymmetry):
    """``homcs``: one standard deviation, one correlation."""

    name = "homcs"

    def start(self, sd: np.ndarray) -> np.ndarray:
        """See `Structure.start`."""
        return np.array([np.sqrt(np.mean(np.square(sd))), self._independent()])


class AutoRegressive(_CommonScale):
    """``ar1``: correlation rho^|i - j| between the coefficients in their order, rho = t / sqrt(1 + t^2).

    The factor of the correlation matrix has a closed form: rho^i in the first column, rho^(i - j) sqrt(1 - rho^2) in
    the others.
    """

    name = "ar1"
    chained = True

    @property
    def reported(self) -> list[tuple[str, int, int]]:
        """One standard deviation, and rho."""
        return [("sd", 0, 0), ("rho", 1, 0)]

    def _triangle(self, t: float) -> tuple[np.ndarray, np.ndarray]:
        root = np.hypot(1.0, t)
        rho, spread = t / root, 1.0 / root
        lag = np.subtract.outer(np.arange(self.k), np.arange(self.k))
        power = np.where(lag >= 0, rho ** np.maximum(lag, 0), 0.0)
        slope = np.where(lag >= 1, lag * rho ** np.maximum(lag - 1, 0), 0.0)
        c, dc = power.copy(), slope
        c[:, 1:] *= spread
        # d spread / d rho = -rho / spread
        dc[:, 1:] = slope[:, 1:] * spread - power[:, 1:] * rho * root
        return c, dc / root**3

    def start(self, sd: np.ndarray) -> np.ndarray:
        """See `Structure.start`."""
        return np.array([np.sqrt(np.mean(np.square(sd))), 0.2])
