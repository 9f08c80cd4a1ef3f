"""The contract of a covariance structure: a map theta -> T with Sigma = T T' for one level's k coefficients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

import numpy as np

from glmmcore.engines.roots import LevelRoot, Slope

__all__ = ["FactorRoot", "Structure"]


class FactorRoot(Protocol):
    """A map theta -> square root of the covariance of all effects of a grouping factor, for engines that take it."""

    def root(self, theta: np.ndarray) -> LevelRoot:
        """Root of the covariance of all effects."""

    def root_gradient(self, theta: np.ndarray, slope: Slope) -> np.ndarray:
        """Chain rule: d/d theta from what the root keeps of G."""

    def covariance_slopes(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """(dSigma / d theta_j) x, (size, q)."""


class Structure(ABC):
    """Covariance of the k coefficients of one level, as the relative factor T(theta), lower triangular.

    ``linear`` says that T is linear in theta, so that the likelihood is symmetric about a vanishing column of T;
    ``chained`` that the coefficients form a first-order chain with one standard deviation, whose precision matrix is
    tridiagonal; ``ordered`` that the order of the coefficients has a meaning; ``one_row`` that tables show one standard
    deviation for all coefficients and correlations by lag; ``correlated`` that there are correlations to report;
    ``one_correlation`` that the last parameter is the only one of the correlations; ``absorbs_noise`` that Sigma keeps
    its form when independent noise of one variance is added to every coefficient.
    ``rescaling`` says which changes of basis of the left-hand side the structure survives, so that the fitter may
    standardise the columns: ``"linear"`` (any), ``"columns"`` (one factor a column), ``"common"`` (one factor).
    """

    name: ClassVar[str]
    rescaling: ClassVar[str]
    linear: ClassVar[bool] = False
    chained: ClassVar[bool] = False
    one_row: ClassVar[bool] = False
    ordered: ClassVar[bool] = False
    correlated: ClassVar[bool] = True
    one_correlation: ClassVar[bool] = False
    absorbs_noise: ClassVar[bool] = False

    def __init__(self, k: int) -> None:
        self.k = k

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of parameters."""

    @abstractmethod
    def factor(self, theta: np.ndarray) -> np.ndarray:
        """T, shape (k, k), lower triangular."""

    @abstractmethod
    def gradient(self, theta: np.ndarray, d_factor: np.ndarray) -> np.ndarray:
        """Chain rule: d/d theta from d/dT, of which only the lower triangle is read."""

    @abstractmethod
    def start(self, sd: np.ndarray) -> np.ndarray:
        """Theta of independent coefficients with standard deviations `sd` (k,)."""

    def opposed(self, sd: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """Theta of coefficients with standard deviations `sd` (k,), correlated against a covariance if they may be."""
        return self.start(sd)

    @property
    def reported(self) -> list[tuple[str, int, int]]:
        """What tables show: kind, and the two coefficients it is about (equal for a standard deviation)."""
        out = []
        for i in range(self.k):
            out.append(("sd", i, i))
            out += [("corr", i, j) for j in range(i) if self.correlated]
        return out

    def units(self, unit: float) -> np.ndarray:
        """Natural size of each parameter where coefficients have the size `unit`, (size,)."""
        return np.full(self.size, unit)

    def curvature(self, n_levels: int) -> np.ndarray:
        """Rough second derivative of the negative log-likelihood in each parameter near a unit factor."""
        return np.full(self.size, 2.0 * n_levels)
