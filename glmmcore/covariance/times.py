"""Effects along a line: each depends on the one before, with a correlation of its own for each step.

Parameters are the standard deviation, whose sign is free, and the logarithm of the rate (`ar1`: t with
rho = t / sqrt(1 + t^2)), without limits. Distances are in units of their own size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from glmmcore.covariance.fields import START_RANGE, START_SHIFTS, TO_INDEPENDENCE, Field, bounded_exp
from glmmcore.engines.roots import LineRoot, LineSlope, Slope

__all__ = ["AutoRegressiveLevels", "GappedAutoRegressive", "OrnsteinUhlenbeck"]


class _FirstOrder(ABC):
    """First-order dependence on the effect before: the root of the covariance of all effects, and its slopes."""

    @abstractmethod
    def _steps(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Correlation rho with the effect before, 1 - rho^2, and d rho / d theta_1 over its root; 0, 1, 0 at first."""

    def _line(self, theta: np.ndarray) -> LineRoot:
        rho, innovation, _ = self._steps(theta)
        return LineRoot(float(theta[0]), rho, innovation)

    def root_gradient(self, theta: np.ndarray, slope: Slope) -> np.ndarray:
        """See `FactorRoot.root_gradient`.

        With N = Lambda'G Lambda and C the root of unit variance, dF/ds = tr N / s and, C^-1 having two diagonals,
        dF/d rho_i = (N C')_(i, i-1) / sqrt(c_i) - N_ii rho_i / c_i.
        """
        assert isinstance(slope, LineSlope)
        rho, innovation, by_theta = self._steps(theta)
        by_rho = slope.cross - slope.own * rho / np.sqrt(innovation)
        by_sd = float(slope.own.sum()) / theta[0] if theta[0] != 0.0 else 0.0
        return np.array([by_sd, float(by_rho @ by_theta)])

    def covariance_slopes(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """See `FactorRoot.covariance_slopes`."""
        rho, innovation, by_theta = self._steps(theta)
        root = LineRoot(1.0, rho, innovation)
        own = root.multiply(x)
        # R = C C', dR = dC C' + C dC' and dC = -C dL C with L the inverse of C, which has two diagonals
        w = root.apply_transposed(x)
        shrink = by_theta * rho / np.sqrt(innovation) * w
        ahead = shrink.copy()
        ahead[1:] -= by_theta[1:] * root.apply(w)[:-1]
        behind = np.zeros_like(x)
        behind[:-1] = -by_theta[1:] * w[1:]
        moved = root.apply(ahead + shrink + root.apply_transposed(behind))
        return np.stack([2.0 * theta[0] * own, -(theta[0] ** 2) * moved])


class AutoRegressiveLevels(_FirstOrder):
    """``ar1`` of the k coefficients of every level, the chains of all levels behind each other.

    Parameters
    ----------
    k, n_levels : int
        Coefficients per level, and number of levels.
    """

    def __init__(self, k: int, n_levels: int) -> None:
        self._k, self._n_levels = k, n_levels

    def root(self, theta: np.ndarray) -> LineRoot:
        """See `FactorRoot.root`."""
        return self._line(theta)

    def _steps(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        t = float(theta[1])
        size = float(np.hypot(1.0, t))
        # d rho / dt = size^-3, and sqrt(1 - rho^2) = 1 / size
        steps = np.empty((3, self._n_levels * self._k))
        steps[:] = np.array([[t / size], [size**-2], [size**-2]])
        steps[:, :: self._k] = np.array([[0.0], [1.0], [0.0]])
        return steps[0], steps[1], steps[2]


class _Line(_FirstOrder, Field):
    """First-order dependence on the place before."""

    on_line = True
    covarying = "line"

    def correlations(self, theta: np.ndarray) -> tuple[float, float]:
        """See `Field.correlations`."""
        rho = self._steps(theta)[0]
        series = np.split(rho, self.places.first[1:-1])
        steps = np.concatenate([own[1:] for own in series])
        if not len(steps):
            return 0.0, 1.0
        return float(np.abs(steps).max()), float(min(np.prod(own[1:]) for own in series))

    def _root(self, theta: np.ndarray) -> LineRoot:
        return self._line(theta)


class OrnsteinUhlenbeck(_Line):
    """``ou``: exp(-rate |t - s|)."""

    name = "ou"
    parameters = ("rate",)

    def _steps(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first = np.isnan(self.places.steps)
        x = np.maximum(bounded_exp(theta[1]) * np.where(first, 1.0, self.places.steps), 1e-300)
        rho, innovation = np.exp(-x), -np.expm1(-2.0 * x)
        by_theta = -x * rho / np.sqrt(innovation)
        return np.where(first, 0.0, rho), np.where(first, 1.0, innovation), np.where(first, 0.0, by_theta)

    def natural(self, theta: np.ndarray) -> np.ndarray:
        """Rate per unit of the user's time."""
        return np.array([bounded_exp(theta[1]) / self.places.unit])

    def natural_slopes(self, theta: np.ndarray) -> np.ndarray:
        """See `Field.natural_slopes`."""
        return self.natural(theta)

    @property
    def start_parameters(self) -> np.ndarray:
        """See `Field.start_parameters`."""
        return np.array([-np.log(START_RANGE)])

    @property
    def other_starts(self) -> list[np.ndarray]:
        """See `Field.other_starts`."""
        return [self.start_parameters - shift for shift in START_SHIFTS]

    @property
    def nearly_independent(self) -> np.ndarray:
        """See `Field.nearly_independent`."""
        return self.start_parameters + TO_INDEPENDENCE


class GappedAutoRegressive(_Line):
    """``ar1`` of whole-number times: rho^|t - s|, absent times count."""

    name = "ar1"
    parameters = ("rho",)
    followed = ((-np.inf, np.inf),)
    one_correlation = True

    def _steps(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first = np.isnan(self.places.steps)
        gap = np.where(first, 1.0, self.places.steps * self.places.unit)
        t = float(theta[1])
        size = np.hypot(1.0, t)
        # rho^2 = 1 - 1 / (1 + t^2), and its powers without loss near one
        innovation = -np.expm1(gap * -np.log1p(1.0 / t**2)) if abs(t) > 1e-8 else np.ones(len(gap))
        rho = (t / size) ** gap
        by_theta = gap * (t / size) ** (gap - 1.0) / size**3 / np.sqrt(innovation)
        return np.where(first, 0.0, rho), np.where(first, 1.0, innovation), np.where(first, 0.0, by_theta)

    def natural(self, theta: np.ndarray) -> np.ndarray:
        """Correlation of neighbouring times."""
        return np.array([theta[1] / np.hypot(1.0, theta[1])])

    def natural_slopes(self, theta: np.ndarray) -> np.ndarray:
        """See `Field.natural_slopes`."""
        return np.array([np.hypot(1.0, theta[1]) ** -3])

    @property
    def start_parameters(self) -> np.ndarray:
        """See `Field.start_parameters`."""
        return np.array([0.5])

    @property
    def other_starts(self) -> list[np.ndarray]:
        """See `Field.other_starts`."""
        return [np.array([t]) for t in (-0.7, 2.0, 7.0)]

    @property
    def nearly_independent(self) -> np.ndarray:
        """See `Field.nearly_independent`."""
        return np.array([0.02])
