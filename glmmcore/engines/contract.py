"""What an engine offers to the objective functions, and what all engines share; see `BlockedSystem` for each call."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, Protocol, Self

import numpy as np

from glmmcore.engines.layout import RelativeFactor, RowLayout

__all__ = ["Engine", "System"]


class System(Protocol):
    """Hessian of the spherical random effects, ``Lambda'Z'WZ Lambda`` plus the prior precision.

    Objectives of one problem share its system; `user` is the mark of the one that evaluated last, whose numbers these
    are.
    """

    layout: RowLayout
    user: object
    single: bool
    single_inverse: bool
    refines: bool

    @property
    def gains_by_single(self) -> bool:
        """Whether single precision until they are unset, of factor and inverse or of the inverse only, saves time."""

    def fresh(self, layout: RowLayout | None = None) -> System:
        """Same structure, memory of its own; `layout` may have other rows in the same runs."""

    def reset(self) -> None:
        """Forget the rows added so far."""

    def add(self, lo: int, hi: int, weights: np.ndarray, values: np.ndarray, score: np.ndarray) -> None:
        """Add rows to Z'WZ, and Z' values to `score`."""

    def multiply(self, x: np.ndarray) -> np.ndarray:
        """Z'WZ x."""

    def factorise(self, factors: list[RelativeFactor]) -> bool:
        """Factor for the relative factors; False when not positive definite."""

    @property
    def logdet(self) -> float:
        """Log determinant over that of the prior precision, without the profiled coefficients."""

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """H^-1 rhs; with half the digits only, if `refines` is unset, where the factor has no more."""

    def last_block(self, count: int) -> np.ndarray:
        """H^-1 of the last coefficients, (count, count)."""

    def invert(self) -> None:
        """Selected inverse, for the calls below."""

    def factor_products(self) -> list[Any]:
        """Sum over levels of the diagonal blocks of Z'WZ Lambda H^-1, or G where levels covary, by factor."""

    def scale_inverse(self) -> None:
        """H^-1 into Lambda H^-1 Lambda', for the calls below."""

    def row_covariances(self, lo: int, hi: int, out: np.ndarray) -> None:
        """Covariance of each row's predictors, packed."""

    def level_covariances(self, factor: int) -> np.ndarray:
        """Covariance of each level's coefficients, (L, k, k)."""

    def describe(self) -> list[str]:
        """One line a block."""


class Engine(ABC):
    """A system with memory that `_allocate` makes for its layout."""

    layout: RowLayout
    user: object = None
    single = False
    single_inverse = False
    refines = True

    @property
    def gains_by_single(self) -> bool:
        """No engine need know about single precision."""
        return False

    def _set_layout(self, layout: RowLayout) -> None:
        self.layout = layout

    @abstractmethod
    def _allocate(self) -> None:
        """Make the arrays that a fit writes to."""

    @property
    @abstractmethod
    def _sums(self) -> tuple[np.ndarray, ...]:
        """The arrays to which `System.add` adds."""

    @abstractmethod
    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """See `System.solve`."""

    def last_block(self, count: int) -> np.ndarray:
        """See `System.last_block`."""
        q = self.layout.order
        rows = [self.solve(np.eye(1, q, q - count + j)[0])[q - count :] for j in range(count)]
        return np.array(rows).reshape(count, count)

    def reset(self) -> None:
        """Forget the rows added so far."""
        for array in self._sums:
            array[...] = 0.0

    def fresh(self, layout: RowLayout | None = None) -> Self:
        """A system of the same structure with memory of its own, so that two fits never write to one place.

        `layout` may have other rows in the same runs.
        """
        other = copy.copy(self)
        other.user = None
        if layout is not None:
            other._set_layout(layout)
        other._allocate()
        return other
