"""The contract of a covariance structure: a map theta -> T with Sigma = T T' for one level's k coefficients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

__all__ = ["Structure"]


class Structure(ABC):
    """Covariance of the k coefficients of one level, as the relative factor T(theta), lower triangular.

    ``rescaling`` says which changes of basis of the left-hand side the structure survives, so that the fitter may
    standardise the columns: ``"linear"`` (any), ``"columns"`` (one factor a column), ``"common"`` (one factor).
    """

    name: ClassVar[str]
    rescaling: ClassVar[str]

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

    def curvature(self, n_levels: int) -> np.ndarray:
        """Rough second derivative of the negative log-likelihood in each parameter near a unit factor."""
        return np.full(self.size, 2.0 * n_levels)
